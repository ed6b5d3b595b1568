//! The commands against a fake stack: their output and exit codes.

use std::fs;
use std::future::pending;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::ServicesAction::{Restart, Start, Stop};
use super::{change, down};
use crate::cli::ClientOptions;
use crate::cli::inspect::{LogsOptions, logs, ps};
use crate::cli::render::{CommandError, LogRenderer};
use crate::control::LogQuery;
use crate::control::tests::{Rig, line, name, print, snapshot, stored_log, until_readers};
use crate::exit_code::ExitCode;
use crate::log::{LogLine, LogStyle};

fn options(rig: &Rig) -> ClientOptions {
    ClientOptions {
        dir: PathBuf::from("/"),
        json: false,
        color: false,
        socket: Some(rig.socket.clone()),
    }
}

fn json_options(rig: &Rig) -> ClientOptions {
    ClientOptions { json: true, ..options(rig) }
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}

fn logs_of(
    control: ClientOptions,
    services: &[&str],
    follow: bool,
    last: Option<usize>,
) -> LogsOptions {
    let query = LogQuery { follow, last, ..LogQuery::default() };
    LogsOptions { control, services: names(services), query }
}

/// Prints an error like `main`; returns the exit code.
trait Finish {
    fn finish(self, as_json: bool, err: &mut Vec<u8>) -> i32;
    fn code(self, err: &mut Vec<u8>) -> i32;
    fn json_code(self, err: &mut Vec<u8>) -> i32;
}

impl Finish for Result<ExitCode, CommandError> {
    fn finish(self, as_json: bool, err: &mut Vec<u8>) -> i32 {
        let code = self.unwrap_or_else(|error| {
            err.extend(error.render(as_json, false).into_bytes());
            error.exit_code()
        });
        code.0
    }

    fn code(self, err: &mut Vec<u8>) -> i32 {
        self.finish(false, err)
    }

    fn json_code(self, err: &mut Vec<u8>) -> i32 {
        self.finish(true, err)
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn face() -> LogRenderer {
    LogRenderer::new(LogStyle::new(false))
}

#[tokio::test]
async fn ps_prints_a_table_or_the_snapshot() {
    let rig = Rig::new();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(ps(&options(&rig), &mut out).await.code(&mut err), 0);
    assert!(text(out).starts_with("SERVICE   PHASE"));
    let mut out = Vec::new();
    assert_eq!(ps(&json_options(&rig), &mut out).await.code(&mut err), 0);
    assert_eq!(serde_json::from_slice::<crate::model::Snapshot>(&out).unwrap(), snapshot());
    assert_eq!(text(err), "");
}

#[tokio::test]
async fn the_verbs_say_what_is_so() {
    let rig = Rig::new();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (options, json) = (options(&rig), json_options(&rig));
    assert_eq!(change(&options, Start, &names(&["api"]), &mut out).await.code(&mut err), 0);
    assert_eq!(change(&options, Stop, &names(&["api"]), &mut out).await.code(&mut err), 0);
    assert_eq!(change(&json, Restart, &names(&["api"]), &mut out).await.code(&mut err), 0);
    assert_eq!(down(&options, &mut out).await.code(&mut err), 0);
    let expected =
        "started api\nstopped api\n{\"text\":\"restarted api\"}\neverything is stopped\n";
    assert_eq!((text(out), text(err)), (expected.to_owned(), String::new()));
}

#[tokio::test]
async fn errors_are_for_people_or_for_programs() {
    let rig = Rig::new();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(change(&options(&rig), Stop, &names(&["apu"]), &mut out).await.code(&mut err), 3);
    assert_eq!(
        text(err),
        "error: unknown service `apu` in stack shop\n  help: did you mean `api`?\n"
    );
    let mut err = Vec::new();
    assert_eq!(
        change(&json_options(&rig), Start, &names(&["db"]), &mut out).await.json_code(&mut err),
        1
    );
    let error = json!({"class": "crash-loop", "text": "db crashes", "help": "see its log"});
    assert_eq!(serde_json::from_slice::<Value>(&err).unwrap(), json!({ "error": error }));
    assert_eq!(text(out), "");
}

#[tokio::test]
async fn without_a_stack_the_code_is_three() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("devstack.toml"), "").unwrap();
    let nowhere =
        ClientOptions { dir: dir.path().to_owned(), json: false, color: false, socket: None };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(ps(&nowhere, &mut out).await.code(&mut err), 3);
    assert_eq!(down(&nowhere, &mut out).await.code(&mut err), 3);
    let logs_options = logs_of(nowhere, &[], false, None);
    assert_eq!(logs(&logs_options, &mut face(), pending(), &mut out).await.code(&mut err), 3);
    assert_eq!(text(out), "");
    assert_eq!(
        text(err),
        "error: no stack is running in this directory\n  help: start one with `devstack up`\n"
            .repeat(3)
    );
}

#[tokio::test]
async fn logs_are_painted_or_json() {
    let rig = Rig::new();
    let mut options = logs_of(options(&rig), &["api", "migrate"], false, Some(2));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(logs(&options, &mut face(), pending(), &mut out).await.code(&mut err), 0);
    assert_eq!(text(out), "api     | line 2 of api\napi     | line 3 of api\n");

    options.control.json = true;
    let mut out = Vec::new();
    assert_eq!(logs(&options, &mut face(), pending(), &mut out).await.code(&mut err), 0);
    let out = text(out);
    let lines = out.lines().map(|line| serde_json::from_str::<LogLine>(line).unwrap().line);
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [line("api", 2).into_bytes(), line("api", 3).into_bytes()]
    );

    options.services = names(&["ap1"]);
    let mut out = Vec::new();
    assert_eq!(logs(&options, &mut face(), pending(), &mut out).await.code(&mut err), 3);
    assert!(text(err).contains("did you mean `api`?"));
}

/// A pipe whose reader closes after the first write.
struct Head(usize);

impl Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += 1;
        if self.0 > 1 { Err(io::Error::from(io::ErrorKind::BrokenPipe)) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let rig = Rig::new();
    let options = logs_of(options(&rig), &[], true, Some(1));
    let mut err = Vec::new();
    let (mut head, mut face) = (Head(0), face());
    let follow = logs(&options, &mut face, pending(), &mut head);
    let printing = async {
        until_readers(&rig.logs, 1).await;
        loop {
            print(&rig.logs, "api", &line("api", 9));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        result = follow => assert_eq!(result.code(&mut err), 0),
        () = printing => {}
    }
    until_readers(&rig.logs, 0).await;
    assert_eq!(text(err), "");
}

#[tokio::test]
async fn the_log_of_a_stack_that_has_ended_is_still_there() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("src")).unwrap();
    fs::create_dir(dir.path().join(".devstack")).unwrap();
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(dir.path().join(".devstack"), private).unwrap();
    let control =
        ClientOptions { dir: dir.path().join("src"), json: false, color: false, socket: None };
    let mut options = logs_of(control, &[], true, None);
    let log = stored_log(&dir.path().join(".devstack/logs"));
    print(&log, "api", &line("api", 1));
    print(&log, "db", &line("db", 2));
    assert!(log.finish(Duration::from_secs(10)));
    drop(log);
    let mut face = face();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(logs(&options, &mut face, pending(), &mut out).await.code(&mut err), 0);
    assert_eq!(text(out), "api | line 1 of api\ndb  | line 2 of db\n");

    options.services = names(&["db"]);
    options.control.json = true;
    let mut out = Vec::new();
    assert_eq!(logs(&options, &mut face, pending(), &mut out).await.code(&mut err), 0);
    let stored: LogLine = serde_json::from_str(&text(out)).unwrap();
    assert_eq!((stored.service, stored.line), (name("db"), line("db", 2).into_bytes()));

    options.services = names(&["web"]);
    let mut out = Vec::new();
    assert_eq!(logs(&options, &mut face, pending(), &mut out).await.code(&mut err), 3);
    assert!(text(err).contains("use one of api, db"));
}
