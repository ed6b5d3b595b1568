use std::time::Duration;

use super::*;
use crate::model::{AssignedPort, BindHints, CommandLine};

/// `api` with this command and host, and ports 5001 and 9100.
fn service(command: &str, host: &str) -> Service {
    let mut service = Service::sample("api");
    service.launch.command = CommandLine::Shell(command.to_owned());
    service.launch.host = host.to_owned();
    service.ports = vec![AssignedPort::sample("http", 5001), AssignedPort::sample("metrics", 9100)];
    let hints = || BindHints {
        port: "pass --port $PORT".to_owned(),
        host: Some("pass --host $HOST".to_owned()),
        port_variable: (command == "flask run").then(|| "FLASK_RUN_PORT".to_owned()),
    };
    service.advice = (command != "./api").then(hints);
    service
}

fn read(text: &str) -> Vec<ListenAddress> {
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

/// The notes about a service that listens on these addresses, as lines.
fn said(command: &str, host: &str, listening: &str, networks: &[&str]) -> String {
    let network = |address: &&str| NetworkInterface {
        name: "eth0".to_owned(),
        address: address.parse().unwrap(),
        prefix: 24,
    };
    let networks = || networks.iter().map(network).collect();
    let messages = listen_notes(&service(command, host), &read(listening), false, networks);
    messages.iter().map(|message| format!("{}\n  {}\n", message.text, message.help)).collect()
}

#[test]
fn what_is_as_it_was_told_is_not_remarked_on() {
    for (host, listening) in [
        ("127.0.0.1", "127.0.0.1:5001"),
        ("127.0.0.1", "[::1]:5001 127.0.0.1:9229"),
        ("localhost", "[::1]:5001 127.0.0.1:9100"),
        ("0.0.0.0", "0.0.0.0:5001"),
        ("::", "[::]:5001 0.0.0.0:5001"),
        ("192.168.1.7", "192.168.1.7:5001"),
        ("127.0.0.1", ""),
        ("0.0.0.0", "127.0.0.1:9229 0.0.0.0:5001"),
    ] {
        assert_eq!(said("./api", host, listening, &["192.168.1.7"]), "", "{host} {listening}");
    }
}

#[test]
fn each_remark_says_what_to_do() {
    let one = ["192.168.1.7"];
    insta::assert_snapshot!(said("./api", "127.0.0.1", "127.0.0.1:5000 127.0.0.1:9100", &one), @r#"
    was given PORT=5001 but is listening on 5000
      pass the port in its command, such as --port $PORT
    "#);
    insta::assert_snapshot!(said("flask run", "127.0.0.1", "127.0.0.1:5000", &one), @r#"
    was given PORT=5001 but is listening on 5000: pass --port $PORT
      alternatively, set env = { FLASK_RUN_PORT = "${PORT}" }
    "#);
    insta::assert_snapshot!(said("vite", "::1", "127.0.0.1:1 127.0.0.1:2", &one), @"was given PORT=5001 but is listening on 1, 2: pass --port $PORT");
    insta::assert_snapshot!(said("./api", "::1", "unix:/run/api", &one), @r#"
    was given PORT=5001 but is listening on the Unix socket /run/api
      pass the port in its command, such as --port $PORT
    "#);
    insta::assert_snapshot!(said("flask run", "127.0.0.1", "0.0.0.0:5001", &one), @r#"
    is listening on all interfaces (0.0.0.0:5001) although its host is 127.0.0.1: anyone on this network (192.168.1.0/24) can reach it
      pass --host $HOST, or if this is intended, set host = "0.0.0.0"
    "#);
    insta::assert_snapshot!(said("./api", "localhost", "0.0.0.0:5001 [::]:5001", &[]), @r#"
    is listening on all interfaces (0.0.0.0:5001, [::]:5001) although its host is localhost: other machines can reach it once this one is on a network
      bind it to $HOST, or if this is intended, set host = "0.0.0.0"
    "#);
    insta::assert_snapshot!(said("./api", "127.0.0.1", "127.0.0.1:5001 192.168.1.7:9229", &one), @r#"
    is listening on 192.168.1.7:9229 although its host is 127.0.0.1: anyone on this network (192.168.1.0/24) can reach it
      bind it to $HOST, or if this is intended, set host = "0.0.0.0"
    "#);
    insta::assert_snapshot!(said("vite", "0.0.0.0", "[::1]:5001", &one), @r#"
    is listening only on [::1]:5001 although its host is 0.0.0.0: other machines cannot reach it
      pass --host $HOST
    "#);
}

#[test]
fn early_it_may_still_open_its_port() {
    let service = service("./api", "127.0.0.1");
    let early = |early| listen_notes(&service, &read("127.0.0.1:9229"), early, Vec::new);
    assert!(early(true).is_empty());
    assert_eq!(early(false)[0].text, "was given PORT=5001 but is listening on 9229");
}

#[test]
fn orphans_are_named_up_to_a_bound() {
    assert_eq!(orphans(&[]), None);
    let many: Vec<(u32, String)> = (1..=7).map(|pid| (pid, "worker".to_owned())).collect();
    let text = orphans(&many).unwrap().text;
    assert!(text.starts_with("left processes running, now terminated: worker (pid 1), "), "{text}");
    assert!(text.ends_with("worker (pid 5), …"), "{text}");
}

/// What is said when the main process of `command` exits with 0 after a second.
fn end(command: &str, terminal: bool, leftovers: &[(u32, String)]) -> Option<String> {
    let service = service(command, "127.0.0.1");
    let lived = Duration::from_secs(1);
    let own = OwnExit { exit: ProcessExit::Code(0), lived, terminal };
    Some(early_end(&service, Some(own), leftovers)?.help)
}

#[test]
fn a_service_in_the_background_is_told_how_to_stay_in_the_foreground() {
    let left = |name: &str| [(7, name.to_owned())];
    let help = |name| end("./start", false, &left(name)).unwrap();
    assert_eq!(help("nginx"), "keep the service in the foreground: run nginx -g 'daemon off;'");
    assert!(help("redis-server").ends_with("pass --daemonize no"));
    assert!(help("php-fpm8.2").ends_with("pass --nodaemonize"));
    assert!(help("own").ends_with("remove its option to daemonize, or a trailing `&`"));
    let service = service("./start", "127.0.0.1");
    let crash = OwnExit { exit: ProcessExit::Code(1), lived: Duration::ZERO, terminal: false };
    let late = OwnExit { exit: ProcessExit::Code(0), lived: AT_ONCE, terminal: false };
    for own in [None, Some(crash), Some(late)] {
        assert_eq!(early_end(&service, own, &left("nginx")).unwrap().help, "");
    }
}

#[test]
fn a_watcher_that_ends_with_its_stdin_gets_the_hint() {
    let hint = Some("set `tty = true` under [services.api]".to_owned());
    for command in ["cat", "npx tailwindcss -i a.css -o b.css --watch", "esbuild --watch=forever"] {
        assert_eq!(end(command, false, &[]), hint, "{command}");
        assert_eq!(end(command, true, &[]), None, "{command}");
    }
    assert_eq!(end("echo done", false, &[]), None);
}
