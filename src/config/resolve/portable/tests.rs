use std::collections::BTreeMap;
use std::fs;

use crate::config::{Config, ConfigSources, load};
use crate::model::{
    MissingVariable, Name, PortableNetwork, PortableService, PortableStack, PortableText, TextPiece,
};

fn config(text: &str, env: &str) -> Config {
    config_of(&[("devstack.toml", text), (".env", env)])
}

fn config_of(files: &[(&str, &str)]) -> Config {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let cwd = dir.path().to_owned();
    let outer = BTreeMap::from([("OUTER".to_owned(), "s3cret".to_owned())]);
    let sources = ConfigSources { cwd, env: outer, ..ConfigSources::default() };
    load(&sources).unwrap_or_else(|errors| panic!("{errors}"))
}

fn service<'a>(stack: &'a PortableStack, name: &str) -> &'a PortableService {
    &stack.services[&Name::new(name).unwrap()]
}

/// A text with its open variables as `<NAME>`, or `<NAME in FILE>`.
fn shown(text: &PortableText) -> String {
    text.render(str::to_owned, |open| match &open.file {
        Some(file) => format!("<{} in {}>", open.name, file.file_name().unwrap().display()),
        None => format!("<{}>", open.name),
    })
}

#[test]
fn values_of_files_and_of_the_environment_stay_open() {
    let config = config(
        r#"
        [services.a]
        command = ["x", "${TOKEN}", "${OUTER}", "${KNOWN}", "${EMPTY:-full}", "${NONE:-a${OUTER}}"]
        env = { KNOWN = "k", URL = "u:${TOKEN}@${KNOWN}", TOKEN_TOO = "${TOKEN:?no}", EMPTY = "", LATER = "l" }
        "#,
        "TOKEN=s3cret\nLATER=s3cret\n",
    );
    let stack = config.portable(PortableNetwork::Loopback);
    assert!(!format!("{stack:?}").contains("s3cret"));
    let a = service(&stack, "a");
    let words: Vec<String> = a.command.texts().iter().map(shown).collect();
    assert_eq!(words, ["x", "<TOKEN in .env>", "<OUTER>", "k", "full", "<NONE>"]);
    assert_eq!(shown(&a.env["URL"]), "u:<TOKEN in .env>@k");
    assert_eq!(shown(&a.env["LATER"]), "l", "stronger than the file");
    assert!(!a.env.contains_key("TOKEN"), "the file sets it");
    let [TextPiece::Variable(required)] = a.env["TOKEN_TOO"].pieces.as_slice() else { panic!() };
    assert_eq!(required.missing, MissingVariable::Message("no".to_owned()));
    assert!(a.env_files[0].names.contains("TOKEN") && a.env_files.len() == 1);
}

const TWO: &str = r#"
[services.db]
preset = "postgres"
port = 5433
env = { POSTGRES_USER = "a b" }
[services.1api-]
command = "x"
port = 5000
replicas = 2
depends_on = ["db"]
env = { DB = "${db.url}", SELF = "${1api-.url}", DIR = "${stack.dir}" }
[services.web]
command = "x $DEVSTACK_SERVICE"
ports = { http = "auto", other = "auto" }
depends_on = ["1api-"]
"#;

#[test]
fn services_have_names_in_containers() {
    let stack = config(TWO, "").portable(PortableNetwork::Names);
    let names: Vec<&str> = stack.services.keys().map(Name::as_str).collect();
    assert_eq!(names, ["1api-", "db", "web"]);
    let api = service(&stack, "1api-");
    assert_eq!((api.host_name.as_str(), api.replicas), ("s-1api", 2));
    assert_eq!(shown(&api.env["DB"]), "postgresql://a%20b@db:5432/postgres");
    assert_eq!(shown(&api.env["SELF"]), "http://s-1api:5000");
    assert_eq!(shown(&api.env["DIR"]), "/app");
    assert_eq!(shown(&api.env["HOST"]), "0.0.0.0");
    let db = service(&stack, "db");
    let container = db.container.as_ref().unwrap();
    assert_eq!(container.source, crate::model::ImageSource::Image("postgres:17".into()));
    assert_eq!((db.ports[0].number, db.ports[0].wanted), (5432, Some(5433)));
    assert!(!db.env.contains_key("DEVSTACK_DATA") && !db.env.contains_key("PATH"));
    let web = service(&stack, "web");
    assert_eq!(web.depends_on.keys().map(Name::as_str).collect::<Vec<_>>(), ["1api-"]);
    let ports: Vec<u16> = web.ports.iter().map(|port| port.number).collect();
    assert_eq!(ports, [8000, 8001]);
    assert_eq!(shown(&web.env["DEVSTACK_SERVICE"]), "web", "its command mentions it");
    assert!(!api.env.contains_key("DEVSTACK_SERVICE"));
}

#[test]
fn search_paths_of_containers_are_absolute() {
    let text = r#"
        [services.web]
        preset = "vite"
        dir = "front"
        [services.own]
        command = "x"
        env = { PATH = "bin:./bin::/opt/bin" }
    "#;
    let config = config_of(&[("devstack.toml", text), ("front/package.json", "{}")]);
    let stack = config.portable(PortableNetwork::Names);
    let path = shown(&service(&stack, "web").env["PATH"]);
    let (first, _) = path.split_once(":/usr/").unwrap();
    assert_eq!(first, "/app/front/node_modules/.bin:/app/node_modules/.bin");
    assert_eq!(shown(&service(&stack, "own").env["PATH"]), "/app/bin:/app:/opt/bin");
    let stack = config.portable(PortableNetwork::Loopback);
    assert_eq!(shown(&service(&stack, "own").env["PATH"]), "bin:./bin::/opt/bin");
}

#[test]
fn processes_of_one_machine_share_its_ports() {
    let text = TWO
        .replace("[services.web]", "[services.other]\ncommand = 'x'\nport = 8000\n[services.web]");
    let stack = config(&text, "").portable(PortableNetwork::Loopback);
    let second = service(&stack, "1api--2");
    assert_eq!((second.ports[0].number, second.replicas), (5001, 1));
    assert_eq!(shown(&second.env["SELF"]), "http://127.0.0.1:5001", "a replica means itself");
    assert_eq!(shown(&second.env["DB"]), "postgresql://a%20b@127.0.0.1:5433/postgres");
    let db = service(&stack, "db");
    assert!(db.env.contains_key("DEVSTACK_DATA"));
    assert_eq!(db.container, None, "its own command runs it");
    let web: Vec<u16> = service(&stack, "web").ports.iter().map(|port| port.number).collect();
    assert_eq!(web, [8001, 8002], "8000 is wanted by another");
}

#[test]
fn texts_that_grow_without_end_are_left_open() {
    let mut text = "[services.a]\ncommand = 'x'\n[services.a.env]\nA0 = '${NONE:-}'\n".to_owned();
    for level in 1..30 {
        let below = level - 1;
        text += &format!("A{level} = '${{NOT:-${{A{below}}}${{A{below}}}}}'\n");
    }
    let config = config(&text, "");
    let stack = config.portable(PortableNetwork::Loopback);
    // All of it would be a billion references.
    assert!(format!("{:?}", service(&stack, "a").env["A29"]).len() < 16 * 1024 * 1024);
}

#[test]
fn variables_have_the_names_that_the_file_of_the_service_uses() {
    let main = "include = [{ path = 'search', as = 'search' }]\n";
    let included = r#"
        [services.db]
        command = "x"
        port = 5000
        [services.index]
        command = "x"
        port = 5001
        replicas = 2
        [services.web]
        command = "x"
        depends_on = ["db", "index"]
    "#;
    let config = config_of(&[("devstack.toml", main), ("search/devstack.toml", included)]);
    for network in [PortableNetwork::Names, PortableNetwork::Loopback] {
        let stack = config.portable(network);
        let web = service(&stack, "search-web");
        assert!(web.env.contains_key("DEVSTACK_DB_URL"), "{:?}", web.env);
        assert!(web.env.contains_key("DEVSTACK_INDEX_URL"), "{:?}", web.env);
        assert!(web.env.keys().all(|name| !name.contains("SEARCH")), "{:?}", web.env);
    }
}

#[test]
fn host_names_are_different() {
    let names = ["api", "api-", "api--", "1a", "s-1a", "x--y"];
    let services = names.map(|name| format!("[services.{name}]\ncommand = 'x'\nport = 'auto'\n"));
    let text = services.concat() + "env = { OTHER = '${1a.host}' }\n";
    let stack = config(&text, "").portable(PortableNetwork::Names);
    let hosts = names.map(|name| service(&stack, name).host_name.as_str());
    assert_eq!(hosts, ["api", "api-2", "api-3", "s-1a-2", "s-1a", "x--y"]);
    assert_eq!(shown(&service(&stack, "x--y").env["OTHER"]), "s-1a-2");
}

#[test]
fn ports_are_those_of_the_configuration_files() {
    let text = "[services.a]\ncommand = 'x'\nport = 5000\n\
        [services.outer]\ncommand = 'x'\nport = 'auto'\n\
        [services.own]\ncommand = 'x'\nport = 'auto'\nenv = { PORT = '6000' }\n";
    let config = config(text, "A_PORT=7777\nOUTER_PORT=7778\n");
    let stack = config.portable(PortableNetwork::Names);
    let wanted = ["a", "outer", "own"].map(|name| service(&stack, name).ports[0].wanted);
    assert_eq!(wanted, [Some(5000), None, Some(6000)]);
}
