//! Tables of services for one operating system.

use super::*;
use crate::config::check::host_system::HostSystem;

/// The key of this system, and that of another one.
const KEYS: [&str; 2] = match HostSystem::THIS {
    HostSystem::Macos => ["macos", "linux"],
    HostSystem::Linux | HostSystem::Windows => ["linux", "macos"],
};

/// A file in which `HERE` and `THERE` stand for the keys.
fn project(text: &str) -> Project {
    let [here, there] = KEYS;
    Project::new(&text.replace("THERE", there).replace("HERE", here))
}

#[test]
fn the_table_of_this_system_goes_over_the_rest() {
    let stack = project(
        r#"
        [services.api]
        command = "serve"
        port = 5000
        env = { A = "all", B = "all" }
        [services.api.HERE]
        command = "serve --here"
        env = { B = "here" }
        [services.api.THERE]
        command = "serve --there"
        env = { C = "there" }
        [services.only]
        HERE = { command = "only" }
        "#,
    )
    .stack();
    let launch = &stack.services[&name("api")].launch;
    assert_eq!(launch.command, CommandLine::Shell("serve --here".to_owned()));
    assert_eq!((&launch.env["A"], &launch.env["B"]), ("all", "here"));
    assert!(!launch.env.contains("C"));
    assert_eq!(stack.services.len(), 2);
}

#[test]
fn a_local_file_goes_over_all_tables_of_the_main_file() {
    let text = "[services.api]\ncommand = 'a'\nHERE = { command = 'b', host = '::1' }\n";
    let project = project(text).file("devstack.local.toml", "[services.api]\ncommand = 'c'\n");
    let launch = project.stack().services[&name("api")].launch.clone();
    assert_eq!(launch.command, CommandLine::Shell("c".to_owned()));
    assert_eq!(launch.host, "::1");
}

#[test]
fn mistakes_for_other_systems_are_found_here() {
    let [_, there] = KEYS;
    let system = if there == "macos" { "macOS" } else { "Linux" };
    let text = r#"
[services.db]
replicas = 2
command = "db"
THERE = { replicas = 3 }
[services.api]
HERE = { command = "a" }
[services.api.THERE]
prot = 5000
env = { A = [] }
depends_on = ["db-3", "nothing"]
"#;
    let mistakes = project(text).mistakes();
    assert_eq!(
        mistakes,
        [
            format!("devstack.toml:6:11: service `api` has no `command` on {system}"),
            "devstack.toml:9:1: unknown key `prot` in a service".to_owned(),
            "devstack.toml:10:13: expected a string for `A`, found an array".to_owned(),
            "devstack.toml:11:23: unknown service `nothing`".to_owned(),
        ]
    );
}

#[test]
fn a_cycle_of_another_system_is_found_on_this_one() {
    let text = r#"
[services.api]
command = "a"
depends_on = ["db"]
[services.db]
command = "d"
THERE = { depends_on = ["api"] }
"#;
    let system = if cfg!(target_os = "macos") { "Linux" } else { "macOS" };
    let expected = format!("devstack.toml:4:15: dependency cycle on {system}: api → db → api");
    assert_eq!(project(text).mistakes(), [expected]);
}

#[test]
fn a_mistake_outside_of_the_tables_is_reported_once() {
    let text = "[services.api]\ncommand = 1\nHERE = {}\nTHERE = { host = 'x' }\nwindows = 3\n";
    let mistakes = project(text).mistakes();
    let [_, there] = KEYS;
    let column = there.len() + 13;
    assert_eq!(
        mistakes,
        [
            "devstack.toml:2:11: expected a string or an array of strings for `command`, found an integer"
                .to_owned(),
            format!("devstack.toml:4:{column}: invalid address `x`"),
            "devstack.toml:5:11: expected a table for `windows`, found an integer".to_owned(),
        ]
    );
}

#[test]
fn tables_of_systems_do_not_nest() {
    let project = project("[services.api]\ncommand = 'a'\nHERE = { THERE = { port = 1 } }\n");
    let [here, there] = KEYS;
    let column = here.len() + 6;
    let expected = format!("devstack.toml:3:{column}: unknown key `{there}` in a service");
    assert_eq!(project.mistakes(), [expected]);
}
