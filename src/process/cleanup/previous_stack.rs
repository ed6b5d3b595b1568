//! Cleans up after an earlier devstack that was killed together with all its helpers.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::orphan_scan::OrphanScan;
use super::process_identity::{ProcessIdentity, wait_for_exits};
use super::process_record::ProcessRecord;
use crate::model::{Message, MessageClass, StackContainers};
use crate::sys::process;

/// How long orphans may take to exit after TERM.
const GRACE: Duration = Duration::from_millis(500);
/// How long a cleanup may take in all. Only processes stuck in the kernel need more than a moment.
const LIMIT: Duration = Duration::from_secs(3);
/// How many processes a message names.
const NAMED: usize = 5;

/// Result of a cleanup.
#[derive(Debug, Default)]
pub struct CleanupReport {
    /// Pid and short name of orphans that are dead now, ascending by pid.
    pub ended: Vec<(u32, String)>,
    /// Orphans that could not be killed.
    pub alive: Vec<(u32, String)>,
    /// What was wrong with the record.
    pub trouble: Option<String>,
    /// The record that is left, if it knows of containers: until those are removed.
    pub record: Option<PathBuf>,
    /// Stacks that may have left containers, which are not looked for here.
    pub containers: Vec<StackContainers>,
    /// The names of containers that were removed.
    pub removed: Vec<String>,
    /// Why containers could not be looked for or removed.
    pub engine_trouble: Vec<String>,
}

impl CleanupReport {
    /// Whether no orphan is known to be left.
    pub fn is_clean(&self) -> bool {
        self.alive.is_empty() && self.trouble.is_none() && self.engine_trouble.is_empty()
    }

    /// Removes the record: the containers that it knows of are gone.
    pub fn forget_record(&mut self) {
        let Some(record) = self.record.take() else { return };
        if let Err(error) = std::fs::remove_file(&record) {
            self.trouble = Some(format!("cannot remove {}: {error}", record.display()));
        }
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
        let removed = (!self.removed.is_empty()).then(|| {
            let text = "removed leftover containers of an earlier devstack";
            Message::new(MessageClass::Orphan, format!("{text}: {}", self.removed.join(", ")))
        });
        let engines = self.engine_trouble.first().map(|why| {
            let text = format!("cannot remove leftover containers of an earlier devstack: {why}");
            Message::new(MessageClass::Orphan, text).help(
                "start the engine and run `devstack down`, or list them with `docker ps --all --filter \
                 label=dev.devstack.token`",
            )
        });
        [ended, alive, trouble, removed, engines].into_iter().flatten().collect()
    }
}

fn names(who: &[(u32, String)]) -> String {
    let list: Vec<String> =
        who.iter().take(NAMED).map(|(pid, name)| format!("{name} (pid {pid})")).collect();
    let more = if who.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", list.join(", "))
}

/// Ends the orphans of a stack whose supervisor is gone: TERM, a short grace period, KILL. Signals
/// only recorded processes, their descendants, and processes of this user with the token of the
/// record or this one, in their mark or their environment; each is pinned and checked first. Blocks
/// for up to six seconds if there are orphans. The caller must hold the instance lock and have
/// started nothing yet.
pub fn clean_up(record: Option<&Path>, token: Option<&str>) -> CleanupReport {
    let mut swept = CleanupReport::default();
    let known = record.and_then(|record| clean_up_by_record(record, &mut swept));
    // Even if there is a record: it may be of another devstack.
    if let Some(lost) = token.and_then(ProcessRecord::from_token) {
        if known.as_ref() != Some(&lost.token) {
            terminate(&lost, &mut swept);
        }
        if !swept.containers.iter().any(|one| one.token == lost.token) {
            swept.containers.push(StackContainers::of_token(lost.token));
        }
    }
    swept
}

/// Returns the token of the stack whose processes it has ended.
fn clean_up_by_record(record: &Path, swept: &mut CleanupReport) -> Option<String> {
    let found = match ProcessRecord::read(record) {
        Ok(found) => found.filter(|found| !is_alive(found, record))?,
        Err(error) => {
            swept.trouble = Some(error.to_string());
            return None;
        }
    };
    let is_own = found.is_at(record);
    if is_own {
        terminate(&found, swept);
        swept.containers.extend(found.containers());
    }
    if swept.alive.is_empty() {
        swept.record = Some(record.to_owned());
        // Whoever removes containers forgets it later.
        if swept.containers.is_empty() {
            swept.forget_record();
        }
    }
    is_own.then_some(found.token)
}

/// Finds the orphans of a stack by its token, when the record is lost. Changes nothing.
pub fn find_orphans_by_token(token: &str) -> Vec<(u32, String)> {
    ProcessRecord::from_token(token).map_or(Vec::new(), |lost| list(&lost))
}

/// Returns the record of a stack whose supervisor is gone.
fn left_record(path: &Path) -> io::Result<Option<ProcessRecord>> {
    let is_left = |found: &ProcessRecord| found.is_at(path) && !is_alive(found, path);
    Ok(ProcessRecord::peek(path)?.filter(is_left))
}

/// Returns where a stack whose supervisor is gone may have left containers. Changes nothing.
pub fn left_containers(record: Option<&Path>, token: Option<&str>) -> Vec<StackContainers> {
    let found = record.and_then(|path| left_record(path).ok()?);
    let mut left: Vec<_> = found.and_then(|found| found.containers()).into_iter().collect();
    let token = token.filter(|token| !left.iter().any(|known| known.token == **token));
    left.extend(token.map(|token| StackContainers::of_token(token.to_owned())));
    left
}

/// Finds the orphans of a stack whose supervisor is gone. Changes nothing.
///
/// # Errors
/// When the record cannot be read.
pub fn find_orphans(record: Option<&Path>, token: Option<&str>) -> io::Result<Vec<(u32, String)>> {
    let found = record.map_or(Ok(None), left_record)?;
    let mut orphans = found.map_or(Vec::new(), |found| list(&found));
    orphans.extend(token.map_or_else(Vec::new, find_orphans_by_token));
    orphans.sort();
    orphans.dedup();
    Ok(orphans)
}

fn list(record: &ProcessRecord) -> Vec<(u32, String)> {
    let scene = OrphanScan::look(record, &BTreeMap::new());
    scene.orphans.into_iter().map(|(who, name)| (who.pid, name)).collect()
}

fn is_alive(found: &ProcessRecord, path: &Path) -> bool {
    found.is_at(path) && found.supervisor.is_some_and(|supervisor| supervisor.is_alive())
}

fn terminate(record: &ProcessRecord, swept: &mut CleanupReport) {
    let begin = Instant::now();
    let mut seen = BTreeMap::new();
    let mut asked = BTreeSet::new();
    loop {
        let scene = OrphanScan::look(record, &seen);
        seen.extend(scene.orphans.clone());
        let kill = begin.elapsed() >= GRACE;
        // Guard and keepers exit on their own when they have nothing to keep, unless stopped.
        let rest = if scene.orphans.is_empty() { &scene.helpers } else { &BTreeSet::new() };
        if scene.orphans.is_empty() && rest.is_empty() || begin.elapsed() >= LIMIT {
            let alive: BTreeSet<ProcessIdentity> = scene.orphans.keys().copied().collect();
            let shown = |(who, name): (ProcessIdentity, String)| (who.pid, name);
            let (alive, ended) = seen.into_iter().partition(|(who, _)| alive.contains(who));
            swept.alive.extend(Vec::into_iter(alive).map(shown));
            swept.ended.extend(Vec::into_iter(ended).map(shown));
            return;
        }
        for who in scene.orphans.keys().chain(rest) {
            if kill {
                signal(who, libc::SIGKILL);
            } else if asked.insert(*who) && !rest.contains(who) {
                signal(who, libc::SIGTERM);
                signal(who, libc::SIGCONT);
            }
        }
        // Until they are gone or it is time for the next signal.
        let until = (begin + if kill { LIMIT } else { GRACE }).min(Instant::now() + GRACE);
        wait_for_exits(scene.orphans.keys().chain(&scene.helpers), until);
    }
}

fn signal(who: &ProcessIdentity, number: i32) {
    process::signal_checked(who.pid, number, |process| process.born == who.born);
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, ExitStatus};

    use super::*;
    use crate::process::cleanup::orphan_scan::TOKEN_VAR;

    fn marked(token: &str, script: &str) -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env(TOKEN_VAR, token).stdout(std::process::Stdio::piped());
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
        change: impl FnOnce(&mut ProcessRecord),
    ) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("runs.json");
        let mut record = ProcessRecord::new(token.to_owned(), 0);
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
        let listed = find_orphans(Some(&path), None).expect("readable");
        assert_eq!(listed.len(), 3, "{listed:?}");
        let swept = clean_up(Some(&path), None);
        assert_eq!(numbers(&swept.ended), numbers(&listed));
        assert!(swept.alive.is_empty() && swept.trouble.is_none() && !path.exists());
        assert!(swept.messages()[0].text.contains(&format!("(pid {})", polite.id())));
        assert_eq!(ended(polite).signal(), Some(libc::SIGTERM));
        assert_eq!(ended(deaf).signal(), Some(libc::SIGKILL));
        spared(stranger);
        assert!(clean_up(Some(&path), None).messages().is_empty());
    }

    #[test]
    fn recorded_processes_are_known_without_a_token() {
        let main = marked("", SLEEPS);
        let identity = ProcessIdentity::of(main.id()).expect("is alive");
        let (_dir, path) = scene("token-of-nobody-at-all", |record| {
            let gone = ProcessIdentity { pid: 1 << 30, born: 1 };
            record.runs.insert(1, [gone, identity]);
        });
        assert_eq!(numbers(&clean_up(Some(&path), None).ended), [main.id()]);
        assert_eq!(ended(main).signal(), Some(libc::SIGTERM));
    }

    #[test]
    fn what_loses_its_parent_meanwhile_is_still_known() {
        let deaf = "trap '' TERM; echo up; exec sleep 1000";
        let main = marked("", &format!("env -i sh -c \"{deaf}\" & wait"));
        let identity = ProcessIdentity::of(main.id()).expect("is alive");
        let (_dir, path) = scene("token-of-nobody-at-all", |record| {
            record.runs.insert(1, [ProcessIdentity { pid: 1 << 30, born: 1 }, identity]);
        });
        let listed = find_orphans(Some(&path), None).expect("readable");
        assert_eq!(numbers(&clean_up(Some(&path), None).ended), numbers(&listed));
        assert_eq!(listed.len(), 2, "{listed:?}");
        for (pid, _) in listed {
            assert!(process::process_stat(pid).is_none_or(|process| process.zombie), "{pid} lives");
        }
        assert_eq!(ended(main).signal(), Some(libc::SIGTERM));
    }

    #[test]
    fn a_recycled_number_is_spared() {
        let stranger = marked("", SLEEPS);
        let now = ProcessIdentity::of(stranger.id()).expect("is alive");
        let before = ProcessIdentity { born: now.born - 1, ..now };
        let (_dir, path) = scene("token-of-nobody-at-all", |record| {
            record.guard = Some(before);
            record.runs.insert(1, [before, before]);
        });
        assert!(find_orphans(Some(&path), None).expect("readable").is_empty());
        assert!(clean_up(Some(&path), None).messages().is_empty() && !path.exists());
        spared(stranger);
    }

    #[test]
    fn another_boot_means_nothing_and_a_live_supervisor_everything() {
        let token = "token-of-the-fourth-test";
        let main = marked(token, SLEEPS);
        let identity = ProcessIdentity::of(main.id()).expect("is alive");
        let (_dir, path) = scene(token, |record| {
            record.era.push('x');
            record.runs.insert(1, [identity, identity]);
        });
        assert!(clean_up(Some(&path), None).messages().is_empty() && !path.exists());
        let (_dir, path) = scene(token, |record| {
            record.supervisor = ProcessIdentity::of(std::process::id());
        });
        assert!(clean_up(Some(&path), None).messages().is_empty() && path.exists());
        spared(main);
    }

    #[test]
    fn a_stopped_keeper_is_ended_after_its_tree() {
        let keeper = marked("", "sleep 1000 & echo up; wait");
        let pid = rustix::process::Pid::from_child(&keeper);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("our child");
        let untraced = rustix::process::WaitOptions::UNTRACED;
        let waited = rustix::process::waitpid(Some(pid), untraced).expect("our child");
        assert!(waited.is_some_and(|(_, status)| status.stopped()));
        let identity = ProcessIdentity::of(keeper.id()).expect("is alive");
        let (_dir, path) = scene("token-of-nobody-at-all", |record| {
            record.runs.insert(1, [identity, ProcessIdentity { pid: 1 << 30, born: 1 }]);
        });
        let swept = clean_up(Some(&path), None);
        assert_eq!(swept.ended.len(), 1, "{swept:?}");
        assert_eq!(ended(keeper).signal(), Some(libc::SIGKILL));
    }

    #[test]
    fn a_token_alone_finds_what_carries_it() {
        let token = "token-of-a-lost-record";
        let main = marked(token, SLEEPS);
        let stranger = marked("", SLEEPS);
        for short in ["", "token"] {
            assert!(
                find_orphans_by_token(short).is_empty()
                    && clean_up(None, Some(short)).ended.is_empty()
            );
        }
        assert_eq!(numbers(&find_orphans_by_token(token)), [main.id()]);
        assert_eq!(numbers(&clean_up(None, Some(token)).ended), [main.id()]);
        assert_eq!(ended(main).signal(), Some(libc::SIGTERM));
        spared(stranger);
    }

    #[test]
    fn garbage_is_reported() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("runs.json");
        std::fs::write(&path, "{}").expect("writable");
        let messages = clean_up(Some(&path), None).messages();
        assert!(messages[0].text.contains("runs.json.bad"), "{messages:?}");
        assert_eq!(messages[0].class, MessageClass::Orphan);
        assert!(clean_up(Some(&path), None).messages().is_empty());
    }
}
