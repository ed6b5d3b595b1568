//! Golden traces of debug mode.

use super::script::Script;

trace!(
    a_debugger_that_listens_answers_who_asked,
    Script::up("api: probe, watch\nweb: needs api=ready")
        .run("10 spawned 1\n20 held 1\n30 spawned 2")
        .apply(40, "api: probe, watch, debug=5678\nweb: needs api=ready")
        .run("41 debug api\n50 exited 1 0\n60 emptied 1\n70 spawned 3\n80 attachable 3\n81 attachable 3\n90 held 3")
        .apply(100, "api: probe, watch\nweb: needs api=ready")
        .run("101 undebug api\n110 died 3 15\n120 emptied 3\n130 spawned 4\n140 held 4")
);

trace!(
    no_time_limit_ends_what_is_debugged,
    Script::up("api: probe, debug=5678, health=restart, grace=100\nweb: needs api=ready").run(
        "10 spawned 1
         20 failing 1
         900000 unwell 1
         900100 held 1
         900200 unwell 1
         900300 stop api
         990000 tick
         990100 stop api
         990200 died 1 9
         990300 emptied 1"
    )
);

trace!(
    a_save_waits_until_somebody_restarts,
    Script::up("api: watch, debug=5678").run(
        "10 spawned 1
         5000 saved api
         6000 saved api:other.py
         7000 restart api
         7010 died 1 15
         7020 emptied 1
         7030 spawned 2
         9000 saved api"
    )
);

trace!(
    a_save_revives_what_is_to_be_debugged_and_failed,
    Script::up("api: watch, policy=no, debug=5678").run(
        "10 spawned 1
         20 exited 1 1
         30 emptied 1
         40 examined 1 innocent
         5000 saved api"
    )
);

trace!(
    a_missing_debugger_is_not_tried_again,
    Script::up("api: watch, debug=5678\nother: ").run(
        "10 spawned 1; spawned 2
         20 exited 2 1
         30 emptied 2
         40 examined 2 no-debugpy"
    )
);

trace!(
    builds_wait_until_run_mode,
    Script::up("api: watch=build")
        .run("10 spawned 1\n5000 saved api")
        .apply(5010, "api: watch=build, debug=5678")
        .run(
            "5020 broken 1
             5030 died 1 15
             5040 emptied 1
             5050 spawned 2
             9000 saved api"
        )
        .apply(10000, "api: watch=build")
        .run("10010 died 2 15\n10020 emptied 2\n10030 spawned 3\n12000 built 2")
);

trace!(
    a_signal_is_held_too,
    Script::up("api: watch=HUP, debug=5678").run("10 spawned 1\n5000 saved api")
);

trace!(
    a_shutdown_waits_at_a_breakpoint_but_not_for_ever,
    Script::up("api: debug=5678, grace=1000").run(
        "10 spawned 1
         2000 ctrl-c
         60000 died 1 9
         60010 emptied 1"
    )
);

trace!(
    a_second_ctrl_c_kills_what_stands_at_a_breakpoint,
    Script::up("api: debug=5678").run(
        "10 spawned 1
         2000 ctrl-c
         2500 kill-all
         2510 died 1 9
         2520 emptied 1"
    )
);

trace!(
    health_begins_anew_in_run_mode_only,
    Script::up("api: probe, health=report, debug=5678")
        .run("10 spawned 1\n20 held 1")
        .apply(30, "api: probe, debug=5678")
        .apply(40, "api: probe, health=restart, debug=5678")
        .apply(50, "api: probe, health=restart")
        .run("60 died 1 15\n70 emptied 1\n80 spawned 2\n90 held 2")
);

trace!(
    nobody_waits_for_ever_for_a_debugger,
    Script::up("api: debug=5678, policy=no").run(
        "10 spawned 1
         20 debug api
         61000 attachable 1
         61010 debug api
         61020 exited 1 0
         61030 emptied 1"
    )
);

trace!(
    a_debug_port_that_is_taken_before_the_start_moves,
    Script::inspecting("api: debug=5678").run(
        "1 taken api
         2 debug api
         10 placed api=5679
         20 clear api
         20 spawned 1
         30 attachable 1"
    )
);

trace!(
    a_port_that_is_taken_moves_what_is_debugged_and_not_ready,
    Script::up("api: probe, port=5000, debug=5678, grace=100").run(
        "10 spawned 1
         20 robbed 1
         200 tick
         300 restart api
         310 died 1 9
         320 emptied 1"
    )
);

trace!(
    a_robbed_run_that_ends_at_last_is_placed_in_debug_mode,
    Script::up("api: probe, port=5000, debug=5678, grace=100").run(
        "10 spawned 1
         20 robbed 1
         200 died 1 15
         210 emptied 1
         220 saved api
         230 placed api=5001
         240 spawned 2
         250 attachable 2"
    )
);

trace!(
    a_debug_port_that_is_taken_from_what_is_ready_is_told,
    Script::up("api: debug=5678").run("10 spawned 1\n20 robbed 1\n30 attachable 1")
);
