use std::io::{self, Write, stdout};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::runtime::console::Traces;

/// Portions that wait to be written. What comes then waits at the stack, which is told to be slow.
const WAITING: usize = 8;
/// How many of them one turn may need: what tidies up, a line, and the bell.
const TURN: usize = 3;
/// How long a screen that stands still is waited for in the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// The terminal that shows what the service's shows, through a thread of its own: it may stand still, and whoever sits
/// there can leave all the same.
pub(super) struct Screen {
    to: mpsc::Sender<Vec<u8>>,
    done: oneshot::Receiver<()>,
    traces: Traces,
    color: bool,
}

impl Screen {
    /// Begins to write.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn start(color: bool) -> io::Result<Screen> {
        let (to, mut from) = mpsc::channel::<Vec<u8>>(WAITING);
        let (tell, done) = oneshot::channel();
        let write = move || {
            let mut out = stdout();
            while let Some(bytes) = from.blocking_recv() {
                if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
                    break;
                }
            }
            // Nobody may wait for it any more.
            let _ = tell.send(());
        };
        std::thread::Builder::new().name("screen".to_owned()).spawn(write)?;
        Ok(Screen { to, done, traces: Traces::default(), color })
    }

    /// Waits until there is room for more; false when the terminal is gone.
    pub async fn room(&mut self) -> bool {
        self.to.reserve_many(TURN).await.is_ok()
    }

    /// Shows what the service's terminal shows.
    pub fn show(&mut self, bytes: &[u8]) {
        self.traces.watch(bytes);
        self.write(bytes.to_vec());
    }

    /// A line of devstack itself.
    pub fn say(&mut self, text: &str) {
        let text = super::super::complain::printable(text);
        let line = match self.color {
            true => format!("\x1b[2m[{text}]\x1b[0m"),
            false => format!("[{text}]"),
        };
        let start = if self.traces.at_line_start() { "" } else { "\r\n" };
        self.show(format!("{start}{line}\r\n").as_bytes());
    }

    /// Takes back what the service switched on in this terminal.
    pub fn tidy(&mut self) {
        let undo = self.traces.undo();
        self.write(undo);
    }

    /// The bell.
    pub fn ring(&mut self) {
        self.write(b"\x07".to_vec());
    }

    /// Waits until all is shown, within bounds.
    pub async fn finish(self) {
        let Screen { to, done, .. } = self;
        drop(to);
        // A screen that stands still keeps the rest.
        let _ = tokio::time::timeout(PATIENCE, done).await;
    }

    /// What does not fit is lost: a screen that stands still when somebody leaves.
    fn write(&mut self, bytes: Vec<u8>) {
        let _ = self.to.try_send(bytes);
    }
}
