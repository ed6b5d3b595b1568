use fast_qr::{ECL, QRBuilder};

use super::said::{Said, Tone};
use crate::model::{ServiceView, Snapshot, Stack};

/// The white border of a code, in modules: cameras need some.
const BORDER: isize = 2;

/// Bright white on black, so that a code looks the same on every terminal; and its end.
const LIGHT_ON_DARK: (&str, &str) = ("\x1b[97;40m", "\x1b[0m");

/// A code of the URL at which others reach the primary service, or else the first that is open; or why there is none.
/// `room`: the columns of the terminal for it; `None`: there is no terminal.
pub fn qr_code(snapshot: &Snapshot, stack: &Stack, room: Option<usize>) -> Said {
    let none = |why: String| Said::more(Tone::Notice, format!("  no QR code: {why}"));
    let open = |view: &&ServiceView| !view.network_urls.is_empty();
    let primary =
        snapshot.services.iter().filter(open).find(|v| Some(&v.name) == stack.primary.as_ref());
    let Some(view) = primary.or_else(|| snapshot.services.iter().find(open)) else {
        return none("nothing can be reached from the network; open it with --lan".to_owned());
    };
    let url = &view.network_urls[0];
    let Some(room) = room else { return none(format!("the output is no terminal; {url}")) };
    // A screen is clean: the least correction gives the smallest code.
    let Ok(code) = QRBuilder::new(url.as_str()).ecl(ECL::L).build() else {
        return none(format!("{url} is too long for one"));
    };
    let size = code.size as isize;
    let width = (size + 2 * BORDER) as usize;
    if width > room {
        return none(format!("it needs {width} columns, and there are {room}; {url}"));
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
    Said::more(Tone::Notice, text)
}
