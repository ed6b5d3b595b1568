//! What the system does not tell of.

use super::*;

#[tokio::test]
async fn what_cannot_be_watched_is_polled_and_said_once() {
    let mut scene = Scene::limited(Limits { folders: 3, ..limits() });
    for folder in 0..10 {
        scene.old(&format!("d{folder}/a.py"), "old");
    }
    let services = BTreeMap::from([(name("api"), scene.watch(&[], &[]))]);
    scene.watcher.set(services, BTreeSet::new());
    let message = scene.message().await;
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
