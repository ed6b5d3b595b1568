use super::prompt::{PromptReply, TtyPrompt};
use crate::cli::inspect::find_candidates;
use crate::ports::{ConflictAnswer, ConflictPrompt};
use crate::text::one_line;

pub(super) struct PromptInterrupted;

/// Asks what to do about a port that is not available. End of input means to quit.
pub(super) fn resolve_conflict(
    dispute: &ConflictPrompt,
    person: &mut TtyPrompt,
) -> Result<ConflictAnswer, PromptInterrupted> {
    let kill = if dispute.listens { ", [k]ill it" } else { "" };
    let question = format!("{}\n  [n]ext ({}){kill}, [q]uit?", dispute.reason, dispute.alternative);
    loop {
        let answer = match person.ask(&question) {
            PromptReply::Line(line) => line,
            PromptReply::End => return Ok(ConflictAnswer::Quit),
            PromptReply::Interrupt => return Err(PromptInterrupted),
        };
        match answer.as_str() {
            "" | "n" | "next" => return Ok(ConflictAnswer::Next),
            "q" | "quit" => return Ok(ConflictAnswer::Quit),
            "k" | "kill" if dispute.listens => {
                if kill_holders(dispute.port, person) {
                    return Ok(ConflictAnswer::Retry);
                }
            }
            other => person.print(&format!("invalid choice `{}`", one_line(other))),
        }
    }
}

/// Kills what listens on the port, by the rules of `--kill`; returns whether to check it again.
fn kill_holders(port: u16, person: &mut TtyPrompt) -> bool {
    match find_candidates(port) {
        Ok(candidates) => match &candidates.instead {
            None if candidates.is_empty() => true,
            None => {
                let outcome = candidates.kill();
                outcome.lines().iter().for_each(|line| person.print(line));
                // If another process has the port by now, the user is asked again.
                true
            }
            Some(instead) => {
                let way = format!("or kill it anyway with `devstack ports {port} --kill`");
                person.print(&format!("consider: {instead}, {way}"));
                false
            }
        },
        Err(message) => {
            person.print(&format!("refused: {}", message.text));
            if !message.help.is_empty() {
                person.print(&format!("  help: {}", message.help));
            }
            false
        }
    }
}
