use std::collections::BTreeSet;

use super::system;

/// What it takes to go from a process to those above it.
#[derive(Debug, Clone)]
pub(super) struct Kin {
    /// The short name.
    pub name: String,
    /// The process above it; 0: none that can be seen.
    pub parent: u32,
    /// Its user.
    pub uid: u32,
}

/// So many generations are looked at: deeper nesting is nobody's, and a loop would have no end.
const GENERATIONS: usize = 64;

/// The processes above `pid`, nearest first, as far as they are shown.
pub(super) fn ancestors(pid: u32) -> impl Iterator<Item = (u32, Kin)> {
    let parent = system::kin(pid).map(|kin| kin.parent);
    let first = parent.and_then(|pid| Some((pid, system::kin(pid)?)));
    let above = |(_, kin): &(u32, Kin)| Some((kin.parent, system::kin(kin.parent)?));
    std::iter::successors(first, above).take(GENERATIONS)
}

/// The numbers of this process and of those above it.
pub fn own_line() -> BTreeSet<u32> {
    let me = std::process::id();
    ancestors(me).map(|(pid, _)| pid).chain([me, std::os::unix::process::parent_id()]).collect()
}

#[cfg(test)]
mod tests {
    use super::{ancestors, own_line};

    #[test]
    fn the_line_goes_up_from_the_parent() {
        let me = std::process::id();
        let parent = std::os::unix::process::parent_id();
        assert_eq!(ancestors(me).next().unwrap().0, parent);
        let line = own_line();
        assert!(line.contains(&me) && line.contains(&parent));
        assert!(ancestors(u32::MAX).next().is_none());
    }
}
