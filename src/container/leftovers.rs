//! Removes what carries the token of a stack that is gone.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::engine_client::EngineClient;
use super::engine_error::EngineError;
use crate::model::StackContainers;

/// How long what an engine was asked for may take to appear after the program that asked was killed.
const LATE_LIMIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// What was found or removed of a stack in its engines.
#[derive(Debug, Default)]
pub struct ContainerLeftovers {
    /// The names of containers.
    pub containers: Vec<String>,
    /// What could not be looked at or removed, and why.
    pub trouble: Vec<String>,
}

/// Lists the containers of a stack. Changes nothing.
pub async fn find_containers(stack: &StackContainers) -> ContainerLeftovers {
    let mut left = ContainerLeftovers::default();
    for address in &stack.engines {
        let client = EngineClient::new(address.clone());
        for id in &stack.adopted {
            if let Ok(Some(_)) = client.container(id).await {
                left.containers.push(short_id(id));
            }
        }
        for id in &stack.borrowed {
            if client.container(id).await.is_ok_and(|one| one.is_some_and(|facts| facts.running)) {
                left.containers.push(short_id(id));
            }
        }
        match client.containers_of(&stack.token).await {
            Ok(found) => left.containers.extend(found.into_iter().map(|one| one.name)),
            Err(error) => left.trouble.push(client.message(&error).text),
        }
    }
    left
}

/// Removes all containers of a stack but those that stay when they end, then its networks. Named
/// volumes stay. If creations were under
/// way, waits until they have appeared, for at most five seconds.
pub async fn remove_containers(stack: &StackContainers) -> ContainerLeftovers {
    let begin = Instant::now();
    let mut expected = stack.creations.clone();
    let mut left = ContainerLeftovers::default();
    loop {
        let mut round = Removed::default();
        for address in &stack.engines {
            let client = EngineClient::new(address.clone());
            if let Err(error) = remove_from(&client, stack, &mut round).await {
                round.is_hopeless |= matches!(error, EngineError::Unreachable(..));
                round.trouble.push(client.message(&error).text);
            }
        }
        expected.retain(|name| !round.containers.contains(name) && !round.networks.contains(name));
        let is_quiet = round.containers.is_empty() && round.networks.is_empty();
        let is_over = is_quiet && round.trouble.is_empty() && expected.is_empty();
        left.containers.append(&mut round.containers);
        if is_over || round.is_hopeless || begin.elapsed() >= LATE_LIMIT {
            left.containers.sort();
            left.trouble = round.trouble;
            return left;
        }
        if is_quiet {
            sleep(PAUSE).await;
        }
    }
}

/// What one look found and removed.
#[derive(Debug, Default)]
struct Removed {
    containers: Vec<String>,
    networks: Vec<String>,
    trouble: Vec<String>,
    /// Whether an engine is not there, so that looking again is in vain.
    is_hopeless: bool,
}

async fn remove_from(
    client: &EngineClient,
    stack: &StackContainers,
    removed: &mut Removed,
) -> Result<(), EngineError> {
    let mut removals = JoinSet::new();
    let own = client.containers_of(&stack.token).await?.into_iter().map(|one| (one.id, one.name));
    let adopted = stack.adopted.iter().map(|id| (id.clone(), short_id(id)));
    for (id, name) in own.chain(adopted) {
        let client = client.clone();
        removals.spawn(async move { (client.remove(&id).await, name) });
    }
    for id in &stack.borrowed {
        let (client, id) = (client.clone(), id.clone());
        removals
            .spawn(async move { (client.stop(&id).await, format!("{} (stopped)", short_id(&id))) });
    }
    let mut failed = None;
    while let Some(done) = removals.join_next().await {
        match done {
            Ok((Ok(true), name)) => removed.containers.push(name),
            Ok((Err(error), _)) => failed = Some(error),
            Ok((Ok(false), _)) | Err(_) => {}
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    for network in client.networks_of(&stack.token).await? {
        client.remove_network(&network).await?;
        removed.networks.push(network);
    }
    Ok(())
}

/// As engines show it.
fn short_id(id: &str) -> String {
    id.chars().take(12).collect()
}
