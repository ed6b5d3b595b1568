//! What `why` reports in each state: what happens next, and when.

use super::script::Script;
use crate::model::Phase;

trace!(
    why_a_service_waits_and_for_what,
    Script::up("db: probe\nmigrate: task\napi: needs db=ready, needs migrate=completed, port=5000")
        .run("1 spawned 1; spawned 2\n2 failing 1")
        .why(10, "api")
        .why(10, "db")
        .why(10, "migrate")
);

trace!(
    why_a_service_crashes_and_when_it_starts_again,
    Script::up("api: probe, watch")
        .run("5 spawned 1\n6 failing 1\n105 exited 1 1; emptied 1")
        .why(205, "api")
        .run("355 tick\n360 spawned 2\n400 saved api\n401 died 2 15")
        .why(402, "api")
        .run("403 emptied 2\n404 spawned 3; held 3")
        .why(500, "api")
);

trace!(
    attempts_are_counted_since_the_last_stable_run,
    Script::up("api: watch")
        .run("1 spawned 1; restart api\n2 exited 1 0; emptied 1\n3 spawned 2\n20000 saved api\n20001 exited 2 0; emptied 2\n20002 spawned 3\n20003 exited 3 1; emptied 3")
        .why(20004, "api")
        .since("20003 exited")
);

trace!(
    why_nothing_happens_any_more,
    Script::up("given-up: policy=no, probe\nwatched: policy=no, watch\nneedy: needs given-up=ready\ndone: task\nspare: manual\nother: ")
        .run("1 spawned 1; spawned 2; spawned 3; spawned 4\n2 exited 1 0; emptied 1; exited 2 3; emptied 2; exited 3 1; emptied 3; exited 4 1; emptied 4\n3 stop other")
        .why(4, "given-up")
        .why(4, "watched")
        .why(4, "needy")
        .why(4, "done")
        .why(4, "spare")
        .why(4, "other")
);

trace!(
    why_a_stop_takes_long,
    Script::up("api: grace=1000\nweb: ")
        .run("1 spawned 1; spawned 2\n10 stop api\n11 restart web")
        .why(500, "api")
        .why(500, "web")
        .run("1200 tick")
        .why(1200, "api")
        .run("1300 died 1 9")
        .why(1300, "api")
        .run("1400 ctrl-c")
        .why(1400, "web")
);

trace!(
    why_a_service_is_late_or_not_healthy,
    Script::up("late: probe\nill: health=report\nill-again: health=restart")
        .run("1 spawned 1; spawned 2; spawned 3\n60001 failing 3; unwell 1; unwell 2")
        .why(60002, "late")
        .why(60002, "ill")
        .why(60002, "ill-again")
);

trace!(
    why_a_service_in_debug_mode_does_nothing,
    Script::up("api: probe, debug-waits=5678")
        .run("1 spawned 1; attachable 1")
        .why(2, "api")
        .run("3 held 1\n4 saved api")
        .why(5, "api")
        .run("6 stop api")
        .why(7, "api")
);

trace!(
    why_a_file_did_something_without_a_restart,
    Script::up("api: watch=HUP\nweb: watch=run")
        .run("1 spawned 1; spawned 2\n10 saved api:a.py; saved web:b.py")
        .why(11, "api")
        .why(11, "web")
);

trace!(
    why_remembers_only_the_last_ends,
    Script::up("api: policy=always").run(
        "1 spawned 1; exited 1 0; emptied 1\n300 spawned 2; exited 2 0; emptied 2\n900 spawned 3; exited 3 1; emptied 3\n2000 spawned 4; died 4 9; emptied 4\n4500 spawned 5; exited 5 0; emptied 5\n9000 spawned 6; exited 6 7; emptied 6"
    )
    .why(9500, "api")
    .since("9000 spawned")
);

trace!(
    why_says_whether_it_listens_where_it_should,
    Script::up("api: probe=5000, port=5000")
        .run("1 spawned 1; held 1")
        .why(2, "api")
        .run("3 listens 1 127.0.0.1:5001")
        .why(4, "api")
        .run("5 listens 1 127.0.0.1:5000")
        .why(6, "api")
);

#[test]
fn a_service_that_listens_elsewhere_is_not_told_to_wait_longer() {
    let late = |script: &str| {
        let message = Script::up("api: probe").run(script).view("api").message.unwrap();
        (message.text, message.help)
    };
    let elsewhere = |time| (format!("not ready yet after {time}: elsewhere"), String::new());
    // It is told soon: waiting longer does not help.
    assert_eq!(late("1 spawned 1\n2001 remarks 1 elsewhere\n12001 tick"), elsewhere("12s"));
    assert_eq!(late("1 spawned 1\n70000 tick\n80000 remarks 1 elsewhere"), elsewhere("1m"));
    let (text, help) = late("1 spawned 1\n2 failing 1\n70000 tick");
    assert!(text.starts_with("not ready yet after 1m: connection refused"), "{text}");
    assert!(help.starts_with("raise `ready.timeout`"), "{help}");
    // A long build between its other port and its own was expected.
    let slow = Script::up("api: probe, timeout=600000");
    let slow = slow.run("1 spawned 1\n2001 remarks 1 elsewhere\n70000 tick");
    assert_eq!(slow.view("api").phase, Phase::Starting);
}

#[test]
fn the_file_that_broke_a_service_has_its_path_in_the_project() {
    let script = Script::up("api: watch").run(
        "1 spawned 1\n2 saved api:routes/users.js\n3 died 1 15; emptied 1\n4 spawned 2; exited 2 1; emptied 2\n\
         500 spawned 3; exited 3 1; emptied 3\n2000 spawned 4; exited 4 1; emptied 4",
    );
    let text = script.view("api").message.unwrap().text;
    assert_eq!(text, "exited 3 times since routes/users.js changed; last: exit 1");
}
