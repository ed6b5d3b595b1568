//! The command line itself: help, mistakes, colours, errors as JSON.

use crate::support::{TestProject, free_port};

const COMMANDS: &[&str] =
    &["up", "run", "down", "ps", "logs", "start", "stop", "restart", "ports", "check"];

#[test]
fn help_and_version_are_asked_for() {
    let project = TestProject::new();
    for args in [&["--help"][..], &["-h"]] {
        let ended = project.devstack(args).run().expect_code(0);
        for command in COMMANDS {
            assert!(
                ended.stdout.contains(&format!("\n  {command} ")),
                "{command}: {}",
                ended.stdout
            );
        }
        assert_eq!(ended.stderr, "");
        assert!(!ended.stdout.contains('\x1b'));
    }
    for flag in ["--version", "-V"] {
        let ended = project.devstack([flag]).run().expect_code(0);
        assert_eq!(ended.stdout, format!("devstack {}\n", env!("CARGO_PKG_VERSION")));
    }
    for command in COMMANDS {
        for flag in ["--help", "-h"] {
            let ended = project.devstack([*command, flag]).run().expect_code(0);
            assert!(ended.stdout.contains(&format!("devstack {command}")), "{}", ended.stdout);
        }
    }
    project.finish();
}

#[test]
fn mistakes_on_the_command_line_are_2_and_name_the_way_out() {
    let project = TestProject::new();
    for (args, text) in [
        (&[][..], "Usage: devstack"),
        (&["ups"], "a similar subcommand exists: 'up'"),
        (&["nonsense"], "unrecognized subcommand 'nonsense'"),
        (&["up", "--strict-port"], "a similar argument exists: '--strict-ports'"),
        (&["up", "--nonsense"], "unexpected argument '--nonsense'"),
        (&["ports", "99999"], "a port is a number from 1 to 65535"),
        (&["ports", "0"], "a port is a number from 1 to 65535"),
        (&["logs", "-n", "many"], "invalid value 'many'"),
    ] {
        let ended = project.devstack(args).run().expect_code(2);
        assert!(ended.stderr.contains(text), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{args:?}");
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
    project.finish();
}

#[test]
fn errors_of_json_commands_are_json_on_stderr() {
    let project = TestProject::new();
    for (args, code, class) in [
        (&["ps", "--json"][..], 3, "not-running"),
        (&["down", "--json"], 3, "not-running"),
        (&["start", "api", "--json"], 3, "not-running"),
        (&["stop", "api", "--json"], 3, "not-running"),
        (&["restart", "api", "--json"], 3, "not-running"),
        (&["check", "--json"], 2, "config"),
        (&["check", "--json", "-f", "none.toml"], 2, "config"),
    ] {
        let ended = project.devstack(args).run().expect_code(code);
        assert_eq!(ended.stdout, "", "{args:?}");
        let error = ended.error();
        assert_eq!(error["class"], class, "{error}");
        for part in ["text", "help"] {
            let text = error[part].as_str().expect("a text");
            assert!(!text.is_empty(), "{args:?}: no {part} in {error}");
        }
    }
    project.configure("[services.api]\ncommand = 'true'\n[services.web]\ncommand = 'true'\n");
    let good = project.devstack(["check", "--json"]).run().expect_code(0).json();
    assert_eq!(good["services"], serde_json::json!(["api", "web"]));
    let good = project.devstack(["check"]).run().expect_code(0);
    assert_eq!(good.stdout, "app: 2 services, no errors\n");
    project.finish();
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let port = free_port();
    let project = TestProject::with_config(&format!(
        "[services.api]\ncommand = ['{{misbehave}}', 'listen']\nport = {port}\n"
    ));
    let run = || project.devstack(["run", "--", "true"]);
    // In a pipe: plain, even if TERM is set.
    let ended = run().run().expect_code(0);
    assert!(!ended.stderr.contains('\x1b'), "{:?}", ended.stderr);
    let colours = |terminal: crate::support::RunningProgram| {
        assert_eq!(terminal.wait_code(), 0);
        terminal.wait_closed();
        terminal.stdout().contains("\x1b[")
    };
    assert!(colours(run().terminal(24, 80).start()));
    assert!(!colours(run().terminal(24, 80).env("NO_COLOR", "1").start()));
    assert!(colours(run().terminal(24, 80).env("NO_COLOR", "").start()));
    assert!(!colours(run().terminal(24, 80).env("TERM", "dumb").start()));

    // Diagnostics, too.
    project.configure("[services.api]\n");
    let wrong = |launch: crate::support::TestCommand| {
        let running = launch.terminal(24, 80).start();
        assert_eq!(running.wait_code(), 2);
        running.wait_closed();
        running.stdout().contains("\x1b[")
    };
    assert!(wrong(project.devstack(["check"])));
    assert!(!wrong(project.devstack(["check"]).env("NO_COLOR", "1")));
    project.finish();
}

#[test]
fn a_directory_that_is_gone_is_reported() {
    let project = TestProject::new();
    let program = env!("CARGO_BIN_EXE_devstack");
    let script = format!("mkdir gone && cd gone && rmdir ../gone && exec {program} check");
    let ended = project.program("/bin/sh").args(["-c", &script]).run().expect_code(2);
    assert!(ended.stderr.contains("cannot access the current directory"), "{}", ended.stderr);
    assert!(ended.stderr.contains("help: change to an existing directory"), "{}", ended.stderr);
    project.finish();
}

#[test]
fn up_gives_up_on_what_has_come_to_no_result() {
    let project = TestProject::with_config(
        "[services.bad]\ncommand = ['{misbehave}', 'exit', '3']\nrestart = 'no'\n\
         [services.slow]\ncommand = ['{misbehave}', 'run']\nready = { log = 'never' }\n",
    );
    let ended = project.devstack(["up", "--timeout", "700ms"]).run().expect_code(1);
    let said = ended.stdout + &ended.stderr;
    assert!(said.contains("not ready within 700ms: "), "{said}");
    assert!(said.contains("slow is starting ("), "{said}");
    project.finish();
}

#[test]
fn why_nothing_starts_is_json_where_the_log_is() {
    let project = TestProject::new();
    let error = |args: &[&str], code: i32| {
        let ended = project.devstack(args).run().expect_code(code);
        assert_eq!(ended.stdout, "", "{args:?}");
        ended.error()
    };
    let (up, back) = (["up", "--output", "json"], ["up", "-d", "--output", "json"]);
    let run = ["run", "--output", "json", "--", "true"];
    let more = |word: &'static str| [up[0], up[1], up[2], word];
    for args in [&up[..], &back, &run] {
        assert_eq!(error(args, 2)["class"], "config", "{args:?}");
    }
    project.configure("[services.api]\ncommand = 'true'\ncolour = 'red'\nprt = 1\n");
    for args in [&up[..], &back, &run] {
        let error = error(args, 2);
        let text = error["text"].as_str().expect("a text");
        assert!(text.contains("devstack.toml:3:1") && text.ends_with("(and 1 more)"), "{error}");
    }
    let (one, other) = (occupy_any(), occupy_any());
    let port = |stranger: &std::net::TcpListener| stranger.local_addr().expect("it listens").port();
    let (first, second) = (port(&one), port(&other));
    project.configure(&format!(
            "[services.api]\ncommand = ['{{misbehave}}', 'run']\nport = {first}\nready = {{ delay = '1ms' }}\n\
             [services.web]\ncommand = ['{{misbehave}}', 'run']\nport = {second}\nready = {{ delay = '1ms' }}\n"
        ));
    // Every reason is in the one object.
    for (args, code) in [(&more("--strict-ports")[..], 1), (&run, 120)] {
        let error = error(args, code);
        let text = error["text"].as_str().expect("a text");
        assert_eq!(error["class"], "port");
        assert!([first, second].iter().all(|port| text.contains(&port.to_string())), "{text}");
    }
    assert_eq!(error(&more("nobody"), 3)["class"], "usage");
    let running = project.devstack(["up"]).start();
    running.wait_for("is up");
    for args in [&up[..], &run] {
        let error = error(args, 4);
        assert_eq!(error["class"], "busy");
        let text = error["text"].as_str().expect("a text");
        assert!(text.contains(&format!("(pid {})", running.pid())), "{error}");
    }
    project.end(&running);
}

/// A stranger on some port.
fn occupy_any() -> std::net::TcpListener {
    std::net::TcpListener::bind("127.0.0.1:0").expect("there are free ports")
}
