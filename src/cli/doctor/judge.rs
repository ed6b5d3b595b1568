//! What is wrong, and what to do about it. Pure: the same facts give the same findings, in the same order.

use std::path::PathBuf;

use super::facts::{
    Configuration, Facts, Left, Localhost, Machine, Project, Sight, Stack, Unstartable, Usage,
};
use super::finding::Finding;
use crate::model::Message;
use crate::ports::{Availability, known, show_folder};

/// Files that devstack opens for itself.
const OWN_FILES: u64 = 64;

/// Files that it opens for a service: its output, its keeper, its log, its probes, its port.
const FILES_OF_ONE: u64 = 8;

/// Processes that devstack starts for itself and for each service, beside what the service starts.
const OWN_PROCESSES: u64 = 16;

/// Processes of one service, with its keeper: servers with a few workers.
const PROCESSES_OF_ONE: u64 = 8;

/// Fewer watches are soon used up: a web project with its packages has thousands of folders.
const FEW_WATCHES: u64 = 65_536;

/// How many processes or files are named.
const NAMED: usize = 5;

/// Everything that is to be said, the machine first.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let Facts { machine, project, configuration, left } = facts;
    let (stack, services) = match configuration {
        Configuration::Good(stack) => (Some(stack), stack.services as u64),
        Configuration::Absent | Configuration::Wrong(_) => (None, 0),
    };
    let mut findings = of_machine(machine, services);
    findings.extend(self::project(project, stack.is_some_and(|stack| stack.watches)));
    findings.push(self::configuration(configuration));
    if let Some(stack) = stack {
        findings.extend(programs(stack));
        findings.extend(ports(stack, machine.outgoing));
    }
    findings.extend(self::left(left));
    findings
}

fn of_machine(machine: &Machine, services: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(machine.watches.map(watches));
    findings.extend(machine.watchers.map(watchers));
    findings.extend(machine.files.map(|(now, most)| files(now, most, services)));
    findings.extend(machine.processes.map(|usage| processes(usage, services)));
    findings.push(match machine.pins {
        true => Finding::ok("pidfd", "processes can be signalled without mistaking one for another"),
        false => Finding::wrong(
            "pidfd",
            "this kernel or its sandbox has no pidfd: leftovers of a killed devstack cannot be ended, and what a service's children started may be killed without being asked to end",
            "use Linux 5.3 or newer; in a container, allow pidfd_open and pidfd_send_signal",
        ),
    });
    findings.push(sight(&machine.sight));
    findings.push(localhost(&machine.localhost));
    findings
}

fn watches(Usage { used, most }: Usage) -> Finding {
    let check = "inotify-watches";
    let Some(most) = most else { return Finding::ok(check, format!("{used} folders are watched")) };
    let text = format!("{used} of {most} folders are watched");
    let help = "sudo sysctl fs.inotify.max_user_watches=524288 (in /etc/sysctl.d it stays)";
    match () {
        () if nearly(used, most) => Finding::wrong(check, text, help),
        () if most < FEW_WATCHES => Finding::note(check, text + ", which is few", help),
        () => Finding::ok(check, text),
    }
}

fn watchers(Usage { used, most }: Usage) -> Finding {
    let check = "inotify-instances";
    let Some(most) = most else { return Finding::ok(check, format!("{used} watchers")) };
    let text = format!("{used} of {most} watchers are in use");
    let help = "sudo sysctl fs.inotify.max_user_instances=1024 (in /etc/sysctl.d it stays)";
    match nearly(used, most) {
        true => Finding::wrong(check, text, help),
        false => Finding::ok(check, text),
    }
}

/// Whether less than a tenth is left.
fn nearly(used: u64, most: u64) -> bool {
    most.saturating_sub(used) <= most / 10
}

fn files(now: u64, most: u64, services: u64) -> Finding {
    let need = OWN_FILES + services * FILES_OF_ONE;
    let text = format!("{now} open files are allowed, devstack needs about {need} here");
    if now >= need {
        return Finding::ok("open-files", text);
    }
    let help = match most >= need {
        true => {
            format!("ulimit -n {}, in the shell that starts devstack", most.min(need.max(4096)))
        }
        false => "raise nofile in /etc/security/limits.conf, and log in again".to_owned(),
    };
    Finding::wrong("open-files", text, help)
}

fn processes(Usage { used, most }: Usage, services: u64) -> Finding {
    let check = "processes";
    let Some(most) = most else {
        return Finding::ok(check, format!("{used} processes and threads, without a limit"));
    };
    let need = OWN_PROCESSES + services * PROCESSES_OF_ONE;
    let text = format!("{used} of {most} processes and threads, about {need} more are needed here");
    match most.saturating_sub(used) >= need {
        true => Finding::ok(check, text),
        false => Finding::wrong(check, text, "end some, or raise the limit: ulimit -u"),
    }
}

fn sight(sight: &Sight) -> Finding {
    match sight {
        Sight::All => Finding::ok("proc", "processes of all users are shown"),
        Sight::Own(option) => Finding::note(
            "proc",
            format!(
                "/proc is mounted with {option}: who holds a port of another user stays unnamed"
            ),
            "sudo devstack ports N names it",
        ),
        Sight::Nothing => Finding::wrong(
            "proc",
            "the /proc of this system is not mounted here: devstack starts nothing, because it could not end it for certain",
            "mount -t proc proc /proc; in a new process namespace, too",
        ),
    }
}

fn localhost(names: &Localhost) -> Finding {
    let check = "localhost-names";
    let help = "browsers know such names by themselves; for other programs write 127.0.0.1 api.localhost into /etc/hosts";
    match names {
        Localhost::Loopback => Finding::ok(check, "names such as api.localhost mean this machine"),
        Localhost::Elsewhere(address) => Finding::wrong(
            check,
            format!("api.localhost is said to be {address}, which is not this machine"),
            "a name server answers what it should not: write 127.0.0.1 api.localhost into /etc/hosts",
        ),
        Localhost::Unknown(why) => {
            Finding::note(check, format!("api.localhost is not known here: {why}"), help)
        }
        Localhost::Silent => Finding::note(check, "no name server answers for api.localhost", help),
    }
}

fn project(project: &Project, watches: bool) -> Vec<Finding> {
    let dir = show_folder(&project.dir);
    let mut findings = vec![match project.writable {
        true => Finding::ok("project", format!("{dir} can be written")),
        false => Finding::note(
            "project",
            format!(
                "{dir} cannot be written: logs and remembered ports go to the user's state folder"
            ),
            "make the folder yours if that is not meant",
        ),
    }];
    if let (true, Some(kind)) = (watches, &project.distant) {
        findings.push(Finding::note(
            "file-system",
            format!("{dir} is on {kind}: changes that are made elsewhere are seen only by looking again, every 2 s"),
            "keep it on a disk of this system, or say how often to look: watch = { poll = \"1s\" }",
        ));
    }
    findings
}

fn configuration(configuration: &Configuration) -> Finding {
    let check = "configuration";
    match configuration {
        Configuration::Absent => Finding::note(
            check,
            "there is no devstack.toml here or above, so no stack was looked at",
            "change to a project, or name its file with -f",
        ),
        Configuration::Wrong(Message { text, .. }) => {
            Finding::wrong(check, text.clone(), "devstack check shows all mistakes")
        }
        Configuration::Good(stack) => {
            let runs = if stack.runs { ", which runs now" } else { "" };
            let s = if stack.services == 1 { "" } else { "s" };
            Finding::ok(check, format!("{}: {} service{s}{runs}", stack.name, stack.services))
        }
    }
}

fn programs(stack: &Stack) -> Vec<Finding> {
    if stack.unstartable.is_empty() {
        return vec![Finding::ok("programs", "the programs of all services are there")];
    }
    let finding = |Unstartable { service, starts, why }: &Unstartable| {
        let (text, help) = (format!("{service}: {}", why.text), why.help.clone());
        match starts {
            true => Finding::wrong("programs", text, help),
            false => Finding::note("programs", text + ", when it is started", help),
        }
    };
    stack.unstartable.iter().map(finding).collect()
}

fn ports(stack: &Stack, (first, last): (u16, u16)) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &stack.ports {
        Err(conflicts) => findings.extend(
            conflicts
                .iter()
                .map(|message| Finding::wrong("ports", message.text.clone(), message.help.clone())),
        ),
        Ok(moves) if moves.is_empty() => {
            findings.push(Finding::ok("ports", "every service gets the port it wants"));
        }
        Ok(moves) => findings.extend(moves.iter().map(|to| {
            let text = format!("{}: {}; up would use {}", to.whose, to.why, to.number);
            Finding::note("ports", text, "devstack ports N --kill ends who holds one")
        })),
    }
    for (port, availability) in &stack.low {
        match availability {
            Availability::Denied => findings.push(Finding::note(
                "privileged-ports",
                format!("port {port} needs privileges"),
                low_help(*port),
            )),
            Availability::Free | Availability::InUse | Availability::Failed(_) => {}
        }
    }
    for wish in &stack.wishes {
        let Some(number) = wish.number else { continue };
        let whose = whose(wish.service.as_str(), &wish.port);
        if (first..=last).contains(&number) {
            let text = format!(
                "{whose}: port {number} is in the range of outgoing connections, {first} to {last}: any program may have it for a while"
            );
            let help = format!(
                "choose one below {first}; on Linux also: sudo sysctl net.ipv4.ip_local_reserved_ports={number}"
            );
            findings.push(Finding::note("outgoing-range", text, help));
        }
        if known::refused_by_browsers(number) {
            let text = format!("{whose}: browsers refuse to open port {number}");
            findings.push(Finding::note(
                "browsers",
                text,
                "choose another one if it is for a browser",
            ));
        }
    }
    findings
}

fn low_help(port: u16) -> String {
    match cfg!(target_os = "linux") {
        true => format!(
            "choose one from 1024 on, or: sudo sysctl net.ipv4.ip_unprivileged_port_start={port}"
        ),
        false => "choose one from 1024 on".to_owned(),
    }
}

/// How a port of a service is called.
pub(super) fn whose(service: &str, port: &str) -> String {
    if port == "main" { service.to_owned() } else { format!("{service}.{port}") }
}

fn left(left: &Left) -> Vec<Finding> {
    let mut findings = Vec::new();
    for stack in &left.stacks {
        let dir = stack.dir.as_deref().map(show_folder);
        match &stack.processes {
            Ok(processes) if processes.is_empty() => {}
            Ok(processes) => {
                let all = processes.iter().map(|(pid, name)| format!("{name} (pid {pid})"));
                let text =
                    format!("processes of a killed devstack run on: {}", some(all.collect()));
                let help = match &dir {
                    Some(dir) => format!("cd {dir} && devstack down"),
                    None => "devstack down --all".to_owned(),
                };
                findings.push(Finding::wrong("leftovers", text, help));
            }
            Err(why) => findings.push(Finding::wrong(
                "leftovers",
                format!(
                    "what a killed devstack left in {} cannot be known: {why}",
                    dir.as_deref().unwrap_or("a folder that is gone")
                ),
                "look with ps, and end what is yours; the next up begins a new record",
            )),
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("leftovers", "no killed devstack left processes"));
    }
    if !left.sockets.is_empty() {
        let all = left.sockets.iter().map(|path| path.display().to_string()).collect();
        let text = format!("sockets of a killed devstack are left: {}", some(all));
        findings.push(Finding::note(
            "stale-sockets",
            text,
            "they do no harm: the next up in their folder takes their place, devstack down --all removes them",
        ));
    }
    findings.push(leases(&left.leases));
    findings
}

fn leases(stale: &[(u16, PathBuf)]) -> Finding {
    let check = "stale-leases";
    let Some((_, file)) = stale.first() else {
        return Finding::ok(check, "no port is kept for a devstack that is gone");
    };
    let all = some(stale.iter().map(|(port, _)| port.to_string()).collect());
    Finding::wrong(
        check,
        format!(
            "kept for a devstack that is gone, because its lock is still open somewhere: port {all}"
        ),
        format!(
            "see who has it open, and end what is yours: fuser -v {}",
            shell_words::quote(&file.to_string_lossy())
        ),
    )
}

/// The first few of a list.
fn some(all: Vec<String>) -> String {
    let more = if all.len() > NAMED { ", …" } else { "" };
    all[..all.len().min(NAMED)].join(", ") + more
}

#[cfg(test)]
mod tests;
