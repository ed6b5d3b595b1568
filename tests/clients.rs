//! A hundred clients at once, some of them hostile: every answer was true at some moment, and no client harms another.
//!
//! `DEVSTACK_CLIENTS_SEED` repeats the same requests (the world still has its own timing), `DEVSTACK_CLIENTS_ROUNDS` is how
//! much each client asks.

#[path = "clients/feed.rs"]
mod feed;
#[path = "clients/history.rs"]
mod history;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{
    MarkerLog, RunningProgram, SeededRng, TestProject, env_number, eventually, http_socket,
    service, wait_limit,
};
use feed::Feed;
use history::{Asked, Seen, Verb, What, World, wrong};

/// How many clients.
const CLIENTS: usize = 100;
/// Default number of requests of each client.
const ROUNDS: u64 = 30;

/// They mark their starts and ends, and end only on request.
const MARKED: [&str; 9] =
    ["own-0", "own-1", "own-2", "plain-a", "plain-b", "plain-c", "slow-a", "slow-b", "stubborn"];
/// Those that one client has for itself: the one of this number.
const OWNED: [(&str, usize); 3] = [("own-0", 0), ("own-1", 1), ("own-2", 2)];
/// The services that all clients ask about.
const SHARED: [&str; 8] =
    ["crashing", "dependent", "plain-a", "plain-b", "plain-c", "slow-a", "slow-b", "stubborn"];
/// No process is killed because a loaded machine is slow, neither by devstack nor by the fixture.
fn stack() -> String {
    let mark = "[\"{misbehave}\", \"--deadline\", \"3600\", \"marker\", \"marks\", \"--trap\"";
    let stays = "ready = { log = \"^ready\" }\nstop = { grace = \"300s\" }\n";
    let one =
        |name: &str, more: &str| format!("[services.{name}]\ncommand = {mark}{more}]\n{stays}");
    let mut text: String = OWNED.iter().map(|(name, _)| one(name, "")).collect();
    text.extend(["plain-a", "plain-b", "plain-c"].map(|name| one(name, "")));
    let slow = |name| one(name, "").replace("{ log", "{ delay = \"50ms\", log");
    text.extend(["slow-a", "slow-b"].map(slow));
    text += &one("stubborn", ", \"--stop-ms\", \"30\"");
    text +=
        "[services.dependent]\ncommand = [\"{misbehave}\", \"run\"]\ndepends_on = [\"plain-a\"]\n";
    text += "[services.crashing]\ncommand = [\"{misbehave}\", \"--deadline\", \"3\", \"run\"]\n\
             restart = { delay = \"20ms\", max_delay = \"20ms\", max = 1000000 }\n\
             ready = { log = \"^ready\" }\n";
    text
}

fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the value is ours and is filled.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) }, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A client that asks and writes down what it is answered.
struct Client<'a> {
    number: usize,
    dice: SeededRng,
    socket: &'a Path,
    asked: &'a Mutex<Vec<Asked>>,
    /// A connection on which half a request was sent; the one before is closed.
    half: Option<UnixStream>,
}

impl Client<'_> {
    fn round(&mut self) {
        match self.dice.below(20) {
            0..8 => self.look(),
            8..11 => match OWNED.iter().find(|(_, owner)| *owner == self.number) {
                Some((name, _)) => self.order(name),
                None => self.order(SHARED[self.number % SHARED.len()]),
            },
            11..14 => {
                let whom = SHARED[self.dice.below(SHARED.len())];
                self.order(whom);
            }
            14 => self.read_logs(),
            15 => {
                let plan = http_socket(self.socket, "GET", "/v1/plan", "").expect("an answer");
                assert_eq!(plan.status, 200, "{plan:?}");
                assert!(plan.json()["changes"].is_array(), "{plan:?}");
            }
            16 => self.look_slowly(),
            17 => self.vanish(),
            18 => self.send_garbage(),
            _ => {
                let mut half = self.connect();
                let _ = half.write_all(b"POST /v1/stop HTTP/1.1\r\nhost: x\r\ncontent-le");
                self.half = Some(half);
            }
        }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket).expect("somebody listens");
        stream.set_read_timeout(Some(wait_limit())).expect("a time");
        stream
    }

    fn note(&self, sent: u64, what: What) {
        let one = Asked { client: self.number, sent, answered: now(), what };
        self.asked.lock().expect("nobody panics with it").push(one);
    }

    fn look(&self) {
        let sent = now();
        let answer = http_socket(self.socket, "GET", "/v1/stack", "").expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        self.note(sent, What::snapshot(&answer.json()));
    }

    /// The same, a few bytes at a time.
    fn look_slowly(&mut self) {
        let sent = now();
        let mut stream = self.connect();
        let asked = b"GET /v1/stack HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        asked.chunks(7).for_each(|few| stream.write_all(few).expect("it is read"));
        let mut text = Vec::new();
        let mut few = [0; 61];
        loop {
            thread::yield_now();
            match stream.read(&mut few).expect("an answer") {
                0 => break,
                count => text.extend(&few[..count]),
            }
        }
        let text = String::from_utf8(text).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let snapshot: Value = serde_json::from_str(body).expect("JSON");
        self.note(sent, What::snapshot(&snapshot));
    }

    fn order(&mut self, whom: &str) {
        let (path, verb) = self.verb();
        let body = json!({ "services": [whom] }).to_string();
        let sent = now();
        let path = format!("/v1/{path}");
        let answer = http_socket(self.socket, "POST", &path, &body).unwrap_or_else(|error| {
            let now = http_socket(self.socket, "GET", "/v1/stack", "").map(|answer| answer.body);
            panic!("{verb:?} {whom}: {error}; now {now:?}")
        });
        match answer.status {
            200 => self.note(sent, What::Done(verb, whom.to_owned())),
            409 => self.note(sent, What::Refused(verb, whom.to_owned())),
            _ => panic!("{verb:?} {whom}: {answer:?}"),
        }
        // A client that was answered looks whether it is so.
        self.look();
    }

    /// What to ask; a stop less often, because it makes the others' requests fail that are under way.
    fn verb(&mut self) -> (&'static str, Verb) {
        match self.dice.below(9) {
            0 => ("stop", Verb::Stop),
            1..5 => ("start", Verb::Start),
            _ => ("restart", Verb::Restart),
        }
    }

    fn read_logs(&mut self) {
        if self.dice.below(2) == 0 {
            let path = "/v1/logs?service=plain-a&service=slow-a&last=20";
            let answer = http_socket(self.socket, "GET", path, "").expect("an answer");
            assert_eq!(answer.status, 200, "{answer:?}");
            let lines = answer.body.lines().map(|line| {
                let line: Value = serde_json::from_str(line).expect("JSON");
                assert!(line["service"] == "plain-a" || line["service"] == "slow-a", "{line}");
                line["seq"].as_u64().expect("a number")
            });
            assert!(lines.is_sorted(), "{}", answer.body);
        } else {
            // A reader that goes in the middle.
            let mut stream = self.connect();
            let asked = b"GET /v1/logs?follow=true HTTP/1.1\r\nhost: x\r\n\r\n";
            stream.write_all(asked).expect("it is read");
            stream.read_exact(&mut [0; 12]).expect("an answer");
        }
    }

    /// Asks for something that takes long, or half of it, and is gone.
    fn vanish(&mut self) {
        let whom = SHARED[self.dice.below(SHARED.len())];
        let body = json!({ "services": [whom] }).to_string();
        let length = body.len() + self.dice.below(2);
        let (verb, _) = self.verb();
        let head =
            format!("POST /v1/{verb} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
        let mut stream = self.connect();
        stream.write_all((head + &body).as_bytes()).expect("it is read");
    }

    fn send_garbage(&mut self) {
        let length = 1 + self.dice.below(3000);
        let mut bytes: Vec<u8> = (0..length).map(|_| self.dice.below(256) as u8).collect();
        if self.dice.below(2) == 0 {
            bytes.splice(0..0, *b"GET /v1/stack HTTP/1.1\r\n");
        }
        let mut stream = self.connect();
        // It may be refused before it is read, and need not be answered.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

fn socket(project: &TestProject) -> PathBuf {
    let entries = std::fs::read_dir(project.outside("run").join("devstack")).expect("it is there");
    let mut paths = entries.flatten().map(|entry| entry.path());
    paths.find(|path| path.extension().is_some_and(|kind| kind == "sock")).expect("a socket")
}

/// How many descriptors it has open, where the system shows it.
fn descriptors(up: &RunningProgram) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", up.pid())).map_or(0, Iterator::count)
}

/// Waits until everything runs, whatever was asked for last.
fn all_run(project: &TestProject) {
    project.devstack(["start"]).args(MARKED).args(["dependent", "crashing"]).run();
    project.wait_ps(|ps| {
        let runs = |name: &str| service(ps, name)["phase"] == "ready";
        MARKED.iter().all(|name| runs(name)) && runs("dependent") && runs("crashing")
    });
}

#[test]
fn whatever_is_answered_to_a_hundred_clients_was_so() {
    let random =
        SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let seed = env_number("DEVSTACK_CLIENTS_SEED").unwrap_or(random % 1_000_000);
    let rounds = env_number("DEVSTACK_CLIENTS_ROUNDS").unwrap_or(ROUNDS);
    println!("DEVSTACK_CLIENTS_SEED={seed}");
    let project = TestProject::with_config(&stack());
    let up = project.up();
    let (socket, asked) = (socket(&project), Mutex::new(Vec::new()));
    let feed = {
        let socket = socket.clone();
        // Until the stack ends.
        thread::spawn(move || http_socket(&socket, "GET", "/v1/events", "").expect("events").body)
    };
    all_run(&project);
    let before = descriptors(&up);
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let dice = SeededRng::new(seed.wrapping_mul(0x9E37_79B9) ^ (number as u64) << 17);
            let (socket, asked) = (socket.as_path(), &asked);
            let mut client = Client { number, dice, socket, asked, half: None };
            scope.spawn(move || (0..rounds).for_each(|_| client.round()));
        }
    });
    let asked = asked.into_inner().expect("nobody panicked");
    // The last words, by which all that was asked has come to its end.
    all_run(&project);
    eventually("every connection to be closed", || (descriptors(&up) <= before).then_some(()));
    project.devstack(["down"]).run().expect_code(0);
    assert_eq!(up.wait_code(), 0);
    let marks = MarkerLog::read(&project.path("marks"));
    marks.assert_no_overlap();
    tell(&asked);
    let mut wrong = wrong(&asked, &marks, &World { marked: &MARKED, owned: &OWNED });
    let (unheard, compared) = Feed::read(&feed.join().expect("it reads to the end")).wrong(&asked);
    assert!(compared > 0, "nothing that was seen is between two events");
    wrong.extend(unheard);
    assert!(
        wrong.is_empty(),
        "{} answers, {} wrong:\n{}",
        asked.len(),
        wrong.len(),
        wrong.join("\n")
    );
    project.finish();
}

/// How much was asked, and how long looks took.
fn tell(asked: &[Asked]) {
    let count = |is: fn(&What) -> bool| asked.iter().filter(|one| is(&one.what)).count();
    let done = count(|what| matches!(what, What::Done(..)));
    let refused = count(|what| matches!(what, What::Refused(..)));
    let looks = asked.iter().filter(|one| matches!(one.what, What::Snapshot(..)));
    let mut times: Vec<u64> = looks.map(|one| one.answered - one.sent).collect();
    times.sort_unstable();
    let of = |part: usize| times[(times.len() - 1) * part / 100] as f64 / 1e6;
    println!(
        "{} looks ({:.1} ms in the middle, {:.1} ms at p99), {done} orders done, {refused} not",
        times.len(),
        of(50),
        of(99)
    );
}

/// A snapshot in which one service, `api`, is this.
fn saw(sent: u64, answered: u64, phase: &str, run: u64, pid: u64) -> Asked {
    let since = format!("2026-11-20T09:00:00.{run:03}Z");
    let seen =
        Seen { phase: phase.to_owned(), run: Some(run), pid: Some(pid), restarts: run, since };
    Asked { client: 0, sent, answered, what: What::Snapshot(0, [("api".to_owned(), seen)].into()) }
}

fn did(sent: u64, answered: u64, verb: Verb) -> Asked {
    Asked { client: 0, sent, answered, what: What::Done(verb, "api".to_owned()) }
}

#[test]
fn the_checker_knows_right_from_wrong() {
    // Run 1 is process 7 and lives from 10 to 20, run 2 is process 8 and lives from 30 on.
    let project = TestProject::new();
    project.write("marks", "start 7 api 10\nexit 7 api 20\nstart 8 api 30\n");
    let marks = MarkerLog::read(&project.path("marks"));
    let right = [
        saw(11, 12, "starting", 1, 7),
        did(12, 22, Verb::Restart),
        saw(12, 14, "ready", 1, 7),
        saw(13, 15, "ready", 1, 7),
        did(15, 25, Verb::Stop),
        saw(26, 27, "idle", 1, 7),
        did(28, 31, Verb::Restart),
        did(32, 33, Verb::Start),
        saw(34, 35, "ready", 2, 8),
    ];
    // A service without an owner may be seen in any phase that it had.
    let shared = World { marked: &["api"], owned: &[] };
    assert_eq!(wrong(&right[2..], &marks, &shared), Vec::<String>::new());
    let owned = World { marked: &["api"], owned: &[("api", 0)] };
    let is_wrong = |asked: &[Asked], world: &World<'_>| !wrong(asked, &marks, world).is_empty();
    assert!(!is_wrong(&right[3..], &owned));
    // A late answer may show more than the earlier answer to a later request.
    let late =
        [saw(9, 19, "stopping", 1, 7), saw(10, 12, "starting", 1, 7), saw(13, 14, "ready", 1, 7)];
    assert!(!is_wrong(&late, &shared));
    for asked in [
        // A restart without a new run, a stop of what ran on, a start of what did not run.
        vec![did(12, 22, Verb::Restart)],
        vec![did(32, 33, Verb::Stop)],
        vec![did(21, 29, Verb::Start)],
        // Older than what was known: an earlier run, an earlier phase.
        vec![saw(31, 32, "ready", 2, 8), saw(33, 34, "stopping", 1, 7)],
        vec![saw(31, 32, "ready", 2, 8), saw(33, 34, "starting", 2, 8)],
        // Ready and idle when it was neither.
        vec![saw(21, 22, "ready", 1, 7)],
        vec![saw(31, 32, "ready", 2, 9)],
        vec![saw(31, 32, "idle", 2, 8)],
        // One run, two processes.
        vec![saw(11, 15, "starting", 1, 7), saw(12, 15, "starting", 1, 9)],
    ] {
        assert!(is_wrong(&asked, &shared), "{asked:?}");
    }
    let refused = What::Refused(Verb::Start, "api".to_owned());
    for asked in [
        vec![did(15, 25, Verb::Stop), saw(26, 27, "backoff", 1, 7)],
        vec![did(28, 31, Verb::Restart), saw(34, 35, "stopping", 2, 8)],
        vec![Asked { what: refused, ..did(28, 31, Verb::Start) }],
    ] {
        assert!(is_wrong(&asked, &owned) && !is_wrong(&asked, &shared), "{asked:?}");
    }
    project.finish();
}

#[test]
fn the_feed_knows_right_from_wrong() {
    let since = "2026-11-20T09:00:00.001Z";
    let one = |phase: &str, run: u64| json!({"name": "api", "phase": phase, "run": run, "pid": 7, "restarts": 0, "since": since});
    let stack =
        |event: u64, phase: &str, run: u64| json!({"event": event, "services": [one(phase, run)]});
    let events = [
        json!({"what": "snapshot", "number": 4, "stack": stack(4, "starting", 1)}),
        json!({"what": "phase", "number": 5, "service": "api", "to": "ready", "run": 1, "at": since}),
        json!({"what": "missed", "missed": 2}),
        json!({"what": "snapshot", "number": 7, "stack": stack(7, "idle", 1)}),
    ];
    let feed = Feed::read(&events.map(|event| event.to_string()).join("\n"));
    for (event, phase, run, right) in [
        (4, "starting", 1, Some(true)),
        (4, "ready", 1, Some(false)),
        (5, "ready", 1, Some(true)),
        (5, "starting", 1, Some(false)),
        (5, "ready", 2, Some(false)),
        (6, "stopping", 1, None),
        (7, "idle", 1, Some(true)),
    ] {
        let what = What::snapshot(&stack(event, phase, run));
        let (wrong, compared) = feed.wrong(&[Asked { client: 0, sent: 1, answered: 2, what }]);
        let found = (compared == 1).then_some(wrong.is_empty());
        assert_eq!(found, right, "{phase} after event {event}: {wrong:?}");
    }
}
