use std::sync::Arc;

use tokio::sync::watch;

use super::engine_record::EngineRecord;
use crate::container::{ContainerLabels, EngineClient};
use crate::model::Message;

/// An engine that the stack uses, and its network there.
#[derive(Debug, Clone)]
pub(super) struct UsedEngine {
    pub client: EngineClient,
    /// `None`: it is being created.
    network: watch::Receiver<Option<Result<(), Message>>>,
}

impl UsedEngine {
    /// Starts to create the network. That goes on when this is dropped: it would appear anyway.
    pub async fn open(
        client: EngineClient,
        labels: &ContainerLabels,
        record: Arc<EngineRecord>,
    ) -> UsedEngine {
        let (name, about) = (labels.network(), labels.of_network());
        record.begin(client.address(), &name).await;
        let (created, network) = watch::channel(None);
        let creator = client.clone();
        tokio::spawn(async move {
            let outcome = creator.create_network(&name, &about).await;
            if outcome.is_ok() {
                record.settle(&name);
            }
            created.send_replace(Some(outcome.map_err(|error| creator.message(&error))));
        });
        UsedEngine { client, network }
    }

    /// Waits for the network.
    pub async fn network(&self) -> Result<(), Message> {
        let mut network = self.network.clone();
        match network.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().expect("it was waited for"),
            // The runtime is shutting down.
            Err(_) => Ok(()),
        }
    }

    /// Whether the network could not be created.
    pub fn has_failed(&self) -> bool {
        matches!(*self.network.borrow(), Some(Err(_)))
    }
}
