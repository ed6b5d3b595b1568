//! `devstack exec`: a command in the place of a service.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use crate::support::{CTRL_C, TestProject, free_port, require_program};

const STACK: &str = r#"
[services.api]
command = ["{misbehave}", "listen"]
dir = "sub"
port = PORT
env = { A = "from the file", PATH = "tools:$PATH", TERM = "dumb" }
[services.other]
command = ["{misbehave}", "run"]
autostart = false
env = { A = "other" }
"#;

fn project() -> TestProject {
    let project = TestProject::new();
    project.write("sub/tools/tool", "#!/bin/sh\necho \"$0 $# $1\"\n");
    project.write("sub/tools/plain", "");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(project.path("sub/tools/tool"), mode).expect("ours");
    project.configure(&STACK.replace("PORT", &free_port().to_string()));
    project
}

#[test]
fn a_command_runs_in_the_place_of_the_service() {
    let project = project();
    let up = project.up();
    let exec = |words: &[&str]| project.devstack(["exec", "api", "--"].iter().chain(words)).run();
    let sh = |script: &str| exec(&["sh", "-c", script]).expect_code(0).stdout;
    let dir = project.path("sub").display().to_string();
    assert_eq!(
        sh("pwd; echo $PWD; echo $A; echo $TERM"),
        format!("{dir}\n{dir}\nfrom the file\ndumb\n")
    );
    assert_eq!(
        sh("echo ${DEVSTACK_RUN-none} $DEVSTACK_SERVICE"),
        "none api\n",
        "it is no process of the stack's"
    );
    assert_eq!(exec(&["tool", "a b"]).expect_code(0).stdout, format!("{dir}/tools/tool 1 a b\n"));
    assert!(exec(&["sh", "-c", "exit 42"]).code() == 42);
    assert_eq!(exec(&["sh", "-c", "kill -TERM $$"]).code(), 143);
    let missing = exec(&["no-such-tool"]).expect_code(127);
    assert!(missing.stderr.contains("command not found: `no-such-tool`"), "{}", missing.stderr);
    let empty = exec(&[""]).expect_code(127);
    assert!(empty.stderr.contains("give a command after `--`"), "{}", empty.stderr);
    exec(&["plain"]).expect_code(126);
    // A service that does not run has a place as well.
    let other =
        project.devstack(["exec", "other", "--", "sh", "-c", "echo $A"]).run().expect_code(0);
    assert_eq!((&*other.stdout, &*other.stderr), ("other\n", ""));
    let wrong = project.devstack(["exec", "apy", "--", "true"]).run().expect_code(3);
    assert!(wrong.stderr.contains("did you mean `api`?"), "{}", wrong.stderr);
    up.end();

    let alone = exec(&["sh", "-c", "echo $A"]).expect_code(0);
    assert_eq!(alone.stdout, "from the file\n");
    assert!(alone.stderr.contains("no stack is running in this directory"), "{}", alone.stderr);
    std::fs::rename(project.path("sub"), project.path("gone")).expect("ours");
    project.finish();
}

#[test]
fn the_command_has_the_callers_input_and_terminal() {
    let project = project();
    let up = project.up();
    let cat = project.devstack(["exec", "other", "--", "cat"]).stdin().start();
    cat.write(b"through\n");
    cat.wait_for("through");
    cat.close_stdin();
    assert_eq!(cat.wait_code(), 0);

    let script = "trap 'echo caught; exit 7' INT; test -t 0 && test -t 1 && stty size && echo $TERM; read line";
    let launch = project.devstack(["exec", "other", "--", "sh", "-c", script]);
    let shell = launch.env("TERM", "of-the-caller").terminal(33, 77).start();
    shell.wait_for("33 77");
    shell.wait_for("of-the-caller");
    shell.write(CTRL_C);
    shell.wait_for("caught");
    assert_eq!(shell.wait_code(), 7);
    project.end(&up);
}

#[test]
fn a_directory_that_cannot_be_listed_can_still_be_entered() {
    // Root may list everything, unless it gives that up.
    let root = rustix::process::geteuid().is_root();
    let setpriv = if root { require_program("setpriv") } else { None };
    if root && setpriv.is_none() {
        return;
    }
    let project = project();
    let words = ["exec", "api", "--", "pwd"];
    let exec = || match &setpriv {
        None => project.devstack(words),
        Some(setpriv) => {
            let caps = "--bounding-set=-dac_override,-dac_read_search";
            let devstack = [caps, env!("CARGO_BIN_EXE_devstack")];
            project.program(setpriv).args(devstack.into_iter().chain(words))
        }
    };
    let dir = project.path("sub");
    set_permissions(&dir, Permissions::from_mode(0o311)).expect("ours");
    let listed = exec().run().expect_code(0);
    assert_eq!(listed.stdout, format!("{}\n", dir.display()));
    set_permissions(&dir, Permissions::from_mode(0o600)).expect("ours");
    let refused = exec().run().expect_code(126);
    assert!(refused.stderr.contains("cannot enter "), "{}", refused.stderr);
    set_permissions(&dir, Permissions::from_mode(0o755)).expect("ours");
    project.finish();
}
