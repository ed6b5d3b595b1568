//! Finds the engines of this machine: which programs are installed, and which sockets they use.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::engine_client::EngineClient;
use super::engine_error::start_help;
use crate::model::{ContainerEngine, EngineAddress, Message, MessageClass};
use crate::regular_file::read_linked;

/// In bytes. Docker's own files are a few hundred.
const MAX_FILE: u64 = 1024 * 1024;

/// How many contexts of Docker are looked at.
const MAX_CONTEXTS: usize = 200;

/// What decides which engines there are.
#[derive(Debug, Clone, Default)]
pub struct DiscoveryFacts {
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// Where the chosen context of Docker leads.
    pub docker_context: Option<String>,
    /// `CONTAINER_HOST`, which is Podman's.
    pub container_host: Option<String>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// The home directory.
    pub home: Option<PathBuf>,
    /// This user.
    pub uid: u32,
    /// The program `docker`, if it is installed.
    pub docker: Option<PathBuf>,
    /// The program `podman`, if it is installed.
    pub podman: Option<PathBuf>,
}

impl DiscoveryFacts {
    /// Collects them. `find` looks a program up.
    pub fn collect(
        variable: impl Fn(&str) -> Option<OsString>,
        find: impl Fn(&str) -> Option<PathBuf>,
    ) -> DiscoveryFacts {
        let text = |name: &str| {
            let value = variable(name)?.into_string().ok()?;
            (!value.is_empty()).then_some(value)
        };
        let home = variable("HOME").map(PathBuf::from);
        let config = variable("DOCKER_CONFIG").map(PathBuf::from);
        let config = config.or_else(|| Some(home.as_ref()?.join(".docker")));
        let context = |dir: &PathBuf| context_host(dir, text("DOCKER_CONTEXT"));
        DiscoveryFacts {
            docker_host: text("DOCKER_HOST"),
            docker_context: config.as_ref().and_then(context),
            container_host: text("CONTAINER_HOST"),
            runtime_dir: variable("XDG_RUNTIME_DIR").map(PathBuf::from),
            home,
            uid: rustix::process::geteuid().as_raw(),
            docker: find("docker"),
            podman: find("podman"),
        }
    }
}

/// An engine that may run: what its program would use.
pub type EngineCandidate = EngineAddress;

/// Returns the engines to try, in this order. `wanted`: only this one.
///
/// # Errors
/// No program is installed, or its address is of a kind that devstack cannot use.
pub fn candidates(
    facts: &DiscoveryFacts,
    wanted: Option<ContainerEngine>,
) -> Result<Vec<EngineCandidate>, Message> {
    let is_wanted = |engine| wanted.is_none_or(|wanted| wanted == engine);
    let mut found = Vec::new();
    if let Some(program) = facts.docker.as_ref().filter(|_| is_wanted(ContainerEngine::Docker)) {
        for socket in docker_sockets(facts)? {
            let (engine, program) = (ContainerEngine::Docker, program.clone());
            found.push(EngineAddress { engine, socket, program });
        }
    }
    if let Some(program) = facts.podman.as_ref().filter(|_| is_wanted(ContainerEngine::Podman)) {
        for socket in podman_sockets(facts)? {
            let (engine, program) = (ContainerEngine::Podman, program.clone());
            found.push(EngineAddress { engine, socket, program });
        }
    }
    match found.is_empty() {
        false => Ok(found),
        true => Err(not_installed(wanted)),
    }
}

/// Returns the first engine that answers. Asks each for at most three seconds.
///
/// # Errors
/// None does, and why.
pub async fn find_engine(
    facts: &DiscoveryFacts,
    wanted: Option<ContainerEngine>,
) -> Result<EngineClient, Message> {
    let mut first: Option<Message> = None;
    for address in candidates(facts, wanted)? {
        let client = EngineClient::new(address);
        match client.ping().await {
            Ok(()) => return Ok(client),
            // The usual place comes first.
            Err(error) => drop(first.get_or_insert_with(|| client.message(&error))),
        }
    }
    Err(first.unwrap_or_else(|| not_installed(wanted)))
}

fn not_installed(wanted: Option<ContainerEngine>) -> Message {
    let (text, help) = match wanted {
        None => (
            "no container engine is installed: neither `docker` nor `podman` is in PATH".to_owned(),
            "install Docker (https://docs.docker.com/engine/install) or Podman \
             (https://podman.io/docs/installation)"
                .to_owned(),
        ),
        Some(engine) => {
            let other = match engine {
                ContainerEngine::Docker => ContainerEngine::Podman,
                ContainerEngine::Podman => ContainerEngine::Docker,
            };
            (
                format!("{} is not installed: `{engine}` is not in PATH", engine.name()),
                format!("install it, or set `engine = \"{other}\"` or \"auto\""),
            )
        }
    };
    Message::new(MessageClass::Container, text).help(help)
}

/// What the user has chosen is the only place; else the usual ones.
fn docker_sockets(facts: &DiscoveryFacts) -> Result<Vec<PathBuf>, Message> {
    let chosen = facts.docker_host.as_ref().map(|host| ("DOCKER_HOST", host));
    let chosen =
        chosen.or(facts.docker_context.as_ref().map(|host| ("the context of Docker", host)));
    if let Some((source, host)) = chosen {
        return Ok(vec![socket_of(source, host, ContainerEngine::Docker)?]);
    }
    let mut usual = vec![PathBuf::from("/var/run/docker.sock")];
    // Docker Desktop and rootless Docker.
    usual.extend(facts.home.as_ref().map(|home| home.join(".docker/run/docker.sock")));
    usual.extend(facts.runtime_dir.as_ref().map(|dir| dir.join("docker.sock")));
    Ok(usual)
}

fn podman_sockets(facts: &DiscoveryFacts) -> Result<Vec<PathBuf>, Message> {
    if let Some(host) = &facts.container_host {
        return Ok(vec![socket_of("CONTAINER_HOST", host, ContainerEngine::Podman)?]);
    }
    let system = PathBuf::from("/run/podman/podman.sock");
    let own = match &facts.runtime_dir {
        Some(dir) => dir.join("podman/podman.sock"),
        None => PathBuf::from(format!("/run/user/{}/podman/podman.sock", facts.uid)),
    };
    Ok(if facts.uid == 0 { vec![system, own] } else { vec![own, system] })
}

fn socket_of(source: &str, host: &str, engine: ContainerEngine) -> Result<PathBuf, Message> {
    match host.strip_prefix("unix://") {
        Some(path) if path.starts_with('/') => Ok(PathBuf::from(path)),
        Some(_) | None => {
            let text =
                format!("{source} is `{host}`, and devstack reaches engines only at unix://");
            let help = format!(
                "use {} on this machine: {}, or forward its socket, as with `ssh -L`",
                engine.name(),
                start_help(engine)
            );
            Err(Message::new(MessageClass::Container, text).help(help))
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DockerConfig {
    current_context: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerContext {
    name: String,
    endpoints: ContextEndpoints,
}

#[derive(Deserialize)]
struct ContextEndpoints {
    docker: Option<ContextEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextEndpoint {
    host: Option<String>,
}

/// Reads where the chosen context leads, as `docker context inspect` would say. `None`: the usual
/// place.
fn context_host(dir: &Path, chosen: Option<String>) -> Option<String> {
    let configured = || {
        let text = read_linked(&dir.join("config.json"), MAX_FILE).ok()?;
        serde_json::from_slice::<DockerConfig>(&text).ok()?.current_context
    };
    let name = chosen.or_else(configured).filter(|name| name != "default" && !name.is_empty())?;
    let contexts = std::fs::read_dir(dir.join("contexts/meta")).ok()?;
    contexts.flatten().take(MAX_CONTEXTS).find_map(|entry| {
        let text = read_linked(&entry.path().join("meta.json"), MAX_FILE).ok()?;
        let context: DockerContext = serde_json::from_slice(&text).ok()?;
        (context.name == name).then_some(context.endpoints.docker?.host?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> DiscoveryFacts {
        DiscoveryFacts {
            home: Some("/home/ann".into()),
            runtime_dir: Some("/run/user/7".into()),
            uid: 7,
            docker: Some("/usr/bin/docker".into()),
            podman: Some("/usr/bin/podman".into()),
            ..DiscoveryFacts::default()
        }
    }

    fn sockets(facts: &DiscoveryFacts, wanted: Option<ContainerEngine>) -> Vec<String> {
        let found = candidates(facts, wanted).expect("an engine");
        found.iter().map(|it| format!("{} {}", it.engine, it.socket.display())).collect()
    }

    #[test]
    fn docker_comes_first_and_a_chosen_socket_is_the_only_one() {
        assert_eq!(
            sockets(&facts(), None),
            [
                "docker /var/run/docker.sock",
                "docker /home/ann/.docker/run/docker.sock",
                "docker /run/user/7/docker.sock",
                "podman /run/user/7/podman/podman.sock",
                "podman /run/podman/podman.sock",
            ]
        );
        let chosen = DiscoveryFacts {
            docker_host: Some("unix:///a.sock".into()),
            docker_context: Some("unix:///b.sock".into()),
            container_host: Some("unix:///c.sock".into()),
            ..facts()
        };
        assert_eq!(sockets(&chosen, None), ["docker /a.sock", "podman /c.sock"]);
        assert_eq!(sockets(&chosen, Some(ContainerEngine::Podman)), ["podman /c.sock"]);
        let root = DiscoveryFacts { uid: 0, docker: None, runtime_dir: None, ..facts() };
        assert_eq!(
            sockets(&root, None),
            ["podman /run/podman/podman.sock", "podman /run/user/0/podman/podman.sock"]
        );
    }

    #[test]
    fn without_a_program_or_a_local_socket_the_message_says_what_to_do() {
        let none = DiscoveryFacts { docker: None, podman: None, ..facts() };
        let refused = |facts: &DiscoveryFacts, wanted| candidates(facts, wanted).unwrap_err().text;
        assert!(refused(&none, None).contains("neither `docker` nor `podman`"));
        let no_docker = DiscoveryFacts { docker: None, ..facts() };
        let text = refused(&no_docker, Some(ContainerEngine::Docker));
        assert_eq!(text, "Docker is not installed: `docker` is not in PATH");
        let far = DiscoveryFacts { docker_host: Some("ssh://host".into()), ..facts() };
        assert!(refused(&far, None).contains("`ssh://host`"));
    }

    #[test]
    fn the_chosen_context_is_read_as_docker_does() {
        let dir = tempfile::tempdir().expect("temp dir");
        let meta = dir.path().join("contexts/meta/ab12");
        std::fs::create_dir_all(&meta).expect("writable");
        let context = r#"{"Name":"colima","Endpoints":{"docker":{"Host":"unix:///c.sock"}}}"#;
        std::fs::write(meta.join("meta.json"), context).expect("writable");
        assert_eq!(context_host(dir.path(), None), None);
        let chosen = context_host(dir.path(), Some("colima".into()));
        assert_eq!(chosen.as_deref(), Some("unix:///c.sock"));
        std::fs::write(dir.path().join("config.json"), r#"{"currentContext":"colima"}"#)
            .expect("writable");
        assert_eq!(context_host(dir.path(), None).as_deref(), Some("unix:///c.sock"));
        assert_eq!(context_host(dir.path(), Some("default".into())), None);
    }
}
