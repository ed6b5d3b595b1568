//! Random files, one after the other: a service that does not differ is left alone, and what runs in the end is what a fresh
//! start of the last file runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use devstack::config::{self, ConfigSources};
use devstack::engine::{Effect, Engine, Input, WhenIdle};
use devstack::model::{
    ChangeAction, Condition, Name, Phase, Plan, ProcessExit, RunId, Service, ServiceKind,
    ServiceView, Stack,
};
use serde_json::{Value, json};

use crate::support::{EditedStack, TestProject, free_ports};

/// A small generator with a printable seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len() as u64) as usize]
    }
}

/// A file of one to six services, with ports from `port` on. Valid on its own; each service may need earlier ones.
fn file(dice: &mut Dice, port: u16) -> String {
    let mut text = "[stack]\nname = \"random\"\n".to_owned();
    if dice.roll(4) == 0 {
        text += "env = { SHARED = \"1\" }\n";
    }
    if dice.roll(8) == 0 {
        text += "host = \"::1\"\n";
    }
    let all = ["api", "db", "mail", "seed", "web", "work"];
    let mut chosen: Vec<&str> = all.into_iter().filter(|_| dice.roll(3) > 0).collect();
    if chosen.is_empty() {
        chosen.push("api");
    }
    let mut kinds = BTreeMap::new();
    for (index, name) in chosen.iter().enumerate() {
        let task = dice.roll(5) == 0;
        let command = match task {
            true => dice.one(&["\"true\"", "\"exit 0\""]),
            false => dice.one(&[
                "[\"{misbehave}\", \"run\"]",
                "\"exec {misbehave} run\"",
                "[\"{misbehave}\", \"ignore\", \"USR1\"]",
            ]),
        };
        text += &format!("[services.{name}]\ncommand = {command}\n");
        if task {
            text += "kind = \"task\"\n";
        }
        if !task && dice.roll(4) == 0 {
            let number = port + 10 * index as u16 + dice.roll(2) as u16;
            text += &format!("port = {number}\nready = {{ delay = \"1ms\" }}\n");
        }
        for line in [
            "env = { A = \"1\" }\n",
            "watch = [\"source\"]\n",
            "color = \"red\"\n",
            "description = \"what it is for\"\n",
            "stop = { grace = \"2s\" }\n",
            "restart = { max = 3 }\n",
            "success_codes = [0, 7]\n",
            "autostart = false\n",
        ] {
            if dice.roll(6) == 0 {
                text += line;
            }
        }
        let mut needs = Vec::new();
        for (need, task) in &kinds {
            if dice.roll(4) == 0 {
                let condition = if *task { "completed" } else { dice.one(&["started", "ready"]) };
                needs.push(format!("{need} = \"{condition}\""));
            }
        }
        if !needs.is_empty() {
            text += &format!("depends_on = {{ {} }}\n", needs.join(", "));
        }
        kinds.insert(*name, task);
    }
    text
}

/// The old file with one edit, or another file altogether.
fn edited(dice: &mut Dice, old: &str, port: u16) -> String {
    match dice.roll(4) {
        0 => old.replace("A = \"1\"", "A = \"2\""),
        1 => old.replace("[services.web]", "[services.front]").replace("web = ", "front = "),
        2 => format!("# a comment\n{old}"),
        _ => file(dice, port),
    }
}

fn stack(project: &TestProject, text: &str) -> Stack {
    project.configure(text);
    let sources = ConfigSources { cwd: project.dir(), ..ConfigSources::default() };
    let draft = config::load(&sources).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    draft.resolve(&BTreeMap::new())
}

/// A world in which everything goes well: programs start, are ready, complete, and stop on request.
struct World {
    engine: Engine,
    now: Duration,
    lives: BTreeMap<RunId, Service>,
    /// The runs that were stopped and started since `applies`.
    touched: BTreeSet<Name>,
}

impl World {
    fn new() -> World {
        let (engine, now) = (Engine::new(None, WhenIdle::KeepAlive), Duration::ZERO);
        World { engine, now, lives: BTreeMap::new(), touched: BTreeSet::new() }
    }

    fn apply(&mut self, stack: &Stack) -> Plan {
        let plan = self.engine.preview(stack);
        self.touched.clear();
        let mut inputs = vec![Input::Apply(stack.clone().into())];
        while !inputs.is_empty() {
            self.now += Duration::from_millis(1);
            let effects = self.engine.step(self.now, inputs);
            inputs = effects.into_iter().flat_map(|effect| self.follow(effect)).collect();
        }
        plan
    }

    fn follow(&mut self, effect: Effect) -> Vec<Input> {
        match effect {
            Effect::Spawn(run, service) => {
                let twice = self.lives.values().any(|other| other.name == service.name);
                assert!(!twice, "two copies of {}", service.name);
                self.touched.insert(service.name.clone());
                let mut follows = vec![Input::Spawned(run, run.0 as u32)];
                if service.kind == ServiceKind::Task {
                    follows
                        .extend([Input::Exited(run, ProcessExit::Code(0)), Input::TreeEmpty(run)]);
                } else {
                    self.lives.insert(run, (*service).clone());
                }
                follows
            }
            Effect::Stop(run, _) => {
                let service = self.lives.remove(&run).expect("it lives");
                self.touched.insert(service.name);
                vec![Input::Exited(run, ProcessExit::Signal(15)), Input::TreeEmpty(run)]
            }
            Effect::StartReadyProbes(run, service) => {
                let ready = service.kind == ServiceKind::Service;
                ready.then(|| Input::ProbesPassed(run, "it answered".into())).into_iter().collect()
            }
            Effect::InspectPorts { service, .. } => vec![Input::PortsInspected(service, Ok(()))],
            Effect::InvestigateExit(..)
            | Effect::ReassignPorts(_)
            | Effect::InspectSurvivors(_) => {
                panic!("nobody crashes or hangs, no port is taken")
            }
            // Nothing is saved here but the configuration.
            Effect::Signal(..)
            | Effect::StartJob(..)
            | Effect::StopJob(_)
            | Effect::KillJob(_)
            | Effect::Kill(_)
            | Effect::StartHealthProbes(..)
            | Effect::AwaitDebugger(..)
            | Effect::Emit(_)
            | Effect::Answer(..)
            | Effect::Exit(_) => Vec::new(),
        }
    }

    fn views(&self) -> Vec<ServiceView> {
        self.engine.views(|_| String::new())
    }
}

/// What of a view does not depend on how it came to be.
fn standing(view: &ServiceView) -> impl PartialEq + std::fmt::Debug + use<> {
    (view.name.clone(), view.phase, view.ports.clone(), view.host.clone(), view.url.clone())
}

#[test]
fn an_apply_touches_only_what_differs_and_ends_like_a_fresh_start() {
    const PAIRS: u64 = 300;
    let project = TestProject::new();
    let mut actions: BTreeSet<&str> = BTreeSet::new();
    for seed in 0..PAIRS {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ (seed * 0x1_0001 + 1));
        let mut text = file(&mut dice, 20_000);
        let mut old = stack(&project, &text);
        let mut world = World::new();
        world.apply(&old);
        for _ in 0..3 {
            text = edited(&mut dice, &text, 20_000);
            let new = stack(&project, &text);
            let before = world.views();
            let plan = world.apply(&new);
            let mut fresh = World::new();
            fresh.apply(&new);
            let (is, should): (Vec<_>, Vec<_>) = (
                world.views().iter().map(standing).collect(),
                fresh.views().iter().map(standing).collect(),
            );
            assert_eq!(is, should, "seed {seed}, after\n{text}");
            left_alone(&old, &new, &before, &world, &plan, seed);
            actions.extend(plan.changes.iter().map(|change| word(change.action)));
            assert!(world.apply(&new).is_empty(), "seed {seed}: applied again, it is a change");
            assert!(world.touched.is_empty(), "seed {seed}");
            old = new;
        }
    }
    // The edits are such that each can happen.
    let all =
        ["add", "define", "prepare", "remove", "rename", "restart", "start", "stop", "update"];
    assert_eq!(actions, BTreeSet::from(all));
    project.finish();
}

fn word(action: ChangeAction) -> &'static str {
    match action {
        ChangeAction::Add => "add",
        ChangeAction::Define => "define",
        ChangeAction::Start => "start",
        ChangeAction::Restart => "restart",
        ChangeAction::Rename => "rename",
        ChangeAction::Update => "update",
        ChangeAction::Prepare => "prepare",
        ChangeAction::Stop => "stop",
        ChangeAction::Remove => "remove",
    }
}

/// A service that is the same in both and wanted in both keeps its run, as does every service of which the plan says so.
fn left_alone(
    old: &Stack,
    new: &Stack,
    before: &[ServiceView],
    world: &World,
    plan: &Plan,
    seed: u64,
) {
    let after = world.views();
    for (name, service) in &new.services {
        let view = |views: &[ServiceView]| {
            views.iter().find(|view| view.name == *name).map(|view| (view.phase, view.pid))
        };
        let (then, now) = (view(before), view(&after));
        let ran = then.is_some_and(|(phase, _)| phase != Phase::Idle);
        let runs = now.is_some_and(|(phase, _)| phase != Phase::Idle);
        let same = old.services.get(name).is_some_and(|before| **before == **service);
        let planned = plan.changes.iter().find(|change| change.service == *name);
        let keeps = planned.is_none_or(|change| {
            matches!(change.action, ChangeAction::Update | ChangeAction::Prepare)
        });
        if keeps || (same && ran && runs) {
            assert!(!world.touched.contains(name), "seed {seed}: {name} was touched: {plan:?}");
            assert_eq!(then, now, "seed {seed}: {name}");
        } else {
            let idle = planned.is_some_and(|change| change.action == ChangeAction::Define);
            let over = planned.is_some_and(|change| change.action == ChangeAction::Stop);
            let touched = world.touched.contains(name);
            assert!(touched || idle || over, "seed {seed}: {name} was to change: {plan:?}");
        }
        let living = world.lives.values().any(|life| life.name == *name);
        let told = plan.unchanged.contains(name);
        assert!(!told || living, "seed {seed}: {name} does not run on");
    }
}

#[test]
fn real_stacks_end_where_a_fresh_start_does() {
    const PAIRS: u64 = 4;
    for seed in 0..PAIRS {
        let mut dice = Dice(0xA076_1D64_78BD_642F ^ (seed * 0x1_0001 + 1));
        let port = free_ports(60);
        let mut text =
            file(&mut dice, port) + "[services.last]\ncommand = [\"{misbehave}\", \"run\"]\n";
        let edited = EditedStack::start(TestProject::new(), &text);
        for number in 0..3 {
            let next = file(&mut dice, port);
            // The end of the apply is recognized by a value that changes with each.
            let mark = format!("env = {{ NUMBER = \"{number}\" }}\n");
            text = next + "[services.last]\ncommand = [\"{misbehave}\", \"run\"]\n" + &mark;
            let before = edited.pids();
            let plan = edited.apply(&text);
            let after = edited.pids();
            for (name, pid) in &before {
                let changed = plan.iter().any(|line| {
                    line.starts_with(&format!("{name} ")) && !line.ends_with("no restart needed")
                });
                let renamed = plan.iter().any(|line| line.ends_with(&format!("from {name}")));
                assert!(
                    changed || renamed || after.get(name) == Some(pid),
                    "seed {seed}: {name} in {plan:?}"
                );
            }
        }
        let fresh = EditedStack::start_with(TestProject::new(), &text, &["up", "--no-watch"]);
        assert_eq!(
            lasting(&edited.project.ps()),
            lasting(&fresh.project.ps()),
            "seed {seed}\n{text}"
        );
        fresh.end();
        edited.end();
    }
}

/// What of `ps` does not depend on when and how it was started. Two stacks at once cannot have one port.
fn lasting(ps: &Value) -> Value {
    let of = |service: &Value| {
        let keys = ["name", "kind", "phase", "wanted_port", "wanted_ports", "pinned", "host"];
        keys.map(|key| service[key].clone()).to_vec()
    };
    let services = ps["services"].as_array().expect("a list");
    json!({ "state": ps["state"], "services": services.iter().map(of).collect::<Vec<_>>() })
}

/// What a service waits for is part of what it is.
#[test]
fn the_condition_of_a_need_is_taken_over_in_place() {
    let project = TestProject::new();
    let text = |condition: &str| {
        format!(
            "[services.a]\ncommand = 'a'\n[services.b]\ncommand = 'b'\ndepends_on = {{ a = '{condition}' }}\n"
        )
    };
    let mut world = World::new();
    world.apply(&stack(&project, &text("ready")));
    let plan = world.apply(&stack(&project, &text("started")));
    let said: Vec<String> = plan.changes.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["b: depends_on changed, no restart needed"]);
    assert_eq!(plan.changes[0].waits_for[0].condition, Condition::Started);
    project.finish();
}
