//! Chaos: a stack of services that behave badly, and random misfortune. Whatever happens, no two copies of a
//! service are alive at the same time, nothing outlives devstack, and nothing is stuck.
//!
//! The seed is printed; `DEVSTACK_CHAOS_SEED` repeats the same decisions (the world still has its own timing),
//! `DEVSTACK_CHAOS_SECONDS` sets the duration.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, kill_process};

use crate::support::{
    MarkerLog, RunningProgram, SeededRng, Signal, TestProject, children, env_number, eventually,
    kill_all_at_once, wait_at_most,
};

/// Default duration.
const SECONDS: u64 = 20;

/// How long what outlives a killed devstack may take to be gone.
const GONE: Duration = Duration::from_secs(2);

/// The services, and what each runs; `N` becomes a number that edits change.
const SERVICES: [(&str, &str, &str); 9] = [
    ("plain", r#"["{misbehave}", "marker", "marks"]"#, ""),
    (
        "polite",
        r#"["{misbehave}", "marker", "marks", "--stop-ms", "40"]"#,
        r#"depends_on = ["plain"]"#,
    ),
    (
        "deaf",
        r#"["{misbehave}", "--ignore", "TERM", "marker", "marks"]"#,
        r#"stop = { grace = "100ms" }"#,
    ),
    (
        "tree",
        r#""{misbehave} tree plain setsid double --ignore-term & exec {misbehave} marker marks""#,
        r#"stop = { grace = "100ms" }"#,
    ),
    (
        "crash",
        r#""{misbehave} marker marks & sleep 0.2; exit 1""#,
        r#"restart = { delay = "50ms", max = 1000 }"#,
    ),
    (
        "orphan",
        r#""{misbehave} orphan plain setsid double; exec {misbehave} marker marks --trap""#,
        "",
    ),
    (
        "terminal",
        r#"["{misbehave}", "marker", "marks", "--trap"]"#,
        r#"tty = true
           health = { exec = "test $(( $$ % 7 )) -gt 0", interval = "50ms", failures = 2, action = "restart" }"#,
    ),
    (
        "command",
        r#"["{misbehave}", "marker", "marks"]"#,
        r#"stop = { command = "test $(( $$ % 3 )) -gt 0 && kill $MAINPID", grace = "150ms" }"#,
    ),
    (
        "chain",
        r#"["{misbehave}", "fork-chain", "50", "--on-term"]"#,
        r#"stop = { grace = "100ms" }"#,
    ),
];

/// What is running.
struct Chaos {
    project: TestProject,
    dice: SeededRng,
    up: RunningProgram,
    /// The number in each service's environment.
    edits: BTreeMap<&'static str, u32>,
    /// What was done, for the report.
    story: String,
    counts: BTreeMap<&'static str, u32>,
    /// Requests whose answers are ignored.
    asked: Vec<RunningProgram>,
}

impl Chaos {
    fn new(seed: u64) -> Chaos {
        let project = TestProject::new();
        let edits = SERVICES.iter().map(|(name, ..)| (*name, 0)).collect();
        project.configure(&config(&edits));
        let up = project.devstack(["up"]).start();
        let (dice, counts) = (SeededRng::new(seed), BTreeMap::new());
        Chaos { project, dice, up, edits, story: String::new(), counts, asked: Vec::new() }
    }

    fn note(&mut self, what: &'static str, detail: impl std::fmt::Display) {
        *self.counts.entry(what).or_default() += 1;
        let _ = writeln!(self.story, "  {what} {detail}");
    }

    /// One misfortune.
    fn step(&mut self) {
        if !self.up.is_running() {
            let code = self.up.wait_code();
            self.over("ended by itself", code);
            return;
        }
        match self.dice.below(100) {
            0..35 => self.kill_one("misbehave"),
            35..45 => self.stop_one(),
            45..70 => self.ask(),
            70..80 => self.edit(),
            80..84 => self.kill_guard(),
            84..90 => self.kill_devstack(),
            90..93 => self.kill_everything(),
            93..97 => self.interrupt(),
            97.. => self.pause(),
        }
        // The pace is part of the chaos; nothing is waited for.
        std::thread::park_timeout(Duration::from_millis(self.dice.below(120) as u64));
        self.asked.retain(RunningProgram::is_running);
    }

    /// The processes of the stack with this name. What of them ends meanwhile cannot be told from what lives,
    /// but its number is not given away so soon.
    fn named(&self, name: &str) -> Vec<u32> {
        let mut all: Vec<u32> = self.project.alive().iter().map(|one| one.pid).collect();
        all.retain(|pid| {
            let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            comm.trim() == name
        });
        all
    }

    fn kill_one(&mut self, name: &'static str) {
        let all = self.named(name);
        if let Some(pid) = self.dice.pick(&all).copied() {
            self.note("kill", format_args!("{name} {pid}"));
            send(pid, Signal::KILL);
        }
    }

    fn stop_one(&mut self) {
        let all = self.named("misbehave");
        let signals = [Signal::STOP, Signal::TERM, Signal::INT, Signal::HUP];
        let signal = *self.dice.pick(&signals).expect("there are some");
        if let Some(pid) = self.dice.pick(&all).copied() {
            self.note("signal", format_args!("{signal:?} {pid}"));
            send(pid, signal);
        }
    }

    fn ask(&mut self) {
        let verb =
            *self.dice.pick(&["restart", "restart", "stop", "start", "start"]).expect("some");
        let name = self.dice.pick(&SERVICES).expect("some").0;
        self.note("ask", format_args!("{verb} {name}"));
        self.asked.push(self.project.devstack([verb, name]).start());
    }

    fn edit(&mut self) {
        let name = self.dice.pick(&SERVICES).expect("some").0;
        *self.edits.get_mut(name).expect("it is a service") += 1;
        self.note("edit", name);
        let text = match self.dice.below(5) {
            0 => "[services.broken\n".to_owned(),
            _ => config(&self.edits),
        };
        self.project.configure(&text);
    }

    fn guards(&self) -> Vec<u32> {
        children(self.up.pid(), "ds-guard")
    }

    fn kill_guard(&mut self) {
        if let [guard] = self.guards()[..] {
            self.note("kill", format_args!("guard {guard}"));
            send(guard, Signal::KILL);
            let code = self.up.wait_code();
            self.over("lost its guard", code);
        }
    }

    fn kill_devstack(&mut self) {
        self.note("kill", format_args!("devstack {}", self.up.pid()));
        self.up.kill9();
        self.over("was killed", 137);
    }

    /// All of devstack at once: the next one ends what is left.
    fn kill_everything(&mut self) {
        if self.guards().len() != 1 {
            return;
        }
        self.note("kill", "devstack and guard");
        kill_all_at_once(&self.up);
        if self.dice.below(2) == 0 {
            let down = self.project.devstack(["down"]).run();
            assert!([0, 3].contains(&down.code()), "{down:?}");
            self.over("was killed with all its helpers", 137);
        } else {
            self.start();
        }
    }

    fn interrupt(&mut self) {
        let signals = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];
        let signal = *self.dice.pick(&signals).expect("some");
        self.note("signal", format_args!("{signal:?} devstack"));
        for _ in 0..=self.dice.below(3) {
            self.up.signal(signal);
            std::thread::park_timeout(Duration::from_millis(self.dice.below(60) as u64));
        }
        let code = self.up.wait_code();
        self.over("was asked to end", code);
    }

    fn pause(&mut self) {
        self.note("pause", "");
        self.up.stop();
        std::thread::park_timeout(Duration::from_millis(500));
        self.up.signal(Signal::CONT);
    }

    /// devstack has ended: nothing may be left a moment later. Then the next one starts.
    fn over(&mut self, how: &str, code: i32) {
        let _ = writeln!(self.story, "  = {how}, code {code}");
        let asked = std::mem::take(&mut self.asked);
        for one in &asked {
            one.wait_exit();
        }
        let left = || {
            let left = self.project.alive();
            left.is_empty().then_some(())
        };
        let gone = wait_at_most(GONE, left);
        assert!(gone.is_some(), "left after devstack {how}: {:?}", self.project.alive());
        // Its last edit may have been a mistake.
        self.project.configure(&config(&self.edits));
        self.start();
    }

    fn start(&mut self) {
        self.project.configure(&config(&self.edits));
        let up = self.project.devstack(["up"]).start();
        up.wait_line(|line| line.contains(" * starting"));
        self.up = up;
    }

    /// When nothing happens any more everything comes to rest, and to its end.
    fn finish(mut self) {
        self.project.configure(&config(&self.edits));
        if !self.up.is_running() {
            return;
        }
        let asked = std::mem::take(&mut self.asked);
        for one in &asked {
            one.wait_exit();
        }
        // Those that were stopped by hand stay so; those that crash or are unwell by design have no rest.
        let restless = ["crash", "terminal"];
        self.project.wait_ps(|ps| {
            let services = ps["services"].as_array().expect("a list");
            services.iter().all(|service| {
                let (name, phase) = (service["name"].as_str(), service["phase"].as_str());
                let rest = ["ready", "idle", "done", "failed"];
                restless.contains(&name.unwrap_or_default())
                    || phase.is_some_and(|phase| rest.contains(&phase))
            })
        });
        let all: Vec<&str> = SERVICES.iter().map(|(name, ..)| *name).collect();
        self.project.devstack([&["stop"], &all[..]].concat()).run().expect_code(0);
        eventually("all trees to be gone", || self.named("misbehave").is_empty().then_some(()));
        self.project.assert_no_zombie();
        self.up.interrupt();
        assert_eq!(self.up.wait_code(), 130);
        let alive = self.project.alive();
        assert_eq!(alive, []);
        assert!(!self.project.path(".devstack/runs.json").exists());
        self.project.sockets_must_go();
        self.project.finish();
    }
}

fn config(edits: &BTreeMap<&'static str, u32>) -> String {
    let mut text = String::new();
    for (name, command, more) in SERVICES {
        let edit = edits[name];
        let _ = writeln!(
            text,
            "[services.{name}]\ncommand = {command}\nenv = {{ EDIT = \"{edit}\" }}\n{more}"
        );
    }
    text
}

/// It may have ended just now.
fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
    let _ = kill_process(pid, signal);
}

/// Tells the story when it ends badly.
struct Story<'a>(&'a mut Chaos, u64);

impl Drop for Story<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let tail: Vec<&str> = self.0.story.lines().rev().take(30).collect();
            println!("seed {}; the last of the story, backwards:\n{}", self.1, tail.join("\n"));
            println!("--- what the last devstack said\n{}", self.0.up.stdout());
        }
    }
}

#[test]
fn nothing_overlaps_and_nothing_is_left_whatever_happens() {
    let random =
        SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let seed = env_number("DEVSTACK_CHAOS_SEED").unwrap_or(random % 1_000_000);
    let time = Duration::from_secs(env_number("DEVSTACK_CHAOS_SECONDS").unwrap_or(SECONDS));
    println!("DEVSTACK_CHAOS_SEED={seed}");
    let mut chaos = Chaos::new(seed);
    chaos.up.wait_for("is up");
    let begin = Instant::now();
    let mut steps = 0;
    {
        let story = Story(&mut chaos, seed);
        while begin.elapsed() < time {
            story.0.step();
            steps += 1;
            MarkerLog::read(&story.0.project.path("marks")).assert_no_overlap();
        }
    }
    println!("{steps} steps: {:?}", chaos.counts);
    let marks = chaos.project.path("marks");
    let markers = MarkerLog::read(&marks);
    println!("{} starts of `plain`", markers.count("start", "plain"));
    chaos.finish();
}
