//! What a client sends to the control socket.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| devstack::fuzzing::wire(bytes));
