//! Parser for env files, compatible with Docker Compose. Values are not expanded.
//!
//! The available crates do not follow those rules: `dotenvor` 0.2 ends every unquoted value at the
//! first `#` (`COLOR=a#b` loses half), takes quotes in comments for the start of a value, and stops
//! at the first error. `dotenvy` has had no release since 2023.

use std::ops::Range;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DotenvEntry {
    pub name: String,
    pub value: String,
    pub range: Range<usize>,
}

/// A line that cannot be parsed: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DotenvError {
    pub text: &'static str,
    pub help: &'static str,
    pub range: Range<usize>,
}

/// Returns the variables of an env file in order, and the lines that cannot be parsed.
pub(super) fn parse(text: &str) -> (Vec<DotenvEntry>, Vec<DotenvError>) {
    let (mut variables, mut bad) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < text.len() {
        let line_end = end_of_line(text, at);
        match parse_line(text, at, line_end) {
            Ok((variable, end)) => {
                variables.extend(variable);
                at = end_of_line(text, end) + 1;
            }
            Err(line) => {
                // After an unclosed quote, the rest of the file would be guesswork.
                at = if line.text == OPEN_QUOTE { text.len() } else { line_end + 1 };
                bad.push(line);
            }
        }
    }
    (variables, bad)
}

/// Formats a line that sets a variable, or returns `None` if the name is not valid in an env file.
/// Shells read the line the same way, unless the value needs both kinds of quotes.
pub fn format_line(name: &str, value: &str) -> Option<String> {
    if !is_name(name) {
        return None;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    Some(match value {
        _ if value.chars().all(plain) => format!("{name}={value}\n"),
        _ if !value.contains(['\'', '\r']) => format!("{name}='{value}'\n"),
        _ => format!("{name}=\"{}\"\n", escaped(value)),
    })
}

fn escaped(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\\' | '"' | '$' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

const OPEN_QUOTE: &str = "unclosed quote";

fn end_of_line(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |newline| at + newline)
}

/// Parses one line from `start`. Returns its variable, if any, and an offset in its last line.
fn parse_line(
    text: &str,
    start: usize,
    line_end: usize,
) -> Result<(Option<DotenvEntry>, usize), DotenvError> {
    let line = &text[start..line_end];
    let trimmed = line.trim_start();
    if trimmed.trim_end().is_empty() || trimmed.starts_with('#') {
        return Ok((None, line_end));
    }
    let mut key_start = start + line.len() - trimmed.len();
    let bad = |range: Range<usize>, text, help| Err(DotenvError { text, help, range });
    if let Some(rest) = trimmed.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']))
    {
        key_start = line_end - rest.trim_start().len();
    }
    let whole = key_start..(start + line.trim_end().len()).max(key_start);
    let Some(equals) = text[key_start..line_end].find('=') else {
        return bad(whole, "line without `=`", "write NAME=value, or start a comment with #");
    };
    let name = text[key_start..key_start + equals].trim_end();
    if !is_name(name) {
        let help = "use letters, digits, `_`, `.` and `-`, not starting with a digit";
        return bad(key_start..key_start + name.len(), "invalid variable name", help);
    }
    let (value, end) = value(text, key_start + equals + 1, line_end)?;
    if value.contains('\0') {
        return bad(
            whole,
            "value contains a NUL character",
            "remove it: variables cannot contain NUL",
        );
    }
    Ok((Some(DotenvEntry { name: name.to_owned(), value, range: whole }), end))
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(plain)
}

/// Parses the value from `start`. Returns it with an offset in its last line.
fn value(text: &str, start: usize, line_end: usize) -> Result<(String, usize), DotenvError> {
    let line = &text[start..line_end];
    let trimmed = line.trim_start();
    let open = line_end - trimmed.len();
    let (value, close) = match trimmed.chars().next() {
        Some('"') => double_quoted(text, open)?,
        Some('\'') => single_quoted(text, open)?,
        _ => return Ok((unquoted(line), line_end)),
    };
    let rest_end = end_of_line(text, close);
    let rest = text[close..rest_end].trim();
    if rest.is_empty() || rest.starts_with('#') {
        return Ok((value, close));
    }
    Err(DotenvError {
        text: "text after the closing quote",
        help: "quote the whole value, or put # before a comment",
        range: close..rest_end,
    })
}

/// Parses an unquoted value: up to the end of the line, or to a `#` after a blank.
fn unquoted(line: &str) -> String {
    let bytes = line.as_bytes();
    let comment = |&i: &usize| bytes[i] == b'#' && i > 0 && matches!(bytes[i - 1], b' ' | b'\t');
    let end = (0..bytes.len()).find(comment).unwrap_or(bytes.len());
    line[..end].trim().to_owned()
}

fn single_quoted(text: &str, open: usize) -> Result<(String, usize), DotenvError> {
    let inner = &text[open + 1..];
    let close = inner.find('\'').ok_or_else(|| open_quote(open))?;
    Ok((inner[..close].replace("\r\n", "\n"), open + 1 + close + 1))
}

fn double_quoted(text: &str, open: usize) -> Result<(String, usize), DotenvError> {
    let mut out = String::new();
    let mut chars = text[open + 1..].char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok((out, open + 1 + i + 1)),
            '\r' if chars.as_str().starts_with('\n') => {}
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 'r')) => out.push('\r'),
                Some((_, 't')) => out.push('\t'),
                Some((_, c @ ('\\' | '"' | '$'))) => out.push(c),
                Some((_, c)) => out.extend(['\\', c]),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err(open_quote(open))
}

fn open_quote(open: usize) -> DotenvError {
    let help = "close it, or use the other kind of quotes";
    DotenvError { text: OPEN_QUOTE, help, range: open..open + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let (variables, bad) = parse(text);
        assert_eq!(bad, []);
        variables.into_iter().map(|v| (v.name, v.value)).collect()
    }

    fn one(text: &str) -> String {
        let mut pairs = pairs(text);
        assert_eq!(pairs.len(), 1, "{text:?}");
        pairs.remove(0).1
    }

    #[test]
    fn values_are_read_as_compose_reads_them() {
        for (text, value) in [
            ("A=b", "b"),
            ("export A=b", "b"),
            ("  export\tA = b  ", "b"),
            ("A=", ""),
            ("A=b=c==", "b=c=="),
            ("A=b # comment", "b"),
            ("A=b#c", "b#c"),
            ("A=#c", "#c"),
            ("A= # comment", ""),
            ("A='b # c'", "b # c"),
            ("A=\"b # c\" # d", "b # c"),
            (r#"A="say \"hi\"\n""#, "say \"hi\"\n"),
            (r"A='no \n escape'", r"no \n escape"),
            (r"A=C:\new", r"C:\new"),
            ("A=\"one\ntwo\"", "one\ntwo"),
            ("A='one\r\ntwo'\r\n", "one\ntwo"),
            ("A=it's", "it's"),
            ("A=${B} $C", "${B} $C"),
            ("A=b\r\n", "b"),
        ] {
            assert_eq!(one(text), value, "{text:?}");
        }
    }

    #[test]
    fn lines_stand_on_their_own() {
        let text = "# don't = worry\n\nA=1\nexport B=2\n  # more\nexport=3\nA=4";
        let expected = [("A", "1"), ("B", "2"), ("export", "3"), ("A", "4")];
        let pairs = pairs(text);
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn several_mistakes_are_found() {
        let (variables, bad) = parse("A=1\nnonsense\n1B=2\nC='x' y\nD=\0\nE=2\nF=\"open\nG=3");
        assert_eq!(variables.len(), 2);
        let texts: Vec<&str> = bad.iter().map(|line| line.text).collect();
        assert_eq!(
            texts,
            [
                "line without `=`",
                "invalid variable name",
                "text after the closing quote",
                "value contains a NUL character",
                "unclosed quote",
            ]
        );
        assert_eq!(bad[0].range, 4..12);
    }

    #[test]
    fn quotes_only_where_they_are_needed() {
        let line = |value| format_line("A", value).unwrap();
        assert_eq!(line("http://a.b:80/c_d-e"), "A=http://a.b:80/c_d-e\n");
        assert_eq!(line("a b"), "A='a b'\n");
        assert_eq!(line("a\nb"), "A='a\nb'\n");
        assert_eq!(line("it's $5"), "A=\"it's \\$5\"\n");
        assert_eq!(line("a\r\nb"), "A=\"a\\r\\nb\"\n");
        for name in ["", "1A", "A B", "ä", "A=", "A\n"] {
            assert_eq!(format_line(name, "b"), None, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[A-C=#'\"\\\\\n\r \t$é\0export]{0,60}") {
            let (variables, bad) = parse(&text);
            for range in variables.iter().map(|v| &v.range).chain(bad.iter().map(|b| &b.range)) {
                prop_assert!(text.get(range.clone()).is_some(), "{range:?}");
            }
        }

        #[test]
        fn single_quotes_keep_everything(value in "[^'\0\r]{0,40}") {
            prop_assert_eq!(one(&format!("A='{value}'")), value);
        }

        #[test]
        fn what_is_written_is_read(value in "[a-c'\"\\\\\n\r \t#$`=é!-]{0,30}", next in "[^\0]{0,20}") {
            let text = format_line("A", &value).unwrap() + &format_line("B.c-d", &next).unwrap();
            prop_assert_eq!(pairs(&text), [("A".to_owned(), value), ("B.c-d".to_owned(), next)]);
        }
    }
}
