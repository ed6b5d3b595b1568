use super::engine::{Engine, IMAGE, Kind, ok};
use super::registry::{REGISTRY, Registry};
use crate::support::{TestProject, eventually};

pub fn what_the_engine_refuses_is_said_once(engine: &Engine) {
    let project = TestProject::new();
    project.write(
        "devstack.toml",
        &format!(
            "[stack]\nname = 'refused'
            [services.none]\nimage = '{IMAGE}'\ncommand = ['nosuchprogram']
            port = {{ prefer = 18310, inside = 8080 }}
            [services.user]\nimage = '{IMAGE}'\nuser = 'nobody-at-all'
            port = {{ prefer = 18311, inside = 8080 }}
            [services.mount]\nimage = '{IMAGE}'\nvolumes = ['./not-there/at-all:/x']
            port = {{ prefer = 18312, inside = 8080 }}
            [services.exits]\nimage = '{IMAGE}'\ncommand = ['sh', '-c', 'echo own words; exit 127']
            port = {{ prefer = 18313, inside = 8080 }}\nrestart = 'no'"
        ),
    );
    let up = engine.devstack(&project, &["up"]).run().expect_code(1);
    let all = up.stdout;
    for name in ["none", "user", "mount"] {
        let refused = |line: &&str| {
            line.starts_with(name)
                && line.contains("failed: ")
                && line.contains("did not start the container: ")
        };
        // The next try would be refused as well.
        assert!(all.lines().any(|line| refused(&line)), "{name}: {all}");
        assert!(!all.contains("attempt 2"), "{all}");
    }
    assert!(all.contains("programs are looked up inside localhost/box:1"), "{all}");
    assert!(all.contains("exits * failed: exited with code 127"), "{all}");
    engine.assert_clean("refused");
    project.finish();
}

pub fn it_says_what_keeps_an_image_away(engine: &Engine) {
    let project = TestProject::new();
    let write = |image: &str, pull: &str| {
        let text = format!(
            "[stack]\nname = 'away'\n[services.web]\nimage = '{image}'\npull = '{pull}'
            port = {{ prefer = 18320, inside = 8080 }}"
        );
        project.write("devstack.toml", &text);
    };
    let run = |image: &str, pull: &str| {
        write(image, pull);
        let run = engine.devstack(&project, &["run", "--", "true"]).run();
        assert_eq!(run.code(), 120, "{run:?}");
        engine.assert_clean("away");
        run.stderr + &run.stdout
    };
    let text = run("localhost:1/nothing:1", "missing");
    assert!(text.contains("pull of localhost:1/nothing:1 failed: "), "{text}");
    let text = run("localhost/nothing:1", "never");
    assert!(text.contains("has no image localhost/nothing:1, and `pull` is \"never\""), "{text}");
    let text = run(IMAGE, "always");
    assert!(text.contains(&format!("pull of {IMAGE} failed: ")), "{text}");
    // Nothing answers at the socket.
    write(IMAGE, "missing");
    let (variable, name) = match engine.kind {
        Kind::Docker => ("DOCKER_HOST", "Docker is not running"),
        Kind::Podman => ("CONTAINER_HOST", "the API of Podman is not running"),
    };
    let both = format!("engine = '{}'", engine.name());
    project
        .write("devstack.toml", &project.read("devstack.toml").replace("pull = 'missing'", &both));
    let run = engine
        .devstack(&project, &["run", "--", "true"])
        .env(variable, "unix:///nowhere.sock")
        .run();
    assert_eq!(run.code(), 120);
    let text = run.stderr + &run.stdout;
    assert!(text.contains(name) && text.contains("/nowhere.sock"), "{text}");
    project.finish();
}

pub fn it_says_why_a_registry_refuses(engine: &Engine) {
    // In a network of its own: there is one registry in each.
    let engine = &Engine::start(engine.kind).expect("another one runs");
    Registry::start(engine, None);
    let project = TestProject::new();
    for (status, help) in [
        (401, "for a private one run `docker login` or `podman login` first"),
        (403, "for a private one run `docker login` or `podman login` first"),
        (404, "check the name and the tag of the image"),
        (500, "the registry has a problem of its own: try again later"),
    ] {
        let image = format!("127.0.0.1:{REGISTRY}/status-{status}/x:1");
        let text = format!(
            "[stack]\nname = 'denied'\n[services.web]\nimage = '{image}'
            port = {{ prefer = 18451, inside = 8080 }}\nvolumes = ['data:/data']"
        );
        project.write("devstack.toml", &text);
        let run = engine.devstack(&project, &["run", "--", "true"]).run();
        assert_eq!(run.code(), 120, "{run:?}");
        let all = run.stderr + &run.stdout;
        assert!(all.contains(&format!("pull of {image} failed: ")), "{all}");
        assert!(all.contains(help), "{all}");
        engine.assert_clean("denied");
        let volumes = engine.ask("/volumes");
        assert!(volumes["Volumes"].as_array().is_none_or(Vec::is_empty), "{volumes}");
    }
    project.finish();
}

/// A pull takes as long as it takes.
pub fn a_pull_is_shown_and_not_timed(engine: &Engine) {
    let engine = &Engine::start(engine.kind).expect("another one runs");
    let root = tempfile::tempdir().expect("a directory");
    Engine::fill_root(root.path());
    let registry = Registry::start(engine, Some(root.path()));
    let project = TestProject::new();
    let image = format!("127.0.0.1:{REGISTRY}/box:2");
    project.write(
        "devstack.toml",
        &format!(
            "[stack]\nname = 'pulls'
            [services.web]\nimage = '{image}'\nport = {{ prefer = 18452, inside = 8080 }}
            ready = {{ timeout = '300ms' }}
            [services.late]\ncommand = '{{misbehave}} run'
            ready = {{ exec = 'false', timeout = '300ms' }}"
        ),
    );
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("late * not ready yet after 300ms");
    eventually("the pull to be shown", || {
        let why = engine.devstack(&project, &["why", "web"]).run();
        why.stdout.contains(&format!("pulling {image}")).then_some(())
    });
    let all = up.stdout();
    assert!(!all.lines().any(|line| line.starts_with("web") && line.contains("300ms")), "{all}");
    registry.open();
    up.wait_for("web  * ready in");
    assert_eq!(engine.get(18452, "/").expect("it answers"), "inside\n");
    up.end();
    // It is pulled again, and found unchanged.
    let text = project
        .read("devstack.toml")
        .replace("[services.late]", "pull = 'always'\n[services.late]");
    project.write("devstack.toml", &text);
    let up = engine.devstack(&project, &["up", "web"]).start();
    up.wait_for("pulls is up");
    up.end();
    engine.assert_clean("pulls");
    project.finish();
}

pub fn a_full_disk_is_said(engine: &Engine) {
    let engine = &Engine::start_with(engine.kind, "64m").expect("another one runs");
    let project = TestProject::new();
    project.write("box/Dockerfile", &format!("FROM {IMAGE}\nCOPY big /\n"));
    project.write("box/big", &"x".repeat(1 << 20));
    let write = |what: &str| {
        let text = format!(
            "[stack]\nname = 'full'
            [services.web]\n{what}\nport = {{ prefer = 18470, inside = 8080 }}"
        );
        project.write("devstack.toml", &text);
    };
    let run = || {
        let run = engine.devstack(&project, &["run", "--", "true"]);
        let run = run.env("DOCKER_BUILDKIT", "0").run();
        (run.code(), run.stderr + &run.stdout)
    };
    let root = tempfile::tempdir().expect("a directory");
    Engine::fill_root(root.path());
    Registry::start(engine, Some(root.path())).open();
    for (what, did) in [
        (format!("image = '127.0.0.1:{REGISTRY}/box:2'"), "pull of "),
        ("build = 'box'".to_owned(), "build of "),
        (format!("image = '{IMAGE}'"), "did not start the container: "),
    ] {
        write(&what);
        engine.fill(true);
        let (code, all) = run();
        assert_eq!(code, 120, "{all}");
        assert!(all.contains(did) && all.contains("no space left on device"), "{all}");
        assert!(all.contains("free space: "), "{all}");
        engine.fill(false);
        engine.assert_clean("full");
        assert_eq!(run().0, 0, "with space, it starts");
        engine.assert_clean("full");
    }
    project.finish();
}

pub fn an_engine_that_is_missing_is_said(engine: &Engine) {
    let project = TestProject::new();
    project.write("empty/.keep", "");
    let name = engine.name();
    let both = "no container engine is installed: neither `docker` nor `podman` is in PATH";
    let one = format!("is not installed: `{name}` is not in PATH");
    for (key, said) in [("auto", both), (name, &one)] {
        project.write(
            "devstack.toml",
            &format!(
                "[stack]\nname = 'nothing'\nengine = '{key}'
                [services.web]\nimage = '{IMAGE}'\nport = {{ prefer = 18471, inside = 8080 }}
                [services.app]\ncommand = ['{{misbehave}}', 'run']"
            ),
        );
        let up = engine.devstack(&project, &["up"]).env("PATH", project.path("empty")).start();
        up.wait_for(said);
        // What needs no engine runs.
        up.wait_for("app | ready");
        up.interrupt();
        up.wait_exit();
        engine.assert_clean("nothing");
    }
    project.finish();
}

/// A stack that ends while its engine is away says so, and the next command finishes.
pub fn what_a_gone_engine_keeps_is_removed_later(engine: &Engine) {
    let engine = &Engine::start(engine.kind).expect("another one runs");
    let project = TestProject::new();
    project.write(
        "devstack.toml",
        &format!(
            "[stack]\nname = 'gone'
            [services.web]\nimage = '{IMAGE}'\nport = {{ prefer = 18472, inside = 8080 }}"
        ),
    );
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("gone is up");
    engine.stop();
    eventually("it to wait for the engine", || {
        let why = engine.devstack(&project, &["why", "web"]).run();
        why.stdout.contains("waiting for its container engine: ").then_some(())
    });
    up.interrupt();
    up.wait_exit();
    let all = up.stdout() + &up.stderr();
    assert!(all.contains("cannot remove the containers of the stack: "), "{all}");
    assert!(all.contains("start the engine, then run `devstack down`"), "{all}");
    // What may still run has no second copy, and nothing forgets it.
    let again = engine.devstack(&project, &["up"]).run();
    assert_ne!(again.code(), 0);
    assert!(again.stderr.contains("cannot remove leftover containers"), "{again:?}");
    let down = engine.devstack(&project, &["down"]).run().expect_code(1);
    assert!(down.stderr.contains("cannot remove leftover containers"), "{down:?}");
    engine.start_again();
    assert_eq!(engine.networks("gone").len(), 1);
    ok(engine.devstack(&project, &["down"]));
    engine.assert_clean("gone");
    project.finish();
}

pub fn a_strangers_container_stays(engine: &Engine) {
    let project = TestProject::new();
    project.write(
        "devstack.toml",
        &format!(
            "[stack]\nname = 'named'
            [services.web]\nimage = '{IMAGE}'\nport = {{ prefer = 18460, inside = 8080 }}"
        ),
    );
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("named is up");
    let [name] = &engine.containers("named")[..] else { panic!("one container") };
    // That of the next run.
    let next = name.replace("-web-1-", "-web-2-");
    assert_ne!(*name, next);
    let stranger = engine.program(&["run", "--detach", "--init", "--name", &next, IMAGE], &[]);
    assert!(stranger.status.success(), "{}", String::from_utf8_lossy(&stranger.stderr));
    let restart = engine.devstack(&project, &["restart", "web"]).run();
    assert_ne!(restart.code(), 0, "{restart:?}");
    up.wait_for("did not start the container: ");
    up.wait_for("another container has this name");
    let about = engine.ask(&format!("/containers/{next}/json"));
    assert_eq!(about["State"]["Running"], true, "{about}");
    up.interrupt();
    up.wait_exit();
    engine.assert_clean("named");
    assert_eq!(engine.ask(&format!("/containers/{next}/json"))["State"]["Running"], true);
    assert!(engine.program(&["rm", "--force", &next], &[]).status.success());
    project.finish();
}

pub fn a_restarted_engine_is_waited_for(engine: &Engine) {
    // One of its own: the others go on with theirs.
    let engine = &Engine::start(engine.kind).expect("another one runs");
    let project = TestProject::new();
    project.write(
        "devstack.toml",
        &format!(
            "[stack]\nname = 'waits'
            [services.web]\nimage = '{IMAGE}'\nport = {{ prefer = 18330, inside = 8080 }}"
        ),
    );
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("waits is up");
    let here = up.here();
    engine.restart();
    if engine.kind == Kind::Docker {
        // The container ended with it. That of Podman goes on.
        up.wait_since(here, "web * ready in");
    }
    eventually("the service to answer", || {
        engine.get(18330, "/").is_ok_and(|page| page == "inside\n").then_some(())
    });
    assert_eq!(engine.containers("waits").len(), 1);
    up.end();
    engine.assert_clean("waits");
    project.finish();
}

pub fn the_end_of_memory_is_said(engine: &Engine) {
    let project = TestProject::new();
    project.write("gate/.keep", "");
    let eat = "busybox dd if=/dev/zero of=/dev/null bs=200M count=1";
    project.write(
        "devstack.toml",
        &format!(
            "[stack]\nname = 'hungry'
            [services.web]\nimage = '{IMAGE}'\nvolumes = ['./gate:/gate']\nrestart = 'no'
            entrypoint = ['sh', '-c']
            command = ['until [ -e /gate/open ]; do sleep 0.05; done; exec {eat}']
            [services.other]\ncommand = '{{misbehave}} run'"
        ),
    );
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("hungry is up");
    let name = eventually("the container to run", || {
        let name = engine.containers("hungry").pop()?;
        let state = &engine.ask(&format!("/containers/{name}/json"))["State"];
        (state["Running"] == true).then_some(name)
    });
    engine.limit_memory(&name);
    project.write("gate/open", "");
    up.wait_for("web   * failed: exited with code 137");
    let said = "killed: out of memory, limit 32 MiB";
    up.wait_for(said);
    let why = ok(engine.devstack(&project, &["why", "web"])).stdout;
    assert!(why.contains(said), "{why}");
    up.end();
    engine.assert_clean("hungry");
    project.finish();
}
