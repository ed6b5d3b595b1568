//! Query strings of the control protocol.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| devstack::fuzzing::queries(text));
