use std::io::{self, Stdout, Write, stdout};
use std::sync::{Mutex, Once, OnceLock};
use std::thread::{self, ThreadId};

use ratatui::backend::{Backend, ClearType, CrosstermBackend};
use ratatui::buffer::{Buffer, CellWidth};
use ratatui::layout::{Position, Rect};

use crate::encoding::to_base64;
use crate::sync::lock_unpoisoned;
use crate::terminal::RawMode;

/// The terminal while the TUI has it. Dropping it gives it back, and so does a panic.
pub struct TuiScreen {
    backend: CrosstermBackend<io::BufWriter<Stdout>>,
    /// What the terminal shows; `None`: not known.
    shown: Option<Buffer>,
    mouse: bool,
}

/// What the panic hook needs: the thread of the TUI, and the settings of the terminal.
static TAKEN: Mutex<Option<(ThreadId, RawMode)>> = Mutex::new(None);

/// Learns whether the TUI has the terminal, to give it back if this process is killed.
static GUARD: OnceLock<Box<dyn Fn(bool) + Send + Sync>> = OnceLock::new();

const ENTER: &[u8] = b"\x1b[?1049h\x1b[?2004h\x1b[?25l\x1b[H\x1b[2J";
/// What gives the terminal back.
pub const LEAVE: &[u8] = b"\x1b[0m\x1b[?1006l\x1b[?1000l\x1b[?2004l\x1b[?25h\x1b[?1049l";
const MOUSE_ON: &[u8] = b"\x1b[?1000h\x1b[?1006h";
const MOUSE_OFF: &[u8] = b"\x1b[?1006l\x1b[?1000l";
/// Most bytes that are copied: terminals ignore more.
const COPY_MAX: usize = 74_000;
/// Largest screen that is painted: what is beyond stays empty.
const SIZE_MAX: (u16, u16) = (1000, 400);

impl TuiScreen {
    /// Tells `guard` whether the TUI has the terminal.
    pub fn guard(guard: Box<dyn Fn(bool) + Send + Sync>) {
        // Only the first one is needed.
        let _ = GUARD.set(guard);
    }

    /// Takes the terminal on stdin and stdout.
    pub fn take() -> io::Result<TuiScreen> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                let taken = lock_unpoisoned(&TAKEN).as_ref().map(|(id, _)| *id);
                if taken == Some(thread::current().id()) {
                    give_back();
                }
                usual(info);
            }));
        });
        let backend = CrosstermBackend::new(io::BufWriter::with_capacity(64 * 1024, stdout()));
        let mut screen = TuiScreen { backend, shown: None, mouse: false };
        screen.enter()?;
        Ok(screen)
    }

    /// Takes the terminal, perhaps again.
    pub fn enter(&mut self) -> io::Result<()> {
        let raw = match lock_unpoisoned(&TAKEN).take() {
            Some((_, raw)) => {
                raw.again();
                raw
            }
            None => RawMode::begin()?,
        };
        *lock_unpoisoned(&TAKEN) = Some((thread::current().id(), raw));
        tell_guard(true);
        self.shown = None;
        self.write(ENTER)?;
        self.take_mouse(self.mouse)
    }

    /// Gives the terminal back until [`TuiScreen::enter`].
    pub fn leave(&mut self) {
        give_back();
    }

    /// Returns whether it has the terminal: not after a panic.
    pub fn is_taken(&self) -> bool {
        lock_unpoisoned(&TAKEN).is_some()
    }

    /// Paints everything again the next time.
    pub fn forget(&mut self) {
        self.shown = None;
    }

    /// Prepares the terminal for another program that uses it for a while.
    pub fn lend(&mut self) -> io::Result<()> {
        self.write(MOUSE_OFF)?;
        self.write(b"\x1b[0m\x1b[?2004l\x1b[?25h\x1b[H\x1b[2J")
    }

    /// Leaves the mouse to the terminal, or takes it.
    pub fn take_mouse(&mut self, taken: bool) -> io::Result<()> {
        self.mouse = taken;
        self.write(if taken { MOUSE_ON } else { MOUSE_OFF })
    }

    /// Asks the terminal to copy a text to the clipboard.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        let mut end = text.len().min(COPY_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = to_base64(&text.as_bytes()[..end]);
        self.write(format!("\x1b]52;c;{text}\x07").as_bytes())
    }

    /// Returns the width and height of the terminal.
    pub fn size(&self) -> (u16, u16) {
        let size = rustix::termios::tcgetwinsize(stdout()).ok();
        let size =
            size.map(|size| (size.ws_col, size.ws_row)).filter(|size| size.0 > 0 && size.1 > 0);
        let (width, height) = size.unwrap_or((80, 24));
        (width.min(SIZE_MAX.0), height.min(SIZE_MAX.1))
    }

    /// Writes what differs from what the terminal shows.
    pub fn draw(&mut self, buffer: Buffer, cursor: Option<Position>) -> io::Result<()> {
        let shown = match self.shown.take() {
            Some(shown) if shown.area == buffer.area => shown,
            Some(_) | None => {
                self.backend.clear()?;
                Buffer::empty(Rect { ..buffer.area })
            }
        };
        self.backend.hide_cursor()?;
        let rows: Vec<u16> = (0..buffer.area.height).filter(|y| is_doubtful(&shown, *y)).collect();
        let changes = shown.diff(&buffer);
        let mut again: Vec<u16> = changes.iter().map(|(_, y, _)| *y).collect();
        again.dedup();
        again.retain(|y| rows.contains(y) || is_doubtful(&buffer, *y));
        self.backend.draw(changes.into_iter().filter(|(_, y, _)| !again.contains(y)))?;
        for y in again {
            self.draw_row(&buffer, y)?;
        }
        if let Some(cursor) = cursor {
            self.backend.set_cursor_position(cursor)?;
            self.backend.show_cursor()?;
        }
        Write::flush(&mut self.backend)?;
        self.shown = Some(buffer);
        Ok(())
    }

    /// Paints a row from left to right on nothing, and says where each cell is: whatever the terminal
    /// makes of one, the others are in their places and nothing is left of what was there.
    fn draw_row(&mut self, buffer: &Buffer, y: u16) -> io::Result<()> {
        self.backend.set_cursor_position(Position::new(0, y))?;
        self.backend.clear_region(ClearType::CurrentLine)?;
        let mut x = 0;
        let mut run = Vec::new();
        while x < buffer.area.width {
            let cell = &buffer[(x, y)];
            run.push((x, y, cell));
            x += cell.symbol().cell_width().max(1);
            if is_width_doubtful(cell.symbol()) {
                self.backend.draw(std::mem::take(&mut run).into_iter())?;
            }
        }
        self.backend.draw(run.into_iter())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        Write::write_all(&mut self.backend, bytes)?;
        Write::flush(&mut self.backend)
    }
}

impl Drop for TuiScreen {
    fn drop(&mut self) {
        // First what is buffered: it belongs to the screen that is left.
        let _ = Write::flush(&mut self.backend);
        give_back();
    }
}

fn is_doubtful(buffer: &Buffer, y: u16) -> bool {
    (0..buffer.area.width).any(|x| is_width_doubtful(buffer[(x, y)].symbol()))
}

/// Whether terminals disagree about how many columns it takes: what combines, is wide or is an emoji.
fn is_width_doubtful(symbol: &str) -> bool {
    let mut chars = symbol.chars();
    let is_sure = |c| matches!(c, '\0'..='\u{2ff}' | '\u{370}'..='\u{482}' | '\u{2010}'..='\u{2027}' | '\u{2190}'..='\u{21ff}' | '\u{2500}'..='\u{25ff}');
    chars.next().is_some_and(|c| !is_sure(c)) || chars.next().is_some()
}

/// Gives the terminal back, unless that was done.
fn give_back() {
    if let Some((_, raw)) = lock_unpoisoned(&TAKEN).take() {
        // If the terminal is gone, there is nothing to restore.
        let _ = stdout().write_all(LEAVE).and_then(|()| stdout().flush());
        drop(raw);
        tell_guard(false);
    }
}

fn tell_guard(taken: bool) {
    if let Some(guard) = GUARD.get() {
        guard(taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_all_terminals_agree_about_is_sure() {
        for symbol in ["a", " ", "é", "─", "…", "Я", "→"] {
            assert!(!is_width_doubtful(symbol), "{symbol}");
        }
        for symbol in ["e\u{301}", "\u{e33}", "❤\u{fe0f}", "語", "👨", "\u{1f1e9}\u{1f1ea}"] {
            assert!(is_width_doubtful(symbol), "{symbol}");
        }
    }
}
