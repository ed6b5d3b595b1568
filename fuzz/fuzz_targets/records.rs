//! Files in which a stack remembers its processes and ports, and the contents of lock files.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| devstack::fuzzing::records(text));
