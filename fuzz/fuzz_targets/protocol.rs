//! Paths and bodies of requests, and lines of responses.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: (&str, &[u8])| devstack::fuzzing::protocol(request.0, request.1));
