//! Data of presets whose service has another name in `devstack.toml` since the stack last ran. Blocks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::config::Config;
use crate::model::{Message, MessageClass, Name, Stack};
use crate::process::check_data_dir;
use crate::text::join;

const VERSION: u32 = 1;

/// In bytes. devstack writes no larger file.
const LARGEST: u64 = 1 << 20;

/// Which preset made the data of which service. Other directories are never touched.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct DataRecord {
    version: u32,
    /// The preset by the name of the service.
    data: BTreeMap<Name, String>,
}

/// What becomes of the data of services that are no longer in the file.
#[derive(Debug, PartialEq, Eq)]
enum DataFate<'a> {
    /// The only data left of a preset, and the only service of it that has none.
    TakenOver { from: &'a Name, by: &'a Name },
    /// It is not certain whose data it is.
    Unclear { left: Vec<&'a Name>, new: &'a [&'a Name] },
}

/// Decides what becomes of what is `left`, with the preset that made it if that is known. `new`:
/// services without data, by their preset.
fn judge<'a>(
    left: &'a BTreeMap<Name, Option<String>>,
    new: &'a BTreeMap<&str, Vec<&'a Name>>,
) -> Vec<DataFate<'a>> {
    let fate = |(preset, new): (&&str, &'a Vec<&'a Name>)| {
        let by = |made: Option<&str>| -> Vec<&'a Name> {
            let left = left.iter().filter(|(_, preset)| preset.as_deref() == made);
            left.map(|(name, _)| name).collect()
        };
        let known = by(Some(*preset));
        match (known.as_slice(), new.as_slice()) {
            (&[from], &[by]) => Some(DataFate::TakenOver { from, by }),
            _ => {
                let left: Vec<&Name> = known.iter().copied().chain(by(None)).collect();
                (!left.is_empty()).then_some(DataFate::Unclear { left, new })
            }
        }
    };
    new.iter().filter_map(fate).collect()
}

/// Gives services of data presets the data of services that are no longer in the file, if it is
/// certain whose it is, and records which preset makes the data of which. Returns what was done, and
/// what was not.
pub fn take_over(config: &Config, stack: &Stack) -> Vec<Message> {
    let services = data_services(config, stack);
    let Some(root) = services.values().find_map(|(_, dir)| dir.parent()) else { return Vec::new() };
    let before = read(&stack.dir);
    // Nothing is moved behind a link, which a repository can ship; starts are refused, with the
    // reason.
    let done = match check_data_dir(root) {
        Ok(()) => move_data(stack, &services, root, &before),
        Err(_) => Vec::new(),
    };
    write(stack, services, root, before);
    done
}

fn move_data(
    stack: &Stack,
    services: &DataServices<'_>,
    root: &Path,
    record: &DataRecord,
) -> Vec<Message> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| Name::new(entry.file_name().to_str()?).ok());
    let gone = names.filter(|name| !stack.services.contains_key(name));
    let left = gone.map(|name| (record.data.get(&name).cloned(), name));
    let left: BTreeMap<Name, Option<String>> = left.map(|(preset, name)| (name, preset)).collect();
    let mut new: BTreeMap<&str, Vec<&Name>> = BTreeMap::new();
    for (name, (preset, dir)) in services {
        // A link is data, too: PostgreSQL under root leaves one.
        if fs::symlink_metadata(dir).is_err() {
            new.entry(preset).or_default().push(name);
        }
    }
    judge(&left, &new).iter().map(|fate| act(fate, root)).collect()
}

fn act(fate: &DataFate<'_>, root: &Path) -> Message {
    match fate {
        DataFate::TakenOver { from, by } => {
            let moved = fs::rename(root.join(from.as_str()), root.join(by.as_str()));
            let text = match &moved {
                Ok(()) => format!(
                    "{by} takes over the data of {from}, which is no longer in devstack.toml"
                ),
                Err(error) => {
                    format!("{by} starts without the data of {from} in .devstack/data: {error}")
                }
            };
            let message = Message::new(MessageClass::Disk, text);
            match moved {
                Ok(()) => message,
                Err(_) => message.help(format!(
                    "stop the stack and move .devstack/data/{from} to .devstack/data/{by}"
                )),
            }
        }
        DataFate::Unclear { left, new } => {
            let list = |names: &[&Name]| join(names, ", ");
            let text = format!(
                "{} {} with new data; that of {}, no longer in devstack.toml, stays in .devstack/data",
                list(new),
                if new.len() == 1 { "starts" } else { "start" },
                list(left)
            );
            let (from, to) = (left[0], new[0]);
            let help = format!(
                "to use it, stop the stack, remove .devstack/data/{to} and rename the right one, such as .devstack/data/{from}, to .devstack/data/{to}"
            );
            Message::new(MessageClass::Disk, text).help(help)
        }
    }
}

/// Records which preset makes the data of which service, for the time when its name is gone.
pub(super) fn record(config: &Config, stack: &Stack) {
    let services = data_services(config, stack);
    let Some(root) = services.values().find_map(|(_, dir)| dir.parent()) else { return };
    write(stack, services, root, read(&stack.dir));
}

fn write(stack: &Stack, services: DataServices<'_>, root: &Path, before: DataRecord) {
    let kept = |name: &Name| fs::symlink_metadata(root.join(name.as_str())).is_ok();
    let old = before.data.iter().filter(|(name, _)| kept(name));
    let mut data: BTreeMap<Name, String> =
        old.map(|(name, preset)| (name.clone(), preset.clone())).collect();
    data.extend(services.into_iter().map(|(name, (preset, _))| (name.clone(), preset.to_owned())));
    let now = DataRecord { version: VERSION, data };
    if now == before {
        return;
    }
    let text = serde_json::to_vec_pretty(&now).expect("plain data always serializes");
    if let Err(error) = atomic_file::replace_in_state_dir(&path(&stack.dir), &text) {
        // Without it, nothing is taken over.
        tracing::warn!(%error, "cannot record which presets have data");
    }
}

/// By the name of the service: preset and directory.
type DataServices<'a> = BTreeMap<&'a Name, (&'static str, &'a Path)>;

/// The services whose preset keeps data in a directory named after them.
fn data_services<'a>(config: &Config, stack: &'a Stack) -> DataServices<'a> {
    let found = stack
        .services
        .iter()
        .filter_map(|(name, service)| Some((name, (config.preset_of(name)?, service.data_dir()?))));
    found.collect()
}

fn path(dir: &Path) -> PathBuf {
    dir.join(".devstack").join("data.json")
}

fn read(dir: &Path) -> DataRecord {
    let parse = |text: &[u8]| {
        let record: DataRecord = serde_json::from_slice(text).ok()?;
        (record.version == VERSION).then_some(record)
    };
    atomic_file::read(&path(dir), LARGEST, parse).ok().flatten().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn data_is_taken_over_only_if_it_is_certain_whose_it_is() {
        let [db, old, web, more] = ["db", "old", "web", "more"].map(name);
        let left = |all: &[(&Name, Option<&str>)]| -> BTreeMap<Name, Option<String>> {
            all.iter().map(|(name, by)| ((*name).clone(), by.map(str::to_owned))).collect()
        };
        let one = BTreeMap::from([("redis", vec![&web])]);
        let two = BTreeMap::from([("redis", vec![&web, &more])]);
        let taken = [DataFate::TakenOver { from: &db, by: &web }];
        assert_eq!(judge(&left(&[]), &one), []);
        assert_eq!(judge(&left(&[(&db, Some("redis"))]), &one), taken);
        assert_eq!(judge(&left(&[(&db, Some("redis")), (&old, Some("mysql"))]), &one), taken);
        assert_eq!(judge(&left(&[(&db, Some("mysql"))]), &one), []);
        assert_eq!(judge(&left(&[(&db, Some("redis"))]), &BTreeMap::new()), []);
        // Two of one preset, two new services, or data of an unknown preset.
        for (left, new) in [
            (left(&[(&db, Some("redis")), (&old, Some("redis"))]), &one),
            (left(&[(&db, Some("redis"))]), &two),
            (left(&[(&db, None)]), &one),
        ] {
            let names = left.keys().collect();
            let unclear = DataFate::Unclear { left: names, new: &new["redis"] };
            assert_eq!(judge(&left, new), [unclear]);
        }
    }
}
