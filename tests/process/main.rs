//! Processes with real programs: exact ends, and nothing left behind whichever process is killed.

#![cfg(target_os = "linux")]

mod alone;
mod asides;
mod handovers;
mod keepers;
mod kills;
mod lab;
mod output;
mod pinned;
mod sample;
mod start;
mod stops;
mod sweeps;
mod terminals;
mod trees;
