//! From what happens in the world to what the engine is told, and to what people are.

use super::handle::Request;
use crate::engine::{Haste, Input, Ticket};
use crate::model::{Class, Message, Name};

pub(super) fn request_input(ticket: Ticket, request: Request) -> Input {
    match request {
        Request::Start(names) => Input::Start(ticket, names),
        Request::Stop(names) => Input::Stop(ticket, names),
        Request::Restart(names) => Input::Restart(ticket, names),
        Request::Down => Input::Shutdown {
            ticket: Some(ticket),
            why: "`devstack down`".to_owned(),
            code: 0,
            haste: Haste::Polite,
        },
    }
}

pub(super) fn elsewhere(service: Option<&Name>, given: u16, actual: &[u16]) -> Message {
    let who = service.map_or("the service", Name::as_str);
    let actual: Vec<String> = actual.iter().map(u16::to_string).collect();
    let text = format!("{who} was given PORT={given} but listens on {}", actual.join(", "));
    Message::new(Class::Port, text).help("pass the port on in its command, such as --port $PORT")
}

pub(super) fn orphans(leftovers: &[(u32, String)]) -> Option<Message> {
    if leftovers.is_empty() {
        return None;
    }
    let list: Vec<String> =
        leftovers.iter().take(5).map(|(pid, name)| format!("{name} (pid {pid})")).collect();
    let more = if leftovers.len() > 5 { ", …" } else { "" };
    let text = format!("left processes behind, now ended: {}{more}", list.join(", "));
    Some(Message::new(Class::Orphan, text))
}
