use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::model::*;

/// A folder with files, and what is loaded from it.
struct Project {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Project {
    fn new(text: &str) -> Project {
        let folder = tempfile::tempdir().expect("a folder");
        let sources = Sources { cwd: folder.path().to_owned(), ..Sources::default() };
        Project { folder, sources }.file("devstack.toml", text)
    }

    fn file(self, name: &str, text: impl AsRef<[u8]>) -> Project {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
        self
    }

    fn env(mut self, name: &str, value: &str) -> Project {
        self.sources.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Sources)) -> Project {
        change(&mut self.sources);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[track_caller]
    fn draft(&self) -> Draft {
        load(&self.sources).unwrap_or_else(|error| panic!("{error}"))
    }

    #[track_caller]
    fn stack(&self) -> Stack {
        self.draft().resolve(&BTreeMap::new())
    }

    /// All mistakes without excerpts, with their help.
    #[track_caller]
    fn mistakes(&self) -> Vec<String> {
        let error = load(&self.sources).expect_err("it has mistakes");
        let text = |d: &crate::config::Diagnostic| {
            let at = d.location().map(|(file, line, column)| format!("{file}:{line}:{column}: "));
            format!("{}{}", at.unwrap_or_default(), d.message().text)
        };
        error.list().iter().map(text).collect()
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn wish<'a>(draft: &'a Draft, service: &str, port: &str) -> &'a PortWish {
    let found = draft.wishes().iter().find(|w| w.service == name(service) && w.port == port);
    found.expect("the port is wished for")
}

/// The number, how strong, and who said so.
fn said(draft: &Draft, service: &str) -> (Option<u16>, Weight, String) {
    let wish = wish(draft, service, "main");
    (wish.number, wish.weight, wish.source.clone())
}

#[test]
fn broken_examples_are_explained() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/broken");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("the folder of broken examples")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.ends_with(".toml"))
        .collect();
    names.sort();
    assert!(names.len() >= 30, "only {} examples", names.len());
    for name in names {
        let sources =
            Sources { files: vec![name.clone().into()], cwd: folder.clone(), ..Sources::default() };
        let error = load(&sources).expect_err("every example here has a mistake");
        assert!(error.list().iter().all(|d| d.location().is_some()), "{name} without a place");
        let helps = |d: &crate::config::Diagnostic| {
            !d.message().help.is_empty() || d.message().text.contains("must be")
        };
        assert!(error.list().iter().all(helps), "{name} without help");
        insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name.trim_end_matches(".toml"), error.to_string());
        });
    }
}

#[test]
fn a_small_file_gets_every_default() {
    let project = Project::new(
        "[services.api]\ncommand = 'serve'\nport = 5000\n[services.once]\ncommand = ['a', 'b']\nkind = 'task'",
    );
    let stack = project.stack();
    assert_eq!(stack.dir, project.folder.path());
    assert_eq!(stack.primary, Some(name("api")));
    let api = &stack.services[&name("api")];
    assert_eq!(api.launch.command, Command::Shell("serve".into()));
    assert_eq!(api.launch.dir, stack.dir);
    assert_eq!(api.launch.host, "127.0.0.1");
    assert_eq!(api.ready.probes, [Probe::Tcp { port: 5000 }]);
    assert_eq!(api.ready.timeout, Duration::from_secs(60));
    assert_eq!(api.ready.interval, Duration::from_millis(250));
    let restart = Restart {
        policy: Policy::OnFailure,
        max: 8,
        window: Duration::from_secs(120),
        delay: Duration::from_millis(250),
        max_delay: Duration::from_secs(15),
    };
    assert_eq!(api.restart, restart);
    assert_eq!(api.stop, Stop { signal: 15, grace: Duration::from_secs(5) });
    assert_eq!(api.success_codes.iter().collect::<Vec<_>>(), [&0]);
    assert!(api.autostart && api.watch.is_none() && api.on_exit == OnExit::None);
    let once = &stack.services[&name("once")];
    assert_eq!(once.launch.command, Command::Exec(vec!["a".into(), "b".into()]));
    assert_eq!(once.restart.policy, Policy::No);
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
        stop = { signal = "SIGINT", grace = "1.5s" }
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
        timeout = "5s"
        interval = "100ms"
    "#;
    let project = Project::new(text).file("src/x", "");
    let draft = project.draft();
    let conflicts: Vec<_> = draft.wishes().iter().map(|w| (&*w.port, w.on_conflict)).collect();
    let expected =
        [("http", OnConflict::Fail), ("metrics", OnConflict::Fail), ("main", OnConflict::Auto)];
    assert_eq!(conflicts, expected);
    let chosen = |service: &str, port: &str, number| {
        let chosen = Port {
            name: port.to_owned(),
            number,
            wanted: None,
            pinned: false,
            moved: Some("why".into()),
        };
        ((name(service), port.to_owned()), chosen)
    };
    let ports = BTreeMap::from([
        chosen("db", "main", 5433),
        chosen("api", "http", 8001),
        chosen("api", "metrics", 9001),
    ]);
    let stack = draft.resolve(&ports);
    assert_eq!((stack.name.as_str(), stack.primary), ("shop", Some(name("api"))));
    let api = &stack.services[&name("api")];
    assert_eq!(api.launch.command, Command::Exec(["serve", "--db", "5433"].map(Into::into).into()));
    assert_eq!(api.launch.dir, project.path("src"));
    assert_eq!(
        api.ports,
        [
            ports[&(name("api"), "http".into())].clone(),
            ports[&(name("api"), "metrics".into())].clone()
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
            Probe::Http { url: "http://127.0.0.1:8001/health".into(), own_port: Some(8001) },
            Probe::Log { pattern: r"listening on http://127\.0\.0\.1:8001$".into() },
            Probe::Exec { command: Command::Exec(vec!["check".into(), "9001".into()]) },
        ]
    );
    assert_eq!(api.restart.policy, Policy::Always);
    assert_eq!((api.restart.max, api.restart.max_delay), (3, Duration::from_secs(4)));
    assert_eq!(api.success_codes.iter().copied().collect::<Vec<_>>(), [0, 143]);
    assert_eq!(api.stop, Stop { signal: 2, grace: Duration::from_millis(1500) });
    let watch = api.watch.as_ref().expect("it watches");
    assert_eq!(watch.root, project.path("src"));
    assert_eq!(watch.include, ["**/*.py", "templates/**", "app", "app/**"]);
    assert_eq!(watch.exclude, ["tests/**", "*.pyc"]);
    assert_eq!(watch.settle, Duration::from_millis(50));
    assert_eq!((api.autostart, api.on_exit), (false, OnExit::Shutdown));
    assert_eq!(api.color, Some(Color::BrightBlue));
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
        assert_eq!(env.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(env.len(), 11);
}

#[test]
fn later_layers_of_the_environment_win() {
    let project = Project::new(
        r#"
        [stack]
        env = { C = "stack", D = "stack", N = 1, T = true }
        [services.api]
        command = "serve"
        env_file = ["a.env", { path = "absent.env", optional = true }]
        env = { E = "service", PATH = "bin:$PATH", ALL = "$A $B $C $D $E ${X} $$ $5" }
        "#,
    )
    .file(".env", "A=file\nB=file\nC=file\nD=file\nE=file\nX='$A'\n")
    .file(".env.local", "B=local\n")
    .file("a.env", "D=a\nE=a\n")
    .env("A", "outer")
    .env("PATH", "/bin");
    let env = project.stack().services[&name("api")].launch.env.clone();
    assert_eq!(env["ALL"], "file local stack a service $A $ $5");
    assert_eq!(env["PATH"], "bin:/bin");
    assert_eq!((&*env["N"], &*env["T"]), ("1", "true"));
    let files = project.draft().files().clone();
    for file in
        ["devstack.toml", "devstack.local.toml", ".env", ".env.local", "a.env", "absent.env"]
    {
        assert!(files.contains(&project.path(file)), "{file}");
    }
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
    assert_eq!(api.launch.command, Command::Shell(command.into()));
    assert_eq!(api.launch.dir, project.path("shop"));
    assert_eq!(api.launch.env["U"], "http://127.0.0.1:5000/shop");
    assert_eq!(api.launch.env["D"], "5000");
    assert_eq!(api.launch.env["E"], "x");
    assert_eq!(api.launch.env["P"], "5000:5000");
    assert_eq!(api.watch.as_ref().expect("it watches").include, ["shop/*.py"]);
}

const TWO: &str = "[services.api]\ncommand = 'a'\nport = 5000\n[services.web]\ncommand = 'b'\nport = { prefer = 3000, env = 'FRONT' }\n";

#[test]
fn the_strongest_source_decides_a_port() {
    use Weight::{Any, Pinned, Preferred};
    let project = Project::new(TWO);
    let is = |number, weight, source: &str| (Some(number), weight, source.to_owned());
    assert_eq!(said(&project.draft(), "api"), is(5000, Preferred, "devstack.toml"));
    let project = project.file(".env", "API_PORT=5001\nPORT=5002\nFRONT=3001\nWEB_PORT=1\n");
    assert_eq!(said(&project.draft(), "api"), is(5001, Preferred, ".env"));
    assert_eq!(said(&project.draft(), "web"), is(3001, Preferred, ".env"));
    let project = project.file(".env", "PORT=5002\n");
    assert_eq!(said(&project.draft(), "api"), is(5002, Preferred, ".env"));
    assert_eq!(said(&project.draft(), "web"), is(3000, Preferred, "devstack.toml"));
    let project = project.env("PORT", "5003");
    assert_eq!(said(&project.draft(), "api"), is(5003, Pinned, "PORT"));
    assert_eq!(said(&project.draft(), "web"), is(3000, Preferred, "devstack.toml"));
    let project = project.env("API_PORT", "5004").env("FRONT", "3004").env("WEB_PORT", "x");
    assert_eq!(said(&project.draft(), "api"), is(5004, Pinned, "API_PORT"));
    assert_eq!(said(&project.draft(), "web"), is(3004, Pinned, "FRONT"));
    let project = project.with(|s| {
        s.overrides.ports = vec![("api".into(), 1), ("api".into(), 5005), ("web".into(), 0)];
        s.overrides.strict_ports = true;
    });
    assert_eq!(said(&project.draft(), "api"), is(5005, Pinned, "--port"));
    assert_eq!(said(&project.draft(), "web"), (None, Any, "--port".into()));
    assert!(project.draft().wishes().iter().all(|w| w.on_conflict == OnConflict::Fail));
}

#[test]
fn port_in_the_env_of_a_service_is_a_preference() {
    let text = format!("{TWO}env = {{ PORT = '${{BASE:-31}}00' }}");
    let project = Project::new(&text).env("PORT", "");
    assert_eq!(
        said(&project.draft(), "web"),
        (Some(3100), Weight::Preferred, "devstack.toml".into())
    );
    let stack = project.stack();
    assert_eq!(
        stack.services[&name("web")].launch.env["PORT"],
        "3000",
        "what was chosen, not wished"
    );
    let project = Project::new(&format!("{TWO}env = {{ PORT = '${{api.port}}' }}"));
    assert_eq!(project.mistakes(), ["devstack.toml:7:17: `PORT` cannot be made from another port"]);
}

#[test]
fn container_links_are_noted_and_other_nonsense_is_refused() {
    let project = Project::new(TWO).env("API_PORT", "tcp://10.0.0.1:80");
    let draft = project.draft();
    assert_eq!(said(&draft, "api").0, Some(5000));
    let [note] = draft.notes() else { panic!("{:?}", draft.notes()) };
    assert_eq!(note.text, "API_PORT=tcp://10.0.0.1:80 is no port number; ignored");
    let project = project.env("API_PORT", "five").file(".env", "\nFRONT=70000");
    let expected = ["API_PORT=five is not a port", ".env:2:1: FRONT=70000 is not a port"];
    assert_eq!(project.mistakes(), expected);
}

#[test]
fn named_ports_can_be_addressed() {
    let text = "[services.api]\ncommand = 'a'\nports = { zz = 'auto', metrics = { env = 'METRICS' } }\n[services.w]\ncommand = 'b'";
    let project = Project::new(text)
        .env("API_PORT", "8000")
        .env("METRICS", "9000")
        .with(|s| s.overrides.ports = vec![("api.metrics".into(), 9001)]);
    let draft = project.draft();
    assert_eq!(
        wish(&draft, "api", "zz").number,
        Some(8000),
        "the first one written is the main one"
    );
    assert_eq!(wish(&draft, "api", "metrics").number, Some(9001));
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
            "--port apo=1: there is no service `apo`",
            "--port api.metricks=1: service `api` has no port `metricks`",
            "--port w=1: service `w` has no port",
            "--port \\u{1b}[=1: there is no service `\\u{1b}[`",
        ]
    );
}

#[test]
fn two_pins_on_one_port_are_refused() {
    let project = Project::new(TWO).env("API_PORT", "6000").env("FRONT", "6000");
    let expected = ["api and web are both pinned to port 6000: by API_PORT and FRONT"];
    assert_eq!(project.mistakes(), expected);
}

#[test]
fn one_persons_file_lies_over_the_shared_one() {
    let project = Project::new(TWO).file(
        "devstack.local.toml",
        "[services.api]\nport = 5050\nenv = { A = '1' }\n[services.mine]\ncommand = 'm'",
    );
    let stack = project.stack();
    assert_eq!(stack.services[&name("api")].ports[0].number, 5050);
    assert_eq!(stack.primary, Some(name("api")), "the order of the first file counts");
    assert_eq!(stack.services.len(), 3);
    let project = project.file("devstack.local.toml", "[services.api]\nport = 3000");
    assert_eq!(project.mistakes(), ["devstack.local.toml:2:8: web and api both have port 3000"]);
    let project = project.file("devstack.local.toml", "[services.api]\nprot = 1");
    assert_eq!(project.mistakes(), ["devstack.local.toml:2:1: a service has no key `prot`"]);
}

#[test]
fn files_are_found_from_below_and_by_name() {
    let mut project =
        Project::new(TWO).file("a/b/x", "").file("other.toml", "[services.api]\nport = 1234");
    project.sources.cwd = project.path("a/b");
    assert_eq!(project.stack().dir, project.folder.path());
    project.sources.files = vec!["../../devstack.toml".into(), "../../other.toml".into()];
    let stack = project.stack();
    assert_eq!(stack.dir, fs::canonicalize(project.folder.path()).expect("a folder"));
    assert_eq!(stack.services[&name("api")].ports[0].number, 1234);
    project.sources.files = vec!["no.toml".into(), "..".into()];
    let expected =
        ["cannot read `no.toml`: there is no such file", "cannot read `..`: it is a folder"];
    assert_eq!(project.mistakes(), expected);
    let error = load(&project.sources).expect_err("it has mistakes");
    assert!(error.files().contains(&project.path("a/b/no.toml")), "a watcher can wait for it");
}

#[test]
fn no_file_at_all_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let sources = Sources { cwd: folder.path().to_owned(), ..Sources::default() };
    let error = load(&sources).expect_err("there is no file");
    let text = format!("there is no devstack.toml in {} or above", folder.path().display());
    assert_eq!(error.summary().text, text);
    assert!(error.files().contains(&folder.path().join("devstack.toml")));
}

#[test]
fn files_that_are_no_text_are_refused() {
    let is = |project: Project, text: &str| assert_eq!(project.mistakes(), [text]);
    let binary = Project::new("").file("devstack.toml", b"a = 1\n\xff");
    is(binary, "cannot read `devstack.toml`: line 2 is not UTF-8");
    let large = Project::new(&"#".repeat(1024 * 1024 + 1));
    is(large, "cannot read `devstack.toml`: it is larger than 1 MiB");
    let device = Project::new(TWO).file("x.toml", "[stack]\nenv_file = '/dev/zero'");
    let device = device.with(|s| s.files = vec!["devstack.toml".into(), "x.toml".into()]);
    is(device, "x.toml:2:12: cannot read env file `/dev/zero`: it is not a regular file");
    let mark = Project::new(&format!("\u{feff}{TWO}")).file(".env", "\u{feff}A=1");
    assert_eq!(mark.stack().services[&name("api")].launch.env["A"], "1");
    let windows = Project::new(&TWO.replace('\n', "\r\n"));
    assert_eq!(windows.stack().services.len(), 2);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let project = Project::new("[services.a]\ncommand = 'a'\nenv_file = 'pipe'");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        project.path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("a pipe");
    let expected = ["devstack.toml:3:12: cannot read env file `pipe`: it is not a regular file"];
    assert_eq!(project.mistakes(), expected);
}

#[test]
fn passwords_are_never_shown() {
    let project = Project::new(TWO).file(".env", "A=1\ncanary-secret\nB='canary-secret\n");
    let error = load(&project.sources).expect_err("it has mistakes");
    assert_eq!(error.list().len(), 2);
    assert!(!error.render(true).contains("canary"), "{error}");
    assert!(!format!("{:?}", error.summary()).contains("canary"));
}

#[test]
fn hiding_variables_keeps_what_they_hide_reachable() {
    let project = Project::new(
        "[stack]\nenv = { P = 'stack:$P' }\n[services.a]\ncommand = 'a'\nenv = { P = 'service:$P', Q = '$P' }",
    )
    .file(".env", "P=file")
    .env("P", "outer");
    let env = &project.stack().services[&name("a")].launch.env;
    assert_eq!(env["P"], "service:stack:file");
    assert_eq!(env["Q"], env["P"]);
}

#[test]
fn variables_that_explode_are_stopped() {
    let mut text = "[services.a]\ncommand = 'a'\n[services.a.env]\nV0 = 'xxxxxxxxxx'\n".to_owned();
    for i in 1..30 {
        text.push_str(&format!("V{i} = '$V{0}$V{0}$V{0}$V{0}'\n", i - 1));
    }
    assert!(Project::new(&text).mistakes()[0].ends_with("this becomes larger than 1 MiB"));
    let mut text = "[services.a]\ncommand = 'a'\n[services.a.env]\nV0 = 'x'\n".to_owned();
    for i in 1..5000 {
        text.push_str(&format!("V{i} = '$V{}'\n", i - 1));
    }
    // Reached from below, each is one step; from above the chain is cut.
    let result = load(&Project::new(&text).sources);
    assert!(result.is_ok() || result.is_err_and(|e| e.to_string().contains("too deep")));
}

#[test]
fn bombs_do_no_harm() {
    let n = 300_000;
    let deep = "[".repeat(n);
    // Just not enough for a stack of its own.
    let few: String = (0..26).map(|i| format!("{{{}a=", format!("a{i}.").repeat(70))).collect();
    let nested: String = (0..79).map(|i| format!("{{{}a=", format!("a{i}.").repeat(70))).collect();
    for text in [
        "a.".repeat(n) + "a = 1",
        format!("[{}a]", "a.".repeat(n)),
        format!("x = {deep}"),
        deep,
        format!("x = {}", "{a=".repeat(n)),
        format!("x = {nested}1{}", "}".repeat(79)),
        format!("x = {few}1{}", "}".repeat(26)),
        (0..90_000).map(|i| format!("k{i} = 1\n")).collect(),
        (0..5000).map(|i| format!("[services.s{i}]\ncommand='x'\n")).collect(),
        format!("[services.a]\ncommand = '{}'\nport = 'x'", "x".repeat(900_000)),
        format!("services.a.command = 'x'\nservices.a.env.A = '{}'", "${A:-".repeat(100_000)),
        format!("services.a.command = 'x'\nservices.a.ready.log = '{}'", "(".repeat(500_000)),
        format!("services.a.command = 'x'\nservices.a.watch = '{}'", "{".repeat(500_000)),
        format!("services.a.command = 'x'\nservices.a.depends_on = [{}]", "'b',".repeat(100_000)),
    ] {
        let project = Project::new(&text);
        let error = load(&project.sources).expect_err("no bomb is a configuration");
        assert!(error.to_string().len() < 200_000, "{}", error.to_string().len());
    }
}

#[test]
fn a_chain_of_all_services_is_no_cycle() {
    let mut text = "[services.s0]\ncommand = 'x'\n".to_owned();
    for i in 1..4096 {
        text.push_str(&format!("[services.s{i}]\ncommand='x'\ndepends_on=['s{}']\n", i - 1));
    }
    assert_eq!(Project::new(&text).stack().services.len(), 4096);
    let text = text.replacen('\n', "\ndepends_on = ['s4095']\n", 1);
    let mistakes = Project::new(&text).mistakes();
    assert_eq!(mistakes.len(), 1);
    assert!(mistakes[0].contains("s0 → s4095 → s4094"), "{mistakes:?}");
}

#[test]
fn two_equal_readings_make_equal_stacks() {
    let project = Project::new(TWO).file(".env", "A=1");
    assert_eq!(project.stack(), project.stack());
}
