//! Which paths count: globs, ignore files, git.

pub(crate) mod git;
mod ignore_rules;
mod watch_filter;
mod watch_pattern;

pub(crate) use ignore_rules::{IgnoreRules, IgnoreVerdict, RULE_FILES};
pub(crate) use watch_filter::WatchFilter;
