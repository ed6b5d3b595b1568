use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Debugged, Draft};
use crate::engine::Selection;
use crate::model::{Name, PortWish};
use crate::ports::{Asked, Key};

/// What a stack that is made of a configuration has to respect.
#[derive(Debug, Clone, Default)]
pub struct Situation {
    /// What services of the stack have and keep.
    pub mine: BTreeMap<Key, u16>,
    /// What `up` was asked to start.
    pub selection: Option<Selection>,
    /// Services that are not wanted, whatever the selection says.
    pub idle: BTreeSet<Name>,
    /// Services that are about to be started by hand, whatever the selection says.
    pub asked: BTreeSet<Name>,
    /// Services that are in debug mode, or are to be.
    pub debugged: Debugged,
    /// Wishes that are no news: when one of them cannot be granted any more, that is for the start of its service to
    /// tell, and keeps no other change from being applied.
    pub known: Vec<PortWish>,
}

impl Situation {
    /// The services that start with this configuration.
    fn starting(&self, draft: &Draft) -> BTreeSet<Name> {
        let mut starting = match &self.selection {
            None => draft.with_dependencies(draft.autostart().cloned().collect()),
            Some(Selection { names, with_dependencies }) => {
                let names = names.iter().flat_map(|name| draft.named(name)).collect();
                if *with_dependencies { draft.with_dependencies(names) } else { names }
            }
        };
        starting.retain(|name| !self.idle.contains(name));
        starting.extend(draft.with_dependencies(self.asked.clone()));
        starting
    }

    /// Asks `choose` for the ports of a configuration.
    pub fn ask<T>(&self, draft: &Draft, choose: impl FnOnce(&Asked<'_>) -> T) -> T {
        let starting = self.starting(draft);
        let others = draft.services().filter(|name| !starting.contains(*name));
        let idle = others.cloned().collect();
        let insists =
            |wish: &PortWish| starting.contains(&wish.service) && !self.known.contains(wish);
        let (wishes, mine) = (draft.wishes_with(&self.debugged), &self.mine);
        let shunned = &BTreeSet::new();
        choose(&Asked { wishes: &wishes, mine, idle: &idle, shunned, insists: &insists })
    }
}
