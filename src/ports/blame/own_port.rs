//! Services without a `port` whose program opens one all the same.

use std::collections::BTreeSet;

use super::{ExitEvidence, FIRST_LIKELY_PORT, PortBlame, names_port};
use crate::model::{Message, MessageClass, Service};
use crate::ports::PortHolder;
use crate::ports::address_in_use::{mentioned_ports, named_ports};

/// Returns the ports that a run may have meant: those that its error names, or else numbers in its
/// command, its source and the rest of its output.
pub fn suspected(
    service: &Service,
    lines: &[String],
    blamed: &[&String],
    fixed: &BTreeSet<u16>,
) -> BTreeSet<u16> {
    let named: BTreeSet<u16> = blamed.iter().flat_map(|line| named_ports(line)).collect();
    if !named.is_empty() {
        return named;
    }
    let output = lines.iter().flat_map(|line| mentioned_ports(line));
    let shown: Vec<u16> = output.chain(mentioned_ports(&service.launch.command.line())).collect();
    let likely = |port: &u16| *port >= FIRST_LIKELY_PORT;
    shown.into_iter().chain(fixed.iter().copied()).filter(likely).collect()
}

/// Judges why a run without a `port` exited; `blamed` are its lines about an address in use. Trying
/// again helps only if its port is about to be free.
pub fn judge(service: &Service, evidence: &ExitEvidence, blamed: &[&String]) -> PortBlame {
    if blamed.is_empty() {
        return PortBlame::NoSign;
    }
    let ports = suspected(service, &evidence.lines, blamed, &evidence.fixed);
    let holder = |port: &u16| {
        let mut holders = evidence.holders.get(port)?.iter();
        Some((*port, holders.find(|holder| !holder.is_this_process())?))
    };
    let is_named = names_port(blamed);
    if let Some((port, holder)) = ports.iter().find_map(holder) {
        return PortBlame::Insists(held(service, port, holder, is_named));
    }
    match ports.iter().find(|port| evidence.lingering.contains(port)) {
        Some(port) => PortBlame::Lingers(*port),
        // Its holder has exited since.
        None if is_named => PortBlame::UsedBefore(None),
        None => PortBlame::Insists(unknown(service)),
    }
}

fn held(service: &Service, port: u16, holder: &PortHolder, is_named: bool) -> Message {
    let name = &service.name;
    let needs = if is_named { "needs" } else { "seems to need" };
    let text = format!("{name} {needs} port {port}, which {} holds", holder.short_name());
    let help = format!(
        "free it with `devstack ports {port} --kill`, then run `devstack restart {name}`; or set \
         `port = {port}` and have it listen on $PORT, so that devstack can choose another one"
    );
    Message::new(MessageClass::Port, text).help(help)
}

fn unknown(service: &Service) -> Message {
    let name = &service.name;
    let text = format!("a port that {name} needs is in use; its output does not say which");
    let help = format!(
        "find what is using it with `devstack ports PORT`, then run `devstack restart {name}`; or \
         set `port` and have it listen on $PORT, so that devstack can choose a free one"
    );
    Message::new(MessageClass::Port, text).help(help)
}
