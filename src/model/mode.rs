use super::Debugger;

/// The name that the debugger's port has among the ports of a service.
pub const DEBUG_PORT: &str = "debug";

/// The address that debuggers listen on: who reaches a debugger runs code, so it is nobody else's.
pub const DEBUG_HOST: &str = "127.0.0.1";

/// How a service is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As it is.
    Run,
    /// By its `debug` entry.
    Debug(Debugging),
}

/// What is true of a service in debug mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Debugging {
    /// The debugger's port, on [`DEBUG_HOST`].
    pub port: u16,
    /// What listens there, when it is known.
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

    /// The word used in JSON and in `DEVSTACK_MODE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Run => "run",
            Mode::Debug(_) => "debug",
        }
    }
}

impl Debugging {
    /// `HOST:PORT` of the debugger.
    pub fn address(self) -> String {
        format!("{DEBUG_HOST}:{}", self.port)
    }

    /// `attach debugpy at 127.0.0.1:5678`
    pub fn told(self) -> String {
        let debugger = self.debugger.map_or("a debugger", Debugger::as_str);
        format!("attach {debugger} at {}", self.address())
    }
}

/// What debugging a service takes: its `debug` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debug {
    /// What its command starts, when it is known.
    pub debugger: Option<Debugger>,
    /// The port it prefers; `None`: any.
    pub prefer: Option<u16>,
    /// The program under a native debugger, as written.
    pub program: Option<String>,
}
