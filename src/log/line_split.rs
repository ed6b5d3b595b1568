use memchr::memchr;

/// Longest line that is handled in one piece, in bytes without its end. Longer lines are cut into
/// pieces of this size, which bounds the memory for a line that never ends.
pub const MAX_LINE: usize = 64 * 1024;

/// Returns where to cut a line of more than [`MAX_LINE`] bytes without splitting a UTF-8 character.
pub(super) fn char_boundary_cut(line: &[u8]) -> usize {
    let inside = |at: &usize| line[*at] & 0b1100_0000 == 0b1000_0000;
    (MAX_LINE - 3..=MAX_LINE).rev().find(|at| !inside(at)).unwrap_or(MAX_LINE)
}

/// Splits `bytes` into lines, each with its newline; the last can be without.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let len = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(len);
        rest = after;
        Some(line)
    })
}

/// Counts the lines in `bytes`, a last one without newline included.
pub(super) fn count(bytes: &[u8]) -> usize {
    let ends = memchr::memchr_iter(b'\n', bytes).count();
    ends + usize::from(bytes.last().is_some_and(|&last| last != b'\n'))
}

/// Removes the line end: `\n` or `\r\n`.
pub(super) fn trim_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_ends() {
        let all: Vec<&[u8]> = lines(b"a\n\nb\r\nc").collect();
        assert_eq!(all, [&b"a\n"[..], b"\n", b"b\r\n", b"c"]);
        assert_eq!(count(b"a\n\nb\r\nc"), 4);
        assert_eq!(count(b""), 0);
        assert_eq!(trim_line_end(b"b\r\n"), b"b");
    }

    #[test]
    fn a_cut_tears_no_character() {
        let mut line = vec![b'x'; MAX_LINE - 1];
        line.extend("ä".as_bytes());
        assert_eq!(char_boundary_cut(&line), MAX_LINE - 1);
        assert_eq!(char_boundary_cut(&vec![b'x'; MAX_LINE + 1]), MAX_LINE);
        assert_eq!(char_boundary_cut(&vec![0x80; MAX_LINE + 1]), MAX_LINE, "not UTF-8 at all");
    }
}
