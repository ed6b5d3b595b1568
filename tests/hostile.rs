//! Places that are hostile to devstack itself: small limits, full disks, containers.

use crate::support::{TestProject, free_port, require, user_namespaces};

/// A stack that ends on its own.
const TASK: &str =
    "[services.seed]\nkind = \"task\"\ncommand = [\"{misbehave}\", \"say\", \"sown\"]\n";

/// A shell that does `script`, in which `"$0"` is devstack.
fn in_shell(project: &TestProject, script: &str) -> crate::support::CommandOutput {
    let program = env!("CARGO_BIN_EXE_devstack");
    project.program("/bin/sh").args(["-c", script, program]).run()
}

#[test]
fn too_few_descriptors_are_an_error_and_no_panic() {
    let project = TestProject::with_config(TASK);
    for count in 4..40 {
        for command in ["up", "ps", "ports"] {
            let ended = in_shell(&project, &format!("ulimit -n {count}; exec \"$0\" {command}"));
            let (code, text) = (ended.code(), &ended.stderr);
            assert!([0, 1, 3].contains(&code), "{command} with {count}: {code} {text}");
            assert!(!text.contains("panicked"), "{command} with {count}: {text}");
        }
    }
    project.finish();
}

#[test]
fn a_limit_too_low_for_devstack_itself_is_refused_before_anything_starts() {
    let project = TestProject::with_config(TASK);
    for (command, refused) in
        [("up", 1), ("up --output json", 1), ("up -d", 1), ("run -- true", 120)]
    {
        let ended = in_shell(&project, &format!("ulimit -n 20; exec \"$0\" {command}"));
        let ended = ended.expect_code(refused);
        let text = "the open file limit is 20; devstack needs at least 40";
        assert!(ended.stderr.contains(text), "{command}: {ended:?}");
        assert!(ended.stderr.contains("ulimit -n 10240"), "{command}: {ended:?}");
        assert_eq!(ended.stdout, "");
        let class = "\"class\":\"limit\"";
        assert_eq!(
            ended.stderr.replace(' ', "").contains(class),
            command.contains("json"),
            "{ended:?}"
        );
        assert!(!project.path(".devstack").exists());
    }
    in_shell(&project, "ulimit -n 40; exec \"$0\" up").expect_code(0);
    project.finish();
}

#[test]
fn its_files_are_for_this_user_only_whatever_the_umask() {
    let project = TestProject::new();
    let port = free_port();
    project.write(
        "devstack.toml",
        &format!("[services.web]\ncommand = [\"{{misbehave}}\", \"listen\"]\nport = {port}\n"),
    );
    in_shell(&project, "umask 0; exec \"$0\" up -d").expect_code(0);
    let mut names = Vec::new();
    let mut dirs = vec![project.path(".devstack"), project.outside("run")];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).expect("it is ours") {
            let entry = entry.expect("it is ours");
            let about = entry.metadata().expect("it is there");
            let mode = std::os::unix::fs::PermissionsExt::mode(&about.permissions());
            assert_eq!(mode & 0o077, 0, "{:o} {:?}", mode, entry.path());
            names.push(entry.file_name());
            if about.is_dir() {
                dirs.push(entry.path());
            }
        }
    }
    for name in ["runs.json", "ports.json", "lock", "web.log"] {
        assert!(names.iter().any(|other| other == name), "{name} in {names:?}");
    }
    project.devstack(["down"]).run().expect_code(0);
    project.finish();
}

#[test]
fn a_full_disk_behind_stdout_is_reported() {
    let there = std::path::Path::new("/dev/full").exists();
    if !require("/dev/full", there) {
        return;
    }
    let project =
        TestProject::with_config("[services.api]\ncommand = [\"{misbehave}\", \"run\"]\n");
    for command in ["up", "check", "check --json", "ports 1", "ports --json 1"] {
        let ended = in_shell(&project, &format!("exec \"$0\" {command} > /dev/full"));
        let (code, text) = (ended.code(), &ended.stderr);
        assert_eq!(code, 1, "{command}: {text}");
        assert!(text.contains("error: cannot write output: No space left"), "{command}: {text}");
    }
    project.finish();
}

#[test]
fn a_limit_on_the_size_of_files_stops_nothing_and_services_have_the_usual_signals() {
    let project = TestProject::with_config(
        r#"
        [services.facts]
        kind = "task"
        command = ["{misbehave}", "sigmask"]
        [services.flood]
        kind = "task"
        command = ["{misbehave}", "flood", "--lines", "20000", "--len", "70"]
        "#,
    );
    // In blocks of 512 or 1,024 bytes: far less than the flood.
    let ended = in_shell(&project, "ulimit -f 64; exec \"$0\" up").expect_code(0);
    let count = |text: &str| ended.stdout.lines().filter(|line| line.contains(text)).count();
    assert_eq!(count("flood | "), 20_000);
    assert_eq!(
        count("File too large (os error 27); keeping recent lines in memory"),
        1,
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("facts | ignored\n"), "{}", ended.stdout);
    assert!(ended.stdout.contains("facts | caught\n"), "{}", ended.stdout);
    let script = "ulimit -f 64; exec \"$0\" run -- \"$1\" sigmask";
    let program = env!("CARGO_BIN_EXE_devstack");
    let misbehave = crate::support::misbehave().to_str().expect("a plain path");
    let run = project.program("/bin/sh").args(["-c", script, program, misbehave]).run();
    assert!(run.expect_code(0).stdout.contains("ignored\ncaught\n"));
    // A full output is reported like any other.
    let ended = in_shell(&project, "ulimit -f 0; exec \"$0\" check > full");
    assert_eq!(ended.code(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("File too large"), "{}", ended.stderr);
    project.finish();
}

/// As a program that is put into a container: its group, its session and its parent have no number there.
#[test]
fn a_group_from_outside_the_namespace_does_no_harm() {
    if !require("user namespaces", user_namespaces()) {
        return;
    }
    let project =
        TestProject::with_config("[services.api]\ncommand = [\"{misbehave}\", \"run\"]\n");
    let enter = ["-Urpf", "--mount-proc", env!("CARGO_BIN_EXE_devstack")];
    let command = ["run", "--", "sh", "-c", "exit 7"];
    project.program("unshare").args(enter).args(command).run().expect_code(7);
    project.finish();
}

#[test]
fn every_command_heeds_the_file_it_is_given() {
    let project = TestProject::new();
    let port = free_port();
    let file = project.write(
        "deep/devstack.toml",
        &format!("[services.api]\ncommand = [\"{{misbehave}}\", \"listen\"]\nport = {port}\n"),
    );
    let file = file.to_str().expect("a plain path");
    let up = project.devstack(["-f", file, "up"]).start();
    up.wait_for("is up");
    for command in [&["ps"][..], &["ports"], &["logs"], &["check"], &["down"]] {
        let ended = project.devstack(["-f", file]).args(command).run().expect_code(0);
        if command == ["ports"] {
            assert!(ended.stdout.contains(&port.to_string()), "{}", ended.stdout);
        }
    }
    up.wait_exit();
    project.finish();
}
