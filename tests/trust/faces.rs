//! What a hostile repository shows to agents, in the TUI and to the page.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{HOSTILE, assert_clean, hostile_config};
use crate::agents::client::RawClient;
use crate::dashboard::{Place, read_until, without_names};
use crate::support::{RunningProgram, TestProject, eventually, free_port};

/// A hostile stack that runs in a directory with a hostile name.
fn hostile_stack(project: &TestProject) -> PathBuf {
    let dir = project.path(format!("w{HOSTILE}"));
    fs::create_dir_all(&dir).expect("it is ours");
    fs::write(dir.join("devstack.toml"), hostile_config()).expect("it is ours");
    without_names(project.devstack(["up", "-d"])).dir(&dir).run().expect_code(0);
    dir
}

fn finish(project: TestProject, dir: PathBuf) {
    project.devstack(["down"]).dir(dir).run().expect_code(0);
    project.finish();
}

/// Checks all strings in an answer, keys too.
#[track_caller]
fn assert_clean_strings(what: &str, value: &Value) {
    match value {
        Value::String(text) => assert_clean(what, text, false),
        Value::Array(values) => values.iter().for_each(|value| assert_clean_strings(what, value)),
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            assert_clean(what, key, false);
            assert_clean_strings(what, value);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn agents_are_told_nothing_that_controls_a_terminal() {
    let project = TestProject::new();
    let dir = hostile_stack(&project);
    let mut agent = RawClient::start_command(project.devstack(["mcp"]).dir(&dir), json!({}));
    let listed = agent.request("tools/list", json!({}));
    let listed = agent.response(&listed);
    let tools = listed["result"]["tools"].as_array().expect("a list").clone();
    assert!(tools.len() > 10, "{listed}");
    agent.until("logs", json!({}), |text| text.contains("api | "));
    let mut ask = |method: &str, params: Value| {
        let what = format!("{method} {params}");
        let id = agent.request(method, params);
        let answer = agent.response(&id);
        assert!(answer["result"].is_object() || answer["error"].is_object(), "{what}: {answer}");
        assert_clean_strings(&what, &answer);
    };
    for given in ["api", HOSTILE] {
        for tool in &tools {
            let name = tool["name"].as_str().expect("a name");
            let arguments = match name {
                "stop" if given == "api" => continue,
                "status" | "check" | "plan" => json!({}),
                "why" | "env" => json!({ "service": given }),
                "run_action" => {
                    json!({ "service": "api", "action": if given == "api" { "seed" } else { given } })
                }
                "logs" | "up" | "wait" | "restart" | "stop" | "debug" => {
                    json!({ "services": [given] })
                }
                "ports" if given == "api" => json!({}),
                "requests" if given == "api" => json!({}),
                _ => json!({ "id": given, "port": given, (given): given }),
            };
            ask("tools/call", json!({ "name": name, "arguments": arguments }));
        }
        ask("tools/call", json!({ "name": given, "arguments": {} }));
        ask("resources/read", json!({ "uri": given }));
        ask("prompts/get", json!({ "name": given }));
    }
    for list in ["resources/list", "prompts/list"] {
        ask(list, json!({}));
    }
    // The mistakes of a configuration, too.
    let broken = format!("{}\n\"\\u001b\\u009b2J\\u202e\" = 1\n", hostile_config());
    fs::write(dir.join("devstack.toml"), broken).expect("it is ours");
    ask("tools/call", json!({ "name": "check", "arguments": {} }));
    ask("tools/call", json!({ "name": "plan", "arguments": {} }));
    fs::write(dir.join("devstack.toml"), hostile_config()).expect("it is ours");
    agent.end();
    finish(project, dir);
}

/// Checks what a program has written to its terminal, beside what devstack itself writes.
#[track_caller]
fn assert_own_sequences(what: &str, program: &RunningProgram) {
    let text = program.stdout();
    for bad in ["\x1b]52;c;eA", "\u{7}", "\u{9b}", "\u{202e}", "\u{2066}"] {
        assert!(!text.contains(bad), "{what}: {bad:?} in {text:?}");
    }
}

#[test]
fn the_screen_of_the_tui_shows_what_a_repository_says_without_obeying_it() {
    let project = TestProject::new();
    let dir = hostile_stack(&project);
    let tui = project.devstack(["tui"]).dir(&dir).terminal(40, 160).start();
    let screen = || {
        let mut parser =
            vt100::Parser::new(40.try_into().expect("a size"), 160.try_into().expect("a size"), 0);
        parser.process(&tui.bytes(crate::support::Source::Stdout));
        parser.screen().contents()
    };
    let shown = |what: &str, text: &str| {
        eventually(&format!("{text:?} after {what}"), || screen().contains(text).then_some(()));
        assert_own_sequences(what, &tui);
    };
    shown("the start", "following");
    shown("the start", "api");
    for (keys, text, close) in [
        ("w", "why api", "q"),
        ("?", "select a service", "q"),
        (":env\r", "DEVSTACK_", "q"),
        (":plan\r", "plan", "q"),
        (":changes\r", "changes", "q"),
        (":ports\r", "ports", "q"),
        (":seed", "seed", "\x1b"),
        ("/\u{202e}\u{9b}x", "search: ", "\x1b"),
        ("f\u{202e}\u{9b}y", "filter (", "\x1b"),
    ] {
        tui.write(keys.as_bytes());
        shown(keys, text);
        tui.write(close.as_bytes());
        // Before it is left, the next key could be taken for a part of Escape's.
        eventually(&format!("{keys:?} to be left"), || (!screen().contains(text)).then_some(()));
        assert_own_sequences(keys, &tui);
    }
    for keys in ["\t", "t"] {
        tui.write(keys.as_bytes());
        shown(keys, "api");
    }
    // An action and its output.
    tui.write(b":seed\r");
    shown("an action", "action seed succeeded");
    // Not `q`: an action that ends at once shows what it printed, which `q` only closes.
    tui.write(b"\x03");
    assert_eq!(tui.wait_code(), 130);
    assert_own_sequences("the end", &tui);
    finish(project, dir);
}

#[test]
fn the_dashboard_sends_nothing_that_controls_a_terminal() {
    let project = TestProject::new();
    let dir = hostile_stack(&project);
    let port = free_port().to_string();
    let dashboard = project.devstack(["dashboard", "--no-open", "--port", &port]).dir(&dir).start();
    let (place, id) = Place::of(&dashboard.wait_for("/#token="));
    assert_clean("dashboard", &dashboard.stdout(), false);
    let stack = |more: &str| format!("stack={id}{more}");
    let check = |what: &str, status: u16, body: &str, text: &str| {
        assert_eq!(status.to_string().as_bytes()[0], text.as_bytes()[0], "{what}: {body}");
        assert_clean(what, body, false);
    };
    let encoded: String = HOSTILE.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for (path, class) in [
        ("stacks".to_owned(), "2"),
        (format!("stack?{}", stack("")), "2"),
        (format!("why?{}", stack("&service=api")), "2"),
        (format!("env?{}", stack("&service=api")), "2"),
        (format!("ports?{}", stack("")), "2"),
        (format!("runs?{}", stack("&service=api")), "2"),
        (format!("requests?{}", stack("")), "2"),
        (format!("logs?{}", stack("&service=api")), "2"),
        (format!("why?{}", stack(&format!("&service={encoded}"))), "4"),
        (format!("logs?{}", stack(&format!("&search={encoded}"))), "4"),
        (format!("why?stack={encoded}"), "4"),
        (format!("why?{encoded}={encoded}"), "4"),
    ] {
        let reply = place.get(&format!("/api/{path}"));
        check(&path, reply.status, &reply.body, class);
    }
    let reply =
        place.post("/api/action", &json!({ "stack": id, "service": "api", "action": "seed" }));
    check("an action", reply.status, &reply.body, "2");
    for what in [
        json!({ "stack": id, "what": "start", "services": [HOSTILE] }),
        json!({ "stack": id, "what": HOSTILE }),
        json!({ "stack": HOSTILE, "what": "start" }),
        json!({ (HOSTILE): 1 }),
    ] {
        let reply = place.post("/api/do", &what);
        check("a refusal", reply.status, &reply.body, "4");
    }
    let mut stream = place.open(&format!("/api/stream?{}&lines=10", stack("")));
    let text = read_until(&mut stream, &["\"what\":\"log\""]);
    let (_, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    assert_clean("the stream", &body.replace("\r\n", "\n"), false);
    drop(stream);
    dashboard.interrupt();
    assert_eq!(dashboard.wait_code(), 130);
    finish(project, dir);
}
