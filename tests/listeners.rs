//! Where services really listen, and what is reported if that is not their assigned port.

use serde_json::{Value, json};

use crate::support::{
    TestProject, free_port, free_ports, http_get, occupy, require, service, try_http_get,
};

fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

/// What `ps` shows of `api` once all its listeners have been scanned.
#[track_caller]
fn seen(project: &TestProject, accept: impl Fn(&Value) -> bool) -> Value {
    let ps = project.wait_ps(|ps| accept(service(ps, "api")));
    service(&ps, "api").clone()
}

#[test]
fn the_url_is_where_the_listener_is() {
    let port = free_port();
    for (host, more, listening, url) in [
        ("127.0.0.1", "", json!([format!("127.0.0.1:{port}")]), "127.0.0.1"),
        ("::1", "", json!([format!("[::1]:{port}")]), "[::1]"),
        ("0.0.0.0", "", json!([format!("0.0.0.0:{port}")]), "127.0.0.1"),
        ("::", "", json!([format!("0.0.0.0:{port}"), format!("[::]:{port}")]), "127.0.0.1"),
        ("::", "--v6-only", json!([format!("[::]:{port}")]), "[::1]"),
        ("127.0.0.2", "", json!([format!("127.0.0.2:{port}")]), "127.0.0.2"),
    ] {
        if host.contains(':') && !require("IPv6", has_ipv6()) {
            continue;
        }
        for ready in ["", "ready = { http = '/' }", "ready = { log = 'listening' }"] {
            let project = TestProject::with_config(&format!(
                "[services.api]\ncommand = '{{misbehave}} listen --http --host {host} {more}'\n\
                     port = {port}\n{ready}\n"
            ));
            let up = project.devstack(["up"]).start();
            // It is right from the first line on.
            let url = format!("http://{url}:{port}");
            let said = up.wait_for("api * ready in");
            assert!(said.ends_with(&format!(" at {url}")), "{host} {ready}: {said}");
            let api = seen(&project, |api| api["listening"] == listening);
            assert_eq!(api["url"], url, "{api}");
            project.end(&up);
        }
    }
}

#[test]
fn a_url_without_a_listener_is_not_shown() {
    let port = free_port();
    let project = TestProject::with_config(&format!(
        r#"
        [services.api]
        command = "echo up && exec {{misbehave}} listen --http --after-gate gate"
        port = {port}
        ready = {{ log = "up" }}
        [services.web]
        command = ["{{misbehave}}", "run"]
        port = "auto"
        autostart = false
        "#
    ));
    let mut gate = project.gate("gate");
    let up = project.devstack(["up"]).start();
    let said = up.wait_for("api * ready in");
    assert!(!said.contains("http://"), "{said}");
    up.wait_for("is up");
    let api = seen(&project, |api| api["listening"] == json!([]));
    assert_eq!((&api["url"], &api["port"]), (&Value::Null, &port.into()));
    let ps = project.ps();
    let web = service(&ps, "web");
    assert_eq!((&web["url"], &web["listening"]), (&Value::Null, &Value::Null));
    // It is looked at again.
    gate.open();
    let api = seen(&project, |api| api["url"] != Value::Null);
    assert_eq!(api["url"], format!("http://127.0.0.1:{port}"));
    assert_eq!(api["message"], Value::Null);
    project.end(&up);
}

/// A python program that stands in for a server: it takes no port.
const STUBBORN: &str = "\
import socket, sys, time
held = socket.create_server(('127.0.0.1', int(open('port').read())))
print('serving', flush=True)
time.sleep(100)
";

#[test]
fn a_known_server_is_reported_with_the_option_to_pass() {
    let project = TestProject::new();
    let (given, actual) = (free_port(), free_port());
    project.write("flask.py", STUBBORN);
    project.write("port", &actual.to_string());
    project.configure(&format!(
            "[services.api]\ncommand = 'python3 -m flask run'\nport = {given}\nready = {{ log = 'serving' }}\n"
        ));
    let up = project.devstack(["up"]).start();
    let text = format!("was given PORT={given} but is listening on {actual}: pass --port $PORT");
    let said = up.wait_for("was given PORT");
    assert!(said.ends_with(&format!("api * {text}")), "{said}");
    up.wait_for("env = { FLASK_RUN_PORT = \"${PORT}\" }");
    let ps = project.ps();
    let api = service(&ps, "api");
    assert_eq!((&api["message"]["class"], &api["message"]["text"]), (&"port".into(), &text.into()));
    assert_eq!((&api["port"], &api["wanted_port"]), (&given.into(), &given.into()));
    assert_eq!(api["listening"], json!([format!("127.0.0.1:{actual}")]));
    assert_eq!(api["url"], format!("http://127.0.0.1:{actual}"));
    let table = project.devstack(["ps"]).run().expect_code(0).stdout;
    assert!(table.contains(&format!("{actual} (assigned {given})")), "{table}");
    project.end(&up);
}

#[test]
fn a_port_in_addition_is_shown_and_is_no_trouble() {
    let port = free_ports(3);
    let project = TestProject::with_config(&format!(
        "[services.api]\ncommand = '{{misbehave}} listen --http --also 127.0.0.1:{}'\nport = {port}\n",
        port + 1
    ));
    let up = project.devstack(["up"]).start();
    let both = json!([format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", port + 1)]);
    let api = seen(&project, |api| api["listening"] == both);
    assert_eq!(api["url"], format!("http://127.0.0.1:{port}"));
    assert_eq!(api["message"], Value::Null);
    project.end(&up);
}

#[test]
fn a_unix_socket_is_named() {
    let port = free_port();
    let project = TestProject::with_config(&format!(
        "[services.api]\ncommand = '{{misbehave}} listen --unix the.sock'\nport = {port}\nready = {{ log = 'ready' }}\n"
    ));
    let up = project.devstack(["up"]).start();
    let said = up.wait_for("was given PORT");
    assert!(said.ends_with("but is listening on the Unix socket the.sock"), "{said}");
    let api = seen(&project, |api| api["listening"] == json!(["unix:the.sock"]));
    assert_eq!(api["url"], Value::Null);
    up.end();
    // It is the program's own, which does not remove it.
    std::fs::remove_file(project.path("the.sock")).expect("it is there");
    project.finish();
}

#[test]
fn a_service_that_opens_more_than_its_host_is_reported_once() {
    let project = TestProject::new();
    let port = free_port();
    let write = |host: &str, text: &str| {
        project.configure(&format!(
                "[services.api]\ncommand = '{{misbehave}} listen --http --text {text} --host {host}'\nport = {port}\n"
            ));
    };
    write("0.0.0.0", "one");
    let up = project.devstack(["up"]).start();
    let text =
        format!("is listening on all interfaces (0.0.0.0:{port}) although its host is 127.0.0.1: ");
    let said = up.wait_for("is listening on all interfaces");
    assert!(said.contains(&format!("api * {text}")), "{said}");
    up.wait_for("help: bind it to $HOST, or if this is intended, set host = \"0.0.0.0\"");
    let is_told = |api: &Value| {
        let message = api["message"]["text"].as_str();
        message.is_some_and(|message| message.starts_with(&text))
    };
    let api = seen(&project, is_told);
    assert_eq!((&api["phase"], &api["message"]["class"]), (&"ready".into(), &"port".into()));
    // After a restart it stays in `ps` and is not reported again.
    write("0.0.0.0", "two");
    seen(&project, |api| api["restarts"] == 1 && is_told(api));
    assert_eq!(up.lines().iter().filter(|line| line.contains("all interfaces")).count(), 1);
    write("127.0.0.1", "two");
    let here = json!([format!("127.0.0.1:{port}")]);
    let api = seen(&project, |api| api["restarts"] == 2 && api["listening"] == here);
    assert_eq!((&api["message"], &api["network_urls"]), (&Value::Null, &json!([])));
    project.end(&up);
}

#[test]
fn a_script_that_listens_everywhere_is_told_what_its_program_takes() {
    let port = free_port();
    let project = TestProject::with_config(&format!(
        "[services.api]\ncommand = 'env ./npm run dev'\nport = {port}\n"
    ));
    let npm = project.write("npm", "#!/bin/sh\nexec {misbehave} listen --host 0.0.0.0\n");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(npm, executable).expect("it is ours");
    for (script, help) in [
        ("node index.js", "listen on process.env.HOST"),
        ("vite", "write it as `env ./npm run dev -- --host $HOST`"),
    ] {
        project.write("package.json", &json!({ "scripts": { "dev": script } }).to_string());
        let up = project.devstack(["up"]).start();
        up.wait_for("is listening on all interfaces");
        up.wait_for(&format!("help: {help}, or if this is intended"));
        up.end();
        // Nothing else says so.
        let about = |line: &&String| line.contains("Network") || line.contains("can reach: api");
        assert_eq!(up.lines().iter().filter(about).count(), 0, "{:?}", up.lines());
    }
    project.finish();
}

#[test]
fn a_service_that_opens_less_than_its_host_is_reported() {
    let port = free_port();
    let project = TestProject::with_config(&format!(
        "[services.api]\ncommand = '{{misbehave}} listen --host 127.0.0.1'\nport = {port}\nhost = '0.0.0.0'\n"
    ));
    let up = project.devstack(["up"]).start();
    up.wait_for("only this machine can reach: api");
    let said = up.wait_for("other machines cannot reach it");
    let text =
        format!("api * is listening only on 127.0.0.1:{port} although its host is 0.0.0.0: other");
    assert!(said.contains(&text), "{said}");
    project.end(&up);
}

#[test]
fn a_holder_that_shares_its_port_is_seen() {
    for (host, more) in [("127.0.0.1", ""), ("::1", ""), ("0.0.0.0", ""), ("::", "--v6-only")] {
        if host.contains(':') && !require("IPv6", has_ipv6()) {
            continue;
        }
        let project = TestProject::new();
        let port = free_ports(2);
        let number = port.to_string();
        let args = ["listen", "--share", "--host", host, "--port", &number];
        let args = args.into_iter().chain(more.split_whitespace());
        let stranger = project.misbehave(args).start();
        stranger.wait_for("ready");
        // Our service would share it, too: only looking beforehand helps.
        project.configure(&format!(
            "[services.api]\ncommand = '{{misbehave}} listen --http --share'\nport = {port}\n"
        ));
        let up = project.devstack(["up"]).start();
        up.wait_for(&format!("; using {}", port + 1));
        assert_eq!(http_get(port + 1, "/").json()["port"], port + 1);
        up.end();
        stranger.kill9();
        project.finish();
    }
}

#[test]
fn what_run_tells_its_command_is_where_services_are() {
    if !require("IPv6", has_ipv6()) {
        return;
    }
    let project = TestProject::new();
    let port = free_ports(3);
    let _stranger = occupy(port + 2);
    project.configure(&format!(
        r#"
        [services.six]
        command = ["{{misbehave}}", "listen", "--host", "::1"]
        port = {port}
        [services.open]
        command = ["{{misbehave}}", "listen"]
        host = "0.0.0.0"
        port = {}
        [services.user]
        command = "echo $DEVSTACK_OPEN_URL $DEVSTACK_OPEN_HOST > user.out"
        kind = "task"
        depends_on = ["open"]
        "#,
        port + 1
    ));
    let command = "echo $DEVSTACK_SIX_URL $DEVSTACK_OPEN_URL $DEVSTACK_OPEN_HOST";
    let ended = project.devstack(["run", "--", "sh", "-c", command]).run().expect_code(0);
    let open = format!("http://127.0.0.1:{} 127.0.0.1\n", port + 1);
    assert_eq!(ended.stdout, format!("http://[::1]:{port} {open}"));
    assert_eq!(project.read("user.out"), open);
    assert!(try_http_get("127.0.0.1", port, "/").is_err());
    project.finish();
}
