//! Detects containers from names that their engines use.

use std::net::{IpAddr, SocketAddr};

use super::holder::{HolderProcess, truncate_escaped};
use super::holder_context::HolderContext;
use super::system;
use crate::model::ContainerEngine;
use crate::ports::ListeningSocket;

/// Length of a container ID, and of the short form that is shown.
const ID: usize = 64;
const SHORT_ID: usize = 12;

const LONGEST_NAME: usize = 40;

/// What engines put before the ID in the name of a control group.
const PREFIXES: [(&str, Option<ContainerEngine>); 5] = [
    ("docker-", Some(ContainerEngine::Docker)),
    ("libpod-conmon-", Some(ContainerEngine::Podman)),
    ("libpod-", Some(ContainerEngine::Podman)),
    ("cri-containerd-", None),
    ("crio-", None),
];

/// The program that forwards ports of the machine to Docker containers.
const DOCKER_PROXY: &str = "docker-proxy";

/// Returns the container that a process runs in or forwards to. `own` are the control groups of
/// this process: processes in the same container are not foreign.
pub(super) fn detect_container(
    process: &HolderProcess,
    groups: &str,
    own: &str,
) -> Option<HolderContext> {
    port_forwarder(process).or_else(|| {
        let (engine, id) = id_in(groups).filter(|found| id_in(own).as_ref() != Some(found))?;
        Some(HolderContext::Container { id: Some(id), name: None, engine, address: None })
    })
}

/// Detects programs outside a container that serve its ports.
fn port_forwarder(process: &HolderProcess) -> Option<HolderContext> {
    let engine = match process.name.as_str() {
        DOCKER_PROXY => return Some(docker_proxy(process)),
        "conmon" => return conmon(process),
        "rootlessport" => Some(ContainerEngine::Podman),
        // Both are also used without containers.
        "pasta" | "pasta.avx2" | "slirp4netns" if is_of_containers(process) => {
            Some(ContainerEngine::Podman)
        }
        // Docker Desktop on macOS.
        "com.docker.backend" | "vpnkit-bridge" => Some(ContainerEngine::Docker),
        _ => return None,
    };
    Some(HolderContext::Container { id: None, name: None, engine, address: None })
}

fn docker_proxy(process: &HolderProcess) -> HolderContext {
    let address = || {
        let ip: IpAddr = argument_after(process, "-container-ip")?.parse().ok()?;
        let port: u16 = argument_after(process, "-container-port")?.parse().ok()?;
        Some(SocketAddr::new(ip, port))
    };
    let engine = Some(ContainerEngine::Docker);
    HolderContext::Container { id: None, name: None, engine, address: address() }
}

/// Podman's monitor holds the ports of its container.
fn conmon(process: &HolderProcess) -> Option<HolderContext> {
    let id = argument_after(process, "-c").and_then(short)?;
    let name = argument_after(process, "-n").map(|name| truncate_escaped(name, LONGEST_NAME));
    Some(HolderContext::Container {
        id: Some(id),
        name,
        engine: Some(ContainerEngine::Podman),
        address: None,
    })
}

fn is_of_containers(process: &HolderProcess) -> bool {
    process.words.iter().any(|word| word.contains("/netns/"))
}

fn argument_after<'p>(process: &'p HolderProcess, name: &str) -> Option<&'p str> {
    let mut words = process.words.iter().skip_while(|word| *word != name);
    words.nth(1).map(String::as_str)
}

/// Returns the first container that these control groups name.
fn id_in(groups: &str) -> Option<(Option<ContainerEngine>, String)> {
    groups.split(['/', ':', '\n']).find_map(|part| {
        let part = part.strip_suffix(".scope").unwrap_or(part);
        let of = |(prefix, engine): &(&str, Option<ContainerEngine>)| {
            Some((*engine, short(part.strip_prefix(prefix)?)?))
        };
        let plain = || {
            let engine =
                groups.contains(&format!("/docker/{part}")).then_some(ContainerEngine::Docker);
            Some((engine, short(part)?))
        };
        PREFIXES.iter().find_map(of).or_else(plain)
    })
}

fn short(id: &str) -> Option<String> {
    let whole = id.len() == ID && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| id[..SHORT_ID].to_owned())
}

/// Finds Docker's forwarders for a hidden listener by their command lines. They must run as the
/// user of the socket, because any process could fake its command line.
pub(super) fn docker_forwarders(listener: &ListeningSocket) -> Vec<u32> {
    let forwards = |pid: &u32| {
        HolderProcess::read(*pid).is_some_and(|process| {
            Some(process.uid) == listener.uid && forwards(&process, listener.address)
        })
    };
    system::named(DOCKER_PROXY).into_iter().filter(forwards).collect()
}

fn forwards(process: &HolderProcess, address: SocketAddr) -> bool {
    let ip = argument_after(process, "-host-ip").and_then(|ip| ip.parse().ok());
    let port = argument_after(process, "-host-port").and_then(|port| port.parse().ok());
    argument_after(process, "-proto") == Some("tcp")
        && (ip, port) == (Some(address.ip()), Some(address.port()))
}

#[cfg(test)]
mod tests {
    use super::{detect_container, forwards, id_in};
    use crate::model::ContainerEngine;
    use crate::ports::holders::holder::HolderProcess;

    const ID: &str = "3f2ab12cd34e00112233445566778899aabbccddeeff00112233445566778899";

    fn process(line: &str) -> HolderProcess {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let name = words[0].rsplit('/').next().unwrap().to_owned();
        HolderProcess { pid: 9, name, parent: 1, words, cwd: None, age: None, uid: 0 }
    }

    #[test]
    fn control_groups_of_every_engine_name_the_container() {
        let docker = Some(ContainerEngine::Docker);
        let podman = Some(ContainerEngine::Podman);
        for (groups, engine) in [
            (format!("0::/system.slice/docker-{ID}.scope\n"), docker),
            (format!("12:cpu:/docker/{ID}\n1:name=systemd:/docker/{ID}\n"), docker),
            (
                format!(
                    "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container"
                ),
                podman,
            ),
            (format!("0::/machine.slice/libpod-conmon-{ID}.scope"), podman),
            (format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"), None),
            (format!("0::/kubepods/burstable/pod1/{ID}"), None),
        ] {
            assert_eq!(id_in(&groups), Some((engine, "3f2ab12cd34e".to_owned())), "{groups}");
        }
        let id = &ID[1..];
        for groups in
            ["", "0::/", "0::/user.slice/session-1.scope", &format!("0::/docker-{id}.scope")]
        {
            assert_eq!(id_in(groups), None, "{groups}");
        }
    }

    #[test]
    fn who_shares_our_container_is_no_stranger() {
        let groups = format!("0::/system.slice/docker-{ID}.scope");
        let status =
            |own: &str| detect_container(&process("nginx"), &groups, own).map(|it| it.to_string());
        assert_eq!(status("0::/user.slice").as_deref(), Some("container 3f2ab12cd34e"));
        assert_eq!(status(&groups), None);
    }

    #[test]
    fn forwarders_are_their_containers() {
        let status =
            |line: &str| detect_container(&process(line), "", "").map(|found| found.to_string());
        let proxy = "/usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80";
        assert_eq!(status(proxy).as_deref(), Some("a container at 172.17.0.2:80"));
        assert_eq!(status("docker-proxy -container-ip").as_deref(), Some("a container"));
        let conmon = format!("/usr/bin/conmon --api-version 1 -c {ID} -u {ID} -n web");
        assert_eq!(status(&conmon).as_deref(), Some("container 3f2ab12cd34e web"));
        assert_eq!(status("rootlessport").as_deref(), Some("a container"));
        let pasta = "pasta --config-net -t 8080-8080:80-80 --netns /run/user/1000/netns/netns-1";
        assert_eq!(status(pasta).as_deref(), Some("a container"));
        for other in ["pasta -t 8080", "conmon -c 1", "nginx", "node docker-proxy"] {
            assert_eq!(status(other), None, "{other}");
        }
        let forwards = |address: &str| forwards(&process(proxy), address.parse().unwrap());
        assert!(forwards("0.0.0.0:8080"));
        assert!(!forwards("0.0.0.0:8081") && !forwards("[::]:8080"));
    }
}
