//! `devstack run -- CMD`: start, wait, run, stop, the right code, and nothing is left.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{
    CTRL_C, CommandOutput, Signal, TestCommand, TestProject, eventually, free_port, free_ports,
    occupy, require_program,
};

/// A stack with one web service on a free port.
fn web() -> TestProject {
    let port = free_port();
    TestProject::with_config(&format!(
        "[services.web]\ncommand = [\"{{misbehave}}\", \"listen\"]\nport = {port}\n"
    ))
}

/// A stack of one service without a port.
fn plain(command: &str, more: &str) -> TestProject {
    TestProject::with_config(&format!("[services.app]\ncommand = '''{command}'''\n{more}\n"))
}

/// `devstack run -- CMD`.
fn run<const N: usize>(project: &TestProject, command: [&str; N]) -> TestCommand {
    project.devstack(["run", "--"]).args(command)
}

fn shell(project: &TestProject, script: &str) -> TestCommand {
    run(project, ["sh", "-c", script])
}

#[track_caller]
fn says(ended: &CommandOutput, text: &str) {
    assert!(ended.stderr.contains(text), "{text:?} is not in\n{}", ended.stderr);
}

#[test]
fn the_code_of_the_command_is_the_code() {
    let project = plain("{misbehave} run", "");
    for code in
        [0, 1, 2, 3, 4, 42, 77, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 130, 200, 255]
    {
        shell(&project, &format!("exit {code}")).run().expect_code(code);
    }
    project.finish();
}

#[test]
fn a_command_that_dies_by_a_signal_is_128_and_its_number() {
    let project = plain("{misbehave} run", "");
    for (name, number) in [("HUP", 1), ("INT", 2), ("KILL", 9), ("SEGV", 11), ("TERM", 15)] {
        shell(&project, &format!("kill -{name} $$")).run().expect_code(128 + number);
    }
    project.finish();
}

#[test]
fn the_command_knows_where_the_services_are_and_reaches_them() {
    let project = web();
    let misbehave = crate::support::misbehave().display().to_string();
    let names = ["DEVSTACK_STACK", "DEVSTACK_WEB_HOST", "DEVSTACK_WEB_PORT", "DEVSTACK_WEB_URL"];
    let env = run(&project, [&misbehave, "print-env"]).args(names).run().expect_code(0);
    let port = env.stdout.lines().find_map(|line| line.strip_prefix("DEVSTACK_WEB_PORT=")).unwrap();
    let expected = format!(
        "DEVSTACK_STACK=app\nDEVSTACK_WEB_HOST=127.0.0.1\nDEVSTACK_WEB_PORT={port}\nDEVSTACK_WEB_URL=http://127.0.0.1:{port}\n"
    );
    assert_eq!(env.stdout, expected);
    if require_program("bash").is_some() {
        // misbehave answers a connection with its pid.
        let script = "exec 3<>/dev/tcp/$DEVSTACK_WEB_HOST/$DEVSTACK_WEB_PORT; read -r line <&3; echo \"$line\"";
        let answer = run(&project, ["bash", "-c", script]).run().expect_code(0);
        assert!(answer.stdout.starts_with("pid "), "{answer:?}");
    }
    project.finish();
}

#[test]
fn stdout_is_the_commands_alone_and_stdin_reaches_it() {
    let project =
        plain("{misbehave} --stay say 'from the service'", "ready = { log = \"from the\" }");
    let running = run(&project, ["sh", "-c", "cat; echo on stderr >&2"]).stdin().start();
    running.write(b"one\ntwo\n");
    running.close_stdin();
    assert_eq!(running.wait_code(), 0);
    running.wait_closed();
    assert_eq!(running.stdout(), "one\ntwo\n");
    let stderr = running.stderr();
    assert!(stderr.contains("from the service") && stderr.contains("on stderr"), "{stderr}");
    assert!(!stderr.contains('\x1b'), "{stderr:?}");
    drop(running);
    project.finish();
}

#[test]
fn a_service_that_fails_before_it_is_ready_is_120_and_the_command_is_never_started() {
    let project = plain("echo the reason; exit 3", "ready = { log = \"never\" }");
    let ended = shell(&project, "touch started").run().expect_code(120);
    assert!(!project.path("started").exists());
    says(&ended, "app failed before becoming ready: exited with code 3");
    says(&ended, "app | the reason");
    assert_eq!(ended.stdout, "");

    // No retries: it fails at its first end.
    assert_eq!(
        ended.stderr.matches("the reason").count(),
        2,
        "its line, and again as one of the last"
    );
    project.finish();
}

#[test]
fn the_whole_last_output_of_a_failed_service_is_on_stderr() {
    let project =
        plain("for i in $(seq 1 50); do echo line $i; done; exit 1", "ready = { log = \"never\" }");
    let ended = shell(&project, "true").run().expect_code(120);
    for line in 1..=50 {
        says(&ended, &format!("line {line}\n"));
    }
    project.finish();
}

#[test]
fn a_failure_ends_the_run_at_once_while_others_still_start() {
    let project = TestProject::new();
    // Without the early end this would wait for a minute.
    project.configure(
        "[services.slow]\ncommand = ['{misbehave}', 'run']\nready = { log = 'never' }\n\
         [services.bad]\ncommand = ['{misbehave}', 'exit', '7']\nready = { log = 'never' }\n\
         [services.behind]\ncommand = ['{misbehave}', 'run']\ndepends_on = ['slow', 'bad']\n",
    );
    let ended = shell(&project, "touch started").run().expect_code(120);
    says(&ended, "bad failed before becoming ready: exited with code 7");
    assert!(!project.path("started").exists());
    project.finish();
}

#[test]
fn a_program_that_cannot_be_started_is_120_with_the_remedy() {
    let project = TestProject::with_config("[services.app]\ncommand = ['no-such-program-here']\n");
    let ended = shell(&project, "touch started").run().expect_code(120);
    says(&ended, "program `no-such-program-here` not found on PATH");
    says(&ended, "help: ");
    assert!(!project.path("started").exists());
    project.finish();
}

#[test]
fn a_service_that_ends_well_but_was_never_ready_is_120() {
    let project = plain("exit 0", "ready = { log = \"never\" }");
    let ended = shell(&project, "touch started").run().expect_code(120);
    says(&ended, "app failed before becoming ready: exit 0");
    assert!(!project.path("started").exists());
    project.finish();
}

#[test]
fn a_failed_task_is_120() {
    let project = TestProject::with_config(
        "[services.migrate]\nkind = 'task'\ncommand = 'echo no database; exit 5'\n\
         [services.app]\ncommand = ['{misbehave}', 'run']\ndepends_on = ['migrate']\n",
    );
    let ended = shell(&project, "touch started").run().expect_code(120);
    says(&ended, "migrate failed before becoming ready: exited with code 5");
    says(&ended, "no database");
    project.finish();
}

#[test]
fn a_stack_of_tasks_stays_for_the_command() {
    let project =
        TestProject::with_config("[services.seed]\nkind = 'task'\ncommand = 'echo x > seeded'\n");
    shell(&project, "cat seeded; exit 9").run().expect_code(9);
    project.finish();
}

#[test]
fn not_ready_in_time_is_121_with_service_and_reason() {
    let project = TestProject::new();
    let port = free_port();
    let file = |timeout: &str| {
        format!(
            "[services.api]\ncommand = ['{{misbehave}}', 'run']\nport = {port}\nready = {{ http = '/health', timeout = '{timeout}', interval = '20ms' }}\n\
             [services.ok]\ncommand = ['{{misbehave}}', 'run']\n\
             [services.web]\ncommand = ['{{misbehave}}', 'run']\ndepends_on = ['api']\n"
        )
    };
    project.configure(&file("300ms"));
    let ended = shell(&project, "touch started").run().expect_code(121);
    says(&ended, "api: not ready yet after 300ms: ");
    says(&ended, "nothing is listening on port");

    project.configure(&file("1m"));
    for (limit, code) in [("--ready-timeout", 121), ("--timeout", 124)] {
        let ended = project.devstack(["run", limit, "1s", "--", "touch", "started"]).run();
        let ended = ended.expect_code(code);
        says(&ended, "not ready within 1s: api is starting (not ready yet: ");
        says(&ended, "nothing is listening on port");
        says(&ended, "; web is waiting (waiting for api (ready))");
        assert!(!ended.stderr.contains("ok is "), "{}", ended.stderr);
        assert!(!project.path("started").exists());
    }
    project.finish();
}

#[test]
fn a_service_that_dies_meanwhile_turns_0_into_122_and_nothing_else() {
    for (code, expected) in [(0, 122), (5, 5)] {
        let project = TestProject::with_config(
            "[services.frail]\ncommand = ': < die; echo dying; exit 4'\n[services.solid]\ncommand = ['{misbehave}', 'run']\n",
        );
        let mut die = project.gate("die");
        let mut go_on = project.gate("go");
        let running = shell(&project, &format!("echo begun; : < go; exit {code}")).start();
        running.wait_for("begun");
        die.open();
        project.wait_ps(|ps| ps["state"] == "degraded");
        go_on.open();
        assert_eq!(running.wait_code(), expected, "{}", running.stderr());
        running.wait_closed();
        assert!(running.stderr().contains("dying"));
        if code == 0 {
            running.wait_for("the command exited with code 0, but frail failed");
        }
        drop(running);
        project.finish();
    }
}

#[test]
fn a_command_that_takes_too_long_is_124_and_ended() {
    let project = plain("{misbehave} run", "");
    let script = "trap 'echo told; exit 0' TERM; touch begun; while :; do sleep 0.05; done";
    let ended = project.devstack(["run", "--timeout", "2s", "--", "sh", "-c", script]).run();
    let ended = ended.expect_code(124);
    assert!(project.path("begun").exists(), "the stack took 2 s to start: {}", ended.stderr);
    assert_eq!(ended.stdout, "told\n");
    says(&ended, "the command did not finish within 2s");
    project.finish();
}

#[test]
fn no_such_command_is_127_and_one_that_cannot_run_126() {
    let project = plain("{misbehave} run", "");
    let script = |name: &str, text: &str, mode: u32| {
        let path = project.write(name, text);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    script("plain.sh", "#!/bin/sh\n", 0o644);
    script("here", "#!/bin/sh\n", 0o755);
    script("odd", "#!/no/such/interpreter\n", 0o755);
    script("none", "just text\n", 0o755);
    for (command, code, text, help) in [
        ("no-such-command", 127, "command not found: `no-such-command`", "install it"),
        ("./nowhere/x", 127, "command not found: `./nowhere/x`", "the path is relative to /"),
        ("here", 127, "command not found: `here`", "use ./here"),
        ("echo one two", 127, "command not found: `echo one two`", "use -- echo one two"),
        ("./plain.sh", 126, "plain.sh is not executable", "chmod +x "),
        ("./odd", 126, "needs /no/such/interpreter, which does not exist", "fix the first line"),
        ("./none", 126, "neither a program for this machine nor a script", "#!/bin/sh"),
        ("/", 126, "is a directory", "name a program"),
    ] {
        let ended = run(&project, [command]).run().expect_code(code);
        says(&ended, text);
        says(&ended, help);
        assert_eq!(ended.stdout, "");
    }
    run(&project, ["./here"]).run().expect_code(0);
    project.finish();
}

#[test]
fn signals_end_the_command_too() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let project = plain("{misbehave} run", "");
        let script = "trap 'echo told; exit 0' TERM; echo begun; while :; do sleep 0.05; done";
        let running = shell(&project, script).start();
        running.wait_for("begun");
        running.signal(signal);
        assert_eq!(running.wait_code(), code);
        running.wait_for("told");
        drop(running);
        project.finish();
    }
}

#[test]
fn a_signal_before_the_command_runs_means_it_never_does() {
    let project = plain("echo up; exec {misbehave} run", "ready = { log = \"never\" }");
    let running = shell(&project, "touch started").start();
    running.wait_for("app | up");
    running.end();
    assert!(!project.path("started").exists());
    drop(running);
    project.finish();
}

#[test]
fn a_second_signal_kills_a_command_that_will_not_end() {
    let project = plain("{misbehave} run", "");
    let misbehave = crate::support::misbehave().display().to_string();
    let running = run(&project, [&misbehave, "--ignore", "TERM,INT", "run"]).start();
    running.wait_for("ready ");
    running.interrupt();
    running.wait_for("stopping: Ctrl-C");
    running.end();
    drop(running);
    project.finish();
}

#[test]
fn at_a_terminal_the_command_is_in_the_foreground_and_ctrl_c_leaves_it_its_own_way() {
    let project = plain("{misbehave} run", "");
    let script = "trap 'echo own way; exit 0' INT; trap 'echo pushed' TERM; echo begun; while :; do sleep 0.05; done";
    let running = shell(&project, script).terminal(24, 80).start();
    running.wait_for("begun");
    // The command is in the group of devstack, which leads the session.
    assert_eq!(running.foreground(), running.pid());
    let settings = running.settings();
    running.write(CTRL_C);
    assert_eq!(running.wait_code(), 130);
    running.wait_for("own way");
    assert!(!running.stdout().contains("pushed"), "{}", running.stdout());
    assert_eq!(running.settings(), settings);
    drop(running);
    project.finish();
}

#[test]
fn what_the_command_leaves_is_ended_and_nothing_hangs() {
    let project = plain("{misbehave} run", "");
    let misbehave = crate::support::misbehave().display().to_string();
    for script in [
        // Holds the output open, in the same group.
        "sleep 1000 & exit 3",
        // In other sessions, without an environment, deaf to TERM.
        "\"$0\" orphan plain setsid double; exit 3",
        "\"$0\" hold-pipe; exit 3",
        // The terminated process has a child that gets no signal.
        "sh -c 'trap \"\" TERM; sleep 1000; sleep 1000' & exit 3",
        // A group of its own, as shells with job control make it.
        "set -m; sh -c 'sleep 1000; sleep 1000' & exit 3",
    ] {
        let ended = run(&project, ["sh", "-c", script, &misbehave]).run().expect_code(3);
        says(&ended, "the command left ");
        project.assert_nothing_alive();
    }
    project.finish();
}

#[test]
fn orphans_of_a_terminated_command_are_terminated() {
    let project = plain("{misbehave} run", "");
    let running = shell(&project, "echo begun; sleep 1000; true").start();
    running.wait_for("begun");
    running.signal(Signal::TERM);
    assert_eq!(running.wait_code(), 143);
    running.wait_closed();
    drop(running);
    project.finish();
}

#[test]
fn orphans_that_end_while_the_command_runs_are_reaped() {
    let project = plain("{misbehave} run", "");
    let mut gate = project.gate("gate");
    let script = "for i in 1 2 3 4 5; do (true &); done; echo begun; : < gate";
    let running = shell(&project, script).start();
    running.wait_for("begun");
    eventually("the orphans to end", || {
        let mine = |command: &str| command.starts_with("sh -c") || command.starts_with("true");
        (project.alive().iter().filter(|one| mine(&one.command)).count() == 1).then_some(())
    });
    project.assert_no_zombie();
    gate.open();
    assert_eq!(running.wait_code(), 0);
    assert!(!running.stderr().contains("left"), "{}", running.stderr());
    drop(running);
    project.finish();
}

#[test]
fn earlier_jobs_of_the_shell_are_left_alone() {
    let project = plain("{misbehave} run", "");
    let misbehave = crate::support::misbehave().display().to_string();
    let mut gate = project.gate("gate");
    let script = "\"$2\" gate gate & exec \"$0\" run -- sh -c \"$1\"";
    let program = env!("CARGO_BIN_EXE_devstack");
    let running =
        project.program("/bin/sh").args(["-c", script, program, "exit 4", &misbehave]).start();
    assert_eq!(running.wait_code(), 4);
    assert_eq!(project.alive().len(), 1, "the shell's own job goes on: {:?}", project.alive());
    gate.open();
    running.wait_for("passed");
    running.wait_closed();
    drop(running);
    project.finish();
}

#[cfg(target_os = "linux")]
#[test]
fn a_guard_that_is_stopped_changes_nothing() {
    let project = plain("{misbehave} run", "");
    let script = "for p in /proc/[0-9]*; do read -r name < $p/comm && [ \"$name\" = ds-guard ] || continue; \
         while read -r key value; do [ $key = PPid: ] && [ $value = $PPID ] && kill -STOP ${p#/proc/} && echo stopped; done < $p/status; done 2>/dev/null; exit 6";
    let ended = shell(&project, script).run();
    assert_eq!(ended.stdout, "stopped\n");
    ended.expect_code(6);
    project.finish();
}

/// A traced process is not gone before its tracer has waited for it.
#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_proved_is_123() {
    use crate::support::require;

    let project = plain("{misbehave} run", "");
    let misbehave = crate::support::misbehave().display().to_string();
    let mut gate = project.gate("gate");
    let script = "\"$0\" orphan setsid; : < gate";
    let running = run(&project, ["sh", "-c", script, &misbehave]).start();
    let orphan = running.wait_pid("child setsid").cast_signed();
    // SAFETY: numbers only.
    let traced = unsafe { libc::ptrace(libc::PTRACE_SEIZE, orphan, 0, 0) } == 0;
    if require("the right to trace", traced) {
        gate.open();
        assert_eq!(running.wait_code(), 123, "{}", running.stderr());
        running.wait_for(&format!(
            "cannot kill processes left by the command, even with SIGKILL: pid {orphan}"
        ));
        let mut status = 0;
        // SAFETY: a number and a place for the answer.
        assert_eq!(unsafe { libc::waitpid(orphan, &mut status, libc::__WALL) }, orphan);
    } else {
        gate.open();
        assert_eq!(running.wait_code(), 0);
    }
    drop(running);
    project.finish();
}

#[test]
fn ports_are_strict_unless_asked_otherwise() {
    let project = TestProject::new();
    let stranger = occupy(free_port());
    let port = stranger.port();
    project.configure(&format!(
        "[services.web]\ncommand = 'touch ran; exec {{misbehave}} listen'\nport = {port}\n"
    ));
    let ended = shell(&project, "touch started").run().expect_code(120);
    says(&ended, &format!("port {port} is in use by"));
    says(&ended, "--no-strict-ports");
    assert!(!project.path("ran").exists() && !project.path("started").exists());

    let args = ["run", "--no-strict-ports", "--", "sh", "-c", "echo $DEVSTACK_WEB_PORT"];
    let ended = project.devstack(args).run().expect_code(0);
    let other: u16 = ended.stdout.trim().parse().expect("a port");
    assert_ne!(other, port);
    says(&ended, &format!("port {port} is in use by"));
    project.finish();
}

#[test]
fn runs_in_different_directories_are_independent() {
    let projects: Vec<TestProject> = (0..6).map(|_| TestProject::new()).collect();
    let port = free_ports(projects.len() as u16);
    let running: Vec<_> = projects
        .iter()
        .map(|project| {
            project.configure(&format!(
                "[services.web]\ncommand = ['{{misbehave}}', 'listen']\nport = {port}\n"
            ));
            // One user, whose stacks share the leases.
            let launch = project.devstack(["run", "--no-strict-ports", "--", "sh", "-c"]);
            let shared = projects[0].outside("run");
            let launch = launch.env("XDG_RUNTIME_DIR", shared);
            launch.args(["echo $DEVSTACK_WEB_PORT; read -r go"]).stdin().start()
        })
        .collect();
    let mut ports: Vec<String> =
        running.iter().map(|one| one.wait_line(|line| line.parse::<u16>().is_ok())).collect();
    running.iter().for_each(|one| one.write(b"go\n"));
    for one in &running {
        assert_eq!(one.wait_code(), 0, "{}", one.stderr());
    }
    ports.sort();
    ports.dedup();
    assert_eq!(ports.len(), projects.len(), "{ports:?}");
    drop(running);
    projects.into_iter().for_each(TestProject::finish);
}

#[test]
fn a_second_run_in_the_same_directory_is_refused() {
    let project = plain("{misbehave} run", "");
    let mut gate = project.gate("gate");
    let first = shell(&project, "echo begun; : < gate").start();
    first.wait_for("begun");
    let second = shell(&project, "touch second").run().expect_code(4);
    says(&second, &first.pid().to_string());
    assert!(!project.path("second").exists());
    gate.open();
    assert_eq!(first.wait_code(), 0);
    drop(first);
    project.finish();
}

#[test]
fn the_command_may_use_the_stack_it_runs_in() {
    let project = web();
    let program = env!("CARGO_BIN_EXE_devstack");
    let script = "\"$0\" restart web && \"$0\" ps --json && \"$0\" stop web";
    let ended = run(&project, ["sh", "-c", script, program]).run().expect_code(0);
    assert!(
        ended.stdout.contains("\"phase\":\"ready\"")
            || ended.stdout.contains("\"phase\": \"ready\""),
        "{ended:?}"
    );
    project.finish();
}

#[test]
fn a_stack_that_is_stopped_from_elsewhere_ends_the_command() {
    let project = plain("{misbehave} run", "");
    let running = shell(&project, "echo begun; exec sleep 1000").start();
    running.wait_for("begun");
    project.devstack(["down"]).run().expect_code(0);
    assert_eq!(running.wait_code(), 1, "the command did not come to its end");
    drop(running);
    project.finish();
}

#[test]
fn nothing_to_run_is_a_usage_error() {
    let project = plain("touch ran", "");
    for args in [&["run"][..], &["run", "--"], &["run", "true"]] {
        let ended = project.devstack(args).run().expect_code(2);
        says(&ended, "devstack run");
        assert!(!project.path("ran").exists());
    }
    project.finish();
}

#[test]
fn only_what_is_asked_for_is_started() {
    let project = TestProject::with_config(
        "[services.db]\ncommand = 'touch db-ran; exec {misbehave} run'\nready = { log = 'ready' }\n\
         [services.api]\ncommand = 'touch api-ran; exec {misbehave} run'\nready = { log = 'ready' }\ndepends_on = ['db']\n\
         [services.web]\ncommand = 'touch web-ran; exec {misbehave} run'\n",
    );
    project.devstack(["run", "--service", "api", "--", "true"]).run().expect_code(0);
    assert!(project.path("db-ran").exists() && project.path("api-ran").exists());
    assert!(!project.path("web-ran").exists());
    let ended = project.devstack(["run", "--service", "apy", "--", "true"]).run();
    says(&ended.expect_code(3), "did you mean `api`?");
    project.finish();
}
