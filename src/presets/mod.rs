//! What is known about frameworks and data stores: one TOML file each in this folder. Its `[service]` table is what a
//! service with this preset says unless it says otherwise; what stands above is described in [`Facts`].
//!
//! To add one, write its file and name it in the list below. `servers.toml` has those that are only recognised, so that a
//! service that ignores its port can be told what to do.

mod facts;
mod outline;
mod preset;
mod recognise;
mod server;
mod takes;

pub use facts::{Facts, Reloader};
pub use outline::Outline;
pub use preset::Preset;
pub use recognise::{recognise, takes};
pub use takes::Takes;

/// The presets with their texts, by the names of their files.
macro_rules! presets {
    ($($name:literal)*) => {
        /// All presets, sorted by name.
        static ALL: [Preset; [$($name),*].len()] =
            [$(Preset::new($name, include_str!(concat!($name, ".toml")))),*];
    };
}

presets! {
    "cargo"
    "django"
    "express"
    "fastapi"
    "flask"
    "go"
    "mailpit"
    "mariadb"
    "memcached"
    "minio"
    "mysql"
    "nats"
    "next"
    "nginx"
    "node"
    "php"
    "postgres"
    "rabbitmq"
    "rails"
    "redis"
    "spring-boot"
    "static"
    "uvicorn"
    "vite"
}

/// All presets, sorted by name.
pub fn all() -> &'static [Preset] {
    &ALL
}

/// The preset of this name.
pub fn find(name: &str) -> Option<&'static Preset> {
    ALL.iter().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests;
