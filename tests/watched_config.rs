//! A configuration file that a service also watches.

use crate::change::{end, save, starts, watching};
use crate::support::TestProject;

/// Each save of the env file must be one restart, with the new value.
#[track_caller]
fn each_save_is_one_restart(watch: &str) {
    let project = TestProject::new();
    project.write("src/.env", "TOKEN=1\n");
    watching(&project, &format!("env_file = \"src/.env\"\n{watch}"));
    let text = std::fs::read_to_string(project.path("devstack.toml")).expect("it is ours");
    let shell = r#"command = ["sh", "-c", "echo token is $TOKEN; exec \"$@\"", "sh", "#;
    project.configure(&text.replace("command = [", shell));
    let up = project.up();
    for number in 2..=4 {
        let here = up.here();
        save(&project, "src/.env", &format!("TOKEN={number}\n"));
        up.wait_since(here, &format!("api | token is {number}"));
        starts(&project, number);
    }
    // Any further restart would come before this one.
    save(&project, "src/app.py", "2");
    starts(&project, 5);
    end(project, &up, 5);
}

#[test]
fn a_save_of_a_watched_env_file_is_one_restart_with_its_new_values() {
    each_save_is_one_restart("watch = [\".env\", \"*.py\"]");
    each_save_is_one_restart("watch = { paths = [\".env\", \"*.py\"], settle = \"300ms\" }");
}

#[test]
fn a_watched_env_file_with_a_mistake_restarts_nothing() {
    let project = TestProject::new();
    project.write("src/.env", "TOKEN=1\n");
    watching(&project, "env_file = \"src/.env\"\nwatch = [\".env\", \"*.py\"]");
    let up = project.up();
    save(&project, "src/.env", "TOKEN=\"2\n");
    up.wait_for("not applied");
    // A restart for the mistake would come before this one.
    save(&project, "src/app.py", "2");
    starts(&project, 2);
    save(&project, "src/.env", "TOKEN=\"2\"\n");
    starts(&project, 3);
    end(project, &up, 3);
}

#[test]
fn the_summary_comes_when_what_failed_is_repaired() {
    let project = TestProject::new();
    let file = |code: u8| {
        format!(
            "[services.t]\nkind = \"task\"\ncommand = \"exit {code}\"\n\
             [services.w]\ncommand = [\"{{misbehave}}\", \"run\"]\ndepends_on = [\"t\"]\n"
        )
    };
    project.configure(&file(4));
    let up = project.devstack(["up"]).terminal(40, 120).start();
    up.wait_for("waiting for a change to the configuration");
    project.configure(&file(0));
    up.wait_for("is up");
    project.end(&up);
}

#[test]
fn a_service_that_rewrites_its_env_file_is_found_out() {
    let project = TestProject::new();
    project.write("src/.env", "TOKEN=1\n");
    watching(&project, "env_file = \"src/.env\"");
    let text = std::fs::read_to_string(project.path("devstack.toml")).expect("it is ours");
    let shell = r#"command = ["sh", "-c", "(sleep 2; echo TOKEN=$((TOKEN + 1)) > .env) & exec \"$@\"", "sh", "#;
    project.configure(&text.replace("command = [", shell));
    let up = project.devstack(["up"]).start();
    let said = up.wait_for("changes to the environment of api no longer restart it");
    assert!(said.contains("TOKEN changed "), "{said}");
    project.end(&up);
}
