//! `action.yml`: its shape, and its scripts run for real.

use std::path::Path;

use serde_json::Value;

use crate::support::{CommandOutput, TestCommand, TestProject, require, require_program};

/// The action, read by a real YAML parser; `None`: there is none on this machine.
fn action(project: &TestProject) -> Option<Value> {
    let python = require_program("python3")?;
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("action.yml");
    let read = project.program(python).args(["-c", script]).args([&file]).run();
    if read.stderr.contains("No module named 'yaml'") {
        require("PyYAML", false);
        return None;
    }
    Some(read.expect_code(0).json())
}

fn steps(action: &Value) -> &[Value] {
    action["runs"]["steps"].as_array().expect("steps")
}

/// The script of a step, as the runner starts it, with places of its own.
fn script(project: &TestProject, step: &Value) -> TestCommand {
    assert_eq!(step["shell"], "bash");
    let script = step["run"].as_str().expect("a script");
    let bash =
        project.program("bash").args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]);
    let bash = bash.env("RUNNER_TEMP", project.outside("tmp"));
    bash.env("GITHUB_PATH", project.path("path")).env("GITHUB_OUTPUT", project.path("outputs"))
}

#[test]
fn it_has_the_shape_of_a_composite_action() {
    let project = TestProject::new();
    let Some(action) = action(&project) else { return };
    assert_eq!(action["runs"]["using"], "composite");
    assert!(action["name"].is_string() && action["description"].is_string());
    let inputs = action["inputs"].as_object().expect("inputs");
    assert_eq!(inputs["command"]["required"], true);
    let mut used = Vec::new();
    for step in steps(&action) {
        let run = step["run"].as_str().unwrap_or_default();
        assert!(!run.contains("${{"), "an input could be code in this script: {run}");
        let text = step.to_string();
        let names = text.split("${{ inputs.").skip(1).filter_map(|rest| rest.split(' ').next());
        used.extend(names.map(str::to_owned));
    }
    for name in &used {
        assert!(inputs.contains_key(name), "{name}");
    }
    for (name, input) in inputs {
        assert!(used.contains(name), "{name} is used by no step");
        assert!(input["default"].is_string() || input["required"] == true, "{name}");
    }
    for output in action["outputs"].as_object().expect("outputs").values() {
        assert!(output["value"].as_str().is_some_and(|value| value.starts_with("${{ steps.run.")));
    }
    let last = steps(&action).last().expect("a step");
    assert_eq!(last["if"], "failure()");
    assert!(
        last["uses"].as_str().is_some_and(|uses| uses.starts_with("actions/upload-artifact@v"))
    );
    // `.devstack` begins with a dot.
    assert_eq!(last["with"]["include-hidden-files"], true);
    project.finish();
}

#[test]
fn its_scripts_install_an_archive_and_run_a_command() {
    let project = TestProject::new();
    let Some(action) = action(&project) else { return };
    let [install, run, _] = steps(&action) else { panic!("three steps") };
    // As packaging/archive.sh makes it.
    let pack =
        "mkdir devstack-1 && cp \"$0\" devstack-1/devstack && tar -czf archive.tar.gz devstack-1";
    let pack = project.program("sh").args(["-c", pack, env!("CARGO_BIN_EXE_devstack")]);
    pack.run().expect_code(0);
    let install = |sum: &str| -> CommandOutput {
        script(&project, install)
            .env("ARCHIVE", "archive.tar.gz")
            .env("SHA256", sum)
            .env("SOURCE", "")
            .run()
    };
    if require_program("openssl").is_some() {
        let refused = install("00").expect_code(1);
        assert!(refused.stderr.contains("wrong checksum: expected 00, found "), "{refused:?}");
    }
    install("").expect_code(0);
    let bin = project.read("path");
    assert_eq!(Path::new(bin.trim()), project.outside("tmp").join("devstack/bin"));

    project.configure("[services.web]\ncommand = ['{misbehave}', 'listen']\nport = 'auto'\n");
    let path = format!("{}:{}", bin.trim(), std::env::var("PATH").expect("a PATH"));
    let run = |command: &str| {
        let run = script(&project, run).env("PATH", &path).env("COMMAND", command);
        run.env("OPTIONS", "--ready-timeout 1m").run()
    };
    let passed = run("echo \"at $DEVSTACK_WEB_PORT\"; exit 0").expect_code(0);
    assert!(passed.stdout.starts_with("at "), "{passed:?}");
    run("exit 9").expect_code(9);
    let out = project.outside("tmp").join("devstack/out");
    let outputs = project.read("outputs");
    for (name, file) in [("result", "result.json"), ("junit", "junit.xml")] {
        assert!(outputs.contains(&format!("{name}={}\n", out.join(file).display())), "{outputs}");
        assert!(out.join(file).is_file());
    }
    assert!(out.join("timeline.svg").is_file());
    project.finish();
}
