/// A Rust file, taken apart as far as the rules need it. Every part has the lines of the file, so that a
/// finding can name its line; what is not of the part is blank.
pub struct Source {
    /// Relative to the package, with slashes: `src/engine/order.rs`.
    pub path: String,
    /// `engine`, `order`; nothing for `src/lib.rs` and for files outside `src`.
    pub module: Vec<String>,
    /// Without comments, without the content of strings, without the parts for tests.
    pub code: String,
    /// The same with the parts for tests.
    pub code_and_tests: String,
    /// Only the comments.
    pub comments: String,
    /// Modules that this file declares for tests only.
    pub test_modules: Vec<Vec<String>>,
    /// How many lines are not for tests.
    pub lines: usize,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let module = module_of(path);
        let (code_and_tests, comments) = split(text);
        let (code, names) = without_tests(&code_and_tests);
        let test_modules =
            names.into_iter().map(|name| [module.clone(), vec![name]].concat()).collect();
        let for_tests =
            |(all, rest): &(&str, &str)| !all.trim().is_empty() && rest.trim().is_empty();
        let lines = text.lines().count()
            - code_and_tests.lines().zip(code.lines()).filter(for_tests).count();
        Source {
            path: path.to_owned(),
            module,
            code,
            code_and_tests,
            comments,
            test_modules,
            lines,
        }
    }

    /// Makes the whole file a part for tests.
    pub fn only_for_tests(&mut self) {
        self.code = blank(&self.code);
        self.lines = 0;
    }

    /// The line of a place in one of the parts.
    pub fn line(part: &str, at: usize) -> usize {
        part[..at].matches('\n').count() + 1
    }
}

fn module_of(path: &str) -> Vec<String> {
    let Some(inner) = path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs")) else {
        return Vec::new();
    };
    let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    module
}

fn blank(text: &str) -> String {
    text.chars().map(|char| if char == '\n' { '\n' } else { ' ' }).collect()
}

/// Code without comments and strings, and the comments. Each byte of the text is a byte of both.
fn split(text: &str) -> (String, String) {
    let bytes = text.as_bytes();
    let empty =
        || bytes.iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }).collect::<Vec<u8>>();
    let (mut code, mut comments) = (empty(), empty());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (len, part) = match comment(rest) {
            Some(len) => (len, &mut comments),
            None => match literal(rest, at.checked_sub(1).map(|before| bytes[before])) {
                Some(len) => {
                    at += len;
                    continue;
                }
                None => (1, &mut code),
            },
        };
        part[at..at + len].copy_from_slice(&rest[..len]);
        at += len;
    }
    let text =
        |bytes| String::from_utf8(bytes).expect("whole comments, and literals cut out whole");
    (text(code), text(comments))
}

/// How long the comment at the start is.
fn comment(rest: &[u8]) -> Option<usize> {
    if rest.starts_with(b"//") {
        return Some(rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with(b"/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    Some(rest.len())
}

/// How long the string or character at the start is.
fn literal(rest: &[u8], before: Option<u8>) -> Option<usize> {
    match rest.first()? {
        b'"' => Some(quoted(rest, b'"')),
        // A lifetime has no quote after its first character.
        b'\'' if rest.get(1) == Some(&b'\\') => Some(quoted(rest, b'\'')),
        b'\'' => {
            let char = std::str::from_utf8(&rest[1..rest.len().min(5)]);
            let valid = char.map_or_else(|error| error.valid_up_to(), str::len);
            let first =
                std::str::from_utf8(&rest[1..1 + valid]).expect("valid so far").chars().next()?;
            let end = 1 + first.len_utf8();
            (rest.get(end) == Some(&b'\'')).then_some(end + 1)
        }
        b'r' if !before
            .is_some_and(|byte| byte.is_ascii_alphanumeric() && byte != b'b' && byte != b'c') =>
        {
            raw(rest)
        }
        _ => None,
    }
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r"…"` with any number of `#`; nothing when it is another word that begins with `r`.
fn raw(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let end = [b"\"".to_vec(), vec![b'#'; hashes]].concat();
    let from = 2 + hashes;
    let found = rest[from..].windows(end.len()).position(|window| window == end);
    Some(found.map_or(rest.len(), |at| from + at + end.len()))
}

/// Blanks every item under `#[cfg(test)]`; also the names of modules that such items declare in other files.
fn without_tests(code: &str) -> (String, Vec<String>) {
    let mut left = code.to_owned();
    let mut modules = Vec::new();
    let mut from = 0;
    while let Some(start) = left[from..].find("#[cfg(").map(|at| from + at) {
        let end_of_attribute = balanced(&left, start + 1);
        let condition = &left[start..end_of_attribute];
        let for_tests =
            words(condition).any(|word| word == "test") && !condition.contains("not(test");
        if !for_tests {
            from = end_of_attribute;
            continue;
        }
        let end = end_of_item(&left, end_of_attribute);
        let item: Vec<&str> = words(&left[end_of_attribute..end]).collect();
        if let Some(at) =
            item.iter().position(|word| *word == "mod").filter(|_| left[..end].ends_with(';'))
        {
            modules.extend(item.get(at + 1).map(|name| (*name).to_owned()));
        }
        let blanked = blank(&left[start..end]);
        left.replace_range(start..end, &blanked);
        from = start;
    }
    (left, modules)
}

/// The end of the item that starts here, attributes before it included.
fn end_of_item(code: &str, start: usize) -> usize {
    let mut at = start;
    while let Some(char) = code[at..].chars().next() {
        match char {
            ';' => return at + 1,
            '{' => return balanced(code, at),
            '(' | '[' => at = balanced(code, at),
            _ => at += char.len_utf8(),
        }
    }
    code.len()
}

/// The place after the bracket that closes the one here.
fn balanced(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, char) in code[open..].char_indices() {
        match char {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return open + at + char.len_utf8();
        }
    }
    code.len()
}

/// Where types are defined in a piece of code: place, name, and whether other modules see it.
pub fn types(code: &str) -> Vec<(usize, &str, bool)> {
    let all: Vec<&str> = words(code).collect();
    let mut found = Vec::new();
    for at in 1..all.len() {
        let name = all[at];
        let keyword = ["struct", "enum", "trait", "type", "union"].contains(&all[at - 1]);
        if keyword && name.starts_with(char::is_uppercase) {
            let before = &code[..all[at - 1].as_ptr() as usize - code.as_ptr() as usize];
            let before = before.trim_end();
            // `pub`, `pub(crate)`, `pub(super)`; anything else ends with another sign.
            let public = before.ends_with("pub") || before.ends_with(')');
            found.push((name.as_ptr() as usize - code.as_ptr() as usize, name, public));
        }
    }
    found
}

/// The words of a piece of code.
pub fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|char: char| !char.is_alphanumeric() && char != '_').filter(|word| !word.is_empty())
}
