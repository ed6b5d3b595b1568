//! The precedence of port numbers.

use super::*;

#[test]
fn the_strongest_source_decides_a_port() {
    let project = Project::new(TWO);
    let is = |wanted, source: &str| (wanted, source.to_owned());
    assert_eq!(said(&project.draft(), "api"), is(preferred(5000), "devstack.toml"));
    let project = project.file(".env", "API_PORT=5001\nPORT=5002\nFRONT=3001\nWEB_PORT=1\n");
    assert_eq!(said(&project.draft(), "api"), is(preferred(5001), ".env"));
    assert_eq!(said(&project.draft(), "web"), is(preferred(3001), ".env"));
    let project = project.file(".env", "PORT=5002\n");
    assert_eq!(said(&project.draft(), "api"), is(preferred(5002), ".env"));
    assert_eq!(said(&project.draft(), "web"), is(preferred(3000), "devstack.toml"));
    let project = project.env("PORT", "5003");
    assert_eq!(said(&project.draft(), "api"), is(pinned(5003), "PORT"));
    assert_eq!(said(&project.draft(), "web"), is(preferred(3000), "devstack.toml"));
    let project = project.env("API_PORT", "5004").env("FRONT", "3004").env("WEB_PORT", "x");
    assert_eq!(said(&project.draft(), "api"), is(pinned(5004), "API_PORT"));
    assert_eq!(said(&project.draft(), "web"), is(pinned(3004), "FRONT"));
    let project = project.with(|s| {
        s.overrides.ports = vec![("api".into(), 1), ("api".into(), 5005), ("web".into(), 0)];
        s.overrides.strict_ports = true;
    });
    assert_eq!(said(&project.draft(), "api"), is(pinned(5005), "--port"));
    assert_eq!(said(&project.draft(), "web"), is(WantedPort::Any, "--port"));
    let strict = Project::new(TWO).with(|s| s.overrides.strict_ports = true).draft();
    assert!(strict.port_requests().iter().all(|request| {
        matches!(request.wanted, WantedPort::Preferred(_, ConflictPolicy::Strict))
    }));
}

#[test]
fn port_in_the_env_of_a_service_is_a_preference() {
    let text = format!("{TWO}env = {{ PORT = '${{BASE:-31}}00' }}");
    let project = Project::new(&text).env("PORT", "");
    assert_eq!(said(&project.draft(), "web"), (preferred(3100), "devstack.toml".into()));
    let stack = project.stack();
    assert_eq!(
        &stack.services[&name("web")].launch.env["PORT"],
        "3000",
        "what was chosen, not wished"
    );
    let project = Project::new(&format!("{TWO}env = {{ PORT = '${{api.port}}' }}"));
    assert_eq!(project.mistakes(), ["devstack.toml:7:17: `PORT` cannot refer to another port"]);
}

#[test]
fn container_links_are_noted_and_other_nonsense_is_refused() {
    let project = Project::new(TWO).env("API_PORT", "tcp://10.0.0.1:80");
    let config = project.draft();
    assert_eq!(said(&config, "api").0, preferred(5000));
    let [note] = config.notes() else { panic!("{:?}", config.notes()) };
    assert_eq!(note.text, "API_PORT=tcp://10.0.0.1:80 is not a port number; ignored");
    let project = project.env("API_PORT", "five").file(".env", "\nFRONT=70000");
    let expected = ["API_PORT=five is not a valid port", ".env:2:1: FRONT is not a valid port"];
    assert_eq!(project.mistakes(), expected);
}

#[test]
fn named_ports_can_be_addressed() {
    let text = "[services.api]\ncommand = 'a'\nports = { zz = 'auto', metrics = { env = 'METRICS' } }\n[services.w]\ncommand = 'b'";
    let project = Project::new(text)
        .env("API_PORT", "8000")
        .env("METRICS", "9000")
        .with(|s| s.overrides.ports = vec![("api.metrics".into(), 9001)]);
    let config = project.draft();
    assert_eq!(
        wish(&config, "api", "zz").wanted,
        pinned(8000),
        "the first one written is the main one"
    );
    assert_eq!(wish(&config, "api", "metrics").wanted, pinned(9001));
    let project = project.with(|s| {
        s.overrides.ports = vec![
            ("apo".into(), 1),
            ("api.metricks".into(), 1),
            ("w".into(), 1),
            ("\u{1b}[".into(), 1),
        ];
    });
    assert_eq!(
        project.mistakes(),
        [
            "--port apo=1: unknown service `apo`",
            "--port api.metricks=1: service `api` has no port `metricks`",
            "--port w=1: service `w` has no port",
            "--port \\u{1b}[=1: unknown service `\\u{1b}[`",
        ]
    );
}

#[test]
fn two_pins_on_one_port_are_refused() {
    let project = Project::new(TWO).env("API_PORT", "6000").env("FRONT", "6000");
    let expected = ["api and web are both pinned to port 6000, by API_PORT and FRONT"];
    assert_eq!(project.mistakes(), expected);
}

#[test]
fn a_wrong_port_is_one_mistake_and_not_one_for_each_use() {
    for port in ["400000", "'x'", "{ prefer = 0 }", "{ prefer = 1, on_conflict = 'x' }"] {
        let service = format!("port = {port}\ncommand = 'a'\nready = {{ http = '/' }}");
        let text = format!("[services.api]\n{service}\n[services.web]\ncommand = '${{api.url}}'\n");
        let mistakes = Project::new(&text).mistakes();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    }
}

#[test]
fn a_passed_port_is_ready_when_it_answers() {
    let text = "[services.api]\ncommand = 'a'\nhost = '::1'\nports = { web = { prefer = 8000, pass = true }, own = 8001 }\nhealth = {}";
    let stack = Project::new(text).stack();
    let api = &stack.services[&name("api")];
    let url = "http://[::1]:8000/".to_owned();
    let answer =
        Probe::Http { url, status: AcceptedStatus::Any, insecure: false, own_port: Some(8000) };
    let health = api.health.as_ref().expect("it was written");
    assert_eq!((&api.ready.probes, &health.probes), (&vec![answer.clone()], &vec![answer]));
    assert_eq!(api.activated_ports().map(|port| port.number).collect::<Vec<_>>(), [8000]);
    // The user's own probe replaces the default; the other port may be probed over TCP.
    let ready = Project::new(&format!("{text}\nready = {{ tcp = 'own' }}")).stack();
    assert_eq!(ready.services[&name("api")].ready.probes, [Probe::Tcp { port: 8001 }]);
    for tcp in ["true", "'web'", "8000"] {
        let mistakes = Project::new(&format!("{text}\nready = {{ tcp = {tcp} }}")).mistakes();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(
            mistakes[0].contains("a TCP probe is meaningless on a passed port"),
            "{mistakes:?}"
        );
    }
}

/// The notes of a configuration, each with its help.
fn notes(config: &Config) -> Vec<String> {
    config.notes().iter().map(|note| format!("{}: {}", note.text, note.help)).collect()
}

#[test]
fn a_variable_of_a_port_that_the_service_does_not_have_is_noted() {
    let of_web = |command: &str| {
        let text = format!(
            "[services.web]\ncommand = {command}\n[services.api]\nports = {{ main = 80, x-y = 81 }}\ncommand = 'a $PORT $PORT_X_Y'\n"
        );
        notes(&Project::new(&text).env("PORT", "9000").draft())
    };
    let port = "web uses $PORT, but has no `port`: add `port = 8000` or `port = \"auto\"` to web";
    for command in [
        "'serve --port $PORT --host $HOST'",
        "'serve --port=${PORT:-3000}'",
        "['serve', '${PORT}']",
        "['sh', '-c', 'serve $$PORT']",
        "'echo a'\nready = { exec = 'curl localhost:$PORT' }",
        "'echo a'\ndebug = { command = 'serve $PORT' }",
    ] {
        assert_eq!(of_web(command), [port], "{command}");
    }
    let other = |variable: &str, rest: &str| {
        assert_eq!(
            of_web(&format!("'serve ${variable}'")),
            [format!("web uses ${variable}, but {rest}")]
        );
    };
    other("HOST", "has no `port`: add `port = 8000` or `port = \"auto\"` to web");
    other("PORT_X_Y", "has no port `x-y`: add `x-y = \"auto\"` to the `ports` of web");
    other("DEVSTACK_API_URL", "does not depend on api: add `depends_on = [\"api\"]` to web");
    for quiet in [
        "'serve'",
        "'PORT=3000; serve $PORT'",
        "'serve $PORTAL $port ${api.port}PORT $DEVSTACK_STACK $DEVSTACK_NO_URL'",
        "'serve $PORT'\nenv = { PORT = '3000' }",
        "'serve $PORT'\nport = 3000",
        "'serve $DEVSTACK_API_PORT $DEVSTACK_API_HOST'\ndepends_on = ['api']",
    ] {
        assert_eq!(of_web(quiet), [""; 0], "{quiet}");
    }
    let task = Project::new("[services.t]\nkind = 'task'\ncommand = 'curl :$PORT'\nreplicas = 2");
    assert_eq!(
        notes(&task.draft()),
        [
            "t uses $PORT, but has no `port`: use `${SERVICE.port}` for the port of a service, or add a `port` to t"
        ]
    );
    // In an array it has no value at all.
    let error =
        load(&Project::new("[services.web]\ncommand = ['serve', '$PORT']").sources).unwrap_err();
    let help = &error.list()[0].message().help;
    assert_eq!(help, "add `port = 8000` or `port = \"auto\"` to web");
}

#[test]
fn a_number_that_pins_no_port_is_noted() {
    let bare = Project::new(
        "[services.api]\ncommand = 'a'\n[services.t]\nkind = 'task'\nport = 1\ncommand = 'b'",
    );
    let bare = bare.env("PORT", "9000").env("API_PORT", "9001").env("T_PORT", "9002");
    assert_eq!(
        notes(&bare.draft()),
        [
            "PORT=9000 is ignored: no service has a `port`: add `port = 9000` to the service that it is for",
            "API_PORT=9001 is ignored: api has no `port`: add `port = 8000` or `port = \"auto\"` to api",
        ]
    );
    let two = Project::new(TWO).env("PORT", "9000").env("API_PORT", "9001");
    assert_eq!(
        notes(&two.draft()),
        ["PORT=9000 is ignored: API_PORT sets the port of api: unset PORT to silence this note"]
    );
    for (variable, value) in [("PORT", "9000"), ("PORT", "x"), ("PORT", "")] {
        let project = Project::new("[services.api]\ncommand = 'a'\nport = 80\nreplicas = 2");
        let project =
            if value == "x" { Project::new("[services.a]\ncommand = 'a'") } else { project };
        assert_eq!(notes(&project.env(variable, value).draft()), [""; 0], "{value}");
    }
}

#[test]
fn a_probe_that_cannot_be_asked_for_is_shown_as_written() {
    let path = Project::new("[services.a]\ncommand = 'a'\nport = 8000\nready = { http = '/a b' }");
    let url = "invalid probe path `/a b`: it has a space or a special character";
    assert_eq!(path.mistakes(), [format!("devstack.toml:4:18: {url}")]);
    let url = Project::new(
        "[services.a]\ncommand = 'a'\nport = 8000\nready = { http = 'ftp://x:${a.port}' }",
    );
    let shown = "devstack.toml:4:18: unsupported probe URL `ftp://x:${a.port}`";
    assert_eq!(url.mistakes(), [shown]);
}
