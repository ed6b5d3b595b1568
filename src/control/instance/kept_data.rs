//! Data that stacks keep, and what is left of stacks whose directory is gone. What is not certain is
//! listed, and never removed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::project_record::{ProjectRecord, RecordedDir};
use super::user_dirs::UserDirs;
use super::{is_held, try_lock};
use crate::process::DATA_OF_ROOT;
use crate::regular_file::open_lock;
use crate::regular_file::require_own_dirs;

/// A directory with data of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptData {
    /// The name of the stack; `None` if it is unknown whose data it is.
    pub stack: Option<String>,
    /// The project directory, or where it was.
    pub dir: Option<PathBuf>,
    /// What is known of the stack.
    pub owner: DataOwner,
    /// The directory with the data.
    pub path: PathBuf,
    /// The size of its files, in bytes.
    pub bytes: u64,
    id: Option<String>,
}

/// What is known of the stack that data belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataOwner {
    /// It runs.
    Running,
    /// It does not run; its directory is there.
    Stopped,
    /// Its directory no longer exists.
    Gone,
    /// It does not run; its directory was moved to this path, where no stack has started yet.
    Moved(PathBuf),
    /// It cannot be said, for this reason.
    Unclear(&'static str),
}

impl DataOwner {
    /// Returns the stable name that JSON uses.
    pub fn as_str(&self) -> &'static str {
        match self {
            DataOwner::Running => "running",
            DataOwner::Stopped => "stopped",
            DataOwner::Gone => "gone",
            DataOwner::Moved(_) | DataOwner::Unclear(_) => "unclear",
        }
    }

    /// Returns how much speaks against the stack using the data: 0 to 2.
    fn doubt(&self) -> u8 {
        match self {
            DataOwner::Running | DataOwner::Stopped => 0,
            DataOwner::Moved(_) | DataOwner::Unclear(_) => 1,
            DataOwner::Gone => 2,
        }
    }
}

/// Where to look for data.
pub struct DataPlaces {
    dirs: UserDirs,
    /// Where presets keep data under root, if this is root.
    of_root: Option<PathBuf>,
}

impl DataPlaces {
    /// Returns the places of this process's user.
    pub fn of_this_user() -> DataPlaces {
        let root = geteuid().is_root().then(|| PathBuf::from(DATA_OF_ROOT));
        DataPlaces::new(UserDirs::of_this_user(), root)
    }

    pub(crate) fn new(dirs: UserDirs, of_root: Option<PathBuf>) -> DataPlaces {
        let of_root = of_root.filter(|root| {
            let names = root.components().skip(1).map(|name| name.as_os_str());
            require_own_dirs(Path::new("/"), names).is_ok()
        });
        DataPlaces { dirs, of_root }
    }

    /// Finds the data of all stacks that are known to this user, sorted by project directory; data
    /// whose stack is unknown comes last.
    pub fn find(&self) -> Vec<KeptData> {
        let of_root = self.data_of_root();
        let records = self.records().into_iter();
        let known: Vec<(String, ProjectRecord, DataOwner)> = records
            .map(|(id, record)| {
                let owner = self.owner(&id, &record);
                (id, record, owner)
            })
            .collect();
        let claimant = |path: &PathBuf| {
            let all = known.iter().filter(|(_, record, owner)| claims(path, record, owner));
            // Of several, the one that most likely still uses it.
            all.min_by_key(|(.., owner)| owner.doubt()).map(|(id, ..)| id)
        };
        let of_root: Vec<(PathBuf, Option<&String>)> =
            of_root.into_iter().map(|path| (path.clone(), claimant(&path))).collect();
        let mut claimed: BTreeSet<PathBuf> = BTreeSet::new();
        let mut found = Vec::new();
        for (id, record, owner) in &known {
            let mut paths = match owner {
                DataOwner::Running | DataOwner::Stopped => data_beside(&record.dir),
                DataOwner::Gone | DataOwner::Moved(_) | DataOwner::Unclear(_) => Vec::new(),
            };
            paths.extend(self.dirs.existing_state_dir_elsewhere(id));
            let own = of_root.iter().filter(|(_, claimant)| *claimant == Some(id));
            paths.extend(own.map(|(path, _)| path.clone()));
            for path in paths {
                claimed.insert(path.clone());
                found.push(KeptData {
                    stack: Some(record.stack.clone()),
                    dir: Some(record.dir.clone()),
                    owner: owner.clone(),
                    bytes: size_of(&path),
                    path,
                    id: Some(id.clone()),
                });
            }
        }
        let others = of_root.into_iter().map(|(path, _)| path).chain(self.state_dirs_elsewhere());
        for path in others.filter(|path| !claimed.contains(path)) {
            let owner = DataOwner::Unclear("its project directory is not recorded");
            let bytes = size_of(&path);
            found.push(KeptData { stack: None, dir: None, owner, path, bytes, id: None });
        }
        found
    }

    /// Removes data of a stack whose directory is gone. Links in it are removed, not followed.
    ///
    /// # Errors
    /// It could not be removed as a whole, or it is no longer certain that the directory is gone.
    pub fn remove(&self, data: &KeptData) -> io::Result<()> {
        let changed = || io::Error::other("its project directory is back, or a stack runs there");
        let id = data.id.as_deref().ok_or_else(changed)?;
        // Held, so that no stack starts in a directory with this id meanwhile.
        let _locks = self.lock(id)?.ok_or_else(changed)?;
        let (own, others): (Vec<_>, Vec<_>) =
            self.records().into_iter().partition(|(known, _)| known == id);
        let owner = own.first().map(|(_, record)| self.owner_of_idle(id, record));
        let is_shared = others.iter().any(|(id, record)| {
            let owner = self.owner(id, record);
            owner != DataOwner::Gone && claims(&data.path, record, &owner)
        });
        if owner != Some(DataOwner::Gone) || is_shared || !is_dir(&data.path) {
            return Err(changed());
        }
        fs::remove_dir_all(&data.path)?;
        if let Some(root) = &self.of_root
            && let Some(above) = data.path.parent().filter(|above| above.parent() == Some(root))
        {
            // Has only this entry, unless a service was renamed.
            let _ = fs::remove_dir(above);
        }
        Ok(())
    }

    /// Forgets the project directories that are gone and of which no data is left.
    pub fn forget_gone(&self) {
        let kept: BTreeSet<Option<String>> = self.find().into_iter().map(|data| data.id).collect();
        let Some(projects) = self.dirs.projects_dir() else { return };
        for (id, record) in self.records() {
            let gone = self.owner(&id, &record) == DataOwner::Gone;
            if gone && !kept.contains(&Some(id.clone())) {
                // Otherwise it is tried again next time.
                let _ = ProjectRecord::forget(&projects, &id);
            }
        }
    }

    fn records(&self) -> Vec<(String, ProjectRecord)> {
        self.dirs.projects_dir().map(|dir| ProjectRecord::all_in(&dir)).unwrap_or_default()
    }

    fn owner(&self, id: &str, record: &ProjectRecord) -> DataOwner {
        let locks = self.dirs.lock_files().into_iter().filter(|(of, _)| of == id);
        let mut locks = locks.filter_map(|(_, path)| open_lock(&path, false).ok());
        match locks.any(|lock| is_held(&lock)) {
            true => DataOwner::Running,
            false => self.owner_of_idle(id, record),
        }
    }

    fn owner_of_idle(&self, id: &str, record: &ProjectRecord) -> DataOwner {
        match record.dir_now(id, self.dirs.uid) {
            RecordedDir::Present => DataOwner::Stopped,
            RecordedDir::Gone => DataOwner::Gone,
            RecordedDir::Moved(now) => DataOwner::Moved(now),
            RecordedDir::Replaced => DataOwner::Unclear("another directory is in its place"),
            RecordedDir::OutOfReach => {
                DataOwner::Unclear("it may have been moved, or its file system may not be mounted")
            }
        }
    }

    /// Takes all locks of a directory; `None` if one is held.
    fn lock(&self, id: &str) -> io::Result<Option<Vec<File>>> {
        let mut taken = Vec::new();
        for (_, path) in self.dirs.lock_files().into_iter().filter(|(of, _)| of == id) {
            let lock = open_lock(&path, true)?;
            if !try_lock(&lock)? {
                return Ok(None);
            }
            taken.push(lock);
        }
        Ok(Some(taken))
    }

    fn state_dirs_elsewhere(&self) -> Vec<PathBuf> {
        let Some(projects) = self.dirs.projects_dir() else { return Vec::new() };
        subdirs(&projects)
    }

    /// Returns the directories of services below that of root, whose names are a checksum and a
    /// service.
    fn data_of_root(&self) -> Vec<PathBuf> {
        let roots = self.of_root.iter().flat_map(|root| subdirs(root));
        roots.flat_map(|above| subdirs(&above)).collect()
    }
}

/// Returns the data of presets in a project directory.
fn data_beside(project: &Path) -> Vec<PathBuf> {
    let names = [".devstack", "data"].map(OsStr::new);
    match require_own_dirs(project, names.into_iter()) {
        Ok(()) => subdirs(&project.join(".devstack/data")),
        Err(_) => Vec::new(),
    }
}

/// Whether the `postgres` preset may have made this directory for a project: it is named after the
/// checksum of the link that the preset made there, or the link leads to it. The name stays when the
/// project is moved, until the service starts again.
fn claims(path: &Path, record: &ProjectRecord, owner: &DataOwner) -> bool {
    let Some(service) = path.file_name() else { return false };
    let link_in = |project: &Path| project.join(".devstack/data").join(service);
    let name = path.parent().and_then(Path::file_name).and_then(OsStr::to_str);
    let (sum, length) = posix_checksum(link_in(&record.dir).as_os_str().as_encoded_bytes());
    let now = match owner {
        DataOwner::Moved(now) => now,
        DataOwner::Running | DataOwner::Stopped | DataOwner::Gone | DataOwner::Unclear(_) => {
            &record.dir
        }
    };
    name == Some(&*format!("{sum}-{length}"))
        || fs::read_link(link_in(now)).is_ok_and(|leads_to| leads_to == path)
}

/// Returns what `cksum` prints of these bytes: checksum and length.
fn posix_checksum(bytes: &[u8]) -> (u32, usize) {
    const POLYNOMIAL: u32 = 0x04c1_1db7;
    let length = bytes.len().to_le_bytes();
    let significant = length.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut sum = 0_u32;
    for byte in bytes.iter().chain(&length[..significant]) {
        sum ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            let carry = sum & (1 << 31) != 0;
            sum = (sum << 1) ^ if carry { POLYNOMIAL } else { 0 };
        }
    }
    (!sum, bytes.len())
}

/// Returns the directories in a directory, sorted, without links.
fn subdirs(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| is_dir(path)).collect();
    found.sort();
    found
}

fn is_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// Returns the size of all files below, in bytes, without following links.
fn size_of(dir: &Path) -> u64 {
    let (mut open, mut bytes) = (vec![dir.to_owned()], 0_u64);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            // Of a link itself.
            let Ok(found) = entry.metadata() else { continue };
            match found.is_dir() {
                true => open.push(entry.path()),
                false => bytes = bytes.saturating_add(found.len()),
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::control::instance::user_dirs::make_private;
    use crate::control::instance::{InstanceLock, directory_id};

    #[test]
    fn the_checksum_is_that_of_cksum() {
        assert_eq!(posix_checksum(b""), (4_294_967_295, 0));
        assert_eq!(posix_checksum(b"123456789"), (930_766_865, 9));
    }

    /// Directories of a user in a temporary place.
    struct Scene {
        top: tempfile::TempDir,
        places: DataPlaces,
    }

    impl Scene {
        fn new() -> Scene {
            let top = tempfile::Builder::new().prefix("d").tempdir().unwrap();
            let [state, run] = ["state", "run"].map(|name| top.path().join(name));
            for dir in [&state, &run] {
                make_private(dir, false).unwrap();
            }
            let uid = geteuid().as_raw();
            let dirs = UserDirs::new(uid, Some(run), Some(state), top.path().to_owned());
            let root = fs::canonicalize(top.path()).unwrap().join("root");
            fs::create_dir(&root).unwrap();
            let root = geteuid().is_root().then_some(root);
            Scene { places: DataPlaces::new(dirs, root), top }
        }

        fn path(&self, name: &str) -> PathBuf {
            fs::canonicalize(self.top.path()).unwrap().join(name)
        }

        fn file(&self, name: &str) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "12345").unwrap();
        }

        /// A project of a stack that has run.
        fn project(&self, name: &str) -> PathBuf {
            let dir = self.path(name);
            fs::create_dir_all(&dir).unwrap();
            ProjectRecord::keep_in(&self.places.dirs, &dir, name).unwrap();
            dir
        }

        /// The state directory elsewhere of a project, with one file.
        fn elsewhere(&self, project: &Path) -> PathBuf {
            let uid = self.places.dirs.uid;
            let id = directory_id(project, uid).unwrap();
            let dir = self.places.dirs.projects_dir().unwrap().join(id);
            make_private(&dir, false).unwrap();
            fs::write(dir.join("log"), "123").unwrap();
            dir
        }

        fn owners(&self) -> Vec<(Option<String>, DataOwner, u64)> {
            self.places
                .find()
                .into_iter()
                .map(|data| (data.stack, data.owner, data.bytes))
                .collect()
        }
    }

    #[test]
    fn only_data_of_a_directory_that_is_gone_is_removed() {
        let scene = Scene::new();
        let [here, gone] = ["here", "was"].map(|name| scene.project(name));
        scene.file("here/.devstack/data/db/base");
        let left = scene.elsewhere(&gone);
        fs::remove_dir(&gone).unwrap();
        let some = |name: &str| Some(name.to_owned());
        let all = [(some("here"), DataOwner::Stopped, 5), (some("was"), DataOwner::Gone, 3)];
        assert_eq!(scene.owners(), all);

        let found = scene.places.find();
        assert!(scene.places.remove(&found[0]).is_err());
        assert!(here.join(".devstack/data/db/base").exists());
        scene.places.remove(&found[1]).unwrap();
        assert!(!left.exists());
        scene.places.forget_gone();
        assert_eq!(scene.places.records().len(), 1);
        assert_eq!(scene.owners(), all[..1]);
    }

    #[test]
    fn what_is_not_certain_stays() {
        let scene = Scene::new();
        let replaced = scene.project("replaced");
        let left = scene.elsewhere(&replaced);
        // Kept open, so that its number is not used again.
        let _open = File::open(&replaced).unwrap();
        fs::remove_dir(&replaced).unwrap();
        fs::create_dir(&replaced).unwrap();
        let unknown = scene.places.dirs.projects_dir().unwrap().join("0123456789abcdef");
        make_private(&unknown, false).unwrap();
        let found = scene.places.find();
        assert_eq!(found.len(), 2, "{found:?}");
        for data in &found {
            assert!(matches!(data.owner, DataOwner::Unclear(_)), "{data:?}");
            assert!(scene.places.remove(data).is_err());
        }
        assert!(left.exists() && unknown.exists());
    }

    #[test]
    fn what_may_only_have_been_renamed_or_unmounted_stays() {
        let scene = Scene::new();
        let project = scene.project("code/shop");
        let left = scene.elsewhere(&project);
        let owner = || {
            let [data] = scene.places.find().try_into().unwrap();
            assert!(scene.places.remove(&data).is_err() && left.exists());
            data.owner
        };
        let rename = |from, to| fs::rename(scene.path(from), scene.path(to)).unwrap();
        rename("code/shop", "code/shop2");
        assert_eq!(owner(), DataOwner::Moved(scene.path("code/shop2")));
        rename("code/shop2", "code/shop");
        rename("code", "work");
        assert_eq!(owner(), DataOwner::Moved(scene.path("work/shop")));
        rename("work/shop", "far");
        assert!(matches!(owner(), DataOwner::Unclear(_)), "the directory above is gone");
        fs::create_dir(scene.path("code")).unwrap();
        assert!(matches!(owner(), DataOwner::Unclear(_)), "the directory above is another one");
        fs::remove_dir(scene.path("code")).unwrap();
        rename("work", "code");
        let [data] = scene.places.find().try_into().unwrap();
        assert_eq!(data.owner, DataOwner::Gone, "it was moved too far away to be found");
    }

    #[test]
    fn a_directory_is_recorded_without_links_and_in_any_encoding() {
        let scene = Scene::new();
        let name = OsStr::from_bytes(b"sh\xffop %/+");
        let real = scene.path("code").join(name);
        // Not all file systems take such a name.
        let Ok(()) = fs::create_dir_all(&real) else { return };
        symlink(&real, scene.path("link")).unwrap();
        ProjectRecord::keep_in(&scene.places.dirs, &scene.path("link"), "shop").unwrap();
        let dirs: Vec<PathBuf> =
            scene.places.records().into_iter().map(|(_, record)| record.dir).collect();
        assert_eq!(dirs, [real]);
    }

    #[test]
    fn data_of_a_running_stack_is_not_removed() {
        let scene = Scene::new();
        let project = scene.project("shop");
        let left = scene.elsewhere(&project);
        let running = InstanceLock::claim_in(&scene.places.dirs, &project, "shop").unwrap();
        fs::remove_dir_all(&project).unwrap();
        let [data] = scene.places.find().try_into().unwrap();
        assert_eq!(data.owner, DataOwner::Running);
        assert!(scene.places.remove(&data).is_err());
        drop(running);
        scene.places.remove(&data).unwrap();
        assert!(!left.exists());
    }

    #[test]
    fn links_are_neither_followed_nor_listed() {
        let scene = Scene::new();
        let project = scene.project("shop");
        scene.file("precious/file");
        scene.file("shop/.devstack/data/db/base");
        symlink(scene.path("precious"), project.join(".devstack/data/link")).unwrap();
        symlink(scene.path("precious"), project.join(".devstack/data/db/link")).unwrap();
        let paths: Vec<PathBuf> = scene.places.find().into_iter().map(|data| data.path).collect();
        assert_eq!(paths, [project.join(".devstack/data/db")]);
        let evil = scene.project("evil");
        symlink(scene.path("shop/.devstack"), evil.join(".devstack")).unwrap();
        assert_eq!(scene.places.find().len(), 1);

        let left = scene.elsewhere(&evil);
        symlink(scene.path("precious"), left.join("link")).unwrap();
        fs::remove_dir_all(&evil).unwrap();
        let data = scene.places.find().into_iter().find(|data| data.path == left).unwrap();
        scene.places.remove(&data).unwrap();
        assert!(scene.path("precious/file").exists());
    }

    #[test]
    fn data_of_root_belongs_to_the_project_whose_link_it_is_named_after() {
        let scene = Scene::new();
        let Some(root) = scene.places.of_root.clone() else { return };
        let project = scene.project("shop");
        let link = project.join(".devstack/data/db");
        let (sum, length) = posix_checksum(link.as_os_str().as_encoded_bytes());
        let data = root.join(format!("{sum}-{length}/db"));
        fs::create_dir_all(&data).unwrap();
        fs::create_dir_all(root.join("1-1/db")).unwrap();
        let owners = |places: &DataPlaces| -> Vec<_> {
            places.find().into_iter().map(|data| (data.path, data.owner.as_str())).collect()
        };
        let unknown = (root.join("1-1/db"), "unclear");
        assert_eq!(owners(&scene.places), [(data.clone(), "stopped"), unknown.clone()]);
        fs::remove_dir(&project).unwrap();
        assert_eq!(owners(&scene.places), [(data.clone(), "gone"), unknown.clone()]);
        let found = scene.places.find();
        scene.places.remove(&found[0]).unwrap();
        assert_eq!(owners(&scene.places), [unknown]);
        assert!(!data.parent().unwrap().exists());
    }

    #[test]
    fn data_of_root_stays_with_a_project_that_was_moved() {
        let scene = Scene::new();
        let Some(root) = scene.places.of_root.clone() else { return };
        let project = scene.project("shop");
        let link = project.join(".devstack/data/db");
        let (sum, length) = posix_checksum(link.as_os_str().as_encoded_bytes());
        let data = root.join(format!("{sum}-{length}/db"));
        for dir in [link.parent().unwrap(), &data] {
            fs::create_dir_all(dir).unwrap();
        }
        symlink(&data, &link).unwrap();
        let owner = || {
            let [found] = scene.places.find().try_into().unwrap();
            assert!(scene.places.remove(&found).is_err() && data.exists());
            found.owner
        };
        fs::rename(&project, scene.path("shop2")).unwrap();
        assert_eq!(owner(), DataOwner::Moved(scene.path("shop2")));
        // It has run there, and another project at its former place, whose data it would be.
        scene.project("shop2");
        assert_eq!(owner(), DataOwner::Stopped);
        scene.project("shop");
        let [gone] = scene.places.find().try_into().unwrap();
        fs::remove_dir(&project).unwrap();
        assert_eq!(owner(), DataOwner::Stopped);
        assert!(scene.places.remove(&gone).is_err() && data.exists());
        fs::rename(scene.path("shop2"), scene.path("shop3")).unwrap();
        assert_eq!(owner(), DataOwner::Moved(scene.path("shop3")));
    }
}
