//! Runs a `console run` block: lines that begin with `$ ` are commands, the lines below are what they print.
//!
//! - Each command runs in a shell, in a project with the configuration of the page. Its stdout and stderr are one.
//! - Ports of the configuration become ports that are free on this machine, and are shown as in the page.
//! - All other numbers are equal, with their units; so are runs of spaces, because columns are as wide as their content.
//! - `…` stands for any text within a line, and alone for any number of lines.
//! - Lines of services and lines of devstack are compared apart: they come from different programs, in no certain order.
//! - A line `^C` is Ctrl-C, once everything above it was printed.

use std::collections::BTreeMap;
use std::path::Path;

use regex::Regex;

use crate::support::{Signal, TestCommand, TestProject, eventually, free_port};

/// Runs the commands of a block, and compares.
#[track_caller]
pub fn play(place: &str, stack: &str, text: &str) {
    let project = TestProject::new();
    let number = Regex::new(r"\b[1-9][0-9]{3,4}\b").expect("it is a regular expression");
    let ports: BTreeMap<String, String> = number
        .find_iter(stack)
        .map(|found| (found.as_str().to_owned(), free_port().to_string()))
        .collect();
    let here = |text: &str| {
        ports.iter().fold(text.to_owned(), |text, (page, real)| text.replace(page, real))
    };
    project.configure(&here(stack));
    for (command, expected) in commands(text) {
        let real = |text: &str| {
            ports
                .iter()
                .fold(text.to_owned(), |text, (page, real)| text.replace(real.as_str(), page))
        };
        let known: Vec<&str> = ports.keys().map(String::as_str).collect();
        let compare = |expected: &[&str], printed: &str| {
            let printed: Vec<String> = printed.lines().map(|line| plain(line, &known)).collect();
            let expected: Vec<String> = expected.iter().map(|line| plain(line, &known)).collect();
            [true, false].iter().all(|of_services| {
                fits(&only(&expected, *of_services), &only(&printed, *of_services))
            })
        };
        let shell = shell(&project, &here(command));
        let printed = match expected.iter().position(|line| *line == "^C") {
            None => real(&shell.run().stdout),
            Some(at) => {
                let running = shell.start();
                let before = &expected[..at];
                eventually(&format!("{place}: {command} to print {before:#?}"), || {
                    compare(before, &real(&running.stdout())).then_some(())
                });
                running.signal(Signal::INT);
                running.wait_exit();
                running.wait_closed();
                real(&running.stdout())
            }
        };
        let expected: Vec<&str> = expected.into_iter().filter(|line| *line != "^C").collect();
        assert!(
            compare(&expected, &printed),
            "{place}: {command} printed\n{printed}\nand not\n{}",
            expected.join("\n")
        );
    }
    // What a block leaves running.
    project.devstack(["down"]).run();
    project.finish();
}

/// The commands of a block with what they print.
fn commands(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => all.push((command, Vec::new())),
            None => all.last_mut().expect("a block begins with a command").1.push(line),
        }
    }
    all
}

fn shell(project: &TestProject, command: &str) -> TestCommand {
    let own = Path::new(env!("CARGO_BIN_EXE_devstack")).parent().expect("it is in a directory");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths([own.to_owned()].into_iter().chain(std::env::split_paths(&path)));
    // The last command becomes the process, so that Ctrl-C reaches it.
    let script = match command.contains(['|', ';', '&']) {
        true => format!("exec 2>&1; {command}"),
        false => format!("exec 2>&1; exec {command}"),
    };
    let shell = project.program("/bin/sh").args(["-c", script.as_str()]);
    shell.env("PATH", path.expect("no colon in a path"))
}

/// A line in which what differs from run to run is the same.
fn plain(line: &str, ports: &[&str]) -> String {
    let number =
        Regex::new(r"[0-9]+(\.[0-9]+)?( ?(ns|µs|ms|s|m|h|d|%|[kMG]B)\b|%)?").expect("it is one");
    let same = number.replace_all(line, |found: &regex::Captures<'_>| match &found[0] {
        port if ports.contains(&port) => port.to_owned(),
        _ => "#".to_owned(),
    });
    let spaces = Regex::new(" +").expect("it is one");
    spaces.replace_all(same.trim(), " ").into_owned()
}

/// The lines that services printed, or the others; the wildcard is both.
fn only(lines: &[String], of_services: bool) -> Vec<String> {
    let of_service = |line: &str| line.split(' ').nth(1) == Some("|");
    let kept = |line: &&String| *line == "…" || of_service(line) == of_services;
    lines.iter().filter(kept).cloned().collect()
}

/// Whether the lines are as expected.
fn fits(expected: &[String], printed: &[String]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line == "…" => {
            (0..=printed.len()).any(|skipped| fits(rest, &printed[skipped..]))
        }
        Some((line, rest)) => printed
            .split_first()
            .is_some_and(|(own, others)| is_like(line, own) && fits(rest, others)),
    }
}

fn is_like(expected: &str, printed: &str) -> bool {
    let parts: Vec<String> = expected.split('…').map(regex::escape).collect();
    let pattern = format!("^{}$", parts.join(".*"));
    Regex::new(&pattern).expect("its parts are escaped").is_match(printed)
}

#[test]
fn what_differs_from_run_to_run_is_equal() {
    let like = |expected: &str, printed: &str| {
        let lines =
            |text: &str| text.lines().map(|line| plain(line, &["8000"])).collect::<Vec<_>>();
        fits(&lines(expected), &lines(printed))
    };
    assert!(like(
        "ready in 164ms at http://127.0.0.1:8000",
        "ready in 1.2s at http://127.0.0.1:8000"
    ));
    assert!(!like(
        "ready in 164ms at http://127.0.0.1:8000",
        "ready in 164ms at http://127.0.0.1:8001"
    ));
    assert!(like("a\n…\nb", "a\nb") && like("a\n…\nb", "a\nc\nd\nb") && !like("a\n…\nb", "a\nc"));
    assert!(like("in …, for 2s)", "in ~/x y, for 1m)") && !like("in …, for", "on x, for"));
    assert!(!like("a", "a\nb") && !like("a\nb", "a"));
    assert!(like("web  0.3%   18 MB", "web   0.0%    1 GB"));
}
