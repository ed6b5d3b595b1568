use crate::model::{Message, MessageClass, Name, Snapshot};
use crate::suggest;
use crate::text::quote;

/// Resolves `text` to the service of that name, or to all its replicas. The error suggests a
/// similar name.
pub fn find_services(snapshot: &Snapshot, text: &str) -> Result<Vec<Name>, Message> {
    let is = |name: &Name| name.as_str() == text;
    let meant = snapshot
        .services
        .iter()
        .filter(|service| is(&service.name) || service.group.as_ref().is_some_and(is));
    let meant: Vec<Name> = meant.map(|service| service.name.clone()).collect();
    if !meant.is_empty() {
        return Ok(meant);
    }
    let names: Vec<&str> = snapshot.services.iter().map(|service| service.name.as_str()).collect();
    let (unknown, help) = suggest::unknown("service", text, &quote(text), &names);
    let text = format!("{unknown} in stack {}", snapshot.stack);
    Err(Message::new(MessageClass::Usage, text).help(help))
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
