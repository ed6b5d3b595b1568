//! `devstack open` and `up --open`: the page of a service, in a browser that writes down what it was given.

use std::os::unix::fs::PermissionsExt;

use crate::support::{
    CommandOutput, TestCommand, TestProject, eventually, free_port, kill_processes, service,
};

/// A project with a browser, and the port of its page.
fn project() -> (TestProject, u16) {
    let project = TestProject::new();
    let file = project.path("opened").display().to_string();
    let browser = project.write("browser.sh", &format!("#!/bin/sh\necho \"$@\" >> '{file}'\n"));
    std::fs::set_permissions(browser, std::fs::Permissions::from_mode(0o755)).expect("ours");
    (project, free_port())
}

fn with_browser(project: &TestProject, launch: TestCommand) -> TestCommand {
    launch.env("BROWSER", project.path("browser.sh"))
}

fn open(project: &TestProject, args: &[&str]) -> CommandOutput {
    with_browser(project, project.devstack(["open"].iter().chain(args))).run()
}

fn stack(port: u16, more: &str) -> String {
    format!(
        r#"
[services.db]
command = ["{{misbehave}}", "run"]
[services.web]
command = ["{{misbehave}}", "listen", "--http"]
port = {port}
primary = true
{more}
[services.cache]
command = ["{{misbehave}}", "listen"]
port = "auto"
preset = "redis"
autostart = false
[services.broken]
command = "exit 3"
restart = "no"
autostart = false
"#
    )
}

#[test]
fn the_primary_service_is_opened() {
    let (project, port) = project();
    project.configure(&stack(port, ""));
    open(&project, &[]).expect_code(3);
    let up = project.up();
    assert_eq!(project.ps()["primary"], "web");
    let url = format!("http://127.0.0.1:{port}");
    assert_eq!(open(&project, &[]).expect_code(0).stdout, format!("{url}\n"));
    let json = open(&project, &["web", "--json"]).expect_code(0);
    assert_eq!(json.stdout, format!("{{\"service\":\"web\",\"url\":\"{url}\"}}\n"));
    assert_eq!(project.read("opened"), format!("{url}\n{url}\n"));

    // What the browser says is not what the command says.
    let chatty = project.devstack(["open", "--json"]).env("BROWSER", "echo tab").run();
    let chatty = chatty.expect_code(0);
    assert_eq!((chatty.stdout, chatty.stderr), (json.stdout, format!("tab {url}\n")));
    // What the browser ends with is what this ends with.
    let failing = project.devstack(["open"]).env("BROWSER", "false").run().expect_code(1);
    assert_eq!(failing.stdout, format!("{url}\n"));
    let without = project.devstack(["open"]).run().expect_code(1);
    assert_eq!(without.stdout, format!("{url}\n"), "it is told all the same");
    assert!(without.stderr.contains("or set BROWSER"), "{}", without.stderr);

    for (service, code, text) in [
        ("wbe", 3, "did you mean `web`?"),
        ("db", 1, "db has no web page"),
        ("cache", 1, "run `devstack start cache`"),
    ] {
        let refused = open(&project, &[service]).expect_code(code);
        assert!(refused.stderr.contains(text), "{}", refused.stderr);
        assert_eq!(refused.stdout, "");
    }
    project.devstack(["start", "broken"]).run();
    project.wait_ps(|ps| service(ps, "broken")["phase"] == "failed");
    let failed = open(&project, &["broken"]).expect_code(1);
    assert!(failed.stderr.contains("broken failed: "), "{}", failed.stderr);
    assert_eq!(project.read("opened").lines().count(), 2);
    project.end(&up);
}

#[test]
fn one_that_is_not_ready_yet_is_waited_for() {
    let (project, port) = project();
    let more = format!("ready = {{ exec = 'test -e {}' }}", project.path("go").display());
    project.configure(&stack(port, &more));
    let up = project.devstack(["up"]).start();
    project.wait_ps(|ps| service(ps, "web")["phase"] == "starting");
    let opening = with_browser(&project, project.devstack(["open"])).start();
    opening.wait_for("waiting for web: ");
    assert!(!project.path("opened").exists());
    project.write("go", "");
    assert_eq!(opening.wait_code(), 0);
    assert_eq!(project.read("opened"), format!("http://127.0.0.1:{port}\n"));
    project.end(&up);
}

/// Waits until the browser has been started, and gives the URL.
fn opened(project: &TestProject) -> String {
    eventually("the browser to be started", || {
        let text = std::fs::read_to_string(project.path("opened")).ok()?;
        text.ends_with('\n').then_some(text)
    })
}

#[test]
fn up_opens_it_when_all_is_ready() {
    for words in [&["up", "--open"][..], &["up", "-d", "--open"]] {
        let (project, port) = project();
        project.configure(&stack(port, ""));
        let up = with_browser(&project, project.devstack(words)).start();
        let url = format!("http://127.0.0.1:{port}");
        up.wait_for(&format!("opening {url}"));
        assert_eq!(opened(&project), format!("{url}\n"));
        project.devstack(["down"]).run().expect_code(0);
        up.wait_exit();
        project.finish();
    }
}

#[test]
fn without_a_browser_up_says_so() {
    let (project, port) = project();
    project.configure(&stack(port, ""));
    let up = project.devstack(["up", "--open"]).start();
    up.wait_for(&format!(
        "no browser found for http://127.0.0.1:{port}: open it on a machine with a browser"
    ));
    up.end();
    project.configure("[services.db]\ncommand = ['{misbehave}', 'run']\n");
    let up = with_browser(&project, project.devstack(["up", "--open"])).start();
    up.wait_for("cannot open a page: no service of app has a port");
    project.end(&up);
}

#[test]
fn a_browser_outlives_the_stack_that_opened_it() {
    let (project, port) = project();
    let script = "#!/bin/sh\nsleep 1000 &\necho $! > pid.new; mv pid.new opened\n";
    let browser = project.write("browser.sh", script);
    std::fs::set_permissions(browser, std::fs::Permissions::from_mode(0o755)).expect("ours");
    project.configure(&stack(port, ""));
    let up = with_browser(&project, project.devstack(["up", "--open"])).start();
    up.wait_for("is up");
    let pid: u32 = opened(&project).trim().parse().expect("a pid");
    up.end();
    let alive: Vec<u32> = project.alive().iter().map(|process| process.pid).collect();
    assert!(alive.contains(&pid), "{pid} in {alive:?}");
    kill_processes(&[pid]);
    project.finish();
}
