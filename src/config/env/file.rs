use std::collections::BTreeMap;
use std::path::PathBuf;

use super::dotenv;
use crate::config::diagnostics::{DiagnosticBuilder, LoadReport, Span, quote};

#[derive(Debug, Clone)]
pub(crate) struct EnvFileEntry {
    pub value: String,
    pub at: Span,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct EnvFile {
    pub settings: BTreeMap<String, EnvFileEntry>,
}

/// The env files that exist and could be parsed, by path.
#[derive(Debug, Clone, Default)]
pub(crate) struct EnvFileSet {
    pub files: BTreeMap<PathBuf, EnvFile>,
    /// Whether a file is missing or has errors. Then unset variables are not reported.
    pub incomplete: bool,
}

impl EnvFileSet {
    pub fn add(&mut self, path: PathBuf, file: u32, report: &mut LoadReport) {
        let (variables, bad) = dotenv::parse(report.text(file));
        self.incomplete |= !bad.is_empty();
        for line in bad {
            let fault = DiagnosticBuilder::at(Span::new(file, line.range), line.text);
            report.error(fault.help(line.help));
        }
        let setting = |variable: dotenv::DotenvEntry| {
            let at = Span::new(file, variable.range);
            (variable.name, EnvFileEntry { value: variable.value, at })
        };
        let settings = variables.into_iter().map(setting).collect();
        self.files.insert(path, EnvFile { settings });
    }

    pub fn unreadable(
        &mut self,
        at: Option<Span>,
        shown: &str,
        (why, help): (&str, &str),
        report: &mut LoadReport,
    ) {
        self.incomplete = true;
        let text = format!("cannot read env file {}: {why}", quote(shown));
        let fault = match at {
            Some(at) => DiagnosticBuilder::at(at, text),
            None => DiagnosticBuilder::without_span(crate::model::MessageClass::Config, text),
        };
        report.error(fault.help(help));
    }
}
