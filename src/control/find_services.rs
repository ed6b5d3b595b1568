use crate::model::{Class, Message, Name, Snapshot};

/// The likeness, 0 to 1, from which a name is suggested: the measure and the limit of clap.
const ALIKE: f64 = 0.7;
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
    let lower: String = text.chars().take(Name::MAX).collect::<String>().to_lowercase();
    let likeness = |name: &Name| strsim::jaro(&lower, name.as_str());
    let nearest = names().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    Err(match nearest.filter(|name| likeness(name) > ALIKE) {
        Some(name) => message.help(format!("did you mean `{name}`?")),
        None if snapshot.services.is_empty() => message.help("it has no services"),
        None => message
            .help(format!("it has {}", names().map(Name::as_str).collect::<Vec<_>>().join(", "))),
    })
}
