//! A string with references such as `${db.url}` and `${A:-default}`.
#![no_main]

mod project;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            char if char.is_control() => quoted += &format!("\\u{:04x}", u32::from(char)),
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    let config = format!(
        "[services.db]\ncommand = 'db'\nport = 5432\n\
         [services.api]\ncommand = ['api', {quoted}]\nenv.A = {quoted}\nenv.B = 'b${{A}}'\n"
    );
    project::check(config.as_bytes(), b"C=c\n");
});
