//! A stack of several files: `include`, and tables for one operating system.

use crate::support::{EditedStack, TestProject, idler, service};

const MAIN: &str = "include = [{ path = '../billing', as = 'billing' }]\n";

#[test]
fn an_edit_of_an_included_file_applies_live() {
    let project = TestProject::new();
    let billing = |env: &str| idler("bank", &format!("env = {{ LEVEL = '{env}' }}"));
    project.write("../billing/devstack.toml", &(billing("one") + &idler("db", "")));
    let stack = EditedStack::start(
        project,
        &(MAIN.to_owned() + &idler("web", "depends_on = ['billing-db']")),
    );
    let before = stack.pids();
    let names: Vec<&str> = before.keys().map(String::as_str).collect();
    assert_eq!(names, ["billing-bank", "billing-db", "web"]);

    let plan = stack.save("../billing/devstack.toml", &(billing("two") + &idler("db", "")));
    assert_eq!(plan, ["billing-bank restart: env changed: LEVEL"]);
    let after = stack.pids();
    assert_eq!((after["billing-db"], after["web"]), (before["billing-db"], before["web"]));
    assert_ne!(after["billing-bank"], before["billing-bank"]);

    // A mistake there changes nothing and is shown with its place.
    let place = "billing/devstack.toml:1:1";
    stack.apply_without_effect("../billing/devstack.toml", "nonsense = 1\n", &[place]);
    assert_eq!(stack.pids(), after);
    stack.end();
}

#[test]
fn check_names_both_files_of_a_conflict() {
    let project = TestProject::new();
    project.write("../billing/devstack.toml", &idler("web", ""));
    project.configure(&("include = ['../billing']\n".to_owned() + &idler("web", "")));
    let stderr = project.devstack(["check"]).run().expect_code(2).stderr;
    for text in [
        "service `web` is defined in `devstack.toml` and ",
        "billing/devstack.toml",
        "help: include one of these files with a prefix",
    ] {
        assert!(stderr.contains(text), "{stderr}");
    }
    project.finish();
}

#[test]
fn the_table_of_this_system_applies() {
    let project = TestProject::new();
    let (here, there) =
        if cfg!(target_os = "macos") { ("macos", "linux") } else { ("linux", "macos") };
    let text = format!(
        "{}{here} = {{ env = {{ ON = 'here' }} }}\n{there} = {{ env = {{ ON = 'there' }} }}\n",
        idler("api", "")
    );
    project.configure(&text);
    let shown = project.devstack(["env", "api"]).run().expect_code(0).stdout;
    assert!(shown.contains("ON=here"), "{shown}");
    let text = text.replace("{ ON = 'there' }", "3");
    project.configure(&text);
    let stderr = project.devstack(["check"]).run().expect_code(2).stderr;
    assert!(stderr.contains("expected a table for `env`, found an integer"), "{stderr}");
    project.finish();
}

#[test]
fn services_of_included_files_are_ordinary() {
    let project = TestProject::new();
    project.write("../billing/devstack.toml", &idler("bank", ""));
    let stack = EditedStack::start(project, MAIN);
    assert_eq!(service(&stack.project.ps(), "billing-bank")["phase"], "ready");
    stack.project.devstack(["restart", "billing-bank"]).run().expect_code(0);
    stack.end();
}
