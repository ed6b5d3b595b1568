//! Keys typed into `attach`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|typed: &[u8]| devstack::fuzzing::keys(typed));
