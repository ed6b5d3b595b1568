//! The last lines of what a service printed, for messages.

use super::escape_filter;
use super::line_split;

/// The longest line, in characters.
const LINE_MAX: usize = 500;

/// How many stack frames in a row are shown: those after them are of the runtime, and would leave
/// no room for the error above.
const FRAMES_MAX: usize = 3;

/// Returns at most `n` last lines of `bytes` as plain text, without empty ones. Of a long stack trace
/// only the innermost frames are left.
pub(crate) fn last_lines(bytes: &[u8], n: usize) -> Vec<String> {
    let (mut lines, mut frames) = (Vec::new(), 0);
    for line in line_split::lines(bytes).filter(|line| !escape_filter::is_blank(line)) {
        let line = shorten(line_split::trim_line_end(line));
        frames = if is_frame(&line) { frames + 1 } else { 0 };
        if frames <= FRAMES_MAX {
            lines.push(line);
        } else if frames == FRAMES_MAX + 1 {
            let indent = line.len() - line.trim_start().len();
            lines.push(format!("{}…", &line[..indent]));
        }
    }
    lines.split_off(lines.len().saturating_sub(n))
}

/// Whether a line is a stack frame, as JavaScript, Java, .NET, Ruby and PHP print it.
fn is_frame(line: &str) -> bool {
    let text = line.trim_start();
    let indented = text.len() < line.len();
    let numbered = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    (indented && ["at ", "from ", "... "].iter().any(|word| text.starts_with(word)))
        || text.strip_prefix('#').is_some_and(numbered)
}

fn shorten(line: &[u8]) -> String {
    // A character has at most four bytes; the rest is room for escape sequences.
    let text = escape_filter::strip(&line[..line.len().min(LINE_MAX * 8)]);
    match text.char_indices().nth(LINE_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_stack_trace_leaves_room_for_its_error() {
        let frames = "    at Module._compile (node:internal:1554:14)\n".repeat(12);
        let text = format!(
            "/app/routes/users.js:3\n(((\n\nSyntaxError: Unexpected end\n{frames}\nNode.js v22\n"
        );
        let frame = "    at Module._compile (node:internal:1554:14)";
        let shown =
            ["(((", "SyntaxError: Unexpected end", frame, frame, frame, "    …", "Node.js v22"];
        assert_eq!(last_lines(text.as_bytes(), 7), shown);
        assert_eq!(last_lines(text.as_bytes(), 100)[..1], ["/app/routes/users.js:3"]);
        assert_eq!(last_lines(text.as_bytes(), 1), ["Node.js v22"]);
        for frame in
            ["\tat app.Main.main(Main.java:3)", "\tfrom a.rb:1:in `x'", "#0 /a.php(3): f()"]
        {
            let text = format!("Error\n{}end\n", format!("{frame}\n").repeat(9));
            assert_eq!(last_lines(text.as_bytes(), 10).len(), 6, "{frame}");
        }
        let plain = "at noon\nfrom me\n# 1\n".repeat(9);
        assert_eq!(last_lines(plain.as_bytes(), 27).len(), 27);
    }
}
