use super::evict::{Case, investigate};
use super::person::{Person, Reply};
use crate::ports::{ConflictAnswer, ConflictPrompt};

pub(super) struct Interrupted;

/// Asks what to do about a port that is not available. End of input means to quit.
pub(super) fn ask(
    dispute: &ConflictPrompt,
    person: &mut Person,
) -> Result<ConflictAnswer, Interrupted> {
    let kill = if dispute.listens { ", [k]ill it" } else { "" };
    let question = format!("{}\n  [n]ext ({}){kill}, [q]uit?", dispute.reason, dispute.alternative);
    loop {
        let answer = match person.ask(&question) {
            Reply::Line(line) => line,
            Reply::End => return Ok(ConflictAnswer::Quit),
            Reply::Interrupt => return Err(Interrupted),
        };
        match answer.as_str() {
            "" | "n" | "next" => return Ok(ConflictAnswer::Next),
            "q" | "quit" => return Ok(ConflictAnswer::Quit),
            "k" | "kill" if dispute.listens => {
                if end_holders(dispute.port, person) {
                    return Ok(ConflictAnswer::Retry);
                }
            }
            other => {
                person.tell(&format!("invalid choice `{}`", super::complain::printable(other)))
            }
        }
    }
}

/// Kills what listens on the port, by the rules of `--kill`; returns whether to check it again.
fn end_holders(port: u16, person: &mut Person) -> bool {
    match investigate(port) {
        Case::Nobody => true,
        Case::Guilty(suspects) => {
            let outcome = suspects.evict();
            outcome.lines().iter().for_each(|line| person.tell(line));
            // If another process has the port by now, the user is asked again.
            true
        }
        Case::Unwise(_, remedy) => {
            let way = format!("or kill it anyway with `devstack ports {port} --kill`");
            person.tell(&format!("consider: {remedy}, {way}"));
            false
        }
        Case::Refused(message) => {
            person.tell(&format!("refused: {}", message.text));
            if !message.help.is_empty() {
                person.tell(&format!("  help: {}", message.help));
            }
            false
        }
    }
}
