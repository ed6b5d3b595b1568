//! Scripts as text. A line of a stack is a service, `api: probe, needs db=ready, policy=always`; a line of a
//! script is an input, `250 exited 1 1`: at 250 ms run #1 exited with code 1.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{
    Effect, Engine, ExitBlame, Input, JobId, KilledTree, Selection, ShutdownMode, StartObstacle,
    Ticket, WhenIdle,
};
use crate::model::{
    AssignedPort, CommandLine, Condition, DEBUG_PORT, DebugConfig, DebugTarget, DebuggerKind,
    HealthAction, HealthConfig, INNER_PORT, LazyConfig, Message, MessageClass, Name, OnExit, Probe,
    ProcessExit, RestartPolicy, RunId, RunMode, Service, ServiceKind, ServiceView, Stack,
    StackState, Survivor, SurvivorState, WaitCondition, WatchAction, WatchConfig, WatchId,
    signal_number,
};

pub fn name(text: &str) -> Name {
    Name::new(text).expect("tests use valid names")
}

/// Parses a stack from its short form.
pub fn stack(text: &str) -> Arc<Stack> {
    let services = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| {
        let (head, rest) = line.split_once(':').expect("a service line has a colon");
        (name(head), Arc::new(service(head, rest)))
    });
    Arc::new(Stack {
        name: "test".into(),
        dir: PathBuf::from("/stack"),
        services: services.collect(),
        primary: None,
        groups: BTreeMap::new(),
        files: BTreeSet::new(),
        live_reload: true,
        logs: Default::default(),
        proxy: None,
    })
}

fn service(head: &str, rest: &str) -> Service {
    let mut service = plain(head);
    for word in rest.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        if let Some(need) = word.strip_prefix("needs ") {
            let (dep, condition) = need.split_once('=').expect("needs NAME=CONDITION");
            let condition = match condition {
                "started" => Condition::Started,
                "ready" => Condition::Ready,
                "completed" => Condition::Completed,
                other => panic!("unknown condition: {other}"),
            };
            service.depends_on.insert(name(dep), condition);
            continue;
        }
        match word.split_once('=').unwrap_or((word, "")) {
            ("probe", "") => service.ready.probes = vec![Probe::Tcp { port: 1 }],
            ("probe", port) => {
                let port = port.parse().expect("a port");
                service.ready.probes = vec![Probe::Tcp { port }];
            }
            ("task", _) => {
                service.kind = ServiceKind::Task;
                service.restart.policy = RestartPolicy::No;
            }
            ("watch", "") => service.watch.push(watch(WatchAction::Restart { build: None })),
            ("watch", what) => service.watch.push(watch(action(what))),
            ("debug", number) => debug(&mut service, number.parse().expect("a port"), false),
            ("debug-waits", number) => {
                debug(&mut service, number.parse().expect("a port"), true);
            }
            ("manual", _) => service.autostart = false,
            ("ends-stack", _) => service.on_exit = OnExit::Shutdown,
            ("policy", "no") => service.restart.policy = RestartPolicy::No,
            ("policy", "always") => service.restart.policy = RestartPolicy::Always,
            ("env", value) => service.launch.env.insert("TOKEN", value),
            ("command", text) => service.launch.command = CommandLine::Shell(text.into()),
            ("timeout", ms) => service.ready.timeout = millis(ms),
            ("grace", ms) => service.stop.grace = millis(ms),
            ("port", number) => {
                let number = number.parse().expect("a port");
                let name = "main".to_owned();
                service.ports =
                    vec![AssignedPort { name, number, wanted: None, pinned: false, moved: None }];
                service.launch.env.insert("PORT", &number.to_string());
            }
            ("lazy", _) => {
                service.lazy = Some(LazyConfig { idle: None });
                let number = 1000 + service.port().expect("`port` comes first").number;
                service.ports.push(AssignedPort::sample(INNER_PORT, number));
            }
            ("idle", ms) => service.lazy = Some(LazyConfig { idle: Some(millis(ms)) }),
            ("health", action) => {
                let action = match action {
                    "restart" => HealthAction::Restart,
                    _ => HealthAction::Report,
                };
                let interval = Duration::from_secs(5);
                service.health =
                    Some(HealthConfig { probes: Vec::new(), interval, failures: 3, action });
            }
            ("ok", code) => drop(service.success_codes.insert(code.parse().expect("a code"))),
            other => panic!("unknown word: {other:?}"),
        }
    }
    service
}

/// `api`, `api:FILE` or `api:FILE:INDEX`.
fn watched(word: &str) -> (WatchId, PathBuf) {
    let mut parts = word.split(':');
    let service = name(parts.next().expect("a name"));
    let path = PathBuf::from("/stack").join(parts.next().unwrap_or("main.rs"));
    let place = parts.next().map_or(0, |place| place.parse().expect("an index"));
    (WatchId { service, index: place }, path)
}

fn until(word: &str) -> WaitCondition {
    match word {
        "up" => WaitCondition::Up,
        "ready" => WaitCondition::Ready,
        "completed" => WaitCondition::Completed,
        "stopped" => WaitCondition::Stopped,
        other => panic!("unknown wait condition: {other}"),
    }
}

/// Puts a service into debug mode, as a configuration would.
fn debug(service: &mut Service, number: u16, waits: bool) {
    let debugger = Some(DebuggerKind::Debugpy);
    service.mode =
        RunMode::Debug(DebugTarget { port: number, debugger, waits_for_debugger: waits });
    let name = DEBUG_PORT.to_owned();
    service.ports.push(AssignedPort { name, number, wanted: None, pinned: false, moved: None });
    service.launch.env.insert("DEVSTACK_MODE", "debug");
}

fn millis(text: &str) -> Duration {
    Duration::from_millis(text.parse().expect("milliseconds"))
}

fn watch(action: WatchAction) -> WatchConfig {
    let settle = Duration::from_millis(10);
    let (include, exclude) = (Vec::new(), Vec::new());
    WatchConfig {
        root: "/stack".into(),
        optional: false,
        include,
        exclude,
        reloaded: Vec::new(),
        debounce: settle,
        poll: None,
        action,
    }
}

/// `watch=build` (before a restart), `watch=HUP` (a signal) and `watch=run` (just a command).
fn action(what: &str) -> WatchAction {
    match what {
        "build" => WatchAction::Restart { build: Some(CommandLine::Shell("make".into())) },
        "run" => WatchAction::Run(CommandLine::Shell("make schema".into())),
        name => WatchAction::Signal(signal_number(name).expect("a signal")),
    }
}

fn plain(text: &str) -> Service {
    let mut service = Service::sample(text);
    service.debug = Some(DebugConfig { debugger: None, prefer: None, program: None });
    service.launch.dir = "/stack".into();
    service
}

/// Returns the stack with another port for a service, also in the environment of its dependents.
pub fn moved(stack: &Stack, service: &Name, number: u16) -> Arc<Stack> {
    let mut stack = stack.clone();
    for (name, other) in &mut stack.services {
        if name == service {
            let moved = Arc::make_mut(other);
            for port in moved.ports.iter_mut().take(1) {
                port.number = number;
                if let (RunMode::Debug(debugging), DEBUG_PORT) =
                    (&mut moved.mode, port.name.as_str())
                {
                    debugging.port = number;
                }
            }
            moved.launch.env.insert("PORT", &number.to_string());
        } else if other.depends_on.contains_key(service) {
            let variable = format!("{}_PORT", service.to_env_prefix());
            Arc::make_mut(other).launch.env.insert(&variable, &number.to_string());
        }
    }
    Arc::new(stack)
}

/// Processes with this state each: a letter of `ps`, or a file that thaws it.
fn survivors(states: &[&str]) -> Vec<Survivor> {
    let all = states.iter().enumerate().map(|(index, state)| Survivor {
        pid: 4100 + index as u32,
        command: "sleep 9".to_owned(),
        state: match *state {
            "D" => SurvivorState::Uninterruptible,
            "T" => SurvivorState::Stopped,
            "?" => SurvivorState::Other(None),
            file if file.starts_with('/') => SurvivorState::Frozen(file.into()),
            letter => SurvivorState::Other(letter.chars().next()),
        },
    });
    all.collect()
}

fn taken() -> Message {
    Message::new(MessageClass::Port, "port 5000 was taken by x (pid 7)")
}

/// An engine with a trace.
pub struct Script {
    pub(super) engine: Engine,
    stack: Arc<Stack>,
    /// Whether the script says what an inspection of ports finds; otherwise they are clear.
    inspects: bool,
    /// Whether it says what is found about an exit of a service without ports; otherwise nothing.
    examines: bool,
    tickets: u64,
    trace: String,
    /// The last stack state in the trace, if state changes are traced.
    states: Option<StackState>,
}

impl Script {
    /// Applies a stack at time 0.
    pub fn up(text: &str) -> Script {
        Script::selecting(text, None)
    }

    /// Like `up` with service names.
    pub fn selecting(text: &str, selection: Option<Selection>) -> Script {
        Script::begin(text, selection, false, WhenIdle::AwaitSave)
    }

    /// Like `up` at a terminal.
    pub fn attended(text: &str) -> Script {
        Script::begin(text, None, false, WhenIdle::AwaitChange)
    }

    /// Like `up`, for a script that says what inspections of ports find: `clear api`, `taken api`.
    pub fn inspecting(text: &str) -> Script {
        Script::begin(text, None, true, WhenIdle::AwaitSave)
    }

    fn begin(
        text: &str,
        selection: Option<Selection>,
        inspects: bool,
        when_idle: WhenIdle,
    ) -> Script {
        let mut script = Script {
            engine: Engine::new(selection, when_idle),
            stack: stack(text),
            inspects,
            examines: false,
            tickets: 0,
            trace: String::new(),
            states: None,
        };
        script.step(0, "apply");
        script
    }

    /// Runs a script of lines `MS WORDS…`.
    pub fn run(mut self, text: &str) -> Script {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (ms, words) = line.split_once(' ').expect("a line is MS WORDS");
            self.step(ms.parse().expect("milliseconds"), words);
        }
        self
    }

    /// Lets the script say why services without ports exit: `examined 1 insists`.
    pub fn examining(mut self) -> Script {
        self.examines = true;
        self
    }

    /// Behaves as for `up -d`.
    pub fn cautious(mut self) -> Script {
        self.engine.start_cautiously();
        self
    }

    /// Traces the published state of the stack from here on.
    pub fn watching(mut self) -> Script {
        self.states = Some(self.engine.stack_state());
        self
    }

    pub fn apply(mut self, ms: u64, text: &str) -> Script {
        self.stack = stack(text);
        self.step(ms, "apply");
        self
    }

    /// Returns the trace: inputs on the left, effects indented.
    pub fn trace(self) -> String {
        self.trace
    }

    /// Returns what is shown of a service.
    pub fn view(&self, service: &str) -> ServiceView {
        self.engine.view_of(&name(service), |_| String::new()).expect("the service exists")
    }

    /// Adds the explanation of a service's state at this time to the trace.
    pub fn why(mut self, ms: u64, service: &str) -> Script {
        let date = |at: Duration| format!("{}ms", at.as_millis());
        let why = self.engine.explain(Duration::from_millis(ms), &name(service), date);
        let why = why.expect("the service exists");
        let mut say = |line: String| {
            let _ = writeln!(self.trace, "         {line}");
        };
        let in_ms = why.next.in_ms.map_or(String::new(), |ms| format!(" in {ms}ms"));
        let view = &why.service;
        say(format!("{} {} since {}: {}", view.name, view.phase, view.since, view.cause));
        say(format!("next: {}{in_ms}", why.next.text));
        for waited in &why.waits {
            let condition = waited.condition.map_or("gone".to_owned(), |it| it.to_string());
            let (service, phase, cause) = (&waited.service, waited.phase, &waited.cause);
            say(format!("waits on {service} ({condition}): {phase}, {cause}"));
        }
        for past in &why.exits {
            let lived = past.lived_ms.map_or("?".to_owned(), |ms| format!("{ms}ms"));
            let (run, at, exit, by) = (past.run, &past.at, past.exit, past.by.as_str());
            let start = past.start;
            say(format!("{run}, start {start} at {at}: {exit}, {by}, lived {lived}"));
        }
        why.probe.iter().for_each(|probe| say(format!("{} probe: {}", probe.probe, probe.text)));
        if let Some(trigger) = &why.trigger {
            say(format!("{} at {}: {}", trigger.path, trigger.at, trigger.action));
        }
        for port in &why.ports {
            say(format!("port {} {} listens {:?}", port.name, port.given, port.listens));
        }
        self
    }

    /// Drops everything before the first line that contains `words`.
    pub fn since(mut self, words: &str) -> Script {
        let at = self.trace.find(words).expect("the trace contains the words");
        let line = self.trace[..at].rfind('\n').map_or(0, |end| end + 1);
        self.trace.drain(..line);
        self
    }

    /// Lets every deadline up to `ms` fire, then takes the input.
    fn step(&mut self, ms: u64, words: &str) {
        while let Some(at) = self.engine.next_deadline().filter(|at| at.as_millis() < ms.into()) {
            self.take(at, "tick", vec![Input::Tick]);
        }
        let inputs: Vec<Input> = words.split(';').map(|words| self.input(words.trim())).collect();
        self.take(Duration::from_millis(ms), words, inputs);
    }

    fn take(&mut self, at: Duration, words: &str, inputs: Vec<Input>) {
        let mut effects = self.engine.step(at, inputs);
        while let Some(run) = self.unexamined(&mut effects) {
            let nothing = Input::ExitInvestigated(run, ExitBlame::None);
            effects.extend(self.engine.step(at, [nothing]));
        }
        self.note(at.as_millis(), words, &effects);
        let asked = effects.into_iter().filter_map(|effect| match effect {
            Effect::InspectPorts { service, .. } if !self.inspects => Some(service),
            _ => None,
        });
        let asked: Vec<Arc<Service>> = asked.collect();
        if !asked.is_empty() {
            let names: Vec<&str> = asked.iter().map(|service| service.name.as_str()).collect();
            let words = format!("clear {}", names.join(" "));
            let clear = asked.iter().cloned().map(|service| Input::PortsInspected(service, Ok(())));
            self.take(at, &words, clear.collect());
        }
    }

    /// Removes an examination that the script does not answer.
    fn unexamined(&self, effects: &mut Vec<Effect>) -> Option<RunId> {
        let index = effects.iter().position(|effect| match effect {
            Effect::InvestigateExit(_, service) => service.ports.is_empty() && !self.examines,
            _ => false,
        })?;
        match effects.remove(index) {
            Effect::InvestigateExit(run, _) => Some(run),
            _ => None,
        }
    }

    fn note(&mut self, ms: u128, words: &str, effects: &[Effect]) {
        let _ = writeln!(self.trace, "{ms:>6} {words}");
        for effect in effects {
            let _ = writeln!(self.trace, "         {effect}");
        }
        let state = self.engine.stack_state();
        if self.states.is_some_and(|old| old != state) {
            let _ = writeln!(self.trace, "         = {state:?}");
            self.states = Some(state);
        }
    }

    fn input(&mut self, words: &str) -> Input {
        let words: Vec<&str> = words.split_whitespace().collect();
        let run = || RunId(words[1].parse().expect("a run"));
        let names = || words[1..].iter().map(|word| name(word)).collect::<Vec<_>>();
        match words[0] {
            "apply" => Input::Apply(self.stack.clone()),
            "start" => Input::Start(self.ticket(), names()),
            "debug" => Input::Debug(self.ticket(), names()),
            "undebug" => Input::LeaveDebug(self.ticket(), names()),
            "stop" => Input::Stop(self.ticket(), names()),
            "restart" => Input::Restart(self.ticket(), names()),
            "wait" => Input::Wait(self.ticket(), names()[1..].to_vec(), until(words[1])),
            "connect" => Input::Connected(name(words[1])),
            "unused" => Input::Unused(name(words[1])),
            "shut" => Input::DoorFailed(name(words[1]), taken()),
            "forget" => Input::Cancel(Ticket(run().0)),
            "down" => self.shutdown("asked to end", 0, ShutdownMode::Polite),
            "ctrl-c" => self.shutdown("Ctrl-C", 130, ShutdownMode::Polite),
            "kill-all" => self.shutdown("Ctrl-C again", 130, ShutdownMode::Now),
            "saved" => {
                let saved = |word: &&str| watched(word);
                Input::FilesChanged(words[1..].iter().map(saved).collect())
            }
            "built" => Input::JobEnded(JobId(run().0), Ok(())),
            "broken" => {
                let message = Message::new(MessageClass::Build, "`make` failed (exit 2)");
                Input::JobEnded(JobId(run().0), Err(message))
            }
            "changing" => Input::StillChanging(true),
            "quiet" => Input::StillChanging(false),
            "spawned" => Input::Spawned(run(), 4000 + run().0 as u32),
            "missing" => Input::SpawnFailed(
                run(),
                Message::new(MessageClass::Spawn, "no such program: `nope`"),
            ),
            "held" => Input::ProbesPassed(run(), "port 1 accepts connections".into()),
            "failing" => Input::ProbeFailed(run(), "connection refused".into()),
            "clear" => self.inspected(words[1], Ok(())),
            "taken" => self.inspected(words[1], Err(StartObstacle::PortTaken(taken()))),
            "lingering" => self.inspected(words[1], Err(StartObstacle::PortLingers(5000))),
            "reloads" => Input::ReloadsItself(run()),
            "robbed" => Input::PortLost(run(), taken()),
            "examined" => {
                let excuse = match words[2] {
                    "robbed" => ExitBlame::PortTaken(taken()),
                    "unheld" => ExitBlame::ReservationInTheWay(Message::new(
                        MessageClass::Port,
                        "port 5000 was held",
                    )),
                    "lingers" => ExitBlame::PortLingers(5000),
                    "insists" => ExitBlame::InsistsOnPort(Message::new(
                        MessageClass::Port,
                        "api was given PORT=5000 but seems to insist on 5001",
                    )),
                    "unnamed" => ExitBlame::MayInsistOnPort(Message::new(
                        MessageClass::Port,
                        "api was given PORT=5000, but a port that it needs is in use",
                    )),
                    "no-debugpy" => ExitBlame::CannotRun(Message::new(
                        MessageClass::Spawn,
                        "Python module `debugpy` is not installed",
                    )),
                    _ => ExitBlame::None,
                };
                Input::ExitInvestigated(run(), excuse)
            }
            "placed" => self.placed(&words[1..]),
            "unwell" => Input::HealthFailed(run(), "GET /health returned 500".into()),
            "well" => Input::HealthRecovered(run()),
            "attachable" => Input::DebuggerListening(run()),
            "slept" => Input::TimeSkipped(millis(words[1])),
            "exited" => Input::Exited(run(), ProcessExit::Code(words[2].parse().expect("a code"))),
            "died" => {
                Input::Exited(run(), ProcessExit::Signal(words[2].parse().expect("a signal")))
            }
            "emptied" => Input::TreeEmpty(run()),
            "survived" => Input::Survived(KilledTree::Run(run()), survivors(&words[2..])),
            "job-survived" => {
                Input::Survived(KilledTree::Job(JobId(run().0)), survivors(&words[2..]))
            }
            "listens" => {
                let address = |word: &&str| word.parse().expect("an address");
                Input::ListeningOn(run(), words[2..].iter().map(address).collect())
            }
            "remarks" => {
                let message = |word: &&str| Message::new(MessageClass::Port, *word);
                Input::ListenWarnings(run(), words[2..].iter().map(message).collect())
            }
            "tick" => Input::Tick,
            other => panic!("unknown input: {other}"),
        }
    }

    fn inspected(&self, service: &str, verdict: Result<(), StartObstacle>) -> Input {
        Input::PortsInspected(self.stack.services[&name(service)].clone(), verdict)
    }

    /// `NAME=PORT`, or `NAME=no`.
    fn placed(&mut self, words: &[&str]) -> Input {
        let mut outcome = BTreeMap::new();
        for word in words {
            let (service, port) = word.split_once('=').expect("NAME=PORT");
            let placed = match port.parse() {
                Ok(number) => {
                    self.stack = moved(&self.stack, &name(service), number);
                    Ok(())
                }
                Err(_) => Err(Message::new(MessageClass::Port, "port 5000 is in use by x (pid 7)")),
            };
            outcome.insert(name(service), placed);
        }
        Input::PortsReassigned { stack: self.stack.clone(), outcome }
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn shutdown(&mut self, why: &str, code: i32, haste: ShutdownMode) -> Input {
        Input::Shutdown { ticket: Some(self.ticket()), why: why.into(), code, haste }
    }
}
