use serde::Serialize;
use tokio::task::JoinSet;

use crate::control::{ClientError, ControlClient};
use crate::model::{PastRun, ServiceView};

/// How many services are asked at once.
const AT_ONCE: usize = 8;

/// When a service ran: what the timeline is drawn from.
#[derive(Debug, Serialize)]
pub(super) struct ServiceRuns {
    pub service: ServiceView,
    /// How its last runs exited, newest first.
    pub exits: Vec<PastRun>,
}

/// Asks a stack for the runs of all services, sorted by name.
pub(super) async fn service_runs(client: &ControlClient) -> Result<Vec<ServiceRuns>, ClientError> {
    let mut names = client.stack().await?.services.into_iter().map(|view| view.name);
    let mut asked = JoinSet::new();
    let mut all = Vec::new();
    loop {
        while asked.len() < AT_ONCE
            && let Some(name) = names.next()
        {
            let client = client.clone();
            asked.spawn(async move { client.why(name.as_str()).await });
        }
        // A panic has been printed.
        let Some(answer) = asked.join_next().await else { break };
        match answer {
            Ok(Ok(why)) => all.push(ServiceRuns { service: why.service, exits: why.exits }),
            // It has been removed meanwhile.
            Ok(Err(ClientError::UnknownService(_))) | Err(_) => {}
            Ok(Err(error)) => return Err(error),
        }
    }
    all.sort_by(|one, other| one.service.name.cmp(&other.service.name));
    Ok(all)
}
