use std::io::{Write, stdout};
use std::path::PathBuf;

use super::stack_request::is_missing;
use crate::cli::inspect::{LogStyleArgs, LogsOptions, logs};
use crate::cli::render::{CommandError, LogRenderer, clean_stdout};
use crate::cli::{ClientOptions, context};
pub(crate) use crate::control::protocol::find_services;
use crate::control::{AlreadyRunning, ClientError, ControlClient, LogQuery};
use crate::exit_code::ExitCode;
use crate::log::StatusMode;
use crate::supervisor::SignalListener;
use crate::text::one_line;

/// How many lines of each service are shown first.
const LAST: usize = 20;

/// The stack that is already running, and the request to start another one.
pub(super) struct ExistingStack {
    pub busy: AlreadyRunning,
    /// Where the search for it starts.
    pub dir: PathBuf,
    /// Services requested by name.
    pub services: Vec<String>,
}

/// `up` where a stack already runs: follows its log at a terminal (`shown`), or else fails.
pub(super) fn follow_existing(
    running: &ExistingStack,
    shown: Option<LogStyleArgs>,
) -> Result<ExitCode, CommandError> {
    let runtime = context::new_runtime().map_err(|_| running.error(""))?;
    let result = runtime.block_on(async {
        match (running.hint().await, shown) {
            (Ok(hint), Some(shown)) => running.follow(&hint, shown).await,
            (Ok(hint), None) => Err(running.error(&hint)),
            // It does not respond: only that it runs is known.
            (Err(_), _) => Err(running.error("")),
        }
    });
    runtime.shutdown_background();
    result
}

impl ExistingStack {
    fn error(&self, hint: &str) -> CommandError {
        let mut message = self.busy.message();
        if !hint.is_empty() {
            message.help = format!("{hint}\n{}", message.help);
        }
        CommandError::new(message, ExitCode::BUSY)
    }

    /// Returns how to start the requested services that are not running; empty if there are none.
    async fn hint(&self) -> Result<String, ClientError> {
        if self.services.is_empty() {
            return Ok(String::new());
        }
        let stack = ControlClient::here(&self.dir)?.stack().await?;
        let is_down = |name: &String| {
            let found = find_services(&stack, name).unwrap_or_default();
            let of = |view: &&crate::model::ServiceView| found.contains(&view.name);
            let views: Vec<_> = stack.services.iter().filter(of).collect();
            !views.is_empty() && views.iter().all(|view| is_missing(view))
        };
        let down: Vec<&str> =
            self.services.iter().filter(|name| is_down(name)).map(String::as_str).collect();
        if down.is_empty() {
            return Ok(String::new());
        }
        Ok(format!("run `devstack start {}`: not running", one_line(&down.join(" "))))
    }

    async fn follow(&self, hint: &str, shown: LogStyleArgs) -> Result<ExitCode, CommandError> {
        let mut signals = SignalListener::listen().map_err(|_| self.error(hint))?;
        self.print_header(hint);
        let (control, services) = (self.control(), self.services.clone());
        let query = LogQuery {
            follow: true,
            last: Some(LAST),
            status_mode: StatusMode::With,
            unfinished: !control.json,
            ..LogQuery::default()
        };
        let options = LogsOptions { control, services, query };
        let mut face = LogRenderer::new(context::log_style(true, shown));
        let mut out = stdout();
        tokio::select! {
            result = logs(&options, &mut face, context::stdout_closed(), &mut out) => result,
            signal = signals.end() => Ok(ExitCode::of_signal(signal)),
        }
    }

    fn control(&self) -> ClientOptions {
        let color = context::color(&stdout());
        ClientOptions { dir: self.dir.clone(), json: false, color, socket: None }
    }

    fn print_header(&self, hint: &str) {
        let mut text = self.busy.to_string();
        if let AlreadyRunning::Running(record) = &self.busy {
            let since = jiff::Timestamp::try_from(record.since()).unwrap_or_default();
            let since = since.to_zoned(jiff::tz::TimeZone::system());
            let today = since.date() == jiff::Zoned::now().date();
            let format = if today { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" };
            text += &format!(", since {}", since.strftime(format));
        }
        text.push('\n');
        let whose = match &*self.services {
            [] => "its log".to_owned(),
            services => format!("the log of {}", one_line(&services.join(", "))),
        };
        text += &format!("following {whose}; Ctrl-C leaves it running, `devstack down` stops it\n");
        if !hint.is_empty() {
            text += hint;
            text.push('\n');
        }
        // A closed terminal is noticed when the log is written.
        let _ = clean_stdout().write_all(text.as_bytes());
    }
}
