//! Presets for frameworks and data stores: one TOML file each in this directory. The `[service]`
//! table has defaults for a service with that preset; the keys above it are described in
//! [`PresetFacts`].
//!
//! To add one, write its file and name it in the list below. `servers.toml` lists servers that are
//! only detected, to give advice when a service ignores its port.

mod facts;
mod preset;

pub use detect::{builds_first, detect_bind_hints, detect_preset};
pub use facts::{FrameworkReloader, OwnReloaderOutput, PresetFacts, PresetImage};
pub use package_script::{PackageScript, package_script};
pub use preset::Preset;
pub use summary::PresetSummary;

/// Builds the presets from the names of their files.
macro_rules! presets {
    ($($name:literal)*) => {
        /// All presets, sorted by name.
        static ALL: [Preset; [$($name),*].len()] =
            [$(Preset::new($name, include_str!(concat!($name, ".toml")))),*];
    };
}

presets! {
    "apache"
    "cargo"
    "celery"
    "django"
    "express"
    "fastapi"
    "flask"
    "go"
    "gunicorn"
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
    "valkey"
    "vite"
}

/// All presets, sorted by name.
pub fn all() -> &'static [Preset] {
    &ALL
}

pub fn find(name: &str) -> Option<&'static Preset> {
    ALL.iter().find(|preset| preset.name == name)
}

/// The reloaders that can be recognized in what programs print.
pub fn printed_reloaders()
-> impl Iterator<Item = (&'static FrameworkReloader, &'static OwnReloaderOutput)> {
    let reloaders = ALL.iter().filter_map(|preset| preset.facts().reloader.as_ref());
    reloaders.filter_map(|reloader| Some((reloader, reloader.output.as_ref()?)))
}

mod detect;
mod package_script;
mod servers;
mod summary;
#[cfg(test)]
mod tests;
