use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use regex::bytes::Regex;
use tokio::sync::{oneshot, watch};

use super::capture::Capture;
use super::cursor::{Cursor, From};
use super::folder::Folder;
use super::lane::{Lane, Numbered};
use super::limits::Limits;
use super::look::Look;
use super::notes::Notes;
use super::output::Output;
use super::palette::Table;
use super::pattern::Patterns;
use super::piece::Piece;
use super::queue::Queue;
use super::reader::Reader;
use super::said::Said;
use super::spoken::Spoken;
use super::voice::Voice;
use super::wanted::Wanted;
use super::{filter, lines, lock, printer};
use crate::model::{Class, Color, LogLimits, Message, Name, Run, Stream};

/// What the services of a stack printed: takes it, stores it, shows it, gives it to readers. Cheap to
/// clone. Ends when the last clone is dropped; call [`Logs::finish`] to be sure that all was shown.
#[derive(Clone)]
pub struct Logs {
    pub(super) inner: Arc<Inner>,
    _end: Arc<End>,
}

/// What all parts of the log share.
pub(super) struct Inner {
    folder: Option<Arc<Folder>>,
    limits: Arc<Limits>,
    lanes: Mutex<BTreeMap<Name, Arc<Lane>>>,
    /// What devstack itself says.
    own: Arc<Lane>,
    pub queue: Queue,
    pub notes: Notes,
    /// Counts what was stored and the end, for readers that wait.
    version: watch::Sender<u64>,
    ended: AtomicBool,
    /// Why the output is gone, when it is: what the system said, an `errno`.
    gone: watch::Sender<Option<i32>>,
}

/// Tells the printer that nobody is left.
struct End(Arc<Inner>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.queue.end();
    }
}

/// Where the bytes of a service are: `taken == stored + held + dropped`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes of whole lines that came in.
    pub taken: u64,
    /// Bytes in the file.
    pub stored: u64,
    /// Bytes that could be kept neither in the file nor in memory.
    pub dropped: u64,
}

impl Counts {
    /// Bytes that are in memory because the disk does not take them.
    pub fn held(&self) -> u64 {
        self.taken - self.stored - self.dropped
    }
}

impl Logs {
    /// Starts a log with files in `dir`, which is made; that of the last time gets the suffix `.1`. Never fails: without a folder the last lines are kept in memory, and
    /// [`Logs::notes`] says so.
    pub fn open(dir: &Path, look: Look, output: Output) -> Logs {
        let notes = Notes::default();
        let folder = Folder::create(dir).map(Arc::new);
        if let Err(error) = &folder {
            notes.disk(&format!("the folder of the log, {},", dir.display()), error);
        }
        let shown = !matches!(output, Output::None);
        let folder = folder.ok();
        let limits = Arc::new(Limits::new(LogLimits::default()));
        let inner = Arc::new(Inner {
            own: Arc::new(Lane::new(Voice::Devstack, folder.clone(), limits.clone())),
            folder,
            limits,
            lanes: Mutex::default(),
            queue: Queue::new(shown),
            notes,
            version: watch::Sender::new(0),
            ended: AtomicBool::new(false),
            gone: watch::Sender::new(None),
        });
        if shown && let Err(error) = printer::start(inner.clone(), look, output) {
            inner.queue.close();
            let text = format!("the log cannot be shown: no thread for it: {error}");
            inner
                .notes
                .tell(Message::new(Class::Limit, text).help("see it with `devstack logs -f`"));
        }
        Logs { _end: Arc::new(End(inner.clone())), inner }
    }

    /// From now on so much is kept on the disk.
    pub fn limit(&self, limits: LogLimits) {
        self.inner.limits.set(limits);
    }

    /// Says which services there are and which colours the user chose; again after a reload.
    pub fn services(&self, list: &[(Name, Option<Color>)]) {
        self.inner.queue.state().table = Arc::new(Table::new(list));
    }

    /// Starts to take what a run of `service` prints. Each receiver gets the first line that matches
    /// its pattern (without line end and escape sequences; of a line of more than 64 KiB only that
    /// much counts); it fails when the run ends without one.
    pub fn capture(
        &self,
        service: &Name,
        run: Run,
        patterns: Vec<Regex>,
    ) -> (Capture, Vec<oneshot::Receiver<String>>) {
        let (patterns, found) = Patterns::new(patterns);
        let lane = self.inner.lane(service);
        let carries = Default::default();
        (Capture { inner: self.inner.clone(), lane, run, patterns, carries }, found)
    }

    /// Shows a line of devstack itself, in order with the lines of the services, and keeps it for readers.
    pub fn say(&self, line: Said) {
        self.inner.say(&line);
    }

    /// The last lines of the last run of a service, at most `n`, as plain text for messages.
    pub fn tail(&self, service: &Name, n: usize) -> Vec<String> {
        let Some(lane) = lock(&self.inner.lanes).get(service).cloned() else { return Vec::new() };
        let mut cursor = Cursor::default();
        cursor.add(&lane, From::LastOfRun(n));
        let chunks = cursor.step(u64::MAX, TAIL_BYTES).chunks;
        let all = chunks.iter().flat_map(|chunk| lines::lines(&chunk.bytes));
        let mut tail: Vec<String> = all.map(|line| brief(lines::content(line))).collect();
        tail.drain(..tail.len().saturating_sub(n));
        tail
    }

    /// A reader of what is stored, from `last` lines of each service before now on (`usize::MAX`:
    /// all); `services`: only of these. With `follow` it goes on until [`Logs::finish`].
    pub fn reader(&self, services: Option<Vec<Name>>, last: usize, follow: bool) -> Reader {
        self.search(services, last, follow, Wanted::default())
    }

    /// The same, of wanted lines only: `last` counts these.
    pub fn search(
        &self,
        services: Option<Vec<Name>>,
        last: usize,
        follow: bool,
        wanted: Wanted,
    ) -> Reader {
        Reader::new(self.inner.clone(), services, last, follow, wanted)
    }

    /// What went wrong with the log since the last call, for people.
    pub fn notes(&self) -> Vec<Message> {
        self.inner.notes.take()
    }

    /// Waits until [`Logs::notes`] has something to give.
    pub async fn noted(&self) {
        self.inner.notes.some().await;
    }

    /// How many bytes of a service came in and where they are.
    pub fn counts(&self, service: &Name) -> Counts {
        lock(&self.inner.lanes).get(service).map(|lane| lane.counts()).unwrap_or_default()
    }

    /// Whether the log is shown nowhere (any more): the terminal is gone, the pipe was closed, or
    /// there was no output from the start. It is stored all the same.
    pub fn is_closed(&self) -> bool {
        self.inner.queue.is_closed()
    }

    /// Waits until nothing can be shown any more, and says why as an `errno`: EPIPE when nobody reads the
    /// pipe, EIO when the terminal was closed, ENOSPC when the disk is full. Waits forever if that does
    /// not happen.
    pub fn closed(&self) -> impl Future<Output = i32> + Send + use<> {
        let mut gone = self.inner.gone.subscribe();
        async move {
            let why = gone.wait_for(Option::is_some).await.map(|why| *why);
            match why {
                Ok(Some(errno)) => errno,
                // The log has ended, and its output was there to the end.
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
    }

    /// Waits until everything is shown and stored, and lets readers come to their end. Blocks the
    /// thread. Gives up on an output that takes nothing for `patience`, and says whether all was shown.
    /// What is said or shown after it is lost; what is captured is still stored.
    pub fn finish(&self, patience: Duration) -> bool {
        self.inner.queue.end();
        let shown = self.inner.queue.wait_closed(patience);
        self.inner.queue.close();
        for lane in self.inner.all_lanes() {
            lane.flush(&self.inner.notes);
        }
        self.inner.ended.store(true, Ordering::SeqCst);
        self.inner.version.send_modify(|version| *version += 1);
        shown
    }
}

/// What `tail` reads at most, in bytes.
const TAIL_BYTES: usize = 1024 * 1024;
/// The longest line of `tail`, in characters: it goes into a message.
const TAIL_LINE: usize = 500;

/// The last lines in some bytes, at most `n`, as plain text for messages.
pub(in crate::runtime) fn last_lines(bytes: &[u8], n: usize) -> Vec<String> {
    let all: Vec<&[u8]> = lines::lines(bytes).collect();
    let last = &all[all.len().saturating_sub(n)..];
    last.iter().map(|line| brief(lines::content(line))).collect()
}

fn brief(line: &[u8]) -> String {
    // A character has at most four bytes, an escape sequence some more.
    let text = filter::strip(&line[..line.len().min(TAIL_LINE * 8)]);
    match text.char_indices().nth(TAIL_LINE) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

impl Inner {
    fn lane(&self, service: &Name) -> Arc<Lane> {
        let voice = || Voice::Service(service.clone());
        let make = || Arc::new(Lane::new(voice(), self.folder.clone(), self.limits.clone()));
        lock(&self.lanes).entry(service.clone()).or_insert_with(make).clone()
    }

    /// The lanes of all services there are now, and that of devstack itself, which is the last.
    pub fn all_lanes(&self) -> Vec<Arc<Lane>> {
        lock(&self.lanes).values().chain([&self.own]).cloned().collect()
    }

    /// Stores a piece and hands it to the printer and to readers.
    pub fn store(&self, lane: &Arc<Lane>, piece: &Piece<'_>) {
        lane.store(piece, &self.notes, |lines| self.queue.lines(lane, piece, lines));
        self.stored();
    }

    /// Stores what devstack says and hands it to the printer and to readers.
    fn say(&self, said: &Said) {
        let at = now();
        let line = Spoken::stored(said, at);
        let (run, stream) = (Run(0), Stream::Stdout);
        let piece = Piece { run, stream, continues: false, open: false, at, parts: [&line, &[]] };
        let number = |lines| {
            let Numbered { seq, .. } = self.queue.lines(&self.own, &piece, lines);
            // The index is not left to the printer: this is seldom, and wanted most after a crash.
            Numbered { seq, printed: false }
        };
        self.own.store(&piece, &self.notes, number);
        self.stored();
    }

    /// Wakes readers.
    fn stored(&self) {
        if self.version.receiver_count() > 0 {
            self.version.send_modify(|version| *version += 1);
        }
    }

    /// Tells that the output is gone.
    pub fn output_is_gone(&self, why: &std::io::Error) {
        self.gone.send_replace(Some(why.raw_os_error().unwrap_or(libc::EIO)));
    }

    /// Whether nothing comes any more.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Tells when something was stored or everything has ended.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}

/// Milliseconds since 1970. Before 1970 the clock is wrong: 0.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
