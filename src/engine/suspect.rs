//! Whether a file change comes from the user or from the very service that it restarts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::Effect;
use super::slot::{Slot, State, Time, Verdict};
use super::streak::{Judgement, SOON, Streak};
use crate::model::{EventKind, Message, MessageClass};

impl Slot {
    /// Whether a file change leads to anything. The only place that pauses watches.
    pub(super) fn heeds(
        &mut self,
        now: Time,
        files: &BTreeMap<usize, PathBuf>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(path) = files.values().next() else { return false };
        if let Some((pause, _)) = &mut self.saves.pause {
            if !pause.is_over(now, path) {
                return false;
            }
            self.saves.trust();
        }
        let ended = matches!(
            self.state,
            State::Stopping { .. } | State::Draining { verdict: Verdict::ByUs, .. }
        );
        if ended
            || self.restart.is_some()
            || files.keys().all(|place| self.saves.due.contains_key(place))
        {
            // The change makes no difference to what follows.
            return true;
        }
        let after = self.saves.mark.map(|mark| now.saturating_sub(mark));
        match after.filter(|after| *after < SOON) {
            Some(after) => !self.suspect(now, path.clone(), after, effects),
            None if self.saves.job.is_some() => {
                self.saves.during = Some((now, path.clone()));
                true
            }
            None => {
                self.saves.streak = None;
                true
            }
        }
    }

    /// Records a change that may be the service's own work. Returns true for a restart loop.
    fn suspect(
        &mut self,
        now: Time,
        path: PathBuf,
        after: Duration,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let streak = self.saves.streak.get_or_insert_with(|| Streak::new(now));
        let judgement = streak.add(now, &path, after);
        match judgement {
            Judgement::Usual => false,
            Judgement::Odd => {
                let message = self.oddness();
                self.say(EventKind::Note(message), effects);
                false
            }
            Judgement::Loop => {
                let message = self.circle(now);
                if let Some(streak) = self.saves.streak.take() {
                    self.saves.pause = Some((streak.into_pause(now), message.clone()));
                }
                self.say(EventKind::Note(message), effects);
                true
            }
        }
    }

    fn oddness(&self) -> Message {
        let (name, files) = (&self.service.name, self.suspects());
        let text = format!(
            "{} changed repeatedly, each time right after {name} started",
            files.join(", ")
        );
        Message::new(MessageClass::WatchDegraded, text).help(self.remedy(&files))
    }

    fn circle(&self, now: Time) -> Message {
        let (name, files) = (&self.service.name, self.suspects());
        let told = self.saves.streak.as_ref().map(|streak| streak.told(now)).unwrap_or_default();
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
        let paths = self.saves.streak.iter().flat_map(Streak::paths);
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
    pub(super) fn judge_during(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let Some((at, path)) = self.saves.during.take() else { return };
        let before = now.saturating_sub(at);
        if before >= SOON {
            self.saves.streak = None;
        } else if self.suspect(now, path, before, effects) {
            self.saves.due.clear();
        }
    }
}
