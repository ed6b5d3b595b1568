//! The life of a preset with its program: it starts beside a stranger on its usual port and on a free port, is ready when
//! it answers, follows three saves, of which the second is a mistake, and leaves nothing.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{has, has_postgres, installed, repository};
use crate::support::{
    RunningProgram, TestCommand, TestProject, eventually, free_port, lock_usual_ports, require,
    service, wait_at_most,
};

/// What the answer shows at first, and after each good save.
const WORDS: [&str; 3] = ["first", "second", "third"];

/// How long a step may take: a first start compiles, on a loaded machine too.
const PATIENCE: Duration = Duration::from_secs(300);

/// One entry of the table.
pub struct PresetLife {
    pub preset: &'static str,
    pub kit: Kit,
    /// A tiny project, whose answer shows the first word.
    pub files: &'static [(&'static str, &'static str)],
    /// More keys of the service, and more services.
    pub stack: &'static str,
    pub ask: Ask,
    /// `None`: it has no files that people edit.
    pub edit: Option<Edit>,
}

/// What a preset needs to run.
pub enum Kit {
    /// Python's packages in target/presets.
    Python,
    /// This node_modules, relative to the repository.
    Node(&'static str),
    Program(&'static str),
    Postgres,
}

/// How the service is asked.
pub enum Ask {
    /// This path has the word.
    Page(&'static str),
    /// These bytes are answered with this text.
    Bytes(&'static [u8], &'static str),
    /// A task returns the word.
    CeleryTask,
}

pub struct Edit {
    /// The file with the word.
    pub file: &'static str,
    pub reload: Reload,
    /// What is in the file by mistake, and a text that reports it. `None`: nothing can be wrong in it.
    pub mistake: Option<(&'static str, &'static str)>,
}

/// What follows a save.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// devstack restarts it. After a mistake it exits until the next save.
    Restart,
    /// devstack compiles it first. After a mistake it goes on as it was.
    Build,
    /// It sees the save on its own.
    Itself,
    /// It reads the file for each request.
    Request,
}

impl PresetLife {
    pub fn live(&self) {
        let Some(project) = self.project() else { return };
        let shown = project.devstack(["presets", self.preset, "--json"]).run().expect_code(0);
        if let Some(usual) = shown.json()["port"].as_u64() {
            let usual = u16::try_from(usual).expect("it is a port");
            let _alone = lock_usual_ports();
            // Where it is taken already, so much the better.
            let _stranger = TcpListener::bind(("127.0.0.1", usual));
            let stack = self.start(&project, "");
            stack.up.wait_for(&format!("port {usual} is in use by "));
            assert_ne!(stack.port, usual);
            stack.up.end();
            project.assert_nothing_alive();
        }
        let port = free_port();
        let stack = match shown.json()["port"] {
            Value::Null => self.start(&project, ""),
            _ => self.start(&project, &format!("port = {port}\n")),
        };
        assert!(stack.port == port || stack.port == 0, "{} instead of {port}", stack.port);
        if let Some(edit) = &self.edit {
            stack.is_edited(edit);
        }
        stack.up.end();
        project.finish();
        eventually("its port to be free", || TcpListener::bind(("127.0.0.1", port)).ok());
    }

    /// The project, with what it needs linked into it. `None`: that is not installed.
    fn project(&self) -> Option<TestProject> {
        let link = match self.kit {
            Kit::Python => Some((installed(".venv")?, ".venv")),
            Kit::Node(modules) => {
                let there = repository().join(modules).join(".installed").exists();
                require(modules, there).then_some(())?;
                Some((repository().join(modules), "node_modules"))
            }
            Kit::Program(program) => has(program).then_some(None)?,
            Kit::Postgres => has_postgres().then_some(None)?,
        };
        let project = TestProject::new();
        // Some servers, when started by root, use another user, which must reach the project.
        let root = project.dir().parent().expect("the project has a root").to_owned();
        fs::set_permissions(root, fs::Permissions::from_mode(0o711)).expect("it is ours");
        if let Some((target, name)) = link {
            symlink(target, project.path(name)).expect("it is new");
        }
        for (name, text) in self.files {
            let path = project.write(name, text);
            if name.starts_with("bin/") {
                fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
            }
        }
        Some(project)
    }

    /// Starts the stack, which is ready when it answers.
    #[track_caller]
    fn start<'l>(&'l self, project: &'l TestProject, keys: &str) -> LivingStack<'l> {
        let text = format!("[services.it]\npreset = \"{}\"\n{keys}{}", self.preset, self.stack);
        project.configure(&text);
        let up = with_toolchains(project.devstack(["up"])).start();
        let mut stack = LivingStack { life: self, project, up, port: 0 };
        stack.wait("the stack to be up", || stack.lines_with(" is up").pop());
        let ps = project.ps();
        let it = service(&ps, "it");
        assert_eq!(it["phase"], "ready", "{it}");
        stack.port = it["port"].as_u64().map_or(0, |port| port.try_into().expect("it is a port"));
        // The first request, not one of many.
        stack.answer(WORDS[0]).unwrap_or_else(|error| panic!("{error}: {:?}", stack.up.lines()));
        // What a preset watches need not be there.
        assert!(stack.lines_with("cannot watch ").is_empty(), "{:?}", stack.up.lines());
        stack
    }
}

/// devstack with what compilers need: their toolchains, whose home is not the project's, and a cache.
pub fn with_toolchains(launch: TestCommand) -> TestCommand {
    let place = repository().join("target/presets");
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(OsString::from(":"));
    path.push(place.join("bin"));
    launch
        .with_cargo()
        .env("PATH", path)
        .env("GOCACHE", place.join("go-cache"))
        .env("GOTOOLCHAIN", "local")
        .env("CGO_ENABLED", "0")
        .env("NEXT_TELEMETRY_DISABLED", "1")
}

/// A started stack.
struct LivingStack<'l> {
    life: &'l PresetLife,
    project: &'l TestProject,
    up: RunningProgram,
    /// 0: the service has none.
    port: u16,
}

impl LivingStack<'_> {
    /// A good save, a mistake, and the save that corrects it.
    #[track_caller]
    fn is_edited(&self, edit: &Edit) {
        let files = self.life.files.iter();
        let (_, text) = files.clone().find(|(name, _)| *name == edit.file).expect("it is there");
        let save = |word: &str| {
            let saved = SavedFile::new(self, edit, text.replace(WORDS[0], word));
            self.wait(&format!("the answer {word}"), || {
                saved.again();
                self.answer(word).ok()
            });
        };
        let restarts = u64::from(matches!(edit.reload, Reload::Restart | Reload::Build));

        assert_eq!(self.restarts(), 0, "what it writes itself is no save: {:?}", self.up.lines());
        save(WORDS[1]);
        assert_eq!(self.restarts(), restarts, "restarted once: {:?}", self.up.lines());

        if let Some((mistake, report)) = edit.mistake {
            let saved = SavedFile::new(self, edit, mistake.to_owned());
            let reports =
                || self.lines_with(report).into_iter().filter(|line| line.starts_with("it "));
            match edit.reload {
                Reload::Restart => self.wait_for_it(|it| it["phase"] == "failed"),
                Reload::Build => {
                    self.wait_for_it(|it| !it["message"].is_null());
                    self.answer(WORDS[1]).expect("it goes on");
                }
                Reload::Itself => {}
                Reload::Request => {
                    self.wait("an error", || {
                        saved.again();
                        self.answer(WORDS[1]).err()
                    });
                }
            }
            self.wait(report, || reports().next());
            assert_eq!(reports().count(), 1, "shown once: {:?}", self.up.lines());

            let broken = self.restarts();
            assert!(edit.reload == Reload::Restart || broken == restarts);
            save(WORDS[2]);
            assert_eq!(self.restarts(), broken + restarts, "{:?}", self.up.lines());
        }
    }

    /// Asks the service once; an error says what it answered instead.
    fn answer(&self, word: &str) -> io::Result<()> {
        let (answer, wanted) = match self.life.ask {
            Ask::Page(path) => (page(self.port, path)?, word),
            Ask::Bytes(bytes, wanted) => (reply(self.port, bytes, wanted)?, wanted),
            Ask::CeleryTask => (self.celery_task()?, word),
        };
        match answer.contains(wanted) {
            true => Ok(()),
            false => Err(io::Error::other(format!("no {wanted:?} in {answer:?}"))),
        }
    }

    /// What a task returns, asked by another program. A worker that stops may take it along.
    fn celery_task(&self) -> io::Result<String> {
        let ps = self.project.ps();
        let broker = service(&ps, "broker")["url"].as_str().expect("it has one");
        let ask = format!(
            "from celery import Celery\napp = Celery(broker='{broker}', backend='{broker}')\n\
             print(app.send_task('tasks.word').get(timeout=20))"
        );
        let python = self.project.program(self.project.path(".venv/bin/python"));
        let asked = python.args(["-c", &ask]).run();
        match asked.code() {
            0 => Ok(asked.stdout),
            _ => Err(io::Error::other(asked.stderr)),
        }
    }

    /// How often it was started again, for whatever reason.
    fn restarts(&self) -> u64 {
        service(&self.project.ps(), "it")["restarts"].as_u64().expect("a number")
    }

    #[track_caller]
    fn wait_for_it(&self, accept: impl Fn(&Value) -> bool) {
        self.wait("ps", || accept(service(&self.project.ps(), "it")).then_some(()));
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let found = wait_at_most(PATIENCE, || {
            look().map(Some).or_else(|| (!self.up.is_running()).then_some(None))
        });
        found.flatten().unwrap_or_else(|| panic!("no sign of {what}: {:?}", self.up.lines()))
    }

    fn lines_with(&self, text: &str) -> Vec<String> {
        self.up.lines().into_iter().filter(|line| line.contains(text)).collect()
    }
}

/// A save by hand. Node's watchers miss a save that is close to the one before, so it is repeated where
/// the program watches its files itself.
struct SavedFile<'l> {
    stack: &'l LivingStack<'l>,
    edit: &'l Edit,
    text: String,
    last: Cell<Instant>,
}

impl<'l> SavedFile<'l> {
    /// How long a save has to be seen.
    const PATIENCE: Duration = Duration::from_secs(5);

    fn new(stack: &'l LivingStack<'l>, edit: &'l Edit, text: String) -> SavedFile<'l> {
        stack.project.write(edit.file, &text);
        SavedFile { stack, edit, text, last: Cell::new(Instant::now()) }
    }

    /// Saves the file again if it is time to.
    fn again(&self) {
        let watches = matches!(self.edit.reload, Reload::Itself | Reload::Request);
        if watches && self.last.get().elapsed() > Self::PATIENCE {
            self.stack.project.write(self.edit.file, &self.text);
            self.last.set(Instant::now());
        }
    }
}

/// The body of a page. What answers may speak any version of HTTP, in pieces or not.
fn page(port: u16, path: &str) -> io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = reply(port, request.as_bytes(), "\0")?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.starts_with("HTTP/1.") && head.contains(" 200 ") {
        true => Ok(body.to_owned()),
        false => Err(io::Error::other(answer)),
    }
}

/// What is answered to these bytes, until it has this text.
pub fn reply(port: u16, bytes: &[u8], until: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(bytes)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = socket.read(&mut buffer)?;
        answer.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&answer);
        if count == 0 || text.contains(until) {
            return Ok(text.into_owned());
        }
    }
}
