use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use super::filter::Filter;
use super::mark::Mark;
use super::rules::{Rules, Verdict};
use super::tree::Id;

/// A directory that at least one filter looks into.
#[derive(Debug)]
pub(super) struct Folder {
    /// The filters that look into it.
    pub ids: BTreeSet<Id>,
    /// Ignore rules that apply to the directory itself, and to its content.
    pub above: Arc<Rules>,
    pub rules: Arc<Rules>,
    pub files: BTreeMap<OsString, Mark>,
    pub inner: BTreeSet<OsString>,
}

impl Folder {
    pub fn new(above: Arc<Rules>) -> Folder {
        Folder {
            ids: BTreeSet::new(),
            rules: above.clone(),
            above,
            files: BTreeMap::new(),
            inner: BTreeSet::new(),
        }
    }

    /// Returns the filters among `ids` that look into `path`, a subdirectory of this one.
    pub fn entering(
        &self,
        filters: &BTreeMap<Id, Filter>,
        ids: &BTreeSet<Id>,
        path: &Path,
    ) -> BTreeSet<Id> {
        if is_kernel_made(path) {
            return BTreeSet::new();
        }
        let verdict = self.rules.verdict(path, true);
        let enters = |id: &&Id| filters.get(id).is_some_and(|filter| filter.enters(path, verdict));
        ids.iter().filter(enters).copied().collect()
    }

    /// Returns the filters that accept `path`, a file in this directory.
    pub fn wanting(&self, filters: &BTreeMap<Id, Filter>, path: &Path) -> BTreeSet<Id> {
        let verdict = self.rules.verdict(path, false);
        let wants = |id: &&Id| filters.get(id).is_some_and(|filter| filter.wants(path, verdict));
        self.ids.iter().filter(wants).copied().collect()
    }

    /// The rules for the subdirectory `path`. An ignored directory is entered only if it was named,
    /// and then its content is wanted.
    pub fn inner_rules(&self, path: &Path) -> Arc<Rules> {
        match self.rules.verdict(path, true) {
            Verdict::Plain => self.rules.clone(),
            Verdict::Ignored | Verdict::Never => Arc::default(),
        }
    }
}

/// Linux directories with kernel-generated files, which are endless.
fn is_kernel_made(path: &Path) -> bool {
    cfg!(target_os = "linux") && ["/proc", "/sys", "/dev"].iter().any(|top| path == Path::new(top))
}
