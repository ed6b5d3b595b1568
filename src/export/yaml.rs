//! Writes YAML that every parser of 1.1 and 1.2 reads in the same way.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Yaml {
    /// A string, quoted where a parser may take it for something else.
    Text(String),
    Number(u64),
    Boolean(bool),
    List(Vec<Yaml>),
    /// Keys in the order in which they are written.
    Table(Vec<(String, Yaml)>),
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Yaml {
        Yaml::Text(text.to_owned())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Yaml {
        Yaml::Text(text)
    }
}

impl From<u64> for Yaml {
    fn from(number: u64) -> Yaml {
        Yaml::Number(number)
    }
}

impl From<bool> for Yaml {
    fn from(yes: bool) -> Yaml {
        Yaml::Boolean(yes)
    }
}

impl<T: Into<Yaml>> From<Vec<T>> for Yaml {
    fn from(items: Vec<T>) -> Yaml {
        Yaml::List(items.into_iter().map(Into::into).collect())
    }
}

/// A table under construction.
#[derive(Debug, Default)]
pub(super) struct YamlTable(Vec<(String, Yaml)>);

impl YamlTable {
    /// Adds a key.
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Yaml>) -> YamlTable {
        self.0.push((key.into(), value.into()));
        self
    }

    /// Adds a key if there is a value that is not empty.
    pub fn with_some(self, key: &str, value: Option<impl Into<Yaml>>) -> YamlTable {
        match value.map(Into::into) {
            Some(Yaml::List(items)) if items.is_empty() => self,
            Some(Yaml::Table(keys)) if keys.is_empty() => self,
            Some(value) => self.with(key, value),
            None => self,
        }
    }
}

impl From<YamlTable> for Yaml {
    fn from(table: YamlTable) -> Yaml {
        Yaml::Table(table.0)
    }
}

impl<K: Into<String>, V: Into<Yaml>> FromIterator<(K, V)> for YamlTable {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> YamlTable {
        YamlTable(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl Yaml {
    pub fn document(&self) -> String {
        let mut text = String::new();
        self.write(0, &mut text);
        text.trim_start_matches('\n').to_owned()
    }

    /// Writes it after a key or a dash, which ends without a space.
    fn write(&self, indent: usize, out: &mut String) {
        match self {
            Yaml::Text(text) if fits_block(text) => {
                // A line break at the end belongs to the text, or does not.
                let (chomp, text) = match text.strip_suffix('\n') {
                    Some(text) => ("|", text),
                    None => ("|-", text.as_str()),
                };
                *out += &format!(" {chomp}\n");
                for line in text.split('\n') {
                    match line.is_empty() {
                        true => out.push('\n'),
                        false => *out += &format!("{:indent$}{line}\n", ""),
                    }
                }
            }
            Yaml::Text(text) => *out += &format!(" {}\n", scalar(text)),
            Yaml::Number(number) => *out += &format!(" {number}\n"),
            Yaml::Boolean(yes) => *out += &format!(" {yes}\n"),
            Yaml::List(items) if items.is_empty() => *out += " []\n",
            Yaml::Table(keys) if keys.is_empty() => *out += " {}\n",
            Yaml::List(items) => match flow(items) {
                Some(line) => *out += &format!(" {line}\n"),
                None => {
                    out.push('\n');
                    for item in items {
                        *out += &format!("{:indent$}-", "");
                        item.write_in_list(indent + 2, out);
                    }
                }
            },
            Yaml::Table(keys) => {
                out.push('\n');
                for (key, value) in keys {
                    *out += &format!("{:indent$}{}:", "", scalar(key));
                    value.write(indent + 2, out);
                }
            }
        }
    }

    /// Writes it after a dash: a table begins on the same line.
    fn write_in_list(&self, indent: usize, out: &mut String) {
        let mut text = String::new();
        self.write(indent, &mut text);
        match self {
            Yaml::Table(keys) if !keys.is_empty() => {
                *out += &format!(" {}", text.trim_start_matches(['\n', ' ']));
            }
            _ => *out += &text,
        }
    }
}

/// Short lists of short texts stand on one line.
fn flow(items: &[Yaml]) -> Option<String> {
    const LONGEST: usize = 100;
    let words = items.iter().map(|item| match item {
        Yaml::Text(text) if !fits_block(text) => {
            let word = scalar(text);
            // A plain comma would be a separator.
            Some(if word.contains(',') && !word.starts_with('"') { quoted(text) } else { word })
        }
        Yaml::Number(number) => Some(number.to_string()),
        _ => None,
    });
    let words: Vec<String> = words.collect::<Option<_>>()?;
    Some(format!("[{}]", words.join(", "))).filter(|line| line.len() <= LONGEST)
}

/// Whether a text can be a literal block: lines of plain text that no parser changes.
fn fits_block(text: &str) -> bool {
    let lines = text.strip_suffix('\n').unwrap_or(text);
    let plain =
        |line: &str| !line.ends_with(' ') && line.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    lines.contains('\n')
        && !lines.starts_with([' ', '\n'])
        && !lines.ends_with('\n')
        && lines.split('\n').all(plain)
}

fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Whether a text needs no quotes: it starts with a letter or a slash, has no character that means
/// something, and no parser takes it for something else.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "inf"];
    let inside = |c: char| c.is_ascii_alphanumeric() || "_./-@+".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic() || "_./".contains(c))
        && text.chars().all(|c| inside(c) || c == ':' || c == ' ')
        // Only within a word: `image: redis:7`.
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !text.starts_with('.')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// Between double quotes, with the escapes that JSON has too.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\t' => out += "\\t",
            '\r' => out += "\\r",
            ' '..='~' => out.push(c),
            // Controls, line separators and marks may be changed or refused as they are.
            c if c.is_alphanumeric() => out.push(c),
            c => match u32::from(c) {
                number @ ..=0xffff => out += &format!("\\u{number:04x}"),
                number => out += &format!("\\U{number:08x}"),
            },
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::{Yaml, YamlTable, scalar};

    #[test]
    fn what_a_parser_may_take_for_something_else_is_quoted() {
        for plain in
            ["redis:7", "sh", "a b", "/app/api", "app.kubernetes.io/name", "service_healthy"]
        {
            assert_eq!(scalar(plain), plain);
        }
        for odd in [
            "", "no", "On", "NULL", "~", "22:30", "0o7", "1_000", "1e3", "-", "- a", "a: b", "a:",
            "a #b", " a", "a ", "*a", "&a", "!a", "%a", "@a", "[a", "{a", "a,b", "<<", "=", "?",
            ".5", ".inf", "2026-12-01", "a\tb",
        ] {
            assert!(scalar(odd).starts_with('"'), "{odd}");
        }
        assert_eq!(scalar("é\u{2028}\u{1f600}\u{7}\"\\\n"), r#""é\u2028\U0001f600\u0007\"\\\n""#);
    }

    #[test]
    fn tables_lists_and_blocks_are_indented() {
        let item =
            YamlTable::default().with("name", "a").with("command", vec!["x", "one\n\n  two\n"]);
        let items =
            YamlTable::default().with("items", vec![item]).with("empty", Vec::<Yaml>::new());
        let table = items.with_some("none", None::<bool>).with_some("no", Some(Vec::<Yaml>::new()));
        let text = Yaml::from(table.with("block", "a\nb")).document();
        assert_eq!(
            text,
            "items:\n  - name: a\n    command:\n      - x\n      - |\n        one\n\n          two\nempty: []\nblock: |-\n  a\n  b\n"
        );
        // None of these can be a block.
        for odd in [" a\nb", "a \nb", "a\tb\nc", "\na", "a\n\n", "é\nb", "\n"] {
            assert!(Yaml::from(odd).document().starts_with(" \""), "{odd:?}");
        }
    }
}
