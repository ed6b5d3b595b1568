//! Which services there are: `profiles` and `replicas`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{MarkerLog, RunningProgram, TestProject, http_get, service};

fn up(project: &TestProject, config: &str, args: &[&str]) -> RunningProgram {
    project.configure(config);
    let up = project.devstack([&["up"], args].concat()).start();
    up.wait_for("is up");
    up
}

fn ready(ps: &Value) -> Vec<String> {
    let services = ps["services"].as_array().expect("a list");
    let ready = services.iter().filter(|service| service["phase"] == "ready");
    ready.map(|service| service["name"].as_str().expect("a name").to_owned()).collect()
}

const PROFILES: &str = r#"
    [services.api]
    command = ["{misbehave}", "run"]
    [services.mail]
    command = ["{misbehave}", "run"]
    profiles = ["mail", "all"]
    [services.traces]
    command = ["{misbehave}", "run"]
    profiles = ["ops", "all"]
    depends_on = ["store"]
    [services.store]
    command = ["{misbehave}", "run"]
    profiles = ["ops"]
    "#;

#[test]
fn a_profile_starts_what_it_names() {
    for (args, ready_then) in [
        (&[][..], &["api"][..]),
        (&["--profile", "mail"], &["api", "mail"]),
        (&["--profile", "ops"], &["api", "store", "traces"]),
        (&["--profile", "mail", "--profile", "ops"], &["api", "mail", "store", "traces"]),
        // A service selected by name needs no profile.
        (&["mail"], &["mail"]),
    ] {
        let project = TestProject::new();
        let up = up(&project, PROFILES, args);
        assert_eq!(ready(&project.ps()), ready_then, "{args:?}");
        project.end(&up);
    }
}

#[test]
fn the_environment_chooses_profiles_too_and_a_start_can_do_without() {
    let project = TestProject::with_config(PROFILES);
    let up = project.devstack(["up"]).env("DEVSTACK_PROFILES", "mail,").start();
    up.wait_for("is up");
    assert_eq!(ready(&project.ps()), ["api", "mail"]);
    project.devstack(["start", "traces"]).run().expect_code(0);
    assert_eq!(ready(&project.ps()), ["api", "mail", "store", "traces"]);
    project.end(&up);
}

#[test]
fn an_unknown_or_incomplete_profile_is_an_error() {
    let project = TestProject::with_config(PROFILES);
    let ended = project.devstack(["up", "--profile", "all"]).run().expect_code(2);
    assert!(ended.stderr.contains("which starts only with profile `ops`"), "{}", ended.stderr);
    let ended = project.devstack(["up", "--profile", "mial"]).run().expect_code(2);
    assert!(ended.stderr.contains("mial") && ended.stderr.contains("mail"), "{}", ended.stderr);
    project.finish();
}

const REPLICAS: &str = r#"
    [services.api]
    command = ["{misbehave}", "listen", "--http", "--text", "replica"]
    port = "auto"
    replicas = 3
    [services.mark]
    command = "{misbehave} print-env DEVSTACK_REPLICA DEVSTACK_SERVICE; exec {misbehave} marker marks --trap"
    replicas = 2
    [services.web]
    command = ["{misbehave}", "run"]
    depends_on = ["api"]
    "#;

#[test]
fn each_replica_is_a_service_of_its_own() {
    let project = TestProject::new();
    let up = up(&project, REPLICAS, &[]);
    let ps = project.ps();
    let names = ["api-1", "api-2", "api-3"];
    let ports: BTreeSet<u64> =
        names.iter().map(|name| service(&ps, name)["port"].as_u64().expect("a port")).collect();
    assert_eq!(ports.len(), 3);
    for name in names {
        let view = service(&ps, name);
        let reply = http_get(view["port"].as_u64().expect("a port") as u16, "/").json();
        assert_eq!(reply["pid"], view["pid"]);
    }
    for number in 1..=2 {
        up.wait_for(&format!("mark-{number} | DEVSTACK_REPLICA={number}"));
        up.wait_for(&format!("mark-{number} | DEVSTACK_SERVICE=mark-{number}"));
    }
    // The name of the service means all of them, and only them.
    project.devstack(["stop", "api"]).run().expect_code(0);
    let ps = project.ps();
    for name in names {
        assert_eq!(service(&ps, name)["phase"], "idle");
    }
    assert_eq!(ready(&ps), ["mark-1", "mark-2", "web"]);
    project.devstack(["start", "api-2"]).run().expect_code(0);
    assert_eq!(service(&project.ps(), "api-1")["phase"], "idle");
    project.devstack(["restart", "api"]).run().expect_code(0);
    let after = project.ps();
    for name in names {
        assert_eq!(service(&after, name)["phase"], "ready");
        assert_eq!(service(&after, name)["port"], service(&project.ps(), name)["port"]);
    }
    let logs = project.devstack(["logs", "api", "-n", "100"]).run().expect_code(0).stdout;
    let of: BTreeSet<&str> =
        logs.lines().filter_map(|line| Some(line.split_once(" |")?.0.trim())).collect();
    assert_eq!(of.into_iter().collect::<Vec<_>>(), names, "{logs}");
    project.end(&up);
}

#[test]
fn a_crash_of_one_replica_is_its_own() {
    let project = TestProject::new();
    let up = up(&project, REPLICAS, &[]);
    let marks = project.path("marks");
    MarkerLog::wait_starts(&marks, "mark-1", 1);
    MarkerLog::wait_starts(&marks, "mark-2", 1);
    let before = project.ps();
    let pid = service(&before, "mark-1")["pid"].to_string();
    project.program("/bin/kill").args(["-KILL", &pid]).run().expect_code(0);
    MarkerLog::wait_starts(&marks, "mark-1", 2);
    let after = project.wait_ps(|ps| service(ps, "mark-1")["phase"] == "ready");
    assert_eq!(service(&after, "mark-2")["pid"], service(&before, "mark-2")["pid"]);
    // Fewer of them: those beyond go, the others stay.
    let fewer = REPLICAS.replace("replicas = 3", "replicas = 2");
    project.configure(&fewer);
    up.wait_for("api-3  * stopping: removed from the configuration");
    let last = project.wait_ps(|ps| !ps.to_string().contains("\"api-3\""));
    for name in ["api-1", "api-2", "mark-1", "mark-2"] {
        assert_eq!(service(&last, name)["pid"], service(&after, name)["pid"], "{name}");
    }
    up.end();
    MarkerLog::read(&marks).assert_no_overlap();
    project.finish();
}
