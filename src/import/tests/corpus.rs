use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::stack_text::stack_text;
use crate::import::yaml::{YamlContent, YamlDocument, YamlNode};
use crate::import::{ImportedStack, read_compose, read_mprocs, read_process_compose};
use crate::import::{compose, mprocs, process_compose};
use crate::model::{Message, Name};
use crate::text::join;

/// The formats: directories of the corpus.
const FORMATS: [&str; 3] = ["compose", "process-compose", "mprocs"];

fn corpus(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(format)
}

/// The files of a format, sorted.
fn cases(format: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(corpus(format)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|it| it == "yaml")).collect();
    files.sort();
    assert!(files.len() >= 30, "{format} has only {} files", files.len());
    files
}

/// Reads a text as a file of the corpus; what it refers to is in the directory beside that file.
fn read(format: &str, case: &Path, text: &str) -> Result<ImportedStack, Message> {
    let file = case.file_name().unwrap().to_str().unwrap();
    match format {
        "compose" => {
            let beside = case.with_extension("");
            read_compose(text, file, &|path| fs::read_to_string(beside.join(path)).ok())
        }
        "process-compose" => read_process_compose(text, file),
        "mprocs" => read_mprocs(text, file),
        _ => unreachable!("no such format"),
    }
}

#[test]
fn each_file_becomes_what_its_snapshot_says() {
    for format in FORMATS {
        for case in cases(format) {
            let text = fs::read_to_string(&case).unwrap();
            let shown = match read(format, &case, &text) {
                Ok(stack) => {
                    let valid = |name: &String| Name::new(name).is_ok();
                    assert!(stack.services.iter().all(|service| valid(&service.name)), "{case:?}");
                    stack_text(&stack)
                }
                Err(message) => format!("error: {}\nhelp: {}\n", message.text, message.help),
            };
            insta::with_settings!({
                snapshot_path => corpus(format),
                prepend_module_to_snapshot => false,
                omit_expression => true,
            }, {
                insta::assert_snapshot!(case.file_stem().unwrap().to_str().unwrap(), shown);
            });
        }
    }
}

/// Reads a document as a file of the corpus.
fn read_document(
    format: &str,
    case: &Path,
    document: YamlDocument,
) -> Result<ImportedStack, Message> {
    let beside = case.with_extension("");
    match format {
        "compose" => compose::read_document(document, "file", &|path| {
            fs::read_to_string(beside.join(path)).ok()
        }),
        "process-compose" => process_compose::read_document(&document, "file"),
        "mprocs" => mprocs::read_document(&document, "file"),
        _ => unreachable!("no such format"),
    }
}

/// A key and its place in a mapping or list.
type KeyPlace = (String, usize);

/// Calls `see` for each value below this one, with the keys to it and their places.
fn visit(node: &YamlNode, keys: &mut Vec<KeyPlace>, see: &mut dyn FnMut(&[KeyPlace], &YamlNode)) {
    let mut below = |place: usize, key: &str, node: &YamlNode| {
        keys.push((key.to_owned(), place));
        see(keys, node);
        visit(node, keys, see);
        keys.pop();
    };
    match &node.content {
        YamlContent::Null | YamlContent::Scalar { .. } => {}
        YamlContent::List(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(place, item)| below(place, &format!("[{place}]"), item));
        }
        YamlContent::Map(entries) => {
            entries.iter().enumerate().for_each(|(place, (key, node))| below(place, key, node));
        }
    }
}

fn remove(node: &mut YamlNode, places: &[KeyPlace]) {
    let (place, rest) = (places[0].1, &places[1..]);
    match &mut node.content {
        YamlContent::List(items) if rest.is_empty() => drop(items.remove(place)),
        YamlContent::Map(entries) if rest.is_empty() => drop(entries.remove(place)),
        YamlContent::List(items) => remove(&mut items[place], rest),
        YamlContent::Map(entries) => remove(&mut entries[place].1, rest),
        YamlContent::Null | YamlContent::Scalar { .. } => unreachable!("a path ends there"),
    }
}

/// Values without which a file says the same: the end of a path, the value, and why.
const REDUNDANT: &[(&str, &str, &str)] = &[
    (".image", "registry.example.com/app:1", "the name of what is built"),
    (".image", "${IMAGE}", "the name of what is built"),
    (".context", ".", "the default"),
    ("services.list.depends_on[5]", "db", "the list has it before"),
    (".condition", "service_healthy", "the default of a mapping"),
    (".condition", "process_started", "the default"),
    (".required", "true", "the default"),
    ("services.api.ports[0]", "8000:8000", "its Dockerfile says so too"),
    ("base.volumes[0]", ".:/app", "where it runs anyway"),
    ("web.volumes[0]", "./web:/app", "where it runs anyway"),
    (".POSTGRES_DB", "shop", "the name of the user"),
    (".ports[0]", "5432:5432", "the port of the preset"),
    (".ports[0]", "4222:4222", "the port of the preset"),
    (".ports[1]", "8222:8222", "the port of the preset"),
    (".ports[0]", "5672:5672", "the port of the preset"),
    (".ports[0]", "8025:8025", "the port of the preset"),
    (".ports[0]", "9000:9000", "the port of the preset"),
    (".ports[1]", "9001:9001", "the port of the preset"),
    (".ports[0]", "8080:80", "the port of the preset"),
    (".test[2]", "-f", "an HTTP probe fails on an error anyway"),
    ("redis.command", "redis-server", "the program of the preset"),
    ("memcached.entrypoint", "memcached", "the program of the preset"),
    (".published", "8080", "preferred instead of a port that requires privileges"),
    (".published", "8443", "preferred instead of a port that requires privileges"),
    (".protocol", "tcp", "the default"),
    ("volumes[2].type", "volume", "the default"),
    (".host_ip", "127.0.0.1", "the default"),
    (".scale", "1", "the default"),
    (".replicas", "1", "the default"),
    ("version", "3.8", "no longer used"),
    ("version", "0.5", "no longer used"),
    ("done.availability.restart", "no", "a task does not restart"),
    (".disabled", "false", "the default"),
    (".disabled", "no", "the default"),
    ("environment[3]", "PASSED", "services have the environment of devstack"),
    (".failure_threshold", "3", "the default"),
    (".period_seconds", "10", "the default"),
    (".host", "127.0.0.1", "the default"),
    (".scheme", "http", "the default"),
    (".path", "/", "the default"),
    (".autostart", "true", "the default"),
    (".cwd", "<CONFIG_DIR>", "the default"),
    (".no-such-system", "./other", "for another system"),
];

fn is_redundant(path: &str, node: &YamlNode) -> bool {
    let value = node.peek_scalar().unwrap_or_default();
    let fits = |(end, same, _): &(&str, &str, &str)| path.ends_with(end) && *same == value;
    REDUNDANT.iter().any(fits)
}

/// Whether a note is about the value, or about one around it as a whole.
fn has_note(stack: &ImportedStack, path: &str) -> bool {
    stack.notes.iter().any(|note| {
        let rest = path.strip_prefix(&note.subject);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            && (note.text.starts_with("not ") || rest == Some(""))
    })
}

#[test]
fn nothing_is_dropped_without_a_word() {
    let mut dropped = String::new();
    for format in FORMATS {
        for case in cases(format) {
            let text = fs::read_to_string(&case).unwrap();
            let Ok(document) = YamlDocument::parse(&text, "file") else { continue };
            let Ok(whole) = read_document(format, &case, document.clone()) else { continue };
            visit(&document.root, &mut Vec::new(), &mut |keys, node| {
                let path = join(keys.iter().map(|(key, _)| key), ".").replace(".[", "[");
                let mut less = document.clone();
                remove(&mut less.root, keys);
                let top = document.root.peek(&keys[0].0);
                let is_elsewhere = top.is_some_and(YamlNode::has_alias);
                if node.peek_scalar().is_some()
                    && !is_elsewhere
                    && !is_redundant(&path, node)
                    && !has_note(&whole, &path)
                    && read_document(format, &case, less).as_ref() == Ok(&whole)
                {
                    let case = case.file_name().unwrap().to_str().unwrap();
                    let value = node.peek_scalar();
                    writeln!(dropped, "{format}/{case}:{} {path}: {value:?}", node.line).unwrap();
                }
            });
        }
    }
    assert!(dropped.is_empty(), "nothing and no note comes from these values:\n{dropped}");
}
