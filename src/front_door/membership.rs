use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::door_files::DoorFiles;
use super::door_protocol::{DoorJoin, DoorReply, DoorRequest, connect};
use super::door_stream::DoorStream;
use super::membership_step::{JoinAttempts, JoinOutcome, MembershipStep};
use crate::model::{Message, MessageClass};
use crate::process::start_standalone;
use crate::regular_file::open_lock;
use crate::supervisor::SupervisorHandle;

/// The hidden command that is the front door; the runtime directory follows.
const DOOR_COMMAND: [&str; 2] = ["proxy", "serve"];

/// How long a front door may take to start. One that was killed meanwhile never listens: the next one
/// must be there within a second.
const START_LIMIT: Duration = Duration::from_millis(500);
const START_PAUSE: Duration = Duration::from_millis(2);
/// How long it may take to say that the stack is served.
const REPLY_LIMIT: Duration = Duration::from_secs(5);
/// Delay after attempts have failed for good: another version may own the proxy until its stacks end.
const LATER: Duration = Duration::from_secs(30);

/// Keeps a stack served by the front door.
pub struct Membership {
    pub files: DoorFiles,
    /// The control socket of the stack.
    pub socket: PathBuf,
    /// The port where its names are.
    pub port: u16,
    /// The stack itself.
    pub handle: SupervisorHandle,
}

/// What is kept for the next front door.
#[derive(Default)]
struct KeptDoor {
    /// Copies of its listening sockets: the kernel accepts connections while there is no front door.
    copies: Vec<OwnedFd>,
    fronts: Vec<u16>,
    peers: Vec<PathBuf>,
}

impl Membership {
    /// Joins the front door once the stack `serves` something, starts one if there is none, and
    /// replaces it when it dies. Ends with the runtime, and the membership with it.
    pub async fn keep(self, mut serves: watch::Receiver<bool>) {
        // An error means that the stack ends.
        if serves.wait_for(|serves| *serves).await.is_err() {
            return;
        }
        let (mut attempts, mut kept) = (JoinAttempts::default(), KeptDoor::default());
        loop {
            let outcome = self.join(&mut kept).await;
            tracing::debug!(?outcome, "front door");
            match attempts.after(outcome) {
                MembershipStep::Join(delay) => sleep(delay).await,
                MembershipStep::Start(delay) => {
                    sleep(delay).await;
                    self.start().await;
                }
                MembershipStep::GiveUp(why) => {
                    // Connections in these sockets would wait for nothing.
                    kept = KeptDoor::default();
                    let text = format!("services have no names for now: {why}");
                    let message = Message::new(MessageClass::Port, text).help(
                        "use the direct addresses; `devstack doctor` shows what is using the port",
                    );
                    self.handle.names_are(Err(message));
                    sleep(LATER).await;
                }
            }
        }
    }

    /// Joins the front door and stays until it is gone.
    async fn join(&self, kept: &mut KeptDoor) -> JoinOutcome {
        let refused = |error: std::io::Error| JoinOutcome::Refused(error.to_string());
        let mut stream = match connect(&self.files.socket()).await {
            Ok(Some(stream)) => stream,
            Ok(None) => return JoinOutcome::Absent,
            Err(error) => return refused(error),
        };
        let join = DoorRequest::Join(DoorJoin {
            socket: self.socket.clone(),
            port: self.port,
            fronts: kept.fronts.clone(),
            peers: kept.peers.clone(),
            descriptors: kept.copies.len(),
        });
        let copies: Vec<_> = kept.copies.iter().map(|copy| copy.as_fd()).collect();
        if let Err(error) = stream.send(&join, &copies).await {
            return refused(error);
        }
        let mut trouble = match timeout(REPLY_LIMIT, receive(&mut stream, kept)).await {
            Ok(Ok(trouble)) => trouble,
            Ok(Err(outcome)) => return outcome,
            Err(_) => return JoinOutcome::Refused("the proxy does not answer".to_owned()),
        };
        self.handle.names_are(Ok(trouble.clone()));
        while let Ok(now) = receive(&mut stream, kept).await {
            if now != trouble {
                self.handle.names_are(Ok(now.clone()));
                trouble = now;
            }
        }
        JoinOutcome::Ended
    }

    /// Starts a front door and waits until one listens.
    async fn start(&self) {
        let files = self.files.clone();
        let start = move || {
            // Without it, only what a bug prints is lost.
            let errors =
                open_lock(&files.errors(), true).map_or_else(|_| Stdio::null(), Stdio::from);
            let [command, role] = DOOR_COMMAND.map(OsStr::new);
            start_standalone([command, role, files.dir().as_os_str()], errors)
        };
        match spawn_blocking(start).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return tracing::warn!(%error, "cannot start the proxy"),
            Err(_) => return,
        }
        let listens = async {
            while !matches!(connect(&self.files.socket()).await, Ok(Some(_))) {
                sleep(START_PAUSE).await;
            }
        };
        // If it does not come, the next attempt to join shows that.
        let _ = timeout(START_LIMIT, listens).await;
    }
}

/// Reads one message of the front door: the stack is served, perhaps not everywhere.
async fn receive(
    stream: &mut DoorStream,
    kept: &mut KeptDoor,
) -> Result<Option<Message>, JoinOutcome> {
    let refused = |text: String| Err(JoinOutcome::Refused(text));
    match stream.receive().await {
        Ok(Some(DoorReply::Serving { fronts, peers, trouble, descriptors })) => {
            let copies = stream.take_descriptors(descriptors);
            *kept = KeptDoor { copies, fronts, peers };
            Ok(trouble)
        }
        Ok(Some(DoorReply::Refused { text })) => refused(text),
        Ok(Some(DoorReply::Done | DoorReply::Status(_))) => {
            refused("the proxy gave an unexpected answer".to_owned())
        }
        // It was killed before it could answer, or ends with its last stack.
        Ok(None) => Err(JoinOutcome::Absent),
        Err(error) => refused(error.to_string()),
    }
}
