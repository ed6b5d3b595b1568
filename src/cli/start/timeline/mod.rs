//! `--timeline`: what a start waited for, as text in the log or as a picture.

mod start_trace;
mod timeline;
mod timeline_svg;
mod timeline_text;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::report_file::write_report;
use crate::log::{StatusText, StatusTone};
use crate::model::{EventView, Message, Snapshot, Stack};
use crate::supervisor::SupervisorHandle;
use start_trace::StartTrace;
use timeline::Timeline;
use timeline_svg::timeline_svg;
use timeline_text::timeline_text;

/// `--timeline`.
#[derive(Debug, Args)]
pub struct TimelineArgs {
    /// Show what the start waited for, with its critical path: in the log, or as a picture in a file
    #[arg(long, value_name = "FILE.svg", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub timeline: Option<OsString>,
}

/// Where a timeline goes.
#[derive(Debug, Clone)]
pub(super) enum TimelineTarget {
    Log,
    Svg(PathBuf),
}

impl TimelineArgs {
    pub(super) fn target(self) -> Option<TimelineTarget> {
        self.timeline.map(|file| match file.is_empty() {
            true => TimelineTarget::Log,
            // `-d` may change the directory.
            false => TimelineTarget::Svg(std::path::absolute(&file).unwrap_or(file.into())),
        })
    }
}

impl TimelineTarget {
    /// Returns the file that is written.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            TimelineTarget::Log => None,
            TimelineTarget::Svg(path) => Some(path),
        }
    }
}

/// Follows the start of a stack and shows its timeline, once.
pub(super) struct TimelineTask {
    task: JoinHandle<()>,
    shown: watch::Receiver<bool>,
}

#[derive(Deserialize)]
struct FeedBegin {
    stack: Snapshot,
}

impl TimelineTask {
    /// Starts before the stack does.
    pub fn begin(target: TimelineTarget, handle: SupervisorHandle, stack: Arc<Stack>) -> Self {
        let (tell, shown) = watch::channel(false);
        let task = tokio::spawn(async move {
            let trace = follow(&handle, StartTrace::new(&stack)).await;
            let now = jiff::Timestamp::now().as_millisecond();
            let timeline = Timeline::of(&trace, now);
            let logs = handle.logs();
            match target {
                TimelineTarget::Log => logs.write_status(as_status(timeline_text(&timeline))),
                TimelineTarget::Svg(path) => {
                    let svg = timeline_svg(&stack.name, &timeline);
                    if let Err(Message { text, .. }) = write_report(&path, svg.as_bytes()) {
                        logs.write_status(StatusText::stack_wide(StatusTone::Warning, text));
                    }
                }
            }
            tell.send_replace(true);
        });
        TimelineTask { task, shown }
    }

    /// Tells when the timeline has been shown.
    pub fn shown(&self) -> watch::Receiver<bool> {
        self.shown.clone()
    }

    /// Waits until it has been shown; the stack has stopped.
    pub async fn finish(self) {
        // A panic has been printed.
        drop(self.task.await);
    }
}

/// Reads events until every service has a result or the stack has stopped.
async fn follow(handle: &SupervisorHandle, mut trace: StartTrace) -> StartTrace {
    let mut events = handle.events();
    while let Some(lines) = events.next().await {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if let Ok(event) = serde_json::from_slice::<EventView>(line) {
                trace.take_event(&event);
            } else if let Ok(begin) = serde_json::from_slice::<FeedBegin>(line) {
                trace.take_snapshot(&begin.stack);
            }
        }
        if trace.settled {
            break;
        }
    }
    trace
}

fn as_status(lines: Vec<String>) -> StatusText {
    StatusText::stack_wide(StatusTone::Notice, lines.join("\n"))
}
