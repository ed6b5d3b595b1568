use super::misplaced::{
    BUILD, DEBUG, HEALTH, READY, RESTART, SERVICE_PROXY, STOP, SchemaKey, WATCH,
};
use super::shapes::{self, any_of, enum_of, integer_range, list, table};
use crate::config::check::{container, lazy, replicas, service};

pub(crate) const SERVICE: &[SchemaKey] = &[
    SchemaKey::new(
        "command",
        shapes::command,
        "Command to run: a string for the shell, or an array of words run directly. Required unless `preset`, `image` or `build` is set. In a container, the string is split into words, and replaces the command of the image.",
    )
    .examples(&["\"flask run --port $PORT\"", "[\"npx\", \"vite\", \"--port\", \"${PORT}\"]"]),
    SchemaKey::new(
        "preset",
        shapes::preset,
        "Defaults for a framework or data store: command, usual port, readiness and URL. See `devstack presets`. Keys set here override the preset.",
    )
    .examples(&["\"postgres\""]),
    SchemaKey::new(
        "image",
        shapes::text,
        "Image that runs in a container instead of a program of this machine.",
    )
    .examples(&["\"docker.io/library/postgres:17\""]),
    SchemaKey::new(
        "build",
        || any_of([shapes::path(), table(BUILD)]),
        "Directory to build the image of the container from, relative to `dir`, or a table.",
    )
    .examples(&["\".\"", "{ context = \"api\", target = \"dev\" }"]),
    SchemaKey::new("kind", || enum_of(&service::KINDS), "A `service` runs until it is stopped; a `task` runs to completion.")
        .default("\"service\""),
    SchemaKey::new("dir", shapes::path, "Working directory, relative to this file.")
        .default("\".\"")
        .examples(&["\"api\""]),
    SchemaKey::new(
        "env",
        shapes::env,
        "Environment variables, overriding those of the stack. `${db.url}` and similar refer to other services, `${VAR:-default}` to variables.",
    )
    .default("{}")
    .examples(&["{ DATABASE_URL = \"${db.url}\" }"]),
    SchemaKey::new(
        "env_file",
        shapes::env_files,
        "Env files relative to this file, overriding those of the stack.",
    )
    .default("[]")
    .examples(&["\"api.env\"", "{ path = \"mine.env\", optional = true }"]),
    SchemaKey::new(
        "port",
        shapes::port,
        "Preferred port: a number, `\"auto\"` or a table. The assigned port is in `PORT`. Without `port` or `ports`, the service has no port.",
    )
    .examples(&["5000", "\"auto\"", "{ prefer = 3000, on_conflict = \"auto\" }"]),
    SchemaKey::new("ports", shapes::ports, "Named ports; the first one is the main port.")
        .examples(&["{ http = 8000, metrics = \"auto\" }"]),
    SchemaKey::new(
        "volumes",
        || list(shapes::text()),
        "What a container sees of this machine: `NAME:/path` is a volume that is kept, `./dir:/path` a path relative to `dir`; `:ro` for reading only.",
    )
    .default("[]")
    .examples(&["[\"db-data:/var/lib/postgresql/data\", \"./conf:/etc/conf:ro\"]"]),
    SchemaKey::new("args", shapes::words, "Arguments after `command`, for the image of a container.")
        .default("[]")
        .examples(&["[\"-c\", \"fsync=off\"]"]),
    SchemaKey::new("entrypoint", shapes::words, "Replaces the entrypoint of the image.")
        .examples(&["[\"/bin/serve\"]"]),
    SchemaKey::new("user", shapes::text, "User in the container: a name, or `UID:GID`. Default: that of the image.")
        .examples(&["\"1000:1000\""]),
    SchemaKey::new("workdir", shapes::text, "Working directory in the container. Default: that of the image.")
        .examples(&["\"/app\""]),
    SchemaKey::new("pull", || enum_of(&container::PULL_POLICIES), "When to pull the image: if it is `missing`, `always` before a start, or `never`.")
        .default("\"missing\""),
    SchemaKey::new("engine", || enum_of(&container::ENGINES), "Container engine. Default: the `engine` of the stack.")
        .examples(&["\"podman\""]),
    SchemaKey::new("host", shapes::host, "Address passed in `HOST`. Default: the `host` of the stack.")
        .examples(&["\"::1\""]),
    SchemaKey::new(
        "depends_on",
        shapes::depends_on,
        "Dependencies of the service: an array of services (services must be ready, tasks completed), or a table with `started`, `ready` or `completed` for each.",
    )
    .default("[]")
    .examples(&["[\"db\"]", "{ db = \"ready\", migrate = \"completed\" }"]),
    SchemaKey::new(
        "ready",
        || table(READY),
        "When the service counts as ready; all conditions must hold. Default: it listens on its main port (or answers `GET /` with any status, if devstack passes it the port); without a port, as soon as it starts.",
    )
    .examples(&["{ http = \"/health\", timeout = \"30s\" }"]),
    SchemaKey::new(
        "health",
        || table(HEALTH),
        "Health checks that run once the service is ready. Default: none.",
    )
    .examples(&["{ http = \"/health\", action = \"restart\" }"]),
    SchemaKey::new(
        "restart",
        || any_of([shapes::policy(), table(RESTART)]),
        "When to restart the service after it exits: `no`, `on-failure`, `always` or a table. Default: `on-failure`, or `no` for a task.",
    )
    .examples(&["\"always\"", "{ policy = \"on-failure\", max = 3 }"]),
    SchemaKey::new("success_codes", || list(integer_range(0, 255)), "Exit codes that count as success.")
        .default("[0]")
        .examples(&["[0, 143]"]),
    SchemaKey::new("stop", || table(STOP), "How to stop the service.")
        .default("{ signal = \"TERM\", grace = \"5s\" }")
        .examples(&["{ signal = \"INT\", grace = \"10s\" }"]),
    SchemaKey::new(
        "watch",
        || any_of([shapes::boolean(), shapes::globs(), table(WATCH), list(table(WATCH))]),
        "Files that restart the service when they change: `true` for its whole directory, an array of globs (`!` excludes), a table, or an array of tables. Files in `.gitignore` are ignored.",
    )
    .default("false")
    .examples(&["[\"**/*.py\", \"!tests/**\"]", "{ paths = [\"src\"], ignore = [\"*.tmp\"] }"]),
    SchemaKey::new(
        "debug",
        || table(DEBUG),
        "How to start the service in debug mode, with `up --debug` or `devstack debug`. Default: from its preset.",
    )
    .examples(&["{ command = \"node --inspect=$DEBUG_PORT server.js\", port = 9229 }"]),
    SchemaKey::new(
        "profiles",
        shapes::names,
        "Start the service only if one of these profiles is active, set with `--profile` or `DEVSTACK_PROFILES=a,b`.",
    )
    .default("[]")
    .examples(&["[\"full\"]"]),
    SchemaKey::new(
        "replicas",
        || integer_range(1, replicas::MAX_REPLICAS.into()),
        "Number of replicas, each with its own port: `api-1`, `api-2` and so on. `api` means all of them in `depends_on`, and the first in `${api.url}`.",
    )
    .default("1")
    .examples(&["3"]),
    SchemaKey::new(
        "autostart",
        shapes::boolean,
        "Whether the service starts automatically; otherwise it starts only by name or as a dependency.",
    )
    .default("true"),
    SchemaKey::new(
        "start",
        || enum_of(&lazy::STARTS),
        "With `lazy`, the service is asleep until the first connection to its port, which devstack keeps open meanwhile; the client waits.",
    )
    .default("\"eager\"")
    .examples(&["\"lazy\""]),
    SchemaKey::new(
        "idle",
        shapes::duration,
        "Stop a lazy service again after this long without a connection. Default: it runs on.",
    )
    .examples(&["\"15m\""]),
    SchemaKey::new("on_exit", || enum_of(&service::ON_EXIT), "With `shutdown`, the stack stops when this service exits and uses its exit code.")
        .default("\"none\""),
    SchemaKey::new(
        "tty",
        shapes::tty,
        "Whether the service gets its own terminal, shown by `devstack attach`. `auto`: only if devstack itself writes to a terminal.",
    )
    .default("\"auto\""),
    SchemaKey::new(
        "primary",
        shapes::boolean,
        "Whether an inherited `PORT`, `devstack open` and the name of the stack mean this service. Default: the first service with a port.",
    )
    .examples(&["true"]),
    SchemaKey::new(
        "proxy",
        || any_of([shapes::boolean(), table(SERVICE_PROXY)]),
        "Whether the service is served under a name that never changes, or how. Default: `true` if it speaks HTTP: a web preset, or `http` in `ready`.",
    )
    .examples(&["false", "{ name = \"www\", host = \"upstream\" }"]),
    SchemaKey::new(
        "actions",
        shapes::actions,
        "Commands that `devstack do` and the other faces run on request, in the service's directory and environment.",
    )
    .default("{}")
    .examples(&["{ seed = { command = \"flask seed\", help = \"fills the database\", args = [\"count\"] } }"]),
    SchemaKey::new("color", || enum_of(&service::COLORS), "Color of the service name in the log. Default: assigned automatically.")
        .examples(&["\"cyan\""]),
    SchemaKey::new("description", shapes::text, "Description for people. Default: none.")
        .examples(&["\"keeps the notes\""]),
];

/// Tables in a service for what differs on one operating system.
pub(crate) const SYSTEMS: &[SchemaKey] = &[
    SchemaKey::new(
        "linux",
        shapes::service,
        "Keys of this service that apply on Linux, over the others.",
    )
    .examples(&["{ command = \"./serve --epoll\" }"]),
    SchemaKey::new(
        "macos",
        shapes::service,
        "Keys of this service that apply on macOS, over the others.",
    )
    .examples(&["{ env = { OBJC_DISABLE_INITIALIZE_FORK_SAFETY = \"YES\" } }"]),
    SchemaKey::new(
        "windows",
        shapes::service,
        "Keys of this service for Windows. devstack checks them, but does not run on Windows.",
    )
    .examples(&["{ command = \"serve.exe\" }"]),
];
