//! `up` and `run`: everything up to a running stack.

mod background;
mod context;
mod existing;
mod join;
mod launch;
mod open_page;
mod options;
mod port_prompt;
mod preview;
mod prompt;
mod relay;
mod report_file;
mod run;
mod selection;
mod stack_request;
mod startup_message;
mod timeline;
mod up;

pub(crate) use preview::{StackPreview, UpPreviewArgs};
pub(crate) use prompt::{PromptReply, TtyPrompt};
pub(crate) use report_file::write_report;
pub(crate) use run::{RunArgs, run};
pub(crate) use up::{UpArgs, up};
