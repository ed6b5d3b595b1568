//! The dashboard at the front door, and how a browser gets the token.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::{Place, read_until};
use crate::names::{Names, WEB};
use crate::support::{eventually, free_port};

fn link_of(names: &Names, project: &crate::support::TestProject, args: &[&str]) -> String {
    let args = [&["dashboard"], args].concat();
    let shown = names.devstack(project, &args).env("BROWSER", "true").run().expect_code(0);
    assert_eq!(shown.stderr, "");
    shown.stdout
}

#[test]
fn the_front_door_serves_it_for_all_stacks() {
    let (names, shop) = Names::new();
    let blog = names.project("blog", WEB);
    let ups = [names.up(&shop), names.up(&blog)];
    names.wait_for("web.blog.localhost", 200);
    let url = link_of(&names, &shop, &["--no-open"]);
    let (place, id) = Place::of(&url);
    assert_eq!(place.host, format!("devstack.localhost:{}", names.port));
    let stacks = place.get("/api/stacks").json();
    let listed: Vec<&str> = stacks["stacks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert!(listed.contains(&"shop") && listed.contains(&"blog"), "{stacks}");
    assert_eq!(place.get(&format!("/api/stack?stack={id}")).json()["stack"], "shop");
    assert!(
        place.send("GET /", &[("Host", &place.host)], "").body.contains("<title>devstack</title>")
    );
    // Names of services have nothing of it, nor has it anything of theirs.
    for host in ["devstack.localhost", "devstack.localhost:1", "x.devstack.localhost", "localhost"]
    {
        let reply = place.send(
            "GET /api/stacks",
            &[("Host", host), ("Authorization", &format!("Bearer {}", place.token))],
            "",
        );
        assert!(
            (400..500).contains(&reply.status) && !reply.body.contains("\"id\""),
            "{host}: {reply:?}"
        );
    }
    let foreign = [("Host", &*place.host), ("Origin", "http://web.shop.localhost")];
    assert_eq!(place.send("GET /api/stacks", &foreign, "").status, 403);

    // What went through the names, without secrets.
    let secret = format!(
        "GET / HTTP/1.1\r\nHost: web.shop.localhost:{}\r\nCookie: a=b\r\nConnection: close\r\n\r\n",
        names.port
    );
    crate::support::http_raw(names.port, secret.as_bytes()).expect("a connection");
    let requests = eventually("the request", || {
        let list = place.get(&format!("/api/requests?stack={id}")).json();
        (!list["requests"].as_array()?.is_empty()).then_some(list)
    });
    assert_eq!(requests["requests"][0]["service"], "web");
    assert!(!requests.to_string().contains("a=b"), "{requests}");

    let mut stream = place.open(&format!("/api/stream?stack={id}"));
    read_until(&mut stream, &[r#""what":"snapshot""#]);
    let act = json!({ "stack": id, "what": "restart", "services": ["web"] });
    assert!([200, 202].contains(&place.post("/api/do", &act).status));
    read_until(&mut stream, &[r#""to":"ready""#]);
    drop(stream);
    for up in ups {
        up.end();
    }
    names.finish([shop, blog]);
}

#[test]
fn a_stack_called_devstack_keeps_its_name() {
    let (names, _) = Names::new();
    let own = names.project("devstack", WEB);
    let up = names.up(&own);
    assert_eq!(
        names.wait_for("devstack.localhost", 200).json()["pid"],
        names.wait_for("web.devstack.localhost", 200).json()["pid"]
    );
    let alone = names.devstack(&own, &["dashboard", "--no-open"]).start();
    let (place, _) = Place::of(&alone.wait_for("/#token="));
    assert!(place.host.starts_with("127.0.0.1:"), "{}", place.host);
    assert_eq!(place.get("/api/stacks").status, 200);
    alone.interrupt();
    assert_eq!(alone.wait_code(), 130);
    up.end();
    names.finish([own]);
}

#[test]
fn the_browser_gets_a_code_that_is_valid_once() {
    let project = crate::support::TestProject::new();
    let file = project.path("opened").display().to_string();
    let browser = project.write(
        "browser.sh",
        &format!("#!/bin/sh\necho \"$@\" > '{file}.new'; mv '{file}.new' '{file}'\n"),
    );
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o755)).expect("ours");
    let port = free_port().to_string();
    let command =
        project.devstack(["dashboard", "--port", &port, "--json"]).env("BROWSER", &browser);
    let dashboard = command.start();
    let printed = dashboard.wait_for("/#token=");
    let url: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    let (place, _) = Place::of(url["url"].as_str().expect("a URL"));
    let opened = eventually("the browser", || std::fs::read_to_string(project.path("opened")).ok());
    let code = opened.trim().strip_prefix(&format!("{}/#code=", place.origin())).expect("a code");
    assert_ne!(code, place.token);
    let exchange = |code: &str| {
        let origin = place.origin();
        let headers =
            [("Host", &*place.host), ("Origin", &origin), ("Content-Type", "application/json")];
        place.send("POST /api/token", &headers, &json!({ "code": code }).to_string())
    };
    assert_eq!(exchange("").status, 401);
    assert_eq!(exchange(code).json()["token"], *place.token);
    assert_eq!(exchange(code).status, 401);
    let mode = std::fs::metadata(project.outside("run").join("devstack/dashboard.token"))
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let taken = project.devstack(["dashboard", "--no-open", "--port", &port]).run().expect_code(1);
    assert!(taken.stderr.contains("choose another port with --port"), "{}", taken.stderr);
    dashboard.interrupt();
    assert_eq!(dashboard.wait_code(), 130);
    project.finish();
}
