//! The rules, as tables: what may not be mentioned, and where. Every exception is here, with its
//! reason.

/// Maximum number of lines of a file without its tests.
pub const MAX_LINES: usize = 450;

/// Maximum number of Rust files in a directory of `src`.
pub const MAX_FILES: usize = 22;

/// Type names that may be defined more than once in `src`, each with its reason.
pub const REPEATED_TYPES: &[(&str, &str)] = &[
    ("State", "private: the state behind the lock of one module"),
    ("Err", "the associated type of `FromStr`"),
    ("Error", "private, or the associated type of `FromStr`, `TryFrom` and `Body`"),
    ("Item", "the associated type of `Iterator`"),
    ("Target", "the associated type of `Deref`"),
    ("Output", "the associated type of `Future` and of operators"),
    ("Data", "the associated type of `Body`"),
    ("Reader", "the associated type of `LogSource`"),
];

/// Directories whose files define the same types: only one of them is compiled.
pub const TWINS: &[&str] = &["linux", "macos"];

/// What code of a layer may use. Layers that are not named may use everything.
pub struct Layer {
    /// The beginning of its path.
    pub path: &'static str,
    /// Layers it may use beside itself; `None` means all but `never`.
    pub only: Option<&'static [&'static str]>,
    /// Layers it may not use.
    pub never: &'static [&'static str],
    /// Dependencies it may use; `None` means all but `never_dependencies`.
    pub only_dependencies: Option<&'static [&'static str]>,
    /// Dependencies it may not use.
    pub never_dependencies: &'static [&'static str],
}

const ANY_LAYER: Layer =
    Layer { path: "", only: None, never: &[], only_dependencies: None, never_dependencies: &[] };

/// The layers, from the ground up.
pub const LAYERS: [Layer; 32] = [
    Layer {
        path: "src/suggest",
        only: Some(&["suggest", "text"]),
        only_dependencies: Some(&["strsim"]),
        ..ANY_LAYER
    },
    Layer {
        path: "src/encoding",
        only: Some(&["encoding"]),
        only_dependencies: Some(&["jiff", "serde"]),
        ..ANY_LAYER
    },
    Layer { path: "src/sync", only: Some(&["sync"]), only_dependencies: Some(&[]), ..ANY_LAYER },
    Layer {
        path: "src/atomic_file",
        only: Some(&["atomic_file", "regular_file"]),
        only_dependencies: Some(&["rustix"]),
        ..ANY_LAYER
    },
    Layer {
        path: "src/regular_file",
        only: Some(&["regular_file"]),
        only_dependencies: Some(&["rustix"]),
        ..ANY_LAYER
    },
    Layer {
        path: "src/project_file",
        only: Some(&["project_file", "atomic_file", "regular_file", "model"]),
        only_dependencies: Some(&[]),
        ..ANY_LAYER
    },
    Layer {
        path: "src/json_document",
        only: Some(&["json_document"]),
        only_dependencies: Some(&["jsonc_parser"]),
        ..ANY_LAYER
    },
    Layer {
        path: "src/git_repository",
        only: Some(&["git_repository", "regular_file"]),
        only_dependencies: Some(&[]),
        ..ANY_LAYER
    },
    Layer { path: "src/text", only: Some(&["text"]), only_dependencies: Some(&[]), ..ANY_LAYER },
    Layer { path: "src/units", only: Some(&["units"]), only_dependencies: Some(&[]), ..ANY_LAYER },
    Layer {
        path: "src/model",
        only: Some(&["model", "encoding", "text"]),
        only_dependencies: Some(&["serde"]),
        ..ANY_LAYER
    },
    Layer {
        path: "src/sys",
        only: Some(&["sys", "model", "sync"]),
        never_dependencies: &["clap", "hyper", "notify", "serde_json"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/presets",
        only: Some(&["presets", "model"]),
        only_dependencies: Some(&["serde", "toml"]),
        ..ANY_LAYER
    },
    Layer {
        path: "src/engine",
        only: Some(&["engine", "model"]),
        only_dependencies: Some(&["serde"]),
        ..ANY_LAYER
    },
    Layer {
        path: "src/config",
        only: Some(&[
            "config", "model", "presets", "suggest", "encoding", "text", "units", "regular_file",
            "git_repository",
        ]),
        never_dependencies: &[
            "tokio", "hyper", "hyper_util", "notify", "portpicker", "rustix", "libc", "clap",
        ],
        ..ANY_LAYER
    },
    Layer {
        path: "src/container",
        only: Some(&["container", "model", "encoding", "regular_file"]),
        never_dependencies: &["clap", "notify"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/ports",
        only: Some(&[
            "ports", "model", "sys", "suggest", "sync", "atomic_file", "regular_file", "text",
        ]),
        never_dependencies: &["clap", "hyper", "notify"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/process",
        only: Some(&["process", "model", "sys", "sync", "atomic_file", "regular_file"]),
        never_dependencies: &["clap", "hyper", "notify"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/log",
        only: Some(&["atomic_file", "encoding", "log", "model", "sys", "sync", "text"]),
        never_dependencies: &["clap", "hyper", "notify"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/watch",
        only: Some(&["watch", "model", "sys", "sync", "git_repository", "regular_file"]),
        never_dependencies: &["clap", "hyper"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/probe",
        only: Some(&["probe", "model", "sys", "process", "ports", "sync"]),
        never_dependencies: &["clap", "notify"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/https",
        only: Some(&["https", "model", "process", "atomic_file", "sync", "text"]),
        never_dependencies: &["clap", "hyper", "notify"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/proxy",
        only: Some(&["proxy", "https", "model", "sys", "text", "encoding"]),
        never_dependencies: &["clap", "notify"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/terminal",
        only: Some(&["terminal", "model", "sys", "process", "log", "sync"]),
        never_dependencies: &["clap", "hyper", "notify"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/tui",
        only: Some(&[
            "tui", "control", "model", "log", "terminal", "text", "encoding", "sync", "sys",
        ]),
        never: &["control::instance", "control::server"],
        never_dependencies: &["clap", "hyper", "notify"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/supervisor",
        never: &["control", "front_door", "cli", "export", "dashboard"],
        never_dependencies: &["clap"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/front_door",
        only: Some(&[
            "front_door", "proxy", "https", "control", "supervisor", "process", "ports", "model",
            "log", "sys", "regular_file",
        ]),
        never_dependencies: &["clap", "hyper", "notify"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/dashboard",
        only: Some(&[
            "dashboard", "control", "front_door", "proxy", "ports", "log", "model", "sync",
            "atomic_file", "regular_file", "text",
        ]),
        never: &["engine", "supervisor"],
        never_dependencies: &["clap", "notify"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/control/client",
        only: Some(&["control", "model", "encoding", "exit_code", "log", "sys", "suggest", "text"]),
        never_dependencies: &["clap", "notify", "portpicker"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/control/protocol",
        only: Some(&["control", "model", "encoding", "log", "sys", "suggest", "text"]),
        never_dependencies: &["clap", "notify", "portpicker"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/agents",
        only: Some(&[
            "agents", "control", "config", "exit_code", "ports", "model", "log", "text", "sync",
            "json_document", "project_file",
        ]),
        never_dependencies: &["clap", "hyper", "notify"],
        ..ANY_LAYER
    },
    Layer {
        path: "src/control",
        never: &["engine", "config", "ports", "front_door", "cli", "dashboard"],
        never_dependencies: &["clap", "notify", "portpicker"],
        ..ANY_LAYER
    },
];

/// Something that only some files may mention.
pub struct Fence {
    pub name: &'static str,
    pub why: &'static str,
    pub what: What,
    /// Where the rule holds.
    pub within: &'static [&'static str],
    /// Files and directories where it does not hold, each with its reason.
    pub but: &'static [(&'static str, &'static str)],
    /// Whether it holds for tests too.
    pub tests_too: bool,
}

/// How a mention looks.
pub enum What {
    /// One of these paths.
    Path(&'static [&'static str]),
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of these texts, blanks left out, in a file that mentions this path.
    TextBeside(&'static str, &'static [&'static str]),
    /// One of these texts, blanks left out.
    Text(&'static [&'static str]),
    /// One of these words in a comment.
    Comment(&'static [&'static str]),
}

/// What config may do to read its files.
const LOADING: &[(&str, &str)] = &[
    ("src/config/load/mod.rs", "reads the files for all of config"),
    ("src/config/load", "reads the files for all of config"),
];

/// Where pure code may use a thread.
const ROOM: (&str, &str) = (
    "src/config/parse/deep_stack.rs",
    "a larger stack to recurse on: the thread only computes and is joined at once",
);

/// The files of the loop.
const LOOP: &[&str] = &[
    "src/supervisor/supervisor.rs",
    "src/supervisor/inputs.rs",
    "src/supervisor/configuration.rs",
    "src/supervisor/mode_switch.rs",
    "src/supervisor/port_loss.rs",
    "src/supervisor/publish.rs",
    "src/supervisor/snapshot.rs",
    "src/supervisor/status/event_lines.rs",
    "src/supervisor/executor/executor.rs",
];

/// The layers that know nothing of the world.
const PURE: &[&str] = &["src/model", "src/engine", "src/config"];

const FENCE: Fence = Fence {
    name: "",
    why: "",
    what: What::Path(&[]),
    within: &["src"],
    but: &[],
    tests_too: false,
};

/// The fences.
pub const FENCES: [Fence; 20] = [
    Fence {
        name: "files",
        why: "links, pipes and devices may be prepared: open files with `regular_file` and `atomic_file`",
        what: What::Path(&[
            "File::open",
            "File::create",
            "File::create_new",
            "File::options",
            "OpenOptions::new",
            "fs::read",
            "fs::read_to_string",
            "fs::write",
            "fs::copy",
            "fs::open",
            "fs::openat",
            "tokio::fs",
        ]),
        but: &[
            ("src/regular_file.rs", "this is where it is done"),
            ("src/atomic_file.rs", "this is where it is done"),
            ("src/sys", "files and devices of the system"),
            (
                "src/log/store/log_dir.rs",
                "log files by name in an open directory, at the path of no one else",
            ),
        ],
        ..FENCE
    },
    Fence {
        name: "log: store",
        why: "it is below the other rooms of the log",
        what: What::Path(&["log::shared", "log::read", "log::format", "log::capture"]),
        within: &["src/log/store"],
        ..FENCE
    },
    Fence {
        name: "log: shared",
        why: "what captures, printer and readers share does not know them",
        what: What::Path(&["log::read", "log::format", "log::capture"]),
        within: &["src/log/shared"],
        ..FENCE
    },
    Fence {
        name: "log: read",
        why: "readers know neither the printer nor captures",
        what: What::Path(&["log::format", "log::capture"]),
        within: &["src/log/read"],
        ..FENCE
    },
    Fence {
        name: "log: no way back",
        why: "the stack log is made of these rooms",
        what: What::Path(&["log::stack_log", "log::StackLog"]),
        within: &[
            "src/log/store",
            "src/log/shared",
            "src/log/read",
            "src/log/format",
            "src/log/capture",
        ],
        ..FENCE
    },
    Fence {
        name: "pure: no world",
        why: "model, engine and config know no files, network, environment, processes or threads; config reads files in load",
        what: What::Path(&[
            "std::env",
            "std::fs",
            "TcpListener",
            "TcpStream",
            "UdpSocket",
            "UnixListener",
            "UnixStream",
            "UnixDatagram",
            "ToSocketAddrs",
            "std::process::Command",
            "std::thread",
            "std::io::stdin",
        ]),
        within: PURE,
        but: &[LOADING[0], LOADING[1], ROOM],
        ..FENCE
    },
    Fence {
        name: "pure: no look at the disk",
        why: "these methods of paths ask the file system",
        what: What::Text(&[
            ".exists()",
            ".try_exists()",
            ".is_file()",
            ".is_dir()",
            ".is_symlink()",
            ".canonicalize()",
            ".read_dir()",
            ".metadata()",
            ".symlink_metadata()",
            ".read_link()",
        ]),
        within: PURE,
        but: LOADING,
        ..FENCE
    },
    Fence {
        name: "pure: no clock",
        why: "time is a parameter of the engine",
        what: What::Path(&[
            "Instant::now",
            "SystemTime",
            "std::time::SystemTime",
            "Zoned::now",
            "Timestamp::now",
        ]),
        within: PURE,
        ..FENCE
    },
    Fence {
        name: "pure: no elapsed time",
        why: "`elapsed` reads the clock",
        what: What::Text(&[".elapsed()"]),
        within: PURE,
        ..FENCE
    },
    Fence {
        name: "pure: order",
        why: "what is printed and decided has the same order every time: BTreeMap, BTreeSet",
        what: What::Word(&["HashMap", "HashSet"]),
        within: PURE,
        but: &[
            ("src/config/env/resolver.rs", "a cache that is looked into and never walked"),
            (
                "src/config/diagnostics/report.rs",
                "asked whether a mistake was told before, never walked",
            ),
            (
                "src/config/resolve/verify.rs",
                "asked whether a pattern was seen before, never walked",
            ),
        ],
        ..FENCE
    },
    Fence {
        name: "one step",
        why: "only the supervisor's loop steps the engine",
        what: What::TextBeside("crate::engine", &[".step("]),
        but: &[
            ("src/engine", "it is the engine"),
            ("src/supervisor/supervisor.rs", "it is the loop"),
        ],
        ..FENCE
    },
    Fence {
        name: "one loop that never blocks",
        why: "the supervisor's loop selects, handles, carries out",
        what: What::Path(&[
            "std::fs",
            "std::net",
            "std::thread",
            "std::process::Command",
            "tokio::fs",
        ]),
        within: LOOP,
        ..FENCE
    },
    Fence {
        name: "one loop that waits for no file and no lock",
        why: "logs, `/proc` and the ports of the stack are read off the loop; the answer is a report",
        what: What::Text(&[
            ".tail(",
            ".last_lines(",
            ".lock()",
            "lock_unpoisoned(",
            "listener_owner(",
            "holders_of_ports(",
            "holders_of_listeners(",
            "ports::listeners(",
            "is_in_time_wait(",
        ]),
        within: LOOP,
        ..FENCE
    },
    Fence {
        name: "unsafe",
        why: "unsafe code is where the system is called, so that it can be read in one place",
        what: What::Word(&["unsafe"]),
        but: &[("src/sys", "the system calls themselves")],
        tests_too: true,
        ..FENCE
    },
    Fence {
        name: "processes",
        why: "only process and sys starts, signals and reaps; everyone else says a run or a service",
        what: What::Word(&[
            "kill_process",
            "kill_process_group",
            "kill_current_process_group",
            "pidfd_open",
            "pidfd_send_signal",
            "killpg",
            "waitpid",
            "waitid",
            "wait4",
            "posix_spawn",
            "posix_spawnp",
            "fork",
            "vfork",
            "setsid",
            "setpgid",
        ]),
        but: &[
            ("src/process", "this is where it is done"),
            ("src/sys", "the system calls themselves"),
        ],
        ..FENCE
    },
    Fence {
        name: "processes by path",
        why: "only process and sys starts, signals and reaps; everyone else says a run or a service",
        what: What::Path(&[
            "libc::kill",
            "tokio::process",
            "std::process::Command",
            "process::Command",
        ]),
        but: &[
            ("src/process", "this is where it is done"),
            ("src/sys", "the system calls themselves"),
            (
                "src/cli/start/run/command_run.rs",
                "the command of `devstack run` is the user's, not a service",
            ),
            ("src/cli/init/trial.rs", "`init --try` runs commands of devstack itself"),
            ("src/agents/own_command.rs", "agents' tools run commands of devstack itself"),
            (
                "src/https/stores/trust_command.rs",
                "the tools of trust stores, which users see first",
            ),
        ],
        ..FENCE
    },
    Fence {
        name: "no sleep",
        why: "code waits for events; the one poll of the tests is `eventually`",
        what: What::Path(&["thread::sleep", "std::thread::sleep"]),
        within: &["src", "tests"],
        but: &[
            (
                "src/control/instance/mod.rs",
                "before any loop runs; a file lock tells nobody when it is free",
            ),
            ("src/control/instance/dir_lock.rs", "the same lock, of the directory"),
            ("src/ports/lease.rs", "off the loop; a name that does not listen gives no event"),
            (
                "src/process/guard/guard_loop.rs",
                "after a panic of the guard, when there is no loop any more",
            ),
        ],
        tests_too: true,
    },
    Fence {
        name: "nothing unfinished",
        why: "what is not done is refused with a message, not left open",
        what: What::Text(&["todo!", "unimplemented!", "dbg!"]),
        within: &["src", "tests"],
        tests_too: true,
        ..FENCE
    },
    Fence {
        name: "no notes to self",
        why: "what is left to do stands in an issue",
        what: What::Comment(&["TODO", "FIXME", "XXX", "HACK"]),
        within: &["src", "tests"],
        tests_too: true,
        ..FENCE
    },
    Fence {
        name: "no unwrap, no allow",
        why: "`expect` states the proof; lints are silenced with `#[expect(.., reason)]`",
        what: What::Text(&[".unwrap()", "#[allow(", "#![allow("]),
        ..FENCE
    },
];
