//! What a configuration resolves to.

use super::*;
use crate::model::WatchAction;

#[test]
fn http_probes_say_what_they_accept() {
    let text = "[services.api]\ncommand = 'serve'\nport = 5000\nready = { https = '/up', insecure = true, status = [200, 401] }\nhealth = { http = 'https://localhost/x', status = 403 }";
    let stack = Project::new(text).stack();
    let api = &stack.services[&name("api")];
    let probe = |url: &str, status: &[u16], insecure, own_port| Probe::Http {
        url: url.to_owned(),
        status: AcceptedStatus::Only(status.to_vec()),
        insecure,
        own_port,
    };
    let up = probe("https://127.0.0.1:5000/up", &[200, 401], true, Some(5000));
    assert_eq!(api.ready.probes, [up]);
    let health = &api.health.as_ref().expect("it was written").probes;
    assert_eq!(*health, [probe("https://localhost/x", &[403], false, None)]);
    let text = text.replace("[200, 401]", "'any'");
    let any = &Project::new(&text).stack().services[&name("api")].ready.probes[0];
    assert!(matches!(any, Probe::Http { status: AcceptedStatus::Any, .. }), "{any:?}");
    for (ready, mistake) in [
        ("{ status = 200 }", "`status` needs an HTTP probe"),
        ("{ tcp = true, insecure = true }", "`insecure` needs an HTTP probe"),
        ("{ http = '/', status = [] }", "`status` must not be empty"),
        ("{ http = '/', status = 600 }", "`status`"),
        ("{ https = 'http://localhost/' }", "unsupported probe URL"),
    ] {
        let text = format!("[services.api]\ncommand = 'serve'\nport = 5000\nready = {ready}");
        let mistakes = Project::new(&text).mistakes();
        assert!(mistakes.len() == 1 && mistakes[0].contains(mistake), "{ready}: {mistakes:?}");
    }
}

#[test]
fn a_small_file_gets_every_default() {
    let project = Project::new(
        "[services.api]\ncommand = 'serve'\nport = 5000\n[services.once]\ncommand = ['a', 'b']\nkind = 'task'",
    );
    let stack = project.stack();
    assert_eq!(stack.dir, project.dir.path());
    assert_eq!(stack.primary, Some(name("api")));
    let api = &stack.services[&name("api")];
    assert_eq!(api.launch.command, CommandLine::Shell("serve".into()));
    assert_eq!(api.launch.dir, stack.dir);
    assert_eq!(api.launch.host, "127.0.0.1");
    assert_eq!(api.ready.probes, [Probe::Tcp { port: 5000 }]);
    assert_eq!(api.ready.timeout, Duration::from_secs(60));
    assert_eq!(api.ready.interval, Duration::from_millis(250));
    let restart = RestartConfig {
        policy: RestartPolicy::OnFailure,
        max_failures: 8,
        window: Duration::from_secs(120),
        delay: Duration::from_millis(250),
        max_delay: Duration::from_secs(15),
    };
    assert_eq!(api.restart, restart);
    assert_eq!(api.stop, StopConfig { signal: 15, command: None, grace: Duration::from_secs(5) });
    assert_eq!(api.success_codes.iter().collect::<Vec<_>>(), [&0]);
    assert!(api.autostart && api.watch.is_empty() && api.on_exit == OnExit::None);
    assert!(api.health.is_none() && api.tty == TtyMode::Auto);
    let once = &stack.services[&name("once")];
    assert_eq!(once.launch.command, CommandLine::Exec(vec!["a".into(), "b".into()]));
    assert_eq!(once.restart.policy, RestartPolicy::No);
    assert_eq!(once.ready.probes, []);
}

#[test]
fn every_key_reaches_the_stack() {
    let text = r#"
        [stack]
        name = "shop"
        host = "::1"
        on_conflict = "fail"
        [services.db]
        command = "db"
        port = { prefer = 5432, on_conflict = "auto", env = "PGPORT", pass = false }
        [services.migrate]
        command = "migrate"
        kind = "task"
        depends_on = ["db"]
        restart = "on-failure"
        [services.api]
        command = ["serve", "--db", "${db.port}"]
        dir = "src"
        host = "0.0.0.0"
        ports = { http = 8000, metrics = "auto" }
        depends_on = { db = "started", migrate = "completed" }
        restart = { policy = "always", max = 3, window = "1m", delay = "1s", max_delay = "4s" }
        success_codes = [0, 143]
        stop = { signal = "SIGINT", grace = "1.5s", command = ["stop", "$PORT", "${api.port.metrics}"] }
        watch = { paths = ["**/*.py", "!tests/**", "templates/", "app"], ignore = ["*.pyc"], settle = "50ms" }
        autostart = false
        on_exit = "shutdown"
        primary = true
        color = "bright-blue"
        description = "the shop at ${api.url}"
        replicas = 1
        tty = false
        proxy = false
        [services.api.ready]
        tcp = "metrics"
        http = { path = "/health", port = "http" }
        log = 'listening on ${api.url}$'
        exec = ["check", "${PORT_METRICS}"]
        delay = "1s"
        notify = true
        timeout = "5s"
        interval = "100ms"
        [services.api.health]
        tcp = "metrics"
        http = "/alive"
        exec = "ping ${api.port}"
        failures = 1
        interval = "30s"
        action = "restart"
    "#;
    let project = Project::new(text).file("src/x", "");
    let config = project.draft();
    let wanted: Vec<_> = config.port_requests().iter().map(|w| (&*w.key.port, w.wanted)).collect();
    let prefer = |number, policy| WantedPort::preferred(NonZeroU16::new(number), policy);
    let expected = [
        ("http", prefer(8000, ConflictPolicy::Fail)),
        ("metrics", WantedPort::Any),
        ("main", prefer(5432, ConflictPolicy::Auto)),
    ];
    assert_eq!(wanted, expected);
    let chosen = |service: &str, port: &str, number| {
        let chosen = AssignedPort {
            name: port.to_owned(),
            number,
            wanted: None,
            pinned: false,
            moved: Some("why".into()),
        };
        (PortKey::new(&name(service), port), chosen)
    };
    let ports = BTreeMap::from([
        chosen("db", "main", 5433),
        chosen("api", "http", 8001),
        chosen("api", "metrics", 9001),
    ]);
    let stack = config.resolve(&ports);
    assert_eq!((stack.name.as_str(), stack.primary), ("shop", Some(name("api"))));
    let api = &stack.services[&name("api")];
    assert_eq!(
        api.launch.command,
        CommandLine::Exec(["serve", "--db", "5433"].map(Into::into).into())
    );
    assert_eq!(api.launch.dir, project.path("src"));
    assert_eq!(
        api.ports,
        [
            ports[&PortKey::new(&name("api"), "http")].clone(),
            ports[&PortKey::new(&name("api"), "metrics")].clone()
        ]
    );
    let conditions = [(name("db"), Condition::Started), (name("migrate"), Condition::Completed)];
    assert_eq!(api.depends_on, BTreeMap::from(conditions));
    let depends = &stack.services[&name("migrate")].depends_on;
    assert_eq!(depends[&name("db")], Condition::Ready);
    assert_eq!(
        api.ready.probes,
        [
            Probe::Delay { delay: Duration::from_secs(1) },
            Probe::Tcp { port: 9001 },
            Probe::Http {
                url: "http://127.0.0.1:8001/health".into(),
                status: AcceptedStatus::NoError,
                insecure: false,
                own_port: Some(8001)
            },
            Probe::Log { pattern: r"listening on http://127\.0\.0\.1:8001$".into() },
            Probe::Exec { command: CommandLine::Exec(vec!["check".into(), "9001".into()]) },
            Probe::Notify,
        ]
    );
    let health = HealthConfig {
        probes: vec![
            Probe::Tcp { port: 9001 },
            Probe::Http {
                url: "http://127.0.0.1:8001/alive".into(),
                status: AcceptedStatus::NoError,
                insecure: false,
                own_port: Some(8001),
            },
            Probe::Exec { command: CommandLine::Shell("ping 8001".into()) },
        ],
        interval: Duration::from_secs(30),
        failures: 1,
        action: HealthAction::Restart,
    };
    assert_eq!(api.health, Some(health));
    assert_eq!(api.tty, TtyMode::No);
    assert_eq!(api.restart.policy, RestartPolicy::Always);
    assert_eq!((api.restart.max_failures, api.restart.max_delay), (3, Duration::from_secs(4)));
    assert_eq!(api.success_codes.iter().copied().collect::<Vec<_>>(), [0, 143]);
    let command = Some(CommandLine::Exec(["stop", "8001", "9001"].map(Into::into).into()));
    assert_eq!(api.stop, StopConfig { signal: 2, command, grace: Duration::from_millis(1500) });
    let watch = api.watch.first().expect("it watches");
    assert_eq!(watch.root, project.path("src"));
    assert_eq!(watch.include, ["**/*.py", "templates/**", "app", "app/**"]);
    assert_eq!(watch.exclude, ["tests/**", "*.pyc"]);
    assert_eq!(watch.debounce, Duration::from_millis(50));
    assert_eq!((api.autostart, api.on_exit), (false, OnExit::Shutdown));
    assert_eq!(api.color, Some(LabelColor::BrightBlue));
    assert_eq!(api.description.as_deref(), Some("the shop at http://127.0.0.1:8001"));
    let env = &api.launch.env;
    for (name, value) in [
        ("PORT", "8001"),
        ("PORT_HTTP", "8001"),
        ("PORT_METRICS", "9001"),
        ("HOST", "0.0.0.0"),
        ("DEVSTACK_STACK", "shop"),
        ("DEVSTACK_SERVICE", "api"),
        ("DEVSTACK_MODE", "run"),
        ("DEVSTACK_DB_HOST", "::1"),
        ("DEVSTACK_DB_PORT", "5433"),
        ("DEVSTACK_DB_URL", "http://[::1]:5433"),
        ("DEVSTACK_MIGRATE_HOST", "::1"),
    ] {
        assert_eq!(env.get(name), Some(value), "{name}");
    }
    assert_eq!(env.len(), 11);
}

#[test]
fn references_are_replaced_where_they_may_stand() {
    let project = Project::new(
        r#"
        [stack]
        name = "shop"
        [services.api]
        command = 'x=$HOME; echo "${x%.*}" ${x-1.5} $$ \${api.port} ${api.port} ${stack.name} ${VAR:-a.b} ${#x}'
        dir = "${stack.name}"
        port = 5000
        env = { U = "${api.url}/${stack.name}", D = "${NOPE:-${ALSO_NOPE:-${api.port}}}", E = "${EMPTY:-x}${EMPTY}", P = "$PORT:${api.port.main}" }
        watch = ["${stack.name}/*.py"]
        "#,
    )
    .file("shop/x", "")
    .env("EMPTY", "");
    let stack = project.stack();
    let api = &stack.services[&name("api")];
    let command = r#"x=$HOME; echo "${x%.*}" ${x-1.5} $$ \${api.port} 5000 shop ${VAR:-a.b} ${#x}"#;
    assert_eq!(api.launch.command, CommandLine::Shell(command.into()));
    assert_eq!(api.launch.dir, project.path("shop"));
    assert_eq!(&api.launch.env["U"], "http://127.0.0.1:5000/shop");
    assert_eq!(&api.launch.env["D"], "5000");
    assert_eq!(&api.launch.env["E"], "x");
    assert_eq!(&api.launch.env["P"], "5000:5000");
    assert_eq!(api.watch.first().expect("it watches").include, ["shop/*.py"]);
}

#[test]
fn hiding_variables_keeps_what_they_hide_reachable() {
    let project = Project::new(
        "[stack]\nenv = { P = 'stack:$P' }\n[services.a]\ncommand = 'a'\nenv = { P = 'service:$P', Q = '$P' }",
    )
    .file(".env", "P=file")
    .env("P", "outer");
    let env = &project.stack().services[&name("a")].launch.env;
    assert_eq!(&env["P"], "service:stack:file");
    assert_eq!(env["Q"], env["P"]);
}

#[test]
fn two_equal_readings_make_equal_stacks() {
    let project = Project::new(TWO).file(".env", "A=1");
    assert_eq!(project.stack(), project.stack());
}

#[test]
fn variables_without_effect_are_noted() {
    let config = Project::new("[services.a]\ncommand = 'a'\nenv = { HOST = '0.0.0.0' }").draft();
    let [note] = config.notes() else { panic!("{:?}", config.notes()) };
    assert_eq!(note.text, "HOST in `env` of a has no effect: devstack sets it");
}

#[test]
fn health_looks_at_the_main_port_when_nothing_is_said() {
    let stack = Project::new(
        "[services.a]\ncommand = 'a'\nport = 5000\nhealth = {}\nready = { notify = false }\ntty = true\n[services.b]\ncommand = 'b'\nport = 5001\nready = { notify = true }\ntty = 'auto'",
    )
    .stack();
    let [a, b] = ["a", "b"].map(|service| &stack.services[&name(service)]);
    let health = HealthConfig {
        probes: vec![Probe::Tcp { port: 5000 }],
        interval: Duration::from_secs(5),
        failures: 3,
        action: HealthAction::Report,
    };
    assert_eq!((&a.health, &b.health), (&Some(health), &None));
    assert_eq!(a.ready.probes, [Probe::Tcp { port: 5000 }], "`notify = false` says nothing");
    assert_eq!(b.ready.probes, [Probe::Notify]);
    assert_eq!((a.tty, b.tty), (TtyMode::Yes, TtyMode::Auto));
}

#[test]
fn programs_that_become_empty_are_told_wherever_they_stand() {
    let text = "[services.a]\ncommand = 'a'\nenv = { NO = '' }\nready = { exec = ['$NO'] }\nhealth = { exec = ['${NO}'] }\nstop = { command = ['$NO', 'x'] }";
    let expected = [
        "devstack.toml:4:19: the command is empty",
        "devstack.toml:5:20: the command is empty",
        "devstack.toml:6:21: the command is empty",
    ];
    assert_eq!(Project::new(text).mistakes(), expected);
}

#[test]
fn watches_say_what_follows() {
    let project = Project::new(
        r#"
        [services.a]
        command = "x"
        port = 4000
        watch = { paths = ["*.rs"], run = ["cargo", "build", "--message-format=${FORMAT}"] }
        env = { FORMAT = "short" }
        [[services.b.watch]]
        paths = ["*.sql"]
        action = "run"
        run = "make schema-${a.port}"
        [[services.b.watch]]
        signal = "USR1"
        poll = "1s"
        [[services.b.watch]]
        action = "signal"
        [[services.b.watch]]
        [services.b]
        command = "x"
        "#,
    );
    let stack = project.stack();
    let actions = |service: &str| -> Vec<WatchAction> {
        stack.services[&name(service)].watch.iter().map(|watch| watch.action.clone()).collect()
    };
    let format = RedactedText::new("--message-format=short", "--message-format=${FORMAT}");
    let build = Some(CommandLine::exec(["cargo".into(), "build".into(), format]));
    assert_eq!(actions("a"), [WatchAction::Restart { build }]);
    assert_eq!(
        actions("b"),
        [
            WatchAction::Run(CommandLine::Shell("make schema-4000".into())),
            WatchAction::Signal(10),
            WatchAction::Signal(1),
            WatchAction::Restart { build: None },
        ]
    );
    assert_eq!(stack.services[&name("b")].watch[1].poll, Some(Duration::from_secs(1)));
}

#[test]
fn logs_have_limits() {
    let limits = |text: &str| {
        let text = format!("{text}\n[services.a]\ncommand = \"x\"");
        Project::new(&text).stack().logs
    };
    assert_eq!(limits(""), LogRetention { max_size: 50_000_000, keep: 3 });
    assert_eq!(limits("[stack.logs]\nkeep = 0"), LogRetention { max_size: 50_000_000, keep: 0 });
    let both = "[stack]\nlogs = { max_size = \"1GiB\", keep = 10 }";
    assert_eq!(limits(both), LogRetention { max_size: 1 << 30, keep: 10 });
}

#[test]
fn people_read_variables_by_their_names_and_what_devstack_knows_as_it_is() {
    let project = Project::new(
        r#"
        [services.api]
        command = ["serve", "${PORT}", "${TOKEN}", "${NONE:-x}", "a-${api.port}-${stack.name}"]
        port = 5000
        env = { TOKEN = "secret" }
        ready = { exec = ["ask", "${TOKEN}"] }
        "#,
    );
    let stack = project.stack();
    let api = &stack.services[&name("api")];
    let (stack, port) = (&stack.name, 5000);
    assert_eq!(
        api.launch.command.line(),
        format!("serve {port} ${{TOKEN}} ${{NONE}} a-{port}-{stack}")
    );
    let CommandLine::Exec(words) = &api.launch.command else { panic!("it is an array") };
    let texts: Vec<&str> = words.iter().map(|word| word.expose()).collect();
    assert_eq!(texts[..4], ["serve", "5000", "secret", "x"]);
    assert!(!format!("{:?}", api.ready.probes).contains("secret"));
}

#[test]
fn what_builds_first_has_ten_minutes_to_become_ready() {
    let timeout = |command: &str, more: &str| {
        let project =
            Project::new(&format!("[services.api]\ncommand = {command}\nport = 8000\n{more}"));
        project.stack().services[&name("api")].ready.timeout.as_secs()
    };
    for command in [
        "'go run . --port $PORT'",
        "['cargo', 'run', '--release']",
        "'cd api && ./mvnw -q spring-boot:run'",
        "'sh ./gradlew bootRun'",
        "'mvn exec:java'",
        "'go build -o server . && exec ./server'",
    ] {
        assert_eq!(timeout(command, ""), 600, "{command}");
    }
    assert_eq!(timeout("'./server --go run'", ""), 60);
    assert_eq!(timeout("'go run .'", "ready = { timeout = '5s' }"), 5);
}
