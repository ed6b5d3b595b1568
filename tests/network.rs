//! From where a stack can be reached: hosts, networks, and machines that lack some of it. In namespaces of their own, whose
//! networks are what the tests make them.
#![cfg(target_os = "linux")]

use serde_json::Value;

use crate::support::{
    TestCommand, TestProject, eventually, require, require_program, service, user_namespaces,
};

/// A namespace with loopback and whatever `setup` adds; then devstack with the arguments that follow.
fn in_namespace(project: &TestProject, setup: &str, args: &[&str]) -> Option<TestCommand> {
    if require_program("ip").is_none() || !require("user namespaces", user_namespaces()) {
        return None;
    }
    Some(enter(project, &["-Urn"], setup).args(args))
}

fn enter(project: &TestProject, unshare: &[&str], setup: &str) -> TestCommand {
    let script = format!("ip link set lo up && {setup} && exec \"$@\"");
    let words = ["/bin/sh", "-ec", &script, "-", env!("CARGO_BIN_EXE_devstack")];
    project.program("unshare").args(unshare).args(words)
}

/// What `ps --json` prints inside while the stack runs there.
#[track_caller]
fn ps_inside(project: &TestProject, setup: &str, args: &[&str]) -> Option<(Value, String)> {
    let devstack = env!("CARGO_BIN_EXE_devstack");
    let all = [&["run", "--no-strict-ports"], args, &["--", devstack, "ps", "--json"]].concat();
    in_namespace(project, setup, &[])?;
    // With processes of its own, which end with it.
    let alone = ["-Urnpf", "--mount-proc", "--kill-child"];
    let ended = enter(project, &alone, setup).args(all).run().expect_code(0);
    Some((ended.json(), ended.stderr))
}

fn write(project: &TestProject, text: &str) {
    project.configure(text);
}

/// Two networks, one of them with containers on this machine.
const NETWORKS: &str = "ip address add 192.168.77.5/24 dev lo && ip link add docker9 type bridge && \
    ip address add 172.30.0.1/16 dev docker9 && ip link set docker9 up";

const ONE_NETWORK: &str = "ip address add 192.168.77.5/24 dev lo";

/// Two services for others, and one that is not.
const SHOP: &str = "
    [services.api]
    command = ['{misbehave}', 'listen']
    port = 5000
    [services.web]
    command = ['{misbehave}', 'listen']
    port = 3000
    primary = true
    [services.db]
    command = ['{misbehave}', 'listen']
    port = 5432
    host = '127.0.0.1'
    ";

#[test]
fn lan_shows_where_and_from_where_it_can_be_reached() {
    let project = TestProject::new();
    write(&project, SHOP);
    for option in ["--lan", "--host=0.0.0.0", "--host=::"] {
        let Some(up) = in_namespace(&project, ONE_NETWORK, &["up", option, "--qr"]) else { return };
        let up = up.start();
        up.wait_for("anyone on this network (192.168.77.0/24) can reach: api, web");
        up.wait_for("only this machine can reach: db");
        let lines = up.lines();
        let has = |text: &str| lines.iter().any(|line| line.ends_with(text));
        assert!(has("Local    http://127.0.0.1:3000") || has("Local    http://[::1]:3000"));
        assert!(has("Network  http://192.168.77.5:3000"), "{lines:?}");
        assert!(has("Network  http://192.168.77.5:5000"), "{lines:?}");
        assert!(!has("Network  http://192.168.77.5:5432"), "{lines:?}");
        // No code where it cannot be seen; but the URL that it would have had, of the primary service.
        up.wait_for("no QR code: the output is not a terminal; http://192.168.77.5:3000");
        up.end();
    }
    let (ps, _) = ps_inside(&project, ONE_NETWORK, &["--lan"]).expect("it is possible");
    assert_eq!(
        service(&ps, "api")["network_urls"],
        serde_json::json!(["http://192.168.77.5:5000"])
    );
    assert_eq!(service(&ps, "api")["host"], "0.0.0.0");
    assert_eq!(service(&ps, "db")["network_urls"], serde_json::json!([]));
    assert_eq!(ps["networks"], serde_json::json!(["192.168.77.0/24"]));
    project.finish();
}

#[test]
fn a_qr_code_is_drawn_at_a_terminal_with_room_for_it() {
    let project = TestProject::new();
    write(&project, SHOP);
    for (columns, drawn) in [(80, true), (30, false)] {
        let Some(up) = in_namespace(&project, ONE_NETWORK, &["up", "--lan", "--qr"]) else {
            return;
        };
        let up = up.env("TERM", "xterm").terminal(60, columns).start();
        match drawn {
            // Its upper edge: a white border of two modules, as half blocks.
            true => {
                up.wait_for("web: http://192.168.77.5:3000");
                up.wait_for(&"█".repeat(25));
                let blocks = |line: &str| line.contains("▄▄▄▄▄ ██");
                up.wait_line(blocks);
            }
            false => drop(up.wait_for("no QR code: it needs ")),
        }
        up.write(b"\x03");
        assert_eq!(up.wait_code(), 130);
    }
    project.finish();
}

#[test]
fn networks_of_containers_come_last() {
    let project = TestProject::new();
    write(&project, SHOP);
    let Some((ps, _)) = ps_inside(&project, NETWORKS, &["--lan"]) else { return };
    let urls = serde_json::json!(["http://192.168.77.5:5000", "http://172.30.0.1:5000"]);
    assert_eq!(service(&ps, "api")["network_urls"], urls);
    assert_eq!(ps["networks"], serde_json::json!(["192.168.77.0/24"]));
    project.finish();
}

#[test]
fn without_a_network_it_says_so() {
    let project = TestProject::new();
    write(&project, SHOP);
    let Some(up) = in_namespace(&project, "true", &["up", "--lan", "--qr"]) else { return };
    let up = up.start();
    up.wait_for("no network: only this machine can reach api, web");
    up.wait_for("no QR code: no service is reachable from the network");
    up.end();
    // Nothing was requested, so nothing is reported.
    let up = in_namespace(&project, ONE_NETWORK, &["up"]).expect("it is possible").start();
    up.wait_for("is up");
    up.wait_for("http://127.0.0.1:5432");
    up.end();
    assert!(!up.lines().iter().any(|line| line.contains("can reach")), "{:?}", up.lines());
    project.finish();
}

#[test]
fn an_address_of_another_machine_starts_nothing() {
    let project = TestProject::new();
    write(&project, &format!("[stack]\nhost = '10.99.0.1'\n{SHOP}"));
    let Some(up) = in_namespace(&project, ONE_NETWORK, &["up"]) else { return };
    let said = up.run().expect_code(2).stderr;
    let text = "10.99.0.1 is not an address of this machine (host of api, web)";
    assert!(said.contains(text), "{said}");
    assert!(
        said.contains("help: use one of 127.0.0.1 (lo), ::1 (lo), 192.168.77.5 (lo), or "),
        "{said}"
    );
    let args = ["up", "--host=192.168.77.5"];
    let up = in_namespace(&project, ONE_NETWORK, &args).expect("it is possible").start();
    up.wait_for("http://192.168.77.5:5000");
    up.wait_for("anyone on this network (192.168.77.0/24) can reach: api, web");
    up.end();
    // In a running stack it is a mistake like any other.
    write(&project, SHOP);
    let up = in_namespace(&project, ONE_NETWORK, &["up"]).expect("it is possible").start();
    up.wait_for("is up");
    write(&project, &format!("[stack]\nhost = '10.99.0.1'\n{SHOP}"));
    up.wait_for("not applied: ");
    up.wait_for(text);
    project.end(&up);
}

/// As a user without privileges would be.
const PLAIN: &str =
    "set -- setpriv --bounding-set=-net_bind_service --inh-caps=-net_bind_service \"$@\"";

#[test]
fn a_privileged_port_is_explained_and_replaced() {
    if require_program("setpriv").is_none() {
        return;
    }
    let project = TestProject::new();
    let api = |port: &str| {
        write(
            &project,
            &format!("[services.api]\ncommand = ['{{misbehave}}', 'listen']\nport = {port}\n"),
        );
    };
    for (port, instead) in [(80, 8080), (443, 8443), (88, 8088)] {
        api(&port.to_string());
        let Some(up) = in_namespace(&project, PLAIN, &["up"]) else { return };
        let up = up.start();
        let start = up.wait_for("api * starting");
        let text = format!("starting on port {instead}: port {port} requires privileges");
        assert!(start.ends_with(&text), "{start}");
        up.wait_for("is up");
        up.wait_for(&format!("port {port} requires privileges; using {instead}"));
        up.end();
    }
    // Where it was not to move it does not.
    let refused = |args: &[&str]| {
        let ended = in_namespace(&project, PLAIN, args).expect("it is possible").run();
        let said = ended.expect_code(1).stderr;
        assert!(said.contains("api: port 80 requires privileges"), "{said}");
        assert!(said.contains("help: "), "{said}");
        said
    };
    api("80");
    assert!(refused(&["up", "--strict-ports"]).contains("ip_unprivileged_port_start=80"));
    assert!(refused(&["up", "--port=api=80"]).contains("--port api=8080"));
    api("{ prefer = 80, on_conflict = 'fail' }");
    assert!(refused(&["up"]).contains("on_conflict = \"next\""));
    // With the right to it there is nothing to explain.
    api("80");
    let allowed = "echo 80 > /proc/sys/net/ipv4/ip_unprivileged_port_start";
    for setup in ["true".to_owned(), format!("{allowed} && {PLAIN}")] {
        let up = in_namespace(&project, &setup, &["up"]).expect("it is possible").start();
        assert!(up.wait_for("api * ready").ends_with("at http://127.0.0.1:80"));
        up.end();
    }
    project.finish();
}

/// As in many containers.
const NO_IPV6: &str = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6";

#[test]
fn a_machine_without_ipv6_is_a_machine() {
    let project = TestProject::new();
    let misbehave = crate::support::misbehave().display().to_string();
    // It is there when its first line is.
    let stranger = format!(
        "mkfifo said && {{ {misbehave} listen --host 0.0.0.0 --port 5000 > said & }} && exec 3< said && read line <&3"
    );
    write(
        &project,
        &format!("{SHOP}\n[services.any]\ncommand = ['{{misbehave}}', 'listen']\nport = 'auto'\n"),
    );
    let setup = format!("{NO_IPV6} && {ONE_NETWORK}");
    let Some((ps, _)) = ps_inside(&project, &setup, &[]) else { return };
    for (name, port) in [("api", 5000), ("web", 3000), ("db", 5432)] {
        let one = service(&ps, name);
        assert_eq!((&one["port"], &one["phase"]), (&port.into(), &"ready".into()), "{one}");
    }
    let occupied = format!("{setup} && {stranger}");
    let (ps, said) = ps_inside(&project, &occupied, &[]).expect("it is possible");
    assert_eq!(service(&ps, "api")["port"], 5001, "{said}");
    assert!(said.contains("port 5000 is in use by misbehave (pid "), "{said}");
    write(&project, &format!("[stack]\nhost = '::1'\n{SHOP}"));
    let ended = in_namespace(&project, &setup, &["up"]).expect("it is possible").run();
    let said = ended.expect_code(2).stderr;
    assert!(said.contains("::1 is not an address of this machine"), "{said}");
    project.finish();
}

/// Prints the status with which an address answers for a host.
const ASK: &str =
    "ask() { curl -s -o /dev/null -w '%{http_code}\\n' -H \"Host: $2\" \"http://$1/\"; }";

/// Ends a test in which a front door was running, which ends after the stack.
#[track_caller]
fn finish(project: TestProject) {
    let runtime = project.outside("run/devstack");
    eventually("the end of the front door", || {
        let mut files = std::fs::read_dir(&runtime).ok()?.flatten();
        let is_socket = |name: std::ffi::OsString| name.to_string_lossy().ends_with(".sock");
        (!files.any(|file| is_socket(file.file_name()))).then_some(())
    });
    project.finish();
}

#[test]
fn the_front_door_serves_open_services_to_other_machines() {
    let project = TestProject::new();
    let web = |name: &str, more: &str| {
        format!(
            "[services.{name}]\ncommand = ['{{misbehave}}', 'listen', '--http']\nport = 'auto'\nready = {{ http = '/' }}\n{more}\n"
        )
    };
    let services = web("web", "primary = true") + &web("admin", "host = '127.0.0.1'");
    write(&project, &format!("[stack]\nname = 'shop'\n[stack.proxy]\nfront = 3999\n{services}"));
    if in_namespace(&project, ONE_NETWORK, &[]).is_none() || require_program("curl").is_none() {
        return;
    }
    let devstack = env!("CARGO_BIN_EXE_devstack");
    // Waits until the front door listens, by asking it what it serves.
    let script = format!(
        "{ASK}\nuntil {devstack} proxy | grep -q '//192.168.77.5:7780 .* web '; do :; done
         {devstack} proxy
         ask 192.168.77.5:7780 192.168.77.5:7780; ask 192.168.77.5:3999 192.168.77.5:3999
         ask 192.168.77.5:7780 web.shop.localhost:7780; ask 192.168.77.5:7780 admin.shop.localhost:7780
         ask 192.168.77.5:7780 evil.com; ask 127.0.0.1:7780 admin.shop.localhost:7780"
    );
    let run = ["run", "--no-strict-ports", "--proxy", "--lan", "--", "sh", "-c", &script];
    let ended = enter(&project, &["-Urn"], ONE_NETWORK)
        .unset("DEVSTACK_PROXY")
        .args(run)
        .run()
        .expect_code(0);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let (listed, asked) = lines.split_at(lines.len() - 6);
    let listed = listed.join("\n");
    for url in
        ["http://192.168.77.5:7780 ", "http://192.168.77.5:3999 ", "http://shop.localhost:7780 "]
    {
        assert!(listed.contains(url), "{listed}");
    }
    assert_eq!(asked, ["200", "200", "200", "421", "421", "200"], "{ended:?}");
    finish(project);
}

#[test]
fn the_front_door_follows_addresses_that_come_and_go() {
    let project = TestProject::new();
    write(
        &project,
        "[services.web]\ncommand = ['{misbehave}', 'listen', '--http']\nport = 'auto'\nready = { http = '/' }\n",
    );
    if in_namespace(&project, "true", &[]).is_none() || require_program("curl").is_none() {
        return;
    }
    let devstack = env!("CARGO_BIN_EXE_devstack");
    // Nothing happens to the service meanwhile, and at first there is no network at all.
    let script = format!(
        "{ASK}\nserved() {{ {devstack} proxy | grep -q \"//$1:7780 \"; }}
         until {devstack} proxy | grep -q ':7780 '; do :; done
         for address in 192.168.77.5 10.77.0.9; do
             served $address && exit 7
             ip address add $address/24 dev lo
             until served $address; do :; done
             ask $address:7780 $address:7780
         done
         ip address del 192.168.77.5/24 dev lo
         while served 192.168.77.5; do :; done
         ask 10.77.0.9:7780 10.77.0.9:7780"
    );
    let run = ["run", "--no-strict-ports", "--proxy", "--lan", "--", "sh", "-c", &script];
    let ended =
        enter(&project, &["-Urn"], "true").unset("DEVSTACK_PROXY").args(run).run().expect_code(0);
    assert_eq!(ended.stdout, "200\n200\n200\n", "{ended:?}");
    finish(project);
}

#[test]
fn without_lan_the_front_door_listens_on_loopback_only() {
    let project = TestProject::new();
    write(
        &project,
        "[services.web]\ncommand = ['{misbehave}', 'listen', '--http']\nport = 'auto'\nready = { http = '/' }\n",
    );
    if in_namespace(&project, ONE_NETWORK, &[]).is_none() || require_program("ss").is_none() {
        return;
    }
    let devstack = env!("CARGO_BIN_EXE_devstack");
    let script =
        format!("until {devstack} proxy | grep -q 7780; do :; done; ss -Hltn 'sport = :7780'");
    let run = ["run", "--no-strict-ports", "--proxy", "--", "sh", "-c", &script];
    let ended = enter(&project, &["-Urn"], ONE_NETWORK)
        .unset("DEVSTACK_PROXY")
        .args(run)
        .run()
        .expect_code(0);
    let mut local: Vec<&str> =
        ended.stdout.lines().filter_map(|line| line.split_whitespace().nth(3)).collect();
    local.sort_unstable();
    assert_eq!(local, ["127.0.0.1:7780", "[::1]:7780"], "{ended:?}");
    finish(project);
}
