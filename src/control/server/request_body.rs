//! What the bodies of requests ask for, and the services that they name.

use hyper::StatusCode;
use serde::Deserialize;

use super::router::ApiError;
use crate::control::protocol::{ServicesRequest, WaitRequest, exactly_one, find_services};
use crate::model::{ActionRequest, Message, MessageClass, Name, Snapshot};
use crate::supervisor::ControlRequest;
use crate::supervisor::actions::ActionOrder;

/// Returns the services that a request body names, without duplicates.
pub(super) fn services(body: &[u8], snapshot: &Snapshot) -> Result<Vec<Name>, ApiError> {
    let bad = |text: String| {
        let help = r#"send a body such as {"services": ["api"]}"#;
        ApiError::from(Message::new(MessageClass::Usage, text).help(help))
    };
    let wanted: ServicesRequest =
        serde_json::from_slice(body).map_err(|why| bad(format!("invalid request body: {why}")))?;
    if wanted.services.is_empty() {
        return Err(bad("no services given".to_owned()));
    }
    all_known(snapshot, &wanted.services)
}

/// Returns the action that a request body names, of a known service.
pub(super) fn action_order(body: &[u8], snapshot: &Snapshot) -> Result<ActionOrder, ApiError> {
    let ActionRequest { service, action, args, detach } = action_body(body)?;
    let service = resolve_service(snapshot, &service)?;
    Ok(ActionOrder { service, action, args, detach })
}

/// Reads a request body about an action.
pub(super) fn action_body<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|why| {
        let text = format!("invalid request body: {why}");
        let help = r#"send a body such as {"service": "api", "action": "seed", "args": ["50"]}"#;
        ApiError::from(Message::new(MessageClass::Usage, text).help(help))
    })
}

/// Returns what to wait for, and whether the client wants to see the events meanwhile.
pub(super) fn awaited(
    body: &[u8],
    snapshot: &Snapshot,
) -> Result<(ControlRequest, bool), ApiError> {
    let read =
        if body.is_empty() { Ok(WaitRequest::default()) } else { serde_json::from_slice(body) };
    let wanted: WaitRequest = read.map_err(|why| {
        let text = format!("invalid request body: {why}");
        let help =
            r#"send a body such as {"services": ["api"], "for": "ready"}; both keys are optional"#;
        ApiError::from(Message::new(MessageClass::Usage, text).help(help))
    })?;
    let names = all_known(snapshot, &wanted.services)?;
    Ok((ControlRequest::Wait { names, until: wanted.what }, wanted.progress))
}

fn all_known(snapshot: &Snapshot, texts: &[String]) -> Result<Vec<Name>, ApiError> {
    let mut names = Vec::new();
    for text in texts {
        for name in resolve_services(snapshot, text)? {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// Resolves a name to its service or replicas.
pub(super) fn resolve_services(snapshot: &Snapshot, text: &str) -> Result<Vec<Name>, ApiError> {
    find_services(snapshot, text).map_err(|why| ApiError(StatusCode::NOT_FOUND, why))
}

/// Resolves a name to exactly one service.
pub(super) fn resolve_service(snapshot: &Snapshot, text: &str) -> Result<Name, ApiError> {
    Ok(exactly_one(text, resolve_services(snapshot, text)?)?)
}
