//! Whether a file change comes from the user or from the very service that it restarts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::Effect;
use super::slot::{EngineTime, ExitVerdict, RunState, ServiceState};
use super::streak::{LoopVerdict, RestartLoop, SOON_AFTER_START};
use crate::model::{EventKind, Message, MessageClass};

impl ServiceState {
    /// Whether a file change leads to anything. The only place that pauses watches.
    pub(super) fn accepts_change(
        &mut self,
        now: EngineTime,
        files: &BTreeMap<usize, PathBuf>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(path) = files.values().next() else { return false };
        if let Some((pause, _)) = &mut self.saves.pause {
            if !pause.is_over(now, path) {
                return false;
            }
            self.saves.reset_loop_detection();
        }
        let ended = matches!(
            self.state,
            RunState::Stopping { .. } | RunState::Draining { verdict: ExitVerdict::Requested, .. }
        );
        if ended
            || self.pending_restart.is_some()
            || files.keys().all(|place| self.saves.queued.contains_key(place))
        {
            // The change makes no difference to what follows.
            return true;
        }
        let after = self.saves.last_activity.map(|mark| now.saturating_sub(mark));
        match after.filter(|after| *after < SOON_AFTER_START) {
            Some(after) => !self.record_change(now, path.clone(), after, effects),
            None if self.saves.job.is_some() => {
                self.saves.change_during_job = Some((now, path.clone()));
                true
            }
            None => {
                self.saves.restart_loop = None;
                true
            }
        }
    }

    /// Records a change that may be the service's own work. Returns true for a restart loop.
    fn record_change(
        &mut self,
        now: EngineTime,
        path: PathBuf,
        after: Duration,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let streak = self.saves.restart_loop.get_or_insert_with(|| RestartLoop::new(now));
        let judgement = streak.add(now, &path, after);
        match judgement {
            LoopVerdict::Usual => false,
            LoopVerdict::Odd => {
                let message = self.suspicion();
                self.emit(EventKind::Note(message), effects);
                false
            }
            LoopVerdict::Loop => {
                let message = self.loop_message(now);
                if let Some(streak) = self.saves.restart_loop.take() {
                    self.saves.pause = Some((streak.into_pause(now), message.clone()));
                }
                self.emit(EventKind::Note(message), effects);
                true
            }
        }
    }

    fn suspicion(&self) -> Message {
        let (name, files) = (&self.service.name, self.suspects());
        let text = format!(
            "{} changed repeatedly, each time right after {name} started",
            files.join(", ")
        );
        Message::new(MessageClass::WatchDegraded, text).help(self.remedy(&files))
    }

    fn loop_message(&self, now: EngineTime) -> Message {
        let (name, files) = (&self.service.name, self.suspects());
        let told =
            self.saves.restart_loop.as_ref().map(|streak| streak.summary(now)).unwrap_or_default();
        let text =
            format!("file watching for {name} is paused: {} changed {told}", files.join(", "));
        let help = format!(
            "{}; to resume, change another file or run `devstack restart {name}`",
            self.remedy(&files)
        );
        Message::new(MessageClass::WatchDegraded, text).help(help)
    }

    fn remedy(&self, files: &[String]) -> String {
        let globs: Vec<String> = files.iter().map(|file| format!("{file:?}")).collect();
        format!(
            "if {} writes these files itself, exclude them from `watch`: ignore = [{}]",
            self.service.name,
            globs.join(", ")
        )
    }

    /// Returns some files of the restart loop, as globs.
    fn suspects(&self) -> Vec<String> {
        let paths = self.saves.restart_loop.iter().flat_map(RestartLoop::paths);
        let glob = |path: &PathBuf| {
            let roots = self.service.watch.iter().map(|watch| &watch.root);
            let inner = roots.into_iter().find_map(|root| path.strip_prefix(root).ok());
            let name = path.file_name().unwrap_or_default();
            inner.map_or_else(
                || format!("**/{}", name.to_string_lossy()),
                |inner| inner.to_string_lossy().into_owned(),
            )
        };
        paths.take(3).map(glob).collect()
    }

    /// Decides whether a change during a watch command was the command's own work.
    pub(super) fn judge_change_during_job(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        let Some((at, path)) = self.saves.change_during_job.take() else { return };
        let before = now.saturating_sub(at);
        if before >= SOON_AFTER_START {
            self.saves.restart_loop = None;
        } else if self.record_change(now, path, before, effects) {
            self.saves.queued.clear();
        }
    }
}
