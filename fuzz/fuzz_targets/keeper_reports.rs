//! What the guard sends to the supervisor.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| devstack::fuzzing::keeper_reports(bytes));
