//! Files of Compose, process-compose and mprocs: any text is a stack with notes or an error, and a
//! Dockerfile any text.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (file, dockerfile) = text.split_once('\0').unwrap_or((text, ""));
    let _ = devstack::import::read_compose(file, "f", &|_| Some(dockerfile.to_owned()));
    let _ = devstack::import::read_process_compose(file, "f");
    let _ = devstack::import::read_mprocs(file, "f");
});
