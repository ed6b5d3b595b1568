use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::sync::Notify;

use super::attachment::TerminalUpdate;
use super::scrollback::Scrollback;
use super::terminal_modes::TerminalModes;
use crate::model::{Message, RunId};
use crate::process::TermSize;

/// Bytes of output that may wait for a client. A healthy one takes them within milliseconds.
const MAX_OUTPUT: usize = 256 * 1024;
/// The most queued items, as when a service keeps restarting and the client does not read.
const MAX_ITEMS: usize = 64;

/// The queue of one attached client.
#[derive(Debug)]
pub(super) struct TerminalSubscriber {
    pub size: TermSize,
    pub bell: Arc<Notify>,
    queue: VecDeque<SubscriberItem>,
    /// Bytes of output in the queue.
    bytes: usize,
    /// Bytes missed since the client fell behind. While this is set, nothing is queued.
    lost: Option<u64>,
    /// The run that the client knows to be live.
    run: Option<RunId>,
    closed: Option<Message>,
}

#[derive(Debug)]
enum SubscriberItem {
    Output(BytesMut),
    Event(TerminalUpdate),
}

impl TerminalSubscriber {
    /// A client that knows of this run.
    pub fn new(size: TermSize, run: Option<RunId>, bell: Arc<Notify>) -> TerminalSubscriber {
        TerminalSubscriber {
            size,
            bell,
            queue: VecDeque::new(),
            bytes: 0,
            lost: None,
            run,
            closed: None,
        }
    }

    pub fn output(&mut self, bytes: &[u8]) {
        if let Some(lost) = &mut self.lost {
            *lost += bytes.len() as u64;
        } else if self.bytes + bytes.len() > MAX_OUTPUT {
            self.lost = Some(bytes.len() as u64);
        } else {
            self.queue_output(bytes);
        }
    }

    pub fn event(&mut self, event: TerminalUpdate) {
        if self.lost.is_none() && self.queue.len() >= MAX_ITEMS {
            self.lost = Some(0);
        }
        if self.lost.is_none() {
            self.queue_event(event);
        }
    }

    /// Ends the updates, after those queued.
    pub fn close(&mut self, why: Message) {
        self.closed = Some(why);
    }

    /// Returns the next update. After a gap: how much was missed, then the current run, modes and
    /// scrollback.
    pub fn take(
        &mut self,
        run: Option<RunId>,
        newest: &Scrollback,
        traces: &TerminalModes,
    ) -> Option<TerminalUpdate> {
        if self.queue.is_empty()
            && let Some(lost) = self.lost.take()
        {
            self.catch_up(lost, run, newest, traces);
        }
        match self.queue.pop_front() {
            Some(SubscriberItem::Output(bytes)) => {
                self.bytes -= bytes.len();
                Some(TerminalUpdate::Output(bytes.freeze()))
            }
            Some(SubscriberItem::Event(event)) => Some(event),
            None => self.closed.take().map(TerminalUpdate::Closed),
        }
    }

    fn catch_up(
        &mut self,
        lost: u64,
        run: Option<RunId>,
        newest: &Scrollback,
        traces: &TerminalModes,
    ) {
        let again = newest.bytes(lost);
        let missed = lost - again.len() as u64;
        if missed > 0 {
            self.queue_event(TerminalUpdate::Missed(missed));
        }
        if self.run != run {
            let ended = self.run.map(|run| TerminalUpdate::Ended(run, None));
            ended
                .into_iter()
                .chain(run.map(TerminalUpdate::Began))
                .for_each(|event| self.queue_event(event));
        }
        if missed > 0 {
            // The missed output may have switched modes.
            self.queue_output(&traces.restore());
        }
        self.queue_output(again);
    }

    fn queue_event(&mut self, event: TerminalUpdate) {
        match event {
            TerminalUpdate::Began(run) => self.run = Some(run),
            TerminalUpdate::Ended(..) => self.run = None,
            TerminalUpdate::Output(_) | TerminalUpdate::Missed(_) | TerminalUpdate::Closed(_) => {}
        }
        self.queue.push_back(SubscriberItem::Event(event));
    }

    fn queue_output(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        match self.queue.back_mut() {
            Some(SubscriberItem::Output(last)) => last.extend_from_slice(bytes),
            Some(SubscriberItem::Event(_)) | None if bytes.is_empty() => {}
            Some(SubscriberItem::Event(_)) | None => {
                self.queue.push_back(SubscriberItem::Output(BytesMut::from(bytes)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(run: Option<RunId>) -> TerminalSubscriber {
        TerminalSubscriber::new(TermSize { rows: 24, columns: 80 }, run, Arc::default())
    }

    fn all(
        place: &mut TerminalSubscriber,
        run: Option<RunId>,
        newest: &Scrollback,
    ) -> Vec<TerminalUpdate> {
        std::iter::from_fn(|| place.take(run, newest, &TerminalModes::default())).collect()
    }

    fn output(text: &str) -> TerminalUpdate {
        TerminalUpdate::Output(text.as_bytes().to_vec().into())
    }

    #[test]
    fn output_is_joined_and_events_stand_between() {
        let mut place = place(Some(RunId(1)));
        for text in ["a", "b"] {
            place.output(text.as_bytes());
        }
        place.event(TerminalUpdate::Ended(RunId(1), None));
        place.event(TerminalUpdate::Began(RunId(2)));
        place.output(b"c");
        let seen = all(&mut place, Some(RunId(2)), &Scrollback::default());
        assert_eq!(
            seen,
            [
                output("ab"),
                TerminalUpdate::Ended(RunId(1), None),
                TerminalUpdate::Began(RunId(2)),
                output("c")
            ]
        );
        assert_eq!(place.bytes, 0);
    }

    #[test]
    fn slow_client_learns_the_gap_and_the_present_state() {
        let (mut place, mut newest) = (place(Some(RunId(1))), Scrollback::default());
        let mut sent = 0;
        let mut send = |place: &mut TerminalSubscriber, newest: &mut Scrollback, text: &str| {
            place.output(text.as_bytes());
            newest.push(text.as_bytes());
            sent += text.len();
        };
        for _ in 0..20_000 {
            send(&mut place, &mut newest, "a line of some length\r\n");
        }
        place.event(TerminalUpdate::Ended(RunId(1), None));
        place.event(TerminalUpdate::Began(RunId(2)));
        send(&mut place, &mut newest, "(Pdb) ");
        assert!(place.bytes <= MAX_OUTPUT);
        let seen = all(&mut place, Some(RunId(2)), &newest);
        let [
            TerminalUpdate::Output(first),
            TerminalUpdate::Missed(missed),
            ended,
            began,
            TerminalUpdate::Output(last),
        ] = &seen[..]
        else {
            panic!("{seen:?}")
        };
        assert_eq!(
            (ended, began),
            (&TerminalUpdate::Ended(RunId(1), None), &TerminalUpdate::Began(RunId(2)))
        );
        assert_eq!(first.len() as u64 + missed + last.len() as u64, sent as u64);
        assert!(last.starts_with(b"a line") && last.ends_with(b"\r\n(Pdb) "), "{last:?}");
    }

    #[test]
    fn what_is_still_there_is_not_missed() {
        let (mut place, mut newest) = (place(None), Scrollback::default());
        place.output(&vec![b'x'; MAX_OUTPUT]);
        place.output(b"more");
        newest.push(b"more");
        let seen = all(&mut place, None, &newest);
        assert_eq!(seen[1..], [output("more")]);
    }

    #[test]
    fn unread_restarts_do_not_pile_up() {
        let mut place = place(None);
        for run in (1..10_000).map(RunId) {
            place.event(TerminalUpdate::Began(run));
            place.event(TerminalUpdate::Ended(run, None));
        }
        place.event(TerminalUpdate::Began(RunId(10_000)));
        assert!(place.queue.len() <= MAX_ITEMS);
        let seen = all(&mut place, Some(RunId(10_000)), &Scrollback::default());
        assert_eq!(seen.last(), Some(&TerminalUpdate::Began(RunId(10_000))));
        place.close(Message::new(crate::model::MessageClass::Usage, "over"));
        assert!(matches!(
            all(&mut place, None, &Scrollback::default())[..],
            [TerminalUpdate::Closed(_)]
        ));
    }
}
