use super::package_script::script_name;
use super::servers::servers;
use super::{Preset, all, servers};
use crate::model::BindHints;

/// Programs that run the program named after them, and their subcommands.
const LAUNCHERS: [&str; 27] = [
    "auto-restart", "bun", "bundle", "bunx", "coverage", "cross-env", "dlx", "doas", "dotenv",
    "env", "exec", "hatch", "nice", "npm", "npx", "pdm", "pipenv", "pnpm", "pnpx", "poetry", "run",
    "sudo", "time", "uv", "uvx", "watchmedo", "yarn",
];

/// Detects the preset of the framework that a command starts. Never guesses: `npm run dev` names
/// none. `words` may come from a shell command; its last simple command wins.
pub fn detect_preset(words: &[String]) -> Option<&'static Preset> {
    split_commands(words).find_map(|words| programs(words).find_map(preset))
}

/// Detects how a command's server takes its port and host. The server is a preset or a known
/// server; scripts of `package.json` hide theirs.
pub fn detect_bind_hints(words: &[String]) -> Option<BindHints> {
    split_commands(words).filter(|words| script_name(words).is_none()).find_map(|words| {
        let known = |found: NamedProgram<'_>| {
            let preset = preset(found).map(|preset| preset.facts().bind_hints.clone());
            preset.or_else(|| find_server(found))
        };
        programs(words).find_map(known)
    })
}

/// Commands that build a program before they run it, which takes minutes the first time.
const BUILDERS: &[&[&str]] = &[
    &["bazel", "run"],
    &["cargo", "run"],
    &["cargo", "watch"],
    &["dotnet", "run"],
    &["dotnet", "watch"],
    &["go", "build"],
    &["go", "run"],
    &["gradle"],
    &["gradlew"],
    &["mvn"],
    &["mvnw"],
    &["sbt"],
    &["swift", "run"],
];

/// Whether a command builds its program, or downloads what it needs, before it runs.
pub fn builds_first(words: &[String]) -> bool {
    split_commands(words).any(|words| {
        BUILDERS.iter().any(|builder| {
            // What follows a later one follows the first one as well.
            let at = words.iter().position(|word| builder[0] == file_name(word));
            at.is_some_and(|at| {
                builder[1..].iter().all(|word| words[at + 1..].iter().any(|it| it == word))
            })
        })
    })
}

/// Splits a shell command into simple commands, last one first.
pub(super) fn split_commands(words: &[String]) -> impl Iterator<Item = &[String]> {
    let between = |word: &String| matches!(word.as_str(), "&&" | "||" | ";" | "|" | "&");
    words.split(between).rev()
}

/// A program without its directory, and the words after it.
type NamedProgram<'w> = (&'w str, &'w [String]);

/// Returns the programs that a command starts, last one first: `node` may start another one.
fn programs(words: &[String]) -> impl Iterator<Item = NamedProgram<'_>> {
    let all = words.iter().enumerate().map(|(at, word)| (file_name(word), &words[at + 1..]));
    let mut named = all.filter(|(word, _)| !is_launcher_word(word));
    let first = named.next();
    let second = first.filter(|(program, _)| *program == "node").and_then(|_| named.next());
    second.into_iter().chain(first)
}

fn preset(found: NamedProgram<'_>) -> Option<&'static Preset> {
    all().iter().find(|preset| {
        // Parse only the few presets that mention the word.
        preset.text.contains(found.0) && names(&preset.facts().programs, found)
    })
}

fn find_server(found: NamedProgram<'_>) -> Option<BindHints> {
    let is_in = || servers::TEXT.contains(found.0);
    let server = is_in().then(|| servers().iter().find(|server| names(&server.programs, found)));
    Some(server??.bind_hints.clone())
}

/// Whether one of these entries, a program and words that must follow, matches.
fn names(entries: &[String], (program, rest): NamedProgram<'_>) -> bool {
    entries.iter().any(|entry| {
        let mut words = entry.split(' ');
        words.next() == Some(program) && words.all(|word| rest.iter().any(|other| other == word))
    })
}

/// Whether the program comes later: an option, an assignment, a launcher or Python.
pub(super) fn is_launcher_word(word: &str) -> bool {
    let assigns = word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    let python = word
        .strip_prefix("python")
        .is_some_and(|version| version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    word.starts_with('-') || assigns || python || LAUNCHERS.contains(&word)
}

pub(super) fn file_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_is_found_by_all_its_words_in_order() {
        let builds = |text: &str| {
            builds_first(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        };
        assert!(builds("cargo cargo run") && builds("env A=1 cargo -q run") && builds("./gradlew"));
        assert!(!builds("run cargo") && !builds("cargo && run") && !builds("cargo test"));
        assert!(!builds(&"cargo ".repeat(170_000)));
    }
}
