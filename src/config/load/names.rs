use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{
    FileDiscovery, FoundFile, LOCAL_FILE, TrustedUsers, UnitReader, config_dir, find_files,
    read_judged,
};
use crate::config::ConfigSources;
use crate::config::diagnostics::LoadReport;
use crate::config::parse::{is_procfile, needs_deep_stack, read_procfile};
use crate::model::Name;

/// Names that a configuration defines, for shell completion.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ConfigNames {
    /// Services as written, without single replicas.
    pub services: BTreeSet<String>,
    /// Profiles of all services.
    pub profiles: BTreeSet<String>,
    /// Actions by service.
    pub actions: BTreeMap<String, BTreeSet<String>>,
}

/// Returns the names in the configuration files, as far as they can be read. Never fails: a file
/// that is being edited may have errors and still define names.
pub fn config_names(sources: &ConfigSources) -> ConfigNames {
    let mut names = ConfigNames::default();
    let mut report = LoadReport::default();
    let files = find_files(sources, &mut report).unwrap_or_default();
    if let Some((units, _)) = UnitReader::new(sources, &mut report).read(files) {
        for unit in &units {
            unit.texts.iter().for_each(|(_, source)| {
                names.read_file(source.path(), source.text(), &unit.prefix)
            });
        }
        return names;
    }
    // What is included is left out while a file cannot be read.
    let mut files = find_files(sources, &mut report).unwrap_or_default();
    let local = files.first().map(|first| config_dir(&first.path).join(LOCAL_FILE));
    files.extend(local.map(|path| FoundFile { path, discovery: FileDiscovery::Beside }));
    let mut trusted = TrustedUsers::new(sources);
    for file in files {
        let Ok((found, _)) = read_judged(&file, &trusted) else { continue };
        trusted.add(&found.owners);
        names.read_file(&file.path, &found.text, "");
    }
    names
}

impl ConfigNames {
    /// Reads a file: TOML, or a Procfile by its name.
    fn read_file(&mut self, path: &Path, text: &str, prefix: &str) {
        if is_procfile(path) {
            let processes = read_procfile(text, 0, &mut LoadReport::default());
            self.services.extend(processes.into_iter().map(|process| process.service.into()));
        } else {
            self.read(text, prefix);
        }
    }

    /// Reads a file. `prefix` precedes the names of its services.
    fn read(&mut self, text: &str, prefix: &str) {
        if needs_deep_stack(text) {
            return;
        }
        let (file, _) = DeTable::parse_recoverable(text);
        let Some(DeValue::Table(services)) = file.get_ref().get("services").map(|s| s.get_ref())
        else {
            return;
        };
        for (name, service) in services {
            let name = format!("{prefix}{}", name.get_ref());
            self.services.extend(Name::new(&name).is_ok().then(|| name.clone()));
            let DeValue::Table(service) = service.get_ref() else { continue };
            if let Some(DeValue::Table(actions)) = service.get("actions").map(|all| all.get_ref()) {
                let actions = actions.keys().map(|action| action.get_ref().to_string());
                let actions = actions.filter(|action| Name::new(action).is_ok());
                self.actions.entry(name).or_default().extend(actions);
            }
            let Some(DeValue::Array(list)) = service.get("profiles").map(|list| list.get_ref())
            else {
                continue;
            };
            let names = list.iter().filter_map(|profile| profile.get_ref().as_str());
            let names = names.filter(|name| Name::new(name).is_ok());
            self.profiles.extend(names.map(str::to_owned));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ConfigNames;

    #[test]
    fn names_are_read_out_of_what_can_be_read() {
        let read = |text: &str| {
            let mut names = ConfigNames::default();
            names.read(text, "");
            let list = |names: std::collections::BTreeSet<String>| {
                names.into_iter().collect::<Vec<_>>().join(" ")
            };
            let actions = names.actions.into_iter();
            let actions = actions.map(|(service, all)| format!("{service}: {}", list(all)));
            (list(names.services), list(names.profiles), actions.collect::<Vec<_>>().join("; "))
        };
        let of = |services: &str, profiles: &str| {
            (services.to_owned(), profiles.to_owned(), String::new())
        };
        let acts =
            "[services.api.actions]\nseed = 'x'\n'A B' = 'x'\n[services.web]\nactions.go = {";
        assert_eq!(read(acts).2, "api: seed; web: go");
        let good = "[services.api]\nprofiles = ['full', 'x y']\n[services]\nweb = 1\n'A B' = {}\n";
        assert_eq!(read(good), of("api web", "full"));
        let broken = "[services.api]\ncommand = \n[services.web]\nport = { prefer = \n";
        assert_eq!(read(broken), of("api web", ""));
        for none in ["", "services = 1", "[[services]]\na = 1", "\0", "[stack]\nname = 'x'"] {
            assert_eq!(read(none), of("", ""), "{none}");
        }
    }
}
