//! `devstack env`: what a service has in its environment, and why.

#[cfg(target_os = "linux")]
use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{CommandOutput, Signal, TestProject, free_port, free_ports, occupy, service};

fn env(project: &TestProject, args: &[&str]) -> CommandOutput {
    project.devstack(["env"].iter().chain(args)).run()
}

#[track_caller]
fn json(project: &TestProject, args: &[&str]) -> Value {
    env(project, &[&["--json"], args].concat()).expect_code(0).json()
}

/// A variable in the output of `env --json`.
#[track_caller]
fn variable<'a>(view: &'a Value, name: &str) -> &'a Value {
    let all = view["variables"].as_array().expect("a list");
    all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name} in {view}"))
}

/// What a process has in its environment.
#[cfg(target_os = "linux")]
#[track_caller]
fn of_process(pid: u64) -> BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(format!("/proc/{pid}/environ")).expect("it lives");
    of_bytes(&bytes)
}

#[cfg(target_os = "linux")]
fn of_bytes(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let entries = bytes.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
    let pair = |entry: &[u8]| {
        let at = entry.iter().position(|byte| *byte == b'=')?;
        Some((String::from_utf8_lossy(&entry[..at]).into_owned(), entry[at + 1..].to_vec()))
    };
    entries.filter_map(pair).collect()
}

/// Values that every form has to quote.
#[cfg(target_os = "linux")]
const AWKWARD: &str = r#"
EMPTY = ""
SPACES = " a  b "
LINES = "a\nb\n"
QUOTES = "it's \"so\" `x`"
DOLLAR = "$$HOME $${HOME}"
BACKSLASH = 'a\nb\\'
CRLF = "a\r\nb"
HASH = "a #b"
UMLAUT = "ä"
TAB = "a\tb"
"#;

#[cfg(target_os = "linux")]
#[test]
fn it_is_what_the_process_has() {
    use std::os::unix::ffi::OsStrExt;
    let project = TestProject::new();
    let port = free_port();
    project.write(".env", "FROM=file\nBOTH=file\n");
    let text = format!(
        "[services.api]\ncommand = ['{{misbehave}}', 'listen']\nport = {port}\n[services.api.env]\nBOTH = 'own'\n{AWKWARD}"
    );
    project.configure(&text);
    let odd = std::ffi::OsStr::from_bytes(b"a\xff'b");
    let up = project.devstack(["up"]).env("ODD", odd).env("OUTER", "o").start();
    up.wait_for("is up");
    let pid = service(&project.ps(), "api")["pid"].as_u64().expect("it runs");
    let mut process = of_process(pid);
    for own in ["PWD", "DEVSTACK_RUN"] {
        assert!(process.remove(own).is_some(), "{own}");
    }
    let view = json(&project, &["--all", "api"]);
    let shown: BTreeMap<String, Vec<u8>> = view["variables"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            let value = match one["value_base64"].as_str() {
                Some("Yf8nYg==") => b"a\xff'b".to_vec(),
                Some(other) => panic!("{other}"),
                None => one["value"].as_str().expect("a text").as_bytes().to_vec(),
            };
            (one["name"].as_str().expect("a name").to_owned(), value)
        })
        .collect();
    assert_eq!(shown, process);
    assert_eq!((&view["run"], &view["mode"]), (&Value::from(1), &Value::from("run")));
    assert_eq!(view["dir"], project.dir().display().to_string());

    // A shell that reads it has the same, byte for byte.
    let script = format!(
        "'{}' env --all --format shell api > f && . ./f && exec env -0",
        env!("CARGO_BIN_EXE_devstack")
    );
    let output =
        project.program("/bin/sh").args(["-c", &script]).command().output().expect("a shell");
    assert!(output.status.success(), "{output:?}");
    let sourced = of_bytes(&output.stdout);
    for (name, value) in &process {
        assert_eq!(sourced.get(name), Some(value), "{name}");
    }

    // And so does a service that has it as an env file.
    let text = env(&project, &["api"]).expect_code(0).stdout;
    up.end();
    project.write("api.env", &text);
    project.configure("[stack]\nenv_file = 'api.env'\n[services.copy]\nkind = 'task'\ncommand = ['{misbehave}', 'run']");
    let copy = json(&project, &["copy"]);
    for name in [
        "FROM", "BOTH", "EMPTY", "SPACES", "LINES", "QUOTES", "DOLLAR", "BACKSLASH", "CRLF",
        "HASH", "UMLAUT", "TAB",
    ] {
        let value = variable(&copy, name)["value"].as_str().expect("a text").as_bytes();
        assert_eq!(value, process[name], "{name}");
    }
    project.finish();
}

#[test]
fn each_value_says_where_it_comes_from_and_what_it_hides() {
    let project = TestProject::new();
    let port = free_port();
    project.write(".env", "# first\nA=env\nB=env\nPORT=1234\n");
    project.write(".env.local", "B=local\n");
    project.write("api/own.env", "C=file\n");
    let text = format!(
        "[stack]\nenv = {{ C = 'stack' }}\n[services.api]\ncommand = 'flask run'\ndir = 'api'\nport = {port}\nenv_file = 'api/own.env'\n[services.api.env]\nB = 'own'\nC = '$C!'\nPATH = \"bin:$PATH\"\n"
    );
    project.configure(&text);
    let view = project.devstack(["env", "api", "--json"]).env("C", "outer").run().json();
    let file = |name: &str| project.path(name).display().to_string();
    let of = |name: &str| {
        let one = variable(&view, name);
        let said = |one: &Value| {
            let place = one["file"].as_str().map(|file| format!("{file}:{}", one["line"]));
            let value = one["value"].as_str().unwrap_or_default();
            format!(
                "{value} {} {}",
                one["source"].as_str().expect("a source"),
                place.unwrap_or_default()
            )
        };
        let hides = one["hides"].as_array().cloned().unwrap_or_default();
        [one.clone()].iter().chain(&hides).map(said).collect::<Vec<_>>()
    };
    assert_eq!(of("A"), [format!("env stack-file {}:2", file(".env"))]);
    assert_eq!(
        of("B"),
        [
            format!("own service-env {}:9", file("devstack.toml")),
            format!("local stack-file {}:1", file(".env.local")),
            format!("env stack-file {}:3", file(".env")),
        ]
    );
    assert_eq!(
        of("C"),
        [
            format!("file! service-env {}:10", file("devstack.toml")),
            format!("file service-file {}:1", file("api/own.env")),
            format!("stack stack-env {}:2", file("devstack.toml")),
            "outer inherited ".to_owned(),
        ]
    );
    let path = of("PATH");
    assert!(
        path[0].starts_with("bin:/") && path[1].starts_with('/') && path[1].ends_with("inherited "),
        "{path:?}"
    );
    assert_eq!(of("PORT")[0], "1234 devstack ", "the primary service has it from .env");
    assert_eq!(of("PORT")[1], format!("1234 stack-file {}:4", file(".env")));
    assert_eq!(of("DEVSTACK_SERVICE"), ["api devstack "]);
    assert!(view["variables"].as_array().unwrap().iter().all(|one| one["name"] != "LANG"));

    let table = env(&project, &["api", "--explain"]).expect_code(0).stdout;
    let line = |begin: &str| {
        let line = table.lines().find(|line| line.starts_with(begin));
        line.unwrap_or_else(|| panic!("{begin} in {table}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("B "), "B own devstack.toml:9 (env)");
    assert_eq!(line("A "), "A env .env:2 (stack env_file)");
    let after: Vec<&str> =
        table.lines().skip_while(|line| !line.starts_with("B ")).skip(1).collect();
    assert!(after[0].contains("overrides") && after[0].contains(".env.local:1"), "{table}");
    project.finish();
}

#[test]
fn ports_that_moved_and_modes_are_those_of_the_run() {
    let project = TestProject::new();
    let first = free_ports(3);
    let taken = occupy(first);
    let text = format!(
        "[services.api]\ncommand = ['{{misbehave}}', 'listen']\nport = {first}\ndebug = {{ command = ['{{misbehave}}', 'listen', '--port', '${{DEBUG_PORT}}'], port = {} }}\n[services.web]\ncommand = ['{{misbehave}}', 'run']\ndepends_on = ['api']\n",
        first + 2
    );
    project.configure(&text);
    // What `up` would give.
    let before = env(&project, &["web"]).expect_code(0);
    assert!(before.stderr.contains("no stack is running in this directory"), "{}", before.stderr);
    assert!(
        before.stdout.contains(&format!("DEVSTACK_API_PORT={}\n", first + 1)),
        "{}",
        before.stdout
    );
    let up = project.up();
    drop(taken);
    let during = env(&project, &["api"]).expect_code(0);
    assert_eq!(during.stderr, "");
    assert!(during.stdout.contains(&format!("\nPORT={}\n", first + 1)), "{}", during.stdout);
    assert!(during.stdout.contains("DEVSTACK_MODE=run\n"), "{}", during.stdout);

    project.devstack(["debug", "api"]).run().expect_code(0);
    let view = json(&project, &["api"]);
    assert_eq!(
        (&view["mode"], &variable(&view, "DEVSTACK_MODE")["value"]),
        (&"debug".into(), &"debug".into())
    );
    assert_eq!(variable(&view, "DEBUG_PORT")["value"], (first + 2).to_string());
    assert_eq!(variable(&view, "DEBUG_PORT")["source"], "devstack");

    // One that is stopped has what its next process gets.
    project.devstack(["stop", "web"]).run().expect_code(0);
    assert_eq!(json(&project, &["web"])["run"], Value::Null);
    project.end(&up);
}

#[test]
fn an_edit_is_seen_when_it_is_applied() {
    let project = TestProject::new();
    let text = |value: &str, more: &str| {
        format!(
            "{more}[services.api]\ncommand = ['{{misbehave}}', 'run']\nenv = {{ A = '{value}' }}\n"
        )
    };
    project.configure(&text("1", ""));
    let up = project.up();
    let said = |name: &str| variable(&json(&project, &["api"]), name).clone();
    assert_eq!((&said("A")["value"], &said("A")["line"]), (&"1".into(), &3.into()));
    let here = up.here();
    project.configure(&text("2", "# one more line\n"));
    up.wait_since(here, "applied the new configuration");
    project.wait_ps(|ps| service(ps, "api")["run"] == 2 && service(ps, "api")["phase"] == "ready");
    assert_eq!((&said("A")["value"], &said("A")["line"]), (&"2".into(), &4.into()));
    // One that does not hold changes nothing.
    let here = up.here();
    project.configure("[services.api]\ncommnd = 1");
    up.wait_since(here, "not applied: the configuration is invalid");
    assert_eq!(said("A")["value"], "2");
    project.end(&up);
}

#[test]
fn a_run_that_is_about_to_end_has_what_it_was_given() {
    let project = TestProject::new();
    let text = |value: &str| {
        format!(
            "[services.api]\ncommand = ['{{misbehave}}', 'ignore', 'TERM']\nstop = {{ grace = '1h' }}\nenv = {{ A = '{value}' }}\n"
        )
    };
    project.configure(&text("1"));
    let up = project.up();
    let here = up.here();
    project.configure(&text("2"));
    up.wait_since(here, "applied the new configuration");
    project.wait_ps(|ps| service(ps, "api")["phase"] == "stopping");
    let view = json(&project, &["api"]);
    assert_eq!((&view["run"], &variable(&view, "A")["value"]), (&1.into(), &"1".into()));
    assert_eq!(variable(&view, "A")["source"], "former");
    up.signal(Signal::INT);
    up.wait_since(here, "stopping: ");
    up.signal(Signal::INT);
    up.wait_exit();
    project.finish();
}

#[test]
fn an_unknown_service_has_no_environment() {
    let project = TestProject::with_config(
        "[services.api]\ncommand = ['{misbehave}', 'run']\nreplicas = 2\n[services.web]\ncommand = ['{misbehave}', 'run']\n",
    );
    let check = || {
        let wrong = env(&project, &["wbe"]).expect_code(3);
        assert!(wrong.stderr.contains("did you mean `web`?"), "{}", wrong.stderr);
        let several = env(&project, &["api"]).expect_code(2);
        assert!(several.stderr.contains("choose one of api-1, api-2"), "{}", several.stderr);
        let json = env(&project, &["wbe", "--json"]).expect_code(3);
        assert!(json.stderr.starts_with(r#"{"error":{"#), "{}", json.stderr);
        assert!(env(&project, &["api-2"]).expect_code(0).stdout.contains("DEVSTACK_REPLICA=2\n"));
    };
    check();
    let up = project.up();
    check();
    up.end();
    project.configure("[services.api]\ncommnd = 1\n");
    let broken = env(&project, &["api"]).expect_code(2);
    assert!(broken.stderr.contains("did you mean `command`?"), "{}", broken.stderr);
    project.finish();
}
