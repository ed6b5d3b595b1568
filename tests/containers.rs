//! Services in containers, with engines that really run. Each test runs with Docker and with Podman.
#![cfg(target_os = "linux")]

#[path = "containers/by_hand.rs"]
mod by_hand;
#[path = "containers/ends.rs"]
mod ends;
#[path = "containers/engine.rs"]
mod engine;
#[path = "containers/faces.rs"]
mod faces;
#[path = "containers/faults.rs"]
mod faults;
#[path = "containers/life.rs"]
mod life;
#[path = "containers/reach.rs"]
mod reach;
#[path = "containers/registry.rs"]
mod registry;
#[path = "containers/stores.rs"]
mod stores;

macro_rules! with_each_engine {
    ($($room:ident: $($test:ident)*;)*) => {
        /// The tests that run with each engine.
        const TESTS: &[&str] = &[$($(stringify!($test),)*)*];

        mod docker {
            $($(#[test] fn $test() {
                let Some(engine) = super::engine::Engine::docker() else { return };
                super::$room::$test(engine);
            })*)*
        }
        mod podman {
            $($(#[test] fn $test() {
                let Some(engine) = super::engine::Engine::podman() else { return };
                super::$room::$test(engine);
            })*)*
        }
    };
}

with_each_engine! {
    life:
        it_runs_beside_programs_that_reach_it
        it_is_ready_only_when_its_program_listens
        a_taken_port_moves
        replicas_share_a_name
        commands_run_inside
        actions_run_inside_and_leave_nothing_there
        a_save_builds_and_swaps
        the_healthcheck_of_an_image_counts
        volumes_stay
        a_port_that_the_command_publishes_is_its_own;
    stores:
        a_data_store_serves_a_program
        a_database_is_ready_when_it_lets_clients_in
        a_flask_app_uses_two_data_stores;
    ends:
        a_stop_reaches_the_program_and_grace_ends_it
        restarts_leave_nothing
        whatever_is_killed_nothing_is_left
        the_next_command_removes_what_is_left
        a_creation_under_way_is_found
        an_adopted_container_is_found_too;
    reach:
        a_container_reaches_a_program
        its_terminal_is_attached_to
        replicas_answer_at_their_name;
    by_hand:
        a_started_container_is_its_own_and_stays
        what_cannot_be_told_says_what_to_write
        what_compose_starts_is_its_own;
    faces:
        each_kind_of_readiness_and_health_counts
        each_key_reaches_the_container
        commands_know_its_container
        a_debugger_inside_is_reached;
    faults:
        what_the_engine_refuses_is_said_once
        it_says_what_keeps_an_image_away
        it_says_why_a_registry_refuses
        a_pull_is_shown_and_not_timed
        a_full_disk_is_said
        an_engine_that_is_missing_is_said
        what_a_gone_engine_keeps_is_removed_later
        a_strangers_container_stays
        a_restarted_engine_is_waited_for
        the_end_of_memory_is_said;
}

/// The table of what is promised must not name tests that are gone, nor leave one out.
#[test]
fn every_promise_has_its_tests() {
    let table = include_str!("containers/promises.md");
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| ") && *line != "| promise | tests |")
        .collect();
    let named: Vec<&str> = rows
        .iter()
        .flat_map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
            let [_, tests] = cells[..] else { panic!("two cells: {row}") };
            let names: Vec<&str> =
                tests.split(',').map(|name| name.trim().trim_matches('`')).collect();
            assert!(names.iter().all(|name| !name.is_empty()), "no test: {row}");
            names
        })
        .collect();
    assert!(rows.len() > 40, "{} rows", rows.len());
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let elsewhere: String = [
        "src/config/load/tests/containers.rs",
        "src/container/discovery.rs",
        "src/supervisor/containers/memory_end.rs",
        "tests/init.rs",
        "tests/export.rs",
    ]
    .map(|file| std::fs::read_to_string(root.join(file)).expect(file))
    .concat();
    for name in &named {
        let test = format!("#[test]\nfn {name}()");
        let unit = format!("#[test]\n    fn {name}()");
        let there = TESTS.contains(name) || elsewhere.contains(&test) || elsewhere.contains(&unit);
        assert!(there, "{name} is no test");
    }
    for test in TESTS {
        assert!(named.contains(test), "{test} shows no promise");
    }
}
