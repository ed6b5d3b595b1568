use std::collections::BTreeSet;

use super::system;

#[derive(Debug, Clone)]
pub(crate) struct AncestorInfo {
    pub name: String,
    /// 0 if there is none, or none that is visible.
    pub parent: u32,
    pub uid: u32,
}

/// Bounds the walk: real nesting is never deeper, and a race could produce a loop.
const MAX_DEPTH: usize = 64;

/// Returns the ancestors of `pid`, nearest first, as far as they are visible.
pub(crate) fn ancestors(pid: u32) -> impl Iterator<Item = (u32, AncestorInfo)> {
    let parent = system::ancestor_info(pid).map(|kin| kin.parent);
    let first = parent.and_then(|pid| Some((pid, system::ancestor_info(pid)?)));
    let above =
        |(_, kin): &(u32, AncestorInfo)| Some((kin.parent, system::ancestor_info(kin.parent)?));
    std::iter::successors(first, above).take(MAX_DEPTH)
}

/// Returns the pids of this process and its ancestors.
pub fn own_ancestry() -> BTreeSet<u32> {
    let me = std::process::id();
    ancestors(me).map(|(pid, _)| pid).chain([me, std::os::unix::process::parent_id()]).collect()
}

#[cfg(test)]
mod tests {
    use super::{ancestors, own_ancestry};

    #[test]
    fn the_line_goes_up_from_the_parent() {
        let me = std::process::id();
        let parent = std::os::unix::process::parent_id();
        assert_eq!(ancestors(me).next().unwrap().0, parent);
        let line = own_ancestry();
        assert!(line.contains(&me) && line.contains(&parent));
        assert!(ancestors(u32::MAX).next().is_none());
    }
}
