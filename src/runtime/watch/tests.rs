//! Real files, real events. Nothing here waits for time to pass: a test waits for a change, and that no
//! change came is shown by a later one that arrives alone. What consists of several steps is done with the inbox
//! shut, because a busy machine may take any time between two of them; how long is waited for the next
//! step is tested where it is decided, in `settle` and `inbox`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::mpsc;

use super::lookout::Limits;
use super::settle::SETTLE;
use super::{Change, Watcher};
use crate::model::{Class, Name, Watch, WatchAction, Watched};

/// Long enough for any machine; a test that meets it has failed.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

struct Scene {
    _dir: TempDir,
    /// Where files are written before they are moved into place.
    outside: TempDir,
    written: AtomicU32,
    /// Without links, as changes are reported.
    top: PathBuf,
    watcher: Watcher,
    changes: mpsc::UnboundedReceiver<Change>,
}

fn limits() -> Limits {
    Limits { folders: 10_000, read_after: Duration::ZERO }
}

fn name(text: &str) -> Watched {
    Watched::first(Name::new(text).unwrap())
}

impl Scene {
    fn new() -> Scene {
        Scene::limited(limits())
    }

    fn limited(limits: Limits) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(dir.path()).unwrap();
        let (tell, changes) = mpsc::unbounded_channel();
        let outside = tempfile::tempdir().unwrap();
        let (written, watcher) = (AtomicU32::new(0), Watcher::limited(tell, limits));
        Scene { _dir: dir, outside, written, top, watcher, changes }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.top.join(path)
    }

    /// Puts a file there in one step.
    fn write(&self, path: impl AsRef<Path>, text: &str) {
        let path = self.top.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let new = self.outside.path().join(number.to_string());
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Does something of several steps, which settle together. The top folder must be watched.
    fn at_once(&self, steps: impl FnOnce()) {
        self.watcher.inbox.shut();
        steps();
        let seen = format!(".{}.swp", self.written.load(Ordering::Relaxed));
        self.write(&seen, "events come in order, so those of the steps came before this one's");
        self.watcher.inbox.wait_touched(&self.path(&seen));
        self.watcher.inbox.open();
    }

    /// A file that was there long before: one that is as new as the watch counts as changed.
    fn old(&self, path: &str, text: &str) {
        self.write(path, text);
        let file = fs::File::options().write(true).open(self.path(path)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    }

    fn watch(&self, include: &[&str], exclude: &[&str]) -> Watch {
        let list = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect();
        let (include, exclude) = (list(include), list(exclude));
        let action = WatchAction::Restart { build: None };
        let root = self.top.clone();
        Watch { root, include, exclude, settle: SETTLE, poll: None, action }
    }

    /// Watches for one service, `api`, and waits until that has begun: a first file is seen.
    async fn begin(&mut self, watch: Watch) {
        let inside = watch.include.is_empty();
        let mut services = BTreeMap::from([(name("api"), watch)]);
        if !inside {
            services.insert(name("begin"), self.watch(&["begin.txt"], &[]));
        }
        self.watcher.set(services, BTreeSet::new());
        self.write("begin.txt", "begin");
        self.next().await;
    }

    async fn next_change(&mut self) -> Change {
        tokio::time::timeout(DEADLINE, self.changes.recv())
            .await
            .expect("a change within the deadline")
            .expect("the watcher lives")
    }

    /// The services of the next change, with their files relative to the scene.
    async fn next(&mut self) -> BTreeMap<String, PathBuf> {
        match self.next_change().await {
            Change::Services(services) => services
                .into_iter()
                .map(|(name, path)| {
                    let path = path.strip_prefix(&self.top).unwrap_or(&path).to_owned();
                    (name.service.to_string(), path)
                })
                .collect(),
            Change::Config(files) => panic!("unexpected {files:?}"),
            Change::Degraded(message) => panic!("unexpected {message:?}"),
        }
    }

    /// The file that triggered `api` next.
    async fn file(&mut self) -> PathBuf {
        self.next().await.remove("api").expect("a change of api")
    }

    /// Nothing was told since the last change: a new file is the next.
    async fn quiet(&mut self) {
        let name = format!("quiet-{}.py", self.changes.len());
        self.write(&name, "quiet");
        assert_eq!(self.file().await, Path::new(&name));
        fs::remove_file(self.path(&name)).unwrap();
        assert_eq!(self.file().await, Path::new(&name));
    }
}

fn rename_over(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

/// As `sed -i` does: a new file beside it with a name of its own, the mode copied, renamed over.
fn sed(path: &Path, text: &str) {
    let new = path.with_file_name("sedAb12Cd");
    let mut file = fs::File::create(&new).unwrap();
    file.set_permissions(fs::metadata(path).unwrap().permissions()).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    drop(file);
    fs::rename(&new, path).unwrap();
}

/// As vim does: the old file becomes the backup, the new one is written in its place, the backup goes.
fn vim(path: &Path, text: &str) {
    let backup = path.with_file_name("a.py~");
    fs::write(path.with_file_name("4913"), "").unwrap();
    fs::remove_file(path.with_file_name("4913")).unwrap();
    fs::rename(path, &backup).unwrap();
    fs::write(path, text).unwrap();
    fs::remove_file(&backup).unwrap();
}

#[tokio::test]
async fn a_hundred_saves_of_every_kind_are_a_hundred_changes_each() {
    let mut scene = Scene::new();
    scene.old("src/a.py", "start");
    scene.begin(scene.watch(&[], &[])).await;
    let path = scene.path("src/a.py");
    let plain = |path: &Path, text: &str| fs::write(path, text).unwrap();
    type Save = fn(&Path, &str);
    let kinds: [(&str, Save); 4] =
        [("plain", plain), ("rename", rename_over), ("sed", sed), ("vim", vim)];
    for (kind, save) in kinds {
        for number in 0..100 {
            scene.at_once(|| save(&path, &format!("{kind} {number}")));
            assert_eq!(scene.file().await, Path::new("src/a.py"), "{kind} {number}");
        }
        assert_eq!(scene.changes.len(), 0);
        scene.quiet().await;
    }
}

#[tokio::test]
async fn a_save_of_the_same_bytes_a_touch_and_a_chmod_are_no_change() {
    use std::os::unix::fs::PermissionsExt;
    let mut scene = Scene::new();
    scene.begin(scene.watch(&[], &[])).await;
    let path = scene.path("a.py");
    scene.write("a.py", "same");
    assert_eq!(scene.file().await, Path::new("a.py"));
    scene.at_once(|| fs::write(&path, "same").unwrap());
    scene.at_once(|| rename_over(&path, "same"));
    fs::File::open(&path).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    fs::read(&path).unwrap();
    scene.quiet().await;
    fs::write(&path, "else").unwrap();
    assert_eq!(scene.file().await, Path::new("a.py"));
}

#[tokio::test]
async fn deleting_creating_and_renaming_count() {
    let mut scene = Scene::new();
    scene.old("a.py", "a");
    scene.begin(scene.watch(&["*.py"], &[])).await;
    fs::remove_file(scene.path("a.py")).unwrap();
    assert_eq!(scene.file().await, Path::new("a.py"));
    scene.write("a.py", "a");
    assert_eq!(scene.file().await, Path::new("a.py"));
    scene.at_once(|| fs::rename(scene.path("a.py"), scene.path("b.py")).unwrap());
    assert_eq!(scene.file().await, Path::new("a.py"));
    scene.at_once(|| fs::rename(scene.path("b.py"), scene.path("b.txt")).unwrap());
    assert_eq!(scene.file().await, Path::new("b.py"));
    scene.quiet().await;
}

#[tokio::test]
async fn files_in_new_nested_folders_are_seen() {
    let mut scene = Scene::new();
    scene.begin(scene.watch(&["**/*.py"], &[])).await;
    for number in 0..20 {
        let path = format!("n{number}/x/y/z/a.py");
        scene.write(&path, "new");
        assert_eq!(scene.file().await, Path::new(&path));
        scene.write(&path, "newer");
        assert_eq!(scene.file().await, Path::new(&path));
    }
}

#[tokio::test]
async fn a_burst_is_one_change() {
    let mut scene = Scene::new();
    for number in 0..2_000 {
        scene.old(&format!("d{}/f{number}.py", number % 50), "old");
    }
    scene.begin(scene.watch(&[], &[])).await;
    scene.at_once(|| {
        for number in 0..2_000 {
            fs::write(scene.path(&format!("d{}/f{number}.py", number % 50)), "changed").unwrap();
        }
    });
    assert_eq!(scene.file().await, Path::new("d0/f0.py"));
    scene.quiet().await;
}

#[tokio::test]
async fn what_is_built_ignored_or_excluded_does_not_count() {
    let mut scene = Scene::new();
    fs::create_dir_all(scene.path(".git")).unwrap();
    scene.old(".gitignore", "*.log\ngenerated/\n");
    scene.old("node_modules/left/index.js", "old");
    scene.begin(scene.watch(&[], &["docs/**", "*.md"])).await;
    for path in [
        "node_modules/left/index.js",
        "node_modules/right/index.js",
        "target/debug/x",
        ".git/HEAD",
        ".devstack/logs/api",
        "src/__pycache__/a.pyc",
        "src/.a.py.swp",
        "a.log",
        "generated/a.py",
        "docs/deep/a.py",
        "src/deep/a.md",
    ] {
        scene.write(path, "changed");
    }
    scene.quiet().await;
    scene.write("src/a.py", "counts");
    assert_eq!(scene.file().await, Path::new("src/a.py"));
}

#[test]
fn folders_that_do_not_count_are_not_watched() {
    use super::cover::Cover;
    use super::filter::Filter;
    use super::tree::{Tree, Unknown};
    let scene = Scene::new();
    for path in
        ["src/a/x.py", "node_modules/p/i.js", ".git/objects/aa/b", "target/debug/x", "docs/x"]
    {
        scene.old(path, "x");
    }
    let mut cover = Cover::new(Default::default(), 100);
    let mut tree = Tree::default();
    tree.add(1, Filter::new(&scene.watch(&[], &["docs/**"]), &scene.top));
    let none = tree.walk(&BTreeSet::from([1]), Unknown::Old((i64::MAX, 0)), &mut cover);
    assert_eq!(none, []);
    for (path, watched) in
        [("", true), ("src", true), ("src/a", true), ("node_modules", false), ("docs", false)]
    {
        let path = if path.is_empty() { scene.top.clone() } else { scene.path(path) };
        assert_eq!(cover.holds(&path), watched, "{}", path.display());
    }
    assert_eq!(cover.len(), 3);
    tree.remove(1, &mut cover);
    assert_eq!(cover.len(), 0);
}

#[tokio::test]
async fn lost_events_are_made_up_for_and_make_no_change_by_themselves() {
    let mut scene = Scene::new();
    scene.old("src/a.py", "a");
    scene.begin(scene.watch(&[], &[])).await;
    let lost = || {
        let event = notify::Event::new(notify::EventKind::Other);
        Ok(event.set_flag(notify::event::Flag::Rescan))
    };
    for number in 0..20 {
        scene.watcher.inbox.event(lost());
        scene.quiet().await;
        scene.write("src/a.py", &format!("{number}"));
        scene.watcher.inbox.event(lost());
        assert_eq!(scene.file().await, Path::new("src/a.py"));
    }
}

#[tokio::test]
async fn changed_ignore_rules_hold_from_then_on_and_are_no_change() {
    let mut scene = Scene::new();
    fs::create_dir_all(scene.path(".git")).unwrap();
    scene.old("out/a.py", "old");
    scene.begin(scene.watch(&[], &[])).await;
    scene.write("out/a.py", "new");
    assert_eq!(scene.file().await, Path::new("out/a.py"));
    scene.write(".gitignore", "out/\n");
    scene.quiet().await;
    scene.write("out/a.py", "ignored");
    scene.quiet().await;
    fs::remove_file(scene.path(".gitignore")).unwrap();
    scene.quiet().await;
    scene.write("out/a.py", "counts again");
    assert_eq!(scene.file().await, Path::new("out/a.py"));
}

#[tokio::test]
async fn an_include_that_names_a_built_folder_makes_it_count() {
    let mut scene = Scene::new();
    fs::create_dir_all(scene.path(".git")).unwrap();
    scene.old(".gitignore", "dist/\n");
    scene.begin(scene.watch(&["dist/**", ".env", "*.py"], &[])).await;
    scene.write("dist/deep/a.js", "new");
    assert_eq!(scene.file().await, Path::new("dist/deep/a.js"));
    scene.write(".env", "A=1");
    assert_eq!(scene.file().await, Path::new(".env"));
    scene.write("a.js", "not named");
    scene.quiet().await;
}

#[tokio::test]
async fn a_change_goes_to_everyone_who_wants_it_and_to_nobody_else() {
    let mut scene = Scene::new();
    for folder in ["api", "web", "shared"] {
        scene.old(&format!("{folder}/start.py"), "");
    }
    let watch =
        |dir: &str, include: &[&str]| Watch { root: scene.path(dir), ..scene.watch(include, &[]) };
    let services = BTreeMap::from([
        (name("api"), watch("api", &["**", "../shared/**"])),
        (name("web"), watch("web", &["**", "../shared/**"])),
        (name("job"), watch("web", &["*.sql"])),
    ]);
    scene.watcher.set(services, BTreeSet::new());
    scene.write("api/a.py", "a");
    assert_eq!(scene.next().await, BTreeMap::from([("api".into(), "api/a.py".into())]));
    scene.write("shared/s.py", "s");
    let shared = PathBuf::from("shared/s.py");
    let both = BTreeMap::from([("api".into(), shared.clone()), ("web".into(), shared)]);
    assert_eq!(scene.next().await, both);
}

#[tokio::test]
async fn a_deleted_root_is_picked_up_again() {
    let mut scene = Scene::new();
    scene.old("app/src/a.py", "a");
    scene.begin(scene.watch(&["app/src/**/*.py"], &[])).await;
    for round in 0..5 {
        fs::remove_dir_all(scene.path("app")).unwrap();
        assert_eq!(scene.file().await, Path::new("app/src/a.py"));
        scene.write("app/src/a.py", "a");
        assert_eq!(scene.file().await, Path::new("app/src/a.py"));
        scene.write("app/src/a.py", &format!("round {round}"));
        assert_eq!(scene.file().await, Path::new("app/src/a.py"));
    }
}

#[tokio::test]
async fn a_root_that_is_replaced_at_once_stays_watched() {
    let mut scene = Scene::new();
    scene.old("src/deep/a.py", "a");
    scene.begin(scene.watch(&["src/**"], &[])).await;
    for round in 0..10 {
        scene.write("other/deep/a.py", &format!("b {round}"));
        scene.at_once(|| {
            fs::remove_dir_all(scene.path("src")).unwrap();
            fs::rename(scene.path("other"), scene.path("src")).unwrap();
        });
        assert_eq!(scene.file().await, Path::new("src/deep/a.py"));
        scene.write("src/deep/a.py", &format!("c {round}"));
        assert_eq!(scene.file().await, Path::new("src/deep/a.py"));
    }
}

#[tokio::test]
async fn a_root_that_does_not_exist_yet_is_waited_for() {
    let mut scene = Scene::new();
    scene.begin(scene.watch(&["not/yet/there/**"], &[])).await;
    scene.write("not/other", "no");
    scene.write("not/yet/there/a.py", "a");
    assert_eq!(scene.file().await, Path::new("not/yet/there/a.py"));
    scene.write("not/yet/there/b.py", "b");
    assert_eq!(scene.file().await, Path::new("not/yet/there/b.py"));
}

#[tokio::test]
async fn odd_things_neither_hang_nor_end_it() {
    use std::os::unix::ffi::OsStrExt;
    let mut scene = Scene::new();
    scene.old("sub/a.py", "a");
    std::os::unix::fs::symlink(&scene.top, scene.path("sub/loop")).unwrap();
    std::os::unix::fs::symlink("nowhere", scene.path("sub/dangling")).unwrap();
    let fifo = |path: PathBuf| {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    };
    fifo(scene.path("fifo"));
    scene.begin(scene.watch(&[], &[])).await;
    fifo(scene.path("sub/fifo"));
    let odd = Path::new("sub").join(std::ffi::OsStr::from_bytes(b"\xff\n\x1b.py"));
    scene.write(&odd, "x");
    assert_eq!(scene.file().await, odd);
    scene.at_once(|| {
        fs::remove_file(scene.path("sub/dangling")).unwrap();
        std::os::unix::fs::symlink("elsewhere", scene.path("sub/dangling")).unwrap();
    });
    assert_eq!(scene.file().await, Path::new("sub/dangling"));
    // A file that turns into a folder, and back.
    scene.write("sub/turn", "file");
    assert_eq!(scene.file().await, Path::new("sub/turn"));
    scene.at_once(|| {
        fs::remove_file(scene.path("sub/turn")).unwrap();
        scene.write("sub/turn/in.py", "in");
    });
    scene.file().await;
    scene.quiet().await;
}

#[tokio::test]
async fn what_was_saved_before_the_first_walk_is_not_lost() {
    let mut scene = Scene::new();
    scene.old("old.py", "1");
    scene.write("devstack.toml", "saved after it was read");
    scene.watcher.begin();
    scene.write("new.py", "saved after the service has read it");
    let services = BTreeMap::from([(name("api"), scene.watch(&["*.py"], &[]))]);
    scene.watcher.set(services, BTreeSet::from([scene.path("devstack.toml")]));
    // The service's is held back until it has settled, so either may be the first.
    let changes = [scene.next_change().await, scene.next_change().await];
    let config = BTreeSet::from([scene.path("devstack.toml")]);
    assert!(changes.contains(&Change::Config(config)), "{changes:?}");
    let services = BTreeMap::from([(name("api"), scene.path("new.py"))]);
    assert!(changes.contains(&Change::Services(services)), "{changes:?}");
    scene.quiet().await;
}

/// The walk meets a file that is just being written: it is told once, when it is whole.
#[tokio::test]
async fn a_save_that_the_first_walk_tears_apart_is_one_change() {
    let mut scene = Scene::new();
    scene.old("old.py", "1");
    scene.watcher.begin();
    scene.watcher.inbox.shut();
    scene.write("a.py", "");
    scene.write("devstack.toml", "");
    let services = BTreeMap::from([(name("api"), scene.watch(&["*.py"], &[]))]);
    scene.watcher.set(services, BTreeSet::from([scene.path("devstack.toml")]));
    // What the walk found is in the inbox beside the events.
    scene.watcher.inbox.wait_touched(&scene.path("a.py"));
    scene.at_once(|| {
        fs::write(scene.path("a.py"), "whole").unwrap();
        fs::write(scene.path("devstack.toml"), "whole").unwrap();
    });
    let changes = [scene.next_change().await, scene.next_change().await];
    let config = BTreeSet::from([scene.path("devstack.toml")]);
    assert!(changes.contains(&Change::Config(config)), "{changes:?}");
    let services = BTreeMap::from([(name("api"), scene.path("a.py"))]);
    assert!(changes.contains(&Change::Services(services)), "{changes:?}");
    scene.quiet().await;
}

#[tokio::test]
async fn configuration_files_are_seen_also_when_they_appear_later() {
    let mut scene = Scene::new();
    scene.old("devstack.toml", "one");
    scene.old("elsewhere/real.env", "A=1");
    std::os::unix::fs::symlink("elsewhere/real.env", scene.path(".env")).unwrap();
    let all = ["devstack.toml", "devstack.local.toml", ".env", "later/deep/.env"];
    let files: BTreeSet<PathBuf> = all.iter().map(|file| scene.path(file)).collect();
    scene.watcher.set(BTreeMap::new(), files.clone());
    let one = |scene: &Scene, file: &str| Change::Config(BTreeSet::from([scene.path(file)]));
    scene.write("devstack.toml", "two");
    assert_eq!(scene.next_change().await, one(&scene, "devstack.toml"));
    scene.write("devstack.toml", "two");
    scene.write("unrelated.toml", "x");
    scene.write("devstack.local.toml", "new");
    assert_eq!(scene.next_change().await, one(&scene, "devstack.local.toml"));
    scene.write("elsewhere/real.env", "A=2");
    assert_eq!(scene.next_change().await, one(&scene, ".env"));
    scene.write("later/deep/.env", "B=1");
    assert_eq!(scene.next_change().await, one(&scene, "later/deep/.env"));
    fs::remove_dir_all(scene.path("later")).unwrap();
    assert_eq!(scene.next_change().await, one(&scene, "later/deep/.env"));
    // Setting the same again keeps what was known: no change is told twice.
    scene.watcher.set(BTreeMap::new(), files);
    scene.write("later/deep/.env", "B=2");
    assert_eq!(scene.next_change().await, one(&scene, "later/deep/.env"));
}

#[tokio::test]
async fn what_is_set_anew_takes_the_place_of_the_old() {
    let mut scene = Scene::new();
    scene.begin(scene.watch(&["*.py"], &[])).await;
    let services = BTreeMap::from([(name("web"), scene.watch(&["*.js"], &[]))]);
    scene.watcher.set(services, BTreeSet::new());
    scene.write("a.py", "not any more");
    scene.write("a.js", "now");
    assert_eq!(scene.next().await, BTreeMap::from([("web".into(), "a.js".into())]));
}

#[tokio::test]
async fn what_cannot_be_watched_is_polled_and_said_once() {
    let mut scene = Scene::limited(Limits { folders: 3, ..limits() });
    for folder in 0..10 {
        scene.old(&format!("d{folder}/a.py"), "old");
    }
    let services = BTreeMap::from([(name("api"), scene.watch(&[], &[]))]);
    scene.watcher.set(services, BTreeSet::new());
    let Change::Degraded(message) = scene.next_change().await else { panic!("a message first") };
    assert_eq!(message.class, Class::WatchDegraded);
    assert!(message.text.contains("3 of 11 folders"), "{}", message.text);
    assert!(!message.help.is_empty());
    for folder in 0..10 {
        let path = format!("d{folder}/a.py");
        scene.write(&path, "changed");
        assert_eq!(scene.file().await, Path::new(&path));
        if folder == 3 {
            // One polled folder is proof enough, and takes two seconds.
            break;
        }
    }
}

#[tokio::test]
async fn a_git_at_work_is_waited_for() {
    let mut scene = Scene::new();
    fs::create_dir_all(scene.path(".git")).unwrap();
    scene.old("a.py", "old");
    scene.begin(scene.watch(&[], &[])).await;
    scene.write(".git/index.lock", "");
    scene.write("a.py", "new");
    // The change has settled, and is not told as long as git is at work.
    for _ in 0..3 {
        scene.watcher.inbox.wait_paused();
    }
    assert!(scene.changes.is_empty());
    fs::remove_file(scene.path(".git/index.lock")).unwrap();
    assert_eq!(scene.file().await, Path::new("a.py"));
    scene.quiet().await;
}

/// Not a test of anything: `cargo test --release -- --ignored measure --nocapture` prints what it costs.
#[tokio::test]
#[ignore = "prints measurements"]
async fn measure() {
    let mut scene = Scene::new();
    for folder in 0..2_222 {
        for file in 0..9 {
            scene.old(&format!("a{}/b{folder}/f{file}.py", folder % 50), "print('hello')\n");
        }
    }
    for folder in 0..2_000 {
        for file in 0..10 {
            scene.old(&format!("node_modules/p{folder}/f{file}.js"), "x");
        }
    }
    let begin = Instant::now();
    scene.begin(scene.watch(&[], &[])).await;
    println!("20,000 files in 2,222 folders: first change after {:?}", begin.elapsed());
    let mut times = Vec::new();
    for number in 0..200 {
        let begin = Instant::now();
        scene.write("a1/b1/f1.py", &format!("{number}"));
        scene.file().await;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    println!(
        "write to change: median {:?}, 95 % {:?}, most {:?}",
        times[100], times[190], times[199]
    );
}
