//! Text of others on a terminal: services, files and users must not control it.

use std::borrow::Cow;
use std::fmt::{Display, Write};

/// How many characters of user text a message repeats.
const MAX_QUOTED: usize = 60;

/// Returns the start of a line, at most this long and not ending within a character of UTF-8.
#[cfg(any(feature = "mcp", feature = "tui"))]
pub fn start_of(line: &[u8], most: usize) -> &[u8] {
    if line.len() <= most {
        return line;
    }
    let is_inside = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    // A character has up to three such bytes.
    let end = (most.saturating_sub(3)..=most).rev().find(|&end| !is_inside(line[end]));
    &line[..end.unwrap_or(most)]
}

/// Escapes control characters, and characters that are invisible or change the direction of text:
/// they could move the cursor or disguise a command.
pub fn escape_control(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        push_escaped(&mut shown, c);
    }
    shown
}

/// Like [`escape_control`], but line ends and tabs become blanks.
pub fn one_line(text: &str) -> String {
    escape_control(&text.replace(['\n', '\r', '\t'], " "))
}

/// Joins the texts of some items: `a, b, c`.
pub fn join<T: Display>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(separator)
}

/// Quotes user text in backticks: escaped, and truncated.
pub fn quote(text: &str) -> String {
    let mut shown = String::from("`");
    for (count, c) in text.chars().enumerate() {
        if count == MAX_QUOTED {
            shown.push('…');
            break;
        }
        push_escaped(&mut shown, c);
    }
    shown.push('`');
    shown
}

/// Cleans a whole text of devstack, or JSON: escapes all that [`escape_control`] does, except for
/// line ends, tabs and, with `colors`, color sequences. The form of the escapes is that of JSON.
pub fn clean(text: &str, colors: bool) -> Cow<'_, str> {
    let bad = |c: char| is_unsafe(c) && !matches!(c, '\n' | '\t');
    let Some(first) = text.find(bad) else { return Cow::Borrowed(text) };
    let mut cleaned = text[..first].to_owned();
    let mut rest = &text[first..];
    while let Some(c) = rest.chars().next() {
        let color = if colors { color_len(rest) } else { 0 };
        let taken = if color > 0 { color } else { c.len_utf8() };
        let _ = match color == 0 && bad(c) {
            true => c
                .encode_utf16(&mut [0; 2])
                .iter()
                .try_for_each(|unit| write!(cleaned, "\\u{unit:04x}")),
            false => cleaned.write_str(&rest[..taken]),
        };
        rest = &rest[taken..];
    }
    Cow::Owned(cleaned)
}

/// Takes the meaning from what GitHub Actions would read as workflow commands in a whole text: `::`
/// at the start of a line, and `##[` anywhere. JSON keeps its meaning.
pub fn disarm_commands(text: &str) -> Cow<'_, str> {
    const ENDS: [char; 2] = ['\n', '\r'];
    let is_armed = |line: &str| line.trim_start().starts_with("::") || line.contains("##[");
    if !text.split(ENDS).any(is_armed) {
        return Cow::Borrowed(text);
    }
    let disarm = |line: &str| {
        let (blank, rest) = line.split_at(line.len() - line.trim_start().len());
        let mark = if rest.starts_with("::") { "| " } else { "" };
        // A line of JSON may be read by a program.
        let bracket = if rest.starts_with(['{', '[', '"']) { r"##\u005b" } else { "## [" };
        format!("{blank}{mark}{}", rest.replace("##[", bracket))
    };
    Cow::Owned(text.split_inclusive(ENDS).map(disarm).collect())
}

/// Returns the length of the color sequence that `text` begins with, or 0. Sequences that hide text
/// or make it blink count as none.
fn color_len(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\x1b[") else { return 0 };
    let end = parameters.find(|c: char| !matches!(c, '0'..='9' | ';'));
    let Some(end) = end.filter(|end| parameters[*end..].starts_with('m')) else { return 0 };
    let mut codes = parameters[..end].split(';');
    while let Some(code) = codes.next() {
        match code {
            // What follows chooses a color: `5` and a number, or `2` and three.
            "38" | "48" => {
                let parts = if codes.next() == Some("5") { 1 } else { 3 };
                codes.by_ref().take(parts).for_each(drop);
            }
            "5" | "6" | "7" | "8" => return 0,
            _ => {}
        }
    }
    end + 3
}

/// Whether a character controls the terminal, is invisible, or changes the direction of text.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}' | '\u{e0000}'..='\u{e0fff}')
}

fn push_escaped(shown: &mut String, c: char) {
    let _ = match is_unsafe(c) {
        true => write!(shown, "{}", c.escape_default()),
        false => shown.write_char(c),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_is_escaped() {
        assert_eq!(escape_control("a\u{1b}[2J\u{9b}b\n\té"), r"a\u{1b}[2J\u{9b}b\n\té");
        assert_eq!(escape_control("\u{202e}txt\u{200b}"), r"\u{202e}txt\u{200b}");
        assert_eq!(one_line("a\r\n\tb\u{7}"), r"a   b\u{7}");
    }

    #[test]
    fn a_text_keeps_only_lines_and_wanted_colors() {
        let colored = "\x1b[1;31merror\x1b[0m:\ta\n";
        assert_eq!(clean(colored, true), colored);
        assert_eq!(clean(colored, false), "\\u001b[1;31merror\\u001b[0m:\ta\n");
        let chosen = "\x1b[1;38;5;8ma\x1b[48;2;8;7;5mb\x1b[0m";
        assert_eq!(clean(chosen, true), chosen);
        assert_eq!(clean("\x1b[8mhidden\x1b[1;7m", true), "\\u001b[8mhidden\\u001b[1;7m");
        let hostile = "\x1b]52;c;x\x07\x1b[2J\x1b[?25h\u{9b}1m\u{202e}\r\x1b[\x1b";
        let cleaned = r"\u001b]52;c;x\u0007\u001b[2J\u001b[?25h\u009b1m\u202e\u000d\u001b[\u001b";
        assert_eq!(clean(hostile, true), cleaned);
        let json = "{\"a\":\"\u{9b}\u{7f}\u{e0041}é\"}";
        let same = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(same(&clean(json, false)), same(json));
        assert!(matches!(clean("plain é\n", false), Cow::Borrowed(_)));
    }

    #[test]
    fn workflow_commands_lose_their_meaning_and_json_keeps_it() {
        let forged = "a::b\n::error::x\n \t\u{a0}::error::y\r::z\n##[error]###[w\n";
        let shown = "a::b\n| ::error::x\n \t\u{a0}| ::error::y\r| ::z\n## [error]### [w\n";
        assert_eq!(disarm_commands(forged), shown);
        assert_eq!(disarm_commands(shown), shown);
        let json = "[\n  \"##[error]\",\n  {\"a\": \"##[b\"}\n]\n";
        let same = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let disarmed = disarm_commands(json);
        assert!(!disarmed.contains("##["), "{disarmed}");
        assert_eq!(same(&disarmed), same(json));
        assert!(matches!(disarm_commands("a::b\n # [x]\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn quotes_are_short() {
        assert_eq!(quote("a\nb"), r"`a\nb`");
        assert_eq!(quote(&"é".repeat(61)), format!("`{}…`", "é".repeat(60)));
        assert_eq!(quote(&"é".repeat(60)), format!("`{}`", "é".repeat(60)));
    }
}
