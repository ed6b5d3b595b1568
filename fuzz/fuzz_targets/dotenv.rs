//! An env file: any bytes are variables or a list of errors.
#![no_main]

mod project;

use libfuzzer_sys::fuzz_target;

const CONFIG: &[u8] =
    b"[stack]\nenv_file = '.env'\n[services.api]\ncommand = ['api', '${A:-${B:?missing}}']\n";

fuzz_target!(|text: &[u8]| project::check(CONFIG, text));
