//! What is to be said of a run, in words.

use std::collections::BTreeSet;

use crate::model::{Address, Class, Message, Service, actual_port, is_loopback};
use crate::ports::Network;

/// How many of several things are named: processes that were left behind, addresses.
const MOST_NAMED: usize = 5;

/// A service does not listen on the port that it was given, but somewhere else.
pub(super) fn elsewhere(service: &Service, given: u16, actual: &[Address]) -> Message {
    let mine: BTreeSet<u16> = service.ports.iter().map(|port| port.number).collect();
    let tcp = actual.iter().filter_map(Address::tcp).map(|address| address.port());
    let ports: BTreeSet<u16> = tcp.filter(|port| !mine.contains(port)).collect();
    let sockets = actual.iter().filter_map(|address| match address {
        Address::Tcp(_) => None,
        Address::Unix(name) => Some(format!("the Unix socket {name}")),
    });
    let named: Vec<String> =
        ports.iter().map(u16::to_string).chain(sockets).take(MOST_NAMED).collect();
    let text = format!("was given PORT={given} but listens on {}", named.join(", "));
    let Some(advice) = &service.advice else {
        return Message::new(Class::Port, text)
            .help("pass the port on in its command, such as --port $PORT");
    };
    let message = Message::new(Class::Port, format!("{text}: {}", advice.port));
    match &advice.variable {
        Some(name) => message.help(format!("or set env = {{ {name} = \"${{PORT}}\" }}")),
        None => message,
    }
}

/// What is to be said of where a service that is ready listens. `early`: it may not have opened all of it. `networks` is
/// asked only when it matters.
pub(super) fn surveyed(
    service: &Service,
    listening: &[Address],
    early: bool,
    networks: impl FnOnce() -> Vec<Network>,
) -> Vec<Message> {
    let ports: Vec<u16> = service.ports.iter().map(|port| port.number).collect();
    let actual = actual_port(&ports, listening);
    let strange = actual.is_some_and(|port| !ports.contains(&port))
        || listening.iter().any(|address| matches!(address, Address::Unix(_)));
    // Debuggers open ports among themselves, and keep the program from opening its own.
    let elsewhere = ports
        .first()
        .filter(|_| strange && !early && !service.mode.is_debug())
        .map(|given| elsewhere(service, *given, listening));
    let reach = reach(service, actual, listening, networks);
    elsewhere.into_iter().chain(reach).collect()
}

/// Whether others can reach more, or less, than the service was told to open.
fn reach(
    service: &Service,
    port: Option<u16>,
    listening: &[Address],
    networks: impl FnOnce() -> Vec<Network>,
) -> Option<Message> {
    let host = service.launch.host.as_str();
    let advice = service.advice.as_ref().and_then(|advice| advice.host.clone());
    let open: Vec<&Address> = listening.iter().filter(|address| address.is_open()).collect();
    if is_loopback(host) && !open.is_empty() {
        let who = match Network::ranges(&networks(), listening).as_slice() {
            [] => "others can reach it as soon as there is a network".to_owned(),
            [range] => format!("anyone in this network ({range}) can reach it"),
            ranges => format!("anyone in these networks ({}) can reach it", ranges.join(", ")),
        };
        let text = format!("listens on {}, though its host is {host}: {who}", places(&open));
        let way = advice.unwrap_or_else(|| "have it bind $HOST".to_owned());
        let help = format!("{way}; or say that it is meant: host = \"0.0.0.0\"");
        return Some(Message::new(Class::Port, text).help(help));
    }
    let on_port = |address: &&Address| address.tcp().is_some_and(|at| Some(at.port()) == port);
    let main: Vec<&Address> = listening.iter().filter(on_port).collect();
    if !is_loopback(host) && !main.is_empty() && !main.iter().any(|address| address.is_open()) {
        let text = format!(
            "listens on {} only, though its host is {host}: nobody else can reach it",
            places(&main)
        );
        let help = advice.unwrap_or_else(|| "have it bind $HOST".to_owned());
        return Some(Message::new(Class::Port, text).help(help));
    }
    None
}

/// Addresses in words: wildcards are what matters most.
fn places(addresses: &[&Address]) -> String {
    let wild = |address: &&&Address| address.tcp().is_some_and(|at| at.ip().is_unspecified());
    let some: Vec<String> = addresses.iter().map(ToString::to_string).take(MOST_NAMED).collect();
    match addresses.iter().all(|address| wild(&address)) {
        true => format!("all interfaces ({})", some.join(", ")),
        false => some.join(", "),
    }
}

/// A service is passed sockets, and its program is not its main process.
pub(super) fn shell_between() -> Message {
    let text = "a shell stays between devstack and the program, and LISTEN_PID is that of the shell: \
                most programs will not take the passed socket";
    let help = "write `exec` before the program, as in `… && exec gunicorn app:app`, or the command as an array";
    Message::new(Class::Port, text).help(help)
}

/// A program opened a port itself that it is passed.
pub(super) fn opened_twice(port: u16) -> Message {
    let text = format!(
        "found an address in use: devstack itself has port {port} open, to pass it (`pass = true`)"
    );
    let help = "have the program take the socket that it is passed (descriptor 3, LISTEN_FDS) instead of opening one, \
                or take `pass` out";
    Message::new(Class::Port, text).help(help)
}

/// Processes that were left when the main process had ended; `None`: there were none.
pub(super) fn orphans(leftovers: &[(u32, String)]) -> Option<Message> {
    if leftovers.is_empty() {
        return None;
    }
    let list: Vec<String> = leftovers
        .iter()
        .take(MOST_NAMED)
        .map(|(pid, name)| format!("{name} (pid {pid})"))
        .collect();
    let more = if leftovers.len() > MOST_NAMED { ", …" } else { "" };
    let text = format!("left processes behind, now ended: {}{more}", list.join(", "));
    Some(Message::new(Class::Orphan, text))
}

#[cfg(test)]
mod tests;
