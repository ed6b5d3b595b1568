//! Frames of the attach protocol, in any pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| devstack::fuzzing::attach_frames(bytes));
