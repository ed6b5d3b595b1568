use crate::model::{Class, Message, Name, Snapshot};
use crate::suggest::nearest;

/// As much of a wrong name as a message repeats.
const MAX_QUOTE: usize = 80;

/// The services of a stack that `text` means: the one of that name, or all replicas of it; a message
/// that suggests one when there is none.
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
        Class::Usage,
        format!("the stack {} has no service `{quote}`", snapshot.stack),
    );
    Err(match nearest(text, names().map(Name::as_str)) {
        Some(name) => message.help(format!("did you mean `{name}`?")),
        None if snapshot.services.is_empty() => message.help("it has no services"),
        None => message
            .help(format!("it has {}", names().map(Name::as_str).collect::<Vec<_>>().join(", "))),
    })
}

/// The only one of the services that `text` means; a message that names them when there are several.
pub fn only_one(text: &str, meant: Vec<Name>) -> Result<Name, Message> {
    match <[Name; 1]>::try_from(meant) {
        Ok([name]) => Ok(name),
        Err(several) => {
            let names: Vec<&str> = several.iter().map(Name::as_str).collect();
            let text = format!("{text} runs {} times", names.len());
            Err(Message::new(Class::Usage, text).help(format!("name one of {}", names.join(", "))))
        }
    }
}
