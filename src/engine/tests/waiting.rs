//! Requests that only wait: answered or refused in the step that decides the condition.

use super::script::Script;

trace!(
    who_waits_for_all_is_answered_when_services_are_ready_and_tasks_done,
    Script::up("api: probe\nmigrate: task\nspare: manual")
        .run("1 wait up\n2 spawned 1; spawned 2\n3 held 1\n4 exited 2 0\n5 emptied 2\n6 wait up")
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
        "1 spawned 1; spawned 2\n2 exited 1 0\n3 stop migrate\n4 emptied 1\n5 wait ready migrate; wait completed migrate; wait up"
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
    of_a_service_that_nobody_knows,
    Script::up("api: ").run("1 spawned 1; wait ready nobody; wait stopped nobody")
);
