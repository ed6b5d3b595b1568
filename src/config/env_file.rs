use std::collections::BTreeMap;
use std::path::PathBuf;

use super::dotenv;
use super::fault::Fault;
use super::place::Place;
use super::report::Report;
use super::suggest::quote;

#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub value: String,
    pub at: Place,
}

#[derive(Debug, Clone, Default)]
pub(super) struct EnvFile {
    pub settings: BTreeMap<String, Setting>,
}

/// The env files that exist and could be parsed, by path.
#[derive(Debug, Clone, Default)]
pub(super) struct EnvFiles {
    pub files: BTreeMap<PathBuf, EnvFile>,
    /// Whether a file is missing or has errors. Then unset variables are not reported.
    pub incomplete: bool,
}

impl EnvFiles {
    pub fn add(&mut self, path: PathBuf, file: u32, report: &mut Report) {
        let (variables, bad) = dotenv::parse(report.text(file));
        self.incomplete |= !bad.is_empty();
        for line in bad {
            let fault = Fault::at(Place::new(file, line.range), line.text);
            report.push(fault.help(line.help));
        }
        let setting = |variable: dotenv::Variable| {
            let at = Place::new(file, variable.range);
            (variable.name, Setting { value: variable.value, at })
        };
        let settings = variables.into_iter().map(setting).collect();
        self.files.insert(path, EnvFile { settings });
    }

    pub fn unreadable(
        &mut self,
        at: Option<Place>,
        shown: &str,
        (why, help): (&str, &str),
        report: &mut Report,
    ) {
        self.incomplete = true;
        let text = format!("cannot read env file {}: {why}", quote(shown));
        let fault = match at {
            Some(at) => Fault::at(at, text),
            None => Fault::placeless(crate::model::MessageClass::Config, text),
        };
        report.push(fault.help(help));
    }
}
