//! Ways to save a file, and how many changes they are.

use super::*;

fn rename_over(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

/// As `sed -i` does: writes a temporary file beside it, copies the mode, renames it over the
/// original.
fn sed(path: &Path, text: &str) {
    let new = path.with_file_name("sedAb12Cd");
    let mut file = fs::File::create(&new).unwrap();
    file.set_permissions(fs::metadata(path).unwrap().permissions()).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    drop(file);
    fs::rename(&new, path).unwrap();
}

/// As vim does: renames the old file to the backup, writes a new one in its place, removes the
/// backup.
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
    let mut scene = WatchFixture::new();
    scene.old("src/a.py", "start");
    scene.begin(scene.watch(&[], &[])).await;
    let path = scene.path("src/a.py");
    let plain = |path: &Path, text: &str| fs::write(path, text).unwrap();
    type SaveFn = fn(&Path, &str);
    let kinds: [(&str, SaveFn); 4] =
        [("plain", plain), ("rename", rename_over), ("sed", sed), ("vim", vim)];
    for (kind, save) in kinds {
        for number in 0..100 {
            scene.at_once(|| save(&path, &format!("{kind} {number}")));
            assert_eq!(scene.file().await, Path::new("src/a.py"), "{kind} {number}");
        }
        scene.nothing_told();
        scene.quiet().await;
    }
}

#[tokio::test]
async fn a_save_of_the_same_bytes_a_touch_and_a_chmod_are_no_change() {
    use std::os::unix::fs::PermissionsExt;
    let mut scene = WatchFixture::new();
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
    let mut scene = WatchFixture::new();
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
async fn a_burst_is_one_change() {
    let mut scene = WatchFixture::new();
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
async fn lost_events_are_made_up_for_and_make_no_change_by_themselves() {
    let mut scene = WatchFixture::new();
    scene.old("src/a.py", "a");
    scene.begin(scene.watch(&[], &[])).await;
    let lost = || {
        let event = notify::Event::new(notify::EventKind::Other);
        Ok(event.set_flag(notify::event::Flag::Rescan))
    };
    for number in 0..20 {
        scene.watcher.inbox.push(lost());
        scene.quiet().await;
        scene.write("src/a.py", &format!("{number}"));
        scene.watcher.inbox.push(lost());
        assert_eq!(scene.file().await, Path::new("src/a.py"));
    }
}

#[tokio::test]
async fn what_was_saved_before_the_first_walk_is_not_lost() {
    let mut scene = WatchFixture::new();
    scene.old("old.py", "1");
    scene.write("devstack.toml", "saved after it was read");
    scene.watcher.set_baseline();
    scene.write("new.py", "saved after the service has read it");
    let services = BTreeMap::from([(name("api"), scene.watch(&["*.py"], &[]))]);
    scene.watcher.set(services, BTreeSet::from([scene.path("devstack.toml")]));
    // The change of the service is delayed until it settles, so either can come first.
    let changes = [scene.next_change().await, scene.next_change().await];
    let config = BTreeSet::from([scene.path("devstack.toml")]);
    assert!(changes.contains(&WatchReport::Config(config)), "{changes:?}");
    let services = BTreeMap::from([(name("api"), scene.path("new.py"))]);
    assert!(changes.contains(&WatchReport::Services(services)), "{changes:?}");
    scene.quiet().await;
}

/// The walk finds a file that is being written: it is reported once, when complete.
#[tokio::test]
async fn a_save_that_the_first_walk_tears_apart_is_one_change() {
    let mut scene = WatchFixture::new();
    scene.old("old.py", "1");
    scene.watcher.set_baseline();
    scene.watcher.inbox.shut();
    scene.write("a.py", "");
    scene.write("devstack.toml", "");
    let services = BTreeMap::from([(name("api"), scene.watch(&["*.py"], &[]))]);
    scene.watcher.set(services, BTreeSet::from([scene.path("devstack.toml")]));
    // What the walk found is in the inbox together with the events.
    scene.watcher.inbox.wait_touched(&scene.path("a.py"));
    scene.at_once(|| {
        fs::write(scene.path("a.py"), "whole").unwrap();
        fs::write(scene.path("devstack.toml"), "whole").unwrap();
    });
    let changes = [scene.next_change().await, scene.next_change().await];
    let config = BTreeSet::from([scene.path("devstack.toml")]);
    assert!(changes.contains(&WatchReport::Config(config)), "{changes:?}");
    let services = BTreeMap::from([(name("api"), scene.path("a.py"))]);
    assert!(changes.contains(&WatchReport::Services(services)), "{changes:?}");
    scene.quiet().await;
}

#[tokio::test]
async fn a_git_at_work_is_waited_for() {
    let mut scene = WatchFixture::new();
    fs::create_dir_all(scene.path(".git")).unwrap();
    scene.old("a.py", "old");
    scene.begin(scene.watch(&[], &[])).await;
    scene.write(".git/index.lock", "");
    scene.write("a.py", "new");
    // The change has settled, but is not reported while git is busy.
    for _ in 0..3 {
        scene.watcher.inbox.wait_paused();
    }
    scene.nothing_told();
    fs::remove_file(scene.path(".git/index.lock")).unwrap();
    assert_eq!(scene.file().await, Path::new("a.py"));
    scene.quiet().await;
}
