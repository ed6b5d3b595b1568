//! Notes about runs, as messages.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::{
    ListenAddress, Message, MessageClass, ProcessExit, Service, is_loopback, listening_port,
};
use crate::ports::NetworkInterface;

/// Maximum number of processes or addresses named in a message.
const MOST_NAMED: usize = 5;

/// The service is not listening on its assigned port, but elsewhere.
pub(crate) fn wrong_port(service: &Service, given: u16, actual: &[ListenAddress]) -> Message {
    let mine: BTreeSet<u16> = service.own_ports().iter().map(|port| port.number).collect();
    let tcp = actual.iter().filter_map(ListenAddress::tcp).map(|address| address.port());
    let ports: BTreeSet<u16> = tcp.filter(|port| !mine.contains(port)).collect();
    let sockets = actual.iter().filter_map(|address| match address {
        ListenAddress::Tcp(_) => None,
        ListenAddress::Unix(name) => Some(format!("the Unix socket {name}")),
    });
    let named: Vec<String> =
        ports.iter().map(u16::to_string).chain(sockets).take(MOST_NAMED).collect();
    let text = format!("was given PORT={given} but is listening on {}", named.join(", "));
    let Some(advice) = &service.advice else {
        return Message::new(MessageClass::Port, text)
            .help("pass the port in its command, such as --port $PORT");
    };
    let message = Message::new(MessageClass::Port, format!("{text}: {}", advice.port));
    match &advice.port_variable {
        Some(name) => {
            message.help(format!("alternatively, set env = {{ {name} = \"${{PORT}}\" }}"))
        }
        None => message,
    }
}

/// Notes on where a ready service listens. `early`: it may not have opened all its ports. Calls
/// `networks` only when needed.
pub(crate) fn listen_notes(
    service: &Service,
    listening: &[ListenAddress],
    early: bool,
    networks: impl FnOnce() -> Vec<NetworkInterface>,
) -> Vec<Message> {
    let ports: Vec<u16> = service.own_ports().iter().map(|port| port.number).collect();
    let actual = listening_port(&ports, listening);
    let strange = actual.is_some_and(|port| !ports.contains(&port))
        || listening.iter().any(|address| matches!(address, ListenAddress::Unix(_)));
    // Debuggers open ports of their own, and keep the program from opening its own.
    let elsewhere = ports
        .first()
        .filter(|_| strange && !early && !service.mode.is_debug())
        .map(|given| wrong_port(service, *given, listening));
    let reach = exposure(service, actual, listening, networks);
    elsewhere.into_iter().chain(reach).collect()
}

/// A note if the service is more, or less, exposed than its host setting asks for.
fn exposure(
    service: &Service,
    port: Option<u16>,
    listening: &[ListenAddress],
    networks: impl FnOnce() -> Vec<NetworkInterface>,
) -> Option<Message> {
    let host = service.launch.host.as_str();
    let advice = service.advice.as_ref().and_then(|advice| advice.host.clone());
    let open: Vec<&ListenAddress> =
        listening.iter().filter(|address| address.is_public()).collect();
    if is_loopback(host) && !open.is_empty() {
        let who = match NetworkInterface::reachable_from(&networks(), listening).as_slice() {
            [] => "other machines can reach it once this one is on a network".to_owned(),
            [range] => format!("anyone on this network ({range}) can reach it"),
            ranges => format!("anyone on these networks ({}) can reach it", ranges.join(", ")),
        };
        let text = format!("is listening on {} although its host is {host}: {who}", places(&open));
        let way = advice.unwrap_or_else(|| "bind it to $HOST".to_owned());
        let help = format!("{way}, or if this is intended, set host = \"0.0.0.0\"");
        return Some(Message::new(MessageClass::Port, text).help(help));
    }
    let on_port =
        |address: &&ListenAddress| address.tcp().is_some_and(|at| Some(at.port()) == port);
    let main: Vec<&ListenAddress> = listening.iter().filter(on_port).collect();
    if !is_loopback(host) && !main.is_empty() && !main.iter().any(|address| address.is_public()) {
        let text = format!(
            "is listening only on {} although its host is {host}: other machines cannot reach it",
            places(&main)
        );
        let help = advice.unwrap_or_else(|| "bind it to $HOST".to_owned());
        return Some(Message::new(MessageClass::Port, text).help(help));
    }
    None
}

/// Describes addresses; wildcards matter most.
fn places(addresses: &[&ListenAddress]) -> String {
    let wild = |address: &&&ListenAddress| address.tcp().is_some_and(|at| at.ip().is_unspecified());
    let some: Vec<String> = addresses.iter().map(ToString::to_string).take(MOST_NAMED).collect();
    match addresses.iter().all(|address| wild(&address)) {
        true => format!("all interfaces ({})", some.join(", ")),
        false => some.join(", "),
    }
}

/// The program has turned on its own reloader for these files.
pub(crate) fn reloads_itself(files: &[String], turn_off: Option<&str>) -> Message {
    let text = format!("reloads itself, so its `watch` ignores {}", files.join(", "));
    let help = match turn_off {
        Some(turn_off) => format!("{turn_off} to have devstack restart it instead"),
        None => "nothing to do: it reloads these files without a restart".to_owned(),
    };
    Message::new(MessageClass::Config, text).help(help)
}

/// The service gets passed sockets, but its program is not its main process.
pub(crate) fn shell_keeps_socket() -> Message {
    let text = "the program runs under a shell, so LISTEN_PID names the shell: most programs will ignore the passed socket";
    let help = "put `exec` before the program, as in `… && exec gunicorn app:app`, or write the command as an array";
    Message::new(MessageClass::Port, text).help(help)
}

/// The program opened a port itself that is passed to it.
pub(crate) fn port_is_passed(port: u16) -> Message {
    let text = format!(
        "address already in use: devstack itself holds port {port} open to pass it on (`pass = true`)"
    );
    let help = "make the program use the passed socket (descriptor 3, LISTEN_FDS) instead of opening its own, or remove `pass`";
    Message::new(MessageClass::Port, text).help(help)
}

/// The program of a lazy service opened its main port, where devstack itself listens.
pub(crate) fn port_is_kept(port: u16) -> Message {
    let text = format!(
        "address already in use: devstack itself keeps port {port} open, because the service is lazy"
    );
    let help = "make the program listen on $PORT instead of a fixed port, or remove `start`";
    Message::new(MessageClass::Port, text).help(help)
}

/// How to keep well-known servers in the foreground, by the beginning of the name of their processes.
const FOREGROUND: [(&str, &str); 14] = [
    ("nginx", "run nginx -g 'daemon off;'"),
    ("redis-server", "pass --daemonize no"),
    ("valkey-server", "pass --daemonize no"),
    ("gunicorn", "remove -D or --daemon"),
    ("postgres", "run postgres -D DIRECTORY instead of pg_ctl"),
    ("mongod", "remove --fork"),
    ("memcached", "remove -d"),
    ("httpd", "run httpd -D FOREGROUND"),
    ("apache2", "run apache2 -D FOREGROUND"),
    ("php-fpm", "pass --nodaemonize"),
    ("haproxy", "pass -db"),
    ("uwsgi", "remove --daemonize"),
    ("sshd", "pass -D"),
    ("dnsmasq", "pass --keep-in-foreground"),
];

/// A service that exits this soon after its start has not done its work.
const AT_ONCE: Duration = Duration::from_secs(5);

/// How a main process exited that was not asked to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnExit {
    pub exit: ProcessExit,
    pub lived: Duration,
    /// Whether the service has a terminal as its stdin.
    pub terminal: bool,
}

/// Explains why a service is over that meant to stay: it went into the background, or found no
/// input.
pub(crate) fn early_end(
    service: &Service,
    own: Option<OwnExit>,
    leftovers: &[(u32, String)],
) -> Option<Message> {
    let own = own.filter(|own| {
        own.exit == ProcessExit::Code(0) && own.lived < AT_ONCE && !service.kind.is_task()
    });
    let Some(own) = own else { return orphans(leftovers) };
    if let Some(message) = orphans(leftovers) {
        let flag = FOREGROUND
            .iter()
            .find(|(name, _)| leftovers.iter().any(|(_, left)| left.starts_with(name)));
        let flag = flag.map_or("remove its option to daemonize, or a trailing `&`", |(_, it)| it);
        return Some(message.help(format!("keep the service in the foreground: {flag}")));
    }
    (!own.terminal && reads_stdin(service)).then(|| {
        let text = "exited at once, perhaps because its stdin is /dev/null";
        let help = format!("set `tty = true` under [services.{}]", service.name);
        Message::new(MessageClass::Exit, text).help(help)
    })
}

/// Whether a command looks like a program that runs until its stdin ends, as many watchers do.
fn reads_stdin(service: &Service) -> bool {
    let line = service.launch.command.line();
    let mut words = line.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
    words.any(|word| {
        matches!(word, "cat" | "watch" | "-w" | "-watch") || word.starts_with("--watch")
    })
}

/// Names the orphans that were left after the main process exited, if any.
fn orphans(leftovers: &[(u32, String)]) -> Option<Message> {
    if leftovers.is_empty() {
        return None;
    }
    let list: Vec<String> = leftovers
        .iter()
        .take(MOST_NAMED)
        .map(|(pid, name)| format!("{name} (pid {pid})"))
        .collect();
    let more = if leftovers.len() > MOST_NAMED { ", …" } else { "" };
    let text = format!("left processes running, now terminated: {}{more}", list.join(", "));
    Some(Message::new(MessageClass::Orphan, text))
}

#[cfg(test)]
mod tests;
