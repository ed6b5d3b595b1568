//! Races for a port that were lost: a thief takes it between choice and bind, and the service gets another one.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::{
    TestProject, free_port, free_ports, http_get, occupy, occupy_on, require, service,
};

/// How many races against a thief are run; `DEVSTACK_RACES` asks for more.
const RACES: u32 = 30;

/// The text that reports `port` as taken by this test.
fn taken(port: u16) -> String {
    format!("port {port} was taken by main")
}

/// Fails unless this reports that `port` is held by this test.
#[track_caller]
fn assert_held(said: &str, port: u16) {
    let pid = format!("(pid {}: ", std::process::id());
    assert!(
        said.contains(&format!("port {port} is in use by main")) && said.contains(&pid),
        "{said}"
    );
}

/// The number, the wish and how often it was started again.
fn stand(ps: &Value, name: &str) -> (u64, u64, u64) {
    let of = |key: &str| service(ps, name)[key].as_u64().expect("it is a number");
    (of("port"), of("wanted_port"), of("restarts"))
}

/// A port that even a program can bind that does not ask for `SO_REUSEADDR`: no connection of an earlier test lingers.
fn fresh_port() -> u16 {
    use rustix::net::{AddressFamily, SocketType, bind, socket};
    let binds = |port: u16| {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &std::net::SocketAddr::from(([127, 0, 0, 1], port))).is_ok()
    };
    std::iter::repeat_with(|| free_ports(2)).find(|port| binds(*port)).expect("there are many")
}

fn holds(address: &str, port: u16) -> bool {
    require("IPv6", !address.contains(':') || TcpListener::bind((address, port)).is_ok())
}

#[test]
fn a_port_taken_before_the_start_moves_with_everything_that_refers_to_it() {
    for address in ["127.0.0.1", "::1", "0.0.0.0", "::"] {
        let port = free_ports(2);
        if !holds(address, port) {
            continue;
        }
        let project = TestProject::with_config(&format!(
            r#"
            [services.first]
            kind = "task"
            command = ["{{misbehave}}", "gate", "gate"]
            [services.api]
            command = ["{{misbehave}}", "listen", "--http"]
            port = {port}
            depends_on = ["first"]
            [services.web]
            command = ["{{misbehave}}", "--stay", "print-env", "API"]
            env = {{ API = "${{api.url}}" }}
            [services.other]
            command = ["{{misbehave}}", "run"]
            "#
        ));
        let mut gate = project.gate("gate");
        let up = project.devstack(["up"]).start();
        up.wait_for(&format!("API=http://127.0.0.1:{port}"));
        // A program may speak before devstack has heard that it was started.
        let ps = project.wait_ps(|ps| service(ps, "other")["pid"].is_u64());
        let bystander = service(&ps, "other")["pid"].clone();
        let _thief = occupy_on(address, port);
        gate.open();
        up.wait_for(&taken(port));
        assert_held(&up.wait_for(&format!("* starting on port {}: ", port + 1)), port);
        up.wait_for(&format!("API=http://127.0.0.1:{}", port + 1));
        assert_held(&up.wait_for(&format!("; using {}", port + 1)), port);
        // Nothing was started that would have failed, and nothing else was touched.
        let ps = project.ps();
        assert_eq!(stand(&ps, "api"), (u64::from(port) + 1, port.into(), 0), "{ps}");
        assert_eq!(service(&ps, "other")["pid"], bystander);
        let table = project.devstack(["ps"]).run().expect_code(0).stdout;
        assert!(table.contains(&format!("{} (wanted {port})", port + 1)), "{table}");
        assert_eq!(http_get(port + 1, "/").json()["pid"], service(&ps, "api")["pid"]);
        project.end(&up);
    }
}

#[test]
fn a_thief_that_listens_instead_of_the_service_is_left_alone() {
    for address in ["127.0.0.1", "::1", "0.0.0.0", "::"] {
        let port = free_ports(2);
        if !holds(address, port) {
            continue;
        }
        let project = TestProject::with_config(&format!(
            r#"
            [services.api]
            command = ["{{misbehave}}", "listen", "--http", "--after-gate", "gate"]
            port = {port}
            "#
        ));
        let mut gate = project.gate("gate");
        let up = project.devstack(["up", "--no-watch"]).start();
        up.wait_for("waiting gate");
        let _thief = occupy_on(address, port);
        up.wait_for(&taken(port));
        assert_held(&up.wait_for(&format!("* starting on port {}: ", port + 1)), port);
        gate.open();
        up.wait_for("is up");
        let lines = up.lines();
        let ready = lines.iter().filter(|line| line.contains("api * ready"));
        assert_eq!(ready.count(), 1, "never ready on the thief: {lines:?}");
        let ps = project.ps();
        assert_eq!(stand(&ps, "api"), (u64::from(port) + 1, port.into(), 1), "{ps}");
        assert_eq!(http_get(port + 1, "/").json()["pid"], service(&ps, "api")["pid"]);
        project.end(&up);
    }
}

/// A stack whose service tries to bind when the gate opens, and whose readiness does not depend on a port.
fn blind(project: &TestProject, port: u16, keys: &str) {
    project.configure(&format!(
        r#"
        [services.api]
        command = ["{{misbehave}}", "listen", "--http", "--after-gate", "gate"]
        port = {port}
        ready = {{ log = "^listening" }}
        {keys}
        "#
    ));
}

#[test]
fn an_end_that_a_thief_is_to_blame_for_is_no_crash() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let port = free_ports(2);
    // Not even one crash would be forgiven, and its end would end the stack.
    blind(&project, port, "restart = \"no\"\non_exit = \"shutdown\"");
    let up = project.devstack(["up"]).start();
    up.wait_for("waiting gate");
    let _thief = occupy(port);
    gate.open();
    up.wait_for(&taken(port));
    up.wait_for("is up");
    let ps = project.ps();
    assert_eq!(stand(&ps, "api"), (u64::from(port) + 1, port.into(), 1), "{ps}");
    project.end(&up);
}

#[test]
fn run_has_no_retries_but_heals_lost_races() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let port = free_ports(2);
    blind(&project, port, "");
    let run = |options: &[&str]| {
        let command = ["--", "sh", "-c", "echo $DEVSTACK_API_PORT"];
        project.devstack([&["run"], options, &command].concat()).start()
    };
    let up = run(&["--no-strict-ports"]);
    up.wait_for("waiting gate");
    let thief = occupy(port);
    gate.open();
    assert_eq!(up.wait_code(), 0, "{}", up.stderr());
    up.wait_closed();
    assert_eq!(up.stdout(), format!("{}\n", port + 1));
    drop(thief);
    gate.shut();
    // With strict ports it is over, and the thief is named.
    let up = run(&[]);
    up.wait_for("waiting gate");
    let _thief = occupy(port);
    gate.open();
    assert_eq!(up.wait_code(), 120, "{}", up.stderr());
    up.wait_closed();
    let said = up.stderr();
    assert_held(&said, port);
    assert!(said.contains("api * failed: port "), "{said}");
    assert!(said.contains("--no-strict-ports"), "{said}");
    project.finish();
}

#[test]
fn a_pinned_port_that_is_taken_fails_by_name_until_the_thief_leaves() {
    let port = free_ports(2);
    let project = TestProject::with_config(
        r#"
        [services.first]
        kind = "task"
        command = ["{misbehave}", "gate", "gate"]
        [services.api]
        command = ["{misbehave}", "listen", "--http"]
        port = 1
        depends_on = ["first"]
        [services.other]
        command = ["{misbehave}", "run"]
        depends_on = ["first"]
        "#,
    );
    let mut gate = project.gate("gate");
    let up = project.devstack(["up", &format!("--port=api={port}")]).start();
    up.wait_for("first * starting");
    let thief = occupy(port);
    gate.open();
    let said = up.wait_for("* failed: port ");
    assert_held(&said, port);
    assert!(said.contains("; requested by --port"), "{said}");
    up.wait_for(&format!("--port api={}", port + 1));
    up.wait_for("1 of 3 failed");
    let ps = project.ps();
    let api = service(&ps, "api");
    assert_eq!((&api["phase"], &api["message"]["class"]), (&"failed".into(), &"port".into()));
    let other = service(&ps, "other");
    assert_eq!(other["phase"], "ready");
    let again = project.devstack(["restart", "api"]).run().expect_code(1);
    assert_held(&again.stderr, port);
    // An edit of something else is applied and does not wake it.
    let text = project.read("devstack.toml").replace("\"run\"", "\"--stay\", \"run\"");
    project.configure(&text);
    up.wait_for("applied the new configuration");
    drop(thief);
    project.devstack(["restart", "api"]).run().expect_code(0);
    let ps = project.ps();
    assert_eq!(http_get(port, "/").json()["pid"], service(&ps, "api")["pid"]);
    project.end(&up);
}

#[test]
fn a_half_edited_file_does_not_keep_a_service_from_another_port() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let port = free_ports(2);
    blind(&project, port, "");
    let up = project.devstack(["up"]).start();
    up.wait_for("waiting gate");
    let good = project.read("devstack.toml");
    project.configure("[services.api");
    up.wait_for("not applied: ");
    let _thief = occupy(port);
    gate.open();
    up.wait_for("is up");
    assert_eq!(stand(&project.ps(), "api").0, u64::from(port) + 1);
    // What was chosen meanwhile is no reason to start it again when the file is good.
    project.configure(&good);
    up.wait_for("configuration is valid again; nothing changed");
    assert_eq!(stand(&project.ps(), "api"), (u64::from(port) + 1, port.into(), 1));
    project.end(&up);
}

#[test]
fn a_program_that_does_not_ask_for_reuse_starts_at_once() {
    let port = fresh_port();
    let project = TestProject::with_config(&format!(
        r#"
        [services.api]
        command = ["{{misbehave}}", "listen", "--http", "--no-reuse"]
        port = {port}
        restart = "no"
        "#
    ));
    let up = project.up();
    assert_eq!(stand(&project.ps(), "api"), (port.into(), port.into(), 0));
    let mode = std::fs::metadata(project.path(".devstack/ports.json")).expect("it is there");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
    up.end();
    project.devstack(["run", "--", "true"]).run().expect_code(0);
    project.finish();
}

#[test]
fn a_program_that_cannot_bind_and_does_not_say_why_gets_there_too() {
    let port = fresh_port();
    let project = TestProject::with_config(&format!(
        r#"
        [services.api]
        command = "{{misbehave}} listen --no-reuse 2>/dev/null"
        port = {port}
        restart = {{ delay = "1ms" }}
        "#
    ));
    let up = project.up();
    assert_eq!(stand(&project.ps(), "api").0, u64::from(port));
    project.end(&up);
}

/// Leaves a connection in `TIME_WAIT` on this port: the server closes first.
#[cfg(target_os = "linux")]
fn linger(port: u16, reuse: bool) {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};
    let server = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    sockopt::set_socket_reuseaddr(&server, reuse).expect("an option");
    bind(&server, &std::net::SocketAddr::from(([127, 0, 0, 1], port))).expect("it is free");
    listen(&server, 1).expect("it is bound");
    let server = TcpListener::from(server);
    let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    drop(server.accept().expect("it connects"));
    std::io::Read::read(&mut client, &mut [0]).expect("the end");
}

#[cfg(target_os = "linux")]
#[test]
fn a_port_that_closed_connections_keep_is_waited_for() {
    let project = TestProject::new();
    // One program names the port that it could not bind, the other does not.
    let ports = [fresh_port(), fresh_port(), fresh_port()];
    let [port, other, nobody] = ports;
    linger(port, true);
    linger(other, true);
    // Nothing can bind this one, so no run is wasted on it.
    linger(nobody, false);
    project.configure(&format!(
        r#"
        [services.api]
        command = ["{{misbehave}}", "listen", "--http", "--no-reuse"]
        port = {port}
        restart = "no"
        [services.terse]
        command = "{{misbehave}} listen --no-reuse 2>&1 | sed s/{other}/it/; exit 1"
        port = {other}
        restart = "no"
        [services.again]
        command = ["{{misbehave}}", "listen", "--no-reuse"]
        port = {nobody}
        "#
    ));
    let up = project.devstack(["up"]).start();
    for port in ports {
        up.wait_for(&format!("waiting for port {port}: closed connections keep it"));
    }
    let ps = project.wait_ps(|ps| {
        ["api", "terse", "again"].iter().all(|name| service(ps, name)["phase"] == "backoff")
    });
    for (name, port) in ["api", "terse", "again"].into_iter().zip(ports) {
        assert_eq!(stand(&ps, name), (port.into(), port.into(), 0), "{ps}");
    }
    assert_eq!(service(&ps, "again")["run"], Value::Null, "{ps}");
    project.devstack(["stop", "terse"]).run().expect_code(0);
    project.end(&up);
}

#[test]
fn a_conflict_of_a_service_that_does_not_start_is_reported_when_it_does() {
    let project = TestProject::new();
    let (port, shared) = (free_ports(2), free_port());
    let thief = occupy(port);
    project.configure(&format!(
        r#"
        [services.later]
        command = ["{{misbehave}}", "listen", "--http"]
        port = {{ prefer = {port}, on_conflict = "fail" }}
        autostart = false
        [services.pinned]
        command = ["{{misbehave}}", "listen"]
        port = 1
        profiles = ["extra"]
        [services.web]
        command = ["{{misbehave}}", "listen"]
        port = {shared}
        "#
    ));
    let up = project.devstack(["up", &format!("--port=pinned={shared}")]).start();
    up.wait_for("is up");
    assert_eq!(stand(&project.ps(), "web").0, u64::from(shared));
    let start = |name: &str| project.devstack(["start", name]).run();
    let refused = start("pinned").expect_code(1).stderr;
    assert!(refused.contains(&format!("port {shared} is used by web in this stack")), "{refused}");
    assert_held(&start("later").expect_code(1).stderr, port);
    drop(thief);
    start("later").expect_code(0);
    let pid = service(&project.ps(), "later")["pid"].clone();
    assert_eq!(http_get(port, "/").json()["pid"], pid);
    up.end();
    // Asked for by name, it is what starts.
    let _thief = occupy(port);
    assert_held(&project.devstack(["up", "later"]).run().expect_code(1).stderr, port);
    project.finish();
}

#[test]
fn a_hundred_restarts_on_the_same_port() {
    let port = free_port();
    let project = TestProject::with_config(&format!(
        r#"
        [services.api]
        command = ["{{misbehave}}", "listen"]
        port = {{ prefer = {port}, on_conflict = "fail" }}
        "#
    ));
    let up = project.up();
    for _ in 0..100 {
        // The server closes first, so its side of the connection stays for a minute.
        let mut said = String::new();
        let mut connection = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it is up");
        std::io::Read::read_to_string(&mut connection, &mut said).expect("it answers");
        assert!(said.starts_with("pid "), "{said}");
        project.devstack(["restart", "api"]).run().expect_code(0);
    }
    assert_eq!(stand(&project.ps(), "api"), (port.into(), port.into(), 100));
    project.end(&up);
}

/// Listens on `port` as soon as that is possible, while `race` lasts.
fn race<T>(port: u16, race: impl FnOnce() -> T) -> (T, Option<TcpListener>) {
    use std::sync::atomic::{AtomicBool, Ordering};
    let over = AtomicBool::new(false);
    let steal = || {
        while !over.load(Ordering::Relaxed) {
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
                return Some(listener);
            }
        }
        None
    };
    std::thread::scope(|scope| {
        let thief = scope.spawn(steal);
        let result = race();
        over.store(true, Ordering::Relaxed);
        (result, thief.join().expect("it only binds"))
    })
}

#[test]
fn races_against_a_thief_end_well() {
    let port = free_ports(2);
    let project = TestProject::with_config(&format!(
        r#"
        [services.api]
        command = ["{{misbehave}}", "listen", "--http"]
        port = {port}
        "#
    ));
    let up = project.up();
    let races = std::env::var("DEVSTACK_RACES").ok().and_then(|text| text.parse().ok());
    let mut lost = 0;
    for _ in 0..races.unwrap_or(RACES) {
        let (at, ..) = stand(&project.ps(), "api");
        let at = u16::try_from(at).expect("it is a port");
        let restart = || project.devstack(["restart", "api"]).run();
        let (restarted, thief) = race(at, restart);
        restarted.expect_code(0);
        let ps = project.ps();
        let (now, ..) = stand(&ps, "api");
        lost += u32::from(thief.is_some());
        // Up, and not on what the thief has.
        assert_eq!(service(&ps, "api")["phase"], "ready");
        assert_eq!(now == u64::from(at), thief.is_none(), "{ps}");
        let now = u16::try_from(now).expect("it is a port");
        assert_eq!(http_get(now, "/").json()["pid"], service(&ps, "api")["pid"]);
    }
    assert!(lost > 0, "the thief never won");
    project.end(&up);
}
