//! The words that are executed for a command line, without a shell where none is needed.

use super::shell_syntax::ShellSyntax;
use crate::model::{CommandLine, RedactedText};

const SHELL: &str = "/bin/sh";

/// Words that only a shell understands, or understands better than a program of that name.
const SHELL_WORDS: &[&str] = &[
    "!", "{", "}", "[", "[[", ":", ".", "alias", "bg", "break", "builtin", "case", "cd", "command",
    "continue", "declare", "dirs", "do", "done", "echo", "elif", "else", "esac", "eval", "exec",
    "exit", "export", "false", "fc", "fg", "fi", "for", "function", "getopts", "hash", "if", "in",
    "jobs", "kill", "let", "local", "popd", "printf", "pushd", "pwd", "read", "readonly", "return",
    "select", "set", "shift", "shopt", "source", "test", "then", "time", "times", "trap", "true",
    "type", "typeset", "ulimit", "umask", "unalias", "unset", "until", "wait", "while",
];

/// Those that may run before the `exec` of the last program: they do not need the shell to stay.
const PRELUDE_BUILTINS: &[&str] = &[
    ":", "[", "cd", "echo", "export", "printf", "pwd", "readonly", "set", "test", "true", "ulimit",
    "umask", "unset",
];

/// Returns the argv of a command. An array is executed as it is. A text is for `sh -c`, but without
/// a shell where none is needed, and with `exec` where the shell would only wait for one program.
pub(super) fn argv(command: &CommandLine) -> Option<Vec<String>> {
    match command {
        CommandLine::Exec(words) => {
            (!words.is_empty()).then(|| words.iter().map(|word| word.expose().to_owned()).collect())
        }
        CommandLine::Shell(text) => from_text(text.trim()),
    }
}

/// A command as the user wrote it, without secrets.
pub(crate) fn display_command(command: &CommandLine) -> String {
    match command {
        CommandLine::Shell(text) => text.clone(),
        CommandLine::Exec(words) => shell_words::join(words.iter().map(RedactedText::redacted)),
    }
}

/// A command as the user wrote it, cut to its first line.
pub(crate) fn command_summary(command: &CommandLine) -> String {
    let shown = display_command(command);
    match shown.trim().split_once('\n') {
        Some((first, _)) => format!("{first} …"),
        None => shown,
    }
}

fn from_text(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return None;
    }
    let syntax = ShellSyntax::scan(text);
    if !syntax.expands
        && !syntax.compound
        && syntax.separators.is_empty()
        && !syntax.redirects
        && syntax.program_at == 0
        && !is_shell_word(text)
        && let Ok(words) = shell_words::split(text)
        && !words.is_empty()
    {
        return Some(words);
    }
    let script = match exec_at(text, &syntax) {
        Some(at) => format!("{}exec {}", &text[..at], &text[at..]),
        None => text.to_owned(),
    };
    Some(vec![SHELL.to_owned(), "-c".to_owned(), script])
}

/// Where to insert `exec` so that the shell becomes the last program; `None`: the shell must stay.
fn exec_at(text: &str, syntax: &ShellSyntax) -> Option<usize> {
    if syntax.compound || (!syntax.separators.is_empty() && syntax.hides_links) {
        return None;
    }
    let mut start = 0;
    for &next in &syntax.separators {
        let part = &text[start..next];
        let foregoing = &part[ShellSyntax::scan(part).program_at..];
        if is_shell_word(foregoing) && !PRELUDE_BUILTINS.contains(&first_word(foregoing)) {
            return None;
        }
        start = next;
    }
    let at = start + ShellSyntax::scan(&text[start..]).program_at;
    (at < text.len() && !is_shell_word(&text[at..])).then_some(at)
}

/// Returns the program that a shell command consists of, if its name is written plainly: not one of
/// several commands, of which others may run if it is missing.
pub(super) fn only_program(command: &CommandLine) -> Option<&str> {
    let CommandLine::Shell(text) = command else { return None };
    let text = text.trim();
    let syntax = ShellSyntax::scan(text);
    let (assigned, program) = text.split_at(syntax.program_at);
    if syntax.compound || !syntax.separators.is_empty() || assigned.contains("PATH=") {
        return None;
    }
    let word = first_word(program);
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '/' | '+' | '-');
    (!word.is_empty() && word.chars().all(plain) && !is_shell_word(word)).then_some(word)
}

/// Whether a shell stays the parent of the program.
pub(crate) fn runs_under_shell(command: &CommandLine) -> bool {
    let CommandLine::Shell(_) = command else { return false };
    match argv(command).as_deref() {
        Some([shell, _, script]) if shell == SHELL => {
            !script.split(|c: char| !c.is_alphanumeric()).any(|word| word == "exec")
        }
        Some(_) | None => false,
    }
}

fn is_shell_word(text: &str) -> bool {
    SHELL_WORDS.contains(&first_word(text))
}

/// The first word if it is plain; one with quotes or expansions does not name a builtin.
fn first_word(text: &str) -> &str {
    let end = text.find([' ', '\t', '\n', ';', '&']).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str) -> Option<Vec<String>> {
        argv(&CommandLine::Shell(text.to_owned()))
    }

    #[test]
    fn plain_programs_need_no_shell() {
        let table: &[(&str, &[&str])] = &[
            ("sleep 5", &["sleep", "5"]),
            ("  sleep\t5  ", &["sleep", "5"]),
            ("a 'b c' \"d e\" f\\ g", &["a", "b c", "d e", "f g"]),
            ("python -c 'print(1); print(\"$x\")'", &["python", "-c", "print(1); print(\"$x\")"]),
            ("node \"a;b|c&d\" x", &["node", "a;b|c&d", "x"]),
            ("./run --flag=1 a=b", &["./run", "--flag=1", "a=b"]),
            ("docker run x@y:z %d +1 ,", &["docker", "run", "x@y:z", "%d", "+1", ","]),
            ("'echo' x", &["echo", "x"]),
            ("''", &[""]),
            ("a ''", &["a", ""]),
            ("ä ö", &["ä", "ö"]),
        ];
        for (text, expected) in table {
            assert_eq!(shell(text).expect("not empty"), *expected, "{text}");
        }
    }

    #[test]
    fn a_shell_becomes_the_only_program() {
        let table = [
            ("flask run --port $PORT", "exec flask run --port $PORT"),
            ("cat *.txt", "exec cat *.txt"),
            ("ls ~/x", "exec ls ~/x"),
            ("A=1 node x.js", "A=1 exec node x.js"),
            ("A='b c' _B2=\"$x y\"  node x.js", "A='b c' _B2=\"$x y\"  exec node x.js"),
            ("$CMD x", "exec $CMD x"),
            ("\"$HOME/bin/x\"", "exec \"$HOME/bin/x\""),
            ("server > log 2>&1", "exec server > log 2>&1"),
            ("p a#b # note", "exec p a#b # note"),
        ];
        for (text, script) in table {
            assert_eq!(shell(text).expect("not empty"), ["/bin/sh", "-c", script], "{text}");
        }
    }

    #[test]
    fn only_a_program_that_cannot_be_replaced_is_looked_up() {
        let program =
            |text: &str| only_program(&CommandLine::Shell(text.to_owned())).map(str::to_owned);
        for text in ["serve --port $PORT", " A=1 B=$X serve", "serve *.txt > log", "serve"] {
            assert_eq!(program(text).as_deref(), Some("serve"), "{text}");
        }
        assert_eq!(program("./bin/serve $PORT").as_deref(), Some("./bin/serve"));
        for text in [
            "serve || other",
            "serve; other",
            "serve && other",
            "serve | other",
            "PATH=bin:$PATH serve",
            "$SERVE x",
            "'serve' $X",
            "cd $X",
            "if $X",
            "A=1",
            "",
        ] {
            assert_eq!(program(text), None, "{text}");
        }
    }

    #[test]
    fn a_shell_becomes_the_last_program() {
        let table = [
            ("a && b", "a && exec b"),
            ("a; b", "a; exec b"),
            ("a\nb", "a\nexec b"),
            ("a &&\n  b x", "a &&\n  exec b x"),
            ("cd x && y", "cd x && exec y"),
            ("cd x&&y", "cd x&&exec y"),
            (
                "export A=1; umask 077; A=$B run --port $PORT",
                "export A=1; umask 077; A=$B exec run --port $PORT",
            ),
            ("A=1; b", "A=1; exec b"),
            ("cd 'a; b' && c \"&& d\" 2>&1", "cd 'a; b' && exec c \"&& d\" 2>&1"),
        ];
        for (text, script) in table {
            assert_eq!(shell(text).expect("not empty"), ["/bin/sh", "-c", script], "{text}");
            assert!(!runs_under_shell(&CommandLine::Shell(text.to_owned())), "{text}");
        }
        for text in ["a | b", "a && b | c", "(a)", "npm i && cd x", "if a; then b; fi"] {
            assert!(runs_under_shell(&CommandLine::Shell(text.to_owned())), "{text}");
        }
        for text in ["a b", "(exec a)", "A=1 a", "cd x && exec y | z"] {
            assert!(!runs_under_shell(&CommandLine::Shell(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_only_a_shell_can_do_is_left_alone() {
        for text in [
            "a | b",
            "a || b",
            "a && b | c",
            "a && b &",
            "a; b # c; d",
            "a <<E; b\nE",
            "trap x EXIT; b",
            "eval x && b",
            ". ./env && b",
            "if a; then b; fi",
            "while a; do b; done",
            "a && exec b",
            "a && echo b",
            "a; A=1",
            "a &",
            "(a)",
            "a $(b)",
            "a `b`",
            "a \"$(b)\"",
            "cd x",
            "exec a $B",
            "echo hi",
            "if true",
            "A=1",
            "A=1 cd $x",
            "for",
            ". ./env",
            "! a",
            "a &> b",
            "a \"`b`\"",
            "'open",
            "while :",
            "f() { :; }",
            "{ a",
        ] {
            let expected = if text == "'open" { "exec 'open" } else { text };
            assert_eq!(shell(text).expect("not empty"), ["/bin/sh", "-c", expected], "{text}");
        }
    }

    #[test]
    fn nothing_to_execute() {
        assert_eq!(shell(" \t\n"), None);
        assert_eq!(argv(&CommandLine::Exec(vec![])), None);
    }

    #[test]
    fn words_are_taken_as_they_are() {
        let list = vec!["a b".to_owned(), "$X".to_owned()];
        assert_eq!(argv(&CommandLine::exec(list.clone())), Some(list));
    }

    proptest::proptest! {
        #[test]
        fn any_text_becomes_its_words_or_a_script_with_at_most_one_exec(text in ".{0,40}") {
            let trimmed = text.trim();
            let Some(words) = shell(&text) else {
                proptest::prop_assert!(trimmed.is_empty());
                return Ok(());
            };
            if shell_words::split(trimmed).ok().as_ref() != Some(&words) {
                let [sh, flag, script] = &words[..] else { panic!("{words:?}") };
                proptest::prop_assert_eq!((sh.as_str(), flag.as_str()), (SHELL, "-c"));
                let mut starts = trimmed.char_indices().map(|(at, _)| trimmed.split_at(at));
                let with_exec = |(before, last)| format!("{before}exec {last}") == *script;
                proptest::prop_assert!(script == trimmed || starts.any(with_exec), "{}", script);
            }
        }
    }
}
