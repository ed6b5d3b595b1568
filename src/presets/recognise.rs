use super::{Preset, all};

/// Programs that start the one that is named behind them.
const LAUNCHERS: [&str; 21] = [
    "bun", "bundle", "bunx", "doas", "dotenv", "env", "exec", "nice", "npm", "npx", "pdm",
    "pipenv", "pnpm", "pnpx", "poetry", "run", "sudo", "time", "uv", "uvx", "yarn",
];

/// The preset of the framework that a command starts, if its words name one. No guess: `npm run dev` names none.
/// `words` are those of a shell's text too; the last command of several counts.
pub fn recognise(words: &[String]) -> Option<&'static Preset> {
    let between = |word: &String| matches!(word.as_str(), "&&" | "||" | ";" | "|" | "&");
    words.split(between).rev().find_map(one)
}

/// The same for a single command.
fn one(words: &[String]) -> Option<&'static Preset> {
    let mut rest = words.iter().map(|word| file_name(word)).enumerate();
    let (at, program) = rest.find(|(_, word)| !leads(word))?;
    let matches = |entry: &String| {
        let mut entry = entry.split(' ');
        entry.next() == Some(program) && entry.all(|word| words[at + 1..].iter().any(|w| w == word))
    };
    all().iter().find(|preset| {
        // Few presets are worth reading for any one word.
        preset.text.contains(program) && preset.facts().programs.iter().any(matches)
    })
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
