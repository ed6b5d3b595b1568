//! The README and the pages of the guide, and the fenced blocks in them.

use std::fs;
use std::path::{Path, PathBuf};

/// A Markdown page.
pub struct Page {
    /// Its path from the root of the repository.
    pub name: String,
    pub text: String,
    pub blocks: Vec<Block>,
}

/// A fenced block.
pub struct Block {
    /// The words after the fence: `console run`.
    pub info: String,
    /// The line of the fence, from 1.
    pub line: usize,
    pub text: String,
}

impl Block {
    pub fn is(&self, info: &str) -> bool {
        self.info == info
    }
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README and every page of the guide.
pub fn guide() -> Vec<Page> {
    let mut files = vec![repository().join("README.md")];
    markdown(&repository().join("docs/guide"), &mut files);
    assert!(files.len() > 10, "{files:?}");
    files.iter().map(|file| page(file)).collect()
}

/// Every Markdown page of the repository but those of dependencies.
pub fn all() -> Vec<Page> {
    let top = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
    let mut files = top.map(|name| repository().join(name)).to_vec();
    ["docs", "examples"].iter().for_each(|dir| markdown(&repository().join(dir), &mut files));
    files.iter().map(|file| page(file)).collect()
}

/// The page of this name in the guide.
pub fn named(name: &str) -> Page {
    page(&repository().join("docs/guide").join(name))
}

fn markdown(dir: &Path, files: &mut Vec<PathBuf>) {
    const INSTALLED: [&str; 3] = [".venv", "node_modules", "target"];
    let entries = fs::read_dir(dir).expect("it is in the repository");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    for path in paths {
        let is = |name: &str| path.file_name().is_some_and(|own| own == name);
        if path.is_dir() && !INSTALLED.iter().any(|name| is(name)) {
            markdown(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
}

fn page(file: &Path) -> Page {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let name = file.strip_prefix(repository()).expect("below the root").display().to_string();
    let blocks = blocks(&text);
    Page { name, text, blocks }
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(info), None) => {
                let info = info.trim().to_owned();
                open = Some(Block { info, line: index + 1, text: String::new() });
            }
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some(mut block)) => {
                block.text += line;
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}
