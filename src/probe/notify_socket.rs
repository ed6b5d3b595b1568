//! `sd_notify`: a service reports its own readiness.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::{fs, io};

use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::process::random_name;
use crate::sync::lock_unpoisoned;
use crate::sys::credentials::{enable_credentials, recv_with_sender};
use crate::sys::notify_sender::NotifySender;
use crate::sys::signal::process_exists;

/// The environment variable with the socket's path.
pub const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// Bytes read of one message: as many as systemd accepts.
const MESSAGE_MAX: usize = 4096;

/// Characters shown of a status.
const STATUS_MAX: usize = 200;

/// The socket on which one run may report that it is ready. Dropping it removes the socket.
pub struct NotifySocket {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    task: Option<AbortHandle>,
    heard: Arc<Mutex<NotifyState>>,
}

/// What the service reported, and the receivers for it.
#[derive(Debug, Default)]
struct NotifyState {
    ready: Option<String>,
    waiting: Vec<oneshot::Sender<String>>,
}

impl NotifySocket {
    /// Opens the socket of a run in `dir`, a private directory with a short path. Its name cannot be
    /// guessed by other services. Must be called before the spawn, inside a runtime; early messages
    /// wait.
    ///
    /// # Errors
    /// The system's error when the socket cannot be created.
    pub fn open(dir: &Path) -> io::Result<NotifySocket> {
        let path = dir.join(format!("n{}-{}", std::process::id(), random_name()?));
        let socket = UnixDatagram::bind(&path)?;
        let notice = NotifySocket { path, socket: Some(socket), task: None, heard: Arc::default() };
        if let Some(socket) = &notice.socket {
            enable_credentials(socket)?;
        }
        Ok(notice)
    }

    /// The value of `NOTIFY_SOCKET` for the service.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for `READY=1` from a process of the run's `tree`; each receiver gets it once. Reads on
    /// until the run ends, so that later senders do not block.
    pub fn listen(
        &mut self,
        tree: impl Fn() -> Vec<u32> + Send + 'static,
    ) -> oneshot::Receiver<String> {
        let (tell, reported) = oneshot::channel();
        let mut heard = lock_unpoisoned(&self.heard);
        match &heard.ready {
            // Fails only when the caller dropped the receiver.
            Some(ready) => drop(tell.send(ready.clone())),
            None => heard.waiting.push(tell),
        }
        if let Some(socket) = self.socket.take() {
            let task = tokio::spawn(listen(socket, tree, self.heard.clone()));
            self.task = Some(task.abort_handle());
        }
        reported
    }

    /// Removes sockets in `dir` that dead supervisors left.
    pub fn remove_stale(dir: &Path) {
        let Ok(entries) = fs::read_dir(dir) else { return };
        for entry in entries.flatten() {
            if entry
                .file_name()
                .to_str()
                .and_then(supervisor_of)
                .is_some_and(|pid| !process_exists(pid))
            {
                // Another supervisor may have removed it just now.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        // It may be gone already.
        let _ = fs::remove_file(&self.path);
    }
}

/// Returns the pid of the supervisor from the name of a socket.
fn supervisor_of(name: &str) -> Option<u32> {
    let (pid, secret) = name.strip_prefix('n')?.split_once('-')?;
    // Older versions put the number of the run there.
    let is_ours = secret.len() == 26 || secret.parse::<u64>().is_ok();
    is_ours.then(|| pid.parse().ok())?
}

async fn listen(socket: UnixDatagram, tree: impl Fn() -> Vec<u32>, heard: Arc<Mutex<NotifyState>>) {
    let mut buffer = [0; MESSAGE_MAX];
    let mut ready = false;
    loop {
        let Ok(()) = socket.readable().await else { return };
        let receive = || recv_with_sender(&socket, &mut buffer);
        let Ok((count, sender)) = socket.try_io(Interest::READABLE, receive) else { continue };
        if !ready
            && let Some(what) = readiness(&buffer[..count])
            && is_from_tree(sender, &tree)
        {
            ready = true;
            let mut heard = lock_unpoisoned(&heard);
            heard.ready = Some(what.clone());
            for tell in heard.waiting.drain(..) {
                // The receiver is dropped when the run has ended.
                let _ = tell.send(what.clone());
            }
        }
    }
}

/// Whether the sender belongs to the run. One that has exited cannot be looked up; it knew the name
/// of the socket, which is only in the environment of the run.
fn is_from_tree(sender: NotifySender, tree: impl Fn() -> Vec<u32>) -> bool {
    match sender {
        NotifySender::Pid(pid) => tree().contains(&pid) || !process_exists(pid),
        NotifySender::Hidden => false,
        NotifySender::Unknown => true,
    }
}

/// Returns what a message reports if one of its lines is `READY=1`.
fn readiness(message: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(message);
    if !text.lines().any(|line| line == "READY=1") {
        return None;
    }
    let status = text.lines().find_map(|line| line.strip_prefix("STATUS="));
    let status: Option<String> =
        status.map(|status| status.chars().filter(|c| !c.is_control()).take(STATUS_MAX).collect());
    Some(match status {
        Some(status) if !status.is_empty() => format!("received READY=1 ({status})"),
        Some(_) | None => "received READY=1".to_owned(),
    })
}
