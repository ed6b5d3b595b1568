//! Text of others on a terminal: services, files and users must not control it.

use std::fmt::Write;

/// How many characters of user text a message repeats.
const MAX_QUOTED: usize = 60;

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

fn push_escaped(shown: &mut String, c: char) {
    let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}');
    let _ = match c.is_control() || hidden {
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
    fn quotes_are_short() {
        assert_eq!(quote("a\nb"), r"`a\nb`");
        assert_eq!(quote(&"é".repeat(61)), format!("`{}…`", "é".repeat(60)));
        assert_eq!(quote(&"é".repeat(60)), format!("`{}`", "é".repeat(60)));
    }
}
