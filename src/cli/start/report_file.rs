use std::path::Path;

use crate::atomic_file::WriteTarget;
use crate::model::{Message, MessageClass};

/// Checks before the start what would be noticed at the end.
///
/// # Errors
/// A file cannot be written there, or one would replace another (class `usage`).
pub(super) fn check_reports<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<(), Message> {
    let refuse = |text: String, help: &str| Err(Message::new(MessageClass::Usage, text).help(help));
    let mut targets = Vec::new();
    for path in paths {
        let shown = path.display();
        let target = WriteTarget::of(path).ok().filter(|_| !path.is_dir());
        let Some(target) = target else {
            let text = format!("cannot write {shown}: no such directory");
            return refuse(text, "name a file in an existing directory");
        };
        if matches!(target, WriteTarget::File(_)) && targets.contains(&target) {
            let text = format!("cannot write {shown}: another report goes there");
            return refuse(text, "name a different file for each report");
        }
        targets.push(target);
    }
    Ok(())
}

/// Writes a file that the user named: whole or not at all, except for devices and pipes. A symbolic
/// link stays one.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write_report(path: &Path, text: &[u8]) -> Result<(), Message> {
    let written = WriteTarget::of(path).and_then(|target| target.write(text));
    written.map_err(|error| {
        let text = format!("cannot write {}: {error}", path.display());
        Message::new(MessageClass::Disk, text)
            .help("name a file in an existing, writable directory")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_cannot_be_written_is_found_before_the_start() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        std::os::unix::fs::symlink("a.json", at("link")).expect("a link");
        let check =
            |paths: &[&Path]| check_reports(paths.iter().copied()).map_err(|message| message.text);
        let null = Path::new("/dev/null");
        check(&[&at("a.json"), &at("b.xml"), null, null]).expect("all are possible");
        for (paths, why) in [
            ([at("no/such.json"), at("a")], "no such directory"),
            ([at("a"), dir.path().to_owned()], "no such directory"),
            ([at("a.json"), at("./a.json")], "another report goes there"),
            ([at("a.json"), at("link")], "another report goes there"),
        ] {
            let error = check(&[&paths[0], &paths[1]]).expect_err("refused");
            assert!(error.ends_with(why), "{error}");
        }
        assert!(!at("a.json").exists());
        let error = write_report(&at("no/such.json"), b"").expect_err("no directory");
        assert!(error.text.contains("such.json"), "{error}");
        write_report(&at("link"), b"text").expect("written");
        assert_eq!(fs::read(at("a.json")).expect("a file"), b"text");
    }
}
