//! Presets with their programs. All go through one life (`presets/life.rs`, with a table in `presets/lives.rs`); what only
//! some have is here.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{
    RunningProgram, TestProject, eventually, lock_usual_ports, require, require_program, service,
    try_http_get,
};

mod generated;
mod life;
mod lives;

use life::reply;
pub use life::with_toolchains;

/// Programs that are not on the PATH of every user.
const SERVER_DIRS: [&str; 4] =
    ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "target/presets/bin"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

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
            project.configure(&text);
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

    #[track_caller]
    fn end(self) {
        self.up.interrupt();
        assert_eq!(self.up.wait_code(), 130, "{:?}", self.up.lines());
        self.project.finish();
    }
}

/// Where a program is; the test ends without it.
fn has(program: &str) -> bool {
    let there = SERVER_DIRS.iter().any(|dir| repository().join(dir).join(program).exists());
    there || require_program(program).is_some()
}

/// Packages that were installed for these tests.
fn installed(what: &str) -> Option<PathBuf> {
    let path = repository().join("target/presets").join(what);
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
fn the_log_of_php_is_about_requests_only() {
    if !has("php") {
        return;
    }
    let project = TestProject::with_config("[services.web]\npreset = \"php\"\nport = \"auto\"");
    let up = project.up();
    up.end();
    let logs = project.devstack(["logs", "web"]).run().expect_code(0).stdout;
    assert!(logs.contains("Development Server"), "{logs}");
    assert!(!logs.contains("Accepted"), "{logs}");
    project.finish();
}

#[test]
fn php_takes_an_edit_of_an_old_file_at_once() {
    if !has("php") {
        return;
    }
    let project = TestProject::new();
    // OPcache keeps only what has not just been written.
    let page = |text: &str, hours: u64| {
        let file = project.write("new", &format!("<?php echo '{text}';"));
        let time = std::time::SystemTime::now() - std::time::Duration::from_secs(3600 * hours);
        fs::File::options().append(true).open(&file).and_then(|it| it.set_modified(time)).unwrap();
        fs::rename(file, project.path("index.php")).expect("it is ours");
    };
    page("first", 2);
    project.write("devstack.toml", "[services.web]\npreset = \"php\"\nport = \"auto\"");
    let up = project.devstack(["up"]).start();
    up.wait_for("is up");
    let port = service(&project.ps(), "web")["port"].as_u64().expect("it has one") as u16;
    let shown = || try_http_get("127.0.0.1", port, "/").expect("it answers").body;
    assert_eq!(shown(), "first");
    page("second", 1);
    assert_eq!(shown(), "second");
    up.end();
    project.finish();
}

#[test]
fn redis_is_quiet_at_a_terminal() {
    if require_program("redis-server").is_none() {
        return;
    }
    let project = TestProject::new();
    project.write("devstack.toml", "[services.it]\npreset = \"redis\"\nport = \"auto\"\n");
    let up = project.devstack(["up"]).terminal(40, 120).start();
    up.wait_for("is up");
    up.end();
    assert!(up.stdout().contains("Ready to accept connections"), "{}", up.stdout());
    assert!(!up.stdout().contains("_._"), "{}", up.stdout());
    project.finish();
}

#[test]
fn redis_takes_its_port_and_keeps_its_data() {
    let _alone = lock_usual_ports();
    if require_program("redis-server").is_none() {
        return;
    }
    let moved = Moved::start(TestProject::new(), "redis", 6379);
    assert_eq!(moved.url(), format!("redis://127.0.0.1:{}", moved.port));
    let say = |port, line: &[u8], until| reply(port, line, until).expect("it answers");
    assert_eq!(say(moved.port, b"SET word kept\r\n", "OK\r\n"), "+OK\r\n");
    moved.up.interrupt();
    assert_eq!(moved.up.wait_code(), 130);
    assert!(moved.project.path(".devstack/data/it/dump.rdb").exists());
    let again = Moved::start(moved.project, "redis", 6379);
    assert_eq!(say(again.port, b"GET word\r\n", "kept\r\n"), "$4\r\nkept\r\n");
    again.end();
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
        fs::remove_dir_all(data.parent().expect("a directory of this stack")).expect("it is ours");
    }
}

#[test]
fn postgres_leaves_the_data_of_a_moved_project_alone() {
    let _alone = lock_usual_ports();
    if !has_postgres() || !rustix::process::geteuid().is_root() {
        return;
    }
    let moved = Moved::start(TestProject::new(), "postgres", 5432);
    moved.up.interrupt();
    assert_eq!(moved.up.wait_code(), 130);
    let project = moved.project;
    let link = project.path(".devstack/data/it");
    let data = fs::read_link(&link).expect("a link to the data of root");
    // As in a new project at this path.
    fs::remove_file(&link).expect("it is ours");
    let text = project.read("devstack.toml") + "\nrestart = 'no'";
    project.configure(&text);
    let ended = project.devstack(["run", "--no-strict-ports", "--", "true"]).run().expect_code(120);
    assert!(
        ended.stderr.contains("may belong to a project that was here before"),
        "{}",
        ended.stderr
    );
    assert!(data.join("PG_VERSION").exists() && !link.exists());
    symlink(&data, &link).expect("it is new");
    project.devstack(["run", "--no-strict-ports", "--", "true"]).run().expect_code(0);
    fs::remove_dir_all(data.parent().expect("a directory of this stack")).expect("it is ours");
    project.finish();
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
    project.configure(&text);
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
    project.configure(&text);
    let ended = project.devstack(["run", "--no-strict-ports", "--", "true"]).run().expect_code(120);
    assert!(ended.stderr.contains("is not a database: remove it"), "{}", ended.stderr);
    assert!(data.join("base").is_dir(), "nothing was deleted");
    project.finish();
}

#[test]
fn a_program_that_is_missing_is_named_with_what_to_install() {
    let project = TestProject::with_config("[services.it]\npreset = 'minio'\nport = 'auto'\n");
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
    let project = TestProject::with_config(
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
    project.configure("[services.it]\npreset = \"flask\"\ncommand = \"python3 app.py\"\nwatch = [\"*.py\", \"*.ini\"]\n");
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
