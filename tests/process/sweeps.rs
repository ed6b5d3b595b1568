//! Supervisor, guard and keeper are killed at once; the next devstack finds what they left.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::Duration;

use devstack::model::CommandLine;
use devstack::process::{clean_up, find_orphans};

use crate::alone::{plays, start_role};
use crate::keepers::per_run;
use crate::lab::{eventually, lab};
use crate::pinned::Pinned;
use crate::sample::{TREE, becomes_sleep, parent_of, tree};

/// Plays devstack with a record: starts a tree, and a service without environment.
#[test]
fn recorder() {
    if !plays("recorder") {
        return;
    }
    lab(async |mut lab| {
        let record = lab.dir.path().join("runs.json");
        lab.processes = lab.processes.record_to(&record);
        let (started, pids) = tree(&mut lab, &format!("trap '' TERM; {TREE}")).await;
        // `env` keeps its number when it becomes the program, and clears what it inherited.
        let bare = ["/usr/bin/env", "-i", "/bin/sleep", "1000"].map(str::to_owned).to_vec();
        let bare = lab.start(&lab.launch(CommandLine::exec(bare)));
        let main = lab.spawned(bare.run).await;
        becomes_sleep(main).await;
        let text = || std::fs::read_to_string(&record).expect("it was written before the start");
        eventually(|| text().contains(&format!("\"pid\":{main},"))).await;
        let mut all: Vec<u32> = pids.iter().map(|p| p.pid).collect();
        all.push(main);
        let all: Vec<String> = all.iter().map(u32::to_string).collect();
        let keepers = [pids[0].pid, main].map(parent_of);
        println!("\npids {} {} {} {}", lab.guard, keepers[0], keepers[1], all.join(" "));
        println!("\nrecord {}", record.display());
        lab.exited(started.run).await;
        lab.exited(bare.run).await;
        lab.finish().await;
        println!("\nfile {}", record.exists());
    });
}

fn start() -> (std::process::Child, impl Iterator<Item = String>, Vec<Pinned>, PathBuf) {
    let mut child = start_role("sweeps::recorder", "recorder");
    let mut lines =
        BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    let told = lines.by_ref().find_map(|line| Some(line.strip_prefix("pids ")?.to_owned()));
    let told = told.expect("the recorder tells its pids");
    let pids = told.split(' ').map(|pid| Pinned::new(pid.parse().expect("a pid"))).collect();
    let record = lines.by_ref().find_map(|line| Some(line.strip_prefix("record ")?.to_owned()));
    (child, lines, pids, record.expect("the recorder tells its record").into())
}

/// Waits until no thread of a child runs any more. One of them takes the signal, and until that one gets to run the
/// others go on; the helpers have one each.
fn stops(child: &std::process::Child) {
    let mut info = std::mem::MaybeUninit::zeroed();
    // SAFETY: a number, and a place for the answer.
    let code = unsafe {
        libc::waitid(libc::P_PID, child.id(), info.as_mut_ptr(), libc::WSTOPPED | libc::WNOWAIT)
    };
    assert_eq!(code, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn the_next_one_finds_and_ends_what_is_left() {
    let (mut child, _lines, pids, record) = start();
    // While the supervisor lives, nothing may be cleaned up.
    assert!(find_orphans(Some(&record), None).expect("it can be read").is_empty());
    assert!(clean_up(Some(&record), None).messages().is_empty() && record.exists());
    // Stopped first, so that none of them sees the end of another; and killed from below, because the end of
    // its parent makes a stopped group go on.
    let supervisor = Pinned::new(child.id());
    let helpers = || pids[..3].iter().rev().chain([&supervisor]);
    helpers().for_each(|helper| helper.signal(libc::SIGSTOP));
    stops(&child);
    for helper in helpers() {
        helper.signal(libc::SIGKILL);
        assert!(helper.ends_within(Duration::from_secs(5)));
    }
    child.wait().expect("it is our child");
    // The kernel kills main processes and known groups with the guard, but not with a keeper.
    let (dead, left): (Vec<&Pinned>, Vec<&Pinned>) = pids[3..].iter().partition(|pinned| {
        let is_main = pinned.pid == pids[3].pid || pinned.pid == pids[pids.len() - 1].pid;
        let limit = if is_main && !per_run() { Duration::from_secs(5) } else { Duration::ZERO };
        pinned.ends_within(limit)
    });
    assert!(dead.len() >= 2 || per_run() && dead.is_empty(), "{} of {}", dead.len(), pids.len());
    let swept = clean_up(Some(&record), None);
    for pinned in &pids[3..] {
        assert!(pinned.ends_within(Duration::ZERO), "process {} lives: {swept:?}", pinned.pid);
    }
    for (pid, _) in &swept.ended {
        assert!(left.iter().any(|pinned| pinned.pid == *pid), "{swept:?}");
    }
    assert!(swept.alive.is_empty() && swept.trouble.is_none() && !record.exists());
    std::fs::remove_dir_all(record.parent().expect("it has a directory")).expect("it is ours");
}

#[test]
fn a_good_end_leaves_no_record() {
    let (mut child, mut lines, pids, record) = start();
    pids[3].signal(libc::SIGKILL);
    pids.last().expect("there are some").signal(libc::SIGKILL);
    assert_eq!(lines.find(|line| line.starts_with("file ")).as_deref(), Some("file false"));
    child.wait().expect("it is our child");
    assert!(!record.exists());
}
