use std::path::PathBuf;

use crate::cli::render::CommandError;
use crate::cli::start::{PromptReply, TtyPrompt};
use crate::control::{ClientError, ControlClient};
use crate::model::{Message, MessageClass};

/// Options of every command that talks to a running stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// Where the search for the stack starts.
    pub dir: PathBuf,
    /// Whether data and errors are JSON.
    pub json: bool,
    /// Whether `out` is a terminal that shows colors.
    pub color: bool,
    /// The socket, if it is already known.
    pub socket: Option<PathBuf>,
}

impl ClientOptions {
    /// Returns a client for the stack.
    pub(crate) fn client(&self) -> Result<ControlClient, ClientError> {
        match &self.socket {
            Some(socket) => Ok(ControlClient::at(socket)),
            None => ControlClient::here(&self.dir),
        }
    }

    /// Returns these services, or the one of [`ClientOptions::named`].
    pub(crate) async fn all_named(&self, services: &[String]) -> Result<Vec<String>, CommandError> {
        match services {
            [] => Ok(vec![self.named(None).await?]),
            services => Ok(services.to_vec()),
        }
    }

    /// Returns this service; without one, the only one of the stack, or the one that the user
    /// chooses at a prompt.
    pub(crate) async fn named(&self, service: Option<&str>) -> Result<String, CommandError> {
        if let Some(service) = service {
            return Ok(service.to_owned());
        }
        let snapshot = self.client()?.stack().await?;
        let names: Vec<&str> = snapshot.services.iter().map(|one| one.name.as_str()).collect();
        if let [only] = names[..] {
            return Ok(only.to_owned());
        }
        let names = names.join(", ");
        let prompt = if self.json { None } else { TtyPrompt::here() };
        match prompt.map(|mut prompt| prompt.ask(&format!("which service? ({names})"))) {
            Some(PromptReply::Line(name)) if !name.is_empty() => Ok(name),
            Some(PromptReply::Interrupt) => Err(CommandError::Interrupted),
            Some(PromptReply::Line(_) | PromptReply::End) | None => {
                let message = Message::new(MessageClass::Usage, "missing service name");
                Err(message.help(format!("available services: {names}")).into())
            }
        }
    }
}
