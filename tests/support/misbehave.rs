use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// Returns the path of the fixture program.
pub fn misbehave() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| example_program("misbehave", "tests/fixtures"))
}

/// Returns the path of an example program with its sources in this directory. `cargo test` builds
/// it; `cargo test --test main` does not, so this checks that it exists and is newer than its
/// sources.
pub fn example_program(name: &str, sources: &str) -> PathBuf {
    let dir =
        Path::new(env!("CARGO_BIN_EXE_devstack")).parent().expect("a program is in a directory");
    let path = dir.join("examples").join(name);
    let built = path.metadata().and_then(|data| data.modified());
    let source = newest(&Path::new(env!("CARGO_MANIFEST_DIR")).join(sources));
    let state = match built {
        Err(_) => "is not built",
        Ok(built) if built < source => "is older than its source",
        Ok(_) => return path,
    };
    panic!("{} {state}; build it with: cargo build --example {name}", path.display())
}

/// Returns the latest modification time below a directory.
fn newest(dir: &Path) -> SystemTime {
    let entries = std::fs::read_dir(dir).expect("the sources are there").flatten();
    let times = entries.map(|entry| match entry.path() {
        path if path.is_dir() => newest(&path),
        path if path.extension().is_none_or(|kind| kind != "rs") => SystemTime::UNIX_EPOCH,
        path => path.metadata().and_then(|data| data.modified()).expect("files have times"),
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}
