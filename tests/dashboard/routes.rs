//! Access and answers.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use serde_json::{Value, json};

use super::{Board, read_until};
use crate::support::{HttpReply, eventually, free_port, http_raw, service};

const SHOP: &str = r#"
[stack]
name = "shop"
env = { API_KEY = "topsecret", SHOWN = "plain" }
[services.api]
command = ["{misbehave}", "listen", "--http"]
port = "auto"
[services.api.actions]
seed = { command = "echo seeded $COUNT", args = ["count"] }
stays = ["{misbehave}", "run"]
[services.idle]
command = "echo first line; echo second line; exec sleep 1000"
depends_on = ["api"]
debug = { command = "echo debugged; exec sleep 1000" }
"#;

const FILES: [&str; 5] = ["/", "/app.js", "/style.css", "/state.js", "/icon.svg"];
const VIEWS: [&str; 7] = ["stacks", "stack", "ports", "runs", "requests", "logs", "stream"];

/// What every reply must have.
#[track_caller]
fn assert_guarded(reply: &HttpReply) {
    let policy = reply.header("content-security-policy").expect("a policy");
    for part in
        ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    let head = reply.head.to_ascii_lowercase();
    assert!(!head.contains("access-control") && !head.contains("set-cookie"), "{head}");
}

/// Neither data nor a hint at the token.
#[track_caller]
fn assert_refused(reply: &HttpReply, status: u16, board: &Board) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_guarded(reply);
    assert!(!reply.body.contains("shop") && !reply.body.contains(&board.place.token), "{reply:?}");
}

#[test]
fn only_the_page_itself_with_the_token_gets_in() {
    let board = Board::new(SHOP);
    let place = &board.place;
    let (own, bearer, origin) = (&*place.host, format!("Bearer {}", place.token), place.origin());
    let (own, bearer) = (("Host", own), ("Authorization", &*bearer));
    let all: Vec<String> = VIEWS.iter().map(|view| board.path(view, "")).collect();
    let paths = || all.iter().map(String::as_str).chain(FILES);
    let (evil, other) = (format!("evil.example:{}", place.port), format!("0.0.0.0:{}", place.port));
    let below = format!("127.0.0.1.evil:{}", place.port);
    for host in
        [&*evil, "evil.example", &other, &below, "localhost.evil", "127.0.0.1", "localhost:1", ""]
    {
        for path in paths() {
            let reply = place.send(&format!("GET {path}"), &[("Host", host), bearer], "");
            assert_refused(&reply, 421, &board);
        }
    }
    for path in FILES {
        assert_guarded(&place.send(&format!("GET {path}"), &[own], ""));
    }
    for path in all.iter().map(String::as_str).chain(["/api/why", "/api/env", "/api", "/api/none"])
    {
        assert_refused(&place.send(&format!("GET {path}"), &[own], ""), 401, &board);
        for origin in
            ["http://evil.example", "null", "http://localhost:3000", "http://web.localhost"]
        {
            let reply = place.send(&format!("GET {path}"), &[own, bearer, ("Origin", origin)], "");
            assert_refused(&reply, 403, &board);
        }
        for site in ["cross-site", "same-site", "none"] {
            let headers = [own, bearer, ("Sec-Fetch-Site", site)];
            assert_refused(&place.send(&format!("GET {path}"), &headers, ""), 403, &board);
        }
        let preflight =
            [own, ("Origin", "http://evil.example"), ("Access-Control-Request-Method", "POST")];
        assert_refused(&place.send(&format!("OPTIONS {path}"), &preflight, ""), 403, &board);
        let preflight = [own, ("Origin", &*origin), bearer, ("Content-Type", "application/json")];
        let reply = place.send(&format!("OPTIONS {path}"), &preflight, "");
        assert!([404, 405].contains(&reply.status), "{reply:?}");
        assert_guarded(&reply);
    }
    let body = json!({ "stack": board.id, "what": "down" }).to_string();
    let json = ("Content-Type", "application/json");
    let own_origin = ("Origin", &*origin);
    for (headers, status) in [
        (vec![own, bearer, json], 403),
        (vec![own, bearer, json, ("Origin", "null")], 403),
        (vec![own, bearer, json, ("Origin", "http://localhost:3000")], 403),
        (vec![own, bearer, json, own_origin, ("Sec-Fetch-Site", "cross-site")], 403),
        (vec![own, bearer, own_origin], 415),
        (vec![own, bearer, own_origin, ("Content-Type", "text/plain")], 415),
        (vec![own, bearer, own_origin, ("Content-Type", "application/x-www-form-urlencoded")], 415),
        (vec![own, bearer, own_origin, ("Content-Type", "multipart/form-data; boundary=x")], 415),
        (vec![own, json, own_origin], 401),
        (vec![own, json, own_origin, ("Cookie", &*format!("token={}", place.token))], 401),
        (vec![own, json, own_origin, ("Authorization", &*place.token)], 401),
    ] {
        for path in ["/api/do", "/api/action", "/api/code"] {
            assert_refused(&place.send(&format!("POST {path}"), &headers, &body), status, &board);
        }
        let query = format!("POST /api/do?token={}", place.token);
        assert_refused(&place.send(&query, &headers, &body), status, &board);
    }
    assert_eq!(board.project.ps()["state"], "up");
    // Only this machine is listened to.
    let elsewhere = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), place.port));
    assert!(TcpStream::connect(elsewhere).is_err());
    board.finish();
}

#[test]
fn guessing_the_token_is_slow() {
    let board = Board::new(SHOP);
    let place = &board.place;
    let statuses: Vec<u16> = (0..100)
        .map(|guess| {
            let wrong = format!("Bearer {guess:064x}");
            let headers = [("Host", &*place.host), ("Authorization", &wrong)];
            place.send("GET /api/stacks", &headers, "").status
        })
        .collect();
    assert!(statuses.contains(&401) && statuses.contains(&429), "{statuses:?}");
    // A client that has it is not kept out.
    assert_eq!(place.get("/api/stacks").status, 200);
    // Where the token is may be removed; another command makes another one.
    let file = board.project.outside("run").join("devstack/dashboard.token");
    std::fs::remove_file(&file).expect("it is there");
    let port = free_port().to_string();
    let other = board.project.devstack(["dashboard", "--no-open", "--port", &port]).start();
    let (new, _) = super::Place::of(&other.wait_for("/#token="));
    assert_ne!(new.token, place.token);
    assert_eq!(new.get("/api/stacks").status, 200);
    let new = super::Place { port: place.port, host: place.host.clone(), token: new.token };
    eventually("the first dashboard to know it", || {
        (new.get("/api/stacks").status == 200).then_some(())
    });
    other.interrupt();
    assert_eq!(other.wait_code(), 130);
    board.finish();
}

#[test]
fn odd_requests_are_refused_and_do_no_harm() {
    let board = Board::new(SHOP);
    let place = &board.place;
    for path in [
        "/../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/app.js/",
        "/APP.JS",
        "/app.js%00",
        "/index.html",
        "/.git/config",
        "/api/",
        "/api/../stacks",
        "/api/stack/",
        "/api/what?stack=x",
    ] {
        let reply = place.get(path);
        assert_refused(&reply, 404, &board);
    }
    for path in ["stack", "ports", "runs", "env", "why", "logs", "requests"] {
        for id in ["0000000000000000", "..", "%2e%2e%2f", ""] {
            let reply = place.get(&format!("/api/{path}?stack={id}&service=api"));
            let known = [400, 410].contains(&reply.status);
            assert!(known, "{path} {id}: {reply:?}");
        }
    }
    for query in ["&x=1", "&lines=x", "&grep=(", "&service=..", "&since=now", "&lines=%zz"] {
        assert_refused(&place.get(&board.path("logs", query)), 400, &board);
    }
    assert_eq!(place.get(&board.path("why", "")).status, 400);
    assert_eq!(place.get(&board.path("why", "&service=nope")).status, 404);
    for body in [
        json!({}),
        json!({ "stack": board.id, "what": "explode" }),
        json!({ "stack": board.id, "what": "stop" }),
        json!({ "stack": board.id, "what": "down", "services": ["api"] }),
        json!([]),
        json!({ "stack": board.id, "what": "stop", "services": ["api"], "x": 1 }),
    ] {
        assert_refused(&place.post("/api/do", &body), 400, &board);
    }
    let long = json!({ "stack": board.id, "what": "stop", "services": ["x".repeat(70_000)] });
    assert_refused(&place.post("/api/do", &long), 413, &board);
    for (method, path, allowed) in
        [("POST", "/app.js", "GET"), ("DELETE", "/api/stack", "GET"), ("PUT", "/api/do", "POST")]
    {
        let (bearer, origin) = (format!("Bearer {}", place.token), place.origin());
        let headers = [
            ("Host", &*place.host),
            ("Authorization", &bearer),
            ("Origin", &origin),
            ("Content-Type", "application/json"),
        ];
        let reply = place.send(&format!("{method} {path}"), &headers, "");
        assert_refused(&reply, 405, &board);
        assert_eq!(reply.header("allow"), Some(allowed));
    }
    let long_path =
        format!("GET /{} HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(100_000), place.host);
    let many =
        format!("GET / HTTP/1.1\r\nHost: {}\r\n{}\r\n", place.host, "X: y\r\n".repeat(10_000));
    for request in [
        &*long_path,
        &many,
        "\u{0}\u{1}",
        "GET / HTTP/9.9\r\n\r\n",
        "GET http://evil.example/api/stacks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ] {
        let reply = http_raw(place.port, request.as_bytes()).expect("a connection");
        assert!(reply.is_none_or(|reply| (400..500).contains(&reply.status)), "{request:.80}");
    }
    assert_eq!(place.get("/api/stacks").status, 200);
    board.finish();
}

#[test]
fn every_view_is_answered() {
    let board = Board::new(SHOP);
    let place = &board.place;
    for path in FILES {
        assert_eq!(
            place.send(&format!("GET {path}"), &[("Host", &place.host)], "").status,
            200,
            "{path}"
        );
    }
    let stacks = place.get("/api/stacks").json();
    assert_eq!(stacks["stacks"][0]["id"], *board.id);
    assert_eq!(stacks["stacks"][0]["name"], "shop");
    let stack = place.get(&board.path("stack", "")).json();
    assert_eq!(
        service(&stack, "idle")["depends_on"],
        json!([{ "service": "api", "condition": "ready" }])
    );
    let why = place.get(&board.path("why", "&service=idle")).json();
    assert_eq!(why["service"]["phase"], "ready");
    let ports = place.get(&board.path("ports", "")).json();
    assert_eq!(ports["ports"][0]["row"]["own"], true);
    assert!(ports["ports"][0]["held"].as_str().unwrap().contains("misbehave"), "{ports}");
    let runs = place.get(&board.path("runs", "")).json();
    let names: Vec<&Value> =
        runs["runs"].as_array().unwrap().iter().map(|run| &run["service"]["name"]).collect();
    assert_eq!(names, ["api", "idle"]);
    let requests = place.get(&board.path("requests", "")).json();
    assert!(requests["none"].as_str().unwrap().contains("no names"), "{requests}");

    let env = place.get(&board.path("env", "&service=idle"));
    assert!(!env.body.contains("topsecret") && env.body.contains("plain"), "{env:?}");
    let env = place.get(&board.path("env", "&service=idle&reveal=API_KEY"));
    assert!(env.body.contains("topsecret"), "{env:?}");

    let found = place.get(&board.path("logs", "&grep=first&service=idle"));
    let items: Vec<Value> =
        found.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(items.len(), 2, "{found:?}");
    assert_eq!(items[0]["item"]["line"], "first line");
    assert_eq!(items[1], json!({ "what": "end", "item": false }));
    let some = place.get(&board.path("logs", "&lines=1&since=0"));
    assert_eq!(some.body.lines().last(), Some(r#"{"what":"end","item":true}"#));
    board.finish();
}

#[test]
fn buttons_do_what_commands_do() {
    let board = Board::new(SHOP);
    let act = |what: &str, names: &[&str]| {
        let body = json!({ "stack": board.id, "what": what, "services": names });
        board.place.post("/api/do", &body)
    };
    let done = |reply: HttpReply| {
        assert!([200, 202].contains(&reply.status), "{reply:?}");
    };
    done(act("stop", &["idle"]));
    board.project.wait_ps(|ps| service(ps, "idle")["phase"] == "idle");
    done(act("start", &["idle"]));
    let ps = board.project.wait_ps(|ps| service(ps, "idle")["phase"] == "ready");
    done(act("restart", &["idle"]));
    let pid = &service(&ps, "idle")["pid"];
    board.project.wait_ps(|ps| {
        service(ps, "idle")["phase"] == "ready" && service(ps, "idle")["pid"] != *pid
    });
    done(act("debug", &["idle"]));
    board.project.wait_ps(|ps| service(ps, "idle")["mode"] == "debug");
    done(act("undebug", &["idle"]));
    board.project.wait_ps(|ps| {
        service(ps, "idle")["mode"] == "run" && service(ps, "idle")["phase"] == "ready"
    });
    let snapshot = board.place.get(&board.path("stack", "")).json();
    assert_eq!(service(&snapshot, "idle")["can_debug"], true);
    assert!(service(&snapshot, "api").get("can_debug").is_none(), "{snapshot}");
    let stop = json!({ "stack": board.id, "service": "api", "action": "stays" });
    assert_eq!(board.place.post("/api/action/stop", &stop).status, 409);
    board.project.devstack(["do", "--detach", "api", "stays"]).run().expect_code(0);
    let stopped = board.place.post("/api/action/stop", &stop);
    assert_eq!((stopped.status, &stopped.json()["text"]), (200, &json!("ending stays of api")));
    board.project.wait_ps(|ps| {
        let actions = service(ps, "api")["actions"].as_array().expect("actions").clone();
        actions.iter().all(|action| action["running"].is_null())
    });
    let unknown = act("stop", &["idel"]);
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["help"]),
        (404, &json!("did you mean `idle`?"))
    );
    let down = board.place.post("/api/do", &json!({ "stack": board.id, "what": "down" }));
    done(down);
    assert_eq!(board.up.wait_code(), 0);
    let gone = board.place.get(&board.path("stack", ""));
    assert_eq!(gone.status, 410);
    board.finish_stopped();
}

#[test]
fn a_tab_follows_a_stack_that_stops_and_starts_again() {
    let board = Board::new(SHOP);
    board.up.wait_for("second line");
    let mut stream = board.place.open(&board.path("stream", "&lines=1"));
    let begin =
        read_until(&mut stream, &[r#""what":"stacks""#, r#""what":"snapshot""#, "second line"]);
    assert!(!begin.contains("first line"), "{begin}");
    board.project.devstack(["restart", "idle"]).run().expect_code(0);
    read_until(&mut stream, &[r#""to":"stopping""#, "first line", "second line"]);
    board.up.end();
    read_until(&mut stream, &[r#"{"what":"lost""#, r#"{"what":"stacks","item":[]}"#]);
    let again = super::without_names(board.project.devstack(["up"])).start();
    read_until(&mut stream, &[r#""what":"snapshot""#, "second line"]);
    again.end();
    drop(stream);
    board.finish_stopped();
}

#[test]
fn a_browser_that_does_not_read_delays_nothing() {
    let flood = r#"
[stack.logs]
max_size = "1MB"
keep = 1
[services.flood]
kind = "task"
command = ["{misbehave}", "flood", "--lines", "100000", "--len", "200"]
autostart = false
"#;
    let board = Board::new(&format!("{SHOP}{flood}"));
    let open = || board.place.open(&board.path("stream", ""));
    let mut stalled: Vec<TcpStream> = (0..10).map(|_| open()).collect();
    let mut reader = open();
    read_until(&mut reader, &["second line"]);
    board.project.devstack(["start", "flood"]).run().expect_code(0);
    board.project.wait_ps(|ps| service(ps, "flood")["phase"] == "done");
    board.project.devstack(["restart", "idle"]).run().expect_code(0);
    read_until(&mut reader, &[r#""service":"idle","what":"phase","from":"starting","to":"ready""#]);
    assert_eq!(board.place.get("/api/stacks").status, 200);
    // And they learn what they have missed.
    read_until(&mut stalled[0], &[r#""missed":"#]);
    board.finish();
}
