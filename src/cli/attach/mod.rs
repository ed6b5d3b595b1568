//! `devstack attach SERVICE`: shows the terminal of a service in this one.

pub(crate) mod keys;
mod screen;

use std::io::{IsTerminal, stdin, stdout};
use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::context;
use super::render::CommandError;
use crate::cli::args::FileArgs;
use crate::control::{
    AttachConnection, AttachEvent, AttachMessage, AttachQuery, ClientError, ControlClient,
};
use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass};
use crate::process::{FileId, TermSize};
use crate::supervisor::{SignalAction, SignalListener};
use crate::terminal::{self, KeyReader, RawMode};
use screen::ScreenWriter;

/// `devstack attach`.
#[derive(Debug, Args)]
#[command(
    after_help = "All keys go to the service, including Ctrl-C and Ctrl-Z. Ctrl-] detaches; the service keeps running.
A service has a terminal if it sets `tty = true`, or by default if devstack itself writes to one."
)]
pub struct AttachArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Service, or a replica such as api-2
    #[arg(value_name = "SERVICE")]
    pub service: String,
}

pub(super) fn attach(files: &[PathBuf], args: &AttachArgs) -> Result<ExitCode, CommandError> {
    if !stdin().is_terminal() || !stdout().is_terminal() {
        return Err(Message::new(MessageClass::Usage, "`devstack attach` requires a terminal")
            .help("use `devstack logs -f` in scripts; for editors, see docs/protocol.md")
            .into());
    }
    let runtime = context::runtime()?;
    let dir = context::project_dir(files);
    let result = runtime.block_on(async {
        let client = ControlClient::here(&dir)?;
        attach_here(&client, &args.service, &mut None).await
    });
    // Does not wait for threads that block on a paused terminal.
    runtime.shutdown_background();
    result
}

/// Attaches to a service in the terminal on stdin and stdout. Keys come from `keys` if there is a
/// reader.
pub(super) async fn attach_here(
    client: &ControlClient,
    service: &str,
    keys: &mut Option<KeyReader>,
) -> Result<ExitCode, CommandError> {
    let screen = terminal::ClientScreen { size: screen_size(), terminal: FileId::of(stdout()) };
    let query = AttachQuery { service: service.to_owned(), screen };
    let attachment = client.attach(&query).await?;
    // From here on no signal kills this process, which would leave the terminal in raw mode.
    let signals = SignalListener::listen()?;
    let continued = signal(SignalKind::from_raw(libc::SIGCONT))?;
    let raw = RawMode::begin()?;
    let screen = ScreenWriter::start(context::color(&stdout()))?;
    let keys = match keys {
        Some(keys) => keys,
        None => keys.insert(KeyReader::read()?),
    };
    let name = service.to_owned();
    AttachTerminal { keys, screen, signals, continued, raw, name }.run(attachment).await
}

struct AttachTerminal<'a> {
    keys: &'a mut KeyReader,
    screen: ScreenWriter,
    signals: SignalListener,
    continued: Signal,
    raw: RawMode,
    name: String,
}

enum AttachInput {
    Heard(Result<Option<AttachMessage>, ClientError>),
    Typed(Option<Vec<u8>>),
    Called(SignalAction),
    Continued,
    ScreenGone,
}

enum AttachEnd {
    Left,
    Closed(Message),
    Failed(ClientError),
    Lost,
    Signal(i32),
    TerminalGone,
}

impl AttachTerminal<'_> {
    /// Forwards keys and output until either side ends the session.
    async fn run(mut self, mut attachment: AttachConnection) -> Result<ExitCode, CommandError> {
        let over = loop {
            let turn = self.next(&mut attachment).await;
            match self.handle(turn, &mut attachment) {
                Some(over) => break over,
                None => continue,
            }
        };
        self.leave(over).await
    }

    async fn next(&mut self, attachment: &mut AttachConnection) -> AttachInput {
        let AttachConnection { hears, says } = attachment;
        let screen = &mut self.screen;
        let heard = async {
            match screen.wait_for_room().await {
                true => AttachInput::Heard(hears.next().await),
                false => AttachInput::ScreenGone,
            }
        };
        tokio::select! {
            called = self.signals.next() => AttachInput::Called(called),
            Some(()) = self.continued.recv() => AttachInput::Continued,
            keys = self.keys.next() => AttachInput::Typed(keys),
            turn = heard => turn,
            // The connection is closed; read what is left first.
            () = says.flush() => AttachInput::Heard(hears.next().await),
        }
    }

    fn handle(
        &mut self,
        turn: AttachInput,
        attachment: &mut AttachConnection,
    ) -> Option<AttachEnd> {
        match turn {
            AttachInput::Heard(Ok(Some(AttachMessage::Output(bytes)))) => self.screen.show(&bytes),
            AttachInput::Heard(Ok(Some(AttachMessage::Event(event)))) => {
                return self.handle_event(event);
            }
            AttachInput::Heard(Ok(None)) => return Some(AttachEnd::Lost),
            AttachInput::Heard(Err(failure)) => return Some(AttachEnd::Failed(failure)),
            AttachInput::Typed(None) | AttachInput::ScreenGone => {
                return Some(AttachEnd::TerminalGone);
            }
            AttachInput::Typed(Some(typed)) => {
                let (keys, leaves) = keys::split_at_detach(&typed);
                if !keys.is_empty() && !attachment.says.send_keys(keys) {
                    self.screen.ring();
                }
                return leaves.then_some(AttachEnd::Left);
            }
            AttachInput::Called(SignalAction::End(number, _)) => {
                return Some(AttachEnd::Signal(number));
            }
            AttachInput::Called(SignalAction::Resized) => attachment.says.resize(screen_size()),
            AttachInput::Continued => {
                // The shell has used the terminal meanwhile.
                self.raw.again();
                attachment.says.resize(screen_size());
            }
        }
        None
    }

    fn handle_event(&mut self, event: AttachEvent) -> Option<AttachEnd> {
        let AttachTerminal { screen, name, .. } = self;
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
                screen.restore_modes();
                screen.say(&format!("{bytes} bytes lost: this terminal did not keep up"));
            }
            AttachEvent::Closed { why } => return Some(AttachEnd::Closed(why)),
            AttachEvent::Unknown => {}
        }
        None
    }

    /// Restores the terminal.
    async fn leave(mut self, over: AttachEnd) -> Result<ExitCode, CommandError> {
        self.screen.restore_modes();
        if let AttachEnd::Left = over {
            self.screen.say(&format!("detached from {}", self.name));
        }
        if let AttachEnd::Closed(Message { class: MessageClass::NotRunning, text, .. }) = &over {
            self.screen.say(text);
        }
        self.screen.finish().await;
        drop(self.raw);
        match over {
            AttachEnd::Left => Ok(ExitCode::OK),
            AttachEnd::Closed(why) if why.class == MessageClass::NotRunning => Ok(ExitCode::OK),
            AttachEnd::Closed(why) => Err(CommandError::new(why, ExitCode::FAILED)),
            AttachEnd::Failed(error) => Err(error.into()),
            AttachEnd::Lost => {
                let text = "lost the stack: its devstack was killed";
                let why = Message::new(MessageClass::NotRunning, text)
                    .help("start it again with `devstack up`");
                Err(CommandError::new(why, ExitCode::FAILED))
            }
            AttachEnd::Signal(number) => Ok(ExitCode::of_signal(number)),
            AttachEnd::TerminalGone => Ok(ExitCode::of_signal(libc::SIGHUP)),
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
