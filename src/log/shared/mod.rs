//! What captures, the printer and readers share.

mod encoded_chunks;
mod print_queue;
mod shared_lines;
mod shared_log;

pub(crate) use encoded_chunks::EncodedChunks;
pub(crate) use print_queue::{PrintItem, PrintMode, PrintQueue};
pub(crate) use shared_lines::SharedLines;
pub(crate) use shared_log::{SharedLog, unix_millis};
