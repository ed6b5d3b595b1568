use crate::model::Name;

use super::super::fault::Fault;
use super::super::node::{Node, Value};
use super::super::spec::ProfilesSpec;
use super::super::suggest::quote;
use super::Check;

/// The most profiles of one service.
pub(in super::super) const MAX_PROFILES: usize = 64;

impl Check<'_, '_> {
    /// `profiles`: a list of names; an empty one is none.
    pub(super) fn profiles(&mut self, node: &Node<'_>) -> Option<ProfilesSpec> {
        let Value::List(list) = &node.value else {
            self.wrong("profiles", "a list of texts", node);
            return None;
        };
        if list.len() > MAX_PROFILES {
            let fault = Fault::at(node.at, format!("{} profiles are too many", list.len()));
            self.fault(fault.help(format!("a service has at most {MAX_PROFILES}")));
            return None;
        }
        let mut names = Vec::with_capacity(list.len());
        for item in list {
            let Some(text) = self.text("profiles", item) else { continue };
            match Name::new(text) {
                Ok(name) => names.push(name),
                Err(bad) => {
                    let text = format!("{} is not a name for a profile", quote(text));
                    self.fault(Fault::at(item.at, text).help(bad.to_string()));
                }
            }
        }
        (!names.is_empty()).then_some(ProfilesSpec { names, at: node.at })
    }
}
