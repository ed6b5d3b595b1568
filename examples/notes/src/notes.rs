use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::escape_json;

/// Enough for an example, and a bound for the file and for every answer.
const MAX_NOTES: usize = 1000;
/// One note.
const MAX_NOTE_BYTES: usize = 4096;

/// One note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// 1 for the first.
    pub id: usize,
    /// At least one word, on one line.
    pub text: String,
    /// How many words it has, once the worker has said so.
    pub words: Option<usize>,
}

impl Note {
    /// The note as a JSON object.
    pub fn to_json(&self) -> String {
        let words = self.words.map_or("null".to_owned(), |words| words.to_string());
        format!(r#"{{"id": {}, "text": "{}", "words": {words}}}"#, self.id, escape_json(&self.text))
    }
}

/// All notes. The text of each is also in a file, one a line, so that it is still there after a restart; the counts
/// are not, so that a restarted API has something for the worker to do.
#[derive(Debug)]
pub struct Notes {
    notes: Vec<Note>,
    file: File,
}

impl Notes {
    /// Reads the notes in the file at `path`, which is made when it is not there.
    pub fn open(path: &Path) -> io::Result<Notes> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let lines = fs::read_to_string(path)?;
        let notes = lines
            .lines()
            .take(MAX_NOTES)
            .enumerate()
            .map(|(index, line)| Note { id: index + 1, text: line.to_owned(), words: None })
            .collect();
        Ok(Notes { notes, file })
    }

    /// All of them, oldest first.
    pub fn all(&self) -> &[Note] {
        &self.notes
    }

    /// Adds a note, with line ends turned into spaces. Refuses an empty one, a long one, and one too many, with the
    /// reason; the outer error is the file's.
    pub fn add(&mut self, text: &str) -> io::Result<Result<&Note, &'static str>> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() {
            return Ok(Err("a note needs at least one word"));
        }
        if text.len() > MAX_NOTE_BYTES {
            return Ok(Err("a note has at most 4096 bytes"));
        }
        if self.notes.len() >= MAX_NOTES {
            return Ok(Err("there are 1000 notes already: delete the file they are in"));
        }
        self.file.write_all(format!("{text}\n").as_bytes())?;
        let id = self.notes.len() + 1;
        self.notes.push(Note { id, text, words: None });
        Ok(Ok(&self.notes[id - 1]))
    }

    /// The oldest note whose words were not counted yet.
    pub fn uncounted(&self) -> Option<&Note> {
        self.notes.iter().find(|note| note.words.is_none())
    }

    /// Records how many words note `id` has. `None` when there is no such note.
    pub fn set_words(&mut self, id: usize, words: usize) -> Option<&Note> {
        let note = self.notes.get_mut(id.checked_sub(1)?)?;
        note.words = Some(words);
        Some(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_survive_a_restart_and_are_counted_again() {
        let dir = std::env::temp_dir().join(format!("notes-test-{}", std::process::id()));
        let path = dir.join("deep/notes.txt");
        let mut notes = Notes::open(&path).unwrap();
        assert_eq!(notes.add(" buy\r\nmilk ").unwrap().unwrap().text, "buy milk");
        assert!(notes.add(" \n ").unwrap().is_err());
        assert!(notes.add(&"x".repeat(5000)).unwrap().is_err());
        assert_eq!(
            notes.set_words(1, 2).unwrap().to_json(),
            r#"{"id": 1, "text": "buy milk", "words": 2}"#
        );
        assert_eq!(notes.set_words(0, 2), None);
        assert_eq!(notes.set_words(2, 2), None);
        assert_eq!(notes.uncounted(), None);

        let mut again = Notes::open(&path).unwrap();
        again.add("call home").unwrap().unwrap();
        let texts: Vec<_> = again.all().iter().map(|note| note.text.as_str()).collect();
        assert_eq!(texts, ["buy milk", "call home"]);
        assert_eq!(again.uncounted().unwrap().id, 1);
        fs::remove_dir_all(dir).unwrap();
    }
}
