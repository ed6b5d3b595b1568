//! Merges `.mcp.json`, which lists servers for agents, and `.claude/launch.json`, which lists what an
//! agent can preview. All other bytes stay.

use jsonc_parser::cst::{CstArray, CstInputValue, CstObject};

use super::AgentsSetup;
use crate::json_document::{JsonDocument, break_array};

/// The name of devstack's entries.
const ENTRY: &str = "devstack";

/// Returns the text of `.mcp.json` with this server. An entry that is there stays as it is, because
/// a user may have changed it.
pub(super) fn merge_servers(existing: Option<&str>, setup: &AgentsSetup) -> Result<String, String> {
    let (document, object) = parse(existing)?;
    let servers = object.object_value_or_create("mcpServers");
    let servers = servers.ok_or("`mcpServers` is not an object")?;
    if servers.get(ENTRY).is_none() {
        let arguments = setup.arguments.iter().map(String::as_str).chain(["mcp"]);
        let arguments = arguments.map(CstInputValue::from).collect();
        servers.append(
            ENTRY,
            CstInputValue::Object(vec![
                ("command".to_owned(), "devstack".into()),
                ("args".to_owned(), CstInputValue::Array(arguments)),
            ]),
        );
        servers.ensure_multiline();
        object.ensure_multiline();
    }
    Ok(document.to_string())
}

/// Returns the text of `launch.json` with an entry that starts the stack, or follows it if it runs,
/// and names the port of its primary service. Of an entry that is there, only the port changes.
pub(super) fn merge_launch(existing: Option<&str>, setup: &AgentsSetup) -> Result<String, String> {
    let (document, object) = parse(existing)?;
    let Some(port) = setup.port else { return Ok(document.to_string()) };
    if object.get("version").is_none() {
        object.insert(0, "version", "0.0.1".into());
    }
    let entries = object.array_value_or_create("configurations");
    let entries = entries.ok_or("`configurations` is not an array")?;
    match named(&entries, ENTRY) {
        Some(entry) => match entry.get("port") {
            Some(there)
                if there.value().and_then(|value| value.to_serde_value()) != Some(port.into()) =>
            {
                there.set_value(number(port));
            }
            Some(_) => {}
            None => drop(entry.append("port", number(port))),
        },
        None => {
            let words = shell_words::join(&setup.arguments);
            let gap = if words.is_empty() { "" } else { " " };
            // `up` alone would refuse to run beside a stack that is there already.
            let script =
                format!("devstack{gap}{words} up -d && exec devstack{gap}{words} logs --follow");
            let arguments = vec!["-c".into(), script.as_str().into()];
            entries.append(CstInputValue::Object(vec![
                ("name".to_owned(), ENTRY.into()),
                ("runtimeExecutable".to_owned(), "sh".into()),
                ("runtimeArgs".to_owned(), CstInputValue::Array(arguments)),
                ("port".to_owned(), number(port)),
            ]));
            break_array(&entries);
            object.ensure_multiline();
        }
    }
    Ok(document.to_string())
}

fn parse(existing: Option<&str>) -> Result<(JsonDocument, CstObject), String> {
    let document = JsonDocument::parse(existing, "{}\n")?;
    let object = document.root.object_value().ok_or("it is not a JSON object")?;
    Ok((document, object))
}

fn number(port: u16) -> CstInputValue {
    CstInputValue::Number(port.to_string())
}

fn named(entries: &CstArray, name: &str) -> Option<CstObject> {
    let is_it = |entry: &CstObject| {
        let value = entry.get("name").and_then(|named| named.value());
        let text = value.and_then(|value| value.as_string_lit()?.decoded_value().ok());
        text.as_deref() == Some(name)
    };
    entries.elements().into_iter().filter_map(|entry| entry.as_object()).find(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(port: u16) -> AgentsSetup {
        let (stack, services) = ("shop".to_owned(), Vec::new());
        AgentsSetup { stack, services, port: Some(port), arguments: Vec::new() }
    }

    #[test]
    fn a_long_list_of_one_line_stays_and_a_wide_object_is_refused() {
        let many = vec!["{}"; 3_000].join(",");
        let text = format!("{{\"version\":\"1\",\"configurations\":[{many}]}}");
        assert!(merge_launch(Some(&text), &setup(1)).unwrap().contains(&many));
        let many: Vec<String> = (0..1001).map(|at| format!("\"a{at}\":{{}}")).collect();
        let text = format!("{{\"mcpServers\":{{{}}}}}", many.join(","));
        let error = merge_servers(Some(&text), &setup(1)).unwrap_err();
        assert_eq!(error, "an object in it has more than 1000 properties");
    }

    #[test]
    fn new_files() {
        let servers = merge_servers(None, &setup(1)).unwrap();
        insta::assert_snapshot!(servers, @r#"
        {
          "mcpServers": {
            "devstack": {
              "command": "devstack",
              "args": ["mcp"]
            }
          }
        }
        "#);
        let launch = merge_launch(None, &setup(5001)).unwrap();
        insta::assert_snapshot!(launch, @r#"
        {
          "version": "0.0.1",
          "configurations": [
            {
              "name": "devstack",
              "runtimeExecutable": "sh",
              "runtimeArgs": ["-c", "devstack up -d && exec devstack logs --follow"],
              "port": 5001
            }
          ]
        }
        "#);
    }

    #[test]
    fn files_of_the_configuration_are_passed_on() {
        let arguments = vec!["-f".to_owned(), "dev env.toml".to_owned()];
        let setup = AgentsSetup { arguments, ..setup(1) };
        assert!(merge_servers(None, &setup).unwrap().contains(r#"["-f", "dev env.toml", "mcp"]"#));
        let launch = merge_launch(None, &setup).unwrap();
        assert!(launch.contains("devstack -f 'dev env.toml' up -d && exec"), "{launch}");
    }

    #[test]
    fn order_comments_and_other_entries_stay() {
        let text = "\u{feff}{ // ours\n\t\"z\": 1,\n\t\"mcpServers\": {\n\t\t\"b\": {\"command\": \"x\"},\n\t},\n\t\"a\": [ ]\n}";
        let merged = merge_servers(Some(text), &setup(1)).unwrap();
        insta::assert_snapshot!(merged.replace('\u{feff}', "<bom>").replace('\t', "<tab>"));
        assert_eq!(merge_servers(Some(&merged), &setup(1)).unwrap(), merged);
    }

    #[test]
    fn a_changed_server_stays_and_a_port_is_updated() {
        let text = r#"{"mcpServers": {"devstack": {"command": "/opt/devstack", "args": ["mcp"]}}}"#;
        assert_eq!(merge_servers(Some(text), &setup(1)).unwrap(), text);
        let text = r#"{"configurations":[{"name":"x","port":1},{"port": 5000 /* */,"name":"devstack","env":{}}],"version":"9"}"#;
        let merged = merge_launch(Some(text), &setup(5001)).unwrap();
        assert_eq!(merged, text.replace("5000", "5001"));
        assert_eq!(merge_launch(Some(&merged), &setup(5001)).unwrap(), merged);
    }

    #[test]
    fn what_is_broken_is_refused() {
        for text in ["[]", "{", "{\"mcpServers\": []}", "nope", "{} {}", "{\"a\": 1 \"b\": 2}"] {
            assert!(merge_servers(Some(text), &setup(1)).is_err(), "{text}");
        }
        for text in ["{\"configurations\": {}}", "\"a\""] {
            assert!(merge_launch(Some(text), &setup(1)).is_err(), "{text}");
        }
    }
}
