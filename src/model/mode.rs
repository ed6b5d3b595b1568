/// Name of the debugger's port among the ports of a service.
pub const DEBUG_PORT: &str = "debug";

/// The address that debuggers listen on: loopback only, because a debugger can run any code.
pub const DEBUG_HOST: &str = "127.0.0.1";

/// How a service is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunMode {
    /// Normally.
    Run,
    /// With its `debug` entry.
    Debug(DebugTarget),
}

/// Where and how a debugger attaches to a service in debug mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DebugTarget {
    /// The debugger's port on [`DEBUG_HOST`].
    pub port: u16,
    /// The kind of debugger, if known.
    pub debugger: Option<DebuggerKind>,
    /// Whether the program waits for the debugger before it does anything.
    pub waits_for_debugger: bool,
}

impl RunMode {
    pub fn is_debug(self) -> bool {
        match self {
            RunMode::Run => false,
            RunMode::Debug(_) => true,
        }
    }
}

impl DebugTarget {
    /// Returns `HOST:PORT` of the debugger.
    pub fn address(self) -> String {
        format!("{DEBUG_HOST}:{}", self.port)
    }

    /// `attach debugpy at 127.0.0.1:5678`
    pub fn attach_hint(self) -> String {
        let debugger = self.debugger.map_or("a debugger", DebuggerKind::as_str);
        format!("attach {debugger} at {}", self.address())
    }
}

/// The `debug` entry of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugConfig {
    /// The kind of debugger its command starts, if known.
    pub debugger: Option<DebuggerKind>,
    /// The preferred port; `None`: any.
    pub prefer: Option<u16>,
    /// The program under a native debugger, as written in the file.
    pub program: Option<String>,
}

/// The debug protocol of a service in debug mode, which decides what kind of debugger attaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebuggerKind {
    /// Python's debugpy (Debug Adapter Protocol).
    Debugpy,
    /// Node's inspector.
    Node,
    /// Go's delve.
    Delve,
    /// The JVM's JDWP.
    Jdwp,
    /// Ruby's rdbg.
    Rdbg,
    /// A native program under gdbserver.
    Gdb,
    /// A native program under lldb-server.
    Lldb,
}

impl DebuggerKind {
    /// Returns its usual name.
    pub fn as_str(self) -> &'static str {
        match self {
            DebuggerKind::Debugpy => "debugpy",
            DebuggerKind::Node => "node inspector",
            DebuggerKind::Delve => "delve",
            DebuggerKind::Jdwp => "JDWP",
            DebuggerKind::Rdbg => "rdbg",
            DebuggerKind::Gdb => "gdbserver",
            DebuggerKind::Lldb => "lldb-server",
        }
    }

    /// Detects the debugger that a debug command starts from its words and environment.
    pub fn detect<'t>(texts: impl IntoIterator<Item = &'t str>) -> Option<DebuggerKind> {
        const SIGNS: [(&str, DebuggerKind); 8] = [
            ("debugpy", DebuggerKind::Debugpy),
            ("--inspect", DebuggerKind::Node),
            ("dlv", DebuggerKind::Delve),
            ("jdwp", DebuggerKind::Jdwp),
            ("rdbg", DebuggerKind::Rdbg),
            ("lldb-server", DebuggerKind::Lldb),
            ("gdbserver", DebuggerKind::Gdb),
            ("delve", DebuggerKind::Delve),
        ];
        let texts: Vec<&str> = texts.into_iter().collect();
        let found = SIGNS.iter().find(|(sign, _)| texts.iter().any(|text| mentions(text, sign)));
        found.map(|(_, debugger)| *debugger)
    }
}

/// Whether `sign` occurs in `text` as a whole word: `pydlv` is not `dlv`.
fn mentions(text: &str, sign: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(sign).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + sign.len()..].chars().next();
        !before.is_some_and(inside) && !after.is_some_and(inside)
    })
}

#[cfg(test)]
mod debugger_tests {
    use super::DebuggerKind;

    #[test]
    fn a_debug_command_tells_its_debugger() {
        for (text, expected) in [
            (
                "python -m debugpy --listen 127.0.0.1:$DEBUG_PORT -m flask run",
                Some(DebuggerKind::Debugpy),
            ),
            ("node --inspect=127.0.0.1:9229 server.js", Some(DebuggerKind::Node)),
            ("node --inspect-brk=9229 server.js", Some(DebuggerKind::Node)),
            ("/usr/bin/dlv exec ./app --headless", Some(DebuggerKind::Delve)),
            ("-agentlib:jdwp=transport=dt_socket,server=y", Some(DebuggerKind::Jdwp)),
            ("rdbg -n --open --port 1 -c -- rails s", Some(DebuggerKind::Rdbg)),
            ("gdbserver 127.0.0.1:1 ./app", Some(DebuggerKind::Gdb)),
            ("lldb-server gdbserver 127.0.0.1:1 -- ./app", Some(DebuggerKind::Lldb)),
            ("python my_debugpy_notes.py", None),
            ("./pydlv --listen", None),
            ("", None),
        ] {
            assert_eq!(DebuggerKind::detect([text]), expected, "{text}");
        }
    }
}
