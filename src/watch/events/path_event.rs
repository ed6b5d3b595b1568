use notify::event::{AccessKind, Event, EventKind, ModifyKind, RenameMode};

/// The merged events of a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PathEvent {
    /// Sequence number of the first event.
    pub order: u64,
    /// The previous file is gone or moved, whatever is there now; a watch on it is dead.
    pub lost: bool,
    /// Whether it is open for writing; `None`: no event about that.
    writing: Option<bool>,
    pub was: PathChange,
}

/// What happened to a path since the first of its events. Created and removed files are often half
/// of a save: the new file that will be renamed over the old one, or the old one moved away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum PathChange {
    /// Exists as before, or was replaced in one step.
    #[default]
    Unchanged,
    /// Moved here, perhaps over another file.
    Moved,
    Created,
    Removed,
    /// Created and removed, or the other way round: nothing is open.
    Reverted,
}

impl PathChange {
    fn merge(self, later: PathChange) -> PathChange {
        match (self, later) {
            (was, PathChange::Unchanged) | (PathChange::Unchanged, was) => was,
            (PathChange::Created, PathChange::Created) => PathChange::Created,
            (PathChange::Removed, PathChange::Removed) => PathChange::Removed,
            (PathChange::Moved, PathChange::Moved) => PathChange::Moved,
            (
                PathChange::Moved
                | PathChange::Created
                | PathChange::Removed
                | PathChange::Reverted,
                _,
            ) => PathChange::Reverted,
        }
    }
}

impl PathEvent {
    /// Converts event number `order`.
    pub fn of(order: u64, event: &Event) -> PathEvent {
        let lost = is_loss(event.kind);
        // Only Linux reports the end of writing, and each step once and in order.
        if !cfg!(target_os = "linux") {
            return PathEvent { order, lost, ..PathEvent::default() };
        }
        let was = match event.kind {
            EventKind::Create(_) => PathChange::Created,
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => PathChange::Moved,
            _ if lost => PathChange::Removed,
            _ => PathChange::Unchanged,
        };
        let writing = match event.kind {
            EventKind::Modify(ModifyKind::Data(_)) => Some(true),
            EventKind::Access(AccessKind::Close(_)) => Some(false),
            _ => matches!(was, PathChange::Removed | PathChange::Moved).then_some(false),
        };
        PathEvent { order, lost, writing, was }
    }

    pub fn is_written(self) -> bool {
        self.writing == Some(true)
    }

    /// Returns whether something was created or removed, not only written.
    pub fn is_create_or_remove(self) -> bool {
        self.was != PathChange::Unchanged || !cfg!(target_os = "linux")
    }

    /// Combines these events with later ones.
    pub fn merge(self, later: PathEvent) -> PathEvent {
        PathEvent {
            order: self.order.min(later.order),
            lost: self.lost || later.lost,
            writing: later.writing.or(self.writing),
            was: self.was.merge(later.was),
        }
    }
}

/// Returns whether the file is gone from its path.
fn is_loss(kind: EventKind) -> bool {
    matches!(kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)))
}

/// Returns whether an event adds nothing: a read, or the third event of a rename within watched
/// directories, with both names.
pub(super) fn is_irrelevant(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Modify(ModifyKind::Name(RenameMode::Both))
            | EventKind::Access(AccessKind::Open(_) | AccessKind::Read)
    )
}

#[cfg(test)]
#[cfg(target_os = "linux")]
pub(crate) mod tests {
    use super::*;
    use notify::event::{AccessMode, CreateKind, DataChange, RemoveKind};

    fn sum(kinds: &[EventKind]) -> PathEvent {
        let touches = kinds.iter().zip(0..).map(|(kind, at)| PathEvent::of(at, &Event::new(*kind)));
        touches.reduce(PathEvent::merge).unwrap()
    }

    pub const MADE: EventKind = EventKind::Create(CreateKind::File);
    pub const WROTE: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    pub const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    pub const FROM: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::From));
    pub const TO: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::To));
    pub const GONE: EventKind = EventKind::Remove(RemoveKind::File);

    #[test]
    fn what_became_of_a_path_is_the_sum_of_its_events() {
        for (kinds, was, written) in [
            (&[WROTE][..], PathChange::Unchanged, true),
            (&[WROTE, CLOSED], PathChange::Unchanged, false),
            (&[MADE, WROTE, CLOSED], PathChange::Created, false),
            (&[MADE, WROTE, CLOSED, FROM], PathChange::Reverted, false),
            (&[TO], PathChange::Moved, false),
            (&[WROTE, TO], PathChange::Moved, false),
            (&[FROM, MADE, WROTE], PathChange::Reverted, true),
            (&[FROM, MADE, WROTE, CLOSED], PathChange::Reverted, false),
            (&[FROM, TO], PathChange::Reverted, false),
            (&[GONE], PathChange::Removed, false),
            (&[WROTE, GONE], PathChange::Removed, false),
        ] {
            let touch = sum(kinds);
            assert_eq!((touch.was, touch.is_written()), (was, written), "{kinds:?}");
            assert_eq!(touch.order, 0);
        }
    }

    #[test]
    fn it_makes_no_difference_where_a_sum_is_cut() {
        let kinds = [MADE, WROTE, CLOSED, FROM, TO, GONE];
        let all: Vec<[EventKind; 4]> = (0..6_usize.pow(4))
            .map(|n| [0, 1, 2, 3].map(|at| kinds[n / 6_usize.pow(at) % 6]))
            .collect();
        for kinds in all {
            let touches = |part: &[EventKind]| sum(part);
            for cut in 1..4 {
                let (one, other) = kinds.split_at(cut);
                let both = touches(one).merge(touches(other));
                assert_eq!(both, sum(&kinds), "{kinds:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_was_lost_stays_lost() {
        assert!(sum(&[GONE, MADE]).lost);
    }
}
