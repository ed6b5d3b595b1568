//! Which page belongs to a service, and whether it can be opened now.

use crate::control::{Client, Failure, WaitFor, find_services, only_one};
use crate::model::{Class, Message, Name, Phase, ServiceView, Snapshot};

/// What opening a service comes to.
#[derive(Debug)]
pub(super) enum Page {
    /// This URL.
    Ready(String),
    /// Later: it is not ready yet, for this reason.
    NotYet(String),
}

/// The service that is meant: of this name, or the primary one.
pub(super) fn meant(stack: &Snapshot, service: Option<&str>) -> Result<Name, Failure> {
    match service {
        Some(text) => {
            let found = find_services(stack, text).map_err(Failure::UnknownService)?;
            only_one(text, found).map_err(Failure::Refused)
        }
        None => stack.primary.clone().ok_or_else(|| {
            let text = format!("no service of {} has a port", stack.stack);
            Failure::Refused(Message::new(Class::Usage, text).help("give one a `port`"))
        }),
    }
}

/// The page of a service, as it is now.
///
/// # Errors
/// It has none, or will have none without somebody who does something about it.
pub(super) fn page(stack: &Snapshot, name: &Name) -> Result<Page, Message> {
    let gone = || Message::new(Class::Usage, format!("{name} has left the stack"));
    let view = stack.services.iter().find(|view| view.name == *name).ok_or_else(gone)?;
    match view.phase {
        Phase::Waiting | Phase::Starting | Phase::Backoff => Ok(Page::NotYet(view.cause.clone())),
        Phase::Ready | Phase::Unhealthy => url(view).map(Page::Ready),
        Phase::Failed => {
            let message = Message::new(Class::Exit, format!("{name} has failed: {}", view.cause));
            Err(message.help(format!("`devstack why {name}` says more")))
        }
        Phase::Idle | Phase::Stopping | Phase::Done => {
            let message = Message::new(Class::Exit, format!("{name} does not run: {}", view.cause));
            Err(message.help(format!("`devstack start {name}`")))
        }
    }
}

fn url(view: &ServiceView) -> Result<String, Message> {
    let name = &view.name;
    match &view.url {
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => Ok(url.clone()),
        Some(url) => {
            let text = format!("{name} has no page: it is at {url}");
            Err(Message::new(Class::Port, text).help("name a service that answers browsers"))
        }
        None => {
            let text = format!("{name} has no page: it listens on no port");
            Err(Message::new(Class::Port, text).help("name a service that answers browsers"))
        }
    }
}

/// Asks a running stack for the service that is meant and its page; waits until it is ready. `say` is told why.
pub(super) async fn ask(
    client: &Client,
    service: Option<&str>,
    say: impl FnOnce(&Name, &str),
) -> Result<(Name, String), Failure> {
    let stack = client.stack().await?;
    let name = meant(&stack, service)?;
    match page(&stack, &name).map_err(Failure::Refused)? {
        Page::Ready(url) => return Ok((name, url)),
        Page::NotYet(why) => say(&name, &why),
    }
    client.wait(&[name.to_string()], Some(WaitFor::Ready)).await?;
    match page(&client.stack().await?, &name).map_err(Failure::Refused)? {
        Page::Ready(url) => Ok((name, url)),
        Page::NotYet(why) => {
            let message = Message::new(Class::Exit, format!("{name} is not ready any more: {why}"));
            Err(Failure::Refused(message.help(format!("`devstack why {name}` says more"))))
        }
    }
}
