use crate::cli::attach::attach_here;
use crate::cli::inspect::changes_text;
use crate::cli::inspect::ps::now;
use crate::cli::render::{table, text as plan_text, why_text};
use crate::cli::requests::latest_requests;
use crate::cli::tools::{BrowserCommand, NO_BROWSER};
use crate::control::ControlClient;
use crate::model::{EnvView, PlanView, Snapshot, VariableSource, WhyView};
use crate::process::{DeferredCommand, ScreenGuard};
use crate::terminal::KeyReader;
use crate::tui::{Notice, RequestsText, TuiHost, TuiSession, TuiTexts};

/// What commands do for the TUI.
pub struct ClientHost {
    /// `None`: there is no browser.
    browser: Option<DeferredCommand>,
}

impl ClientHost {
    /// Prepares the browser, and what gives the terminal back after a kill; must be called before
    /// there are threads and before a guard is forked.
    pub fn new() -> ClientHost {
        let browser = BrowserCommand::prepare();
        match ScreenGuard::new(TuiSession::<ClientHost>::LEAVE) {
            Ok(guard) => {
                TuiSession::<ClientHost>::guard_terminal(move |taken| guard.screen_is(taken));
            }
            Err(error) => tracing::debug!(%error, "nothing gives the terminal back after a kill"),
        }
        ClientHost { browser }
    }
}

impl TuiHost for ClientHost {
    fn texts(&self) -> TuiTexts {
        TuiTexts { why, env, plan, changes: changes_text, requests }
    }

    fn open(&mut self, url: &str) -> Notice {
        match &mut self.browser {
            Some(browser) => {
                browser.start(url);
                Notice::done(format!("opening {url}"))
            }
            None => Notice::failed(format!("no browser found for {url}: {NO_BROWSER}")),
        }
    }

    async fn attach(
        &mut self,
        client: &ControlClient,
        service: &str,
        keys: &mut Option<KeyReader>,
    ) -> Result<(), String> {
        let result = attach_here(client, service, keys).await;
        result.map(drop).map_err(|error| error.render(false, false).trim_end().to_owned())
    }
}

fn why(why: &WhyView) -> String {
    now().map(|now| why_text(why, now, false)).unwrap_or_default()
}

fn env(env: &EnvView) -> String {
    let mut env = env.clone();
    env.variables.retain(|variable| variable.source != VariableSource::Inherited);
    table(&env, &env.dir)
}

fn requests(stack: Snapshot) -> RequestsText {
    Box::pin(async move {
        let text = latest_requests(stack).await;
        text.map_err(|error| error.render(false, false).trim_end().to_owned())
    })
}

fn plan(plan: &PlanView) -> String {
    plan_text(plan)
}
