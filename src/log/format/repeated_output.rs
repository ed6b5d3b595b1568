use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::log::line_split;
use crate::log::status_line::{StatusLine, StatusText, StatusTone};
use crate::log::store::LogChunk;
use crate::model::{Name, RunId};

/// Recognizes crashes that print what the crash before printed, but for times, pids and other
/// numbers: that is shown once, then counted. Only the screen leaves it out; files and readers have
/// every line.
///
/// Whether a run repeats the one before is known when it ends, so what is equal so far is held
/// back, but not for long: a run that stays alive is worth reading.
#[derive(Default)]
pub(super) struct RepeatedOutput {
    services: BTreeMap<Name, ServiceOutput>,
}

struct ServiceOutput {
    run: RunId,
    stage: Stage,
    /// What the run printed; `None`: too much to compare.
    text: Option<ComparedText>,
    last_crash: Option<CrashOutput>,
}

enum Stage {
    /// Everything is shown.
    Shown,
    /// It printed what the last crash printed so far; `held` is not shown yet.
    Equal { held: Vec<LogChunk>, since: Instant },
    /// The run has crashed; what follows with its number comes from watch commands.
    Over,
}

struct CrashOutput {
    text: ComparedText,
    times: u32,
}

/// Output in which `#` stands for each word with a digit.
#[derive(Default)]
struct ComparedText {
    text: Vec<u8>,
    /// Where the last word begins.
    word: usize,
    /// Whether `#` stands for the last word.
    blanked: bool,
    /// How many bytes it was.
    taken: usize,
}

impl ComparedText {
    fn push(&mut self, bytes: &[u8]) {
        self.taken += bytes.len();
        for byte in bytes {
            match byte {
                byte if !byte.is_ascii_alphanumeric() => {
                    self.text.push(*byte);
                    (self.word, self.blanked) = (self.text.len(), false);
                }
                _ if self.blanked => {}
                byte if byte.is_ascii_digit() => {
                    self.text.truncate(self.word);
                    self.text.push(b'#');
                    self.blanked = true;
                }
                byte => self.text.push(*byte),
            }
        }
    }
}

/// The longest output that is compared, in bytes. More is shown as it comes.
const TEXT_MAX: usize = 64 * 1024;

/// How long lines are held back at most.
const HOLD_MAX: Duration = Duration::from_secs(2);

impl RepeatedOutput {
    /// Takes a chunk, and moves what can be shown to `shown`.
    pub fn add(&mut self, chunk: LogChunk, now: Instant, shown: &mut Vec<LogChunk>) {
        let Some(name) = chunk.source.service() else { return shown.push(chunk) };
        let run = chunk.batch.run;
        let entry = self.services.entry(name.clone()).or_insert_with(|| ServiceOutput::new(run));
        if entry.run != run {
            entry.release(shown);
            *entry =
                ServiceOutput { last_crash: entry.last_crash.take(), ..ServiceOutput::new(run) };
            if entry.last_crash.is_some() {
                entry.stage = Stage::Equal { held: Vec::new(), since: now };
            }
        }
        entry.add(chunk, now, shown);
    }

    /// Takes how the current run of a service turned out. Returns the line that stands for the
    /// output of a crash that was not shown.
    pub fn judge(
        &mut self,
        name: &Name,
        crashed: bool,
        shown: &mut Vec<LogChunk>,
    ) -> Option<StatusLine> {
        let entry = self.services.get_mut(name)?;
        if !crashed {
            entry.release(shown);
            entry.last_crash = None;
            return None;
        }
        match std::mem::replace(&mut entry.stage, Stage::Over) {
            Stage::Over => None,
            Stage::Shown => {
                entry.last_crash = entry.text.take().map(|text| CrashOutput { text, times: 1 });
                None
            }
            Stage::Equal { held, .. } => {
                let text = entry.text.take()?;
                let last = entry.last_crash.as_mut()?;
                let Some(chunk) = held.last().filter(|_| last.text.text == text.text) else {
                    shown.extend(held);
                    entry.last_crash = Some(CrashOutput { text, times: 1 });
                    return None;
                };
                last.times += 1;
                let lines = line_split::count(&text.text);
                let s = if lines == 1 { "" } else { "s" };
                let said = format!(
                    "the same output as before, {lines} line{s}; {} times so far",
                    last.times
                );
                let text = StatusText::about(name, StatusTone::Plain, said);
                Some(StatusLine { text, at: chunk.batch.at, seq: None })
            }
        }
    }

    /// When lines have been held back for long enough.
    pub fn deadline(&self) -> Option<Instant> {
        self.services.values().filter_map(ServiceOutput::deadline).min()
    }

    /// Shows what has been held back for long enough.
    pub fn expire(&mut self, now: Instant, shown: &mut Vec<LogChunk>) {
        for entry in self.services.values_mut() {
            if entry.deadline().is_some_and(|at| at <= now)
                && let Stage::Equal { held, .. } = &mut entry.stage
            {
                shown.append(held);
            }
        }
    }

    /// Shows everything and forgets what was printed.
    pub fn clear(&mut self, shown: &mut Vec<LogChunk>) {
        for entry in std::mem::take(&mut self.services).values_mut() {
            entry.release(shown);
        }
    }
}

impl ServiceOutput {
    fn new(run: RunId) -> ServiceOutput {
        ServiceOutput {
            run,
            stage: Stage::Shown,
            text: Some(ComparedText::default()),
            last_crash: None,
        }
    }

    fn add(&mut self, chunk: LogChunk, now: Instant, shown: &mut Vec<LogChunk>) {
        if chunk.is_unfinished() {
            // It is not compared: its whole line follows.
            match &mut self.stage {
                Stage::Equal { held, since } => {
                    if held.is_empty() {
                        *since = now;
                    }
                    held.push(chunk);
                }
                Stage::Shown | Stage::Over => shown.push(chunk),
            }
            return;
        }
        // What is before the last word has been compared.
        let from = self.text.as_ref().map_or(0, |text| text.word);
        if let Some(text) = &mut self.text {
            text.push(&chunk.bytes);
        }
        self.text.take_if(|text| text.taken > TEXT_MAX);
        let repeats = match (&self.stage, &self.text, &self.last_crash) {
            (Stage::Equal { .. }, Some(text), Some(last)) => {
                let rest = last.text.text.get(from..);
                rest.is_some_and(|rest| rest.starts_with(&text.text[from..]))
            }
            _ => false,
        };
        match &mut self.stage {
            Stage::Equal { held, since } if repeats => {
                if held.is_empty() {
                    *since = now;
                }
                return held.push(chunk);
            }
            Stage::Equal { .. } => self.release(shown),
            Stage::Shown | Stage::Over => {}
        }
        shown.push(chunk);
    }

    fn release(&mut self, shown: &mut Vec<LogChunk>) {
        if let Stage::Equal { held, .. } = &mut self.stage {
            shown.append(held);
            self.stage = Stage::Shown;
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Equal { held, since } if !held.is_empty() => Some(*since + HOLD_MAX),
            Stage::Equal { .. } | Stage::Shown | Stage::Over => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::log_source::LogSource;
    use crate::log::store::IndexEntry;
    use crate::model::OutputStream;

    fn api() -> Name {
        Name::new("api").unwrap()
    }

    fn chunk(run: u64, text: &str) -> LogChunk {
        let batch = IndexEntry {
            at: 0,
            seq: 0,
            run: RunId(run),
            offset: 0,
            len: text.len() as u32,
            lines: text.lines().count() as u32,
            stream: OutputStream::Stdout,
            continues: false,
            open: false,
            more: false,
            lost: false,
        };
        LogChunk { source: LogSource::Service(api()), batch, bytes: text.to_owned().into() }
    }

    /// Runs that each print these chunks and crash; what is shown of them.
    struct Screen {
        output: RepeatedOutput,
        now: Instant,
        text: String,
    }

    impl Screen {
        fn new() -> Screen {
            Screen { output: RepeatedOutput::default(), now: Instant::now(), text: String::new() }
        }

        fn print(&mut self, run: u64, text: &str) {
            let mut shown = Vec::new();
            self.output.add(chunk(run, text), self.now, &mut shown);
            self.show(shown);
        }

        fn judge(&mut self, crashed: bool) {
            let mut shown = Vec::new();
            let said = self.output.judge(&api(), crashed, &mut shown);
            self.show(shown);
            self.text.extend(said.map(|line| format!("* {}\n", line.text.text)));
        }

        fn pass(&mut self, time: Duration) {
            self.now += time;
            let mut shown = Vec::new();
            self.output.expire(self.now, &mut shown);
            self.show(shown);
        }

        fn show(&mut self, shown: Vec<LogChunk>) {
            for chunk in shown {
                self.text += std::str::from_utf8(&chunk.bytes).unwrap();
            }
        }

        fn take(&mut self) -> String {
            std::mem::take(&mut self.text)
        }
    }

    #[test]
    fn equal_crashes_are_shown_once_and_counted() {
        let mut screen = Screen::new();
        for (run, chunks) in [(1, &["a\n", "b\n"][..]), (2, &["a\nb\n"]), (3, &["a", "\nb\n"])] {
            chunks.iter().for_each(|text| screen.print(run, text));
            screen.judge(true);
        }
        let same = |times| format!("* the same output as before, 2 lines; {times} times so far\n");
        assert_eq!(screen.take(), format!("a\nb\n{}{}", same(2), same(3)));
        // More, less and other output is all shown.
        for (run, text) in [(4, "a\nb\nc\n"), (5, "a\n"), (6, "a\nx\n")] {
            screen.print(run, text);
            screen.judge(true);
            assert_eq!(screen.take(), text);
        }
    }

    #[test]
    fn times_pids_and_addresses_do_not_make_a_crash_another() {
        let mut screen = Screen::new();
        let crash = |time: &str, pid: u32, at: &str, why: &str| {
            format!("{time} [emerg] {pid}#{pid}: {why}\nmain.main() +{at} /app/main.go:12\n")
        };
        let first = crash("2026/11/20 09:00:00", 99, "0x1d", "no host");
        screen.print(1, &first);
        screen.judge(true);
        assert_eq!(screen.take(), first);
        screen.print(2, &crash("2026/11/20 09:00:01", 32410, "0x7ffe", "no host"));
        screen.judge(true);
        assert_eq!(screen.take(), "* the same output as before, 2 lines; 2 times so far\n");
        let other = crash("2026/11/20 09:00:02", 7, "0x1d", "no port");
        screen.print(3, &other);
        screen.judge(true);
        assert_eq!(screen.take(), other);
    }

    #[test]
    fn a_run_that_lives_is_shown() {
        let mut screen = Screen::new();
        screen.print(1, "starting\nboom\n");
        screen.judge(true);
        screen.take();
        screen.print(2, "starting\n");
        assert_eq!(screen.take(), "");
        screen.judge(false);
        screen.print(2, "boom\n");
        assert_eq!(screen.take(), "starting\nboom\n");
        screen.judge(true);
        // Of one that crashes late, the beginning is shown after a while.
        screen.print(3, "starting\n");
        screen.pass(HOLD_MAX);
        assert_eq!(screen.take(), "starting\n");
        screen.print(3, "boom\n");
        screen.judge(true);
        assert_eq!(screen.take(), "* the same output as before, 2 lines; 2 times so far\n");
        screen.print(4, "starting\n");
        let mut shown = Vec::new();
        screen.output.clear(&mut shown);
        screen.show(shown);
        assert_eq!(screen.take(), "starting\n");
    }

    #[test]
    fn commands_between_two_runs_and_long_output_are_shown() {
        let mut screen = Screen::new();
        screen.print(1, "boom\n");
        screen.judge(true);
        screen.print(1, "building\n");
        screen.print(2, "boom\n");
        screen.judge(true);
        assert_eq!(
            screen.take(),
            "boom\nbuilding\n* the same output as before, 1 line; 2 times so far\n"
        );
        let long = "x\n".repeat(TEXT_MAX);
        for run in [3, 4] {
            screen.print(run, &long);
            screen.judge(true);
            assert!(screen.take() == long);
        }
    }

    #[test]
    fn a_long_word_with_a_digit_is_not_held_back() {
        let long = format!("{}\n", "1".repeat(TEXT_MAX));
        let mut screen = Screen::new();
        for run in 1..=2 {
            screen.print(run, &long);
            screen.judge(true);
        }
        assert_eq!(screen.text, long.repeat(2));
    }
}
