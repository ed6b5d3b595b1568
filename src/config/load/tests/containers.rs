//! `image`, `build` and what only containers have.

use super::*;

fn container(stack: &Stack, service: &str) -> ContainerConfig {
    stack.services[&name(service)].launch.container.clone().expect("it runs in a container")
}

/// What runs, without secrets: the image and the words after it.
fn line(stack: &Stack, service: &str) -> String {
    let command = stack.services[&name(service)].launch.command.line();
    let line = format!("{} {command}", container(stack, service).image());
    line.trim_end().to_owned()
}

#[test]
fn an_image_has_words_volumes_and_ports_inside() {
    let project = Project::new(
        r#"
[stack]
engine = "podman"
[services.db]
image = "docker.io/library/postgres:${TAG:-17}"
dir = "data"
command = "postgres -c 'log line=x' --port $PORT"
args = ["-c", "fsync=off"]
entrypoint = ["/bin/entry"]
user = "1000:1000"
workdir = "/srv"
pull = "never"
port = { prefer = 5433, inside = 5432 }
volumes = ["db-data:/var/lib/db/", "./conf:/etc/conf:ro", "/tmp:/t:rw", "/scratch"]
[services.app]
build = { context = "app", file = "Dockerfile.dev", target = "dev", args = { V = 3 } }
ports = { http = 8000, metrics = { inside = 9100 } }
engine = "docker"
"#,
    )
    .file("data/conf", "");
    let stack = project.stack();
    let db = container(&stack, "db");
    let ImageSource::Image(image) = &db.source else { panic!("it is pulled") };
    assert_eq!(image.expose(), "docker.io/library/postgres:17");
    assert_eq!(
        line(&stack, "db"),
        "docker.io/library/postgres:${TAG} postgres -c log line=x --port 5432 -c fsync=off"
    );
    assert_eq!(db.entrypoint, Some(vec!["/bin/entry".into()]));
    assert_eq!((db.user, db.workdir), (Some("1000:1000".into()), Some("/srv".into())));
    assert_eq!((db.pull, db.engine), (PullPolicy::Never, Some(ContainerEngine::Podman)));
    assert_eq!(db.inside_ports, BTreeMap::from([("main".to_owned(), 5432)]));
    let conf = project.path("data/conf");
    let volumes: Vec<String> = db.volumes.iter().map(VolumeMount::to_string).collect();
    let bind = format!("{}:/etc/conf:ro", conf.display());
    assert_eq!(volumes, ["db-data:/var/lib/db", &bind, "/tmp:/t", "/scratch"]);
    let app = container(&stack, "app");
    assert_eq!(app.engine, Some(ContainerEngine::Docker));
    assert_eq!(app.inside_ports["http"], 8000);
    assert_eq!(app.inside_ports["metrics"], 9100);
    let ImageSource::Build(build) = app.source else { panic!("it is built") };
    assert!(build.context.ends_with("app") && build.context.is_absolute());
    assert!(build.file.is_some_and(|file| file.ends_with("app/Dockerfile.dev")));
    assert_eq!(build.target, Some("dev".into()));
    assert_eq!(build.args["V"], "3".into());
}

/// What each side is told about the others, with outside ports that are not the wanted ones.
#[test]
fn references_give_each_side_the_address_that_it_can_use() {
    let project = Project::new(
        r#"
[services.db]
preset = "postgres"
image = "postgres:17"
port = 5433
[services.keycloak]
image = "keycloak"
ports = { http = 8080, admin = { prefer = 9000, inside = 9001 } }
depends_on = ["db", "api"]
command = "start --db ${db.url} --port $PORT"
env = { A = "${db.host}:${db.port}", B = "${api.url} ${api.host}", C = "${host.inside}", D = "${keycloak.url} ${keycloak.port.admin}", E = "${keycloak.origin}" }
ready = { http = { path = "/up", port = "admin" }, exec = "check ${PORT_ADMIN} ${db.host}" }
health = { tcp = 9001 }
engine = "podman"
[services.api]
command = "api"
port = 5000
depends_on = ["db", "keycloak"]
env = { A = "${db.url}", B = "${keycloak.port.admin}", C = "${host.inside}" }
"#
        .replace("depends_on = [\"db\", \"api\"]\n", "depends_on = [\"db\"]\n")
        .as_str(),
    );
    let config = project.draft();
    let port = |service: &str, port: &str, number| {
        (PortKey::new(&name(service), port), AssignedPort::sample(port, number))
    };
    let ports = BTreeMap::from([
        port("db", "main", 6001),
        port("keycloak", "http", 6002),
        port("keycloak", "admin", 6003),
        port("api", "main", 6004),
    ]);
    let stack = config.resolve(&ports);
    let launch = |service: &str| &stack.services[&name(service)].launch;
    let env = |service: &str, names: &[&str]| {
        let env = &launch(service).env;
        names.iter().map(|name| env[*name].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        env("api", &["A", "B", "C", "DEVSTACK_DB_URL", "DEVSTACK_KEYCLOAK_PORT", "HOST"]),
        [
            "postgresql://postgres@127.0.0.1:6001/postgres",
            "6003",
            "host.docker.internal",
            "postgresql://postgres@127.0.0.1:6001/postgres",
            "6002",
            "127.0.0.1"
        ]
    );
    assert_eq!(
        env("keycloak", &["A", "B", "C", "D", "E"]),
        [
            "db:5432",
            "http://host.containers.internal:6004 host.containers.internal",
            "host.containers.internal",
            "http://keycloak:8080 9001",
            "http://127.0.0.1:6002"
        ]
    );
    assert_eq!(
        env("keycloak", &["HOST", "PORT", "PORT_ADMIN", "DEVSTACK_DB_URL"]),
        ["0.0.0.0", "8080", "9001", "postgresql://postgres@db:5432/postgres"]
    );
    let keycloak = &stack.services[&name("keycloak")];
    let words = "keycloak start --db postgresql://postgres@db:5432/postgres --port 8080";
    assert_eq!(line(&stack, "keycloak"), words);
    assert_eq!(keycloak.url().as_deref(), Some("http://127.0.0.1:6002"));
    let [Probe::Http { url, own_port: Some(6003), .. }, Probe::Exec { command }] =
        keycloak.ready.probes.as_slice()
    else {
        panic!("{:?}", keycloak.ready.probes);
    };
    assert_eq!(url, "http://127.0.0.1:6003/up");
    assert_eq!(command.line(), "check ${PORT_ADMIN} db");
    let health = keycloak.health.as_ref().expect("it has some");
    assert_eq!(health.probes, [Probe::Tcp { port: 6003 }]);
    let inside: Vec<_> = keycloak.ports.iter().map(|port| keycloak.inside_port(port)).collect();
    assert_eq!(inside, [Some(8080), Some(9001)]);
}

#[test]
fn a_preset_gives_a_container_what_does_not_need_its_program() {
    let project = Project::new(
        r#"
[services.db]
preset = "postgres"
image = "postgres:16"
env = { POSTGRES_DB = "shop" }
[services.new]
preset = "postgres"
image = "localhost:5000/postgres"
[services.own]
preset = "postgres"
image = "postgres:18"
volumes = ["elsewhere:/var/lib/postgresql/data"]
[services.mq]
preset = "rabbitmq"
image = "rabbitmq:4-management"
[services.files]
preset = "minio"
image = "minio/minio"
port = 9100
"#,
    );
    let stack = project.stack();
    let db = &stack.services[&name("db")];
    assert_eq!(line(&stack, "db"), "postgres:16");
    assert_eq!(db.url().as_deref(), Some("postgresql://postgres@127.0.0.1:5432/shop"));
    assert_eq!(&db.launch.env["POSTGRES_HOST_AUTH_METHOD"], "trust");
    assert!(!db.launch.env.contains("DEVSTACK_DATA") && !db.launch.env.contains("PATH"));
    assert_eq!((db.launch.requires.as_ref(), db.data_dir()), (None, None));
    let volumes = |service: &str| {
        let container = container(&stack, service);
        container.volumes.iter().map(VolumeMount::to_string).collect::<Vec<_>>()
    };
    assert_eq!(volumes("db"), ["db-data:/var/lib/postgresql/data"]);
    assert_eq!(volumes("new"), ["new-data:/var/lib/postgresql"]);
    assert_eq!(volumes("own"), ["elsewhere:/var/lib/postgresql/data"]);
    assert!(db.ready.probes.contains(&Probe::Tcp { port: 5432 }), "{:?}", db.ready.probes);
    // As the image has it, not this machine.
    let asks = |probe: &Probe| matches!(probe, Probe::Exec { command: CommandLine::Shell(text) } if text.starts_with("pg_isready -q -h 127.0.0.1 -U"));
    assert!(db.ready.probes.iter().any(asks), "{:?}", db.ready.probes);
    let mq = &stack.services[&name("mq")];
    let ports: Vec<_> = mq.ports.iter().map(|port| port.name.as_str()).collect();
    assert_eq!(ports, ["amqp", "management"]);
    let files = &stack.services[&name("files")];
    assert_eq!(line(&stack, "files"), "minio/minio server /data --console-address :9001");
    let inside = &files.launch.container.as_ref().expect("it is one").inside_ports;
    assert_eq!(inside["api"], 9000, "the preset knows it: {inside:?}");
}

#[test]
fn a_container_may_not_reach_a_program_on_loopback() {
    let notes = |host: &str, env: &str| {
        let project = Project::new(&format!(
            "[services.api]\ncommand = 'x'\nport = 5000\nhost = '{host}'\n[services.web]\nimage = 'x'\nport = 80\nenv = {{ A = '{env}' }}\n"
        ));
        project.draft().notes().iter().map(|note| note.text.clone()).collect::<Vec<_>>()
    };
    let expected = match cfg!(target_os = "linux") {
        true => vec!["web may not reach api, which listens on 127.0.0.1"],
        false => Vec::new(),
    };
    assert_eq!(notes("127.0.0.1", "${api.url}"), expected);
    assert_eq!(notes("0.0.0.0", "${api.url}"), [""; 0]);
    assert_eq!(notes("127.0.0.1", "${api.origin} ${web.url}"), [""; 0]);
}

#[test]
fn the_environment_of_a_container_has_only_its_own_variables() {
    let project = Project::new(
        "[stack]\nenv = { ALL = '1' }\n[services.web]\nimage = 'x'\nport = { prefer = 8080, inside = 80 }\nenv = { A = '${OUTER}' }\n",
    )
    .env("OUTER", "passed")
    .env("OTHER", "kept out");
    let stack = project.stack();
    let env = &stack.services[&name("web")].launch.env;
    let names: Vec<&str> = env.names().collect();
    let own = ["A", "ALL", "DEVSTACK_MODE", "DEVSTACK_SERVICE", "DEVSTACK_STACK", "HOST", "PORT"];
    assert_eq!(names, own);
    assert_eq!((&env["A"], &env["PORT"]), ("passed", "80"));
    let explained = project.draft().explain_env(&name("web"), &BTreeMap::new(), false, None);
    assert_eq!(explained["HOST"], [(VariableSource::Devstack, Some("0.0.0.0".to_owned()))]);
}

#[test]
fn debug_mode_has_its_own_words_and_a_port_inside() {
    let project = Project::new(
        "[services.web]\nimage = 'x'\nport = 8080\ndebug = { command = 'dbg --at $DEBUG_HOST:$DEBUG_PORT', port = { prefer = 5678, inside = 9229 } }\n",
    );
    let stack = project.draft().resolve_with(&BTreeMap::new(), &[name("web")].into(), None);
    let web = &stack.services[&name("web")];
    assert_eq!(line(&stack, "web"), "x dbg --at 0.0.0.0:9229");
    let inside: Vec<_> = web.ports.iter().map(|port| web.inside_port(port)).collect();
    assert_eq!(inside, [Some(8080), Some(9229)]);
}
