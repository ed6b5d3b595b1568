//! What devstack does often or must do fast. `cargo bench` runs all, `cargo bench ports` some.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use devstack::config::{Config, ConfigSources};
use devstack::engine::{Effect, Engine, EngineTime, Input, WhenIdle};
use devstack::log::{LogOutput, LogStyle, StackLog};
use devstack::model::{Name, OutputStream, RunId, Stack, WatchAction, WatchConfig, WatchId};
use devstack::ports::{self, PortAllocator};
use devstack::watch::{WatchReport, Watcher};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use rustix::io::{FdFlags, fcntl_setfd};
use tempfile::TempDir;

const SIZES: [usize; 3] = [10, 100, 1000];

fn main() {
    divan::main();
}

/// A project of `count` services. Each has a port and depends on the previous one.
fn project(count: usize) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    write_project(dir.path(), count, |_| "serve");
    dir
}

/// Writes such a project, with this program for the service of each number.
fn write_project(dir: &Path, count: usize, program: impl Fn(usize) -> &'static str) {
    let mut text = String::new();
    for at in 0..count {
        let program = program(at);
        text += &format!("[services.s{at}]\ncommand = '{program} --port $PORT'\nport = \"auto\"\n");
        text += "watch = ['src/**/*.py']\nenv = { A = 'a', B = '${stack.name}' }\n";
        if at > 0 {
            text += &format!("depends_on = ['s{}']\n", at - 1);
        }
    }
    fs::write(dir.join("devstack.toml"), text).expect("writable");
}

fn load(dir: &Path) -> Config {
    let sources = ConfigSources { cwd: dir.to_owned(), ..ConfigSources::default() };
    devstack::config::load(&sources).expect("a valid configuration")
}

fn stack(count: usize) -> Arc<Stack> {
    Arc::new(load(project(count).path()).resolve(&BTreeMap::new()))
}

mod config {
    use super::*;

    #[divan::bench(args = SIZES)]
    fn read_and_check(bencher: Bencher<'_, '_>, count: usize) {
        let project = project(count);
        bencher.bench_local(|| load(black_box(project.path())));
    }
}

mod engine {
    use super::*;

    /// An engine whose services all run.
    fn running(stack: &Arc<Stack>) -> Engine {
        let mut engine = Engine::new(None, WhenIdle::Exit);
        let mut inputs = vec![Input::Apply(stack.clone())];
        while !inputs.is_empty() {
            let effects = engine.step(EngineTime::ZERO, inputs);
            let spawned = effects.iter().filter_map(|effect| match effect {
                Effect::Spawn(run, _) => Some(*run),
                _ => None,
            });
            let up = |run| [Input::Spawned(run, 1), Input::ProbesPassed(run, String::new())];
            inputs = spawned.flat_map(up).collect();
        }
        engine
    }

    #[divan::bench(args = SIZES)]
    fn start_a_stack(bencher: Bencher<'_, '_>, count: usize) {
        let stack = stack(count);
        bencher.bench_local(|| running(black_box(&stack)));
    }

    /// A step in which nothing happens.
    #[divan::bench(args = SIZES)]
    fn step(bencher: Bencher<'_, '_>, count: usize) {
        let mut engine = running(&stack(count));
        bencher.bench_local(|| engine.step(EngineTime::ZERO, [Input::Tick]));
    }

    /// Applying a configuration in which nothing changed.
    #[divan::bench(args = SIZES)]
    fn reload(bencher: Bencher<'_, '_>, count: usize) {
        let stack = stack(count);
        let mut engine = running(&stack);
        bencher.bench_local(|| {
            let apply = Input::Apply(stack.clone());
            engine.step(EngineTime::ZERO, [apply])
        });
    }

    /// What an edit of every second service changes.
    #[divan::bench(args = SIZES)]
    fn plan(bencher: Bencher<'_, '_>, count: usize) {
        let project = project(count);
        let resolve = || load(project.path()).resolve(&BTreeMap::new());
        let engine = running(&Arc::new(resolve()));
        write_project(project.path(), count, |at| if at % 2 == 0 { "serve" } else { "other" });
        let edited = resolve();
        bencher.bench_local(|| engine.preview(black_box(&edited)));
    }
}

mod log {
    use super::*;

    /// From the bytes of a pipe to the log file: 1 MiB in reads of 64 KiB.
    #[divan::bench]
    fn capture(bencher: Bencher<'_, '_>) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let style = LogStyle::new(false);
        let log = StackLog::open(&dir.path().join("logs"), style, LogOutput::None);
        let (mut capture, _) = log.capture(&name("api"), RunId(1), Vec::new());
        let line = format!("{}\n", "x".repeat(79));
        let read = line.repeat((64 << 10) / line.len());
        bencher.counter(BytesCount::new(16 * read.len())).bench_local(|| {
            (0..16).for_each(|_| capture.push(OutputStream::Stdout, read.as_bytes()));
        });
    }
}

mod ports_of_a_stack {
    use super::*;

    /// Choosing, leasing, holding and remembering.
    #[divan::bench(args = SIZES)]
    fn assign(bencher: Bencher<'_, '_>, count: usize) {
        let requests = load(project(count).path()).port_requests().to_vec();
        let place = || {
            // In memory, if the system has a directory for that.
            tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("writable")
        };
        bencher.with_inputs(place).bench_local_values(|place| {
            let history = place.path().join("ports.json");
            let mut ports = PortAllocator::open(place.path(), &history, place.path());
            let given = ports.assign(&requests, &BTreeMap::new()).expect("free ports");
            assert_eq!(given.len(), count);
            (ports, place)
        });
    }
}

/// Finding out which process has a port, among 300 others.
mod holders {
    use super::*;

    struct Crowd {
        children: Vec<Child>,
        port: u16,
    }

    impl Crowd {
        fn new() -> Crowd {
            let sleep = || Command::new("sleep").arg("1000").spawn().expect("`sleep` exists");
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = listener.local_addr().expect("bound").port();
            // The first child inherits it.
            fcntl_setfd(&listener, FdFlags::empty()).expect("open");
            let first = sleep();
            drop(listener);
            Crowd {
                children: std::iter::once(first).chain((0..300).map(|_| sleep())).collect(),
                port,
            }
        }
    }

    impl Drop for Crowd {
        fn drop(&mut self) {
            for child in &mut self.children {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }

    #[divan::bench]
    fn all_of_a_port(bencher: Bencher<'_, '_>) {
        let crowd = Crowd::new();
        bencher.bench_local(|| assert_eq!(ports::holders_of_port(crowd.port).len(), 1));
    }

    #[divan::bench]
    fn first_of_a_port(bencher: Bencher<'_, '_>) {
        let crowd = Crowd::new();
        bencher.bench_local(|| {
            ports::first_holders_of(&BTreeMap::from([(crowd.port, ports::BindScope::Everywhere)]))
        });
    }
}

/// From the save of a file to the report of the change, among 20,000 files in 2,000 directories.
#[divan::bench(sample_count = 20, sample_size = 5)]
fn watch(bencher: Bencher<'_, '_>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let root = fs::canonicalize(dir.path()).expect("it exists");
    for number in 0..2_000 {
        let dir = root.join(format!("a{}/b{number}", number % 50));
        fs::create_dir_all(&dir).expect("writable");
        (0..10).for_each(|file| fs::write(dir.join(format!("{file}.py")), "x").expect("writable"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (sender, mut reports) = tokio::sync::mpsc::unbounded_channel();
    let mut watcher = Watcher::start(sender);
    let config = WatchConfig {
        optional: false,
        root: root.clone(),
        include: Vec::new(),
        exclude: Vec::new(),
        reloaded: Vec::new(),
        debounce: Duration::from_millis(10),
        poll: None,
        action: WatchAction::Restart { build: None },
    };
    watcher.set(BTreeMap::from([(WatchId::first(name("api")), config)]), BTreeSet::new());
    let outside = tempfile::tempdir().expect("a temporary directory");
    let mut saves = 0;
    let mut save = || {
        saves += 1;
        fs::write(outside.path().join("new"), saves.to_string()).expect("writable");
        fs::rename(outside.path().join("new"), root.join("a1/b1/1.py")).expect("writable");
        runtime.block_on(async {
            loop {
                if let WatchReport::Services(_) = reports.recv().await.expect("it watches") {
                    break;
                }
            }
        });
    };
    // The first change is reported when all directories are watched.
    save();
    bencher.bench_local(save);
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a valid name")
}
