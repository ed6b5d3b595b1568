//! Ends what a command has started inside a container: ending the program of the engine, in which the
//! command was asked for, leaves it running.

use super::command_line::inside_command;
use crate::model::{CommandLine, ContainerPlace, LaunchConfig};

/// The variable in which the processes of an action carry its mark. They pass it on.
pub const ACTION_MARK: &str = "DEVSTACK_ACTION";

/// Signals all processes with a mark and their descendants: `$1` is the variable with its value, `$2` the
/// signal. With KILL again until none is left. Only what every `sh` has, as images have little else.
const SCRIPT: &str = r#"
mark=$1 signal=$2 round=0
marked() {
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in *"$mark"*) return 0 ;; esac
    done <"/proc/$1/environ"
    return 1
}
look() {
    new=
    for dir in /proc/[0-9]*; do
        pid=${dir#/proc/}
        case $found in *" $pid "*) continue ;; esac
        read -r stat <"$dir/stat" || continue
        set -- ${stat##*) }
        case $1 in Z | X) continue ;; esac
        case $found in
            *" $2 "*) ;;
            *) marked "$pid" || continue ;;
        esac
        found="$found$pid " new=1
    done
}
while [ $round -lt 50 ]; do
    found=' ' new=1
    while [ -n "$new" ]; do look; done
    [ "$found" = ' ' ] && exit 0
    kill -$signal $found
    [ $signal = KILL ] || exit 0
    round=$((round + 1))
done 2>/dev/null
exit 1
"#;

/// Returns the value of the mark of an action, which no other one has in its container.
pub fn action_mark(number: u64) -> String {
    // Not the beginning of another one.
    format!("<{number}>")
}

/// Returns what signals the processes of an action in its container.
pub fn signal_command(place: &ContainerPlace, number: u64, signal: &str) -> LaunchConfig {
    inside_command(place, CommandLine::exec(script_words(&action_mark(number), signal)))
}

fn script_words(mark: &str, signal: &str) -> [String; 6] {
    let mark = format!("{ACTION_MARK}={mark}");
    ["sh", "-c", SCRIPT, "sh", &mark, signal].map(str::to_owned)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn whatever_has_the_mark_or_descends_from_it_is_signalled_and_nothing_else() {
        for (signal, number) in [("TERM", 15), ("KILL", 9)] {
            let mark = format!("{}-{number}", std::process::id());
            let start = |mark: &str| {
                let script = "env -i sleep 1000 >&2 & echo started; wait";
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", script]).env(ACTION_MARK, mark);
                let shell = shell.stdout(Stdio::piped()).stderr(Stdio::piped());
                let mut shell = shell.spawn().expect("sh exists");
                let mut said = [0; 7];
                shell.stdout.as_mut().expect("piped").read_exact(&mut said).expect("it starts");
                shell
            };
            let (mut ours, mut other) = (start(&format!("{mark}>")), start(&format!("{mark}0>")));
            let [sh, words @ ..] = script_words(&format!("{mark}>"), signal);
            let mut ender = Command::new(sh);
            assert!(ender.args(words).status().expect("sh exists").success());
            assert_eq!(ours.wait().expect("our child").signal(), Some(number));
            // The descendant without the mark has gone as well: no process has its output open.
            let mut rest = String::new();
            ours.stderr.take().expect("piped").read_to_string(&mut rest).expect("an end");
            assert_eq!(other.try_wait().expect("our child"), None);
            let [child] = crate::sys::process::children(other.id())[..] else { panic!("a child") };
            crate::sys::signal::kill(child, libc::SIGKILL);
            other.wait().expect("our child");
        }
    }
}
