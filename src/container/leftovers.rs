//! Removes what carries the token of a stack that is gone.

use super::engine_client::EngineClient;
use super::engine_error::EngineError;
use crate::model::EngineAddress;

/// How often is looked again: a container whose creation was under way appears late.
const LOOKS: usize = 3;

/// What was found or removed of a stack in its engines.
#[derive(Debug, Default)]
pub struct ContainerLeftovers {
    /// The names of containers.
    pub containers: Vec<String>,
    /// What could not be looked at or removed, and why.
    pub trouble: Vec<String>,
}

/// Lists the containers with this token. Changes nothing.
pub async fn find_containers(engines: &[EngineAddress], token: &str) -> ContainerLeftovers {
    let mut left = ContainerLeftovers::default();
    for address in engines {
        let client = EngineClient::new(address.clone());
        match client.containers_of(token).await {
            Ok(found) => left.containers.extend(found.into_iter().map(|one| one.name)),
            Err(error) => left.trouble.push(client.message(&error).text),
        }
    }
    left
}

/// Removes all containers with this token, then the networks. Named volumes stay.
pub async fn remove_containers(engines: &[EngineAddress], token: &str) -> ContainerLeftovers {
    let mut left = ContainerLeftovers::default();
    for address in engines {
        let client = EngineClient::new(address.clone());
        if let Err(error) = remove_from(&client, token, &mut left.containers).await {
            left.trouble.push(client.message(&error).text);
        }
    }
    left
}

async fn remove_from(
    client: &EngineClient,
    token: &str,
    removed: &mut Vec<String>,
) -> Result<(), EngineError> {
    for _ in 0..LOOKS {
        let found = client.containers_of(token).await?;
        if found.is_empty() {
            break;
        }
        let mut removals = tokio::task::JoinSet::new();
        for one in found {
            let client = client.clone();
            removals.spawn(async move { (client.remove(&one.id).await, one.name) });
        }
        while let Some(done) = removals.join_next().await {
            let Ok((outcome, name)) = done else { continue };
            if outcome? {
                removed.push(name);
            }
        }
    }
    for network in client.networks_of(token).await? {
        client.remove_network(&network).await?;
    }
    removed.sort();
    Ok(())
}
