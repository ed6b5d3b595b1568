//! Files of other users: which are obeyed, and which are refused.

#[path = "trust/faces.rs"]
mod faces;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{TestProject, idler, make_fifo, require};

/// A user without a name.
const OTHER: u32 = 4321;

/// A task that would show that it was run.
const FOREIGN: &str = "[services.pwn]\nkind = \"task\"\ncommand = \"touch pwned\"\n";

/// Writes a file of another user, which only root can do.
fn write_foreign(project: &TestProject, name: &str) {
    let path = project.outside(&format!("foreign-{name}"));
    fs::write(&path, FOREIGN).expect("it is ours");
    std::os::unix::fs::chown(&path, Some(OTHER), Some(OTHER)).expect("root may");
    fs::rename(&path, project.path(name)).expect("it is ours");
}

/// Lets everyone create files here, as in `/tmp`.
fn make_sticky(project: &TestProject) {
    let mode = fs::Permissions::from_mode(0o1777);
    fs::set_permissions(project.dir(), mode).expect("it is ours");
}

#[test]
fn a_configuration_of_another_user_in_a_shared_directory_is_not_run() {
    if !require("root, to write files of another user", rustix::process::geteuid().is_root()) {
        return;
    }
    let project = TestProject::new();
    make_sticky(&project);
    project.write("w/src/x", "");
    write_foreign(&project, "devstack.toml");
    for command in ["up", "check", "plan"] {
        let refused = project.devstack([command]).run().expect_code(2);
        let why = "`devstack.toml`: it is owned by user 4321, and others can write its directory";
        assert!(refused.stderr.contains(why), "{refused:?}");
        assert!(refused.stderr.contains("give it with -f"), "{refused:?}");
        let below = project.devstack([command]).dir(project.path("w/src")).run();
        let below = below.expect_code(2).stderr;
        assert!(below.contains("other users can write the directory above it"), "{below}");
    }
    assert!(!project.path("pwned").exists());
    project.devstack(["up", "-f", "devstack.toml"]).run().expect_code(0);
    assert!(project.path("pwned").exists(), "named on purpose");
    project.finish();
}

#[test]
fn files_of_another_user_in_a_shared_directory_are_not_imported() {
    if !require("root, to write files of another user", rustix::process::geteuid().is_root()) {
        return;
    }
    let project = TestProject::new();
    make_sticky(&project);
    write_foreign(&project, "package.json");
    write_foreign(&project, "Dockerfile");
    let up = project.devstack(["up"]).terminal(24, 160).start();
    up.wait_for("no devstack.toml found");
    assert_eq!(up.wait_code(), 2);
    let refused = |file: &str| {
        let init = project.devstack(["init"]).run().expect_code(2).stderr;
        let why = format!("`{file}`: it is owned by user 4321, not by you");
        assert!(init.contains(&why) && init.contains("name it with `--from`"), "{init}");
        assert!(!project.path("devstack.toml").exists());
    };
    refused("package.json");
    project.write("compose.yaml", "services: {web: {build: ., command: tail -f x}}\n");
    refused("Dockerfile");
    write_foreign(&project, "Procfile");
    refused("Procfile");
    fs::write(project.path("Procfile"), "web: true\n").expect("root may");
    project.devstack(["init", "--from", "Procfile"]).run().expect_code(0);
    project.finish();
}

#[test]
fn a_local_file_that_another_user_adds_to_a_running_stack_is_not_applied() {
    if !require("root, to write files of another user", rustix::process::geteuid().is_root()) {
        return;
    }
    let project = TestProject::new();
    make_sticky(&project);
    project.configure(&idler("api", ""));
    let up = project.devstack(["up"]).start();
    up.wait_for("api | ready");
    write_foreign(&project, "devstack.local.toml");
    up.wait_for("`devstack.local.toml`: it is owned by user 4321");
    assert!(!project.path("pwned").exists());
    let ps = project.devstack(["ps", "--json"]).run().expect_code(0).stdout;
    assert!(!ps.contains("pwn"), "{ps}");
    up.interrupt();
    up.wait_exit();
    project.finish();
}

#[test]
fn a_prepared_state_directory_leads_nowhere_and_blocks_nothing() {
    let project = TestProject::with_config(
        "[services.seed]\nkind = \"task\"\ncommand = [\"{misbehave}\", \"say\", \"sown\"]\nport = \"auto\"\n",
    );
    let precious = project.outside("precious");
    fs::write(&precious, "mine").expect("it is ours");
    let state = project.path(".devstack");
    fs::create_dir(&state).expect("it is ours");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).expect("it is ours");
    for name in ["runs.json", "ports.json", "background.err", "logs"] {
        std::os::unix::fs::symlink(&precious, state.join(name)).expect("it is ours");
    }
    project.devstack(["up"]).run().expect_code(0);
    assert_eq!(fs::read_to_string(&precious).expect("it is ours"), "mine");

    for name in ["runs.json", "ports.json", "background.err"] {
        // It may be there from the run before.
        let _ = fs::remove_file(state.join(name));
        make_fifo(&state.join(name));
    }
    for command in ["doctor", "plan", "env seed", "down", "ports", "ps", "up", "up -d"] {
        // A command that blocks is ended by the limit of the tests, and has no code of its own.
        let code = project.devstack(command.split(' ')).run().code();
        assert!([0, 1, 3, 4].contains(&code), "{command} exits with {code}");
    }
    project.devstack(["down"]).run();
    project.finish();
}

#[test]
fn files_of_other_programs_are_not_read_or_written_outside_the_project() {
    let project = TestProject::with_config(
        "[services.api]\ncommand = \"python app.py\"\ndebug = { command = \"python -m debugpy --listen $DEBUG_PORT app.py\" }\nport = \"auto\"\n",
    );
    let outside = project.outside("home");
    fs::create_dir_all(&outside).expect("it is ours");
    let precious = outside.join("launch.json");
    let secret = "{\"token\": \"hush\"}";
    fs::write(&precious, secret).expect("it is ours");
    let vscode = project.path(".vscode");
    let refused = |why: &str| {
        for command in ["export vscode", "export vscode --dry-run"] {
            let ended = project.devstack(command.split(' ')).run();
            assert_eq!(ended.code(), 1, "{ended:?}");
            assert!(ended.stderr.contains(why), "{ended:?}");
            assert!(!(ended.stdout + &ended.stderr).contains("hush"));
        }
        assert_eq!(fs::read_to_string(&precious).expect("it stays"), secret);
        assert_eq!(fs::read_dir(&outside).expect("it stays").count(), 1);
    };
    std::os::unix::fs::symlink(&outside, &vscode).expect("it is ours");
    refused("leads out of the project");
    fs::remove_file(&vscode).expect("it is ours");
    fs::create_dir(&vscode).expect("it is ours");
    let file = vscode.join("launch.json");
    std::os::unix::fs::symlink(&precious, &file).expect("it is ours");
    refused("leads out of the project");
    fs::remove_file(&file).expect("it is ours");
    std::os::unix::fs::symlink(outside.join("new"), &file).expect("it is ours");
    refused("symbolic link to nothing");
    fs::remove_file(&file).expect("it is ours");
    make_fifo(&file);
    refused("not a regular file");
    fs::remove_file(&file).expect("it is ours");
    fs::write(&file, " ".repeat((1 << 20) + 1)).expect("it is ours");
    refused("larger than 1 MiB");
    project.finish();
}

#[test]
fn pipes_in_place_of_git_and_package_files_block_nothing() {
    let project = TestProject::with_config(
        "[services.web]\ncommand = \"npm run dev\"\nwatch = [\"src/**\"]\nenv_file = { path = \".env\", optional = true }\nrestart = \"never\"\n",
    );
    let repository = project.path("pointed");
    fs::create_dir(&repository).expect("it is ours");
    let git = project.path(".git");
    for pipe in ["package.json", ".env", ".gitignore", "pointed/commondir", "pointed/HEAD"] {
        make_fifo(&project.path(pipe));
    }
    let all = || {
        for command in ["check", "plan", "env web", "doctor", "ps --all", "export vscode"] {
            // A command that blocks is ended by the limit of the tests, and has no code of its own.
            let code = project.devstack(command.split(' ')).run().code();
            assert!((0..=4).contains(&code), "{command} exits with {code}");
        }
    };
    make_fifo(&git);
    all();
    fs::remove_file(&git).expect("it is ours");
    fs::write(&git, "gitdir: pointed\n").expect("it is ours");
    all();
    fs::remove_file(project.path(".env")).expect("it is ours");
    let code = project.devstack(["up"]).run().code();
    assert!([1, 2, 3].contains(&code), "up exits with {code}");
    project.finish();
}

#[test]
fn data_behind_a_link_of_the_repository_is_not_taken_over() {
    let project = TestProject::with_config("[services.web]\npreset = \"redis\"\n");
    let precious = project.outside("precious");
    fs::create_dir_all(precious.join("old")).expect("it is ours");
    let state = project.path(".devstack");
    fs::create_dir(&state).expect("it is ours");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).expect("it is ours");
    std::os::unix::fs::symlink(&precious, state.join("data")).expect("it is ours");
    project.write(".devstack/data.json", "{\"version\": 1, \"data\": {\"old\": \"redis\"}}");
    project.devstack(["up"]).run().expect_code(1);
    assert!(precious.join("old").exists() && !precious.join("web").exists());
    project.finish();
}

#[test]
fn data_is_not_written_through_a_link_of_the_repository() {
    let project = TestProject::new();
    let write = |env: &str| {
        let command = "mkdir -p \"$DEVSTACK_DATA\"; echo sown > \"$DEVSTACK_DATA/seed\"";
        let text =
            format!("[services.seed]\nkind = \"task\"\ncommand = '{command}'\nenv = {{ {env} }}\n");
        project.configure(&text);
    };
    let precious = project.outside("precious");
    fs::create_dir_all(precious.join("seed")).expect("it is ours");
    let data = project.path(".devstack/data");
    let link = |to: &std::path::Path| {
        let state = project.path(".devstack");
        let _ = fs::remove_dir_all(&state);
        fs::create_dir(&state).expect("it is ours");
        fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).expect("it is ours");
        std::os::unix::fs::symlink(to, &data).expect("it is ours");
    };
    write("DEVSTACK_DATA = '${stack.dir}/.devstack/data/seed'");
    link(&precious);
    let said = format!("{} is a link to {}", data.display(), precious.display());
    let ended = project.devstack(["up"]).run().expect_code(1);
    assert!((ended.stdout.clone() + &ended.stderr).contains(&said), "{ended:?}");
    assert!(!precious.join("seed/seed").exists());
    // What the file names is used, wherever it leads.
    let named = precious.join("named");
    std::os::unix::fs::symlink(precious.join("seed"), &named).expect("it is ours");
    write(&format!("DEVSTACK_DATA = '{}'", named.display()));
    project.devstack(["up"]).run().expect_code(0);
    assert_eq!(fs::read_to_string(precious.join("seed/seed")).expect("it is there"), "sown\n");
    project.finish();
}

/// Writes to the clipboard, clears the screen in two ways, and turns the direction of text.
const HOSTILE: &str = "\u{1b}]52;c;eA==\u{7}\u{1b}[2J\u{9b}2J\u{202e}\u{2066}";

/// A stack whose texts all contain [`HOSTILE`], as its output does.
fn hostile_config() -> String {
    let escaped = escaped();
    format!(
        "[services.api]\ncommand = [\"sh\", \"-c\", \"echo '{escaped}'; while sleep 60; do :; done\", \"{escaped}\"]\nport = \"auto\"\nready = {{ delay = \"0s\" }}\n\
         description = \"{escaped}\"\nactions.seed = {{ command = \"printf '{escaped}'\", help = \"{escaped}\" }}\nenv = {{ A = \"{escaped}\", \"B\\u001b[2J\\u009b\" = \"1\" }}\nwatch = [\"\\u001b\\u009b2J\\u202e*\"]\n"
    )
}

/// [`HOSTILE`] as TOML writes it.
fn escaped() -> String {
    HOSTILE.chars().map(|c| format!("\\u{:04x}", c as u32)).collect()
}

/// What reaches a terminal or a file has only line ends, and colors if wanted.
#[track_caller]
fn assert_clean(what: &str, text: &str, terminal: bool) {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_control() || "\u{202e}\u{2066}".contains(c)) {
        rest = &rest[at..];
        let color = rest.strip_prefix("\x1b[").filter(|_| terminal);
        let color =
            color.map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
        rest = match color.and_then(|rest| rest.strip_prefix('m')) {
            Some(after) => after,
            None if rest.starts_with(['\n', '\t']) => &rest[1..],
            // The end of a line on a terminal, or what hides an echoed `^C`.
            None if terminal && rest.starts_with('\r') => &rest[1..],
            None => panic!("{what}: {:?} in {text:?}", rest.chars().next()),
        };
    }
}

#[test]
fn no_text_of_a_repository_controls_the_terminal() {
    let project = TestProject::new();
    let dir = project.path(format!("w{HOSTILE}"));
    fs::create_dir_all(&dir).expect("it is ours");
    let escaped = escaped();
    let check = |text: &str, terminal: bool| {
        fs::write(dir.join("devstack.toml"), text).expect("it is ours");
        let command = project.devstack(["check"]).dir(&dir);
        let command = if terminal { command.terminal(40, 120) } else { command };
        let ended = command.run().expect_code(2);
        assert_clean(text, &(ended.stdout + &ended.stderr), terminal);
    };
    for terminal in [false, true] {
        check(&format!("[services.api]\ncommand = 'x'\n\"portt{escaped}\" = 1"), terminal);
        check(&format!("[services.api]\ncommand = 'x'\nport = \"{escaped}\""), terminal);
        check("[services.api]\ncommand = 'x' # \u{9b}2J\u{202e}\nprot = 1", terminal);
        check(&format!("[services.\"{escaped}\"]\ncommand = 'x'"), terminal);
        check(&format!("[services.api]\ncommand = 'x'\ndepends_on = [\"{escaped}\"]"), terminal);
        check(&format!("[services.api]\ncommand = 'x'\nenv_file = \"{escaped}\""), terminal);
        check(&format!("[services.api]\ncommand = 'x'\ndir = \"{escaped}/x\""), terminal);
    }
    let text = hostile_config();
    fs::write(dir.join("devstack.toml"), text).expect("it is ours");
    let up = project.devstack(["up", "-d"]).dir(&dir).run();
    let up = up.expect_code(0);
    assert_clean("up -d", &(up.stdout + &up.stderr), false);
    for terminal in [false, true] {
        for command in [
            "check",
            "plan",
            "ps",
            "ps --json",
            "ps --all",
            "ps --all --json",
            "why api",
            "why api --json",
            "ports",
            "ports --json",
            "doctor",
            "doctor --json",
            "env api --explain",
            "env api --json",
            "open api --json",
            "wait",
            "up",
            "restart api",
            "export vscode --dry-run",
            "export compose",
            "export kubernetes",
            "export systemd",
            "export procfile",
            "changes",
            "changes --json",
            "do",
            "do --json",
            "do api seed --json",
            "do api nothing",
            "requests",
            "requests --json",
            "proxy",
            "proxy --json",
            "front",
            "front --json",
            "trust --dry-run",
            "data list",
            "data list --json",
            "agents init --dry-run",
            "init",
        ] {
            if terminal && command == "up" {
                continue;
            }
            let run = project.devstack(command.split(' ')).dir(&dir);
            let run = if terminal { run.terminal(40, 120) } else { run };
            let ended = run.run();
            assert_clean(command, &(ended.stdout + &ended.stderr), terminal);
        }
    }
    // What a shell makes of `*` is an argument.
    for words in [
        ["ports", HOSTILE],
        ["data", HOSTILE],
        [HOSTILE, "up"],
        ["completions", HOSTILE],
        ["why", HOSTILE],
        ["presets", HOSTILE],
        ["-f", HOSTILE],
        ["trust", HOSTILE],
    ] {
        for terminal in [false, true] {
            let run = project.devstack(words).dir(&dir);
            let run = if terminal { run.terminal(40, 120) } else { run };
            let ended = run.run();
            assert_ne!(ended.code(), 0, "{words:?}: {ended:?}");
            assert_clean(words[0], &(ended.stdout + &ended.stderr), terminal);
        }
    }
    for command in ["logs", "logs --json", "env api", "do api seed"] {
        let shown = project.devstack(command.split(' ')).dir(&dir).terminal(40, 120).run();
        assert_clean(command, &shown.stdout, true);
    }
    let exact = project.devstack(["do", "api", "seed"]).dir(&dir).run().expect_code(0);
    assert_eq!(exact.stdout, HOSTILE, "and what an action prints");
    let exact = project.devstack(["env", "api", "--format", "shell"]).dir(&dir).run();
    assert!(exact.stdout.contains(HOSTILE), "a pipe gets exact values: {exact:?}");
    let logs = project.devstack(["logs", "--no-prefix"]).dir(&dir).run();
    assert!(logs.stdout.contains(HOSTILE), "and exact lines: {logs:?}");
    let down = project.devstack(["down"]).dir(&dir).run().expect_code(0);
    assert_clean("down", &(down.stdout + &down.stderr), false);
    project.finish();
}
