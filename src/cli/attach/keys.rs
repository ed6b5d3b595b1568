/// Encodings of Ctrl-]: the plain one, and those of extended keyboard protocols.
const DETACH_KEYS: [&[u8]; 3] = [b"\x1d", b"\x1b[93;5u", b"\x1b[27;5;93~"];

/// Returns the keys before the first detach key, and whether there is one.
pub(crate) fn split_at_detach(typed: &[u8]) -> (&[u8], bool) {
    let at = |keys: &&[u8]| memchr::memmem::find(typed, keys);
    match DETACH_KEYS.iter().filter_map(at).min() {
        Some(at) => (&typed[..at], true),
        None => (typed, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_before_leaving_is_still_typed() {
        assert_eq!(split_at_detach(b"c\r"), (&b"c\r"[..], false));
        assert_eq!(split_at_detach(b"c\r\x1dx"), (&b"c\r"[..], true));
        assert_eq!(split_at_detach(b"\x1d\x1d"), (&b""[..], true));
        assert_eq!(split_at_detach(b"a\x1b[93;5u"), (&b"a"[..], true));
        assert_eq!(split_at_detach(b"\x1b[27;5;93~\x1d"), (&b""[..], true));
        assert_eq!(split_at_detach(b"\x1b[93u]"), (&b"\x1b[93u]"[..], false));
    }
}
