//! Why a container did not start, for people. Engines give their reasons as text: it is shown, and
//! where a reason is known by its error number or status, the help says what to do.

use super::reply::ContainerFacts;
use crate::model::{ContainerEngine, Message, MessageClass, Name};

/// The exit codes with which programs of engines report that they did not start a command.
const REFUSED: i32 = 125;
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// The exit code after SIGKILL.
const KILLED: i32 = 137;

/// How lines of the programs themselves begin.
const OWN_LINES: [&str; 4] = ["docker: ", "Error response from daemon: ", "Error: ", "ERROR: "];

/// How lines of the first process begin, which engines add and which starts the command.
const INIT_LINES: [&str; 2] = ["[FATAL tini (", "ERROR (catatonit:"];

/// How much of the beginning and of the end of a reason is shown: the end often has what went wrong.
const SHOWN: usize = 150;

/// A run whose container never ran.
#[derive(Debug, Clone, Copy)]
pub struct RefusedStart<'a> {
    pub engine: ContainerEngine,
    /// The exit code of its program.
    pub code: i32,
    /// Whether the container was seen running.
    pub ran: bool,
    pub service: &'a Name,
    pub image: &'a str,
    /// The last lines that the run printed.
    pub lines: &'a [String],
}

/// Explains a run whose container never ran. `None`: its exit is that of the service.
pub fn start_refused(run: RefusedStart<'_>) -> Option<Message> {
    let RefusedStart { engine, code, ran, service, image, lines } = run;
    let by_init = lines.iter().rev().find(|line| INIT_LINES.iter().any(|it| line.starts_with(it)));
    let why = match by_init {
        Some(line) => line.split_once("] ").or(line.split_once("): "))?.1.to_owned(),
        None if ran || !matches!(code, REFUSED | NOT_EXECUTABLE | NOT_FOUND) => return None,
        // Without, the container ran so shortly that it was not seen.
        None => reason(lines).filter(|_| lines.iter().any(|line| is_own(line)))?,
    };
    let text = format!("{} did not start the container: {why}", engine.name());
    let help = match code {
        _ if by_init.is_some() || code == NOT_FOUND => format!(
            "correct `command` or `entrypoint`: programs are looked up inside {image}, which may \
             have no shell"
        ),
        NOT_EXECUTABLE if why.contains("permission denied") => {
            format!("make it executable in {image}, or correct `command` or `entrypoint`")
        }
        _ => known_help(&why)
            .unwrap_or_else(|| format!("fix it, then run `devstack restart {service}`")),
    };
    Some(Message::new(class_of(&why), text).help(help))
}

/// Explains an image that could not be pulled. `lines`: the last that the program printed.
pub fn pull_failed(engine: ContainerEngine, image: &str, lines: &[String]) -> Message {
    let why = reason(lines).unwrap_or_else(|| "the engine gave no reason".to_owned());
    let help = known_help(&why)
        .unwrap_or_else(|| format!("check the name, and whether `{engine} pull {image}` works"));
    Message::new(class_of(&why), format!("pull of {image} failed: {why}")).help(help)
}

/// Explains an image that could not be built.
pub fn build_failed(dir: &str, lines: &[String]) -> Message {
    let why = reason(lines).unwrap_or_else(|| "the engine gave no reason".to_owned());
    let class = match class_of(&why) {
        MessageClass::Disk => MessageClass::Disk,
        _ => MessageClass::Build,
    };
    let help = known_help(&why)
        .unwrap_or_else(|| "fix it and save; the log of the service has all output".to_owned());
    Message::new(class, format!("build of {dir} failed: {why}")).help(help)
}

/// Explains an image that is not there and must not be pulled.
pub fn image_missing(engine: ContainerEngine, image: &str) -> Message {
    let text = format!("{} has no image {image}, and `pull` is \"never\"", engine.name());
    let help = format!("run `{engine} pull {image}`, or remove `pull`");
    Message::new(MessageClass::Container, text).help(help)
}

/// Says that a container may still run.
pub fn still_running(engine: ContainerEngine, container: &str, why: &Message) -> Message {
    let text = format!("cannot remove container {container}: {why}");
    Message::new(MessageClass::Orphan, text)
        .help(format!("remove it with `{engine} rm --force {container}`"))
}

/// Explains the end of a container that the kernel ended because it used too much memory. `None`: it
/// did not.
pub fn out_of_memory(ended: &ContainerFacts) -> Option<Message> {
    if !ended.out_of_memory || ended.running {
        return None;
    }
    let limit = ended.memory_limit.map(|bytes| format!("{} MiB", bytes >> 20));
    let who = if ended.exit_code == KILLED { "killed" } else { "one of its processes was killed" };
    let (limit, help) = match limit {
        Some(limit) => (format!(", limit {limit}"), "raise its limit, or have it use less memory"),
        None => (
            String::new(),
            "give the machine of the engine more memory, or have the program use less",
        ),
    };
    let text = format!("{who}: out of memory{limit}");
    Some(Message::new(MessageClass::Limit, text).help(help))
}

/// Whether a line is of the program of an engine.
fn is_own(line: &str) -> bool {
    OWN_LINES.iter().any(|start| line.starts_with(start))
}

/// Returns the last line of the program itself, or else the last line.
fn reason(lines: &[String]) -> Option<String> {
    let line = lines.iter().rev().find(|line| is_own(line)).or(lines.last())?;
    let mut why = line.as_str();
    // Docker puts one before the other.
    while let Some(rest) = OWN_LINES.iter().find_map(|start| why.strip_prefix(start)) {
        why = rest;
    }
    // Podman names the container, which is gone.
    if let Some((_, rest)) = why.split_once(" for attach: ")
        && why.starts_with("preparing container ")
    {
        why = rest;
    }
    let why = why.trim().trim_end_matches('.');
    let letters: Vec<char> = why.chars().collect();
    let short = match letters.len() > 2 * SHOWN {
        true => {
            let (begin, end) = (&letters[..SHOWN], &letters[letters.len() - SHOWN..]);
            begin.iter().chain(&['…']).chain(end).collect()
        }
        false => why.to_owned(),
    };
    (!short.is_empty()).then_some(short)
}

fn class_of(why: &str) -> MessageClass {
    match why.contains("no space left on device") {
        true => MessageClass::Disk,
        false => MessageClass::Container,
    }
}

/// What helps against a reason that can be recognized: by the words of the system or a status of HTTP.
fn known_help(why: &str) -> Option<String> {
    let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
    if says(&["no space left on device"]) {
        return Some(
            "free space: `docker system df` or `podman system df` shows what takes it".into(),
        );
    }
    if says(&["network is unreachable", "no such host", "i/o timeout", "connection refused"]) {
        return Some(
            "check the network and the name of the registry; images that are here need neither"
                .into(),
        );
    }
    if says(&["unauthorized", "access denied", "denied: ", "authentication required"]) {
        return Some("check the name of the image; for a private one run `docker login` or `podman login` first".into());
    }
    if says(&["manifest unknown", "not found: "]) {
        return Some("check the name and the tag of the image".into());
    }
    if says(&["unexpected HTTP status: 5"]) {
        return Some("the registry has a problem of its own: try again later".into());
    }
    if says(&["toomanyrequests", "Too Many Requests"]) {
        return Some("the registry limits pulls: run `docker login`, or try again later".into());
    }
    if says(&["is already in use by"]) {
        return Some(
            "another container has this name: remove it with `docker rm` or `podman rm`".into(),
        );
    }
    says(&["exec format error", "no matching manifest"])
        .then(|| "the image is for another kind of processor: use one for this machine".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_run_that_the_engine_refused_is_told_from_one_that_exited() {
        let docker = lines(
            "docker: Error response from daemon: failed to create shim task: exec: \"nosuch\": \
             executable file not found in $PATH: unknown.\n\nRun 'docker run --help' for more information",
        );
        let refused = |code, lines: &[String]| {
            let (engine, service) = (ContainerEngine::Docker, Name::new("web").expect("valid"));
            let (ran, image) = (false, "box:1");
            start_refused(RefusedStart { engine, code, ran, service: &service, image, lines })
        };
        let message = refused(127, &docker).expect("it was refused");
        assert!(message.text.starts_with(
            "Docker did not start the container: failed to create shim task: exec: \"nosuch\""
        ));
        assert!(message.help.contains("inside box:1"), "{}", message.help);
        for init in [
            "[FATAL tini (6)] exec nosuch failed: No such file or directory",
            "ERROR (catatonit:6): failed to exec pid1: No such file or directory",
        ] {
            let message = refused(1, &lines(init)).expect("the command did not run");
            let ends = [
                "exec nosuch failed: No such file or directory",
                "failed to exec pid1: No such file or directory",
            ];
            assert!(ends.iter().any(|end| message.text == format!("Docker did not start the container: {end}")), "{message}");
            assert!(message.help.contains("inside box:1"), "{}", message.help);
        }
        assert!(refused(127, &lines("own words")).is_none(), "it ran");
        let podman =
            format!("Error: preparing container {} for attach: no such user", "4".repeat(64));
        let message = refused(126, &lines(&podman)).expect("it was refused");
        assert_eq!(message.text, "Docker did not start the container: no such user");
        assert!(message.help.starts_with("fix it"), "{}", message.help);
        assert!(refused(1, &docker).is_none());
        assert!(refused(125, &[]).is_none());
        let full = lines("docker: Error response from daemon: mkdir /x: no space left on device.");
        assert_eq!(refused(125, &full).map(|message| message.class), Some(MessageClass::Disk));
    }

    #[test]
    fn what_went_wrong_at_the_end_of_a_long_reason_is_shown() {
        let long = format!("Error: writing {}: no space left on device", "é/".repeat(400));
        let message = build_failed("box", &lines(&long));
        assert_eq!(message.class, MessageClass::Disk);
        assert!(message.text.starts_with("build of box failed: writing é/é/"), "{message}");
        assert!(message.text.ends_with("é/é/: no space left on device"), "{message}");
        assert!(message.text.contains('…') && message.text.chars().count() < 350, "{message}");
        assert!(message.help.starts_with("free space: "), "{}", message.help);
        assert_eq!(build_failed("box", &lines("x")).class, MessageClass::Build);
    }

    #[test]
    fn a_pull_says_what_to_do() {
        let help = |text: &str| pull_failed(ContainerEngine::Podman, "a:1", &lines(text)).help;
        assert!(
            help("Error: initializing source: dial udp: network is unreachable")
                .contains("network")
        );
        assert!(help("Error response from daemon: pull access denied for a").contains("login"));
        assert!(help("manifest unknown").contains("tag"));
        assert!(help("what is this").contains("`podman pull a:1` works"));
        let message = pull_failed(ContainerEngine::Docker, "a:1", &[]);
        assert_eq!(message.text, "pull of a:1 failed: the engine gave no reason");
    }
}
