//! The answers of engines, as far as they are read. Docker and Podman give the same.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::labels::{DIR, STACK, TOKEN};
use crate::model::ContainerEngine;

/// What is known of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerFacts {
    /// Its whole ID.
    pub id: String,
    /// Whether it runs.
    pub running: bool,
    /// When it was last started, in seconds since 1970.
    pub started: Option<i64>,
    /// The pid of its first process, where the engine runs. `None`: it has none.
    pub pid: Option<u32>,
    /// The words of its HEALTHCHECK, as a command. `None`: it has none.
    pub healthcheck: Option<Vec<String>>,
    /// What the engine found with it, if it did.
    pub health: Option<ContainerHealth>,
    /// Whether the kernel killed a process of it because it used too much memory.
    pub out_of_memory: bool,
    /// How much memory it may use, in bytes. `None`: as much as there is.
    pub memory_limit: Option<u64>,
    /// How its program exited, once it has; like the exit code of a shell.
    pub exit_code: i32,
    /// Why the engine could not start it, in its words; empty if it could.
    pub error: String,
    /// The ports that are published, inside and outside.
    pub ports: Vec<(u16, u16)>,
    /// The token of the stack that has made it. `None`: no stack has.
    pub token: Option<String>,
}

/// What a HEALTHCHECK says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerHealth {
    /// It has not succeeded yet.
    Starting,
    /// It succeeded.
    Healthy,
    /// It failed as often as configured.
    Unhealthy,
}

/// A container in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSummary {
    /// Its whole ID.
    pub id: String,
    pub name: String,
    /// When it was created, in seconds since 1970.
    pub created: i64,
    pub labels: BTreeMap<String, String>,
    /// The ports that are published, outside and inside.
    pub published: Vec<(u16, u16)>,
}

/// A named volume of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackVolume {
    /// Its name in the engine.
    pub name: String,
    pub engine: ContainerEngine,
    /// The name of the stack.
    pub stack: Option<String>,
    /// The project directory when it was created.
    pub dir: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ContainerReply {
    id: String,
    config: Option<ConfigReply>,
    host_config: Option<HostConfigReply>,
    state: StateReply,
    #[serde(default)]
    network_settings: NetworkReply,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigReply {
    healthcheck: Option<HealthcheckReply>,
    /// What runs a check that is one text.
    shell: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfigReply {
    #[serde(default)]
    memory: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HealthcheckReply {
    test: Option<Vec<String>>,
}

impl ConfigReply {
    fn healthcheck(self) -> Option<Vec<String>> {
        let test = self.healthcheck?.test?;
        match test.split_first()? {
            (kind, words) if kind == "CMD" && !words.is_empty() => Some(words.to_vec()),
            (kind, [text]) if kind == "CMD-SHELL" => {
                let shell = self.shell.filter(|shell| !shell.is_empty());
                let mut words =
                    shell.unwrap_or_else(|| ["/bin/sh", "-c"].map(str::to_owned).into());
                words.push(text.clone());
                Some(words)
            }
            // `NONE` removes that of the image below.
            _ => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StateReply {
    #[serde(default)]
    running: bool,
    #[serde(default)]
    pid: u32,
    #[serde(default, rename = "OOMKilled")]
    oom_killed: bool,
    #[serde(default)]
    exit_code: i32,
    #[serde(default)]
    error: String,
    #[serde(default)]
    started_at: String,
    health: Option<HealthReply>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HealthReply {
    #[serde(default)]
    status: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct NetworkReply {
    ports: Option<BTreeMap<String, Option<Vec<BindingReply>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BindingReply {
    #[serde(default)]
    host_port: String,
}

impl ContainerReply {
    pub fn facts(self) -> ContainerFacts {
        let StateReply { running, pid, oom_killed, exit_code, error, started_at, health } =
            self.state;
        let started = started_at.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second);
        let health = health.and_then(|health| match health.status.as_str() {
            "starting" => Some(ContainerHealth::Starting),
            "healthy" => Some(ContainerHealth::Healthy),
            "unhealthy" => Some(ContainerHealth::Unhealthy),
            // Podman gives an empty one, Docker `none`.
            _ => None,
        });
        let mut ports = Vec::new();
        for (inside, bindings) in self.network_settings.ports.unwrap_or_default() {
            let inside = inside.strip_suffix("/tcp").and_then(|number| number.parse().ok());
            let Some(inside) = inside else { continue };
            for binding in bindings.unwrap_or_default() {
                ports.extend(binding.host_port.parse().ok().map(|outside| (inside, outside)));
            }
        }
        ports.sort_unstable();
        ports.dedup();
        let pid = Some(pid).filter(|pid| running && *pid != 0);
        let token = self.config.as_ref().and_then(|it| it.labels.as_ref()?.get(TOKEN).cloned());
        ContainerFacts {
            id: self.id,
            running,
            started,
            pid,
            healthcheck: self.config.and_then(ConfigReply::healthcheck),
            health,
            out_of_memory: oom_killed,
            memory_limit: self
                .host_config
                .and_then(|host| u64::try_from(host.memory).ok())
                .filter(|limit| *limit > 0),
            exit_code,
            error,
            ports,
            token,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SummaryReply {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    created: i64,
    labels: Option<BTreeMap<String, String>>,
    ports: Option<Vec<PortReply>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PortReply {
    public_port: Option<u16>,
    #[serde(default)]
    private_port: u16,
}

impl SummaryReply {
    pub fn summary(self) -> ContainerSummary {
        let name = self.names.first().map(|name| name.trim_start_matches('/')).unwrap_or(&self.id);
        let published = self.ports.unwrap_or_default().into_iter();
        ContainerSummary {
            name: name.to_owned(),
            created: self.created,
            labels: self.labels.unwrap_or_default(),
            published: published
                .filter_map(|port| Some((port.public_port?, port.private_port)))
                .collect(),
            id: self.id,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct VolumesReply {
    pub volumes: Option<Vec<VolumeReply>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct VolumeReply {
    name: String,
    labels: Option<BTreeMap<String, String>>,
}

impl VolumeReply {
    pub fn of_engine(self, engine: ContainerEngine) -> StackVolume {
        let mut labels = self.labels.unwrap_or_default();
        let (stack, dir) = (labels.remove(STACK), labels.remove(DIR));
        StackVolume { name: self.name, engine, stack, dir: dir.map(PathBuf::from) }
    }
}

/// The text of an error.
#[derive(Deserialize)]
pub(super) struct ErrorReply {
    pub message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NetworkFactsReply {
    labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "IPAM")]
    ipam: Option<IpamReply>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IpamReply {
    config: Option<Vec<SubnetReply>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SubnetReply {
    #[serde(default)]
    gateway: String,
}

impl NetworkFactsReply {
    /// Whether it has these labels.
    pub fn has(&self, labels: &BTreeMap<&str, String>) -> bool {
        let own = self.labels.as_ref();
        labels.iter().all(|(name, value)| own.and_then(|own| own.get(*name)) == Some(value))
    }

    /// Returns the address that this machine has in the network.
    pub fn gateway(self) -> Option<String> {
        let subnets = self.ipam?.config?;
        subnets.into_iter().map(|subnet| subnet.gateway).find(|gateway| !gateway.is_empty())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NamedReply {
    #[serde(default)]
    pub name: String,
}
