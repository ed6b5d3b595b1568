use std::time::Duration;

use super::engine::{Engine, IMAGE, Kind, ok};
use crate::support::{
    RunningProgram, SeededRng, Signal, TestProject, children, env_number, eventually, guard,
    kill_all_at_once, kill_processes, service, wait_at_most,
};

/// A stack with one container that ignores TERM if `deaf`.
fn write(project: &TestProject, stack: &str, port: u16, deaf: bool) {
    let trap = if deaf { "trap \\\"\\\" TERM; " } else { "" };
    project.configure(&format!(
        "[stack]\nname = '{stack}'
            [services.web]\nimage = '{IMAGE}'\nport = {{ prefer = {port}, inside = 8080 }}
            stop = {{ grace = '300ms' }}\nrestart = {{ policy = 'on-failure', delay = '1ms' }}
            entrypoint = ['sh', '-c']
            command = [\"{trap}httpd -f -p 8080 -h /www & wait; while true; do sleep 1; done\"]"
    ));
}

fn start(engine: &Engine, project: &TestProject, stack: &str) -> RunningProgram {
    let up = engine.devstack(project, &["up"]).start();
    up.wait_for(&format!("{stack} is up"));
    up
}

pub fn a_stop_reaches_the_program_and_grace_ends_it(engine: &Engine) {
    let project = TestProject::new();
    let script = "trap 'echo got the signal; exit 3' TERM; httpd -f -p 8080 -h /www & wait";
    project.configure(&format!(
        "[stack]\nname = 'polite'
            [services.web]\nimage = '{IMAGE}'\nport = {{ prefer = 18210, inside = 8080 }}
            entrypoint = ['sh', '-c']\ncommand = [\"{script}\"]"
    ));
    let up = start(engine, &project, "polite");
    up.interrupt();
    up.wait_for("got the signal");
    assert_eq!(up.wait_code(), 130);
    engine.assert_clean("polite");
    write(&project, "deaf", 18211, true);
    let up = start(engine, &project, "deaf");
    up.interrupt();
    up.wait_for("did not stop within 300ms");
    assert_eq!(up.wait_code(), 130);
    engine.assert_clean("deaf");
    project.finish();
}

pub fn restarts_leave_nothing(engine: &Engine) {
    let project = TestProject::with_config(&format!(
        "[stack]\nname = 'again'
            [services.job]\nimage = '{IMAGE}'\ncommand = ['true']
            restart = {{ policy = 'always', delay = '1ms', max_delay = '1ms', max = 1000 }}"
    ));
    let up = engine.devstack(&project, &["up"]).start();
    // Fifty in `tests/run.sh`.
    let restarts = env_number("DEVSTACK_CONTAINER_RESTARTS").unwrap_or(8);
    let mut most = 0;
    eventually_long("so many runs", || {
        most = most.max(engine.containers("again").len());
        let ps = engine.devstack(&project, &["ps", "--json"]).run();
        let ps = (ps.code() == 0).then(|| ps.json())?;
        (service(&ps, "job")["restarts"].as_u64() >= Some(restarts)).then_some(())
    });
    assert!(most <= 1, "{most} at once");
    up.end();
    engine.assert_clean("again");
    project.finish();
}

/// Many starts of a container take longer than other waits.
#[track_caller]
fn eventually_long(what: &str, mut look: impl FnMut() -> Option<()>) {
    let mut seen = None;
    for _ in 0..4 {
        seen = crate::support::wait_at_most(crate::support::wait_limit(), &mut look);
        if seen.is_some() {
            break;
        }
    }
    seen.unwrap_or_else(|| panic!("waited for {what}"));
}

pub fn whatever_is_killed_nothing_is_left(engine: &Engine) {
    let project = TestProject::new();
    write(&project, "killed", 18220, true);
    // The program of the engine: the container goes on without it.
    let up = start(engine, &project, "killed");
    let program = children(guard(&up), engine.name());
    assert_eq!(program.len(), 1);
    let [before] = &engine.containers("killed")[..] else { panic!("one container") };
    let here = up.here();
    kill_processes(&program);
    up.wait_since(here, "web * ready in");
    let [after] = &engine.containers("killed")[..] else { panic!("one container") };
    assert_ne!(before, after);
    // The guard: the stack stops.
    kill_processes(&[guard(&up)]);
    assert_eq!(up.wait_code(), 1);
    engine.assert_clean("killed");
    // The supervisor: the guard cleans up.
    let up = start(engine, &project, "killed");
    up.kill9();
    engine.wait_until_clean("killed");
    project.assert_nothing_alive();
    // Both at once, and the program as well: the next start.
    let up = start(engine, &project, "killed");
    kill_all_at_once(&up);
    assert_eq!(engine.containers("killed").len(), 1);
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("removed leftover containers of an earlier devstack");
    up.wait_for("killed is up");
    assert_eq!(engine.containers("killed").len(), 1);
    project.sockets_must_go();
    up.signal(Signal::INT);
    assert_eq!(up.wait_code(), 130);
    engine.assert_clean("killed");
    project.finish();
}

pub fn the_next_command_removes_what_is_left(engine: &Engine) {
    let project = TestProject::new();
    write(&project, "swept", 18230, false);
    let up = start(engine, &project, "swept");
    kill_all_at_once(&up);
    let found = engine.devstack(&project, &["doctor"]).run();
    assert!(found.stdout.contains("containers of a killed devstack are still there"), "{found:?}");
    assert_eq!(engine.containers("swept").len(), 1, "doctor changes nothing");
    let down = ok(engine.devstack(&project, &["down"]));
    assert!(down.stdout.contains("removed leftover containers"), "{down:?}");
    engine.assert_clean("swept");
    eventually("the processes to end", || project.alive().is_empty().then_some(()));
    project.finish();
}

/// The engine goes on with what a killed program has asked for.
pub fn a_creation_under_way_is_found(engine: &Engine) {
    let project = TestProject::new();
    write(&project, "begun", 18240, false);
    let rounds = env_number("DEVSTACK_CONTAINER_KILLS").unwrap_or(4);
    let mut dice = SeededRng::new(17);
    let mut caught = 0;
    for round in 0..rounds {
        let up = engine.devstack(&project, &["up"]).start();
        eventually("the guard", || children(up.pid(), "ds-guard").first().copied());
        // Any moment from before the network is created to after the container runs.
        let moment = Duration::from_millis(dice.below(1000) as u64);
        let _ = wait_at_most(moment, || None::<()>);
        if round % 2 == 0 {
            // The guard must find it.
            up.kill9();
            eventually("the guard to end", || project.alive().is_empty().then_some(()));
        } else {
            kill_all_at_once(&up);
            eventually("the processes to end", || project.alive().is_empty().then_some(()));
            let down = engine.devstack(&project, &["down"]).run();
            assert!([0, 3].contains(&down.code()), "{down:?}");
            caught += usize::from(down.stdout.contains("begun-web"));
        }
        let left = (engine.containers("begun"), engine.networks("begun"));
        assert_eq!(left, (Vec::new(), Vec::new()), "round {round}, killed after {moment:?}");
    }
    println!("{caught} containers were left for `down`");
    // Nothing has appeared since.
    let up = start(engine, &project, "begun");
    assert_eq!(engine.containers("begun").len(), 1);
    assert_eq!(engine.networks("begun").len(), 1);
    up.end();
    engine.assert_clean("begun");
    project.finish();
}

/// One that a command started itself.
pub fn an_adopted_container_is_found_too(engine: &Engine) {
    let project = TestProject::new();
    let name = engine.name();
    let option = if engine.kind == Kind::Docker { "--host" } else { "--url" };
    let socket = engine.socket.display();
    // Its end removes nothing, so that only devstack can have.
    let run = format!("run --name byhand-{name} -p 127.0.0.1:$PORT:8080 {IMAGE}");
    project.configure(&format!(
        "[stack]\nname = 'byhand2'
            [services.web]\nport = 18250\nstop = {{ grace = '200ms' }}
            command = '{name} {option} unix://{socket} {run}'"
    ));
    let is_there = || {
        let all = engine.ask("/containers/json?all=true");
        let own = |one: &serde_json::Value| one["Names"][0] == format!("/byhand-{name}");
        all.as_array().expect("a list").iter().any(own)
    };
    let gone = || eventually("its container to be gone", || (!is_there()).then_some(()));
    // The supervisor: the guard removes it.
    start(engine, &project, "byhand2").kill9();
    gone();
    eventually("the guard to end", || project.alive().is_empty().then_some(()));
    // All at once: it goes on until the next command.
    let up = start(engine, &project, "byhand2");
    kill_all_at_once(&up);
    assert!(is_there());
    let down = ok(engine.devstack(&project, &["down"]));
    assert!(down.stdout.contains("removed leftover containers"), "{down:?}");
    assert!(!is_there());
    project.finish();
}
