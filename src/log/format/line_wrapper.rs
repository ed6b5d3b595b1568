use unicode_width::UnicodeWidthChar;

use crate::log::escape_filter::{COLORS_MAX, RESET};

/// Wraps lines at the width of a terminal, so that they continue under their own text and not under
/// the names.
#[derive(Debug, Clone, Copy)]
pub(super) struct LineWrapper {
    /// Columns of the terminal.
    pub columns: usize,
    /// Where the text of a line begins.
    pub indent: usize,
    /// What the rows after the first begin with.
    pub lead: &'static str,
}

/// Less room than this for the text is not worth it.
const MIN_TEXT: usize = 20;
const TAB: usize = 8;

/// Where a row can be broken.
struct WrapPoint {
    /// Length of the row before it, in bytes.
    len: usize,
    column: usize,
    /// Color sequences in effect there.
    colors: String,
}

impl LineWrapper {
    /// Wraps what was appended to `out` since `start`, where the cursor is at `column`: text and
    /// color sequences, without newline. Returns the column after it.
    pub fn wrap(self, column: usize, start: usize, out: &mut Vec<u8>) -> usize {
        if self.indent + MIN_TEXT > self.columns {
            return column;
        }
        let tail = out.split_off(start);
        self.rows(column, &String::from_utf8_lossy(&tail), out)
    }

    /// Returns whether a line of plain text fits for certain, without a closer look.
    pub fn fits(self, text: &[u8]) -> bool {
        self.indent + text.len() <= self.columns && !text.contains(&b'\t')
    }

    fn rows(self, mut column: usize, text: &str, out: &mut Vec<u8>) -> usize {
        let (mut row, mut colors) = (String::new(), String::new());
        let mut blank: Option<WrapPoint> = None;
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let len = match c {
                '\x1b' => rest.find('m').map_or(rest.len(), |end| end + 1),
                c => c.len_utf8(),
            };
            let (token, after) = rest.split_at(len);
            rest = after;
            let width = match c {
                '\x1b' if matches!(token, "\x1b[m" | "\x1b[0m" | "\x1b[00m") => {
                    colors.clear();
                    0
                }
                '\x1b' if colors.len() + len <= COLORS_MAX => {
                    colors.push_str(token);
                    0
                }
                '\t' => TAB - column % TAB,
                c => c.width().unwrap_or(0),
            };
            if column + width > self.columns {
                // At a blank, unless that leaves half of the row empty.
                let half = usize::midpoint(self.indent, self.columns);
                let here = || WrapPoint { len: row.len(), column, colors: colors.clone() };
                let point = blank.take().filter(|point| point.column > half).unwrap_or_else(here);
                let tail = row.split_off(point.len);
                self.break_row(&row, &point.colors, out);
                let start = self.indent + self.lead.len();
                (row, column) = (tail, start + column - point.column);
            }
            row.push_str(token);
            column += width;
            if c == ' ' {
                blank = Some(WrapPoint { len: row.len(), column, colors: colors.clone() });
            }
        }
        out.extend_from_slice(row.as_bytes());
        column
    }

    fn break_row(self, row: &str, colors: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(row.as_bytes());
        // An underlined or colored background would begin at the edge.
        out.extend_from_slice(if colors.is_empty() { b"" } else { RESET.as_bytes() });
        out.push(b'\n');
        out.resize(out.len() + self.indent, b' ');
        out.extend_from_slice(colors.as_bytes());
        out.extend_from_slice(self.lead.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(columns: usize, indent: usize, text: &str) -> (String, usize) {
        let mut out = vec![b'>'; indent];
        out.extend_from_slice(text.as_bytes());
        let column = LineWrapper { columns, indent, lead: "" }.wrap(indent, indent, &mut out);
        (String::from_utf8(out).unwrap(), column)
    }

    #[test]
    fn a_line_continues_under_its_own_text() {
        let at = |text: &str| wrapped(26, 4, text);
        assert_eq!(at("short"), (">>>>short".to_owned(), 9));
        let (exact, more) = ("0123456789012345678901", "01234567890123456789012");
        assert_eq!(at(exact), (format!(">>>>{exact}"), 26));
        assert_eq!(at(more), (format!(">>>>{exact}\n    2"), 5));
        let words = "one two three four five six seven";
        assert_eq!(at(words).0, ">>>>one two three four \n    five six seven");
        let long = "a 345678901234567890123456";
        assert_eq!(at(long).0, ">>>>a 34567890123456789012\n    3456");
        assert_eq!(at(&"宽".repeat(12)).0, format!(">>>>{}\n    宽", "宽".repeat(11)));
        assert_eq!(at("\t\t\tx"), (">>>>\t\t\tx".to_owned(), 25));
        assert_eq!(at("\t\t\txyz"), (">>>>\t\t\txy\n    z".to_owned(), 5));
    }

    #[test]
    fn a_colour_goes_on_after_a_break_but_not_below_the_names() {
        let red = format!("\x1b[41m{}\x1b[0m", "x".repeat(30));
        let shown = wrapped(26, 4, &red).0;
        let rows =
            format!(">>>>\x1b[41m{}\x1b[0m\n    \x1b[41m{}\x1b[0m", "x".repeat(22), "x".repeat(8));
        assert_eq!(shown, rows);
    }

    #[test]
    fn rows_of_an_excerpt_keep_its_mark() {
        let mut out = b">>>>  | 0123456789 0123456789 0123456789".to_vec();
        LineWrapper { columns: 26, indent: 4, lead: "  | " }.wrap(4, 4, &mut out);
        let rows = ">>>>  | 0123456789 \n      | 0123456789 \n      | 0123456789";
        assert_eq!(String::from_utf8(out).unwrap(), rows);
    }

    #[test]
    fn a_narrow_terminal_wraps_by_itself() {
        let text = "x".repeat(100);
        assert_eq!(wrapped(20, 4, &text).0, format!(">>>>{text}"));
    }
}
