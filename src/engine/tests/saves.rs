//! Golden traces of what file changes lead to.

use super::script::Script;

trace!(
    a_save_while_it_starts_or_stops_is_one_more_run,
    Script::up("api: probe, watch").run(
        "1 spawned 1\n100 saved api\n101 saved api\n110 exited 1 0; emptied 1\n111 saved api\n112 spawned 2\n\
         120 exited 2 0; emptied 2\n121 spawned 3\n150 held 3"
    )
);

trace!(
    a_build_goes_before_the_swap,
    Script::up("api: probe, watch=build")
        .run("1 spawned 1\n50 held 1\n5000 saved api\n7300 built 1\n7310 exited 1 0; emptied 1\n7311 spawned 2\n7350 held 2")
);

trace!(
    a_failed_build_leaves_what_runs_and_the_next_good_save_swaps,
    Script::up("api: watch=build").run(
        "1 spawned 1\n5000 saved api\n5100 broken 1\n9000 saved api\n9100 built 2\n9110 died 1 15; emptied 1\n9111 spawned 2"
    )
);

trace!(
    saves_during_a_build_are_one_more_build_and_one_swap,
    Script::up("api: watch=build").run(
        "1 spawned 1\n5000 saved api\n5100 saved api:a.rs\n8200 saved api:b.rs\n9000 built 1\n9500 built 2\n9510 died 1 15; emptied 1\n9511 spawned 2"
    )
);

trace!(
    what_failed_and_was_saved_meanwhile_is_not_told,
    Script::up("api: watch=build").run(
        "1 spawned 1\n5000 saved api\n5100 saved api\n5200 broken 1\n5300 built 2\n5310 died 1 15; emptied 1\n5311 spawned 2"
    )
);

trace!(
    a_build_revives_what_was_given_up,
    Script::up("api: watch=build, policy=no")
        .run("1 spawned 1\n2 exited 1 1; emptied 1\n5000 saved api\n5100 broken 1\n9000 saved api\n9100 built 2\n9101 spawned 2")
);

trace!(
    a_stop_ends_a_build_that_hangs_and_forgets_the_save,
    Script::up("api: watch=build, grace=1000\nweb: ").run(
        "1 spawned 1; spawned 2\n5000 saved api\n5001 saved api\n6000 stop api\n6010 died 1 15; emptied 1\n7001 broken 1\n8000 start api\n8001 spawned 3"
    )
);

trace!(
    a_restart_swaps_at_once_and_builds_anew,
    Script::up("api: watch=build").run(
        "1 spawned 1\n5000 saved api\n9000 restart api\n9010 died 1 15; emptied 1\n9011 broken 1\n9012 spawned 2\n9500 built 2\n9510 died 2 15; emptied 2\n9511 spawned 3"
    )
);

trace!(
    a_shutdown_ends_builds_before_what_they_may_need,
    Script::up("db: grace=1000\napi: watch=build, grace=1000, needs db=started").run(
        "1 spawned 1\n2 spawned 2\n5000 saved api\n6000 ctrl-c\n6010 died 2 15; emptied 2\n7001 broken 1\n7010 died 1 15; emptied 1"
    )
);

trace!(
    a_shutdown_at_once_kills_builds,
    Script::up("api: watch=build")
        .run("1 spawned 1\n5000 saved api\n6000 kill-all\n6001 broken 1\n6002 died 1 9; emptied 1")
);

trace!(
    another_watch_begins_an_unfinished_build_anew,
    Script::up("api: watch=build")
        .run("1 spawned 1\n5000 saved api\n5100 broken 1")
        .apply(6000, "api: watch=build, watch=run")
        .run("6100 built 2\n6200 saved api\n6300 built 3")
        .apply(6400, "api: watch")
        .run("6500 broken 4\n6600 died 1 15; emptied 1")
);

trace!(
    a_service_that_is_removed_takes_its_build_along,
    Script::up("api: watch=build\nweb: ")
        .run("1 spawned 1; spawned 2\n5000 saved api")
        .apply(6000, "web: ")
        .run("6100 died 1 15; emptied 1\n6200 broken 1")
);

trace!(
    a_signal_waits_until_it_is_ready_and_comes_once,
    Script::up("api: probe, watch=HUP").run(
        "1 spawned 1\n10 saved api\n11 saved api\n50 held 1\n5000 saved api\n5001 restart api\n5002 saved api\n5010 exited 1 0; emptied 1\n5011 spawned 2\n5050 held 2"
    )
);

trace!(
    a_signal_starts_what_has_failed_and_nothing_that_is_done,
    Script::up("bad: watch=HUP, policy=no\ndone: watch=HUP\nother: ").run(
        "1 spawned 1; spawned 2; spawned 3\n2 exited 1 1; emptied 1\n3 exited 2 0; emptied 2\n5000 saved bad done\n5001 spawned 4"
    )
);

trace!(
    a_command_alone_restarts_nothing,
    Script::up("api: watch=run")
        .run("1 spawned 1\n5000 saved api\n5100 broken 1\n9000 saved api\n9100 built 2")
);

trace!(
    watches_that_are_saved_together_are_one_round,
    Script::up("api: watch=run, watch, watch=HUP").run(
        "1 spawned 1\n5000 saved api:a.sql:0 api:a.py:1\n5100 built 1\n5110 died 1 15; emptied 1\n5111 spawned 2\n\
         9000 saved api:a.sql:0 api:a.conf:2\n9100 built 2\n\
         12000 saved api:a.sql:0\n12001 saved api:a.py:1\n12010 died 2 15; emptied 2\n12011 spawned 3\n12100 built 3"
    )
);

trace!(
    a_task_runs_again_and_its_dependents_go_on,
    Script::up("seed: task, watch\napi: needs seed=completed").run(
        "1 spawned 1\n5 exited 1 0; emptied 1\n6 spawned 2\n5000 saved seed\n5001 spawned 3\n5002 saved seed\n5003 died 3 15; emptied 3\n\
         5004 spawned 4\n5010 exited 4 1; emptied 4\n9000 saved seed\n9001 spawned 5\n9010 exited 5 0; emptied 5"
    )
);

/// Starts runs from number 1 every `period` ms; `after` ms later a watched file changes.
fn around(
    script: Script,
    period: u64,
    after: u64,
    times: u64,
    file: fn(u64) -> &'static str,
) -> Script {
    let mut text = String::new();
    for n in 1..=times {
        let start = (n - 1) * period + 1;
        text += &format!("{start} spawned {n}\n{} saved api:{}\n", start + after, file(n));
        if n < times {
            text += &format!("{} died {n} 15; emptied {n}\n", start + after + 10);
        }
    }
    script.run(&text)
}

trace!(
    a_service_that_restarts_itself_is_found_out,
    around(Script::up("api: watch"), 1000, 100, 8, |n| ["a", "b"][n as usize % 2])
        .run("7500 saved api:a\n7600 saved api:b\n13000 saved api:b")
        .since("paused")
);

trace!(
    another_file_restarts_it_and_the_paused_one_does_not,
    around(Script::up("api: watch"), 2020, 2000, 4, |_| "a")
        .run("8200 saved api:a\n20000 saved api:main.py\n20010 died 4 15; emptied 4\n20020 spawned 5\n22020 saved api:a\n40000 saved api:a")
        .since("paused")
);

trace!(
    a_restart_by_hand_resumes_a_paused_watch,
    around(Script::up("api: watch"), 2020, 2000, 4, |_| "a")
        .run("8200 restart api\n8210 died 4 15; emptied 4\n8220 spawned 5\n8600 saved api:a")
        .since("paused")
);

trace!(
    an_edit_of_the_service_resumes_a_paused_watch,
    around(Script::up("api: watch"), 2020, 2000, 4, |_| "a")
        .apply(8_200, "api: watch\nweb: watch")
        .run("8300 saved api:a")
        .apply(8_400, "api: watch, grace=1000\nweb: watch")
        .run("8500 saved api:a")
        .since("paused")
);

trace!(
    a_service_that_writes_late_is_found_out,
    around(Script::up("api: watch"), 3100, 3000, 4, |_| "a").since("9301 spawned")
);

/// Starts runs one after the other; 3 s later each has changed its own environment.
fn env_changes(times: u64) -> Script {
    let mut script = Script::up("api: env=0");
    for n in 1..=times {
        let start = (n - 1) * 3100 + 1;
        script = script.run(&format!("{start} spawned {n}"));
        script = script.apply(start + 3000, &format!("api: env={n}"));
        if n < times {
            script = script.run(&format!("{} died {n} 15; emptied {n}", start + 3010));
        }
    }
    script
}

trace!(
    a_service_that_changes_its_own_environment_is_found_out,
    env_changes(4)
        .apply(13_000, "api: env=5")
        .apply(40_000, "api: env=6")
        .run("40010 died 4 15; emptied 4\n40020 spawned 5")
        .since("9301 spawned")
);

trace!(
    a_restart_by_hand_takes_the_environment_that_was_left_aside,
    env_changes(4)
        .run("12500 restart api\n12510 died 4 15; emptied 4\n12520 spawned 5")
        .apply(15_520, "api: env=7")
        .since("no longer restart it")
);

trace!(
    ten_saves_in_ten_seconds_are_ten_restarts,
    Script::up("api: watch").run(&ten_saves()).since("9450 saved")
);

/// About one save a second, as a user does it.
fn ten_saves() -> String {
    let mut text = String::new();
    for n in 1..=10 {
        let (start, after) = ((n - 1) * 1000 + 1, 450 + (n * n * 37) % 350);
        let saved = if n == 10 { 9450 } else { start + after };
        text += &format!("{start} spawned {n}\n{saved} saved api:main.py\n");
        if n < 10 {
            text += &format!("{} died {n} 15; emptied {n}\n", saved + 10);
        }
    }
    text
}

/// Each service writes what the other watches, 50 ms after its start.
fn each_other() -> Script {
    let mut text = "1 spawned 1; spawned 2\n".to_owned();
    for n in 0..60 {
        let (at, api, web) = (n * 500 + 50, n * 2 + 1, n * 2 + 2);
        text += &format!("{at} saved web:y\n{} died {web} 15; emptied {web}\n", at + 10);
        text += &format!("{} spawned {}\n{} saved api:x\n", at + 20, web + 1, at + 250);
        text += &format!(
            "{} died {api} 15; emptied {api}\n{} spawned {}\n",
            at + 260,
            at + 270,
            api + 3
        );
    }
    Script::up("api: watch\nweb: watch").run(&text)
}

#[test]
fn two_services_that_trigger_each_other_are_found_out() {
    let trace = each_other().trace();
    let paused = trace.find("file watching for web is paused: y changed").expect("it is found out");
    let at = trace[..paused].lines().filter(|line| line.ends_with("saved web:y")).count();
    assert_eq!(at, 8, "{trace}");
}

trace!(
    commands_that_trigger_themselves_are_found_out,
    Script::up("api: watch=run").run(&commands()).since("job 7 api")
);

/// Each command takes 4 s and writes a watched file shortly before it exits.
fn commands() -> String {
    let mut text = "1 spawned 1\n5000 saved api:main.rs\n".to_owned();
    for n in 1..=9 {
        let end = 5000 + n * 4000;
        text += &format!("{} saved api:out\n{end} built {n}\n", end - 50);
    }
    text
}
