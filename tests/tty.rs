//! `tty`: services with a terminal of their own, or without.

use crate::support::{RunningProgram, TestProject, service};

fn up(project: &TestProject, config: &str) -> RunningProgram {
    project.configure(config);
    project.devstack(["up"]).start()
}

fn facts(tty: &str) -> String {
    format!("[services.facts]\ncommand = [\"{{misbehave}}\", \"limits\"]\n{tty}\n")
}

#[test]
fn auto_means_a_terminal_only_where_devstack_has_one() {
    for tty in ["", "tty = \"auto\""] {
        let project = TestProject::new();
        let piped = up(&project, &facts(tty));
        assert_eq!(piped.wait_code(), 0);
        let shown = project.devstack(["up"]).terminal(41, 123).start();
        assert_eq!(shown.wait_code(), 0);
        for fd in 0..3 {
            piped.wait_for(&format!("facts | tty{fd} no"));
            shown.wait_for(&format!("facts | tty{fd} yes"));
        }
        // "facts | " takes eight of the columns.
        shown.wait_for("facts | window 41 115");
        project.finish();
    }
}

#[test]
fn a_terminal_can_be_had_without_one() {
    let project = TestProject::new();
    let up = up(&project, &facts("tty = true"));
    assert_eq!(up.wait_code(), 0);
    for fd in 0..3 {
        up.wait_for(&format!("facts | tty{fd} yes"));
    }
    // What every terminal had once.
    up.wait_for("facts | window 24 80");
    project.finish();
}

#[test]
fn a_new_size_reaches_the_services() {
    let project = TestProject::new();
    let sized = "[services.sized]\ncommand = [\"{misbehave}\", \"signals\", \"WINCH\"]\n";
    project.configure(sized);
    let up = project.devstack(["up"]).terminal(30, 100).start();
    up.wait_for("sized | ready");
    up.wait_for("is up");
    up.resize(33, 111);
    up.wait_for("sized | got WINCH 33 103");
    // A longer name takes more of each line.
    let longer = "[services.longer-name]\ncommand = \"sleep 1000\"\n";
    project.configure(&format!("{sized}{longer}"));
    up.wait_for("sized       | got WINCH 33 97");
    project.end(&up);
}

#[test]
fn colours_reach_those_who_want_them() {
    let project = TestProject::new();
    let config = r#"
        [services.paints]
        command = "if test -t 1; then printf '\\033[?25h\\033[32mgreen\\033[0m\\033[K\\n'; else echo green; fi; echo $TERM"
        tty = true
        "#;
    // A pipe gets plain text, unless colors are asked for.
    project.configure(config);
    for (name, value) in [("CI", "true"), ("NO_COLOR", "1"), ("FORCE_COLOR", "0")] {
        let plain = project.devstack(["up"]).env(name, value).run().expect_code(0).stdout;
        assert!(plain.contains("| green") && !plain.contains('\u{1b}'), "{plain:?}");
    }
    for name in ["FORCE_COLOR", "CLICOLOR_FORCE"] {
        let colored = project.devstack(["up"]).env(name, "1").run().expect_code(0).stdout;
        assert!(colored.contains("\u{1b}[32mgreen") && !colored.contains("[?25"), "{colored:?}");
    }
    let shown = project.devstack(["up"]).terminal(30, 100).start();
    assert_eq!(shown.wait_code(), 0);
    // What is read of the terminal may lag behind the end.
    shown.wait_for("paints | xterm-256color");
    assert!(shown.stdout().contains("\u{1b}[32mgreen"), "{:?}", shown.stdout());
    project.finish();
}

#[test]
fn ends_and_last_lines_are_those_of_the_program() {
    let project = TestProject::new();
    let up = up(
        &project,
        r#"
        [services.ends]
        command = "seq 1 500; printf unfinished; exit 7"
        tty = true
        restart = "no"
        [services.dies]
        command = "echo before; kill -SEGV $$"
        tty = true
        restart = "no"
        "#,
    );
    assert_eq!(up.wait_code(), 1);
    up.wait_closed();
    let lines = up.lines();
    let of_ends: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("ends | ")).collect();
    assert_eq!(of_ends.len(), 501, "{lines:#?}");
    assert_eq!(of_ends[499..], ["500", "unfinished"]);
    up.wait_for("ends * failed: exited with code 7");
    up.wait_for("dies | before");
    up.wait_for("dies * failed: killed by SIGSEGV");
    project.finish();
}

#[test]
fn a_tree_in_a_terminal_is_ended_like_any_other() {
    let project = TestProject::new();
    let up = up(
        &project,
        r#"
        [services.tree]
        command = ["{misbehave}", "tree", "plain", "setsid", "double", "--ignore-term"]
        stop = { grace = "200ms" }
        tty = true
        "#,
    );
    up.wait_for("tree | ready");
    project.devstack(["restart", "tree"]).run().expect_code(0);
    up.wait_count(2, "tree | ready");
    up.end();
    assert_eq!(project.alive(), []);
    project.finish();
}

#[test]
fn a_changed_terminal_restarts_the_service_and_only_that() {
    let project = TestProject::new();
    let config = |tty: &str| {
        format!(
            "[services.facts]\ncommand = [\"{{misbehave}}\", \"--stay\", \"limits\"]\n{tty}\n\
             [services.other]\ncommand = [\"{{misbehave}}\", \"run\"]\n"
        )
    };
    let up = up(&project, &config(""));
    up.wait_for("facts | tty1 no");
    up.wait_for("is up");
    let before = project.ps();
    project.configure(&config("tty = true"));
    up.wait_for("facts | tty1 yes");
    let after = project.wait_ps(|ps| service(ps, "facts")["phase"] == "ready");
    assert_ne!(service(&after, "facts")["pid"], service(&before, "facts")["pid"]);
    assert_eq!(service(&after, "other")["pid"], service(&before, "other")["pid"]);
    project.end(&up);
}
