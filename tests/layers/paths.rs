//! The paths that code mentions, with `use` trees written out and `self` and `super` resolved.

/// A path and its position in the code.
#[derive(Debug, PartialEq, Eq)]
pub struct Mention {
    pub at: usize,
    /// `crate`, `engine`, `Engine`; or `std`, `fs`, `read`; or `Instant`, `now`.
    pub path: Vec<String>,
}

/// All paths in the code of this module, in order.
pub fn paths(code: &str, module: &[String]) -> Vec<Mention> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut next = 0;
    while next < tokens.len() {
        match tokens[next].1 {
            "use" => next = tree(&tokens, next + 1, &[], &mut found),
            word if is_word(word) => next = path(&tokens, next, &mut found),
            _ => next += 1,
        }
    }
    for mention in &mut found {
        mention.path = resolve(&mention.path, module);
    }
    found
}

/// Words, `::`, and single signs, each with its place.
fn tokens(code: &str) -> Vec<(usize, &str)> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(char) = code[at..].chars().next() {
        let rest = &code[at..];
        let len = match char {
            char if char.is_alphanumeric() || char == '_' => {
                rest.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(rest.len())
            }
            ':' if rest.starts_with("::") => 2,
            char => char.len_utf8(),
        };
        if !char.is_whitespace() {
            tokens.push((at, &rest[..len]));
        }
        at += len;
    }
    tokens
}

fn is_word(token: &str) -> bool {
    token.starts_with(|char: char| char.is_alphabetic() || char == '_')
}

/// A path outside `use`; returns the next token. Words that stand alone are no paths.
fn path(tokens: &[(usize, &str)], start: usize, found: &mut Vec<Mention>) -> usize {
    let mut words = vec![tokens[start].1.to_owned()];
    let mut next = start + 1;
    while let (Some((_, "::")), Some((_, word))) = (tokens.get(next), tokens.get(next + 1)) {
        if !is_word(word) {
            break;
        }
        words.push((*word).to_owned());
        next += 2;
    }
    if words.len() > 1 {
        found.push(Mention { at: tokens[start].0, path: words });
    }
    next
}

/// A `use` tree below `prefix`; returns the next token.
fn tree(
    tokens: &[(usize, &str)],
    start: usize,
    prefix: &[String],
    found: &mut Vec<Mention>,
) -> usize {
    let mut path = prefix.to_vec();
    let mut next = start;
    let place = tokens.get(start).map_or(0, |token| token.0);
    while let Some((_, token)) = tokens.get(next) {
        match *token {
            "{" => {
                next += 1;
                while tokens.get(next).is_some_and(|token| token.1 != "}") {
                    let before = next;
                    next = tree(tokens, next, &path, found);
                    next += usize::from(
                        tokens.get(next).is_some_and(|token| token.1 == ",") || next == before,
                    );
                }
                return next + 1;
            }
            "as" => next += 2,
            word if is_word(word) => {
                path.push(word.to_owned());
                next += 1;
            }
            "::" | "*" => next += 1,
            _ => break,
        }
    }
    found.push(Mention { at: place, path });
    next
}

/// Absolute, when it begins with `crate`, `self` or `super`; as it is otherwise.
fn resolve(path: &[String], module: &[String]) -> Vec<String> {
    let ups = path.iter().take_while(|word| *word == "super").count();
    let own = usize::from(path.first().is_some_and(|word| word == "self"));
    if ups + own == 0 {
        return path.to_vec();
    }
    let base = &module[..module.len().saturating_sub(ups)];
    // `use self::{self}` and `super::{self}` name the module itself.
    let rest = path[ups + own..].iter().filter(|word| *word != "self");
    std::iter::once(&"crate".to_owned()).chain(base).chain(rest).cloned().collect()
}

/// Whether these words stand one after the other in the path: `std::fs`, `Instant::now`.
pub fn mentions(path: &[String], pattern: &str) -> bool {
    let pattern: Vec<&str> = pattern.split("::").collect();
    path.windows(pattern.len()).any(|window| window == pattern)
}
