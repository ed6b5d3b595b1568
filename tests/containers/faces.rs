//! Commands and keys that mean for a container what they mean for a program.

use super::engine::{Engine, IMAGE, ok};
use crate::support::{TestProject, eventually, service};

pub fn each_kind_of_readiness_and_health_counts(engine: &Engine) {
    let project = TestProject::new();
    let late = |opens: &str| {
        format!(
            "image = '{IMAGE}'\nvolumes = ['./gate:/gate']\nentrypoint = ['sh', '-c']
            command = [\"until [ -e /gate/open ]; do sleep 0.05; done; {opens}\"]"
        )
    };
    let web = late("exec httpd -f -p 8080 -h /www");
    let writes = late("touch /tmp/done; echo now it is done; exec sleep 1000");
    project.write("gate/.keep", "");
    project.write("gate/well", "");
    project.configure(&format!(
            "[stack]\nname = 'kinds'
            [services.tcp]\n{web}\nport = {{ prefer = 18400, inside = 8080 }}\nready = {{ tcp = true }}
            health = {{ exec = ['cat', '/gate/well'], interval = '50ms', failures = 1 }}
            [services.http]\n{web}\nport = {{ prefer = 18401, inside = 8080 }}\nready = {{ http = '/' }}
            health = {{ http = '/', interval = '50ms', failures = 1 }}
            [services.log]\n{writes}\nready = {{ log = 'it is done' }}
            [services.exec]\n{writes}\nready = {{ exec = ['cat', '/tmp/done'] }}"
        ));
    let up = engine.devstack(&project, &["up"]).start();
    let phase = |name: &str| {
        let ps = engine.devstack(&project, &["ps", "--json"]).run().expect_code(0).json();
        service(&ps, name)["phase"].as_str().expect("a phase").to_owned()
    };
    let all = ["tcp", "http", "log", "exec"];
    let waits = |name: &str, text: &str| {
        eventually("the reason why it is not ready", || {
            let why = engine.devstack(&project, &["why", name]).run();
            why.stdout.contains(text).then_some(())
        });
    };
    waits("tcp", "nothing is listening on port 18400 yet");
    waits("http", "nothing is listening on port 18401 yet");
    waits("log", "no log line matches /it is done/ yet");
    waits("exec", "`cat /tmp/done` failed");
    assert_eq!(all.map(phase), ["starting"; 4]);
    project.write("gate/open", "");
    up.wait_for("kinds is up");
    assert_eq!(all.map(phase), ["ready"; 4]);
    std::fs::remove_file(project.path("gate/well")).expect("it is there");
    up.wait_for("tcp  * unhealthy: `cat /gate/well` failed");
    project.write("gate/well", "");
    up.wait_for("tcp  * healthy");
    ok(engine.devstack(&project, &["exec", "http", "--", "busybox", "rm", "/www/index.html"]));
    up.wait_for("http * unhealthy: ");
    up.end();
    engine.assert_clean("kinds");
    project.finish();
}

pub fn each_key_reaches_the_container(engine: &Engine) {
    let project = TestProject::new();
    project.write("web.env", "FROM_FILE=read\n");
    project.write(
        "box/Boxfile",
        &format!(
            "FROM {IMAGE} AS first\nARG WORD\nENV WORD=$WORD\nENTRYPOINT [\"sh\", \"-c\"]\n\
             FROM first\nENV WORD=last\n"
        ),
    );
    let serve = "httpd -p 9001 -h /www; exec httpd -f -p 8080 -h /www";
    let name = engine.name();
    project.write(
        "devstack.toml",
        &format!(
            "[stack]\nname = 'keyed'\nengine = '{name}'
            [services.web]\nimage = '{IMAGE}'\nuser = '1234:1235'\nworkdir = '/tmp'
            entrypoint = ['sh', '-c']\nargs = ['pwd; id; echo $FROM_FILE; {serve}']
            env_file = 'web.env'\nvolumes = ['/scratch']\nhost = '0.0.0.0'\npull = 'never'
            ports = {{ http = {{ prefer = 18480, inside = 8080 }}, more = {{ prefer = 18481, inside = 9001 }} }}
            [services.made]\nengine = 'auto'
            build = {{ context = 'box', file = 'Boxfile', target = 'first', args = {{ WORD = 'given' }} }}
            args = ['echo word $$WORD; exec httpd -f -p 8080 -h /www']
            port = {{ prefer = 18482, inside = 8080 }}"
        ),
    );
    let up = engine.devstack(&project, &["up"]).env("DOCKER_BUILDKIT", "0").start();
    up.wait_for("keyed is up");
    for line in ["web  | /tmp", "web  | uid=1234 gid=1235", "web  | read", "made | word given"] {
        up.wait_for(line);
    }
    for port in [18480, 18481, 18482] {
        assert_eq!(engine.get(port, "/").expect("it answers"), "inside\n");
    }
    // What it printed is in the log of the service.
    let logs = ok(engine.devstack(&project, &["logs", "web"])).stdout;
    assert!(logs.contains("uid=1234 gid=1235"), "{logs}");
    let about = |service: &str| {
        let all = engine.containers("keyed");
        let own = all.iter().find(|one| one.contains(service)).expect("it runs");
        engine.ask(&format!("/containers/{own}/json"))
    };
    let web = about("-web-");
    // Only what is opened is published to the network.
    let host_of = |about: &serde_json::Value| {
        about["NetworkSettings"]["Ports"]["8080/tcp"][0]["HostIp"].as_str().map(str::to_owned)
    };
    assert!(matches!(host_of(&web).as_deref(), Some("0.0.0.0" | "")), "{web}");
    assert_eq!(host_of(&about("-made-")).as_deref(), Some("127.0.0.1"));
    let mut mounts = web["Mounts"].as_array().expect("a list").iter();
    let scratch = mounts.find(|mount| mount["Destination"] == "/scratch").expect("it is mounted");
    let scratch = scratch["Name"].clone();
    // It crashes, and is started again in a new container.
    let before = engine.containers("keyed");
    let here = up.here();
    let crash = ["exec", "made", "--", "busybox", "killall", "-KILL", "httpd"];
    // The end of the container may end this command as well.
    engine.devstack(&project, &crash).run();
    up.wait_since(here, "made * ready in");
    let after = engine.containers("keyed");
    assert_eq!((before.len(), after.len()), (2, 2));
    assert_ne!(before, after);
    up.end();
    engine.assert_clean("keyed");
    // It was the container's alone.
    let volumes = engine.ask("/volumes");
    let left = volumes["Volumes"].as_array().into_iter().flatten();
    assert!(left.map(|one| &one["Name"]).all(|name| *name != scratch), "{volumes}");
    project.finish();
}

pub fn commands_know_its_container(engine: &Engine) {
    let project = TestProject::with_config(&format!(
        "[stack]\nname = 'known'\nenv = {{ SHARED = 'by all' }}
            [services.web]\nimage = '{IMAGE}'\nport = {{ prefer = 18410, inside = 8080 }}
            env = {{ OWN = 'at ${{app.url}}' }}
            [services.extra]\nimage = '{IMAGE}'\nport = {{ prefer = 18411, inside = 8080 }}
            profiles = ['full']
            [services.app]\nport = {{ prefer = 18412 }}\ncommand = '{{misbehave}} listen --http'"
    ));
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("known is up");
    assert_eq!(engine.containers("known").len(), 1);
    let explained = ok(engine.devstack(&project, &["env", "web", "--explain"])).stdout;
    let line = |name: &str| {
        let line = explained.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("{name} in {explained}")).to_owned()
    };
    assert!(line("PORT").contains("8080"), "{explained}");
    assert!(line("HOST").contains("0.0.0.0"), "{explained}");
    assert!(line("SHARED").contains("by all"), "{explained}");
    assert!(line("OWN").contains("docker.internal:18412"), "{explained}");
    // It gets nothing of this machine.
    assert!(!explained.lines().any(|line| line.starts_with("HOME")), "{explained}");
    // Both measurements are of the container: a busy loop there is no work of the engine's program.
    let busy = engine
        .devstack(&project, &["exec", "web", "--", "sh", "-c", "while [ ! -e /tmp/x ]; do :; done"])
        .start();
    eventually("its CPU time", || {
        let ps = engine.devstack(&project, &["ps", "--json"]).run().expect_code(0).json();
        let web = service(&ps, "web");
        assert!(web["memory_bytes"].as_u64() > Some(100_000), "{web}");
        (web["cpu_percent"].as_f64() > Some(5.0)).then_some(())
    });
    ok(engine.devstack(&project, &["exec", "web", "--", "touch", "/tmp/x"]));
    assert_eq!(busy.wait_code(), 0);
    let why = ok(engine.devstack(&project, &["why", "web"])).stdout;
    assert!(why.contains("ready"), "{why}");
    ok(engine.devstack(&project, &["stop", "web"]));
    assert_eq!(engine.containers("known"), [""; 0]);
    let none = engine.devstack(&project, &["exec", "web", "--", "true"]).run().expect_code(3);
    assert!(none.stderr.contains("web runs in a container, and none is running"), "{none:?}");
    up.end();
    let up = engine.devstack(&project, &["up", "--profile", "full"]).start();
    up.wait_for("known is up");
    assert_eq!(engine.get(18411, "/").expect("it answers"), "inside\n");
    up.end();
    engine.assert_clean("known");
    project.finish();
}

pub fn a_debugger_inside_is_reached(engine: &Engine) {
    let project = TestProject::new();
    let debugged = "httpd -p $DEBUG_HOST:$DEBUG_PORT -h /www; exec httpd -f -p 8080 -h /www";
    project.configure(&format!(
            "[stack]\nname = 'bugs'
            [services.web]\nimage = '{IMAGE}'\nport = {{ prefer = 18420, inside = 8080 }}
            entrypoint = ['sh', '-c']\ncommand = ['echo $DEVSTACK_MODE; exec httpd -f -p 8080 -h /www']
            debug = {{ command = ['echo $DEVSTACK_MODE; {debugged}'], port = {{ prefer = 18421, inside = 5678 }} }}"
        ));
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("web | run");
    up.wait_for("bugs is up");
    let here = up.here();
    let debug = ok(engine.devstack(&project, &["debug", "web"])).stdout;
    assert!(debug.contains("127.0.0.1:18421"), "{debug}");
    up.wait_since(here, "web | debug");
    for port in [18420, 18421] {
        assert_eq!(engine.get(port, "/").expect("it answers"), "inside\n");
    }
    let [name] = &engine.containers("bugs")[..] else { panic!("one container") };
    let about = engine.ask(&format!("/containers/{name}/json"));
    let bound = &about["NetworkSettings"]["Ports"]["5678/tcp"][0];
    assert_eq!((&bound["HostIp"], &bound["HostPort"]), (&"127.0.0.1".into(), &"18421".into()));
    let here = up.here();
    ok(engine.devstack(&project, &["debug", "--off", "web"]));
    up.wait_since(here, "web | run");
    assert!(engine.get(18421, "/").is_err());
    up.end();
    engine.assert_clean("bugs");
    project.finish();
}
