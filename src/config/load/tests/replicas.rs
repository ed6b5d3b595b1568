//! Services with several replicas.

use super::*;

/// Three replicas, a service that depends on all of them, and one that depends on the second.
const THREE: &str = "[services.api]\ncommand = ['serve', '$PORT', '${api.url}', '${api-3.port}']\nport = 5000\nreplicas = 3\n[services.web]\ncommand = 'web ${api.url} ${api-2.url}'\ndepends_on = ['api']\n[services.cron]\ncommand = 'cron'\ndepends_on = { api-2 = 'started' }\n";

fn words(words: &[&str]) -> CommandLine {
    CommandLine::exec(words.iter().copied())
}

#[track_caller]
fn numbers(config: &Config) -> Vec<(String, WantedPort)> {
    let request = |request: &PortRequest| (request.key.service.to_string(), request.wanted);
    config.port_requests().iter().map(request).collect()
}

#[test]
fn each_replica_is_a_service_with_its_own_port() {
    let stack = Project::new(THREE).stack();
    let names: Vec<&str> = stack.services.keys().map(Name::as_str).collect();
    assert_eq!(names, ["api-1", "api-2", "api-3", "cron", "web"]);
    let members = ["api-1", "api-2", "api-3"].map(name);
    assert_eq!(stack.groups, BTreeMap::from([(name("api"), members.to_vec())]));
    assert_eq!(stack.primary, Some(name("api-1")));
    for (number, member) in (1u16..).zip(&members) {
        let service = &stack.services[member];
        let port = 4999 + number;
        let (own, number) = (port.to_string(), number.to_string());
        assert_eq!(service.ports[0].number, port);
        assert_eq!(service.ready.probes, [Probe::Tcp { port }]);
        let env = &service.launch.env;
        assert_eq!((&env["PORT"], &env["DEVSTACK_REPLICA"]), (&*own, &*number));
        assert_eq!(&env["DEVSTACK_SERVICE"], member.as_str());
        let url = format!("http://127.0.0.1:{port}");
        assert_eq!(service.launch.command, words(&["serve", &own, &url, "5002"]));
    }
}

#[test]
fn the_name_of_a_group_means_all_of_it_or_its_first() {
    let stack = Project::new(THREE).stack();
    let [web, cron] = ["web", "cron"].map(|service| &stack.services[&name(service)]);
    let ready = ["api-1", "api-2", "api-3"].map(|member| (name(member), Condition::Ready));
    assert_eq!(web.depends_on, BTreeMap::from(ready));
    let command = "web http://127.0.0.1:5000 http://127.0.0.1:5001";
    assert_eq!(web.launch.command, CommandLine::Shell(command.into()));
    let env = &web.launch.env;
    assert_eq!(&env["DEVSTACK_API_URL"], "http://127.0.0.1:5000");
    assert_eq!(&env["DEVSTACK_API_3_URL"], "http://127.0.0.1:5002");
    assert!(!env.contains("DEVSTACK_REPLICA"));
    assert_eq!(cron.depends_on, BTreeMap::from([(name("api-2"), Condition::Started)]));
    assert!(cron.launch.env.contains("DEVSTACK_API_2_URL"));
    assert!(!cron.launch.env.contains("DEVSTACK_API_URL"), "it depends on one of them only");
    let text = format!(
        "{THREE}[services.x]\ncommand = 'x'\ndepends_on = {{ api-3 = 'started', api = 'ready' }}"
    );
    let depends_on = Project::new(&text).stack().services[&name("x")].depends_on.clone();
    let conditions: Vec<Condition> = depends_on.into_values().collect();
    assert_eq!(conditions, [Condition::Ready, Condition::Ready, Condition::Started]);
}

#[test]
fn one_replica_is_no_group() {
    let stack = Project::new("[services.api]\ncommand = 'a'\nport = 5000\nreplicas = 1").stack();
    assert!(stack.groups.is_empty());
    let env = &stack.services[&name("api")].launch.env;
    assert!(!env.contains("DEVSTACK_REPLICA"));
}

#[test]
fn ports_that_mean_all_replicas_are_counted_on() {
    let is = |service: &str, wanted| (service.to_owned(), wanted);
    let all = |first: u16, wanted: fn(u16) -> WantedPort| {
        let member = |i: u16| (format!("api-{}", i + 1), wanted(first + i));
        (0..3).map(member).collect::<Vec<_>>()
    };
    let project = Project::new(THREE);
    assert_eq!(numbers(&project.draft()), all(5000, preferred));
    let project = project.file(".env", "API_PORT=5100\n");
    assert_eq!(numbers(&project.draft()), all(5100, preferred));
    let project = project.env("PORT", "7000");
    let expected =
        [is("api-1", pinned(7000)), is("api-2", preferred(5101)), is("api-3", preferred(5102))];
    assert_eq!(numbers(&project.draft()), expected);
    let project = project.env("API_PORT", "6000");
    assert_eq!(numbers(&project.draft()), all(6000, pinned));
    let project = project.env("API_2_PORT", "6500");
    assert_eq!(numbers(&project.draft())[1], is("api-2", pinned(6500)));
    let project = project.with(|s| {
        s.overrides.ports = vec![("api".into(), 8000), ("api-3".into(), 9000)];
    });
    let expected =
        [is("api-1", pinned(8000)), is("api-2", pinned(8001)), is("api-3", pinned(9000))];
    assert_eq!(numbers(&project.draft()), expected);
    let project = project.with(|s| s.overrides.ports = vec![("api".into(), 0)]);
    assert!(numbers(&project.draft()).iter().all(|wish| wish.1 == WantedPort::Any));
    let text = "[services.api]\ncommand = 'a'\nreplicas = 2\nprimary = true\nports = { http = { prefer = 8000, env = 'WEB' }, m = 'auto' }\nenv = { PORT = '8100' }";
    let config = Project::new(text).draft();
    assert_eq!(wish(&config, "api-2", "http").wanted, preferred(8101));
    assert_eq!(wish(&config, "api-2", "m").wanted, WantedPort::Any);
    let config = Project::new(text).env("WEB", "8200").draft();
    assert_eq!(wish(&config, "api-1", "http").wanted, pinned(8200));
    assert_eq!(wish(&config, "api-2", "http").wanted, pinned(8201));
    assert_eq!(config.resolve(&BTreeMap::new()).primary, Some(name("api-1")));
}

#[test]
fn replicas_without_room_are_refused() {
    let project = Project::new(THREE).env("API_PORT", "65534").file(".env", "A=1");
    assert_eq!(project.mistakes(), ["API_PORT=65534 leaves no room for the replicas of api"]);
    let project = Project::new(THREE).with(|s| s.overrides.ports = vec![("api".into(), 65534)]);
    let expected = ["--port api=65534: no room for 3 replicas below port 65536"];
    assert_eq!(project.mistakes(), expected);
    let project = Project::new(THREE).env("API_PORT", "6000").env("API_3_PORT", "6001");
    let expected = ["api-2 and api-3 are both pinned to port 6001, by API_PORT and API_3_PORT"];
    assert_eq!(project.mistakes(), expected);
    let text = "[services.api]\ncommand = 'a'\nreplicas = 2\nports = { a = 5000, b = 5001 }";
    let expected = ["devstack.toml:4:25: api-2 and api-1 both use port 5001"];
    assert_eq!(Project::new(text).mistakes(), expected);
}

#[test]
fn what_is_wrong_with_replicas_is_told_once() {
    let text = "[services.api]\ncommand = ['a', '$NOPE', '${api.port}']\nreplicas = 50\ndepends_on = ['b']\n[services.b]\ncommand = 'b'\nreplicas = 2\ndepends_on = ['api-7']";
    assert_eq!(
        Project::new(text).mistakes(),
        [
            "devstack.toml:2:18: variable `NOPE` is not set",
            "devstack.toml:2:27: service `api` has no port",
            "devstack.toml:4:15: dependency cycle: api → b → api",
        ]
    );
    let text = format!("[services.{}]\ncommand = 'a'\nreplicas = 10", "x".repeat(61));
    let [mistake] = &Project::new(&text).mistakes()[..] else { panic!("not one mistake") };
    assert!(mistake.ends_with("-10` is too long"), "{mistake}");
    let text = "[services.a]\ncommand = 'a'\nreplicas = 2\nenv = { DEVSTACK_REPLICA = '1' }\n";
    assert_eq!(Project::new(text).draft().notes().len(), 1);
}

#[test]
fn replicas_share_their_profiles() {
    let text = format!(
        "{THREE}[services.x]\ncommand = 'x'\nreplicas = 2\nprofiles = ['p']\n[services.y]\ncommand = 'y'\ndepends_on = ['x-2']"
    );
    let expected = "devstack.toml:17:15: `y` depends on `x`, which starts only with profile `p`";
    assert_eq!(Project::new(&text).mistakes(), [expected]);
    let stack = Project::new(&text).env("DEVSTACK_PROFILES", "p").stack();
    assert!(["x-1", "x-2"].map(name).iter().all(|name| stack.services[name].autostart));
}

#[test]
fn too_many_replicas_are_refused() {
    let service = |i: u32| format!("[services.s{i}]\ncommand = 'x'\nreplicas = 100\n");
    let text: String = (0..41).map(service).collect();
    assert_eq!(Project::new(&text).mistakes(), ["devstack.toml:1:2: too many services: 4100"]);
    let chain = |i: u32| {
        let all: String = (0..i).map(|i| format!("'s{i}',")).collect();
        format!("{}depends_on = [{all}]\n", service(i))
    };
    let text: String = (0..40).map(chain).collect();
    let expected = ["replicas have too many dependencies on each other"];
    assert_eq!(Project::new(&text).mistakes(), expected);
}
