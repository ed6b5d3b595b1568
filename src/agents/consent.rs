//! Whether an agent may start the stack of a directory: if this user has run one there before (the project
//! record, which no repository and no tool can write), or after a yes that the client gets from its user.

use std::collections::BTreeMap;
use std::path::Path;

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, ClientResult, ElicitRequest, ElicitRequestParams, ElicitResult,
    ElicitationAction, InputRequest, InputRequiredResult, ProtocolVersion, ServerRequest,
};
use rmcp::service::RequestContext;
use serde_json::json;

use crate::model::{Message, MessageClass, PlanView};
use crate::text::one_line;

/// The key of the only question.
const QUESTION: &str = "start";

/// Marks the retry of a call that was answered with the question.
const ASKED: &str = "asked-to-start";

/// What a client said about starting a stack.
#[derive(Debug)]
pub(super) enum StartConsent {
    Given,
    /// The client must ask its user and call again.
    Ask(Box<InputRequiredResult>),
    /// This call fails.
    Refused(Message),
}

/// Asks for a yes in the way that the client knows.
pub(super) async fn ask(
    plan: &PlanView,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> StartConsent {
    let capabilities = context.client_capabilities();
    let elicitation = capabilities.and_then(|capabilities| capabilities.elicitation);
    // Without a mode, forms are meant.
    let can_ask = elicitation.is_some_and(|modes| modes.form.is_some() || modes.url.is_none());
    let Some(question) = question(plan).filter(|_| can_ask) else {
        return StartConsent::Refused(refusal(&plan.dir));
    };
    let newer = context
        .protocol_version()
        .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str());
    if !newer {
        let answer = context.peer.send_request(ServerRequest::ElicitRequest(question));
        return match answer.await {
            Ok(ClientResult::ElicitResult(answer)) => decide(&answer, &plan.dir),
            Ok(_) | Err(_) => StartConsent::Refused(refusal(&plan.dir)),
        };
    }
    let answer = request
        .input_responses
        .as_ref()
        .filter(|_| request.request_state.as_deref() == Some(ASKED))
        .and_then(|answers| answers.get(QUESTION));
    match answer {
        Some(answer) => match serde_json::from_value(answer.clone()) {
            Ok(answer) => decide(&answer, &plan.dir),
            Err(_) => StartConsent::Refused(refusal(&plan.dir)),
        },
        None => {
            let question =
                BTreeMap::from([(QUESTION.to_owned(), InputRequest::Elicitation(question))]);
            let required = InputRequiredResult::new(Some(question), Some(ASKED.to_owned()));
            StartConsent::Ask(Box::new(required))
        }
    }
}

/// A yes is accepted and says so in the form, too: closing it is none.
fn decide(answer: &ElicitResult, dir: &Path) -> StartConsent {
    let said_yes =
        answer.content.as_ref().and_then(|content| content.get(QUESTION)) == Some(&json!(true));
    if answer.action == ElicitationAction::Accept && said_yes {
        return StartConsent::Given;
    }
    let text = format!("the user did not agree to start the stack in {}", shown(dir));
    let help = "ask what to do instead; do not start it in another way";
    StartConsent::Refused(Message::new(MessageClass::Denied, text).help(help))
}

fn question(plan: &PlanView) -> Option<ElicitRequest> {
    /// A question is read, not studied.
    const MOST: usize = 12;
    let names: Vec<&str> = plan.plan.changes.iter().map(|change| change.service.as_str()).collect();
    let more = names.len().saturating_sub(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = format!(
        "An agent wants to start the stack `{}` in {}. You have never run one there. It runs the commands of its configuration file as you: {}{more}. Read the file before you agree.",
        one_line(&plan.stack),
        shown(&plan.dir),
        names[..names.len().min(MOST)].join(", "),
    );
    let params = json!({
        "mode": "form",
        "message": message,
        "requestedSchema": {
            "type": "object",
            "properties": {
                QUESTION: { "type": "boolean", "title": "Start it", "default": false },
            },
            "required": [QUESTION],
        },
    });
    let params: ElicitRequestParams = serde_json::from_value(params).ok()?;
    Some(ElicitRequest::new(params))
}

/// The error for clients that cannot ask.
fn refusal(dir: &Path) -> Message {
    let text = format!(
        "this user has never run the stack in {}, and an agent may not be the first to start it",
        shown(dir)
    );
    Message::new(MessageClass::Denied, text).help(format!(
        "ask the user to read the configuration file and to run `devstack up -d` in {} once; then call `up` again",
        shown(dir)
    ))
}

fn shown(dir: &Path) -> String {
    one_line(&dir.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Plan;

    fn answered(action: ElicitationAction, content: serde_json::Value) -> bool {
        let answer = ElicitResult::new(action).with_content(content);
        matches!(decide(&answer, Path::new("/a")), StartConsent::Given)
    }

    #[test]
    fn only_an_accepted_yes_is_a_yes() {
        assert!(answered(ElicitationAction::Accept, json!({ "start": true })));
        assert!(!answered(ElicitationAction::Accept, json!({ "start": false })));
        assert!(!answered(ElicitationAction::Accept, json!({ "start": "true" })));
        assert!(!answered(ElicitationAction::Accept, json!({})));
        assert!(!answered(ElicitationAction::Decline, json!({ "start": true })));
        assert!(!answered(ElicitationAction::Cancel, json!({ "start": true })));
    }

    #[test]
    fn the_question_names_stack_directory_and_services() {
        let plan = PlanView {
            version: 1,
            stack: "shop".to_owned(),
            dir: "/home/me/shop\u{1b}[2J".into(),
            running: false,
            live: true,
            plan: Plan::default(),
            notes: Vec::new(),
        };
        let question = serde_json::to_value(question(&plan).unwrap().params).unwrap();
        let message = question["message"].as_str().unwrap();
        assert!(message.contains("`shop` in /home/me/shop") && !message.contains('\u{1b}'));
    }
}
