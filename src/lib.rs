//! devstack runs a stack of services: this page is its architecture, to be read in ten minutes.
//!
//! # One brain, one loop, many hands
//!
//! ```text
//!   devstack.toml ─► config ─► Draft ─► ports ─► Stack ──┐
//!                                                        ▼
//!   signals, requests, facts, reports, changes ─► Supervisor ─► Engine::step(now, inputs)
//!                                                        ▲              │
//!                            hands: processes, probes,   │              ▼
//!                            watches, timers ◄───────────┴────────── effects
//!                                                        │
//!                             Snapshot, events, log ◄────┴────► Handle ◄── control socket ◄── ps, logs, down …
//! ```
//!
//! 1. **One brain.** [`engine`] decides everything and does nothing: no clock, no file, no process. Time is a
//!    parameter. [`engine::Engine::step`] absorbs inputs, reconciles what is with what is wanted, tells what changed.
//! 2. **One loop.** [`runtime::supervisor`] turns the world into inputs, lets the engine decide, carries out effects.
//!    It waits for nothing but its own `select!`.
//! 3. **Many hands.** One small task per run (one life of one service) reads its output and reports its ends with its run's
//!    number, so that a late report about an earlier run matches nothing.
//! 4. **Desired state.** A configuration becomes a checked value, [`model::Stack`]. A reload is "here is another stack";
//!    one pure difference, [`engine::Plan`], says what changes and why.
//! 5. **Two ways out.** *What is*: one immutable [`model::Snapshot`], made when somebody asks. *What happened*: the events of
//!    [`runtime::feed`], and what services printed, [`runtime::log`], which readers follow at their own speed. A slow reader
//!    is told what it missed and slows nobody. Log bytes never pass through the loop. A terminal is also shown raw, [`runtime::console`],
//!    to who is attached to it, bounded in the same way.
//! 6. **Lost races are healed.** Ports are held until they are bound ([`ports`]); the supervisor looks who listens before it
//!    starts anything, and the engine lets a service whose port was taken wait until another one was chosen.
//! 7. **Faces are clients.** Commands in other terminals speak to the control socket and know nothing of the engine.
//!
//! # Where things are
//!
//! | module | what | knows |
//! |---|---|---|
//! | [`model`] | the words everyone shares | std, serde |
//! | [`config`] | text → raw, with spans → checked [`config::Draft`] → [`model::Stack`] | model, presets, suggest |
//! | [`presets`] | what is known about frameworks and data stores, one TOML file each, and about other servers | std, serde |
//! | [`ports`] | which service gets which port, and keeping it; who holds one; networks | model |
//! | [`engine`] | service states, order, restarts, requests, the plan of a reload | model |
//! | [`runtime`] | the loop and its hands: `process`, `console`, `probe`, `watch`, `jobs`, `log`, `feed`, `passing`, `survey`, `usage`, `given`, `reload`, `signals` | all above |
//! | [`control`] | one stack per folder; the socket, its server and its client | model, `runtime::handle` |
//! | [`cli`] | one file per command; wires everything | everything |
//! | [`export`] | what other programs want to know: VS Code's `launch.json` | model |
//! | [`exit_code`] | exit codes | model |
//! | [`suggest`] | "did you mean", one measure for all | std |
//! | `text` | escaping and quoting what others wrote | std |
//! | `units` | durations and sizes as people write them | std |
//!
//! # Ports
//!
//! `ports::choose` decides and is pure: it asks a `Market` for numbers, where each is claimed at once. A claim is three things:
//! a lease (a locked file, against other stacks of this user), an announcement (an abstract socket, against stacks of other
//! users; Linux), and a hold (a bound socket, against everyone whom the kernel gives a number). Whoever dies gives them back.
//! `remembered` has what a folder got last time. `passed` opens the sockets that are handed to services instead of a number.
//!
//! Who is in the way: `sock_diag` lists listeners, `walk` finds who has them open, `holder`, `belonging`, `container` and `origin`
//! find the words. That takes milliseconds, so it runs before the loop begins or in tokio's pool, except when a port was lost:
//! then nothing can go on before it is known to whom.
//!
//! # Processes
//!
//! ```text
//!   devstack            what the user started: the supervisor
//!    └─ ds-guard        forked first thing, before threads; adopts what dead keepers leave
//!        └─ ds-keep     one per run; adopts every orphan of its tree, so a tree is provably empty when it has no children
//!            └─ the service, in a session of its own
//! ```
//!
//! With `up -d` the supervisor is the child of what the user started, which follows the start and goes.
//! Whoever dies, somebody above or below notices by the end of a socket and ends what is left. See [`runtime::process`].
//!
//! # Threads, tasks and channels of a supervisor
//!
//! One thread runs a current-thread tokio runtime with the loop, the runs, the probes and the control server. Beside it:
//! the log's printer (writes to a terminal that may stand still), the watcher (walks folders, reads files)
//! with notify's own thread and on Linux one that sleeps until something is mounted, and tokio's pool for reloading and
//! choosing ports, for reading stored logs, for looks at where services listen and what they use, and for composing environments. Naming who holds a port takes
//! up to four threads for some milliseconds. The pool has one thread from the beginning, and the control server keeps eight descriptors for clients: a stack
//! that has met its limits can be asked and stopped (`docs/decisions/0023-resource-limits.md`).
//!
//! | channel | from | to | bound |
//! |---|---|---|---|
//! | facts | tasks of runs | loop | five a run |
//! | reports | probes, looks at listeners | loop | changes only |
//! | done | commands of watches | loop | one a service |
//! | changes | watcher | loop | settled bursts, and whether more is changing |
//! | asks: requests, looks | control server, `run` | loop | 256 connections, one request each |
//! | endings | time limit, closed output, lost guard | loop | a handful |
//! | reloaded | one load or choice of ports at a time | loop | one |
//! | previewed | looks at the files for `devstack plan` | loop | 256 connections, one each |
//! | state, settled | loop | `run`, time limits | the newest |
//! | feed | loop | readers of events | 4096 events or 1 MiB, then forgotten |
//! | words | the log, by `cli::relay` | the process in front of `up -d` | what the socket holds; reads at its own speed |
//! | queue | captures | printer | 8 MiB, then read back from the store |
//! | places | terminals | who is attached | 256 KiB each, then the newest 16 KiB and how much is missing |
//! | keys | who is attached | terminals | 1 MiB each, then the bell |
//!
//! # What never happens
//!
//! `tests/layers.rs` checks the first three; the engine's random scripts and traces check the rest.
//!
//! - `engine`, `model` and `config` (but for its loading) touch no clock, file, network, environment, randomness or tokio.
//! - Only `runtime/supervisor.rs` calls `Engine::step`; it takes no lock across an await and reads no file; who listens is
//!   looked at there, because a spawn waits for the answer (0.1 ms, and some when a thief has to be named).
//! - Only `runtime/process` acts on processes by number; exceptions are listed in `tests/layers` with their reasons.
//! - Each run ends in exactly one last report, even when its task panics.
//! - In one step every stop is decided before any start.
//! - Two runs of one service never live at once; a run begins when the tree of the one before is proved empty.
//! - What is being debugged is stopped by a request, an edit of it or a shutdown, and by nothing else.
//! - A stop is final: it voids every restart asked for before it.
//! - Whoever has read of an event sees it in the next snapshot: both come from the loop, in this order.
//! - No service is in a phase without a cause that someone can read.

pub mod cli;
pub mod config;
pub mod control;
mod encoding;
pub mod engine;
pub mod exit_code;
pub mod export;
pub mod log;
pub mod model;
pub mod ports;
pub mod presets;
pub mod probe;
pub mod process;
pub mod suggest;
pub mod supervisor;
pub(crate) mod sys;
pub mod terminal;
mod text;
mod units;
pub mod watch;
