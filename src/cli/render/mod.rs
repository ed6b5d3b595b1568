//! How results and errors look: tables, texts, JSON.

mod env;
pub(crate) mod errors;
mod log;
mod plan;
mod ports;
mod ps;
mod stacks;
mod table;
mod why;

pub(crate) use env::{EnvText, dotenv, shell, table};
pub(crate) use errors::{
    CommandError, message_text, note_text, print, print_bytes, received_text, warn,
};
pub(crate) use log::LogRenderer;
pub(crate) use plan::text;
pub(crate) use ports::ports_table;
pub(crate) use ps::ps_table;
pub(crate) use stacks::stacks_table;
pub(crate) use table::Table;
pub(crate) use why::why_text;
