use std::fs;
use std::path::{Path, PathBuf};

use super::stack_text::stack_text;
use crate::import::{ImportedStack, read_compose, read_mprocs, read_process_compose};
use crate::model::{Message, Name};

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
