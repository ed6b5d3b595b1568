//! Commands beside the stack: `do`, `open`, `exec`, `dashboard`, `export`, `data`, `trust`,
//! `completions`, `man`.

mod browser;
mod completions;
mod dashboard;
mod data;
mod exec;
mod export_file;
mod export_vscode;
mod man;
mod open;
pub(crate) mod page;
mod run_action;
mod trust;

pub(crate) use browser::BrowserCommand;
pub(crate) use completions::{CompletionsArgs, complete_if_asked, completions};
pub(crate) use dashboard::{DashboardArgs, dashboard};
pub(crate) use data::{DataArgs, data};
pub(crate) use exec::{ExecArgs, exec};
pub(crate) use export_file::{ExportFileArgs, ExportFormat, export_file};
pub(crate) use export_vscode::{VscodeArgs, export};
pub(crate) use man::{ManArgs, man};
pub(crate) use open::{NO_BROWSER, OpenArgs, open};
pub(crate) use page::ServicePage;
pub(crate) use run_action::{DoArgs, run_action};
pub(crate) use trust::{TrustArgs, date, store_label, trust};
