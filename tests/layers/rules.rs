//! The check of files against the tables.

use super::paths::{mentions, paths};
use super::source::{Source, words};
use super::tables::{FENCES, Fence, LAYERS, MAX_LINES, What};

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
    ["layers", "dependencies", "length"]
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
        FENCES
            .iter()
            .filter(|fence| holds(fence, &source.path))
            .for_each(|fence| fenced(fence, source, &mut findings));
    }
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
            let inside = start > 0 && is_word(wanted[0]) && is_word(solid[start - 1].1);
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
