use crate::log::escape_filter::EscapeFilter;

/// Output of a program that is shown as it comes: colors and line ends pass, if wanted, and nothing else
/// that controls a terminal.
#[derive(Debug)]
pub struct PassedOutput {
    colors: bool,
    filter: EscapeFilter,
    /// The beginning of a character whose rest is still to come.
    partial: Vec<u8>,
}

impl PassedOutput {
    /// Returns the filter of one stream.
    pub fn new(colors: bool) -> PassedOutput {
        PassedOutput { colors, filter: EscapeFilter::default(), partial: Vec::new() }
    }

    /// Returns what of the next bytes can be shown.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.partial);
        text.extend_from_slice(bytes);
        let whole = whole_characters(&text);
        self.partial = text.split_off(whole);
        let mut out = Vec::with_capacity(text.len());
        // A carriage return goes back within the line, as a progress bar does, and no further.
        for part in text.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let end = part.last().filter(|byte| matches!(byte, b'\n' | b'\r'));
            let line = &part[..part.len() - usize::from(end.is_some())];
            self.filter.line(line, self.colors, end != Some(&b'\n'), &mut out);
            out.extend(end);
        }
        out
    }
}

/// How many bytes there are without the beginning of a character at the end.
fn whole_characters(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    let is_begun = std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none());
    if is_begun { bytes.len() - last.len() } else { bytes.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(parts: &[&[u8]], colors: bool) -> String {
        let mut output = PassedOutput::new(colors);
        let shown = parts.iter().flat_map(|part| output.pass(part)).collect();
        String::from_utf8(shown).expect("only whole characters are shown")
    }

    #[test]
    fn only_colors_and_line_ends_pass_however_it_is_cut() {
        let text = "10%\r\x1b]52;c;eA==\x07é\x1b[2J\u{9b}2J\x1b[31mred\n\x1b[?25lend\u{202e}\n";
        let bytes = text.as_bytes();
        for at in 0..bytes.len() {
            let (head, tail) = bytes.split_at(at);
            let plain = shown(&[head, tail], false);
            assert_eq!(plain, "10%\réred\nend<U+202E>\n", "cut at {at}");
        }
        assert_eq!(shown(&[b"\x1b[31mred\n"], true), "\x1b[31mred\x1b[0m\n");
        assert_eq!(shown(&[b"\xff\xc3", b"\xa9"], false), "\u{fffd}é");
    }
}
