//! Data stores in containers, whose images are made of the programs of this machine: no registry is
//! needed.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::engine::{Engine, ok};
use crate::support::{TestProject, eventually, require, require_program, service};

const REDIS: &str = "localhost/redis:7";
const POSTGRES: &str = "localhost/postgres:15";

/// Copies a program of this machine with the libraries that it needs.
fn add_program(root: &Path, program: &Path) {
    let list = Command::new("ldd").arg(program).output().expect("ldd");
    let list = String::from_utf8(list.stdout).expect("paths");
    let libraries = list.split_ascii_whitespace().filter(|word| word.starts_with('/'));
    for file in libraries.map(Path::new).chain([program]) {
        let to = root.join(file.strip_prefix("/").expect("absolute"));
        fs::create_dir_all(to.parent().expect("it has one")).expect("it is ours");
        fs::copy(file, to).expect("it can be copied");
    }
}

fn import_redis(engine: &Engine) -> Option<()> {
    let redis = require_program("redis-server")?;
    let command = "CMD [\"redis-server\", \"--protected-mode\", \"no\"]";
    engine.import(REDIS, command, |root| add_program(root, &redis));
    Some(())
}

/// The directory of PostgreSQL's programs; Debian has it outside PATH.
fn postgres_dir() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|entry| entry.path()).filter(|dir| dir.join("bin/initdb").exists());
    let newest = newest.max();
    require("PostgreSQL of Debian (examples/flask-shop/setup.sh)", newest.is_some());
    newest
}

/// An image like the one that everybody uses: it makes its database first, and trusts all.
fn import_postgres(engine: &Engine) -> Option<()> {
    let dir = postgres_dir()?;
    let at = dir.display();
    let script = format!(
        "#!/bin/sh
        data=/var/lib/postgresql/data/db
        if ! [ -e $data/PG_VERSION ]; then
            {at}/bin/initdb -D $data -U postgres -A trust -E UTF8 --locale=C --no-sync || exit
            echo host all all all trust >> $data/pg_hba.conf
        fi
        exec {at}/bin/postgres -D $data -h $HOST -p $PORT -k ''"
    );
    engine.import(POSTGRES, "CMD [\"/entry\"]", |root| {
        for program in ["initdb", "postgres", "pg_isready"] {
            add_program(root, &dir.join("bin").join(program));
        }
        let share = Path::new("/usr/share/postgresql").join(dir.file_name().expect("a version"));
        for (from, to) in [(dir.join("lib"), &dir), (share.clone(), &share)] {
            let to = root.join(to.strip_prefix("/").expect("absolute"));
            let to = if from == share { to.parent().expect("it has one").to_owned() } else { to };
            fs::create_dir_all(&to).expect("it is ours");
            let copied = Command::new("cp").arg("-r").arg(&from).arg(&to).status().expect("cp");
            assert!(copied.success());
        }
        let data = root.join("var/lib/postgresql/data");
        fs::create_dir_all(&data).expect("it is ours");
        fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).expect("it is ours");
        let path = root.join("bin/pg_isready");
        symlink(dir.join("bin/pg_isready"), path).expect("it is new");
        fs::write(root.join("etc/passwd"), "postgres:x:70:70::/:/bin/sh\n").expect("it is ours");
        fs::write(root.join("entry"), script).expect("it is ours");
        fs::set_permissions(root.join("entry"), fs::Permissions::from_mode(0o755)).expect("ours");
    });
    Some(())
}

pub fn a_data_store_serves_a_program(engine: &Engine) {
    let Some(()) = import_redis(engine) else { return };
    let project = TestProject::with_config(&format!(
            "[stack]\nname = 'stored'
            [services.db]\npreset = 'redis'\nimage = '{REDIS}'\nport = {{ prefer = 18190, inside = 6379 }}
            [services.app]\ndepends_on = ['db']
            command = 'echo the store is ${{db.url}}; exec {{misbehave}} run'"
        ));
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("the store is redis://127.0.0.1:18190");
    engine.enter();
    let mut client = std::net::TcpStream::connect("127.0.0.1:18190").expect("it is ready");
    client.write_all(b"PING\r\n").expect("it reads");
    let mut answer = [0; 7];
    client.read_exact(&mut answer).expect("it answers");
    assert_eq!(&answer, b"+PONG\r\n");
    up.end();
    engine.assert_clean("stored");
    project.finish();
}

/// It asks PostgreSQL itself.
pub fn a_database_is_ready_when_it_lets_clients_in(engine: &Engine) {
    const SLOW: &str = "localhost/slow-postgres:17";
    engine.import(SLOW, "CMD [\"httpd\",\"-f\",\"-p\",\"5432\",\"-h\",\"/www\"]", |root| {
        let asked = "#!/bin/sh\necho asked with $@\ncat /gate/accepts\n";
        fs::write(root.join("bin/pg_isready"), asked).expect("it is ours");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(root.join("bin/pg_isready"), mode).expect("it is ours");
    });
    let project = TestProject::new();
    project.write("gate/.keep", "");
    project.configure(&format!(
        "[stack]\nname = 'slowly'
            [services.db]\npreset = 'postgres'\nimage = '{SLOW}'\nport = 18295
            volumes = ['./gate:/gate']\nenv = {{ POSTGRES_USER = 'shop' }}"
    ));
    let up = engine.devstack(&project, &["up"]).start();
    eventually("its answer", || {
        let why = engine.devstack(&project, &["why", "db"]).run().stdout;
        why.contains("asked with -q -h 127.0.0.1 -U shop").then_some(())
    });
    assert_eq!(engine.get(18295, "/").expect("it listens"), "inside\n");
    let ps = engine.devstack(&project, &["ps", "--json"]).run().expect_code(0).json();
    assert_eq!(service(&ps, "db")["phase"], "starting");
    project.write("gate/accepts", "");
    up.wait_for("slowly is up");
    up.end();
    engine.assert_clean("slowly");
    project.finish();
}

const APP: &str = r#"
import os, socket, subprocess
from urllib.parse import urlparse
from flask import Flask

app = Flask(__name__)

def sql(text):
    command = ["psql", os.environ["DATABASE_URL"], "-qtAc", text]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

def visits():
    at = urlparse(os.environ["REDIS_URL"])
    with socket.create_connection((at.hostname, at.port)) as redis:
        redis.sendall(b"INCR visits\r\n")
        return redis.recv(99).decode().strip()

@app.get("/")
def index():
    sql("create table if not exists seen (n int)")
    sql("insert into seen values (1)")
    return sql("select count(*) from seen") + " " + visits()
"#;

/// A Python that has Flask.
fn flask() -> Option<PathBuf> {
    let venv = concat!(env!("CARGO_MANIFEST_DIR"), "/target/debuggers/.venv/bin/python");
    let has_flask = |python: &PathBuf| {
        let tried = Command::new(python).args(["-c", "import flask"]).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let python = [PathBuf::from(venv), "python3".into()].into_iter().find(has_flask);
    require("Flask (tests/debug/setup.sh)", python.is_some());
    python
}

pub fn a_flask_app_uses_two_data_stores(engine: &Engine) {
    let (Some(()), Some(())) = (import_redis(engine), import_postgres(engine)) else { return };
    let (Some(python), Some(_)) = (flask(), require_program("psql")) else { return };
    let project = TestProject::new();
    project.write("app.py", APP);
    project.configure(&format!(
        "[stack]\nname = 'flask'
            [services.db]\npreset = 'postgres'\nimage = '{POSTGRES}'\nuser = '70:70'\nport = 18290
            [services.cache]\npreset = 'redis'\nimage = '{REDIS}'\nport = 18291
            [services.app]\ndepends_on = ['db', 'cache']\nport = 18292
            command = '{} -m flask --app app run --port $PORT'\nready = {{ tcp = true }}
            env = {{ DATABASE_URL = '${{db.url}}', REDIS_URL = '${{cache.url}}' }}",
        python.display()
    ));
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("flask is up");
    // PostgreSQL listens a moment before it lets clients in, and is ready only then.
    let page = |wanted: &str| {
        let page = engine.get(18292, "/").expect("it answers");
        assert!(page.starts_with(wanted), "{page}");
    };
    page("1 :1");
    page("2 :2");
    ok(engine.devstack(&project, &["restart", "db"]));
    page("3 :3");
    up.end();
    engine.assert_clean("flask");
    // What the database has stays.
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("flask is up");
    page("4 ");
    up.end();
    engine.assert_clean("flask");
    project.finish();
}
