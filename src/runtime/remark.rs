//! What is to be said of a run, in words.

use crate::model::{Class, Message, Name};

/// How many of the processes that were left behind are named.
const MOST_NAMED: usize = 5;

/// A service listens on other ports than the one that it was given.
pub(super) fn elsewhere(service: Option<&Name>, given: u16, actual: &[u16]) -> Message {
    let who = service.map_or("the service", Name::as_str);
    let actual: Vec<String> = actual.iter().map(u16::to_string).collect();
    let text = format!("{who} was given PORT={given} but listens on {}", actual.join(", "));
    Message::new(Class::Port, text).help("pass the port on in its command, such as --port $PORT")
}

/// A service is passed sockets, and its program is not its main process.
pub(super) fn shell_between() -> Message {
    let text = "a shell stays between devstack and the program, and LISTEN_PID is that of the shell: \
                most programs will not take the passed socket";
    let help = "write `exec` before the program, as in `… && exec gunicorn app:app`, or the command as an array";
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
