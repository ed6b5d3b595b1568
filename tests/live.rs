//! Edits of what is more than one service: names, selections, profiles, the stack as a whole, other files, and what
//! cannot be applied while the stack runs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::{
    EditedStack, MarkerLog, TestProject, free_port, free_ports, http_get, idler, make_fifo,
    require_program, service,
};

#[test]
fn a_renamed_service_moves_and_never_runs_twice() {
    let port = free_port();
    let file = |name: &str| {
        let marker = "\"{misbehave}\", \"marker\", \"markers\", \"--instance\", \"one\", \"--stop-ms\", \"50\"";
        let web = format!(
            "[services.{name}-web]\ncommand = [\"{{misbehave}}\", \"listen\", \"--http\"]\nport = {port}\n"
        );
        format!("[services.{name}]\ncommand = [{marker}]\n") + &web + &idler("other", "")
    };
    let stack = EditedStack::start_with(
        TestProject::new(),
        &file("old"),
        &["up", "old", "old-web", "other"],
    );
    let before = stack.pids();
    assert_eq!(
        stack.apply(&file("new")),
        ["new restart: renamed from old", "new-web restart: renamed from old-web"]
    );
    let after = stack.pids();
    assert_eq!(after.keys().collect::<Vec<_>>(), ["new", "new-web", "other"]);
    assert_eq!(after["other"], before["other"]);
    assert_eq!(http_get(port, "/").json()["pid"], after["new-web"]);
    // What was asked for by its former name still is after the next edit.
    assert_eq!(
        stack.apply(&(file("new") + &idler("unasked", ""))),
        ["unasked added, not started: not requested"]
    );
    assert_eq!(stack.pids(), after);
    // Stopped by hand stays stopped under any name.
    stack.project.devstack(["stop", "new"]).run().expect_code(0);
    assert_eq!(
        stack.apply(&file("third")),
        ["unasked removed", "third renamed from new", "third-web restart: renamed from new-web"]
    );
    assert_eq!(service(&stack.project.ps(), "third")["phase"], "idle");
    MarkerLog::read(&stack.project.path("markers")).assert_no_overlap();
    stack.end();
}

#[test]
fn what_up_was_asked_for_stays_so() {
    let file = |more: &str| {
        [&*idler("api", "depends_on = [\"db\"]"), &idler("db", ""), &idler("web", more)].concat()
    };
    let stack = EditedStack::start_with(TestProject::new(), &file(""), &["up", "api"]);
    let before = stack.pids();
    assert_eq!(before.len(), 2);
    let plan = stack.apply(&file("env = { A = \"1\" }"));
    assert_eq!(plan, ["web env changed: A, applied on its next start"]);
    assert_eq!(stack.pids(), before);
    // A dependency that is new comes, and goes with its last dependent.
    let needs = file("").replace("[\"db\"]", "[\"db\", \"web\"]");
    let plan = stack.apply(&needs);
    assert_eq!(plan, ["web start: env changed: A", "api restart: env changed: DEVSTACK_WEB_HOST",]);
    assert_eq!(stack.pids()["db"], before["db"]);
    let plan = stack.apply(&file(""));
    assert_eq!(
        plan,
        ["web stop: no longer needed", "api restart: env changed: DEVSTACK_WEB_HOST",]
    );
    assert_eq!(stack.pids().len(), 2);
    stack.end();
}

#[test]
fn autostart_and_profiles_start_and_stop() {
    let file = |keys: &str| {
        [&*idler("a", ""), &idler("b", keys), &idler("p", "profiles = [\"p\"]")].concat()
    };
    let stack = EditedStack::start_with(
        TestProject::new(),
        &file("profiles = [\"p\"]"),
        &["up", "--profile", "p"],
    );
    let first = stack.pids();
    assert_eq!(first.len(), 3);
    assert_eq!(stack.apply(&file("autostart = false")), ["b stop: autostart changed"]);
    assert_eq!(stack.pids().len(), 2);
    assert_eq!(stack.apply(&file("profiles = [\"p\"]")), ["b start: autostart changed"]);
    assert_eq!(stack.pids().len(), 3);
    // The profile that was chosen must exist, as at the start.
    let none = idler("a", "");
    stack.apply_without_effect(
        "devstack.toml",
        &none,
        &["not applied: ", "--profile: unknown profile `p`"],
    );
    // Asked for by hand, it stays.
    stack.project.devstack(["stop", "b"]).run().expect_code(0);
    stack.project.devstack(["start", "b"]).run().expect_code(0);
    let plan = stack.apply(&(file("profiles = [\"q\"]") + &idler("c", "profiles = [\"p\"]")));
    assert_eq!(plan, ["b autostart changed, no restart needed", "c added"]);
    assert_eq!((stack.pids().len(), stack.pids()["a"]), (4, first["a"]));
    stack.end();
}

#[test]
fn what_the_stack_says_for_all_reaches_those_it_concerns() {
    let services = [
        &*idler("a", ""),
        &idler("b", "env = { LEVEL = \"own\" }\nhost = \"127.0.0.1\""),
        &idler("c", "host = \"::1\"\nenv_file = \"c.env\""),
    ]
    .concat();
    let project = TestProject::new();
    project.write("c.env", "LEVEL=file\n");
    project.write("all.env", "MORE=1\n");
    let stack = EditedStack::start(project, &services);
    let first = stack.pids();
    let with = |keys: &str| format!("[stack]\n{keys}\n{services}");
    assert_eq!(stack.apply(&with("env = { LEVEL = \"x\" }")), ["a restart: env changed: LEVEL"]);
    assert_eq!(
        stack.apply(&with("env = { LEVEL = \"x\" }\nhost = \"::1\"")),
        ["a restart: host is now ::1, env changed: HOST"]
    );
    assert_eq!(stack.pids()["b"], first["b"]);
    assert_eq!(stack.pids()["c"], first["c"]);
    let plan =
        stack.apply(&with("env = { LEVEL = \"x\" }\nhost = \"::1\"\nenv_file = \"all.env\""));
    let more = |name: &str| format!("{name} restart: env changed: MORE");
    assert_eq!(plan, [more("a"), more("b"), more("c")]);
    let before = stack.pids();
    // The conflict policy does not concern services that have a port.
    let here = stack.up.here();
    stack.project.configure(&with(
        "env = { LEVEL = \"x\" }\nhost = \"::1\"\nenv_file = \"all.env\"\non_conflict = \"fail\"",
    ));
    assert_eq!(stack.save("c.env", "LEVEL=2\n"), ["c restart: env changed: LEVEL"]);
    let lines = stack.up.lines_since(here);
    assert_eq!(lines.iter().filter(|line| line.contains("applied")).count(), 1, "{lines:?}");
    assert_eq!((stack.pids()["a"], stack.pids()["b"]), (before["a"], before["b"]));
    stack.end();
}

#[test]
fn the_name_of_a_running_stack_does_not_change() {
    let stack = EditedStack::start(TestProject::new(), &idler("a", ""));
    let before = stack.pids();
    let other = ["[stack]\nname = \"other\"\n", &*idler("a", "env = { A = \"1\" }")].concat();
    let said = [
        "not applied: the stack must be restarted",
        "cannot rename the running stack from `app` to `other`",
        "set name = \"app\" under [stack], or run `devstack down` and `devstack up`",
    ];
    stack.apply_without_effect("devstack.toml", &other, &said);
    assert_eq!((stack.pids(), &stack.project.ps()["stack"]), (before.clone(), &"app".into()));
    // The name that it has may be written down.
    let here = stack.up.here();
    let same = ["[stack]\nname = \"app\"\n", &*idler("a", "")].concat();
    stack.project.configure(&same);
    stack.up.wait_since(here, "configuration is valid again; nothing changed");
    assert_eq!(stack.pids(), before);
    stack.end();
}

#[test]
fn edits_wait_while_the_file_says_so() {
    let file = |live: bool, services: &str| format!("[stack]\nlive = {live}\n{services}");
    let (a, b) = (idler("a", "watch = [\"source\"]"), idler("b", ""));
    let project = TestProject::new();
    project.write("source", "1");
    let stack = EditedStack::start(project, &file(false, &a));
    let before = stack.pids();
    let waits = "configuration changed but not applied (`live = false`)";
    stack.apply_without_effect("devstack.toml", &file(false, &[&*a, &b].concat()), &[waits]);
    assert_eq!(stack.plan()["changes"][0]["service"], "b");
    assert_eq!(stack.plan()["live"], false);
    stack.apply_without_effect(
        "devstack.toml",
        "no TOML",
        &["not applied: the configuration is invalid"],
    );
    stack.apply_without_effect(
        "devstack.toml",
        &file(false, &a),
        &["configuration matches the running stack again"],
    );
    assert_eq!(stack.pids(), before);
    // Sources are still watched.
    stack.project.write("source", "2");
    stack.up.wait_for("a * restarting: source changed");
    stack.project.wait_ps(|ps| service(ps, "a")["phase"] == "ready");
    // The edit that turns live reload on is applied itself.
    let here = stack.up.here();
    assert_eq!(stack.apply(&file(true, &[&*a, &b].concat())), ["b added"]);
    stack.up.wait_since(here, "configuration changes are applied again");
    let here = stack.up.here();
    assert_eq!(stack.apply(&file(false, &a)), ["b removed"]);
    stack.up.wait_since(here, "configuration changes are no longer applied");
    stack.apply_without_effect("devstack.toml", &file(false, &[&*a, &b].concat()), &[waits]);
    stack.end();
}

#[test]
fn without_watching_nothing_is_followed() {
    let project = TestProject::new();
    project.write("source", "1");
    let a = idler("a", "watch = [\"source\"]");
    let stack = EditedStack::start_with(project, &a, &["up", "--no-watch"]);
    let pids = stack.pids();
    let here = stack.up.here();
    stack.project.write("source", "2");
    stack.project.configure(&[&*a, &idler("b", "")].concat());
    // It has read the new file by the time it has answered.
    assert_eq!(stack.plan()["changes"][0]["service"], "b");
    assert_eq!((stack.pids(), stack.up.lines_since(here).len()), (pids, 0));
    stack.end();
}

#[test]
fn what_is_no_file_any_more_changes_nothing_until_it_is_one_again() {
    let good = idler("a", "color = \"red\"");
    let stack = EditedStack::start(TestProject::new(), &idler("a", ""));
    let before = stack.pids();
    // That a file goes is seen once it is watched, which it is soon after the start.
    assert_eq!(stack.apply(&good), ["a color changed, no restart needed"]);
    let path = stack.project.path("devstack.toml");
    let elsewhere = stack.project.outside("tmp").join("linked.toml");
    fs::write(&elsewhere, stack.project.read("devstack.toml")).expect("ours");
    type Make<'a> = &'a dyn Fn();
    let dir: Make<'_> = &|| fs::create_dir(&path).expect("free");
    let fifo: Make<'_> = &|| make_fifo(&path);
    let dangling: Make<'_> = &|| symlink("nowhere", &path).expect("free");
    let device: Make<'_> = &|| symlink("/dev/zero", &path).expect("free");
    let itself: Make<'_> = &|| symlink("devstack.toml", &path).expect("free");
    let large: Make<'_> = &|| fs::write(&path, " ".repeat(2 << 20)).expect("free");
    let nul: Make<'_> = &|| fs::write(&path, "[services.a]\ncommand = 'a\0b'\n").expect("free");
    let bomb: Make<'_> =
        &|| fs::write(&path, "x = ".to_owned() + &"[".repeat(20_000)).expect("free");
    let latin: Make<'_> = &|| fs::write(&path, b"[services.a]\ncommand = '\xe9'\n").expect("free");
    let cycle: Make<'_> = &|| {
        fs::write(&path, "[services.a]\ncommand = 'a'\nenv = { A = '$B', B = '$A' }\n")
            .expect("free");
    };
    let remove = || match path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        true => fs::remove_dir(&path).expect("empty"),
        false => fs::remove_file(&path).expect("there"),
    };
    let makes = [dir, fifo, dangling, device, itself, large, nul, bomb, latin, cycle];
    for (index, make) in makes.into_iter().enumerate() {
        let here = stack.up.here();
        remove();
        stack.up.wait_since(here, "not applied: ");
        make();
        // Whatever is reported, it is no plan.
        stack.project.devstack(["plan"]).run().expect_code(2);
        assert_eq!(stack.pids(), before, "{index}");
        remove();
        let here = stack.up.here();
        stack.project.configure(&good);
        stack.up.wait_since(here, "is valid again");
    }
    // A link to a good file is a good file, and followed where it leads.
    let here = stack.up.here();
    remove();
    stack.up.wait_since(here, "not applied: ");
    symlink(&elsewhere, &path).expect("free");
    stack.up.wait_since(here, "is valid again");
    let here = stack.up.here();
    let more = fs::read_to_string(&elsewhere).expect("ours").replace(".a]", ".b]");
    fs::write(&elsewhere, more).expect("ours");
    assert_eq!(stack.plan_since(here), ["b restart: renamed from a"]);
    stack.end();
}

#[test]
fn a_half_written_file_stops_nothing() {
    let file = |number: usize| {
        let keys = format!("env = {{ NUMBER = \"{number}\" }}");
        [&*idler("a", &keys), &idler("steady", "")].concat()
    };
    let stack = EditedStack::start(TestProject::new(), &file(0));
    let steady = stack.pids()["steady"];
    let path = stack.project.path("devstack.toml");
    let whole = |number| {
        let program = crate::support::misbehave().display().to_string();
        file(number).replace("{misbehave}", &program)
    };
    for number in 1..=6 {
        let here = stack.up.here();
        let text = whole(number);
        // Not a word of the second service: what there is of the file would remove it.
        let half = text.find("[services.steady]").expect("it is in it");
        fs::write(&path, &text[..half + number]).expect("ours");
        if number % 2 == 0 {
            stack.up.wait_since(here, "not applied: ");
        }
        fs::write(&path, &text).expect("ours");
        stack.up.wait_since(here, "restart: env changed: NUMBER");
        stack.project.wait_ps(|ps| service(ps, "a")["phase"] == "ready");
    }
    assert_eq!(stack.pids()["steady"], steady);
    assert!(!stack.up.stdout().contains("removed"), "{}", stack.up.stdout());
    stack.end();
}

#[test]
fn every_file_that_was_named_is_followed() {
    let project = TestProject::new();
    project.write("base.toml", &[&*idler("a", ""), &idler("b", "")].concat());
    project.write("over/more.toml", "[services.a]\nenv = { A = \"1\" }\n");
    let up = project.devstack(["up", "-f", "base.toml", "-f", "over/more.toml"]).start();
    up.wait_for("is up");
    let stack = EditedStack { project, up };
    let more = "[services.a]\nenv = { A = \"2\" }\n";
    assert_eq!(stack.save("over/more.toml", more), ["a restart: env changed: A"]);
    // What lies over it hides this one.
    let base = [&*idler("a", "env = { A = \"3\" }"), &idler("b", "env = { B = \"3\" }")].concat();
    assert_eq!(stack.save("base.toml", &base), ["b restart: env changed: B"]);
    // For one person, under what the command line adds; it comes and goes.
    let local = "[services.b]\nenv = { B = \"4\" }\n[services.a]\nenv = { A = \"4\" }\n";
    assert_eq!(stack.save("devstack.local.toml", local), ["b restart: env changed: B"]);
    let here = stack.up.here();
    fs::remove_file(stack.project.path("devstack.local.toml")).expect("it is there");
    assert_eq!(stack.plan_since(here), ["b restart: env changed: B"]);
    // A file that was named has to be there; the one for one person has not.
    let here = stack.up.here();
    fs::remove_file(stack.project.path("over/more.toml")).expect("it is there");
    stack.up.wait_since(here, "not applied: ");
    stack.up.wait_since(here, "over/more.toml");
    stack.end();
}

#[test]
fn another_project_above_is_not_taken_for_this_one() {
    let project = TestProject::with_config(&idler("above", ""));
    project.write("inner/devstack.toml", &idler("a", ""));
    let up = project.devstack(["up"]).dir("inner").start();
    up.wait_for("is up");
    project.write("inner/devstack.toml", &idler("a", "color = \"red\""));
    up.wait_for("color changed");
    let here = up.here();
    fs::remove_file(project.path("inner/devstack.toml")).expect("it is there");
    up.wait_since(here, "not applied: the stack must be restarted");
    up.wait_since(here, "cannot rename the running stack from `inner` to `app`");
    let here = up.here();
    project.write("inner/devstack.toml", &idler("a", "color = \"red\""));
    up.wait_since(here, "is valid again");
    project.end(&up);
}

#[test]
fn one_save_is_one_apply_with_every_editor() {
    let file = |number: usize| idler("a", &format!("description = \"{number}\""));
    let stack = EditedStack::start(TestProject::new(), &file(0));
    let before = stack.pids();
    let path = stack.project.path("devstack.toml");
    let program = crate::support::misbehave().display().to_string();
    const SAVES: usize = 40;
    for number in 1..=SAVES {
        let text = file(number).replace("{misbehave}", &program);
        match number % 3 {
            // As an editor that writes in place.
            0 => fs::write(&path, text).expect("ours"),
            // As one that writes beside it and renames.
            1 => {
                let draft = stack.project.path(".devstack.toml.swp");
                fs::write(&draft, text).expect("ours");
                fs::rename(draft, &path).expect("ours");
            }
            // As one that keeps a backup: for a moment there is no file.
            _ => {
                fs::rename(&path, stack.project.path("devstack.toml~")).expect("ours");
                fs::write(&path, text).expect("ours");
            }
        }
        stack.up.wait_count(number, "applied the new configuration");
    }
    // Anything that is still to come is older than this.
    stack.project.configure(&[&*file(SAVES), &idler("b", "")].concat());
    stack.up.wait_for("b * starting");
    let lines = stack.up.lines();
    let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!((count("applied the new"), count("not applied: ")), (SAVES + 1, 0), "{lines:?}");
    assert_eq!(stack.pids()["a"], before["a"]);
    stack.end();
}

#[test]
fn a_watch_of_the_whole_directory_ignores_the_files_of_the_stack() {
    let project = TestProject::new();
    project.write("of-c.env", "X=1\n");
    let text = [
        &*idler("all", "watch = true"),
        &idler("named", "watch = [\"devstack.toml\"]"),
        &idler("c", "env_file = \"of-c.env\""),
    ]
    .concat();
    let stack = EditedStack::start(project, &text);
    let before = stack.pids();
    assert_eq!(stack.save("of-c.env", "X=2\n"), ["c restart: env changed: X"]);
    assert_eq!(stack.apply(&(text.clone() + &idler("new", ""))), ["new added"]);
    stack.up.wait_for("named * restarting: devstack.toml changed");
    stack.project.write("source", "2");
    // What was saved last is reported last.
    stack.up.wait_for("all   * restarting: source changed");
    stack.project.wait_ps(|ps| service(ps, "all")["phase"] == "ready");
    assert_eq!(service(&stack.project.ps(), "all")["restarts"], 1);
    assert_ne!(stack.pids()["all"], before["all"]);
    stack.end();
}

#[test]
fn a_renamed_data_store_keeps_its_data() {
    let Some(_) = require_program("redis-server") else { return };
    let port = free_port();
    let file = |name: &str| {
        format!(
            "[services.{name}]\npreset = \"redis\"\nport = {port}\nenv = {{ PATH = \"{}\" }}\n",
            std::env::var("PATH").expect("it is set")
        )
    };
    let stack = EditedStack::start(TestProject::new(), &file("db"));
    std::fs::write(stack.project.path(".devstack/data/db/mine"), "1").expect("it is there");
    let here = stack.up.here();
    assert_eq!(stack.apply(&file("cache")), ["cache restart: renamed from db"]);
    stack.up.wait_since(here, "moved its data from .devstack/data/db to .devstack/data/cache");
    stack.up.wait_since(here, "cache * ready");
    assert_eq!(stack.project.read(".devstack/data/cache/mine"), "1");
    assert!(!stack.project.path(".devstack/data/db").exists());
    stack.up.wait_since(here, "stopping: renamed to cache");
    // What is there is never overwritten.
    std::fs::create_dir(stack.project.path(".devstack/data/db")).expect("it is free");
    let here = stack.up.here();
    stack.apply(&file("db"));
    stack.up.wait_since(here, "its data under its former name stays in .devstack/data/cache");
    stack.end();
}

#[test]
fn an_edit_of_a_port_is_the_reason_that_is_given() {
    let port = free_ports(2);
    let file = |port: u16| {
        format!(
            "[services.api]\ncommand = [\"{{misbehave}}\", \"listen\"]\nport = {port}\n\
             [services.web]\ncommand = [\"{{misbehave}}\", \"run\"]\ndepends_on = [\"api\"]\n\
             env = {{ API = \"${{api.url}}/x\" }}\n"
        )
    };
    let stack = EditedStack::start(TestProject::new(), &file(port));
    let to = port + 1;
    assert_eq!(
        stack.apply(&file(to)),
        [format!("api restart: port {port} → {to}"), format!("web restart: api moved to {to}")]
    );
    // Other changes are named beside it.
    let more = file(port).replace("env = {", "env = { A = \"1\",");
    assert_eq!(
        stack.apply(&more),
        [
            format!("api restart: port {to} → {port}"),
            format!("web restart: api moved to {port}, env changed: A")
        ]
    );
    stack.end();
}

/// A stand-in for a data store, so that the test runs everywhere.
#[test]
fn data_of_a_service_renamed_while_the_stack_is_down_comes_along() {
    let project = TestProject::new();
    project.write("bin/redis-server", "#!/bin/sh\nexec \"{misbehave}\" run\n");
    let program = project.path("bin/redis-server");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let path = std::env::var("PATH").expect("it is set");
    let path = format!("{}:{path}", project.path("bin").display());
    let redis = |name: &str| {
        format!(
            "[services.{name}]\npreset = \"redis\"\nport = \"auto\"\nready = {{ log = \"ready\" }}\nenv = {{ PATH = \"{path}\" }}\n"
        )
    };
    let start = |names: &[&str]| {
        project.configure(&names.iter().map(|name| redis(name)).collect::<String>());
        let up = project.up();
        up.end();
        up.lines()
    };
    let data = |name: &str| project.path(format!(".devstack/data/{name}"));
    let says = |lines: &[String], text: &str| lines.iter().any(|line| line.contains(text));
    start(&["db"]);
    fs::write(data("db").join("mine"), "1").expect("it is there");
    let lines = start(&["web"]);
    let said = "web takes over the data of db, which is no longer in devstack.toml";
    assert!(says(&lines, said), "{lines:?}");
    assert!(data("web").join("mine").exists() && !data("db").exists());
    // Of two, either may be meant.
    start(&["web", "other"]);
    let lines = start(&["cache"]);
    let said = "cache starts with new data; that of other, web, no longer in devstack.toml, stays";
    assert!(says(&lines, said), "{lines:?}");
    assert!(data("web").join("mine").exists() && data("other").exists());
    // Known from then on.
    let lines = start(&["cache"]);
    assert!(!says(&lines, "data of") && !says(&lines, "new data"), "{lines:?}");
    project.finish();
}
