//! Texts about ports that are not available.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::choose::PortConflict;
use super::{ConflictPrompt, PortHolder, PortObstacle, display_home_relative, well_known};
use crate::model::{ConflictPolicy, Message, MessageClass, PortKey, PortRequest, WantedPort};
use crate::text::join;

/// Returns a fragment such as `port 5000 is in use by python3 (pid 4121: …)`.
pub fn obstacle_text(port: u16, obstacle: &PortObstacle, holders: &[PortHolder]) -> String {
    match obstacle {
        PortObstacle::InUse => {
            format!("port {port} {}{}", holder_text(holders), usual(port, holders))
        }
        PortObstacle::Leased(owner) => format!("port {port} is reserved by {owner}"),
        PortObstacle::Denied => format!("port {port} requires privileges"),
        PortObstacle::SameStack(service) => {
            format!("port {port} is used by {service} in this stack")
        }
        PortObstacle::NoneLeft => "no ports left".to_owned(),
        PortObstacle::Failed(why) => format!("cannot check port {port}: {why}"),
    }
}

/// Returns the text for a service that lost `port`, as a fragment.
pub fn loss_text(port: u16, holders: &[PortHolder]) -> String {
    match holders {
        [] => format!("port {port} was taken by an unknown process"),
        [holder] => format!("port {port} was taken by {holder}"),
        [holder, others @ ..] => {
            format!("port {port} was taken by {holder} and {} more", others.len())
        }
    }
}

/// Returns `is in use by …`, to continue a sentence about a port.
pub fn holder_text(holders: &[PortHolder]) -> String {
    match holders {
        [] => "is in use by a hidden process or a non-listening socket".to_owned(),
        [holder] => format!("is in use by {holder}"),
        [holder, others @ ..] => format!("is in use by {holder} and {} more", others.len()),
    }
}

fn usual(port: u16, holders: &[PortHolder]) -> String {
    let unnamed = holders.iter().all(|holder| holder.name.is_none());
    match well_known::usual_program(port) {
        Some(owner) if unnamed => format!(" ({port} is commonly used by {owner})"),
        Some(_) | None => String::new(),
    }
}

/// Returns the message for a request that cannot be met, in a report about the whole stack.
pub fn conflict_message(
    conflict: &PortConflict<'_>,
    holders: &BTreeMap<u16, Vec<PortHolder>>,
) -> Message {
    let message = refusal_message(conflict, holders);
    Message { text: format!("{}: {}", conflict.request.key, message.text), ..message }
}

/// Returns the same message without the name of the service.
pub fn refusal_message(
    conflict: &PortConflict<'_>,
    holders: &BTreeMap<u16, Vec<PortHolder>>,
) -> Message {
    let PortConflict { request, obstacle: why, alternative } = conflict;
    let number = request.wanted.number().unwrap_or_default();
    let holders = holders.get(&number).map(Vec::as_slice).unwrap_or_default();
    let class = match why {
        PortObstacle::Denied => MessageClass::Denied,
        PortObstacle::Failed(_) | PortObstacle::NoneLeft => MessageClass::Limit,
        PortObstacle::InUse | PortObstacle::Leased(_) | PortObstacle::SameStack(_) => {
            MessageClass::Port
        }
    };
    let source = match request.wanted {
        WantedPort::Any => String::new(),
        WantedPort::Pinned(_) | WantedPort::Preferred(..) => {
            format!("; requested by {}", request.requested_by)
        }
    };
    let text = format!("{}{source}", obstacle_text(number, why, holders));
    let ways = [how_to_free(number, why, holders), how_to_choose_another(request, *alternative)];
    Message::new(class, text).help(join(ways.into_iter().flatten(), ", or "))
}

/// Returns the prompt for a request; `None` if there is nothing to choose.
pub fn prompt_for(
    conflict: &PortConflict<'_>,
    holders: &BTreeMap<u16, Vec<PortHolder>>,
) -> Option<ConflictPrompt> {
    let PortConflict { request, obstacle: why, alternative } = conflict;
    let WantedPort::Preferred(port, ConflictPolicy::Ask) = request.wanted else { return None };
    let port = port.get();
    let in_use = match why {
        PortObstacle::InUse => true,
        PortObstacle::Leased(_) | PortObstacle::Denied | PortObstacle::SameStack(_) => false,
        PortObstacle::NoneLeft | PortObstacle::Failed(_) => return None,
    };
    let holders = holders.get(&port).map(Vec::as_slice).unwrap_or_default();
    Some(ConflictPrompt {
        port,
        reason: format!("{}: {}", request.key, obstacle_text(port, why, holders)),
        listens: in_use && !holders.is_empty(),
        alternative: (*alternative)?,
    })
}

fn how_to_free(number: u16, obstacle: &PortObstacle, holders: &[PortHolder]) -> Option<String> {
    match obstacle {
        PortObstacle::InUse => match holders {
            [holder, ..] if holder.is_this_process() => None,
            [PortHolder { context: Some(context), .. }, ..] => context.stop_hint(),
            [PortHolder { pid: Some(_), same_user: true, .. }, ..] => {
                Some(format!("kill the process with `devstack ports {number} --kill`"))
            }
            [_, ..] => Some("ask the owner of the process to stop it".to_owned()),
            [] => Some(format!("find what is using it with `devstack ports {number}`")),
        },
        PortObstacle::Leased(owner) => match &owner.dir {
            Some(dir) => Some(format!(
                "stop the other stack with `devstack down` in {}",
                display_home_relative(dir)
            )),
            None if owner.is_other_user() => Some("ask that user to stop it".to_owned()),
            None => Some("stop the other stack".to_owned()),
        },
        PortObstacle::Denied if cfg!(target_os = "linux") => Some(format!(
            "allow it with `sudo sysctl net.ipv4.ip_unprivileged_port_start={number}`"
        )),
        PortObstacle::Denied => None,
        PortObstacle::SameStack(_) => None,
        PortObstacle::NoneLeft => Some("stop another stack with `devstack down`".to_owned()),
        PortObstacle::Failed(_) => {
            Some("check `ulimit -n` and other limits of this machine".to_owned())
        }
    }
}

/// How to request another port, in the same way as the current request.
fn how_to_choose_another(request: &PortRequest, alternative: Option<u16>) -> Option<String> {
    let number = alternative?;
    let PortRequest { key, wanted, requested_by, .. } = request;
    let variable = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let advice = match wanted {
        WantedPort::Pinned(_) if requested_by.starts_with("--") => {
            format!("choose another port, such as `--port {}={number}`", key.service)
        }
        WantedPort::Pinned(_) if requested_by.chars().all(variable) => {
            format!("choose another port, such as `{requested_by}={number}`")
        }
        WantedPort::Pinned(_) => format!("choose another port, such as {number}"),
        WantedPort::Preferred(_, ConflictPolicy::Strict) => format!(
            "choose another port, such as {number}, or let ports move: \
             omit --strict-ports (`up`) or pass --no-strict-ports (`run`)"
        ),
        WantedPort::Preferred(..) | WantedPort::Any => format!(
            "choose another port, such as {number}, or let it move with `on_conflict = \"next\"`"
        ),
    };
    Some(advice)
}

/// Returns a note about automatic ports from the range of outgoing connections.
pub fn ephemeral_ports(given: &[(&PortKey, u16)], range: &RangeInclusive<u16>) -> Message {
    /// This many fit on one line.
    const MOST: usize = 5;
    let some = given.iter().take(MOST).map(|(key, number)| format!("{key} uses {number}"));
    let mut some: Vec<String> = some.collect();
    if given.len() > MOST {
        some.push("…".to_owned());
    }
    let (first, last) = (range.start(), range.end());
    let text = format!(
        "outgoing connections may take any port from {first} to {last}, which leaves no others: {}",
        some.join(", ")
    );
    let help = if cfg!(target_os = "linux") {
        "narrow that range with `sudo sysctl net.ipv4.ip_local_port_range=\"32768 60999\"`"
    } else {
        "set a port outside of that range"
    };
    Message::new(MessageClass::Port, text).help(help)
}

/// Returns a note about a port that was given although `process` announces it as reserved.
pub fn disputed_lease(number: u16, process: &str) -> Message {
    let text = format!("port {number} is free, although {process} has the name of its reservation");
    let help = format!("stop that process if it should not have @devstack-port-{number}");
    Message::new(MessageClass::Port, text).help(help)
}

/// Returns a warning about an assigned port that browsers refuse to open.
pub fn browser_warning(key: &PortKey, number: u16) -> Option<Message> {
    well_known::blocked_by_browsers(number).then(|| {
        Message::new(MessageClass::Port, format!("{key} uses port {number}, which browsers block"))
            .help("choose another port if browsers need to reach it")
    })
}
