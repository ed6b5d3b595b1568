//! `devstack up --open`: opens the page of the primary service when the start is finished.

use std::path::Path;

use tokio::sync::watch;

use crate::cli::tools::{BrowserCommand, NO_BROWSER, ServicePage, page};
use crate::control::{ClientError, ControlClient};
use crate::log::{StatusText, StatusTone};
use crate::model::{Message, Snapshot};
use crate::process::DeferredCommand;
use crate::supervisor::SupervisorHandle;

/// Opens one page, or reports why it cannot.
pub(super) struct PageOpener(Option<DeferredCommand>);

impl PageOpener {
    /// Prepares the browser; must be called before there are threads and before the guard is
    /// forked.
    pub fn new() -> PageOpener {
        PageOpener(BrowserCommand::prepare())
    }

    pub async fn when_settled(self, mut settled: watch::Receiver<bool>, handle: SupervisorHandle) {
        // A stack that stopped meanwhile has no page.
        if settled.wait_for(|settled| *settled).await.is_err() {
            return;
        }
        let Ok(snapshot) = handle.snapshot().await else { return };
        let (tone, text) = match find(&snapshot) {
            Ok(url) => self.open(&url),
            Err(message) => (StatusTone::Warning, format!("cannot open a page: {}", message.text)),
        };
        handle.logs().write_status(StatusText::stack_wide(tone, text));
    }

    /// Opens the page of a stack that is already running; returns a message for the user.
    pub async fn of_running(self, dir: &Path) -> String {
        let asked =
            async { page::wait_for_page(&ControlClient::here(dir)?, None, |_, _| {}).await };
        match asked.await {
            Ok((_, url)) => self.open(&url).1,
            Err(failure) => format!("cannot open a page: {}", failure.message().text),
        }
    }

    fn open(self, url: &str) -> (StatusTone, String) {
        match self.0 {
            Some(mut later) => {
                later.start(url);
                (StatusTone::Notice, format!("opening {url}"))
            }
            None => (StatusTone::Warning, format!("no browser found for {url}: {NO_BROWSER}")),
        }
    }
}

fn find(snapshot: &Snapshot) -> Result<String, Message> {
    let name = page::target_service(snapshot, None)
        .map_err(|failure: ClientError| failure.message().clone())?;
    match page::page(snapshot, &name)? {
        ServicePage::Ready(url) => Ok(url),
        ServicePage::NotYet(why) => Err(Message::new(
            crate::model::MessageClass::ReadyTimeout,
            format!("{name} is not ready: {why}"),
        )),
    }
}
