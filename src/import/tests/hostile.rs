//! Files that nobody writes by mistake: each is an error or a stack, and takes little memory.

use std::path::Path;

use crate::import::{ImportedStack, read_compose, read_mprocs, read_process_compose};
use crate::model::Message;

fn compose(text: &str) -> Result<ImportedStack, Message> {
    read_compose(text, "f", &|_: &Path| None)
}

/// Reads a text in all formats and returns the error of each, or its number of notes.
fn outcomes(text: &str) -> [String; 3] {
    [compose(text), read_process_compose(text, "f"), read_mprocs(text, "f")].map(
        |read| match read {
            Ok(stack) => format!("{} notes", stack.notes.len()),
            Err(message) => {
                assert!(!message.help.is_empty(), "{message:?}");
                message.text
            }
        },
    )
}

/// Whether a text is refused in all formats for this reason.
fn refused(text: &str, reason: &str) {
    for outcome in outcomes(text) {
        assert_eq!(outcome, reason);
    }
}

#[test]
fn files_that_grow_are_refused() {
    const TOO_MANY: &str = "more than 100000 values, counting those of aliases";
    let mut laughs = "a0: &a0 [x, x]\n".to_owned();
    for level in 1..40 {
        let (last, copies) = (level - 1, format!("*a{}, ", level - 1).repeat(9));
        laughs.push_str(&format!("a{level}: &a{level} [{copies}*a{last}]\n"));
    }
    refused(&laughs, &format!("f:6: {TOO_MANY}"));
    let merges = (1..40).fold("a0: &a0 {x: y}\n".to_owned(), |text, level| {
        let last = level - 1;
        text + &format!(
            "a{level}: &a{level} {{<<: [{}], k{level}: [*a{last}, *a{last}]}}\n",
            format!("*a{last},").repeat(9)
        )
    });
    assert!(outcomes(&merges).iter().all(|outcome| outcome.ends_with(TOO_MANY)));
    let long = format!("a: &a \"{}\"\nb:\n{}", "x".repeat(1 << 20), "  - *a\n".repeat(1000));
    refused(&long, &format!("f:13: {TOO_MANY}"));
    let many = format!("services:\n{}", "  - a\n".repeat(100_000));
    let error = compose(&many).unwrap_err();
    assert_eq!(error.text, format!("f:99999: {TOO_MANY}"));
}

#[test]
fn services_that_copy_each_other_are_refused() {
    let chain = |count: usize| {
        (1..count).fold(
            "services:\n  s0: {build: ., command: ./a, environment: {K0: x}}\n".to_owned(),
            |text, n| {
                let last = n - 1;
                text + &format!("  s{n}: {{extends: s{last}, environment: {{K{n}: x}}}}\n")
            },
        )
    };
    assert_eq!(compose(&chain(100)).unwrap().services[99].env.len(), 100);
    let error = compose(&chain(5000)).unwrap_err();
    assert!(error.text.contains("more than 100000 values"), "{}", error.text);

    let circle = "services:\n  x: {extends: a}\n  a: {extends: b}\n  b: {extends: {service: c}}\n  c: {extends: a}\n";
    let error = compose(circle).unwrap_err();
    assert_eq!(error.text, "f:4: services extend each other: `b → c → a → b`");
    let own = compose("services: {a: {extends: a}}").unwrap_err();
    assert_eq!(own.text, "f:1: services extend each other: `a → a`");
}

#[test]
fn deep_files_are_refused() {
    refused(&"[".repeat(1_000_000), "f:1: invalid YAML: recursion limit exceeded");
    refused(&"{a: ".repeat(1_000_000), "f:1: invalid YAML: recursion limit exceeded");
    refused(&"- ".repeat(1_000_000), "f:1: invalid YAML: recursion limit exceeded");
    let steps: String = (0..300).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    refused(&steps, "f:256: invalid YAML: recursion limit exceeded");
}

#[test]
fn large_texts_are_read() {
    let text = "x".repeat(2 << 20);
    let file = format!("services:\n  a:\n    build: .\n    command: [\"{text}\"]\n");
    assert_eq!(compose(&file).unwrap().services.len(), 1);
    let comments = format!("{}procs: {{a: b}}\n", "# comment\n".repeat(100_000));
    assert_eq!(read_mprocs(&comments, "f").unwrap().services.len(), 1);
    let hosts = format!(
        "services:\n  db: {{image: postgres}}\n  m: {{image: m}}\n  a:\n    build: .\n    command: a\n    environment: {{A: \"{}\"}}\n",
        "db:5432,m:1,".repeat(10_000)
    );
    let stack = compose(&hosts).unwrap();
    assert_eq!(stack.services[2].env[0].1.matches("${db.port}").count(), 10_000);
    assert!(stack.notes.len() < 10);
}

#[test]
fn long_commands_are_left_out() {
    let file = format!("services:\n  a:\n    build: .\n    command: {}\n", "a ".repeat(1 << 20));
    let stack = compose(&file).unwrap();
    assert!(stack.services[0].command.is_none() && stack.notes.len() == 1, "{:?}", stack.notes);
}

#[test]
fn bytes_that_are_not_text_are_named() {
    refused("a: \"\\0\"", "f:1: string contains a NUL character");
    let outcomes =
        outcomes("services: {\"\\e[31m\": 1, \"a\\nb\": 2}\nprocesses: {x: 1}\nprocs: {x: 1}\n");
    assert!(outcomes.iter().all(|outcome| outcome.ends_with("notes")), "{outcomes:?}");
    let stack =
        compose("services: {\"\\e[31m\": 1, a: {build: ., command: a, \"\\e\": 1}}").unwrap();
    let clean = |text: &str| !text.contains(char::is_control);
    assert!(stack.notes.iter().all(|note| clean(&note.subject) && clean(&note.text)));
}

#[test]
fn every_prefix_of_a_file_is_read_or_refused() {
    let text = "x-a: &a {b: [c, 'd']}\nservices:\n  web:\n    <<: *a\n    build: .\n    command: \"a ${B:-c}\"\n    ports: ['1-3:4-6/tcp']\n    healthcheck: {test: [CMD, curl, 'http://localhost:1/']}\n";
    for end in 0..text.len() {
        outcomes(&text[..end]);
    }
}
