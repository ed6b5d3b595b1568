use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::container::{ContainerHealth, remove_containers};
use crate::model::StackContainers;

#[test]
fn the_name_of_an_image_keeps_its_separators() {
    for (image, path) in [
        ("postgres:17", "postgres:17"),
        ("docker.io/library/postgres:17", "docker.io/library/postgres:17"),
        ("a/b@sha256:12", "a/b@sha256:12"),
        ("a b?c/..:x y", "a%20b%3Fc/..:x%20y"),
    ] {
        assert_eq!(image_path(image), path);
    }
}

/// An engine that gives these answers, one to each connection, and is gone after the last.
struct CannedEngine {
    dir: tempfile::TempDir,
    /// The first lines of the requests.
    asked: mpsc::Receiver<String>,
}

impl CannedEngine {
    fn new(answers: Vec<String>) -> CannedEngine {
        let dir = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(dir.path().join("s")).expect("it is ours");
        let (tell, asked) = mpsc::channel();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                // The test may be over.
                let _ = tell.send(lines.next().unwrap_or_default());
                lines.find(String::is_empty);
                stream.write_all(answer.as_bytes()).expect("it reads");
            }
        });
        CannedEngine { dir, asked }
    }

    fn client(&self, engine: ContainerEngine) -> EngineClient {
        EngineClient::new(self.address(engine))
    }

    fn address(&self, engine: ContainerEngine) -> EngineAddress {
        let socket = self.dir.path().join("s");
        EngineAddress { engine, socket, program: "/usr/bin/docker".into() }
    }

    fn asked(self) -> Vec<String> {
        let words = |line: String| line.trim_end_matches(" HTTP/1.1").to_owned();
        self.asked.iter().map(words).collect()
    }
}

fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn refuses(status: u16, message: &str) -> String {
    answer(status, &serde_json::json!({ "message": message }).to_string())
}

#[tokio::test]
async fn what_an_engine_refuses_is_said_in_its_words() {
    for (status, said) in [
        (500, "write /var/lib/docker/x: no space left on device"),
        (403, "pool overlaps with other one on this address space"),
    ] {
        let engine = CannedEngine::new(vec![refuses(status, said)]);
        let client = engine.client(ContainerEngine::Docker);
        let error = client.create_network("n", &BTreeMap::new()).await.unwrap_err();
        assert_eq!(client.message(&error).text, format!("Docker: {said}"));
        assert!(!error.may_pass());
    }
    let engine = CannedEngine::new(vec![answer(500, "<html>")]);
    let client = engine.client(ContainerEngine::Podman);
    let error = client.running().await.unwrap_err();
    assert_eq!(client.message(&error).text, "Podman: it refused without a reason");
}

#[tokio::test]
async fn a_network_of_the_same_name_is_used_only_if_it_is_its_own() {
    let labels = BTreeMap::from([("dev.devstack.token", "t".to_owned())]);
    for (found, is_own) in [
        (r#"{"Labels": {"dev.devstack.token": "t", "more": "x"}}"#, true),
        (r#"{"Labels": {"dev.devstack.token": "other"}}"#, false),
        (r#"{"Labels": null}"#, false),
    ] {
        let refused = refuses(409, "network with name n already exists");
        let engine = CannedEngine::new(vec![refused, answer(200, found)]);
        let client = engine.client(ContainerEngine::Docker);
        let created = client.create_network("n", &labels).await;
        assert_eq!(created.is_ok(), is_own, "{found}: {created:?}");
        assert_eq!(engine.asked(), ["POST /networks/create", "GET /networks/n"]);
    }
}

#[tokio::test]
async fn an_engine_that_ends_may_come_back_and_garbage_stays() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[";
    for (answer, passes) in [
        (String::new(), true),
        ("HTTP/1.1 200 OK\r\nConten".to_owned(), true),
        (answer(503, "{}"), true),
        (length.to_owned(), true),
        (answer(200, "[{"), false),
        (answer(200, "{\"a\": 1}"), false),
        ("garbage\r\n\r\n".to_owned(), false),
    ] {
        let engine = CannedEngine::new(vec![answer.clone()]);
        let client = engine.client(ContainerEngine::Docker);
        let error = client.running().await.unwrap_err();
        assert_eq!(error.may_pass(), passes, "{answer}: {error:?}");
        assert_eq!(engine.asked().len(), 1);
    }
}

#[tokio::test]
async fn an_engine_that_hangs_is_given_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("s");
    // The kernel accepts, and nobody reads.
    let _listener = UnixListener::bind(&socket).expect("it is ours");
    let engine = ContainerEngine::Docker;
    let client = EngineClient::new(EngineAddress { engine, socket, program: "docker".into() });
    let limit = Duration::from_millis(10);
    let error = client.ask_within(limit, Method::GET, "/_ping", None).await.unwrap_err();
    assert!(client.message(&error).text.starts_with("Docker did not answer within"));
    assert!(error.may_pass());
}

#[tokio::test]
async fn a_container_that_goes_by_itself_counts_as_removed() {
    let gone = || refuses(404, "No such container: x");
    let busy = || refuses(409, "removal of container x is already in progress");
    for (answers, removed) in [
        (vec![answer(204, "")], true),
        (vec![gone()], false),
        (vec![busy(), answer(200, "{}")], true),
        (vec![busy(), gone()], true),
        (vec![refuses(500, "driver failed to remove root filesystem"), gone()], true),
    ] {
        let engine = CannedEngine::new(answers.clone());
        let client = engine.client(ContainerEngine::Docker);
        assert_eq!(client.remove("x").await.expect("it answers"), removed, "{answers:?}");
    }
    let about = r#"{"Id": "x", "State": {"Running": true, "Pid": 7}}"#;
    let engine =
        CannedEngine::new(vec![refuses(500, "device or resource busy"), answer(200, about)]);
    let client = engine.client(ContainerEngine::Docker);
    let error = client.remove("x").await.unwrap_err();
    assert_eq!(client.message(&error).text, "Docker: device or resource busy");
}

#[tokio::test]
async fn what_is_said_of_a_container_is_read() {
    let about = r#"{"Id": "x", "Config": {"Healthcheck": {"Test": ["CMD-SHELL", "curl -f localhost"]},
        "Shell": ["/bin/bash", "-c"]}, "HostConfig": {"Memory": 33554432},
        "State": {"Running": false, "Pid": 0, "StartedAt": "1970-01-01T01:00:07.25+01:00", "OOMKilled": true, "ExitCode": 137,
        "Health": {"Status": "unhealthy"}}}"#;
    let engine = CannedEngine::new(vec![answer(200, about)]);
    let client = engine.client(ContainerEngine::Docker);
    let facts = client.container("x").await.expect("it answers").expect("it is there");
    let check = ["/bin/bash", "-c", "curl -f localhost"].map(str::to_owned);
    assert_eq!(facts.healthcheck.as_deref(), Some(&check[..]));
    assert_eq!(facts.health, Some(ContainerHealth::Unhealthy));
    assert_eq!((facts.out_of_memory, facts.memory_limit), (true, Some(32 << 20)));
    assert_eq!((facts.exit_code, facts.pid, facts.started), (137, None, Some(7)));
    for test in [r#"["NONE"]"#, "[]", "null", r#"["CMD"]"#] {
        let about = format!(
            r#"{{"Id": "x", "State": {{}}, "Config": {{"Healthcheck": {{"Test": {test}}}}}}}"#
        );
        let engine = CannedEngine::new(vec![answer(200, &about)]);
        let client = engine.client(ContainerEngine::Docker);
        let facts = client.container("x").await.expect("it answers").expect("it is there");
        assert_eq!(facts.healthcheck, None, "{test}");
    }
}

/// The answers to one look of a cleanup that finds these containers, all of which can be removed.
fn look(found: &[&str]) -> Vec<String> {
    let list = found.iter().map(|name| serde_json::json!({ "Id": name, "Names": [name] }));
    let list = serde_json::Value::from(list.collect::<Vec<_>>()).to_string();
    let mut answers = vec![answer(200, &list)];
    answers.extend(found.iter().map(|_| answer(204, "")));
    answers.push(answer(200, "[]"));
    answers
}

#[tokio::test]
async fn a_cleanup_waits_for_what_was_begun() {
    let answers = [look(&[]), look(&[]), look(&["late"]), look(&[])].concat();
    let engine = CannedEngine::new(answers);
    let stack = StackContainers {
        token: "t".to_owned(),
        engines: vec![engine.address(ContainerEngine::Docker)],
        creations: vec!["late".to_owned()],
        ..StackContainers::default()
    };
    let left = remove_containers(&stack).await;
    assert_eq!((left.containers, left.trouble), (vec!["late".to_owned()], Vec::new()));
    assert_eq!(engine.asked().len(), 9);
}

#[tokio::test]
async fn a_cleanup_does_not_wait_for_an_engine_that_is_not_there() {
    let engine = CannedEngine::new(Vec::new());
    let mut address = engine.address(ContainerEngine::Docker);
    address.socket = "/nowhere/s".into();
    let creations = vec!["late".to_owned()];
    let (token, engines) = ("t".to_owned(), vec![address]);
    let stack = StackContainers { token, engines, creations, ..StackContainers::default() };
    let left = remove_containers(&stack).await;
    assert_eq!(left.trouble, ["Docker is not running: no socket at /nowhere/s"]);
}
