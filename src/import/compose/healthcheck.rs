//! `healthcheck`: what becomes `ready` and `health`.

use std::time::Duration;

use super::compose_ports::ContainerPort;
use super::service_command::{MAX_COMMAND, compose_words};
use super::service_hosts::port_reference;
use crate::import::substitution::to_shell;
use crate::import::yaml::{YamlContent, YamlNode};
use crate::import::{ImportedCommand, ImportedProbe, ProbeTest};

/// How long readiness may take without a word about it in `devstack.toml`.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How often Compose checks unless told otherwise, and after how many failures it gives up.
const INTERVAL: Duration = Duration::from_secs(30);
const RETRIES: u32 = 3;

/// Options of curl and wget that do not change what is asked.
const PLAIN_OPTIONS: [&str; 21] = [
    "-f", "-s", "-S", "-L", "-i", "-v", "-q", "-fs", "-sf", "-fsS", "-sS", "-fsSL", "-nv", "-qO-",
    "--fail", "--silent", "--show-error", "--location", "--quiet", "--no-verbose", "--spider",
];

/// Options that take a word.
const OPTIONS_WITH_WORD: [&str; 7] =
    ["-o", "--output", "-O", "-m", "--max-time", "--connect-timeout", "-T"];

/// Reads a check. The first probe says when the service is ready, the second whether it is healthy.
/// `ports` are those of the service, the main one first.
pub(super) fn read_healthcheck(
    node: &YamlNode,
    name: &str,
    ports: &[ContainerPort],
) -> Option<(ImportedProbe, ImportedProbe)> {
    if node.get("disable").and_then(YamlNode::boolean) == Some(true) {
        node.accept();
        return None;
    }
    let Some(test) = node.get("test") else {
        node.reject("not carried over: the check of the image is not known");
        return None;
    };
    let Some(test) = read_test(test, name, ports, node) else {
        node.accept();
        return None;
    };
    let interval = node.get("interval").and_then(YamlNode::duration);
    let failures = node.get("retries").and_then(YamlNode::number::<u32>);
    let start = node.get("start_period").and_then(YamlNode::duration);
    let limit = interval
        .unwrap_or(INTERVAL)
        .saturating_mul(failures.unwrap_or(RETRIES))
        .saturating_add(start.unwrap_or_default());
    // Only if the file says so: the defaults of Compose are not a wish for a longer time.
    let timeout = (interval.is_some() || start.is_some()) && limit > READY_TIMEOUT;
    let timeout = timeout.then_some(limit);
    let ready = ImportedProbe { test: test.clone(), interval: None, timeout, failures: None };
    Some((ready, ImportedProbe { test, interval, timeout: None, failures }))
}

fn read_test(
    node: &YamlNode,
    name: &str,
    ports: &[ContainerPort],
    check: &YamlNode,
) -> Option<ProbeTest> {
    let shell = |text: &str| {
        if text.len() > MAX_COMMAND {
            return ProbeTest::Exec(ImportedCommand::Shell(to_shell(text)));
        }
        let plain = text.trim();
        let plain = plain
            .strip_suffix("exit 1")
            .map_or(plain, |rest| rest.trim_end().trim_end_matches("||"));
        let request = shell_words::split(plain).ok().and_then(|words| request(&words, name, ports));
        request.unwrap_or_else(|| {
            ProbeTest::Exec(ImportedCommand::Shell(at_assigned(&to_shell(text.trim_end()), ports)))
        })
    };
    let YamlContent::List(items) = &node.content else { return Some(shell(node.text()?)) };
    node.items();
    match items.first().and_then(YamlNode::scalar) {
        Some("NONE") => None,
        Some("CMD-SHELL") => {
            let words: Vec<&str> = items[1..].iter().filter_map(YamlNode::text).collect();
            Some(shell(&words.join(" ")))
        }
        Some("CMD") => {
            let mut words = compose_words(node);
            words.remove(0);
            Some(request(&words, name, ports).unwrap_or_else(|| {
                let words = words.iter().map(|word| at_assigned(word, ports)).collect();
                ProbeTest::Exec(ImportedCommand::Words(words))
            }))
        }
        _ => {
            check.note("not carried over: its test begins with neither CMD, CMD-SHELL nor NONE");
            None
        }
    }
}

/// Returns the request that curl or wget makes, if it is a plain one to the service itself.
fn request(words: &[String], name: &str, ports: &[ContainerPort]) -> Option<ProbeTest> {
    let mut words = words.iter();
    let program = words.next()?;
    if !matches!(program.rsplit('/').next(), Some("curl" | "wget")) {
        return None;
    }
    let mut url: Option<&str> = None;
    while let Some(word) = words.next() {
        if OPTIONS_WITH_WORD.contains(&word.as_str()) {
            words.next()?;
        } else if word.starts_with("--tries=") || word.starts_with("--timeout=") {
            continue;
        } else if word.starts_with('-') {
            PLAIN_OPTIONS.contains(&word.as_str()).then_some(())?;
        } else if url.replace(word).is_some() {
            return None;
        }
    }
    let url = url?;
    let rest = url.strip_prefix("http://").or_else(|| (!url.contains("://")).then_some(url))?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let (host, port) = host.split_once(':').unwrap_or((host, "80"));
    if !matches!(host, "localhost" | "127.0.0.1" | "0.0.0.0") || path.contains('$') {
        return None;
    }
    let port: u16 = port.parse().ok()?;
    let place = ports.iter().position(|known| known.target == port)?;
    Some(ProbeTest::Http(match place {
        0 => path.to_owned(),
        _ => {
            let port = port_reference(name, ports[place].name.as_deref());
            format!("http://${{{name}.host}}:{port}{path}")
        }
    }))
}

/// Puts the assigned address in the place of the container's own.
fn at_assigned(text: &str, ports: &[ContainerPort]) -> String {
    let Some(main) = ports.first() else { return text.to_owned() };
    ["localhost", "127.0.0.1", "0.0.0.0"].iter().fold(text.to_owned(), |text, host| {
        let address = format!("{host}:{}", main.target);
        let mut pieces = text.split(&address);
        let mut replaced = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            // `localhost:80` is not the beginning of `localhost:8080`.
            let is_longer = piece.starts_with(|c: char| c.is_ascii_digit());
            replaced.push_str(if is_longer { &address } else { "${HOST}:${PORT}" });
            replaced.push_str(piece);
        }
        replaced
    })
}
