use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::model::{
    AssignedPort, ChangeAction, Probe, ProcessExit, RunId, Service, ServiceChange, ServiceKindView,
};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn port(label: &str, number: u16, moved: Option<&str>) -> AssignedPort {
    let wanted = Some(5000);
    AssignedPort {
        name: label.to_owned(),
        number,
        wanted,
        pinned: false,
        moved: moved.map(str::to_owned),
    }
}

fn service(text: &str, ports: Vec<AssignedPort>) -> Service {
    let mut service = Service::sample(text);
    service.ready.probes.extend(ports.first().map(|_| Probe::Tcp { port: 5001 }));
    Service { ports, ..service }
}

fn stack() -> Stack {
    let held = Some("port 5000 is in use by python3 (pid 4121: flask run, in ~/old, for 2h)");
    let services = [
        service("api", vec![port("main", 5001, held)]),
        service("migrate", Vec::new()),
        service("spare", Vec::new()),
        service("web", vec![port("http", 3000, None), port("metrics", 9100, None)]),
    ];
    Stack {
        name: "shop".to_owned(),
        dir: "/shop".into(),
        services: services.map(|service| (service.name.clone(), Arc::new(service))).into(),
        groups: BTreeMap::new(),
        primary: None,
        files: BTreeSet::new(),
        live_reload: true,
        logs: Default::default(),
        proxy: None,
    }
}

fn view(stack: &Stack, text: &str, phase: Phase) -> ServiceView {
    let service = &stack.services[&name(text)];
    ServiceView {
        kind: match text {
            "migrate" => ServiceKindView::Task,
            _ => ServiceKindView::Service,
        },
        port: service.port().map(|port| port.number),
        url: service.url(),
        ready_after_ms: (phase == Phase::Ready).then_some(412),
        ..ServiceView::sample(text, phase)
    }
}

fn snapshot(stack: &Stack, web: Phase) -> Snapshot {
    let mut services = vec![
        view(stack, "api", Phase::Ready),
        view(stack, "migrate", Phase::Done),
        view(stack, "spare", Phase::Idle),
        view(stack, "web", web),
    ];
    if web == Phase::Failed {
        services[3].message = Some(failure());
    }
    Snapshot { dir: stack.dir.clone(), ..Snapshot::sample(&stack.name, "", services) }
}

fn failure() -> Message {
    Message::new(MessageClass::CrashLoop, "ended 8 times within 120 s, last with exit 1")
        .help("fix it and save, or `devstack restart web`")
}

/// Returns the status lines of these events as text: service, tone and line.
fn told(happenings: Vec<(Option<&str>, EventKind)>) -> String {
    let stack = stack();
    let mut text = String::new();
    for (service, what) in happenings {
        let event = Event { service: service.map(name), what };
        let tail = ["Traceback".to_owned(), "KeyError: 'DB'".to_owned()];
        let tail = shown_log(&event, false).map_or(&[][..], |_| &tail);
        for status in event_lines(&event, &snapshot(&stack, Phase::Ready), &stack, tail) {
            let who = status.service.map_or(String::new(), |name| name.to_string());
            for line in status.text.lines() {
                text += &format!("{who:7} {:8} {line}\n", format!("{:?}", status.tone));
            }
        }
    }
    text
}

fn phase(service: &str, to: Phase, cause: Cause) -> (Option<&str>, EventKind) {
    (Some(service), EventKind::Phase { from: None, to, cause, run: Some(RunId(1)) })
}

fn restarted(service: &str, cause: Cause) -> (Option<&str>, EventKind) {
    let (from, to) = (Some(Phase::Stopping), Phase::Starting);
    (Some(service), EventKind::Phase { from, to, cause, run: Some(RunId(2)) })
}

#[test]
fn the_normal_course_is_brief() {
    insta::assert_snapshot!(told(vec![
        phase("api", Phase::Waiting, Cause::WaitingFor(Vec::new())),
        phase("migrate", Phase::Starting, Cause::Up),
        phase("migrate", Phase::Starting, Cause::Spawned { pid: 7 }),
        phase("migrate", Phase::Ready, Cause::NoProbe),
        phase("migrate", Phase::Stopping, Cause::Exited(ProcessExit::Code(0))),
        phase("migrate", Phase::Done, Cause::Exited(ProcessExit::Code(0))),
        phase("api", Phase::Starting, Cause::Up),
        phase("web", Phase::Starting, Cause::NeededBy(name("api"))),
        phase("api", Phase::Ready, Cause::ProbePassed("GET / returned 200".to_owned())),
        phase("web", Phase::Done, Cause::Exited(ProcessExit::Code(0))),
        (None, EventKind::ShuttingDown("Ctrl-C".to_owned())),
        phase("api", Phase::Stopping, Cause::Shutdown("Ctrl-C".to_owned())),
        phase("api", Phase::Idle, Cause::Shutdown("Ctrl-C".to_owned())),
    ]), @r"
    migrate Plain    starting
    migrate Good     completed
    api     Plain    starting on port 5001: port 5000 is in use by python3 (pid 4121: flask run, in ~/old, for 2h)
    web     Plain    starting on ports http 3000, metrics 9100
    api     Good     ready in 412ms at http://127.0.0.1:5001
    web     Plain    done: exit 0
            Notice   stopping: Ctrl-C
    ");
}

#[test]
fn changes_say_what_changed() {
    insta::assert_snapshot!(told(vec![
        phase("web", Phase::Stopping, Cause::FileChanged("/shop/web/app.js".into())),
        phase("web", Phase::Starting, Cause::FileChanged("/shop/web/app.js".into())),
        restarted("web", Cause::FileChanged("/shop/web/app.js".into())),
        phase("web", Phase::Stopping, Cause::ConfigChanged("command changed".to_owned())),
        phase("web", Phase::Stopping, Cause::Requested("restart")),
        phase("web", Phase::Stopping, Cause::Requested("stop")),
        phase("web", Phase::Idle, Cause::Requested("stop")),
        phase("web", Phase::Stopping, Cause::Removed),
        (None, EventKind::Applied(Plan {
            changes: vec![
                ServiceChange::new(name("db"), ChangeAction::Remove, "removed"),
                ServiceChange::new(name("web"), ChangeAction::Restart, "command changed"),
            ],
            unchanged: vec![name("api")],
        })),
    ]), @r"
    web     Plain    restarting: web/app.js changed
    web     Plain    starting on ports http 3000, metrics 9100: web/app.js changed
    web     Plain    starting on ports http 3000, metrics 9100
    web     Plain    restarting: command changed
    web     Plain    restarting
    web     Plain    stopping
    web     Plain    stopped
    web     Plain    stopping: removed from the configuration
            Notice   applied the new configuration; 1 service unchanged
            Notice     db   removed
            Notice     web  restart: command changed
    ");
}

#[test]
fn a_failure_says_why_and_what_to_do() {
    let retry = Cause::BackingOff {
        exit: ProcessExit::Code(1),
        delay: Duration::from_millis(250),
        count: 1,
    };
    let spawn = Message::new(MessageClass::Spawn, "no such program: flask").help("install it");
    let late =
        Message::new(MessageClass::ReadyTimeout, "not ready yet after 60s: connection refused");
    insta::assert_snapshot!(told(vec![
        phase("web", Phase::Backoff, retry),
        phase("web", Phase::Failed, Cause::Failed(failure())),
        phase("api", Phase::Failed, Cause::Failed(spawn)),
        phase("api", Phase::Unhealthy, Cause::Failed(late)),
        (Some("api"), EventKind::Note(Message::new(MessageClass::Port, "listens on 5000").help("pass --port"))),
    ]), @r"
    web     Warning  exit 1; attempt 2 in 250ms
    web     Failure  failed: ended 8 times within 120 s, last with exit 1
    web     Failure    | Traceback
    web     Failure    | KeyError: 'DB'
    web     Failure  help: fix it and save, or `devstack restart web`
    api     Failure  failed: no such program: flask
    api     Failure  help: install it
    api     Warning  not ready yet after 60s: connection refused
    api     Warning    | Traceback
    api     Warning    | KeyError: 'DB'
    api     Warning  listens on 5000
    api     Warning  help: pass --port
    ");
}

#[test]
fn the_summary_shows_where_everything_is() {
    let stack = stack();
    let text = |web| {
        let lines = startup_summary(&snapshot(&stack, web), &stack);
        lines.iter().map(|status| format!("{}\n", status.text)).collect::<String>()
    };
    insta::assert_snapshot!(text(Phase::Ready), @r"
    shop is up
      api      ready  412ms  http://127.0.0.1:5001
          port 5000 is in use by python3 (pid 4121: flask run, in ~/old, for 2h); using 5001
      migrate  done
      web      ready  412ms  http://127.0.0.1:3000
    ");
    insta::assert_snapshot!(text(Phase::Failed), @r"
    shop: 1 of 3 failed
      api      ready   412ms  http://127.0.0.1:5001
          port 5000 is in use by python3 (pid 4121: flask run, in ~/old, for 2h); using 5001
      migrate  done
      web      failed         ended 8 times within 120 s, last with exit 1
    ");
}

#[test]
fn the_summary_shows_who_can_reach_what() {
    let stack = stack();
    let mut open = snapshot(&stack, Phase::Ready);
    let api = &mut open.services[0];
    api.host = "0.0.0.0".to_owned();
    api.listening = Some(vec!["0.0.0.0:5001".parse().unwrap()]);
    api.network_urls = ["192.168.1.7", "10.8.0.2"].map(|ip| format!("http://{ip}:5001")).into();
    open.networks = vec!["192.168.1.0/24".to_owned(), "10.8.0.0/24".to_owned()];
    let text = |snapshot: &Snapshot| {
        let lines = startup_summary(snapshot, &stack);
        lines.iter().map(|status| format!("{}\n", status.text)).collect::<String>()
    };
    insta::assert_snapshot!(text(&open), @r"
    shop is up
      api      ready  412ms  Local    http://127.0.0.1:5001
                             Network  http://192.168.1.7:5001
                             Network  http://10.8.0.2:5001
          port 5000 is in use by python3 (pid 4121: flask run, in ~/old, for 2h); using 5001
      migrate  done
      web      ready  412ms  Local    http://127.0.0.1:3000
      anyone on these networks (192.168.1.0/24, 10.8.0.0/24) can reach: api
      only this machine can reach: web
    ");
    // Exposed, but without a network.
    open.networks.clear();
    open.services[0].network_urls.clear();
    insta::assert_snapshot!(text(&open), @r"
    shop is up
      api      ready  412ms  http://127.0.0.1:5001
          port 5000 is in use by python3 (pid 4121: flask run, in ~/old, for 2h); using 5001
      migrate  done
      web      ready  412ms  http://127.0.0.1:3000
      no network: only this machine can reach api
      only this machine can reach: web
    ");
}

#[test]
fn what_is_exposed_by_mistake_is_left_to_its_warning() {
    let stack = stack();
    let mut open = snapshot(&stack, Phase::Ready);
    let summary = |snapshot: &Snapshot| {
        let lines = startup_summary(snapshot, &stack);
        lines.into_iter().map(|status| status.text).collect::<Vec<_>>()
    };
    let closed = summary(&open);
    let api = &mut open.services[0];
    api.listening = Some(vec!["0.0.0.0:5001".parse().unwrap()]);
    api.network_urls = vec!["http://192.168.1.7:5001".to_owned()];
    open.networks = vec!["192.168.1.0/24".to_owned()];
    assert_eq!(summary(&open), closed);
    // Beside one that should be exposed, it is in neither list.
    let web = &mut open.services[3];
    web.host = "0.0.0.0".to_owned();
    web.listening = Some(vec!["0.0.0.0:3000".parse().unwrap()]);
    let lines = summary(&open);
    assert_eq!(lines.last().unwrap(), "  anyone on this network (192.168.1.0/24) can reach: web");
}

#[test]
fn a_code_is_drawn_where_there_is_room() {
    use crate::supervisor::status::qr_code;
    let stack = stack();
    let mut open = snapshot(&stack, Phase::Ready);
    let text = |snapshot: &Snapshot, room| qr_code(snapshot, &stack, room).text;
    assert!(text(&open, Some(80)).contains("no QR code: no service is reachable"));
    open.services[3].network_urls = vec!["http://192.168.1.7:3000".to_owned()];
    assert!(text(&open, None).ends_with("the output is not a terminal; http://192.168.1.7:3000"));
    assert!(
        text(&open, Some(20)).contains("it needs 29 columns, but the terminal has 20; http://")
    );
    let code = text(&open, Some(29));
    let lines: Vec<&str> = code.lines().collect();
    assert_eq!(lines[0], "  web: http://192.168.1.7:3000");
    // Each line shows two rows of modules: 25, and a border of two on each side.
    assert_eq!(lines.len(), 1 + 29_usize.div_ceil(2));
    let bare = |line: &str| line.replace("\x1b[97;40m", "").replace("\x1b[0m", "");
    assert!(lines[1..].iter().all(|line| bare(line).chars().count() == 29), "{code}");
    assert_eq!(bare(lines[1]), "█".repeat(29));
    assert!(bare(lines[2]).starts_with("██ ▄▄▄▄▄ █") && bare(lines[2]).ends_with("█ ▄▄▄▄▄ ██"));
    // The primary service takes precedence.
    open.services[0].network_urls = vec!["http://192.168.1.7:5001".to_owned()];
    let primary = Stack { primary: Some(name("web")), ..stack.clone() };
    assert!(qr_code(&open, &primary, Some(99)).text.starts_with("  web: "));
    assert!(text(&open, Some(99)).starts_with("  api: "));
}

#[test]
fn a_broken_configuration_is_shown_whole() {
    let status = not_applied(
        "the configuration is invalid",
        "error: unknown key `comand`\n --> devstack.toml:3:1\n",
    );
    assert_eq!(status.service, None);
    insta::assert_snapshot!(status.text, @r"
    not applied: the configuration is invalid
    error: unknown key `comand`
     --> devstack.toml:3:1
    ");
}

#[test]
fn only_the_first_exit_shows_output_that_nobody_sees() {
    let backoff = |count| {
        let (exit, delay) = (ProcessExit::Code(1), Duration::from_millis(250));
        let cause = Cause::BackingOff { exit, delay, count };
        let (service, what) = phase("web", Phase::Backoff, cause);
        Event { service: service.map(name), what }
    };
    let shown = |count, unseen| shown_log(&backoff(count), unseen).is_some();
    assert_eq!([shown(1, true), shown(2, true), shown(1, false)], [true, false, false]);
    let stack = stack();
    let scene = snapshot(&stack, Phase::Ready);
    let lines = event_lines(&backoff(1), &scene, &stack, &["boom".to_owned()]);
    assert_eq!(lines[0].text, "exit 1; attempt 2 in 250ms\n  | boom");
}

#[test]
fn no_output_explains_what_the_kernel_keeps_from_ending() {
    let shown = |class| {
        let cause = Cause::Failed(Message::new(class, "it failed"));
        let (service, what) = phase("web", Phase::Failed, cause);
        shown_log(&Event { service: service.map(name), what }, false).is_some()
    };
    assert!(shown(MessageClass::Exit) && !shown(MessageClass::StopTimeout));
}

#[test]
fn the_output_of_a_failed_build_is_not_repeated() {
    let text = "`make` failed (exit 2)\n  | no such type";
    let note = EventKind::Note(Message::new(MessageClass::Build, text).help("fix it"));
    insta::assert_snapshot!(told(vec![(Some("web"), note)]), @r"
    web     Failure  `make` failed (exit 2)
    web     Failure  help: fix it
    ");
}
