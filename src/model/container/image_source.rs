use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::{CommandLine, RedactedText};

/// Where the image of a container comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource<T = RedactedText> {
    /// This image: `docker.io/library/postgres:17`.
    Image(T),
    /// It is built.
    Build(ImageBuild<T>),
}

/// How an image is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageBuild<T = RedactedText> {
    /// The directory that the build reads, absolute.
    pub context: PathBuf,
    /// The Dockerfile, absolute; `None`: the usual one of the context.
    pub file: Option<PathBuf>,
    /// The stage to build; `None`: the last one.
    pub target: Option<T>,
    /// Build arguments.
    pub args: BTreeMap<String, T>,
}

impl<T> ImageBuild<T> {
    /// Returns what stands for the command of its engine, which is not known before the start.
    pub fn label(&self) -> CommandLine {
        CommandLine::exec(["build".to_owned(), self.context.display().to_string()])
    }
}

impl<T> ImageSource<T> {
    /// Expands its texts.
    pub fn map<U>(&self, mut expand: impl FnMut(&T) -> U) -> ImageSource<U> {
        match self {
            ImageSource::Image(image) => ImageSource::Image(expand(image)),
            ImageSource::Build(build) => ImageSource::Build(ImageBuild {
                context: build.context.clone(),
                file: build.file.clone(),
                target: build.target.as_ref().map(&mut expand),
                args: build.args.iter().map(|(name, text)| (name.clone(), expand(text))).collect(),
            }),
        }
    }

    /// Returns its texts that may contain references.
    pub fn texts(&self) -> impl Iterator<Item = &T> {
        let (image, build) = match self {
            ImageSource::Image(image) => (Some(image), None),
            ImageSource::Build(build) => (None, Some(build)),
        };
        let build = build.into_iter();
        image
            .into_iter()
            .chain(build.flat_map(|build| build.target.iter().chain(build.args.values())))
    }
}

/// Whether a text is an image reference: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`.
pub fn is_image_reference(text: &str) -> bool {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let (path, tag) = match rest.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (rest, None),
    };
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let tag_ok = |tag: &str| {
        tag.len() <= 128
            && tag.starts_with(word)
            && tag.chars().all(|c| word(c) || c == '.' || c == '-')
    };
    let digest_ok = |digest: &str| {
        let hex = |hex: &str| hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        digest.split_once(':').is_some_and(|(kind, value)| {
            kind.starts_with(|c: char| c.is_ascii_alphabetic()) && hex(value)
        })
    };
    let (host, names) = match path.split_once('/') {
        // Only a host has a dot, a port or capitals.
        Some((host, names)) if host.contains(['.', ':']) || host == "localhost" => {
            (Some(host), names)
        }
        _ => (None, path),
    };
    let host_ok = |host: &str| {
        let (name, port) = host.split_once(':').unwrap_or((host, "1"));
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        !name.is_empty() && name.chars().all(plain) && port.parse::<u16>().is_ok()
    };
    let name_ok = |name: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        name.starts_with(plain)
            && name.ends_with(plain)
            && name.chars().all(|c| plain(c) || "._-".contains(c))
    };
    host.is_none_or(host_ok)
        && names.len() <= 255
        && names.split('/').all(name_ok)
        && tag.is_none_or(tag_ok)
        && digest.is_none_or(digest_ok)
}

#[cfg(test)]
mod tests {
    use super::is_image_reference;

    #[test]
    fn references_have_host_path_tag_and_digest() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for good in [
            "postgres",
            "postgres:17",
            "docker.io/library/postgres:17-alpine",
            "localhost/a",
            "localhost:5000/shop/api:dev_1",
            "ghcr.io/A".to_lowercase().as_str(),
            "registry.example.com:5000/a/b__c:v1.2",
            &format!("postgres@{digest}"),
            &format!("postgres:17@{digest}"),
            "Registry.example.com/a",
        ] {
            assert!(is_image_reference(good), "{good}");
        }
        for bad in [
            "",
            " ",
            "postgres:",
            "Postgres:17",
            "post gres",
            ":17",
            "a//b",
            "/a",
            "a/",
            "a:b:c",
            "a@sha256:12",
            "http://a/b",
            "a:-x",
            "host.example:x/a",
            "-a",
            "a.",
            "a@",
            "$X",
        ] {
            assert!(!is_image_reference(bad), "{bad}");
        }
        assert!(!is_image_reference(&format!("a:{}", "x".repeat(129))));
    }
}
