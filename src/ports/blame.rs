//! Judges whether another process took a port of a service. Pure: what was seen is a parameter.

use std::collections::{BTreeMap, BTreeSet};

use super::address_in_use::{mentions_address_in_use, mentions_port};
use super::{PortHolder, loss_text};
use crate::model::{Message, MessageClass, Service};

/// The processes that listen on each port.
pub type HoldersByPort = BTreeMap<u16, Vec<PortHolder>>;

/// What was seen after a run that exited before it was ready, when nothing of it was left.
#[derive(Debug, Default)]
pub struct ExitEvidence {
    /// Who listens on the service's ports.
    pub holders: HoldersByPort,
    /// The last lines of the run.
    pub lines: Vec<String>,
    /// Whether devstack's own reservation held the ports.
    pub held: bool,
    /// Its ports with connections in `TIME_WAIT`.
    pub lingering: BTreeSet<u16>,
}

/// Why a run that exited before it was ready could not use its ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortBlame {
    /// Another process took one of them.
    Taken(Message),
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
    let lines = evidence.lines.iter().filter(|line| mentions_address_in_use(line));
    let blamed: Vec<&String> = lines.collect();
    let named = |number: u16| blamed.iter().any(|line| mentions_port(line, number));
    // Blame an unidentified process only if the output mentions the error as well.
    let certain = |holder: &PortHolder| !blamed.is_empty() || !holder.may_act_for_service();
    if let Some(text) = foreign_holder(service, &evidence.holders, certain) {
        return PortBlame::Taken(Message::new(MessageClass::Port, text));
    }
    if evidence.holders.values().flatten().any(|holder| !holder.is_this_process()) {
        return PortBlame::Unclear;
    }
    if blamed.is_empty() {
        return PortBlame::NoSign;
    }
    let passed: Vec<u16> = service.activated_ports().map(|port| port.number).collect();
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
    let meant = numbers.iter().find(|number| named(**number));
    let meant = meant.or_else(|| numbers.iter().find(|it| evidence.lingering.contains(it)));
    PortBlame::UsedBefore(meant.copied())
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
