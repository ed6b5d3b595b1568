use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::ContainerEngine;
use crate::ports::display_home_relative;

/// What a process belongs to, if that can be proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum HolderContext {
    /// A service of a devstack of this user: its guard is an ancestor of the process.
    Service {
        /// The name of its stack.
        stack: Option<String>,
        /// The name of the service.
        service: Option<String>,
        /// Its project directory.
        #[serde(rename = "folder")]
        dir: Option<PathBuf>,
    },
    /// A devstack that holds the socket for a service.
    Stack {
        /// Its project directory.
        #[serde(rename = "folder")]
        dir: PathBuf,
    },
    /// A container, or a program that forwards a port to one.
    Container {
        /// The first twelve digits of its ID.
        id: Option<String>,
        name: Option<String>,
        /// The engine that runs it.
        engine: Option<ContainerEngine>,
        /// The address that connections are forwarded to.
        address: Option<SocketAddr>,
    },
    /// A systemd service.
    Unit {
        /// Its name, such as `postgresql.service`.
        unit: String,
    },
    /// systemd itself, which starts a service on the first connection to a socket unit.
    SocketUnit,
}

impl HolderContext {
    /// Returns how to stop the holder through its manager, if it has one.
    pub fn stop_hint(&self) -> Option<String> {
        match self {
            HolderContext::Service { service, dir, .. } => {
                let command = match service {
                    Some(service) => format!("`devstack stop {service}`"),
                    None => "`devstack down`".to_owned(),
                };
                let place = dir
                    .as_ref()
                    .map_or(String::new(), |dir| format!(" in {}", display_home_relative(dir)));
                Some(format!("stop it with {command}{place}"))
            }
            HolderContext::Stack { dir } => {
                Some(format!("stop it with `devstack down` in {}", display_home_relative(dir)))
            }
            HolderContext::Container { id, name, engine, .. } => {
                let command = engine.unwrap_or(ContainerEngine::Docker);
                Some(match name.as_ref().or(id.as_ref()) {
                    Some(which) if engine.is_some() => {
                        format!("stop the container with `{command} stop {which}`")
                    }
                    Some(_) | None => {
                        format!("stop the container (list containers with `{command} ps`)")
                    }
                })
            }
            HolderContext::Unit { unit } => {
                Some(format!("stop the unit with `systemctl stop {unit}`"))
            }
            HolderContext::SocketUnit => {
                Some("stop its socket unit (list them with `systemctl list-sockets`)".to_owned())
            }
        }
    }
}

/// Shown instead of a program name: `service api of stack shop in ~/shop`.
impl fmt::Display for HolderContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HolderContext::Service { stack, service, dir } => {
                match service {
                    Some(service) => write!(f, "service {service}")?,
                    None => f.write_str("a service")?,
                }
                match stack {
                    Some(stack) => write!(f, " of stack {stack}")?,
                    None => f.write_str(" of a stack")?,
                }
                let Some(dir) = dir else { return Ok(()) };
                write!(f, " in {}", display_home_relative(dir))
            }
            HolderContext::Stack { dir } => {
                write!(f, "devstack in {}", display_home_relative(dir))
            }
            HolderContext::Container { id, name, address, .. } => {
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
            HolderContext::Unit { unit } => write!(f, "{unit}"),
            HolderContext::SocketUnit => f.write_str("systemd (socket unit)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::HolderContext;
    use crate::model::ContainerEngine;

    #[test]
    fn contexts_are_said_with_what_to_type() {
        let service = |service: Option<&str>, dir: Option<&str>| HolderContext::Service {
            stack: service.map(|_| "shop".to_owned()),
            service: service.map(str::to_owned),
            dir: dir.map(Into::into),
        };
        let container =
            |id: Option<&str>, engine, address: Option<&str>| HolderContext::Container {
                id: id.map(str::to_owned),
                name: None,
                engine,
                address: address.map(|address| address.parse().unwrap()),
            };
        let named = HolderContext::Container {
            id: Some("3f2ab12cd34e".to_owned()),
            name: Some("web".to_owned()),
            engine: Some(ContainerEngine::Podman),
            address: None,
        };
        let unit = HolderContext::Unit { unit: "redis.service".to_owned() };
        for (context, status, remedy) in [
            (
                service(Some("api"), Some("/srv/shop")),
                "service api of stack shop in /srv/shop",
                "stop it with `devstack stop api` in /srv/shop",
            ),
            (service(None, None), "a service of a stack", "stop it with `devstack down`"),
            (
                HolderContext::Stack { dir: "/srv/shop".into() },
                "devstack in /srv/shop",
                "stop it with `devstack down` in /srv/shop",
            ),
            (
                container(None, Some(ContainerEngine::Docker), Some("172.17.0.2:80")),
                "a container at 172.17.0.2:80",
                "stop the container (list containers with `docker ps`)",
            ),
            (
                container(Some("3f2ab12cd34e"), Some(ContainerEngine::Docker), None),
                "container 3f2ab12cd34e",
                "stop the container with `docker stop 3f2ab12cd34e`",
            ),
            (named, "container 3f2ab12cd34e web", "stop the container with `podman stop web`"),
            (unit, "redis.service", "stop the unit with `systemctl stop redis.service`"),
            (
                HolderContext::SocketUnit,
                "systemd (socket unit)",
                "stop its socket unit (list them with `systemctl list-sockets`)",
            ),
        ] {
            assert_eq!(
                (context.to_string().as_str(), context.stop_hint().as_deref()),
                (status, Some(remedy))
            );
            let json = serde_json::to_string(&context).unwrap();
            assert_eq!(serde_json::from_str::<HolderContext>(&json).unwrap(), context);
        }
    }
}
