use std::time::Duration;

use tokio::time::timeout;

use super::ProbeContext;
use super::probe_attempt::ProbeAttempt;
use crate::model::{CommandLine, LaunchConfig, Message, MessageClass, ProcessExit};
use crate::process::{OutputTail, ProcessManager, display_command};

const ATTEMPT_MAX: Duration = Duration::from_secs(5);

/// How long the tree of a command may take to disappear after its exit, once killed.
const REST_MAX: Duration = Duration::from_secs(1);

/// Bytes of output that are kept for the failure message.
const OUTPUT_MAX: usize = 2 << 10;

/// Variables that programs read to decide on colors.
const COLORS: [&str; 4] = ["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR"];

/// Runs the command; exit code 0 is a success.
pub(super) async fn attempt(
    command: &CommandLine,
    launch: &LaunchConfig,
    sight: &ProbeContext,
) -> ProbeAttempt {
    let mut launch = LaunchConfig { command: command.clone(), ..launch.clone() };
    if !COLORS.iter().any(|name| launch.env.contains(name)) {
        // The output becomes part of a message.
        launch.env.insert("NO_COLOR", "1");
    }
    let ProbeCommandOutput { verdict, status: said } = sight.try_out(launch).await;
    let what = match verdict {
        ProbeCommandEnd::Ended(ProcessExit::Code(0)) => {
            return ProbeAttempt::Held(format!("`{}` exited with code 0", short_name(command)));
        }
        ProbeCommandEnd::Ended(exit) => format!("failed ({exit})"),
        ProbeCommandEnd::NotStarted(why) if why.class == MessageClass::Limit => {
            return ProbeAttempt::Limited(std::io::Error::other(why.text));
        }
        ProbeCommandEnd::NotStarted(why) => format!("could not start: {}", why.text),
        ProbeCommandEnd::Late(limit) => format!("did not finish within {limit:?}"),
    };
    let command = display_command(command);
    let status = String::from_utf8_lossy(&said).trim().to_owned();
    let status = if status.is_empty() { status } else { format!(": {status}") };
    ProbeAttempt::Failed(format!("`{command}` {what}{status}"))
}

/// Returns a command that succeeded for display: only its program if the names of variables stand for
/// other words.
fn short_name(command: &CommandLine) -> String {
    match command {
        CommandLine::Exec(words) if words.iter().any(|word| word.redacted() != word.expose()) => {
            words[0].redacted().to_owned()
        }
        CommandLine::Exec(_) | CommandLine::Shell(_) => display_command(command),
    }
}

/// Runs the command of a probe, kept like a run. Its tree is gone however this ends: on exit,
/// at the time limit, when dropped, or with devstack.
pub async fn run_command(processes: &ProcessManager, launch: &LaunchConfig) -> ProbeCommandOutput {
    run_command_within(ATTEMPT_MAX, processes, launch).await
}

/// Like `run_command`, with another time limit.
pub async fn run_command_within(
    limit: Duration,
    processes: &ProcessManager,
    launch: &LaunchConfig,
) -> ProbeCommandOutput {
    let tail = OutputTail::new(OUTPUT_MAX);
    let mut aside = processes.spawn_one_shot(launch, tail.clone());
    let verdict = match timeout(limit, aside.exited()).await {
        Ok(Ok(exit)) => {
            // The output is complete only when the tree is empty.
            let _ = timeout(REST_MAX, aside.emptied()).await;
            ProbeCommandEnd::Ended(exit)
        }
        Ok(Err(why)) => ProbeCommandEnd::NotStarted(why),
        Err(_) => ProbeCommandEnd::Late(limit),
    };
    ProbeCommandOutput { verdict, status: tail.bytes() }
}

/// The result of a probe command.
#[derive(Debug, Clone)]
pub struct ProbeCommandOutput {
    pub verdict: ProbeCommandEnd,
    /// The last bytes of stdout and stderr, as they came.
    pub status: Vec<u8>,
}

#[derive(Debug, Clone)]
pub enum ProbeCommandEnd {
    Ended(ProcessExit),
    /// It never ran, and why.
    NotStarted(Message),
    /// It was killed after this time.
    Late(Duration),
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::model::{Message, RedactedText};
    use crate::ports::ListenerOwner;

    #[test]
    fn what_succeeded_is_named_without_the_names_of_variables() {
        let name = |word: RedactedText| {
            short_name(&CommandLine::exec([RedactedText::from("pg_isready"), word]))
        };
        assert_eq!(name("-q".into()), "pg_isready -q");
        assert_eq!(name(RedactedText::new("shop", "${POSTGRES_USER}")), "pg_isready");
        assert_eq!(short_name(&CommandLine::Shell("test $A".into())), "test $A");
    }

    async fn attempt_of(verdict: ProbeCommandEnd, status: &str) -> ProbeAttempt {
        let trial = ProbeCommandOutput { verdict, status: status.as_bytes().to_vec() };
        let asked = Arc::new(Mutex::new(None));
        let seen = asked.clone();
        let sight =
            ProbeContext::new(Vec::new, |_, _| ListenerOwner::Ours(Vec::new()), |_| Vec::new())
                .trying(move |launch| {
                    *seen.lock().unwrap() = Some(launch);
                    let trial = trial.clone();
                    async { trial }
                });
        let launch = LaunchConfig {
            command: CommandLine::Shell("the service".into()),
            container: None,
            dir: "/".into(),
            env: [("A", "1")].into_iter().collect(),
            host: "127.0.0.1".into(),
            requires: None,
        };
        let attempt = attempt(&CommandLine::Shell("the probe".into()), &launch, &sight).await;
        let asked = asked.lock().unwrap().take().unwrap();
        assert_eq!(asked.command, CommandLine::Shell("the probe".into()));
        let env: Vec<&str> = asked.env.names().collect();
        assert_eq!(env, ["A", "NO_COLOR"]);
        attempt
    }

    #[tokio::test]
    async fn code_0_holds_and_the_rest_says_why_with_output() {
        let code = |code| ProbeCommandEnd::Ended(ProcessExit::Code(code));
        assert!(matches!(attempt_of(code(0), "fine").await, ProbeAttempt::Held(_)));
        for (verdict, status, text) in [
            (code(3), "no\nand more\n", "`the probe` failed (exit 3): no\nand more"),
            (ProbeCommandEnd::Ended(ProcessExit::Signal(9)), "", "`the probe` failed (SIGKILL)"),
            (ProbeCommandEnd::Late(ATTEMPT_MAX), "", "`the probe` did not finish within 5s"),
            (
                ProbeCommandEnd::NotStarted(Message::new(MessageClass::Spawn, "no such program")),
                "",
                "`the probe` could not start: no such program",
            ),
        ] {
            match attempt_of(verdict, status).await {
                ProbeAttempt::Failed(why) => assert_eq!(why, text),
                other => panic!("{other:?}"),
            }
        }
        let limit = ProbeCommandEnd::NotStarted(Message::new(MessageClass::Limit, "too many"));
        assert!(matches!(attempt_of(limit, "").await, ProbeAttempt::Limited(_)));
    }
}
