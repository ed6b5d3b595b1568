//! Texts about ports that are not available.

use std::collections::BTreeMap;

use super::choose::{Conflict, wanted};
use super::{Dispute, Holder, Key, Obstacle, known, show_folder};
use crate::model::{ConflictPolicy, Message, MessageClass, Name, PortRequest, PortWeight};

/// Returns a fragment such as `port 5000 is in use by python3 (pid 4121: …)`.
pub fn obstacle(port: u16, obstacle: &Obstacle, holders: &[Holder]) -> String {
    match obstacle {
        Obstacle::InUse => format!("port {port} {}{}", held(holders), usual(port, holders)),
        Obstacle::Leased(lessee) => format!("port {port} is reserved by {lessee}"),
        Obstacle::Denied => format!("port {port} requires privileges"),
        Obstacle::Sibling(service) => format!("port {port} is used by {service} in this stack"),
        Obstacle::NoneLeft => "no ports left".to_owned(),
        Obstacle::Failed(why) => format!("cannot check port {port}: {why}"),
    }
}

/// Returns the text for a service that lost `port`, as a fragment.
pub fn taken(port: u16, holders: &[Holder]) -> String {
    match holders {
        [] => format!("port {port} was taken by an unknown process"),
        [holder] => format!("port {port} was taken by {holder}"),
        [holder, others @ ..] => {
            format!("port {port} was taken by {holder} and {} more", others.len())
        }
    }
}

/// Returns `is in use by …`, to continue a sentence about a port.
pub fn held(holders: &[Holder]) -> String {
    match holders {
        [] => "is in use by a hidden process or a non-listening socket".to_owned(),
        [holder] => format!("is in use by {holder}"),
        [holder, others @ ..] => format!("is in use by {holder} and {} more", others.len()),
    }
}

fn usual(port: u16, holders: &[Holder]) -> String {
    let unnamed = holders.iter().all(|holder| holder.name.is_none());
    match known::usual_owner(port) {
        Some(owner) if unnamed => format!(" ({port} is commonly used by {owner})"),
        Some(_) | None => String::new(),
    }
}

/// Returns the message for a request that cannot be met, in a report about the whole stack.
pub fn conflict(conflict: &Conflict<'_>, holders: &BTreeMap<u16, Vec<Holder>>) -> Message {
    let message = refusal(conflict, holders);
    let name = said_name(&conflict.wish.service, &conflict.wish.port);
    Message { text: format!("{name}: {}", message.text), ..message }
}

/// Returns the same message without the name of the service.
pub fn refusal(conflict: &Conflict<'_>, holders: &BTreeMap<u16, Vec<Holder>>) -> Message {
    let Conflict { wish, obstacle: why, alternative } = conflict;
    let number = wanted(wish).unwrap_or_default();
    let holders = holders.get(&number).map(Vec::as_slice).unwrap_or_default();
    let class = match why {
        Obstacle::Denied => MessageClass::Denied,
        Obstacle::Failed(_) | Obstacle::NoneLeft => MessageClass::Limit,
        Obstacle::InUse | Obstacle::Leased(_) | Obstacle::Sibling(_) => MessageClass::Port,
    };
    let source = match wanted(wish) {
        Some(_) => format!("; requested by {}", wish.requested_by),
        None => String::new(),
    };
    let text = format!("{}{source}", obstacle(number, why, holders));
    let ways = [release(number, why, holders), otherwise(wish, *alternative)];
    let ways: Vec<String> = ways.into_iter().flatten().collect();
    Message::new(class, text).help(ways.join(", or "))
}

/// Returns the prompt for a request; `None` if there is nothing to choose.
pub fn dispute(conflict: &Conflict<'_>, holders: &BTreeMap<u16, Vec<Holder>>) -> Option<Dispute> {
    let Conflict { wish, obstacle: why, alternative } = conflict;
    let askable = match (wish.weight, wish.on_conflict) {
        (PortWeight::Preferred, ConflictPolicy::Ask) => true,
        (PortWeight::Preferred | PortWeight::Pinned | PortWeight::Any, _) => false,
    };
    let listens = match why {
        Obstacle::InUse => true,
        Obstacle::Leased(_) | Obstacle::Denied | Obstacle::Sibling(_) => false,
        Obstacle::NoneLeft | Obstacle::Failed(_) => return None,
    };
    let port = wanted(wish).filter(|_| askable)?;
    let holders = holders.get(&port).map(Vec::as_slice).unwrap_or_default();
    let text = said_conflict(wish, why, holders);
    Some(Dispute { port, text, listens: listens && !holders.is_empty(), next: (*alternative)? })
}

fn said_conflict(wish: &PortRequest, why: &Obstacle, holders: &[Holder]) -> String {
    let number = wanted(wish).unwrap_or_default();
    format!("{}: {}", said_name(&wish.service, &wish.port), obstacle(number, why, holders))
}

/// `api`, or `api (metrics)` for another port than the main one.
fn said_name(service: &Name, port: &str) -> String {
    match port {
        "main" => service.to_string(),
        other => format!("{service} ({other})"),
    }
}

fn release(number: u16, obstacle: &Obstacle, holders: &[Holder]) -> Option<String> {
    match obstacle {
        Obstacle::InUse => match holders {
            [holder, ..] if holder.is_devstack() => None,
            [Holder { origin: Some(origin), .. }, ..] => origin.remedy(),
            [Holder { pid: Some(_), same_user: true, .. }, ..] => {
                Some(format!("kill the process with `devstack ports {number} --kill`"))
            }
            [_, ..] => Some("ask the owner of the process to stop it".to_owned()),
            [] => Some(format!("find what is using it with `devstack ports {number}`")),
        },
        Obstacle::Leased(lessee) => match &lessee.folder {
            Some(folder) => Some(format!(
                "stop the other stack with `devstack down` in {}",
                show_folder(folder)
            )),
            None if lessee.is_strange() => Some("ask that user to stop it".to_owned()),
            None => Some("stop the other stack".to_owned()),
        },
        Obstacle::Denied if cfg!(target_os = "linux") => Some(format!(
            "allow it with `sudo sysctl net.ipv4.ip_unprivileged_port_start={number}`"
        )),
        Obstacle::Denied => None,
        Obstacle::Sibling(_) => None,
        Obstacle::NoneLeft => Some("stop another stack with `devstack down`".to_owned()),
        Obstacle::Failed(_) => {
            Some("check `ulimit -n` and other limits of this machine".to_owned())
        }
    }
}

/// How to request another port, in the same way as the current request.
fn otherwise(wish: &PortRequest, alternative: Option<u16>) -> Option<String> {
    let number = alternative?;
    let variable = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let advice = match wish.weight {
        PortWeight::Pinned if wish.requested_by.starts_with("--") => {
            format!("choose another port, such as `--port {}={number}`", wish.service)
        }
        PortWeight::Pinned if wish.requested_by.chars().all(variable) => {
            format!("choose another port, such as `{}={number}`", wish.requested_by)
        }
        PortWeight::Pinned => format!("choose another port, such as {number}"),
        PortWeight::Preferred | PortWeight::Any => {
            let let_move = match wish.on_conflict {
                ConflictPolicy::Strict => {
                    "let ports move: omit --strict-ports (`up`) or pass --no-strict-ports (`run`)"
                }
                ConflictPolicy::Fail
                | ConflictPolicy::Ask
                | ConflictPolicy::Next
                | ConflictPolicy::Auto => "let it move with `on_conflict = \"next\"`",
            };
            format!("choose another port, such as {number}, or {let_move}")
        }
    };
    Some(advice)
}

/// Returns a warning about an assigned port that browsers refuse to open.
pub fn remark((service, port): &Key, number: u16) -> Option<Message> {
    let who = said_name(service, port);
    known::refused_by_browsers(number).then(|| {
        Message::new(MessageClass::Port, format!("{who} uses port {number}, which browsers block"))
            .help("choose another port if browsers need to reach it")
    })
}
