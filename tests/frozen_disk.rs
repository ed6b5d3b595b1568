//! A disk that does not respond: the stack goes on, and only its log waits.

#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{RunningProgram, TestProject, eventually, require, require_program, service};

/// Prints numbered lines, faster than a disk that does not respond takes them.
const CONFIG: &str = r#"
    [services.api]
    command = 'i=0; while :; do i=$((i + 1)); echo "line $i of $$"; sleep 0.01; done'
    [services.web]
    command = 'i=0; while :; do i=$((i + 1)); echo "line $i of $$"; sleep 0.01; done'
"#;

/// A frozen file system. Thaws when dropped, and when the test is killed.
struct FrozenDisk(Child);

impl FrozenDisk {
    fn freeze(mount: &Path) -> FrozenDisk {
        let script = r#"exec 3<"$0"; fsfreeze -f /proc/self/fd/3 || exit 1; echo; read _
            fsfreeze -u /proc/self/fd/3"#;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]).arg(mount).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut frozen = FrozenDisk(shell.spawn().expect("a shell"));
        let output = frozen.0.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("a readable pipe");
        assert_eq!(line, "\n", "cannot freeze {}", mount.display());
        frozen
    }
}

impl Drop for FrozenDisk {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let thawed = self.0.wait();
        assert!(thawed.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// Starts a stack whose log files are on a file system of their own, in a mount namespace.
fn start(project: &TestProject) -> Option<RunningProgram> {
    for program in ["unshare", "mkfs.ext4", "fsfreeze", "mount"] {
        require_program(program)?;
    }
    let image = project.outside("disk");
    let make = "truncate -s 64M \"$0\" && mkfs.ext4 -q \"$0\"";
    let made = Command::new("/bin/sh").args(["-c", make]).arg(&image).status();
    assert!(made.expect("a shell").success());
    let mount = "mkdir -m 700 -p .devstack && mkdir -p .devstack/logs && \
                 mount -o loop \"$1\" .devstack/logs";
    let enter = |script: &str| {
        let words = ["-m", "/bin/sh", "-c", script, env!("CARGO_BIN_EXE_devstack")];
        project.program("unshare").args(words).args([&image])
    };
    let mounts = enter(mount).run().code() == 0;
    if !require("root and loop devices", mounts) {
        return None;
    }
    Some(enter(&format!("{mount} && exec \"$0\" up")).start())
}

/// The lines of a service, without its name.
fn lines_of(text: &str, name: &str) -> Vec<String> {
    let prefix = format!("{name} | ");
    text.lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect()
}

#[test]
fn while_the_disk_does_not_respond_the_stack_is_shown_changed_and_stopped() {
    let project = TestProject::with_config(CONFIG);
    let Some(up) = start(&project) else { return project.finish() };
    up.wait_for("web | line 5 ");
    up.wait_for("api | line 5 ");
    let mount = format!("/proc/{}/root{}", up.pid(), project.path(".devstack/logs").display());

    let frozen = FrozenDisk::freeze(mount.as_ref());
    let here = up.here();
    up.wait_since(here, "web | line ");
    project.devstack(["restart", "api"]).run().expect_code(0);
    up.wait_since(here, "api | line 5 ");
    let ps = project.ps();
    assert_eq!(service(&ps, "api")["phase"], "ready", "{ps}");
    assert_eq!(service(&ps, "web")["restarts"], 0, "{ps}");
    let last = project.devstack(["logs", "-n", "1", "web"]).run().expect_code(0);
    assert_eq!(lines_of(&last.stdout, "web").len(), 1, "{last:?}");
    drop(frozen);

    project.devstack(["stop", "api", "web"]).run().expect_code(0);
    for name in ["api", "web"] {
        let stored = project.devstack(["logs", "-n", "all", name]).run().expect_code(0);
        let stored = lines_of(&stored.stdout, name);
        assert!(stored.len() > 5);
        up.wait_for(&format!("{name} | {}", stored[stored.len() - 1]));
        assert_eq!(stored, lines_of(&up.stdout(), name));
    }

    project.devstack(["start", "api"]).run().expect_code(0);
    let frozen = FrozenDisk::freeze(mount.as_ref());
    let here = up.here();
    let line = up.wait_since(here, "api | line ");
    let pid = line.rsplit(' ').next().expect("the pid of the service");
    let down = project.devstack(["down"]).start();
    eventually("the end of api", || (!Path::new("/proc").join(pid).exists()).then_some(()));
    drop(frozen);
    assert_eq!(down.wait_code(), 0);
    assert_eq!(up.wait_code(), 0);
    project.finish();
}
