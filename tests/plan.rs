//! `devstack plan`: what an apply or `up` would do now and why, without doing it.

use std::fs;

use serde_json::{Value, json};

use crate::support::{EditedStack, TestProject, free_ports, idler, occupy, service};

/// `SERVICE ACTION: BECAUSE` of each change.
fn changes(plan: &Value) -> Vec<String> {
    let changes = plan["changes"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let line = |change: &Value| {
        let [service, action, because] =
            ["service", "action", "because"].map(|key| text(&change[key]));
        format!("{service} {action}: {because}")
    };
    changes.map(line).collect()
}

#[test]
fn without_a_stack_it_says_what_up_would_start_and_touches_nothing() {
    let port = free_ports(3);
    let project = TestProject::with_config(&format!(
        r#"
        [services.web]
        command = ["{{misbehave}}", "listen"]
        port = {port}
        depends_on = ["migrate", "db"]
        [services.migrate]
        kind = "task"
        command = "true"
        depends_on = ["db"]
        [services.db]
        command = ["{{misbehave}}", "listen"]
        ports = {{ sql = {}, metrics = "auto" }}
        [services.mail]
        command = "true"
        profiles = ["mail"]
        "#,
        port + 2
    ));
    let before = tree(&project);
    let stranger = occupy(port);
    let plan = project.devstack(["plan", "--json"]).run().expect_code(0).json();
    assert_eq!((&plan["running"], &plan["live"]), (&json!(false), &json!(true)));
    assert_eq!(
        changes(&plan),
        [
            "db add: added",
            "mail define: added, not started: starts only by name",
            "migrate add: added",
            "web add: added"
        ]
    );
    let web = &plan["changes"][3];
    assert_eq!(web["wanted_ports"], json!({ "main": port }));
    assert_eq!(web["ports"], json!({ "main": port + 1 }));
    assert!(web["moved"][0].as_str().is_some_and(|why| why.contains("is in use by")), "{web}");

    let text = project.devstack(["plan", "--profile", "mail"]).run().expect_code(0).stdout;
    assert!(text.contains("`devstack up` would start 4 services in this order"), "{text}");
    assert!(
        text.contains("migrate  when db is ready\n")
            && text.contains("when db is ready, migrate is completed"),
        "{text}"
    );
    let text = project.devstack(["plan", "db"]).run().expect_code(0).stdout;
    assert!(text.contains("would start 1 service\n"), "{text}");
    assert!(text.contains("not started: mail, migrate, web"), "{text}");
    project.devstack(["plan", "nobody"]).run().expect_code(3);
    // An address for documentation, which no machine has.
    let refused = project.devstack(["plan", "--host", "192.0.2.1"]).run().expect_code(2);
    assert!(refused.stderr.contains("192.0.2.1 is not an address of this machine"), "{refused:?}");
    assert_eq!(tree(&project), before, "it has written something");
    drop(stranger);

    // And this is what `up` does, then.
    let plan = project.devstack(["plan", "--json"]).run().expect_code(0).json();
    let up = project.up();
    let ps = project.ps();
    for change in plan["changes"].as_array().expect("a list") {
        let name = change["service"].as_str().expect("a name");
        assert_eq!(service(&ps, name)["ports"], change["ports"], "{name}");
    }
    project.end(&up);
}

/// Every file of the project directory.
fn tree(project: &TestProject) -> Vec<String> {
    let entries =
        fs::read_dir(project.dir()).expect("a directory").map(|entry| entry.expect("one"));
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_running_stack_is_compared_with_its_files() {
    let old = [&*idler("a", ""), &idler("b", ""), &idler("c", "env = { X = \"old-secret\" }")];
    let stack = EditedStack::start_with(TestProject::new(), &old.concat(), &["up", "--no-watch"]);
    for name in ["a", "b", "c"] {
        stack.up.wait_for(&format!("{name} | ready"));
    }
    let plan = stack.plan();
    assert_eq!((&plan["running"], &plan["live"]), (&json!(true), &json!(false)));
    assert_eq!((changes(&plan), &plan["keeps"]), (vec![], &json!(["a", "b", "c"])));
    let text = stack.project.devstack(["plan"]).run().expect_code(0).stdout;
    assert_eq!(text, "app matches its configuration; unchanged: a, b, c\n");

    let pids = stack.pids();
    let here = stack.up.here();
    let new = [
        &*idler("a", "color = \"red\"\nstop = { grace = \"1s\" }"),
        &idler("c", "env = { X = \"new-secret\" }\nautostart = true"),
        &idler("d", "kind = \"task\""),
    ];
    stack.project.configure(&new.concat());
    let plan = stack.plan();
    assert_eq!(
        changes(&plan),
        [
            "b remove: removed",
            "a update: stop, color changed",
            "c restart: env changed: X",
            "d add: added"
        ]
    );
    assert_eq!(plan["keeps"], json!(["a"]));
    assert_eq!(plan["changes"][1]["fields"], json!(["stop", "color"]));
    assert_eq!(plan["changes"][2]["variables"], json!(["X"]));
    let text = stack.project.devstack(["plan"]).run().expect_code(0).stdout;
    let told = [
        "app: configuration differs from the running stack; changes are not applied while it runs; unchanged: a",
        "  b  removed",
        "  a  stop, color changed, no restart needed",
        "  c  restart: env changed: X",
        "  d  added\n",
    ];
    assert_eq!(text, told.join("\n"));
    assert!(!text.contains("secret"));
    // Asked twice, and nothing has happened.
    assert_eq!(stack.plan(), plan);
    assert_eq!(stack.pids(), pids);
    assert_eq!(stack.up.lines_since(here), [""; 0]);

    let refused = stack.project.devstack(["plan", "a"]).run().expect_code(2);
    assert!(refused.stderr.contains("services and options cannot be given"), "{}", refused.stderr);
    stack.end();
}

#[test]
fn a_mistake_is_shown_as_check_shows_it() {
    let project = TestProject::with_config("[services.a]\ncomand = \"x\"\n");
    for running in [false, true] {
        let up = running.then(|| {
            project.configure(&idler("a", ""));
            let up = project.up();
            project.configure("[services.a]\ncomand = \"x\"\n");
            up
        });
        let check = project.devstack(["check"]).run().expect_code(2);
        let plan = project.devstack(["plan"]).run().expect_code(2);
        assert_eq!((plan.stdout.as_str(), plan.stderr), ("", check.stderr), "running: {running}");
        let plan = project.devstack(["plan", "--json"]).run().expect_code(2);
        assert_eq!(plan.error()["class"], "config");
        if let Some(up) = up {
            up.end();
        }
    }
    project.finish();
}

#[test]
fn what_a_running_stack_cannot_become_is_no_plan() {
    let stack = EditedStack::start(TestProject::new(), &idler("a", ""));
    let here = stack.up.here();
    stack.project.configure(&["[stack]\nname = \"x\"\n", &*idler("a", "")].concat());
    stack.up.wait_since(here, "not applied: ");
    let refused = stack.project.devstack(["plan"]).run().expect_code(2);
    assert!(
        refused.stderr.contains("cannot rename the running stack from `app` to `x`"),
        "{}",
        refused.stderr
    );
    stack.end();
}

#[test]
fn the_port_that_a_running_service_has_is_no_obstacle_and_none_is_taken() {
    let port = free_ports(2);
    let file = |port: u16| {
        format!("[services.a]\ncommand = [\"{{misbehave}}\", \"listen\"]\nport = {port}\n")
    };
    let stack = EditedStack::start_with(TestProject::new(), &file(port), &["up", "--no-watch"]);
    assert_eq!(changes(&stack.plan()), [""; 0]);
    stack.project.configure(&file(port + 1));
    for _ in 0..2 {
        let plan = stack.plan();
        assert_eq!(changes(&plan), [format!("a restart: port {port} → {}", port + 1)]);
        assert_eq!(plan["changes"][0]["ports"], json!({ "main": port + 1 }));
    }
    // Another process may have it meanwhile.
    let other = TestProject::new();
    other.configure(&file(port + 1));
    let up = other.devstack(["up"]).start();
    up.wait_for("is up");
    assert_eq!(service(&other.ps(), "a")["port"], port + 1);
    up.end();
    other.finish();
    stack.end();
}
