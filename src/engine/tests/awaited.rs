//! Services that connections may wait for.

use std::time::Duration;

use super::script::{name, stack};
use crate::engine::{Engine, Input, ShutdownMode, Ticket, WhenIdle};
use crate::model::{Message, MessageClass, ProcessExit, RunId};

/// Returns the names of the expected services after a step with these inputs.
fn after(engine: &mut Engine, ms: u64, inputs: impl IntoIterator<Item = Input>) -> String {
    engine.step(Duration::from_millis(ms), inputs);
    let names: Vec<&str> =
        engine.expected_services().map(|service| service.name.as_str()).collect();
    names.join(" ")
}

fn up(text: &str) -> Engine {
    let mut engine = Engine::new(None, WhenIdle::AwaitSave);
    engine.step(Duration::ZERO, [Input::Apply(stack(text))]);
    engine
}

#[test]
fn those_that_run_or_will_again() {
    let mut engine = up("api: \nweb: needs api=ready");
    assert_eq!(after(&mut engine, 1, [Input::Spawned(RunId(1), 1)]), "api web");
    // Back-off.
    let ended = [Input::Exited(RunId(1), ProcessExit::Code(1)), Input::TreeEmpty(RunId(1))];
    assert_eq!(after(&mut engine, 2, ended), "api web");
    assert_eq!(after(&mut engine, 3, [Input::Stop(Ticket(1), vec![name("api")])]), "web");
    assert_eq!(after(&mut engine, 4, [Input::Start(Ticket(2), vec![name("api")])]), "api web");
    let restart = Input::Restart(Ticket(3), vec![name("api")]);
    assert_eq!(after(&mut engine, 5, [Input::Spawned(RunId(3), 3), restart]), "api web");
    assert_eq!(after(&mut engine, 6, [Input::Apply(stack("web: "))]), "web");
    let why = "SIGINT".to_owned();
    let end = Input::Shutdown { ticket: None, why, code: 130, haste: ShutdownMode::Polite };
    assert_eq!(after(&mut engine, 7, [end]), "");
}

#[test]
fn not_those_that_are_over_nor_those_that_need_one_that_failed() {
    let mut engine = up("api: \nweb: needs api=ready\nother: ");
    let missing = Message::new(MessageClass::Spawn, "no such program");
    assert_eq!(after(&mut engine, 1, [Input::SpawnFailed(RunId(1), missing)]), "other");
    let done = [
        Input::Spawned(RunId(2), 2),
        Input::Exited(RunId(2), ProcessExit::Code(0)),
        Input::TreeEmpty(RunId(2)),
    ];
    assert_eq!(after(&mut engine, 2, done), "");
}
