use std::time::Duration;

use crate::model::{
    ActionView, DisplayDuration, Message, MessageClass, Name, Service, ServiceAction,
};
use crate::suggest;
use crate::text::quote;

/// A request to run an action of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionOrder {
    pub service: Name,
    /// The action, as typed.
    pub action: String,
    /// The values of its arguments.
    pub args: Vec<String>,
    /// Whether it goes on when the client leaves.
    pub detach: bool,
}

/// Returns the action that is meant, if it can take these values.
pub(crate) fn find_action<'s>(
    service: &'s Service,
    order: &ActionOrder,
) -> Result<(&'s Name, &'s ServiceAction), Message> {
    let usage = |text: String| Message::new(MessageClass::Usage, text);
    let found = service.actions.iter().find(|(name, _)| name.as_str() == order.action);
    let Some((name, action)) = found else {
        let names: Vec<&str> = service.actions.keys().map(Name::as_str).collect();
        if names.is_empty() {
            let help = format!("declare one under [services.{}.actions]", service.name);
            return Err(usage(format!("{} has no actions", service.name)).help(help));
        }
        let (unknown, help) =
            suggest::unknown("action", &order.action, &quote(&order.action), &names);
        return Err(usage(format!("{unknown} of {}", service.name)).help(help));
    };
    let (wanted, given) = (action.args.len(), order.args.len());
    if wanted != given {
        let count = match wanted {
            0 => "takes no arguments".to_owned(),
            1 => "takes 1 argument".to_owned(),
            many => format!("takes {many} arguments"),
        };
        let view = ActionView::of(&service.actions).into_iter().find(|view| view.name == *name);
        let line = view.map(|view| view.usage(service.name.as_str())).unwrap_or_default();
        let text = format!("{} of {} {count}, {given} given", name, service.name);
        return Err(usage(text).help(format!("use `devstack do {line}`")));
    }
    if order.args.iter().any(|value| value.contains('\0')) {
        let help = "remove it: no program can be given one";
        return Err(usage("an argument contains a NUL character".to_owned()).help(help));
    }
    Ok((name, action))
}

/// Returns why an action must wait for one that has been running for this long.
pub(crate) fn refusal(service: &Name, running: &Name, pid: Option<u32>, age: Duration) -> Message {
    let who = pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
    let text = format!("{service} is running {running}{who}, for {}", DisplayDuration(age));
    let help = format!(
        "wait until it has exited, or set `parallel = true` in [services.{service}.actions.{running}]"
    );
    Message::new(MessageClass::Busy, text).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CommandLine;

    fn refused(action: &str, args: &[&str]) -> String {
        let mut service = Service::sample("api");
        let names = ["count", "from-date"].map(|name| Name::new(name).expect("a valid name"));
        for (name, args) in [("seed", names.to_vec()), ("flush", Vec::new())] {
            let name = Name::new(name).expect("a valid name");
            let command = CommandLine::Shell("true".to_owned());
            let action = ServiceAction { command, help: None, args, parallel: false };
            service.actions.insert(name, action);
        }
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let order = ActionOrder {
            service: service.name.clone(),
            action: action.to_owned(),
            args,
            detach: false,
        };
        match find_action(&service, &order) {
            Ok((name, _)) => name.to_string(),
            Err(why) => why.render(),
        }
    }

    #[test]
    fn only_a_known_action_with_all_its_values_is_found() {
        assert_eq!(refused("seed", &["5", ""]), "seed");
        insta::assert_snapshot!(
            [
                refused("sead", &[]),
                refused("seed", &["5"]),
                refused("flush", &["5"]),
                refused("seed", &["5", "\0"]),
            ]
            .concat(),
            @r"
        error: unknown action `sead` of api
          help: did you mean `seed`?
        error: seed of api takes 2 arguments, 1 given
          help: use `devstack do api seed COUNT FROM_DATE`
        error: flush of api takes no arguments, 1 given
          help: use `devstack do api flush`
        error: an argument contains a NUL character
          help: remove it: no program can be given one
        "
        );
    }

    #[test]
    fn what_runs_is_named_with_its_age() {
        let name = |name| Name::new(name).expect("a valid name");
        let why = refusal(&name("api"), &name("seed"), Some(7), Duration::from_millis(1500));
        insta::assert_snapshot!(why.render(), @r"
        error: api is running seed (pid 7), for 1.5s
          help: wait until it has exited, or set `parallel = true` in [services.api.actions.seed]
        ");
    }
}
