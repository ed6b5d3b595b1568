//! Which files count, and for which services.

use super::*;

#[tokio::test]
async fn what_is_built_ignored_or_excluded_does_not_count() {
    let mut scene = WatchFixture::new();
    fs::create_dir_all(scene.path(".git")).unwrap();
    scene.old(".gitignore", "*.log\ngenerated/\n");
    scene.old("node_modules/left/index.js", "old");
    scene.old("env/pyvenv.cfg", "home = /usr/bin");
    scene.old("env/lib/a.py", "old");
    scene.old("src/conda/conda-meta/history", "old");
    scene.old("src/conda/lib/a.py", "old");
    scene.begin(scene.watch(&[], &["docs/**", "*.md"])).await;
    for path in [
        "node_modules/left/index.js",
        "node_modules/right/index.js",
        "env/lib/a.py",
        "env/lib/b.py",
        "src/conda/lib/a.py",
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
fn directories_that_do_not_count_are_not_watched() {
    use crate::watch::filter::WatchFilter;
    use crate::watch::tree::{FileTree, UnknownFile};
    use crate::watch::watch_set::WatchSet;
    let scene = WatchFixture::new();
    for path in
        ["src/a/x.py", "node_modules/p/i.js", ".git/objects/aa/b", "target/debug/x", "docs/x"]
    {
        scene.old(path, "x");
    }
    let mut cover = WatchSet::new(Default::default(), 100);
    let mut tree = FileTree::default();
    tree.add(1, WatchFilter::new(&scene.watch(&[], &["docs/**"]), &scene.top));
    tree.walk(&BTreeSet::from([1]), UnknownFile::Old((i64::MAX, 0)), &mut cover);
    assert_eq!(tree.take_changed(), []);
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
async fn changed_ignore_rules_hold_from_then_on_and_are_no_change() {
    let mut scene = WatchFixture::new();
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
async fn an_include_that_names_a_built_directory_makes_it_count() {
    let mut scene = WatchFixture::new();
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
async fn change_goes_only_to_services_that_match() {
    let mut scene = WatchFixture::new();
    for directory in ["api", "web", "shared"] {
        scene.old(&format!("{directory}/start.py"), "");
    }
    let watch = |dir: &str, include: &[&str]| WatchConfig {
        root: scene.path(dir),
        ..scene.watch(include, &[])
    };
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
async fn what_is_set_anew_takes_the_place_of_the_old() {
    let mut scene = WatchFixture::new();
    scene.begin(scene.watch(&["*.py"], &[])).await;
    let services = BTreeMap::from([(name("web"), scene.watch(&["*.js"], &[]))]);
    scene.watcher.set(services, BTreeSet::new());
    scene.write("a.py", "not any more");
    scene.write("a.js", "now");
    assert_eq!(scene.next().await, BTreeMap::from([("web".into(), "a.js".into())]));
}
