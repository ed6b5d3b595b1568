use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::DisplayAge;
use crate::ports::HolderContext;
use crate::regular_file::read_linked;
use crate::sys::process;
use crate::text::{self, escape_control};

/// A process that listens on a port. What the system hides is `None`; nothing is guessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortHolder {
    /// Its pid. `None` if it belongs to a user whose processes cannot be inspected.
    pub pid: Option<u32>,
    /// The name of its program.
    pub name: Option<String>,
    /// Its command line, shortened and without control characters.
    pub command: Option<String>,
    /// Its working directory, absolute.
    #[serde(rename = "folder")]
    pub cwd: Option<PathBuf>,
    /// How long it has been running, in seconds.
    pub age_seconds: Option<u64>,
    /// The user it runs as; for a hidden process, the owner of the socket.
    pub uid: Option<u32>,
    /// The name of that user.
    pub user: Option<String>,
    /// Whether that user is the one running devstack.
    pub same_user: bool,
    /// What it belongs to, if that can be proved.
    pub context: Option<Box<HolderContext>>,
    /// Whether its parent has exited.
    pub orphan: bool,
    /// The addresses it listens on, ascending.
    pub addresses: Vec<IpAddr>,
}

#[derive(Debug, Clone)]
pub(crate) struct HolderProcess {
    pub pid: u32,
    pub name: String,
    pub parent: u32,
    pub words: Vec<String>,
    pub cwd: Option<PathBuf>,
    pub age: Option<Duration>,
    pub uid: u32,
}

impl HolderProcess {
    /// Reads a process; `None` when it is gone or hidden.
    pub fn read(pid: u32) -> Option<HolderProcess> {
        let stat = process::process_stat(pid)?;
        Some(HolderProcess {
            pid,
            age: process::age(&stat),
            name: stat.name,
            parent: stat.parent,
            words: process::command_line_of(pid),
            cwd: process::cwd_of(pid),
            uid: process::uid_of(pid)?,
        })
    }
}

/// The longest command line shown: with the rest of the sentence it fits two terminal lines.
const LONGEST_COMMAND: usize = 60;

const LONGEST_NAME: usize = 32;

/// Programs whose first argument says more than their name.
const INTERPRETERS: [&str; 12] =
    ["python", "node", "ruby", "perl", "php", "bash", "dash", "zsh", "sh", "java", "deno", "bun"];

/// Programs that may forward ports of containers even if no container can be detected. Engines bind a
/// port themselves before they give it to what forwards.
const PROXIES: [&str; 10] = [
    "podman",
    "dockerd",
    "rootlessport",
    "rootlesskit",
    "slirp4netns",
    "pasta",
    "conmon",
    "gvproxy",
    "vpnkit",
    "com.docker.backend",
];

impl PortHolder {
    /// Whether it is this process, which listens only to pass the socket to a service.
    pub fn is_this_process(&self) -> bool {
        self.pid == Some(std::process::id())
    }

    /// Whether it may act for a service of this stack without being one of its processes: it
    /// forwards for a container, is run by systemd, or is hidden.
    pub fn may_act_for_service(&self) -> bool {
        let proxy = |name: &String| PROXIES.iter().any(|proxy| name.starts_with(proxy));
        match self.context.as_deref() {
            Some(
                HolderContext::Container { .. }
                | HolderContext::Unit { .. }
                | HolderContext::SocketUnit,
            ) => true,
            Some(HolderContext::Service { .. } | HolderContext::Stack { .. }) => false,
            None => self.pid.is_none() || self.name.as_ref().is_none_or(proxy),
        }
    }

    /// Returns its name and pid without details: `python3 (pid 4121)`.
    pub fn short_name(&self) -> String {
        match (self.pid, &self.context, &self.name) {
            (None, _, _) => self.to_string(),
            (Some(pid), Some(context), _) => format!("{context} (pid {pid})"),
            (Some(pid), None, Some(name)) => format!("{name} (pid {pid})"),
            (Some(pid), None, None) => format!("a process (pid {pid})"),
        }
    }

    pub(super) fn of(process: &HolderProcess) -> PortHolder {
        let name = truncate_escaped(&process.name, LONGEST_NAME);
        let command = truncate_escaped(&short_command(&process.words), LONGEST_COMMAND);
        PortHolder {
            pid: Some(process.pid),
            command: Some(command).filter(|command| !command.is_empty()),
            name: Some(name).filter(|name| !name.is_empty()),
            cwd: process.cwd.clone(),
            age_seconds: process.age.map(|age| age.as_secs()),
            ..PortHolder::hidden(Some(process.uid))
        }
    }

    /// Creates a holder of which at most the user is known.
    pub(crate) fn hidden(uid: Option<u32>) -> PortHolder {
        PortHolder {
            pid: None,
            name: None,
            command: None,
            cwd: None,
            age_seconds: None,
            uid,
            user: uid.and_then(user_name),
            same_user: uid == Some(rustix::process::geteuid().as_raw()),
            context: None,
            orphan: false,
            addresses: Vec::new(),
        }
    }

    fn user(&self) -> Option<String> {
        self.user.clone().or_else(|| self.uid.map(|uid| uid.to_string()))
    }
}

/// `python3 (pid 4121: flask run, in ~/old/app, for 2 h)`, or as much as is known.
impl fmt::Display for PortHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(pid) = self.pid else {
            return match (self.same_user, self.user()) {
                (true, _) => f.write_str("a hidden process of this user"),
                (false, Some(user)) => write!(f, "an unknown process of user {user}"),
                (false, None) => f.write_str("an unknown process"),
            };
        };
        match (&self.context, &self.name) {
            (Some(context), _) => write!(f, "{context} (pid {pid}")?,
            (None, name) => write!(f, "{} (pid {pid}", name.as_deref().unwrap_or("a process"))?,
        }
        if let (false, Some(user)) = (self.same_user, self.user()) {
            write!(f, " of user {user}")?;
        }
        let elsewhere =
            matches!(self.context.as_deref(), Some(HolderContext::Service { dir: Some(_), .. }));
        let dir = self.cwd.as_ref().filter(|_| !elsewhere);
        let dir = dir.map(|dir| format!("in {}", display_home_relative(dir)));
        let age =
            self.age_seconds.map(|age| format!("for {}", DisplayAge(Duration::from_secs(age))));
        let orphan = self.orphan.then(|| "orphaned".to_owned());
        let details: Vec<String> =
            self.command.clone().into_iter().chain(dir).chain(age).chain(orphan).collect();
        if !details.is_empty() {
            write!(f, ": {}", details.join(", "))?;
        }
        f.write_str(")")
    }
}

/// Formats a directory for display: `~` for the home directory, no control characters.
pub fn display_home_relative(dir: &Path) -> String {
    let home = std::env::home_dir().filter(|home| home.is_absolute() && home.parent().is_some());
    let short = home.and_then(|home| dir.strip_prefix(home).ok().map(Path::to_owned));
    let text = match short {
        Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Some(rest) => format!("~/{}", rest.display()),
        None => dir.display().to_string(),
    };
    escape_control(&text)
}

/// Drops what the name already shows: `flask run` instead of `/usr/bin/python3 /usr/bin/flask run`.
fn short_command(words: &[String]) -> String {
    let Some((program, arguments)) = words.split_first() else { return String::new() };
    let program = base_name(program);
    let stem = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let script = match arguments.first().map(String::as_str) {
        Some("-m") => &arguments[1..],
        _ => arguments,
    };
    match script.split_first() {
        Some((first, rest)) if INTERPRETERS.contains(&stem) && !first.starts_with('-') => {
            join(base_name(first), rest)
        }
        _ => join(program, arguments),
    }
}

fn join(first: &str, rest: &[String]) -> String {
    text::join(std::iter::once(first).chain(rest.iter().map(String::as_str)), " ")
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path)
}

/// Truncates to `longest` characters and escapes those that can move the cursor or hide others.
pub(super) fn truncate_escaped(text: &str, longest: usize) -> String {
    let text = text.trim();
    let mut shown: String = text.chars().take(longest).collect();
    if text.chars().nth(longest).is_some() {
        shown.pop();
        shown.push('…');
    }
    escape_control(&shown)
}

#[cfg(test)]
impl PortHolder {
    /// `flask run` of this user, for two hours.
    pub(crate) fn sample(pid: u32) -> PortHolder {
        PortHolder {
            pid: Some(pid),
            name: Some("python3".to_owned()),
            command: Some("flask run".to_owned()),
            cwd: Some("/srv/app".into()),
            age_seconds: Some(7_200),
            uid: Some(1000),
            user: None,
            same_user: true,
            context: None,
            orphan: false,
            addresses: vec!["127.0.0.1".parse().expect("an address")],
        }
    }
}

/// Largest list of users to search, in bytes.
const MAX_USERS: u64 = 4 * 1024 * 1024;

/// Looks up a user name in `/etc/passwd` only: the name service might use the network.
pub(crate) fn user_name(uid: u32) -> Option<String> {
    let text = read_linked(Path::new("/etc/passwd"), MAX_USERS).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| line.split(':').nth(2) == Some(&uid.to_string()))?;
    line.split(':').next().filter(|name| !name.is_empty()).map(escape_control)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{HolderContext, HolderProcess, PortHolder, short_command};

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_command_is_said_without_paths_and_interpreters() {
        for (given, status) in [
            ("/usr/bin/python3 /usr/local/bin/flask run --port 1", "flask run --port 1"),
            ("python3.12 -m http.server 8000", "http.server 8000"),
            ("/opt/node/bin/node ./server.js", "server.js"),
            ("node --inspect x.js", "node --inspect x.js"),
            ("/usr/bin/redis-server *:6379", "redis-server *:6379"),
            ("nginx:", "nginx:"),
            ("python3", "python3"),
            ("python3 -m", "python3 -m"),
        ] {
            assert_eq!(short_command(&words(given)), status);
        }
        assert_eq!(short_command(&[]), "");
    }

    #[test]
    fn a_holder_is_said_in_one_phrase() {
        let home = std::env::home_dir().unwrap();
        let process = HolderProcess {
            pid: 4121,
            name: "python3".to_owned(),
            parent: 1,
            words: words("/usr/bin/python3 /usr/bin/flask run"),
            cwd: Some(home.join("old/app")),
            age: Some(Duration::from_secs(2 * 3600 + 5)),
            uid: rustix::process::geteuid().as_raw(),
        };
        let holder = PortHolder::of(&process);
        assert_eq!(holder.to_string(), "python3 (pid 4121: flask run, in ~/old/app, for 2h)");
        let left = PortHolder { orphan: true, ..holder.clone() };
        assert!(left.to_string().ends_with(", for 2h, orphaned)"), "{left}");
        let (stack, service) = (Some("shop".to_owned()), Some("api".to_owned()));
        let context = HolderContext::Service { stack, service, dir: Some(home.join("wt")) };
        let context = Some(Box::new(context));
        let service = PortHolder { context, ..holder };
        let status = "service api of stack shop in ~/wt (pid 4121: flask run, for 2h)";
        assert_eq!(service.to_string(), status);
        let bare = HolderProcess { words: Vec::new(), cwd: None, age: None, ..process };
        assert_eq!(PortHolder::of(&bare).to_string(), "python3 (pid 4121)");
    }

    #[test]
    fn a_hidden_holder_is_not_guessed() {
        assert_eq!(PortHolder::hidden(None).to_string(), "an unknown process");
        let stranger =
            PortHolder { same_user: false, user: None, ..PortHolder::hidden(Some(4_000_000_000)) };
        assert_eq!(stranger.to_string(), "an unknown process of user 4000000000");
    }

    #[test]
    fn hostile_command_lines_are_harmless() {
        let process = HolderProcess {
            pid: 1,
            name: "a\u{1b}[2J".to_owned(),
            parent: 1,
            words: vec![
                "x".to_owned(),
                "\u{1b}]52;c;\u{7}\u{202e}\n".to_owned(),
                "y".repeat(100_000),
            ],
            cwd: None,
            age: None,
            uid: 1,
        };
        let status = PortHolder::of(&process).to_string();
        assert!(status.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{status}");
        assert!(status.len() < 400, "{status}");
    }
}
