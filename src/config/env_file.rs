use std::collections::BTreeMap;
use std::path::PathBuf;

use super::dotenv;
use super::fault::Fault;
use super::place::Place;
use super::report::Report;
use super::suggest::quote;

/// A variable in an env file.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub value: String,
    pub at: Place,
}

/// The variables of one env file.
#[derive(Debug, Clone, Default)]
pub(super) struct EnvFile {
    pub settings: BTreeMap<String, Setting>,
}

/// The env files that exist and were understood, by path.
#[derive(Debug, Clone, Default)]
pub(super) struct EnvFiles {
    pub files: BTreeMap<PathBuf, EnvFile>,
    /// Whether a file is missing or has mistakes: then nothing can be said about variables that
    /// are not set.
    pub incomplete: bool,
}

impl EnvFiles {
    /// Reads the text of an env file that has the number `file` in the report.
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

    /// An env file that was asked for cannot be read.
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
            None => Fault::placeless(crate::model::Class::Config, text),
        };
        report.push(fault.help(help));
    }
}
