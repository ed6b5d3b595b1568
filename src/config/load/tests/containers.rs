//! `image`, `build` and what only containers have.

use super::*;

fn container(stack: &Stack, service: &str) -> ContainerConfig {
    stack.services[&name(service)].launch.container.clone().expect("it runs in a container")
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
    );
    let stack = project.stack();
    let db = container(&stack, "db");
    assert_eq!(db.image(), "docker.io/library/postgres:17");
    let words = &stack.services[&name("db")].launch;
    assert_eq!(
        words.line(),
        "docker.io/library/postgres:17 postgres -c log line=x --port 5432 -c fsync=off"
    );
    assert_eq!(db.entrypoint, Some(vec!["/bin/entry".into()]));
    assert_eq!((db.user, db.workdir), (Some("1000:1000".into()), Some("/srv".into())));
    assert_eq!((db.pull, db.engine), (PullPolicy::Never, Some(ContainerEngine::Podman)));
    assert_eq!(db.inside_ports, BTreeMap::from([("main".to_owned(), 5432)]));
    let conf =
        project.path("data/conf").canonicalize().unwrap_or_else(|_| project.path("data/conf"));
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
