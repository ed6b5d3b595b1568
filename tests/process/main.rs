//! Processes with real programs: exact ends, nothing left behind, whoever is killed.

#![cfg(target_os = "linux")]

mod actor;
mod lab;
mod pinned;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use actor::{alone, plays, start_role};
use devstack::model::{Command, Exit, Message, Stream};
use devstack::runtime::process::{Guard, Sink, What};
use lab::{Lab, children, eventually, lab, lab_with};
use pinned::Pinned;

/// "Gone a second later" is the promise; a busy machine gets more before the test says that it hangs,
/// and the promise itself is measured by `PROMPT`.
const PROMPT: Duration = Duration::from_secs(5);

/// Prints the pid of each of its processes, one a line: itself, a plain child, one in a session of its
/// own, two of a double fork, one with a cleared environment.
const TREE: &str = "
    me='echo $$; exec sleep 1000'
    sh -c \"$me\" &
    setsid sh -c \"$me\" &
    (setsid sh -c \"sh -c '$me' & $me\" &)
    env -i /usr/bin/setsid /bin/sh -c \"echo \\$\\$; exec /bin/sleep 1000\" &
    echo $$
    wait";
const TREE_SIZE: usize = 6;

/// Starts the tree and waits until all of it is there. The main process is the first.
async fn tree(lab: &mut Lab, script: &str) -> (lab::Started, Vec<Pinned>) {
    let started = lab.script(script);
    let main = lab.spawned(started.run).await;
    let lines = started.heard.lines(TREE_SIZE).await;
    let mut pids: Vec<u32> = lines.iter().map(|line| line.parse().expect("a pid")).collect();
    pids.sort_by_key(|pid| *pid != main);
    assert_eq!(pids[0], main);
    for pid in &pids[1..] {
        becomes_sleep(*pid).await;
    }
    (started, pids.into_iter().map(Pinned::new).collect())
}

/// Waits until a shell has become the program it was to become.
async fn becomes_sleep(pid: u32) {
    let name = || fs::read_to_string(format!("/proc/{pid}/comm")).expect("it lives");
    eventually(|| name() == "sleep\n").await;
}

fn all_gone(pids: &[Pinned]) {
    for pinned in pids {
        assert!(pinned.ends_within(Duration::ZERO), "process {} lives", pinned.pid);
    }
}

#[test]
fn codes_are_exact() {
    alone("codes_are_exact", || {
        lab(async |mut lab| {
            let runs: Vec<_> =
                (0..=255).map(|code| (code, lab.script(&format!("exit {code}")))).collect();
            for (code, started) in runs {
                assert_eq!(lab.whole(started.run).await, Exit::Code(code));
                assert_eq!(started.heard.closed(), 1);
            }
            lab.finish().await;
        })
    });
}

#[test]
fn signals_are_exact() {
    alone("signals_are_exact", || {
        lab(async |mut lab| {
            let harmless = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
            let stopping = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
            for signal in (1..=31).filter(|s| !harmless.contains(s) && !stopping.contains(s)) {
                let started = lab.script(&format!("ulimit -c 0; kill -{signal} $$; exit 1"));
                assert_eq!(lab.whole(started.run).await, Exit::Signal(signal));
            }
            lab.finish().await;
        })
    });
}

#[test]
fn nothing_printed_is_lost() {
    alone("nothing_printed_is_lost", || {
        lab(async |mut lab| {
            let script =
                "head -c 3000000 /dev/zero >&2 & head -c 5000000 /dev/zero; wait; printf end";
            let started = lab.script(script);
            assert_eq!(lab.whole(started.run).await, Exit::Code(0));
            assert_eq!(started.heard.sizes(), (5_000_003, 3_000_000));
            assert!(started.heard.out().ends_with("end"));
            assert_eq!(started.heard.closed(), 1);
            lab.finish().await;
        })
    });
}

#[test]
fn a_stop_ends_the_whole_tree() {
    alone("a_stop_ends_the_whole_tree", || {
        lab(async |mut lab| {
            let (started, pids) = tree(&mut lab, TREE).await;
            let mut known = started.leash.tree_pids();
            for pinned in &pids {
                assert!(known.contains(&pinned.pid), "{} is not in {known:?}", pinned.pid);
            }
            known.retain(|pid| pids.iter().all(|pinned| pinned.pid != *pid));
            assert!(known.len() <= 2, "strangers: {known:?}");
            started.leash.stop(libc::SIGTERM);
            assert_eq!(lab.exited(started.run).await, Exit::Signal(libc::SIGTERM));
            assert_eq!(lab.emptied(started.run).await, []);
            all_gone(&pids);
            assert!(started.leash.tree_pids().is_empty());
            lab.finish().await;
        })
    });
}

#[test]
fn a_kill_ends_the_whole_tree() {
    alone("a_kill_ends_the_whole_tree", || {
        lab(async |mut lab| {
            let (started, pids) = tree(&mut lab, &format!("trap '' TERM; {TREE}")).await;
            started.leash.kill();
            assert_eq!(lab.exited(started.run).await, Exit::Signal(libc::SIGKILL));
            lab.emptied(started.run).await;
            all_gone(&pids);
            lab.finish().await;
        })
    });
}

#[test]
fn what_outlives_the_main_process_is_named_and_ended() {
    alone("what_outlives_the_main_process_is_named_and_ended", || {
        lab(async |mut lab| {
            // The main process dies alone: the signal is for it, not for its group.
            let (started, pids) = tree(&mut lab, TREE).await;
            let main = &pids[0];
            main.signal(libc::SIGKILL);
            assert_eq!(lab.exited(started.run).await, Exit::Signal(libc::SIGKILL));
            let leftovers = lab.emptied(started.run).await;
            for pinned in pids.iter().filter(|p| p.pid != main.pid) {
                let found = leftovers.iter().find(|(pid, _)| *pid == pinned.pid);
                assert_eq!(found.map(|(_, name)| name.as_str()), Some("sleep"), "{leftovers:?}");
            }
            all_gone(&pids);
            lab.finish().await;
        })
    });
}

#[test]
fn leftovers_that_ignore_term_are_killed() {
    alone("leftovers_that_ignore_term_are_killed", || {
        lab(async |mut lab| {
            let deaf = "trap '' TERM; setsid sh -c 'echo $$; exec sleep 1000' & read x < gate";
            assert!(
                std::process::Command::new("mkfifo")
                    .arg(lab.dir.path().join("gate"))
                    .status()
                    .is_ok()
            );
            let started = lab.script(deaf);
            lab.spawned(started.run).await;
            let left = Pinned::new(started.heard.lines(1).await[0].parse().expect("a pid"));
            becomes_sleep(left.pid).await;
            fs::write(lab.dir.path().join("gate"), "go\n").expect("the service reads it");
            assert_eq!(lab.exited(started.run).await, Exit::Code(0));
            assert_eq!(lab.emptied(started.run).await, [(left.pid, "sleep".to_owned())]);
            all_gone(&[left]);
            lab.finish().await;
        })
    });
}

#[test]
fn a_stranger_with_the_pipe_does_not_hold_the_end() {
    alone("a_stranger_with_the_pipe_does_not_hold_the_end", || {
        lab(async |mut lab| {
            let started = lab.script("echo up; exec sleep 1000");
            let pid = lab.spawned(started.run).await;
            started.heard.lines(1).await;
            let path = format!("/proc/{pid}/fd/1");
            let mut held = fs::File::options().write(true).open(path).expect("it is our process");
            started.leash.stop(libc::SIGTERM);
            assert_eq!(lab.exited(started.run).await, Exit::Signal(libc::SIGTERM));
            lab.emptied(started.run).await;
            assert_eq!(started.heard.closed(), 1);
            assert!(held.write_all(b"x").is_err(), "our end is closed");
            lab.finish().await;
        })
    });
}

#[test]
fn a_stopped_process_can_be_stopped_for_good() {
    alone("a_stopped_process_can_be_stopped_for_good", || {
        lab(async |mut lab| {
            let started = lab.script("echo up; kill -STOP $$; exec sleep 1000");
            lab.spawned(started.run).await;
            started.heard.lines(1).await;
            started.leash.stop(libc::SIGTERM);
            assert_eq!(lab.whole_end(started.run).await, Exit::Signal(libc::SIGTERM));
            lab.finish().await;
        })
    });
}

#[test]
fn a_chain_of_forks_is_ended() {
    alone("a_chain_of_forks_is_ended", || {
        lab(async |mut lab| {
            // Each process starts its successor in a new session and exits: nobody lives for long.
            fs::write(
                lab.dir.path().join("hop"),
                "#!/bin/sh\necho $1\n[ $1 -gt 100000 ] || setsid ./hop $(($1 + 1)) &\n",
            )
            .expect("writable");
            fs::set_permissions(lab.dir.path().join("hop"), fs::Permissions::from_mode(0o755))
                .expect("ours");
            let started = lab.script("trap '' TERM; ./hop 1; exec sleep 1000");
            lab.spawned(started.run).await;
            started.heard.lines(20).await;
            started.leash.kill();
            assert_eq!(lab.whole_end(started.run).await, Exit::Signal(libc::SIGKILL));
            let at_end = started.heard.out().len();
            lab.finish().await;
            assert_eq!(started.heard.out().len(), at_end);
        })
    });
}

#[test]
fn strangers_cannot_signal_guard_or_keeper_away() {
    alone("strangers_cannot_signal_guard_or_keeper_away", || {
        lab(async |mut lab| {
            let started = lab.script("echo up; exec sleep 1000");
            let pid = lab.spawned(started.run).await;
            started.heard.lines(1).await;
            for process in [lab.guard, parent_of(pid)] {
                let pinned = Pinned::new(process);
                for signal in
                    [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGTSTP]
                {
                    pinned.signal(signal);
                }
                for signal in [libc::SIGPIPE, libc::SIGALRM, libc::SIGUSR1, libc::SIGUSR2] {
                    pinned.signal(signal);
                }
            }
            started.leash.signal(libc::SIGUSR1);
            assert_eq!(lab.whole_end(started.run).await, Exit::Signal(libc::SIGUSR1));
            lab.finish().await;
        })
    });
}

#[test]
fn the_child_gets_a_clean_start() {
    alone("the_child_gets_a_clean_start", || {
        let before = limits("self");
        // Descriptors that are not closed on exec, before and after the guard: both stay with us.
        // SAFETY: duplicates of our own stdout.
        let strays = unsafe { [libc::dup(1), libc::dup(1)] };
        // SAFETY: no handler is involved.
        unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
        let guard = Guard::start().expect("a process can be forked");
        // SAFETY: as above.
        let late = unsafe { libc::dup(1) };
        assert!(strays.iter().chain([&late]).all(|fd| *fd > 2));
        lab_with(guard, async |mut lab| {
            let started = lab.script("echo up; umask; exec sleep 1000");
            let pid = lab.spawned(started.run).await;
            let umask = started.heard.lines(2).await.remove(1);
            becomes_sleep(pid).await;
            // Its loader opens libraries for a moment.
            eventually(|| fds(pid) == ["0", "1", "2"]).await;
            let stdin = fs::read_link(format!("/proc/{pid}/fd/0")).expect("it is ours");
            assert_eq!(stdin.to_str(), Some("/dev/null"));
            let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it is ours");
            for set in ["SigBlk", "SigIgn"] {
                assert!(status.contains(&format!("{set}:\t0000000000000000")), "{status}");
            }
            assert!(status.contains(&format!("Umask:\t{umask}")), "{status}");
            assert_eq!(limits(&pid.to_string()), before);
            assert_eq!(group_of(pid), pid);
            let cwd = fs::read_link(format!("/proc/{pid}/cwd")).expect("it is ours");
            assert_eq!(cwd, lab.dir.path().canonicalize().expect("it is there"));
            // Guard and keeper hold nothing of the user's: no terminal, no folder, no file.
            for process in [lab.guard, parent_of(pid)] {
                for fd in 0..3 {
                    let link =
                        fs::read_link(format!("/proc/{process}/fd/{fd}")).expect("it is ours");
                    assert_eq!(link.to_str(), Some("/dev/null"));
                }
                let cwd = fs::read_link(format!("/proc/{process}/cwd")).expect("it is ours");
                assert_eq!(cwd.to_str(), Some("/"));
            }
            // Its line, the guard's pulse, the signals.
            assert_eq!(fds(parent_of(pid)).len(), 3 + 3);
            started.leash.kill();
            lab.whole_end(started.run).await;
            lab.finish().await;
        });
    });
}

#[test]
fn the_environment_is_complete() {
    alone("the_environment_is_complete", || {
        lab(async |mut lab| {
            let mut launch = lab.launch(Command::Exec(vec!["env".to_owned(), "-0".to_owned()]));
            // Far more than a socket takes at once.
            let big: BTreeMap<_, _> =
                (0..10).map(|i| (format!("BIG{i}"), "x".repeat(100_000))).collect();
            launch.env = big.clone();
            launch.env.insert("PORT".to_owned(), "5001".to_owned());
            let started = lab.start(&launch);
            assert_eq!(lab.whole(started.run).await, Exit::Code(0));
            let out = started.heard.out();
            let vars: BTreeMap<&str, &str> =
                out.split('\0').filter_map(|v| v.split_once('=')).collect();
            assert_eq!(vars["PORT"], "5001");
            assert_eq!(vars["PYTHONUNBUFFERED"], "1");
            assert_eq!(vars["PATH"], std::env::var("PATH").expect("it is set"));
            assert_eq!(vars["PWD"], lab.dir.path().to_str().expect("text"));
            assert!(!vars.contains_key("FORCE_COLOR"));
            assert!(big.iter().all(|(name, value)| vars[name.as_str()] == value));
            lab.finish().await;
        })
    });
}

#[test]
fn refusals_are_told_apart() {
    alone("refusals_are_told_apart", || {
        lab(async |mut lab| {
            let root = lab.dir.path().to_owned();
            let file = |name: &str, text: &str, mode: u32| {
                fs::write(root.join(name), text).expect("writable");
                fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode))
                    .expect("ours");
            };
            file("plain", "#!/bin/sh\n", 0o644);
            file("ruby", "#!/no/ruby\n", 0o755);
            file("dos", "#!/bin/sh\r\n", 0o755);
            file("text", "echo hello\n", 0o755);
            let word = |word: &str| Command::Exec(vec![word.to_owned()]);
            let table = [
                (word("no-such-program"), "no program `no-such-program` on PATH"),
                (word("./none"), "no such program: "),
                (word("./plain"), "is not executable"),
                (word("./ruby"), "wants /no/ruby, which does not exist"),
                (word("./dos"), "ends with a carriage return"),
                (word("./text"), "neither a program for this machine nor a script"),
                (word("."), "no program `.` on PATH"),
                (word("./"), "is a folder"),
                (word("a\0b"), "NUL"),
                (Command::Shell(String::new()), "the command is empty"),
                (Command::Exec(vec!["echo".to_owned(), "x".repeat(200_000)]), "too long"),
                (Command::Exec(vec!["echo".to_owned(), "x".repeat(17 << 20)]), "too long"),
            ];
            for (command, text) in table {
                let launch = lab.launch(command);
                let started = lab.start(&launch);
                let refusal = lab.refused(started.run).await;
                assert!(refusal.text.contains(text), "{refusal:?}");
                assert_eq!(started.heard.closed(), 1);
            }
            for (dir, text) in [("none", "no such folder"), ("plain", "is not a folder")] {
                for program in ["sleep", "/bin/sh"] {
                    let mut launch = lab.launch(word(program));
                    launch.dir = root.join(dir);
                    let started = lab.start(&launch);
                    let refusal = lab.refused(started.run).await;
                    assert!(refusal.text.contains(text), "{refusal:?}");
                }
            }
            lab.finish().await;
        })
    });
}

#[test]
fn a_program_that_is_being_written_is_waited_for() {
    alone("a_program_that_is_being_written_is_waited_for", || {
        lab(async |mut lab| {
            let copy = lab.dir.path().join("copy");
            fs::copy("/bin/true", &copy).expect("it is there");
            let writer = fs::File::options().append(true).open(&copy).expect("ours");
            let launch = lab.launch(Command::Exec(vec!["./copy".to_owned()]));
            // A stop ends the waiting.
            let busy = lab.start(&launch);
            busy.leash.stop(libc::SIGTERM);
            let refusal = lab.refused(busy.run).await;
            assert!(refusal.text.contains("still being written"), "{refusal:?}");
            let patient = lab.start(&launch);
            drop(writer);
            assert_eq!(lab.whole(patient.run).await, Exit::Code(0));
            lab.finish().await;
        })
    });
}

#[test]
fn no_shell_stays_where_none_is_needed() {
    alone("no_shell_stays_where_none_is_needed", || {
        lab(async |mut lab| {
            for text in ["sleep 1000", "sleep $TIME", "A=1 sleep $TIME >log 2>&1"] {
                let mut launch = lab.launch(Command::Shell(format!("{text} ")));
                launch.env.insert("TIME".to_owned(), "1000".to_owned());
                let started = lab.start(&launch);
                let pid = lab.spawned(started.run).await;
                becomes_sleep(pid).await;
                assert_eq!(started.leash.tree_pids(), [pid]);
                started.leash.stop(libc::SIGTERM);
                assert_eq!(lab.whole_end(started.run).await, Exit::Signal(libc::SIGTERM));
            }
            lab.finish().await;
        })
    });
}

#[test]
fn many_cycles_leave_no_trace() {
    alone("many_cycles_leave_no_trace", || {
        lab(async |mut lab| {
            let first = lab.script("exit 0");
            lab.whole(first.run).await;
            drop(first);
            let before = (fds(std::process::id()), fds(lab.guard));
            let mut leashes = Vec::new();
            for cycle in 0..200 {
                let started = lab.script("exit 3");
                if cycle % 2 == 0 {
                    // In the same moment as the exit, or before the start: all the same.
                    started.leash.stop(libc::SIGTERM);
                    started.leash.kill();
                }
                lab.spawned(started.run).await;
                lab.exited(started.run).await;
                lab.emptied(started.run).await;
                started.leash.kill();
                leashes.push(started.leash);
            }
            eventually(|| children(lab.guard).is_empty()).await;
            assert_eq!((fds(std::process::id()), fds(lab.guard)), before);
            lab.finish().await;
        })
    });
}

#[test]
fn a_sink_that_panics_harms_nobody() {
    struct Bad;
    impl Sink for Bad {
        fn push(&mut self, _: Stream, _: &[u8]) {
            panic!("on purpose");
        }
        fn closed(&mut self) {}
    }
    alone("a_sink_that_panics_harms_nobody", || {
        lab(async |mut lab| {
            let launch = lab.launch(Command::Shell("echo x; echo y; exit 4".to_owned()));
            let (run, _leash) = lab.start_with(&launch, Bad);
            assert_eq!(lab.whole(run).await, Exit::Code(4));
            lab.finish().await;
        })
    });
}

#[test]
fn finish_ends_what_still_runs() {
    alone("finish_ends_what_still_runs", || {
        lab(async |mut lab| {
            let (_started, pids) = tree(&mut lab, &format!("trap '' TERM; {TREE}")).await;
            lab.finish().await;
            all_gone(&pids);
        })
    });
}

/// Plays devstack in a process of its own: starts a tree, tells its pids, and what happens to it. With
/// something on stdin it ends in the regular way.
#[test]
fn supervisor() {
    if !plays("supervisor") {
        return;
    }
    lab(async |mut lab| {
        let (started, pids) = tree(&mut lab, &format!("trap '' TERM; {TREE}")).await;
        let main = pids[0].pid;
        let pids: Vec<String> = pids.iter().map(|p| p.pid.to_string()).collect();
        println!("\npids {} {} {}", lab.guard, parent_of(main), pids.join(" "));
        let exit = lab.exited(started.run).await;
        lab.emptied(started.run).await;
        println!("\nemptied {exit}");
        let guard = Pinned::try_new(lab.guard);
        let proved = lab.processes.finish().await;
        assert!(guard.is_none_or(|guard| guard.ends_within(Duration::ZERO)));
        assert!(children(std::process::id()).is_empty());
        println!("\nfinished {proved}");
    });
}

/// Starts the supervisor and its tree, kills who is named, and waits until nothing is left.
fn after_killing(victims: &[&str]) {
    let mut child = start_role("supervisor", "supervisor");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut next = |word: &str| -> String {
        let found = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with(word));
        found.unwrap_or_else(|| panic!("the supervisor said no `{word}`"))
    };
    let told = next("pids ");
    let pids: Vec<Pinned> =
        told.split(' ').skip(1).map(|word| Pinned::new(word.parse().expect("a pid"))).collect();
    let supervisor = Pinned::new(child.id());
    for victim in victims {
        match *victim {
            "supervisor" => supervisor.signal(libc::SIGKILL),
            "guard" => pids[0].signal(libc::SIGKILL),
            "keeper" => pids[1].signal(libc::SIGKILL),
            other => panic!("nobody is called {other}"),
        }
    }
    if !victims.contains(&"supervisor") {
        assert_eq!(next("emptied "), "emptied SIGKILL");
        assert_eq!(next("finished "), "finished true");
    }
    for pinned in &pids {
        assert!(pinned.ends_within(PROMPT), "process {} outlives {victims:?}", pinned.pid);
    }
    child.wait().expect("it is our child");
}

#[test]
fn nothing_outlives_a_killed_supervisor() {
    after_killing(&["supervisor"]);
}

#[test]
fn nothing_outlives_a_killed_guard() {
    after_killing(&["guard"]);
}

#[test]
fn nothing_outlives_a_killed_keeper() {
    after_killing(&["keeper"]);
}

#[test]
fn nothing_outlives_supervisor_and_guard() {
    after_killing(&["supervisor", "guard"]);
    after_killing(&["guard", "supervisor"]);
}

#[test]
fn nothing_outlives_supervisor_and_keeper() {
    after_killing(&["supervisor", "keeper"]);
    after_killing(&["keeper", "supervisor"]);
}

#[test]
fn nothing_outlives_guard_and_keeper() {
    after_killing(&["guard", "keeper"]);
    after_killing(&["keeper", "guard"]);
}

#[test]
fn a_lost_guard_is_noticed_and_nothing_more_is_started() {
    alone("a_lost_guard_is_noticed_and_nothing_more_is_started", || {
        lab(async |mut lab| {
            let lost = lab.processes.guard_lost();
            Pinned::new(lab.guard).signal(libc::SIGKILL);
            lab::soon(lost).await;
            let late = lab.script("exit 0");
            assert!(lab.refused(late.run).await.text.contains("guard"));
            assert!(lab.processes.finish().await);
        })
    });
}

impl Lab {
    async fn refused(&mut self, run: devstack::model::Run) -> Message {
        let What::NotSpawned(why) = self.fact(run).await else { panic!("it was started") };
        assert!(!why.help.is_empty(), "{why:?}");
        assert_eq!(self.emptied(run).await, []);
        why
    }

    /// The end of a run that is started already.
    async fn whole_end(&mut self, run: devstack::model::Run) -> Exit {
        let exit = self.exited(run).await;
        self.emptied(run).await;
        exit
    }
}

fn stat(pid: u32) -> Vec<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let rest = stat.rsplit_once(')').expect("a name in brackets").1;
    rest.split_whitespace().skip(1).take(2).map(|w| w.parse().expect("a number")).collect()
}

fn parent_of(pid: u32) -> u32 {
    stat(pid)[0]
}

fn group_of(pid: u32) -> u32 {
    stat(pid)[1]
}

fn fds(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("it is ours");
    let mut names: Vec<String> =
        entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn limits(pid: &str) -> String {
    let all = fs::read_to_string(format!("/proc/{pid}/limits")).expect("it is ours");
    all.lines().find(|line| line.starts_with("Max open files")).expect("it is listed").to_owned()
}
