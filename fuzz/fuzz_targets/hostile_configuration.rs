//! `devstack.toml` with escape sequences, C1 controls and turning characters in names, values and
//! comments: none of them is in what is shown.
#![no_main]

mod project;

use libfuzzer_sys::fuzz_target;

/// What a byte stands for, so that few changes of the input make many hostile texts.
fn hostile(byte: u8) -> char {
    const HOSTILE: [char; 12] = [
        '\u{1b}', '\u{7}', '\u{7f}', '\u{85}', '\u{90}', '\u{9b}', '\u{9c}', '\u{9d}', '\u{200f}',
        '\u{202e}', '\u{2066}', '\u{feff}',
    ];
    match byte {
        0x80.. => HOSTILE[usize::from(byte) % HOSTILE.len()],
        _ => char::from(byte),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let text: String = bytes.iter().map(|byte| hostile(*byte)).collect();
    project::check(text.as_bytes(), text.as_bytes());
    let quoted = text.replace(['\\', '"'], "").replace(|char: char| char.is_ascii_control(), "");
    for config in [
        format!("[services.\"{quoted}\"]\ncommand = \"x\"\n"),
        format!("[services.api]\ncommand = \"x\"\n\"{quoted}\" = 1\ndepends_on = [\"{quoted}\"]\n"),
        format!(
            "[services.api]\ncommand = [\"{quoted}\", \"${{{quoted}}}\"]\ndir = \"{quoted}\"\n"
        ),
    ] {
        project::check(config.as_bytes(), b"");
    }
});
