//! Programs that are handed sockets.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use devstack::model::{CommandLine, ProcessExit, RunId, TtyMode};
use devstack::process::{ListenFd, RunHandle};

use crate::alone::alone;
use crate::lab::{Heard, Lab, eventually, lab};
use crate::sample::{becomes_sleep, fds, group_of, parent_of};

/// So many sockets that listen, by their names.
fn sockets(count: usize) -> (Vec<ListenFd>, Vec<u16>) {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let ports = listeners.iter().map(|one| one.local_addr().expect("it listens").port()).collect();
    let hand =
        |(at, one): (usize, TcpListener)| ListenFd { name: format!("n{at}"), socket: one.into() };
    (listeners.into_iter().enumerate().map(hand).collect(), ports)
}

fn start(
    lab: &Lab,
    run: u64,
    command: CommandLine,
    handed: Vec<ListenFd>,
) -> (RunId, RunHandle, Heard) {
    let heard = Heard::default();
    let (run, launch) = (RunId(run), lab.launch(command));
    let handle = lab.spawn(run, &launch, TtyMode::No, handed, heard.clone());
    (run, handle, heard)
}

fn words(words: &[&str]) -> CommandLine {
    CommandLine::exec(words.iter().copied())
}

/// The ports that these descriptors of a process listen on.
fn ports_of(pid: u32, descriptors: impl Iterator<Item = usize>) -> Vec<u16> {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let port = |fd: usize| {
        let link = fs::read_link(format!("/proc/{pid}/fd/{fd}")).expect("it is open");
        let text = link.to_string_lossy().into_owned();
        let socket = text.trim_start_matches("socket:[").trim_end_matches(']').to_owned();
        let line = table.lines().find(|line| line.split_whitespace().nth(9) == Some(&*socket));
        let (_, port) = line?.split_whitespace().nth(1)?.split_once(':')?;
        u16::from_str_radix(port, 16).ok()
    };
    descriptors.map(|fd| port(fd).unwrap_or_else(|| panic!("{fd} does not listen"))).collect()
}

#[test]
fn as_many_as_a_service_may_have_arrive_in_order() {
    alone(|| {
        // SAFETY: no handler is involved.
        unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
        lab(async |mut lab| {
            for (run, count) in [(1, 1), (2, 64)] {
                let (handed, ports) = sockets(count);
                let script = "echo $$ $LISTEN_PID $LISTEN_FDS $LISTEN_FDNAMES; exec sleep 1000";
                let command = words(&["/bin/sh", "-c", script]);
                let (run, handle, heard) = start(&lab, run, command, handed);
                let pid = lab.spawned(run).await;
                let names: Vec<String> = (0..count).map(|at| format!("n{at}")).collect();
                let said = heard.lines(1).await.remove(0);
                assert_eq!(said, format!("{pid} {pid} {count} {}", names.join(":")));
                becomes_sleep(pid).await;
                eventually(|| fds(pid).len() == 3 + count).await;
                assert_eq!(ports_of(pid, 3..3 + count), ports);
                let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it is ours");
                for set in ["SigBlk", "SigIgn"] {
                    assert!(status.contains(&format!("{set}:\t0000000000000000")), "{status}");
                }
                assert_eq!(group_of(pid), pid);
                // Neither the keeper nor the guard keeps any.
                assert_eq!(fds(parent_of(pid)).len(), 3 + 5);
                handle.kill();
                lab.whole_end(run).await;
                eventually(|| fds(lab.guard).len() == 3 + 3).await;
            }
            lab.finish().await;
        });
    });
}

#[test]
fn a_program_that_cannot_be_executed_is_reported_as_usual() {
    alone(|| {
        lab(async |mut lab| {
            let file = |name: &str, text: &str| {
                let path = lab.dir.path().join(name);
                fs::write(&path, text).expect("writable");
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
            };
            file("ruby", "#!/no/ruby\n");
            file("text", "echo hello\n");
            let table =
                [("./ruby", "needs /no/ruby"), ("./text", "neither a program for this machine")];
            for (run, (program, text)) in (1..).zip(table) {
                let (run, _, heard) = start(&lab, run, words(&[program]), sockets(3).0);
                let refusal = lab.refused(run).await;
                assert!(refusal.text.contains(text), "{refusal:?}");
                assert_eq!(heard.closed(), 1);
            }
            lab.finish().await;
        });
    });
}

#[test]
fn ends_are_exact_and_others_get_nothing() {
    alone(|| {
        lab(async |mut lab| {
            for (run, script, exit) in [
                (100, "exit 7", ProcessExit::Code(7)),
                (101, "ulimit -c 0; kill -SEGV $$", ProcessExit::Signal(libc::SIGSEGV)),
            ] {
                let (run, ..) = start(&lab, run, words(&["/bin/sh", "-c", script]), sockets(2).0);
                assert_eq!(lab.whole(run).await, exit);
                let other = lab.script("ls /proc/self/fd; env");
                assert_eq!(lab.whole(other.run).await, ProcessExit::Code(0));
                let said = other.heard.out();
                // The last one is that of `ls` itself.
                assert!(said.starts_with("0\n1\n2\n3\n") && !said.contains("LISTEN_"), "{said}");
                assert!(!said.contains("\n4\n"), "{said}");
            }
            lab.finish().await;
        });
    });
}
