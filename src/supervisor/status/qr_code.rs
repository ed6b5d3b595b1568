use fast_qr::{ECL, QRBuilder};

use crate::log::{StatusText, StatusTone};
use crate::model::{ServiceView, Snapshot, Stack};

/// Width of the quiet zone around the code, in modules.
const BORDER: isize = 2;

/// Bright white on black, which looks the same on every terminal, and the reset.
const LIGHT_ON_DARK: (&str, &str) = ("\x1b[97;40m", "\x1b[0m");

/// Returns a QR code for the network URL of the primary service, or else of the first one
/// reachable, or why there is none. `room`: columns of the terminal, `None` without one.
pub fn qr_code(snapshot: &Snapshot, stack: &Stack, room: Option<usize>) -> StatusText {
    let none =
        |why: String| StatusText::continued(StatusTone::Notice, format!("  no QR code: {why}"));
    let open = |view: &&ServiceView| !view.network_urls.is_empty();
    let primary =
        snapshot.services.iter().filter(open).find(|v| Some(&v.name) == stack.primary.as_ref());
    let Some(view) = primary.or_else(|| snapshot.services.iter().find(open)) else {
        return none("no service is reachable from the network; use --lan".to_owned());
    };
    let url = &view.network_urls[0];
    let Some(room) = room else { return none(format!("the output is not a terminal; {url}")) };
    // A screen is clean: the lowest error correction gives the smallest code.
    let Ok(code) = QRBuilder::new(url.as_str()).ecl(ECL::L).build() else {
        return none(format!("{url} is too long"));
    };
    let size = code.size as isize;
    let width = (size + 2 * BORDER) as usize;
    if width > room {
        return none(format!("it needs {width} columns, but the terminal has {room}; {url}"));
    }
    let inside = |at: isize| (0..size).contains(&at);
    let is_light = |row: isize, column: isize| {
        !(inside(row) && inside(column) && code[row as usize][column as usize].value())
    };
    let (start, end) = LIGHT_ON_DARK;
    let mut text = format!("  {}: {url}", view.name);
    for row in (-BORDER..size + BORDER).step_by(2) {
        let half = |column| match (is_light(row, column), is_light(row + 1, column)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        };
        let line: String = (-BORDER..size + BORDER).map(half).collect();
        text += &format!("\n{start}{line}{end}");
    }
    StatusText::continued(StatusTone::Notice, text)
}
