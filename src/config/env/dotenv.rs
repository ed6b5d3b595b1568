//! Parser for env files, compatible with Docker Compose, which the available crates are not: `dotenvor` 0.2 ends
//! an unquoted value at the first `#` and stops at the first error.

use std::collections::BTreeMap;
use std::ops::Range;

use super::interpolate::{Interpolator, UnsetReferences};

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

/// A value whose quotes are removed.
enum DotenvValue {
    Literal(String),
    /// References in it are replaced, except for the dollar signs at the offsets in `escaped`.
    Interpolated {
        text: String,
        escaped: Vec<usize>,
    },
}

/// What an env file says.
#[derive(Debug, Default)]
pub(super) struct ParsedDotenv {
    /// In the order of the file.
    pub entries: Vec<DotenvEntry>,
    /// The lines that cannot be parsed.
    pub errors: Vec<DotenvError>,
    pub unset: UnsetReferences,
}

/// Parses an env file. Its references are replaced by variables of earlier lines, then by those of
/// `outer`.
pub(super) fn parse(text: &str, outer: &BTreeMap<String, String>) -> ParsedDotenv {
    let mut parsed = ParsedDotenv::default();
    let mut interpolator = Interpolator::new(outer);
    let mut at = 0;
    while at < text.len() {
        let line_end = end_of_line(text, at);
        match parse_line(text, at, line_end, &mut interpolator) {
            Ok((variable, end)) => {
                parsed.entries.extend(variable);
                at = end_of_line(text, end) + 1;
            }
            Err(line) => {
                // After an unclosed quote, the rest of the file would be guesswork.
                at = if line.text == OPEN_QUOTE { text.len() } else { line_end + 1 };
                parsed.errors.push(line);
            }
        }
    }
    parsed.unset = interpolator.unset();
    parsed
}

/// Returns the value of a variable in an env file; references see only the file.
pub(crate) fn value_of(text: &str, name: &str) -> Option<String> {
    let entries = parse(text, &BTreeMap::new()).entries;
    // The last one counts.
    entries.into_iter().rfind(|entry| entry.name == name).map(|entry| entry.value)
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
        // A backslash would escape the closing quote.
        _ if !value.contains(['\'', '\r']) && !value.ends_with('\\') => {
            format!("{name}='{value}'\n")
        }
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
    interpolator: &mut Interpolator<'_>,
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
    let value = match value {
        DotenvValue::Literal(value) => Ok(value),
        DotenvValue::Interpolated { text, escaped } => {
            interpolator.replace(&text, &escaped, name, whole.start)
        }
    };
    let value = match value {
        Ok(value) => value,
        Err(error) => return bad(whole, error.text(), error.help()),
    };
    interpolator.define(name, &value);
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
fn value(text: &str, start: usize, line_end: usize) -> Result<(DotenvValue, usize), DotenvError> {
    let line = &text[start..line_end];
    let trimmed = line.trim_start();
    let open = line_end - trimmed.len();
    let (value, close) = match trimmed.chars().next() {
        Some('"') => double_quoted(text, open)?,
        Some('\'') => single_quoted(text, open)?,
        // A quote to some programs, a command to shells, and plain text to others.
        Some('`') => {
            return Err(DotenvError {
                text: "value in backticks",
                help: "use single quotes for the text as it is; commands are not run",
                range: open..open + 1,
            });
        }
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
fn unquoted(line: &str) -> DotenvValue {
    let bytes = line.as_bytes();
    let comment = |&i: &usize| bytes[i] == b'#' && i > 0 && matches!(bytes[i - 1], b' ' | b'\t');
    let end = (0..bytes.len()).find(comment).unwrap_or(bytes.len());
    DotenvValue::Interpolated { text: line[..end].trim().to_owned(), escaped: Vec::new() }
}

/// Parses a value in single quotes. Nothing has a meaning in it but `\'`, a single quote.
fn single_quoted(text: &str, open: usize) -> Result<(DotenvValue, usize), DotenvError> {
    let mut out = String::new();
    let mut chars = text[open + 1..].char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '\'' => return Ok((DotenvValue::Literal(out), open + 1 + i + 1)),
            '\\' => match chars.next() {
                Some((_, '\'')) => out.push('\''),
                Some((_, c)) => out.extend(['\\', c]),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err(open_quote(open))
}

fn double_quoted(text: &str, open: usize) -> Result<(DotenvValue, usize), DotenvError> {
    let mut out = String::new();
    let mut escaped = Vec::new();
    let mut chars = text[open + 1..].char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => {
                return Ok((DotenvValue::Interpolated { text: out, escaped }, open + 1 + i + 1));
            }
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 'r')) => out.push('\r'),
                Some((_, 't')) => out.push('\t'),
                Some((_, c @ ('\\' | '"'))) => out.push(c),
                Some((_, '$')) => {
                    escaped.push(out.len());
                    out.push('$');
                }
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

    fn outer() -> BTreeMap<String, String> {
        let outer = [("HOME", "/home/me"), ("EMPTY", ""), ("TWICE", "${HOME}")];
        outer.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn pairs(text: &str) -> Vec<(String, String)> {
        let parsed = parse(text, &outer());
        assert_eq!(parsed.errors, []);
        parsed.entries.into_iter().map(|v| (v.name, v.value)).collect()
    }

    fn last(text: &str) -> String {
        pairs(text).pop().unwrap().1
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
            ("A=it's", "it's"),
            (r"A='it\'s'", "it's"),
            (r"A='it\' # s'", "it' # s"),
            (r"A='C:\new\\'", r"C:\new\\"),
            ("A=a`b`", "a`b`"),
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
        let parsed = parse("A=1\nnonsense\n1B=2\nC='x' y\nD=\0\nE=2\nF=\"open\nG=3", &outer());
        assert_eq!(parsed.entries.len(), 2);
        let texts: Vec<&str> = parsed.errors.iter().map(|line| line.text).collect();
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
        assert_eq!(parsed.errors[0].range, 4..12);
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

    #[test]
    fn references_are_replaced() {
        for (line, value) in [
            ("B=${A}", "one"),
            ("B=\"x ${A} y\"", "x one y"),
            ("B='${A}'", "${A}"),
            ("B=${HOME}/x # ${NO}", "/home/me/x"),
            ("B=${TWICE}", "${HOME}"),
            ("HOME=${HOME}/x", "/home/me/x"),
            ("B=${EMPTY}", ""),
            ("B=${NO:-}", ""),
            ("B=${NO:-http://a:80/{b}", "http://a:80/{b"),
            ("B=${EMPTY:-${NO:-${A}}}", "one"),
            ("B=${A:-${NO}}", "one"),
            ("B=$2b$10$abc", "$2b$10$abc"),
            ("B=$A $$ $", "$A $$ $"),
            ("B=\"$A \\${A} $${A}\"", "$A ${A} ${A}"),
            ("B=\"${NO:-say \\\"hi\\\"}\"", "say \"hi\""),
            ("B=\"${NO:-\\${A}}\"", "${A}"),
            ("A=two\nB=${A}", "two"),
        ] {
            assert_eq!(last(&format!("A=one\n{line}")), value, "{line:?}");
        }
    }

    #[test]
    fn unset_references_are_kept_once_for_each_value_and_up_to_a_limit() {
        let name = "N".repeat(500_000);
        let text = format!("{name}={}", "${B}".repeat(100_000));
        let unset = parse(&text, &BTreeMap::new()).unset;
        assert_eq!((unset.first.len(), unset.more), (1, 0));
        let text: String = (0..30).map(|at| format!("A{at}=${{B{at}}}${{B{at}}}\n")).collect();
        let unset = parse(&text, &BTreeMap::new()).unset;
        assert_eq!((unset.first.len(), unset.more), (20, 10));
        assert_eq!((&*unset.first[19].name, &*unset.first[19].within), ("B19", "A19"));
    }

    #[test]
    fn unset_references_are_found() {
        let parsed = parse("B=${C}\nC=${D:-${NO}} $E ${C}\n", &outer());
        assert_eq!(parsed.errors, []);
        let unset =
            parsed.unset.first.iter().map(|unset| (&*unset.name, &*unset.within, unset.offset));
        assert_eq!(unset.collect::<Vec<_>>(), [("C", "B", 0), ("NO", "C", 7), ("C", "C", 7)]);
    }

    #[test]
    fn what_would_not_be_kept_is_refused() {
        for (line, text) in [
            ("A=`hostname`", "value in backticks"),
            ("A=${B", "missing `}` after `${`"),
            ("A=${}", "invalid reference"),
            ("A=\"${db.url}\"", "invalid reference"),
            ("A=${B:+c}", "invalid reference"),
            ("A=${B:?c}", "invalid reference"),
            (r"A='C:\'", "unclosed quote"),
        ] {
            let parsed = parse(line, &BTreeMap::new());
            let texts: Vec<&str> = parsed.errors.iter().map(|error| error.text).collect();
            assert_eq!((texts, parsed.entries), (vec![text], vec![]), "{line:?}");
        }
    }

    #[test]
    fn references_cannot_multiply_a_file() {
        let mut text = format!("A0={}\n", "x".repeat(1000));
        for i in 1..200 {
            text += &format!("A{i}=${{A{0}}}${{A{0}}}\n", i - 1);
        }
        text += &format!("B={}\n", "${C:-".repeat(50_000));
        text += &format!("B={}{}\n", "${C:-".repeat(50_000), "}".repeat(50_000));
        let parsed = parse(&text, &BTreeMap::new());
        let size: usize = parsed.entries.iter().map(|entry| entry.value.len()).sum();
        assert!(size < 3 * 1024 * 1024, "{size}");
        assert!(parsed.errors.iter().any(|error| error.text == "expanded values exceed 1 MiB"));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[A-C=#'\"`{}:$-\\\\\n\r \t$é\0export]{0,60}") {
            let ParsedDotenv { entries, errors, .. } = parse(&text, &outer());
            for range in entries.iter().map(|v| &v.range).chain(errors.iter().map(|b| &b.range)) {
                prop_assert!(text.get(range.clone()).is_some(), "{range:?}");
            }
        }

        #[test]
        fn single_quotes_keep_everything(value in "[^'\\\\\0\r]{0,40}") {
            prop_assert_eq!(one(&format!("A='{value}'")), value);
        }

        #[test]
        fn what_is_written_is_read(value in "[a-c'\"\\\\\n\r \t#$`={}:é!-]{0,30}", next in "[^\0]{0,20}") {
            let text = format_line("A", &value).unwrap() + &format_line("B.c-d", &next).unwrap();
            prop_assert_eq!(pairs(&text), [("A".to_owned(), value), ("B.c-d".to_owned(), next)]);
        }
    }
}
