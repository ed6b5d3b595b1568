//! Containers that a service's command starts itself: what listens on its port is a program of the
//! engine, and none of its own.

use super::engine::{Engine, IMAGE, Kind, ok};
use crate::support::{TestProject, eventually, kill_all_at_once, require_program};

/// A container that was there before.
pub fn a_started_container_is_its_own_and_stays(engine: &Engine) {
    let name = format!("before-{}", engine.name());
    let words = ["create", "--name", &name, "--init", "-p", "127.0.0.1:18430:8080", IMAGE];
    let created = engine.program(&words, &[]);
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let project = TestProject::new();
    let option = if engine.kind == Kind::Docker { "--host" } else { "--url" };
    let (program, socket) = (engine.name(), engine.socket.display());
    project.configure(&format!(
        "[stack]\nname = 'again'
            [services.web]\nport = 18430
            command = '{program} {option} unix://{socket} start --attach {name}'"
    ));
    // Its creation must lie in the past, also in whole seconds.
    let created = || engine.ask(&format!("/containers/{name}/json"))["Created"].clone();
    let second = created().as_str().expect("a time").get(..19).expect("long").to_owned();
    eventually("another second", || {
        (engine.ask("/info")["SystemTime"].as_str()?.get(..19)? > second.as_str()).then_some(())
    });
    let running = || engine.ask(&format!("/containers/{name}/json"))["State"]["Running"] == true;
    let start = || {
        let up = engine.devstack(&project, &["up"]).start();
        up.wait_for("again is up");
        assert_eq!(engine.get(18430, "/").expect("it answers"), "inside\n");
        up
    };
    start().end();
    assert!(!running());
    // The supervisor: the guard stops it. All at once: the next command does.
    start().kill9();
    eventually("it to stop", || (!running()).then_some(()));
    eventually("the guard to end", || project.alive().is_empty().then_some(()));
    let up = start();
    kill_all_at_once(&up);
    assert!(running());
    let down = ok(engine.devstack(&project, &["down"]));
    assert!(down.stdout.contains("(stopped)"), "{down:?}");
    assert!(!running());
    assert!(engine.program(&["rm", &name], &[]).status.success(), "it is still there");
    project.finish();
}

/// An engine that devstack cannot ask.
pub fn what_cannot_be_told_says_what_to_write(engine: &Engine) {
    let project = TestProject::new();
    let (program, socket) = (engine.name(), engine.socket.display());
    let option = if engine.kind == Kind::Docker { "--host" } else { "--url" };
    let run = format!("run --rm --init -p 127.0.0.1:$PORT:8080 {IMAGE}");
    project.write(
        "devstack.toml",
        &format!(
            "[stack]\nname = 'untold'
            [services.web]\nport = 18445\ncommand = '{program} {option} unix://{socket} {run}'"
        ),
    );
    let nowhere = "unix:///nowhere.sock";
    let up = engine.devstack(&project, &["up"]).env("DOCKER_HOST", nowhere);
    let up = up.env("CONTAINER_HOST", nowhere).start();
    up.wait_for("port 18445 is in use by ");
    up.wait_for("write `image = …` instead of `command`");
    up.interrupt();
    up.wait_exit();
    eventually("its container to end", || {
        let all = engine.ask("/containers/json?all=true");
        let publishes = |one: &serde_json::Value| one["Ports"][0]["PublicPort"] == 18445;
        (!all.as_array().expect("a list").iter().any(publishes)).then_some(())
    });
    project.finish();
}

pub fn what_compose_starts_is_its_own(engine: &Engine) {
    let Some(compose) = require_program("docker-compose") else { return };
    let project = TestProject::new();
    project.write(
        "compose.yaml",
        &format!(
            "version: '3'\nservices:\n  inner:\n    image: {IMAGE}\n    init: true\n    \
             ports: ['127.0.0.1:18440:8080']\n    volumes: ['/kept']\n"
        ),
    );
    let (at, socket) = (compose.display(), engine.socket.display());
    let name = format!("composed-{}", engine.name());
    project.configure(&format!(
        "[stack]\nname = 'composed'
            [services.web]\nport = 18440\nenv = {{ DOCKER_HOST = 'unix://{socket}' }}
            command = '{at} --file compose.yaml --project-name {name} up'"
    ));
    let of_compose = || {
        let all = engine.ask("/containers/json?all=true");
        let all = all.as_array().expect("a list").iter();
        let own = all.filter(|one| one["Labels"]["com.docker.compose.project"] == name.as_str());
        own.map(|one| (one["Id"].clone(), one["State"] == "running")).collect::<Vec<_>>()
    };
    // The second start takes the container of the first one.
    let mut first = None;
    for _ in 0..2 {
        let up = engine.devstack(&project, &["up"]).start();
        up.wait_for("composed is up");
        assert_eq!(engine.get(18440, "/").expect("it answers"), "inside\n");
        up.end();
        let [(id, false)] = &of_compose()[..] else { panic!("{:?}", of_compose()) };
        assert_eq!(first.get_or_insert(id.clone()), id);
    }
    let down = project.program(&compose).env("DOCKER_HOST", format!("unix://{socket}"));
    down.args(["--file", "compose.yaml", "--project-name", &name, "down"]).run().expect_code(0);
    assert_eq!(of_compose(), []);
    project.finish();
}
