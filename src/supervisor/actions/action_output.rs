use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot, watch};

use crate::model::{ActionUpdate, OutputStream};
use crate::process::BoxFuture;
use crate::sync::lock_unpoisoned;

/// Bytes of output that wait for the client. Then an action that belongs to it waits too, as in a
/// pipe; one that goes on without it loses the oldest.
const ROOM: usize = 256 * 1024;

/// Bytes in one update.
const PART: usize = 32 * 1024;

/// What an action reports to the client that runs it. Dropping this ends the action, unless it is
/// detached.
#[derive(Debug)]
pub struct ActionOutput {
    pipe: Arc<ActionPipe>,
    started: Option<ActionUpdate>,
    over: bool,
    /// Ends the action when it is dropped.
    _left: Option<oneshot::Sender<()>>,
}

/// What is on the way from an action to its client.
#[derive(Debug)]
pub(super) struct ActionPipe {
    state: Mutex<PipeState>,
    news: Notify,
    /// Whether more output is taken now.
    room: watch::Sender<bool>,
}

#[derive(Debug)]
struct PipeState {
    parts: VecDeque<(OutputStream, Bytes)>,
    bytes: usize,
    /// Starts of characters, by stream.
    torn: [Vec<u8>; 2],
    missed: u64,
    flow: Flow,
    end: Option<ActionUpdate>,
}

/// What happens to output for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Waits,
    /// The oldest is dropped.
    Drops,
    /// All is taken: little more can come.
    Ends,
    /// Its reader is gone.
    Unread,
}

impl ActionPipe {
    pub fn new(detach: bool) -> Arc<ActionPipe> {
        let flow = if detach { Flow::Drops } else { Flow::Waits };
        let (parts, torn) = Default::default();
        let state = PipeState { parts, bytes: 0, torn, missed: 0, flow, end: None };
        let state = Mutex::new(state);
        Arc::new(ActionPipe { state, news: Notify::new(), room: watch::Sender::new(true) })
    }

    pub fn push(&self, stream: OutputStream, bytes: &[u8]) {
        let mut state = lock_unpoisoned(&self.state);
        if state.flow == Flow::Unread {
            return;
        }
        for part in bytes.chunks(PART) {
            state.parts.push_back((stream, Bytes::copy_from_slice(part)));
            state.bytes += part.len();
        }
        while state.flow == Flow::Drops && state.bytes > ROOM {
            let Some((_, part)) = state.parts.pop_front() else { break };
            state.bytes -= part.len();
            state.missed += part.len() as u64;
        }
        self.set_room(&state);
        drop(state);
        self.news.notify_one();
    }

    /// Resolves when more output is taken; `None`: now.
    pub fn full(&self) -> Option<BoxFuture> {
        let mut room = self.room.subscribe();
        if *room.borrow() {
            return None;
        }
        Some(Box::pin(async move {
            // Fails only when nothing is left of the action.
            let _ = room.wait_for(|room| *room).await;
        }))
    }

    /// The action is about to end: nothing of it waits for the client any more.
    pub fn open(&self) {
        let mut state = lock_unpoisoned(&self.state);
        if state.flow == Flow::Waits {
            state.flow = Flow::Ends;
        }
        self.set_room(&state);
    }

    /// Nothing follows this.
    pub fn end(&self, end: ActionUpdate) {
        lock_unpoisoned(&self.state).end = Some(end);
        self.news.notify_one();
    }

    fn close(&self) {
        let mut state = lock_unpoisoned(&self.state);
        state.flow = Flow::Unread;
        state.parts.clear();
        state.bytes = 0;
        self.set_room(&state);
    }

    fn set_room(&self, state: &PipeState) {
        let room = state.flow != Flow::Waits || state.bytes < ROOM;
        self.room.send_if_modified(|old| std::mem::replace(old, room) != room);
    }

    fn take(&self) -> Vec<ActionUpdate> {
        let mut state = lock_unpoisoned(&self.state);
        let mut updates = Vec::new();
        let missed = std::mem::take(&mut state.missed);
        if missed > 0 {
            updates.push(ActionUpdate::Missed { bytes: missed });
        }
        if let Some((stream, bytes)) = state.next_part() {
            updates.push(ActionUpdate::output(stream, &bytes));
        } else {
            updates.extend(state.end.take());
        }
        self.set_room(&state);
        updates
    }
}

impl PipeState {
    /// Takes output of one stream, in whole characters as far as it is text.
    fn next_part(&mut self) -> Option<(OutputStream, Vec<u8>)> {
        while let Some((stream, first)) = self.parts.pop_front() {
            let mut bytes = std::mem::take(&mut self.torn[stream as usize]);
            bytes.extend_from_slice(&first);
            self.bytes -= first.len();
            while bytes.len() < PART
                && self.parts.front().is_some_and(|(next, _)| *next == stream)
                && let Some((_, part)) = self.parts.pop_front()
            {
                bytes.extend_from_slice(&part);
                self.bytes -= part.len();
            }
            self.torn[stream as usize] = bytes.split_off(whole_characters(&bytes));
            if !bytes.is_empty() {
                return Some((stream, bytes));
            }
        }
        self.end.as_ref()?;
        let mut streams = [OutputStream::Stdout, OutputStream::Stderr].into_iter();
        streams.find_map(|stream| {
            let rest = std::mem::take(&mut self.torn[stream as usize]);
            (!rest.is_empty()).then_some((stream, rest))
        })
    }
}

/// Returns the length without a last character that is not complete.
fn whole_characters(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let at = bytes.len() - back;
        let needed = match bytes[at] {
            0x80..0xc0 => continue,
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0..0xf8 => 4,
            _ => 1,
        };
        return if needed > back { at } else { bytes.len() };
    }
    bytes.len()
}

impl ActionOutput {
    /// Returns the reading end. `started` comes first; `left` ends the action when it is dropped.
    pub(super) fn new(
        pipe: Arc<ActionPipe>,
        started: ActionUpdate,
        left: Option<oneshot::Sender<()>>,
    ) -> ActionOutput {
        ActionOutput { pipe, started: Some(started), _left: left, over: false }
    }

    /// Returns the next updates; `None` after the end. Can be cancelled.
    pub async fn next(&mut self) -> Option<Vec<ActionUpdate>> {
        if let Some(started) = self.started.take() {
            return Some(vec![started]);
        }
        while !self.over {
            let updates = self.pipe.take();
            if updates.is_empty() {
                self.pipe.news.notified().await;
                continue;
            }
            self.over = updates.iter().any(ActionUpdate::is_last);
            return Some(updates);
        }
        None
    }
}

impl Drop for ActionOutput {
    fn drop(&mut self) {
        self.pipe.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Name, ProcessExit};

    fn started() -> ActionUpdate {
        let name = |name| Name::new(name).expect("a valid name");
        ActionUpdate::Started {
            service: name("api"),
            action: name("seed"),
            at: String::new(),
            number: 1,
        }
    }

    fn ended() -> ActionUpdate {
        ActionUpdate::Ended { exit: ProcessExit::Code(0), cause: None }
    }

    async fn read(pipe: &Arc<ActionPipe>) -> (Vec<u8>, u64) {
        let mut output = ActionOutput::new(pipe.clone(), started(), None);
        let (mut bytes, mut missed) = (Vec::new(), 0);
        while let Some(updates) = output.next().await {
            for update in updates {
                bytes.extend(update.bytes());
                if let ActionUpdate::Missed { bytes } = update {
                    missed += bytes;
                }
            }
        }
        (bytes, missed)
    }

    #[tokio::test]
    async fn an_action_waits_for_its_client_and_goes_on_when_that_has_left() {
        let pipe = ActionPipe::new(false);
        assert!(pipe.full().is_none());
        pipe.push(OutputStream::Stdout, &[b'x'; ROOM]);
        let full = pipe.full().expect("it is full");
        drop(ActionOutput::new(pipe.clone(), started(), None));
        full.await;
        pipe.push(OutputStream::Stdout, &[b'x'; ROOM * 2]);
        assert!(pipe.full().is_none());
    }

    #[tokio::test]
    async fn what_ends_waits_for_nobody_and_loses_nothing() {
        let pipe = ActionPipe::new(false);
        pipe.push(OutputStream::Stdout, &[b'x'; ROOM]);
        let full = pipe.full().expect("it is full");
        pipe.open();
        full.await;
        pipe.push(OutputStream::Stdout, &[b'x'; ROOM]);
        pipe.end(ended());
        assert_eq!(read(&pipe).await, (vec![b'x'; ROOM * 2], 0));
    }

    #[tokio::test]
    async fn what_is_detached_drops_the_oldest_and_says_how_much() {
        let pipe = ActionPipe::new(true);
        pipe.push(OutputStream::Stdout, &[b'x'; ROOM * 2]);
        assert!(pipe.full().is_none());
        pipe.end(ended());
        assert_eq!(read(&pipe).await, (vec![b'x'; ROOM], ROOM as u64));
    }

    #[tokio::test]
    async fn characters_come_whole_and_other_bytes_as_they_are() {
        for text in ["äöü €uro 🦀".as_bytes(), b"\xff\xfe\xe2\x82", b"\x80\x80\x80\x80 x\xf0"]
        {
            let pipe = ActionPipe::new(false);
            let mut output = ActionOutput::new(pipe.clone(), started(), None);
            output.next().await;
            let mut bytes = Vec::new();
            for byte in text {
                pipe.push(OutputStream::Stdout, &[*byte]);
                for update in pipe.take() {
                    let whole = matches!(update, ActionUpdate::Output { text: Some(_), .. });
                    assert!(whole || std::str::from_utf8(text).is_err(), "{update:?}");
                    bytes.extend(update.bytes());
                }
            }
            pipe.end(ended());
            while let Some(updates) = output.next().await {
                updates.iter().for_each(|update| bytes.extend(update.bytes()));
            }
            assert_eq!(bytes, text);
        }
    }
}
