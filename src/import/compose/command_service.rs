//! A service that becomes a command: its ports, and what reminds of its container.

use super::compose_ports::{ContainerPort, MAX_PORTS, name_ports};
use super::service_command::bind_to_assigned;
use crate::import::environment::EnvEntry;
use crate::import::yaml::YamlNode;
use crate::import::{ImportedCommand, ImportedService};
use crate::text::quote;

/// Carries over the ports of a command, which must listen where devstack says.
pub(super) fn command_ports(
    node: &YamlNode,
    exposed: Vec<u16>,
    ports: &mut Vec<ContainerPort>,
    service: &mut ImportedService,
    env: &mut Vec<EnvEntry<'_>>,
) {
    for target in exposed.into_iter().take(MAX_PORTS) {
        if ports.iter().all(|port| port.target != target) {
            ports.push(ContainerPort { target, published: None, name: None });
        }
    }
    name_ports(ports, service);
    let Some(main) = ports.first().cloned() else { return };
    let mut listens = false;
    env.retain(|(name, value, node)| match name.as_str() {
        "PORT" => {
            listens = *value == main.target.to_string();
            node.note("not carried over: devstack sets PORT to the assigned port");
            false
        }
        "HOST" => {
            node.note("not carried over: devstack sets HOST to the address to listen on");
            false
        }
        _ => true,
    });
    let command = service.command.as_mut().expect("a service with a command");
    let at = node.peek("command").or(node.peek("entrypoint")).unwrap_or(node);
    if bind_to_assigned(command, main.target) {
        at.note(format!("listens on `${{PORT}}` instead of {}", main.target));
    } else if !listens && !mentions_port(command) {
        at.note(format!(
            "it must listen on `$PORT`, which may be another port than {}",
            main.target
        ));
    }
}

/// Says that a program is named by its path in the container, unless every system has it there.
pub(super) fn note_container_path(node: &YamlNode, command: &ImportedCommand) {
    let words = match command {
        ImportedCommand::Shell(text) => text.split_whitespace().next(),
        ImportedCommand::Words(words) => words.first().map(String::as_str),
    };
    let program = words.filter(|word| word.starts_with('/'));
    let is_system = |word: &str| word.starts_with("/bin/") || word.starts_with("/usr/bin/");
    if let Some(program) = program.filter(|word| !is_system(word)) {
        let at = node.peek("entrypoint").or(node.peek("command")).unwrap_or(node);
        at.note(format!(
            "{} is a path in the container: use the one on this machine",
            quote(program)
        ));
    }
}

fn mentions_port(command: &ImportedCommand) -> bool {
    let text = match command {
        ImportedCommand::Shell(text) => text.clone(),
        ImportedCommand::Words(words) => words.join(" "),
    };
    text.contains("$PORT") || text.contains("${PORT")
}
