//! Images that devstack has a preset for.

use crate::presets::{self, Preset};

/// An image that becomes a preset.
#[derive(Debug)]
pub(super) struct KnownImage {
    /// Its name without a registry and a tag.
    image: &'static str,
    preset: &'static str,
    /// What to know beside that the program of this machine runs.
    pub remark: &'static str,
}

const fn image(image: &'static str, preset: &'static str, remark: &'static str) -> KnownImage {
    KnownImage { image, preset, remark }
}

const EXTENSIONS: &str = "; its extensions must be installed too";
const VALKEY: &str = "; it is Redis, which speaks the same protocol";

const IMAGES: &[KnownImage] = &[
    image("postgres", "postgres", ""),
    image("postgresql", "postgres", ""),
    image("postgis/postgis", "postgres", EXTENSIONS),
    image("pgvector/pgvector", "postgres", EXTENSIONS),
    image("timescale/timescaledb", "postgres", EXTENSIONS),
    image("mysql", "mysql", ""),
    image("mysql/mysql-server", "mysql", ""),
    image("mariadb", "mariadb", ""),
    image("redis", "redis", ""),
    image("redis/redis-stack", "redis", "; its modules must be installed too"),
    image("redis/redis-stack-server", "redis", "; its modules must be installed too"),
    image("valkey", "redis", VALKEY),
    image("valkey/valkey", "redis", VALKEY),
    image("memcached", "memcached", ""),
    image("nats", "nats", ""),
    image("rabbitmq", "rabbitmq", ""),
    image("nginx", "nginx", ""),
    image("nginxinc/nginx-unprivileged", "nginx", ""),
    image("axllent/mailpit", "mailpit", ""),
    image("mailhog/mailhog", "mailpit", "; it is Mailpit, which replaces MailHog"),
    image("minio", "minio", ""),
    image("minio/minio", "minio", ""),
];

/// Prefixes under which registries have the same images.
const PREFIXES: [&str; 11] = [
    "docker.io/",
    "index.docker.io/",
    "registry-1.docker.io/",
    "public.ecr.aws/",
    "mirror.gcr.io/",
    "quay.io/",
    "ghcr.io/",
    "gcr.io/",
    "docker/",
    "library/",
    "bitnami/",
];

impl KnownImage {
    /// Finds the preset for an image such as `docker.io/library/postgres:16-alpine`.
    pub fn find(name: &str) -> Option<&'static KnownImage> {
        let (mut name, _) = split_tag(name);
        while let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
            name = rest;
        }
        IMAGES.iter().find(|image| image.image == name)
    }

    /// The preset.
    pub fn preset(&self) -> &'static Preset {
        presets::find(self.preset).expect("a test looks up every preset")
    }

    /// Returns the name of the preset's port at which a container of this image listens.
    pub fn port_name(&self, target: u16) -> Option<&'static str> {
        // In its container, nginx may use a port that needs privileges.
        let target = if self.preset == "nginx" && target == 80 { 8080 } else { target };
        self.preset().outline().ports().find(|(_, port)| *port == target).map(|(name, _)| name)
    }

    /// What a variable becomes.
    pub fn variable(&self, name: &str) -> PresetVariable {
        use PresetVariable::{Keep, NoEffect, Rename};
        match (self.preset, name) {
            ("postgres", "POSTGRES_USER" | "POSTGRES_DB")
            | ("mysql" | "mariadb", "MYSQL_DATABASE")
            | ("minio", "MINIO_ROOT_USER" | "MINIO_ROOT_PASSWORD")
            | ("nginx", _) => Keep,
            ("postgres", "POSTGRESQL_USERNAME") => Rename("POSTGRES_USER"),
            ("postgres", "POSTGRESQL_DATABASE") => Rename("POSTGRES_DB"),
            ("mariadb", "MARIADB_DATABASE") => Rename("MYSQL_DATABASE"),
            ("minio", "MINIO_ACCESS_KEY") => Rename("MINIO_ROOT_USER"),
            ("minio", "MINIO_SECRET_KEY") => Rename("MINIO_ROOT_PASSWORD"),
            ("mailpit", name) if name.starts_with("MP_") => Keep,
            ("minio", name) if name.starts_with("MINIO_") => Keep,
            ("postgres", name) if name.contains("PASSWORD") || name.contains("AUTH") => {
                NoEffect("programs on this machine connect without a password")
            }
            ("mysql" | "mariadb", name) if name.contains("USER") || name.contains("PASSWORD") => {
                NoEffect("programs on this machine connect as root without a password")
            }
            ("rabbitmq", name) if name.contains("USER") || name.contains("PASS") => {
                NoEffect("user and password are both guest")
            }
            ("redis", name) if name.contains("PASSWORD") => {
                NoEffect("programs on this machine connect without a password")
            }
            _ => NoEffect("the preset does not read it"),
        }
    }

    /// The user and password that programs must use, as they are in a URL; `None`: any.
    pub fn login(&self) -> Option<&'static str> {
        match self.preset {
            "mysql" | "mariadb" => Some("root"),
            "rabbitmq" => Some("guest:guest"),
            _ => None,
        }
    }

    /// The programs that its command names when it only starts the server.
    pub fn programs(&self) -> impl Iterator<Item = &'static str> {
        self.preset().facts().needs.iter().map(String::as_str)
    }
}

/// Returns the version that an image names: `16` of `postgres:16-alpine`.
pub(super) fn image_version(name: &str) -> Option<&str> {
    let version = split_tag(name).1?.split('-').next()?;
    version.starts_with(|first: char| first.is_ascii_digit()).then_some(version)
}

/// Splits an image into its name and tag, without a digest.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    let name = name.split('@').next().unwrap_or_default();
    match name.rsplit_once(':') {
        // What is before a slash is the port of a registry.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    }
}

/// What becomes of a variable of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PresetVariable {
    Keep,
    Rename(&'static str),
    /// It is left out, with this text.
    NoEffect(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_number_of_the_tag() {
        for (name, version) in [
            ("postgres:16-alpine", Some("16")),
            ("localhost:5000/redis:7.4@sha256:abc", Some("7.4")),
            ("localhost:5000/redis", None),
            ("mysql:lts", None),
            ("mariadb", None),
        ] {
            assert_eq!(image_version(name), version, "{name}");
        }
    }

    #[test]
    fn images_are_known_by_all_their_names() {
        for (name, preset) in [
            ("postgres", Some("postgres")),
            ("postgres:16-alpine", Some("postgres")),
            ("docker.io/library/postgres:16@sha256:abc", Some("postgres")),
            ("public.ecr.aws/docker/library/redis:7", Some("redis")),
            ("bitnami/postgresql:16", Some("postgres")),
            ("ghcr.io/valkey/valkey:8", Some("redis")),
            ("quay.io/minio/minio", Some("minio")),
            ("localhost:5000/postgres", None),
            ("someone/postgres", None),
            ("mongo:7", None),
            ("", None),
        ] {
            let found = KnownImage::find(name).map(|image| image.preset().name);
            assert_eq!(found, preset, "{name}");
        }
        assert!(IMAGES.iter().all(|image| presets::find(image.preset).is_some()));
        let nginx = KnownImage::find("nginx").unwrap();
        assert_eq!((nginx.port_name(80), nginx.port_name(443)), (Some("main"), None));
        assert_eq!(KnownImage::find("minio").unwrap().port_name(9001), Some("console"));
    }
}
