//! The keys of the top level and of `[stack]`.

use super::misplaced::{SERVICE, SYSTEMS, SchemaKey};
use super::shapes::{self, any_of, enum_of, integer_range, list, map_of, table};
use crate::config::check::container;
use crate::config::check::stack::{logs, proxy};

pub(crate) const FILE: &[SchemaKey] = &[
    SchemaKey::new(
        "include",
        shapes::includes,
        "Other files whose services belong to this stack, each with its own directory, env files and references.",
    )
    .default("[]")
    .examples(&["[\"billing\", { path = \"search\", as = \"search\", only = [\"find\"] }]"]),
    SchemaKey::new("stack", || table(STACK), "Settings for the whole stack.")
        .examples(&["{ name = \"shop\" }"]),
    SchemaKey::new(
        "services",
        || map_of(table(SERVICE.iter().chain(SYSTEMS))),
        "Services by name. Names have 1 to 63 characters from a-z, 0-9 and `-`, and start with a letter or digit.",
    )
    .examples(&["{ web = { command = \"npm run dev\", port = 3000 } }"]),
];

pub(crate) const INCLUDE: &[SchemaKey] = &[
    SchemaKey::new(
        "path",
        shapes::path,
        "File, or directory with a devstack.toml, relative to this file.",
    )
    .examples(&["\"search\""]),
    SchemaKey::new(
        "as",
        shapes::name,
        "Prefix for the names of its services: `api` becomes `search-api`.",
    )
    .examples(&["\"search\""]),
    SchemaKey::new(
        "only",
        || list(shapes::name()),
        "Services to take, with what they depend on. Default: all.",
    )
    .examples(&["[\"find\"]"]),
];

pub(crate) const STACK: &[SchemaKey] = &[
    SchemaKey::new("name", shapes::name, "Name of the stack. Default: the name of its directory.")
        .examples(&["\"shop\""]),
    SchemaKey::new(
        "host",
        shapes::host,
        "Address for services to bind to, passed in `HOST`: an IP address or `localhost`.",
    )
    .default("\"127.0.0.1\"")
    .examples(&["\"0.0.0.0\""]),
    SchemaKey::new("env", shapes::env, "Environment variables for every service.")
        .default("{}")
        .examples(&["{ LOG_LEVEL = \"debug\" }"]),
    SchemaKey::new(
        "env_file",
        shapes::env_files,
        "Env files for every service, relative to this file; later ones override earlier ones. Default: `.env` and `.env.local`, if they exist.",
    )
    .examples(&["[\".env\", { path = \".env.local\", optional = true }]"]),
    SchemaKey::new(
        "on_conflict",
        shapes::on_conflict,
        "What to do if a preferred port is in use: take the `next` free port, any free port (`auto`), `fail`, or `ask` on a terminal.",
    )
    .default("\"next\""),
    SchemaKey::new(
        "engine",
        || enum_of(&container::ENGINES),
        "Container engine of services with an `image` or `build`: `docker`, `podman`, or the one that is there (`auto`).",
    )
    .default("\"auto\""),
    SchemaKey::new(
        "live",
        shapes::boolean,
        "Whether changes to this file are applied while the stack is running.",
    )
    .default("true"),
    SchemaKey::new("logs", || table(LOGS), "How much output of each service is kept on disk.")
        .default("{ max_size = \"50MB\", keep = 3 }"),
    SchemaKey::new(
        "proxy",
        || table(PROXY),
        "How services that speak HTTP are served under names that never change: http://web.shop.localhost:7780.",
    )
    .examples(&["{ enabled = false }", "{ front = 3000 }"]),
];

pub(crate) const PROXY: &[SchemaKey] = &[
    SchemaKey::new("enabled", shapes::boolean, "Whether services have names.").default("true"),
    SchemaKey::new(
        "https",
        || any_of([shapes::boolean(), enum_of(&proxy::HTTPS)]),
        "Whether addresses are shown and passed on as https, if there is a local CA (`devstack trust`); `redirect` also redirects http.",
    )
    .default("false")
    .examples(&["true", "\"redirect\""]),
    SchemaKey::new(
        "wait",
        shapes::duration,
        "How long a request waits for a service that is not ready.",
    )
    .default("\"60s\""),
    SchemaKey::new(
        "parked",
        || integer_range(0, proxy::MAX_PARKED),
        "How many requests may wait for one service.",
    )
    .default("256"),
    SchemaKey::new(
        "requests",
        shapes::boolean,
        "Whether requests are recorded for `devstack requests`.",
    )
    .default("true"),
    SchemaKey::new(
        "bodies",
        shapes::size,
        "How much of each body is recorded; with \"0KB\", only headers and sizes are.",
    )
    .default("\"64KiB\""),
    SchemaKey::new(
        "front",
        || integer_range(1, 65_535),
        "Port on which the primary service answers as http://localhost:PORT, until `devstack front` gives it to another stack. Default: none.",
    )
    .examples(&["3000"]),
];

pub(crate) const LOGS: &[SchemaKey] = &[
    SchemaKey::new("max_size", shapes::size, "Size at which the log file of a service is rotated.")
        .default("\"50MB\"")
        .examples(&["\"500KB\"", "\"1 GiB\""]),
    SchemaKey::new(
        "keep",
        || integer_range(0, logs::MAX_KEPT),
        "Number of rotated log files to keep per service.",
    )
    .default("3"),
];
