//! Single files: the configuration and what it reads.

use super::*;

#[tokio::test]
async fn configuration_files_are_seen_also_when_they_appear_later() {
    let mut scene = WatchFixture::new();
    scene.old("devstack.toml", "one");
    scene.old("elsewhere/real.env", "A=1");
    std::os::unix::fs::symlink("elsewhere/real.env", scene.path(".env")).unwrap();
    let all = ["devstack.toml", "devstack.local.toml", ".env", "later/deep/.env"];
    let files: BTreeSet<PathBuf> = all.iter().map(|file| scene.path(file)).collect();
    scene.watcher.set(BTreeMap::new(), files.clone());
    let one =
        |scene: &WatchFixture, file: &str| WatchReport::Config(BTreeSet::from([scene.path(file)]));
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
    // Setting the same targets again keeps what was known: nothing is reported twice.
    scene.watcher.set(BTreeMap::new(), files);
    scene.write("later/deep/.env", "B=2");
    assert_eq!(scene.next_change().await, one(&scene, "later/deep/.env"));
}
