//! The keys of tables within a service.

use super::{Key, shapes};

/// Keys of `port` as a table.
pub(in super::super) const PORT: &[Key] = &[
    Key::new("prefer", shapes::port_number, "The number it would like to have, or `\"auto\"`.")
        .default("\"auto\"")
        .examples(&["3000"]),
    Key::new(
        "on_conflict",
        shapes::on_conflict,
        "What becomes of it when it is taken: the `next` free one, any free one (`auto`), `fail`, or `ask` at a terminal. Default: what the stack says.",
    )
    .examples(&["\"auto\""]),
    Key::new(
        "env",
        shapes::variable,
        "The variable of devstack's own environment that insists on a number. Default: `API_PORT` for the main port of `api`.",
    )
    .examples(&["\"WEB_PORT\""]),
    Key::new(
        "pass",
        shapes::boolean,
        "Whether devstack opens the socket and hands it over (`LISTEN_FDS`), so that a restart refuses nobody.",
    )
    .default("false"),
];

/// Keys of `ready`.
pub(in super::super) const READY: &[Key] = &[
    Key::new(
        "tcp",
        shapes::probe_port,
        "It listens: on its main port (`true`), on the port of this name or number.",
    )
    .examples(&["true", "5000"]),
    Key::new(
        "http",
        shapes::http,
        "It answers with a status from 200 to 399: a path on its main port, a URL, or a table.",
    )
    .examples(&["\"/health\"", "{ path = \"/health\", port = 9000 }"]),
    Key::new("log", shapes::text, "It prints a line that this regular expression matches.")
        .examples(&["\"listening on\""]),
    Key::new("exec", shapes::command, "This command ends with 0.")
        .examples(&["\"pg_isready --port $PORT\""]),
    Key::new("notify", shapes::boolean, "It says `READY=1` as it would to systemd.")
        .default("false"),
    Key::new("delay", shapes::duration, "It has run for this long.").examples(&["\"2s\""]),
    Key::new("timeout", shapes::duration, "It has failed when it is not ready after this long.")
        .default("\"60s\""),
    Key::new("interval", shapes::duration, "The time between two attempts.").default("\"250ms\""),
];

/// Keys of `health`.
pub(in super::super) const HEALTH: &[Key] = &[
    Key::new(
        "tcp",
        shapes::probe_port,
        "It listens: on its main port (`true`), on the port of this name or number.",
    )
    .examples(&["true"]),
    Key::new(
        "http",
        shapes::http,
        "It answers with a status from 200 to 399: a path on its main port, a URL, or a table.",
    )
    .examples(&["\"/health\""]),
    Key::new("exec", shapes::command, "This command ends with 0.").examples(&["\"./check\""]),
    Key::new("interval", shapes::duration, "The time between two attempts.").default("\"5s\""),
    Key::new("failures", shapes::failures, "After how many failures in a row it is unhealthy.")
        .default("3"),
    Key::new(
        "action",
        shapes::health_action,
        "What happens then: it is said (`report`), or the service is restarted too.",
    )
    .default("\"report\""),
];

/// Keys of `ready.http` as a table.
pub(in super::super) const HTTP: &[Key] = &[
    Key::new("path", shapes::text, "The path that is asked for.")
        .default("\"/\"")
        .examples(&["\"/health\""]),
    Key::new(
        "port",
        shapes::probe_port,
        "The main port (`true`), the port of this name or number.",
    )
    .default("true")
    .examples(&["9000"]),
];

/// Keys of `restart` as a table.
pub(in super::super) const RESTART: &[Key] = &[
    Key::new(
        "policy",
        shapes::policy,
        "Whether it is started again when it ends. Default: `on-failure`, and for a task `no`.",
    )
    .examples(&["\"always\""]),
    Key::new(
        "max",
        shapes::max_restarts,
        "It has failed when it was restarted more often than this within `window`.",
    )
    .default("8"),
    Key::new("window", shapes::duration, "See `max`.").default("\"120s\""),
    Key::new(
        "delay",
        shapes::duration,
        "The pause before the first restart; it doubles with each.",
    )
    .default("\"250ms\""),
    Key::new("max_delay", shapes::duration, "The longest pause.").default("\"15s\""),
];

/// Keys of `stop`.
pub(in super::super) const STOP: &[Key] = &[
    Key::new("signal", shapes::signal, "The signal that asks it to end, by name or number.")
        .default("\"TERM\"")
        .examples(&["\"INT\""]),
    Key::new("grace", shapes::duration, "Everything that is left after this long is killed.")
        .default("\"5s\""),
    Key::new(
        "command",
        shapes::command,
        "A command that stops it, in place of the signal. Default: none.",
    )
    .examples(&["\"nginx -s quit\""]),
];

/// Keys of `watch` as a table.
pub(in super::super) const WATCH: &[Key] = &[
    Key::new(
        "paths",
        shapes::globs,
        "What is watched, as globs relative to its folder; `!` excludes. Default: all of it.",
    )
    .examples(&["[\"src/**\"]"]),
    Key::new("ignore", shapes::globs, "What is left out, as globs.")
        .default("[]")
        .examples(&["[\"*.tmp\"]"]),
    Key::new(
        "action",
        shapes::watch_action,
        "What happens: it is restarted, gets a `signal`, or a command is `run` beside it. Default: `restart`; with `signal`, that.",
    )
    .examples(&["\"restart\""]),
    Key::new("signal", shapes::signal, "The signal it gets. Default of `action = \"signal\"`: HUP.")
        .examples(&["\"USR1\""]),
    Key::new("run", shapes::command, "The command that is run: before a restart, as a build, or alone.")
        .examples(&["\"cargo build\""]),
    Key::new("settle", shapes::duration, "How long nothing may change before it counts.")
        .default("\"10ms\""),
    Key::new(
        "poll",
        shapes::poll,
        "Looks again and again, every 2 s (`true`) or this often, for what the system does not tell.",
    )
    .default("false")
    .examples(&["true", "\"500ms\""]),
];

/// Keys of an entry of `env_file` as a table.
pub(in super::super) const ENV_FILE: &[Key] = &[
    Key::new("path", shapes::path, "The file, relative to devstack.toml.").examples(&["\".env\""]),
    Key::new("optional", shapes::boolean, "Whether it may be missing.").default("false"),
];

/// Keys of `debug`.
pub(in super::super) const DEBUG: &[Key] = &[
    Key::new(
        "command",
        shapes::command,
        "What is run in debug mode. Without it: `command` of the service, which `DEVSTACK_MODE` tells.",
    )
    .examples(&["\"python -m debugpy --listen $DEBUG_HOST:$DEBUG_PORT app.py\""]),
    Key::new("port", shapes::port, "The port of the debugger, chosen like any other: `DEBUG_PORT`.")
        .default("\"auto\"")
        .examples(&["5678"]),
    Key::new("wait", shapes::boolean, "Whether the program waits for the debugger: `DEBUG_WAIT` is `1`.")
        .default("false"),
];
