use std::io;

use serde_json::json;

use crate::config::DiagnosticList;
use crate::control::{AlreadyRunning, ClientError};
use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass};
use crate::supervisor::reload::join_messages;
use crate::text::one_line;

/// Why a command failed.
pub(crate) enum CommandError {
    /// At least one message.
    Messages(Vec<Message>, ExitCode),
    Config(DiagnosticList),
    /// `up` or `run` where a stack is running.
    AlreadyRunning(AlreadyRunning),
    /// The stack did not do what was requested.
    Client(ClientError),
    /// The user pressed Ctrl-C at a prompt.
    Interrupted,
    /// The output cannot be written.
    Output(io::Error),
}

impl From<Message> for CommandError {
    fn from(message: Message) -> CommandError {
        let code = ExitCode::of(message.class);
        CommandError::new(message, code)
    }
}

impl From<DiagnosticList> for CommandError {
    fn from(list: DiagnosticList) -> CommandError {
        CommandError::Config(list)
    }
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> CommandError {
        CommandError::Client(error)
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> CommandError {
        CommandError::Output(error)
    }
}

impl CommandError {
    pub fn new(message: Message, code: ExitCode) -> CommandError {
        CommandError::Messages(vec![message], code)
    }

    /// The system did not let devstack do `what`.
    pub fn internal(what: &str, error: &io::Error, code: ExitCode) -> CommandError {
        let message = Message::new(MessageClass::Limit, format!("cannot {what}: {error}")).help(
            "check `ulimit -a`: the system may be out of processes, memory or file descriptors",
        );
        CommandError::new(message, code)
    }

    pub fn exit_code(&self) -> ExitCode {
        match self {
            CommandError::Messages(_, code) => *code,
            CommandError::Config(_) => ExitCode::USAGE,
            CommandError::AlreadyRunning(_) => ExitCode::BUSY,
            CommandError::Client(error) => error.exit_code(),
            CommandError::Interrupted => ExitCode::of_signal(libc::SIGINT),
            // The reader has seen enough, as in `devstack logs | head -1`.
            CommandError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                ExitCode::OK
            }
            CommandError::Output(_) => ExitCode::FAILED,
        }
    }

    pub fn message(&self) -> Message {
        match self {
            CommandError::Messages(all, _) => join_messages(all),
            CommandError::Config(list) => list.summary(),
            CommandError::AlreadyRunning(busy) => busy.message(),
            CommandError::Client(error) => error.message().clone(),
            CommandError::Interrupted => Message::new(MessageClass::Usage, "interrupted"),
            CommandError::Output(error) => {
                Message::new(MessageClass::Disk, format!("cannot write output: {error}"))
            }
        }
    }

    /// Formats the error for stderr, with line ends. JSON is always a single object.
    pub fn render(&self, as_json: bool, color: bool) -> String {
        match self {
            CommandError::Messages(..)
            | CommandError::Config(_)
            | CommandError::AlreadyRunning(_)
            | CommandError::Client(_)
                if as_json =>
            {
                message_json(&self.message())
            }
            CommandError::Messages(all, _) => all.iter().map(Message::render).collect(),
            CommandError::Config(list) => list.render(color),
            CommandError::AlreadyRunning(busy) => busy.message().render(),
            CommandError::Client(error) => received_text(error.message()),
            CommandError::Interrupted => String::new(),
            CommandError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                String::new()
            }
            CommandError::Output(error) => format!("error: cannot write output: {error}\n"),
        }
    }
}

/// Formats a message for stderr.
pub(crate) fn message_text(message: &Message, as_json: bool) -> String {
    if as_json { message_json(message) } else { message.render() }
}

fn message_json(message: &Message) -> String {
    json!({ "error": message }).to_string() + "\n"
}

/// Formats a message that another devstack sent.
pub(crate) fn received_text(message: &Message) -> String {
    // Diagnostics with their excerpts are formatted already.
    if message.class == MessageClass::Config && message.text.contains('\n') {
        return message.text.lines().map(|line| one_line(line) + "\n").collect();
    }
    let help = message.help.lines().map(one_line).collect::<Vec<_>>().join("\n");
    Message::new(message.class, one_line(&message.text)).help(help).render()
}

/// Formats a note like an error.
pub(crate) fn note_text(note: &Message) -> String {
    note.render().replacen("error:", "note:", 1)
}
