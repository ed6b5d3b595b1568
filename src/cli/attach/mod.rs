//! `devstack attach SERVICE`: shows the terminal of a service in this one.

mod keys;
mod raw_mode;
mod screen;

use std::io::{IsTerminal, stderr, stdin, stdout};
use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::args;
use super::complain::{Trouble, end, refuse};
use crate::control::{
    AttachConnection, AttachEvent, AttachMessage, AttachQuery, ClientError, ControlClient,
};
use crate::error::exit;
use crate::model::{Message, MessageClass};
use crate::runtime::console;
use crate::runtime::process::{TermSize, TtyId};
use crate::runtime::signals::{SignalAction, SignalListener};
use keys::Keys;
use raw_mode::RawMode;
use screen::Screen;

pub(super) fn attach(files: &[PathBuf], args: &args::Attach) -> i32 {
    if !stdin().is_terminal() || !stdout().is_terminal() {
        let message = Message::new(MessageClass::Usage, "`devstack attach` requires a terminal")
            .help("use `devstack logs -f` in scripts; for editors, see docs/protocol.md");
        return refuse(&message, exit::USAGE, false);
    }
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&super::no_runtime(&error), exit::FAILED, false),
    };
    let dir = super::stack_dir(files);
    let code = runtime.block_on(async {
        match begin(&dir, &args.service).await {
            Ok((attachment, desk)) => desk.sit(attachment).await,
            Err(trouble) => end(Err(trouble), false, &mut stderr()),
        }
    });
    // Does not wait for threads that block on a paused terminal.
    runtime.shutdown_background();
    code
}

async fn begin(dir: &std::path::Path, service: &str) -> Result<(AttachConnection, Desk), Trouble> {
    let client = ControlClient::here(dir)?;
    let screen = console::ClientScreen { size: screen_size(), terminal: TtyId::of(stdout()) };
    let query = AttachQuery { service: service.to_owned(), screen };
    let attachment = client.attach(&query).await?;
    // From here on no signal kills this process, which would leave the terminal in raw mode.
    let signals = SignalListener::listen()?;
    let continued = signal(SignalKind::from_raw(libc::SIGCONT))?;
    let raw = RawMode::begin()?;
    let screen = Screen::start(super::color(&stdout()))?;
    Ok((
        attachment,
        Desk { keys: Keys::read()?, screen, signals, continued, raw, name: service.to_owned() },
    ))
}

struct Desk {
    keys: Keys,
    screen: Screen,
    signals: SignalListener,
    continued: Signal,
    raw: RawMode,
    name: String,
}

enum Turn {
    Heard(Result<Option<AttachMessage>, ClientError>),
    Typed(Option<Vec<u8>>),
    Called(SignalAction),
    Continued,
    ScreenGone,
}

enum Over {
    Left,
    Closed(Message),
    Failed(ClientError),
    Lost,
    Signal(i32),
    TerminalGone,
}

impl Desk {
    /// Forwards keys and output until either side ends the session; returns the exit code.
    async fn sit(mut self, mut attachment: AttachConnection) -> i32 {
        let over = loop {
            let turn = self.next(&mut attachment).await;
            match self.take(turn, &mut attachment) {
                Some(over) => break over,
                None => continue,
            }
        };
        self.leave(over).await
    }

    async fn next(&mut self, attachment: &mut AttachConnection) -> Turn {
        let AttachConnection { hears, says } = attachment;
        let screen = &mut self.screen;
        let heard = async {
            match screen.room().await {
                true => Turn::Heard(hears.next().await),
                false => Turn::ScreenGone,
            }
        };
        tokio::select! {
            called = self.signals.next() => Turn::Called(called),
            Some(()) = self.continued.recv() => Turn::Continued,
            keys = self.keys.next() => Turn::Typed(keys),
            turn = heard => turn,
            // The connection is closed; read what is left first.
            () = says.flush() => Turn::Heard(hears.next().await),
        }
    }

    fn take(&mut self, turn: Turn, attachment: &mut AttachConnection) -> Option<Over> {
        match turn {
            Turn::Heard(Ok(Some(AttachMessage::Output(bytes)))) => self.screen.show(&bytes),
            Turn::Heard(Ok(Some(AttachMessage::Event(event)))) => return self.tell(event),
            Turn::Heard(Ok(None)) => return Some(Over::Lost),
            Turn::Heard(Err(failure)) => return Some(Over::Failed(failure)),
            Turn::Typed(None) | Turn::ScreenGone => return Some(Over::TerminalGone),
            Turn::Typed(Some(typed)) => {
                let (keys, leaves) = keys::until_leave(&typed);
                if !keys.is_empty() && !attachment.says.send_keys(keys) {
                    self.screen.ring();
                }
                return leaves.then_some(Over::Left);
            }
            Turn::Called(SignalAction::End(number, _)) => return Some(Over::Signal(number)),
            Turn::Called(SignalAction::Resized) => attachment.says.resize(screen_size()),
            Turn::Continued => {
                // The shell has used the terminal meanwhile.
                self.raw.again();
                attachment.says.resize(screen_size());
            }
        }
        None
    }

    fn tell(&mut self, event: AttachEvent) -> Option<Over> {
        let Desk { screen, name, .. } = self;
        match event {
            AttachEvent::Attached { service, run, cause } => {
                *name = service.to_string();
                match run {
                    Some(_) => screen.say(&format!("attached to {name}; press Ctrl-] to detach")),
                    None => screen.say(&format!(
                        "{name} is not running ({cause}); waiting for it to start; press Ctrl-] to detach"
                    )),
                }
            }
            AttachEvent::Began { run } => screen.say(&format!("{name} is starting: run {}", run.0)),
            AttachEvent::Ended { exit, .. } => {
                let how = exit.map(|exit| format!(" ({exit})")).unwrap_or_default();
                screen.say(&format!("{name} exited{how}; waiting for it to start again"));
            }
            AttachEvent::Missed { bytes } => {
                // The stack sends the active modes again.
                screen.tidy();
                screen.say(&format!("{bytes} bytes lost: this terminal did not keep up"));
            }
            AttachEvent::Closed { why } => return Some(Over::Closed(why)),
            AttachEvent::Unknown => {}
        }
        None
    }

    /// Restores the terminal; returns the exit code.
    async fn leave(mut self, over: Over) -> i32 {
        self.screen.tidy();
        if let Over::Left = over {
            self.screen.say(&format!("detached from {}", self.name));
        }
        if let Over::Closed(Message { class: MessageClass::NotRunning, text, .. }) = &over {
            self.screen.say(text);
        }
        self.screen.finish().await;
        drop(self.raw);
        match over {
            Over::Left => exit::OK,
            Over::Closed(why) if why.class == MessageClass::NotRunning => exit::OK,
            Over::Closed(why) => refuse(&why, exit::FAILED, false),
            Over::Failed(failure) => end(Err(failure.into()), false, &mut stderr()),
            Over::Lost => {
                let why = Message::new(
                    MessageClass::NotRunning,
                    "lost the stack: its devstack was killed",
                );
                refuse(&why.help("start it again with `devstack up`"), exit::FAILED, false)
            }
            Over::Signal(number) => 128 + number,
            Over::TerminalGone => 128 + libc::SIGHUP,
        }
    }
}

fn screen_size() -> TermSize {
    let size = rustix::termios::tcgetwinsize(stdout()).ok();
    size.map_or(TermSize { rows: 0, columns: 0 }, |size| TermSize {
        rows: size.ws_row,
        columns: size.ws_col,
    })
}
