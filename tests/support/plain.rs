/// Removes escape sequences and trailing carriage returns.
pub fn strip_ansi(bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == 0x1b {
            at += sequence(&bytes[at..]);
        } else {
            text.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&text).trim_end_matches('\r').to_owned()
}

/// Returns the length of the escape sequence at the start of `bytes`.
fn sequence(bytes: &[u8]) -> usize {
    let end = match bytes.get(1) {
        Some(b'[') => {
            bytes.iter().skip(2).position(|byte| (0x40..=0x7e).contains(byte)).map(|at| at + 3)
        }
        Some(b']' | b'P') => string_end(bytes),
        Some(_) => Some(2),
        None => None,
    };
    end.unwrap_or(bytes.len())
}

/// Returns where a sequence with a string ends: after BEL, or after ESC and a backslash.
fn string_end(bytes: &[u8]) -> Option<usize> {
    let bell = bytes.iter().position(|byte| *byte == 0x07).map(|at| at + 1);
    let backslash = bytes.windows(2).position(|two| two == b"\x1b\\").map(|at| at + 2);
    bell.into_iter().chain(backslash).min()
}
