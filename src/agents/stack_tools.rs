//! Does what tools are called for: through the control client, or as a command of this program.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::answers::{
    MOST_BYTES, ToolAnswer, USUAL_BYTES, action_answer, broken_check_answer, check_answer,
    env_answer, log_answer, not_running_answer, plan_answer, port_report_answer, ports_answer,
    request_answer, request_list_answer, stack_answer, why_answer,
};
use super::log_page::{LogPage, LogPageRange, PrintedLog};
use super::own_command::OwnProgram;
use super::tool_call::{
    ActionArguments, DebugArguments, LogsArguments, PortsArguments, RequestsArguments,
    StopArguments, ToolCall, UpArguments, WaitArguments,
};
use crate::control::{ClientError, ControlClient, ProjectRecord};
use crate::model::{
    CursorKind, CursorText, DisplayDuration, EnvView, Message, MessageClass, PlanView, Snapshot,
};
use crate::ports::PortReport;
use crate::ports::report::PortRow;
use crate::text::join;

/// How long `up` waits for services. The start goes on.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long `wait` waits unless told otherwise, in seconds.
const USUAL_WAIT: u64 = 60;
/// Most that it can be told, in seconds.
const LONGEST_WAIT: u64 = 3_600;
/// What surrounds the lines of a log, in bytes.
const LOG_FRAME: usize = 320;

/// The tools of one project.
#[derive(Debug, Clone)]
pub(super) struct StackTools {
    /// Where the search for the stack starts.
    pub dir: PathBuf,
    pub commands: OwnProgram,
}

impl StackTools {
    /// Carries out a call. Dropping the future gives up waiting; what was begun goes on.
    pub async fn call(&self, call: ToolCall) -> Result<ToolAnswer, Message> {
        match call {
            ToolCall::Status(_) => self.status().await,
            ToolCall::Up(arguments) => self.up(&arguments).await,
            ToolCall::Logs(arguments) => self.logs(&arguments).await,
            ToolCall::Why(arguments) => {
                Ok(why_answer(&self.client()?.why(&arguments.service).await.map_err(message)?))
            }
            ToolCall::Wait(arguments) => self.wait(&arguments).await,
            ToolCall::Restart(arguments) => {
                some(&arguments.services)?;
                sentence(self.client()?.restart(&arguments.services).await)
            }
            ToolCall::Stop(arguments) => self.stop(&arguments).await,
            ToolCall::Debug(arguments) => self.debug(&arguments).await,
            ToolCall::Ports(arguments) => self.ports(&arguments).await,
            ToolCall::Check(_) => self.check().await,
            ToolCall::Plan(_) => Ok(plan_answer(&self.plan().await?)),
            ToolCall::Env(arguments) => {
                let view: EnvView = self.json(&["env", "--json", "--", &arguments.service]).await?;
                Ok(env_answer(&view))
            }
            ToolCall::Requests(arguments) => self.requests(&arguments).await,
            ToolCall::RunAction(arguments) => self.run_action(&arguments).await,
        }
    }

    fn client(&self) -> Result<ControlClient, Message> {
        ControlClient::here(&self.dir).map_err(|error| for_agents(message(error)))
    }

    async fn snapshot(&self) -> Result<Snapshot, ClientError> {
        ControlClient::here(&self.dir)?.stack().await
    }

    async fn status(&self) -> Result<ToolAnswer, Message> {
        match self.snapshot().await {
            Ok(snapshot) => Ok(stack_answer(&snapshot)),
            Err(ClientError::NotRunning(_)) => Ok(not_running_answer(&self.dir)),
            Err(error) => Err(message(error)),
        }
    }

    /// Returns what `up` would start where this user has never run a stack. A person must agree.
    pub async fn first_start(&self) -> Result<Option<PlanView>, Message> {
        if ControlClient::here(&self.dir).is_ok() {
            return Ok(None);
        }
        let plan = self.plan().await?;
        Ok(if plan.running || ProjectRecord::has_run(&plan.dir) { None } else { Some(plan) })
    }

    async fn up(&self, arguments: &UpArguments) -> Result<ToolAnswer, Message> {
        let mut words = vec!["up", "--detach", "--output", "json", "--"];
        words.extend(arguments.services.iter().map(String::as_str));
        let started = self.commands.run_detached(&words);
        match tokio::time::timeout(START_LIMIT, started).await {
            Ok(result) => drop(result?.output()?),
            Err(_) => return Err(self.not_ready(START_LIMIT).await),
        }
        // Tasks alone leave no stack behind.
        self.status().await
    }

    async fn not_ready(&self, time: Duration) -> Message {
        let open = match self.snapshot().await {
            Ok(snapshot) => join(
                snapshot
                    .in_progress()
                    .map(|one| format!("{} is {} ({})", one.name, one.phase, one.cause)),
                "; ",
            ),
            Err(_) => String::new(),
        };
        let text = format!("not ready within {}: {open}", DisplayDuration(time));
        Message::new(MessageClass::ReadyTimeout, text)
            .help("nothing was stopped; use `why` on a service, or `wait` to wait longer")
    }

    async fn wait(&self, arguments: &WaitArguments) -> Result<ToolAnswer, Message> {
        let seconds = arguments.timeout_seconds.unwrap_or(USUAL_WAIT).clamp(1, LONGEST_WAIT);
        let time = Duration::from_secs(seconds);
        let client = self.client()?;
        let waiting = async {
            let stream = client.wait(&arguments.services, arguments.what).await?;
            stream.answer().await
        };
        match tokio::time::timeout(time, waiting).await {
            Ok(answer) => sentence(answer),
            Err(_) => Err(self.not_ready(time).await),
        }
    }

    async fn stop(&self, arguments: &StopArguments) -> Result<ToolAnswer, Message> {
        match (arguments.all, arguments.services.as_slice()) {
            (true, []) => sentence(self.client()?.down().await),
            (false, [_, ..]) => sentence(self.client()?.stop(&arguments.services).await),
            (true, [_, ..]) | (false, []) => {
                let text = "`stop` needs either `services` or `all`";
                Err(Message::new(MessageClass::Usage, text)
                    .help("name services, or pass all = true to stop the whole stack"))
            }
        }
    }

    async fn debug(&self, arguments: &DebugArguments) -> Result<ToolAnswer, Message> {
        some(&arguments.services)?;
        let client = self.client()?;
        if arguments.off {
            return sentence(client.undebug(&arguments.services).await);
        }
        let mut text = client.debug(&arguments.services).await.map_err(message)?;
        for service in client.stack().await.map_err(message)?.services {
            if let Some(address) =
                service.debug.filter(|_| arguments.services.contains(&service.name.to_string()))
            {
                text += &format!("\n{}: attach to port {}", service.name, address.port);
            }
        }
        Ok(ToolAnswer::sentence(&text))
    }

    async fn logs(&self, arguments: &LogsArguments) -> Result<ToolAnswer, Message> {
        /// Enough for several pages.
        const LINES: u64 = 300;
        let most = arguments.max_bytes.unwrap_or(USUAL_BYTES).clamp(500, MOST_BYTES);
        let after = arguments.after.as_deref().map(cursor).transpose()?;
        let mut words = vec!["logs".to_owned(), "--json".to_owned(), "--cursor".to_owned()];
        match &after {
            Some(cursor) => words.push(format!("--after={cursor}")),
            None => {
                words.push(format!("--lines={}", arguments.lines.unwrap_or(LINES)));
                words.extend(arguments.since.as_ref().map(|since| format!("--since={since}")));
            }
        }
        let most_lines = arguments.lines.unwrap_or(u64::MAX);
        let range =
            after.map_or(LogPageRange::Newest, |after| LogPageRange::After(after, most_lines));
        words.extend(arguments.grep.as_ref().map(|grep| format!("--grep={grep}")));
        words.extend(arguments.stream.map(|stream| format!("--stream={}", stream.as_str())));
        if arguments.stream.is_none() {
            words.push("--said=yes".to_owned());
        }
        words.push("--".to_owned());
        words.extend(arguments.services.iter().cloned());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut page = LogPage::new(range, most.saturating_sub(LOG_FRAME));
        let take = |line: &[u8]| match serde_json::from_slice::<PrintedLog>(line) {
            Ok(printed) => page.push(&printed),
            // Of a newer kind.
            Err(_) => true,
        };
        self.commands.lines(&words, take).await.map_err(for_agents)?;
        Ok(log_answer(&page))
    }

    async fn ports(&self, arguments: &PortsArguments) -> Result<ToolAnswer, Message> {
        /// What `devstack ports --json` prints.
        #[derive(serde::Deserialize)]
        struct StackPorts {
            ports: Vec<PortRow>,
        }
        match arguments.port {
            Some(port) => {
                let report: PortReport = self.json(&["ports", "--json", &port.to_string()]).await?;
                Ok(port_report_answer(&report))
            }
            None => {
                let all: StackPorts = self.json(&["ports", "--json"]).await?;
                Ok(ports_answer(&all.ports))
            }
        }
    }

    async fn check(&self) -> Result<ToolAnswer, Message> {
        let result = self.commands.run(&["check", "--json"]).await?;
        if result.success {
            let printed: Value = parse(&result.stdout)?;
            return Ok(check_answer(&printed, &String::from_utf8_lossy(&result.stderr)));
        }
        let error = result.failure();
        if error.class != MessageClass::Config {
            return Err(error);
        }
        // The text shows the places in the file.
        let result = self.commands.run(&["check"]).await?;
        Ok(broken_check_answer(&String::from_utf8_lossy(&result.stderr)))
    }

    async fn plan(&self) -> Result<PlanView, Message> {
        self.json(&["plan", "--json"]).await
    }

    async fn requests(&self, arguments: &RequestsArguments) -> Result<ToolAnswer, Message> {
        if let Some(id) = arguments.id {
            let printed = self.commands.run(&["requests", &id.to_string()]).await?.output()?;
            return Ok(request_answer(&String::from_utf8_lossy(&printed), USUAL_BYTES));
        }
        let lines = arguments.lines.unwrap_or(20).min(200);
        let mut words =
            vec!["requests".to_owned(), "--json".to_owned(), format!("--lines={lines}")];
        words.extend(arguments.status.as_ref().map(|status| format!("--status={status}")));
        words.extend(arguments.method.as_ref().map(|method| format!("--method={method}")));
        words.extend(arguments.slow_ms.map(|slow| format!("--slow={slow}ms")));
        words.push("--".to_owned());
        words.extend(arguments.service.iter().cloned());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let printed = self.commands.run(&words).await?.output().map_err(for_agents)?;
        let records: Vec<Value> = printed
            .split(|&byte| byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        Ok(request_list_answer(&records))
    }

    async fn run_action(&self, arguments: &ActionArguments) -> Result<ToolAnswer, Message> {
        self.client()?;
        let mut words = vec!["do", "--", &arguments.service, &arguments.action];
        words.extend(arguments.args.iter().map(String::as_str));
        let result = self.commands.run(&words).await?;
        let output = [result.stdout.as_slice(), result.stderr.as_slice()].concat();
        Ok(action_answer(result.code, &String::from_utf8_lossy(&output)))
    }

    /// Runs a command and reads the JSON that it prints.
    async fn json<T: serde::de::DeserializeOwned>(&self, words: &[&str]) -> Result<T, Message> {
        parse(&self.commands.run(words).await?.output().map_err(for_agents)?)
    }
}

fn parse<T: serde::de::DeserializeOwned>(printed: &[u8]) -> Result<T, Message> {
    serde_json::from_slice(printed).map_err(|error| {
        Message::new(MessageClass::Internal, format!("unexpected output of devstack: {error}"))
            .help(
                "run the same version of devstack everywhere; restart this server after an update",
            )
    })
}

fn message(error: ClientError) -> Message {
    for_agents(error.message().clone())
}

/// Names the tool instead of the command that starts a stack.
fn for_agents(message: Message) -> Message {
    match message.class {
        MessageClass::NotRunning => Message { help: "call `up` to start it".to_owned(), ..message },
        _ => message,
    }
}

fn sentence(answer: Result<String, ClientError>) -> Result<ToolAnswer, Message> {
    answer.map(|text| ToolAnswer::sentence(&text)).map_err(message)
}

fn some(services: &[String]) -> Result<(), Message> {
    match services {
        [] => Err(Message::new(MessageClass::Usage, "`services` is empty")
            .help("name at least one service; `status` lists them")),
        [_, ..] => Ok(()),
    }
}

fn cursor(text: &str) -> Result<CursorText, Message> {
    CursorText::parse(CursorKind::Log, text).map_err(|_| {
        Message::new(MessageClass::Usage, "`after` is not a cursor")
            .help("pass `cursor` of an earlier answer of `logs` as it is, or leave `after` out")
    })
}
