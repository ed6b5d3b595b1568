//! What people see: prompts, long lines, cleared screens, and short texts.

use std::path::Path;

use crate::support::{TestProject, free_ports, require, service};

#[test]
fn a_prompt_is_seen_everywhere_and_stored_once() {
    let project = TestProject::with_config(
        r#"
        [services.ask]
        command = "printf 'Continue? [y/N] '; : < answer; echo yes; exec tail -f /dev/null"
        ready = { log = '^Continue\?' }
        "#,
    );
    let mut answer = project.gate("answer");
    let up = project.devstack(["up"]).start();
    up.wait_for("ask | Continue? [y/N] ");
    project.wait_ps(|ps| service(ps, "ask")["phase"] == "ready");
    let why = project.devstack(["why", "ask"]).run().expect_code(0);
    assert!(why.stdout.contains("log        Continue? [y/N]"), "{}", why.stdout);
    let logs = project.devstack(["logs", "--said=no"]).run().expect_code(0);
    assert_eq!(logs.stdout, "ask | Continue? [y/N] \n");
    let json = project.devstack(["logs", "--json"]).run().expect_code(0);
    assert_eq!(json.stdout, "", "the line is not complete");
    let follower = project.devstack(["logs", "-f", "--said=no"]).start();
    follower.wait_for("ask | Continue? [y/N] ");

    answer.open();
    follower.wait_for("ask | Continue? [y/N] yes");
    up.wait_for("Continue? [y/N] yes");
    project.devstack(["down"]).run().expect_code(0);
    follower.wait_exit();
    up.wait_exit();
    assert_eq!(project.read(".devstack/logs/ask.log"), "Continue? [y/N] yes\n");
    let json = project.devstack(["logs", "--json"]).run().expect_code(0);
    assert_eq!(json.stdout.lines().count(), 1, "{}", json.stdout);
    project.finish();
}

#[test]
fn a_cleared_screen_leaves_no_trace() {
    let project = TestProject::with_config(
        r#"
        [services.vite]
        command = "echo before; printf '\\n%.0s' $(seq 38); printf '\\033[1;1H\\033[0J'; printf '\\n  VITE ready\\n'; exec tail -f /dev/null"
        tty = true
        "#,
    );
    let up = project.devstack(["up"]).terminal(40, 100).start();
    up.wait_for("VITE ready");
    up.wait_for("is up");
    let why = project.devstack(["why"]).run().expect_code(0).stdout;
    assert!(why.contains("log        before\n             VITE ready\n"), "{why}");
    up.end();
    let shown: Vec<String> = up.lines();
    let blank = shown.iter().filter(|line| line.trim_end() == "vite |").count();
    assert!(blank <= 1, "{shown:?}");
    project.finish();
}

#[test]
fn a_long_line_continues_under_its_own_text() {
    let project = TestProject::with_config(
        r#"
        [services.talks]
        command = "printf '%060d' 7; seq -s ' ' 30"
        "#,
    );
    let up = project.devstack(["up"]).terminal(24, 48).start();
    assert_eq!(up.wait_code(), 0);
    up.wait_closed();
    let lines = up.lines();
    let at = lines.iter().position(|line| line.starts_with("talks | 000")).expect("its first row");
    assert_eq!(lines[at], format!("talks | {}", "0".repeat(40)));
    assert!(lines[at + 1].starts_with(&format!("        {}71 2 3", "0".repeat(19))), "{lines:?}");
    assert!(lines.iter().all(|line| line.chars().count() <= 48), "{lines:?}");
    // Elsewhere it is one line.
    let logs = project.devstack(["logs", "--said=no"]).run().expect_code(0).stdout;
    assert_eq!(logs.lines().count(), 1, "{logs}");
    project.finish();
}

#[test]
fn a_line_of_a_megabyte_is_one_line() {
    let project = TestProject::with_config(
        r#"
        [services.big]
        command = "head -c 1000000 /dev/zero | tr '\\0' x; echo ready; echo after; exec tail -f /dev/null"
        ready = { log = "xready$" }
        "#,
    );
    let up = project.devstack(["up", "--no-prefix"]).start();
    up.wait_for("is up");
    up.wait_line(|line| line == "after");
    let long = "x".repeat(1_000_000) + "ready";
    assert!(up.lines().contains(&long));
    let last = |args: &[&str]| project.devstack(args).run().expect_code(0).stdout;
    let two = last(&["logs", "-n", "2", "--no-prefix", "--said=no"]);
    assert!(two == format!("{long}\nafter\n"));
    let json = last(&["logs", "-n", "2", "--json"]);
    let first: serde_json::Value =
        serde_json::from_str(json.lines().next().expect("a line")).expect("JSON");
    assert!(first["line"] == *long && first["open"].is_null());
    up.end();
    assert!(last(&["logs", "-n", "2", "--no-prefix", "--said=no"]) == two, "after the end, too");
    project.finish();
}

#[test]
fn times_are_in_the_zone_that_is_asked_for() {
    if !require("the time zones", Path::new("/usr/share/zoneinfo/Asia/Tokyo").exists()) {
        return;
    }
    let project = TestProject::with_config("[services.a]\ncommand = \"echo hi\"\n");
    project.devstack(["up"]).run().expect_code(0);
    let hour = |zone: &str| -> u32 {
        let logs = project.devstack(["logs", "--timestamps", "--said=no"]).env("TZ", zone);
        let shown = logs.run().expect_code(0).stdout;
        shown[..2].parse().expect("an hour")
    };
    assert_eq!((hour("UTC") + 9) % 24, hour("Asia/Tokyo"));
    project.finish();
}

#[test]
fn the_last_line_of_the_command_is_not_glued_to_the_log() {
    let project = TestProject::new();
    let port = free_ports(1);
    let config =
        format!("[services.web]\ncommand = [\"{{misbehave}}\", \"listen\"]\nport = {port}\n");
    project.configure(&config);
    let shown = project.devstack(["run", "--", "printf", "hi"]).terminal(24, 80).start();
    assert_eq!(shown.wait_code(), 0);
    shown.wait_closed();
    assert!(shown.stdout().contains(&format!("hi{:80}\r", "")), "{:?}", shown.stdout());
    let program = project.path("both");
    let script = format!(
        "'{}' run -- printf hi > '{}' 2>&1",
        env!("CARGO_BIN_EXE_devstack"),
        program.display()
    );
    project.program("sh").args(["-c", &script]).run().expect_code(0);
    let both = project.read("both");
    assert!(both.contains("hi\n") && both.ends_with("    * everything stopped\n"), "{both}");
    project.finish();
}

#[test]
fn mistakes_at_the_command_line_say_what_to_type() {
    let project = TestProject::new();
    let says = |args: &[&str], text: &str| {
        let ended = project.devstack(args).run().expect_code(2);
        assert!(ended.stderr.contains(text), "{args:?}: {}", ended.stderr);
        ended.stderr
    };
    says(&["ports", "abc"], "a port is a number from 1 to 65535");
    says(&["ports", "70000"], "a port is a number from 1 to 65535");
    let help = "use: devstack run -- curl -s 'http://a/?x=1&y'";
    says(&["run", "curl", "-s", "http://a/?x=1&y"], help);
    says(&["run", "--lan", "make"], "use: devstack run --lan -- make");
    for (text, what) in [
        ("services:\n  web:\n    image: a\n    ports:\n      - 1\n", "a Compose file"),
        ("web: python app.py\nworker: celery\n", "a Procfile"),
    ] {
        project.configure(text);
        let error = says(&["check"], &format!("this is {what}, not TOML"));
        assert_eq!(error.matches("error").count(), 1, "{error}");
    }
    project.finish();
}

#[test]
fn a_name_is_needed_only_if_there_are_several() {
    let project = TestProject::new();
    let one = "[services.one]\ncommand = \"exec tail -f /dev/null\"\n";
    project.configure(one);
    let up = project.up();
    let why = project.devstack(["why"]).run().expect_code(0).stdout;
    assert!(why.starts_with("one: ready"), "{why}");
    project.devstack(["restart"]).run().expect_code(0);

    project.configure(&format!("{one}{}", one.replace("one", "two")));
    up.wait_for("applied the new configuration");
    project.wait_ps(|ps| ps["services"].as_array().is_some_and(|all| all.len() == 2));
    for command in ["why", "stop", "restart"] {
        let ended = project.devstack([command]).run().expect_code(2);
        assert!(ended.stderr.contains("missing service name"), "{}", ended.stderr);
        assert!(ended.stderr.contains("available services: one, two"), "{}", ended.stderr);
    }
    let asked = project.devstack(["stop"]).terminal(24, 80).stdin().start();
    asked.wait_for("which service? (one, two)");
    asked.write(b"two\n");
    assert_eq!(asked.wait_code(), 0);
    project.wait_ps(|ps| service(ps, "two")["phase"] == "idle");
    project.end(&up);
}

#[test]
fn the_searched_directories_are_in_why_only() {
    let project = TestProject::with_config(
        "[services.a]\ncommand = [\"no-such-program\"]\n[services.b]\ncommand = \"exec tail -f /dev/null\"\n",
    );
    let up = project.devstack(["up"]).start();
    up.wait_for("not found on PATH");
    let why = project.devstack(["why", "a"]).run().expect_code(0).stdout;
    assert!(why.contains("searched PATH: /"), "{why}");
    let ps = project.devstack(["ps"]).run().expect_code(0).stdout;
    up.end();
    for shown in [ps, up.stdout()] {
        assert!(!shown.contains("searched PATH"), "{shown}");
    }
    project.finish();
}
