use super::{Key, shapes};

/// Keys of a service.
pub(in super::super) const SERVICE: &[Key] = &[
    Key::new(
        "command",
        shapes::command,
        "What is executed: a text for the shell, or a list of words that is executed as it is. Needed unless there is a `preset`.",
    )
    .examples(&["\"flask run --port $PORT\"", "[\"npx\", \"vite\", \"--port\", \"${PORT}\"]"]),
    Key::new(
        "preset",
        shapes::preset,
        "What there is to know about a framework or data store: its command, usual port, readiness, URL. `devstack presets` lists them. Everything else that is said here goes before.",
    )
    .examples(&["\"postgres\""]),
    Key::new("kind", shapes::kind, "A `service` runs until it is stopped, a `task` to its end.")
        .default("\"service\""),
    Key::new("dir", shapes::path, "The working directory, relative to this file.")
        .default("\".\"")
        .examples(&["\"api\""]),
    Key::new(
        "env",
        shapes::env,
        "Variables, over those of the stack. `${db.url}` and the like stand for what other services have, `${VAR:-default}` for variables.",
    )
    .default("{}")
    .examples(&["{ DATABASE_URL = \"${db.url}\" }"]),
    Key::new(
        "env_file",
        shapes::env_files,
        "Files with variables, relative to this file, over those of the stack.",
    )
    .default("[]")
    .examples(&["\"api.env\"", "{ path = \"mine.env\", optional = true }"]),
    Key::new(
        "port",
        shapes::port,
        "The port it would like to have: a number, `\"auto\"`, or a table. The one it gets is in `PORT`. Without `port` and `ports` it has none.",
    )
    .examples(&["5000", "\"auto\"", "{ prefer = 3000, on_conflict = \"auto\" }"]),
    Key::new("ports", shapes::ports, "Several ports by name; the first is the main one.")
        .examples(&["{ http = 8000, metrics = \"auto\" }"]),
    Key::new("host", shapes::host, "The address in `HOST`. Default: that of the stack.")
        .examples(&["\"::1\""]),
    Key::new(
        "depends_on",
        shapes::depends_on,
        "What must be there before it starts: a list of services (ready, and tasks completed), or a table that says `started`, `ready` or `completed` for each.",
    )
    .default("[]")
    .examples(&["[\"db\"]", "{ db = \"ready\", migrate = \"completed\" }"]),
    Key::new(
        "ready",
        shapes::ready,
        "When it is ready; several conditions must all hold. Default: its process listens on its main port (answers `GET /`, when devstack passes the port to it); at once without a port.",
    )
    .examples(&["{ http = \"/health\", timeout = \"30s\" }"]),
    Key::new(
        "health",
        shapes::health,
        "Whether it stays well once it is ready. Without it nobody looks.",
    )
    .examples(&["{ http = \"/health\", action = \"restart\" }"]),
    Key::new(
        "restart",
        shapes::restart,
        "Whether it is started again when it ends: `no`, `on-failure`, `always`, or a table. Default: `on-failure`, and for a task `no`.",
    )
    .examples(&["\"always\"", "{ policy = \"on-failure\", max = 3 }"]),
    Key::new("success_codes", shapes::exit_codes, "Exit codes that are no failure.")
        .default("[0]")
        .examples(&["[0, 143]"]),
    Key::new("stop", shapes::stop, "How it is stopped.")
        .default("{ signal = \"TERM\", grace = \"5s\" }")
        .examples(&["{ signal = \"INT\", grace = \"10s\" }"]),
    Key::new(
        "watch",
        shapes::watch,
        "Files whose change restarts it: `true` for all in its folder, globs (`!` excludes), or a table, or several. What `.gitignore` names is left out.",
    )
    .default("false")
    .examples(&["[\"**/*.py\", \"!tests/**\"]", "{ paths = [\"src\"], ignore = [\"*.tmp\"] }"]),
    Key::new(
        "debug",
        shapes::debug,
        "How it is started for a debugger, with `up --debug` or `devstack debug`. Default: what its preset says.",
    )
    .examples(&["{ command = \"node --inspect=$DEBUG_PORT server.js\", port = 9229 }"]),
    Key::new(
        "profiles",
        shapes::names,
        "It starts by itself only when one of these is chosen, by `--profile` or in DEVSTACK_PROFILES.",
    )
    .default("[]")
    .examples(&["[\"full\"]"]),
    Key::new(
        "replicas",
        shapes::replicas,
        "How many of it there are, each with a port of its own: `api-1`, `api-2` and so on.",
    )
    .default("1")
    .examples(&["3"]),
    Key::new(
        "autostart",
        shapes::boolean,
        "Whether it starts by itself; else only by name, or as what another one depends on.",
    )
    .default("true"),
    Key::new("on_exit", shapes::on_exit, "`shutdown`: its end ends the stack, with its exit code.")
        .default("\"none\""),
    Key::new(
        "tty",
        shapes::tty,
        "Whether it gets a terminal of its own, which `devstack attach` shows; `auto`: when devstack itself writes to one.",
    )
    .default("\"auto\""),
    Key::new(
        "primary",
        shapes::boolean,
        "Whether a bare `PORT` from outside means this service. Default: the first service with a port.",
    )
    .examples(&["true"]),
    Key::new("proxy", shapes::no, "Names for a proxy, which this version has not yet.")
        .default("false"),
    Key::new("color", shapes::color, "The colour of its name in the log. Default: one of its own.")
        .examples(&["\"cyan\""]),
    Key::new("description", shapes::text, "What it is, for people. Default: nothing.")
        .examples(&["\"keeps the notes\""]),
];
