//! Golden traces: one per statement of the manual.

use std::collections::BTreeSet;

use super::script::{Script, name};
use crate::engine::Selection;

trace!(
    dependencies_start_first_and_stop_last,
    Script::up("db: probe\nmigrate: task, needs db=ready\napi: probe, needs db=ready, needs migrate=completed\nweb: needs api=ready")
        .run("1 spawned 1\n40 held 1\n41 spawned 2\n90 exited 2 0\n91 emptied 2\n92 spawned 3\n140 held 3\n141 spawned 4\n900 ctrl-c\n905 exited 4 0\n906 emptied 4\n950 died 3 15\n951 emptied 3\n960 exited 1 0\n961 emptied 1")
);

trace!(
    crash_loop_stops_after_eight_ends,
    Script::up("api: ").run(
        "1 spawned 1\n2 exited 1 1\n3 emptied 1\n254 spawned 2\n255 exited 2 1; emptied 2\n756 spawned 3; exited 3 1; emptied 3\n\
         1757 spawned 4; exited 4 1; emptied 4\n3758 spawned 5; exited 5 1; emptied 5\n7759 spawned 6; exited 6 1; emptied 6\n\
         15760 spawned 7; exited 7 1; emptied 7\n30761 spawned 8; exited 8 1; emptied 8\n90000 tick"
    )
);

trace!(
    ten_seconds_ready_clear_the_count,
    Script::up("api: \nother: ").run(
        "1 spawned 1; spawned 2\n2 exited 1 1; emptied 1\n300 spawned 3\n2300 held 3\n12400 exited 3 1; emptied 3\n12700 spawned 4\n12800 exited 4 1; emptied 4"
    )
);

trace!(
    no_such_program_is_no_crash,
    Script::up("api: \nweb: needs api=started\nother: ")
        .run("1 missing 1\n2 spawned 2\n3 ctrl-c\n4 exited 2 0; emptied 2")
);

trace!(a_lone_missing_program_ends_the_stack_with_1, Script::up("api: ").run("1 missing 1"));

trace!(
    tasks_that_complete_end_the_stack_with_0,
    Script::up("seed: task\nreport: task, needs seed=completed")
        .run("1 spawned 1\n5 exited 1 0; emptied 1\n6 spawned 2\n9 exited 2 0; emptied 2")
);

trace!(
    a_failed_task_blocks_the_whole_chain_behind_it,
    Script::up("seed: task\napi: probe, needs seed=completed\nweb: needs api=ready\nother: ")
        .run("1 spawned 1; spawned 2\n5 exited 2 3; emptied 2\n50 restart seed\n51 spawned 3\n60 exited 3 0; emptied 3\n61 spawned 4\n62 held 4\n63 spawned 5")
);

trace!(
    a_failure_is_published_at_once_and_the_start_still_settles_last,
    Script::up("bad: policy=no\nslow: probe\nweb: needs slow=ready").watching().run(
        "1 spawned 1; spawned 2\n5 exited 1 3; emptied 1\n50 held 2\n51 spawned 3\n60 stop bad"
    )
);

trace!(
    late_is_told_and_may_still_become_ready,
    Script::up("api: probe\nweb: needs api=ready")
        .run("1 spawned 1\n2 failing 1\n70000 held 1\n70001 spawned 2")
);

trace!(
    late_says_where_it_listens_instead,
    Script::up("api: probe").run("1 spawned 1\n2 failing 1\n2000 remarks 1 elsewhere\n70000 tick")
);

trace!(
    a_save_restarts_once_and_skips_the_back_off,
    Script::up("api: watch").run(
        "1 spawned 1\n100 saved api\n101 saved api\n110 died 1 15\n111 saved api; emptied 1\n112 spawned 2\n200 exited 2 1\n201 emptied 2\n210 saved api\n211 spawned 3"
    )
);

trace!(
    a_save_revives_what_was_given_up,
    Script::up("api: watch, policy=no")
        .run("1 spawned 1\n2 exited 1 1; emptied 1\n500 saved api\n501 spawned 2")
);

trace!(
    what_crashed_is_ready_again_after_two_seconds_and_holds_its_dependents,
    Script::up("api: \nweb: needs api=ready\nother: probe").run(
        "1 spawned 1; spawned 2\n2 exited 1 1; emptied 1\n5 spawned 3; wait ready api\n252 tick\n253 spawned 4\n254 held 2; wait up\n2253 held 4\n2254 spawned 5"
    )
);

trace!(
    a_save_that_breaks_it_is_tried_three_times_and_waits_for_the_next,
    Script::up("api: watch").run(
        "1 spawned 1\n9000 saved api\n9001 exited 1 0; emptied 1\n9002 spawned 2\n9003 exited 2 1; emptied 2\n9300 spawned 3\n9301 exited 3 1; emptied 3\n9900 spawned 4\n9901 exited 4 1; emptied 4\n20000 saved api\n20001 spawned 5\n22001 held 5\n40000 exited 5 1; emptied 5"
    )
);

trace!(
    a_port_that_a_service_insists_on_is_asked_for_again_when_something_changes,
    Script::up("api: port=5000, probe, watch\nother: ").run(
        "1 spawned 1; spawned 2\n2 exited 2 1; emptied 2\n3 examined 2 insists\n9000 saved api\n9010 placed api=5001\n9020 spawned 3"
    )
);

trace!(
    a_port_in_use_that_is_not_named_is_tried_once_more_and_then_waited_for,
    Script::up("api: port=5000, probe, watch\nother: ").run(
        "1 spawned 1; spawned 2\n2 exited 2 1; emptied 2\n3 examined 2 unnamed\n300 spawned 3\n301 exited 3 1; emptied 3\n302 examined 3 unnamed\n9000 saved api"
    )
);

trace!(
    a_service_without_a_port_that_finds_its_own_in_use_is_not_tried_again,
    Script::attended("api: watch\nseed: task\nother: ").examining().run(
        "1 spawned 1; spawned 2; spawned 3\n2 exited 1 1; emptied 1; exited 3 1; emptied 3\n\
         3 examined 1 insists; examined 3 nothing\n20000 saved api\n20001 spawned 4\n80002 exited 4 1; emptied 4"
    )
);

trace!(
    a_port_that_closed_connections_keep_is_waited_for,
    Script::inspecting("api: port=5000, probe, watch, policy=no\nweb: needs api=ready").run(
        "1 lingering api\n1001 tick\n1001 lingering api\n2001 tick\n2001 clear api\n2002 spawned 1\n2003 held 1; spawned 2\n\
         5000 saved api\n5001 exited 1 0; emptied 1\n5002 clear api\n5003 spawned 3\n5004 exited 3 1; emptied 3\n\
         5005 examined 3 lingers\n6005 tick\n6006 lingering api; stop api\n7006 tick\n8000 start api\n8001 lingering api\n9000 down"
    )
);

trace!(
    what_its_own_reloader_breaks_is_tried_three_times_and_waits_for_a_save,
    Script::up("api: probe, watch").run(
        "1 spawned 1\n2 held 1; reloads 1\n20000 exited 1 1; emptied 1\n20251 spawned 2\n20252 exited 2 1; emptied 2\n\
         20760 spawned 3\n20761 exited 3 1; emptied 3\n30000 saved api\n30001 spawned 4"
    )
);

trace!(
    a_missing_command_is_not_tried_again_unless_it_ran_for_a_while,
    Script::up("gone: \nlater: \nother: ").run(
        "1 spawned 1; spawned 2; spawned 3\n999 exited 1 127; emptied 1\n1001 exited 2 127; emptied 2"
    )
);

trace!(
    stop_is_final,
    Script::up("api: \nweb: ").run(
        "1 spawned 1; spawned 2\n10 restart api; stop api\n11 saved api\n20 exited 1 0\n21 emptied 1\n5000 tick\n5001 start api\n5002 spawned 3"
    )
);

trace!(
    restarts_join_and_are_answered_by_a_later_run,
    Script::up("api: probe").run(
        "1 spawned 1\n2 held 1\n10 restart api\n11 restart api\n12 restart api\n20 exited 1 0; emptied 1\n21 restart api\n22 spawned 2\n23 exited 2 0; emptied 2\n24 spawned 3\n25 held 3"
    )
);

trace!(
    a_stop_that_is_ignored_ends_in_a_kill,
    Script::up("api: grace=1000\nweb: ")
        .run("1 spawned 1; spawned 2\n10 stop api\n1011 died 1 9\n1012 emptied 1")
);

trace!(
    ctrl_c_twice_kills_everything_at_once,
    Script::up("db: \napi: needs db=started").run("1 spawned 1\n2 spawned 2\n10 ctrl-c\n200 kill-all\n201 died 1 9; died 2 9; emptied 1; emptied 2")
);

trace!(
    the_shutdown_cap_ends_a_long_chain,
    Script::up("a: grace=20000\nb: grace=20000, needs a=started").run(
        "1 spawned 1\n2 spawned 2\n10 ctrl-c\n20011 died 2 9; emptied 2\n30011 died 1 9; emptied 1"
    )
);

trace!(
    ctrl_c_during_start_stops_what_was_just_ordered,
    Script::up("api: probe\nweb: needs api=ready")
        .run("1 ctrl-c\n2 spawned 1\n3 exited 1 0\n4 emptied 1")
);

trace!(
    an_apply_touches_only_what_changed,
    Script::up("api: probe\nweb: \nold: ")
        .run("1 spawned 1; spawned 2; spawned 3\n2 held 1")
        .apply(100, "api: probe, command=other\nweb: watch\nnew: ")
        .run("101 spawned 4\n110 died 1 15; emptied 1\n111 died 2 15; emptied 2\n112 spawned 5\n113 held 5")
);

trace!(
    an_apply_that_changes_nothing_is_silent,
    Script::up("api: ").run("1 spawned 1").apply(100, "api: ")
);

trace!(
    who_is_not_ready_is_probed_anew_when_readiness_changes,
    Script::up("late: probe\nready: probe\nstarting: probe")
        .run("1 spawned 1; spawned 2; spawned 3\n2 held 2\n60001 tick")
        .apply(60_002, "late: probe=2\nready: probe=2\nstarting: ")
        .run("60003 held 3\n120001 tick\n120002 tick")
);

trace!(
    nothing_is_applied_after_a_shutdown_began,
    Script::up("api: ")
        .run("1 spawned 1\n2 ctrl-c")
        .apply(3, "api: command=other\nnew: ")
        .run("4 exited 1 0; emptied 1")
);

trace!(
    who_waits_for_what_was_stopped_is_told_and_starts_with_it,
    Script::up("db: probe\nweb: needs db=ready").run(
        "1 spawned 1\n2 start web\n3 stop db\n4 exited 1 0; emptied 1\n50 start db\n51 spawned 2\n52 held 2\n53 spawned 3"
    )
);

trace!(
    an_apply_does_not_start_what_was_stopped_by_hand,
    Script::up("api: \nweb: ")
        .run("1 spawned 1; spawned 2\n2 stop api\n3 exited 1 0; emptied 1")
        .apply(100, "api: command=other\nweb: ")
);

trace!(
    the_end_of_one_service_can_end_the_stack,
    Script::up("api: \ntests: ends-stack, policy=no")
        .run("1 spawned 1; spawned 2\n50 exited 2 7; emptied 2\n60 exited 1 0; emptied 1")
);

trace!(
    success_codes_and_policies,
    Script::up("a: ok=3\nb: policy=always\nc: policy=no\nd: ").run(
        "1 spawned 1; spawned 2; spawned 3; spawned 4\n10 exited 1 3; emptied 1\n11 exited 2 0; emptied 2\n12 exited 3 1; emptied 3"
    )
);

trace!(
    late_reports_of_an_earlier_run_match_nothing,
    Script::up("api: probe").run(
        "1 spawned 1\n10 restart api\n11 exited 1 0; emptied 1\n12 held 1\n13 exited 1 5; emptied 1; spawned 1\n14 spawned 2\n15 held 1\n16 held 2"
    )
);

trace!(
    dependencies_are_checked_again_at_the_spawn,
    Script::up("db: probe\napi: needs db=ready")
        .run("1 spawned 1\n2 held 1; exited 1 1\n3 emptied 1\n254 spawned 2\n255 held 2")
);

trace!(
    a_selection_brings_its_dependencies,
    Script::selecting(
        "db: \napi: needs db=started\nweb: \nextra: manual",
        Some(Selection { names: BTreeSet::from([name("api")]), with_dependencies: true }),
    )
    .run("1 spawned 1\n2 spawned 2\n3 start extra\n4 spawned 3")
);

trace!(
    no_deps_leaves_dependencies_alone,
    Script::selecting(
        "db: \napi: needs db=ready",
        Some(Selection { names: BTreeSet::from([name("api")]), with_dependencies: false }),
    )
    .run("1 spawned 1")
);

trace!(
    requests_for_nobody_are_refused,
    Script::up("api: ")
        .run("1 spawned 1\n2 stop nope\n3 ctrl-c\n4 start api\n5 exited 1 0; emptied 1")
);

trace!(
    a_lost_keeper_counts_as_a_crash,
    Script::up("api: ").run("1 spawned 1\n2 emptied 1\n300 spawned 2")
);

trace!(
    ports_that_change_hands_are_waited_for,
    Script::up("api: port=5000\nweb: port=5001")
        .run("1 spawned 1; spawned 2")
        .apply(100, "api: port=5001\nweb: port=5000")
        .run("110 exited 1 0; emptied 1\n120 exited 2 0; emptied 2\n121 spawned 3; spawned 4")
);

trace!(
    a_thief_that_is_found_before_the_start_costs_no_run,
    Script::inspecting("api: probe, port=5000\nweb: needs api=ready")
        .run("1 taken api\n5 placed api=5001\n6 clear api\n7 spawned 1\n8 held 1\n9 spawned 2")
);

trace!(
    a_thief_that_is_found_by_the_probe_is_left_to_itself,
    Script::up("api: probe, port=5000, policy=no\nweb: needs api=started").run(
        "1 spawned 1\n2 spawned 2\n3 robbed 1\n4 robbed 1\n9 died 1 15; emptied 1\n12 placed api=5001\n13 died 2 15; emptied 2\n14 spawned 3\n15 held 3; spawned 4"
    )
);

trace!(
    an_end_that_a_thief_is_to_blame_for_is_no_crash,
    Script::up("api: probe, port=5000, policy=no, ends-stack").run(
        "1 spawned 1\n2 exited 1 98; emptied 1\n2 examined 1 robbed\n5 placed api=5000\n6 spawned 2\n7 exited 2 98\n8 emptied 2\n8 examined 2 unheld\n9 spawned 3\n10 exited 3 1; emptied 3\n10 examined 3 nothing"
    )
);

trace!(
    a_pinned_port_that_was_taken_fails_until_somebody_does_something,
    Script::inspecting("api: probe, port=5000\nweb: needs api=ready\nother: ")
        .run("1 taken api; spawned 1\n5 placed api=no\n50 restart api\n50 taken api\n51 placed api=5000\n52 clear api\n52 spawned 2\n53 held 2")
);

trace!(
    a_start_that_gets_no_port_is_answered,
    Script::inspecting("api: port=5000\nother: ").run(
        "1 spawned 1; taken api\n2 placed api=no\n3 start api\n4 taken api\n5 placed api=no\n6 restart api\n7 taken api\n8 restart api\n9 placed api=no"
    )
);

trace!(
    a_thief_who_follows_is_given_way_ten_times,
    Script::inspecting("api: port=5000, probe, watch\nother: ").run(
        "1 taken api; spawned 1; placed api=5001\n2 taken api; placed api=5002\n3 taken api; placed api=5003\n4 taken api; placed api=5004\n\
         5 taken api; placed api=5005\n6 taken api; placed api=5006\n7 taken api; placed api=5007\n8 taken api; placed api=5008\n\
         9 taken api; placed api=5009\n10 taken api; placed api=5010\n11 taken api\n12 saved api\n20 start api\n21 taken api; placed api=5000\n22 clear api\n22 spawned 2; held 2"
    )
);

trace!(
    a_stop_ends_the_wait_for_another_port,
    Script::inspecting("api: port=5000, probe\nother: ")
        .run("1 taken api; spawned 1\n2 stop api\n3 placed api=5001\n4 start api\n5 taken api\n6 down\n7 placed api=5002; exited 1 0; emptied 1")
);

trace!(
    what_happens_during_an_inspection_decides_about_the_start,
    Script::inspecting("db: probe\napi: port=5000, needs db=ready")
        .run(
            "1 spawned 1; held 1\n2 stop api\n3 clear api\n4 start api\n5 clear api; exited 1 1\n6 emptied 1\n300 spawned 2; held 2\n\
             301 restart api\n302 clear api\n303 spawned 3"
        )
        .apply(310, "db: probe\napi: port=5001, needs db=ready")
        .run("311 died 3 15; emptied 3")
        .apply(312, "db: probe\napi: port=5002, needs db=ready")
        .run("313 clear api\n314 spawned 4\n320 exited 4 1; emptied 4\n321 examined 4 nothing\n330 down\n331 taken api\n332 exited 2 0; emptied 2")
);

trace!(
    a_start_that_a_shutdown_overtakes_is_not_told,
    Script::inspecting("api: port=5000\nother: ")
        .run("1 spawned 1\n2 down\n3 clear api\n4 exited 1 0; emptied 1")
);

trace!(
    unhealthy_is_told_and_may_pass,
    Script::up("api: probe, health=report\nweb: needs api=ready")
        .run("1 spawned 1\n2 held 1\n3 spawned 2\n5000 unwell 1\n9000 well 1\n9500 exited 1 1; emptied 1\n9600 unwell 1")
);

trace!(
    unhealthy_restarts_like_a_crash,
    Script::up("api: health=restart").run(
        "1 spawned 1\n5000 unwell 1\n5010 died 1 15; emptied 1\n5300 spawned 2\n7300 held 2\n8000 unwell 2\n8001 stop api\n8010 died 2 15; emptied 2"
    )
);

trace!(
    health_changes_in_place,
    Script::up("api: health=restart\nweb: ")
        .run("1 spawned 1; spawned 2\n5000 unwell 2")
        .apply(6000, "api: health=report\nweb: health=report")
        .run("7000 unwell 1; unwell 2")
        .apply(8000, "api: \nweb: health=restart")
        .run("9000 unwell 1; unwell 2\n9001 died 2 15; emptied 2")
        .apply(9100, "api: health=report\nweb: ")
);

trace!(
    sleep_moves_every_deadline,
    Script::up("api: probe\nweb: grace=1000\ncrash: ").run(
        "1 spawned 1; spawned 2; spawned 3\n10 stop web\n20 exited 2 1; emptied 2\n30 slept 60000\n1000 tick\n61005 tick\n120005 tick"
    )
);

trace!(
    a_remark_is_told_once_for_as_long_as_it_holds,
    Script::up("api: port=5001, probe=5001").run(
        "1 spawned 1\n2 listens 1 127.0.0.1:5001; held 1\n200 remarks 1 open; listens 1 0.0.0.0:5001\n300 remarks 1 open elsewhere\n\
         400 exited 1 1; emptied 1\n900 spawned 2; held 2\n1000 remarks 1 late; remarks 2 open\n1100 remarks 2\n1200 remarks 2 open"
    )
);

/// The URL of a live run is that of its listener.
#[test]
fn the_url_follows_the_listener() {
    use std::time::Duration;

    use super::script::{name, stack};
    use crate::engine::{Engine, Input, WhenIdle};
    use crate::model::{Message, ProcessExit, RunId};

    let mut engine = Engine::new(None, WhenIdle::AwaitSave);
    let run = RunId(1);
    let view =
        |engine: &Engine| engine.view_of(&name("api"), |_| String::new()).expect("api exists");
    let at = |text: &str| text.split(' ').map(|word| word.parse().expect("an address")).collect();
    let step = |engine: &mut Engine, input| drop(engine.step(Duration::ZERO, [input]));
    step(&mut engine, Input::Apply(stack("api: port=5001, probe=5001")));
    assert_eq!((view(&engine).url, view(&engine).listening), (None, None));
    let (api, _) = engine.launched_or_next(&name("api")).expect("api exists");
    let inspected = Input::PortsInspected(api.clone(), Ok(()));
    step(&mut engine, inspected);
    step(&mut engine, Input::Spawned(run, 7));
    step(&mut engine, Input::ListeningOn(run, at("[::1]:5000 127.0.0.1:9229")));
    assert_eq!(view(&engine).url.as_deref(), Some("http://[::1]:5000"));
    step(&mut engine, Input::ProbesPassed(run, "ready".to_owned()));
    step(&mut engine, Input::ListeningOn(run, at("[::1]:5000 [::1]:5001")));
    assert_eq!(view(&engine).url.as_deref(), Some("http://[::1]:5001"));
    assert_eq!(
        (view(&engine).port, view(&engine).listening.map(|all| all.len())),
        (Some(5001), Some(2))
    );
    step(
        &mut engine,
        Input::ListenWarnings(run, vec![Message::new(crate::model::MessageClass::Port, "open")]),
    );
    assert_eq!(view(&engine).message.map(|message| message.text).as_deref(), Some("open"));
    step(&mut engine, Input::ListeningOn(run, Vec::new()));
    assert_eq!((view(&engine).url, view(&engine).listening), (None, Some(Vec::new())));
    step(&mut engine, Input::Exited(run, ProcessExit::Code(1)));
    step(&mut engine, Input::TreeEmpty(run));
    let over = view(&engine);
    assert_eq!((over.url, over.listening, over.port), (None, None, Some(5001)));
}

/// After 200 services crash at once, twenty restart per second and none is forgotten.
#[test]
fn a_storm_is_spread_over_time() {
    use std::time::Duration;

    use super::script::stack;
    use crate::engine::{Effect, Engine, ExitBlame, Input, WhenIdle};
    use crate::model::{ProcessExit, RunId};

    let text: String = (0..200).map(|i| format!("s{i}: \n")).collect();
    let mut engine = Engine::new(None, WhenIdle::AwaitSave);
    engine.step(Duration::ZERO, [Input::Apply(stack(&text))]);
    let ends = (1..=200).map(RunId).flat_map(|run| {
        [Input::Spawned(run, 1), Input::Exited(run, ProcessExit::Code(1)), Input::TreeEmpty(run)]
    });
    engine.step(Duration::ZERO, ends);
    let blameless = |run| Input::ExitInvestigated(RunId(run), ExitBlame::None);
    engine.step(Duration::ZERO, (1..=200).map(blameless));
    let mut starts: Vec<Duration> = Vec::new();
    while starts.len() < 200 {
        let at = engine.next_deadline().expect("a service is waiting to start");
        let effects = engine.step(at, [Input::Tick]);
        starts.extend(effects.iter().filter(|e| matches!(e, Effect::Spawn(..))).map(|_| at));
    }
    for window in starts.windows(21) {
        assert!(window[20] - window[0] >= Duration::from_secs(1), "{window:?}");
    }
    assert!(starts[199] <= Duration::from_secs(11));
}
trace!(
    a_renamed_service_starts_when_its_former_name_is_gone,
    Script::up("api: \nworker: ")
        .run("1 spawned 1; spawned 2")
        .apply(100, "api: \njobs: command=worker")
        .apply(110, "api: \ntasks: command=worker")
        .run("200 exited 2 0\n201 emptied 2\n202 spawned 3")
        .run("300 stop tasks\n310 exited 3 0\n311 emptied 3")
        .apply(400, "api: \nqueue: command=worker")
);

trace!(
    what_nobody_needs_any_more_stops_and_what_is_needed_starts,
    Script::up("api: needs db=started\ndb: manual\nmail: manual")
        .run("1 spawned 1\n2 spawned 2")
        .apply(100, "api: needs mail=started\ndb: manual\nmail: manual")
        .run("101 exited 1 0\n102 emptied 1\n103 spawned 3")
);

trace!(
    an_edit_of_a_done_task_runs_it_again_only_if_it_would_do_something_else,
    Script::up("task: task\nweb: ")
        .run("1 spawned 1; spawned 2\n2 exited 1 0\n3 emptied 1")
        .apply(100, "task: task, grace=9\nweb: ")
        .apply(200, "task: task, command=other\nweb: ")
        .run("201 spawned 3\n202 exited 3 0\n203 emptied 3")
);

trace!(
    edits_in_every_phase_end_the_old_before_the_new,
    Script::up("back-off: \nfailed: task\nlaunching: \nstopping: \nwaiting: needs launching=started")
        .run("1 spawned 1; spawned 2; spawned 4\n2 exited 1 1; exited 2 1\n3 emptied 1; emptied 2")
        .run("4 restart stopping")
        .apply(5, "back-off: command=x\nfailed: task, command=x\nlaunching: command=x\nstopping: command=x\nwaiting: needs launching=started, command=x")
        .run("6 spawned 5; spawned 6; spawned 3\n7 exited 3 0; exited 4 0\n8 emptied 3; emptied 4\n9 spawned 7; spawned 8\n10 spawned 9")

);

trace!(
    a_stack_that_asks_for_nobody_any_more_waits_for_the_next_edit,
    Script::up("web: ")
        .run("1 spawned 1")
        .apply(100, "web: manual")
        .run("101 exited 1 0\n102 emptied 1")
        .apply(200, "web: ")
        .run("201 spawned 2")
);

trace!(
    a_restart_after_a_change_starts_when_files_stop_changing,
    Script::up("api: watch\nweb: ").run(
        "1 spawned 1; spawned 2\n100 saved api\n101 changing\n102 exited 1 0; emptied 1\n103 restart web\n\
         104 exited 2 0; emptied 2\n105 spawned 3\n200 saved api; quiet\n201 spawned 4"
    )
);
