//! `GET /v1/events`: what happens, as programs follow it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::support::{TestProject, service, up, wait_limit};

/// One service that is there, and one that is only there.
const STACK: &str = r#"
    [stack]
    name = "shop"
    [services.api]
    command = ["{misbehave}", "marker", "marks", "--trap"]
    watch = ["*.py"]
    [services.spare]
    command = ["{misbehave}", "run"]
    autostart = false
    "#;

/// The events of a stack, one after the other.
struct Feed(BufReader<UnixStream>);

impl Feed {
    fn open(project: &TestProject) -> Feed {
        let stream = UnixStream::connect(project.socket()).expect("it listens");
        stream.set_read_timeout(Some(wait_limit())).expect("a limit");
        (&stream)
            .write_all(b"GET /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .expect("it reads");
        let mut feed = Feed(BufReader::new(stream));
        let head = feed.line().expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        feed
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = self.0.read_line(&mut line).expect("the next line in time");
        (count > 0).then_some(line)
    }

    /// The next object; `None` at the end. What is between is of HTTP.
    fn next(&mut self) -> Option<Value> {
        loop {
            let line = self.line()?;
            if line.starts_with('{') {
                return Some(serde_json::from_str(&line).expect("an object"));
            }
        }
    }

    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        while !seen.last().is_some_and(&wanted) {
            seen.push(self.next().unwrap_or_else(|| panic!("the end after {seen:#?}")));
        }
        seen
    }
}

/// What a service looks like to a client that only reads events.
type Seen = BTreeMap<String, (Value, Value)>;

fn seen_in(stack: &Value) -> Seen {
    let services = stack["services"].as_array().expect("a list").iter();
    let seen = |one: &Value| (one["phase"].clone(), one["since"].clone());
    services.map(|one| (one["name"].as_str().expect("a name").to_owned(), seen(one))).collect()
}

fn tell(seen: &mut Seen, event: &Value) {
    let Some(name) = event["service"].as_str() else { return };
    match event["what"].as_str().expect("a word") {
        "phase" => {
            let before = seen.get(name).map_or(&Value::Null, |(phase, _)| phase);
            assert_eq!(event["from"], *before, "{event}");
            let since = match seen.get(name) {
                Some((phase, since)) if *phase == event["to"] => since.clone(),
                _ => event["at"].clone(),
            };
            seen.insert(name.to_owned(), (event["to"].clone(), since));
        }
        "gone" => drop(seen.remove(name).expect("it was there")),
        _ => {}
    }
}

#[test]
fn a_snapshot_and_the_events_after_it_make_every_later_snapshot() {
    let (project, up) = up(STACK);
    let mut feed = Feed::open(&project);
    let first = feed.next().expect("a snapshot");
    assert_eq!((&first["what"], &first["number"]), (&json!("snapshot"), &first["stack"]["event"]));
    let (mut seen, mut number) = (seen_in(&first["stack"]), first["number"].as_u64().unwrap());
    let mut catch_up = |ps: Value| {
        let target = ps["event"].as_u64().expect("a number");
        while number < target {
            let event = feed.next().expect("more");
            number += 1;
            assert_eq!(event["number"], number, "{event}");
            tell(&mut seen, &event);
        }
        assert_eq!(seen, seen_in(&ps), "after {number}");
    };
    catch_up(project.ps());
    project.devstack(["restart", "api"]).run().expect_code(0);
    catch_up(project.ps());
    project.devstack(["start", "spare"]).run().expect_code(0);
    catch_up(project.ps());
    // One is added, one is removed, one is new and not requested.
    let text = STACK.replace("spare", "other").replace(
        "[services.api]",
        "[services.new]\ncommand = [\"{misbehave}\", \"run\"]\n[services.api]",
    );
    project.configure(&text);
    catch_up(project.wait_ps(|ps| {
        let names: Vec<&Value> =
            ps["services"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
        names == ["api", "new", "other"] && service(ps, "new")["phase"] == "ready"
    }));
    project.devstack(["stop", "api"]).run().expect_code(0);
    catch_up(project.ps());
    project.end(&up);
}

#[test]
fn events_say_why_and_end_with_the_stack() {
    let (project, up) = up(STACK);
    let mut feed = Feed::open(&project);
    let other = Feed::open(&project);
    project.write("a.py", "changed");
    let is = |event: &Value, what: &str, to: &str| event["what"] == what && event["to"] == to;
    let seen = feed.until(|event| is(event, "phase", "ready"));
    let cause = |to: &str| {
        let found = seen.iter().find(|event| is(event, "phase", to));
        found.unwrap_or_else(|| panic!("{to} in {seen:#?}"))["cause"].as_str().unwrap().to_owned()
    };
    assert!(cause("stopping").ends_with("a.py changed"), "{}", cause("stopping"));
    let ended = seen.iter().find(|event| event["what"] == "ended").expect("an end");
    assert_eq!((&ended["exit"], &ended["unexpected"]), (&json!({"code": 0}), &json!(false)));
    up.interrupt();
    let mut last = Vec::new();
    while let Some(event) = feed.next() {
        last.push(event);
    }
    let stopping = last.iter().find(|event| event["what"] == "shutting-down").expect("why");
    assert_eq!(stopping["service"], Value::Null);
    assert!(stopping["cause"].as_str().expect("a text").contains("Ctrl-C"), "{stopping}");
    assert!(last.iter().any(|event| is(event, "phase", "idle")), "{last:#?}");
    assert_eq!(up.wait_code(), 130);
    drop(other);
    project.finish();
}

/// A hundred connections are not read while services come and go: requests are still answered.
#[test]
fn readers_that_do_not_read_delay_nothing() {
    let (project, up) = up(STACK);
    let stuck: Vec<Feed> = (0..100).map(|_| Feed::open(&project)).collect();
    for _ in 0..5 {
        project.devstack(["restart", "api"]).run().expect_code(0);
    }
    let mut late = stuck.into_iter().next().expect("a hundred");
    let seen = late.until(|event| event["what"] == "phase" && event["run"] == 6);
    assert_eq!(seen.iter().filter(|event| event["what"] == "ended").count(), 5);
    project.end(&up);
}
