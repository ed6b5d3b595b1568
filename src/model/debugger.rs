/// The debug protocol of a service in debug mode, which decides what kind of debugger attaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Debugger {
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

impl Debugger {
    /// Returns its usual name.
    pub fn as_str(self) -> &'static str {
        match self {
            Debugger::Debugpy => "debugpy",
            Debugger::Node => "node inspector",
            Debugger::Delve => "delve",
            Debugger::Jdwp => "JDWP",
            Debugger::Rdbg => "rdbg",
            Debugger::Gdb => "gdbserver",
            Debugger::Lldb => "lldb-server",
        }
    }

    /// Detects the debugger that a debug command starts from its words and environment.
    pub fn recognise<'t>(texts: impl IntoIterator<Item = &'t str>) -> Option<Debugger> {
        const SIGNS: [(&str, Debugger); 8] = [
            ("debugpy", Debugger::Debugpy),
            ("--inspect", Debugger::Node),
            ("dlv", Debugger::Delve),
            ("jdwp", Debugger::Jdwp),
            ("rdbg", Debugger::Rdbg),
            ("lldb-server", Debugger::Lldb),
            ("gdbserver", Debugger::Gdb),
            ("delve", Debugger::Delve),
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
mod tests {
    use super::Debugger;

    #[test]
    fn a_debug_command_tells_its_debugger() {
        for (text, expected) in [
            (
                "python -m debugpy --listen 127.0.0.1:$DEBUG_PORT -m flask run",
                Some(Debugger::Debugpy),
            ),
            ("node --inspect=127.0.0.1:9229 server.js", Some(Debugger::Node)),
            ("node --inspect-brk=9229 server.js", Some(Debugger::Node)),
            ("/usr/bin/dlv exec ./app --headless", Some(Debugger::Delve)),
            ("-agentlib:jdwp=transport=dt_socket,server=y", Some(Debugger::Jdwp)),
            ("rdbg -n --open --port 1 -c -- rails s", Some(Debugger::Rdbg)),
            ("gdbserver 127.0.0.1:1 ./app", Some(Debugger::Gdb)),
            ("lldb-server gdbserver 127.0.0.1:1 -- ./app", Some(Debugger::Lldb)),
            ("python my_debugpy_notes.py", None),
            ("./pydlv --listen", None),
            ("", None),
        ] {
            assert_eq!(Debugger::recognise([text]), expected, "{text}");
        }
    }
}
