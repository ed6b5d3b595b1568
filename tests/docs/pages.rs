//! What the README and the guide show is true: configurations pass the checker, commands print what is written below
//! them, links lead somewhere, and nothing is left out.

use std::collections::BTreeSet;
use std::fs;

use super::console;
use super::page::{Block, Page, all, guide, named, repository};
use crate::support::{TestProject, require_program};

/// What fits on two screens, and what can be read in three minutes.
const MAX_README: usize = 100;
const MAX_PAGE: usize = 110;
const MAX_WORDS: usize = 750;

/// A fragment as a whole configuration. Its keys are those of a service `api`, which needs a command; tables of the
/// file (`[stack]`) stay in front. It may depend on a data store `db` and a task `migrate`.
fn whole(fragment: &str) -> String {
    let (before, own) = match fragment.starts_with('[') {
        true => (fragment, ""),
        false => ("", fragment),
    };
    let has = |key: &str| own.lines().any(|line| line.starts_with(&format!("{key} = ")));
    let command = if has("command") || has("preset") { "" } else { "command = \"./api\"\n" };
    format!(
        "{before}\n[services.api]\n{command}{own}\n[services.db]\npreset = \"postgres\"\n\n\
         [services.migrate]\nkind = \"task\"\ncommand = \"./migrate\"\n"
    )
}

/// Makes the directories and env files that a configuration names.
fn make_named_files(project: &TestProject, text: &str) {
    let Ok(file) = text.parse::<toml::Table>() else { return };
    let tables = file.get("services").and_then(toml::Value::as_table);
    let services = tables.into_iter().flat_map(toml::Table::values);
    for service in services.chain(file.get("stack")) {
        if let Some(dir) = service.get("dir").and_then(toml::Value::as_str) {
            fs::create_dir_all(project.path(dir)).expect("the project is ours");
        }
        let files = match service.get("env_file") {
            Some(toml::Value::Array(files)) => files.clone(),
            other => other.cloned().into_iter().collect(),
        };
        files.iter().filter_map(toml::Value::as_str).for_each(|name| {
            project.write(name, "");
        });
    }
}

fn is_toml(block: &&Block) -> bool {
    block.info.split(' ').next() == Some("toml")
}

#[test]
fn every_configuration_in_the_guide_passes_the_check() {
    let mut count = 0;
    for page in guide() {
        for block in page.blocks.iter().filter(is_toml) {
            let place = format!("{}:{}", page.name, block.line);
            let text = match block.info.as_str() {
                "toml" | "toml run" => block.text.clone(),
                "toml fragment" => whole(&block.text),
                other => panic!("{place}: no rule for a block of kind {other:?}"),
            };
            let project = TestProject::new();
            make_named_files(&project, &text);
            project.configure(&text);
            let ended = project.devstack(["check"]).run();
            assert_eq!((ended.code(), &*ended.stderr), (0, ""), "{place}:\n{text}");
            project.finish();
            count += 1;
        }
    }
    assert!(count >= 15, "only {count} blocks were found");
}

/// The stack in which the commands of a block run: the last one before it that is marked `toml run`, or else the first
/// stack of the guide.
fn stack_of(page: &Page, block: &Block) -> String {
    let mut before = page.blocks.iter().rev().filter(|other| other.line < block.line);
    let marked = before.find(|other| other.is("toml run"));
    marked.map_or_else(first_stack, |block| block.text.clone())
}

fn first_stack() -> String {
    let page = named("getting-started.md");
    let first = page.blocks.into_iter().find(|block| block.is("toml run"));
    first.expect("the guide begins with a stack").text
}

#[test]
fn commands_in_the_guide_print_what_it_shows() {
    let Some(_) = require_program("python3") else { return };
    let mut count = 0;
    for page in guide() {
        for block in page.blocks.iter().filter(|block| block.is("console run")) {
            console::play(
                &format!("{}:{}", page.name, block.line),
                &stack_of(&page, block),
                &block.text,
            );
            count += 1;
        }
    }
    assert!(count >= 4, "only {count} blocks were found");
}

#[test]
fn every_command_is_in_the_readme() {
    let project = TestProject::new();
    let help = project.devstack(["--help"]).run().expect_code(0).stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let commands: BTreeSet<&str> = commands
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 20, "{commands:?}");
    let readme = fs::read_to_string(repository().join("README.md")).expect("text");
    let table: String = readme.lines().filter(|line| line.starts_with("| `")).collect();
    let word = |text: &str, word: &str| {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|one| one == word)
    };
    let missing: Vec<_> = commands.iter().filter(|command| !word(&table, command)).collect();
    assert!(missing.is_empty(), "not in the table of the README: {missing:?}");
    project.finish();
}

#[test]
fn pages_are_short() {
    for page in guide() {
        let most = if page.name == "README.md" { MAX_README } else { MAX_PAGE };
        let lines = page.text.lines().count();
        assert!(lines <= most, "{} has {lines} lines, more than {most}", page.name);
        let words = words(&page.text);
        assert!(words <= MAX_WORDS, "{} has {words} words, more than {MAX_WORDS}", page.name);
    }
}

/// How GitHub names the place of a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// A text without its fenced blocks.
fn prose(text: &str) -> String {
    let mut in_block = false;
    let outside = |line: &&str| {
        in_block ^= line.starts_with("```");
        !in_block
    };
    text.lines().filter(outside).flat_map(|line| [line, "\n"]).collect()
}

/// How many words a text has to read; the code in it is looked at.
fn words(text: &str) -> usize {
    let is_word = |word: &&str| word.chars().any(char::is_alphanumeric);
    prose(text).split_whitespace().filter(is_word).count()
}

/// The targets of links and pictures in a text, but not those in code.
fn links(text: &str) -> Vec<String> {
    let text = prose(text);
    let parts = text.split("](").skip(1);
    parts.filter_map(|part| part.split_once(')').map(|(target, _)| target.to_owned())).collect()
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let mut broken = Vec::new();
    for page in all() {
        let own = repository().join(&page.name);
        let dir = own.parent().expect("it is a file");
        for link in links(&page.text).into_iter().filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let file = if file.is_empty() { own.clone() } else { dir.join(file) };
            let text = fs::read_to_string(&file).unwrap_or_default();
            let mut headings = text.lines().filter(|line| line.starts_with('#'));
            let title = |line: &str| anchor(line.trim_start_matches('#').trim());
            if !file.exists() || !heading.is_empty() && !headings.any(|line| title(line) == heading)
            {
                broken.push(format!("{}: {link}", page.name));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");

    let index = links(&named("README.md").text);
    for page in guide().iter().skip(1) {
        let name = page.name.strip_prefix("docs/guide/").expect("it is in the guide");
        assert!(
            name == "README.md" || index.iter().any(|link| link == name),
            "{name} is not in the index"
        );
    }
}

#[test]
fn the_picture_shows_nothing_of_the_machine_it_was_made_on() {
    let picture = repository().join("docs/images/up.svg");
    let text = fs::read_to_string(picture).expect("text");
    assert!(text.contains("is in use by") && text.contains("~/old-app"), "{text}");
    for place in ["/tmp/", "/home/", "/root/", "/Users/", "/var/", "href", "url("] {
        assert!(!text.contains(place), "{place} is in the picture");
    }
}
