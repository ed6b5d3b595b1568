//! The check of files against the tables.

use std::collections::BTreeMap;

use super::paths::{mentions, paths};
use super::source::{Source, types, words};
use super::tables::{FENCES, Fence, LAYERS, MAX_FILES, MAX_LINES, REPEATED_TYPES, TWINS, What};

/// A broken rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub path: String,
    pub line: usize,
    pub rule: String,
    pub text: String,
}

/// The names of all rules.
pub fn names() -> Vec<&'static str> {
    ["layers", "dependencies", "length", "files", "types", "parents"]
        .into_iter()
        .chain(FENCES.iter().map(|fence| fence.name))
        .collect()
}

/// All broken rules in these files, in order. `dependencies` are the names of crates.
pub fn check(files: &[(String, String)], dependencies: &[String]) -> Vec<Finding> {
    let mut sources: Vec<Source> =
        files.iter().map(|(path, text)| Source::new(path, text)).collect();
    mark_tests(&mut sources);
    let mut findings = Vec::new();
    for source in &sources {
        layers(source, dependencies, &mut findings);
        length(source, &mut findings);
        parents(source, &mut findings);
        FENCES
            .iter()
            .filter(|fence| holds(fence, &source.path))
            .for_each(|fence| fenced(fence, source, &mut findings));
    }
    files_in_directories(&sources, &mut findings);
    one_name_one_type(&sources, &mut findings);
    findings.sort();
    findings
}

/// Files that are only compiled for tests: declared so, or below such a module.
fn mark_tests(sources: &mut [Source]) {
    let modules: Vec<Vec<String>> =
        sources.iter().flat_map(|source| source.test_modules.clone()).collect();
    for source in sources {
        let below = |module: &Vec<String>| source.module.starts_with(module);
        if source.path.starts_with("tests/") || modules.iter().any(below) {
            source.only_for_tests();
        }
    }
}

fn layers(source: &Source, dependencies: &[String], findings: &mut Vec<Finding>) {
    for layer in LAYERS.iter().filter(|layer| is_below(&source.path, layer.path)) {
        for mention in paths(&source.code, &source.module) {
            let (Some(first), second) = (mention.path.first(), mention.path.get(1)) else {
                continue;
            };
            let (rule, bad) = match second {
                Some(used) if first == "crate" => ("layers", denied(used, layer.only, layer.never)),
                _ if dependencies.contains(first) => (
                    "dependencies",
                    denied(first, layer.only_dependencies, layer.never_dependencies),
                ),
                _ => continue,
            };
            if bad {
                let text = format!("{} may not use {}", layer.path, mention.path.join("::"));
                findings.push(finding(source, &source.code, mention.at, rule, text));
            }
        }
    }
}

fn denied(used: &str, only: Option<&[&str]>, never: &[&str]) -> bool {
    only.map_or_else(|| never.contains(&used), |only| !only.contains(&used))
}

fn length(source: &Source, findings: &mut Vec<Finding>) {
    if source.path.starts_with("src/") && source.lines > MAX_LINES {
        let text = format!("{} lines without tests, and {MAX_LINES} are the most", source.lines);
        let rule = "length".to_owned();
        findings.push(Finding { path: source.path.clone(), line: source.lines, rule, text });
    }
}

/// A file that imports through two parents belongs in another room.
fn parents(source: &Source, findings: &mut Vec<Finding>) {
    if source.path.starts_with("src/") {
        for (at, what) in
            text_places(&source.code_and_tests, &["super::super::", "super::{super::"])
        {
            let text = format!("{what}: name the path from `crate`");
            findings.push(finding(source, &source.code_and_tests, at, "parents", text));
        }
    }
}

/// Reports the first file beyond the limit of each directory.
fn files_in_directories(sources: &[Source], findings: &mut Vec<Finding>) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.path.starts_with("src/")) {
        let directory = source.path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let count = counts.entry(directory).or_default();
        *count += 1;
        if *count == MAX_FILES + 1 {
            let text = format!("{directory} has more than {MAX_FILES} files");
            let rule = "files".to_owned();
            findings.push(Finding { path: source.path.clone(), line: 1, rule, text });
        }
    }
}

/// One name, one type.
fn one_name_one_type(sources: &[Source], findings: &mut Vec<Finding>) {
    let mut defined: BTreeMap<&str, &str> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.path.starts_with("src/")) {
        for (at, name, public) in types(&source.code) {
            let repeated = REPEATED_TYPES.iter().any(|(repeated, _)| *repeated == name);
            if repeated && !public {
                continue;
            }
            match defined.get(name) {
                Some(first) if !are_twins(first, &source.path) => {
                    let text = format!("`{name}` is also a type in {first}");
                    findings.push(finding(source, &source.code, at, "types", text));
                }
                _ => drop(defined.insert(name, &source.path)),
            }
        }
    }
}

/// `sys/linux/process.rs` and `sys/macos/process.rs`; `cli/doctor/linux.rs` and `macos.rs`.
fn are_twins(one: &str, other: &str) -> bool {
    let neutral = |path: &str| {
        let parts = path.trim_end_matches(".rs").split('/');
        parts.filter(|part| !TWINS.contains(part)).collect::<Vec<_>>().join("/")
    };
    one != other && neutral(one) == neutral(other)
}

fn holds(fence: &Fence, path: &str) -> bool {
    let within = fence.within.iter().any(|place| is_below(path, place));
    within && !fence.but.iter().any(|(place, _)| is_below(path, place))
}

/// `src/config/load` holds `src/config/load.rs` and `src/config/load/x.rs`, not `src/config/loader.rs`.
fn is_below(path: &str, place: &str) -> bool {
    path.strip_prefix(place)
        .is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
}

fn fenced(fence: &Fence, source: &Source, findings: &mut Vec<Finding>) {
    let code = if fence.tests_too { &source.code_and_tests } else { &source.code };
    let (part, mut places) = match fence.what {
        What::Path(patterns) => (code, path_places(code, &source.module, patterns)),
        What::Word(patterns) => (code, word_places(code, patterns)),
        What::TextBeside(path, patterns) => {
            let beside = !path_places(code, &source.module, &[path]).is_empty();
            (code, if beside { text_places(code, patterns) } else { Vec::new() })
        }
        What::Text(patterns) => (code, text_places(code, patterns)),
        What::Comment(patterns) => (&source.comments, word_places(&source.comments, patterns)),
    };
    places.sort();
    for (at, what) in places {
        findings.push(finding(source, part, at, fence.name, format!("{what}: {}", fence.why)));
    }
}

fn path_places(code: &str, module: &[String], patterns: &[&str]) -> Vec<(usize, String)> {
    let mut places = Vec::new();
    for mention in paths(code, module) {
        if patterns.iter().any(|pattern| mentions(&mention.path, pattern)) {
            places.push((mention.at, mention.path.join("::")));
        }
    }
    places
}

fn word_places(code: &str, patterns: &[&str]) -> Vec<(usize, String)> {
    let found = words(code).filter(|word| patterns.contains(word));
    // Words are pieces of the code: the distance of their beginnings is the place.
    found.map(|word| (word.as_ptr() as usize - code.as_ptr() as usize, word.to_owned())).collect()
}

fn text_places(code: &str, patterns: &[&str]) -> Vec<(usize, String)> {
    let solid: Vec<(usize, char)> =
        code.char_indices().filter(|(_, char)| !char.is_whitespace()).collect();
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let mut places = Vec::new();
    for pattern in patterns {
        let wanted: Vec<char> = pattern.chars().collect();
        for start in 0..solid.len().saturating_sub(wanted.len() - 1) {
            let same = solid[start..start + wanted.len()].iter().map(|(_, char)| char).eq(&wanted);
            let before = code[..solid[start].0].chars().next_back();
            let inside = is_word(wanted[0]) && before.is_some_and(is_word);
            if same && !inside {
                places.push((solid[start].0, (*pattern).to_owned()));
            }
        }
    }
    places
}

fn finding(source: &Source, part: &str, at: usize, rule: &str, text: String) -> Finding {
    Finding { path: source.path.clone(), line: Source::line(part, at), rule: rule.to_owned(), text }
}
