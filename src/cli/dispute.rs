use super::evict::{Case, investigate};
use super::person::{Person, Reply};
use crate::ports::{Answer, Dispute};

/// Somebody pressed Ctrl-C instead of an answer.
pub(super) struct Interrupted;

/// Asks what to do about a port that cannot be had. The end of the input means not to start.
pub(super) fn ask(dispute: &Dispute, person: &mut Person) -> Result<Answer, Interrupted> {
    let kill = if dispute.listens { ", [k]ill it" } else { "" };
    let question = format!("{}\n  [n]ext ({}){kill}, [q]uit?", dispute.text, dispute.next);
    loop {
        let answer = match person.ask(&question) {
            Reply::Line(line) => line,
            Reply::End => return Ok(Answer::Quit),
            Reply::Interrupt => return Err(Interrupted),
        };
        match answer.as_str() {
            "" | "n" | "next" => return Ok(Answer::Next),
            "q" | "quit" => return Ok(Answer::Quit),
            "k" | "kill" if dispute.listens => {
                if end_holders(dispute.port, person) {
                    return Ok(Answer::Again);
                }
            }
            other => {
                person.tell(&format!("`{}` is none of them", super::complain::printable(other)))
            }
        }
    }
}

/// Ends who listens there, under the rules of `devstack ports --kill`; whether it is worth another look at the port.
fn end_holders(port: u16, person: &mut Person) -> bool {
    match investigate(port) {
        Case::Nobody => true,
        Case::Guilty(suspects) => {
            let outcome = suspects.evict();
            outcome.lines().iter().for_each(|line| person.tell(line));
            // Whoever holds it now is somebody to ask about anew.
            true
        }
        Case::Unwise(_, remedy) => {
            let way = format!("or end it all the same with `devstack ports {port} --kill`");
            person.tell(&format!("better {remedy}, {way}"));
            false
        }
        Case::Refused(message) => {
            person.tell(&format!("no: {}", message.text));
            if !message.help.is_empty() {
                person.tell(&format!("  help: {}", message.help));
            }
            false
        }
    }
}
