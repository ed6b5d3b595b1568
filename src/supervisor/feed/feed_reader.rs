use bytes::Bytes;
use serde::Serialize;

use super::FeedSubscriber;
use super::event_ring::FeedPage;
use crate::model::Snapshot;
use crate::supervisor::supervisor_handle::SupervisorHandle;

/// Reads the events of a stack as JSON lines: a snapshot, then what happens after it. Holds only
/// its position, so it can be arbitrarily slow.
pub struct FeedReader {
    handle: SupervisorHandle,
    tap: FeedSubscriber,
    place: FeedPosition,
}

#[derive(Debug, Clone, Copy)]
enum FeedPosition {
    /// At the start, before the snapshot.
    Start,
    /// Has read everything up to the event with this number.
    After(u64),
    /// The same, but the next event is no longer available.
    Lost(u64),
}

/// A line that is not an event.
#[derive(Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
enum FeedLine<'a> {
    /// The state after the event with this number.
    Snapshot { number: u64, stack: &'a Snapshot },
    /// This many events were missed.
    Missed { missed: u64 },
}

impl FeedReader {
    pub(crate) fn new(handle: SupervisorHandle, tap: FeedSubscriber) -> FeedReader {
        FeedReader { handle, tap, place: FeedPosition::Start }
    }

    /// Returns the next lines, at least one; `None` when the stack has stopped and everything was
    /// read.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            let seen = match self.place {
                FeedPosition::Start => return self.begin(None).await,
                FeedPosition::Lost(seen) => return self.begin(Some(seen)).await,
                FeedPosition::After(seen) => seen,
            };
            match self.tap.after(seen).await? {
                FeedPage::Lines(lines, last) => {
                    self.place = FeedPosition::After(last);
                    return Some(lines);
                }
                FeedPage::Gone => self.place = FeedPosition::Lost(seen),
                FeedPage::None => {}
            }
        }
    }

    /// Returns a snapshot, preceded by the number of missed events if there are any.
    async fn begin(&mut self, seen: Option<u64>) -> Option<Bytes> {
        let snapshot = self.handle.snapshot().await.ok();
        let number = snapshot.as_ref().map_or_else(|| self.tap.newest(), |now| now.event);
        self.place = FeedPosition::After(number);
        let missed = seen.map(|seen| FeedLine::Missed { missed: number - seen });
        let snapshot = snapshot.as_deref().map(|stack| FeedLine::Snapshot { number, stack });
        let mut text = Vec::new();
        for line in missed.into_iter().chain(snapshot) {
            serde_json::to_writer(&mut text, &line).expect("a line has only string keys");
            text.push(b'\n');
        }
        (!text.is_empty()).then(|| Bytes::from(text))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;
    use tokio::sync::mpsc;

    use super::*;
    use crate::control::tests::fake;
    use crate::log::{LogOutput, LogStyle, StackLog};
    use crate::model::{Event, EventKind, Message};
    use crate::supervisor::feed::EventFeed;
    use crate::supervisor::feed::event_ring::MAX_EVENTS;
    use crate::supervisor::supervisor_handle::SupervisorRequest;

    fn note(feed: &EventFeed) {
        let what = EventKind::Note(Message::new(crate::model::MessageClass::Port, "moved"));
        feed.publish(String::new(), &Event { service: None, what });
    }

    /// A supervisor that publishes `before` events, answers snapshot requests, and publishes one
    /// event after each.
    fn reader(before: usize) -> (FeedReader, Arc<EventFeed>) {
        let (ask, mut requests) = mpsc::unbounded_channel();
        let feed = Arc::new(EventFeed::new());
        let dir = std::path::Path::new("/nonexistent");
        let logs = StackLog::open(dir, LogStyle::new(false), LogOutput::None);
        let handle = SupervisorHandle::new(ask, logs, feed.subscribe());
        (0..before).for_each(|_| note(&feed));
        let supervisor = feed.clone();
        tokio::spawn(async move {
            while let Some(ask) = requests.recv().await {
                let SupervisorRequest::Snapshot(tell) = ask else { continue };
                let event = supervisor.newest();
                let _ = tell.send(Arc::new(Snapshot { event, ..fake::snapshot() }));
                note(&supervisor);
            }
        });
        (handle.events(), feed)
    }

    async fn next(events: &mut FeedReader) -> Vec<(String, u64)> {
        let page = events.next().await.unwrap();
        let lines = std::str::from_utf8(&page).unwrap().lines();
        let brief = |line: Value| {
            let number = if line["missed"].is_u64() { &line["missed"] } else { &line["number"] };
            (line["what"].as_str().unwrap().to_owned(), number.as_u64().unwrap())
        };
        lines.map(|line| brief(serde_json::from_str(line).unwrap())).collect()
    }

    fn line(what: &str, number: u64) -> (String, u64) {
        (what.to_owned(), number)
    }

    #[tokio::test]
    async fn a_snapshot_comes_first_and_then_exactly_what_is_newer() {
        let (mut events, feed) = reader(5);
        assert_eq!(next(&mut events).await, [line("snapshot", 5)]);
        assert_eq!(next(&mut events).await, [line("note", 6)]);
        note(&feed);
        note(&feed);
        assert_eq!(next(&mut events).await, [line("note", 7), line("note", 8)]);
    }

    #[tokio::test]
    async fn who_is_too_slow_is_told_how_much_it_missed_and_begins_anew() {
        let (mut events, feed) = reader(0);
        assert_eq!(next(&mut events).await, [line("snapshot", 0)]);
        for _ in 0..MAX_EVENTS {
            note(&feed);
        }
        // One was published with the snapshot.
        let all = MAX_EVENTS as u64 + 1;
        assert_eq!(next(&mut events).await, [line("missed", all), line("snapshot", all)]);
        assert_eq!(next(&mut events).await, [line("note", all + 1)]);
    }

    #[tokio::test]
    async fn the_last_event_is_read_after_the_end_and_nothing_more() {
        let feed = EventFeed::new();
        let (ask, requests) = mpsc::unbounded_channel();
        let dir = std::path::Path::new("/nonexistent");
        let logs = StackLog::open(dir, LogStyle::new(false), LogOutput::None);
        let handle = SupervisorHandle::new(ask, logs, feed.subscribe());
        let mut events = FeedReader { place: FeedPosition::After(0), ..handle.events() };
        let mut slow = FeedReader { place: FeedPosition::Lost(0), ..handle.events() };
        note(&feed);
        drop((feed, requests));
        assert_eq!(next(&mut events).await, [line("note", 1)]);
        assert_eq!(events.next().await, None);
        assert_eq!(next(&mut slow).await, [line("missed", 1)]);
        assert_eq!(slow.next().await, None);
        assert_eq!(handle.events().next().await, None);
    }
}
