use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::show_folder;

/// What a process belongs to, where that can be proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Origin {
    /// A service that a devstack of this user runs: one of its keepers stands above the process.
    Service {
        /// The name of its stack.
        stack: Option<String>,
        /// Its name there.
        service: Option<String>,
        /// The folder of its stack.
        folder: Option<PathBuf>,
    },
    /// A devstack itself, of the stack in this folder: it holds the socket for a service.
    Stack {
        /// The folder of its stack.
        folder: PathBuf,
    },
    /// A container, or a program that forwards a port to one.
    Container {
        /// The first twelve digits of its id.
        id: Option<String>,
        /// Its name.
        name: Option<String>,
        /// Who runs it.
        engine: Option<Engine>,
        /// Where connections are forwarded to.
        address: Option<SocketAddr>,
    },
    /// A service of the system's own supervisor.
    Unit {
        /// Its name, such as `postgresql.service`.
        unit: String,
    },
    /// The system's own supervisor, which listens until somebody connects, and then starts a unit.
    SocketUnit,
}

/// Who runs a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

impl Engine {
    /// Its command.
    pub fn command(self) -> &'static str {
        match self {
            Engine::Docker => "docker",
            Engine::Podman => "podman",
        }
    }
}

impl Origin {
    /// How to end the holder of `port` in the right place; `None`: the process itself is the right place.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Origin::Service { service, folder, .. } => {
                let command = match service {
                    Some(service) => format!("`devstack stop {service}`"),
                    None => "`devstack down`".to_owned(),
                };
                let place = folder
                    .as_ref()
                    .map_or(String::new(), |folder| format!(" in {}", show_folder(folder)));
                Some(format!("stop it with {command}{place}"))
            }
            Origin::Stack { folder } => {
                Some(format!("stop it with `devstack down` in {}", show_folder(folder)))
            }
            Origin::Container { id, name, engine, .. } => {
                let command = engine.unwrap_or(Engine::Docker).command();
                Some(match name.as_ref().or(id.as_ref()) {
                    Some(which) if engine.is_some() => {
                        format!("stop the container with `{command} stop {which}`")
                    }
                    Some(_) | None => format!("stop the container (`{command} ps` lists them)"),
                })
            }
            Origin::Unit { unit } => Some(format!("stop the unit with `systemctl stop {unit}`")),
            Origin::SocketUnit => {
                Some("stop its socket unit (`systemctl list-sockets` lists them)".to_owned())
            }
        }
    }
}

/// `service api of stack shop in ~/shop`, `container 3f2ab12cd34e`, …: what stands in place of a program's name.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Service { stack, service, folder } => {
                match service {
                    Some(service) => write!(f, "service {service}")?,
                    None => f.write_str("a service")?,
                }
                match stack {
                    Some(stack) => write!(f, " of stack {stack}")?,
                    None => f.write_str(" of a devstack stack")?,
                }
                let Some(folder) = folder else { return Ok(()) };
                write!(f, " in {}", show_folder(folder))
            }
            Origin::Stack { folder } => write!(f, "devstack itself in {}", show_folder(folder)),
            Origin::Container { id, name, address, .. } => {
                match id {
                    Some(id) => write!(f, "container {id}")?,
                    None => f.write_str("a container")?,
                }
                if let Some(name) = name {
                    write!(f, " {name}")?;
                }
                let Some(address) = address else { return Ok(()) };
                write!(f, " at {address}")
            }
            Origin::Unit { unit } => write!(f, "{unit}"),
            Origin::SocketUnit => f.write_str("systemd for a socket unit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Engine, Origin};

    #[test]
    fn origins_are_said_with_what_to_type() {
        let service = |service: Option<&str>, folder: Option<&str>| Origin::Service {
            stack: service.map(|_| "shop".to_owned()),
            service: service.map(str::to_owned),
            folder: folder.map(Into::into),
        };
        let container = |id: Option<&str>, engine, address: Option<&str>| Origin::Container {
            id: id.map(str::to_owned),
            name: None,
            engine,
            address: address.map(|address| address.parse().unwrap()),
        };
        let named = Origin::Container {
            id: Some("3f2ab12cd34e".to_owned()),
            name: Some("web".to_owned()),
            engine: Some(Engine::Podman),
            address: None,
        };
        let unit = Origin::Unit { unit: "redis.service".to_owned() };
        for (origin, said, remedy) in [
            (
                service(Some("api"), Some("/srv/shop")),
                "service api of stack shop in /srv/shop",
                "stop it with `devstack stop api` in /srv/shop",
            ),
            (service(None, None), "a service of a devstack stack", "stop it with `devstack down`"),
            (
                Origin::Stack { folder: "/srv/shop".into() },
                "devstack itself in /srv/shop",
                "stop it with `devstack down` in /srv/shop",
            ),
            (
                container(None, Some(Engine::Docker), Some("172.17.0.2:80")),
                "a container at 172.17.0.2:80",
                "stop the container (`docker ps` lists them)",
            ),
            (
                container(Some("3f2ab12cd34e"), Some(Engine::Docker), None),
                "container 3f2ab12cd34e",
                "stop the container with `docker stop 3f2ab12cd34e`",
            ),
            (named, "container 3f2ab12cd34e web", "stop the container with `podman stop web`"),
            (unit, "redis.service", "stop the unit with `systemctl stop redis.service`"),
            (
                Origin::SocketUnit,
                "systemd for a socket unit",
                "stop its socket unit (`systemctl list-sockets` lists them)",
            ),
        ] {
            assert_eq!(
                (origin.to_string().as_str(), origin.remedy().as_deref()),
                (said, Some(remedy))
            );
            let json = serde_json::to_string(&origin).unwrap();
            assert_eq!(serde_json::from_str::<Origin>(&json).unwrap(), origin);
        }
    }
}
