//! Texts about ports that are not available.

use std::collections::BTreeMap;

use super::choose::{PortConflict, requested_number};
use super::{ConflictPrompt, Key, PortHolder, PortObstacle, display_home_relative, well_known};
use crate::model::{ConflictPolicy, Message, MessageClass, Name, PortRequest, PortWeight};

/// Returns a fragment such as `port 5000 is in use by python3 (pid 4121: …)`.
pub fn obstacle_text(port: u16, obstacle: &PortObstacle, holders: &[PortHolder]) -> String {
    match obstacle {
        PortObstacle::InUse => {
            format!("port {port} {}{}", holder_text(holders), usual(port, holders))
        }
        PortObstacle::Leased(lessee) => format!("port {port} is reserved by {lessee}"),
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
    let name = port_label(&conflict.wish.service, &conflict.wish.port);
    Message { text: format!("{name}: {}", message.text), ..message }
}

/// Returns the same message without the name of the service.
pub fn refusal_message(
    conflict: &PortConflict<'_>,
    holders: &BTreeMap<u16, Vec<PortHolder>>,
) -> Message {
    let PortConflict { wish, obstacle: why, alternative } = conflict;
    let number = requested_number(wish).unwrap_or_default();
    let holders = holders.get(&number).map(Vec::as_slice).unwrap_or_default();
    let class = match why {
        PortObstacle::Denied => MessageClass::Denied,
        PortObstacle::Failed(_) | PortObstacle::NoneLeft => MessageClass::Limit,
        PortObstacle::InUse | PortObstacle::Leased(_) | PortObstacle::SameStack(_) => {
            MessageClass::Port
        }
    };
    let source = match requested_number(wish) {
        Some(_) => format!("; requested by {}", wish.requested_by),
        None => String::new(),
    };
    let text = format!("{}{source}", obstacle_text(number, why, holders));
    let ways = [how_to_free(number, why, holders), how_to_choose_another(wish, *alternative)];
    let ways: Vec<String> = ways.into_iter().flatten().collect();
    Message::new(class, text).help(ways.join(", or "))
}

/// Returns the prompt for a request; `None` if there is nothing to choose.
pub fn prompt_for(
    conflict: &PortConflict<'_>,
    holders: &BTreeMap<u16, Vec<PortHolder>>,
) -> Option<ConflictPrompt> {
    let PortConflict { wish, obstacle: why, alternative } = conflict;
    let askable = match (wish.weight, wish.on_conflict) {
        (PortWeight::Preferred, ConflictPolicy::Ask) => true,
        (PortWeight::Preferred | PortWeight::Pinned | PortWeight::Any, _) => false,
    };
    let listens = match why {
        PortObstacle::InUse => true,
        PortObstacle::Leased(_) | PortObstacle::Denied | PortObstacle::SameStack(_) => false,
        PortObstacle::NoneLeft | PortObstacle::Failed(_) => return None,
    };
    let port = requested_number(wish).filter(|_| askable)?;
    let holders = holders.get(&port).map(Vec::as_slice).unwrap_or_default();
    let text = said_conflict(wish, why, holders);
    Some(ConflictPrompt {
        port,
        reason: text,
        listens: listens && !holders.is_empty(),
        alternative: (*alternative)?,
    })
}

fn said_conflict(wish: &PortRequest, why: &PortObstacle, holders: &[PortHolder]) -> String {
    let number = requested_number(wish).unwrap_or_default();
    format!("{}: {}", port_label(&wish.service, &wish.port), obstacle_text(number, why, holders))
}

/// `api`, or `api (metrics)` for another port than the main one.
fn port_label(service: &Name, port: &str) -> String {
    match port {
        "main" => service.to_string(),
        other => format!("{service} ({other})"),
    }
}

fn how_to_free(number: u16, obstacle: &PortObstacle, holders: &[PortHolder]) -> Option<String> {
    match obstacle {
        PortObstacle::InUse => match holders {
            [holder, ..] if holder.is_this_process() => None,
            [PortHolder { origin: Some(origin), .. }, ..] => origin.stop_hint(),
            [PortHolder { pid: Some(_), same_user: true, .. }, ..] => {
                Some(format!("kill the process with `devstack ports {number} --kill`"))
            }
            [_, ..] => Some("ask the owner of the process to stop it".to_owned()),
            [] => Some(format!("find what is using it with `devstack ports {number}`")),
        },
        PortObstacle::Leased(lessee) => match &lessee.folder {
            Some(folder) => Some(format!(
                "stop the other stack with `devstack down` in {}",
                display_home_relative(folder)
            )),
            None if lessee.is_other_user() => Some("ask that user to stop it".to_owned()),
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
fn how_to_choose_another(wish: &PortRequest, alternative: Option<u16>) -> Option<String> {
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
pub fn browser_warning((service, port): &Key, number: u16) -> Option<Message> {
    let who = port_label(service, port);
    well_known::blocked_by_browsers(number).then(|| {
        Message::new(MessageClass::Port, format!("{who} uses port {number}, which browsers block"))
            .help("choose another port if browsers need to reach it")
    })
}
