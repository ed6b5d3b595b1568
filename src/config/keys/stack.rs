//! The keys of the whole file and of `[stack]`.

use super::{Key, shapes};

/// Keys of the whole file.
pub(in super::super) const FILE: &[Key] = &[
    Key::new("stack", shapes::stack, "What holds for the whole stack.")
        .examples(&["{ name = \"shop\" }"]),
    Key::new("services", shapes::services, "The services by name: a-z, 0-9 and `-`.")
        .examples(&["{ web = { command = \"npm run dev\", port = 3000 } }"]),
];

/// Keys of `[stack]`.
pub(in super::super) const STACK: &[Key] = &[
    Key::new("name", shapes::name, "The name of the stack. Default: the name of the folder.")
        .examples(&["\"shop\""]),
    Key::new(
        "host",
        shapes::host,
        "The address that services are told to bind, in `HOST`: an IP address or `localhost`.",
    )
    .default("\"127.0.0.1\"")
    .examples(&["\"0.0.0.0\""]),
    Key::new("env", shapes::env, "Variables for every service.")
        .default("{}")
        .examples(&["{ LOG_LEVEL = \"debug\" }"]),
    Key::new(
        "env_file",
        shapes::env_files,
        "Files with variables for every service, relative to this file; later ones win. Default: `.env` and `.env.local`, when they are there.",
    )
    .examples(&["[\".env\", { path = \".env.local\", optional = true }]"]),
    Key::new(
        "on_conflict",
        shapes::on_conflict,
        "What becomes of a preferred port that is taken: the `next` free one, any free one (`auto`), `fail`, or `ask` at a terminal.",
    )
    .default("\"next\""),
    Key::new(
        "live",
        shapes::boolean,
        "Whether edits of this file are applied while the stack runs.",
    )
    .default("true"),
    Key::new("logs", shapes::logs, "How much of what each service prints is kept on the disk.")
        .default("{ max_size = \"50MB\", keep = 3 }"),
];

/// Keys of `[stack.logs]`.
pub(in super::super) const LOGS: &[Key] = &[
    Key::new(
        "max_size",
        shapes::size,
        "The size at which the log file of a service is put away and the next one begins.",
    )
    .default("\"50MB\"")
    .examples(&["\"500KB\"", "\"1 GiB\""]),
    Key::new(
        "keep",
        shapes::kept_logs,
        "How many log files that were put away are kept of each service.",
    )
    .default("3"),
];
