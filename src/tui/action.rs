use super::command::{Notice, TuiCommand, TuiEnd, TuiRequest};
use super::shown_lines::LogViewFilter;
use super::state::{InputPurpose, LogPosition, Overlay, TuiState};
use super::update::log;
use super::view::help_lines;
use crate::model::{ModeView, Name, Phase, ServiceView};

/// What a key or an entry of the palette does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserAction {
    Start(Name),
    Stop(Name),
    Restart(Name),
    ToggleDebug(Name),
    Why(Name),
    Env(Name),
    Attach(Name),
    Open(Name),
    CopyAddress(Name),
    Run(Name, Name),
    EndAction(Name, Name),
    Only(Option<Name>),
    StartAll,
    RestartAll,
    StopStack,
    Plan,
    Changes,
    Requests,
    Ports,
    Search,
    Filter,
    ClearFilter,
    First,
    Follow,
    CopyLine,
    CopyScreen,
    Timestamps,
    Mouse,
    Palette,
    Help,
    Repaint,
    Close,
}

/// Does it.
pub fn perform(state: &mut TuiState, action: UserAction) -> Vec<TuiCommand> {
    let ask = |request| vec![TuiCommand::Ask(request)];
    match action {
        UserAction::Start(name) => {
            order(state, format!("starting {name} …"), TuiRequest::Start(vec![name]))
        }
        UserAction::Stop(name) => {
            order(state, format!("stopping {name} …"), TuiRequest::Stop(vec![name]))
        }
        UserAction::Restart(name) => {
            order(state, format!("restarting {name} …"), TuiRequest::Restart(vec![name]))
        }
        UserAction::ToggleDebug(name) => toggle_debug(state, name),
        UserAction::Why(name) => ask(TuiRequest::Why(name)),
        UserAction::Env(name) => ask(TuiRequest::Env(name)),
        UserAction::Plan => ask(TuiRequest::Plan),
        UserAction::Changes => ask(TuiRequest::Changes),
        UserAction::Requests => ask(TuiRequest::Requests),
        UserAction::EndAction(service, action) => ask(TuiRequest::EndAction(service, action)),
        UserAction::Attach(name) => vec![TuiCommand::Attach(name)],
        UserAction::Open(name) => vec![TuiCommand::Open(name)],
        UserAction::CopyAddress(name) => copy_address(state, &name),
        UserAction::Run(service, action) => run_action(state, service, action),
        UserAction::Only(only) => {
            state.log.only = only;
            log::show_end(state)
        }
        UserAction::StartAll => {
            let all = services_where(state, |phase| !can_stop(phase));
            if all.is_empty() {
                state.notice = Some(Notice::done("all services run"));
                return Vec::new();
            }
            ask(TuiRequest::Start(all))
        }
        UserAction::RestartAll => {
            let all = services_where(state, can_stop);
            confirm(state, "restart all services that run?", TuiRequest::Restart(all))
        }
        UserAction::StopStack => confirm(state, "stop the whole stack?", TuiRequest::Down),
        UserAction::Ports => {
            let lines = ports(state);
            text(state, "ports", lines)
        }
        UserAction::Search => input(state, InputPurpose::Search, String::new()),
        UserAction::Filter => {
            let typed = state.log.filter.text.clone();
            input(state, InputPurpose::Filter, typed)
        }
        UserAction::ClearFilter => {
            state.log.filter = LogViewFilter::default();
            log::show_end(state)
        }
        UserAction::First => log::show_start(state),
        UserAction::Follow => match state.log.position {
            LogPosition::Follow => Vec::new(),
            LogPosition::EndsAt(..) => log::show_end(state),
        },
        UserAction::CopyLine => copy(state, log::chosen_line(state), "the line"),
        UserAction::CopyScreen => copy(state, log::shown_text(state), "what is shown of the log"),
        UserAction::Timestamps => {
            state.log.timestamps = !state.log.timestamps;
            Vec::new()
        }
        UserAction::Mouse => {
            state.mouse = !state.mouse;
            let text = match state.mouse {
                true => "the mouse selects services and scrolls; press m to give it back",
                false => "the mouse is the terminal's again",
            };
            state.notice = Some(Notice::done(text));
            vec![TuiCommand::Mouse(state.mouse)]
        }
        UserAction::Palette => {
            state.overlay = Overlay::Palette(String::new(), 0);
            Vec::new()
        }
        UserAction::Help => {
            let lines = help_lines(state.over_log);
            text(state, "help", lines)
        }
        UserAction::Repaint => vec![TuiCommand::Repaint],
        UserAction::Close => vec![TuiCommand::Leave(TuiEnd::Closed)],
    }
}

/// Returns whether there is something to stop in this phase.
pub fn can_stop(phase: Phase) -> bool {
    match phase {
        Phase::Idle | Phase::Done | Phase::Failed | Phase::Stopping => false,
        Phase::Asleep
        | Phase::Waiting
        | Phase::Blocked
        | Phase::Starting
        | Phase::Ready
        | Phase::Unhealthy
        | Phase::Backoff => true,
    }
}

/// Returns the services, without tasks, whose phase is such.
fn services_where(state: &TuiState, is_such: fn(Phase) -> bool) -> Vec<Name> {
    let counts = |view: &&ServiceView| !view.kind.is_task() && is_such(view.phase);
    state.services().iter().filter(counts).map(|view| view.name.clone()).collect()
}

/// Sends a request and shows what it does.
fn order(state: &mut TuiState, text: String, request: TuiRequest) -> Vec<TuiCommand> {
    state.notice = Some(Notice::done(text));
    vec![TuiCommand::Ask(request)]
}

fn toggle_debug(state: &mut TuiState, name: Name) -> Vec<TuiCommand> {
    match view_of(state, &name).is_some_and(|view| view.mode == ModeView::Debug) {
        true => order(state, format!("restarting {name} in run mode …"), TuiRequest::Undebug(name)),
        false => {
            order(state, format!("restarting {name} in debug mode …"), TuiRequest::Debug(name))
        }
    }
}

fn view_of<'a>(state: &'a TuiState, name: &Name) -> Option<&'a ServiceView> {
    state.services().iter().find(|view| view.name == *name)
}

fn run_action(state: &mut TuiState, service: Name, action: Name) -> Vec<TuiCommand> {
    let view = view_of(state, &service);
    let found = view.and_then(|view| view.actions.iter().find(|one| one.name == action));
    match found.map(|found| found.args.is_empty()) {
        None => {
            state.notice = Some(Notice::failed(format!("{service} has no action `{action}`")));
            Vec::new()
        }
        Some(true) => {
            let text = format!("running {action} of {service} …");
            order(state, text, TuiRequest::Run(service, action, Vec::new()))
        }
        Some(false) => input(state, InputPurpose::Arguments(service, action), String::new()),
    }
}

fn copy_address(state: &mut TuiState, name: &Name) -> Vec<TuiCommand> {
    let view = view_of(state, name);
    let url = view.and_then(|view| view.origin.clone().or_else(|| view.url.clone()));
    if url.is_none() {
        state.notice = Some(Notice::failed(format!("{name} has no address")));
        return Vec::new();
    }
    copy(state, url, "its address")
}

fn copy(state: &mut TuiState, what: Option<String>, named: &str) -> Vec<TuiCommand> {
    let Some(text) = what.filter(|text| !text.is_empty()) else {
        state.notice = Some(Notice::failed("nothing to copy"));
        return Vec::new();
    };
    state.notice =
        Some(Notice::done(format!("copied {named}, if the terminal allows it (OSC 52)")));
    vec![TuiCommand::Copy(text)]
}

fn input(state: &mut TuiState, purpose: InputPurpose, typed: String) -> Vec<TuiCommand> {
    state.overlay = Overlay::Input(purpose, typed);
    Vec::new()
}

fn confirm(state: &mut TuiState, question: &str, request: TuiRequest) -> Vec<TuiCommand> {
    state.overlay = Overlay::Confirm(question.to_owned(), request);
    Vec::new()
}

fn text(state: &mut TuiState, title: &str, lines: Vec<String>) -> Vec<TuiCommand> {
    state.overlay = Overlay::Text(title.to_owned(), lines, 0);
    Vec::new()
}

fn ports(state: &TuiState) -> Vec<String> {
    let mut lines = Vec::new();
    for view in state.services() {
        for (port, number) in &view.ports {
            let wanted = view.wanted_ports.get(port).filter(|wanted| *wanted != number);
            let moved = wanted.map(|wanted| format!("  (wanted {wanted})")).unwrap_or_default();
            let url =
                view.url.as_deref().filter(|_| Some(*number) == view.port).unwrap_or_default();
            lines.push(format!("{:20} {port:10} {number:<5}{moved}  {url}", view.name.as_str()));
        }
    }
    lines
}
