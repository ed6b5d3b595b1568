//! Services that sleep until a client or a dependent needs them.

use super::script::{Script, name};
use crate::model::Phase;

trace!(
    a_lazy_service_starts_with_a_client_and_sleeps_when_unused,
    Script::up("api: port=5000, lazy, idle=900, probe\nweb: ").run(
        "1 spawned 1; wait up\n2 connect api\n3 connect api\n4 spawned 2\n5 held 2\n905 unused api\n906 exited 2 0; emptied 2\n907 connect api\n908 unused api"
    )
);

trace!(
    a_client_that_comes_while_it_stops_is_served_by_the_next_run,
    Script::up("api: port=5000, lazy, idle=900, probe").run(
        "1 connect api\n2 spawned 1\n3 held 1\n903 unused api\n904 connect api\n905 exited 1 0; emptied 1\n906 spawned 2\n907 held 2"
    )
);

trace!(
    what_it_needs_wakes_with_it_and_sleeps_only_after_it,
    Script::up("db: port=5000, lazy, idle=900, probe\napi: port=5001, lazy, idle=900, needs db=ready").run(
        "1 connect api\n2 spawned 1\n3 held 1\n4 spawned 2\n900 unused db\n901 unused api\n902 unused db\n903 exited 2 0; emptied 2\n904 unused db\n905 exited 1 0; emptied 1"
    )
);

trace!(
    a_service_that_is_not_lazy_wakes_what_it_needs,
    Script::up(
        "db: port=5000, lazy, probe\nmid: port=5001, lazy, needs db=ready\nweb: needs mid=ready"
    )
    .run("1 spawned 1\n2 held 1\n3 spawned 2\n4 spawned 3")
);

trace!(
    a_stop_is_final_for_clients_too,
    Script::up("api: port=5000, lazy").run(
        "1 stop api\n2 connect api\n3 start api\n4 spawned 1\n5 unused api\n6 stop api\n7 connect api\n8 exited 1 0; emptied 1\n9 restart api"
    )
);

trace!(
    asleep_is_up_and_stopped_but_neither_ready_nor_done,
    Script::up("api: port=5000, lazy").run(
        "1 wait up api; wait ready api; wait completed api; wait stopped api; wait stopped\n2 ctrl-c"
    )
);

trace!(
    what_is_debugged_or_not_ready_or_restarts_does_not_sleep,
    Script::up("api: port=5000, lazy, idle=900, debug=5678\nweb: port=5001, lazy, idle=900, probe").run(
        "1 connect api; connect web\n2 spawned 1; spawned 2\n902 unused api; unused web\n903 held 2\n904 restart web; unused web\n905 exited 2 0; emptied 2"
    )
);

trace!(
    edits_of_start_and_idle_apply_to_what_runs_and_what_sleeps,
    Script::up("api: port=5000, lazy\nweb: port=5001, lazy, idle=900")
        .run("1 connect web\n2 spawned 1")
        .apply(3, "api: port=5000, lazy, idle=100\nweb: port=5001, lazy")
        .run("1000 unused web")
        .apply(1001, "api: port=5000\nweb: port=5001")
        .run("1002 spawned 2")
        .apply(1003, "api: port=5000, lazy, idle=100\nweb: port=5001\nnew: port=5002, lazy")
        .run("2000 unused api\n2001 exited 2 0; emptied 2")
);

trace!(
    without_its_door_a_lazy_service_fails,
    Script::up("api: port=5000, lazy").run("1 shut api\n2 start api\n3 spawned 1")
);

trace!(
    a_lazy_service_that_crashes_starts_again_by_its_policy,
    Script::up("api: port=5000, lazy, probe\nonce: port=5001, lazy, policy=no, probe").run(
        "1 connect api; connect once\n2 spawned 1; spawned 2\n3 exited 1 1; emptied 1\n4 exited 2 1; emptied 2\n5 connect once\n300 tick"
    )
);

#[test]
fn clients_are_passed_on_only_while_a_run_takes_connections() {
    let door = |script: &Script| {
        let doors = script.engine.doors();
        doors.map(|door| door.open_to.is_some()).collect::<Vec<_>>()
    };
    let script = Script::up("api: port=5000, lazy, idle=900, probe\nweb: port=5001");
    assert_eq!(door(&script), [false]);
    assert_eq!(script.view("api").phase, Phase::Asleep);
    assert_eq!(script.view("api").url.as_deref(), Some("http://127.0.0.1:5000"));
    let script = script.run("1 connect api\n2 spawned 2");
    assert_eq!(door(&script), [false]);
    let script = script.run("3 held 2");
    assert_eq!(door(&script), [true]);
    let script = script.run("903 unused api");
    assert_eq!(door(&script), [false], "it stops");
    let script = script.run("904 exited 2 0; emptied 2");
    assert_eq!(door(&script), [false]);
    let unwanted = script.engine.unwanted();
    assert!(!unwanted.contains(&name("api")), "its ports stay its own");
    let script = script.run("905 stop api");
    assert_eq!(door(&script), [true; 0]);
    let script = script.run("906 start api");
    assert_eq!(door(&script), [false]);
    let script = script.run("907 ctrl-c");
    assert_eq!(door(&script), [true; 0], "the shutdown has begun");
}
