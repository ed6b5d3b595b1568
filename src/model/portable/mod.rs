//! A stack as other programs can run it: checked, with default values filled in, but without the
//! values of env files and of the environment. They may be secrets, so only names are here.

mod service;
mod text;

pub use service::{
    PortableEnvFile, PortableHttp, PortablePort, PortableProbe, PortableService, PortableStack,
};
pub use text::{MissingVariable, PortableCommand, PortableText, PortableVariable, TextPiece};

/// How the services of an exported stack reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortableNetwork {
    /// Each has an address of its own, and its name leads there: containers.
    Names,
    /// All are processes of one machine.
    Loopback,
}

/// Where a container has the directory of the file that its service is in.
pub const CONTAINER_DIR: &str = "/app";
