//! Answers of the kernel about sockets.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| devstack::fuzzing::netlink(bytes));
