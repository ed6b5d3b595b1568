use super::action::{UserAction, can_stop};
use super::state::TuiState;
use crate::model::{ModeView, ServiceView};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaletteEntry {
    /// What the user types for it.
    pub label: String,
    /// What it does, for people.
    pub help: String,
    /// What it does.
    pub action: UserAction,
}

/// Returns the entries for what is typed: each word of it is in the label, or follows an action as its
/// arguments. What is about the selected service comes first.
pub fn palette_entries(state: &TuiState, typed: &str) -> Vec<PaletteEntry> {
    if let Some(entry) = with_arguments(state, typed) {
        return vec![entry];
    }
    let typed = typed.to_lowercase();
    let words: Vec<&str> = typed.split_whitespace().collect();
    let is_meant = |entry: &PaletteEntry| {
        let label = entry.label.to_lowercase();
        words.iter().all(|word| label.contains(word))
    };
    let mut entries = Vec::new();
    if let Some(view) = state.service() {
        add_service(view, &mut entries);
    }
    add_general(state, &mut entries);
    let others = state.services().iter().enumerate().filter(|(at, _)| *at != state.selected);
    others.for_each(|(_, view)| add_service(view, &mut entries));
    entries.retain(is_meant);
    // What begins with what was typed is meant rather than what has it somewhere.
    entries.sort_by_key(|entry| {
        !typed.is_empty() && !entry.label.to_lowercase().starts_with(typed.trim())
    });
    entries
}

/// Returns the entry for an action whose arguments are typed, too: `do api seed 50`.
fn with_arguments(state: &TuiState, typed: &str) -> Option<PaletteEntry> {
    let typed = typed.trim_start();
    let actions = state
        .services()
        .iter()
        .flat_map(|view| view.actions.iter().map(move |action| (&view.name, action)));
    actions.filter(|(_, action)| !action.args.is_empty()).find_map(|(service, action)| {
        let args = typed.strip_prefix(&format!("do {service} {} ", action.name))?.trim();
        (!args.is_empty()).then(|| PaletteEntry {
            label: typed.to_owned(),
            help: action.help.clone().unwrap_or_default(),
            action: UserAction::RunWith(service.clone(), action.name.clone(), args.to_owned()),
        })
    })
}

fn add_service(view: &ServiceView, entries: &mut Vec<PaletteEntry>) {
    let name = &view.name;
    let mut add = |verb: &str, help: &str, action| {
        let label = format!("{verb} {name}");
        entries.push(PaletteEntry { label, help: help.to_owned(), action });
    };
    add("restart", "r", UserAction::Restart(name.clone()));
    match can_stop(view.phase) {
        true => add("stop", "s", UserAction::Stop(name.clone())),
        false => add("start", "s", UserAction::Start(name.clone())),
    }
    add("why", "w", UserAction::Why(name.clone()));
    add("attach", "Enter", UserAction::Attach(name.clone()));
    if view.url.is_some() {
        add("open", "o", UserAction::Open(name.clone()));
        add("copy address of", "", UserAction::CopyAddress(name.clone()));
    }
    match view.mode {
        ModeView::Debug => add("end debug mode of", "d", UserAction::ToggleDebug(name.clone())),
        _ if !view.can_debug => {}
        _ => add("debug", "d", UserAction::ToggleDebug(name.clone())),
    }
    add("env", "its environment", UserAction::Env(name.clone()));
    add("logs", "its log alone (Tab)", UserAction::Only(Some(name.clone())));
    for action in &view.actions {
        let args: String =
            action.args.iter().map(|arg| format!(" {}", arg.as_str().to_uppercase())).collect();
        entries.push(PaletteEntry {
            label: format!("do {name} {}{args}", action.name),
            help: action.help.clone().unwrap_or_default(),
            action: UserAction::Run(name.clone(), action.name.clone()),
        });
        if !action.running.is_empty() {
            entries.push(PaletteEntry {
                label: format!("end {name} {}", action.name),
                help: "the action that runs".to_owned(),
                action: UserAction::EndAction(name.clone(), action.name.clone()),
            });
        }
    }
}

fn add_general(state: &TuiState, entries: &mut Vec<PaletteEntry>) {
    let close = match state.over_log {
        true => "back to the plain log",
        false => "close; the stack keeps running",
    };
    for (label, help, action) in [
        ("search", "/", UserAction::Search),
        ("filter", "f", UserAction::Filter),
        ("clear filter", "show every line", UserAction::ClearFilter),
        ("clear search", "mark nothing", UserAction::ClearSearch),
        ("logs of all services", "Tab", UserAction::Only(None)),
        ("follow", "G", UserAction::Follow),
        ("first line", "g", UserAction::First),
        ("times", "t", UserAction::Timestamps),
        ("copy line", "y", UserAction::CopyLine),
        ("copy screen", "Y", UserAction::CopyScreen),
        ("mouse", "m", UserAction::Mouse),
        ("ports", "all ports of the stack", UserAction::Ports),
        ("plan", "what an edit of devstack.toml would change", UserAction::Plan),
        ("changes", "what has happened, newest last", UserAction::Changes),
        ("requests", "the latest requests to names, newest last", UserAction::Requests),
        ("start all", "all services that do not run", UserAction::StartAll),
        ("restart all", "all services that run", UserAction::RestartAll),
        ("down", "stop the whole stack", UserAction::StopStack),
        ("help", "?", UserAction::Help),
        ("repaint", "Ctrl-L", UserAction::Repaint),
        ("quit", close, UserAction::Close),
    ] {
        entries.push(PaletteEntry { label: label.to_owned(), help: help.to_owned(), action });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RunningAction;
    use crate::tui::fixture::stack;

    fn labels(change: impl FnOnce(&mut ServiceView)) -> Vec<String> {
        let mut snapshot = stack(1);
        change(&mut snapshot.services[0]);
        let mut state = TuiState::new((80, 24), false, true);
        state.stack = Some(snapshot);
        palette_entries(&state, "").into_iter().map(|entry| entry.label).collect()
    }

    /// Commands of devstack that have no entry: what they show is on the screen, or they are about files,
    /// this machine or another program.
    #[test]
    fn every_command_about_a_running_stack_is_offered() {
        let usual = labels(|_| {});
        for label in [
            "restart api",
            "stop api",
            "why api",
            "attach api",
            "open api",
            "env api",
            "logs api",
            "do api seed COUNT",
            "do api reset",
            "ports",
            "plan",
            "changes",
            "requests",
            "start all",
            "restart all",
            "down",
            "search",
            "filter",
            "help",
            "quit",
        ] {
            assert!(usual.iter().any(|known| known == label), "{label} in {usual:?}");
        }
    }

    #[test]
    fn only_what_can_be_done_is_offered() {
        let has = |labels: &[String], label: &str| labels.iter().any(|known| known == label);
        let usual = labels(|_| {});
        assert!(!has(&usual, "debug api") && !has(&usual, "start api"), "{usual:?}");
        assert!(!has(&usual, "end api seed"), "{usual:?}");
        assert!(has(&labels(|view| view.can_debug = true), "debug api"));
        assert!(has(&labels(|view| view.mode = ModeView::Debug), "end debug mode of api"));
        let stopped = labels(|view| view.phase = crate::model::Phase::Idle);
        assert!(has(&stopped, "start api") && !has(&stopped, "stop api"), "{stopped:?}");
        let runs = RunningAction { number: 1, since: String::new(), pid: None };
        let running = labels(|view| {
            view.actions.iter_mut().find(|one| one.name.as_str() == "seed").expect("one").running =
                vec![runs];
        });
        assert!(has(&running, "end api seed") && !has(&running, "end api reset"), "{running:?}");
    }
}
