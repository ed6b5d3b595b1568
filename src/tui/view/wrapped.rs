use super::graphemes::each_grapheme;

/// Breaks a line where a word ends, to this many columns. What goes on begins below the text of its
/// last column, as in a table, or as far right as the line itself.
pub fn wrapped(line: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let indent = indent_of(line, width);
    let mut lines = Vec::new();
    let (mut part, mut used) = (String::new(), 0);
    // Where the last word begins: bytes and columns.
    let mut word = None;
    each_grapheme(line, |symbol, columns| {
        if used + columns > width && used > indent {
            let blanks = " ".repeat(indent);
            match word.filter(|(_, at)| *at > indent) {
                _ if symbol == " " => {
                    lines.push(std::mem::replace(&mut part, blanks));
                    used = indent;
                    word = None;
                    return;
                }
                Some((bytes, at)) => {
                    let rest = part.split_off(bytes);
                    part.truncate(part.trim_end().len());
                    lines.push(std::mem::replace(&mut part, blanks + &rest));
                    used = indent + used - at;
                }
                None => {
                    lines.push(std::mem::replace(&mut part, blanks));
                    used = indent;
                }
            }
            word = None;
        }
        part.push_str(symbol);
        used += columns;
        if symbol == " " {
            word = Some((part.len(), used));
        }
    });
    lines.push(part);
    lines
}

/// Returns the column of the last text after a gap of blanks in the left half of a line.
fn indent_of(line: &str, width: usize) -> usize {
    let (mut indent, mut at, mut blanks) = (0, 0, 0);
    each_grapheme(line, |symbol, columns| {
        if symbol == " " {
            blanks += 1;
        } else {
            let is_begin = at == blanks;
            if (blanks > 1 || is_begin) && at <= width / 2 {
                indent = at;
            }
            blanks = 0;
        }
        at += columns;
    });
    indent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_go_on_in_their_column() {
        for (line, width, expected) in [
            ("", 10, &[""][..]),
            ("exactly 10", 10, &["exactly 10"]),
            ("one two three", 8, &["one two", "three"]),
            ("one twoo three", 8, &["one twoo", "three"]),
            ("  help: fix it now", 12, &["  help: fix", "  it now"]),
            ("next    it starts soon", 16, &["next    it", "        starts", "        soon"]),
            ("abcdefghijkl", 5, &["abcde", "fghij", "kl"]),
            ("to abcdefghij", 5, &["to", "abcde", "fghij"]),
            ("日本語 日本語", 8, &["日本語", "日本語"]),
            ("日本語日本語", 5, &["日本", "語日", "本語"]),
        ] {
            assert_eq!(wrapped(line, width), expected, "{line}");
        }
    }

    #[test]
    fn no_width_loses_a_character() {
        let line = "  waits for   a  b  word 語 words and-a-very-long-one";
        let all = |text: &str| text.replace(' ', "");
        for width in 0..60 {
            assert_eq!(all(&wrapped(line, width).concat()), all(line), "{width}");
        }
    }
}
