use std::sync::Arc;

use super::terminal::Terminal;
use crate::model::{Exit, Message, Run, Stream};

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// The run.
    pub run: Run,
    /// What happened.
    pub what: What,
}

/// What can happen to a run. The order is fixed: either `Spawned` and later `Exited`, or `NotSpawned`;
/// then `Emptied`, once, last.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Its main process runs its program.
    Spawned {
        /// The main process, which leads a session and a group of its own.
        pid: u32,
    },
    /// It could not be started; why.
    NotSpawned(Message),
    /// The main process ended.
    Exited(Exit),
    /// Nothing of its tree is alive, its output was read to the end and its sink is closed.
    Emptied {
        /// Who outlived the main process without having been told to stop, or would not stop when it
        /// was: pid and short name, at most 64. They are dead now.
        leftovers: Vec<(u32, String)>,
    },
}

/// Where the output of a run goes.
pub trait Sink: Send + 'static {
    /// The run is about to be started, in this terminal or without one. Not told of what cannot be tried.
    fn begins(&mut self, _terminal: Option<&Arc<Terminal>>) {}
    /// Bytes as they were read, in order for each stream; those of a terminal as it shows them, so that lines end
    /// with `\r\n`. Must not wait for anything.
    fn push(&mut self, stream: Stream, bytes: &[u8]);
    /// No more bytes will come; how the main process ended, if there was one.
    fn closed(&mut self, exit: Option<Exit>);
}
