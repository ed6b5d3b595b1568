use bytes::Bytes;

use crate::model::{Exit, Message, Run};

/// What somebody sees who is attached, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// The terminal shows this.
    Output(Bytes),
    /// So many bytes of output are lost here, because they were not taken in time.
    Missed(u64),
    /// A run began.
    Began(Run),
    /// It is over. The next one may come. How its main process ended; `None`: it had none, or that was missed.
    Ended(Run, Option<Exit>),
    /// Nothing comes any more; why.
    Closed(Message),
}
