//! What a Dockerfile says about how its image is started.

use std::collections::BTreeMap;

/// The largest Dockerfile that is read, in bytes, and the most stages in it. Each stage may copy all
/// that an earlier one has.
const MAX_SIZE: usize = 1024 * 1024;
const MAX_STAGES: usize = 64;

/// The last stage of a Dockerfile, or the one asked for, with what it takes from earlier stages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DockerStage {
    /// The image at its start.
    pub image: String,
    pub entrypoint: Option<DockerCommand>,
    pub cmd: Option<DockerCommand>,
    pub workdir: Option<String>,
    /// TCP ports.
    pub ports: Vec<u16>,
    /// `NAME=value` texts of `ENV`, and their lines.
    pub env: Vec<(u32, String)>,
}

/// A command and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DockerCommand {
    pub line: u32,
    pub form: DockerCommandForm,
}

/// The two forms of `CMD` and `ENTRYPOINT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DockerCommandForm {
    Shell(String),
    Words(Vec<String>),
}

impl DockerStage {
    /// Reads a Dockerfile; `target` is the name of a stage. `None`: there is no such stage, or the
    /// file is larger than any that people write.
    pub fn parse(text: &str, target: Option<&str>) -> Option<DockerStage> {
        let mut stages: BTreeMap<String, DockerStage> = BTreeMap::new();
        let mut current: Option<(Option<String>, DockerStage)> = None;
        if text.len() > MAX_SIZE {
            return None;
        }
        for (line, instruction) in instructions(text) {
            let (word, rest) =
                instruction.split_once(char::is_whitespace).unwrap_or((&instruction, ""));
            let rest = rest.trim();
            if word.eq_ignore_ascii_case("FROM") {
                if let Some((name, stage)) = current.take() {
                    if name.is_some() && name.as_deref() == target {
                        return Some(stage);
                    }
                    stages.extend(name.map(|name| (name, stage)));
                    if stages.len() > MAX_STAGES {
                        return None;
                    }
                }
                current = Some(begin_stage(rest, &stages));
            } else if let Some((_, stage)) = &mut current {
                stage.absorb(&word.to_ascii_uppercase(), rest, line);
            }
        }
        let (name, stage) = current?;
        (target.is_none() || name.as_deref() == target).then_some(stage)
    }

    fn absorb(&mut self, word: &str, rest: &str, line: u32) {
        match word {
            "CMD" => self.cmd = Some(DockerCommand { line, form: command_form(rest) }),
            "ENTRYPOINT" => {
                self.entrypoint = Some(DockerCommand { line, form: command_form(rest) });
                // The command of the base image is not for this entry point.
                self.cmd = None;
            }
            "WORKDIR" => {
                let before = self.workdir.take().filter(|_| !rest.starts_with('/'));
                self.workdir = Some(match before {
                    Some(before) => format!("{before}/{rest}"),
                    None => rest.to_owned(),
                });
            }
            "EXPOSE" => {
                let ports = rest.split_whitespace().filter(|port| !port.ends_with("/udp"));
                self.ports.extend(ports.filter_map(|port| {
                    port.strip_suffix("/tcp").unwrap_or(port).parse::<u16>().ok()
                }));
            }
            "ENV" => self.env.push((line, rest.to_owned())),
            _ => {}
        }
    }
}

/// Returns the stage that `FROM` begins, and its name.
fn begin_stage(
    rest: &str,
    stages: &BTreeMap<String, DockerStage>,
) -> (Option<String>, DockerStage) {
    let mut words = rest.split_whitespace().filter(|word| !word.starts_with("--"));
    let image = words.next().unwrap_or_default();
    let name = words.nth(1).map(str::to_owned);
    let stage = stages.get(image).cloned();
    (
        name,
        stage.unwrap_or_else(|| DockerStage { image: image.to_owned(), ..DockerStage::default() }),
    )
}

fn command_form(rest: &str) -> DockerCommandForm {
    match serde_json::from_str(rest) {
        Ok(words) => DockerCommandForm::Words(words),
        Err(_) => DockerCommandForm::Shell(rest.to_owned()),
    }
}

/// Returns the instructions, each on one line, and the numbers of their first lines.
fn instructions(text: &str) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    let mut open: Option<(u32, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.starts_with('#') || (line.is_empty() && open.is_none()) {
            continue;
        }
        let (first, mut so_far) = open.take().unwrap_or((number, String::new()));
        match line.strip_suffix('\\') {
            Some(part) => {
                so_far.push_str(part);
                open = Some((first, so_far));
            }
            None => {
                so_far.push_str(line);
                found.push((first, so_far));
            }
        }
    }
    found.extend(open);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> DockerCommandForm {
        DockerCommandForm::Words(words.iter().map(|&word| word.to_owned()).collect())
    }

    #[test]
    fn the_last_stage_counts_with_what_it_builds_on() {
        let text = "# syntax=docker/dockerfile:1\nFROM --platform=linux/amd64 python:3.12 AS base\n\
            workdir /srv\nWORKDIR app\nEXPOSE 8000 9000/tcp 53/udp $X\nENV A=1\n\
            FROM node AS assets\nCMD [\"npm\", \"run\", \"dev\"]\n\
            FROM base\nENTRYPOINT [\"python\"]\nCMD [\"-m\", \\\n  # a comment\n  \"app\"]\n";
        let stage = DockerStage::parse(text, None).unwrap();
        assert_eq!(stage.image, "python:3.12");
        assert_eq!(stage.workdir.as_deref(), Some("/srv/app"));
        assert_eq!(stage.ports, [8000, 9000]);
        assert_eq!(stage.env, [(6, "A=1".to_owned())]);
        assert_eq!(stage.entrypoint.unwrap().form, words(&["python"]));
        assert_eq!(stage.cmd, Some(DockerCommand { line: 11, form: words(&["-m", "app"]) }));
        let assets = DockerStage::parse(text, Some("assets")).unwrap();
        assert_eq!(assets.cmd.unwrap().form, words(&["npm", "run", "dev"]));
        assert_eq!(DockerStage::parse(text, Some("none")), None);
        assert_eq!(DockerStage::parse("CMD x\n", None), None);
    }

    #[test]
    fn files_that_grow_are_not_read() {
        let stages = |count: usize| {
            (1..count).fold("FROM x AS s0\nCMD a\n".to_owned(), |text, stage| {
                text + &format!("FROM s{} AS s{stage}\n", stage - 1)
            })
        };
        assert!(DockerStage::parse(&stages(60), None).unwrap().cmd.is_some());
        assert_eq!(DockerStage::parse(&stages(100), None), None);
        assert_eq!(DockerStage::parse(&"FROM x\n".repeat(200_000), None), None);
    }

    #[test]
    fn the_shell_form_is_kept_as_text() {
        let stage = DockerStage::parse("FROM x\nCMD exec app --port $PORT\n", None).unwrap();
        let shell = DockerCommandForm::Shell("exec app --port $PORT".to_owned());
        assert_eq!(stage.cmd.unwrap().form, shell);
    }
}
