//! Detects "address in use" errors in the output of programs.

use std::net::IpAddr;

/// Returns whether a line reports that an address is in use.
pub fn mentions_address_in_use(line: &str) -> bool {
    let line = line.to_lowercase();
    let errors = [
        "address already in use",
        "address in use",
        "addrinuse",
        "bindexception",
        "failed to listen on",
        "errno 98",
        "errno 48",
        "os error 98",
        "os error 48",
    ];
    errors.iter().any(|error| line.contains(error))
        || (line.contains("port")
            && ["in use", "already allocated"].iter().any(|why| line.contains(why)))
}

/// Returns the whole numbers in a line that may be ports.
pub fn mentioned_ports(line: &str) -> impl Iterator<Item = u16> {
    line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok())
}

/// Returns the numbers that a line about an address in use marks as ports: `:8000`, `port 8000`,
/// `('127.0.0.1', 8000)`. Others are times, pids and error numbers.
pub fn named_ports(line: &str) -> impl Iterator<Item = u16> {
    let starts = line.match_indices(|c: char| c.is_ascii_digit()).map(|(at, _)| at);
    let starts = starts.filter(|at| !line[..*at].ends_with(|c: char| c.is_ascii_alphanumeric()));
    starts.filter_map(|at| {
        let digits = line[at..].split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        let number = digits.parse().ok()?;
        let (before, after) = (&line[..at], &line[at + digits.len()..]);
        is_marked_as_port(before, after, number).then_some(number)
    })
}

/// Below this, a number after a colon is a port only after an address: it may be part of a time.
const FIRST_USUAL_PORT: u16 = 1024;

fn is_marked_as_port(before: &str, after: &str, number: u16) -> bool {
    let mut rest = after.chars();
    let next = rest.next();
    let joined = next.is_some_and(|c| c.is_alphanumeric() || c == '_')
        || (matches!(next, Some(':' | '.')) && rest.next().is_some_and(|c| c.is_ascii_digit()));
    if joined {
        return false;
    }
    let is_mark = |c: char| matches!(c, ' ' | ':' | '=' | '"' | '\'' | '`' | '#' | '(');
    let label = before.trim_end_matches(is_mark);
    // Also `serverPort`, but not `transport`.
    let word = label.len() < before.len()
        && ["port", "Port", "PORT"].iter().any(|port| {
            let start = label.strip_suffix(port);
            start.is_some_and(|it| *port == "Port" || !it.ends_with(char::is_alphabetic))
        });
    let pair = after.starts_with(')') && ["', ", "\", "].iter().any(|end| before.ends_with(end));
    word || pair || is_port_of_address(before, number)
}

/// Whether a number after this text is the port of an address: `127.0.0.1:`, `localhost:`, ` :`.
fn is_port_of_address(before: &str, number: u16) -> bool {
    let Some(address) = before.strip_suffix(':') else { return false };
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_');
    let host = address.rsplit(|c: char| !is_part(c)).next().unwrap_or_default();
    let ip = host.parse::<IpAddr>().is_ok() || address.ends_with([']', '*']) || host == "::";
    let local = host == "localhost" || host.ends_with(".localhost");
    // A name with an extension is a source file; a quote ends a JSON key.
    let no_host = host.is_empty() && !address.ends_with(['"', '\'', '`', ')']);
    ip || local || (number >= FIRST_USUAL_PORT && no_host)
}

/// Returns whether a line mentions this port as a whole number.
pub fn mentions_port(line: &str, port: u16) -> bool {
    mentioned_ports(line).any(|number| number == port)
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
            "java.net.BindException: Address already in use (Bind failed)",
            "Error: Os { code: 98, kind: AddrInUse, message: \"Address already in use\" }",
            "Failed to listen on localhost:8000 (reason: Address already in use)",
            "cannot bind: Address in use (os error 98)",
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
    fn only_numbers_that_are_marked_as_ports_are_named() {
        for (line, ports) in [
            ("2026-12-01 05:53:22,123 ERROR [Errno 98] Address already in use", vec![]),
            ("[12345] 05:53:22.123 bind: Address already in use (os error 98)", vec![]),
            ("2026-12-01T05:53 pid:4321 address already in use", vec![]),
            ("{\"level\":50,\"pid\":4321,\"code\":\"EADDRINUSE\",\"port\":5000}", vec![5000]),
            ("panicked at src/main.rs:1050:30: AddrInUse", vec![]),
            ("server.js:1050 EADDRINUSE in transport 3000", vec![]),
            ("[Errno 98] error while binding on ('127.0.0.1', 8000): address in use", vec![8000]),
            ("listen EADDRINUSE: address already in use :::35729", vec![35729]),
            ("listen EADDRINUSE: address already in use ::1:5000", vec![5000]),
            ("05:53:22 listen tcp 127.0.0.1:5000: bind: address already in use", vec![5000]),
            ("listen tcp :8080: bind: address already in use", vec![8080]),
            ("listen tcp [::]:80: bind: address already in use", vec![80]),
            ("socket *:6379: bind: Address already in use", vec![6379]),
            ("bind() to 0.0.0.0:80 failed (98: Address already in use)", vec![80]),
            ("Address already in use: /127.0.0.1:5000", vec![5000]),
            ("Failed to listen on localhost:8000 (reason: in use)", vec![8000]),
            ("serverPort=5000, PORT: 81, Port 5173. is in use", vec![5000, 81, 5173]),
        ] {
            assert_eq!(named_ports(line).collect::<Vec<_>>(), ports, "{line}");
        }
    }

    #[test]
    fn a_port_is_named_as_a_whole_number() {
        assert!(mentions_port("127.0.0.1:5000: in use", 5000));
        assert!(mentions_port("port 5000", 5000));
        assert!(!mentions_port("port 15000 or 50001", 5000));
    }
}
