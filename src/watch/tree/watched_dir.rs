use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use super::file_tree::FilterId;
use super::fingerprint::Fingerprint;
use crate::watch::filter::{IgnoreRules, IgnoreVerdict, WatchFilter};

/// A directory that at least one filter looks into.
#[derive(Debug)]
pub(crate) struct WatchedDir {
    /// The filters that look into it.
    pub ids: BTreeSet<FilterId>,
    /// Ignore rules that apply to the directory itself, and to its content.
    pub above: Arc<IgnoreRules>,
    pub rules: Arc<IgnoreRules>,
    pub files: BTreeMap<OsString, Fingerprint>,
    pub inner: BTreeSet<OsString>,
}

impl WatchedDir {
    pub fn new(above: Arc<IgnoreRules>) -> WatchedDir {
        WatchedDir {
            ids: BTreeSet::new(),
            rules: above.clone(),
            above,
            files: BTreeMap::new(),
            inner: BTreeSet::new(),
        }
    }

    /// Returns the filters among `ids` that look into `path`, a subdirectory of this one.
    pub fn filters_for_dir(
        &self,
        filters: &BTreeMap<FilterId, WatchFilter>,
        ids: &BTreeSet<FilterId>,
        path: &Path,
    ) -> BTreeSet<FilterId> {
        if is_kernel_dir(path) {
            return BTreeSet::new();
        }
        let verdict = self.rules.verdict(path, true);
        let enters = |id: &&FilterId| {
            filters.get(id).is_some_and(|filter| filter.accepts_dir(path, verdict))
        };
        ids.iter().filter(enters).copied().collect()
    }

    /// Returns the filters that accept `path`, a file in this directory.
    pub fn filters_for_file(
        &self,
        filters: &BTreeMap<FilterId, WatchFilter>,
        path: &Path,
    ) -> BTreeSet<FilterId> {
        let verdict = self.rules.verdict(path, false);
        let wants = |id: &&FilterId| {
            filters.get(id).is_some_and(|filter| filter.accepts_file(path, verdict))
        };
        self.ids.iter().filter(wants).copied().collect()
    }

    /// The rules for the subdirectory `path`. An ignored directory is entered only if it was named,
    /// and then its content is wanted.
    pub fn inner_rules(&self, path: &Path) -> Arc<IgnoreRules> {
        match self.rules.verdict(path, true) {
            IgnoreVerdict::Plain => self.rules.clone(),
            IgnoreVerdict::Ignored | IgnoreVerdict::Never => Arc::default(),
        }
    }
}

/// Linux directories with kernel-generated files, which are endless.
fn is_kernel_dir(path: &Path) -> bool {
    cfg!(target_os = "linux") && ["/proc", "/sys", "/dev"].iter().any(|top| path == Path::new(top))
}
