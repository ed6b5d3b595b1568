//! Services with a preset.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::*;
use crate::presets;

/// A stack with one service, `db`.
fn db(keys: &str) -> Project {
    Project::new(&format!("[stack]\nname = 'shop'\n[services.db]\n{keys}\n"))
}

fn service(project: &Project, service: &str) -> std::sync::Arc<Service> {
    project.stack().services[&name(service)].clone()
}

/// Everything in a service that its preset sets.
fn shown(project: &Project, service: &Service) -> String {
    let mut out = String::new();
    let command = match &service.launch.command {
        CommandLine::Shell(text) => text.trim().to_owned(),
        CommandLine::Exec(words) => format!("{words:?}"),
    };
    let ports: Vec<String> =
        service.ports.iter().map(|port| format!("{}={:?}", port.name, port.wanted)).collect();
    let mut line = |what: &str, value: &str| writeln!(out, "{what}: {value}").expect("a String");
    line("is", service.description.as_deref().unwrap_or_default());
    line("ports", &ports.join(" "));
    line("url", &service.url().unwrap_or_default());
    line("command", &command);
    for (name, value) in service.launch.env.iter() {
        if !matches!(name, "PORT" | "HOST") && !name.starts_with("DEVSTACK_S") {
            line(&format!("  {name}"), value);
        }
    }
    line("ready", &format!("{:?} within {:?}", service.ready.probes, service.ready.timeout));
    line("stop", &format!("{:?} {:?}", service.stop.signal, service.stop.grace));
    for watch in &service.watch {
        line("watch", &watch.include.join(" "));
    }
    line("needs", &format!("{:?}", service.launch.requires.as_ref().map(|needs| &needs.programs)));
    let advice = service.advice.as_ref().expect("every preset has some");
    line("takes port", &advice.port);
    line("takes host", advice.host.as_deref().unwrap_or_default());
    if service.debug.is_some() {
        let debugged = BTreeSet::from([service.name.clone()]);
        let stack = project.draft().resolve_with(&BTreeMap::new(), &debugged, None);
        let service = &stack.services[&service.name];
        if let (CommandLine::Shell(command), RunMode::Debug(mode)) =
            (&service.launch.command, service.mode)
        {
            line("debug", &format!("{:?} on {}: {}", mode.debugger, mode.port, command.trim()));
        }
    }
    out.replace(&project.dir.path().display().to_string(), "/shop")
}

#[test]
fn every_preset_is_a_service() {
    for preset in presets::all() {
        let project = db(&format!("preset = '{}'", preset.name));
        let config = project.draft();
        assert!(config.notes().is_empty(), "{}: {:?}", preset.name, config.notes());
        let usual = preset.outline().port();
        let requests = config.port_requests();
        assert_eq!(requests.is_empty(), usual.is_none(), "{}", preset.name);
        if let Some((request, usual)) = requests.first().zip(usual) {
            assert_eq!(request.wanted, preferred(usual));
            assert_eq!(request.requested_by, format!("preset {}", preset.name));
        }
        let text = shown(&project, &service(&project, "db"));
        insta::with_settings!({ snapshot_path => "../../snapshots/presets", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(preset.name, text);
        });
    }
}

#[test]
fn what_a_service_says_itself_goes_before_its_preset() {
    let project = db(
        "preset = 'postgres'\nport = 6543\nenv = { POSTGRES_DB = 'a b', MORE = '1' }\nstop = { grace = '1s' }\nready = { timeout = '5s' }\nhost = '::1'\ndescription = 'mine'",
    );
    let db = service(&project, "db");
    assert_eq!(db.port().map(|port| port.number), Some(6543));
    assert_eq!(said(&project.draft(), "db").1, "devstack.toml");
    assert_eq!(db.url().as_deref(), Some("postgresql://postgres@[::1]:6543/a%20b"));
    assert_eq!((db.stop.signal, db.stop.grace), (2, Duration::from_secs(1)), "its signal stays");
    assert_eq!(db.ready.timeout, Duration::from_secs(5));
    assert_eq!(db.ready.probes.len(), 2, "its probes stay");
    assert_eq!(&db.launch.env["POSTGRES_USER"], "postgres", "variables are put together");
    assert_eq!(&db.launch.env["MORE"], "1");
    assert_eq!(db.description.as_deref(), Some("mine"));

    let project =
        self::db("preset = 'postgres'\ncommand = 'pg'\nready = { tcp = true }\nwatch = true");
    let db = service(&project, "db");
    assert_eq!(db.launch.command, CommandLine::Shell("pg".into()));
    assert_eq!(db.launch.requires, None, "what another command needs is not known");
    assert_eq!(db.ready.probes, [Probe::Tcp { port: 5432 }], "probes take the place of probes");
    assert!(!db.watch.is_empty());
}

#[test]
fn variables_of_a_preset_lie_below_all_that_is_written() {
    let db = |text: &str, env: &str| {
        let project = db("preset = 'postgres'").file("devstack.toml", text).file(".env", env);
        service(&project, "db").url().expect("it has a port")
    };
    let text = "[services.db]\npreset = 'postgres'";
    assert_eq!(db(text, ""), "postgresql://postgres@127.0.0.1:5432/postgres");
    assert_eq!(db(text, "POSTGRES_DB=env"), "postgresql://postgres@127.0.0.1:5432/env");
    let text = "[stack]\nenv = { POSTGRES_USER = 'me', POSTGRES_DB = '${POSTGRES_USER}-db' }\n[services.db]\npreset = 'postgres'";
    assert_eq!(db(text, "POSTGRES_DB=env"), "postgresql://me@127.0.0.1:5432/me-db");
}

#[test]
fn others_learn_the_url_of_a_preset() {
    let project = Project::new(
        "[services.db]\npreset = 'postgres'\n[services.cache]\npreset = 'redis'\nreplicas = 2\n[services.plain]\ncommand = 'redis-server'\nport = 6400\n[services.api]\ncommand = 'a'\ndepends_on = ['db', 'cache', 'plain']\nenv = { U = '${db.url}' }",
    );
    let api = service(&project, "api");
    let expected = "postgresql://postgres@127.0.0.1:5432/postgres";
    assert_eq!(&api.launch.env["U"], expected);
    assert_eq!(&api.launch.env["DEVSTACK_DB_URL"], expected);
    assert_eq!(&api.launch.env["DEVSTACK_CACHE_URL"], "redis://127.0.0.1:6379");
    assert_eq!(&api.launch.env["DEVSTACK_CACHE_2_URL"], "redis://127.0.0.1:6380");
    assert_eq!(&api.launch.env["DEVSTACK_PLAIN_URL"], "http://127.0.0.1:6400", "no guess");
}

#[test]
fn usual_ports_are_parted_and_written_ones_stay() {
    let project = Project::new(
        "[services.a]\npreset = 'vite'\n[services.b]\npreset = 'vite'\n[services.c]\ncommand = 'c'\nport = 5173\n[services.d]\npreset = 'vite'\nport = 5200",
    );
    let config = project.draft();
    let numbers = ["a", "b", "c", "d"].map(|service| said(&config, service).0);
    assert_eq!(numbers, [5174, 5175, 5173, 5200].map(preferred));
    let project = Project::new(
        "[services.a]\npreset = 'vite'\nport = 5173\n[services.b]\npreset = 'vite'\nport = 5173",
    );
    assert_eq!(project.mistakes(), ["devstack.toml:6:8: a and b both use port 5173"]);
}

#[test]
fn named_ports_of_a_preset_can_be_written_one_by_one() {
    let ports = |keys: &str| {
        let service = service(&db(&format!("{keys}\npreset = 'mailpit'")), "db");
        let port = |port: &AssignedPort| (port.name.clone(), port.wanted);
        service.ports.iter().map(port).collect::<Vec<_>>()
    };
    let is = |list: &[(&str, Option<u16>)]| -> Vec<(String, Option<u16>)> {
        list.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect()
    };
    assert_eq!(ports(""), is(&[("http", Some(8025)), ("smtp", Some(1025))]));
    assert_eq!(ports("port = 9000"), is(&[("http", Some(9000)), ("smtp", Some(1025))]));
    assert_eq!(
        ports("ports = { a = 1, smtp = 'auto' }"),
        is(&[("http", Some(8025)), ("smtp", None), ("a", Some(1))])
    );
    let vite = service(&db("preset = 'vite'\nports = { web = 1, hmr = 2 }"), "db");
    assert_eq!(vite.ports.len(), 2, "they take the place of its only one");
    let decided = db("preset = 'nats'").env("DB_PORT", "4000");
    assert_eq!(said_port(&decided, "client"), pinned(4000));
    assert_eq!(said_port(&decided, "monitoring"), preferred(8222));
}

fn said_port(project: &Project, port: &str) -> WantedPort {
    wish(&project.draft(), "db", port).wanted
}

#[test]
fn mistakes_around_presets_are_shown_in_the_users_file() {
    for (keys, mistake) in [
        ("preset = 'postgre'", "devstack.toml:4:10: unknown preset `postgre`"),
        ("preset = 7", "devstack.toml:4:10: expected a string for `preset`, found an integer"),
        (
            "preset = 'postgres'\nready = { http = 5 }",
            "devstack.toml:5:18: expected a path such as \"/health\" or a URL for `http`, found an integer",
        ),
        (
            "preset = 'postgres'\nenv = { POSTGRES_DB = '${web.port}' }\n[services.web]\ncommand = 'a'\nport = 1",
            "devstack.toml:5:24: the URL of db cannot refer to another service",
        ),
        (
            "preset = 'postgres'\nenv = { POSTGRES_DB = '${POSTGRES_USER}', POSTGRES_USER = '$POSTGRES_DB' }",
            "devstack.toml:5:23: reference cycle: POSTGRES_DB → POSTGRES_USER → POSTGRES_DB",
        ),
        (
            "preset = 'postgres'\nstop = 'x'",
            "devstack.toml:5:8: expected a table for `stop`, found a string",
        ),
    ] {
        let mistakes = db(keys).mistakes();
        assert_eq!(mistakes, [mistake], "{keys}");
    }
    // Also if the preset's own values cause the error.
    let project = db("preset = 'nats'\nready = { http = { port = 'x' } }\nports = 5");
    let error = load(&project.sources).expect_err("it has mistakes").to_string();
    assert!(error.contains("devstack.toml") && !error.contains("[service]"), "{error}");
}

#[test]
fn a_framework_that_reloads_itself_is_left_to_do_so() {
    let project = Project::new(
        "[services.a]\ncommand = 'flask run --debug --port $PORT'\nport = 5000\nwatch = ['**/*.py', 'data/*.json']",
    );
    let config = project.draft();
    let [note] = config.notes() else { panic!("{:?}", config.notes()) };
    assert_eq!(note.text, "a reloads itself, so its `watch` ignores **/*.py");
    assert_eq!(note.help, "remove `--debug` to have devstack restart it instead");
    let watch = service(&project, "a").watch[0].clone();
    assert_eq!(watch.include, ["**/*.py", "data/*.json"]);
    assert_eq!((&watch.exclude, &watch.reloaded), (&vec![], &vec!["**/*.py".to_owned()]));

    // Set by a variable in any layer. A preset's own `watch` is narrowed without a note.
    let project = db("preset = 'flask'").file(".env", "FLASK_DEBUG=1");
    assert!(project.draft().notes().is_empty());
    assert_eq!(service(&project, "db").watch.first().expect("templates").reloaded, ["**/*.py"]);

    for quiet in [
        "command = 'flask run'",
        "preset = 'flask'",
        "command = 'python manage.py runserver --noreload'",
    ] {
        let project = db(&format!("{quiet}\nwatch = true"));
        assert!(project.draft().notes().is_empty(), "{quiet}");
        assert!(service(&project, "db").watch.first().expect("it watches").reloaded.is_empty());
    }
}

#[test]
fn what_makes_a_known_framework_take_its_port_is_known_without_a_preset() {
    let takes = |command: &str| {
        let project = db(&format!("command = {command}"));
        service(&project, "db").advice.clone().map(|advice| advice.port)
    };
    assert_eq!(takes("['flask', 'run']").as_deref(), Some("pass --port $PORT"));
    assert_eq!(
        takes("'cd api; exec node server.js'").as_deref(),
        Some("listen on process.env.PORT")
    );
    // Known only from package.json.
    assert_eq!(takes("'npm run dev'"), None);
    assert_eq!(takes("'./server'"), None);
}

#[test]
fn its_own_reloader_takes_restarts_and_nothing_else_from_a_watch() {
    let project = db(
        "port = 5000\ncommand = 'flask run --debug --port $PORT'\nwatch = [{ paths = ['a.py'] }, { paths = ['b.py'], action = 'run', run = 'make' }]",
    );
    assert_eq!(project.draft().notes().len(), 1);
    let watches = service(&project, "db").watch.clone();
    assert_eq!(watches[0].reloaded, ["**/*.py"]);
    assert!(watches[1].reloaded.is_empty());
}
