//! What is said about numbers that cannot be had.

use std::collections::BTreeMap;

use super::choose::{Conflict, wanted};
use super::{Dispute, Holder, Key, Obstacle, known, show_folder};
use crate::model::{Class, Message, Name, OnConflict, PortWish, Weight};

/// Why `port` cannot be had, as a fragment: `port 5000 is held by python3 (pid 4121: …)`.
pub fn obstacle(port: u16, obstacle: &Obstacle, holders: &[Holder]) -> String {
    match obstacle {
        Obstacle::InUse => format!("port {port} {}{}", held(holders), usual(port, holders)),
        Obstacle::Leased(lessee) => format!("port {port} is leased by {lessee}"),
        Obstacle::Denied => format!("port {port} needs privileges"),
        Obstacle::Sibling(service) => format!("port {port} belongs to {service} of this stack"),
        Obstacle::NoneLeft => "no port is left".to_owned(),
        Obstacle::Failed(why) => format!("port {port} cannot be checked: {why}"),
    }
}

/// That somebody has taken `port` from a service that was given it, as a fragment.
pub fn taken(port: u16, holders: &[Holder]) -> String {
    match holders {
        [] => format!("port {port} was taken by somebody"),
        [holder] => format!("port {port} was taken by {holder}"),
        [holder, others @ ..] => {
            format!("port {port} was taken by {holder} and {} more", others.len())
        }
    }
}

/// `held by …`, as the rest of a sentence about a port.
pub fn held(holders: &[Holder]) -> String {
    match holders {
        [] => "is in use by a socket that does not listen, or by a hidden process".to_owned(),
        [holder] => format!("is held by {holder}"),
        [holder, others @ ..] => format!("is held by {holder} and {} more", others.len()),
    }
}

/// Who usually has the port, when nobody could be named.
fn usual(port: u16, holders: &[Holder]) -> String {
    let unnamed = holders.iter().all(|holder| holder.name.is_none());
    match known::usual_owner(port) {
        Some(owner) if unnamed => format!(" ({port} is usually {owner})"),
        Some(_) | None => String::new(),
    }
}

/// The message for a wish that cannot be granted, for people who look at the whole stack.
pub fn conflict(conflict: &Conflict<'_>, holders: &BTreeMap<u16, Vec<Holder>>) -> Message {
    let message = refusal(conflict, holders);
    let name = said_name(&conflict.wish.service, &conflict.wish.port);
    Message { text: format!("{name}: {}", message.text), ..message }
}

/// The same beside the name of its service.
pub fn refusal(conflict: &Conflict<'_>, holders: &BTreeMap<u16, Vec<Holder>>) -> Message {
    let Conflict { wish, obstacle: why, alternative } = conflict;
    let number = wanted(wish).unwrap_or_default();
    let holders = holders.get(&number).map(Vec::as_slice).unwrap_or_default();
    let class = match why {
        Obstacle::Denied => Class::Denied,
        Obstacle::Failed(_) | Obstacle::NoneLeft => Class::Limit,
        Obstacle::InUse | Obstacle::Leased(_) | Obstacle::Sibling(_) => Class::Port,
    };
    let source = match wanted(wish) {
        Some(_) => format!("; {} asks for it", wish.source),
        None => String::new(),
    };
    let text = format!("{}{source}", obstacle(number, why, holders));
    let ways = [release(number, why, holders), otherwise(wish, *alternative)];
    let ways: Vec<String> = ways.into_iter().flatten().collect();
    Message::new(class, text).help(ways.join(", or "))
}

/// What somebody can be asked about a wish; `None`: there is nothing to choose.
pub fn dispute(conflict: &Conflict<'_>, holders: &BTreeMap<u16, Vec<Holder>>) -> Option<Dispute> {
    let Conflict { wish, obstacle: why, alternative } = conflict;
    let askable = match (wish.weight, wish.on_conflict) {
        (Weight::Preferred, OnConflict::Ask) => true,
        (Weight::Preferred | Weight::Pinned | Weight::Any, _) => false,
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

/// `api: port 5000 is held by …`.
fn said_conflict(wish: &PortWish, why: &Obstacle, holders: &[Holder]) -> String {
    let number = wanted(wish).unwrap_or_default();
    format!("{}: {}", said_name(&wish.service, &wish.port), obstacle(number, why, holders))
}

/// `api`, or `api (metrics)` for a port that is not the main one.
fn said_name(service: &Name, port: &str) -> String {
    match port {
        "main" => service.to_string(),
        other => format!("{service} ({other})"),
    }
}

/// How to make the number available.
fn release(number: u16, obstacle: &Obstacle, holders: &[Holder]) -> Option<String> {
    match obstacle {
        Obstacle::InUse => match holders {
            [holder, ..] if holder.is_devstack() => None,
            [Holder { origin: Some(origin), .. }, ..] => origin.remedy(),
            [Holder { pid: Some(_), same_user: true, .. }, ..] => {
                Some(format!("end the holder with `devstack ports {number} --kill`"))
            }
            [_, ..] => Some("ask the holder's user to end it".to_owned()),
            [] => Some(format!("see what has it with `devstack ports {number}`")),
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
        Obstacle::Failed(_) => Some("see `ulimit -n` and the limits of this machine".to_owned()),
    }
}

/// How to ask for another number, in the words of whoever asked.
fn otherwise(wish: &PortWish, alternative: Option<u16>) -> Option<String> {
    let number = alternative?;
    let variable = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let advice = match wish.weight {
        Weight::Pinned if wish.source.starts_with("--") => {
            format!("choose another one, such as `--port {}={number}`", wish.service)
        }
        Weight::Pinned if wish.source.chars().all(variable) => {
            format!("choose another one, such as `{}={number}`", wish.source)
        }
        Weight::Pinned => format!("choose another one, such as {number}"),
        Weight::Preferred | Weight::Any => {
            let let_move = match wish.on_conflict {
                OnConflict::Strict => {
                    "let ports move: `up` without --strict-ports, `run` with --no-strict-ports"
                }
                OnConflict::Fail | OnConflict::Ask | OnConflict::Next | OnConflict::Auto => {
                    "let it move with `on_conflict = \"next\"`"
                }
            };
            format!("choose another one, such as {number}, or {let_move}")
        }
    };
    Some(advice)
}

/// A remark about a number that was asked for and given, but will disappoint.
pub fn remark((service, port): &Key, number: u16) -> Option<Message> {
    let who = said_name(service, port);
    known::refused_by_browsers(number).then(|| {
        Message::new(Class::Port, format!("{who} has port {number}, which browsers refuse to open"))
            .help("choose another number if a browser is to reach it")
    })
}
