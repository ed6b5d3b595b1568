//! Changes without events.

use super::*;

#[tokio::test]
async fn what_cannot_be_watched_is_polled_and_said_once() {
    let mut scene = WatchFixture::limited(3);
    for dir in 0..10 {
        scene.old(&format!("d{dir}/a.py"), "old");
    }
    let services = BTreeMap::from([(name("api"), scene.watch(&[], &[]))]);
    scene.watcher.set(services, BTreeSet::new());
    let message = scene.message().await;
    assert_eq!(message.class, MessageClass::WatchDegraded);
    assert!(message.text.contains("3 of 11 directories"), "{}", message.text);
    assert!(!message.help.is_empty());
    for dir in 0..10 {
        let path = format!("d{dir}/a.py");
        scene.write(&path, "changed");
        assert_eq!(scene.file().await, Path::new(&path));
        if dir == 3 {
            // One polled directory is proof enough, and takes two seconds.
            break;
        }
    }
}

/// Writes through a hard link elsewhere cause no event here.
#[tokio::test]
async fn what_the_system_does_not_tell_is_found_by_polling() {
    let mut scene = WatchFixture::new();
    scene.old("src/a.py", "a");
    scene.old("src/other.txt", "a");
    let poll = Some(Duration::from_millis(20));
    let watch = WatchConfig { root: scene.path("src"), poll, ..scene.watch(&["*.py"], &[]) };
    scene.watcher.set(BTreeMap::from([(name("api"), watch)]), BTreeSet::new());
    let (far, other) = (scene.path("far.py"), scene.path("far.txt"));
    fs::hard_link(scene.path("src/a.py"), &far).unwrap();
    fs::hard_link(scene.path("src/other.txt"), &other).unwrap();
    for round in 0..5 {
        fs::write(&other, format!("not wanted {round}")).unwrap();
        fs::write(&far, format!("polled {round}")).unwrap();
        assert_eq!(scene.file().await, Path::new("src/a.py"));
        scene.nothing_told();
    }
}
