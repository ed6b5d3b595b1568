//! The port that a project's files give its server. Tolerant: what is not understood gives none.

use std::path::Path;

use serde_json::Value;

use super::ProjectFiles;
use crate::config::env;
use crate::import::yaml::YamlDocument;

/// How much of an expression is looked at, in bytes.
const MAX_EXPRESSION: usize = 1000;

/// How many calls are looked at.
const MAX_CALLS: usize = 16;

/// Tools of JavaScript with a configuration file: the program, the file, the object with the port.
const TOOL_CONFIGS: [(&str, &str, &str); 7] = [
    ("vite", "vite.config", "server"),
    ("astro", "astro.config", "server"),
    ("nuxt", "nuxt.config", "devServer"),
    ("nuxi", "nuxt.config", "devServer"),
    ("vue-cli-service", "vue.config", "devServer"),
    ("webpack", "webpack.config", "devServer"),
    ("webpack-dev-server", "webpack.config", "devServer"),
];

const SCRIPT_ENDINGS: [&str; 6] = ["ts", "js", "mjs", "mts", "cjs", "cts"];

/// Takes the option for the port out of a command: `--port N`, `-p N`, or `PORT=N` before it.
pub(super) fn take_option(words: &mut Vec<String>) -> Option<u16> {
    let (at, count, port) = find_option(words)?;
    words.drain(at..at + count);
    Some(port)
}

/// Replaces the port in the options of a command.
pub(super) fn replace_option(words: &mut [String], by: &str) -> Option<u16> {
    let (at, count, port) = find_option(words)?;
    let word = &mut words[at + count - 1];
    *word = match word.split_once('=') {
        Some((name, _)) => format!("{name}={by}"),
        None => by.to_owned(),
    };
    Some(port)
}

/// Returns where the option for the port is, how many words it has, and the port.
fn find_option(words: &[String]) -> Option<(usize, usize, u16)> {
    words.iter().enumerate().find_map(|(at, word)| match word.split_once('=') {
        Some(("--port" | "-p" | "PORT", port)) => Some((at, 1, number(port)?)),
        None if matches!(word.as_str(), "--port" | "-p") => {
            Some((at, 2, number(words.get(at + 1)?)?))
        }
        _ => None,
    })
}

/// Returns the port in the configuration of the tool that a script runs, and the file.
pub(super) fn in_tool_config(
    dir: &Path,
    words: &[String],
    files: &ProjectFiles<'_>,
) -> Option<(u16, String)> {
    let names = words.iter().map(|word| word.rsplit('/').next().unwrap_or(word));
    for name in names {
        if name == "ng" {
            let file = "angular.json";
            let port = files.text(dir.join(file)).and_then(|text| in_angular(&text));
            return Some((port?, file.to_owned()));
        }
        let Some((_, stem, section)) = TOOL_CONFIGS.iter().find(|(tool, ..)| *tool == name) else {
            continue;
        };
        let named = words.iter().zip(words.iter().skip(1));
        let named = named.filter(|(option, _)| matches!(option.as_str(), "--config" | "-c"));
        let named: Vec<String> = named.map(|(_, file)| file.clone()).collect();
        let usual = SCRIPT_ENDINGS.iter().map(|ending| format!("{stem}.{ending}"));
        let mut candidates = if named.is_empty() { usual.collect() } else { named }.into_iter();
        return candidates.find_map(|file| {
            let text = files.text(dir.join(&file))?;
            Some((in_script(&text, section)?, file))
        });
    }
    None
}

/// Returns the literal `port` in the object `section` of a program in JavaScript, such as
/// `server: { port: 3000 }`.
pub(super) fn in_script(text: &str, section: &str) -> Option<u16> {
    let bytes = text.as_bytes();
    // Of each open bracket, whether it is that object.
    let mut open: Vec<bool> = Vec::new();
    // The last word, and whether a colon has followed it.
    let (mut word, mut is_key) = ("", false);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'/' if bytes.get(at) == Some(&b'/') => at = end_of(bytes, at, b"\n"),
            b'/' if bytes.get(at) == Some(&b'*') => at = end_of(bytes, at + 1, b"*/"),
            b'"' | b'\'' | b'`' => {
                at = end_of_string(bytes, at, byte);
                (word, is_key) = (text.get(start + 1..at - 1).unwrap_or_default(), false);
            }
            b':' => {
                is_key = true;
                if word == "port" && open.last() == Some(&true) {
                    let port = expression(&text[at..], &[',', '}', '\n']).and_then(literal);
                    if port.is_some() {
                        return port;
                    }
                }
            }
            b'{' | b'(' | b'[' => {
                open.push(byte == b'{' && is_key && word == section);
                (word, is_key) = ("", false);
            }
            b'}' | b')' | b']' => {
                open.pop();
                (word, is_key) = ("", false);
            }
            byte if is_word(byte) => {
                while bytes.get(at).copied().is_some_and(is_word) {
                    at += 1;
                }
                (word, is_key) = (&text[start..at], false);
            }
            byte if byte.is_ascii_whitespace() => {}
            _ => (word, is_key) = ("", false),
        }
    }
    None
}

/// Returns the literal `port=` of the call `.run(` in a program in Python, such as `app.run(port=3000)`.
pub(super) fn in_python(text: &str) -> Option<u16> {
    let calls = text.match_indices(".run(").take(MAX_CALLS).filter(|(at, _)| {
        let line = text[..*at].rsplit('\n').next().unwrap_or_default();
        !line.trim_start().starts_with('#')
    });
    calls.map(|(at, call)| &text[at + call.len()..]).find_map(|rest| {
        let arguments = expression(rest, &[])?;
        let (before, port) = arguments.split_once("port=").or(arguments.split_once("port ="))?;
        let is_whole = !before.ends_with(|char: char| char.is_alphanumeric() || char == '_');
        literal(expression(port, &[','])?).filter(|_| is_whole)
    })
}

/// Returns the port that an env file gives a variable.
pub(super) fn in_env_file(text: &str, variable: &str) -> Option<u16> {
    number(&env::value_of(text, variable)?)
}

/// Returns the port of the `config/puma.rb` of a program in Ruby: `port ENV.fetch("PORT", 3000)`.
pub(super) fn in_puma(text: &str) -> Option<u16> {
    text.lines().find_map(|line| {
        let rest = line.trim_start().strip_prefix("port")?;
        let is_call = rest.starts_with([' ', '(']);
        literal(rest.split(" #").next()?.trim_matches([' ', '(', ')', '}'])).filter(|_| is_call)
    })
}

/// Returns `server.port` of Spring's `application.properties`.
pub(super) fn in_properties(text: &str) -> Option<u16> {
    let named = text.lines().filter_map(|line| line.trim_start().strip_prefix("server.port"));
    named.filter_map(|rest| literal(rest.trim_start().strip_prefix(['=', ':'])?)).next_back()
}

/// Returns `server.port` of Spring's `application.yml`.
pub(super) fn in_spring_yaml(text: &str) -> Option<u16> {
    let root = YamlDocument::parse(text, "application.yml").ok()?.root;
    let nested = || root.peek("server")?.peek("port")?.peek_scalar();
    literal(nested().or_else(|| root.peek("server.port")?.peek_scalar())?)
}

/// Returns the port of the first program in an `angular.json` that has one.
fn in_angular(text: &str) -> Option<u16> {
    let root: Value = serde_json::from_str(text).ok()?;
    root.get("projects")?.as_object()?.values().find_map(|project| {
        let targets = project.get("architect").or(project.get("targets"))?;
        let port = targets.get("serve")?.get("options")?.get("port")?.as_u64()?;
        u16::try_from(port).ok().filter(|port| *port > 0)
    })
}

/// Returns the port that an expression is or, if it reads a variable, falls back to: `3000`,
/// `Number(process.env.PORT) || 3000`, `ENV.fetch("PORT") { 3000 }`, `${PORT:3000}`.
fn literal(expression: &str) -> Option<u16> {
    let expression = expression.trim().trim_end_matches(';').trim_end();
    if let Some(port) = number(expression) {
        return Some(port);
    }
    if !expression.contains("PORT") || expression.contains(['+', '*']) {
        return None;
    }
    let numbers = expression.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    // Others are the base of a number, as in `parseInt(text, 10)`.
    numbers.filter_map(number).rfind(|port| *port >= 1024)
}

/// Returns a port that is written as a number, perhaps quoted.
fn number(text: &str) -> Option<u16> {
    text.trim().trim_matches(['"', '\'']).parse().ok().filter(|port| *port > 0)
}

/// Returns the expression at the start of a text: up to one of these characters, to a bracket that was
/// not opened in it, or to the end.
fn expression<'t>(text: &'t str, ends: &[char]) -> Option<&'t str> {
    let mut depth = 0_u32;
    for (at, char) in text.char_indices() {
        match char {
            _ if at > MAX_EXPRESSION => return None,
            _ if depth == 0 && ends.contains(&char) => return Some(&text[..at]),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return Some(&text[..at]),
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    Some(text)
}

/// Returns where the text after the next `end` begins, or the end of all.
fn end_of(bytes: &[u8], from: usize, end: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    memchr::memmem::find(rest, end).map_or(bytes.len(), |at| from + at + end.len())
}

fn end_of_string(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'\\' => at += 1,
            // A string ends with its line; this was an apostrophe of something else.
            b'\n' if quote != b'`' => break,
            _ if byte == quote => break,
            _ => {}
        }
    }
    at.min(bytes.len())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 128
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_port_of_the_right_object_is_found() {
        let vite = |text: &str| in_script(text, "server");
        for text in [
            "export default { server: { port: 3000 } }",
            "export default defineConfig({\n  'server': {\n    host: true,\n    \"port\": 3000,\n  },\n})",
            "// server: { port: 1 }\nexport default () => ({ /* port: 2 */ preview: { port: 4000 }, server: { hmr: { port: 5000 }, port: 3000 } })",
            "const x = `server: { port: ${1} }`; export default { server: { port: Number(process.env.PORT) || 3000 } }",
            "export default { server: { port: parseInt(env.VITE_PORT ?? '3000', 10), } }",
            "export default { server: { port: 3000\n } }",
            "export default { server: { proxy: { '/api': { target: 'http://127.0.0.1:8000' } }, port: '3000' } }",
            "let it = 'don\\'t'; export default { test: { server: { deps: [] } }, server: { port: 3000 } }",
        ] {
            assert_eq!(vite(text), Some(3000), "{text}");
        }
        for text in [
            "export default { preview: { port: 3000 } }",
            "export default { server: { hmr: { port: 3000 } } }",
            "export default { server: { port } }",
            "export default { server: { port: base + 3000 } }",
            "export default { server: { port: 70000 } }",
            "export default { server: { port: 0 } }",
            "export default { servers: { port: 3000 }, server: [{ port: 3000 }] }",
            "server: { port:",
            "server: { port: '",
            "/* server: { port: 3000 }",
            "",
        ] {
            assert_eq!(vite(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_program_is_read_within_bounds() {
        for part in
            ["server:{", "'", "\"\\", "/*", "}", "server:{port:", "é`", "port:(", ".run(port="]
        {
            let text = part.repeat(1_000_000 / part.len());
            assert_eq!(in_script(&text, "server"), None, "{part}");
            assert_eq!(in_python(&text), None, "{part}");
        }
    }

    #[test]
    fn an_option_is_taken_or_replaced() {
        let take = |text: &str| {
            let mut words = words(text);
            (take_option(&mut words), words.join(" "))
        };
        let taken = |text: &str| (Some(3001), text.to_owned());
        assert_eq!(take("next dev -p 3001"), taken("next dev"));
        assert_eq!(take("vite --port=3001 --host"), taken("vite --host"));
        assert_eq!(take("PORT=3001 react-scripts start"), taken("react-scripts start"));
        for text in ["tsc -p tsconfig.json", "next dev -p", "vite --port $PORT", "ng serve"] {
            assert_eq!(take(text), (None, text.to_owned()));
        }
        let mut command = words("node server.js --port 3001");
        assert_eq!(replace_option(&mut command, "${PORT}"), Some(3001));
        assert_eq!(command.join(" "), "node server.js --port ${PORT}");
        let mut command = words("node server.js --port=3001");
        replace_option(&mut command, "${PORT}");
        assert_eq!(command.join(" "), "node server.js --port=${PORT}");
    }

    #[test]
    fn other_languages_say_it_in_their_ways() {
        assert_eq!(in_python("app.run(host='0.0.0.0', port=5001)"), Some(5001));
        assert_eq!(
            in_python("app.run(port=int(os.environ.get('PORT', 5001)), debug=True)"),
            Some(5001)
        );
        assert_eq!(
            in_python("# app.run(port=1)\nuvicorn.run(\n  'main:app', port = 5001,\n)"),
            Some(5001)
        );
        assert_eq!(in_python("app.run(debug_port=5001); app.run(port=port)"), None);
        assert_eq!(
            in_env_file("A=1\nexport FLASK_RUN_PORT='5001' # mine\n", "FLASK_RUN_PORT"),
            Some(5001)
        );
        assert_eq!(in_env_file("# FLASK_RUN_PORT=1\nFLASK_RUN_PORT=x", "FLASK_RUN_PORT"), None);
        for text in [
            "port 4000",
            "port(4000)",
            "port ENV.fetch(\"PORT\") { 4000 }",
            "  port ENV.fetch('PORT', 4000) # dev",
        ] {
            assert_eq!(in_puma(&format!("threads 5, 5\n{text}\n")), Some(4000), "{text}");
        }
        assert_eq!(in_puma("# port 4000\nports 4000\nport ENV['PORT']"), None);
        assert_eq!(
            in_properties("#server.port=1\nserver.port = ${PORT:8081}\r\nserver.portal=2"),
            Some(8081)
        );
        assert_eq!(in_properties("management.server.port=8081\nserver.port=0"), None);
        assert_eq!(in_spring_yaml("spring:\n  a: 1\nserver:\n  port: ${PORT:8081}\n"), Some(8081));
        assert_eq!(in_spring_yaml("server.port: 8081\n---\nserver: {port: 2}\n"), Some(8081));
        assert_eq!(in_spring_yaml("server: [\n"), None);
        let angular = r#"{"projects": {"lib": {}, "app": {"architect": {"serve": {"options": {"port": 4300}}}}}}"#;
        assert_eq!(in_angular(angular), Some(4300));
    }
}
