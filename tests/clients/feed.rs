//! The events of the feed, and whether what clients saw is in it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::history::{Asked, Seen, What};

/// What an event reports of a service: its phase, its run, and since when.
type Told = (String, Option<u64>, String);

/// The phases of all services after each event.
pub struct Feed(BTreeMap<u64, BTreeMap<String, Told>>);

impl Feed {
    /// From all that was read, one object a line.
    #[track_caller]
    pub fn read(text: &str) -> Feed {
        let mut states = BTreeMap::new();
        let mut now: Option<BTreeMap<String, Told>> = None;
        let mut last = 0;
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).expect("JSON");
            let word = |key: &str| event[key].as_str().expect("a text").to_owned();
            let number = event["number"].as_u64();
            match event["what"].as_str().expect("a word") {
                "snapshot" => {
                    let told =
                        |(name, seen): (String, Seen)| (name, (seen.phase, seen.run, seen.since));
                    now = Some(Seen::all(&event["stack"]).into_iter().map(told).collect());
                }
                // Until the snapshot that follows nothing is known.
                "missed" => {
                    now = None;
                    continue;
                }
                what => {
                    assert_eq!(number, Some(last + 1), "a gap before {line}");
                    if let Some(now) = now.as_mut().filter(|_| what == "phase") {
                        let name = word("service");
                        // Between runs a snapshot still shows the last one.
                        let before = now.get(&name).cloned();
                        let run = before.as_ref().and_then(|(_, run, _)| *run);
                        let run = event["run"].as_u64().or(run);
                        // Another cause alone is not another phase.
                        let since = before.filter(|(phase, ..)| *phase == word("to"));
                        let since = since.map_or_else(|| word("at"), |(.., since)| since);
                        now.insert(name, (word("to"), run, since));
                    }
                }
            }
            last = number.expect("a number");
            states.extend(now.clone().map(|now| (last, now)));
        }
        Feed(states)
    }

    /// What of `asked` is not what the events before it make of the services; and how much was compared.
    pub fn wrong(&self, asked: &[Asked]) -> (Vec<String>, usize) {
        let mut compared = 0;
        let mut wrong = Vec::new();
        for one in asked {
            let What::Snapshot(event, all) = &one.what else { continue };
            let Some(state) = self.0.get(event) else { continue };
            compared += 1;
            for (name, seen) in all {
                let is = (seen.phase.clone(), seen.run, seen.since.clone());
                if state.get(name) != Some(&is) {
                    let told = state.get(name);
                    wrong.push(format!("event {event}: {name} was {told:?}, but seen as {is:?}"));
                }
            }
        }
        (wrong, compared)
    }
}
