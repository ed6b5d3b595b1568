use super::DebuggerKind;

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
    /// Whether it is debug mode.
    pub fn is_debug(self) -> bool {
        match self {
            RunMode::Run => false,
            RunMode::Debug(_) => true,
        }
    }

    /// Returns the word used in JSON and in `DEVSTACK_MODE`.
    pub fn as_str(self) -> &'static str {
        match self {
            RunMode::Run => "run",
            RunMode::Debug(_) => "debug",
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
