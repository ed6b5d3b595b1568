use std::path::Path;

use super::eventually;

/// The output of `misbehave marker`: which instance ran when.
#[derive(Debug)]
pub struct MarkerLog(Vec<MarkerEvent>);

/// One line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MarkerEvent {
    /// `start`, `exit` or `overlap`.
    pub what: String,
    pub pid: u32,
    pub instance: String,
    /// Monotonic time.
    pub nanos: u64,
}

impl MarkerLog {
    /// Reads a marker file; a missing file is empty.
    pub fn read(file: &Path) -> MarkerLog {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        // The last line may be incomplete.
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        MarkerLog(
            whole.map(|line| mark(line).unwrap_or_else(|| panic!("what is {line:?}?"))).collect(),
        )
    }

    /// Waits until an instance has started `count` times.
    #[track_caller]
    pub fn wait_starts(file: &Path, instance: &str, count: usize) -> MarkerLog {
        eventually(&format!("{count} starts of {instance} in {}", file.display()), || {
            Some(MarkerLog::read(file)).filter(|markers| markers.count("start", instance) >= count)
        })
    }

    /// Counts events of an instance.
    pub fn count(&self, what: &str, instance: &str) -> usize {
        self.of(instance).filter(|mark| mark.what == what).count()
    }

    /// Returns the events of an instance, in order.
    pub fn of<'a>(&'a self, instance: &'a str) -> impl Iterator<Item = &'a MarkerEvent> {
        self.0.iter().filter(move |mark| mark.instance == instance)
    }

    /// Fails if two copies of an instance were ever alive at the same time.
    #[track_caller]
    pub fn assert_no_overlap(&self) {
        let overlaps: Vec<_> = self.0.iter().filter(|mark| mark.what == "overlap").collect();
        assert!(overlaps.is_empty(), "two copies at once: {overlaps:?} in {:?}", self.0);
        for start in self.0.iter().filter(|mark| mark.what == "start") {
            let later_exit = |mark: &&MarkerEvent| {
                mark.what == "exit" && mark.pid != start.pid && mark.nanos > start.nanos
            };
            for exit in self.of(&start.instance).filter(later_exit) {
                let began = self
                    .of(&start.instance)
                    .find(|mark| mark.what == "start" && mark.pid == exit.pid);
                let earlier = began.is_some_and(|began| began.nanos < start.nanos);
                assert!(!earlier, "{start:?} came before {exit:?} in {:?}", self.0);
            }
        }
    }
}

fn mark(line: &str) -> Option<MarkerEvent> {
    let mut words = line.split_whitespace();
    Some(MarkerEvent {
        what: words.next()?.to_owned(),
        pid: words.next()?.parse().ok()?,
        instance: words.next()?.to_owned(),
        nanos: words.next()?.parse().ok()?,
    })
}
