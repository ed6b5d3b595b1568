//! Which services start by default.

use super::*;

/// A service without profiles, one for each of two profiles, and one for either.
const PROFILES: &str = "[services.api]\ncommand = 'a'\nprofiles = []\n[services.mail]\ncommand = 'm'\nprofiles = ['dev']\n[services.trace]\ncommand = 't'\nprofiles = ['ops']\nautostart = true\n[services.both]\ncommand = 'b'\nprofiles = ['dev', 'ops']\ndepends_on = ['api']\n[services.manual]\ncommand = 'c'\nprofiles = ['dev']\nautostart = false\n";

/// The names of the services that start by default.
#[track_caller]
fn starting(project: &Project) -> Vec<String> {
    let stack = project.stack();
    let starting = stack.services.values().filter(|service| service.autostart);
    starting.map(|service| service.name.to_string()).collect()
}

fn choosing(text: &str, profiles: &[&str]) -> Project {
    let profiles = profiles.iter().map(|&profile| profile.to_owned()).collect();
    Project::new(text).with(|sources| sources.overrides.profiles = profiles)
}

#[test]
fn a_service_with_profiles_starts_when_one_of_them_is_chosen() {
    assert_eq!(starting(&Project::new(PROFILES)), ["api"]);
    assert_eq!(starting(&choosing(PROFILES, &["dev"])), ["api", "both", "mail"]);
    assert_eq!(starting(&choosing(PROFILES, &["dev", "ops"])), ["api", "both", "mail", "trace"]);
    let from_environment = Project::new(PROFILES).env("DEVSTACK_PROFILES", " ops ,,");
    assert_eq!(starting(&from_environment), ["api", "both", "trace"]);
    let both = choosing(PROFILES, &["ops"]).env("DEVSTACK_PROFILES", "dev");
    assert_eq!(starting(&both), ["api", "both", "mail", "trace"]);
    assert_eq!(both.stack().services.len(), 5, "the others can be started by name");
}

#[test]
fn profiles_that_no_service_has_are_told() {
    let project = choosing(PROFILES, &["deb", "\u{1b}"]);
    assert_eq!(
        project.mistakes(),
        ["--profile: unknown profile `deb`", "--profile: unknown profile `\\u{1b}`",]
    );
    let error = load(&project.sources).expect_err("it has mistakes");
    let [first, second] = error.list() else { panic!("{error}") };
    assert_eq!(first.message().class, MessageClass::Usage);
    assert_eq!(first.message().help, "did you mean `dev`?");
    assert_eq!(second.message().help, "available profiles: `dev` or `ops`");
    let config = Project::new(PROFILES).env("DEVSTACK_PROFILES", "dev,of-another").draft();
    let [note] = config.notes() else { panic!("{:?}", config.notes()) };
    assert_eq!(note.text, "DEVSTACK_PROFILES: unknown profile `of-another`");
}

#[test]
fn what_starts_cannot_depend_on_what_was_not_chosen() {
    let text = format!("{PROFILES}depends_on = ['both']\n").replace("'dev']\nauto", "'x']\nauto");
    // `manual` does not start, so it may depend on any service.
    assert_eq!(starting(&Project::new(&text)), ["api"]);
    let text = format!("{PROFILES}[services.web]\ncommand = 'w'\ndepends_on = ['both']\n");
    let expected = "devstack.toml:21:15: `web` depends on `both`, which starts only with profile `dev` or `ops`";
    assert_eq!(Project::new(&text).mistakes(), [expected]);
    assert_eq!(starting(&choosing(&text, &["ops"])), ["api", "both", "trace", "web"]);
}
