//! What agents can read about devstack itself: the schema of its file, and the guide.

use std::borrow::Cow;

use rmcp::model::Resource;

/// The JSON Schema of `devstack.toml`.
const SCHEMA: &str = "devstack://schema";

/// What the address of a guide page begins with.
const GUIDE: &str = "devstack://guide/";

macro_rules! guide_pages {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../docs/guide/", $name, ".md")))),*]
    };
}

const PAGES: &[(&str, &str)] = guide_pages![
    "actions" "again" "agents" "background" "change" "ci" "ci-reports" "configuration"
    "containers" "dashboard" "data" "debugging" "environment" "exit-codes" "export"
    "getting-started" "https" "include" "init" "lazy" "logs" "names" "performance"
    "performance-names" "ports" "presets" "promises" "reload" "requests" "trust" "tui"
];

pub(super) fn list() -> Vec<Resource> {
    let schema = Resource::new(SCHEMA, "devstack.schema.json")
        .with_title("JSON Schema of devstack.toml")
        .with_mime_type("application/schema+json")
        .with_size(crate::config::json_schema().len() as u64);
    let pages = PAGES.iter().map(|(name, text)| {
        Resource::new(format!("{GUIDE}{name}"), *name)
            .with_title(title(text))
            .with_mime_type("text/markdown")
            .with_size(text.len() as u64)
    });
    [schema].into_iter().chain(pages).collect()
}

/// Returns the text of a resource and its media type.
pub(super) fn read(uri: &str) -> Option<(Cow<'static, str>, &'static str)> {
    if uri == SCHEMA {
        return Some((crate::config::json_schema().into(), "application/schema+json"));
    }
    let name = uri.strip_prefix(GUIDE)?;
    let (_, text) = PAGES.iter().find(|(page, _)| *page == name)?;
    Some(((*text).into(), "text/markdown"))
}

fn title(page: &str) -> &str {
    page.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or("Guide")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pages_of_the_guide_are_there() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide");
        let mut pages: Vec<String> = std::fs::read_dir(dir)
            .expect("the guide")
            .filter_map(|entry| {
                Some(entry.ok()?.file_name().into_string().ok()?.strip_suffix(".md")?.to_owned())
            })
            .filter(|name| name != "README")
            .collect();
        pages.sort();
        assert_eq!(PAGES.iter().map(|(name, _)| *name).collect::<Vec<_>>(), pages);
    }

    #[test]
    fn what_is_listed_can_be_read_and_nothing_else() {
        for resource in list() {
            let (text, _) = read(&resource.uri).expect("it is listed");
            assert_eq!(resource.size, Some(text.len() as u64));
        }
        for uri in ["", "devstack://", "devstack://guide/../../Cargo.toml", "file:///etc/passwd"] {
            assert_eq!(read(uri), None, "{uri}");
        }
    }
}
