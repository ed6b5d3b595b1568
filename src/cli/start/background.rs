use std::io::{self, IsTerminal, Read, Write, stdout};
use std::path::Path;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;

use super::startup_message::StartupMessage;
use crate::cli::context;
use crate::cli::inspect::LogStyleArgs;
use crate::cli::render::{CommandError, LogRenderer, warn};
use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass, ProcessExit};
use crate::process::Foreground;
use crate::regular_file::open_regular;
use crate::supervisor::{SignalAction, SignalListener};

/// How much of the error file is shown, in bytes.
const ERRORS_MAX: u64 = 16 * 1024;

/// The foreground process of `devstack up -d`: shows status lines until the start is finished.
pub(super) fn follow(front: Foreground, shown: LogStyleArgs) -> Result<ExitCode, CommandError> {
    let followed = context::new_runtime().and_then(|runtime| {
        let result = runtime.block_on(StartFollower::new(front, shown).attend());
        runtime.shutdown_background();
        result
    });
    followed.unwrap_or_else(|error| {
        let text = format!("cannot follow startup: {error}");
        let help = "check with `devstack ps`, stop with `devstack down`; startup continues in the background";
        Err(Message::new(MessageClass::Limit, text).help(help).into())
    })
}

struct StartFollower {
    front: Foreground,
    face: LogRenderer,
    json: bool,
    start: StartProgress,
}

enum StartProgress {
    /// The background process still has our terminal and reports errors there itself.
    Before,
    /// It has left the terminal; `errors` is its error file.
    Begun { errors: String },
    /// It stopped before every service had a result.
    Unsettled { errors: String },
    /// The user cancelled the start here.
    CalledOff,
}

enum StartResult {
    /// The start is finished and the stack keeps running; holds the problem if not all is well.
    Settled(Option<Message>),
    Ended(ProcessExit),
    /// The terminal is gone; a stack in the background is meant to outlive that.
    Alone,
}

impl StartFollower {
    fn new(front: Foreground, shown: LogStyleArgs) -> StartFollower {
        let face = LogRenderer::new(context::log_style(stdout().is_terminal(), shown));
        let json = shown.is_json();
        StartFollower { front, face, json, start: StartProgress::Before }
    }

    async fn attend(mut self) -> io::Result<Result<ExitCode, CommandError>> {
        Ok(match self.follow().await? {
            StartResult::Settled(None) => {
                let pid = self.front.child();
                self.say(&format!(
                    "running in the background (pid {pid}); follow with `devstack logs -f`, stop with `devstack down`"
                ));
                Ok(ExitCode::OK)
            }
            StartResult::Settled(Some(message)) => {
                Err(CommandError::new(message, ExitCode::FAILED))
            }
            StartResult::Ended(how) => self.ended(how),
            StartResult::Alone => Ok(ExitCode::of_signal(libc::SIGHUP)),
        })
    }

    async fn follow(&mut self) -> io::Result<StartResult> {
        let mut signals = SignalListener::listen()?;
        let mut lines = BufReader::new(UnixStream::from_std(self.front.socket()?)?).lines();
        let mut open = true;
        let mut ended = self.front.daemon_exited();
        loop {
            tokio::select! {
                biased;
                called = signals.next() => if self.is_left_alone(called) {
                    return Ok(StartResult::Alone);
                },
                line = lines.next_line(), if open => match line {
                    Ok(Some(line)) => if let Some(unwell) = self.handle_message(&line)? {
                        return Ok(StartResult::Settled(unwell));
                    },
                    Ok(None) | Err(_) => open = false,
                },
                how = &mut ended, if !open => {
                    let how = how.map_err(|_| io::Error::other("cannot detect its exit"))?;
                    return Ok(StartResult::Ended(how));
                }
            }
        }
    }

    /// Forwards a signal; returns true if the terminal is gone instead.
    fn is_left_alone(&mut self, called: SignalAction) -> bool {
        match called {
            SignalAction::End(libc::SIGHUP, _) => return true,
            SignalAction::End(signal, _) => {
                self.start = StartProgress::CalledOff;
                self.front.forward_signal(signal);
            }
            SignalAction::Resized => {}
        }
        false
    }

    /// Handles a message; when the start is finished, returns its result.
    fn handle_message(&mut self, line: &str) -> io::Result<Option<Option<Message>>> {
        match serde_json::from_str(line)? {
            StartupMessage::Begins { services, errors } => {
                self.face.set_services(&services);
                if let StartProgress::Before = self.start {
                    self.start = StartProgress::Begun { errors };
                }
            }
            StartupMessage::Log(item) => {
                let mut text = Vec::new();
                self.face.paint(&item, &mut text);
                show(&text);
            }
            StartupMessage::Settled(unwell) => match self.start {
                // It was sent before the process got the signal to stop.
                StartProgress::CalledOff => {}
                StartProgress::Before
                | StartProgress::Begun { .. }
                | StartProgress::Unsettled { .. } => {
                    return Ok(Some(unwell));
                }
            },
            StartupMessage::Unsettled => {
                if let StartProgress::Begun { errors } = &mut self.start {
                    self.start = StartProgress::Unsettled { errors: std::mem::take(errors) };
                }
            }
        }
        Ok(None)
    }

    /// Reports that the background process exited. While it had the terminal, it did so itself.
    fn ended(&mut self, how: ProcessExit) -> Result<ExitCode, CommandError> {
        let code = ExitCode(how.exit_code());
        let (text, errors, code) = match (&self.start, code) {
            (StartProgress::Before | StartProgress::CalledOff, _) => return Ok(code),
            (StartProgress::Begun { .. }, ExitCode::OK) => {
                self.say("everything has finished; nothing is running in the background");
                return Ok(ExitCode::OK);
            }
            (StartProgress::Unsettled { errors }, ExitCode::OK) => (
                "the stack was stopped before everything was ready".to_owned(),
                errors,
                ExitCode::FAILED,
            ),
            (StartProgress::Begun { errors } | StartProgress::Unsettled { errors }, _) => {
                let text = match how {
                    ProcessExit::Code(_) | ProcessExit::Signal(libc::SIGINT) => {
                        "the stack has stopped".to_owned()
                    }
                    ProcessExit::Signal(_) => {
                        format!("devstack in the background was killed by {how}")
                    }
                };
                (text, errors, code)
            }
        };
        warn(&String::from_utf8_lossy(&read(errors)));
        let help = "run `devstack logs` for details";
        Err(CommandError::new(Message::new(MessageClass::NotRunning, text).help(help), code))
    }

    fn say(&mut self, text: &str) {
        if self.json {
            return;
        }
        let mut line = Vec::new();
        self.face.status_line(text, &mut line);
        show(&line);
    }
}

/// Ignores errors: the exit code matters even if the output is closed.
fn show(text: &[u8]) {
    let mut out = stdout().lock();
    let _ = out.write_all(text).and_then(|()| out.flush());
}

/// Returns the beginning of a file, or nothing.
fn read(path: &str) -> Vec<u8> {
    let mut text = Vec::new();
    // What was read before an error is still right.
    let _ =
        open_regular(Path::new(path)).and_then(|file| file.take(ERRORS_MAX).read_to_end(&mut text));
    text
}
