//! What SIGKILL does not end: every wait for it is bounded, and nothing starts beside it.

use super::script::Script;

/// A service whose stop was killed and whose process hangs in the kernel.
const STUCK: &str = "
     0 spawned 1
   100 restart api
  1200 tick
  6200 survived 1 D
";

trace!(
    what_survives_its_kill_has_failed_and_nothing_starts_beside_it,
    Script::up("api: grace=1000").run(STUCK).why(6300, "api").run(
        "
      6400 stop api
      6500 start api
      6600 wait stopped api
      6700 wait ready api
      6800 restart api
     "
    )
);

trace!(
    it_starts_again_when_it_has_gone_after_all,
    Script::up("api: grace=1000").run(STUCK).run(
        "
      9000 died 1 9
      9001 emptied 1
      9010 spawned 2
     "
    )
);

trace!(
    what_was_stopped_stays_stopped_when_it_has_gone_after_all,
    Script::up("api: grace=1000").run(
        "
         0 spawned 1
       100 stop api
      1200 tick
      6200 survived 1 T
      9000 died 1 9; emptied 1
     "
    )
);

trace!(
    dependents_of_what_hangs_are_blocked_and_start_when_it_is_back,
    Script::up(
        "
        db: grace=1000, probe
        api: needs db=ready
        "
    )
    .run(
        "
         0 spawned 1
        10 restart db
      1100 tick
      6100 survived 1 /sys/fs/cgroup/box/cgroup.freeze
      6200 wait ready api
      9000 died 1 9; emptied 1
      9010 spawned 2
      9020 held 2
     "
    )
);

trace!(
    a_shutdown_ends_without_what_cannot_be_stopped,
    Script::up(
        "
        db: grace=1000
        api: grace=1000, needs db=started
        "
    )
    .run(
        "
         0 spawned 1
         1 spawned 2
       100 down
      1200 tick
      6200 survived 2 D D D D
      6201 died 1 15; emptied 1
     "
    )
);

trace!(
    a_second_ctrl_c_ends_without_what_cannot_be_stopped,
    Script::up("api: grace=1000\nweb: grace=1000").run(
        "
         0 spawned 1
         1 spawned 2
       100 ctrl-c
       200 kill-all
       201 died 1 9; emptied 1
      5300 survived 2 ?
     "
    )
);

trace!(
    a_run_that_left_something_unstoppable_has_failed_until_that_is_gone,
    Script::up("api: policy=always").run(
        "
         0 spawned 1
       100 exited 1 0
      6200 survived 1 D
      9000 emptied 1
     "
    )
);

trace!(
    a_watch_command_that_cannot_be_stopped_holds_up_no_stop_and_no_shutdown,
    Script::up("api: watch=build, grace=1000").run(
        "
         0 spawned 1
       100 saved api
       200 stop api
       210 died 1 15; emptied 1
      1300 tick
      6300 job-survived 1 D
      6400 start api
      6410 spawned 2
      6500 down
      6510 died 2 15; emptied 2
     "
    )
);

trace!(
    what_has_gone_during_the_inspection_has_not_failed,
    Script::up("api: grace=1000").run(
        "
         0 spawned 1
       100 restart api
      1200 tick
      6150 died 1 9; emptied 1
      6151 survived 1 D
      6160 spawned 2
     "
    )
);

trace!(
    a_watch_command_that_left_something_unstoppable_runs_again_when_that_has_gone,
    Script::up("api: watch=build").run(
        "
         0 spawned 1
       100 saved api
      5200 job-survived 1 D
      5300 restart api
      5310 died 1 15; emptied 1
      5320 spawned 2
      9000 built 1
      9100 built 2
     "
    )
);
