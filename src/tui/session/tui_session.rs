use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::log_pages::LogPages;
use super::requests;
use super::screen::{LEAVE, TuiScreen};
use super::tui_signals::{TuiSignal, TuiSignals};
use crate::control::ControlClient;
use crate::model::{EnvView, EventView, PlanView, Snapshot, WhyView};
use crate::sys::signal;
use crate::terminal::KeyReader;
use crate::tui::command::{Notice, TuiCommand, TuiEnd, TuiEvent};
use crate::tui::{KeyParser, TuiState, update, view};

/// What the TUI needs of the rest of the program.
pub trait TuiHost {
    /// Returns how to write things as text.
    fn texts(&self) -> TuiTexts;
    /// Opens a URL; returns what to tell the user.
    fn open(&mut self, url: &str) -> Notice;
    /// Shows the terminal of a service until the user detaches.
    fn attach(
        &mut self,
        client: &ControlClient,
        service: &str,
        keys: &mut Option<KeyReader>,
    ) -> impl Future<Output = Result<(), String>>;
}

/// How to write things as text.
#[derive(Clone, Copy)]
pub struct TuiTexts {
    pub why: fn(&WhyView) -> String,
    pub env: fn(&EnvView) -> String,
    pub plan: fn(&PlanView) -> String,
    pub changes: fn(&[EventView]) -> String,
    /// The latest requests to the names of a stack, or why there are none.
    pub requests: fn(Snapshot) -> RequestsText,
}

/// Text that is fetched.
pub type RequestsText = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// The TUI in the terminal on stdin and stdout.
pub struct TuiSession<H> {
    client: ControlClient,
    host: H,
    over_log: bool,
    /// `None` while an event is handled.
    state: Option<TuiState>,
    screen: TuiScreen,
    keys: Option<KeyReader>,
    parser: KeyParser,
    signals: TuiSignals,
    inbox: Receiver<TuiEvent>,
    to: Sender<TuiEvent>,
    /// What follows the log, and what searches it.
    follower: Option<JoinHandle<()>>,
    searcher: Option<JoinHandle<()>>,
    pacer: Pacer,
}

/// What is done at which time.
struct Pacer {
    /// Something has changed on the screen.
    dirty: bool,
    last_draw: Instant,
    last_refresh: Instant,
    /// When CPU and memory are measured next; `None`: the user is idle.
    next_usage: Option<Instant>,
    last_key: Instant,
}

/// Events that may wait; what reads the log waits then.
const WAITING: usize = 16;
/// Time between two paintings, unless a key was pressed.
const FRAME: Duration = Duration::from_millis(33);
/// Time between two snapshots.
const REFRESH: Duration = Duration::from_millis(100);
/// Time between two measurements of CPU and memory.
const USAGE: Duration = Duration::from_secs(2);
/// How long they are measured after the last key.
const IDLE: Duration = Duration::from_secs(60);

enum Turn {
    Keys(Option<Vec<u8>>),
    Event(TuiEvent),
    Signal(TuiSignal),
    Draw,
    Usage,
}

impl<H: TuiHost> TuiSession<H> {
    /// What gives the terminal back.
    pub const LEAVE: &[u8] = LEAVE;

    /// Tells `guard` whether the TUI has the terminal, which it gives back if this process is killed.
    pub fn guard_terminal(guard: impl Fn(bool) + Send + Sync + 'static) {
        TuiScreen::guard(Box::new(guard));
    }

    /// Takes the terminal. `over_log`: `up --tui` shows it.
    ///
    /// # Errors
    /// There is no terminal, or no thread can be started.
    pub fn begin(client: ControlClient, host: H, over_log: bool, color: bool) -> io::Result<Self> {
        let signals = TuiSignals::listen(over_log)?;
        let screen = TuiScreen::take()?;
        let (to, inbox) = mpsc::channel(WAITING);
        let now = Instant::now();
        let state = TuiState::new(screen.size(), over_log, color);
        Ok(TuiSession {
            client,
            host,
            over_log,
            state: Some(state),
            screen,
            keys: Some(KeyReader::read()?),
            parser: KeyParser::default(),
            signals,
            inbox,
            to,
            follower: None,
            searcher: None,
            pacer: Pacer {
                dirty: true,
                last_draw: now - FRAME,
                last_refresh: now - REFRESH,
                next_usage: Some(now),
                last_key: now,
            },
        })
    }

    /// Shows the stack until the user has enough of it or the stack ends. The terminal is given
    /// back then.
    pub async fn run(mut self) -> TuiEnd {
        let watch = requests::watch(self.client.clone(), self.over_log, self.to.clone());
        let watcher = tokio::spawn(watch);
        let end = loop {
            let turn = self.next().await;
            let ended = match turn {
                Turn::Keys(Some(keys)) => self.on_keys(&keys).await,
                Turn::Keys(None) => Some(TuiEnd::Signal(libc::SIGHUP)),
                Turn::Event(event) => self.handle(event).await,
                Turn::Signal(called) => self.on_signal(called).await,
                Turn::Draw => None,
                Turn::Usage => self.on_usage().await,
            };
            if ended.is_none() && !self.screen.is_taken() {
                // A panic has given the terminal back.
                break TuiEnd::Signal(libc::SIGABRT);
            }
            if let Some(end) = ended {
                break end;
            }
            if self.draw().is_err() {
                break TuiEnd::Signal(libc::SIGHUP);
            }
        };
        watcher.abort();
        self.follower.iter().chain(&self.searcher).for_each(JoinHandle::abort);
        end
    }

    async fn next(&mut self) -> Turn {
        let Pacer { dirty, last_draw, next_usage, .. } = self.pacer;
        let keys = async {
            match &mut self.keys {
                Some(keys) => keys.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            called = self.signals.next() => Turn::Signal(called),
            keys = keys => Turn::Keys(keys),
            () = sleep_until(last_draw + FRAME), if dirty => Turn::Draw,
            Some(event) = self.inbox.recv() => Turn::Event(event),
            () = sleep_until(next_usage.unwrap_or(last_draw)), if next_usage.is_some() => Turn::Usage,
        }
    }

    /// Paints, if it is time to.
    fn draw(&mut self) -> io::Result<()> {
        let Some(state) = self.state.as_ref().filter(|_| self.pacer.dirty) else { return Ok(()) };
        if self.pacer.last_draw.elapsed() < FRAME {
            return Ok(());
        }
        (self.pacer.dirty, self.pacer.last_draw) = (false, Instant::now());
        let (buffer, cursor) = view(state);
        self.screen.draw(buffer, cursor)
    }

    async fn on_keys(&mut self, bytes: &[u8]) -> Option<TuiEnd> {
        self.pacer.last_key = Instant::now();
        if self.pacer.next_usage.is_none() {
            self.pacer.next_usage = Some(Instant::now());
        }
        for input in self.parser.parse(bytes) {
            if let Some(end) = self.handle(TuiEvent::Input(input)).await {
                return Some(end);
            }
        }
        // A key is answered at once.
        self.pacer.last_draw = Instant::now().checked_sub(FRAME).unwrap_or(self.pacer.last_draw);
        None
    }

    async fn on_signal(&mut self, called: TuiSignal) -> Option<TuiEnd> {
        match called {
            TuiSignal::Resized => {
                #[cfg(debug_assertions)]
                panic_for_test();
                let (width, height) = self.screen.size();
                self.handle(TuiEvent::Resized(width, height)).await
            }
            TuiSignal::Suspend => {
                self.screen.leave();
                signal::stop_self();
                // Goes on here.
                self.again().await
            }
            TuiSignal::Continued => self.again().await,
            TuiSignal::End(number) => Some(TuiEnd::Signal(number)),
        }
    }

    /// Takes the terminal again, after others have used it.
    async fn again(&mut self) -> Option<TuiEnd> {
        if self.screen.enter().is_err() {
            return Some(TuiEnd::Signal(libc::SIGHUP));
        }
        self.pacer.last_draw = Instant::now().checked_sub(FRAME).unwrap_or(self.pacer.last_draw);
        let (width, height) = self.screen.size();
        self.handle(TuiEvent::Resized(width, height)).await
    }

    async fn on_usage(&mut self) -> Option<TuiEnd> {
        if self.pacer.last_key.elapsed() >= IDLE {
            self.pacer.next_usage = None;
            return self.handle(TuiEvent::Idle).await;
        }
        self.pacer.next_usage = Some(Instant::now() + USAGE);
        let (client, to) = (self.client.clone(), self.to.clone());
        tokio::spawn(async move {
            if let Ok(stack) = client.stack_with_usage().await {
                let _ = to.send(TuiEvent::Stack(Box::new(stack), true)).await;
            }
        });
        None
    }

    /// Updates the state, and carries out what follows from it.
    async fn handle(&mut self, event: TuiEvent) -> Option<TuiEnd> {
        let state = self.state.take()?;
        let (state, commands) = update(state, event);
        self.state = Some(state);
        self.pacer.dirty = true;
        for command in commands {
            if let Some(end) = self.carry_out(command).await {
                return Some(end);
            }
        }
        None
    }

    async fn carry_out(&mut self, command: TuiCommand) -> Option<TuiEnd> {
        let (client, to) = (self.client.clone(), self.to.clone());
        let pages = |view, generation| LogPages { client: client.clone(), view, generation };
        match command {
            TuiCommand::Load(generation, view, range) => {
                tokio::spawn(pages(view, generation).load(range, to));
            }
            TuiCommand::Follow(generation, view, from) => {
                let follower = tokio::spawn(pages(view, generation).follow(from, to));
                replace(&mut self.follower, Some(follower));
            }
            TuiCommand::StopFollowing => replace(&mut self.follower, None),
            TuiCommand::Search(generation, view, from) => {
                let searcher = tokio::spawn(pages(view, generation).search(from, to));
                replace(&mut self.searcher, Some(searcher));
            }
            TuiCommand::Ask(request) => {
                tokio::spawn(requests::ask(client, request, self.host.texts(), to));
            }
            TuiCommand::Refresh => {
                let at = self.pacer.last_refresh + REFRESH;
                self.pacer.last_refresh = at.max(Instant::now());
                tokio::spawn(async move {
                    sleep_until(at).await;
                    // A stack that has ended is reported by its events.
                    if let Ok(stack) = client.stack().await {
                        let _ = to.send(TuiEvent::Stack(Box::new(stack), false)).await;
                    }
                });
            }
            TuiCommand::Attach(name) => return self.attach(name.as_str()).await,
            TuiCommand::Open(name) => self.open(name.as_str()),
            TuiCommand::Copy(text) => return gone(self.screen.copy(&text)),
            TuiCommand::Mouse(taken) => return gone(self.screen.take_mouse(taken)),
            TuiCommand::Repaint => self.screen.forget(),
            TuiCommand::Suspend => signal::signal_own_group(libc::SIGTSTP),
            TuiCommand::Leave(end) => return Some(end),
        }
        None
    }

    async fn attach(&mut self, service: &str) -> Option<TuiEnd> {
        if let end @ Some(_) = gone(self.screen.lend()) {
            return end;
        }
        let result = self.host.attach(&self.client, service, &mut self.keys).await;
        self.screen.enter().ok()?;
        self.parser = KeyParser::default();
        if let (Err(why), Some(state)) = (result, &mut self.state) {
            state.notice = Some(Notice::failed(why));
        }
        let (width, height) = self.screen.size();
        let (state, _) = update(self.state.take()?, TuiEvent::Resized(width, height));
        self.state = Some(state);
        self.pacer.dirty = true;
        None
    }

    fn open(&mut self, service: &str) {
        let Some(state) = &mut self.state else { return };
        let view = state.services().iter().find(|view| view.name.as_str() == service);
        let url = view.and_then(|view| view.origin.clone().or_else(|| view.url.clone()));
        state.notice = Some(match url {
            Some(url) if url.starts_with("http") => self.host.open(&url),
            Some(url) => Notice::failed(format!("{service} has no web page: it is at {url}")),
            None => Notice::failed(format!("{service} has no web page now")),
        });
    }
}

/// Panics when a test asks for it. Not in releases.
#[cfg(debug_assertions)]
fn panic_for_test() {
    assert!(std::env::var_os("DEVSTACK_TEST_TUI_PANIC").is_none(), "a test asked for a panic");
}

fn replace(task: &mut Option<JoinHandle<()>>, by: Option<JoinHandle<()>>) {
    if let Some(before) = std::mem::replace(task, by) {
        before.abort();
    }
}

fn gone(result: io::Result<()>) -> Option<TuiEnd> {
    result.is_err().then_some(TuiEnd::Signal(libc::SIGHUP))
}
