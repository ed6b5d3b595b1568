//! The names of a stack: claimed before its services start, which get them in their environment.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use super::door_files::{DoorFiles, read_label, write_label};
use super::port_choice::{DoorPort, choose_port};
use crate::model::{Message, MessageClass, Name, ProxyPlace};
use crate::ports::{display_home_relative, explain_held, holders_of_port};
use crate::regular_file::open_lock;

/// How many stacks may have names that differ only in a number.
const TRIES: u32 = 100;

/// What the environment says about the front door: `DEVSTACK_PROXY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoorSetting {
    /// Nothing: the usual port, or the next free one.
    Usual,
    /// `off`: no names, no process.
    Off,
    Port(u16),
}

impl DoorSetting {
    pub const VARIABLE: &str = "DEVSTACK_PROXY";

    /// Reads the value of the variable; empty is as if it were not set.
    ///
    /// # Errors
    /// It is neither `off` nor a port.
    pub fn parse(text: &str) -> Result<DoorSetting, Message> {
        match text {
            "" => Ok(DoorSetting::Usual),
            "off" => Ok(DoorSetting::Off),
            text => match text.parse() {
                Ok(port) if port > 0 => Ok(DoorSetting::Port(port)),
                Ok(_) | Err(_) => {
                    let text =
                        format!("invalid value `{}` in {}", text.escape_debug(), Self::VARIABLE);
                    Err(Message::new(MessageClass::Usage, text)
                        .help("set it to `off`, or to the port of the proxy"))
                }
            },
        }
    }
}

/// The names of a stack. No other stack gets them while this value lives.
#[derive(Debug)]
pub struct ClaimedNames {
    /// Where they are.
    pub place: ProxyPlace,
    /// What the user should know about them.
    pub notes: Vec<Message>,
    _lock: File,
}

/// Claims the names below `domain` for the stack of a project directory, and chooses the port where
/// they are served. `None` if the setting is `off`. `has_ca`: whether the user has a local CA.
///
/// # Errors
/// Why the stack has no names.
pub fn claim(
    files: &DoorFiles,
    setting: DoorSetting,
    domain: &str,
    dir: &Path,
    has_ca: bool,
) -> Result<Option<ClaimedNames>, Message> {
    let choice = match setting {
        DoorSetting::Off => return Ok(None),
        DoorSetting::Port(port) => DoorPort { port, taken: None },
        DoorSetting::Usual => {
            choose_port(files).map_err(|error| no_names(&error))?.ok_or_else(|| {
                let text =
                    format!("no names: the ports from {} on are in use", ProxyPlace::USUAL_PORT);
                let help = format!("choose a port with {}=PORT", DoorSetting::VARIABLE);
                Message::new(MessageClass::Port, text).help(help)
            })?
        }
    };
    let (domain, lock, owner) =
        claim_domain(files, domain, dir).map_err(|error| no_names(&error))?;
    let mut notes = Vec::new();
    if let Some(taken) = choice.taken {
        let held = explain_held(&holders_of_port(taken));
        let text = format!("port {taken} {held}; names use {}", choice.port);
        notes.push(Message::new(MessageClass::Port, text));
    }
    if let Some(owner) = owner {
        let text = format!("the names of this stack end in {domain}: {owner} has the usual ones");
        notes.push(
            Message::new(MessageClass::Port, text)
                .help("give one of the stacks another name: [stack] name = \"…\""),
        );
    }
    let place = ProxyPlace { domain, port: choice.port, has_ca };
    Ok(Some(ClaimedNames { place, notes, _lock: lock }))
}

/// Locks the first free domain. Also returns the owner of the first one, if it has one.
fn claim_domain(
    files: &DoorFiles,
    wanted: &str,
    dir: &Path,
) -> io::Result<(String, File, Option<String>)> {
    let mut owner = None;
    for number in 1..=TRIES {
        let domain = numbered(wanted, number);
        let file = open_lock(&files.name(&domain)?, true)?;
        match file.try_lock() {
            Ok(()) => {
                write_label(&file, &dir.to_string_lossy())?;
                return Ok((domain, file, owner));
            }
            Err(TryLockError::WouldBlock) => {
                owner.get_or_insert_with(|| match read_label(&file) {
                    path if path.is_empty() => "another stack".to_owned(),
                    path => display_home_relative(Path::new(&path)),
                });
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::other(format!("{TRIES} stacks have the name {wanted}")))
}

/// Returns `shop-2.localhost` for `shop.localhost` and 2.
fn numbered(domain: &str, number: u32) -> String {
    if number == 1 {
        return domain.to_owned();
    }
    let (first, rest) = domain.split_once('.').unwrap_or((domain, ""));
    let end = format!("-{number}");
    let cut = first.len().min(Name::MAX - end.len());
    format!("{}{end}.{rest}", &first[..cut])
}

fn no_names(error: &io::Error) -> Message {
    Message::new(MessageClass::Disk, format!("no names: cannot use the runtime directory: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_stack_of_a_name_gets_a_number() {
        let runtime = tempfile::tempdir().unwrap();
        let files = DoorFiles::below(runtime.path());
        let claim = |dir: &str| {
            let setting = DoorSetting::Port(7780);
            claim(&files, setting, "shop.localhost", Path::new(dir), false).unwrap().unwrap()
        };
        let first = claim("/one/shop");
        assert_eq!((first.place.domain.as_str(), first.notes.len()), ("shop.localhost", 0));
        let second = claim("/other/shop");
        assert_eq!(second.place.domain, "shop-2.localhost");
        let expected =
            "the names of this stack end in shop-2.localhost: /one/shop has the usual ones";
        assert_eq!(second.notes[0].text, expected);
        drop(first);
        assert_eq!(claim("/third/shop").place.domain, "shop.localhost");
    }

    #[test]
    fn a_numbered_label_is_not_too_long() {
        assert_eq!(numbered("feature.shop.localhost", 3), "feature-3.shop.localhost");
        let long = numbered(&format!("{}.localhost", "x".repeat(63)), 12);
        assert_eq!(long, format!("{}-12.localhost", "x".repeat(60)));
    }

    #[test]
    fn the_setting_is_off_or_a_port() {
        assert_eq!(DoorSetting::parse(""), Ok(DoorSetting::Usual));
        assert_eq!(DoorSetting::parse("off"), Ok(DoorSetting::Off));
        assert_eq!(DoorSetting::parse("8000"), Ok(DoorSetting::Port(8000)));
        for text in ["0", "on", "70000", "\u{1b}"] {
            assert!(DoorSetting::parse(text).is_err(), "{text:?}");
        }
    }
}
