//! devstack: the architecture page comes here.

pub mod cli;
pub mod config;
pub mod control;
pub mod engine;
pub mod error;
pub mod model;
pub mod ports;
pub mod runtime;
