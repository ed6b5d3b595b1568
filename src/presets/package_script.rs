use std::collections::BTreeMap;
use std::path::PathBuf;

use super::detect::{detect_bind_hints, file_name, is_launcher_word, split_commands};
use crate::model::BindHints;

/// How deeply scripts may run other scripts.
const MAX_DEPTH: usize = 4;

/// A script of `package.json` that a command runs: `npm run dev`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageScript {
    /// The directory of `package.json`, relative to that of the command.
    pub dir: PathBuf,
    name: String,
    /// The command, to which options for the script can be appended.
    command: String,
}

/// Detects the script that a command ends with, unless it is one of another package.
pub fn package_script(words: &[String]) -> Option<PackageScript> {
    let mut commands = split_commands(words);
    let last = commands.next()?;
    let (at, name) = script_name(last)?;
    let elsewhere = ["-w", "-F", "-C", "--workspace", "--workspaces", "--filter", "--prefix"];
    let mut options = last.iter().filter_map(|word| word.split('=').next());
    if options.any(|option| elsewhere.contains(&option)) {
        return None;
    }
    let entered = commands.filter_map(|command| match command {
        [cd, dir] if cd == "cd" => Some(dir),
        _ => None,
    });
    let mut entered: Vec<&String> = entered.collect();
    entered.reverse();
    // Only npm needs `--` to pass options on.
    let gap = if file_name(&last[at]) == "npm" && !last.iter().any(|word| word == "--") {
        " --"
    } else {
        ""
    };
    Some(PackageScript {
        dir: entered.into_iter().collect(),
        name: name.to_owned(),
        command: format!("{}{gap}", last.join(" ")),
    })
}

/// Returns the script that a simple command runs, and the index of its package manager.
pub(super) fn script_name(words: &[String]) -> Option<(usize, &str)> {
    let manager = |word: &str| matches!(word, "npm" | "pnpm" | "yarn" | "bun");
    let mut names = words.iter().map(|word| file_name(word));
    let at = names.position(|word| manager(word) || !is_launcher_word(word))?;
    let mut rest = words[at + 1..].iter().map(String::as_str).filter(|word| !word.starts_with('-'));
    let name = match (file_name(&words[at]), rest.next()?) {
        ("npm" | "pnpm" | "yarn" | "bun", "run") | ("npm", "run-script") => rest.next()?,
        ("npm" | "pnpm" | "yarn" | "bun", "start") => "start",
        ("pnpm" | "yarn" | "bun", "dev") => "dev",
        (_, _) => return None,
    };
    Some((at, name))
}

impl PackageScript {
    /// Returns how the server that the script starts takes its port and host. `scripts`: the words
    /// of all scripts of the package.
    pub fn bind_hints(&self, scripts: &BTreeMap<String, Vec<String>>) -> Option<BindHints> {
        self.hints_within(scripts, MAX_DEPTH)
    }

    fn hints_within(
        &self,
        scripts: &BTreeMap<String, Vec<String>>,
        depth: usize,
    ) -> Option<BindHints> {
        let words = scripts.get(&self.name)?;
        let inner = package_script(words).filter(|it| depth > 0 && it.dir.as_os_str().is_empty());
        let inner = inner.and_then(|inner| inner.hints_within(scripts, depth - 1));
        let hints = inner.or_else(|| detect_bind_hints(words))?;
        // The manager appends options to the last command of the script.
        let last = split_commands(words).next().and_then(detect_bind_hints).is_some();
        let way = |hint: String| match hint.strip_prefix("pass ") {
            Some(options) if last && options.starts_with('-') => {
                format!("write it as `{} {options}`", self.command)
            }
            None if !hint.starts_with("write ") => hint,
            Some(_) | None => format!("{hint} in the script `{}`", self.name),
        };
        Some(BindHints { port: way(hints.port), host: hints.host.map(way), ..hints })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// What a command is told about the host, with these scripts.
    fn host(command: &str, scripts: &[(&str, &str)]) -> Option<String> {
        let script = package_script(&words(command))?;
        let scripts = scripts.iter().map(|(name, text)| ((*name).to_owned(), words(text)));
        script.bind_hints(&scripts.collect())?.host
    }

    #[test]
    fn a_script_is_told_what_its_server_takes() {
        let node = Some("listen on process.env.HOST".to_owned());
        for text in ["node index.js", "nodemon index.js", "NODE_ENV=x cross-env A=1 tsx watch a.ts"]
        {
            assert_eq!(host("npm run dev", &[("dev", text)]), node, "{text}");
        }
        for (command, text, expected) in [
            ("npm run dev", "vite", "write it as `npm run dev -- --host $HOST`"),
            ("npm run dev -- --open", "vite", "write it as `npm run dev -- --open --host $HOST`"),
            ("npm run -s dev", "tsc && vite", "write it as `npm run -s dev -- --host $HOST`"),
            ("yarn dev", "next dev", "write it as `yarn dev --hostname $HOST`"),
            ("cd web ; exec pnpm dev", "vite", "write it as `exec pnpm dev --host $HOST`"),
            ("npm run dev", "vite | tee log", "pass --host $HOST in the script `dev`"),
            (
                "npm run dev",
                "python manage.py runserver",
                "pass $HOST:$PORT to runserver in the script `dev`",
            ),
        ] {
            assert_eq!(host(command, &[("dev", text)]).as_deref(), Some(expected), "{text}");
        }
        let nested = [("start", "npm run serve"), ("serve", "vite")];
        let nested = host("npm start", &nested);
        let expected = "write it as `npm run serve -- --host $HOST` in the script `start`";
        assert_eq!(nested.as_deref(), Some(expected));
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        for (command, text) in [
            ("npm run dev", "./serve.sh"),
            ("npm run dev", "npm run dev"),
            ("npm run build", "vite"),
            ("npm run dev -w web", "vite"),
            ("npm run dev --workspace=web", "vite"),
            ("npm --prefix web run dev", "vite"),
            ("npm run dev | tee log", "vite"),
            ("npm install", "vite"),
            ("echo npm run dev", "vite"),
        ] {
            assert_eq!(host(command, &[("dev", text)]), None, "{command}: {text}");
        }
    }

    #[test]
    fn its_directory_is_the_one_that_is_entered() {
        let dir = |command: &str| package_script(&words(command)).unwrap().dir;
        assert_eq!(dir("npm run dev"), PathBuf::new());
        assert_eq!(dir("cd web && cd app && npm run dev"), PathBuf::from("web/app"));
    }
}
