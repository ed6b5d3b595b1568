//! Keeps the notes and answers JSON.
//!
//! ```text
//! GET  /                   who this is
//! GET  /health             is it up
//! GET  /notes              all notes
//! POST /notes              a new note: the body is its text
//! GET  /uncounted          for the worker: id and text of a note without a word count, on two lines
//! PUT  /notes/ID/words     from the worker: the body is the number
//! ```

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{env, io};

use notes::{Note, Notes, Request, Response, escape_json, serve};

/// Change this while the stack runs, save, and ask for `/` again.
const GREETING: &str = "hello from the notes API";

fn main() -> Result<(), Box<dyn Error>> {
    let path =
        env::var_os("NOTES_FILE").map_or_else(|| PathBuf::from("data/notes.txt"), PathBuf::from);
    let notes =
        Notes::open(&path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    println!("{} notes in {}", notes.all().len(), path.display());
    let notes = Mutex::new(notes);
    serve(move |request| answer(request, lock(&notes)))
}

/// A thread that panicked while it held the notes left them whole: every change is one push or one assignment.
fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(request: &Request, mut notes: MutexGuard<'_, Notes>) -> Response {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/") => {
            Response::json(200, format!("{{\"greeting\": \"{}\"}}\n", escape_json(GREETING)))
        }
        ("GET", "/health") => Response::json(
            200,
            format!("{{\"status\": \"ok\", \"notes\": {}}}\n", notes.all().len()),
        ),
        ("GET", "/notes") => Response::json(200, list(notes.all())),
        ("POST", "/notes") => created(notes.add(&request.body)),
        ("GET", "/uncounted") => match notes.uncounted() {
            Some(note) => Response::text(200, format!("{}\n{}\n", note.id, note.text)),
            None => Response::text(204, ""),
        },
        ("PUT", path) => match counted(path, &request.body) {
            Some((id, words)) => match notes.set_words(id, words) {
                Some(note) => Response::json(200, format!("{}\n", note.to_json())),
                None => error(404, "no such note"),
            },
            None => error(400, "PUT /notes/ID/words needs a number as its body"),
        },
        ("GET", _) => error(404, "not here"),
        _ => error(405, "not that way"),
    }
}

fn list(notes: &[Note]) -> String {
    let notes: Vec<_> = notes.iter().map(Note::to_json).collect();
    format!("[{}]\n", notes.join(",\n "))
}

fn created(added: io::Result<Result<&Note, &'static str>>) -> Response {
    match added {
        Ok(Ok(note)) => Response::json(201, format!("{}\n", note.to_json())),
        Ok(Err(reason)) => error(400, reason),
        Err(failure) => error(500, &format!("the note was not written: {failure}")),
    }
}

/// The note and the number in a request of the worker.
fn counted(path: &str, body: &str) -> Option<(usize, usize)> {
    let id = path.strip_prefix("/notes/")?.strip_suffix("/words")?.parse().ok()?;
    Some((id, body.trim().parse().ok()?))
}

fn error(status: u16, text: &str) -> Response {
    Response::json(status, format!("{{\"error\": \"{}\"}}\n", escape_json(text)))
}
