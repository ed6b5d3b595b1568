//! Each Procfile of the corpus and what it means.

use std::fmt::Write as _;

use super::*;

const CORPUS: &str = "tests/corpus/procfile";

/// A stack in a few lines for each service.
fn outline(config: &Config) -> String {
    let stack = config.resolve(&BTreeMap::new());
    let mut text = String::new();
    for service in stack.services.values() {
        let kind = match service.kind {
            ServiceKind::Service => "service",
            ServiceKind::Task => "task",
        };
        let primary = if stack.primary.as_ref() == Some(&service.name) { ", primary" } else { "" };
        let _ = writeln!(text, "{} ({kind}{primary})", service.name);
        let _ = writeln!(text, "  command: {}", service.launch.command.line().escape_debug());
        let wanted = config.port_requests().iter().find(|one| one.key.service == service.name);
        if let Some(wanted) = wanted {
            let number = match wanted.wanted {
                WantedPort::Preferred(number, _) => number.to_string(),
                WantedPort::Pinned(_) | WantedPort::Any => panic!("{wanted:?}"),
            };
            let listens = if service.ready.probes.is_empty() { ", may stay unused" } else { "" };
            let _ = writeln!(text, "  port: {number}{listens}");
        }
        for (need, condition) in &service.depends_on {
            let _ = writeln!(text, "  after: {need} {condition}");
        }
    }
    let notes = config.notes().iter().map(|note| format!("note: {}\n", note.text));
    text + &notes.collect::<String>()
}

#[test]
fn every_procfile_of_the_corpus_has_its_meaning() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(CORPUS);
    let entries = fs::read_dir(&dir).expect("the corpus").map(|entry| entry.expect("an entry"));
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    assert!(names.len() >= 30, "only {} files", names.len());
    for name in names {
        let files = vec![name.clone().into()];
        let sources = ConfigSources { files, cwd: dir.clone(), ..ConfigSources::default() };
        let meaning = match load(&sources) {
            Ok(config) => outline(&config),
            Err(error) => {
                assert!(error.list().iter().all(|d| !d.message().help.is_empty()), "{name}");
                error.to_string()
            }
        };
        let snapshot = name.replace("Procfile.", "procfile-");
        insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(snapshot, meaning);
        });
    }
}

/// A project without `devstack.toml`.
fn bare() -> Project {
    let project = Project::new("");
    fs::remove_file(project.path("devstack.toml")).expect("it was just written");
    project
}

fn commands(project: &Project) -> Vec<String> {
    let stack = load(&project.sources).expect("valid").resolve(&BTreeMap::new());
    stack.services.values().map(|service| service.launch.command.line()).collect()
}

#[test]
fn the_nearest_file_counts_and_devstack_toml_before_a_procfile() {
    let project = bare().file("Procfile", "web: plain\n");
    assert_eq!(commands(&project), ["plain"]);
    let config = load(&project.sources).expect("valid");
    let [note] = config.notes() else { panic!("{:?}", config.notes()) };
    assert_eq!(note.text, "using Procfile: no devstack.toml found");
    assert_eq!(note.help, "run `devstack init` to write a devstack.toml from it");
    for file in ["devstack.toml", "Procfile.dev", "Procfile", "devstack.local.toml", ".env"] {
        assert!(config.files().contains(&project.path(file)), "{file} may appear");
    }
    let project = project.file("Procfile.dev", "web: for development\n");
    assert_eq!(commands(&project), ["for development"]);
    let project = project.file("devstack.toml", "[services.web]\ncommand = 'toml'\n");
    assert_eq!(commands(&project), ["toml"]);
    let mut project = project.file("api/Procfile", "web: below\n").file("web/x", "");
    project.sources.cwd = project.path("api");
    assert_eq!(commands(&project), ["below"], "the nearest directory");
    project.sources.cwd = project.path("web");
    assert_eq!(commands(&project), ["toml"]);
}

#[test]
fn a_procfile_is_a_layer_like_any_other() {
    let project = bare()
        .file("Procfile", "web: serve --port $PORT\nworker: work\n")
        .file(".env", "PORT=3000\nLEVEL=debug\n")
        .file("devstack.local.toml", "[services.worker]\nautostart = false\nport = 7000\n")
        .file("more.toml", "[services.web]\nenv = { A = '1' }\n");
    let project =
        project.with(|sources| sources.files = vec!["Procfile".into(), "more.toml".into()]);
    let config = load(&project.sources).expect("valid");
    assert_eq!(config.notes(), [], "it was named");
    assert_eq!(said(&config, "web"), (preferred(3000), ".env".to_owned()));
    assert_eq!(said(&config, "worker").0, preferred(7000));
    let stack = config.resolve(&BTreeMap::new());
    let env = &stack.services[&name("web")].launch.env;
    assert_eq!((&env["A"], &env["LEVEL"]), ("1", "debug"));
    assert!(!stack.services[&name("worker")].autostart);
}

#[test]
fn ports_beyond_the_last_one_are_any() {
    let processes: String = (0..700).map(|number| format!("p{number}: a\n")).collect();
    let project = bare().file("Procfile", &processes);
    let config = load(&project.sources).expect("valid");
    assert_eq!(said(&config, "p604").0, preferred(65_500));
    assert_eq!(said(&config, "p605").0, WantedPort::preferred(None, ConflictPolicy::Next));
}

#[test]
fn a_large_procfile_is_refused_and_hostile_ones_take_no_time() {
    let project = bare().file("Procfile", "web: a\n".repeat(1_500_000));
    assert_eq!(project.mistakes(), ["cannot read `Procfile`: it is larger than 1 MiB"]);
    let project = project.file("Procfile", "A_: a\n".repeat(150_000));
    assert_eq!(project.mistakes().len(), 50);
    let names: String = (0..90_000).map(|number| format!("{number}_: a\n")).collect();
    let project = project.file("Procfile", &names);
    assert_eq!(project.mistakes(), ["Procfile:1:1: too many services: 90000"]);
    let project = project.file("Procfile", "\n".repeat(1_000_000));
    assert_eq!(project.mistakes(), ["Procfile:1:1: no processes defined"]);
}
