//! Cleans up after an earlier devstack that was killed together with all its helpers.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::platform;
use super::proc::Proc;
use super::record::{Identity, Record, SHORTEST_TOKEN};
use crate::model::{Message, MessageClass};

/// The environment variable that every process of a service inherits.
pub(super) const TOKEN: &str = "DEVSTACK_RUN";

/// How long orphans may take to exit after TERM.
const GRACE: Duration = Duration::from_millis(500);
/// How long a cleanup may take in all. Only processes stuck in the kernel need more than a moment.
const LIMIT: Duration = Duration::from_secs(3);
/// How many processes a message names.
const NAMED: usize = 5;

/// Result of a cleanup.
#[derive(Debug, Default)]
pub struct Swept {
    /// Pid and short name of orphans that are dead now, ascending by pid.
    pub ended: Vec<(u32, String)>,
    /// Orphans that could not be killed.
    pub alive: Vec<(u32, String)>,
    /// What was wrong with the record.
    pub trouble: Option<String>,
}

impl Swept {
    /// Combines two reports.
    pub fn and(mut self, other: Swept) -> Swept {
        self.ended.extend(other.ended);
        self.alive.extend(other.alive);
        self.trouble = self.trouble.or(other.trouble);
        self
    }

    /// Whether no orphan is known to be left.
    pub fn is_clean(&self) -> bool {
        self.alive.is_empty() && self.trouble.is_none()
    }

    /// The messages for the user.
    pub fn messages(&self) -> Vec<Message> {
        let orphan = |text: &str, who: &[(u32, String)]| {
            (!who.is_empty())
                .then(|| Message::new(MessageClass::Orphan, format!("{text}: {}", names(who))))
        };
        let ended = orphan("terminated leftover processes of an earlier devstack", &self.ended);
        let alive = orphan("cannot kill leftover processes of an earlier devstack", &self.alive)
            .map(|message| message.help("inspect them with `ps` and kill them manually"));
        let trouble = self.trouble.as_ref().map(|text| {
            let text = format!("cannot look for leftover processes: {text}");
            Message::new(MessageClass::Orphan, text)
                .help("inspect processes with `ps` and `kill` your own leftovers")
        });
        [ended, alive, trouble].into_iter().flatten().collect()
    }
}

fn names(who: &[(u32, String)]) -> String {
    let list: Vec<String> =
        who.iter().take(NAMED).map(|(pid, name)| format!("{name} (pid {pid})")).collect();
    let more = if who.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", list.join(", "))
}

/// Ends the orphans of a recorded stack if its supervisor is gone: TERM, a short grace period,
/// KILL. Signals only recorded processes, their descendants, and processes of this user with the
/// record's token; each is pinned and checked first. Blocks for up to three seconds if there are
/// orphans. The caller must hold the instance lock and have started nothing yet.
pub fn sweep(record: &Path) -> Swept {
    let mut swept = Swept::default();
    match Record::read(record) {
        Ok(None) => {}
        Ok(Some(found)) if is_alive(&found) => {}
        Ok(Some(found)) => {
            if is_of_now(&found) {
                end(&found, &mut swept);
            }
            if swept.alive.is_empty()
                && let Err(error) = std::fs::remove_file(record)
            {
                swept.trouble = Some(format!("cannot remove {}: {error}", record.display()));
            }
        }
        Err(error) => swept.trouble = Some(error.to_string()),
    }
    swept
}

/// Like `clean_up`, by token, when the record is lost. The supervisor must be gone.
pub fn sweep_marked(token: &str) -> Swept {
    let mut swept = Swept::default();
    if token.len() >= SHORTEST_TOKEN {
        end(&Record::of_token(token), &mut swept);
    }
    swept
}

/// Finds the orphans of a stack by its token, when the record is lost. Changes nothing.
pub fn marked_leftovers(token: &str) -> Vec<(u32, String)> {
    match token.len() >= SHORTEST_TOKEN {
        true => list(&Record::of_token(token)),
        false => Vec::new(),
    }
}

/// Finds the orphans of a recorded stack if its supervisor is gone. Changes nothing.
///
/// # Errors
/// When the record cannot be read.
pub fn leftovers(record: &Path) -> io::Result<Vec<(u32, String)>> {
    let found = Record::look(record)?.filter(|found| !is_alive(found) && is_of_now(found));
    Ok(found.map_or_else(Vec::new, |found| list(&found)))
}

fn list(record: &Record) -> Vec<(u32, String)> {
    let scene = Scene::look(record, &BTreeMap::new());
    scene.leftovers.into_iter().map(|(who, name)| (who.pid, name)).collect()
}

fn is_of_now(record: &Record) -> bool {
    platform::era().is_some_and(|era| era == record.era)
}

fn is_alive(record: &Record) -> bool {
    is_of_now(record) && record.supervisor.is_some_and(|supervisor| supervisor.lives())
}

fn end(record: &Record, swept: &mut Swept) {
    let begin = Instant::now();
    let mut seen = BTreeMap::new();
    let mut asked = BTreeSet::new();
    loop {
        let scene = Scene::look(record, &seen);
        seen.extend(scene.leftovers.clone());
        let kill = begin.elapsed() >= GRACE;
        // Guard and keepers exit on their own when they have nothing to keep, unless stopped.
        let rest = if scene.leftovers.is_empty() { &scene.helpers } else { &BTreeSet::new() };
        if scene.leftovers.is_empty() && rest.is_empty() || begin.elapsed() >= LIMIT {
            let alive: BTreeSet<Identity> = scene.leftovers.keys().copied().collect();
            let shown = |(who, name): (Identity, String)| (who.pid, name);
            let (alive, ended) = seen.into_iter().partition(|(who, _)| alive.contains(who));
            swept.alive = Vec::into_iter(alive).map(shown).collect();
            swept.ended = Vec::into_iter(ended).map(shown).collect();
            return;
        }
        for who in scene.leftovers.keys().chain(rest) {
            if kill {
                signal(who, libc::SIGKILL);
            } else if asked.insert(*who) && !rest.contains(who) {
                signal(who, libc::SIGTERM);
                signal(who, libc::SIGCONT);
            }
        }
        wait_for_end(&scene, begin + if kill { LIMIT } else { GRACE });
    }
}

/// Waits until all processes of the scan are gone or it is time for the next signal.
fn wait_for_end(scene: &Scene, until: Instant) {
    let until = until.min(Instant::now() + GRACE);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let all = scene.leftovers.keys().chain(&scene.helpers);
        let alive: Vec<u32> = all.filter(|who| who.lives()).map(|who| who.pid).collect();
        if left.is_zero() || alive.is_empty() {
            return;
        }
        platform::wait_for_one(&alive, left);
    }
}

fn signal(who: &Identity, number: i32) {
    platform::signal_checked(who.pid, number, |process| process.born == who.born);
}

/// The processes of a record at one moment.
struct Scene {
    leftovers: BTreeMap<Identity, String>,
    /// Guard and keepers of the record, which end the same processes.
    helpers: BTreeSet<Identity>,
}

impl Scene {
    /// Processes in `seen` stay orphans: once the parent has exited, nothing else identifies them.
    fn look(record: &Record, seen: &BTreeMap<Identity, String>) -> Scene {
        let table: BTreeMap<u32, Proc> = platform::processes()
            .into_iter()
            .filter_map(|pid| Some((pid, platform::look(pid)?)))
            .collect();
        let lives = |who: &Identity| table.get(&who.pid).is_some_and(|p| p.born == who.born);
        let keepers = record.runs.values().map(|[keeper, _]| *keeper);
        let helpers: BTreeSet<u32> =
            keepers.chain(record.guard).filter(lives).map(|who| who.pid).collect();
        let mains = record.runs.values().map(|[_, main]| *main);
        let known = mains.chain(seen.keys().copied()).filter(lives);
        let marked = table.keys().copied().filter(|pid| {
            platform::variable(*pid, TOKEN).is_some_and(|value| value == record.token.as_bytes())
        });
        let roots = known.map(|who| who.pid).chain(marked).chain(helpers.iter().copied());
        let mut found = with_descendants(roots.collect(), &table);
        for pid in ancestry(std::process::id(), &table) {
            found.remove(&pid);
        }
        let identity = |pid: &u32| {
            let process = table.get(pid).filter(|process| !process.zombie)?;
            Some((Identity { pid: *pid, born: process.born }, process.name.clone()))
        };
        let leftovers = found.difference(&helpers).filter_map(identity).collect();
        let helpers = helpers.iter().filter_map(identity).map(|(who, _)| who).collect();
        Scene { leftovers, helpers }
    }
}

fn with_descendants(mut found: BTreeSet<u32>, table: &BTreeMap<u32, Proc>) -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (pid, process) in table {
        children.entry(process.parent).or_default().push(*pid);
    }
    let mut next: Vec<u32> = found.iter().copied().collect();
    while let Some(pid) = next.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if found.insert(*child) {
                next.push(*child);
            }
        }
    }
    found
}

/// A process and its ancestors: this devstack may have been started by an orphan.
fn ancestry(mut pid: u32, table: &BTreeMap<u32, Proc>) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    while found.insert(pid)
        && let Some(process) = table.get(&pid)
    {
        pid = process.parent;
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, ExitStatus};

    use super::*;

    fn marked(token: &str, script: &str) -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env(TOKEN, token).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().expect("sh exists");
        // It prints that it is set up.
        let mut word = [0; 3];
        let stdout = child.stdout.as_mut().expect("piped");
        std::io::Read::read_exact(stdout, &mut word).expect("shell prints");
        child
    }

    const SLEEPS: &str = "echo up; exec sleep 1000";

    /// Pids only: a shell may not have become its program yet.
    fn numbers(who: &[(u32, String)]) -> Vec<u32> {
        who.iter().map(|(pid, _)| *pid).collect()
    }

    fn ended(mut child: Child) -> ExitStatus {
        child.wait().expect("our child")
    }

    fn spared(mut child: Child) {
        assert_eq!(child.try_wait().expect("our child"), None);
        child.kill().expect("our child");
        child.wait().expect("our child");
    }

    /// A record of a supervisor that is gone, and its path.
    fn scene(
        token: &str,
        change: impl FnOnce(&mut Record),
    ) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("runs.json");
        let mut record = Record::new(token.to_owned(), 0);
        if let Some(supervisor) = &mut record.supervisor {
            supervisor.born -= 1;
        }
        change(&mut record);
        record.write(&path).expect("writable");
        (dir, path)
    }

    #[test]
    fn what_carries_the_token_is_ended_with_its_descendants() {
        let token = "token-of-the-first-test";
        let polite = marked(token, SLEEPS);
        let deaf = marked(token, "trap '' TERM; env -i sleep 1000 & echo up; wait");
        let stranger = marked("token-of-the-first-test-2", SLEEPS);
        let (_dir, path) = scene(token, |_| {});
        let listed = leftovers(&path).expect("readable");
        assert_eq!(listed.len(), 3, "{listed:?}");
        let swept = sweep(&path);
        assert_eq!(numbers(&swept.ended), numbers(&listed));
        assert!(swept.alive.is_empty() && swept.trouble.is_none() && !path.exists());
        assert!(swept.messages()[0].text.contains(&format!("(pid {})", polite.id())));
        assert_eq!(ended(polite).signal(), Some(libc::SIGTERM));
        assert_eq!(ended(deaf).signal(), Some(libc::SIGKILL));
        spared(stranger);
        assert!(sweep(&path).messages().is_empty());
    }

    #[test]
    fn recorded_processes_are_known_without_a_token() {
        let main = marked("", SLEEPS);
        let identity = Identity::of(main.id()).expect("is alive");
        let (_dir, path) = scene("token-of-nobody-at-all", |record| {
            let gone = Identity { pid: 1 << 30, born: 1 };
            record.runs.insert(1, [gone, identity]);
        });
        assert_eq!(numbers(&sweep(&path).ended), [main.id()]);
        assert_eq!(ended(main).signal(), Some(libc::SIGTERM));
    }

    #[test]
    fn what_loses_its_parent_meanwhile_is_still_known() {
        let deaf = "trap '' TERM; echo up; exec sleep 1000";
        let main = marked("", &format!("env -i sh -c \"{deaf}\" & wait"));
        let identity = Identity::of(main.id()).expect("is alive");
        let (_dir, path) = scene("token-of-nobody-at-all", |record| {
            record.runs.insert(1, [Identity { pid: 1 << 30, born: 1 }, identity]);
        });
        let listed = leftovers(&path).expect("readable");
        assert_eq!(numbers(&sweep(&path).ended), numbers(&listed));
        assert_eq!(listed.len(), 2, "{listed:?}");
        for (pid, _) in listed {
            assert!(platform::look(pid).is_none_or(|process| process.zombie), "{pid} lives");
        }
        assert_eq!(ended(main).signal(), Some(libc::SIGTERM));
    }

    #[test]
    fn a_recycled_number_is_spared() {
        let stranger = marked("", SLEEPS);
        let now = Identity::of(stranger.id()).expect("is alive");
        let before = Identity { born: now.born - 1, ..now };
        let (_dir, path) = scene("token-of-nobody-at-all", |record| {
            record.guard = Some(before);
            record.runs.insert(1, [before, before]);
        });
        assert!(leftovers(&path).expect("readable").is_empty());
        assert!(sweep(&path).messages().is_empty() && !path.exists());
        spared(stranger);
    }

    #[test]
    fn another_boot_means_nothing_and_a_live_supervisor_everything() {
        let token = "token-of-the-fourth-test";
        let main = marked(token, SLEEPS);
        let identity = Identity::of(main.id()).expect("is alive");
        let (_dir, path) = scene(token, |record| {
            record.era.push('x');
            record.runs.insert(1, [identity, identity]);
        });
        assert!(sweep(&path).messages().is_empty() && !path.exists());
        let (_dir, path) = scene(token, |record| {
            record.supervisor = Identity::of(std::process::id());
        });
        assert!(sweep(&path).messages().is_empty() && path.exists());
        spared(main);
    }

    #[test]
    fn a_stopped_keeper_is_ended_after_its_tree() {
        let keeper = marked("", "sleep 1000 & echo up; wait");
        let mut status = 0;
        // SAFETY: signals and waits for our own child; the status is ours too.
        unsafe {
            libc::kill(keeper.id().cast_signed(), libc::SIGSTOP);
            libc::waitpid(keeper.id().cast_signed(), &mut status, libc::WUNTRACED);
        }
        assert!(libc::WIFSTOPPED(status));
        let identity = Identity::of(keeper.id()).expect("is alive");
        let (_dir, path) = scene("token-of-nobody-at-all", |record| {
            record.runs.insert(1, [identity, Identity { pid: 1 << 30, born: 1 }]);
        });
        let swept = sweep(&path);
        assert_eq!(swept.ended.len(), 1, "{swept:?}");
        assert_eq!(ended(keeper).signal(), Some(libc::SIGKILL));
    }

    #[test]
    fn a_token_alone_finds_what_carries_it() {
        let token = "token-of-a-lost-record";
        let main = marked(token, SLEEPS);
        let stranger = marked("", SLEEPS);
        for short in ["", "token"] {
            assert!(marked_leftovers(short).is_empty() && sweep_marked(short).ended.is_empty());
        }
        assert_eq!(numbers(&marked_leftovers(token)), [main.id()]);
        assert_eq!(numbers(&sweep_marked(token).ended), [main.id()]);
        assert_eq!(ended(main).signal(), Some(libc::SIGTERM));
        spared(stranger);
    }

    #[test]
    fn garbage_is_told() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("runs.json");
        std::fs::write(&path, "{}").expect("writable");
        let messages = sweep(&path).messages();
        assert!(messages[0].text.contains("runs.json.bad"), "{messages:?}");
        assert_eq!(messages[0].class, MessageClass::Orphan);
        assert!(sweep(&path).messages().is_empty());
    }
}
