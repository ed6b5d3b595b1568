use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Which stack each front port leads to. Stacks are known by their control sockets.
#[derive(Debug, Default)]
pub(super) struct FrontPorts {
    owners: BTreeMap<u16, PathBuf>,
}

impl FrontPorts {
    /// Gives a port to a stack, even if another has it.
    pub fn give(&mut self, port: u16, stack: &Path) {
        self.owners.insert(port, stack.to_owned());
    }

    /// Takes the ports of stacks that are gone away from them, and gives those that are free to
    /// the first stack whose file names them.
    pub fn settle<'s>(&mut self, stacks: impl IntoIterator<Item = (&'s Path, Option<u16>)>) {
        let stacks: Vec<(&Path, Option<u16>)> = stacks.into_iter().collect();
        self.owners.retain(|_, owner| stacks.iter().any(|(stack, _)| stack == owner));
        for (stack, wanted) in stacks {
            if let Some(port) = wanted {
                self.owners.entry(port).or_insert_with(|| stack.to_owned());
            }
        }
    }

    /// Returns the ports that lead to a stack.
    pub fn of(&self, stack: &Path) -> Vec<u16> {
        let own = self.owners.iter().filter(|(_, owner)| *owner == stack);
        own.map(|(port, _)| *port).collect()
    }

    pub fn ports(&self) -> BTreeSet<u16> {
        self.owners.keys().copied().collect()
    }

    /// Drops a port that cannot be listened on.
    pub fn drop_port(&mut self, port: u16) {
        self.owners.remove(&port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_port_stays_until_another_stack_takes_it() {
        let (one, other) = (Path::new("/one"), Path::new("/other"));
        let mut fronts = FrontPorts::default();
        fronts.settle([(one, Some(3000)), (other, Some(3000))]);
        assert_eq!((fronts.of(one), fronts.of(other)), (vec![3000], vec![]));
        fronts.give(3000, other);
        fronts.settle([(one, Some(3000)), (other, Some(3000))]);
        assert_eq!((fronts.of(one), fronts.of(other)), (vec![], vec![3000]));
        fronts.settle([(one, Some(3000))]);
        assert_eq!(fronts.of(one), [3000]);
        fronts.settle([(one, None)]);
        assert_eq!(fronts.of(one), [3000], "an edit of the file takes nothing away");
        fronts.settle([(other, None)]);
        assert!(fronts.ports().is_empty());
    }
}
