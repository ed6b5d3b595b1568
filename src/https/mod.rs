//! HTTPS for the names of services: a CA of this user, and the stores that trust it.
//!
//! `devstack trust` creates a [`LocalCa`], constrained to `localhost` and the names it was given, and adds
//! it to the [`stores`] of this machine. The proxy looks at the first byte of a connection: TLS and
//! plain HTTP arrive on one port. [`HttpsConfig`] makes a certificate for each name when it is first
//! asked for.

mod certificate_store;
mod https_config;
mod local_ca;
mod permitted_names;
pub mod stores;
#[cfg(test)]
mod tests;
mod tls_handshake;

pub use certificate_store::CertificateStore;
pub use https_config::HttpsConfig;
pub use local_ca::LocalCa;
pub use permitted_names::PermittedNames;
pub use tls_handshake::{HANDSHAKE_RECORD, accept, connect};
