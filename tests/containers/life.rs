use super::engine::{Engine, IMAGE, Kind, ok};
use crate::support::{TestProject, eventually, service};

pub fn it_runs_beside_programs_that_reach_it(engine: &Engine) {
    let project = TestProject::with_config(&format!(
            "[stack]\nname = 'beside'
            [services.web]\nimage = '{IMAGE}'\nport = {{ prefer = 18110, inside = 8080 }}
            env = {{ SECRET = 'hidden word', PATH = '/bin' }}
            [services.front]\nimage = '{IMAGE}'\ndepends_on = ['web']\nport = {{ prefer = 18111, inside = 80 }}
            command = ['echo front sees ${{web.url}}; httpd -f -p 80 -h /www']\nentrypoint = ['sh', '-c']
            [services.app]\ndepends_on = ['web', 'front']
            command = 'echo app sees ${{web.url}}; exec {{misbehave}} run'"
        ));
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("beside is up");
    up.wait_for("app sees http://127.0.0.1:18110");
    up.wait_for("front sees http://web:8080");
    assert_eq!(engine.get(18110, "/").expect("it answers"), "inside\n");
    let ps = engine.devstack(&project, &["ps", "--json"]).run().expect_code(0).json();
    let web = service(&ps, "web");
    assert_eq!((&web["port"], &web["phase"]), (&18110.into(), &"ready".into()));
    assert!(web["memory_bytes"].as_u64().expect("measured") > 100_000, "{web}");
    let [_, name] = &engine.containers("beside")[..] else { panic!("two containers") };
    let about = engine.ask(&format!("/containers/{name}/json"));
    let bound = &about["NetworkSettings"]["Ports"]["8080/tcp"][0];
    assert_eq!((&bound["HostIp"], &bound["HostPort"]), (&"127.0.0.1".into(), &"18110".into()));
    // Every user sees command lines.
    let lines = std::process::Command::new("ps").args(["-ww", "-eo", "args"]).output().expect("ps");
    assert!(!String::from_utf8_lossy(&lines.stdout).contains("hidden word"));
    let inside = ok(engine.devstack(&project, &["exec", "web", "--", "env"])).stdout;
    assert!(inside.contains("SECRET=hidden word") && inside.contains("PORT=8080"), "{inside}");
    up.end();
    engine.assert_clean("beside");
    project.finish();
}

pub fn it_is_ready_only_when_its_program_listens(engine: &Engine) {
    let project = TestProject::new();
    project.write("gate/.keep", "");
    let wait = "until [ -e /gate/open ]; do sleep 0.05; done; exec httpd -f -p 8080 -h /www";
    project.configure(&format!(
        "[stack]\nname = 'late'
            [services.web]\nimage = '{IMAGE}'\nport = {{ prefer = 18120, inside = 8080 }}
            volumes = ['./gate:/gate']\nentrypoint = ['sh', '-c']\ncommand = [\"{wait}\"]
            [services.closed]\nimage = '{IMAGE}'\nport = {{ prefer = 18121, inside = 8080 }}
            command = ['httpd', '-f', '-p', '127.0.0.1:8080', '-h', '/www']"
    ));
    let up = engine.devstack(&project, &["up"]).start();
    // It says why nothing can reach it.
    up.wait_for("closed listens on port 8080 of 127.0.0.1 inside its container");
    // The forwarder accepts connections by now, as it did for the other one.
    let ps = engine.devstack(&project, &["ps", "--json"]).run().expect_code(0).json();
    assert_eq!(service(&ps, "web")["phase"], "starting");
    project.write("gate/open", "");
    up.wait_for("web    * ready in");
    assert_eq!(engine.get(18120, "/").expect("it answers"), "inside\n");
    let ps = engine.devstack(&project, &["ps", "--json"]).run().expect_code(0).json();
    assert_eq!(service(&ps, "closed")["phase"], "starting");
    up.end();
    engine.assert_clean("late");
    project.finish();
}

pub fn a_taken_port_moves(engine: &Engine) {
    let project = TestProject::with_config(&format!(
        "[stack]\nname = 'moves'
            [services.web]\nimage = '{IMAGE}'\nport = {{ prefer = 18130, inside = 8080 }}"
    ));
    engine.enter();
    let thief = std::net::TcpListener::bind("127.0.0.1:18130").expect("it is free");
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("using 18131");
    up.wait_for("moves is up");
    assert_eq!(engine.get(18131, "/").expect("it answers"), "inside\n");
    drop(thief);
    up.end();
    // A container that another stack runs is no less in the way.
    let words = ["run", "--detach", "--rm", "--publish", "127.0.0.1:18130:8080", IMAGE];
    let other = engine.program(&words, &[]);
    assert!(other.status.success(), "{}", String::from_utf8_lossy(&other.stderr));
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("using 18131");
    up.wait_for("moves is up");
    up.end();
    let id = String::from_utf8_lossy(&other.stdout).trim().to_owned();
    assert!(engine.program(&["rm", "--force", &id], &[]).status.success());
    engine.assert_clean("moves");
    project.finish();
}

pub fn replicas_share_a_name(engine: &Engine) {
    let project = TestProject::with_config(&format!(
            "[stack]\nname = 'many'
            [services.api]\nimage = '{IMAGE}'\nreplicas = 3\nport = {{ prefer = 18140, inside = 8080 }}"
        ));
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("many is up");
    let ps = engine.devstack(&project, &["ps", "--json"]).run().expect_code(0).json();
    for replica in ["api-1", "api-2", "api-3"] {
        let port = service(&ps, replica)["port"].as_u64().expect("a port");
        let port = u16::try_from(port).expect("a port");
        assert_eq!(engine.get(port, "/").expect("it answers"), "inside\n");
    }
    let reached = ["exec", "api-1", "--", "sh", "-c"];
    for name in ["api", "api-3"] {
        let ask = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc {name} 8080");
        let asked = [&reached[..], &[&ask]].concat();
        assert!(ok(engine.devstack(&project, &asked)).stdout.contains("inside"), "{name}");
    }
    up.end();
    engine.assert_clean("many");
    project.finish();
}

pub fn commands_run_inside(engine: &Engine) {
    let project = TestProject::with_config(&format!(
            "[stack]\nname = 'inside'
            [services.web]\nimage = '{IMAGE}'\nport = {{ prefer = 18150, inside = 8080 }}
            entrypoint = ['sh', '-c']
            command = ['echo first > /tmp/first; exec httpd -f -p 8080 -h /www']
            ready = {{ exec = ['cat', '/tmp/first'] }}
            stop = {{ command = ['sh', '-c', 'echo ends inside $(cat /tmp/first); kill $(cat /tmp/none) 2>/dev/null || kill -9 -1'] }}"
        ));
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("inside is up");
    let failed = engine.devstack(&project, &["exec", "web", "--", "sh", "-c", "exit 7"]).run();
    failed.expect_code(7);
    up.interrupt();
    up.wait_for("ends inside first");
    assert_eq!(up.wait_code(), 130);
    engine.assert_clean("inside");
    project.finish();
}

/// How many processes of this machine, that is, of all containers too, have this command line.
fn count(command: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("it is there").flatten();
    let lines = processes.filter_map(|one| std::fs::read(one.path().join("cmdline")).ok());
    let command = command.replace(' ', "\0") + "\0";
    lines.filter(|line| line.ends_with(command.as_bytes())).count()
}

pub fn actions_run_inside_and_leave_nothing_there(engine: &Engine) {
    let project = TestProject::new();
    // Both engines are tested at once.
    let time = if engine.kind == Kind::Docker { "871" } else { "872" };
    project.configure(&format!(
            "[stack]\nname = 'acts'
            [services.web]\nimage = '{IMAGE}'\nport = {{ prefer = 18155, inside = 8080 }}
            env = {{ SECRET = 'hidden word' }}
            [services.web.actions]
            where = {{ command = 'cat /www/index.html; echo \"$SECRET and $DEVSTACK_ARG_COUNT\"; exit 7', args = ['count'] }}
            stays = 'sleep {time}1 & echo started; sleep {time}2; wait'
            deaf = \"trap '' TERM INT; echo started; while true; do sleep {time}3; done\"
            leaves = 'sleep {time}4 & echo started'"
        ));
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("acts is up");
    let inside = engine.devstack(&project, &["do", "web", "where", "5"]).run().expect_code(7);
    assert_eq!(inside.stdout, "inside\nhidden word and 5\n");
    let start = |action: &str, first: &str| {
        let action = engine.devstack(&project, &["do", "web", action]).start();
        action.wait_for("started");
        eventually("it to run inside", || {
            (count(&format!("sleep {time}{first}")) > 0).then_some(())
        });
        action
    };
    let none = || (1..=4).all(|end| count(&format!("sleep {time}{end}")) == 0);
    let interrupted = start("stays", "2");
    interrupted.interrupt();
    assert_eq!(interrupted.wait_code(), 130);
    assert!(none(), "left by Ctrl-C");
    let deaf = start("deaf", "3");
    ok(engine.devstack(&project, &["do", "--stop", "web", "deaf"]));
    assert_eq!(deaf.wait_code(), 137, "{}", deaf.stderr());
    assert!(none(), "left by --stop");
    ok(engine.devstack(&project, &["do", "web", "leaves"]));
    assert!(none(), "left by its end");
    let ended = start("stays", "2");
    ok(engine.devstack(&project, &["down"]));
    ended.wait_exit();
    assert_eq!(up.wait_code(), 0);
    assert!(none(), "left by `down`");
    engine.assert_clean("acts");
    project.finish();
}

pub fn a_save_builds_and_swaps(engine: &Engine) {
    let project = TestProject::new();
    project.write(
        "box/Dockerfile",
        &format!("FROM {IMAGE}\nARG WORD\nENV WORD=$WORD\nCOPY page /www/page\n"),
    );
    project.write("box/page", "one");
    project.configure(
        "[stack]\nname = 'built'
        [services.web]\nbuild = { context = 'box', args = { WORD = 'said' } }\nwatch = ['box/**']
        port = { prefer = 18160, inside = 8080 }",
    );
    let up = engine.devstack(&project, &["up"]).env("DOCKER_BUILDKIT", "0").start();
    up.wait_for("built is up");
    assert_eq!(engine.get(18160, "/page").expect("it answers"), "one");
    let env = ok(engine.devstack(&project, &["exec", "web", "--", "env"])).stdout;
    assert!(env.contains("WORD=said"), "{env}");
    project.write("box/page", "two");
    eventually("the new page", || {
        engine.get(18160, "/page").is_ok_and(|page| page == "two").then_some(())
    });
    assert_eq!(engine.containers("built").len(), 1);
    // What cannot be built replaces nothing that runs.
    let [before] = &engine.containers("built")[..] else { panic!("one container") };
    project.write("box/Dockerfile", &format!("FROM {IMAGE}\nCOPY nothing /\n"));
    up.wait_for("the previous version keeps running");
    assert_eq!(engine.containers("built"), [before.as_str()]);
    assert_eq!(engine.get(18160, "/page").expect("it answers"), "two");
    up.end();
    engine.assert_clean("built");
    project.finish();
}

pub fn the_healthcheck_of_an_image_counts(engine: &Engine) {
    let project = TestProject::new();
    // The engine itself would first look in an hour.
    let check = "HEALTHCHECK --interval=1h CMD cat /tmp/healthy";
    project.write("box/Dockerfile", &format!("FROM {IMAGE}\n{check}\n"));
    project.configure(&format!(
        "[stack]\nname = 'checked'
            [services.web]\nbuild = 'box'\nport = {{ prefer = 18200, inside = 8080 }}
            health = {{ healthcheck = true, interval = '50ms', failures = 1 }}
            [services.off]\nbuild = 'box'\nport = {{ prefer = 18201, inside = 8080 }}
            ready = {{ healthcheck = false }}
            [services.none]\nimage = '{IMAGE}'\nport = {{ prefer = 18202, inside = 8080 }}
            ready = {{ healthcheck = true }}
            [services.plain]\nimage = '{IMAGE}'\nport = {{ prefer = 18203, inside = 8080 }}"
    ));
    let up = engine.devstack(&project, &["up"]).env("DOCKER_BUILDKIT", "0").start();
    up.wait_for("off   * ready in");
    up.wait_for("plain * ready in");
    let why = |service: &str| ok(engine.devstack(&project, &["why", service])).stdout;
    eventually("both reasons", || {
        let web = why("web").contains("the health check of its image fails");
        (web && why("none").contains("its image has no HEALTHCHECK")).then_some(())
    });
    let inside = |words: &[&str]| {
        ok(engine.devstack(&project, &[&["exec", "web", "--"], words].concat()));
    };
    inside(&["touch", "/tmp/healthy"]);
    up.wait_for("web   * ready in");
    inside(&["busybox", "rm", "/tmp/healthy"]);
    up.wait_for("web   * unhealthy: the health check of its image fails");
    up.end();
    engine.assert_clean("checked");
    project.finish();
}

pub fn volumes_stay(engine: &Engine) {
    let project = TestProject::new();
    project.write("shared/word", "from outside");
    project.configure(&format!(
        "[stack]\nname = 'kept'
            [services.web]\nimage = '{IMAGE}'\nport = {{ prefer = 18170, inside = 8080 }}
            volumes = ['pages:/www', './shared:/shared:ro']"
    ));
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("kept is up");
    let script = "cat /shared/word > /www/word; touch /shared/no && echo written; true";
    let out = ok(engine.devstack(&project, &["exec", "web", "--", "sh", "-c", script]));
    assert!(!out.stdout.contains("written"), "it is read-only");
    up.end();
    engine.assert_clean("kept");
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("kept is up");
    assert_eq!(engine.get(18170, "/word").expect("it answers"), "from outside");
    up.end();
    let list = ok(engine.devstack(&project, &["data", "list"])).stdout;
    assert!(list.contains("pages"), "{list}");
    project.finish();
}

pub fn a_port_that_the_command_publishes_is_its_own(engine: &Engine) {
    let project = TestProject::new();
    let name = engine.name();
    let option = if engine.kind == Kind::Docker { "--host" } else { "--url" };
    let socket = engine.socket.display();
    project.configure(&format!(
        "[stack]\nname = 'byhand'
            [services.web]\nport = 18180
            command = '{name} {option} unix://{socket} run --rm -p 127.0.0.1:$PORT:8080 {IMAGE}'"
    ));
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("byhand is up");
    assert_eq!(engine.get(18180, "/").expect("it answers"), "inside\n");
    up.end();
    eventually("its container to be gone", || {
        let all = engine.ask("/containers/json?all=true");
        let publishes = |one: &serde_json::Value| one["Ports"][0]["PublicPort"] == 18180;
        (!all.as_array().expect("a list").iter().any(publishes)).then_some(())
    });
    project.finish();
}
