//! The answers that clients got, and whether one stack could have given all of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::{MarkerEvent, MarkerLog};

/// What was asked and answered. Times are of the monotonic clock, in nanoseconds.
#[derive(Debug, Clone)]
pub struct Asked {
    pub client: usize,
    pub sent: u64,
    pub answered: u64,
    pub what: What,
}

/// An answer.
#[derive(Debug, Clone)]
pub enum What {
    /// The last event before it, and what was seen of each service.
    Snapshot(u64, BTreeMap<String, Seen>),
    /// This took effect.
    Done(Verb, String),
    /// This did not.
    Refused(Verb, String),
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Start,
    Stop,
    Restart,
}

/// A service in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub phase: String,
    pub run: Option<u64>,
    pub pid: Option<u64>,
    pub restarts: u64,
    pub since: String,
}

impl What {
    /// An answer to `GET /v1/stack`.
    #[track_caller]
    pub fn snapshot(answer: &Value) -> What {
        What::Snapshot(answer["event"].as_u64().expect("a number"), Seen::all(answer))
    }
}

impl Seen {
    /// Of the services of a snapshot.
    #[track_caller]
    pub fn all(snapshot: &Value) -> BTreeMap<String, Seen> {
        let services = snapshot["services"].as_array().expect("services are a list");
        let seen = |service: &Value| {
            let text = |key: &str| service[key].as_str().expect("a text").to_owned();
            let seen = Seen {
                phase: text("phase"),
                run: service["run"].as_u64(),
                pid: service["pid"].as_u64(),
                restarts: service["restarts"].as_u64().expect("a number"),
                since: text("since"),
            };
            (text("name"), seen)
        };
        services.iter().map(seen).collect()
    }

    /// How far it is: no service ever goes back in this. The phases after the end of a run have no order.
    fn progress(&self) -> Progress {
        let stage = match self.phase.as_str() {
            "starting" => 0,
            "ready" | "unhealthy" => 1,
            "stopping" => 2,
            "idle" | "waiting" | "blocked" | "backoff" | "done" | "failed" => 3,
            other => panic!("there is no phase {other}"),
        };
        Progress { run: self.run.unwrap_or(0), stage, restarts: self.restarts }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Progress {
    run: u64,
    stage: u8,
    restarts: u64,
}

/// One life of a service, by its own marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Life {
    pid: u64,
    from: u64,
    until: u64,
}

/// Which services the checker knows more about.
pub struct World<'a> {
    /// They mark each start and each end, and end only on request.
    pub marked: &'a [&'a str],
    /// Those of them that only one client asks about, and which.
    pub owned: &'a [(&'a str, usize)],
}

/// Everything in `asked` that no stack could have answered.
pub fn wrong(asked: &[Asked], marks: &MarkerLog, world: &World<'_>) -> Vec<String> {
    let mut wrong = backwards(asked);
    wrong.extend(two_of_one(asked));
    for name in world.marked {
        let lives = lives(marks, name);
        wrong.extend(asked.iter().filter_map(|one| against_lives(one, name, &lives)));
    }
    for (name, owner) in world.owned {
        wrong.extend(against_owner(asked, name, *owner));
    }
    wrong
}

/// A request made after another was answered gets nothing older, of any service.
fn backwards(asked: &[Asked]) -> Vec<String> {
    let snapshots = asked.iter().filter_map(|one| match &one.what {
        What::Snapshot(_, seen) => Some((one, seen)),
        What::Done(..) | What::Refused(..) => None,
    });
    // Answers before requests of the same moment would claim an order that was never observed.
    let mut moments: Vec<(u64, u8, &Asked, &BTreeMap<String, Seen>)> = snapshots
        .flat_map(|(one, seen)| [(one.sent, 0, one, seen), (one.answered, 1, one, seen)])
        .collect();
    moments.sort_by_key(|(at, kind, ..)| (*at, *kind));
    let mut newest: BTreeMap<&str, (Progress, &str)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (_, kind, one, seen) in moments {
        for (name, seen) in seen {
            let is = (seen.progress(), seen.since.as_str());
            let known = newest.get(name.as_str()).copied();
            if kind == 1 {
                let best = known.map_or(is, |known| (is.0.max(known.0), is.1.max(known.1)));
                newest.insert(name, best);
            } else if let Some(known) = known.filter(|known| is.0 < known.0 || is.1 < known.1) {
                let client = one.client;
                wrong.push(format!("client {client} saw {name} at {is:?} after {known:?}"));
            }
        }
    }
    wrong
}

/// No two processes are one run of a service, and no process is two services at once.
fn two_of_one(asked: &[Asked]) -> Vec<String> {
    let mut pids: BTreeMap<(&str, u64), u64> = BTreeMap::new();
    let mut wrong = Vec::new();
    for one in asked {
        let What::Snapshot(_, all) = &one.what else { continue };
        let mut here = BTreeSet::new();
        for (name, seen) in all {
            let (Some(run), Some(pid)) = (seen.run, seen.pid) else { continue };
            if !here.insert(pid) {
                wrong.push(format!("client {} saw process {pid} twice: {all:?}", one.client));
            }
            let known = *pids.entry((name, run)).or_insert(pid);
            if known != pid {
                wrong.push(format!("run {run} of {name} is process {known} and process {pid}"));
            }
        }
    }
    wrong
}

fn lives(marks: &MarkerLog, name: &str) -> Vec<Life> {
    let mut lives: Vec<Life> = Vec::new();
    for MarkerEvent { what, pid, nanos, .. } in marks.of(name) {
        let pid = u64::from(*pid);
        match what.as_str() {
            "start" => lives.push(Life { pid, from: *nanos, until: u64::MAX }),
            "exit" => {
                let life = lives.iter_mut().rfind(|life| life.pid == pid).expect("it has started");
                life.until = *nanos;
            }
            other => panic!("{name} marked {other}"),
        }
    }
    lives
}

/// What is wrong with an answer about a service, by what the service itself knows: that something is so means that it was
/// so at some moment between question and answer.
fn against_lives(one: &Asked, name: &str, lives: &[Life]) -> Option<String> {
    let alive = |life: &Life| life.from <= one.answered && life.until >= one.sent;
    let throughout = |life: &Life| life.from < one.sent && life.until > one.answered;
    let right = match &one.what {
        What::Snapshot(_, all) => {
            let seen = &all[name];
            match seen.phase.as_str() {
                "ready" => lives.iter().any(|life| alive(life) && Some(life.pid) == seen.pid),
                "idle" => !lives.iter().any(throughout),
                _ => true,
            }
        }
        What::Done(_, whom) if whom != name => true,
        What::Done(Verb::Stop, _) => !lives.iter().any(throughout),
        What::Done(Verb::Start, _) => lives.iter().any(alive),
        What::Done(Verb::Restart, _) => {
            lives.iter().any(|life| (one.sent..=one.answered).contains(&life.from))
        }
        What::Refused(..) => true,
    };
    let client = one.client;
    (!right).then(|| format!("client {client}: {name} was {lives:?}, but {one:?}"))
}

/// What is wrong with what was seen of a service that only one client asks about: between its requests nothing changes.
fn against_owner(asked: &[Asked], name: &str, owner: usize) -> Vec<String> {
    let mut orders: Vec<(u64, u64, &str)> = asked
        .iter()
        .filter_map(|one| match &one.what {
            What::Done(verb, whom) | What::Refused(verb, whom) if whom == name => {
                assert_eq!(one.client, owner, "somebody else asked about {name}");
                let after = match verb {
                    Verb::Start | Verb::Restart => "ready",
                    Verb::Stop => "idle",
                };
                Some((one.sent, one.answered, after))
            }
            What::Done(..) | What::Refused(..) | What::Snapshot(..) => None,
        })
        .collect();
    orders.sort_unstable();
    let mut wrong: Vec<String> = asked
        .iter()
        .filter(|one| matches!(&one.what, What::Refused(_, whom) if whom == name))
        .map(|one| format!("nobody stood in the way of {one:?}"))
        .collect();
    for one in asked {
        let What::Snapshot(_, all) = &one.what else { continue };
        let before = orders.iter().rfind(|(sent, ..)| *sent < one.answered);
        let Some((_, answered, after)) = before else { continue };
        // Requests of the same moment have no order.
        if *answered < one.sent && all[name].phase != *after {
            let (client, seen) = (one.client, &all[name]);
            wrong.push(format!("client {client} saw {name} {seen:?}, which was {after}"));
        }
    }
    wrong
}
