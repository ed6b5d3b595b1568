//! `devstack.toml` and env files that change: what is applied, what keeps running, and what a mistake does not do.

use std::collections::BTreeMap;
use std::fs;

use crate::support::{EditedStack, MarkerLog, TestProject, free_ports, http_get, idler, service};

#[test]
fn only_what_changed_is_touched() {
    let (a, b, c) = (idler("a", ""), idler("b", ""), idler("c", ""));
    let stack = EditedStack::start(TestProject::new(), &[&*a, &b].concat());
    let first = stack.pids();

    assert_eq!(stack.apply(&[&*a, &b, &c].concat()), ["c added"]);
    let added = stack.pids();
    assert_eq!((added["a"], added["b"], added.len()), (first["a"], first["b"], 3));

    assert_eq!(stack.apply(&[&*a, &c].concat()), ["b removed"]);
    stack.project.wait_ps(|ps| ps["services"].as_array().is_some_and(|all| all.len() == 2));
    assert_eq!(stack.pids(), BTreeMap::from([("a".into(), added["a"]), ("c".into(), added["c"])]));

    let other = c.replace("\"run\"", "\"ignore\", \"USR1\"");
    assert_eq!(stack.apply(&[&*a, &other].concat()), ["c restart: command changed"]);
    stack.project.wait_ps(|ps| service(ps, "c")["restarts"] == 1);
    let changed = stack.pids();
    assert_eq!(changed["a"], added["a"]);
    assert_ne!(changed["c"], added["c"]);

    let secret = idler("a", "env = { TOKEN = \"s3cret\" }");
    assert_eq!(stack.apply(&[&*secret, &other].concat()), ["a restart: env changed: TOKEN"]);
    stack.project.wait_ps(|ps| service(ps, "a")["restarts"] == 1);
    assert_eq!(stack.pids()["c"], changed["c"]);
    assert!(!stack.up.stdout().contains("s3cret"));

    stack.end();
}

#[test]
fn a_comment_or_another_order_is_no_change() {
    let (a, b) = (idler("a", ""), idler("b", "env = { X = \"1\", Y = \"2\" }"));
    let stack = EditedStack::start(TestProject::new(), &[&*a, &b].concat());
    let before = stack.pids();
    let here = stack.up.here();
    stack.project.configure(&["# a comment\n\n", &b, &a].concat());
    stack.project.configure(&[&*idler("b", "env.Y = \"2\"\nenv.X = \"1\""), &a].concat());
    assert_eq!(stack.apply(&[&*b, &a, &idler("c", "")].concat()), ["c added"]);
    let lines = stack.up.lines_since(here);
    assert_eq!(lines.iter().filter(|line| line.contains("applied")).count(), 1, "{lines:?}");
    let after = stack.pids();
    assert_eq!((after["a"], after["b"]), (before["a"], before["b"]));
    stack.end();
}

#[test]
fn what_needs_no_restart_is_taken_over_in_place() {
    let project = TestProject::new();
    project.write("source", "1");
    let file = |keys: &str| {
        format!(
            "[services.a]\ncommand = [\"{{misbehave}}\", \"signals\", \"TERM\", \"USR1\"]\n{keys}\n"
        )
    };
    let stop = "stop = { signal = \"TERM\", grace = \"1ms\" }\n";
    let stack = EditedStack::start(project, &file(stop));
    let before = stack.pids();
    let mut keys = String::new();
    for (key, value) in [
        ("color", "\"red\""),
        ("description", "\"what it is for\""),
        ("ready", "{ delay = \"1ms\" }"),
        ("restart", "\"always\""),
        ("success_codes", "[0, 3]"),
        ("on_exit", "\"shutdown\""),
        ("watch", "[\"source\"]"),
    ] {
        keys += &format!("{key} = {value}\n");
        let plan = stack.apply(&file(&[&keys, stop].concat()));
        assert_eq!(plan, [format!("a {key} changed, no restart needed")]);
        assert_eq!(stack.pids(), before, "after {key}");
    }
    // And it counts: the new signal ends it, the new watch restarts it.
    let signal = "stop = { signal = \"USR1\", grace = \"1ms\" }\n";
    let plan = stack.apply(&file(&[&keys, signal].concat()));
    assert_eq!(plan, ["a stop changed, no restart needed"]);
    stack.project.write("source", "2");
    stack.up.wait_for("a * restarting: source changed");
    stack
        .project
        .wait_ps(|ps| service(ps, "a")["restarts"] == 1 && service(ps, "a")["phase"] == "ready");
    assert!(!stack.up.lines().iter().any(|line| line.contains("got TERM")));
    stack.end();
}

#[test]
fn a_readiness_that_never_comes_is_mended_in_place() {
    for (never, now) in [
        (r#"exec = ["false"]"#, r#"exec = ["true"]"#),
        // It has printed that long ago.
        (r#"log = "never""#, r#"log = "^ready""#),
    ] {
        let project = TestProject::new();
        let file = |ready: &str| idler("a", &format!("ready = {{ {ready}, interval = \"10ms\" }}"));
        project.configure(&file(never));
        let up = project.devstack(["up"]).start();
        up.wait_for("a | ready");
        let ps = project.wait_ps(|ps| service(ps, "a")["pid"].is_u64());
        let pid = service(&ps, "a")["pid"].clone();
        project.configure(&file(now));
        up.wait_for("ready changed, no restart needed");
        up.wait_for("is up");
        let a = project.ps();
        assert_eq!((&service(&a, "a")["phase"], &service(&a, "a")["pid"]), (&"ready".into(), &pid));
        project.end(&up);
    }
}

#[test]
fn a_port_that_changes_restarts_what_refers_to_it() {
    let port = free_ports(2);
    let file = |port: u16| {
        format!(
            r#"
            [services.api]
            command = ["{{misbehave}}", "listen", "--http"]
            port = {port}
            [services.dependent]
            command = ["{{misbehave}}", "run"]
            depends_on = ["api"]
            [services.mention]
            command = ["{{misbehave}}", "run"]
            env = {{ API = "${{api.url}}" }}
            [services.none]
            command = ["{{misbehave}}", "run"]
            "#
        )
    };
    let stack = EditedStack::start(TestProject::new(), &file(port));
    let before = stack.pids();
    let plan = stack.apply(&file(port + 1));
    assert_eq!(
        plan,
        [
            format!("api restart: port {port} → {}", port + 1),
            format!("mention restart: api moved to {}", port + 1),
            format!("dependent restart: api moved to {}", port + 1),
        ]
    );
    let ps = stack.project.wait_ps(|ps| {
        ["api", "dependent", "mention"]
            .iter()
            .all(|name| service(ps, name)["restarts"] == 1 && service(ps, name)["phase"] == "ready")
    });
    assert_eq!(http_get(port + 1, "/").json()["pid"], service(&ps, "api")["pid"]);
    assert_eq!(stack.pids()["none"], before["none"]);
    stack.end();
}

#[test]
fn a_mistake_changes_nothing_and_the_next_good_save_applies() {
    let good = [&*idler("a", ""), &idler("b", "depends_on = [\"a\"]")].concat();
    let stack = EditedStack::start(TestProject::new(), &good);
    let before = stack.pids();
    let broken = [
        ("this is no TOML", "invalid TOML"),
        ("", "the file is empty"),
        (&*idler("a", "depends_on = [\"a\"]"), "a waits for a"),
        (&idler("a", "comand = \"x\""), "did you mean"),
        (&idler("a", "stop = { grace = \"soon\" }"), "\"soon\""),
    ];
    for (text, said) in broken {
        let here = stack.up.here();
        stack.project.configure(text);
        stack.up.wait_since(here, "not applied: the configuration is invalid");
        stack.up.wait_since(here, said);
        stack.up.wait_since(here, "devstack.toml");
        assert_eq!(stack.pids(), before, "{said}");
    }
    // Gone for a moment.
    let here = stack.up.here();
    fs::remove_file(stack.project.path("devstack.toml")).expect("it is there");
    stack.up.wait_since(here, "not applied: ");
    assert_eq!(stack.pids(), before);
    // As it was before all that: people hear that it is good again.
    let here = stack.up.here();
    stack.project.configure(&good);
    stack.up.wait_since(here, "configuration is valid again; nothing changed");
    assert_eq!(stack.apply(&[&*good, &idler("c", "")].concat()), ["c added"]);
    let after = stack.pids();
    assert_eq!((after["a"], after["b"]), (before["a"], before["b"]));
    stack.end();
}

#[test]
fn an_env_file_restarts_the_services_that_get_the_variable() {
    let project = TestProject::new();
    project.write(".env", "SHARED=1\nHIDDEN=1\n");
    project.write("a.env", "OWN=1\n");
    let text = [
        idler("a", "env_file = \"a.env\"\nenv = { HIDDEN = \"x\", SHARED = \"x\" }"),
        idler("b", "env = { HIDDEN = \"x\" }"),
        idler("c", "env = { HIDDEN = \"x\", SHARED = \"x\", LATER = \"x\" }"),
    ]
    .concat();
    let stack = EditedStack::start(project, &text);
    let first = stack.pids();
    let save = |file: &str, text: &str| stack.save(file, text);
    assert_eq!(save("a.env", "OWN=2\n"), ["a restart: env changed: OWN"]);
    // A comment and a variable that all services override are no change.
    stack.project.write(".env", "# a comment\nSHARED=1\nHIDDEN=2\n");
    assert_eq!(save(".env", "SHARED=2\nHIDDEN=3\n"), ["b restart: env changed: SHARED"]);
    // A file that was looked for and was not there.
    assert_eq!(
        save(".env.local", "LATER=1\n"),
        ["a restart: env changed: LATER", "b restart: env changed: LATER"]
    );
    stack.project.wait_ps(|ps| service(ps, "b")["restarts"] == 2);
    let here = stack.up.here();
    stack.project.write(".env", "this is no variable\n");
    stack.up.wait_since(here, "not applied: ");
    stack.up.wait_since(here, ".env:1");
    assert_eq!(stack.pids()["c"], first["c"]);
    stack.end();
}

#[test]
fn of_edits_in_quick_succession_the_last_one_counts() {
    let project = TestProject::new();
    let file = |number: usize| {
        format!(
            r#"
            [services.a]
            command = "echo this is {number}; exec {{misbehave}} marker markers --stop-ms 20"
            [services.steady]
            command = ["{{misbehave}}", "run"]
            "#
        )
    };
    let stack = EditedStack::start(project, &file(0));
    let steady = stack.pids()["steady"];
    for number in 1..=30 {
        stack.project.configure(&file(number));
        if number % 10 == 0 {
            stack.up.wait_for(&format!("a      | this is {number}"));
        }
    }
    assert_eq!(stack.pids()["steady"], steady);
    MarkerLog::read(&stack.project.path("markers")).assert_no_overlap();
    stack.end();
}

#[test]
fn an_edit_while_the_stack_starts_is_applied() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let db = "[services.db]\ncommand = [\"{misbehave}\", \"say\", \"--after-gate\", \"gate\", \"open\"]\nkind = \"task\"\n";
    // The environment of a process can be read once it has printed something.
    let keys = "depends_on = [\"db\"]\nready = { log = \"ready\" }\n";
    let api = idler("api", keys);
    project.configure(&[db, &api].concat());
    let up = project.devstack(["up"]).start();
    up.wait_for("db  * starting");
    let pid = project.wait_ps(|ps| service(ps, "db")["pid"].is_u64());
    let pid = &service(&pid, "db")["pid"];
    let other = idler("api", &(keys.to_owned() + "env = { NEW = \"1\" }"));
    project.configure(&[db, &other, &idler("new", "")].concat());
    up.wait_line(|line| line.trim_start().starts_with("new ") && line.ends_with(" added"));
    project.wait_ps(|ps| service(ps, "new")["phase"] == "ready");
    let ps = project.ps();
    assert_eq!(
        (&service(&ps, "db")["pid"], &service(&ps, "api")["phase"]),
        (pid, &"waiting".into())
    );
    gate.open();
    up.wait_for("is up");
    // It had not started before, so this is its first run, with the new environment.
    assert_eq!(service(&project.ps(), "api")["restarts"], 0);
    let pid = service(&project.ps(), "api")["pid"].to_string();
    let environ = fs::read_to_string(format!("/proc/{pid}/environ"));
    assert!(
        environ.is_ok_and(|all| all.split('\0').any(|one| one == "NEW=1"))
            || cfg!(not(target_os = "linux"))
    );
    project.end(&up);
}

#[test]
fn an_edit_while_the_stack_ends_is_ignored() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let slow = "[services.slow]\ncommand = \"trap ': < gate; exit 0' TERM; echo set; while :; do {misbehave} crash-after 10; done\"\nstop = { grace = \"60s\" }\nready = { log = \"set\" }\n";
    let stack = EditedStack::start(project, slow);
    stack.up.interrupt();
    stack.up.wait_for("stopping: Ctrl-C");
    let new = "[services.new]\ncommand = [\"{misbehave}\", \"marker\", \"markers\"]\n";
    stack.project.configure(&[slow, new].concat());
    stack.project.configure("this is no TOML");
    let ps = stack.project.ps();
    assert_eq!(ps["state"], "stopping");
    gate.open();
    assert_eq!(stack.up.wait_code(), 130);
    assert!(!stack.project.path("markers").exists());
    for word in ["applied", "not applied: "] {
        assert!(!stack.up.stdout().contains(word), "{}", stack.up.stdout());
    }
    stack.project.finish();
}

#[test]
fn the_local_file_is_followed_too() {
    let stack = EditedStack::start(TestProject::new(), &idler("a", ""));
    let here = stack.up.here();
    stack.project.write("devstack.local.toml", "[services.a]\nenv = { MINE = \"1\" }\n");
    assert_eq!(stack.plan_since(here), ["a restart: env changed: MINE"]);
    let here = stack.up.here();
    fs::remove_file(stack.project.path("devstack.local.toml")).expect("it is there");
    assert_eq!(stack.plan_since(here), ["a restart: env changed: MINE"]);
    stack.end();
}
