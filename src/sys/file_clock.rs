/// A file timestamp: seconds and nanoseconds since 1970.
pub(crate) type FileTime = (i64, i64);

/// The timestamp a file would get if it were written now. On Linux, file timestamps come from a
/// coarse clock that lags the real one by some milliseconds, so a file can look older than an
/// instant that preceded its write.
#[cfg(target_os = "linux")]
pub(crate) fn file_time_now() -> FileTime {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    (time.tv_sec, time.tv_nsec)
}

/// The timestamp a file would get if it were written now.
#[cfg(not(target_os = "linux"))]
pub(crate) fn file_time_now() -> FileTime {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_file_written_later_never_has_an_earlier_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        for _ in 0..1000 {
            let before = file_time_now();
            std::fs::write(&path, "x").unwrap();
            let meta = std::fs::metadata(&path).unwrap();
            assert!((meta.mtime(), meta.mtime_nsec()) >= before);
        }
    }

    #[test]
    fn it_is_the_real_time_but_for_a_tick() {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap();
        let (file, real) = (file_time_now().0, i64::try_from(since.as_secs()).unwrap());
        assert!((real - file).abs() <= 1);
    }
}
