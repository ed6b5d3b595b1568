use std::io::{ErrorKind, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::launch::code;
use super::project::ProjectHome;
use super::record::{OutputPosition, OutputRecord, Source};
use super::starting;
use super::terminal::{PtyMaster, TtySettings};

/// Sent by Ctrl-C.
pub const CTRL_C: &[u8] = b"\x03";
/// Sent by Ctrl-D.
pub const CTRL_D: &[u8] = b"\x04";
/// Sent by Ctrl-Q: resumes the terminal.
pub const CTRL_Q: &[u8] = b"\x11";
/// Sent by Ctrl-S: pauses the terminal.
pub const CTRL_S: &[u8] = b"\x13";
/// Sent by Ctrl-Z.
pub const CTRL_Z: &[u8] = b"\x1a";

/// Bytes per read.
const CHUNK: usize = 64 * 1024;

/// A started program: its output, exit and terminal. Killed when dropped.
pub struct RunningProgram {
    home: Arc<ProjectHome>,
    title: String,
    pid: Pid,
    record: Arc<OutputRecord>,
    stdin: Mutex<Option<ChildStdin>>,
    terminal: Mutex<Option<PtyMaster>>,
    /// Output is read until its writer here is dropped.
    readers: Mutex<[Option<PipeWriter>; 2]>,
}

impl RunningProgram {
    pub(super) fn new(
        home: Arc<ProjectHome>,
        title: String,
        mut child: Child,
        terminal: Option<PtyMaster>,
    ) -> RunningProgram {
        let outputs: [Option<OwnedFd>; 2] = match &terminal {
            Some(terminal) => [Some(terminal.reader().into()), None],
            None => {
                [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)]
            }
        };
        let record = Arc::new(OutputRecord::new(outputs.each_ref().map(Option::is_some)));
        let [stdout, stderr] = outputs;
        let readers = [
            stdout.map(|fd| read_in_background(&record, Source::Stdout, fd)),
            stderr.map(|fd| read_in_background(&record, Source::Stderr, fd)),
        ];
        let stdin = Mutex::new(child.stdin.take());
        let pid = Pid::from_child(&child);
        wait_in_background(&record, pid, child);
        let (terminal, readers) = (Mutex::new(terminal), Mutex::new(readers));
        RunningProgram { home, title, pid, record, stdin, terminal, readers }
    }

    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Everything printed on stdout, or in the terminal.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.bytes(Source::Stdout)).into_owned()
    }

    /// Everything printed on stderr.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.bytes(Source::Stderr)).into_owned()
    }

    /// The bytes printed on a stream.
    pub fn bytes(&self, source: Source) -> Vec<u8> {
        self.record.known().bytes(source).to_vec()
    }

    /// The lines printed so far, without escape sequences, stdout before stderr.
    pub fn lines(&self) -> Vec<String> {
        self.record.known().lines(OutputPosition::default())
    }

    /// The current position in the output, to look only at what comes later. Wait for the last line
    /// before it first: stdout and stderr are read independently.
    pub fn here(&self) -> OutputPosition {
        self.record.known().here()
    }

    /// The lines printed since a position.
    pub fn lines_since(&self, place: OutputPosition) -> Vec<String> {
        self.record.known().lines(place)
    }

    /// Waits for a line with this text, printed at any time, and returns it.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_since(OutputPosition::default(), text)
    }

    /// The same for lines printed after `place`.
    #[track_caller]
    pub fn wait_since(&self, place: OutputPosition, text: &str) -> String {
        let found =
            self.record.wait_line(place, |line| line.contains(text).then(|| line.to_owned()));
        self.found(found, &format!("{text:?}"))
    }

    /// Waits until `count` lines contain this text; returns the last of them.
    #[track_caller]
    pub fn wait_count(&self, count: usize, text: &str) -> String {
        // An incomplete line is passed again later, so count from scratch each time.
        let found = self.record.wait(|known| {
            let lines = known.lines(OutputPosition::default());
            lines.into_iter().filter(|line| line.contains(text)).nth(count - 1)
        });
        self.found(found, &format!("{count} lines with {text:?}"))
    }

    /// Waits for a line that `accept` returns true for, and returns it. Lines have no escape
    /// sequences; the last one may be incomplete.
    #[track_caller]
    pub fn wait_line(&self, mut accept: impl FnMut(&str) -> bool) -> String {
        self.wait_map(|line| accept(line).then(|| line.to_owned()))
    }

    /// Waits until `look` returns something for a line.
    #[track_caller]
    pub fn wait_map<T>(&self, look: impl FnMut(&str) -> Option<T>) -> T {
        let found = self.record.wait_line(OutputPosition::default(), look);
        self.found(found, "a line")
    }

    /// Waits for `WORD PID` or `… WORD PID …`, as printed by misbehave; returns the pid.
    #[track_caller]
    pub fn wait_pid(&self, words: &str) -> u32 {
        self.wait_map(|line| {
            let rest = line.split_once(words)?.1.trim_start();
            rest.split(' ').next()?.parse().ok()
        })
    }

    /// Waits until the program has exited.
    #[track_caller]
    pub fn wait_exit(&self) -> ExitStatus {
        // Its output may be closed long before.
        let ended = self.record.wait(|known| known.exit);
        self.found(ended, "its end")
    }

    /// Waits for the exit; returns the code as in a shell.
    #[track_caller]
    pub fn wait_code(&self) -> i32 {
        code(self.wait_exit())
    }

    /// Waits until its stdout and stderr are closed by all processes.
    #[track_caller]
    pub fn wait_closed(&self) {
        let closed = self.record.wait(|known| known.closed().then_some(()));
        self.found(closed, "the end of its output (who holds it open?)");
    }

    pub fn is_running(&self) -> bool {
        self.record.known().exit.is_none()
    }

    /// Sends a signal to this process only; false when it has exited.
    pub fn signal(&self, signal: Signal) -> bool {
        // The process is reaped under this lock only, so the pid is still valid.
        let known = self.record.known();
        known.exit.is_none() && kill_process(self.pid, signal).is_ok()
    }

    /// What Ctrl-C does without a terminal.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Stops all threads of the program. One of them takes the signal and the others continue until
    /// that one runs, so this waits for the stop. `Signal::CONT` continues it.
    #[track_caller]
    pub fn stop(&self) {
        assert!(self.signal(Signal::STOP), "{} has ended", self.title);
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(self.pid), options).is_err_and(|error| error == Errno::INTR) {}
    }

    /// Sends SIGKILL and waits for the exit. Socket files may be left from now on.
    #[track_caller]
    pub fn kill9(&self) {
        self.home.sockets_may_stay();
        self.signal(Signal::KILL);
        self.wait_exit();
    }

    /// Types keys in the terminal, or writes to stdin.
    pub fn write(&self, keys: &[u8]) {
        if let Some(terminal) = &*lock(&self.terminal) {
            terminal.write(keys);
        } else if let Some(stdin) = &mut *lock(&self.stdin) {
            stdin.write_all(keys).expect("it reads its stdin");
        } else {
            panic!("{} has neither a terminal nor an open stdin", self.title);
        }
    }

    pub fn close_stdin(&self) {
        lock(&self.stdin).take();
    }

    /// Stops a stack as Ctrl-C does; fails on any other exit code.
    #[track_caller]
    pub fn end(&self) {
        self.interrupt();
        assert_eq!(self.wait_code(), 130, "{:?}", self.lines());
    }

    /// Stops reading a stream and closes our end: the next write to it gets EPIPE.
    #[track_caller]
    pub fn close_output(&self, source: Source) {
        lock(&self.readers)[source as usize].take();
        let closed = self.record.wait(|known| (!known.is_open(source)).then_some(()));
        self.found(closed, "our reader to end");
        starting::no_spawn_in_progress();
    }

    /// Closes the terminal: its processes get HUP.
    #[track_caller]
    pub fn hang_up(&self) {
        self.close_output(Source::Stdout);
        lock(&self.terminal).take();
    }

    /// The terminal settings, to compare before and after.
    pub fn settings(&self) -> TtySettings {
        self.with_terminal(PtyMaster::settings)
    }

    /// Resizes the terminal.
    pub fn resize(&self, rows: u16, columns: u16) {
        self.with_terminal(|terminal| terminal.resize(rows, columns));
    }

    /// The foreground process group of the terminal.
    pub fn foreground(&self) -> u32 {
        self.with_terminal(PtyMaster::foreground)
    }

    fn with_terminal<T>(&self, ask: impl FnOnce(&PtyMaster) -> T) -> T {
        ask(lock(&self.terminal).as_ref().expect("started with `terminal`"))
    }

    #[track_caller]
    fn found<T>(&self, found: Result<T, String>, what: &str) -> T {
        found.unwrap_or_else(|report| {
            panic!("waited for {what} of `{}` (pid {}): {report}", self.title, self.pid())
        })
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        if self.is_running() {
            self.home.sockets_may_stay();
            self.signal(Signal::KILL);
            let _ = self.record.wait(|known| known.exit);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads until the end, or until the returned pipe is dropped.
fn read_in_background(record: &Arc<OutputRecord>, source: Source, fd: OwnedFd) -> PipeWriter {
    let (watched, keeper) = std::io::pipe().expect("a pipe");
    let record = Arc::clone(record);
    thread::spawn(move || {
        read_all(&record, source, &fd, &watched.into());
        // First, because a waiter for the end relies on it.
        drop(fd);
        record.close(source);
    });
    keeper
}

fn read_all(record: &OutputRecord, source: Source, fd: &OwnedFd, watched: &OwnedFd) {
    let mut file = std::fs::File::from(fd.try_clone().expect("a descriptor can be copied"));
    let mut buffer = vec![0; CHUNK];
    loop {
        let mut ready = [PollFd::new(fd, PollFlags::IN), PollFd::new(watched, PollFlags::IN)];
        if poll(&mut ready, None).is_err() {
            continue;
        }
        if !ready[1].revents().is_empty() {
            return;
        }
        match file.read(&mut buffer) {
            // A terminal without programs returns EIO.
            Ok(0) => return,
            Ok(count) => record.add(source, &buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Reaps the child, but only under the record's lock, so that no signal goes to a reused pid.
fn wait_in_background(record: &Arc<OutputRecord>, pid: Pid, mut child: Child) {
    let record = Arc::clone(record);
    thread::spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(pid), options).is_err_and(|error| error == Errno::INTR) {}
        let mut known = record.known();
        let status = child.wait().expect("it has ended and nobody else reaps it");
        record.exited(&mut known, status);
    });
}
