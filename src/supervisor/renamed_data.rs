//! The data of a preset comes along when its service is renamed. Off the loop.

use std::fs;
use std::path::Path;

use crate::model::{Message, MessageClass, Service};
use crate::process::check_data_dir;

/// Moves the data that the service has under its former name, when nothing runs under that name.
/// Returns what became of it, if there is any.
pub(super) fn bring(service: &Service, former: &Path) -> Option<Message> {
    let now = service.data_dir()?;
    // A link is data, too: PostgreSQL under root leaves one.
    fs::symlink_metadata(former).ok()?;
    // Otherwise its start is refused, with the reason.
    check_data_dir(former.parent()?).ok()?;
    let (from, to) = (shown(former), shown(now));
    if fs::symlink_metadata(now).is_ok() {
        let text = format!("its data under its former name stays in {from}: {to} exists already");
        let help = "stop the service and rename the directory, or remove what is not needed";
        return Some(Message::new(MessageClass::Disk, text).help(help));
    }
    Some(match fs::rename(former, now) {
        Ok(()) => Message::new(MessageClass::Disk, format!("moved its data from {from} to {to}")),
        Err(error) => {
            let text = format!("starting without its data, which stays in {from}: {error}");
            let help = format!("stop the service and move {from} to {to}");
            Message::new(MessageClass::Disk, text).help(help)
        }
    })
}

/// Names a directory of the stack.
fn shown(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default();
    format!(".devstack/data/{}", name.to_string_lossy())
}
