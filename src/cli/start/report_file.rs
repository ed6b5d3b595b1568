use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::atomic_file;
use crate::model::{Message, MessageClass};

/// Writes a file that the user named: whole or not at all, except for devices and pipes.
///
/// # Errors
/// It cannot be written.
pub(super) fn write_report(path: &Path, text: &[u8]) -> Result<(), Message> {
    let special = fs::metadata(path).is_ok_and(|file| !file.is_file());
    let written = match special {
        // A pipe without a reader must not block the end of the run.
        true => File::options()
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .and_then(|mut file| file.write_all(text)),
        false => atomic_file::replace(path, atomic_file::USUAL, |file| file.write_all(text)),
    };
    written.map_err(|error| {
        let text = format!("cannot write {}: {error}", path.display());
        Message::new(MessageClass::Disk, text)
            .help("name a file in an existing, writable directory")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_a_device_is_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("result.json");
        write_report(&path, b"a longer text").expect("written");
        write_report(&path, b"short").expect("written");
        assert_eq!(fs::read(&path).expect("a file"), b"short");
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);
        write_report(Path::new("/dev/null"), b"text").expect("written");
        assert!(!fs::metadata("/dev/null").expect("a device").is_file());
        let error = write_report(&dir.path().join("no/such.json"), b"").expect_err("no directory");
        assert!(error.text.contains("such.json"), "{error}");
    }
}
