use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Number of one run of a service, from spawn to the exit of its last process. Never reused while a
/// supervisor lives, so a late report about an earlier run matches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessExit {
    /// With this code, 0 to 255.
    Code(i32),
    /// Killed by the signal with this number.
    Signal(i32),
}

impl ProcessExit {
    /// Returns the exit code a shell would report: the code, or 128 plus the signal number.
    pub fn exit_code(self) -> i32 {
        match self {
            ProcessExit::Code(code) => code,
            ProcessExit::Signal(signal) => 128 + signal,
        }
    }
}

impl fmt::Display for ProcessExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProcessExit::Code(code) => write!(f, "exit {code}"),
            ProcessExit::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "SIG{name}"),
                None => write!(f, "signal {signal}"),
            },
        }
    }
}

/// A process that is alive long after its tree was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    pub pid: u32,
    /// The name of its program.
    pub command: String,
    /// Why it is alive, as far as the system shows it.
    pub state: SurvivorState,
}

/// What keeps a process from ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SurvivorState {
    /// It waits in the kernel for a device or a file system (`D`).
    Uninterruptible,
    /// It is stopped (`T`). SIGKILL ends what is stopped, so it is a helper that should kill others.
    Stopped,
    /// Its cgroup is frozen, which this file of the kernel shows and changes.
    Frozen(PathBuf),
    /// Nothing that is known: the state that `ps` shows, if any.
    Other(Option<char>),
}

/// `{"code": 1}` or `{"signal": "KILL"}`, as `ps --json` shows it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ExitJson {
    Code(i32),
    Signal(String),
}

impl Serialize for ProcessExit {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            ProcessExit::Code(code) => ExitJson::Code(*code),
            ProcessExit::Signal(signal) => ExitJson::Signal(
                signal_name(*signal).map_or_else(|| signal.to_string(), str::to_owned),
            ),
        }
        .serialize(to)
    }
}

impl<'de> Deserialize<'de> for ProcessExit {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<ProcessExit, D::Error> {
        Ok(match ExitJson::deserialize(from)? {
            ExitJson::Code(code) => ProcessExit::Code(code),
            ExitJson::Signal(name) => ProcessExit::Signal(
                signal_number(&name)
                    .or_else(|| name.parse().ok())
                    .ok_or_else(|| serde::de::Error::custom("unknown signal"))?,
            ),
        })
    }
}

/// Signals by name that have the same number on all supported systems.
const SIGNALS: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("FPE", 8),
    ("KILL", 9),
    ("SEGV", 11),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("TTIN", 21),
    ("TTOU", 22),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
];

/// Those with a number of Linux.
#[cfg(target_os = "linux")]
const OTHER_SIGNALS: &[(&str, i32)] = &[
    ("BUS", 7),
    ("USR1", 10),
    ("USR2", 12),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("URG", 23),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// Those with a number of BSD.
#[cfg(not(target_os = "linux"))]
const OTHER_SIGNALS: &[(&str, i32)] = &[
    ("EMT", 7),
    ("BUS", 10),
    ("SYS", 12),
    ("URG", 16),
    ("STOP", 17),
    ("TSTP", 18),
    ("CONT", 19),
    ("CHLD", 20),
    ("IO", 23),
    ("INFO", 29),
    ("USR1", 30),
    ("USR2", 31),
];

fn signals() -> impl Iterator<Item = &'static (&'static str, i32)> {
    SIGNALS.iter().chain(OTHER_SIGNALS)
}

/// Returns the name of a signal without `SIG`, or `None` for an unnamed number.
pub fn signal_name(number: i32) -> Option<&'static str> {
    signals().find(|(_, n)| *n == number).map(|(name, _)| *name)
}

/// Returns the number of a signal; `TERM`, `SIGTERM` and `sigterm` all mean 15.
pub fn signal_number(name: &str) -> Option<i32> {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    signals().find(|(n, _)| *n == name).map(|(_, number)| *number)
}

#[cfg(test)]
mod exit_tests {
    use super::*;

    #[test]
    fn signals_are_shown_and_read_by_name() {
        assert_eq!(ProcessExit::Signal(9).to_string(), "SIGKILL");
        assert_eq!(signal_number("sigterm"), Some(15));
        for number in 1..=31 {
            let name = signal_name(number).expect("every classic signal has a name");
            assert_eq!(signal_number(name), Some(number));
        }
        assert_eq!(ProcessExit::Signal(40).to_string(), "signal 40");
    }

    #[test]
    fn exits_survive_json() {
        for exit in [
            ProcessExit::Code(0),
            ProcessExit::Code(255),
            ProcessExit::Signal(9),
            ProcessExit::Signal(40),
        ] {
            let json = serde_json::to_string(&exit).expect("an exit is plain data");
            assert_eq!(serde_json::from_str::<ProcessExit>(&json).expect("it parses again"), exit);
        }
        assert_eq!(
            serde_json::to_string(&ProcessExit::Signal(9)).expect("plain data"),
            r#"{"signal":"KILL"}"#
        );
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputStream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}
