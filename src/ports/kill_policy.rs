//! Decides which holders of a port devstack may kill. Pure.

use std::collections::BTreeSet;

use super::{HolderContext, PortHolder};
use crate::model::{Message, MessageClass};

/// Checks that the holders of a port may be killed. Returns a better way to stop them, if there is
/// one. `line` has the pids of this process and its ancestors.
///
/// # Errors
/// Some may not be killed (class `denied`). Killing the others would not free the port.
pub fn check_killable(
    port: u16,
    holders: &[PortHolder],
    line: &BTreeSet<u32>,
) -> Result<Option<String>, Message> {
    match holders.iter().find_map(|holder| refusal(port, holder, line)) {
        Some(refusal) => Err(refusal),
        None => Ok(holders.iter().find_map(|holder| holder.context.as_ref()?.stop_hint())),
    }
}

fn refusal(port: u16, holder: &PortHolder, line: &BTreeSet<u32>) -> Option<Message> {
    let refuse = |why: &str, help: &str| {
        let text = format!("port {port} is in use by {holder}, {why}");
        Some(Message::new(MessageClass::Denied, text).help(help))
    };
    let remedy = || holder.context.as_deref().and_then(HolderContext::stop_hint);
    let Some(pid) = holder.pid else {
        if holder.same_user {
            let help = "it may be hidden or in a container: try `sudo ss -ltnp`";
            return refuse("which cannot be killed", help);
        }
        return refuse("which this user is not allowed to inspect", "ask that user to stop it");
    };
    if pid == 1 {
        return refuse("which is the init process of this system", &remedy().unwrap_or_default());
    }
    if line.contains(&pid) {
        return refuse(
            "which is a parent of this command",
            "run this command from another terminal",
        );
    }
    if !holder.same_user {
        let help = remedy().unwrap_or_else(|| "ask that user to stop it".to_owned());
        return refuse("which belongs to another user", &help);
    }
    match holder.context.as_deref() {
        // It would be restarted.
        Some(HolderContext::Service { .. } | HolderContext::Stack { .. }) => {
            refuse("which is managed by another devstack", &remedy().unwrap_or_default())
        }
        Some(HolderContext::SocketUnit) => {
            refuse("which manages this user's session", &remedy().unwrap_or_default())
        }
        Some(HolderContext::Container { .. } | HolderContext::Unit { .. }) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::check_killable;
    use crate::model::ContainerEngine;
    use crate::model::MessageClass;
    use crate::ports::{HolderContext, PortHolder};

    fn holder(pid: u32) -> PortHolder {
        let me = PortHolder::hidden(Some(rustix::process::geteuid().as_raw()));
        PortHolder { pid: Some(pid), name: Some("x".to_owned()), ..me }
    }

    fn of(pid: u32, context: HolderContext) -> PortHolder {
        PortHolder { context: Some(Box::new(context)), ..holder(pid) }
    }

    fn container() -> HolderContext {
        let engine = Some(ContainerEngine::Docker);
        HolderContext::Container {
            id: Some("3f2ab12cd34e".to_owned()),
            name: None,
            engine,
            address: None,
        }
    }

    #[track_caller]
    fn refused(holders: &[PortHolder], why: &str, help: &str) {
        let message = check_killable(5000, holders, &BTreeSet::from([70, 80])).unwrap_err();
        assert_eq!(message.class, MessageClass::Denied);
        assert!(message.text.contains(why) && message.help.contains(help), "{message:?}");
    }

    #[test]
    fn the_users_own_processes_may_be_ended_all_together() {
        let line = BTreeSet::from([70, 80]);
        let two = [holder(40), holder(41)];
        assert_eq!(check_killable(5000, &two, &line), Ok(None));
        let unit = of(42, HolderContext::Unit { unit: "redis.service".to_owned() });
        for (holder, remedy) in [(of(42, container()), "docker stop"), (unit, "systemctl stop")] {
            let help = check_killable(5000, &[holder], &line).unwrap().unwrap();
            assert!(help.contains(remedy), "{help}");
        }
    }

    #[test]
    fn nobody_else_is() {
        let stack = HolderContext::Stack { dir: "/srv/x".into() };
        let service = HolderContext::Service {
            stack: Some("shop".to_owned()),
            service: Some("api".to_owned()),
            dir: Some("/srv/y".into()),
        };
        let strange = PortHolder { same_user: false, user: Some("alice".to_owned()), ..holder(42) };
        let proxy = PortHolder { context: Some(Box::new(container())), ..strange.clone() };
        let unseen = PortHolder { pid: None, ..holder(1) };
        refused(&[unseen], "which cannot be killed", "ss -ltnp");
        refused(&[PortHolder::hidden(None)], "is not allowed to inspect", "ask");
        let own = PortHolder::hidden(Some(rustix::process::geteuid().as_raw()));
        refused(&[own], "which cannot be killed", "ss -ltnp");
        refused(&[holder(1)], "is the init process", "");
        refused(&[of(1, HolderContext::SocketUnit)], "is the init process", "list-sockets");
        refused(&[holder(70)], "a parent of this command", "another terminal");
        refused(
            std::slice::from_ref(&strange),
            "of user alice), which belongs to another user",
            "ask",
        );
        refused(&[proxy], "another user", "docker stop 3f2ab12cd34e");
        refused(&[of(42, service)], "another devstack", "`devstack stop api` in /srv/y");
        refused(&[of(42, stack)], "another devstack", "`devstack down` in /srv/x");
        refused(&[of(42, HolderContext::SocketUnit)], "session", "list-sockets");
        // If one of them may not be killed, none is: the port would not be free.
        refused(&[holder(40), strange], "another user", "ask");
    }
}
