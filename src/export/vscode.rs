//! Merges `.vscode/launch.json`: one entry per service in debug mode and a compound of all of them.
//! User content and comments stay; of an existing entry only the attach address is updated.

use std::path::Path;

use jsonc_parser::cst::{CstArray, CstInputValue, CstNode, CstObject, CstObjectProp};
use serde_json::{Value, json};

use crate::json_document::{JsonDocument, break_array};
use crate::model::{DebuggerKind, Name};

/// Where a debugger attaches to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachTarget {
    pub service: Name,
    pub debugger: DebuggerKind,
    /// The host it listens on.
    pub host: String,
    /// The port it listens on.
    pub port: u16,
    /// Its working directory, absolute.
    pub dir: std::path::PathBuf,
    /// The program under a native debugger, as written.
    pub program: Option<String>,
}

/// Prefix of the names of devstack's entries.
const PREFIX: &str = "devstack: ";

/// The compound that attaches to everything.
const ALL: &str = "devstack: all";

/// Initial content of a new file.
const EMPTY: &str = "{\n  \"version\": \"0.2.0\"\n}\n";

/// Returns the text of `launch.json` with an entry for each of `attach`, merged into the `existing`
/// text, if any. `workspace` is the directory that contains `.vscode`.
///
/// # Errors
/// Why the text is not valid for VS Code; the file should then be left alone.
pub fn merge(
    existing: Option<&str>,
    attach: &[AttachTarget],
    workspace: &Path,
) -> Result<String, String> {
    let document = JsonDocument::parse(existing, EMPTY)?;
    let object = document.root.object_value_or_create().ok_or("it is not a JSON object")?;
    if object.get("version").is_none() {
        object.insert(0, "version", "0.2.0".into());
    }
    let configurations = list(&object, "configurations")?;
    for one in attach {
        upsert(&configurations, &title(&one.service), entry(one, workspace));
    }
    let compounds = list(&object, "compounds")?;
    upsert_compound(&compounds, attach)?;
    Ok(document.to_string())
}

fn list(object: &CstObject, key: &str) -> Result<CstArray, String> {
    object.array_value_or_create(key).ok_or_else(|| format!("`{key}` is not an array"))
}

fn title(service: &Name) -> String {
    format!("{PREFIX}{service}")
}

/// Keys with the attach address. They are updated in an existing entry; other keys are only added.
const ADDRESS_KEYS: [&str; 8] = [
    "connect",
    "address",
    "host",
    "hostName",
    "port",
    "debugPort",
    "miDebuggerServerAddress",
    "processCreateCommands",
];

fn upsert(entries: &CstArray, name: &str, wanted: LaunchEntry) {
    let Some(there) = named(entries, name) else {
        let fields = wanted.iter().map(|(key, value)| ((*key).to_owned(), input(value)));
        entries.append(CstInputValue::Object(fields.collect()));
        break_array(entries);
        return;
    };
    // A different kind of debugger: nothing in the old entry fits.
    let kind = there.get("type").and_then(|kind| text_of(&kind.value()?));
    let fits =
        wanted.iter().any(|(key, value)| *key == "type" && value.as_str() == kind.as_deref());
    for (key, value) in &wanted {
        match there.get(key) {
            None => drop(there.append(key, input(value))),
            Some(property) if ADDRESS_KEYS.contains(key) || !fits => {
                set_if_different(&property, value)
            }
            Some(_) => {}
        }
    }
}

/// Sets only what differs, as deeply as possible, to keep comments in between.
fn set_if_different(property: &CstObjectProp, wanted: &Value) {
    let same = property.value().and_then(|value| value.to_serde_value());
    if same.as_ref() == Some(wanted) {
        return;
    }
    match (property.object_value(), wanted) {
        (Some(there), Value::Object(wanted)) => {
            for (key, value) in wanted {
                match there.get(key) {
                    None => drop(there.append(key, input(value))),
                    Some(inner) => set_if_different(&inner, value),
                }
            }
        }
        (_, wanted) => property.set_value(input(wanted)),
    }
}

/// Updates the compound of everything: devstack's current entries, plus whatever the user added.
fn upsert_compound(compounds: &CstArray, attach: &[AttachTarget]) -> Result<(), String> {
    let titles: Vec<String> = attach.iter().map(|one| title(&one.service)).collect();
    let Some(there) = named(compounds, ALL) else {
        let titles = titles.into_iter().map(CstInputValue::from).collect();
        compounds.append(CstInputValue::Object(vec![
            ("name".to_owned(), ALL.into()),
            ("configurations".to_owned(), CstInputValue::Array(titles)),
            ("stopAll".to_owned(), true.into()),
        ]));
        break_array(compounds);
        return Ok(());
    };
    let members = list(&there, "configurations")?;
    for member in members.elements() {
        let gone = text_of(&member)
            .is_some_and(|name| name.starts_with(PREFIX) && !titles.contains(&name));
        if gone {
            member.remove();
        }
    }
    let known: Vec<String> = members.elements().iter().filter_map(text_of).collect();
    for title in titles.into_iter().filter(|title| !known.contains(title)) {
        members.append(title.into());
    }
    Ok(())
}

fn named(entries: &CstArray, name: &str) -> Option<CstObject> {
    entries.elements().into_iter().filter_map(|entry| entry.as_object()).find(|entry| {
        entry.get("name").and_then(|named| text_of(&named.value()?)).as_deref() == Some(name)
    })
}

fn text_of(node: &CstNode) -> Option<String> {
    node.as_string_lit()?.decoded_value().ok()
}

/// Keys and values of an entry, in display order.
type LaunchEntry = Vec<(&'static str, Value)>;

fn entry(one: &AttachTarget, workspace: &Path) -> LaunchEntry {
    let AttachTarget { host, port, .. } = one;
    let dir = in_workspace(&one.dir, workspace);
    let place = format!("{host}:{port}");
    let (kind, request, rest): (&str, &str, LaunchEntry) = match one.debugger {
        DebuggerKind::Debugpy => {
            // No path mappings: the editor and the service see the same files.
            let connect = json!({ "host": host, "port": port });
            ("debugpy", "attach", vec![("connect", connect), ("justMyCode", true.into())])
        }
        DebuggerKind::Node => {
            let rest = vec![
                ("address", json!(host)),
                ("port", json!(port)),
                ("cwd", dir.into()),
                ("restart", true.into()),
            ];
            ("node", "attach", rest)
        }
        DebuggerKind::Delve => {
            let rest = vec![
                ("mode", "remote".into()),
                ("host", json!(host)),
                ("port", json!(port)),
                ("cwd", dir.into()),
            ];
            ("go", "attach", rest)
        }
        DebuggerKind::Jdwp => {
            ("java", "attach", vec![("hostName", json!(host)), ("port", json!(port))])
        }
        DebuggerKind::Rdbg => {
            ("rdbg", "attach", vec![("debugPort", place.into()), ("localfs", true.into())])
        }
        DebuggerKind::Gdb => {
            let rest = vec![
                ("program", program(one, &dir).into()),
                ("cwd", dir.into()),
                ("MIMode", "gdb".into()),
                ("miDebuggerServerAddress", place.into()),
            ];
            ("cppdbg", "launch", rest)
        }
        DebuggerKind::Lldb => {
            let target = format!("target create {}", program(one, &dir));
            let rest = vec![
                ("targetCreateCommands", json!([target])),
                ("processCreateCommands", json!([format!("gdb-remote {place}")])),
            ];
            ("lldb", "attach", rest)
        }
    };
    let head =
        [("name", title(&one.service).into()), ("type", kind.into()), ("request", request.into())];
    head.into_iter().chain(rest).collect()
}

/// Returns the program under a native debugger, as a path for the editor.
fn program(one: &AttachTarget, dir: &str) -> String {
    match &one.program {
        Some(program) if Path::new(program).is_absolute() => program.clone(),
        Some(program) => format!("{dir}/{}", program.trim_start_matches("./")),
        None => dir.to_owned(),
    }
}

/// Formats a directory for VS Code, relative to the workspace if it is inside.
fn in_workspace(dir: &Path, workspace: &Path) -> String {
    match dir.strip_prefix(workspace) {
        Ok(rest) if rest.as_os_str().is_empty() => "${workspaceFolder}".to_owned(),
        Ok(rest) => format!("${{workspaceFolder}}/{}", rest.to_string_lossy()),
        Err(_) => dir.to_string_lossy().into_owned(),
    }
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(yes) => CstInputValue::Bool(*yes),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(values) => CstInputValue::Array(values.iter().map(input).collect()),
        Value::Object(values) => {
            let values = values.iter().map(|(key, value)| (key.clone(), input(value)));
            CstInputValue::Object(values.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::{AttachTarget, merge};
    use crate::model::{DebuggerKind, Name};

    fn attach(service: &str, debugger: DebuggerKind, port: u16) -> AttachTarget {
        AttachTarget {
            service: Name::new(service).unwrap(),
            debugger,
            host: "127.0.0.1".to_owned(),
            port,
            dir: Path::new("/home/x/shop").join(service),
            program: Some("./target/debug/app".to_owned()),
        }
    }

    fn merged(existing: Option<&str>, all: &[AttachTarget]) -> String {
        merge(existing, all, Path::new("/home/x/shop")).unwrap()
    }

    #[test]
    fn a_new_file_has_an_entry_for_each_service_and_one_for_all() {
        let all = [
            attach("api", DebuggerKind::Debugpy, 5678),
            attach("web", DebuggerKind::Node, 9229),
            attach("go", DebuggerKind::Delve, 2345),
            attach("java", DebuggerKind::Jdwp, 5005),
            attach("rails", DebuggerKind::Rdbg, 12_345),
            attach("native", DebuggerKind::Gdb, 3_333),
            attach("swift", DebuggerKind::Lldb, 3_334),
        ];
        let text = merged(None, &all);
        insta::assert_snapshot!(text);
        assert_eq!(merged(Some(&text), &all), text, "a second time changes nothing");
        assert_eq!(merged(Some("  \n"), &all), text, "an empty file equals a missing one");
    }

    const MINE: &str = r#"{
    // Everything here is mine.
    "version": "0.2.0",
    "configurations": [
        {
            "name": "my tests", /* keep */
            "type": "debugpy",
            "request": "launch",
        },
        {
            "name": "devstack: api",
            "type": "debugpy",
            "request": "attach",
            "connect": { "host": "127.0.0.1", /* in here too */ "port": 1 }, // moves
            "justMyCode": false, // I want to see libraries
            "subProcess": true
        },
    ],
    "compounds": [
        { "name": "devstack: all", "configurations": ["devstack: api", "devstack: gone", "my tests"] }
    ],
    "inputs": []
}
"#;

    #[test]
    fn what_the_user_wrote_stays() {
        let all =
            [attach("api", DebuggerKind::Debugpy, 5678), attach("web", DebuggerKind::Node, 9229)];
        let text = merged(Some(MINE), &all);
        insta::assert_snapshot!(text);
        assert_eq!(merged(Some(&text), &all), text);
    }

    #[test]
    fn every_comment_survives_ports_that_move() {
        let mut text = MINE.to_owned();
        for port in 2..50 {
            text = merged(Some(&text), &[attach("api", DebuggerKind::Debugpy, port)]);
        }
        for comment in ["// Everything", "/* keep */", "/* in here too */", "// moves", "// I want"]
        {
            assert_eq!(text.matches(comment).count(), 1, "{comment} in {text}");
        }
        assert!(text.contains("\"port\": 49") && text.contains("\"justMyCode\": false"), "{text}");
    }

    #[test]
    fn line_ends_and_marks_of_the_file_stay() {
        let windows = MINE.replace('\n', "\r\n");
        let text = merged(Some(&windows), &[attach("web", DebuggerKind::Node, 1)]);
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
        let text = merged(Some("\u{feff}{}"), &[attach("web", DebuggerKind::Node, 1)]);
        assert!(text.starts_with("\u{feff}{"));
    }

    #[test]
    fn what_vs_code_cannot_read_is_refused() {
        for text in [
            "{",
            "[]",
            "null",
            "{\"configurations\": 1}",
            "{\"compounds\": {}}",
            "{} {}",
            "\0",
            "{a: 1}",
        ] {
            let wrong = merge(Some(text), &[attach("api", DebuggerKind::Node, 1)], Path::new("/"));
            assert!(wrong.is_err(), "{text}");
        }
    }

    #[test]
    fn the_result_is_json_with_the_ports() {
        let text = merged(None, &[attach("api", DebuggerKind::Debugpy, 5678)]);
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["configurations"][0]["connect"]["port"], 5678);
        assert_eq!(json["compounds"][0]["configurations"][0], "devstack: api");
    }
}
