//! A stack as compact text, for snapshots.

use std::fmt::{Debug, Write};

use crate::import::{
    ImportedCommand, ImportedContainer, ImportedImage, ImportedProbe, ImportedService,
    ImportedStack, ProbeTest,
};

/// Returns all that a stack has; what is not set has no line.
pub fn stack_text(stack: &ImportedStack) -> String {
    let mut text = String::new();
    let mut add = |line: String| writeln!(text, "{line}").expect("a string");
    stack.name.iter().for_each(|name| add(format!("stack {name}")));
    stack.env.iter().for_each(|(name, value)| add(format!("env {name}={value:?}")));
    stack.env_files.iter().for_each(|(path, _)| add(format!("env_file {}", path.display())));
    stack.services.iter().flat_map(service_lines).for_each(&mut add);
    for note in &stack.notes {
        let line = note.line.map(|line| format!(":{line}")).unwrap_or_default();
        add(format!("note {}{line}: {}: {}", note.file, note.subject, note.text));
    }
    text
}

fn service_lines(service: &ImportedService) -> Vec<String> {
    let ImportedService {
        name,
        comments,
        description,
        is_task,
        preset,
        command,
        container,
        dir,
        port,
        more_ports,
        env,
        env_files,
        depends_on,
        ready,
        health,
        restart,
        stop_signal,
        stop_grace,
        watch,
        profiles,
        replicas,
        is_manual,
    } = service;
    let mut lines = vec![format!("{} {name}", if *is_task { "task" } else { "service" })];
    let mut add = |line: String| lines.push(format!("    {line}"));
    fn set<T: Debug>(name: &str, value: Option<T>) -> Option<String> {
        value.map(|value| format!("{name} {value:?}"))
    }
    comments.iter().for_each(|comment| add(format!("# {comment}")));
    set("description", description.as_ref()).into_iter().for_each(&mut add);
    preset.iter().for_each(|preset| add(format!("preset {preset}")));
    command.iter().for_each(|command| add(command_text(command)));
    container.iter().flat_map(container_lines).for_each(&mut add);
    if !dir.as_os_str().is_empty() {
        add(format!("dir {}", dir.display()));
    }
    set("port", *port).into_iter().for_each(&mut add);
    more_ports.iter().for_each(|(name, port)| add(format!("port {name} {port}")));
    env.iter().for_each(|(name, value)| add(format!("env {name}={value:?}")));
    for (path, optional) in env_files {
        add(format!("env_file {}{}", path.display(), if *optional { " if it exists" } else { "" }));
    }
    depends_on.iter().for_each(|(name, condition)| add(format!("after {name} {condition:?}")));
    ready.iter().for_each(|probe| add(format!("ready {}", probe_text(probe))));
    health.iter().for_each(|probe| add(format!("health {}", probe_text(probe))));
    set("restart", *restart).into_iter().for_each(&mut add);
    stop_signal.iter().for_each(|signal| add(format!("stop with {signal}")));
    set("stop within", *stop_grace).into_iter().for_each(&mut add);
    set("watch", watch.as_ref()).into_iter().for_each(&mut add);
    profiles.iter().for_each(|profile| add(format!("profile {profile}")));
    set("replicas", *replicas).into_iter().for_each(&mut add);
    if *is_manual {
        add("manual".to_owned());
    }
    lines
}

fn container_lines(container: &ImportedContainer) -> Vec<String> {
    let ImportedContainer { source, entrypoint, user, workdir, volumes, pull, inside_ports } =
        container;
    let mut lines = match source {
        ImportedImage::Image(image) => vec![format!("image {image}")],
        ImportedImage::Build { context, file, target, args } => {
            vec![format!("build {} {file:?} {target:?} {args:?}", context.display())]
        }
    };
    lines.extend(entrypoint.iter().map(|words| format!("entrypoint {words:?}")));
    lines.extend(user.iter().map(|user| format!("user {user}")));
    lines.extend(workdir.iter().map(|dir| format!("workdir {dir}")));
    lines.extend(volumes.iter().map(|volume| format!("volume {volume}")));
    lines.extend(pull.iter().map(|pull| format!("pull {pull}")));
    lines.extend(inside_ports.iter().map(|(name, port)| format!("inside {name} {port}")));
    lines
}

fn command_text(command: &ImportedCommand) -> String {
    match command {
        ImportedCommand::Shell(text) => format!("run {text:?}"),
        ImportedCommand::Words(words) => format!("run {words:?}"),
    }
}

fn probe_text(probe: &ImportedProbe) -> String {
    let mut text = match &probe.test {
        ProbeTest::Http(path) => format!("GET {path}"),
        ProbeTest::Exec(command) => command_text(command),
        ProbeTest::Log(pattern) => format!("log {pattern:?}"),
        ProbeTest::Started => "started".to_owned(),
    };
    if let Some(interval) = probe.interval {
        write!(text, " every {interval:?}").expect("a string");
    }
    if let Some(timeout) = probe.timeout {
        write!(text, " within {timeout:?}").expect("a string");
    }
    if let Some(failures) = probe.failures {
        write!(text, ", {failures} failures").expect("a string");
    }
    text
}
