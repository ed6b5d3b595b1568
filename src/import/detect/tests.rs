//! Directories, and the configuration that each becomes.

use std::fs;
use std::path::Path;

use crate::config::{ConfigSources, ImportTrust, load};
use crate::import::ImportedStack;

fn detect_stack(root: &Path) -> ImportedStack {
    super::detect_stack(root, &ImportTrust::new(&ConfigSources::default()))
}

/// Writes files of this name and text, separated by `=== NAME` lines.
fn write(root: &Path, files: &str) {
    for part in files.split("=== ").skip(1) {
        let (name, text) = part.split_once('\n').expect("a name and a text");
        let path = root.join(name.trim());
        fs::create_dir_all(path.parent().expect("it is below the root")).expect("writable");
        fs::write(path, text).expect("writable");
    }
}

#[test]
fn each_directory_of_the_corpus_becomes_a_valid_configuration() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/detect");
    let mut cases: Vec<_> = fs::read_dir(&corpus)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 30, "only {} cases", cases.len());
    for case in cases {
        let name = case.file_stem().expect("a name").to_string_lossy().into_owned();
        let place = tempfile::tempdir().expect("a directory");
        let root = place.path().join("shop");
        fs::create_dir(&root).expect("writable");
        write(&root, &fs::read_to_string(&case).expect("readable"));
        let stack = detect_stack(&root);
        let text = stack.to_toml("the files of this directory");
        let notes = stack.notes.iter().map(|note| format!("note: {}: {}\n", note.file, note.text));
        let shown = text.clone() + "---\n" + &notes.collect::<String>();
        insta::with_settings!({ snapshot_path => "../snapshots/detect", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name.as_str(), shown);
        });
        if !stack.services.is_empty() {
            fs::write(root.join("devstack.toml"), text).expect("writable");
            let sources = ConfigSources { cwd: root, ..ConfigSources::default() };
            let config = load(&sources).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(config.notes(), [], "{name}");
        }
    }
}

#[test]
fn hundreds_of_packages_and_deep_trees_are_bounded() {
    let place = tempfile::tempdir().expect("a directory");
    let mut files = "=== package.json\n{\"workspaces\": [\"packages/*\"]}\n".to_owned();
    for number in 0..250 {
        files += &format!(
            "=== packages/p{number:03}/package.json\n{{\"name\": \"p{number}\", \"scripts\": {{\"dev\": \"vite\"}}}}\n"
        );
    }
    files += &format!("=== {}x.py\n", "deep/".repeat(200));
    files += "=== node_modules/a/package.json\n{\"scripts\": {\"dev\": \"vite\"}}\n";
    write(place.path(), &files);
    let stack = detect_stack(place.path());
    assert_eq!(stack.services.len(), 200);
    let [note] = &stack.notes[..] else { panic!("{:?}", stack.notes) };
    assert_eq!(note.text, "only the first 200 of 251 directories were read");
    let ports: std::collections::BTreeSet<_> = stack.services.iter().map(|it| it.port).collect();
    assert_eq!(ports.len(), 200, "each has a port of its own");
}

#[test]
fn files_that_are_too_large_or_no_text_are_not_read() {
    let place = tempfile::tempdir().expect("a directory");
    fs::write(place.path().join("package.json"), " ".repeat(10_000_000)).expect("room");
    fs::write(place.path().join("app.py"), b"app = Flask(\xff)").expect("writable");
    assert_eq!(detect_stack(place.path()).services, []);
}
