//! What follows a failure: the stack ends or waits and says which, and only what can succeed is tried again.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    OutputPosition, RunningProgram, TestProject, free_ports, occupy, require_program, service,
};

/// One service that fails.
const FAILS: &str =
    "[services.web]\ncommand = 'cat broken; exit 3'\nrestart = 'no'\nready = { delay = '1h' }\n";

/// The last line that devstack printed before it said that everything had stopped.
fn last_line(up: &RunningProgram) -> String {
    let lines = up.lines();
    let mut before = lines.iter().rev().filter(|line| !line.ends_with(" everything stopped"));
    before.next().expect("it printed something").trim_start_matches([' ', '>']).trim().to_owned()
}

#[test]
fn without_a_terminal_up_says_why_it_ends() {
    let project = TestProject::with_config(FAILS);
    let up = project.devstack(["up"]).start();
    assert_eq!(up.wait_code(), 1);
    up.wait_closed();
    assert!(last_line(&up).ends_with("1 of 1 failed and nothing runs: ending"), "{:?}", up.lines());
    project.configure(
        "[services.t]\nkind = 'task'\ncommand = 'exit 4'\n\
         [services.web]\ncommand = ['{misbehave}', 'run']\ndepends_on = ['t']\n",
    );
    let up = project.devstack(["up"]).start();
    assert_eq!(up.wait_code(), 1);
    up.wait_closed();
    let lines = up.lines();
    let at = |text: &str| lines.iter().position(|line| line.contains(text)).expect(text);
    assert!(at("failed: exited with code 4") < at("blocked: dependency t (completed) failed"));
    assert!(at("1 failed, 1 waits for it") < lines.len() - 1, "{lines:?}");
    assert!(last_line(&up).ends_with("1 failed, 1 waits for it, and nothing runs: ending"));
    project.finish();
}

#[test]
fn no_restart_is_promised_by_a_stack_that_ends() {
    let project = TestProject::new();
    let crashes = "[services.web]\ncommand = 'exit 3'\nrestart = { max = 2, delay = '1ms' }\n";
    project.configure(crashes);
    let up = project.devstack(["up"]).start();
    assert_eq!(up.wait_code(), 1);
    up.wait_for("help: fix it, then run `devstack up`");
    assert!(!up.stdout().contains("restarts it"), "{}", up.stdout());
    project.finish();
}

#[test]
fn at_a_terminal_up_waits_for_the_edit_that_fixes_it() {
    let project = TestProject::with_config(FAILS);
    let up = project.devstack(["up"]).terminal(30, 100).start();
    up.wait_for("1 of 1 failed and nothing runs: waiting for a change to the configuration");
    project.configure("[services.web]\ncommand = ['{misbehave}', 'run']\n");
    project.wait_ps(|ps| service(ps, "web")["phase"] == "ready");
    up.interrupt();
    assert_eq!(up.wait_code(), 130);
    // Nothing can bring it back where nothing is watched.
    project.configure(FAILS);
    let up = project.devstack(["up", "--no-watch"]).terminal(30, 100).start();
    up.wait_for("1 of 1 failed and nothing runs: ending");
    assert_eq!(up.wait_code(), 1);
    project.finish();
}

#[test]
fn in_the_background_a_failed_stack_waits_for_the_edit_that_fixes_it() {
    let project = TestProject::with_config(FAILS);
    let ended = project.devstack(["up", "-d"]).run().expect_code(1);
    assert!(ended.stderr.contains("not all services are ready: web failed"), "{ended:?}");
    assert!(ended.stderr.contains("devstack waits for a change in the background"), "{ended:?}");
    project.configure("[services.web]\ncommand = ['{misbehave}', 'run']\n");
    project.wait_ps(|ps| service(ps, "web")["phase"] == "ready");
    project.devstack(["down"]).run().expect_code(0);
    project.finish();
}

#[test]
fn what_is_late_is_not_failed_and_the_summary_comes_when_it_is_ready() {
    let project = TestProject::with_config(
        "[services.slow]\ncommand = ': < gate; echo open; exec {misbehave} run'\n\
         ready = { log = 'open', timeout = '100ms' }\n\
         [services.web]\ncommand = ['{misbehave}', 'run']\ndepends_on = ['slow']\n",
    );
    let mut gate = project.gate("gate");
    let up = project.devstack(["up"]).start();
    up.wait_for("slow * not ready yet after 100ms: ");
    up.wait_for("1 not ready yet, 1 waits for it");
    assert!(!up.stdout().contains("failed"), "{}", up.stdout());
    assert_eq!(service(&project.ps(), "web")["phase"], "blocked");
    gate.open();
    up.wait_for("is up");
    project.end(&up);
}

/// The lines about `web` since then.
fn about_web(up: &RunningProgram, since: OutputPosition) -> Vec<String> {
    up.lines_since(since).into_iter().filter(|line| line.starts_with("web ")).collect()
}

fn message<'a>(ps: &'a Value, name: &str) -> &'a Value {
    &service(ps, name)["message"]
}

#[test]
fn an_app_that_insists_on_a_taken_port_is_told_once_who_has_it() {
    for python in [false, true] {
        if python && require_program("python3").is_none() {
            continue;
        }
        let (project, port) = (TestProject::new(), free_ports(2));
        let thief = occupy(port);
        let command = match python {
            true => "['python3', 'app.py']".to_owned(),
            false => format!(
                "'[ $PORT = {port} ] && exec {{misbehave}} listen; \
                 echo Error: listen EADDRINUSE: address already in use 127.0.0.1:{port}; exit 1'"
            ),
        };
        let app = format!(
            "from http.server import *\nPORT = {port}\n\
             HTTPServer(('127.0.0.1', PORT), BaseHTTPRequestHandler).serve_forever()\n"
        );
        project.write("app.py", &app);
        project.configure(&format!(
            "[services.web]\ncommand = {command}\nport = {port}\nwatch = ['*.py']\n\
                 [services.other]\ncommand = ['{{misbehave}}', 'run']\n"
        ));
        let up = project.devstack(["up"]).start();
        let said = up.wait_for(" but seems to insist on ");
        let given = said.split("PORT=").nth(1).and_then(|rest| rest.split(' ').next());
        let given = given.expect("a port").to_owned();
        let holds = format!("(pid {}) holds", std::process::id());
        let text = format!("web was given PORT={given} but seems to insist on {port}, which main");
        assert!(said.contains(&text) && said.contains(&holds), "{said}");
        up.wait_for(&format!("`devstack ports {port} --kill`, then run `devstack restart web`"));
        up.wait_for("1 of 2 failed");
        let ps = project.ps();
        assert_eq!(
            (&message(&ps, "web")["class"], &service(&ps, "web")["restarts"]),
            (&json!("port"), &json!(0))
        );
        assert!(!up.stdout().contains("reserv"), "{}", up.stdout());
        // Once something has changed, it is tried again, on the port that it wants if that is free.
        drop(thief);
        let here = up.here();
        project.write("app.py", &format!("# saved\n{app}"));
        up.wait_since(here, &format!("starting on port {port}"));
        project.wait_ps(|ps| service(ps, "web")["phase"] == "ready");
        assert!(about_web(&up, here).iter().all(|line| !line.contains("insist")));
        project.end(&up);
    }
}

#[test]
fn a_port_in_use_that_the_output_does_not_name_is_tried_twice() {
    let (project, port) = (TestProject::new(), free_ports(1));
    project.configure(&format!(
        "[services.web]\nport = {port}\nrestart = {{ delay = '1ms' }}\n\
             command = 'echo BindException: Address already in use; exit 1'\n\
             [services.other]\ncommand = ['{{misbehave}}', 'run']\n"
    ));
    let up = project.devstack(["up"]).start();
    up.wait_for(&format!(
        "web was given PORT={port}, but a port that it needs is in use; its output does not say which"
    ));
    up.wait_for("help: read PORT from the environment");
    up.wait_for("1 of 2 failed");
    let ps = project.ps();
    assert_eq!(service(&ps, "web")["phase"], "failed");
    assert_eq!(service(&ps, "web")["restarts"], 1, "{ps}");
    project.end(&up);
}

#[test]
fn a_port_that_is_taken_between_two_runs_and_insisted_on_is_told() {
    let (project, port) = (TestProject::new(), free_ports(2));
    project.configure(&format!(
            "[services.web]\nport = {port}\ncommand = '[ $PORT = {port} ] && exec {{misbehave}} listen; \
             echo Error: listen EADDRINUSE: address already in use 127.0.0.1:{port}; exit 1'\n\
             [services.other]\ncommand = ['{{misbehave}}', 'run']\n"
        ));
    let up = project.up();
    project.devstack(["stop", "web"]).run().expect_code(0);
    let thief = occupy(port);
    let refused = project.devstack(["start", "web"]).run().expect_code(1);
    assert!(refused.stderr.contains(&format!("seems to insist on {port}, which ")), "{refused:?}");
    drop(thief);
    project.devstack(["restart", "web"]).run().expect_code(0);
    project.end(&up);
}

#[test]
fn a_program_that_does_not_exist_is_not_tried_again() {
    let project = TestProject::with_config(
        "[services.first]\ncommand = 'uvicornn main:app --port $PORT'\nport = 'auto'\n\
         [services.second]\ncommand = 'true && uvicornn main:app --port $PORT'\nport = 'auto'\n\
         [services.other]\ncommand = ['{misbehave}', 'run']\n",
    );
    let up = project.devstack(["up"]).start();
    up.wait_for("first  * failed: program `uvicornn` not found on PATH");
    up.wait_for("second * failed: exited with code 127: command not found");
    up.wait_for("help: install what is missing or fix `command`");
    up.wait_for("2 of 3 failed");
    let ps = project.ps();
    for name in ["first", "second"] {
        assert_eq!(service(&ps, name)["restarts"], 0, "{name}");
    }
    project.end(&up);
}

#[test]
fn a_debugger_that_is_not_installed_is_named_and_not_tried_again() {
    let project = TestProject::new();
    let python =
        project.write("python3", "#!/bin/sh\necho \"$0: No module named debugpy\" >&2\nexit 1\n");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&python, executable).expect("our file");
    project.configure("[services.worker]\ncommand = ['{misbehave}', 'run']\n\
         debug = { command = 'exec ./python3 -m debugpy --listen $DEBUG_PORT app.py', port = 'auto' }\n\
         [services.other]\ncommand = ['{misbehave}', 'run']\n");
    let up = project.devstack(["up", "--debug=worker"]).start();
    up.wait_for("failed: Python module `debugpy` is not installed for ./python3");
    up.wait_for("help: run `./python3 -m pip install debugpy`");
    let ps = project.ps();
    assert_eq!(
        (&service(&ps, "worker")["phase"], &service(&ps, "worker")["restarts"]),
        (&json!("failed"), &json!(0))
    );
    project.end(&up);
}

#[test]
fn a_package_that_is_not_installed_is_named_and_not_tried_again() {
    let project = TestProject::with_config(
        "[services.migrate]\nkind = 'task'\n\
         command = \"echo ModuleNotFoundError: No module named \\\\'django\\\\' >&2; exit 1\"\n\
         [services.web]\nport = 'auto'\n\
         command = \"echo Error: Cannot find module \\\\'express\\\\'; echo Node.js v22; exit 1\"\n\
         [services.other]\ncommand = ['{misbehave}', 'run']\n",
    );
    let up = project.devstack(["up"]).start();
    up.wait_for("failed: Python module `django` is not installed");
    up.wait_for("help: run `pip install django` in the Python environment of this service");
    up.wait_for("failed: Node package `express` is not installed");
    up.wait_for("help: run `npm install` in ");
    let ps = project.ps();
    assert_eq!(service(&ps, "web")["restarts"], 0, "{ps}");
    project.end(&up);
}

#[test]
fn a_program_without_a_port_is_told_once_who_has_its_own() {
    let (project, port) = (TestProject::new(), free_ports(2));
    let thief = occupy(port);
    project.configure(&format!(
            "[services.web]\nwatch = ['*.py']\ncommand = '[ -e free ] && exec {{misbehave}} run; \
             echo Error: listen EADDRINUSE: address already in use 127.0.0.1:{port}; exit 1'\n\
             [services.vague]\ncommand = 'echo OSError: [Errno 98] Address already in use; exit 1'\n\
             [services.worker]\ncommand = 'exec ./python3 -m celery'\n\
             [services.other]\ncommand = ['{{misbehave}}', 'run']\n"
        ));
    let python = "#!/bin/sh\necho \"$0: No module named celery\" >&2\nexit 1\n";
    let python = project.write("python3", python);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&python, executable).expect("our file");
    let up = project.devstack(["up"]).start();
    let said = up.wait_for(&format!("web needs port {port}, which main"));
    assert!(said.contains(&format!("(pid {}) holds", std::process::id())), "{said}");
    up.wait_for(&format!("`devstack ports {port} --kill`, then run `devstack restart web`"));
    up.wait_for("a port that vague needs is in use; its output does not say which");
    up.wait_for("failed: Python module `celery` is not installed for ./python3");
    let ps = project.wait_ps(|ps| {
        ["web", "vague", "worker"].iter().all(|name| service(ps, name)["phase"] == "failed")
    });
    for name in ["web", "vague", "worker"] {
        assert_eq!(service(&ps, name)["restarts"], 0, "{name}: {ps}");
    }
    drop(thief);
    project.write("free", "");
    project.write("app.py", "");
    project.wait_ps(|ps| service(ps, "web")["phase"] == "ready");
    project.end(&up);
}

#[test]
fn what_the_reloader_of_an_app_breaks_waits_for_the_save_that_fixes_it() {
    let project = TestProject::with_config(
        "[services.web]\nport = 'auto'\nwatch = ['*.py']\nrestart = { delay = '1ms' }\n\
         command = \"[ -e broken ] && exit 1; echo ' * Restarting with stat'; \
         {misbehave} listen & : < gate; exit 1\"\n",
    );
    let mut gate = project.gate("gate");
    let up = project.devstack(["up"]).start();
    up.wait_for("reloads itself, so its `watch` ignores **/*.py");
    up.wait_for("is up");
    let broken = project.write("broken", "");
    gate.open();
    up.wait_for("exited 3 times since it reloaded itself; last: exit 1");
    up.wait_for("1 of 1 failed and nothing runs: waiting for a change to a watched file");
    assert_eq!(service(&project.ps(), "web")["restarts"], 2);
    gate.shut();
    fs::remove_file(broken).expect("our file");
    project.write("app.py", "");
    project.wait_ps(|ps| service(ps, "web")["phase"] == "ready");
    project.end(&up);
}
