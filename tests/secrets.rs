//! Passwords in env files and in `env` are in the environments of services, in what `devstack env` prints, and nowhere
//! else: every output, file and process of a stack is searched for them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{RunningProgram, TestProject, free_port, http_socket, service};

/// What every secret of this test holds.
const CANARY: &str = "c4n4ry";

fn stack(port: u16) -> String {
    format!(
        r#"
[stack]
env = {{ OF_THE_STACK = "{CANARY}-stack" }}
[services.api]
command = 'exec {{misbehave}} listen'
port = {port}
env_file = "api.env"
env = {{ OWN = "{CANARY}-own", MADE = "db://user:${{FROM_FILE}}@host/${{OWN}}" }}
ready = {{ tcp = true, exec = 'test -n "$FROM_FILE"' }}
health = {{ exec = 'test -n "$OWN"', interval = "200ms" }}
watch = ["*.src"]
stop = {{ command = 'kill $MAINPID # $FROM_FILE' }}
debug = {{ command = 'exec {{misbehave}} listen --port $DEBUG_PORT' }}
[services.crash]
command = 'test -z "$FROM_FILE" && exec {{misbehave}} run'
restart = {{ policy = "on-failure", max = 2, delay = "10ms" }}
[services.missing]
command = ["no-such-program", "${{FROM_FILE}}"]
restart = "no"
[services.never]
command = ["{{misbehave}}", "run"]
ready = {{ exec = 'test -z "$FROM_FILE"', timeout = "100ms" }}
[services.asked]
command = "exec {{misbehave}} run"
port = "auto"
ready = {{ exec = ["no-such-program", "${{FROM_FILE}}"], timeout = "100ms" }}
"#
    )
}

/// All output, with the command that printed it.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    /// Runs this and keeps its output.
    fn run(&mut self, project: &TestProject, words: &[&str]) {
        let ended = project.devstack(words).env("DEVSTACK_LOG", "trace").run();
        self.0.push((words.join(" "), format!("{}\n{}", ended.stdout, ended.stderr)));
    }

    fn keep(&mut self, what: &str, text: String) {
        self.0.push((what.to_owned(), text));
    }

    #[track_caller]
    fn holds_no_secret(&self) {
        for (what, text) in &self.0 {
            let line = text.lines().find(|line| line.contains(CANARY));
            assert_eq!(line, None, "said by {what}");
        }
    }
}

/// Every file below a directory, without sockets and pipes.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

fn holds(bytes: &[u8]) -> bool {
    bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
}

/// What devstack wrote, wherever.
#[track_caller]
fn no_file_holds_a_secret(project: &TestProject) {
    let mut all = files(&project.path(".devstack"));
    assert!(!all.is_empty(), "there is something to search");
    all.extend(files(&project.path(".vscode")));
    for dir in ["run", "state", "home", "config", "cache", "tmp"] {
        all.extend(files(&project.outside(dir)));
    }
    for file in all {
        let bytes = fs::read(&file).unwrap_or_default();
        assert!(!holds(&bytes), "{}: {}", file.display(), String::from_utf8_lossy(&bytes));
    }
}

/// No command line, and no environment but those of services.
#[track_caller]
fn no_process_shows_a_secret(project: &TestProject, services: &[u64]) {
    let read = |pid: u32, what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
    for process in project.alive() {
        let pid = process.pid;
        assert!(!holds(&read(pid, "cmdline")), "{pid} {}", process.command);
        let has = holds(&read(pid, "environ"));
        assert_eq!(has, services.contains(&u64::from(pid)), "{pid} {}", process.command);
    }
}

fn outputs(up: &RunningProgram) -> String {
    format!("{}\n{}", up.stdout(), up.stderr())
}

#[test]
fn secrets_are_where_they_belong_and_nowhere_else() {
    let project = TestProject::new();
    let port = free_port();
    let env_file = format!("FROM_FILE={CANARY}-file\n");
    project.write(".env", &env_file);
    project.write("api.env", &format!("OF_API='{CANARY} api'\n"));
    project.configure(&stack(port));
    let mut said = Said::default();
    for words in [
        &["check"][..],
        &["check", "--json"],
        &["plan"],
        &["plan", "--json"],
        &["doctor"],
        &["doctor", "--json"],
        &["export", "vscode"],
        &["up", "missing"],
    ] {
        said.run(&project, words);
    }

    let up = project.devstack(["up", "--timestamps"]).env("DEVSTACK_LOG", "trace").start();
    project.wait_ps(|ps| {
        let is = |name: &str, phase: &str| service(ps, name)["phase"] == phase;
        is("api", "ready")
            && is("crash", "failed")
            && is("missing", "failed")
            && is("never", "unhealthy")
            && is("asked", "unhealthy")
    });
    let pids = |ps: &serde_json::Value| -> Vec<u64> {
        let services = ps["services"].as_array().expect("a list").iter();
        services.filter_map(|service| service["pid"].as_u64()).collect()
    };
    no_process_shows_a_secret(&project, &pids(&project.ps()));
    let all = project.devstack(["env", "--json", "api"]).run().expect_code(0).stdout;
    for secret in ["stack", "own", "file", " api"] {
        let secret = format!("{CANARY}{}{secret}", if secret.starts_with(' ') { "" } else { "-" });
        assert!(all.contains(&secret), "{secret} in {all}");
    }

    // An edit of a secret is applied, an invalid one is not, and both are reported.
    let here = up.here();
    project.write(".env", &format!("FROM_FILE={CANARY}-changed\n"));
    said.run(&project, &["plan"]);
    up.wait_since(here, "applied the new configuration");
    let here = up.here();
    project.write(
        ".env",
        &format!("FROM_FILE={CANARY}-changed\n{CANARY} is no line\nAPI_PORT={CANARY}\n"),
    );
    up.wait_since(here, "not applied: the configuration is invalid");
    for words in [&["plan"][..], &["plan", "--json"], &["check"], &["check", "--json"], &["doctor"]]
    {
        said.run(&project, words);
    }
    project.write(".env", &format!("FROM_FILE={CANARY}-changed\nAPI_PORT={CANARY}\n"));
    said.run(&project, &["check"]);
    project.write(".env", &env_file);
    for words in [
        &["debug", "api"][..],
        &["ps"],
        &["debug", "--off", "api"],
        &["restart", "api"],
        &["ps", "--json"],
        &["ps", "--all", "--json"],
        &["wait", "api"],
        &["why", "api"],
        &["why", "crash"],
        &["why", "missing"],
        &["why", "never"],
        &["why", "asked"],
        &["why", "asked", "--json"],
        &["logs"],
        &["logs", "--json"],
        &["ports"],
        &["ports", "--json"],
        &["open", "missing"],
        &["exec", "api", "--", "true"],
        &["start", "missing"],
        &["stop", "crash"],
    ] {
        said.run(&project, words);
    }
    let socket = project.socket();
    for path in [
        "/v1/stack",
        "/v1/plan",
        "/v1/version",
        "/v1/logs",
        "/v1/logs?said=true",
        "/v1/env?service=nobody",
    ] {
        let reply = http_socket(&socket, "GET", path, "").expect("an answer");
        said.keep(path, reply.body);
    }
    no_process_shows_a_secret(
        &project,
        &pids(&project.wait_ps(|ps| service(ps, "api")["phase"] == "ready")),
    );
    no_file_holds_a_secret(&project);
    up.end();
    said.keep("up", outputs(&up));
    said.run(&project, &["logs"]);
    said.holds_no_secret();
    no_file_holds_a_secret(&project);
    project.finish();
}
