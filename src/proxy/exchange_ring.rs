use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use tokio::sync::broadcast;

use super::exchange_record::ExchangeRecord;
use super::recording::Recording;
use super::route::StackRoutes;
use super::route_table::RouteTable;

/// How many exchanges are kept for each stack.
const MAX_EXCHANGES: usize = 1000;

/// How much memory they take, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// What an exchange takes besides its texts and bodies.
const EXCHANGE_BYTES: usize = size_of::<RingEntry>();

/// The latest exchanges of all stacks.
#[derive(Default)]
pub(super) struct ExchangeRings(RefCell<BTreeMap<String, Rc<ExchangeRing>>>);

impl ExchangeRings {
    /// Returns where the exchanges of a stack are recorded. `None`: nowhere.
    pub fn of(&self, stack: &StackRoutes) -> Option<Rc<ExchangeRing>> {
        stack.bodies?;
        if let Some(ring) = self.0.borrow().get(&stack.domain) {
            return Some(ring.clone());
        }
        Some(self.0.borrow_mut().entry(stack.domain.clone()).or_default().clone())
    }

    /// Drops those of stacks that are not in the table any more, or are no longer recorded.
    pub fn follow(&self, table: &RouteTable) {
        let recorded = |domain: &str| {
            table.stacks().any(|stack| stack.domain == domain && stack.bodies.is_some())
        };
        self.0.borrow_mut().retain(|domain, _| recorded(domain));
    }
}

/// The latest exchanges of a stack, also those that have not ended. In memory: they contain secrets,
/// and a slow disk must not slow the proxy.
pub struct ExchangeRing {
    state: RefCell<RingState>,
    /// The numbers of those that end.
    ended: broadcast::Sender<u64>,
}

#[derive(Default)]
struct RingState {
    entries: VecDeque<RingEntry>,
    /// How many were there before the first one that is kept.
    dropped: u64,
    /// Of all, in bytes.
    size: usize,
}

struct RingEntry {
    record: ExchangeRecord,
    /// In bytes.
    size: usize,
}

impl Default for ExchangeRing {
    fn default() -> ExchangeRing {
        let (ended, _) = broadcast::channel(MAX_EXCHANGES);
        ExchangeRing { state: RefCell::default(), ended }
    }
}

impl ExchangeRing {
    /// Adds an exchange that begins; its number is chosen here. Of each body, `bodies` bytes are kept.
    pub(super) fn begin(
        self: &Rc<ExchangeRing>,
        mut record: ExchangeRecord,
        bodies: usize,
    ) -> Recording {
        let mut state = self.state.borrow_mut();
        record.id = state.dropped + state.entries.len() as u64 + 1;
        let id = record.id;
        let size = EXCHANGE_BYTES + record.size();
        state.entries.push_back(RingEntry { record, size });
        state.grow(size);
        Recording::new(self.clone(), id, bodies)
    }

    /// Changes an exchange that is still kept.
    pub(super) fn change(&self, id: u64, change: impl FnOnce(&mut ExchangeRecord)) {
        let mut state = self.state.borrow_mut();
        let Some(entry) = state.entry(id) else { return };
        change(&mut entry.record);
        let size = EXCHANGE_BYTES + entry.record.size();
        let grown = size.saturating_sub(entry.size);
        entry.size += grown;
        state.grow(grown);
    }

    /// Tells readers that an exchange has ended.
    pub(super) fn ended(&self, id: u64) {
        // An error means that there are none.
        let _ = self.ended.send(id);
    }

    /// Returns the numbers of exchanges that end from now on. A slow reader misses some.
    pub fn follow(&self) -> broadcast::Receiver<u64> {
        self.ended.subscribe()
    }

    /// Returns the numbers of all exchanges that are kept, oldest first.
    pub fn ids(&self) -> std::ops::RangeInclusive<u64> {
        let state = self.state.borrow();
        state.dropped + 1..=state.dropped + state.entries.len() as u64
    }

    /// Reads an exchange. `None`: it is no longer kept, or does not exist.
    pub fn read<T>(&self, id: u64, read: impl FnOnce(&ExchangeRecord) -> T) -> Option<T> {
        self.state.borrow_mut().entry(id).map(|entry| read(&entry.record))
    }
}

impl RingState {
    fn entry(&mut self, id: u64) -> Option<&mut RingEntry> {
        let index = id.checked_sub(self.dropped + 1)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    /// Adds to the size and drops the oldest exchanges while it is too large.
    fn grow(&mut self, bytes: usize) {
        self.size += bytes;
        while self.size > MAX_BYTES || self.entries.len() > MAX_EXCHANGES {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.size -= oldest.size;
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Name;
    use crate::proxy::exchange_record::RecordedMessage;

    fn record() -> ExchangeRecord {
        ExchangeRecord::new(Name::new("api").unwrap(), 0)
    }

    #[test]
    fn the_oldest_exchanges_go() {
        let ring = Rc::new(ExchangeRing::default());
        for _ in 0..MAX_EXCHANGES + 5 {
            ring.begin(record(), 0);
        }
        assert_eq!(ring.ids(), 6..=1005);
        assert_eq!(ring.read(5, |record| record.id), None);
        assert_eq!(ring.read(6, |record| record.id), Some(6));
        assert_eq!(ring.read(1005, |record| record.id), Some(1005));
        assert_eq!(ring.read(1006, |record| record.id), None);
        assert_eq!(ring.read(0, |record| record.id), None);
    }

    #[test]
    fn bodies_that_grow_drop_older_exchanges_and_finally_themselves() {
        let ring = Rc::new(ExchangeRing::default());
        let one = ring.begin(record(), MAX_BYTES * 2);
        let other = ring.begin(record(), MAX_BYTES * 2);
        let megabyte = vec![b'x'; 1 << 20];
        for _ in 0..8 {
            one.request_data(&megabyte);
            other.request_data(&megabyte);
        }
        assert_eq!(ring.ids(), 1..=2);
        for _ in 0..80 {
            other.request_data(&megabyte);
            assert!(ring.state.borrow().size <= MAX_BYTES);
        }
        assert!(ring.ids().is_empty(), "{:?}", ring.ids());
        assert_eq!(ring.state.borrow().size, 0);
        // Nothing of it is kept, and nothing is lost: the numbers go on.
        one.request_data(&megabyte);
        ring.begin(record(), 0);
        assert_eq!(ring.ids(), 3..=3);
    }

    #[test]
    fn readers_learn_what_ends() {
        let ring = Rc::new(ExchangeRing::default());
        ring.begin(record(), 0);
        let mut ended = ring.follow();
        ring.change(1, |record| record.response = Some(RecordedMessage::default()));
        ring.ended(1);
        assert_eq!(ended.try_recv(), Ok(1));
    }
}
