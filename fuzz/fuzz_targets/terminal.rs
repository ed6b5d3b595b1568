//! Output of programs that draw on a terminal.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| devstack::fuzzing::terminal(bytes));
