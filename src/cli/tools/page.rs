//! Finds the page of a service, and whether it can be opened now.

pub(crate) use crate::control::protocol::find_services;
use crate::control::{ClientError, ControlClient, exactly_one};
use crate::model::{Message, MessageClass, Name, Phase, ServiceView, Snapshot, WaitCondition};

/// The page of a service, or why it has to wait.
#[derive(Debug)]
pub(crate) enum ServicePage {
    Ready(String),
    NotYet(String),
}

/// Resolves the name, or selects the primary service.
pub(crate) fn target_service(stack: &Snapshot, service: Option<&str>) -> Result<Name, ClientError> {
    match service {
        Some(text) => {
            let found = find_services(stack, text).map_err(ClientError::UnknownService)?;
            exactly_one(text, found).map_err(ClientError::Refused)
        }
        None => stack.primary.clone().ok_or_else(|| {
            let text = format!("no service of {} has a port", stack.stack);
            ClientError::Refused(
                Message::new(MessageClass::Usage, text).help("set a `port` for one of them"),
            )
        }),
    }
}

/// Returns the current state of a service's page.
///
/// # Errors
/// The service has no page, or will have none without action by the user.
pub(crate) fn page(stack: &Snapshot, name: &Name) -> Result<ServicePage, Message> {
    let gone = || Message::new(MessageClass::Usage, format!("{name} is no longer in the stack"));
    let view = stack.services.iter().find(|view| view.name == *name).ok_or_else(gone)?;
    match view.phase {
        Phase::Waiting | Phase::Starting | Phase::Backoff => {
            Ok(ServicePage::NotYet(view.cause.clone()))
        }
        // The browser wakes what is asleep.
        Phase::Ready | Phase::Unhealthy | Phase::Asleep => url(view).map(ServicePage::Ready),
        Phase::Failed | Phase::Blocked => {
            let what = if view.phase == Phase::Failed { "failed" } else { "is blocked" };
            let message =
                Message::new(MessageClass::Exit, format!("{name} {what}: {}", view.cause));
            Err(message.help(format!("run `devstack why {name}` for details")))
        }
        Phase::Idle | Phase::Stopping | Phase::Done => {
            let message =
                Message::new(MessageClass::Exit, format!("{name} is not running: {}", view.cause));
            Err(message.help(format!("run `devstack start {name}`")))
        }
    }
}

fn url(view: &ServiceView) -> Result<String, Message> {
    let name = &view.name;
    match view.origin.as_ref().or(view.url.as_ref()) {
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => Ok(url.clone()),
        Some(url) => {
            let text = format!("{name} has no web page: it is at {url}");
            Err(Message::new(MessageClass::Port, text).help("choose a service that serves HTTP"))
        }
        None => {
            let text = format!("{name} has no web page: it has no port");
            Err(Message::new(MessageClass::Port, text).help("choose a service that serves HTTP"))
        }
    }
}

/// Finds the page of a service and waits until it is ready, passing the reason to `say`.
pub(crate) async fn wait_for_page(
    client: &ControlClient,
    service: Option<&str>,
    say: impl FnOnce(&Name, &str),
) -> Result<(Name, String), ClientError> {
    let stack = client.stack().await?;
    let name = target_service(&stack, service)?;
    match page(&stack, &name).map_err(ClientError::Refused)? {
        ServicePage::Ready(url) => return Ok((name, url)),
        ServicePage::NotYet(why) => say(&name, &why),
    }
    client.wait(&[name.to_string()], WaitCondition::Ready).await?.answer().await?;
    match page(&client.stack().await?, &name).map_err(ClientError::Refused)? {
        ServicePage::Ready(url) => Ok((name, url)),
        ServicePage::NotYet(why) => {
            let message =
                Message::new(MessageClass::Exit, format!("{name} is no longer ready: {why}"));
            Err(ClientError::Refused(
                message.help(format!("run `devstack why {name}` for details")),
            ))
        }
    }
}
