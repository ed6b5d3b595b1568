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
//!    engine another stack; its one pure comparison yields a [`model::Plan`]: what changes, and why.
//! 5. **Two ways out.** *What is*: an immutable [`model::Snapshot`], made when a client asks. *What
//!    happened*: the events of [`supervisor::feed`], and the lines of [`log`]. Readers follow at their
//!    own speed; a slow one learns how much it missed and delays nothing. Log bytes never pass through
//!    the loop. Clients that attach to a [`terminal`] get raw output, bounded in the same way.
//! 6. **Lost races are repaired.** Ports are held until their services start ([`ports`]). If another
//!    process is faster to listen on one, the engine lets that service wait until another port is
//!    chosen.
//! 7. **Commands are clients.** Commands in other terminals use the control socket and know nothing of
//!    the engine.
//!
//! # Rooms
//!
//! From the bottom up, each with the rooms that it mainly uses; `tests/layers` checks which it may not.
//!
//! | room | contents | uses |
//! |---|---|---|
//! | `text`, `units`, `encoding`, `sync` | escaping and quoting; durations and sizes; percent-encoding; locks | std |
//! | `regular_file`, `atomic_file` | the rooms that open files, which others may have prepared | rustix |
//! | [`model`] | shared vocabulary, plain data: stack, phase, cause, event, snapshot, plan | `text`, `encoding`, serde |
//! | [`suggest`], [`exit_code`] | "did you mean"; exit codes | `text`, model |
//! | `git_repository` | the repository and main worktree of a directory | `regular_file` |
//! | `json_document`, `project_file` | files of other programs in a project, edited in place | `atomic_file`, `regular_file` |
//! | `sys` | system calls and all `unsafe`, one directory per operating system with the same functions | model |
//! | [`presets`] | frameworks and data stores, one TOML file each | model |
//! | [`config`] | text → values with spans → checked [`config::Config`] → [`model::Stack`] | presets |
//! | [`ports`] | chooses ports, claims them, finds out which process has one | sys |
//! | [`engine`] | phases, order, restarts, back-off, requests, the plan of a reload | model |
//! | [`process`] | guard, runs, keepers where processes have no marks; starts, signals and reaps processes | sys, `atomic_file`, `regular_file` |
//! | [`log`] | capture, store, read and format what services print | sys |
//! | [`watch`] | from file events to changes of services | sys |
//! | [`container`] | container engines: found, asked, and the command lines for them | model, `encoding` |
//! | [`probe`] | readiness and health | ports, process |
//! | [`https`] | the local CA, its certificates, TLS and plain HTTP on one port; the trust stores of the machine | process, `atomic_file` |
//! | [`proxy`] | routes and answers the requests to the names of services | model, `text` |
//! | [`terminal`] | the ptys of services, and attached clients | process, log |
//! | [`supervisor`] | the loop, executor, reload, event feed, signals | all above |
//! | [`control`] | one devstack per directory; protocol, server and client of its socket | `SupervisorHandle`, terminal, log; the client only model and sys |
//! | [`front_door`] | names of a stack, the process that serves those of all stacks, and a stack's part in it | [`proxy`], control client, `SupervisorHandle`, ports, log |
//! | `dashboard` | the page in the browser: which requests are allowed and how they are answered, the files of the page | control client, [`front_door`], [`ports`], log |
//! | [`export`] | files for other programs: Compose, Kubernetes, systemd, Procfiles, VS Code's `launch.json` | model, `atomic_file` |
//! | [`import`] | the files of other programs, read for `devstack init` | model, config, presets, `regular_file` |
//! | `agents` | `devstack mcp`: tools for coding agents; `devstack agents init` | control client, config, log, `ports` |
//! | `tui` | services and log on the whole terminal, a client | model, control client, log, terminal |
//! | [`cli`] | the commands, each in a directory or file of its name, and everything up to a running stack | everything |
//!
//! # Where to look first
//!
//! Paths are below `src/`.
//!
//! ## Configuration
//!
//! | question | file |
//! |---|---|
//! | How is a preset read? | its `[service]` table, which the user's keys override: `config/check/preset.rs`; the rest: `presets/preset.rs`, `presets/facts.rs` |
//! | What reports an unknown key? | `unknown_keys` in `config/check/mod.rs`; keys of another table: `config/schema/misplaced.rs` |
//! | How does a Procfile become a configuration? | `config/parse/procfile.rs`; which file counts: `config/load/search.rs` |
//! | What does `devstack init` find? | `cli/init/import_source.rs` chooses what is read; without a file that lists services, `import/detect/` looks around; `import/devstack_toml.rs` writes |
//! | Whose configuration files are used? | `config/load/file_trust.rs` |
//! | What becomes of a key of a Compose file? | `import/compose/`: one file for each group of keys; what none reads is reported by `import/yaml/yaml_node.rs`, with words from `import/compose/unsupported.rs` |
//! | Where do services of included files come from? | read: `config/load/include.rs`; checked in their scopes and joined: `config/resolve/includes.rs`; names: `config/check/name_scope.rs` |
//! | Which env files come from the main git worktree? | `config/load/worktree.rs` |
//! | How are an environment and a command line made? | `config/env/resolver.rs`, `process/spawn/` |
//!
//! ## Start, stop and restart
//!
//! | question | file |
//! |---|---|
//! | What starts or stops, and in which order? | `engine/reconcile.rs` |
//! | What does an exit lead to, and how long is the back-off? | `engine/exit.rs`; defaults: `config/check/restart.rs`; when it is extended: `engine/reconcile.rs`; when it starts over: `engine/reconcile.rs`, and `engine/service_state.rs` after a request or a change |
//! | What makes a configuration change a restart? | `engine/apply/diff.rs`: which differences need a restart; `engine/apply/plan.rs`: what to do in the current state |
//! | What does a second `up` do? | with `-d`: `cli/start/join.rs`, after the comparison in `cli/start/stack_request.rs`; without: `cli/start/existing.rs`; the refusal: `control/instance/mod.rs` |
//! | What keeps a second devstack out of a directory? | `InstanceLock::claim` in `control/instance/mod.rs`: a lock in the runtime directory, and `.devstack/lock` of `control/instance/dir_lock.rs` |
//! | When does `up` end by itself, and what does it wait for? | when nothing runs: `engine/idle.rs`, as `cli/start/up.rs` has chosen; `on_exit`: `engine/exit.rs`; a time limit or closed output: `supervisor/shutdown_request.rs` |
//! | What happens on SIGHUP, SIGTERM, SIGQUIT or Ctrl-C? | the first shuts the stack down, the second kills, the third ends devstack at once and leaves the rest to the guard: `on_signal` in `supervisor/inputs.rs`; which signals: `supervisor/signal_listener.rs` (SIGHUP not under nohup); the process in front of `up -d`: `cli/start/background.rs` |
//! | What does CI learn of a run? | `cli/start/run/run_result.rs`, `cli/start/run/junit.rs`, `cli/start/run/ci_host.rs`; what the start waited for: `cli/start/timeline/` |
//! | Where do exit codes come from? | of `devstack run`: a time limit (121 of `--ready-timeout`, 124), or a command that cannot start, `cli/start/run/command_run.rs`; the rest of 120 to 127, among them 121 of a service that does not get ready, `cli/start/run/run_outcome.rs`. Others follow from the class of the error: `exit_code.rs`, which lists all numbers |
//! | What does `why` say? | `engine/explain.rs` |
//!
//! ## Change
//!
//! | question | file |
//! |---|---|
//! | What turns a burst of file events into one change (debounce)? | `watch/events/debouncer.rs`; times: `watch/events/quiet_period.rs` |
//! | What does a changed file lead to? | `engine/on_change/mod.rs` |
//! | What follows a project directory that is renamed or loses `.devstack`? | `supervisor/project_place.rs`; the lock: `control/instance/held_locks.rs` |
//!
//! ## Ports
//!
//! | question | file |
//! |---|---|
//! | Which port does a service get? | `ports/choose.rs`; claims and history: `ports/assign.rs` |
//! | Which process has a port? | `ports/holders/` |
//! | Where is the message that a port is taken and another one used? | words: `ports/conflict_text.rs`; kept as `moved` by `ports/assign.rs`; shown by `supervisor/status/startup_summary.rs` |
//!
//! ## Processes
//!
//! | question | file |
//! |---|---|
//! | What if even SIGKILL does not end a process? | `engine/kill_progress.rs`; what is left: `process/process_tree.rs`; words: `engine/failure_text.rs`; of an action: `supervisor/actions/action_runner.rs`; the end of the loop: `supervisor/stack_outcome.rs` |
//! | What ends and reaps an orphan? | of a run: `process/keeper/kept_runs.rs`; of the command of `run`: `process/cleanup/command_orphans.rs`; of a dead guard: `process/cleanup/adopted_orphans.rs`; of a devstack that was killed as a whole: `process/cleanup/previous_stack.rs` |
//! | Where are the probes? | `probe/http.rs`, `probe/tcp.rs`, `probe/exec.rs`; one task each: `probe/readiness.rs` |
//! | What runs an action, and what ends it? | refused or not: `supervisor/actions/action_order.rs`; its life: `supervisor/actions/action_runner.rs`; its command line: `model/action/mod.rs`; what it prints: `supervisor/actions/action_sink.rs` (log), `supervisor/actions/action_output.rs` (client) |
//!
//! ## Containers
//!
//! | question | file |
//! |---|---|
//! | What creates a container, what ends it, and when is it ready? | the program of the engine, run like any command with the words of `container/command_line.rs`; before that: `supervisor/containers/image_preparation.rs`; put together, started and ended by `supervisor/containers/container_run.rs`; ready: `supervisor/containers/container_sight.rs` |
//! | What removes the containers of a devstack that was killed? | the guard: `supervisor/containers/last_act.rs`; the next command: `supervisor/containers/leftovers.rs` |
//!
//! ## Logs
//!
//! | question | file |
//! |---|---|
//! | How does a line get from a pipe to its file? | `log/capture/log_capture.rs`, `log/store/service_log.rs` |
//! | How does a log line become JSON? | `log/log_item.rs` from the types in `log/log_line.rs` and `log/status_line.rs` |
//! | What limits the log files on disk? | `log/store/service_log_state.rs` rotates and removes them, `log/store/log_dir.rs` those of earlier starts; defaults: `model/stack.rs` |
//! | What does a cursor of `logs` and `changes` mean? | `model/cursor/mod.rs`; stale ones: `control/protocol/log_mark.rs`, `control/protocol/changes.rs` |
//!
//! ## Names
//!
//! | question | file |
//! |---|---|
//! | Which names has a stack, and on which port? | its domain: `config/load/domain.rs`; claimed at the start: `front_door/name_claim.rs`, `front_door/port_choice.rs`; which services: `config/check/stack/proxy.rs` |
//! | What becomes of a front door that is killed? | `front_door/membership_step.rs` decides, `front_door/membership.rs` does it; the sockets are taken over in `front_door/door.rs` |
//! | Which service gets a request to a name, where does it wait, and when is it sent again? | `proxy/route_table.rs`; waiting and repeating: `proxy/forward.rs`; what the client gets instead: `proxy/refusal.rs` |
//! | What may the local CA sign, and which stores trust it? | `https/local_ca.rs`, `https/permitted_names.rs`; `https/stores/plan.rs` decides what `devstack trust` runs |
//!
//! ## Commands and faces
//!
//! | question | file |
//! |---|---|
//! | What does a command do? | `cli/args.rs` lists them, `cli/mod.rs` calls them |
//! | What answers `devstack ps`, `why`, `down`? | `control/server/router.rs` (`ps` is `GET /v1/stack`); the snapshot: `supervisor/snapshot.rs`; the table: `cli/render/ps.rs` |
//! | What does a key of the TUI do? | `tui/update/keys.rs`, `tui/action.rs`; the screen: `tui/view/`; keys, socket and terminal: `tui/session/`; the plain log meanwhile: `log/format/print_backlog.rs` |
//! | What answers a tool of `devstack mcp`, and when must a person agree? | `agents/stack_tools.rs` does it, `agents/answers.rs` writes it; `agents/tools.rs` lists the tools; `agents/consent.rs` |
//! | How much does a tool of `devstack mcp` return? | limits: `agents/answers.rs`; folded and cut: `agents/log_page.rs` |
//! | Where is a secret kept out of what is shown? | of commands: `RedactedText` in `model/command.rs`, made by `redacted` in `config/env/resolver.rs`; of recorded requests: `proxy/exchange_record.rs`; of the dashboard: `dashboard/hidden_env.rs`; of excerpts from env files: `config/diagnostics/source_file.rs` |
//! | What of a stack may be exported, and how are secrets left out? | `config/resolve/portable/texts.rs`; the formats: `export/compose.rs` and its neighbors |
//! | What does `devstack data gc` remove? | `control/instance/kept_data.rs`; where stacks have run: `control/instance/project_record.rs` |
//!
//! # Ports
//!
//! `ports::choose` decides and is pure: it asks a `PortSource` for candidates, and claims a number before it
//! takes it. A claim is three things: a lease (a locked file, against other stacks of this user), an announcement
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
//!    └─ ds-guard        forked first, before threads; keeps all runs and adopts their orphans
//!        └─ the service, in a session of its own; it and all that it starts carry the run's mark
//!
//!   ds-proxy            the front door: one for all stacks of a user, started by the first that needs it
//! ```
//!
//! With `up -d`, the supervisor is a child of what the user started, which shows the start and exits.
//! The front door is in a session of its own and carries no mark: it serves other stacks too, and ends
//! with the last of them. See [`front_door`].
//!
//! When the supervisor dies, the guard sees a socket close and ends what is left; when the guard dies,
//! the kernel and the supervisor do. See [`process`].
//!
//! # Threads and channels
//!
//! One thread runs a current-thread tokio runtime: the loop, the tasks of runs, the probes, the control
//! server. Long-lived threads beside it:
//!
//! - one writer thread writes all log files, with a byte budget per service. One that has used up its
//!   budget is not read until the disk catches up; others do not notice;
//! - the printer writes to the terminal, which may block at any time;
//! - one of low priority reads and encodes the log for clients, from the first that asks: however many
//!   follow, the loop captures output and answers requests as without them;
//! - the watcher walks directories and reads files. notify has a thread of its own, and on Linux one
//!   sleeps until something is mounted;
//! - tokio's pool reloads, chooses ports, looks for listeners and holders, reads stored logs, measures
//!   usage, and composes environments for display: for many clients a few at a time, to stay small.
//!
//! The pool has a thread from the start, and the control server reserves eight descriptors: a stack at
//! its limits can still be inspected and stopped (`docs/decisions/0023-resource-limits.md`).
//!
//! | channel | from | to | bound |
//! |---|---|---|---|
//! | run reports | tasks of runs | loop | three per run |
//! | probe reports | probes, scans for listeners | loop | changes only |
//! | job reports | watch commands | loop | two per command |
//! | ends of actions | actions | loop | one each |
//! | output of actions | actions | clients of `do` | 256 KiB, then the action waits, or drops the oldest if it is detached |
//! | survivors of a kill | tokio's pool | loop | one per killed tree |
//! | watch reports | watcher | loop | settled bursts, and whether more is changing |
//! | requests | control server, `run` | loop | 256 connections, one request at a time; 32 only for short ones, 32 for actions |
//! | port verdicts, last lines of a failed run | tokio's pool | loop | one per service |
//! | shutdown requests | time limit, closed output, lost guard, end of the command of `run` | loop | a handful |
//! | reload outcomes | one load or choice of ports at a time | loop | one |
//! | previews | reads of the files for `devstack plan` | loop | 256 connections, one each |
//! | state, start done | loop | `run`, time limits | the latest value |
//! | event feed | loop | readers of events | 2048 events or 512 KiB, then the oldest go |
//! | chunks to write | captures | log writer | the byte budget of each service |
//! | print queue | captures | printer | 8 MiB, then read back from the files |
//! | startup messages | `cli::start::relay` | the process in front of `up -d` | what the socket holds |
//! | terminal output | ptys | attached clients | 256 KiB each, then the newest 16 KiB and how much is missing |
//! | keys | attached clients | ptys | 1 MiB each, then the bell |
//!
//! # What always holds
//!
//! `tests/layers` checks the first three; random scripts and recorded traces of the engine check most
//! of the rest.
//!
//! - `engine`, `model` and `config` (except for `config::load`) touch no clock, file, network,
//!   environment, randomness or tokio.
//! - Only `supervisor/supervisor.rs` calls `Engine::step`. The loop reads no file (it only asks the
//!   kernel where the project directory is), and takes no lock that is held across an await or I/O.
//! - Only `process` and `sys` act on processes by number; the exceptions in `tests/layers` have reasons.
//! - Each run ends with exactly one last report, even if its task panics.
//! - Within a step, every stop is decided before any start.
//! - Two runs of a service never overlap: a run starts when the tree of the previous one is empty.
//! - Every end is bounded: five seconds after a kill, requests and shutdowns wait no longer.
//! - A service that is being debugged is stopped only by a request, an edit of its configuration, a
//!   shutdown, or the loss of its port before it is ready.
//! - A stop is final: it voids every restart requested before it.
//! - A client that has read an event finds its effect in the next snapshot: the loop publishes both, in
//!   this order.
//! - No service is in a phase without a cause that users can read.

#[cfg(feature = "mcp")]
pub mod agents;
mod atomic_file;
pub mod cli;
pub mod config;
pub mod container;
pub mod control;
#[cfg(feature = "dashboard")]
pub mod dashboard;
mod encoding;
pub mod engine;
pub mod exit_code;
pub mod export;
pub mod front_door;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod git_repository;
pub mod https;
pub mod import;
mod json_document;
pub mod log;
pub mod model;
pub mod ports;
pub mod presets;
pub mod probe;
pub mod process;
mod project_file;
pub mod proxy;
mod regular_file;
pub mod suggest;
pub mod supervisor;
mod sync;
pub(crate) mod sys;
pub mod terminal;
mod text;
#[cfg(feature = "tui")]
mod tui;
mod units;
pub mod watch;
