//! Rules that the compiler does not know, checked in every file: which room may use which (the table in
//! `src/lib.rs`), and what never appears in the code. The rules are tables in `layers/tables.rs`.

mod paths;
mod rules;
mod source;
mod tables;

use std::fs;
use std::path::Path;

use paths::paths;
use rules::{Finding, check, names};
use source::Source;

#[test]
fn the_house_is_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    ["src", "tests"].iter().for_each(|dir| collect(root, &root.join(dir), &mut files));
    assert!(files.iter().any(|(path, _)| path == "src/lib.rs"), "the sources are found");
    let findings = check(
        &files,
        &dependencies(&fs::read_to_string(root.join("Cargo.toml")).expect("it is there")),
    );
    let list: Vec<String> = findings.iter().map(describe).collect();
    assert!(list.is_empty(), "\n{}", list.join("\n"));
}

/// The architecture page leads to files: each of them exists.
#[test]
fn paths_of_the_architecture_page_exist() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let page = fs::read_to_string(src.join("lib.rs")).expect("readable");
    let named: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("//! | "))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|name| name.ends_with(".rs") || name.ends_with('/'))
        .collect();
    assert!(named.len() > 20, "the table is found: {named:?}");
    let gone: Vec<_> = named.iter().filter(|name| !src.join(name).exists()).collect();
    assert!(gone.is_empty(), "{gone:?}");
}

fn describe(finding: &Finding) -> String {
    format!("{}:{}: {}: {}", finding.path, finding.line, finding.rule, finding.text)
}

/// Every Rust file below, as its path from the root and its text, in the order of paths.
fn collect(root: &Path, dir: &Path, files: &mut Vec<(String, String)>) {
    let entries = fs::read_dir(dir).expect("the sources are there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("below the root").display().to_string();
            files.push((name, fs::read_to_string(&path).expect("sources are text")));
        }
    }
}

/// The crates that the manifest names, as code names them.
fn dependencies(manifest: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().expect("cargo has read it before");
    let mut tables = vec![&manifest["dependencies"]];
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    tables
        .extend(targets.into_iter().flatten().filter_map(|(_, target)| target.get("dependencies")));
    let names = tables.into_iter().filter_map(toml::Value::as_table).flat_map(toml::Table::keys);
    names.map(|name| name.replace('-', "_")).collect()
}

/// The rules that one made-up file breaks, with lines.
fn broken(path: &str, text: &str) -> Vec<(String, usize)> {
    let dependencies = ["tokio", "serde", "libc", "clap", "hyper"].map(str::to_owned);
    let findings = check(&[(path.to_owned(), text.to_owned())], &dependencies);
    findings.into_iter().map(|finding| (finding.rule, finding.line)).collect()
}

/// For each rule files that break it and nothing else, in their last line.
const BAD: [(&str, &str, &str); 57] = [
    ("layers", "src/model/a.rs", "use crate::engine::Engine;"),
    ("layers", "src/engine/a.rs", "\nuse crate::{model::Name, supervisor::SupervisorHandle};"),
    ("layers", "src/engine/a.rs", "fn f() { crate::ports::choose() }"),
    ("layers", "src/config/check.rs", "use crate::engine::plan;"),
    ("layers", "src/ports/mod.rs", "use super::supervisor::SupervisorHandle;"),
    ("layers", "src/watch/mod.rs", "use crate::control::client;"),
    ("layers", "src/control/client/mod.rs", "use crate::supervisor::SupervisorHandle;"),
    ("layers", "src/control/client/stream.rs", "use crate::supervisor::SupervisorHandle;"),
    ("layers", "src/control/server/mod.rs", "use crate::engine::Engine;"),
    ("dependencies", "src/model/a.rs", "use serde::Serialize;\nuse libc::c_int;"),
    ("dependencies", "src/engine/a.rs", "pub use tokio::sync::mpsc;"),
    ("dependencies", "src/config/load/mod.rs", "fn f() { tokio::spawn(x) }"),
    ("dependencies", "src/control/server/mod.rs", "use clap::Parser;"),
    ("pure: no world", "src/engine/a.rs", "use std::{collections::BTreeMap, env};"),
    ("pure: no world", "src/config/check.rs", "fn f() { std::fs::metadata(x) }"),
    ("pure: no world", "src/config/loader.rs", "use std::fs;"),
    ("log: store", "src/log/store/a.rs", "use crate::log::shared::SharedLog;"),
    ("log: shared", "src/log/shared/a.rs", "use crate::log::{LogChunk, read};"),
    ("log: read", "src/log/read/a.rs", "use crate::log::format::LogStyle;"),
    ("log: no way back", "src/log/format/a.rs", "use crate::log::StackLog;"),
    ("pure: no world", "src/model/a.rs", "use std::net::TcpListener;"),
    ("pure: no look at the disk", "src/config/check.rs", "fn f(p: &Path) {\n p\n  .exists() }"),
    ("pure: no clock", "src/engine/a.rs", "use std::time::{Duration, SystemTime};"),
    ("pure: no clock", "src/engine/a.rs", "let now = Instant::now();"),
    ("pure: no elapsed time", "src/engine/a.rs", "started.elapsed()"),
    ("pure: order", "src/config/a.rs", "use std::collections::HashMap;"),
    (
        "one step",
        "src/supervisor/executor/executor.rs",
        "use crate::engine::Engine;\nengine.step(now, input)",
    ),
    ("one loop that never blocks", "src/supervisor/supervisor.rs", "use std::fs;"),
    ("one loop that never blocks", "src/supervisor/inputs.rs", "std::thread::spawn(f)"),
    (
        "one loop that waits for no file and no lock",
        "src/supervisor/publish.rs",
        "fn f() {\nlet x = self.logs.tail(name, 10);",
    ),
    (
        "one loop that waits for no file and no lock",
        "src/supervisor/port_loss.rs",
        "let x = ports.lock();",
    ),
    ("processes", "src/cli/down.rs", "use rustix::process::{Pid, kill_process};"),
    ("processes", "src/supervisor/supervisor.rs", "libc::waitpid(1)"),
    ("unsafe", "src/process/daemonize.rs", "unsafe { f() }"),
    ("processes by path", "src/ports/holders/holder.rs", "libc::kill(pid, 9)"),
    ("processes by path", "src/cli/start/up.rs", "use std::process::{Command, Stdio};"),
    ("processes by path", "src/probe/tcp.rs", "tokio::process::Child"),
    ("no sleep", "src/ports/choose.rs", "std::thread::sleep(x)"),
    (
        "no sleep",
        "src/ports/choose.rs",
        "#[cfg(test)]\nmod tests { use std::thread; fn f() {\nthread::sleep(x) } }",
    ),
    ("no sleep", "tests/restart.rs", "thread::sleep(x)"),
    ("files", "src/cli/start/up.rs", "use std::fs;\nfn f() { fs::read_to_string(p) }"),
    ("files", "src/cli/start/up.rs", "use std::fs::{metadata, write};"),
    ("files", "src/export/a.rs", "std::fs::File::open(path)"),
    ("files", "src/process/a.rs", "let mut open = std::fs::OpenOptions::new();"),
    ("parents", "src/cli/start/up.rs", "use super::super::args;"),
    ("parents", "src/cli/start/up.rs", "use super::{super::args};"),
    ("types", "src/cli/start/up.rs", "struct A;\npub(crate) enum A {}"),
    ("types", "src/cli/start/up.rs", "pub trait State {}\npub type State = u8;"),
    ("types", "src/sys/linux/process.rs", "enum A {}\nunion A {}"),
    ("nothing unfinished", "src/cli/start/up.rs", "fn f() { todo!() }"),
    ("nothing unfinished", "src/cli/start/up.rs", "fn f() -> u8 { return todo!() }"),
    ("nothing unfinished", "tests/a.rs", "fn f() { unimplemented!(\"later\") }"),
    ("no notes to self", "src/cli/start/up.rs", "// TODO: later"),
    ("no notes to self", "tests/a.rs", "/* a\n FIXME */"),
    ("no unwrap, no allow", "src/cli/start/up.rs", "x.unwrap()"),
    ("no unwrap, no allow", "src/cli/start/up.rs", "#[allow(dead_code, reason = \"later\")]"),
    ("no unwrap, no allow", "src/cli/start/up.rs", "#[cfg(not(test))]\nfn f() {\nx.unwrap() }"),
];

/// Files that look alike and break nothing.
const GOOD: [(&str, &str); 21] = [
    (
        "src/model/a.rs",
        "use std::fmt;\nuse serde::Serialize;\nuse super::Name;\nuse crate::model::Run;",
    ),
    (
        "src/engine/a.rs",
        "use crate::model::{Cause, Name};\nuse super::order;\nfn f(now: Instant) { Engine::new() }",
    ),
    (
        "src/engine/a.rs",
        "// Instant::now and std::fs are for others, see crate::supervisor\nconst A: &str = \"std::fs\";",
    ),
    (
        "src/engine/a.rs",
        "#[cfg(test)]\nmod tests { use std::fs; fn f() { x.unwrap(); engine.step(now); } }",
    ),
    (
        "src/engine/a.rs",
        "fn f<'a>(x: &'a str) -> char { '\"' } // \" and '\nfn g() { r#\"std::fs::\"x\"#; }",
    ),
    ("src/engine/a.rs", "engine.step(now, input)"),
    ("src/config/load/mod.rs", "use std::fs;\nfn f(p: &Path) { p.exists() }"),
    ("src/config/load/file.rs", "use std::{env, fs};"),
    ("src/supervisor/supervisor.rs", "self.engine.step(now, input)"),
    ("src/log/mod.rs", "(0..9).step_by(2); self.reader.step(1)"),
    ("src/process/unix.rs", "libc::kill(pid, 9); use std::process::Command;"),
    (
        "src/control/client/mod.rs",
        "use super::protocol;\nuse crate::model::Snapshot;\nuse tokio::net::UnixStream;",
    ),
    ("src/control/server/mod.rs", "use crate::supervisor::SupervisorHandle;"),
    ("src/cli/start/up.rs", "use std::process::ExitCode;\nx.unwrap_or(1); x.unwrap_or_default()"),
    ("src/cli/start/up.rs", "const A: &str = \"todo!() // TODO\"; // a method to do it"),
    ("src/cli/start/up.rs", "#[cfg(test)]\nuse std::process::Command;\nfn f() {}"),
    ("src/engine/a.rs", "use std::net::IpAddr;"),
    ("src/control/instance/mod.rs", "thread::sleep(x)"),
    ("src/ports/lease.rs", "std::thread::sleep(x)"),
    ("src/cli/start/up.rs", "use std::fs; fs::read_dir(p); LogFile::create(x); fs::metadata(p)"),
    ("tests/a.rs", "x.unwrap(); std::process::Command::new(\"sh\")"),
];

#[test]
fn every_rule_can_fail() {
    for (rule, path, text) in BAD {
        let line = text.lines().count();
        assert_eq!(broken(path, text), [(rule.to_owned(), line)], "{path}: {text}");
    }
    let long = "fn f() {}\n".repeat(451);
    assert_eq!(broken("src/cli/start/up.rs", &long), [("length".to_owned(), 451)]);
    let many = (0..23).map(|at| (format!("src/cli/start/f{at:02}.rs"), String::new()));
    let many: Vec<_> = many.collect();
    let found = check(&many, &[]);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].rule.as_str(), found[0].path.as_str()), ("files", "src/cli/start/f22.rs"));
    assert_eq!(check(&many[1..], &[]), []);
    let shown = |name: &&str| {
        ["length", "files"].contains(name) || BAD.iter().any(|(rule, ..)| rule == name)
    };
    let unproven: Vec<_> = names().into_iter().filter(|name| !shown(name)).collect();
    assert_eq!(unproven, [""; 0]);
}

#[test]
fn what_only_looks_like_a_breach_is_none() {
    for (path, text) in GOOD {
        assert_eq!(broken(path, text), [], "{path}: {text}");
    }
    let tests =
        format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{}}}\n", "fn f() {}\n".repeat(1000));
    assert_eq!(broken("src/cli/start/up.rs", &tests), []);
    assert_eq!(Source::new("src/cli/start/up.rs", &tests).lines, 1);
}

#[test]
fn a_module_declared_for_tests_is_a_test_with_all_below_it() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let bad = "use std::fs;";
    let mut files = vec![
        file("src/engine/mod.rs", "#[cfg(test)]\nmod scripts;\nmod order;"),
        file("src/engine/scripts.rs", bad),
        file("src/engine/scripts/golden.rs", bad),
    ];
    assert_eq!(check(&files, &[]), []);
    files.push(file("src/engine/start_order.rs", bad));
    assert_eq!(check(&files, &[]).len(), 1);
}

#[test]
fn one_name_is_one_type() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let files = [
        file("src/sys/linux/process.rs", "pub struct A;\nstruct State;\nstruct $name;"),
        file("src/sys/macos/process.rs", "pub struct A;\nstruct State;\nstruct $name;"),
        file("src/ports/hold.rs", "impl Iterator for B { type Item = u8; }\n// struct A;"),
        file("src/ports/lease.rs", "impl Iterator for C { type Item = u8; }\nlet a = \"enum A\";"),
        file("tests/a.rs", "struct A;"),
    ];
    assert_eq!(check(&files, &[]), []);
    let other = file("src/terminal/mod.rs", "#[cfg(test)]\nstruct D;\npub struct A;");
    let found = check(&[&files[..], &[other]].concat(), &[]);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].path.as_str(), found[0].line), ("src/terminal/mod.rs", 3));
    assert_eq!(found[0].text, "`A` is also a type in src/sys/macos/process.rs");
}

#[test]
fn use_trees_are_written_out() {
    let found = |code: &str| -> Vec<String> {
        let module = ["engine".to_owned(), "order".to_owned()];
        paths(code, &module).into_iter().map(|mention| mention.path.join("::")).collect()
    };
    assert_eq!(found("use a::{b, c::{d as e, f::*}, g};"), ["a::b", "a::c::d", "a::c::f", "a::g"]);
    assert_eq!(
        found("use super::{self, x::Y}; use self::z;"),
        ["crate::engine", "crate::engine::x::Y", "crate::engine::order::z"]
    );
    assert_eq!(found("fn f(x: a::B<c::D>) -> E { g::<h::I>::j(); k }"), ["a::B", "c::D", "h::I"]);
    assert_eq!(found("use a::{b,}; use {c::d, e};"), ["a::b", "c::d", "e"]);
    assert_eq!(found("use a::{"), [""; 0]);
}

#[test]
fn literals_and_comments_are_not_code() {
    let code = |text: &str| {
        Source::new("src/a.rs", text).code.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(code("a /* b /* c */ d */ e // f\ng"), "a e g");
    assert_eq!(code(r##"a "b\"c" d r#"e " f"# g br"h" i"##), "a d g b i");
    assert_eq!(code(r"a '\'' b 'c' d 'static e '\u{1F600}' f 'ä' g"), "a b d 'static e f g");
    assert_eq!(code("for r in x { r }"), "for r in x { r }");
    assert_eq!(code("\"not closed"), "");
    assert_eq!(Source::new("src/a.rs", "a // b\n/* c */ d").comments, "  // b\n/* c */  ");
}

#[test]
fn decisions_are_numbered_once() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/decisions");
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<std::path::PathBuf> = files.collect();
    files.sort();
    let mut numbers = std::collections::BTreeSet::new();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let number = name.split('-').next().unwrap();
        assert!(numbers.insert(number.to_owned()), "{name} has the number of another one");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with(&format!("# {number}: ")),
            "{name} does not begin with its number"
        );
    }
    assert!(numbers.len() > 10);
}
