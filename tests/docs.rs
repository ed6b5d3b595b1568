//! What is made by devstack and committed: the schema, what shells read, manual pages. What the README and the guide
//! show is in `docs/pages.rs`.

mod console;
mod page;
mod pages;
mod reference;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{TestProject, require_program};

/// Set to 1 to rewrite the committed files.
const UPDATE: &str = "DEVSTACK_UPDATE_DOCS";

/// What to do when they are old.
const HOW: &str = "run DEVSTACK_UPDATE_DOCS=1 cargo test --test main docs::";

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

/// The files of a directory, by name.
fn files(dir: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(dir) else { return BTreeMap::new() };
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read_to_string(entry.path()).expect("text"))
    };
    entries.map(|entry| file(entry.expect("readable"))).collect()
}

/// Checks a file in `docs`.
fn committed_file(name: &str, made: &str) {
    let path = docs(name);
    if updates() {
        fs::write(&path, made).expect("the repository can be written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == made, "{} is not what devstack makes: {HOW}", path.display());
}

fn updates() -> bool {
    std::env::var_os(UPDATE).is_some_and(|value| value == "1")
}

/// Checks that the files of `dir` are these and no others.
fn committed(dir: &str, made: &BTreeMap<String, String>) {
    let dir = docs(dir);
    if updates() {
        fs::create_dir_all(&dir).expect("the repository can be written");
        for old in files(&dir).into_keys().filter(|name| !made.contains_key(name)) {
            fs::remove_file(dir.join(old)).expect("the repository can be written");
        }
        for (name, text) in made {
            fs::write(dir.join(name), text).expect("the repository can be written");
        }
    }
    let there = files(&dir);
    let old: Vec<_> = made.iter().filter(|(name, text)| there.get(*name) != Some(text)).collect();
    let old: Vec<_> = old.into_iter().map(|(name, _)| name).collect();
    let surplus: Vec<_> = there.keys().filter(|name| !made.contains_key(*name)).collect();
    assert!(
        old.is_empty() && surplus.is_empty(),
        "{} is not what devstack makes (old: {old:?}, surplus: {surplus:?}): {HOW}",
        dir.display()
    );
}

#[test]
fn the_schema_is_the_one_that_is_made() {
    let project = TestProject::new();
    let made = project.devstack(["schema"]).run().expect_code(0).stdout;
    committed_file("devstack.schema.json", &made);
    project.finish();
}

#[test]
fn what_shells_read_is_what_is_made() {
    let project = TestProject::new();
    let made = ["bash", "zsh", "fish"].map(|shell| {
        let script = project.devstack(["completions", shell]).run().expect_code(0).stdout;
        (format!("devstack.{shell}"), script)
    });
    committed("completions", &made.into());
    project.finish();
}

#[test]
fn manual_pages_are_those_that_are_made() {
    let project = TestProject::new();
    project.devstack(["man", "--to", "pages"]).run().expect_code(0);
    let made = files(&project.path("pages"));
    assert!(made.len() > 10 && made.contains_key("devstack-up.1"), "{:?}", made.keys());
    committed("man", &made);
    let page = project.devstack(["man", "up"]).run().expect_code(0).stdout;
    assert_eq!(page, made["devstack-up.1"]);
    let page = project.devstack(["man"]).run().expect_code(0).stdout;
    assert_eq!(page, made["devstack.1"]);
    for command in ["run", "exec"] {
        let page = &made[&format!("devstack-{command}.1")];
        let synopsis = page.lines().find(|line| line.starts_with("\\fBdevstack"));
        assert!(synopsis.is_some_and(|line| line.contains("\\-\\- <")), "{synopsis:?}");
    }
    let ended = project.devstack(["man", "pss"]).run().expect_code(2);
    assert!(ended.stderr.contains("did you mean `ps`?"), "{}", ended.stderr);
    let ended = project.devstack(["man", "--to", "/dev/null/x"]).run().expect_code(1);
    assert!(ended.stderr.contains("cannot write manual pages"), "{}", ended.stderr);
    project.finish();
}

#[test]
fn manual_pages_can_be_read() {
    let Some(man) = require_program("man") else { return };
    let project = TestProject::new();
    for page in files(&docs("man")).into_keys() {
        let ended = project.program(&man).args(["-l".into(), docs("man").join(&page)]).run();
        let ended = ended.expect_code(0);
        assert_eq!(ended.stderr, "", "{page}");
        assert!(ended.stdout.contains("SYNOPSIS"), "{page}: {}", ended.stdout);
    }
    project.finish();
}
