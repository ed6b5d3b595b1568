use std::path::{Path, PathBuf};

use globset::{Glob, GlobBuilder};

/// A glob of a `watch` list, taken apart.
///
/// - With a `/`, or without special characters, it is relative to the service's directory: `src`,
///   `src/**`, `./*.toml`, `../shared/**`.
/// - Special characters without a `/` match at any depth, as in `.gitignore`: `*.py`.
/// - A pattern ending in a plain name also means everything below a directory of that name.
#[derive(Debug, Clone)]
pub(super) struct WatchPattern {
    /// The directory the globs are relative to.
    pub base: PathBuf,
    /// Matched against paths relative to `base`; one match suffices.
    pub globs: Vec<Glob>,
    /// Matches directories with everything in them meant.
    pub dirs: Vec<Glob>,
    /// The longest path without special characters; `base` if there is none.
    pub literal_prefix: PathBuf,
    /// Whether there are no special characters at all.
    pub literal: bool,
    /// Levels below `top` where files can match; `None`: any.
    pub depth: Option<usize>,
    /// Its last part begins with a dot: hidden files are meant.
    pub hidden: bool,
}

/// Whether a pattern includes or excludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PatternKind {
    /// A plain name is relative to the service's directory.
    Include,
    /// A plain name matches at any depth.
    Exclude,
}

impl WatchPattern {
    /// Parses `text` relative to `root`. Fails on an invalid glob.
    pub fn new(
        root: &Path,
        text: &str,
        sense: PatternKind,
    ) -> Result<WatchPattern, globset::Error> {
        let mut base = if text.starts_with('/') { PathBuf::from("/") } else { root.to_owned() };
        let mut parts: Vec<&str> = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => match parts.last() {
                    Some(last) if !is_special(last) => drop(parts.pop()),
                    Some(_) => parts.push(part),
                    None => drop(base.pop()),
                },
                part => parts.push(part),
            }
        }
        let plain = parts.iter().take_while(|part| !is_special(part)).count();
        let literal = plain == parts.len();
        let anywhere = match sense {
            PatternKind::Include => !text.contains('/') && !literal,
            PatternKind::Exclude => !text.trim_end_matches('/').contains('/'),
        };
        let body = parts.join("/");
        let text = if anywhere { format!("**/{body}") } else { body };
        let last = parts.last().copied().unwrap_or_default();
        Ok(WatchPattern {
            globs: globs(&text, is_special(last))?,
            dirs: dirs(&text, is_special(last))?,
            literal_prefix: if anywhere {
                base.clone()
            } else {
                base.join(parts[..plain].join("/"))
            },
            literal: literal && !anywhere,
            depth: (!text.contains("**") && !literal).then(|| parts.len() - plain),
            hidden: last.starts_with('.'),
            base,
        })
    }
}

fn is_special(part: &str) -> bool {
    part.contains(['*', '?', '[', ']', '{', '}', '\\'])
}

fn glob(text: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(text).literal_separator(true).build()
}

fn globs(text: &str, special_end: bool) -> Result<Vec<Glob>, globset::Error> {
    let mut list = vec![glob(text)?];
    if text.is_empty() {
        list.push(glob("**")?);
    } else if !special_end {
        list.push(glob(&format!("{text}/**"))?);
    }
    Ok(list)
}

fn dirs(text: &str, special_end: bool) -> Result<Vec<Glob>, globset::Error> {
    let whole = if special_end { text.strip_suffix("/**") } else { Some(text) };
    whole.map(glob).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn include(text: &str) -> WatchPattern {
        WatchPattern::new(Path::new("/p/api"), text, PatternKind::Include).unwrap()
    }

    fn matches(pattern: &WatchPattern, path: &str) -> bool {
        let below = Path::new(path).strip_prefix(&pattern.base);
        below.is_ok_and(|below| {
            pattern.globs.iter().any(|glob| glob.compile_matcher().is_match(below))
        })
    }

    #[test]
    fn patterns_mean_what_people_mean() {
        for (text, yes, no) in [
            ("*.py", "/p/api/a/b.py", "/p/api/a.js"),
            ("src/**/*.py", "/p/api/src/b.py", "/p/api/b.py"),
            ("src", "/p/api/src/x/y", "/p/api/x/src/y"),
            ("./*.toml", "/p/api/a.toml", "/p/api/x/a.toml"),
            ("../shared/**", "/p/shared/a", "/p/api/shared/a"),
            ("src/../lib/**", "/p/api/lib/a", "/p/api/src/a"),
            ("/etc/hosts", "/etc/hosts", "/p/api/etc/hosts"),
            ("*.{py,html}", "/p/api/t/x.html", "/p/api/t/x.htm"),
            (".", "/p/api/any/thing", "/p/other"),
            ("**", "/p/api/any/thing", "/p/other"),
        ] {
            let pattern = include(text);
            assert!(matches(&pattern, yes), "{text} should match {yes}");
            assert!(!matches(&pattern, no), "{text} should not match {no}");
        }
    }

    #[test]
    fn only_the_directories_that_can_hold_a_match_are_named() {
        let top = |text| include(text).literal_prefix;
        assert_eq!(top("*.py"), Path::new("/p/api"));
        assert_eq!(top("src/**/*.py"), Path::new("/p/api/src"));
        assert_eq!(top("../shared/**"), Path::new("/p/shared"));
        assert_eq!(top("src"), Path::new("/p/api/src"));
        assert_eq!(include("src/*.py").depth, Some(1));
        assert_eq!(include("src/*/x/*.py").depth, Some(3));
        assert_eq!(include("src/**").depth, None);
        assert_eq!(include("*.py").depth, None);
        assert!(include("src").literal && !include("*.py").literal);
    }

    #[test]
    fn plain_excludes_hold_at_any_depth() {
        let exclude =
            |text| WatchPattern::new(Path::new("/p"), text, PatternKind::Exclude).unwrap();
        assert!(matches(&exclude("logs"), "/p/a/logs/x"));
        assert!(matches(&exclude("logs/"), "/p/a/logs/x"));
        assert!(matches(&exclude("tests/**"), "/p/tests/x"));
        assert!(!matches(&exclude("tests/**"), "/p/a/tests/x"));
    }

    #[test]
    fn a_bad_glob_is_an_error_and_not_a_panic() {
        for text in ["[", "{a", "a\\", "**/[z-a]", "///", "..", "../../../../../..", "", "{a/b,c}"]
        {
            let _ = WatchPattern::new(Path::new("/p"), text, PatternKind::Include);
        }
        assert!(WatchPattern::new(Path::new("/p"), "[", PatternKind::Include).is_err());
    }
}
