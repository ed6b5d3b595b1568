//! Requests that only wait: answered or refused in the step that decides the condition.

use std::time::Duration;

use super::script::{Script, name, stack};
use crate::engine::service_state::{DesiredState, ServiceState};
use crate::model::Phase;

trace!(
    who_waits_for_all_is_answered_when_services_are_ready_and_tasks_done,
    Script::up("api: probe\nmigrate: task\nspare: manual")
        .run("1 wait up\n2 spawned 1; spawned 2\n3 held 1\n4 exited 2 0\n5 emptied 2\n6 wait up")
);

trace!(
    what_crashes_at_once_is_waited_for_until_it_fails,
    Script::up("api: policy=no\nweb: probe")
        .run("1 spawned 1; spawned 2; wait up\n2 held 2\n300 exited 1 1; emptied 1")
);

trace!(
    a_service_is_waited_for_through_its_dependencies_and_a_crash_loop,
    Script::up("db: probe\napi: needs db=ready, probe").run(
        "1 wait ready api\n2 spawned 1\n3 exited 1 1; emptied 1\n300 spawned 2\n301 held 2\n302 spawned 3\n303 exited 3 1; emptied 3\n700 spawned 4\n701 held 4"
    )
);

trace!(
    who_waits_for_what_fails_for_good_is_refused_at_once,
    Script::up("api: policy=no, probe\nweb: needs api=ready\nother: ").run(
        "1 wait ready api; wait ready web; wait up\n2 spawned 1; spawned 2\n4 exited 1 1; emptied 1\n5 wait ready api; wait ready web; wait stopped api web"
    )
);

trace!(
    a_wait_for_a_dependent_is_refused_with_the_root,
    Script::up("db: \napi: needs db=ready\nweb: needs api=ready")
        .run("1 wait ready web\n2 missing 1\n3 wait stopped web")
);

trace!(
    a_late_service_is_refused_and_so_is_who_waits_later,
    Script::up("api: probe").run(
        "1 spawned 1; wait up\n60001 tick\n60002 wait ready api\n60003 held 1\n60004 wait ready api"
    )
);

trace!(
    who_waits_for_one_that_nobody_starts_is_told_how,
    Script::up("api: \nspare: manual")
        .run("1 spawned 1\n2 wait ready spare; wait completed spare; wait stopped spare\n3 stop api\n4 wait ready api; wait stopped api\n5 exited 1 0; emptied 1\n6 wait up")
);

trace!(
    a_stop_answers_those_who_waited_for_the_start,
    Script::up("api: probe").run(
        "1 spawned 1; wait ready api; wait up; wait stopped\n2 stop api\n3 exited 1 0; emptied 1"
    )
);

trace!(
    done_is_completed_and_not_ready_unless_it_is_a_task,
    Script::up("api: \nmigrate: task").run(
        "1 spawned 1; spawned 2; wait completed api migrate\n2 exited 2 0; emptied 2\n3 exited 1 0; wait ready migrate\n4 emptied 1; wait ready api"
    )
);

trace!(
    a_task_that_ended_well_while_it_was_stopped_is_done_for_whoever_waits,
    Script::up("migrate: task\nother: ").run(
        "1 spawned 1; spawned 2\n2 exited 1 0\n3 stop migrate\n4 emptied 1\n5 wait ready migrate; wait completed migrate; wait up\n1002 tick"
    )
);

trace!(
    what_always_starts_again_never_completes,
    Script::up("api: policy=always").run("1 spawned 1; wait completed api; wait stopped api")
);

trace!(
    the_end_of_the_stack_answers_everybody,
    Script::up("db: \napi: needs db=ready, probe").run(
        "1 spawned 1\n2 spawned 2; wait ready api; wait stopped api; wait stopped; wait completed api\n3 ctrl-c; wait stopped db; wait up\n4 exited 2 0; emptied 2\n5 exited 1 0; emptied 1"
    )
);

trace!(
    a_service_that_leaves_the_configuration_answers_who_waits_for_it,
    Script::up("api: probe\nold: probe\nweb: probe")
        .run("1 spawned 1; spawned 2; spawned 3\n2 wait ready old; wait ready web; wait up; wait stopped old")
        .apply(3, "api: probe\nsite: probe, command=web")
        .run("4 died 2 15; emptied 2; died 3 15; emptied 3\n5 spawned 4; held 1\n6 held 4")
);

trace!(
    who_has_gone_is_forgotten,
    Script::up("api: probe")
        .run("1 spawned 1; wait ready api; wait up\n2 forget 1\n3 held 1; forget 7")
);

trace!(
    in_debug_mode_readiness_comes_when_the_debugger_lets_the_program_run,
    Script::up("api: probe, debug-waits=5678").run(
        "1 spawned 1; wait ready api\n2 attachable 1\n3 wait ready api; start api\n90000 held 1"
    )
);

trace!(
    a_restart_under_way_is_waited_for,
    Script::up("api: probe").run(
        "1 spawned 1; held 1\n2 restart api; wait ready api\n3 exited 1 0; emptied 1\n4 spawned 2\n5 held 2"
    )
);

trace!(
    a_restart_that_would_only_stop_a_working_service_is_refused,
    Script::up("db: policy=no\napi: needs db=ready, policy=no\nweb: needs api=ready")
        .run("1 spawned 1\n2 spawned 2\n3 spawned 3\n4 exited 2 1; emptied 2\n5 restart web")
        .run("6 exited 1 1; emptied 1\n7 restart api\n8 restart web")
        .run("9 restart db api web\n10 exited 3 0; emptied 3")
);

trace!(
    a_restart_starts_a_dependency_that_was_stopped,
    Script::up("api: \nweb: needs api=ready").run(
        "1 spawned 1\n2 spawned 2\n3 stop api\n4 exited 1 0; emptied 1\n5 restart web\n6 exited 2 0; emptied 2"
    )
);

trace!(
    a_restart_is_refused_while_a_dependency_keeps_crashing,
    Script::up("db: probe\napi: needs db=ready\nweb: needs api=ready")
        .run("1 spawned 1\n2 held 1\n3 spawned 2\n4 spawned 3\n5 exited 1 1; emptied 1")
        .run("6 exited 2 1; emptied 2\n7 restart web\n8 restart api\n505 tick\n506 spawned 4")
        .run("508 restart web\n509 held 4\n600 restart web")
);

trace!(
    a_restart_is_refused_while_a_dependency_waits_to_run_again,
    Script::up("db: policy=always\nweb: needs db=started")
        .run("1 spawned 1\n2 spawned 2\n3 exited 1 0; emptied 1\n4 restart web")
);

trace!(
    a_change_restarts_a_working_service_once_its_failed_dependency_is_back,
    Script::up("db: policy=no\nweb: watch, needs db=ready")
        .run("1 spawned 1\n2 spawned 2\n3 exited 1 1; emptied 1\n4 saved web")
        .why(4, "web")
        .run("5 saved web")
        .apply(6, "db: policy=no\nweb: watch, needs db=ready, env=other")
        .run("7 restart db\n8 spawned 3\n9 held 3")
);

trace!(
    a_change_restarts_a_service_that_no_longer_needs_what_failed,
    Script::up("db: policy=no\nweb: needs db=ready")
        .run("1 spawned 1\n2 spawned 2\n3 exited 1 1; emptied 1")
        .apply(4, "db: policy=no\nweb: env=other")
);

trace!(
    a_change_that_waits_for_a_dependency_is_not_lost_when_the_service_exits,
    Script::attended("db: policy=no\nweb: watch, policy=no, needs db=ready")
        .run("1 spawned 1\n2 spawned 2\n3 exited 1 1; emptied 1\n4 saved web")
        .run("5 exited 2 0; emptied 2\n6 restart db\n7 spawned 3\n8 held 3")
);

trace!(
    of_a_service_that_nobody_knows,
    Script::up("api: ").run("1 spawned 1; wait ready nobody; wait stopped nobody")
);

/// What is reported once nothing runs, and the exit code of a stack that ends.
fn last_words(script: Script) -> Vec<String> {
    let trace = script.trace();
    let lines = trace.lines().map(str::trim);
    let said = lines.filter_map(|line| {
        line.strip_prefix("tell nothing runs: ")
            .or_else(|| line.starts_with("halt").then_some(line))
    });
    said.map(str::to_owned).collect()
}

const FAILS: &str = "1 spawned 1\n2 exited 1 1; emptied 1";

#[test]
fn at_a_terminal_a_stack_waits_while_a_change_can_start_something() {
    let at_terminal = |text| last_words(Script::attended(text).run(FAILS));
    let edit = "1 of 1 failed and nothing runs: waiting for a change to the configuration";
    assert_eq!(at_terminal("api: policy=no"), [edit]);
    let save = "1 of 1 failed and nothing runs: waiting for a change to a watched file or to the configuration";
    assert_eq!(at_terminal("api: policy=no, watch"), [save]);
    let with_blocked =
        "1 failed, 1 waits for it, and nothing runs: waiting for a change to the configuration";
    assert_eq!(at_terminal("api: policy=no, probe\nweb: needs api=ready"), [with_blocked]);
    // Fixed by an edit, then done.
    let script = Script::attended("api: policy=no").run(FAILS).apply(10, "api: command=b");
    let script = script.run("20 spawned 2\n30 exited 2 0; emptied 2");
    assert_eq!(last_words(script), [edit, "nothing runs: ending", "halt 0"]);
}

#[test]
fn without_a_terminal_a_failed_stack_waits_only_for_watched_files() {
    let unattended = |text| last_words(Script::up(text).run(FAILS));
    let ending = ["1 of 1 failed and nothing runs: ending", "halt 1"];
    assert_eq!(unattended("api: policy=no"), ending);
    let save = "1 of 1 failed and nothing runs: waiting for a change to a watched file";
    assert_eq!(unattended("api: policy=no, watch"), [save]);
    // A save of the files of what only waits does not help.
    let blocked = ["1 failed, 1 waits for it, and nothing runs: ending", "halt 1"];
    assert_eq!(unattended("api: policy=no, probe\nweb: needs api=ready, watch"), blocked);
}

#[test]
fn done_waits_only_for_watched_files() {
    let done = |text| last_words(Script::up(text).run("1 spawned 1\n2 exited 1 0; emptied 1"));
    assert_eq!(done("build: task"), ["everything is done: ending", "halt 0"]);
    assert_eq!(
        done("build: task, watch"),
        ["everything is done: waiting for a change to a watched file"]
    );
    let stopped = Script::up("api: ").run("1 spawned 1\n2 stop api\n3 died 1 15; emptied 1");
    assert_eq!(last_words(stopped), ["nothing runs: waiting for `devstack start`"]);
}

#[test]
fn what_a_change_starts_is_named_beside_what_the_user_stopped() {
    let text = "api: policy=no, watch\nweb: ";
    let ends =
        "1 spawned 1; spawned 2\n2 exited 1 1; emptied 1\n3 stop web\n4 died 2 15; emptied 2";
    assert_eq!(
        last_words(Script::up(text).run(ends)),
        [
            "1 of 1 failed and nothing runs: waiting for `devstack start` or a change to a watched file"
        ]
    );
}

#[test]
fn what_crashed_must_last_even_if_its_probes_are_removed_meanwhile() {
    let stack = stack("api: \nseed: task\nweb: probe");
    let probed = |service: &str, crashed| {
        let service = stack.services[&name(service)].clone();
        let state = ServiceState::new(service, DesiredState::No, Duration::ZERO);
        ServiceState { crashed, ..state }.as_probed().ready.probes.len()
    };
    assert_eq!([probed("api", true), probed("api", false), probed("seed", true)], [1, 0, 0]);
    assert_eq!([probed("web", true), probed("web", false)], [2, 1]);
    let edited = Script::up("api: probe")
        .run("1 spawned 1\n2 exited 1 1; emptied 1\n252 tick\n253 spawned 2")
        .apply(300, "api: ")
        .run("70000 tick");
    assert_eq!(edited.view("api").phase, Phase::Starting, "it is not late without probes");
}

#[test]
fn a_failure_that_ends_the_stack_promises_no_restart() {
    let eight: String = (1..=8)
        .map(|run| {
            format!(
                "{0} spawned {run}\n{1} exited {run} 1; emptied {run}\n",
                run * 16000,
                run * 16000 + 1
            )
        })
        .collect();
    let help = |script: Script| {
        let view = script.run(&eight).view("api");
        view.message.expect("it failed").help
    };
    assert_eq!(help(Script::up("api: ")), "fix it, then run `devstack up`");
    assert_eq!(
        help(Script::attended("api: watch")),
        "fix it; a change to a watched file or to its config restarts it, or run `devstack restart api`"
    );
    assert_eq!(
        help(Script::attended("api: ")),
        "fix it; a change to its config restarts it, or run `devstack restart api`"
    );
}

trace!(
    a_start_without_a_probe_has_happened_however_soon_the_program_exits,
    Script::up("api: \nother: \nweb: probe").run(
        "1 spawned 1; exited 1 0; emptied 1; spawned 2; spawned 3; exited 3 0; emptied 3\n2 start api; start web\n\
         3 spawned 4; exited 4 0; emptied 4; spawned 5; exited 5 0; emptied 5"
    )
);

trace!(
    in_the_background_a_service_that_exits_with_success_is_not_up,
    Script::up("api: \nseed: task")
        .cautious()
        .run("1 spawned 1; spawned 2\n5 exited 2 0; emptied 2\n9 exited 1 0; emptied 1")
);

trace!(
    a_service_that_exits_with_success_is_no_task_that_is_done,
    Script::up("api: probe\nweb: probe\nseed: task, manual").watching().run(
        "1 spawned 1; spawned 2\n2 held 2; start api seed\n3 spawned 3\n4 exited 3 0; emptied 3\n5 exited 1 0; emptied 1\n9 start api\n10 spawned 4; held 4"
    )
);
