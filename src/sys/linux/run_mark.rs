//! A mark that a process and everything it starts carry: the soft limit of file locks, which Linux has not
//! enforced since 2.4.25. Only programs that set this limit lose it, such as `su` through pam_limits.

use std::io;

/// Marks this process. Without the mark, other evidence has to do.
pub(crate) fn set(mark: u64) {
    let limit = libc::rlimit { rlim_cur: mark, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: reads a valid structure.
    unsafe { libc::setrlimit(libc::RLIMIT_LOCKS, &raw const limit) };
}

/// Returns the mark of a process, which may be a zombie; `None` if it has none.
pub(crate) fn of(pid: u32) -> Option<u64> {
    let mark = match limit_of(pid) {
        Ok(limit) => limit,
        // Of another user, or set-uid; the file can be read by everyone.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => listed_limit(pid)?,
        Err(_) => return None,
    };
    (mark != libc::RLIM_INFINITY).then_some(mark)
}

fn limit_of(pid: u32) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: nothing is set, and the result fits the structure.
    let code = unsafe {
        libc::prlimit(pid.cast_signed(), libc::RLIMIT_LOCKS, std::ptr::null(), &raw mut limit)
    };
    if code == 0 { Ok(limit.rlim_cur) } else { Err(io::Error::last_os_error()) }
}

fn listed_limit(pid: u32) -> Option<u64> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?)
}

fn parse(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max file locks"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Whether marks work here: a sandbox may neither keep nor show them.
pub(crate) fn are_supported() -> bool {
    /// Looks like a mark.
    const TRIAL: u64 = (0x5a5a << 22) | 1;
    let me = std::process::id();
    let Ok(before) = limit_of(me) else { return false };
    set(TRIAL);
    let kept = of(me) == Some(TRIAL);
    set(before);
    kept && limit_of(me).is_ok_and(|after| after == before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_another_user_is_read_from_the_file() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max address space         unlimited            unlimited            bytes\n\
                      Max file locks            4194305              unlimited            locks\n";
        assert_eq!(parse(limits), Some(4_194_305));
        assert_eq!(parse(&limits.replace("4194305", "unlimited")), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_mark_is_inherited_and_read_both_ways() {
        let marked = |mark: &str| {
            let mut command = std::process::Command::new("prlimit");
            let child = command.args([&format!("--locks={mark}:"), "sleep", "60"]).spawn();
            let Ok(mut child) = child else { return };
            let expected = mark.parse().ok();
            while of(child.id()) != expected {
                assert_eq!(child.try_wait().expect("our child"), None);
                std::thread::yield_now();
            }
            assert_eq!(listed_limit(child.id()), expected);
            child.kill().expect("our child");
            child.wait().expect("our child");
        };
        marked("98765432101");
        marked("unlimited");
        assert_eq!(of(1 << 30), None);
    }
}
