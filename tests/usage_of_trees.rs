//! CPU and memory of services: of whole trees, and only on request.

use serde_json::Value;

use crate::support::{TestProject, http_socket, service};

/// So much is held by a process that hides from its parents.
const HIDDEN: u64 = 64_000_000;

fn up(project: &TestProject) -> crate::support::RunningProgram {
    let text = format!(
        r#"
[services.idle]
command = ["{{misbehave}}", "run"]
[services.busy]
command = "while :; do :; done & exec {{misbehave}} run"
[services.large]
command = '''
({{ head -c {HIDDEN} /dev/zero; exec sleep 1000; }} | setsid tail -c {HIDDEN} > /dev/null &)
exec {{misbehave}} run'''
[services.off]
command = ["{{misbehave}}", "run"]
autostart = false
"#
    );
    project.configure(&text);
    project.up()
}

fn cpu(ps: &Value, name: &str) -> Option<f64> {
    service(ps, name)["cpu_percent"].as_f64()
}

fn memory(ps: &Value, name: &str) -> Option<u64> {
    service(ps, name)["memory_bytes"].as_u64()
}

#[test]
fn all_processes_of_a_service_count_wherever_they_hide() {
    let project = TestProject::new();
    let up = up(&project);
    // The share since the last look: nothing of what the start took.
    let ps = project.wait_ps(|ps| {
        cpu(ps, "idle") == Some(0.0)
            && cpu(ps, "busy").is_some_and(|cpu| cpu > 0.5)
            && memory(ps, "large").is_some_and(|memory| memory > HIDDEN)
    });
    assert!((1..HIDDEN).contains(&memory(&ps, "idle").expect("it runs")), "{ps}");
    assert_eq!((cpu(&ps, "off"), memory(&ps, "off")), (None, None), "it has no process");
    let table = project.devstack(["ps"]).run().expect_code(0).stdout;
    let head = table.lines().next().expect("a head");
    assert!(head.contains("CPU") && head.contains("MEMORY"), "{table}");

    project.devstack(["stop", "large"]).run().expect_code(0);
    let ps = project.ps();
    assert_eq!((cpu(&ps, "large"), memory(&ps, "large")), (None, None));
    project.end(&up);
}

#[test]
fn usage_costs_nothing_unless_requested() {
    let project = TestProject::new();
    let up = up(&project);
    let socket = project.socket();
    let ask = |path: &str| http_socket(&socket, "GET", path, "").expect("it answers");
    for (path, measured) in
        [("/v1/stack?usage=false", false), ("/v1/stack", true), ("/v1/stack?usage=true", true)]
    {
        let ps = ask(path).json();
        assert_eq!(memory(&ps, "idle").is_some(), measured, "{path}");
        assert_eq!(cpu(&ps, "idle").is_some(), measured, "{path}");
    }
    assert_eq!(ask("/v1/stack?x=1").status, 400);
    project.end(&up);
}
