use std::time::Duration;

use super::*;
use crate::model::{
    AssignedPort, CommandLine, LaunchConfig, Name, OnExit, ReadyConfig, RestartConfig,
    RestartPolicy, RunMode, ServiceKind, StopConfig, TtyMode,
};

/// A service with ports 5001 (`http`) and 9100 (`metrics`); those named in `passed` are passed.
fn service(passed: &[&str]) -> Service {
    let port = |name: &str, number| AssignedPort {
        name: name.to_owned(),
        number,
        wanted: None,
        pinned: false,
        moved: None,
    };
    let time = Duration::from_secs(1);
    let policy = RestartPolicy::No;
    Service {
        mode: RunMode::Run,
        debug: None,
        name: Name::new("api").unwrap(),
        kind: ServiceKind::Service,
        launch: LaunchConfig {
            command: CommandLine::Shell("./api".to_owned()),
            dir: "/shop".into(),
            env: Default::default(),
            host: "127.0.0.1".to_owned(),
            requires: None,
        },
        ports: vec![port("http", 5001), port("metrics", 9100)],
        depends_on: Default::default(),
        ready: ReadyConfig { probes: Vec::new(), timeout: time, interval: time },
        health: None,
        restart: RestartConfig {
            policy,
            max_failures: 1,
            window: time,
            delay: time,
            max_delay: time,
        },
        success_codes: Default::default(),
        stop: StopConfig { signal: 15, command: None, grace: time },
        watch: Vec::new(),
        tty: TtyMode::No,
        socket_activated: passed.iter().map(|name| (*name).to_owned()).collect(),
        url_form: Default::default(),
        advice: None,
        autostart: true,
        on_exit: OnExit::None,
        color: None,
        description: None,
    }
}

fn named(pid: u32, name: &str) -> PortHolder {
    let name = Some(name.to_owned());
    PortHolder { pid: Some(pid), name, same_user: true, ..PortHolder::hidden(None) }
}

fn on(port: u16, holder: PortHolder) -> HoldersByPort {
    HoldersByPort::from([(port, vec![holder])])
}

fn seen(holders: HoldersByPort, lines: &[&str]) -> ExitEvidence {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    ExitEvidence { holders, lines, ..ExitEvidence::default() }
}

fn taken(port: u16, by: &str) -> Message {
    Message::new(MessageClass::Port, format!("port {port} was taken by {by}"))
}

const IN_USE: &str = "Error: listen EADDRINUSE: address already in use 127.0.0.1:9100";

#[test]
fn a_service_does_not_start_on_a_port_of_another_process() {
    let api = service(&[]);
    let thief = on(9100, named(7, "x"));
    for first in [true, false] {
        assert_eq!(judge_start(&api, first, &thief, None), Err(taken(9100, "x (pid 7)")));
        assert_eq!(judge_start(&api, first, &on(80, named(7, "x")), None), Ok(()));
        let own = on(5001, named(std::process::id(), "devstack"));
        assert_eq!(judge_start(&api, first, &own, None), Ok(()), "a listener to be passed");
    }
    // The forwarder of its own container may outlive its last run.
    let forwarder = on(5001, named(8, "rootlessport"));
    assert!(judge_start(&api, true, &forwarder, None).is_err());
    assert_eq!(judge_start(&api, false, &forwarder, None), Ok(()));
    let unclaimed = judge_start(&api, false, &HoldersByPort::new(), Some(5001)).unwrap_err();
    assert_eq!(unclaimed.text, "port 5001 was unavailable; choosing again");
    assert_eq!(judge_start(&api, false, &thief, Some(5001)), Err(taken(9100, "x (pid 7)")));
}

#[test]
fn an_early_exit_is_blamed_on_a_process_that_has_the_port() {
    let api = service(&[]);
    let thief = seen(on(9100, named(7, "x")), &[]);
    assert_eq!(judge_exit(&api, &thief), PortBlame::Taken(taken(9100, "x (pid 7)")));
    // A hidden process may act for the service, unless the output mentions the error.
    let hidden = || on(9100, PortHolder::hidden(None));
    assert_eq!(judge_exit(&api, &seen(hidden(), &["panic"])), PortBlame::Unclear);
    let blamed = judge_exit(&api, &seen(hidden(), &[IN_USE]));
    assert_eq!(blamed, PortBlame::Taken(taken(9100, "an unknown process")));
}

#[test]
fn without_a_holder_the_output_decides() {
    let api = service(&[]);
    let nothing = |lines: &[&str]| seen(HoldersByPort::new(), lines);
    assert_eq!(judge_exit(&api, &nothing(&["no such table"])), PortBlame::NoSign);
    assert_eq!(judge_exit(&api, &nothing(&[IN_USE])), PortBlame::UsedBefore(Some(9100)));
    let unnamed = "That port is already in use";
    assert_eq!(judge_exit(&api, &nothing(&[unnamed])), PortBlame::UsedBefore(None));
    let lingering = BTreeSet::from([5001]);
    let lingers = ExitEvidence { lingering, ..nothing(&[unnamed]) };
    assert_eq!(judge_exit(&api, &lingers), PortBlame::UsedBefore(Some(5001)));
    let held = ExitEvidence { held: true, ..nothing(&[IN_USE]) };
    assert_eq!(judge_exit(&api, &held), PortBlame::Reservation);
    let own = seen(on(9100, named(std::process::id(), "devstack")), &[IN_USE]);
    assert_eq!(judge_exit(&api, &own), PortBlame::UsedBefore(Some(9100)));
}

#[test]
fn a_program_that_opens_a_passed_port_is_told_so() {
    let blame = |passed: &[&str], line: &str| {
        let evidence = ExitEvidence { held: true, ..seen(HoldersByPort::new(), &[line]) };
        judge_exit(&service(passed), &evidence)
    };
    let unnamed = "That port is already in use";
    assert_eq!(blame(&["metrics"], IN_USE), PortBlame::OpenedPassedPort(9100));
    assert_eq!(blame(&["http"], IN_USE), PortBlame::Reservation);
    assert_eq!(blame(&["http"], unnamed), PortBlame::Reservation);
    assert_eq!(blame(&["http", "metrics"], unnamed), PortBlame::OpenedPassedPort(5001));
}

#[test]
fn a_listener_in_place_of_the_run_must_be_certain() {
    let api = service(&[]);
    assert_eq!(judge_listener(&api, 5001, &named(7, "x")), Some(taken(5001, "x (pid 7)")));
    assert_eq!(judge_listener(&api, 80, &named(7, "x")), None);
    assert_eq!(judge_listener(&api, 5001, &named(std::process::id(), "devstack")), None);
    assert_eq!(judge_listener(&api, 5001, &PortHolder::hidden(None)), None);
}
