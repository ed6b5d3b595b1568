//! Images that a preset knows: its port, readiness and URL hold for them as they are.

use crate::presets::{self, Preset};

const IMAGES: [(&str, &str); 14] = [
    ("postgres", "postgres"),
    ("postgis/postgis", "postgres"),
    ("pgvector/pgvector", "postgres"),
    ("timescale/timescaledb", "postgres"),
    ("bitnami/postgresql", "postgres"),
    ("redis", "redis"),
    ("redis/redis-stack-server", "redis"),
    ("valkey", "redis"),
    ("valkey/valkey", "redis"),
    ("bitnami/redis", "redis"),
    ("memcached", "memcached"),
    ("rabbitmq", "rabbitmq"),
    ("axllent/mailpit", "mailpit"),
    ("minio/minio", "minio"),
];

/// Prefixes under which registries have the same images.
const PREFIXES: [&str; 10] = [
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
];

/// Returns the preset for an image such as `docker.io/library/postgres:16-alpine`.
pub(super) fn preset_of_image(image: &str) -> Option<&'static Preset> {
    let mut name = image.split('@').next().unwrap_or_default();
    // What is before a slash is the port of a registry.
    if let Some((path, _)) = name.split_once(':').filter(|(_, tag)| !tag.contains('/')) {
        name = path;
    }
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    let (_, preset) = IMAGES.iter().find(|(image, _)| *image == name)?;
    presets::find(preset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_all_their_names() {
        for (name, preset) in [
            ("postgres", Some("postgres")),
            ("postgres:16-alpine", Some("postgres")),
            ("postgres:${TAG:-16}", Some("postgres")),
            ("docker.io/library/postgres:16@sha256:abc", Some("postgres")),
            ("public.ecr.aws/docker/library/redis:7", Some("redis")),
            ("bitnami/postgresql:16", Some("postgres")),
            ("ghcr.io/valkey/valkey:8", Some("redis")),
            ("quay.io/minio/minio", Some("minio")),
            ("localhost:5000/postgres", None),
            ("someone/postgres", None),
            ("mysql:8", None),
            ("", None),
        ] {
            let found = preset_of_image(name).map(|preset| preset.name);
            assert_eq!(found, preset, "{name}");
        }
        assert!(IMAGES.iter().all(|(_, preset)| presets::find(preset).is_some()));
    }
}
