//! Detects "address in use" errors in the output of programs.

/// Returns whether a line reports that an address is in use.
pub fn mentions_address_in_use(line: &str) -> bool {
    let line = line.to_lowercase();
    let errors = ["address already in use", "address in use", "eaddrinuse", "errno 98", "errno 48"];
    errors.iter().any(|error| line.contains(error))
        || (line.contains("port")
            && ["in use", "already allocated"].iter().any(|why| line.contains(why)))
}

/// Returns whether a line mentions this port as a whole number.
pub fn mentions_port(line: &str, port: u16) -> bool {
    line.split(|c: char| !c.is_ascii_digit()).any(|word| word == port.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_say_is_understood() {
        for line in [
            "OSError: [Errno 98] Address already in use",
            "OSError: [Errno 48] Address already in use",
            "[Errno 98] error while attempting to bind on address ('127.0.0.1', 8000)",
            "Error: listen EADDRINUSE: address already in use 127.0.0.1:5000",
            "listen tcp 127.0.0.1:5000: bind: address already in use",
            "Error: That port is already in use.",
            "Error: Port 5173 is already in use",
            "Web server failed to start. Port 8080 was already in use.",
            "Bind for 127.0.0.1:5000 failed: port is already allocated.",
            "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)",
        ] {
            assert!(mentions_address_in_use(line), "{line}");
        }
        for line in ["", "listening on port 5000", "the file is in use", "errno 13", "refused"] {
            assert!(!mentions_address_in_use(line), "{line}");
        }
    }

    #[test]
    fn a_port_is_named_as_a_whole_number() {
        assert!(mentions_port("127.0.0.1:5000: in use", 5000));
        assert!(mentions_port("port 5000", 5000));
        assert!(!mentions_port("port 15000 or 50001", 5000));
    }
}
