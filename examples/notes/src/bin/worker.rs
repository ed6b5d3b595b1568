//! Asks the API for notes whose words are not counted, and counts them.

use std::error::Error;
use std::time::Duration;
use std::{io, thread};

use notes::client::Api;

/// How long to wait when there is nothing to do.
const PAUSE: Duration = Duration::from_millis(500);

fn main() -> Result<(), Box<dyn Error>> {
    let api = Api::from_env()?;
    println!("counting for {api}");
    let mut away = false;
    loop {
        // The API goes away for a moment whenever its source is edited: say so once, not twice a second.
        let worked = match count_one(&api) {
            Ok(worked) => {
                away = false;
                worked
            }
            Err(error) => {
                if !away {
                    println!("the API is away ({error}); waiting for it");
                }
                away = true;
                false
            }
        };
        if !worked {
            thread::sleep(PAUSE);
        }
    }
}

/// Counts one note. False when there was none.
fn count_one(api: &Api) -> io::Result<bool> {
    let answer = api.ask("GET", "/uncounted", "")?;
    let Some((id, text)) = answer.body.split_once('\n').filter(|_| answer.status == 200) else {
        return Ok(false);
    };
    let words = text.split_whitespace().count();
    let accepted = api.ask("PUT", &format!("/notes/{id}/words"), &words.to_string())?;
    if accepted.status != 200 {
        return Err(io::Error::other(format!("it answered {} to a count", accepted.status)));
    }
    println!("note {id} has {words} {}", if words == 1 { "word" } else { "words" });
    Ok(true)
}
