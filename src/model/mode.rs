use super::Debugger;

/// Name of the debugger's port among the ports of a service.
pub const DEBUG_PORT: &str = "debug";

/// The address that debuggers listen on: loopback only, because a debugger can run any code.
pub const DEBUG_HOST: &str = "127.0.0.1";

/// How a service is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Normally.
    Run,
    /// With its `debug` entry.
    Debug(Debugging),
}

/// Where and how a debugger attaches to a service in debug mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Debugging {
    /// The debugger's port on [`DEBUG_HOST`].
    pub port: u16,
    /// The kind of debugger, if known.
    pub debugger: Option<Debugger>,
    /// Whether the program waits for the debugger before it does anything.
    pub waits: bool,
}

impl Mode {
    /// Whether it is debug mode.
    pub fn is_debug(self) -> bool {
        match self {
            Mode::Run => false,
            Mode::Debug(_) => true,
        }
    }

    /// Returns the word used in JSON and in `DEVSTACK_MODE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Run => "run",
            Mode::Debug(_) => "debug",
        }
    }
}

impl Debugging {
    /// Returns `HOST:PORT` of the debugger.
    pub fn address(self) -> String {
        format!("{DEBUG_HOST}:{}", self.port)
    }

    /// `attach debugpy at 127.0.0.1:5678`
    pub fn told(self) -> String {
        let debugger = self.debugger.map_or("a debugger", Debugger::as_str);
        format!("attach {debugger} at {}", self.address())
    }
}

/// The `debug` entry of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debug {
    /// The kind of debugger its command starts, if known.
    pub debugger: Option<Debugger>,
    /// The preferred port; `None`: any.
    pub prefer: Option<u16>,
    /// The program under a native debugger, as written in the file.
    pub program: Option<String>,
}
