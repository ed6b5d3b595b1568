//! `$VAR` as Compose and process-compose write it, in the syntax of `devstack.toml`.

use super::yaml::YamlNode;
use crate::text::quote;

/// How deeply defaults may contain variables; as deeply as in `devstack.toml`.
const MAX_NESTING: usize = 8;

enum TextPart<'t> {
    /// Text without a meaning of its own.
    Plain(&'t str),
    /// `$$`.
    Dollar,
    /// `$VAR` or `${VAR…}`; `rest` is what follows the name.
    Variable { name: &'t str, rest: &'t str },
}

/// Returns a value in the syntax of `env` and of arrays. A variable that is not set is empty, as
/// in the file. What is not the same afterwards gets a note.
pub(super) fn to_template(text: &str, node: &YamlNode) -> String {
    nested_template(text, node, 0)
}

fn nested_template(text: &str, node: &YamlNode, depth: usize) -> String {
    let mut template = String::new();
    for part in parts(text) {
        match part {
            TextPart::Plain(text) => template.push_str(&escape(text)),
            TextPart::Dollar => template.push_str("$$"),
            TextPart::Variable { name, rest } => {
                template.push_str(&variable(name, rest, node, depth));
            }
        }
    }
    template
}

fn variable(name: &str, rest: &str, node: &YamlNode, depth: usize) -> String {
    let (operator, value) = split_operator(rest);
    match operator {
        "" => format!("${{{name}:-}}"),
        "-" | ":-" => {
            if depth == MAX_NESTING {
                node.note(format!("the default of `{name}` is too deeply nested, and left out"));
                return format!("${{{name}:-}}");
            }
            if operator == "-" {
                node.note(format!("the default of `{name}` now also applies if it is empty"));
            }
            format!("${{{name}:-{}}}", nested_template(value, node, depth + 1))
        }
        "?" | ":?" => {
            if operator == "?" {
                node.note(format!("`{name}` now must not be empty either"));
            }
            format!("${{{name}:?{value}}}")
        }
        _ => {
            let written = quote(&format!("${{{name}{rest}}}"));
            node.note(format!("{written} is left out: set the value in this case yourself"));
            String::new()
        }
    }
}

/// Splits what follows a name: an operator and its value. An unknown operator is returned whole.
fn split_operator(rest: &str) -> (&str, &str) {
    let length = ["", ":-", "-", ":?", "?"]
        .into_iter()
        .filter(|it| rest.starts_with(it))
        .map(str::len)
        .max();
    match rest.split_at(length.unwrap_or(0)) {
        ("", "") => ("", ""),
        ("", _) => (rest, ""),
        split => split,
    }
}

/// Returns a text for a shell, which knows the same variables.
pub(super) fn to_shell(text: &str) -> String {
    text.replace("$$", "$")
}

/// Escapes a text that has no variables.
pub(super) fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

/// Returns a text with the default of each variable in its place, for values that cannot have
/// variables in `devstack.toml`; with a note if there were any.
pub(super) fn with_defaults(text: &str, node: &YamlNode) -> String {
    if !text.contains('$') {
        return text.to_owned();
    }
    let (mut names, mut result) = (Vec::new(), String::new());
    defaults(text, &mut names, &mut result, 0);
    if !names.is_empty() {
        let names = names.join("`, `");
        node.note(format!("taken as {}: `{names}` cannot change it here", quote(&result)));
    }
    result
}

fn defaults<'t>(text: &'t str, names: &mut Vec<&'t str>, result: &mut String, depth: usize) {
    for part in parts(text) {
        match part {
            TextPart::Plain(text) => result.push_str(text),
            TextPart::Dollar => result.push('$'),
            TextPart::Variable { name, rest } => {
                names.push(name);
                if let ("-" | ":-", value) = split_operator(rest)
                    && depth < MAX_NESTING
                {
                    defaults(value, names, result, depth + 1);
                }
            }
        }
    }
}

/// Splits a text at its variables.
fn parts(text: &str) -> impl Iterator<Item = TextPart<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let dollar = rest.find('$').unwrap_or(rest.len());
        if dollar > 0 {
            let (plain, after) = rest.split_at(dollar);
            rest = after;
            return Some(TextPart::Plain(plain));
        }
        let (part, length) = dollar_part(rest);
        rest = &rest[length..];
        Some(part)
    })
}

/// Returns what the dollar sign at the start of a text begins, and its length.
fn dollar_part(text: &str) -> (TextPart<'_>, usize) {
    let after = &text[1..];
    if after.starts_with('$') {
        return (TextPart::Dollar, 2);
    }
    let Some(inner) = after.strip_prefix('{') else {
        return match name_length(after) {
            0 => (TextPart::Plain("$"), 1),
            length => (TextPart::Variable { name: &after[..length], rest: "" }, 1 + length),
        };
    };
    match (name_length(inner), closing_brace(inner)) {
        (length @ 1.., Some(close)) => {
            let (name, rest) = inner[..close].split_at(length.min(close));
            (TextPart::Variable { name, rest }, 2 + close + 1)
        }
        (_, Some(_)) => (TextPart::Plain("$"), 1),
        // Compose refuses such a text. Looking for the end of each variable would take for ever.
        (_, None) => (TextPart::Plain(text), text.len()),
    }
}

fn name_length(text: &str) -> usize {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match text.starts_with(|c: char| c.is_ascii_digit()) {
        true => 0,
        false => text.find(|c| !word(c)).unwrap_or(text.len()),
    }
}

/// Returns the offset of the brace that ends a variable.
fn closing_brace(inner: &str) -> Option<usize> {
    let mut depth = 0;
    let mut before = ' ';
    for (at, c) in inner.char_indices() {
        match c {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        before = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_written_as_devstack_reads_them() {
        let node = YamlNode::default();
        for (text, template, plain) in [
            ("a", "a", "a"),
            ("$A", "${A:-}", ""),
            ("${A}/x", "${A:-}/x", "/x"),
            ("${A:-b}", "${A:-b}", "b"),
            ("${A-b}", "${A:-b}", "b"),
            ("${A:-${B:-c}}d", "${A:-${B:-c}}d", "cd"),
            ("${A:?no A}", "${A:?no A}", ""),
            ("${A?}", "${A:?}", ""),
            ("${A:+b}", "", ""),
            ("$$A $", "$$A $$", "$A $"),
            ("$1 ${", "$$1 $${", "$1 ${"),
            ("${A", "$${A", "${A"),
            ("${}", "$${}", "${}"),
        ] {
            assert_eq!(to_template(text, &node), template, "{text}");
            assert_eq!(with_defaults(text, &node), plain, "{text}");
        }
        assert_eq!(to_shell("echo $$HOME ${A:-b}"), "echo $HOME ${A:-b}");
    }

    #[test]
    fn deep_defaults_take_no_stack() {
        let deep = "${A:-".repeat(10_000) + &"}".repeat(10_000);
        assert!(to_template(&deep, &YamlNode::default()).len() < 200);
        let open = "${A:-".repeat(100_000);
        assert_eq!(to_template(&open, &YamlNode::default()), escape(&open));
    }
}
