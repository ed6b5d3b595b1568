use std::io::{self, Write, stdout};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::terminal::TerminalModes;
use crate::text::one_line;

/// Chunks that may wait to be written. When they do not fit, the stack sees a slow client.
const WAITING: usize = 8;
/// Chunks that one input may need: to restore modes, for a line, and for the bell.
const TURN: usize = 3;
/// How long to wait for a paused terminal at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Saves the title of the window, and restores it.
const SAVE_TITLE: &[u8] = b"\x1b[22;0t";
const RESTORE_TITLE: &[u8] = b"\x1b[23;0t";

/// Writes from a thread, so that the user can detach even while the terminal is paused.
pub(super) struct ScreenWriter {
    to: mpsc::Sender<Vec<u8>>,
    done: oneshot::Receiver<()>,
    traces: TerminalModes,
    color: bool,
}

impl ScreenWriter {
    /// Starts the thread.
    pub fn start(color: bool) -> io::Result<ScreenWriter> {
        let (to, mut from) = mpsc::channel::<Vec<u8>>(WAITING);
        let (tell, done) = oneshot::channel();
        let write = move || {
            let mut out = stdout();
            while let Some(bytes) = from.blocking_recv() {
                if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
                    break;
                }
            }
            // The receiver may be gone.
            let _ = tell.send(());
        };
        std::thread::Builder::new().name("screen".to_owned()).spawn(write)?;
        let mut screen = ScreenWriter { to, done, traces: TerminalModes::default(), color };
        screen.write(SAVE_TITLE.to_vec());
        Ok(screen)
    }

    /// Waits until there is room for more; returns false if the terminal is gone.
    pub async fn wait_for_room(&mut self) -> bool {
        self.to.reserve_many(TURN).await.is_ok()
    }

    pub fn show(&mut self, bytes: &[u8]) {
        self.traces.watch(bytes);
        self.write(bytes.to_vec());
    }

    pub fn say(&mut self, text: &str) {
        let text = one_line(text);
        let line = match self.color {
            true => format!("\x1b[2m[{text}]\x1b[0m"),
            false => format!("[{text}]"),
        };
        let start = if self.traces.at_line_start() { "" } else { "\r\n" };
        self.show(format!("{start}{line}\r\n").as_bytes());
    }

    /// Restores the terminal modes that the service changed.
    pub fn restore_modes(&mut self) {
        let undo = self.traces.undo();
        self.write(undo);
    }

    pub fn ring(&mut self) {
        self.write(b"\x07".to_vec());
    }

    /// Restores the title, and waits until everything is written, within a time limit.
    pub async fn finish(mut self) {
        self.write(RESTORE_TITLE.to_vec());
        let ScreenWriter { to, done, .. } = self;
        drop(to);
        // On timeout, a paused terminal loses the rest.
        let _ = tokio::time::timeout(PATIENCE, done).await;
    }

    /// Drops what does not fit; this only happens when the user detaches from a paused terminal.
    fn write(&mut self, bytes: Vec<u8>) {
        let _ = self.to.try_send(bytes);
    }
}
