//! Names in a browser, in front of real servers: what `tests/browser/*.py` sees there.

use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::front::{SERVICES, SignIn, TwoWorktrees};
use crate::names::Names;
use crate::presets::with_toolchains;
use crate::support::{
    RunningProgram, TestCommand, TestProject, eventually, free_port, require, require_program,
    service,
};

/// Chromium, and Python with Playwright.
pub struct Chromium {
    program: PathBuf,
    python: PathBuf,
}

impl Chromium {
    /// `None`: they are not installed.
    pub fn find() -> Option<Chromium> {
        let venv = repository().join("target/dashboard/.venv");
        let chrome = Path::new("/usr/bin/google-chrome");
        let program =
            if chrome.exists() { Some(chrome.to_owned()) } else { require_program("chromium") };
        let there =
            require("what tests/dashboard/setup.sh installs", venv.join("installed").exists());
        there.then_some(Chromium { program: program?, python: venv.join("bin/python") })
    }

    /// Starts a script of the tests, which gets the browser and these words.
    pub fn start(
        &self,
        script: &str,
        words: &[impl AsRef<OsStr>],
        launch: impl FnOnce(&Path) -> TestCommand,
    ) -> RunningProgram {
        let words = words.iter().map(AsRef::as_ref);
        let script = repository().join("tests").join(script);
        let words = [script.as_os_str(), self.program.as_os_str()].into_iter().chain(words);
        launch(&self.python).args(words.collect::<Vec<_>>()).start()
    }
}

/// Waits for the steps that a script reports: they take longer than a test waits for one thing.
#[track_caller]
pub fn wait_for_steps(script: &RunningProgram) {
    for step in 1.. {
        let begun = format!("step {step}: ");
        if script.wait_line(|line| line.starts_with(&begun) || line == "the end") == "the end" {
            break;
        }
    }
    assert_eq!(script.wait_code(), 0, "{}\n{}", script.stdout(), script.stderr());
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

// Python takes bytecode of a file of the same size that was saved in the same second for current.
const LIVE: &str = r#"
[services.page]
preset = "vite"
dir = "page"
port = "auto"
primary = true
env = { VITE_API = "${api.origin}", VITE_CHAT = "${chat.origin}" }
[services.api]
preset = "fastapi"
dir = "api"
port = "auto"
env = { PYTHONDONTWRITEBYTECODE = "1" }
[services.chat]
preset = "express"
dir = "chat"
port = "auto"
"#;

const PAGE: &str =
    "<p id=word></p><p id=version></p><p id=chat></p><script type=module src=/main.ts></script>\n";

const MAIN: &str = r"import { word } from './word'
const { VITE_API, VITE_CHAT } = import.meta.env
const show = (id, text) => { document.getElementById(id).textContent = text }
show('word', word)
import.meta.hot.accept('./word', (changed) => show('word', changed.word))
new EventSource(`${VITE_API}/events`).onmessage = (event) => show('version', event.data)
const chat = () => {
  const socket = new WebSocket(VITE_CHAT.replace('http', 'ws'))
  socket.onopen = () => socket.send('hello')
  socket.onmessage = (event) => show('chat', event.data)
  socket.onclose = () => setTimeout(chat, 50)
}
chat()
";

const API: &str = r"import asyncio
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

VERSION = 0
app = FastAPI()

@app.get('/')
def index():
    return VERSION

async def versions():
    yield f'retry: 50\ndata: {VERSION}\n\n'
    while True:
        await asyncio.sleep(1)
        yield ':\n\n'

@app.get('/events')
def events():
    allowed = {'access-control-allow-origin': '*'}
    return StreamingResponse(versions(), media_type='text/event-stream', headers=allowed)
";

const CHAT: &str = r"const app = require('express')()
const { WebSocketServer } = require('ws')
app.get('/', (_, reply) => reply.send('chat'))
const server = app.listen(process.env.PORT, process.env.HOST)
new WebSocketServer({ server }).on('connection', (socket) => {
  socket.on('message', (text) => socket.send(`heard ${text}`))
})
";

/// The project of three servers. `None`: they are not installed.
fn live(names: &Names) -> Option<TestProject> {
    let kits = [
        ("page/node_modules", "examples/flask-shop/web/node_modules", ".installed"),
        ("chat/node_modules", "target/presets/node_modules", "ws"),
        ("api/.venv", "target/presets/.venv", "installed"),
    ];
    for (_, kit, part) in kits {
        let there = repository().join(kit).join(part).exists();
        require(&format!("{kit} (tests/presets/setup.sh)"), there).then_some(())?;
    }
    let project = names.project("shop", LIVE);
    project.write("page/index.html", PAGE);
    project.write("page/main.ts", MAIN);
    project.write("page/word.ts", "export const word = 'first'\n");
    project.write("api/main.py", API);
    let www = project.write("chat/bin/www", CHAT);
    std::fs::set_permissions(www, PermissionsExt::from_mode(0o755)).expect("it is ours");
    for (link, kit, _) in kits {
        symlink(repository().join(kit), project.path(link)).expect("it is new");
    }
    Some(project)
}

/// Asks the API all the time while `work` goes on. Returns the versions that answered.
fn versions_during(names: &Names, work: impl FnOnce()) -> Vec<u32> {
    struct Ending<'e>(&'e AtomicBool);
    impl Drop for Ending<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut versions = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let reply = names.ask("api.shop.localhost").expect("an answer");
                assert_eq!(reply.status, 200, "{reply:?}");
                versions.push(reply.body.parse().expect("a version"));
            }
            versions
        });
        let ending = Ending(&ended);
        work();
        drop(ending);
        client.join().expect("no request failed")
    })
}

/// Vite's hot reload, server-sent events of FastAPI and WebSockets of Express, each through its name,
/// while their files are saved and other requests come.
#[test]
fn a_page_stays_connected_through_saves() {
    let Some(chromium) = Chromium::find() else { return };
    let names = Names { home: TestProject::new(), port: free_port() };
    let Some(project) = live(&names) else { return };
    let up = with_toolchains(names.devstack(&project, &["up"])).start();
    for name in ["page", "api", "chat"] {
        names.wait_for(&format!("{name}.shop.localhost"), 200);
    }
    let page = format!("http://page.shop.localhost:{}/", names.port);
    let script = chromium.start("browser/live.py", &[page], |python| project.program(python));
    let versions = versions_during(&names, || wait_for_steps(&script));
    assert!(versions.is_sorted(), "an old run has answered: {versions:?}");
    assert_eq!(versions.last(), Some(&5));
    up.end();
    names.finish([project]);
}

/// Ten services in two worktrees, each with a cookie of one name.
#[test]
fn a_browser_keeps_the_cookies_of_two_worktrees_apart() {
    let Some(chromium) = Chromium::find() else { return };
    let TwoWorktrees { names, front, projects, ups } = TwoWorktrees::start();
    let [main, _] = &projects;
    let domains = TwoWorktrees::DOMAINS;
    let mut words = Vec::new();
    for (domain, project) in domains.iter().zip(&projects) {
        names.wait_for(domain, 200);
        let ps = names.devstack(project, &["ps", "--json"]).run().json();
        for name in SERVICES {
            words.push(format!(
                "http://{name}.{domain}:{}/={}",
                names.port,
                service(&ps, name)["pid"]
            ));
        }
    }
    eventually("the front port", || {
        std::net::TcpStream::connect(("127.0.0.1", front)).ok().map(drop)
    });
    let provider = SignIn::new();
    let sign_in = provider.url(front);
    let devstack = env!("CARGO_BIN_EXE_devstack").to_owned();
    let dirs = projects.iter().map(|project| project.dir().display().to_string());
    let words: Vec<String> = [devstack, sign_in].into_iter().chain(dirs).chain(words).collect();
    provider.serve_during(|| {
        let script = chromium.start("browser/worktrees.py", &words, |python| {
            let program = main.program(python).env("XDG_RUNTIME_DIR", names.home.outside("run"));
            program.env("DEVSTACK_PROXY", names.port.to_string())
        });
        wait_for_steps(&script);
    });
    for up in ups {
        up.end();
    }
    names.finish(projects);
}
