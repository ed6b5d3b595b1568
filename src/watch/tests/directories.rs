//! Directories that appear, disappear and are odd.

use std::os::unix::fs::symlink;

use super::*;
use crate::sys::fifo::make_fifo;

#[tokio::test]
async fn files_in_new_nested_directories_are_seen() {
    let mut scene = WatchFixture::new();
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
async fn a_deleted_root_is_picked_up_again() {
    let mut scene = WatchFixture::new();
    scene.old("app/src/a.py", "a");
    scene.begin(scene.watch(&["app/src/**/*.py"], &[])).await;
    for round in 0..5 {
        fs::remove_dir_all(scene.path("app")).unwrap();
        assert_eq!(scene.file().await, Path::new("app/src/a.py"));
        scene.write("app/src/a.py", "a");
        assert_eq!(scene.file().await, Path::new("app/src/a.py"));
        scene.write("app/src/a.py", &format!("round {round}"));
        assert_eq!(scene.file().await, Path::new("app/src/a.py"));
        assert_eq!(scene.waits.len(), round + 1, "{:?}", scene.waits);
    }
    assert_eq!(scene.waits[0], "api cannot watch app/src: path does not exist yet");
}

#[tokio::test]
async fn a_root_that_is_replaced_at_once_stays_watched() {
    let mut scene = WatchFixture::new();
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
    let mut scene = WatchFixture::new();
    scene.begin(scene.watch(&["not/yet/there/**"], &[])).await;
    scene.write("not/other", "no");
    scene.write("not/yet/there/a.py", "a");
    assert_eq!(scene.file().await, Path::new("not/yet/there/a.py"));
    scene.write("not/yet/there/b.py", "b");
    assert_eq!(scene.file().await, Path::new("not/yet/there/b.py"));
    let wait = "api cannot watch not/yet/there: path does not exist yet";
    assert_eq!(scene.waits, [wait], "once");
}

#[tokio::test]
async fn odd_things_neither_hang_nor_end_it() {
    use std::os::unix::ffi::OsStrExt;
    let mut scene = WatchFixture::new();
    scene.old("sub/a.py", "a");
    old_link(scene.top.to_str().unwrap(), &scene.path("sub/loop"));
    old_link("nowhere", &scene.path("sub/dangling"));
    make_fifo(&scene.path("fifo"));
    scene.begin(scene.watch(&[], &[])).await;
    make_fifo(&scene.path("sub/fifo"));
    let odd = Path::new("sub").join(std::ffi::OsStr::from_bytes(b"\xff\n\x1b.py"));
    scene.write(&odd, "x");
    assert_eq!(scene.file().await, odd);
    scene.at_once(|| {
        fs::remove_file(scene.path("sub/dangling")).unwrap();
        symlink("elsewhere", scene.path("sub/dangling")).unwrap();
    });
    assert_eq!(scene.file().await, Path::new("sub/dangling"));
    // A file that turns into a directory, and back.
    scene.write("sub/turn", "file");
    assert_eq!(scene.file().await, Path::new("sub/turn"));
    scene.at_once(|| {
        fs::remove_file(scene.path("sub/turn")).unwrap();
        scene.write("sub/turn/in.py", "in");
    });
    scene.file().await;
    scene.quiet().await;
}

/// Creates a symlink with an old mtime.
fn old_link(target: &str, link: &Path) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    symlink(target, link).unwrap();
    let time = Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, link, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

#[tokio::test]
async fn a_link_that_is_as_new_as_the_watch_is_a_change() {
    let mut scene = WatchFixture::new();
    scene.old("devstack.toml", "");
    scene.old("releases/1/a.py", "a");
    scene.old("links/other.py", "a");
    scene.watcher.set_baseline();
    symlink("releases/1", scene.path("current")).unwrap();
    symlink("../releases/1", scene.path("links/in")).unwrap();
    let current = WatchConfig { root: scene.path("current"), ..scene.watch(&[], &[]) };
    let links = WatchConfig { root: scene.path("links"), ..scene.watch(&[], &[]) };
    let services = BTreeMap::from([(name("api"), current), (name("web"), links)]);
    scene.watcher.set(services, BTreeSet::new());
    let reported = scene.next().await;
    let all = [("api".into(), "current".into()), ("web".into(), "links/in".into())];
    assert_eq!(reported, BTreeMap::from(all));
    scene.write("releases/1/a.py", "b");
    let file = PathBuf::from("releases/1/a.py");
    assert_eq!(scene.next().await, ["api", "web"].map(|name| (name.into(), file.clone())).into());
}

#[tokio::test]
async fn a_release_that_a_link_is_turned_to_is_a_change_and_is_watched() {
    for include in [&["current/**/*.py"][..], &["current"], &[]] {
        let mut scene = WatchFixture::new();
        scene.old("devstack.toml", "");
        for release in 1..=4 {
            scene.old(&format!("releases/{release}/src/a.py"), "a");
        }
        old_link("releases/1", &scene.path("current"));
        let mut watch = scene.watch(include, &[]);
        if include.is_empty() {
            watch.root = scene.path("current");
        }
        let services = BTreeMap::from([(name("api"), watch)]);
        scene.watcher.set(services, BTreeSet::new());
        scene.write("current/src/a.py", "seen");
        assert_eq!(scene.file().await, Path::new("releases/1/src/a.py"));
        for release in 2..=4 {
            if release % 2 == 0 {
                symlink(format!("releases/{release}"), scene.path("next")).unwrap();
                fs::rename(scene.path("next"), scene.path("current")).unwrap();
            } else {
                scene.at_once(|| {
                    fs::remove_file(scene.path("current")).unwrap();
                    symlink(format!("releases/{release}"), scene.path("current")).unwrap();
                });
            }
            assert_eq!(scene.file().await, Path::new("current"));
            scene.write(format!("releases/{}/src/a.py", release - 1), "not any more");
            scene.write(format!("releases/{release}/src/new.py"), "new");
            assert_eq!(scene.file().await, Path::new(&format!("releases/{release}/src/new.py")));
        }
    }
}

#[tokio::test]
async fn files_and_directories_behind_links_count() {
    let mut scene = WatchFixture::new();
    scene.old("devstack.toml", "");
    scene.old("shared/lib/x.py", "x");
    scene.old("shared/one.py", "one");
    scene.old("shared/not.py", "not");
    scene.old("api/a.py", "a");
    old_link("../shared/lib", &scene.path("api/lib"));
    old_link("../shared/one.py", &scene.path("api/one.py"));
    let watch =
        WatchConfig { root: scene.path("api"), ..scene.watch(&["**/*.py"], &["lib/skip/**"]) };
    scene.watcher.set(BTreeMap::from([(name("api"), watch)]), BTreeSet::new());
    scene.write("api/a.py", "b");
    assert_eq!(scene.file().await, Path::new("api/a.py"));
    for round in 0..3 {
        let text = format!("{round}");
        scene.write("shared/not.py", &text);
        scene.write("shared/lib/skip/no.py", &text);
        scene.write("shared/lib/x.py", &text);
        assert_eq!(scene.file().await, Path::new("shared/lib/x.py"));
        scene.write("shared/one.py", &text);
        assert_eq!(scene.file().await, Path::new("api/one.py"));
        scene.write("shared/lib/deep/new.py", &text);
        assert_eq!(scene.file().await, Path::new("shared/lib/deep/new.py"));
    }
    // Removing the symlink is a change, and its target no longer counts.
    fs::remove_file(scene.path("api/lib")).unwrap();
    assert_eq!(scene.file().await, Path::new("api/lib"));
    scene.write("shared/lib/x.py", "unseen");
    scene.write("api/a.py", "c");
    assert_eq!(scene.file().await, Path::new("api/a.py"));
    symlink("../shared/lib", scene.path("api/lib")).unwrap();
    assert_eq!(scene.file().await, Path::new("api/lib"));
    scene.write("shared/lib/x.py", "seen again");
    assert_eq!(scene.file().await, Path::new("shared/lib/x.py"));
}

#[tokio::test]
async fn links_out_of_the_project_are_followed_only_when_named() {
    let mut scene = WatchFixture::new();
    let far = tempfile::tempdir().unwrap();
    let far = fs::canonicalize(far.path()).unwrap();
    fs::create_dir(far.join("pack")).unwrap();
    scene.old("devstack.toml", "");
    old_link(far.to_str().unwrap(), &scene.path("store"));
    let inside = scene.watch(&[], &[]);
    let named = scene.watch(&["store/pack/**"], &[]);
    let services = BTreeMap::from([(name("api"), inside), (name("web"), named)]);
    scene.watcher.set(services, BTreeSet::new());
    scene.write("begin.py", "begin");
    scene.file().await;
    fs::write(far.join("pack/x"), "x").unwrap();
    assert_eq!(scene.next().await, BTreeMap::from([("web".into(), far.join("pack/x"))]));
    scene.quiet().await;
}

#[tokio::test]
async fn links_in_circles_end() {
    let mut scene = WatchFixture::new();
    scene.old("devstack.toml", "");
    scene.old("a/x.py", "x");
    scene.old("b/y.py", "y");
    old_link("../b", &scene.path("a/b"));
    old_link("../a", &scene.path("b/a"));
    old_link(".", &scene.path("a/self"));
    old_link("round", &scene.path("round"));
    scene.begin(scene.watch(&["a/**", "round"], &[])).await;
    for round in 0..3 {
        scene.write("b/y.py", &format!("{round}"));
        assert_eq!(scene.file().await, Path::new("b/y.py"));
        scene.write("a/x.py", &format!("{round}"));
        assert_eq!(scene.file().await, Path::new("a/x.py"));
    }
}

#[tokio::test]
async fn a_directory_that_one_waits_for_and_another_finds_is_both_theirs() {
    let mut scene = WatchFixture::new();
    let services = BTreeMap::from([
        (name("all"), scene.watch(&[], &["begin.txt"])),
        (name("api"), scene.watch(&["src/deep/**"], &[])),
        (name("begin"), scene.watch(&["begin.txt"], &[])),
    ]);
    scene.watcher.set(services, BTreeSet::new());
    scene.write("begin.txt", "begin");
    assert!(scene.next().await.contains_key("begin"));
    for round in ["first", "again"] {
        scene.at_once(|| scene.write("src/deep/in/a.py", round));
        assert_eq!(scene.file().await, Path::new("src/deep/in/a.py"), "{round}: created");
        scene.write("src/deep/in/a.py", "saved");
        assert_eq!(scene.file().await, Path::new("src/deep/in/a.py"), "{round}: saved");
        scene.at_once(|| fs::remove_dir_all(scene.path("src")).unwrap());
        assert_eq!(scene.file().await, Path::new("src/deep/in/a.py"), "{round}: removed");
    }
}

#[tokio::test]
async fn a_link_that_one_begins_at_and_another_finds_is_turned_for_both() {
    let mut scene = WatchFixture::new();
    scene.old("devstack.toml", "");
    for release in ["1", "2"] {
        scene.old(&format!("releases/{release}/a.py"), "a");
    }
    old_link("releases/1", &scene.path("current"));
    let services = BTreeMap::from([
        (name("all"), scene.watch(&[], &["begin.txt"])),
        (name("api"), scene.watch(&["current/**"], &[])),
        (name("begin"), scene.watch(&["begin.txt"], &[])),
    ]);
    scene.watcher.set(services, BTreeSet::new());
    scene.write("begin.txt", "begin");
    assert!(scene.next().await.contains_key("begin"));
    for release in ["2", "1", "2"] {
        symlink(format!("releases/{release}"), scene.path("next")).unwrap();
        scene.at_once(|| fs::rename(scene.path("next"), scene.path("current")).unwrap());
        let both = loop {
            let reported = scene.next().await;
            if reported.contains_key("api") {
                break reported;
            }
        };
        assert_eq!(both["api"], Path::new("current"));
        let file = format!("releases/{release}/a.py");
        scene.write(
            &file,
            &format!("saved after {release} turned {}", scene.written.load(Ordering::Relaxed)),
        );
        assert_eq!(
            scene.next().await,
            BTreeMap::from(["all", "api"].map(|who| (who.to_owned(), file.clone().into())))
        );
    }
}
