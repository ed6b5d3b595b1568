//! How results and errors look: tables, texts, JSON.

mod env;
pub(crate) mod errors;
mod log;
mod output;
mod plan;
mod ports;
mod ps;
mod stacks;
mod table;
mod why;

pub(crate) use env::{EnvText, dotenv, shell, table};
pub(crate) use errors::{CommandError, message_text, note_text, received_text};
pub(crate) use log::LogRenderer;
pub(crate) use output::{begin_line, clean_stderr, clean_stdout, print, print_exact, warn};
pub(crate) use plan::text;
pub(crate) use ports::ports_table;
pub(crate) use ps::{phase_style, ps_table};
pub(crate) use stacks::stacks_table;
pub(crate) use table::{Table, TableCell};
pub(crate) use why::why_text;
