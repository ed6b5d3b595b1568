//! The keys of tables within a service.

use super::misplaced::SchemaKey;
use super::shapes::{self, any_of, enum_of, integer_range};
use crate::config::check::stack::proxy;
use crate::config::check::{health, restart, watch};

pub(crate) const PORT: &[SchemaKey] = &[
    SchemaKey::new("prefer", shapes::port_number, "Preferred port number, or `\"auto\"`.")
        .default("\"auto\"")
        .examples(&["3000"]),
    SchemaKey::new(
        "on_conflict",
        shapes::on_conflict,
        "What to do if the port is in use: take the `next` free port, any free port (`auto`), `fail`, or `ask` on a terminal. Default: the setting of the stack.",
    )
    .examples(&["\"auto\""]),
    SchemaKey::new(
        "env",
        shapes::variable,
        "Environment variable of devstack that pins the port. Default: `API_PORT` for the main port of `api`.",
    )
    .examples(&["\"WEB_PORT\""]),
    SchemaKey::new(
        "inside",
        || integer_range(1, 65_535),
        "Port that the program in a container listens on. Default: the usual port of the preset, or the preferred number.",
    )
    .examples(&["5432"]),
    SchemaKey::new(
        "pass",
        shapes::boolean,
        "Whether devstack opens the socket and passes it on (`LISTEN_FDS`), so that no connection is refused during a restart.",
    )
    .default("false"),
];

pub(crate) const SERVICE_PROXY: &[SchemaKey] = &[
    SchemaKey::new(
        "name",
        shapes::name,
        "First part of its name, instead of that of the service.",
    )
    .examples(&["\"www\""]),
    SchemaKey::new(
        "host",
        || enum_of(&proxy::HOST_HEADERS),
        "Which `Host` header the service gets: that of the client (`keep`) or its own address (`upstream`).",
    )
    .default("\"keep\""),
    SchemaKey::new(
        "balance",
        || enum_of(&proxy::BALANCING),
        "Which replica gets a request: the one with the `least` in flight, each in turn (`round-robin`), or always the same for a client (`sticky`).",
    )
    .default("\"least\""),
    SchemaKey::new(
        "http2",
        shapes::boolean,
        "Whether the service speaks HTTP/2 without TLS (h2c) and not HTTP/1.1, as gRPC servers do.",
    )
    .default("false"),
];

const TCP_PROBE: SchemaKey = SchemaKey::new(
    "tcp",
    shapes::probe_port,
    "The service listens on its main port (`true`), or on a port given by name or number.",
);
const HTTP_PROBE: SchemaKey = SchemaKey::new(
    "http",
    shapes::http,
    "An HTTP GET returns an accepted status: a path on the main port, a URL or a table.",
);
const HTTPS_PROBE: SchemaKey = SchemaKey::new(
    "https",
    shapes::http,
    "The same over TLS, with a certificate that this machine trusts.",
)
.examples(&["\"/health\""]);
const STATUS: SchemaKey = SchemaKey::new(
    "status",
    shapes::statuses,
    "The statuses that `http` and `https` accept, or \"any\". Default: 200 to 399.",
)
.examples(&["[200, 401]", "\"any\""]);
const INSECURE: SchemaKey =
    SchemaKey::new("insecure", shapes::boolean, "Whether `https` accepts any certificate.")
        .default("false");
const EXEC_PROBE: SchemaKey =
    SchemaKey::new("exec", shapes::command, "This command exits with code 0.");
const HEALTHCHECK: SchemaKey = SchemaKey::new(
    "healthcheck",
    shapes::boolean,
    "The container is healthy by the `HEALTHCHECK` of its image.",
);
const INTERVAL: SchemaKey =
    SchemaKey::new("interval", shapes::duration, "Time between two attempts.");

pub(crate) const READY: &[SchemaKey] = &[
    TCP_PROBE.examples(&["true", "5000"]),
    HTTP_PROBE.examples(&["\"/health\"", "{ path = \"/health\", port = 9000 }"]),
    HTTPS_PROBE,
    STATUS,
    INSECURE,
    SchemaKey::new(
        "log",
        shapes::text,
        "The service prints a line that matches this regular expression.",
    )
    .examples(&["\"listening on\""]),
    EXEC_PROBE.examples(&["\"pg_isready --port $PORT\""]),
    SchemaKey::new("notify", shapes::boolean, "The service sends `READY=1`, as for systemd.")
        .default("false"),
    SchemaKey::new(
        "healthcheck",
        shapes::boolean,
        "The container is healthy by the `HEALTHCHECK` of its image; the default if it has one and no other probe is given.",
    )
    .examples(&["true"]),
    SchemaKey::new("delay", shapes::duration, "The service has been running for this long.")
        .examples(&["\"2s\""]),
    SchemaKey::new("timeout", shapes::duration, "Time limit for becoming ready; without `timeout`, `10m` if the command builds first (`cargo run`, `go run`, Maven, Gradle and so on).")
        .default("\"60s\""),
    INTERVAL.default("\"250ms\""),
];

pub(crate) const HEALTH: &[SchemaKey] = &[
    TCP_PROBE.examples(&["true"]),
    HTTP_PROBE.examples(&["\"/health\""]),
    HTTPS_PROBE,
    STATUS,
    INSECURE,
    EXEC_PROBE.examples(&["\"./check\""]),
    HEALTHCHECK.default("false"),
    INTERVAL.default("\"5s\""),
    SchemaKey::new(
        "failures",
        || integer_range(1, health::MAX_FAILURES),
        "Number of consecutive failures after which the service is unhealthy.",
    )
    .default("3"),
    SchemaKey::new(
        "action",
        || enum_of(&health::ACTIONS),
        "What to do when the service is unhealthy: only `report` it, or `restart` it.",
    )
    .default("\"report\""),
];

pub(crate) const HTTP: &[SchemaKey] = &[
    SchemaKey::new("path", shapes::text, "Path to request.")
        .default("\"/\"")
        .examples(&["\"/health\""]),
    SchemaKey::new(
        "port",
        shapes::probe_port,
        "Main port (`true`), or a port given by name or number.",
    )
    .default("true")
    .examples(&["9000"]),
];

pub(crate) const RESTART: &[SchemaKey] = &[
    SchemaKey::new(
        "policy",
        shapes::policy,
        "When to restart the service after it exits. Default: `on-failure`, or `no` for a task.",
    )
    .examples(&["\"always\""]),
    SchemaKey::new(
        "max",
        || integer_range(1, restart::MAX_RESTARTS),
        "Number of unexpected exits within `window` after which the service has failed.",
    )
    .default("8"),
    SchemaKey::new("window", shapes::duration, "Time window for `max`.").default("\"120s\""),
    SchemaKey::new(
        "delay",
        shapes::duration,
        "Delay before the first restart; it doubles with each further restart.",
    )
    .default("\"250ms\""),
    SchemaKey::new("max_delay", shapes::duration, "Maximum delay.").default("\"15s\""),
];

pub(crate) const STOP: &[SchemaKey] = &[
    SchemaKey::new("signal", shapes::signal, "Signal to stop the service with, by name or number.")
        .default("\"TERM\"")
        .examples(&["\"INT\""]),
    SchemaKey::new("grace", shapes::duration, "Time after which remaining processes are killed.")
        .default("\"5s\""),
    SchemaKey::new(
        "command",
        shapes::command,
        "Command to stop the service with, instead of a signal. Default: none.",
    )
    .examples(&["\"nginx -s quit\""]),
];

pub(crate) const WATCH: &[SchemaKey] = &[
    SchemaKey::new(
        "paths",
        shapes::globs,
        "Globs to watch, relative to the service's directory; `!` excludes. Default: everything.",
    )
    .examples(&["[\"src/**\"]"]),
    SchemaKey::new("ignore", shapes::globs, "Globs to ignore.")
        .default("[]")
        .examples(&["[\"*.tmp\"]"]),
    SchemaKey::new(
        "action",
        || enum_of(&watch::ACTIONS),
        "What to do on a change: `restart` the service, send it a `signal`, or `run` a command. Default: `restart`, or `signal` if `signal` is set.",
    )
    .examples(&["\"restart\""]),
    SchemaKey::new("signal", shapes::signal, "Signal to send. Default with `action = \"signal\"`: HUP.")
        .examples(&["\"USR1\""]),
    SchemaKey::new("run", shapes::command, "Command to run: before a restart, such as a build, or on its own.")
        .examples(&["\"cargo build\""]),
    SchemaKey::new("settle", shapes::duration, "How long files must stop changing before the action runs.")
        .default("\"10ms\""),
    SchemaKey::new(
        "poll",
        || any_of([shapes::boolean(), shapes::duration()]),
        "Poll for changes that the system does not report: every 2s (`true`) or at this interval.",
    )
    .default("false")
    .examples(&["true", "\"500ms\""]),
];

pub(crate) const ACTION: &[SchemaKey] = &[
    SchemaKey::new(
        "command",
        shapes::command,
        "Command to run. Values of `args` are added at its end, each as one word, unless a string places them itself as `$1`, `\"$@\"` or `$DEVSTACK_ARG_NAME`.",
    )
    .examples(&["\"flask seed\"", "[\"flask\", \"seed\"]"]),
    SchemaKey::new("help", shapes::text, "What it does, for people. Default: none.")
        .examples(&["\"fills the database\""]),
    SchemaKey::new("args", shapes::arguments, "Names of the values that it needs, in order.")
        .default("[]")
        .examples(&["[\"count\"]"]),
    SchemaKey::new(
        "parallel",
        shapes::boolean,
        "Whether it may run more than once at a time, and beside other actions of the service.",
    )
    .default("false"),
];

pub(crate) const BUILD: &[SchemaKey] = &[
    SchemaKey::new(
        "context",
        shapes::path,
        "Directory to build from, relative to the service's directory.",
    )
    .default("\".\"")
    .examples(&["\"api\""]),
    SchemaKey::new(
        "file",
        shapes::path,
        "Dockerfile, relative to `context`. Default: the usual one.",
    )
    .examples(&["\"Dockerfile.dev\""]),
    SchemaKey::new("target", shapes::text, "Stage to build. Default: the last one.")
        .examples(&["\"dev\""]),
    SchemaKey::new("args", shapes::env, "Build arguments.")
        .default("{}")
        .examples(&["{ VERSION = \"3\" }"]),
];

pub(crate) const ENV_FILE: &[SchemaKey] = &[
    SchemaKey::new("path", shapes::path, "Path of the env file, relative to devstack.toml.")
        .examples(&["\".env\""]),
    SchemaKey::new("optional", shapes::boolean, "Whether the file may be missing.")
        .default("false"),
];

pub(crate) const DEBUG: &[SchemaKey] = &[
    SchemaKey::new(
        "command",
        shapes::command,
        "Command to run in debug mode. Default: the service's `command`, which can check `DEVSTACK_MODE`.",
    )
    .examples(&["\"python -m debugpy --listen $DEBUG_HOST:$DEBUG_PORT app.py\""]),
    SchemaKey::new("port", shapes::port, "Debugger port, assigned like any other port and passed in `DEBUG_PORT`.")
        .default("\"auto\"")
        .examples(&["5678"]),
    SchemaKey::new("wait", shapes::boolean, "Whether the program waits for a debugger; if so, `DEBUG_WAIT` is `1`.")
        .default("false"),
];
