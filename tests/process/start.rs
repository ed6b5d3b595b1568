//! How processes start and how their exits are reported.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use devstack::model::{CommandLine, ProcessExit};

use crate::alone::alone;
use crate::lab::{children, eventually, guard, lab, lab_with};
use crate::sample::{becomes_sleep, fds, group_of, limits, parent_of};

#[test]
fn codes_are_exact() {
    alone(|| {
        lab(async |mut lab| {
            let runs: Vec<_> =
                (0..=255).map(|code| (code, lab.script(&format!("exit {code}")))).collect();
            for (code, started) in runs {
                assert_eq!(lab.whole(started.run).await, ProcessExit::Code(code));
                assert_eq!(started.heard.closed(), 1);
            }
            lab.finish().await;
        })
    });
}

#[test]
fn signals_are_exact() {
    alone(|| {
        lab(async |mut lab| {
            let harmless = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
            let stopping = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
            for signal in (1..=31).filter(|s| !harmless.contains(s) && !stopping.contains(s)) {
                let started = lab.script(&format!("ulimit -c 0; kill -{signal} $$; exit 1"));
                assert_eq!(lab.whole(started.run).await, ProcessExit::Signal(signal));
            }
            lab.finish().await;
        })
    });
}

#[test]
fn the_child_gets_a_clean_start() {
    alone(|| {
        let before = limits("self");
        // Descriptors that are not closed on exec, before and after the guard: both stay with us.
        // SAFETY: duplicates of our own stdout.
        let strays = unsafe { [libc::dup(1), libc::dup(1)] };
        // SAFETY: no handler is involved.
        unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
        let guard = guard();
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
            // Guard and keeper hold nothing of the user: no terminal, no directory, no file.
            for process in [lab.guard, parent_of(pid)] {
                for fd in 0..3 {
                    let link =
                        fs::read_link(format!("/proc/{process}/fd/{fd}")).expect("it is ours");
                    assert_eq!(link.to_str(), Some("/dev/null"));
                }
                let cwd = fs::read_link(format!("/proc/{process}/cwd")).expect("it is ours");
                assert_eq!(cwd.to_str(), Some("/"));
            }
            // The connection, the signals, the list of children, and both ends of what kills its group.
            assert_eq!(fds(parent_of(pid)).len(), 3 + 5);
            started.handle.kill();
            lab.whole_end(started.run).await;
            lab.finish().await;
        });
    });
}

#[test]
fn the_environment_is_complete() {
    alone(|| {
        lab(async |mut lab| {
            let mut launch = lab.launch(CommandLine::exec(vec!["env".to_owned(), "-0".to_owned()]));
            // Far more than a socket takes at once.
            let big: BTreeMap<_, _> =
                (0..10).map(|i| (format!("BIG{i}"), "x".repeat(100_000))).collect();
            launch.env = big.iter().collect();
            launch.env.insert("PORT", "5001");
            let started = lab.start(&launch);
            assert_eq!(lab.whole(started.run).await, ProcessExit::Code(0));
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
fn failures_to_start_are_distinguished() {
    alone(|| {
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
            let word = |word: &str| CommandLine::exec(vec![word.to_owned()]);
            let table = [
                (word("no-such-program"), "program `no-such-program` not found on PATH"),
                (word("./none"), "no such program: "),
                (word("./plain"), "is not executable"),
                (word("./ruby"), "needs /no/ruby, which does not exist"),
                (word("./dos"), "ends with a carriage return"),
                (word("./text"), "neither a program for this machine nor a script"),
                (word("."), "program `.` not found on PATH"),
                (word("./"), "is a directory"),
                (word("a\0b"), "NUL"),
                (CommandLine::Shell(String::new()), "the command is empty"),
                (
                    CommandLine::exec(vec!["echo".to_owned(), "x".repeat(200_000)]),
                    "too large for this system",
                ),
                (
                    CommandLine::exec(vec!["echo".to_owned(), "x".repeat(17 << 20)]),
                    "too large for this system",
                ),
            ];
            for (command, text) in table {
                let launch = lab.launch(command);
                let started = lab.start(&launch);
                let refusal = lab.refused(started.run).await;
                assert!(refusal.text.contains(text), "{refusal:?}");
                assert_eq!(started.heard.closed(), 1);
            }
            for (dir, text) in [("none", "no such directory"), ("plain", "is not a directory")] {
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
    alone(|| {
        lab(async |mut lab| {
            let copy = lab.dir.path().join("copy");
            fs::copy("/bin/true", &copy).expect("it is there");
            let writer = fs::File::options().append(true).open(&copy).expect("ours");
            let launch = lab.launch(CommandLine::exec(vec!["./copy".to_owned()]));
            // A stop ends the waiting.
            let busy = lab.start(&launch);
            busy.handle.stop(libc::SIGTERM);
            assert_eq!(lab.whole(busy.run).await, ProcessExit::Signal(libc::SIGTERM));
            let patient = lab.start(&launch);
            drop(writer);
            assert_eq!(lab.whole(patient.run).await, ProcessExit::Code(0));
            lab.finish().await;
        })
    });
}

#[test]
fn no_shell_stays_where_none_is_needed() {
    alone(|| {
        lab(async |mut lab| {
            for text in ["sleep 1000", "sleep $TIME", "A=1 sleep $TIME >log 2>&1"] {
                let mut launch = lab.launch(CommandLine::Shell(format!("{text} ")));
                launch.env.insert("TIME", "1000");
                let started = lab.start(&launch);
                let pid = lab.spawned(started.run).await;
                becomes_sleep(pid).await;
                assert_eq!(started.handle.tree_pids(), [pid]);
                started.handle.stop(libc::SIGTERM);
                assert_eq!(lab.whole_end(started.run).await, ProcessExit::Signal(libc::SIGTERM));
            }
            lab.finish().await;
        })
    });
}

#[test]
fn many_cycles_leave_no_trace() {
    alone(|| {
        lab(async |mut lab| {
            let first = lab.script("exit 0");
            lab.whole(first.run).await;
            drop(first);
            eventually(|| children(lab.guard).is_empty()).await;
            let before = (fds(std::process::id()), fds(lab.guard));
            let mut handles = Vec::new();
            for cycle in 0..200 {
                let started = lab.script("exit 3");
                if cycle % 2 == 0 {
                    // At the same moment as the exit, or before the start: no difference.
                    started.handle.stop(libc::SIGTERM);
                    started.handle.kill();
                }
                lab.spawned(started.run).await;
                lab.exited(started.run).await;
                lab.emptied(started.run).await;
                started.handle.kill();
                handles.push(started.handle);
            }
            eventually(|| children(lab.guard).is_empty()).await;
            eventually(|| (fds(std::process::id()), fds(lab.guard)) == before).await;
            lab.finish().await;
        })
    });
}
