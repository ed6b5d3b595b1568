//! Services and builds that fail: when they count as ready again, and what is shown of them.

use crate::support::{TestProject, service, up};

#[test]
fn a_crash_loop_beside_a_server_is_not_up() {
    let project = TestProject::with_config(
        r#"
        [services.bad]
        command = "echo boom; exit 1"
        restart = { max = 3, delay = "10ms" }
        [services.web]
        command = ["{misbehave}", "run"]
        "#,
    );
    let ended = project.devstack(["up", "-d"]).run().expect_code(1);
    assert!(ended.stderr.contains("not all services are ready: bad failed"), "{ended:?}");
    assert!(!ended.stdout.contains("is up"), "{ended:?}");
    // Why it is tried again is shown at once, and again only with the result.
    let first = "bad * exit 1; attempt 2 in 10ms\n        | boom\nbad * ";
    assert!(ended.stdout.contains(first), "{ended:?}");
    assert_eq!(ended.stdout.matches("| boom").count(), 2, "{ended:?}");
    let waited = project.devstack(["wait"]).run().expect_code(1);
    assert!(waited.stderr.contains("bad failed: exited 3 times"), "{waited:?}");
    project.devstack(["down"]).run().expect_code(0);
    project.finish();
}

#[test]
fn a_save_that_breaks_it_is_tried_three_times_and_shown_once() {
    let project = TestProject::new();
    project.write("app.sh", "echo begun\nexec sleep 1000\n");
    project.configure(
        "[services.api]\ncommand = 'sh app.sh'\nwatch = ['app.sh']\nrestart = { delay = '10ms' }\n",
    );
    let up = project.up();
    // Otherwise the first run could read what is saved.
    up.wait_for("api | begun");
    // At once: to truncate and to write may be two changes.
    let save = |text: &str| {
        let new = project.write("app.new", text);
        std::fs::rename(new, project.path("app.sh")).expect("the project is ours");
    };
    save("echo trace\necho back\nexit 1\n");
    up.wait_for("api * failed: exited 3 times since app.sh changed; last: exit 1");
    up.wait_for("help: fix it and save to start it again");
    let count = |text: &str, what: &str| text.matches(what).count();
    assert_eq!(count(&up.stdout(), "api | trace"), 1, "{}", up.stdout());
    assert_eq!(count(&up.stdout(), "api * the same output as before, 2 lines; "), 2);
    assert_eq!(count(&up.stdout(), "2 lines; 3 times so far"), 1, "{}", up.stdout());
    // The files have every line.
    let log = project.devstack(["logs", "api", "--no-prefix"]).run().expect_code(0);
    assert_eq!(count(&log.stdout, "trace\nback\n"), 3, "{log:?}");
    save("echo good\nexec sleep 1000\n");
    up.wait_for("api | good");
    project.wait_ps(|ps| service(ps, "api")["phase"] == "ready");
    project.end(&up);
}

#[test]
fn a_failed_build_is_a_line_in_ps_and_a_block_in_why() {
    let project = TestProject::new();
    project.write("main.c", "");
    project.configure("[services.api]\ncommand = ['{misbehave}', 'run']\n\
         watch = { paths = ['main.c'], run = 'echo error: no such type; echo at main.c; exit 3' }\n");
    let up = project.up();
    let pid = service(&project.ps(), "api")["pid"].clone();
    project.write("main.c", "broken");
    up.wait_for("failed (exit 3)");
    let ps = project.devstack(["ps"]).run().expect_code(0).stdout;
    assert!(ps.contains("failed (exit 3)\n") && !ps.contains("no such type\n"), "{ps}");
    let why = project.devstack(["why", "api"]).run().expect_code(0).stdout;
    assert!(why.contains("failed (exit 3)\n    | error: no such type\n    | at main.c\n"), "{why}");
    assert_eq!(service(&project.ps(), "api")["pid"], pid);
    project.end(&up);
}

#[test]
fn a_stop_says_what_still_needs_the_service() {
    let (project, up) = up("[services.db]\ncommand = ['{misbehave}', 'run']\n\
         [services.api]\ncommand = ['{misbehave}', 'run']\ndepends_on = ['db']\n");
    up.wait_for("is up");
    let stop = |name: &str| project.devstack(["stop", name]).run().expect_code(0).stdout;
    assert_eq!(stop("db"), "stopped db; api depends on it and keeps running\n");
    assert_eq!(stop("api"), "stopped api\n");
    project.end(&up);
}

#[test]
fn health_that_recovers_is_not_a_new_start() {
    let project = TestProject::new();
    let good = project.write("good", "");
    project.configure(
        "[services.api]\ncommand = ['{misbehave}', 'run']\n\
         health = { exec = 'test -e good', interval = '20ms', failures = 1 }\n",
    );
    let up = project.up();
    std::fs::remove_file(&good).expect("it is there");
    up.wait_for("api * unhealthy");
    project.write("good", "");
    up.wait_for("api * healthy again");
    assert!(!up.stdout().contains("api * ready"), "{}", up.stdout());
    project.end(&up);
}
