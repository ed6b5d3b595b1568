//! `devstack.toml`: any text is a configuration or a list of errors that can be shown.
#![no_main]

mod project;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| project::check(text, b""));
