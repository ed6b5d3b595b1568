//! `debug`: services in debug mode.

use super::*;
use crate::config::DebugServices;

/// Loads a service in debug mode.
fn debugged(project: &Project, service: &str) -> std::sync::Arc<Service> {
    let debugged = DebugServices::from([name(service)]);
    let stack = project.draft().resolve_with(&BTreeMap::new(), &debugged, None);
    stack.services[&name(service)].clone()
}

const API: &str = "[services.api]
command = ['./api', '${PORT}']
port = 5000
debug = { command = ['debugpy', '${DEBUG_HOST}:${DEBUG_PORT}', '${DEBUG_WAIT:-no}', '${PORT}'], port = 5678, wait = true }
";

#[test]
fn another_command_and_a_port_of_its_own() {
    let project = Project::new(API);
    let run = project.stack().services[&name("api")].clone();
    assert_eq!(run.mode, RunMode::Run);
    assert_eq!(run.launch.command, CommandLine::Exec(vec!["./api".into(), "5000".into()]));
    assert_eq!(&run.launch.env["DEVSTACK_MODE"], "run");
    assert!(!run.launch.env.names().any(|name| name.starts_with("DEBUG_")));
    let entry =
        DebugConfig { debugger: Some(DebuggerKind::Debugpy), prefer: Some(5678), program: None };
    assert_eq!(run.debug, Some(entry));

    let debug = debugged(&project, "api");
    let words = ["debugpy", "127.0.0.1:5678", "1", "5000"].map(str::to_owned);
    assert_eq!(debug.launch.command, CommandLine::exec(words.to_vec()));
    assert_eq!(&debug.launch.env["DEVSTACK_MODE"], "debug");
    let mode =
        DebugTarget { port: 5678, debugger: Some(DebuggerKind::Debugpy), waits_for_debugger: true };
    assert_eq!(debug.mode, RunMode::Debug(mode));
    let ports: Vec<_> = debug.ports.iter().map(|port| (&*port.name, port.number)).collect();
    assert_eq!(ports, [("main", 5000), ("debug", 5678)]);
}

#[test]
fn only_those_in_debug_mode_wish_for_its_port() {
    let project = Project::new(API).with(|sources| {
        sources.overrides.ports = vec![("api.debug".to_owned(), 6000)];
    });
    let config = project.draft();
    assert_eq!(config.port_requests().len(), 1);
    assert_eq!(config.port_requests_with(&DebugServices::from([name("web")])).len(), 1);
    let requests = config.port_requests_with(&DebugServices::from([name("api")]));
    let last = requests.last().expect("two");
    assert_eq!((&*last.key.port, last.wanted), ("debug", pinned(6000)));
    assert_eq!(config.debuggable().count(), 1);
}

#[test]
fn a_debugger_alone_is_no_main_port() {
    let project = Project::new("[services.api]\ncommand = 'a'\ndebug = {}\n");
    let debug = debugged(&project, "api");
    assert_eq!((debug.port(), debug.url(), debug.ports.len()), (None, None, 1));
    assert!(!debug.launch.env.contains("PORT"));
    assert_eq!(
        debug.launch.command,
        CommandLine::Shell("a".into()),
        "its command looks for itself"
    );
}

#[test]
fn each_replica_has_its_own() {
    let project =
        Project::new("[services.api]\ncommand = 'a'\nreplicas = 2\ndebug = { port = 5678 }\n");
    let numbers: Vec<u16> = ["api-1", "api-2"]
        .iter()
        .filter_map(|name| Some(debugged(&project, name).ports.first()?.number))
        .collect();
    assert_eq!(numbers, [5678, 5679]);
    assert_eq!(project.draft().services_named(&name("api")), [name("api-1"), name("api-2")]);
}

#[test]
fn mistakes_are_told_before_anybody_debugs() {
    for (keys, mistake) in [
        ("debug = 'python -m debugpy'", "expected a table for `debug`, found a string"),
        ("debug = { comand = 'a' }", "unknown key `comand` in `debug`"),
        ("debug = { port = 0 }", "invalid port 0"),
        ("debug = { wait = 1 }", "expected a boolean for `debug.wait`"),
        ("debug = { command = [] }", "`debug.command` is empty"),
        ("debug = { command = ['a', '${NOPE}'] }", "variable `NOPE` is not set"),
        ("debug = { command = 'a ${nobody.url}' }", "unknown service `nobody`"),
        ("debug = { port = { prefer = 1, pass = true } }", "`debug.port` does not support `pass`"),
        ("ports = { debug = 1 }\ndebug = {}", "port name already used by `debug`"),
    ] {
        let project = Project::new(&format!("[services.api]\ncommand = 'a'\n{keys}\n"));
        let found = project.mistakes();
        assert!(found.len() == 1 && found[0].contains(mistake), "{keys}: {found:?}");
    }
}

#[test]
fn a_preset_brings_its_own_unless_the_command_is_another() {
    let entry = |keys: &str| {
        let project = Project::new(&format!("[services.api]\npreset = 'flask'\n{keys}\n"));
        project.stack().services[&name("api")].debug.clone()
    };
    let debugpy = entry("").expect("Flask has one");
    assert_eq!((debugpy.debugger, debugpy.prefer), (Some(DebuggerKind::Debugpy), Some(5678)));
    assert_eq!(entry("debug = { port = 6000 }").expect("the rest stays").prefer, Some(6000));
    assert_eq!(entry("command = 'gunicorn app:app'"), None);
}
