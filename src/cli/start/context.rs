use std::io::stderr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustix::process::{Resource, getrlimit};

use super::join::has_left;
use super::options::StartOptions;
use super::port_prompt::{PromptInterrupted, resolve_conflict};
use super::prompt::TtyPrompt;
use super::selection::selection;
use crate::cli::context;
use crate::cli::render::CommandError;
use crate::config::{self, Config, ConfigOverrides, ConfigSources, DebugServices};
use crate::control::{CaDir, ClaimError, InstanceLock, ProjectRecord, RuntimeDir, StateDir};
use crate::engine::Selection;
use crate::exit_code::ExitCode;
use crate::front_door::{self, ClaimedNames, DoorFiles, DoorSetting};
use crate::https::LocalCa;
use crate::model::{Message, MessageClass, Name, Stack, StartView};
use crate::ports::{ConflictAnswer, ConflictPrompt, PortAllocator};
use crate::process;
use crate::supervisor::containers::remove_left;
use crate::supervisor::reload::{LoadConstraints, StackLoader, check_hosts};
use crate::supervisor::{kept_data, no_debug_entry};

/// What a stack needs before it starts, held until it stops: the lock keeps other devstacks out of
/// the directory, and leases keep them off its ports.
pub(super) struct StartContext {
    pub instance: InstanceLock,
    pub state_dir: StateDir,
    pub runtime_dir: RuntimeDir,
    /// Path of the process record, for cleanup after a crash.
    pub record: PathBuf,
    pub loader: StackLoader,
    pub config: Arc<Config>,
    pub stack: Arc<Stack>,
    pub selection: Option<Selection>,
    pub notes: Vec<Message>,
    /// The names of its services, if they have any.
    pub names: Option<ClaimedNames>,
    /// How the stack is started, for clients.
    pub start: StartView,
}

impl StartContext {
    /// Loads the configuration, claims its directory, cleans up after a crash and assigns ports.
    pub fn prepare(plan: &StartOptions) -> Result<StartContext, CommandError> {
        let refuse = |message: Message| CommandError::new(message, plan.refused);
        if !process::proc_is_mounted() {
            return Err(refuse(no_proc_error()));
        }
        require_open_files().map_err(refuse)?;
        let draft = Arc::new(config::load(&sources(plan)?)?);
        let debugged = debugged(&draft, plan.debug.as_deref())?;
        check_hosts(&draft)?;
        let instance = claim(plan, &draft)?;
        let state_dir = StateDir::create(draft.dir()).map_err(refuse)?;
        if let Err(error) = ProjectRecord::keep(draft.dir(), draft.name()) {
            // Without it, only `devstack data` knows less.
            tracing::debug!(%error, "cannot record the project directory");
        }
        let runtime_dir = RuntimeDir::create().map_err(refuse)?;
        let record = state_dir.process_record();
        let swept = remove_left(process::clean_up(Some(&record), instance.left_token()));
        let mut notes = swept.messages();
        let may_run = !swept.engine_trouble.is_empty() && draft.has_containers();
        if !swept.alive.is_empty() || may_run {
            // A second copy of a service must not run beside it.
            return Err(CommandError::Messages(notes, plan.refused));
        }
        instance.nothing_is_left();
        let (leases, history) = (runtime_dir.port_leases(), state_dir.port_history());
        let ports = PortAllocator::open(&leases, &history, draft.dir()).of_stack(draft.name());
        let names = match claim_names(plan, &draft, &runtime_dir) {
            Ok(names) => names,
            Err(message) if message.class == MessageClass::Usage => return Err(refuse(message)),
            Err(message) => {
                notes.extend(draft.has_names().then_some(message));
                None
            }
        };
        if let Some(names) = names.as_ref().filter(|_| draft.has_names()) {
            notes.extend(names.notes.iter().cloned());
        }
        let loader = StackLoader {
            sources: sources(plan)?,
            ports: Arc::new(Mutex::new(ports)),
            color: context::color(&stderr()),
            place: names.as_ref().map(|names| names.place.clone()),
            has_ca,
            adapt: plan.modify_stack,
        };
        let selection = selection(&draft, &plan.services, plan.starting.no_deps)?;
        let situation = LoadConstraints { selection, debugged, ..LoadConstraints::default() };
        let mut person = plan.may_ask.then(TtyPrompt::here).flatten();
        let mut interrupted = None;
        let mut ask = |dispute: &ConflictPrompt| match &mut person {
            Some(person) => resolve_conflict(dispute, person).unwrap_or_else(|ctrl_c| {
                interrupted = Some(ctrl_c);
                ConflictAnswer::Quit
            }),
            None => ConflictAnswer::Quit,
        };
        let chosen = loader.choose_asking(&draft, &situation, &mut ask);
        let (stack, more) = chosen.map_err(|conflicts| match interrupted {
            Some(PromptInterrupted) => CommandError::Interrupted,
            None => CommandError::Messages(conflicts, plan.refused),
        })?;
        notes.extend(more);
        notes.extend(kept_data::take_over(&draft, &stack));
        let selection = situation.selection;
        Ok(StartContext {
            instance,
            state_dir,
            runtime_dir,
            record,
            loader,
            config: draft,
            stack,
            selection,
            notes,
            names,
            start: StartView {
                command: plan.command,
                files: files(plan)?,
                found: plan.files.is_empty(),
                watch: plan.follow,
            },
        })
    }
}

/// Claims the names of the stack, unless the user or a `run` wants none.
fn claim_names(
    plan: &StartOptions,
    config: &Config,
    runtime: &RuntimeDir,
) -> Result<Option<ClaimedNames>, Message> {
    if !plan.names {
        return Ok(None);
    }
    let text = std::env::var(DoorSetting::VARIABLE).unwrap_or_default();
    let files = DoorFiles::below(runtime.path());
    let setting = DoorSetting::parse(&text)?;
    let has_ca = has_ca().unwrap_or(false);
    front_door::claim(&files, setting, config.domain(), config.dir(), has_ca)
}

fn has_ca() -> Result<bool, Message> {
    CaDir::locate().and_then(|dir| LocalCa::load(dir.path())).map(|ca| ca.is_some())
}

/// How often another stack may leave the directory and a third one take it before that is an error.
const MOST_CLAIMS: u32 = 100;

/// Claims the directory. `up -d` waits until a stack that is stopping has left it.
fn claim(plan: &StartOptions, config: &Config) -> Result<InstanceLock, CommandError> {
    let mut left = 0;
    loop {
        match InstanceLock::claim(config.dir(), config.name()) {
            Ok(instance) => return Ok(instance),
            Err(ClaimError::Failed(message)) => {
                return Err(CommandError::new(message, ExitCode::FAILED));
            }
            Err(ClaimError::Busy(busy)) => {
                if plan.daemon.is_none()
                    || left == MOST_CLAIMS
                    || !has_left(config.dir(), plan.shown.is_json())
                {
                    return Err(CommandError::AlreadyRunning(busy));
                }
                left += 1;
            }
        }
    }
}

/// `/proc` is required to find all processes of a service, however they hide.
fn no_proc_error() -> Message {
    let text = "/proc is not mounted; devstack needs it to track service processes";
    Message::new(MessageClass::Limit, text)
        .help("run `mount -t proc proc /proc` (also needed in a new PID namespace)")
}

/// With fewer open files, devstack itself fails here and there instead of one service.
const MIN_OPEN_FILES: u64 = 40;

fn require_open_files() -> Result<(), Message> {
    let limit = getrlimit(Resource::Nofile).current;
    match limit.filter(|limit| *limit < MIN_OPEN_FILES) {
        None => Ok(()),
        Some(limit) => {
            let text = format!(
                "the open file limit is {limit}; devstack needs at least {MIN_OPEN_FILES}, and more for each service"
            );
            let help = "run `ulimit -n 10240` in the shell that starts devstack, or raise nofile in /etc/security/limits.conf";
            Err(Message::new(MessageClass::Limit, text).help(help))
        }
    }
}

/// Returns the services that `--debug` names, or all that have a `debug` entry.
pub(super) fn debugged(config: &Config, wanted: Option<&str>) -> Result<DebugServices, Message> {
    let can: DebugServices = config.debuggable().cloned().collect();
    let texts = match wanted {
        None => return Ok(DebugServices::new()),
        Some("") if can.is_empty() => {
            let text = "no service has a `debug` entry";
            let help = "add one to a service: debug = { command = \"…\" }";
            return Err(Message::new(MessageClass::Usage, text).help(help));
        }
        Some("") => return Ok(can),
        Some(texts) => texts,
    };
    let mut chosen = DebugServices::new();
    for text in texts.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let named = Name::new(text).map(|name| config.services_named(&name)).unwrap_or_default();
        if named.is_empty() {
            return Err(context::unknown_service(text, config.services()));
        }
        if let Some(cannot) = named.iter().find(|name| !can.contains(*name)) {
            return Err(no_debug_entry(cannot, can.iter()));
        }
        chosen.extend(named);
    }
    Ok(chosen)
}

/// Returns the configuration files as in [`StartView::files`].
pub(super) fn files(plan: &StartOptions) -> Result<Vec<String>, Message> {
    let files = config::config_files(&sources(plan)?);
    Ok(files.iter().map(|file| file.to_string_lossy().into_owned()).collect())
}

pub(super) fn sources(plan: &StartOptions) -> Result<ConfigSources, Message> {
    let overrides = ConfigOverrides {
        default_name: None,
        ports: plan.starting.ports.clone(),
        strict_ports: plan.strict_ports,
        host: match plan.starting.lan {
            true => Some("0.0.0.0".to_owned()),
            false => plan.starting.host.clone(),
        },
        profiles: plan.starting.profiles.clone(),
    };
    context::sources(plan.files.clone(), overrides)
}
