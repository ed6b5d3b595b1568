//! Which debugger and program a `debug` entry uses, from what is written in it.

use crate::model::{DebugConfig, DebuggerKind};

use crate::config::spec::{CommandSpec, DebugSpec, ServiceSpec};
use crate::config::template::Template;

pub(super) fn debug_config(service: &ServiceSpec, debug: &DebugSpec) -> DebugConfig {
    let debugger = detect_debugger(service, debug);
    let native = matches!(debugger, Some(DebuggerKind::Gdb | DebuggerKind::Lldb));
    let program =
        if native { native_program(&command(service, debug).static_words()) } else { None };
    DebugConfig { debugger, prefer: debug.port.preferred, program }
}

/// Detects the debugger from the command, or else from variables such as `NODE_OPTIONS`.
pub(super) fn detect_debugger(service: &ServiceSpec, debug: &DebugSpec) -> Option<DebuggerKind> {
    let words = command(service, debug).static_words();
    let variables: Vec<String> = service.env.values().map(Template::static_text).collect();
    let of = |texts: &[String]| DebuggerKind::detect(texts.iter().map(String::as_str));
    of(&words).or_else(|| of(&variables))
}

fn command<'a>(service: &'a ServiceSpec, debug: &'a DebugSpec) -> &'a CommandSpec {
    debug.command.as_ref().unwrap_or(&service.command)
}

/// Returns the program after `gdbserver HOST:PORT` or `lldb-server gdbserver HOST:PORT --`.
fn native_program(words: &[String]) -> Option<String> {
    let server = |word: &&String| word.rsplit('/').next() == Some("gdbserver");
    let mut rest = words.iter().skip_while(|word| !server(word)).skip(1);
    rest.by_ref().find(|word| !word.starts_with('-'))?;
    let program = rest.find(|word| !word.starts_with('-'))?;
    // A path with a variable in it is known only to the shell.
    (!program.contains('$')).then(|| program.clone())
}

#[cfg(test)]
mod tests {
    use super::native_program;

    #[test]
    fn the_program_stands_behind_the_address() {
        for (text, expected) in [
            ("gdbserver 127.0.0.1:$DEBUG_PORT ./shop --verbose", Some("./shop")),
            ("/usr/bin/gdbserver --once :1 target/debug/shop", Some("target/debug/shop")),
            ("lldb-server gdbserver 127.0.0.1:1 -- ./shop", Some("./shop")),
            ("gdbserver :1 $PROGRAM", None),
            ("gdbserver :1", None),
            ("cargo run", None),
        ] {
            let words = shell_words::split(text).unwrap();
            assert_eq!(native_program(&words).as_deref(), expected, "{text}");
        }
    }
}
