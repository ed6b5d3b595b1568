//! `devstack init`: what it writes, and what it leaves alone.

use std::fs;

use rustix::process::Signal;

use crate::support::{TestProject, free_port, occupy};

#[test]
fn a_procfile_becomes_a_file_that_passes_the_check() {
    let project = TestProject::new();
    project.write("Procfile", "web: python3 -m http.server $PORT\nmy_worker: tail -f /dev/null\n");
    let init = project.devstack(["init"]).run().expect_code(0);
    let expected = "devstack.toml written from Procfile:\n  \
        web: python3 -m http.server $PORT (preset static)\n  \
        my-worker: tail -f /dev/null\nstart it with `devstack up`\n";
    assert_eq!(init.stdout, expected);
    let note =
        "note: Procfile:2: `my_worker`: is service `my-worker`: names have only a-z, 0-9 and `-`\n";
    assert_eq!(init.stderr, note);
    project.devstack(["check"]).run().expect_code(0);
    let before = project.read("devstack.toml");
    let again = project.devstack(["init"]).run().expect_code(2);
    assert!(again.stderr.contains("devstack.toml already exists"), "{}", again.stderr);
    project.write("Procfile", "web: tail -f /dev/null\n");
    let forced = project.devstack(["init", "--force", "--json"]).run().expect_code(0).json();
    assert_eq!(forced["backup"], "devstack.toml.bak");
    assert_eq!(project.read("devstack.toml.bak"), before);
    project.devstack(["init", "--force"]).run().expect_code(0);
    assert_eq!(project.read("devstack.toml.bak"), before, "the first backup stays");
    assert!(project.read("devstack.toml.bak2").contains("tail"));
    project.finish();
}

#[test]
fn nothing_is_written_if_something_is_wrong() {
    let project = TestProject::new();
    let fails = |args: &[&str], text: &str| {
        let failed = project.devstack(args).run().expect_code(2);
        assert!(
            failed.stderr.contains(text) && failed.stderr.contains("help:"),
            "{}",
            failed.stderr
        );
        let names = fs::read_dir(project.dir())
            .expect("the project")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        assert!(!names.into_iter().any(|name| name.contains("devstack.toml")), "{text}");
    };
    fails(&["init"], "nothing to start was found");
    fails(&["init", "--from", "absent.yaml"], "cannot read `absent.yaml`");
    fails(&["init", "--from", "x.txt"], "unknown kind of file");
    project.write("Procfile", "web\n");
    fails(&["init"], "Procfile:1:1");
    project.write("Procfile", "web: a\n");
    project.write(".env", "nonsense\n");
    fails(&["init"], ".env:1:1");
    project.finish();
}

#[test]
fn what_is_missing_is_noted_and_the_file_passes_the_check() {
    let project = TestProject::new();
    let files = [
        ("compose.yaml", "services: {a: {build: ./gone, command: x, env_file: gone.env}}"),
        (
            "process-compose.yaml",
            "env_file: [gone.env]\nprocesses: {a: {command: x, working_dir: gone}}",
        ),
        ("mprocs.yaml", "procs: {a: {shell: x, cwd: gone}}"),
    ];
    for (file, text) in files {
        project.write(file, text);
        let init = project.devstack(["init", "--force", "--from", file]).run().expect_code(0);
        let note =
            format!("note: {file}: services.a: `dir` is left out: no such directory: `gone`");
        assert!(init.stderr.contains(&note), "{}", init.stderr);
        let has_env = text.contains("env_file");
        let note = "the env file `gone.env` is missing, so it is optional";
        assert_eq!(init.stderr.contains(note), has_env, "{}", init.stderr);
        project.devstack(["check"]).run().expect_code(0);
    }
    project.write("compose.yaml", "services: {a: {build: ., command: x, env_file: directory}}");
    fs::create_dir(project.path("directory")).expect("writable");
    let init = project.devstack(["init", "--force", "--from", "compose.yaml"]).run();
    let note = "the env file `directory` is not carried over: it is not a regular file";
    assert!(init.expect_code(0).stderr.contains(note));
    project.finish();
}

#[test]
fn programs_of_a_virtual_environment_are_found_there() {
    let project = TestProject::new();
    project.write(".venv/bin/worker", "");
    let procfile = "job: worker --queue mail\nother: tail -f /dev/null\n";
    project.write("Procfile", procfile);
    project.devstack(["init"]).run().expect_code(0);
    let text = project.read("devstack.toml");
    assert!(text.contains("[services.job.env]\nPATH = \".venv/bin:"), "{text}");
    assert_eq!(text.matches("PATH = ").count(), 1, "{text}");
    project.devstack(["check"]).run().expect_code(0);
    project.finish();
}

#[test]
fn a_container_keeps_its_image_paths_and_programs() {
    let project = TestProject::new();
    project.write(".venv/bin/worker", "");
    project.write(
        "sub/compose.yaml",
        "services:\n  job: {image: 'shop:1', command: worker, ports: ['9000:80'], volumes: ['./conf:/conf:ro', 'data:/data']}\n  tool: {build: ../tool}\n",
    );
    let init = project.devstack(["init", "--from", "sub/compose.yaml"]).run().expect_code(0);
    assert!(init.stdout.contains("  job: image shop:1\n  tool: build ./tool\n"), "{}", init.stdout);
    let text = project.read("devstack.toml");
    for line in [
        "image = \"shop:1\"",
        "command = [\"worker\"]",
        "port = { prefer = 9000, inside = 80 }",
        "volumes = [\"./sub/conf:/conf:ro\", \"data:/data\"]",
        "build = \"./tool\"",
    ] {
        assert!(text.lines().any(|written| written == line), "{line} in {text}");
    }
    assert!(!text.contains("PATH"), "its programs are in the image: {text}");
    project.devstack(["check"]).run().expect_code(0);
    project.finish();
}

#[test]
fn the_paths_of_a_file_in_another_directory_stay_what_they_are() {
    let project = TestProject::new();
    project.write("sub/api/x", "");
    project.write("sub/own.env", "A=1\n");
    let compose = "services: {a: {build: ./api, command: x, env_file: own.env}}";
    project.write("sub/compose.yaml", compose);
    project.devstack(["init", "--from", "sub/compose.yaml"]).run().expect_code(0);
    let written = project.read("devstack.toml");
    assert!(written.contains("dir = \"sub/api\"\n"), "{written}");
    assert!(written.contains("env_file = [\"sub/own.env\"]\n"), "{written}");
    project.write("sub/Procfile", "web: x\n");
    let full = project.path("sub/Procfile");
    let full = full.to_str().expect("UTF-8");
    project.devstack(["init", "--force", "--from", full]).run().expect_code(0);
    assert!(project.read("devstack.toml").contains("dir = \"sub\"\n"));
    project.finish();
}

#[test]
fn the_error_without_a_file_names_what_init_would_read() {
    let project = TestProject::new();
    project.write("package.json", "{\"scripts\": {\"dev\": \"vite\"}}");
    let error = project.devstack(["up"]).run().expect_code(2);
    let help = "run `devstack init` to write one from package.json";
    assert!(error.stderr.contains(help), "{}", error.stderr);
    let init = project.devstack(["init"]).run().expect_code(0);
    assert!(init.stdout.contains("written from the files of this directory"), "{}", init.stdout);
    assert!(project.read("devstack.toml").contains("preset = \"vite\""));
    project.finish();
}

#[test]
fn a_trial_corrects_what_ignores_its_port() {
    let project = TestProject::new();
    let port = free_port();
    project.write("Procfile", &format!("web: exec {{misbehave}} listen --elsewhere {port}\n"));
    let tried = project.devstack(["init", "--try"]).run().expect_code(0);
    let corrected = format!("web ignores PORT and listens on {port}: set `port = {port}`");
    assert!(tried.stdout.contains(&corrected), "{}{}", tried.stdout, tried.stderr);
    assert!(tried.stdout.contains("web: ready in"), "{}", tried.stdout);
    assert!(project.read("devstack.toml").contains(&format!("port = {port}\n")));
    project.try_ps().expect_code(3);
    project.finish();
}

#[test]
fn a_trial_corrects_services_that_start_one_after_another() {
    let project = TestProject::new();
    let service = |name: &str, more: &str| {
        let (own, other) = (free_port(), free_port());
        format!(
            "  {name}:\n    build: .\n    command: {{misbehave}} listen --elsewhere {other}\n    \
            ports: [\"{own}:{own}\"]\n{more}"
        )
    };
    let first = service("first", "");
    let second = service("second", "    depends_on: [first]\n");
    project.write("compose.yaml", &format!("services:\n{first}{second}"));
    let tried = project.devstack(["init", "--try"]).run().expect_code(0);
    for name in ["first", "second"] {
        assert!(tried.stdout.contains(&format!("{name} ignores PORT")), "{}", tried.stdout);
        assert!(tried.stdout.contains(&format!("{name}: ready in")), "{}", tried.stdout);
    }
    project.finish();
}

#[test]
fn a_trial_says_who_has_a_busy_port() {
    let project = TestProject::new();
    let busy = occupy(free_port());
    project.write("Procfile", "web: exec {misbehave} listen --port $PORT\n");
    project.write(".env", &format!("PORT={}\n", busy.port()));
    let tried = project.devstack(["init", "--try"]).run().expect_code(0);
    let who = format!("port {} is in use by ", busy.port());
    let line = tried.stdout.lines().find(|line| line.contains(&who)).unwrap_or_default();
    assert!(line.contains(&format!("(pid {}:", std::process::id())), "{}", tried.stdout);
    project.finish();
}

#[test]
fn a_trial_does_not_touch_a_running_stack() {
    let project = TestProject::new();
    project.write("Procfile", "idle_worker: exec tail -f /dev/null\n");
    project.devstack(["up", "-d"]).run().expect_code(0);
    let before = project.ps();
    let refused = project.devstack(["init", "--try"]).run().expect_code(4);
    assert!(refused.stderr.contains("a stack is running in this directory"), "{refused:?}");
    assert!(refused.stderr.contains("`devstack down`"), "{refused:?}");
    assert!(!project.path("devstack.toml").exists());
    assert_eq!(project.ps()["supervisor_pid"], before["supervisor_pid"]);
    project.devstack(["init"]).run().expect_code(0);
    project.devstack(["down"]).run().expect_code(0);
    project.finish();
}

#[test]
fn a_trial_that_is_ended_by_a_signal_stops_its_stack() {
    let project = TestProject::new();
    project.write("Procfile", "web: exec tail -f /dev/null\n");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let trial = project.devstack(["init", "--try", "--force"]).start();
        project.wait_ps(|ps| !ps["services"][0]["pid"].is_null());
        assert!(trial.signal(signal));
        assert_eq!(trial.wait_code(), code);
        project.try_ps().expect_code(3);
    }
    project.finish();
}

#[test]
fn a_trial_ends_when_a_service_keeps_crashing() {
    let project = TestProject::new();
    project.write("Procfile", "web: echo the reason; exit 3\n");
    let tried = project.devstack(["init", "--try"]).run().expect_code(1);
    assert!(tried.stdout.contains("web: backoff: exit 3; attempt "), "{}", tried.stdout);
    assert!(tried.stderr.contains("run `devstack logs`"), "{}", tried.stderr);
    let logs = project.devstack(["logs", "web"]).run().expect_code(0).stdout;
    assert!(logs.contains("the reason"), "{logs}");
    project.finish();
}

#[test]
fn a_service_that_ends_at_once_with_success_does_not_work() {
    let project = TestProject::new();
    project.write("Procfile", "worker: exec tail -f /dev/null\nclock: exit 0\n");
    let tried = project.devstack(["init", "--try"]).run().expect_code(1);
    assert!(tried.stdout.contains("clock: done"), "{tried:?}");
    assert!(tried.stderr.contains("not everything got ready"), "{tried:?}");
    assert!(!tried.stdout.contains("everything works"), "{tried:?}");
    project.finish();
}

#[test]
fn a_trial_reports_what_does_not_get_ready() {
    let project = TestProject::new();
    project.write("Procfile", "web: exec /nowhere/program\n");
    let tried = project.devstack(["init", "--try"]).run().expect_code(1);
    assert!(tried.stdout.contains("web: failed"), "{}{}", tried.stdout, tried.stderr);
    assert!(tried.stderr.contains("not everything got ready"), "{}", tried.stderr);
    assert!(project.read("devstack.toml").contains("/nowhere/program"));
    project.finish();
}

#[test]
fn up_at_a_terminal_offers_to_write_the_file_and_starts_it() {
    let project = TestProject::new();
    project.write("mprocs.yaml", "procs:\n  one:\n    shell: exec tail -f /dev/null\n");
    let question = "no devstack.toml in this directory; write one from mprocs.yaml with one and start it? [Y/n]";
    let up = project.devstack(["up"]).terminal(24, 160).start();
    up.wait_for(question);
    up.write(b"n\n");
    assert_eq!(up.wait_code(), 2);
    assert!(!project.path("devstack.toml").exists());
    let up = project.devstack(["up"]).terminal(24, 160).start();
    up.wait_for(question);
    up.write(b"\n");
    up.wait_for("is up");
    assert!(project.read("devstack.toml").contains("[services.one]"));
    up.end();
    up.wait_closed();
    project.finish();
}
