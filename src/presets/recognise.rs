use super::server::{self, servers};
use super::{Preset, Takes, all};

/// Programs that start the one that is named behind them, and the words with which they do.
const LAUNCHERS: [&str; 26] = [
    "auto-restart",
    "bun",
    "bundle",
    "bunx",
    "coverage",
    "dlx",
    "doas",
    "dotenv",
    "env",
    "exec",
    "hatch",
    "nice",
    "npm",
    "npx",
    "pdm",
    "pipenv",
    "pnpm",
    "pnpx",
    "poetry",
    "run",
    "sudo",
    "time",
    "uv",
    "uvx",
    "watchmedo",
    "yarn",
];

/// The preset of the framework that a command starts, if its words name one. No guess: `npm run dev` names none.
/// `words` are those of a shell's text too; the last command of several counts.
pub fn recognise(words: &[String]) -> Option<&'static Preset> {
    simple(words).find_map(|words| programs(words).find_map(preset))
}

/// How the server that a command starts takes port and address, if its words name one: a preset, another server that is
/// known, or a script of a package manager, which hands on what is written behind it.
pub fn takes(words: &[String]) -> Option<Takes> {
    simple(words).find_map(|words| {
        let known = |found: Program<'_>| {
            let preset = preset(found).map(|preset| preset.facts().takes());
            preset.or_else(|| other(found))
        };
        script(words).or_else(|| programs(words).find_map(known))
    })
}

/// The commands of a shell's text, the last one first.
fn simple(words: &[String]) -> impl Iterator<Item = &[String]> {
    let between = |word: &String| matches!(word.as_str(), "&&" | "||" | ";" | "|" | "&");
    words.split(between).rev()
}

/// A program without its folder, and the words behind it.
type Program<'w> = (&'w str, &'w [String]);

/// The programs that a command starts, the last one first: what stands behind `node` may be one, too.
fn programs(words: &[String]) -> impl Iterator<Item = Program<'_>> {
    let all = words.iter().enumerate().map(|(at, word)| (file_name(word), &words[at + 1..]));
    let mut named = all.filter(|(word, _)| !leads(word));
    let first = named.next();
    let second = first.filter(|(program, _)| *program == "node").and_then(|_| named.next());
    second.into_iter().chain(first)
}

fn preset(found: Program<'_>) -> Option<&'static Preset> {
    all().iter().find(|preset| {
        // Few presets are worth reading for any one word.
        preset.text.contains(found.0) && names(&preset.facts().programs, found)
    })
}

fn other(found: Program<'_>) -> Option<Takes> {
    let is_in = || server::TEXT.contains(found.0);
    let server = is_in().then(|| servers().iter().find(|server| names(&server.programs, found)));
    Some(server??.takes())
}

/// Whether one of these entries, a program and words that must follow somewhere, is the one that was found.
fn names(entries: &[String], (program, rest): Program<'_>) -> bool {
    entries.iter().any(|entry| {
        let mut words = entry.split(' ');
        words.next() == Some(program) && words.all(|word| rest.iter().any(|other| other == word))
    })
}

/// A script of `package.json`, whose command is not seen from here.
fn script(words: &[String]) -> Option<Takes> {
    let at = words.iter().position(|word| !leads(file_name(word)) || is_manager(word))?;
    let manager = file_name(&words[at]);
    match (manager, words.get(at + 1).map(String::as_str)) {
        ("npm", Some("run" | "start" | "run-script")) => {}
        ("pnpm" | "yarn" | "bun", Some("run" | "start" | "dev")) => {}
        (_, _) => return None,
    }
    // Only npm keeps options to itself.
    let gap = if manager == "npm" && !words.iter().any(|word| word == "--") { " --" } else { "" };
    let with = |option: &str| format!("write it as `{}{gap} {option}`", words.join(" "));
    Some(Takes { port: with("--port $PORT"), host: Some(with("--host $HOST")), variable: None })
}

fn is_manager(word: &str) -> bool {
    matches!(file_name(word), "npm" | "pnpm" | "yarn" | "bun")
}

/// Whether what is started comes later: an option, an assignment, a launcher, or Python.
fn leads(word: &str) -> bool {
    let assigns = word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    let python = word
        .strip_prefix("python")
        .is_some_and(|version| version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    word.starts_with('-') || assigns || python || LAUNCHERS.contains(&word)
}

fn file_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}
