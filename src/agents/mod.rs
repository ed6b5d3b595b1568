//! The face for coding agents: `devstack mcp`, a server of the Model Context Protocol on stdin and
//! stdout, and `devstack agents init`, which makes a project known to agents.
//!
//! ```text
//!  client ─► AgentServer ─► ToolCall ─► StackTools ─► control client, or a command of this program
//!                              ▲             │
//!                         pure, checked      └─► ToolAnswer: short text, and the same as data
//! ```
//!
//! The server is a client of the control socket like any other and holds no state of the stack: its
//! end stops nothing. What needs a configuration or a process of its own (`up`, `check`, `plan`) it
//! lets this program do as a command, so answers are those of the command line.
//!
//! What services print is untrusted: `untrusted` takes its escapes and fences it. A stack in a
//! directory where this user has never run one starts only after a yes from a person: `consent`.

mod answers;
mod consent;
mod log_page;
mod mutation_limit;
mod own_command;
mod resources;
mod server;
pub mod setup;
mod stack_tools;
mod tool_call;
mod tool_schemas;
mod tools;
mod untrusted;

pub use server::serve;
