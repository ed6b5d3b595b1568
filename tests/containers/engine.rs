//! Engines of containers that the tests start themselves, each in a network of its own: their bridges,
//! rules and published ports are none of this machine's. A test enters that network.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use super::registry::REGISTRY;
use crate::support::{
    CommandOutput, TestCommand, TestProject, eventually, http_socket, require, require_program,
    starting, try_http_get,
};

/// An engine, or why there is none.
type Started = Result<Engine, NoEngine>;

#[derive(Debug)]
pub enum NoEngine {
    /// What this machine lacks.
    Missing(String),
    /// What it printed before it ended: not every kernel or sandbox lets an engine run.
    Ended(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Docker,
    Podman,
}

/// An engine that runs as long as these tests.
pub struct Engine {
    pub kind: Kind,
    pub socket: PathBuf,
    /// The network that it runs in.
    network: File,
    dir: PathBuf,
    /// Ends with its stdin.
    keeper: Mutex<Child>,
}

/// Docker; `$1` is its directory.
const DOCKER: &str = r#"exec dockerd --host "unix://$1/api.sock" --data-root "$1/data" \
    --exec-root "$1/exec" --pidfile "$1/pid" --default-ulimit nofile=20000:20000 >>"$1/log" 2>&1"#;

/// The API of Podman.
const PODMAN: &str = r#"exec podman system service --time=0 "unix://$1/api.sock" >>"$1/log" 2>&1"#;

/// Keeps an engine, which `$2` starts, in a network of its own, with at most `$3` of space for data, if
/// that is not empty. A line starts it, or ends it with this signal; the end of the input ends all.
const KEEPER: &str = r#"
    ip link set lo up
    mkdir -p /run/containers && mount -t tmpfs none /run/containers
    [ -z "$3" ] || { mkdir -p "$1/data" && mount -t tmpfs -o "size=$3" none "$1/data"; }
    sh -c "$2" sh "$1" & engine=$!
    while read -r line; do
        case "$line" in
            start) sh -c "$2" sh "$1" & engine=$! ;;
            *) kill "$line" $engine; wait $engine; rm -f "$1/api.sock" ;;
        esac
    done
    kill $engine; wait $engine
    umount -l "$1/data/overlay" "$1/data" 2>/dev/null; rm -rf "$1""#;

/// On some machines not even root can set limits.
const RUNC: &str = r#"#!/bin/sh
without='s/"rlimits":\[[^]]*\]/"rlimits":[]/'
for word in "$@"; do
    case $before in
        --bundle | -b) sed -i "$without" "$word/config.json" ;;
        --process | -p) sed -i "$without" "$word" ;;
    esac
    before=$word
done
exec runc "$@"
"#;

/// The programs of the image, all one file.
const APPLETS: [&str; 11] =
    ["sh", "httpd", "sleep", "cat", "echo", "nc", "env", "id", "kill", "touch", "true"];

/// An image that all tests use: a web server on port 8080.
pub const IMAGE: &str = "localhost/box:1";

impl Engine {
    /// Docker; `None`: this machine lacks it, and the test is skipped.
    #[track_caller]
    pub fn docker() -> Option<&'static Engine> {
        static ENGINE: OnceLock<Started> = OnceLock::new();
        found("Docker", ENGINE.get_or_init(|| Engine::start(Kind::Docker)))
    }

    /// Podman; `None`: this machine lacks it, and the test is skipped.
    #[track_caller]
    pub fn podman() -> Option<&'static Engine> {
        static ENGINE: OnceLock<Started> = OnceLock::new();
        found("Podman", ENGINE.get_or_init(|| Engine::start(Kind::Podman)))
    }

    /// Starts one that ends when this is dropped.
    pub fn start(kind: Kind) -> Started {
        Engine::start_with(kind, "")
    }

    /// The same; `space` is what it has for data, in the words of `mount`. Empty: that of the disk.
    pub fn start_with(kind: Kind, space: &str) -> Started {
        if !rustix::process::geteuid().is_root() {
            return Err(NoEngine::Missing("the rights of root".to_owned()));
        }
        let programs: &[&str] = match kind {
            Kind::Docker => &["dockerd", "docker", "iptables"],
            Kind::Podman => &["podman", "runc", "conmon", "iptables"],
        };
        for program in programs.iter().chain(&["busybox", "unshare"]) {
            require_program(program).ok_or_else(|| NoEngine::Missing((*program).to_owned()))?;
        }
        let dir = tempfile::Builder::new().prefix("dse").tempdir().expect("a directory").keep();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("it is ours");
        if kind == Kind::Podman {
            configure_podman(&dir);
        }
        let script = if kind == Kind::Docker { DOCKER } else { PODMAN };
        let mut command = Command::new("unshare");
        command.args(["-n", "-m", "--propagation", "private", "sh", "-c", KEEPER, "sh"]);
        command.arg(&dir).arg(script).arg(space);
        // The monitors of Podman leave files where they are started.
        command.envs(podman_variables(&dir)).env_remove("DOCKER_HOST").current_dir(&dir);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut keeper = starting::spawn(&mut command).expect("unshare starts");
        let socket = dir.join("api.sock");
        let answers = || http_socket(&socket, "GET", "/_ping", "").is_ok_and(|it| it.status == 200);
        eventually("the engine to answer, or to end", || {
            (answers() || keeper.try_wait().expect("our child").is_some()).then_some(())
        });
        if !answers() {
            let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
            return Err(NoEngine::Ended(log));
        }
        let network = File::open(format!("/proc/{}/ns/net", keeper.id())).expect("it runs");
        let engine = Engine { kind, socket, network, dir, keeper: Mutex::new(keeper) };
        engine.import(IMAGE, "CMD [\"httpd\",\"-f\",\"-p\",\"8080\",\"-h\",\"/www\"]", |_| {});
        let version =
            http_socket(&engine.socket, "GET", "/version", "").expect("it answers").json();
        let _ = writeln!(
            std::io::stderr(),
            "containers: a real {kind:?} {}",
            version["Version"].as_str().unwrap_or("?")
        );
        Ok(engine)
    }

    /// Restarts it.
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    /// Stops it. Containers of Docker end, those of Podman go on.
    pub fn stop(&self) {
        // Podman would wait for its clients.
        self.order(if self.kind == Kind::Docker { "-TERM" } else { "-KILL" });
        eventually("the engine to end", || (!self.socket.exists()).then_some(()));
    }

    pub fn start_again(&self) {
        self.order("start");
        eventually("the engine to answer again", || {
            let answers = http_socket(&self.socket, "GET", "/_ping", "");
            answers.is_ok_and(|it| it.status == 200).then_some(())
        });
    }

    fn order(&self, line: &str) {
        let mut keeper = self.keeper.lock().expect("no test panics here");
        writeln!(keeper.stdin.as_mut().expect("a pipe"), "{line}").expect("it reads");
    }

    /// Fills its space for data until `false` frees it again.
    pub fn fill(&self, full: bool) {
        let keeper = self.keeper.lock().expect("no test panics here").id();
        // As it sees it: what it mounts is in a namespace of its own.
        let file = format!("/proc/{keeper}/root{}/data/filler", self.dir.display());
        if !full {
            return fs::remove_file(file).expect("it was written");
        }
        let mut file = File::create(file).expect("it is ours");
        let some = vec![1; 64 << 10];
        while file.write(&some).is_ok_and(|written| written > 0) {}
    }

    /// Fills a directory with what the image has.
    pub fn fill_root(files: &Path) {
        for dir in ["bin", "www", "tmp", "etc"] {
            fs::create_dir(files.join(dir)).expect("it is ours");
        }
        let busybox = require_program("busybox").expect("it was found before");
        fs::copy(busybox, files.join("bin/busybox")).expect("it can be copied");
        for applet in APPLETS {
            symlink("busybox", files.join("bin").join(applet)).expect("it is new");
        }
        fs::write(files.join("www/index.html"), "inside\n").expect("it is ours");
    }

    /// Makes an image with busybox and what `fill` adds. `change`: a line of a Dockerfile.
    pub fn import(&self, image: &str, change: &str, fill: impl FnOnce(&Path)) {
        let root = tempfile::tempdir().expect("a directory");
        let files = root.path();
        Engine::fill_root(files);
        fill(files);
        let tar = files.join("../").join(format!("{}.tar", files.file_name().unwrap().display()));
        let made = Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(files).arg(".").status();
        assert!(made.expect("tar").success());
        let tar_path = tar.display().to_string();
        let words = ["import", "--change", "ENV PATH=/bin:/usr/bin", "--change", change];
        let out = self.program(&words, &[&tar_path, image]);
        fs::remove_file(&tar).expect("it is ours");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Runs the engine's own program.
    pub fn program(&self, words: &[&str], more: &[&str]) -> std::process::Output {
        self.enter();
        let mut command = Command::new(self.name());
        let socket = format!("unix://{}", self.socket.display());
        command.arg(if self.kind == Kind::Docker { "--host" } else { "--url" }).arg(socket);
        command.args(words).args(more).envs(podman_variables(&self.dir));
        command.output().expect("it runs")
    }

    pub fn name(&self) -> &'static str {
        if self.kind == Kind::Docker { "docker" } else { "podman" }
    }

    /// Lets this thread, and what it starts, use the network of the engine.
    pub fn enter(&self) {
        // SAFETY: takes a descriptor and a number, and concerns this thread only.
        let entered = unsafe { libc::setns(self.network.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(entered, 0, "{}", std::io::Error::last_os_error());
    }

    /// devstack with these arguments, in the network of the engine.
    pub fn devstack(&self, project: &TestProject, args: &[&str]) -> TestCommand {
        self.with(project.devstack(args))
    }

    /// A program that finds this engine and no other.
    pub fn with(&self, command: TestCommand) -> TestCommand {
        self.enter();
        let host = format!("unix://{}", self.socket.display());
        let nowhere = "unix:///nowhere.sock";
        let (docker, podman) = match self.kind {
            Kind::Docker => (host.as_str(), nowhere),
            Kind::Podman => (nowhere, host.as_str()),
        };
        let command = command.env("DOCKER_HOST", docker).env("CONTAINER_HOST", podman);
        let variables = podman_variables(&self.dir);
        variables.into_iter().fold(command, |command, (name, path)| command.env(name, path))
    }

    /// `GET` from the network of the engine.
    pub fn get(&self, port: u16, path: &str) -> std::io::Result<String> {
        self.enter();
        try_http_get("127.0.0.1", port, path).map(|reply| reply.body)
    }

    /// Asks the API.
    #[track_caller]
    pub fn ask(&self, path: &str) -> serde_json::Value {
        http_socket(&self.socket, "GET", path, "").expect("the engine answers").json()
    }

    /// The names of the containers of a stack, running or not.
    #[track_caller]
    pub fn containers(&self, stack: &str) -> Vec<String> {
        let all = self.ask("/containers/json?all=true");
        let own = all.as_array().expect("a list").iter();
        let own = own.filter(|one| one["Labels"]["dev.devstack.stack"] == stack);
        let mut names: Vec<String> = own
            .map(|one| one["Names"][0].as_str().expect("a name").trim_start_matches('/').to_owned())
            .collect();
        names.sort();
        names
    }

    /// Lets a container that runs use 32 MiB of memory.
    pub fn limit_memory(&self, container: &str) {
        if self.kind == Kind::Docker {
            let words = ["update", "--memory", "32m", "--memory-swap", "32m", container];
            let out = self.program(&words, &[]);
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            return;
        }
        let pid = &self.ask(&format!("/containers/{container}/json"))["State"]["Pid"];
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
        let at = |controller: &str| {
            let line = groups.lines().find_map(|line| line.split_once(controller));
            line.map(|(_, path)| path.trim_start_matches('/').to_owned())
        };
        let file = match at(":memory:") {
            Some(path) => format!("/sys/fs/cgroup/memory/{path}/memory.limit_in_bytes"),
            None => format!("/sys/fs/cgroup/{}/memory.max", at("0::").expect("a control group")),
        };
        fs::write(file, "33554432").expect("it is ours");
    }

    /// The networks of a stack.
    #[track_caller]
    pub fn networks(&self, stack: &str) -> Vec<String> {
        let all = self.ask("/networks");
        let own = all.as_array().expect("a list").iter();
        let own = own.filter(|one| one["Labels"]["dev.devstack.stack"] == stack);
        own.map(|one| one["Name"].as_str().expect("a name").to_owned()).collect()
    }

    /// Waits until nothing of a stack is left but its volumes.
    #[track_caller]
    pub fn wait_until_clean(&self, stack: &str) {
        eventually("no container and no network to be left", || {
            (self.containers(stack).is_empty() && self.networks(stack).is_empty()).then_some(())
        });
    }

    /// Nothing of a stack may be left but its volumes.
    #[track_caller]
    pub fn assert_clean(&self, stack: &str) {
        assert_eq!(self.containers(stack), [""; 0]);
        assert_eq!(self.networks(stack), [""; 0]);
    }
}

/// Runs devstack and expects success.
#[track_caller]
pub fn ok(command: TestCommand) -> CommandOutput {
    command.run().expect_code(0)
}

#[track_caller]
fn found(name: &str, engine: &'static Started) -> Option<&'static Engine> {
    match engine {
        Ok(engine) => {
            engine.enter();
            Some(engine)
        }
        Err(NoEngine::Missing(what)) => {
            require(&format!("{name} ({what})"), false);
            None
        }
        Err(NoEngine::Ended(log)) => {
            // No installation helps, so this is skipped even where nothing may be missing.
            let _ = writeln!(std::io::stderr(), "skipped: {name} does not run here: {log}");
            None
        }
    }
}

fn podman_variables(dir: &Path) -> [(&'static str, PathBuf); 3] {
    [
        ("CONTAINERS_REGISTRIES_CONF", dir.join("registries.conf")),
        ("CONTAINERS_CONF", dir.join("containers.conf")),
        ("CONTAINERS_STORAGE_CONF", dir.join("storage.conf")),
    ]
}

fn configure_podman(dir: &Path) {
    let runc = dir.join("runc");
    fs::write(&runc, RUNC).expect("it is ours");
    fs::set_permissions(&runc, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let at = dir.display();
    let engine = format!(
        "[engine]\nruntime = 'runc'\ncgroup_manager = 'cgroupfs'\nevents_logger = 'file'\n\
         tmp_dir = '{at}/tmp'\n[engine.runtimes]\nrunc = ['{at}/runc']\n\
         [network]\nnetwork_config_dir = '{at}/networks'\n"
    );
    fs::write(dir.join("containers.conf"), engine).expect("it is ours");
    // As Docker does on loopback.
    let registry = format!("[[registry]]\nlocation = '127.0.0.1:{REGISTRY}'\ninsecure = true\n");
    fs::write(dir.join("registries.conf"), registry).expect("it is ours");
    let storage =
        format!("[storage]\ndriver = 'overlay'\nrunroot = '{at}/run'\ngraphroot = '{at}/data'\n");
    fs::write(dir.join("storage.conf"), storage).expect("it is ours");
}
