use super::*;
use crate::model::{AssignedPort, CommandLine, ContainerConfig};

/// A service with ports 5001 (`http`) and 9100 (`metrics`); those named in `passed` are passed.
fn service(passed: &[&str]) -> Service {
    let mut service = Service::sample("api");
    service.launch.command = CommandLine::Shell("./api".to_owned());
    service.ports = vec![AssignedPort::sample("http", 5001), AssignedPort::sample("metrics", 9100)];
    service.socket_activated = passed.iter().map(|name| (*name).to_owned()).collect();
    service
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
    for name in ["rootlessport", "podman", "dockerd"] {
        let forwarder = on(5001, named(8, name));
        assert!(judge_start(&api, true, &forwarder, None).is_err());
        assert_eq!(judge_start(&api, false, &forwarder, None), Ok(()));
    }
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
    let blamed = judge_exit(&api, &nothing(&[unnamed]));
    assert!(matches!(blamed, PortBlame::Unnamed(_)), "{blamed:?}");
    let lingering = BTreeSet::from([5001]);
    let lingers = ExitEvidence { lingering, ..nothing(&[unnamed]) };
    assert_eq!(judge_exit(&api, &lingers), PortBlame::Lingers(5001));
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

/// Judges a service that got 5001 instead of 5000, of which another process has this port.
fn insists(held: bool, number: u16, lines: &[&str]) -> PortBlame {
    let mut api = service(&[]);
    (api.ports[0].wanted, api.ports[1].wanted) = (Some(5000), Some(9100));
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let suspects = suspected_ports(&api, &lines, &BTreeSet::new());
    let listening = suspects.contains(&number).then(|| on(number, named(7, "python3")));
    let holders = listening.unwrap_or_default();
    judge_exit(&api, &ExitEvidence { holders, lines, held, ..ExitEvidence::default() })
}

#[test]
fn a_program_that_insists_on_a_port_is_told_who_has_it() {
    for line in [
        "Error: listen EADDRINUSE: address already in use 127.0.0.1:5000",
        "listen tcp 127.0.0.1:5000: bind: address already in use",
        "java.net.BindException: Address already in use: /127.0.0.1:5000",
        "thread 'main' panicked: bind 127.0.0.1:5000: Address already in use (os error 98)",
        "Failed to listen on localhost:5000 (reason: Address already in use)",
        "nginx: [emerg] bind() to 0.0.0.0:5000 failed (98: Address already in use)",
        "Web server failed to start. Port 5000 was already in use.",
    ] {
        let PortBlame::Insists(message) = insists(true, 5000, &[line]) else { panic!("{line}") };
        assert_eq!(
            message.text,
            "api was given PORT=5001 but seems to insist on 5000, which python3 (pid 7) holds"
        );
        assert_eq!(
            message.help,
            "read PORT from the environment, or pass --port $PORT in its command; or free it with \
             `devstack ports 5000 --kill`, then run `devstack restart api`"
        );
    }
    // Any port that another process has, not only the wanted one.
    let livereload = "Error: listen EADDRINUSE: address already in use :::35729";
    assert!(matches!(insists(false, 35729, &[livereload]), PortBlame::Insists(_)));
}

#[test]
fn a_program_that_names_no_port_insists_on_the_wanted_one() {
    let python = "OSError: [Errno 98] Address already in use";
    let traceback = "    HTTPServer((\"127.0.0.1\", 5000), Handler).serve_forever()";
    assert!(matches!(insists(true, 5000, &[traceback, python]), PortBlame::Insists(_)));
    assert!(matches!(insists(false, 5000, &[python]), PortBlame::Insists(_)));
    // devstack's own reservation may be in the way of the port it was given.
    assert_eq!(insists(true, 5000, &[python]), PortBlame::Reservation);
    // Also if another one is wanted, or none.
    assert!(matches!(
        insists(true, 7000, &[&traceback.replace('5', "7"), python]),
        PortBlame::Insists(_)
    ));
    let line = "    connect(\"127.0.0.1\", 7000)";
    assert!(matches!(insists(false, 7000, &[line, python]), PortBlame::Unnamed(_)));
    let default = "    bind((\"127.0.0.1\", int(os.environ.get(\"PORT\", 5000))))";
    assert_eq!(insists(true, 5000, &[default, python]), PortBlame::Reservation);
    let mut api = service(&[]);
    api.ports[0].wanted = Some(5000);
    let fixed = BTreeSet::from([5000]);
    let evidence = seen(on(5000, named(7, "python3")), &[python]);
    let evidence = ExitEvidence { fixed, held: true, ..evidence };
    assert!(matches!(judge_exit(&api, &evidence), PortBlame::Insists(_)));
}

#[test]
fn a_program_that_names_its_own_port_or_a_free_one_does_not_insist() {
    let own = "Error: listen EADDRINUSE: address already in use 127.0.0.1:5001";
    assert_eq!(insists(false, 5000, &[own]), PortBlame::UsedBefore(Some(5001)));
    let free = "Error: listen EADDRINUSE: address already in use 127.0.0.1:6000";
    assert_eq!(insists(false, 7000, &[free]), PortBlame::UsedBefore(None));
    assert_eq!(insists(false, 5000, &["port 5000 is fine"]), PortBlame::NoSign);
}

#[test]
fn times_and_error_numbers_are_no_ports_to_insist_on() {
    let line = "2026-12-01 05:53:22,123 ERROR [Errno 98] Address already in use";
    for number in [22, 53, 98, 123, 2026] {
        assert!(matches!(insists(false, number, &[line]), PortBlame::Unnamed(_)), "{number}");
    }
}

/// Judges a service without a port whose source has the number 5000, with this holder or lingering
/// port.
fn own_port(lines: &[&str], holder: Option<u16>, lingering: Option<u16>) -> PortBlame {
    let mut web = Service::sample("web");
    web.launch.command = CommandLine::Shell("python3 app.py".to_owned());
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let fixed = BTreeSet::from([1, 5000]);
    let suspects = suspected_ports(&web, &lines, &fixed);
    let seen = |port: &u16| suspects.contains(port);
    let holders = holder.filter(seen).map(|port| on(port, named(7, "python3")));
    let lingering = lingering.filter(seen).into_iter().collect();
    let holders = holders.unwrap_or_default();
    judge_exit(&web, &ExitEvidence { holders, lines, fixed, lingering, ..ExitEvidence::default() })
}

#[test]
fn a_program_without_a_port_is_told_who_has_the_one_it_needs() {
    let text = |blame: PortBlame| match blame {
        PortBlame::Insists(message) => message.text,
        other => format!("{other:?}"),
    };
    let node = "Error: listen EADDRINUSE: address already in use :::3000";
    let python = "OSError: [Errno 98] Address already in use";
    assert_eq!(
        text(own_port(&[node], Some(3000), None)),
        "web needs port 3000, which python3 (pid 7) holds"
    );
    for lines in [&[python][..], &["    serve(\"127.0.0.1\", 8000)", python]] {
        let port = if lines.len() == 1 { 5000 } else { 8000 };
        assert_eq!(
            text(own_port(lines, Some(port), None)),
            format!("web seems to need port {port}, which python3 (pid 7) holds")
        );
        assert_eq!(own_port(lines, None, Some(port)), PortBlame::Lingers(port));
    }
    assert_eq!(
        text(own_port(&[python], Some(9999), None)),
        "a port that web needs is in use; its output does not say which"
    );
    // It names another one, or its holder has exited since.
    assert_eq!(own_port(&[node], Some(5000), None), PortBlame::UsedBefore(None));
    assert_eq!(
        own_port(&["Traceback on line 22", python], Some(22), None),
        own_port(&[python], None, None)
    );
    assert_eq!(own_port(&["no such table"], Some(5000), Some(5000)), PortBlame::NoSign);
}

#[test]
fn closed_connections_are_waited_for() {
    let api = service(&[]);
    let lingering = BTreeSet::from([9100]);
    let evidence = ExitEvidence { lingering, ..seen(HoldersByPort::new(), &[IN_USE]) };
    assert_eq!(judge_exit(&api, &evidence), PortBlame::Lingers(9100));
}

#[test]
fn a_port_inside_a_container_is_none_of_this_machine() {
    let mut api = service(&[]);
    api.launch.command = CommandLine::exec(["serve", "--port", "8080"]);
    let inside = "Error: listen EADDRINUSE: address already in use 0.0.0.0:8080";
    let outside = "Bind for 127.0.0.1:5001 failed: port is already allocated.";
    let judge = |api: &Service, line: &str| {
        let lines = [line.to_owned()];
        let suspects = suspected_ports(api, &lines, &BTreeSet::new());
        let holders = suspects.iter().map(|port| (*port, vec![named(7, "x")])).collect();
        judge_exit(api, &seen(holders, &[line]))
    };
    let in_use = "OSError: [Errno 98] Address already in use";
    assert!(matches!(judge(&api, inside), PortBlame::Insists(_)));
    assert!(matches!(judge(&api, in_use), PortBlame::Insists(_)));
    api.launch.container = Some(ContainerConfig::sample("api:1"));
    assert_eq!(judge(&api, inside), PortBlame::NoSign);
    assert_eq!(judge(&api, in_use), PortBlame::NoSign);
    assert_eq!(judge(&api, outside), PortBlame::UsedBefore(Some(5001)));
    api.ports.clear();
    assert_eq!(judge(&api, in_use), PortBlame::NoSign);
}
