//! Commands of probes: no runs, but kept like them.

use std::time::Duration;

use devstack::model::{CommandLine, MessageClass, ProcessExit};
use devstack::probe::{ProbeCommandEnd, ProbeCommandOutput, run_command, run_command_within};

use crate::alone::alone;
use crate::lab::{Lab, children, eventually, lab};

async fn tried(lab: &Lab, script: &str) -> ProbeCommandOutput {
    run_command(&lab.processes, &lab.launch(CommandLine::Shell(script.to_owned()))).await
}

fn said(trial: &ProbeCommandOutput) -> String {
    String::from_utf8_lossy(&trial.status).into_owned()
}

#[test]
fn a_trial_tells_the_end_and_the_last_words() {
    alone(|| {
        lab(async |lab| {
            let trial = tried(&lab, "echo one; echo two >&2; exit 3").await;
            assert!(
                matches!(trial.verdict, ProbeCommandEnd::Ended(ProcessExit::Code(3))),
                "{trial:?}"
            );
            let text = said(&trial);
            assert!(text.contains("one\n") && text.contains("two\n"), "{text}");
            let trial = tried(&lab, "kill -9 $$").await;
            assert!(
                matches!(trial.verdict, ProbeCommandEnd::Ended(ProcessExit::Signal(9))),
                "{trial:?}"
            );
            let trial = tried(&lab, "seq 1 100000").await;
            assert!(said(&trial).ends_with("\n99999\n100000\n"), "{}", trial.status.len());
            assert_eq!(trial.status.len(), 2048);
            lab.finish().await;
        })
    });
}

#[test]
fn a_missing_program_is_reported() {
    alone(|| {
        lab(async |lab| {
            for words in [&["no-such-program-anywhere"][..], &[]] {
                let words = words.iter().copied();
                let launch = lab.launch(CommandLine::exec(words));
                let trial = run_command(&lab.processes, &launch).await;
                let ProbeCommandEnd::NotStarted(why) = trial.verdict else { panic!("{trial:?}") };
                assert_ne!(why.class, MessageClass::Limit, "{why:?}");
            }
            lab.finish().await;
        })
    });
}

/// A tree that hides; `up` appears when it is complete.
const HIDES: &str = "setsid sh -c 'trap \"\" TERM; touch up; sleep 1000 & wait' &";

#[test]
fn nothing_is_left_after_the_end_the_limit_and_a_drop() {
    alone(|| {
        lab(async |lab| {
            let up = lab.dir.path().join("up");
            let until_up = "until test -e up; do sleep 0.01; done;";
            let gone = || children(lab.guard).is_empty();

            let trial = tried(&lab, &format!("{HIDES} {until_up} exit 0")).await;
            assert!(
                matches!(trial.verdict, ProbeCommandEnd::Ended(ProcessExit::Code(0))),
                "{trial:?}"
            );
            assert!(up.exists());
            eventually(gone).await;

            let launch = lab.launch(CommandLine::Shell(format!("{HIDES} echo begun; sleep 1000")));
            let limit = Duration::from_millis(300);
            let trial = run_command_within(limit, &lab.processes, &launch).await;
            assert!(matches!(trial.verdict, ProbeCommandEnd::Late(_)), "{trial:?}");
            assert_eq!(said(&trial), "begun\n");
            eventually(gone).await;

            std::fs::remove_file(&up).expect("it is there");
            tokio::select! {
                trial = run_command(&lab.processes, &launch) => panic!("{trial:?}"),
                () = eventually(|| up.exists()) => {}
            }
            eventually(gone).await;
            lab.finish().await;
        })
    });
}
