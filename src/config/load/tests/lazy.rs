//! `start = "lazy"`: the ports of a lazy service, and mistakes.

use super::*;

const STACK: &str = "
[services.api]
command = ['api', '${PORT}', '${api.url}']
ports = { http = 5000, metrics = 9100 }
start = 'lazy'
idle = '15m'
ready = { http = '/health' }
[services.web]
command = ['web', '${api.url}', '${api.port}', '${api.port.metrics}', '${DEVSTACK_API_PORT}']
depends_on = ['api']
";

#[test]
fn others_use_the_door_and_the_program_its_own_port() {
    let project = Project::new(STACK);
    let config = project.draft();
    let keys: Vec<_> = config.port_requests().iter().map(|it| it.key.id()).collect();
    assert_eq!(keys, ["api/http", "api/metrics", "api/inner"]);
    let api = name("api");
    let port = |port: &str, number| (PortKey::new(&api, port), AssignedPort::sample(port, number));
    let ports = BTreeMap::from([port("http", 5000), port("metrics", 9100), port("inner", 20000)]);
    let stack = config.resolve(&ports);
    let words = |service: &str| stack.services[&name(service)].launch.command.line();
    assert_eq!(words("api"), "api 20000 http://127.0.0.1:20000");
    assert_eq!(words("web"), "web http://127.0.0.1:5000 5000 9100 5000");
    let api = &stack.services[&api];
    assert_eq!(&api.launch.env["PORT_HTTP"], "20000");
    assert_eq!(api.port().map(|port| port.number), Some(5000));
    let own: Vec<u16> = api.own_ports().iter().map(|port| port.number).collect();
    assert_eq!(own, [20000, 9100]);
    assert_eq!(api.door(), Some("127.0.0.1:5000".parse().unwrap()));
    assert_eq!(api.lazy, Some(LazyConfig { idle: Some(Duration::from_secs(900)) }));
    let url = match api.ready.probes.as_slice() {
        [Probe::Http { url, own_port: Some(20000), .. }] => url,
        other => panic!("{other:?}"),
    };
    assert_eq!(url, "http://127.0.0.1:20000/health");
    let web = &stack.services[&name("web")];
    assert_eq!((web.lazy, web.door()), (None, None));
}

#[test]
fn each_replica_sleeps_alone() {
    let project =
        Project::new("[services.api]\ncommand = 'a'\nport = 5000\nstart = 'lazy'\nreplicas = 2\n");
    let keys: Vec<_> = project.draft().port_requests().iter().map(|it| it.key.id()).collect();
    assert_eq!(keys, ["api-1/main", "api-1/inner", "api-2/main", "api-2/inner"]);
}

#[test]
fn what_cannot_be_lazy_is_told() {
    for (keys, mistake) in [
        ("start = 'later'\nport = 1", "invalid value `later` for `start`"),
        ("start = true\nport = 1", "expected a string for `start`"),
        ("start = 'lazy'", "a lazy service needs a port"),
        ("start = 'lazy'\nport = 1\nkind = 'task'", "a task cannot be lazy"),
        (
            "start = 'lazy'\nport = { prefer = 1, pass = true }",
            "the port of a lazy service has `pass`",
        ),
        (
            "start = 'lazy'\nports = { http = 1, inner = 2 }",
            "port name already used by a lazy service",
        ),
        ("start = 'lazy'\nport = 1\nidle = '0s'", "`idle` must be greater than zero"),
        ("start = 'lazy'\nport = 1\nidle = 5", "`idle` has no unit"),
        ("start = 'eager'\nport = 1\nidle = '5m'", "only a lazy service can have `idle`"),
        ("port = 1\nidle = '5m'", "only a lazy service can have `idle`"),
    ] {
        let project = Project::new(&format!("[services.api]\ncommand = 'a'\n{keys}\n"));
        let found = project.mistakes();
        assert!(found.len() == 1 && found[0].contains(mistake), "{keys}: {found:?}");
    }
}
