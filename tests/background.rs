//! In the background: `up -d`, what it leaves open, what ends it, and a second `up` where one runs.

use rustix::process::Pid;
use serde_json::Value;

use crate::support::{
    CTRL_C, MarkerLog, RunningProgram, Signal, TestProject, eventually, free_port, occupy, service,
};

/// Two services that stay; one is ready when a gate is open.
const GATED: &str = r#"
    [stack]
    name = "shop"
    [services.api]
    command = ["{misbehave}", "--stay", "say", "one", "--after-gate", "gate", "two"]
    ready = { log = "two" }
    stop = { grace = "30s" }
    [services.worker]
    command = ["{misbehave}", "marker", "marks", "--trap"]
    "#;

/// A stack that runs in the background.
fn up(config: &str) -> TestProject {
    let project = TestProject::with_config(config);
    project.devstack(["up", "-d"]).run().expect_code(0);
    project
}

/// One that is started and waits for its gate, which stays shut.
fn starting(
    project: &TestProject,
    run: impl FnOnce(crate::support::TestCommand) -> RunningProgram,
) -> RunningProgram {
    project.configure(GATED);
    let up = run(project.devstack(["up", "-d"]));
    up.wait_for("worker * starting");
    MarkerLog::wait_starts(&project.path("marks"), "worker", 1);
    up
}

fn down(project: &TestProject) {
    project.devstack(["down"]).run().expect_code(0);
    project.assert_nothing_alive();
}

fn supervisor(project: &TestProject) -> u32 {
    u32::try_from(project.ps()["supervisor_pid"].as_u64().expect("a pid")).expect("a pid")
}

fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, signal).expect("it runs");
}

#[test]
fn it_returns_when_everything_is_ready_and_holds_nothing_of_its_caller() {
    let project = TestProject::with_config(GATED);
    let mut gate = project.gate("gate");
    // All that a script may wait for the end of: its output, and an unknown descriptor.
    let script = "exec \"$0\" up -d 7>&1";
    let shell = project.program("/bin/sh").args(["-c", script, env!("CARGO_BIN_EXE_devstack")]);
    let up = shell.start();
    up.wait_for("api    * starting");
    project.wait_ps(|ps| service(ps, "worker")["phase"] == "ready");
    assert!(up.is_running());
    gate.open();
    assert_eq!(up.wait_code(), 0);
    up.wait_closed();
    let pid = supervisor(&project);
    assert_ne!(pid, up.pid());
    let lines = up.lines();
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(has("api    * ready in ") && has("       * shop is up"), "{lines:#?}");
    let told = format!(
        "       * running in the background (pid {pid}); follow with `devstack logs -f`, stop with `devstack down`"
    );
    assert_eq!(lines.last(), Some(&told));
    assert!(!has(" | "), "lines of services are in the log: {lines:#?}");
    assert_eq!(up.stderr(), "");

    // The same stack as in the foreground, with the log that a later reader wants.
    assert_eq!(project.ps()["state"], "up");
    let logs = project.devstack(["logs"]).run().expect_code(0).stdout;
    assert!(logs.contains("api    | one\n") && logs.contains("       * shop is up\n"), "{logs}");
    #[cfg(target_os = "linux")]
    {
        let open = |fd: u32| std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).expect("its own");
        assert_eq!([open(0), open(1)], ["/dev/null", "/dev/null"].map(std::path::PathBuf::from));
        assert_eq!(open(2), project.path(".devstack/background.err"));
    }
    assert_eq!(project.read(".devstack/background.err"), "");
    down(&project);
    project.finish();
}

#[test]
fn what_failed_is_shown_with_its_last_lines_and_the_rest_goes_on() {
    let project = TestProject::with_config(
        r#"
        [services.bad]
        command = "echo the reason; exit 7"
        restart = "no"
        ready = { delay = "1h" }
        [services.good]
        command = ["{misbehave}", "run"]
        "#,
    );
    let ended = project.devstack(["up", "-d"]).run().expect_code(1);
    assert!(ended.stdout.contains("bad  * failed: exited with code 7\n"), "{ended:?}");
    assert!(ended.stdout.contains("       | the reason\n"), "{ended:?}");
    assert_eq!(
        ended.stderr,
        "error: not all services are ready: bad failed\n  \
         help: the rest keeps running in the background; follow with `devstack logs -f`, stop with `devstack down`\n"
    );
    assert_eq!(service(&project.ps(), "good")["phase"], "ready");
    down(&project);
    project.finish();
}

#[test]
fn it_says_when_nothing_is_left_to_run() {
    let project = TestProject::with_config(
        "[services.bad]\ncommand = \"echo the reason; exit 7\"\nrestart = \"no\"\nready = { delay = \"1h\" }\n",
    );
    let ended = project.devstack(["up", "-d", "--no-watch"]).run().expect_code(1);
    assert!(ended.stdout.contains("| the reason\n"), "{ended:?}");
    assert!(ended.stderr.contains("error: the stack has stopped"), "{ended:?}");
    assert_eq!(project.alive(), []);
    project.configure("[services.task]\nkind = \"task\"\ncommand = \"true\"\n");
    let ended = project.devstack(["up", "-d"]).run().expect_code(0);
    assert!(ended.stdout.contains("everything has finished; nothing is running"), "{ended:?}");
    assert_eq!((project.alive(), ended.stderr), (vec![], String::new()));
    project.finish();
}

#[test]
fn errors_and_taken_ports_are_reported_before_it_detaches() {
    let project = TestProject::with_config("[services.api]\ncomand = \"true\"\n");
    let ended = project.devstack(["up", "-d"]).run().expect_code(2);
    assert!(ended.stderr.contains("did you mean"), "{ended:?}");
    let port = free_port();
    let _taken = occupy(port);
    project.configure(&format!("[services.api]\ncommand = \"true\"\nport = {port}\n"));
    let ended = project.devstack(["up", "-d", "--strict-ports"]).run().expect_code(1);
    assert!(ended.stderr.contains(&format!("port {port} is in use by")), "{ended:?}");
    assert_eq!((ended.stdout, project.alive()), (String::new(), vec![]));
    project.finish();
}

#[test]
fn a_person_is_asked_before_it_goes() {
    let project = TestProject::new();
    let port = free_port();
    let _taken = occupy(port);
    project.configure(&format!(
        "[services.api]\ncommand = [\"{{misbehave}}\", \"listen\"]\n\
             port = {{ prefer = {port}, on_conflict = \"ask\" }}\n"
    ));
    let up = project.devstack(["up", "-d"]).terminal(30, 100).start();
    let settings = up.settings();
    up.wait_for("[n]ext (");
    up.write(b"n\n");
    assert_eq!(up.wait_code(), 0);
    assert_eq!(up.settings(), settings);
    assert!(service(&project.ps(), "api")["port"].as_u64().expect("a port") > u64::from(port));
    down(&project);
    project.finish();
}

#[test]
fn ctrl_c_calls_off_the_start() {
    let project = TestProject::new();
    let up = starting(&project, |launch| launch.terminal(30, 100).start());
    let settings = up.settings();
    up.write(CTRL_C);
    assert_eq!(up.wait_code(), 130);
    assert_eq!(up.settings(), settings);
    up.wait_for("* stopping: Ctrl-C");
    assert_eq!(project.alive(), []);
    project.finish();
}

#[test]
fn a_second_ctrl_c_kills_at_once() {
    let project = TestProject::with_config(
        "[services.deaf]\ncommand = [\"{misbehave}\", \"ignore\", \"TERM\"]\n\
         ready = { delay = \"1h\" }\nstop = { grace = \"100s\" }\n",
    );
    let up = project.devstack(["up", "-d"]).terminal(30, 100).start();
    up.wait_for("deaf * starting");
    eventually("the service to run", || {
        let logs = project.devstack(["logs", "--said=no"]).run();
        logs.stdout.contains("ready").then_some(())
    });
    up.write(CTRL_C);
    up.wait_for("stopping: Ctrl-C");
    up.write(CTRL_C);
    assert_eq!(up.wait_code(), 130);
    assert_eq!(project.alive(), []);
    project.finish();
}

#[test]
fn sigterm_calls_off_the_start_too() {
    let project = TestProject::new();
    let up = starting(&project, |launch| launch.start());
    up.signal(Signal::TERM);
    assert_eq!(up.wait_code(), 143);
    up.wait_closed();
    assert_eq!((project.alive(), up.stderr()), (vec![], String::new()));
    project.finish();
}

#[test]
fn a_closed_window_and_a_killed_front_leave_the_start_alone() {
    for kill in [false, true] {
        let project = TestProject::new();
        let mut gate = project.gate("gate");
        let up = starting(&project, |launch| launch.terminal(30, 100).start());
        match kill {
            false => {
                up.hang_up();
                assert_eq!(up.wait_code(), 129);
            }
            true => up.kill9(),
        }
        project.sockets_must_go();
        gate.open();
        project.wait_ps(|ps| ps["state"] == "up");
        down(&project);
        project.finish();
    }
}

#[test]
fn a_window_that_closes_later_takes_nothing_with_it() {
    let project = TestProject::with_config(GATED);
    project.write("gate", "");
    // A shell in front of it, so that the terminal lives longer than `up`.
    let script = "\"$0\" up -d; echo code $?; exec cat";
    let shell = project.program("/bin/sh").args(["-c", script, env!("CARGO_BIN_EXE_devstack")]);
    let shell = shell.terminal(30, 100).start();
    shell.wait_for("code 0");
    let pid = supervisor(&project);
    shell.hang_up();
    shell.wait_exit();
    let ps = project.ps();
    assert_eq!((&ps["state"], &ps["supervisor_pid"]), (&Value::from("up"), &Value::from(pid)));
    down(&project);
    project.finish();
}

#[test]
fn a_start_that_takes_too_long_is_over() {
    let project = TestProject::with_config(GATED);
    let ended = project.devstack(["up", "-d", "--timeout", "300ms"]).run().expect_code(1);
    assert!(
        ended.stdout.contains("stopping: not ready within 300ms: api is starting"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("the stack has stopped"), "{ended:?}");
    assert_eq!(project.alive(), []);
    project.finish();
}

#[test]
fn a_start_that_is_stopped_by_another_command_is_no_success() {
    let project = TestProject::new();
    let up = starting(&project, |launch| launch.start());
    down(&project);
    assert_eq!(up.wait_code(), 1);
    up.wait_closed();
    assert!(up.lines().iter().any(|line| line.ends_with("* stopping: `devstack down`")));
    assert!(up.stderr().contains("stopped before everything was ready"), "{}", up.stderr());
    project.finish();
}

#[test]
fn programs_read_what_is_said_as_objects() {
    let project = TestProject::with_config(GATED);
    project.write("gate", "");
    let ended = project.devstack(["up", "-d", "--output", "json"]).run().expect_code(0);
    let read = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let said = read(&ended.stdout);
    assert!(said.iter().any(|one| one["text"] == "shop is up" && one["tone"] == "good"));
    let logs = project.devstack(["logs", "--json", "--said=only", "-n", "all"]).run();
    assert_eq!(read(&logs.stdout), said);
    down(&project);
    project.configure(
        "[services.bad]\ncommand = \"exit 7\"\nrestart = \"no\"\nready = { delay = \"1h\" }\n",
    );
    let ended = project.devstack(["up", "-d", "--output", "json"]).run().expect_code(1);
    assert_eq!(ended.error()["class"], "exit");
    down(&project);
    project.finish();
}

#[test]
fn a_killed_daemon_is_reported_and_leaves_nothing() {
    let project = TestProject::new();
    let up = starting(&project, |launch| launch.start());
    let pid = supervisor(&project);
    send(pid, Signal::KILL);
    assert_eq!(up.wait_code(), 137);
    up.wait_closed();
    assert!(up.stderr().contains("killed by SIGKILL"), "{}", up.stderr());
    project.assert_nothing_alive();
    // Its socket is replaced by the next one.
    project.write("gate", "");
    project.devstack(["up", "-d"]).run().expect_code(0);
    send(supervisor(&project), Signal::TERM);
    project.assert_nothing_alive();
    project.finish();
}

#[test]
fn a_second_up_at_a_terminal_follows_the_log() {
    let project = up("[stack]\nname = \"shop\"\n[services.api]\n\
        command = \"seq 100; exec {misbehave} run\"\n[services.idle]\ncommand = [\"{misbehave}\", \"run\"]\nautostart = false\n");
    let pid = supervisor(&project);
    let terminal = |args: &[&str]| project.devstack(["up"]).args(args).terminal(30, 100).start();
    let first = terminal(&["--timeline", "--qr"]);
    for option in ["--timeline", "--qr"] {
        first.wait_for(&format!("note: `{option}` has no effect, because the stack already runs"));
    }
    let settings = first.settings();
    first.wait_for(&format!(
        "a stack is already running in this directory: shop (pid {pid}), since "
    ));
    first.wait_for("Ctrl-C leaves it running, `devstack down` stops it");
    first.wait_for("api  | ready");
    first.wait_for("     * shop is up");
    let lines = first.lines();
    let numbers = lines.iter().filter(|line| {
        line.strip_prefix("api  | ").is_some_and(|text| text.parse::<u32>().is_ok())
    });
    assert_eq!(numbers.count(), 19, "the last twenty lines: {lines:#?}");
    first.write(CTRL_C);
    assert_eq!(first.wait_code(), 130);
    assert_eq!(first.settings(), settings);
    assert_eq!(supervisor(&project), pid);

    // A request for a service that is not running gets advice on how to start it.
    let second = terminal(&["idle"]);
    second.wait_for("run `devstack start idle`: not running");
    second.wait_for("following the log of idle; Ctrl-C leaves it running");
    second.wait_for("     * shop is up");
    let refused = project.devstack(["up", "idle"]).run().expect_code(4);
    assert!(
        refused.stderr.contains("help: run `devstack start idle`: not running\n"),
        "{refused:?}"
    );
    project.devstack(["restart", "api"]).run().expect_code(0);
    project.devstack(["start", "idle"]).run().expect_code(0);
    second.wait_for("idle * starting");
    second.wait_for("idle | ready");
    // One that does not exist is no way to see everything.
    let unknown = terminal(&["apu"]);
    unknown.wait_for("did you mean `api`?");
    assert_eq!(unknown.wait_code(), 3);
    down(&project);
    assert_eq!(second.wait_code(), 0);
    let lines = second.lines();
    assert!(lines.iter().any(|line| line.contains("* stopping: `devstack down`")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.starts_with("api  ")), "{lines:#?}");
    project.finish();
}

#[test]
fn a_daemon_that_hangs_is_named_and_not_waited_for() {
    let project =
        up("[stack]\nname = \"shop\"\n[services.api]\ncommand = [\"{misbehave}\", \"run\"]\n");
    let pid = supervisor(&project);
    send(pid, Signal::STOP);
    let all = [&["up"][..], &["up", "api"], &["up", "-d"], &["ps", "--json"], &["down", "--json"]];
    // Side by side: each waits for an answer.
    for (args, one) in all.map(|args| (args, project.devstack(args).start())) {
        assert_eq!(one.wait_code(), 4, "{args:?}");
        one.wait_closed();
        assert!(one.stderr().contains(&pid.to_string()), "{args:?}: {}", one.stderr());
        if args.contains(&"--json") {
            let error: Value = serde_json::from_str(&one.stderr()).expect("JSON");
            assert_eq!(error["error"]["class"], "busy");
        }
    }
    let up = project.devstack(["up"]).terminal(30, 100).start();
    assert_eq!(up.wait_code(), 4);
    send(pid, Signal::CONT);
    down(&project);
    project.finish();
}

#[test]
fn it_takes_the_options_of_up() {
    let port = free_port();
    let project = TestProject::with_config(&format!(
        "[services.api]\ncommand = [\"{{misbehave}}\", \"run\"]\n\
             debug = {{ command = [\"{{misbehave}}\", \"listen\", \"--port\", \"${{DEBUG_PORT}}\"], port = {port} }}\n\
             [services.facts]\nkind = \"task\"\ncommand = [\"{{misbehave}}\", \"limits\"]\n\
             [services.other]\ncommand = [\"{{misbehave}}\", \"run\"]\n"
    ));
    let args = ["up", "-d", "--debug=api", "--qr", "--timestamps", "api", "facts"];
    let up = project.devstack(args).terminal(30, 100).start();
    assert_eq!(up.wait_code(), 0);
    // What it printed may arrive later than its exit.
    up.wait_for("debug   ");
    let ps = project.ps();
    assert_eq!((&ps["mode"], &service(&ps, "other")["phase"]), (&"debug".into(), &"idle".into()));
    // Services have no terminal, whatever `up` was typed in.
    let logs = project.devstack(["logs", "facts", "-n", "all"]).run().expect_code(0).stdout;
    assert!(logs.contains("facts | tty1 no\n"), "{logs}");
    down(&project);
    project.finish();
}

#[test]
fn a_service_that_exits_with_success_is_not_up() {
    let project = TestProject::new();
    let exits = "[services.web]\ncommand = 'exit 0'\nport = 'auto'\n\
                 [services.seed]\nkind = 'task'\ncommand = 'exit 0'\n";
    let stays = "[services.other]\ncommand = ['{misbehave}', 'run']\n";
    project.configure(&format!("{exits}{stays}"));
    let ended = project.devstack(["up", "-d"]).run().expect_code(1);
    let text = "not all services are ready: web exited (exit 0)";
    assert!(ended.stderr.contains(text), "{ended:?}");
    assert!(ended.stdout.contains("1 of 3 exited"), "{ended:?}");
    let waited = project.devstack(["wait"]).run().expect_code(1);
    assert!(waited.stderr.contains("web exited (exit 0) and will not become ready"), "{waited:?}");
    let started = project.devstack(["start", "web"]).run().expect_code(1);
    assert!(started.stderr.contains("web exited (exit 0)"), "{started:?}");
    project.devstack(["down"]).run().expect_code(0);
    project.configure(exits);
    let ended = project.devstack(["up", "-d"]).run().expect_code(1);
    assert!(ended.stdout.contains("web  * done: exit 0"), "{ended:?}");
    project.finish();
}

#[test]
fn a_server_that_crashes_again_and_again_is_not_up() {
    let project = TestProject::with_config(
        "[services.web]\ncommand = '{misbehave} listen & exec {misbehave} crash-after 300'\n\
         port = 'auto'\nrestart = { delay = '1ms', max = 3 }\n\
         [services.other]\ncommand = ['{misbehave}', 'run']\n",
    );
    let ended = project.devstack(["up", "-d"]).run().expect_code(1);
    assert!(ended.stderr.contains("not all services are ready: web failed"), "{ended:?}");
    assert_eq!(ended.stdout.matches("web   * ready").count(), 1, "{ended:?}");
    project.devstack(["down"]).run().expect_code(0);
    project.finish();
}
