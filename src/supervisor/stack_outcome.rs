//! The life of the loop, from the first step to the last process.

use std::time::Duration;

#[cfg(debug_assertions)]
use super::signal_listener::SignalAction;
use super::signal_listener::SignalListener;
use super::status::event_lines;
use super::supervisor::{Supervisor, WakeReason};
use crate::engine::{Input, ShutdownMode};
use crate::exit_code::ExitCode;
use crate::log::StatusText;
use crate::sync::catch_panic;

/// Maximum number of inputs for one engine step. A burst is handled in one step; a flood still
/// leaves room for deadlines.
const BATCH: usize = 256;

/// A wait for the last processes that takes longer is announced.
const SILENT: Duration = Duration::from_secs(1);

/// The signal that ends devstack at once: the first stops gracefully, the second kills.
const LAST_SIGNAL: u32 = 3;

/// How the stack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackOutcome {
    /// The exit code that was asked for.
    pub code: i32,
    /// What is known of its processes.
    pub end: StackEnd,
}

/// What a stack has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StackRemains {
    /// It is proven that nothing is.
    Nothing,
    /// Perhaps processes.
    Processes,
    /// Perhaps something in container engines, and why.
    Containers(String),
}

/// How well a stack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackEnd {
    /// It is proven that no process is left.
    Proved,
    /// Processes may be left, which the guard goes on killing, or containers.
    Unproved,
    /// The user did not want to wait.
    Abandoned,
    /// The loop panicked; what could be stopped was.
    Panicked,
}

impl Supervisor {
    /// Runs until everything is over. Processes left then are up to the guard.
    pub async fn run(mut self) -> StackOutcome {
        let panicked = catch_panic(self.serve_from_start()).await.is_none();
        if panicked {
            // Our own bug. The engine may still know the order in which to stop.
            self.logs.write_status(event_lines::panicked());
            let _ = catch_panic(self.serve_shutdown()).await;
        }
        self.answer_end_requests();
        let code = self.exit_code.unwrap_or(ExitCode::FAILED.0);
        let outcome = match self.interrupts {
            LAST_SIGNAL.. => {
                self.logs.write_status(event_lines::unproved());
                StackOutcome { code, end: StackEnd::Abandoned }
            }
            _ => self.finish(code).await,
        };
        match panicked {
            true => StackOutcome { code: ExitCode::INTERNAL.0, end: StackEnd::Panicked },
            false => outcome,
        }
    }

    async fn serve_from_start(&mut self) {
        let stack = self.first_stack.clone();
        self.set_log_columns(&stack);
        self.executor.set_watch_baseline();
        self.step_engine(vec![Input::Apply(stack)]);
        let mut watching = false;
        while self.goes_on() {
            // The file walk would compete with starting services; it notices changes made before
            // it.
            if !watching && !self.engine.has_pending_spawn() {
                watching = true;
                let stack = self.stack().clone();
                self.executor.watch(&stack, &Default::default());
            }
            self.serve().await;
        }
    }

    /// Stops everything in order, after a panic.
    async fn serve_shutdown(&mut self) {
        let (why, code) = ("internal error".to_owned(), ExitCode::INTERNAL.0);
        let haste = ShutdownMode::Polite;
        self.step_engine(vec![Input::Shutdown { ticket: None, why, code, haste }]);
        while self.goes_on() {
            self.serve().await;
        }
    }

    /// Whether something runs, unless the user does not want to wait for it.
    fn goes_on(&self) -> bool {
        self.exit_code.is_none()
            || (!self.executor.actions.is_idle() && self.interrupts < LAST_SIGNAL)
    }

    /// Waits for something to happen, and acts on everything that has.
    async fn serve(&mut self) {
        let first = self.wake().await;
        #[cfg(debug_assertions)]
        panic_for_test(&first);
        self.follow_move();
        // Whatever follows a new stack must find it in the engine.
        let batch = if matches!(first, WakeReason::Reloaded(_)) { 0 } else { BATCH };
        let mut inputs = Vec::new();
        self.collect_inputs(first, &mut inputs);
        while inputs.len() < batch
            && let Some(next) = self.try_wake()
        {
            self.collect_inputs(next, &mut inputs);
        }
        self.step_engine(inputs);
    }

    /// Ends every process that is left, and says what is known about that.
    async fn finish(mut self, code: i32) -> StackOutcome {
        self.status.finish().await;
        let actions = self.executor.actions.stuck().next().is_some();
        let survivors = self.engine.has_survivors() || actions;
        let mut signals = self.sources.signals;
        let logs = self.logs;
        let finished = self.executor.finish(survivors);
        tokio::pin!(finished);
        let slow = async {
            tokio::time::sleep(SILENT).await;
            logs.write_status(event_lines::still_waiting());
            std::future::pending::<(StackOutcome, StatusText)>().await
        };
        let (outcome, text) = tokio::select! {
            remains = &mut finished => {
                let (end, text) = match remains {
                    StackRemains::Nothing => (StackEnd::Proved, event_lines::everything_stopped()),
                    StackRemains::Processes => (StackEnd::Unproved, event_lines::unproved()),
                    StackRemains::Containers(why) => {
                        (StackEnd::Unproved, event_lines::containers_left(&why))
                    }
                };
                (StackOutcome { code, end }, text)
            }
            signal = nth_signal(&mut signals, LAST_SIGNAL - self.interrupts) => {
                let (code, end) = (ExitCode::of_signal(signal).0, StackEnd::Abandoned);
                (StackOutcome { code, end }, event_lines::unproved())
            }
            outcome = slow => outcome,
        };
        logs.write_status(text);
        outcome
    }
}

/// Panics when a test asks for it: with this variable, on SIGWINCH, or with `always` on everything
/// from then on. Not in releases.
#[cfg(debug_assertions)]
fn panic_for_test(wake: &WakeReason) {
    use std::sync::atomic::{AtomicBool, Ordering};
    static BROKEN: AtomicBool = AtomicBool::new(false);
    let Some(how) = std::env::var_os("DEVSTACK_TEST_PANIC") else { return };
    let asked = matches!(wake, WakeReason::Signal(SignalAction::Resized));
    let broken = BROKEN.fetch_or(asked && how == "always", Ordering::Relaxed);
    assert!(!asked && !broken, "a test asked for a panic");
}

/// Waits for this many signals and returns the number of the last.
async fn nth_signal(signals: &mut SignalListener, count: u32) -> i32 {
    for _ in 1..count {
        signals.end().await;
    }
    signals.end().await
}
