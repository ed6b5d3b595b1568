//! Presets with their programs: each starts although another process has its usual port, which proves that it
//! takes the port it is given.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{
    RunningProgram, TestProject, eventually, lock_usual_ports, require, require_program, service,
    try_http_get,
};

/// Programs that are not on the PATH of every user.
const SERVER_FOLDERS: &str = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin";

/// A stack of one service, `it`, with this preset, whose usual port is taken.
struct Moved {
    project: TestProject,
    up: RunningProgram,
    port: u16,
}

impl Moved {
    /// Starts it and waits until it is ready.
    #[track_caller]
    fn start(project: TestProject, preset: &str, usual: u16) -> Moved {
        let text = format!("[services.it]\npreset = \"{preset}\"\n");
        if !project.path("devstack.toml").exists() {
            project.write("devstack.toml", &text);
        }
        // Where it is taken already, so much the better.
        let _stranger = std::net::TcpListener::bind(("127.0.0.1", usual));
        let up = project.devstack(["up"]).start();
        up.wait_for(" is up");
        up.wait_for(&format!("port {usual} is in use by "));
        let ps = project.ps();
        let it = service(&ps, "it");
        assert_eq!((&it["phase"], &it["wanted_port"]), (&"ready".into(), &usual.into()), "{it}");
        let port = it["port"].as_u64().and_then(|port| port.try_into().ok()).expect("it has one");
        assert_ne!(port, usual);
        // What a preset watches need not be there.
        assert!(!up.lines().iter().any(|line| line.contains("cannot watch ")), "{:?}", up.lines());
        Moved { project, up, port }
    }

    /// Its URL.
    fn url(&self) -> String {
        let ps: Value = self.project.ps();
        service(&ps, "it")["url"].as_str().expect("it has one").to_owned()
    }

    /// Fails unless its page has this text. What answers may speak any version of HTTP, in pieces or not.
    #[track_caller]
    fn shows(&self, text: &str) {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        socket.write_all(request).expect("it listens");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        assert!(head.starts_with("HTTP/1.") && head.contains(" 200 "), "{answer}");
        assert!(body.contains(text), "{answer}");
    }

    /// What it answers to a line.
    fn say(&self, line: &str) -> String {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        socket.write_all(format!("{line}\r\n").as_bytes()).expect("it listens");
        let mut answer = [0; 64];
        let count = socket.read(&mut answer).expect("it answers");
        String::from_utf8_lossy(&answer[..count]).into_owned()
    }

    #[track_caller]
    fn end(self) {
        self.up.interrupt();
        assert_eq!(self.up.wait_code(), 130, "{:?}", self.up.lines());
        self.project.finish();
    }
}

/// Where a program is; the test ends without it.
fn has(program: &str) -> bool {
    let there = SERVER_FOLDERS.split(':').any(|folder| Path::new(folder).join(program).exists());
    there || require_program(program).is_some()
}

/// Packages that were installed for these tests.
fn installed(what: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/presets").join(what);
    require(&format!("{what} (tests/presets/setup.sh)"), path.exists()).then_some(path)
}

/// A project with Python's packages; `None`: they are not installed.
fn python() -> Option<TestProject> {
    let venv = installed(".venv")?;
    let project = TestProject::new();
    symlink(venv, project.path(".venv")).expect("it is new");
    Some(project)
}

#[test]
fn flask_takes_its_port_and_is_restarted_on_a_save() {
    let _alone = lock_usual_ports();
    let Some(project) = python() else { return };
    let app = |answer: &str| {
        format!(
            "from flask import Flask\napp = Flask(__name__)\n@app.get('/')\ndef index():\n    return '{answer}'\n"
        )
    };
    project.write("app.py", &app("first"));
    let moved = Moved::start(project, "flask", 5000);
    moved.shows("first");
    moved.project.write("app.py", &app("second"));
    moved.up.wait_for("restarting: app.py changed");
    eventually("the new answer", || {
        let reply = try_http_get("127.0.0.1", moved.port, "/").ok()?;
        (reply.body == "second").then_some(())
    });
    moved.end();
}

#[test]
fn django_takes_its_port() {
    let _alone = lock_usual_ports();
    let Some(project) = python() else { return };
    let admin = project.path(".venv/bin/django-admin");
    project.program(admin).args(["startproject", "site1", "."]).run().expect_code(0);
    let moved = Moved::start(project, "django", 8000);
    moved.shows("Django");
    moved.end();
}

#[test]
fn fastapi_takes_its_port() {
    let _alone = lock_usual_ports();
    let Some(project) = python() else { return };
    project.write(
        "main.py",
        "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/')\ndef index():\n    return 'hello'\n",
    );
    let moved = Moved::start(project, "fastapi", 8000);
    moved.shows("\"hello\"");
    moved.end();
}

#[test]
fn uvicorn_takes_its_port() {
    let _alone = lock_usual_ports();
    let Some(project) = python() else { return };
    project.write(
        "main.py",
        "async def app(scope, receive, send):\n    if scope['type'] == 'http':\n        await send({'type': 'http.response.start', 'status': 200})\n        await send({'type': 'http.response.body', 'body': b'hello'})\n",
    );
    let moved = Moved::start(project, "uvicorn", 8000);
    moved.shows("hello");
    moved.end();
}

#[test]
fn vite_takes_its_port() {
    let _alone = lock_usual_ports();
    let modules =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flask-shop/web/node_modules");
    if !require("Vite (examples/flask-shop/setup.sh)", modules.join(".installed").exists()) {
        return;
    }
    let project = TestProject::new();
    symlink(modules, project.path("node_modules")).expect("it is new");
    project.write("index.html", "<p>hello</p>");
    let moved = Moved::start(project, "vite", 5173);
    moved.shows("<p>hello</p>");
    moved.end();
}

#[test]
fn node_and_express_take_their_port() {
    let _alone = lock_usual_ports();
    let Some(modules) = installed("node_modules") else { return };
    for (preset, file, text) in [
        (
            "node",
            "index.js",
            "require('http').createServer((_, reply) => reply.end('hello')).listen(process.env.PORT, process.env.HOST)",
        ),
        (
            "express",
            "bin/www",
            "const app = require('express')()\napp.get('/', (_, reply) => reply.send('hello'))\napp.listen(process.env.PORT, process.env.HOST)",
        ),
    ] {
        let project = TestProject::new();
        symlink(&modules, project.path("node_modules")).expect("it is new");
        project.write(file, text);
        let moved = Moved::start(project, preset, 3000);
        moved.shows("hello");
        moved.end();
    }
}

#[test]
fn servers_of_files_take_their_port() {
    let _alone = lock_usual_ports();
    for (preset, program, usual) in
        [("static", "python3", 8000), ("nginx", "nginx", 8080), ("php", "php", 8000)]
    {
        if !has(program) {
            continue;
        }
        let project = TestProject::new();
        project.write("index.html", "hello");
        let moved = Moved::start(project, preset, usual);
        moved.shows("hello");
        moved.end();
    }
}

#[test]
fn the_log_of_php_is_about_requests_only() {
    if !has("php") {
        return;
    }
    let project = TestProject::new();
    project.write("devstack.toml", "[services.web]\npreset = \"php\"\nport = \"auto\"");
    let up = project.devstack(["up"]).start();
    up.wait_for("is up");
    up.end();
    let logs = project.devstack(["logs", "web"]).run().expect_code(0).stdout;
    assert!(logs.contains("Development Server"), "{logs}");
    assert!(!logs.contains("Accepted"), "{logs}");
    project.finish();
}

#[test]
fn nginx_fills_variables_into_a_configuration_of_ones_own() {
    let _alone = lock_usual_ports();
    if !has("nginx") {
        return;
    }
    let project = TestProject::new();
    project.write(
        "nginx.conf",
        "pid nginx.pid;\nevents {}\nhttp {\n client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n server { listen ${HOST}:${PORT}; location / { return 200 \"$uri by ${DEVSTACK_SERVICE}\"; } }\n}\n",
    );
    let moved = Moved::start(project, "nginx", 8080);
    moved.shows("/ by it");
    moved.end();
}

#[test]
fn redis_takes_its_port_and_keeps_its_data() {
    let _alone = lock_usual_ports();
    if require_program("redis-server").is_none() {
        return;
    }
    let moved = Moved::start(TestProject::new(), "redis", 6379);
    assert_eq!(moved.url(), format!("redis://127.0.0.1:{}", moved.port));
    assert_eq!(moved.say("SET word kept"), "+OK\r\n");
    moved.up.interrupt();
    assert_eq!(moved.up.wait_code(), 130);
    assert!(moved.project.path(".devstack/data/it/dump.rdb").exists());
    let again = Moved::start(moved.project, "redis", 6379);
    assert_eq!(again.say("GET word"), "$4\r\nkept\r\n");
    again.end();
}

#[test]
fn memcached_and_nats_take_their_ports() {
    let _alone = lock_usual_ports();
    if has("memcached") {
        let moved = Moved::start(TestProject::new(), "memcached", 11211);
        assert!(moved.say("version").starts_with("VERSION "));
        moved.end();
    }
    if has("nats-server") {
        let moved = Moved::start(TestProject::new(), "nats", 4222);
        assert!(moved.say("PING").starts_with("INFO "));
        assert!(moved.url().starts_with("nats://127.0.0.1:"));
        moved.end();
    }
}

#[test]
fn mariadb_makes_its_data_takes_its_port_and_starts_again() {
    let _alone = lock_usual_ports();
    if !has("mariadbd") {
        return;
    }
    let project = TestProject::new();
    // What an interrupted first start leaves.
    project.write(".devstack/data/it.new/mysql/half", "");
    let moved = Moved::start(project, "mariadb", 3306);
    moved.up.wait_for("creating a database in ");
    assert_eq!(moved.url(), format!("mysql://root@127.0.0.1:{}/app", moved.port));
    // It was listening before, and would have hung if stopped then.
    assert!(moved.project.path(".devstack/data/it/app").is_dir(), "{:?}", moved.up.lines());
    moved.up.interrupt();
    assert_eq!(moved.up.wait_code(), 130);
    let again = Moved::start(moved.project, "mariadb", 3306);
    assert!(again.up.lines().iter().all(|line| !line.contains("creating a database")));
    again.end();
}

/// Whether PostgreSQL is there, within PATH or where its packages put it.
fn has_postgres() -> bool {
    let debian =
        fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut entries| entries.next().is_some());
    debian || require_program("postgres").is_some()
}

#[test]
fn postgres_alone_makes_its_data_takes_its_port_and_starts_again() {
    let _alone = lock_usual_ports();
    if !has_postgres() {
        return;
    }
    let moved = Moved::start(TestProject::new(), "postgres", 5432);
    let url = format!("postgresql://postgres@127.0.0.1:{}/postgres", moved.port);
    assert_eq!(moved.url(), url);
    let line = moved.up.wait_for("creating a database in ");
    let (_, data) = line.split_once("creating a database in ").expect("it was just found");
    let data = PathBuf::from(data);
    moved.up.interrupt();
    assert_eq!(moved.up.wait_code(), 130);

    let again = Moved::start(moved.project, "postgres", 5432);
    assert!(again.up.lines().iter().all(|line| !line.contains("creating a database")));
    again.end();
    // For root the data is not within the project.
    if data.starts_with("/var/lib/devstack/data") {
        fs::remove_dir_all(data.parent().expect("a folder of this stack")).expect("it is ours");
    }
}

#[test]
fn postgres_starts_half_made_data_over_and_leaves_what_is_not_its_own() {
    let _alone = lock_usual_ports();
    if !has_postgres() {
        return;
    }
    let project = TestProject::new();
    // For root the database runs as another user, which must reach its directory.
    let root = project.dir().parent().expect("the project has a root").to_owned();
    fs::set_permissions(root, fs::Permissions::from_mode(0o711)).expect("it is ours");
    let data = project.outside("tmp").join("data/pg");
    fs::create_dir_all(data.with_extension("new")).expect("it is ours");
    fs::write(data.with_extension("new").join("half"), "").expect("it is ours");
    let text = format!(
        "[services.it]\npreset = 'postgres'\nenv = {{ DEVSTACK_DATA = '{}', POSTGRES_DB = 'my shop', POSTGRES_USER = 'me' }}",
        data.display()
    );
    project.write("devstack.toml", &text);
    let moved = Moved::start(project, "postgres", 5432);
    assert!(data.join("PG_VERSION").exists() && !data.with_extension("new").exists());
    assert_eq!(moved.url(), format!("postgresql://me@127.0.0.1:{}/my%20shop", moved.port));
    if let Some(psql) = require_program("psql") {
        let psql = moved.project.program(psql);
        let said = psql.args([&moved.url(), "-Atc", "select current_database()"]).run();
        assert_eq!(said.expect_code(0).stdout, "my shop\n");
    }
    moved.up.interrupt();
    assert_eq!(moved.up.wait_code(), 130);
    let project = moved.project;
    fs::remove_file(data.join("PG_VERSION")).expect("it is ours");
    let text = text + "\nrestart = 'no'";
    project.write("devstack.toml", &text);
    let ended = project.devstack(["run", "--no-strict-ports", "--", "true"]).run().expect_code(120);
    assert!(ended.stderr.contains("is not a database: remove it"), "{}", ended.stderr);
    assert!(data.join("base").is_dir(), "nothing was deleted");
    project.finish();
}

#[test]
fn a_program_that_is_missing_is_named_with_what_to_install() {
    let project = TestProject::new();
    project.write("devstack.toml", "[services.it]\npreset = 'minio'\nport = 'auto'\n");
    let run = project.devstack(["run", "--", "true"]).env("PATH", "/nowhere");
    let ended = run.run().expect_code(120);
    assert!(ended.stderr.contains("program `minio` not found on PATH"), "{}", ended.stderr);
    assert!(ended.stderr.contains("install it: brew install minio"), "{}", ended.stderr);
    project.finish();
}

#[test]
fn two_services_of_one_preset_have_ports_and_data_of_their_own() {
    let _alone = lock_usual_ports();
    if require_program("redis-server").is_none() {
        return;
    }
    let project = TestProject::new();
    project.write(
        "devstack.toml",
        "[services.a]\npreset = 'redis'\n[services.b]\npreset = 'redis'\nreplicas = 2\n",
    );
    let _stranger = std::net::TcpListener::bind(("127.0.0.1", 6379));
    let up = project.devstack(["up"]).start();
    up.wait_for(" is up");
    let ps = project.ps();
    let port = |name| service(&ps, name)["port"].as_u64().expect("it has one");
    let ports = std::collections::BTreeSet::from(["a", "b-1", "b-2"].map(port));
    assert!(ports.len() == 3 && !ports.contains(&6379), "{ports:?}");
    up.end();
    for name in ["a", "b-1", "b-2"] {
        assert!(project.path(format!(".devstack/data/{name}")).is_dir());
    }
    project.finish();
}

#[test]
fn presets_are_listed_and_shown() {
    let project = TestProject::new();
    let list = project.devstack(["presets"]).run().expect_code(0);
    assert!(
        list.stdout.contains("flask         5000  Flask's development server\n"),
        "{}",
        list.stdout
    );
    let json = project.devstack(["presets", "--json"]).run().expect_code(0).json();
    let all = json["presets"].as_array().expect("a list");
    assert_eq!(all.len(), list.stdout.lines().count());
    let mailpit = all.iter().find(|preset| preset["name"] == "mailpit").expect("it is there");
    assert_eq!(mailpit["ports"], serde_json::json!({ "http": 8025, "smtp": 1025 }));

    let shown = project.devstack(["presets", "redis"]).run().expect_code(0).stdout;
    assert!(shown.starts_with("# Redis") && shown.contains("[service]\n"), "{shown}");
    let json = project.devstack(["presets", "redis", "--json"]).run().expect_code(0).json();
    assert_eq!((&json["toml"], &json["port"]), (&shown.into(), &6379.into()));

    let unknown = project.devstack(["presets", "postgress"]).run().expect_code(2);
    assert!(unknown.stderr.contains("did you mean `postgres`?"), "{}", unknown.stderr);
    assert_eq!(unknown.stdout, "");
    project.finish();
}

/// cargo writes Cargo.lock, which is no edit.
#[test]
fn a_cargo_program_is_not_restarted_by_its_lock_file() {
    let _alone = lock_usual_ports();
    if require_program("cargo").is_none() {
        return;
    }
    let project = TestProject::new();
    project.write("Cargo.toml", "[package]\nname = \"app\"\nedition = \"2021\"\n");
    project.write(
        "src/main.rs",
        r#"
        use std::io::Write;
        fn main() {
            let port: u16 = std::env::var("PORT").unwrap().parse().unwrap();
            let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
            for socket in listener.incoming() {
                let _ = socket.unwrap().write_all(b"HTTP/1.1 200 OK\r\n\r\nhello");
            }
        }
        "#,
    );
    // The home directory of tests has no toolchain.
    let home = |name: &str, usual: &str| {
        let usual = || Some(Path::new(&std::env::var_os("HOME")?).join(usual));
        std::env::var_os(name).map(PathBuf::from).or_else(usual).unwrap_or_default()
    };
    project.write(
        "devstack.toml",
        &format!(
            "[services.it]\npreset = \"cargo\"\nenv = {{ RUSTUP_HOME = {:?}, CARGO_HOME = {:?} }}\n",
            home("RUSTUP_HOME", ".rustup"),
            home("CARGO_HOME", ".cargo"),
        ),
    );
    let moved = Moved::start(project, "cargo", 8080);
    assert!(moved.project.path("Cargo.lock").exists());
    moved.project.write("src/more.rs", "");
    moved.up.wait_for("restarting: src/more.rs changed");
    let lines = moved.up.lines();
    let restarts = lines.iter().filter(|line| line.contains(" restarting: ")).count();
    assert_eq!(restarts, 1, "{lines:?}");
    moved.end();
}

/// The app turns on Flask's reloader itself: that is seen, and only Flask reloads.
#[test]
fn a_reloader_that_a_program_turns_on_itself_is_left_to_it() {
    let _alone = lock_usual_ports();
    let Some(project) = python() else { return };
    let app = |answer: &str| {
        format!(
            "import os\nfrom flask import Flask\napp = Flask(__name__)\n@app.get('/')\ndef index():\n    return '{answer}'\napp.run(port=int(os.environ['PORT']), debug=True)\n"
        )
    };
    project.write("app.py", &app("first"));
    project.write(
        "devstack.toml",
        "[services.it]\npreset = \"flask\"\ncommand = \"python3 app.py\"\nwatch = [\"*.py\", \"*.ini\"]\n",
    );
    let moved = Moved::start(project, "flask", 5000);
    let note = moved.up.wait_for("reloads itself, so its `watch` ignores **/*.py");
    assert!(note.starts_with("it * "), "{note}");
    moved.up.wait_for("pass use_reloader=False to app.run()");
    let answers = |wanted: &str| {
        eventually(&format!("the answer {wanted}"), || {
            let reply = try_http_get("127.0.0.1", moved.port, "/").ok()?;
            (reply.body == wanted).then_some(())
        });
    };
    // The reloader knows the files once the server responds: it opens the port before.
    answers("first");
    moved.project.write("app.py", &app("second"));
    answers("second");
    moved.project.write("app.ini", "1");
    moved.up.wait_for("restarting: app.ini changed");
    let lines = moved.up.lines();
    assert!(!lines.iter().any(|line| line.contains("app.py changed")), "{lines:?}");
    moved.end();
}
