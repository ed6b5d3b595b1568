use std::fs::File;
use std::io::{self, IsTerminal, Read, Write, stderr, stdout};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;

use super::log_args::{Form, Shown};
use super::log_face::Face;
use super::logs::LogFace;
use super::word::Word;
use crate::error::exit;
use crate::model::{Class, Exit, Message};
use crate::runtime::process::Front;
use crate::runtime::signals::{Called, Signals};

/// What is shown at most of what a broken devstack wrote, in bytes.
const ERRORS_MAX: u64 = 16 * 1024;

/// The process that was started by `devstack up -d`: shows what the one in the background says until everything is
/// ready or done, or has failed; the exit code.
pub(super) fn attend(front: Front, shown: Shown) -> i32 {
    let json = shown.output == Form::Json;
    let outcome = super::runtime().and_then(|runtime| {
        let outcome = runtime.block_on(Attendant::new(front, shown).attend());
        runtime.shutdown_background();
        outcome
    });
    outcome.unwrap_or_else(|error| {
        let text = format!("cannot follow the start: {error}");
        let help = "it goes on in the background: `devstack ps` shows it, `devstack down` stops it";
        super::complain::refuse(&Message::new(Class::Limit, text).help(help), exit::FAILED, json)
    })
}

struct Attendant {
    front: Front,
    face: Face,
    json: bool,
    start: Start,
}

/// What is known of the start.
enum Start {
    /// The one in the background still has our terminal, and says there what goes wrong.
    Before,
    /// Where it writes when it is broken.
    Begun { errors: String },
    /// It ended before everything had come to a result.
    Unsettled { errors: String },
    /// Somebody called it off here.
    CalledOff,
}

/// What came of the start.
enum Outcome {
    /// It is over, and the stack goes on; with why that is not well.
    Settled(Option<Message>),
    /// The stack has ended.
    Ended(Exit),
    /// The terminal is gone. Whoever wanted a stack in the background wants it to outlive that.
    Alone,
}

impl Attendant {
    fn new(front: Front, shown: Shown) -> Attendant {
        let face = Face::new(super::look(stdout().is_terminal(), shown));
        let json = shown.output == Form::Json;
        Attendant { front, face, json, start: Start::Before }
    }

    async fn attend(mut self) -> io::Result<i32> {
        Ok(match self.follow().await? {
            Outcome::Settled(None) => {
                let pid = self.front.child();
                self.say(&format!(
                    "it runs in the background (pid {pid}): `devstack logs -f` follows it, `devstack down` stops it"
                ));
                exit::OK
            }
            Outcome::Settled(Some(message)) => {
                super::complain::refuse(&message, exit::FAILED, self.json)
            }
            Outcome::Ended(how) => self.ended(how),
            Outcome::Alone => 128 + libc::SIGHUP,
        })
    }

    /// Shows what is said, and passes on what calls off the start.
    async fn follow(&mut self) -> io::Result<Outcome> {
        let mut signals = Signals::listen()?;
        let mut lines = BufReader::new(UnixStream::from_std(self.front.socket()?)?).lines();
        let mut open = true;
        let mut ended = self.front.ended();
        loop {
            tokio::select! {
                biased;
                called = signals.next() => if self.is_left_alone(called) {
                    return Ok(Outcome::Alone);
                },
                line = lines.next_line(), if open => match line {
                    Ok(Some(line)) => if let Some(unwell) = self.hear(&line)? {
                        return Ok(Outcome::Settled(unwell));
                    },
                    // It has ended, or is about to.
                    Ok(None) | Err(_) => open = false,
                },
                how = &mut ended, if !open => {
                    let how = how.map_err(|_| io::Error::other("its end cannot be seen"))?;
                    return Ok(Outcome::Ended(how));
                }
            }
        }
    }

    /// Passes on a signal; whether it says that nobody is there any more.
    fn is_left_alone(&mut self, called: Called) -> bool {
        match called {
            Called::End(libc::SIGHUP, _) => return true,
            Called::End(signal, _) => {
                self.start = Start::CalledOff;
                self.front.pass_on(signal);
            }
            Called::Resized => {}
        }
        false
    }

    /// Takes a word; when the start is over, what is not well.
    fn hear(&mut self, line: &str) -> io::Result<Option<Option<Message>>> {
        match serde_json::from_str(line)? {
            Word::Begins { services, errors } => {
                self.face.set_services(&services);
                if let Start::Before = self.start {
                    self.start = Start::Begun { errors };
                }
            }
            Word::Log(item) => {
                let mut text = Vec::new();
                self.face.paint(&item, &mut text);
                show(&text);
            }
            Word::Settled(unwell) => match self.start {
                // It has not heard yet that it is to end.
                Start::CalledOff => {}
                Start::Before | Start::Begun { .. } | Start::Unsettled { .. } => {
                    return Ok(Some(unwell));
                }
            },
            Word::Unsettled => {
                if let Start::Begun { errors } = &mut self.start {
                    self.start = Start::Unsettled { errors: std::mem::take(errors) };
                }
            }
        }
        Ok(None)
    }

    /// The stack has ended before it was ready, or because nothing is left to run. Before it had let go of the terminal it
    /// has said everything itself.
    fn ended(&mut self, how: Exit) -> i32 {
        let code = how.shell_code();
        let (text, errors, code) = match (&self.start, code) {
            (Start::Before | Start::CalledOff, _) => return code,
            (Start::Begun { .. }, exit::OK) => {
                self.say("everything has ended; nothing runs in the background");
                return exit::OK;
            }
            (Start::Unsettled { errors }, exit::OK) => (
                "the stack was stopped before everything was ready".to_owned(),
                errors,
                exit::FAILED,
            ),
            (Start::Begun { errors } | Start::Unsettled { errors }, _) => {
                let text = match how {
                    Exit::Code(_) => "the stack has ended, nothing runs any more".to_owned(),
                    Exit::Signal(_) => format!("the devstack in the background was ended by {how}"),
                };
                (text, errors, code)
            }
        };
        // When not even this can be written, the exit code has to say it.
        let _ = stderr().write_all(&read(errors));
        let help = "`devstack logs` shows what was said";
        super::complain::refuse(&Message::new(Class::NotRunning, text).help(help), code, self.json)
    }

    fn say(&mut self, text: &str) {
        if self.json {
            return;
        }
        let mut line = Vec::new();
        self.face.say(text, &mut line);
        show(&line);
    }
}

/// Whoever does not read it may still want the exit code.
fn show(text: &[u8]) {
    let mut out = stdout().lock();
    let _ = out.write_all(text).and_then(|()| out.flush());
}

/// The beginning of a file, if there is one.
fn read(path: &str) -> Vec<u8> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(ERRORS_MAX).read_to_end(&mut text));
    // What cannot be read is not shown; the exit code says that it failed.
    drop(read);
    text
}
