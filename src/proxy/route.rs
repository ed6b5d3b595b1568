use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;

use crate::model::{
    HostHeader, LoadBalancing, Message, MessageClass, Name, Phase, RunId, ServiceView, accepts,
    connectable_host, listening_port,
};

/// What all routes of a stack share.
#[derive(Debug)]
pub(super) struct StackRoutes {
    /// The name of the stack.
    pub stack: String,
    /// Its directory, for texts.
    pub dir: String,
    /// The end of all its names.
    pub domain: String,
    /// Whether requests over `http` are redirected to `https`.
    pub https_only: bool,
    /// How long a request waits for a service.
    pub wait: Duration,
    /// How many requests wait for one service.
    pub parked: usize,
    /// How much of each body is recorded, in bytes. `None`: requests are not recorded.
    pub bodies: Option<usize>,
    /// Whether it is shutting down: nothing that is not ready will be.
    pub ending: bool,
    /// The names of its services, sorted.
    pub names: Vec<String>,
}

/// Where requests for one name go.
#[derive(Debug)]
pub(super) struct Route {
    /// The name: `api.shop.localhost`.
    pub name: String,
    /// What a request gets that takes it, in `Via`.
    pub mark: HeaderValue,
    /// The service or group, for texts.
    pub service: Name,
    pub stack: Arc<StackRoutes>,
    pub host: HostHeader,
    pub balance: LoadBalancing,
    /// Whether other machines may use it.
    pub is_open: bool,
    /// At least one.
    pub replicas: Vec<ReplicaState>,
}

/// Whether a replica takes requests.
#[derive(Debug, Clone)]
pub(super) enum ReplicaState {
    /// It does, here.
    Ready(Arc<UpstreamId>),
    /// It is on its way; why it is not ready yet.
    Pending(String),
    /// It is on its way after a crash.
    Crashed(String),
    /// It starts when it is asked to.
    Asleep(Arc<Sleep>),
    /// It is not, and nothing will change that on its own.
    Down(Message),
}

/// One run of a service as a destination. A newer run is another one, even at the same address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct UpstreamId {
    /// The pid of the supervisor: numbers of runs are unique in it.
    pub supervisor: u32,
    pub service: Name,
    pub run: Option<RunId>,
    /// Whether it speaks HTTP/2 without TLS.
    pub http2: bool,
    /// Where to connect to, best first. Not empty.
    pub addresses: Vec<SocketAddr>,
}

/// One sleep of a service: the next one is another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sleep {
    /// The pid of the supervisor.
    pub supervisor: u32,
    pub service: Name,
    /// When it fell asleep, as its view says.
    pub since: String,
}

/// Why a route takes no requests now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotReady<'r> {
    /// A replica is on its way.
    Pending(&'r str),
    /// None is.
    Down(&'r Message),
}

impl Route {
    /// Returns the replicas that take requests.
    pub fn ready(&self) -> impl Iterator<Item = &Arc<UpstreamId>> {
        self.replicas.iter().filter_map(|replica| match replica {
            ReplicaState::Ready(upstream) => Some(upstream),
            ReplicaState::Pending(_)
            | ReplicaState::Crashed(_)
            | ReplicaState::Asleep(_)
            | ReplicaState::Down(_) => None,
        })
    }

    /// Returns the replicas that are asleep.
    pub fn asleep(&self) -> impl Iterator<Item = &Arc<Sleep>> {
        self.replicas.iter().filter_map(|replica| match replica {
            ReplicaState::Asleep(sleep) => Some(sleep),
            ReplicaState::Ready(_)
            | ReplicaState::Pending(_)
            | ReplicaState::Crashed(_)
            | ReplicaState::Down(_) => None,
        })
    }

    /// Whether a replica has crashed just now.
    pub fn has_crashed(&self) -> bool {
        let crashed = |replica: &ReplicaState| match replica {
            ReplicaState::Crashed(_) | ReplicaState::Down(_) => true,
            ReplicaState::Ready(_) | ReplicaState::Pending(_) | ReplicaState::Asleep(_) => false,
        };
        self.replicas.iter().any(crashed)
    }

    /// Returns why no replica takes requests. `None`: one does.
    pub fn not_ready(&self) -> Option<NotReady<'_>> {
        let mut reason = None;
        for replica in &self.replicas {
            match replica {
                ReplicaState::Ready(_) => return None,
                ReplicaState::Pending(cause) | ReplicaState::Crashed(cause) => {
                    reason = Some(NotReady::Pending(cause));
                }
                ReplicaState::Asleep(_) => reason = Some(NotReady::Pending("it is asleep")),
                ReplicaState::Down(message) => {
                    reason.get_or_insert(NotReady::Down(message));
                }
            }
        }
        reason
    }
}

impl ReplicaState {
    /// Returns what a view says. `dir` is the directory of the stack, for texts.
    pub fn new(view: &ServiceView, supervisor: u32, dir: &str) -> ReplicaState {
        let name = &view.name;
        let down = |class, text: String, command| {
            let help = format!("run `devstack {command} {name}` in {dir}");
            ReplicaState::Down(Message::new(class, text).help(help))
        };
        let failed = |class, verb| match &view.message {
            Some(message) => ReplicaState::Down(Message {
                text: format!("{name} {verb}: {}", message.text),
                ..message.clone()
            }),
            None => down(class, format!("{name} {verb}: {}", view.cause), "why"),
        };
        match view.phase {
            Phase::Ready | Phase::Unhealthy => match addresses(view) {
                addresses if addresses.is_empty() => {
                    down(MessageClass::Port, format!("{name} has no port"), "why")
                }
                addresses => ReplicaState::Ready(Arc::new(UpstreamId {
                    supervisor,
                    service: name.clone(),
                    run: view.run,
                    http2: view.proxy.as_ref().is_some_and(|proxy| proxy.http2),
                    addresses,
                })),
            },
            Phase::Waiting | Phase::Starting | Phase::Stopping => {
                ReplicaState::Pending(view.cause.clone())
            }
            Phase::Backoff => ReplicaState::Crashed(view.cause.clone()),
            Phase::Asleep => ReplicaState::Asleep(Arc::new(Sleep {
                supervisor,
                service: name.clone(),
                since: view.since.clone(),
            })),
            Phase::Failed => failed(MessageClass::Exit, "failed"),
            Phase::Blocked => failed(MessageClass::DepFailed, "cannot start"),
            Phase::Idle => {
                down(MessageClass::NotRunning, format!("{name} is not running"), "start")
            }
            Phase::Done => {
                let text = format!("{name} is no longer running: {}", view.cause);
                down(MessageClass::NotRunning, text, "start")
            }
        }
    }
}

/// Returns where to connect to: where the service is listening or, until that is known, where it
/// should. Loopback goes first.
fn addresses(view: &ServiceView) -> Vec<SocketAddr> {
    let (four, six) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
    let others = view.ports.values().copied().filter(|port| Some(*port) != view.port);
    let ports: Vec<u16> = view.port.into_iter().chain(others).collect();
    let listening = view.listening.as_deref().unwrap_or_default();
    if let Some(port) = listening_port(&ports, listening) {
        let tcp = listening.iter().filter_map(|address| address.tcp());
        let ips: Vec<IpAddr> =
            tcp.filter(|address| address.port() == port).map(|address| address.ip()).collect();
        let known = [four, six].into_iter().find(|ip| accepts(&ips, *ip));
        return known.or(ips.first().copied()).map(|ip| (ip, port).into()).into_iter().collect();
    }
    let Some(port) = view.port else { return Vec::new() };
    match connectable_host(&view.host).parse::<IpAddr>() {
        Ok(ip) => vec![(ip, port).into()],
        // `localhost` is one of them, and no other name says where a program of this machine listens.
        Err(_) => vec![(four, port).into(), (six, port).into()],
    }
}
