use crate::model::{Message, MessageClass, Name, Snapshot};
use crate::suggest::nearest;

/// How many characters of a wrong name a message repeats.
const MAX_QUOTE: usize = 80;

/// Resolves `text` to the service of that name, or to all its replicas. The error suggests a
/// similar name.
pub fn find_services(snapshot: &Snapshot, text: &str) -> Result<Vec<Name>, Message> {
    let names = || snapshot.services.iter().map(|service| &service.name);
    let is = |name: &Name| name.as_str() == text;
    let meant = snapshot
        .services
        .iter()
        .filter(|service| is(&service.name) || service.group.as_ref().is_some_and(is));
    let meant: Vec<Name> = meant.map(|service| service.name.clone()).collect();
    if !meant.is_empty() {
        return Ok(meant);
    }
    let quote: String = text.escape_debug().take(MAX_QUOTE).collect();
    let message = Message::new(
        MessageClass::Usage,
        format!("unknown service `{quote}` in stack {}", snapshot.stack),
    );
    Err(match nearest(text, names().map(Name::as_str)) {
        Some(name) => message.help(format!("did you mean `{name}`?")),
        None if snapshot.services.is_empty() => message.help("the stack has no services"),
        None => message.help(format!(
            "available services: {}",
            names().map(Name::as_str).collect::<Vec<_>>().join(", ")
        )),
    })
}

/// Returns the only service in `meant`; the error lists them if there are several.
pub fn exactly_one(text: &str, meant: Vec<Name>) -> Result<Name, Message> {
    match <[Name; 1]>::try_from(meant) {
        Ok([name]) => Ok(name),
        Err(several) => {
            let names: Vec<&str> = several.iter().map(Name::as_str).collect();
            let text = format!("{text} has {} replicas", names.len());
            Err(Message::new(MessageClass::Usage, text)
                .help(format!("choose one of {}", names.join(", "))))
        }
    }
}
