//! devstack runs a stack of services. This page is its architecture; `docs/glossary.md` has the words.
//!
//! # One engine, one loop
//!
//! ```text
//!  devstack.toml ─► config ─► Config ─► ports ─► Stack ──┐
//!                                                        ▼
//!  signals, requests, reports, changes ─► Supervisor ─► Engine::step(now, inputs)
//!       ▲                                                │
//!       │                                                ▼
//!  runs, probes, watcher, timers ◄─ Executor ◄──────── effects
//!                                                        │
//!            Snapshot, events, log ◄─────────────────────┘
//!                     │
//!             SupervisorHandle ◄─ control server ◄─ socket ◄─ control client ◄─ ps, logs, down …
//! ```
//!
//! 1. **One engine.** [`engine`] makes every decision and has no side effects: no clock, no file, no
//!    process; time is a parameter. [`engine::Engine::step`] absorbs inputs, stops what must not run,
//!    starts what should, and emits what changed.
//! 2. **One loop.** [`supervisor::Supervisor`] turns whatever happens into inputs, steps the engine and
//!    has its effects carried out. It waits only in its own `select!`.
//! 3. **Tasks per run.** A run is one life of one service. A task reads its output, others probe it.
//!    They report with the number of the run, so a late report about an earlier run matches nothing.
//! 4. **Desired state.** A configuration becomes a checked value, [`model::Stack`]. A reload hands the
//!    engine another stack; one pure comparison, [`model::Plan`], says what changes and why.
//! 5. **Two ways out.** *What is*: an immutable [`model::Snapshot`], made when a client asks. *What
//!    happened*: the events of [`supervisor::feed`], and the lines of [`log`]. Readers follow at their
//!    own speed; a slow one learns how much it missed and delays nothing. Log bytes never pass through
//!    the loop. Clients that attach to a [`terminal`] get raw output, bounded in the same way.
//! 6. **Lost races are repaired.** Ports are held until they are bound ([`ports`]). If another process
//!    listens on one anyway, the engine lets that service wait until another port is chosen.
//! 7. **Commands are clients.** Commands in other terminals use the control socket and know nothing of
//!    the engine.
//!
//! # Rooms
//!
//! From the bottom up; `tests/layers` checks who may use what.
//!
//! | room | contents | uses |
//! |---|---|---|
//! | [`model`] | shared vocabulary, plain data: stack, phase, cause, event, snapshot, plan | std, serde |
//! | [`suggest`], [`exit_code`], `text`, `units` | "did you mean"; exit codes; escaping and quoting; durations and sizes | model |
//! | `sys` | system calls and all `unsafe`, one file per operating system with the same functions | model |
//! | [`presets`] | frameworks and data stores, one TOML file each | model |
//! | [`config`] | text → values with spans → checked [`config::Config`] → [`model::Stack`] | presets |
//! | [`ports`] | chooses ports, claims them, finds out which process has one | sys |
//! | [`engine`] | phases, order, restarts, back-off, requests, the plan of a reload | model |
//! | [`process`] | guard, keepers, runs; starts, signals and reaps processes | sys |
//! | [`log`] | capture, store, read and format what services print | sys |
//! | [`watch`] | from file events to changes of services | sys |
//! | [`probe`] | readiness and health | ports, process |
//! | [`terminal`] | the ptys of services, and attached clients | process, log |
//! | [`supervisor`] | the loop, executor, reload, event feed, signals | all above |
//! | [`control`] | one devstack per directory; protocol, server and client of its socket | `SupervisorHandle`; the client only model and log |
//! | [`export`] | files for other programs: VS Code's `launch.json` | model |
//! | [`cli`] | the commands, and everything up to a running stack | everything |
//!
//! # Where to look first
//!
//! | question | file |
//! |---|---|
//! | What turns a burst of file events into one change (debounce)? | `watch/events/debouncer.rs`, times in `quiet_period.rs` |
//! | What does a changed file lead to? | `engine/on_change/mod.rs` |
//! | What starts or stops, and in which order? | `engine/reconcile.rs` |
//! | What does an exit lead to, and how long is the back-off? | `engine/exit.rs` |
//! | What makes a configuration change a restart? | `engine/apply/diff.rs`: which differences need a restart; `engine/apply/plan.rs`: what to do in the current state |
//! | Which port does a service get? | `ports/choose.rs`; claims and history: `ports/assign.rs` |
//! | Which process has a port? | `ports/holders/` |
//! | How is a preset read? | `presets/preset.rs`, `presets/facts.rs`; its `[service]` table: `config/check/preset.rs` |
//! | What happens on SIGHUP, SIGTERM or Ctrl-C? All shut down; nohup ignores SIGHUP | `on_signal` in `supervisor/inputs.rs`; the signals: `supervisor/signal_listener.rs` |
//! | What reaps an orphan? | `process/keeper/keeper_loop.rs`; those of a dead keeper: `process/guard/guard_loop.rs`; those of the command of `run`: `process/cleanup/command_orphans.rs`; those of a killed devstack: `process/cleanup/previous_stack.rs` |
//! | How are an environment and a command line made? | `config/env/resolver.rs`, `process/spawn/` |
//! | How does a line get from a pipe to its file? | `log/capture/log_capture.rs`, `log/store/service_log.rs` |
//! | How does a log line become JSON? | `log/log_item.rs` from the types in `log/log_line.rs` and `log/status_line.rs` |
//! | What answers `devstack ps`, `why`, `down`? | `control/server/router.rs`; the table: `cli/render/ps.rs` |
//! | What does a command do? | `cli/args.rs` lists them, `cli/mod.rs` calls them |
//! | Where do exit codes come from? | `exit_code.rs` lists them; 120 to 127 of `devstack run`: `cli/start/run.rs` |
//! | What does `why` say? | `engine/explain.rs` |
//!
//! # Ports
//!
//! `ports::choose` decides and is pure: it asks a `PortSource` for numbers, which claims each at once. A
//! claim is three things: a lease (a locked file, against other stacks of this user), an announcement
//! (an abstract socket, against stacks of other users; Linux only) and a hold (a bound socket, against
//! every program that lets the kernel choose). All end with the process. `history` has the ports of the
//! last time. `socket_activation` opens the sockets that services get instead of a number.
//!
//! To name the process behind a port, `sys` lists listeners and walks open descriptors, and
//! `ports::holders` adds its command, container or unit. That takes milliseconds, so it happens before
//! the loop begins or in the thread pool: the engine orders the look with an effect and gets the verdict
//! as an input.
//!
//! # Processes
//!
//! ```text
//!   devstack            what the user started: the supervisor
//!    └─ ds-guard        forked first, before threads; adopts orphans of dead keepers
//!        └─ ds-keep     one per run; adopts the orphans of its tree, which is empty when it has no children
//!            └─ the service, in a session of its own
//! ```
//!
//! With `up -d`, the supervisor is a child of what the user started, which shows the start and exits.
//! When one of these processes dies, those above and below see a socket close and end what is left. See
//! [`process`].
//!
//! # Threads and channels
//!
//! One thread runs a current-thread tokio runtime: the loop, the tasks of runs, the probes, the control
//! server. Beside it:
//!
//! - one writer thread writes all log files, with a byte budget per run. A run that has used up its
//!   budget is not read until the disk catches up; others do not notice;
//! - the printer writes to the terminal, which may block at any time;
//! - the watcher walks directories and reads files. notify has a thread of its own, and on Linux one
//!   sleeps until something is mounted;
//! - tokio's pool reloads, chooses ports, looks for listeners and holders, reads stored logs, measures
//!   usage, and composes environments for display.
//!
//! The pool has a thread from the start, and the control server reserves eight descriptors: a stack at
//! its limits can still be inspected and stopped (`docs/decisions/0023-resource-limits.md`).
//!
//! | channel | from | to | bound |
//! |---|---|---|---|
//! | run reports | tasks of runs | loop | five per run |
//! | probe reports | probes, scans for listeners | loop | changes only |
//! | job reports | watch commands | loop | one per service |
//! | watch reports | watcher | loop | settled bursts, and whether more is changing |
//! | requests | control server, `run` | loop | 256 connections, one request each |
//! | shutdown requests | time limit, closed output, lost guard | loop | a handful |
//! | reload outcomes | one load or choice of ports at a time | loop | one |
//! | previews | reads of the files for `devstack plan` | loop | 256 connections, one each |
//! | state, start done | loop | `run`, time limits | the latest value |
//! | event feed | loop | readers of events | 4096 events or 1 MiB, then the oldest go |
//! | chunks to write | captures | log writer | the byte budget of each run |
//! | print queue | captures | printer | 8 MiB, then read back from the files |
//! | startup messages | `cli::start::relay` | the process in front of `up -d` | what the socket holds |
//! | terminal output | ptys | attached clients | 256 KiB each, then the newest 16 KiB and how much is missing |
//! | keys | attached clients | ptys | 1 MiB each, then the bell |
//!
//! # What never happens
//!
//! `tests/layers` checks the first three; random scripts and recorded traces of the engine check most
//! of the rest.
//!
//! - `engine`, `model` and `config` (except for `config::load`) touch no clock, file, network,
//!   environment, randomness or tokio.
//! - Only `supervisor/supervisor.rs` calls `Engine::step`. The loop reads no file, and takes no lock
//!   that is held across an await or during I/O.
//! - Only `process` and `sys` act on processes by number; the exceptions in `tests/layers` have reasons.
//! - Each run ends with exactly one last report, even if its task panics.
//! - Within a step, every stop is decided before any start.
//! - Two runs of a service never overlap: a run starts when the tree of the previous one is empty.
//! - A service that is being debugged is stopped only by a request, an edit of its configuration or a
//!   shutdown.
//! - A stop is final: it voids every restart requested before it.
//! - A client that has read an event finds its effect in the next snapshot: the loop publishes both, in
//!   this order.
//! - No service is in a phase without a cause that users can read.

mod atomic_file;
pub mod cli;
pub mod config;
pub mod control;
mod encoding;
pub mod engine;
pub mod exit_code;
pub mod export;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod log;
pub mod model;
pub mod ports;
pub mod presets;
pub mod probe;
pub mod process;
pub mod suggest;
pub mod supervisor;
mod sync;
pub(crate) mod sys;
pub mod terminal;
mod text;
mod units;
pub mod watch;
