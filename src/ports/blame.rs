//! Judges whether another process took a port of a service. Pure: what was seen is a parameter.

mod own_port;

use std::collections::{BTreeMap, BTreeSet};

use super::address_in_use::{mentioned_ports, mentions_address_in_use, mentions_port, named_ports};
use super::{PortHolder, loss_text};
use crate::model::{Message, MessageClass, Service};

/// Smaller numbers in a traceback are lines and error numbers rather than ports.
const FIRST_LIKELY_PORT: u16 = 1024;

/// The processes that listen on each port.
pub type HoldersByPort = BTreeMap<u16, Vec<PortHolder>>;

/// What was seen after a run that exited before it was ready, when nothing of it was left.
#[derive(Debug, Default)]
pub struct ExitEvidence {
    /// What listens on the service's ports, and on [`suspected_ports`].
    pub holders: HoldersByPort,
    /// The last lines of the run.
    pub lines: Vec<String>,
    /// Whether devstack's own reservation held the ports.
    pub held: bool,
    /// Numbers in the source of the program, if it reads neither variables nor arguments, or has no
    /// port.
    pub fixed: BTreeSet<u16>,
    /// The searched ports on which nothing listens, but with connections in `TIME_WAIT`.
    pub lingering: BTreeSet<u16>,
}

/// Why a run that exited before it was ready could not use its ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortBlame {
    /// Another process took one of them.
    Taken(Message),
    /// It insists on another port than it was given, and another process has that one. Or it has no
    /// port, and the one that it needs is in use.
    Insists(Message),
    /// Closed connections keep this port for a while.
    Lingers(u16),
    /// There is no sign that it could not.
    NoSign,
    /// A process is listening there, but may well act for the service.
    Unclear,
    /// The program tried to open this port, although it is passed to it.
    OpenedPassedPort(u16),
    /// devstack's own reservation was in the way.
    Reservation,
    /// One of them was in use, perhaps this one, but nothing is listening there any more.
    UsedBefore(Option<u16>),
    /// A port was in use that its output does not name, and its own are free. The message counts if
    /// that happens again: then it is another port.
    Unnamed(Message),
}

/// Judges whether a service may start on its ports. `first`: it has not run before. `unclaimed`: a
/// port that was given to it although it was in use.
///
/// # Errors
/// Why it may not.
pub fn judge_start(
    service: &Service,
    first: bool,
    holders: &HoldersByPort,
    unclaimed: Option<u16>,
) -> Result<(), Message> {
    // The service's own container may outlive the program that started it.
    let thief = foreign_holder(service, holders, |holder| first || !holder.may_act_for_service());
    let unavailable = |number| format!("port {number} was unavailable; choosing again");
    match thief.or(unclaimed.map(unavailable)) {
        Some(text) => Err(Message::new(MessageClass::Port, text)),
        None => Ok(()),
    }
}

/// Judges why a run exited before it was ready.
pub fn judge_exit(service: &Service, evidence: &ExitEvidence) -> PortBlame {
    let blamed = blamed_lines(service, &evidence.lines);
    let named = |number: u16| blamed.iter().any(|line| mentions_port(line, number));
    // Blame an unidentified process only if the output mentions the error as well.
    let certain = |holder: &PortHolder| !blamed.is_empty() || !holder.may_act_for_service();
    if let Some(text) = foreign_holder(service, &evidence.holders, certain) {
        return PortBlame::Taken(Message::new(MessageClass::Port, text));
    }
    if service.ports.is_empty() {
        return own_port::judge(service, evidence, &blamed);
    }
    if let Some(message) = insistence(service, evidence, &blamed) {
        return PortBlame::Insists(message);
    }
    if foreign_holder(service, &evidence.holders, |_| true).is_some() {
        return PortBlame::Unclear;
    }
    if blamed.is_empty() {
        return PortBlame::NoSign;
    }
    let passed = service.activated_ports().map(|port| port.number);
    let passed: Vec<u16> = passed.chain(service.door().map(|door| door.port())).collect();
    let all = passed.len() == service.ports.len();
    let unnamed = all && !passed.iter().any(|number| named(*number));
    if let Some(number) = passed.into_iter().find(|number| unnamed || named(*number)) {
        return PortBlame::OpenedPassedPort(number);
    }
    if evidence.held {
        return PortBlame::Reservation;
    }
    // Either a process that has exited since, or connections in TIME_WAIT, which a program without
    // `SO_REUSEADDR` cannot bind over. Many programs do not report which port it was.
    let numbers = service.ports.iter().map(|port| port.number).collect::<BTreeSet<u16>>();
    let meant = numbers.iter().copied().find(|number| named(*number));
    let lingers = |number: &u16| evidence.lingering.contains(number);
    match meant.or_else(|| numbers.into_iter().find(lingers)) {
        Some(number) if lingers(&number) => PortBlame::Lingers(number),
        None if !names_port(&blamed) => unnamed_port(service),
        meant => PortBlame::UsedBefore(meant),
    }
}

/// Returns the ports besides its own that a run may have meant when it said that an address is in
/// use: those it names, and those it would have without devstack. `fixed`: numbers in its source.
pub fn suspected_ports(
    service: &Service,
    lines: &[String],
    fixed: &BTreeSet<u16>,
) -> BTreeSet<u16> {
    let blamed = blamed_lines(service, lines);
    if blamed.is_empty() || service.launch.container.is_some() {
        return BTreeSet::new();
    }
    if service.ports.is_empty() {
        return own_port::suspected(service, lines, &blamed, fixed);
    }
    let named = blamed.into_iter().flat_map(|line| named_ports(line));
    let mut ports: BTreeSet<u16> = named.chain(unnamed_ports(service, lines, fixed)).collect();
    ports.retain(|number| !service.ports.iter().any(|port| port.number == *number));
    ports
}

/// Returns the lines that say that an address of this machine is in use. The program in a container
/// speaks of its ports inside, and the engine of those outside.
fn blamed_lines<'a>(service: &Service, lines: &'a [String]) -> Vec<&'a String> {
    let outside = |line: &&String| {
        service.launch.container.is_none()
            || service.ports.iter().any(|port| mentions_port(line, port.number))
    };
    lines.iter().filter(|line| mentions_address_in_use(line)).filter(outside).collect()
}

/// Whether one of these lines about an address in use says which port it was.
fn names_port(blamed: &[&String]) -> bool {
    blamed.iter().any(|line| named_ports(line).next().is_some())
}

/// Returns the ports that a program may use without naming them in its error: those that it was not
/// given although they are wanted for it, and the numbers in its command, its source and the lines
/// of a traceback that start a server.
fn unnamed_ports(service: &Service, lines: &[String], fixed: &BTreeSet<u16>) -> Vec<u16> {
    let wanted = service.ports.iter().filter_map(|port| port.wanted);
    let mut ports: Vec<u16> =
        wanted.chain(mentioned_ports(&service.launch.command.line())).collect();
    let traced = lines.iter().filter(|line| starts_server(line));
    let traced = traced.flat_map(|line| mentioned_ports(line));
    ports.extend(traced.chain(fixed.iter().copied()).filter(|port| *port >= FIRST_LIKELY_PORT));
    ports
}

/// Whether a line of a traceback calls what opens a port, and not with a default for `PORT`.
fn starts_server(line: &str) -> bool {
    let call = ["server(", "bind(", "listen(", "run(", "serve("];
    let lower = line.to_lowercase();
    call.iter().any(|call| lower.contains(call)) && !line.contains("PORT")
}

/// Judges a run whose output says that a port is in use, but not which, while its own are free.
fn unnamed_port(service: &Service) -> PortBlame {
    let Some(given) = service.port().map(|port| port.number) else {
        return PortBlame::UsedBefore(None);
    };
    let name = &service.name;
    let text = format!(
        "{name} was given PORT={given}, but a port that it needs is in use; its output does not \
         say which"
    );
    let help = format!(
        "{}; or find what is using it with `devstack ports PORT`, then run `devstack restart {name}`",
        way_to_port(service)
    );
    PortBlame::Unnamed(Message::new(MessageClass::Port, text).help(help))
}

/// Says how the program of a service takes its port.
fn way_to_port(service: &Service) -> String {
    match &service.advice {
        Some(advice) => advice.port.clone(),
        None => "read PORT from the environment, or pass --port $PORT in its command".to_owned(),
    }
}

/// Explains that a run whose output has these lines about an address in use meant another port than
/// the one it was given, if another process has that port.
fn insistence(service: &Service, evidence: &ExitEvidence, blamed: &[&String]) -> Option<Message> {
    let given = service.port()?.number;
    let own = |port: u16| service.ports.iter().any(|own| own.number == port);
    let is_container = service.launch.container.is_some();
    if is_container || blamed.is_empty() || blamed.iter().any(|line| mentioned_ports(line).any(own))
    {
        return None;
    }
    let holder = |port: u16| {
        let mut holders = evidence.holders.get(&port)?.iter();
        holders.find(|holder| !own(port) && !holder.is_this_process())
    };
    let is_held = |port: &u16| holder(*port).is_some();
    // Without a name, devstack's own reservation may be in the way as well, unless the source or a
    // traceback shows a number that does not stand in for a missing PORT.
    let shows = |port: u16| {
        let line = |line: &String| mentions_port(line, port) && !line.contains("PORT");
        evidence.fixed.contains(&port) || evidence.lines.iter().any(line)
    };
    let named = blamed.iter().flat_map(|line| named_ports(line)).find(is_held);
    let port = named.or_else(|| {
        let unnamed = unnamed_ports(service, &evidence.lines, &evidence.fixed);
        let mut unnamed = unnamed.into_iter().filter(is_held);
        unnamed.find(|port| !evidence.held || shows(*port))
    })?;
    let holder = holder(port)?;
    let name = &service.name;
    let text = format!(
        "{name} was given PORT={given} but seems to insist on {port}, which {} holds",
        holder.short_name()
    );
    let way = way_to_port(service);
    let help = format!(
        "{way}; or free it with `devstack ports {port} --kill`, then run `devstack restart {name}`"
    );
    Some(Message::new(MessageClass::Port, text).help(help))
}

/// Judges whether `holder`, which listens on `port`, took it from a run that is not ready.
pub fn judge_listener(service: &Service, port: u16, holder: &PortHolder) -> Option<Message> {
    let certain = !holder.may_act_for_service() && !holder.is_this_process();
    let own = service.ports.iter().any(|own| own.number == port);
    let text = || loss_text(port, std::slice::from_ref(holder));
    (own && certain).then(|| Message::new(MessageClass::Port, text()))
}

/// Describes the first port of the service with a holder that counts.
fn foreign_holder(
    service: &Service,
    holders: &HoldersByPort,
    counts: impl Fn(&PortHolder) -> bool,
) -> Option<String> {
    service.ports.iter().find_map(|port| {
        let holders = holders.get(&port.number)?;
        let thieves = holders.iter().filter(|holder| !holder.is_this_process() && counts(holder));
        let thieves: Vec<PortHolder> = thieves.cloned().collect();
        (!thieves.is_empty()).then(|| loss_text(port.number, &thieves))
    })
}

#[cfg(test)]
mod tests;
