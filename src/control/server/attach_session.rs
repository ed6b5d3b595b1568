use bytes::{Buf, Bytes, BytesMut};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use crate::control::protocol::{AttachEvent, AttachFrame, InvalidFrame, READ};
use crate::model::{Message, MessageClass, Name};
use crate::supervisor::AttachReply;
use crate::terminal::{Attachment, KeyQueue, TerminalUpdate};

/// No more updates are taken while this many bytes wait to be written to the client.
const UNWRITTEN: usize = 64 * 1024;

/// An attached client, over an upgraded connection.
pub(super) struct AttachSession {
    pub upgrade: OnUpgrade,
    pub service: Name,
    pub attached: AttachReply,
}

enum SessionInput {
    Read(std::io::Result<usize>),
    Written(std::io::Result<usize>),
    Seen(TerminalUpdate),
    Closing,
}

impl AttachSession {
    /// Serves until the client, the service or the stack is gone; blocks neither stack nor service.
    pub async fn serve(self, mut closing: watch::Receiver<bool>) {
        let AttachSession { upgrade, service, attached } = self;
        let AttachReply { seat: Attachment { mut view, mut keyboard, nudge }, run, cause } =
            attached;
        let nudge = async {
            if let Some(nudge) = nudge {
                nudge.hold().await;
            }
            std::future::pending().await
        };
        let mut nudge = std::pin::pin!(nudge);
        // An error means that the client is gone.
        let Ok(upgraded) = upgrade.await else { return };
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
        let (mut heard, mut unwritten) = (BytesMut::new(), BytesMut::new());
        let first = AttachEvent::Attached { service, run, cause };
        AttachFrame::Event(first).encode(&mut unwritten);
        let why = loop {
            let room = unwritten.len() < UNWRITTEN;
            heard.reserve(READ);
            let turn = tokio::select! {
                count = read.read_buf(&mut heard) => SessionInput::Read(count),
                count = write.write(&unwritten), if !unwritten.is_empty() => SessionInput::Written(count),
                seen = view.next(), if room => SessionInput::Seen(seen),
                () = keyboard.run() => continue,
                () = &mut nudge => continue,
                // An error means that the server is gone, which is closing as well.
                _ = closing.wait_for(|closing| *closing) => SessionInput::Closing,
            };
            match turn {
                SessionInput::Read(Ok(0) | Err(_)) | SessionInput::Written(Err(_)) => return,
                SessionInput::Written(Ok(count)) => unwritten.advance(count),
                SessionInput::Seen(TerminalUpdate::Closed(why)) => break why,
                SessionInput::Seen(seen) => {
                    if let TerminalUpdate::Ended(..) = seen {
                        keyboard.follow_run();
                    }
                    send_output(seen, &mut unwritten);
                }
                SessionInput::Closing => {
                    break Message::new(MessageClass::NotRunning, "the stack has stopped");
                }
                SessionInput::Read(Ok(_)) => {
                    let obeyed = apply_frames(&mut heard, |size| view.resize(size), &mut keyboard);
                    match obeyed {
                        Ok(true) => {}
                        Ok(false) if room => ring_bell(&mut unwritten),
                        Ok(false) => {}
                        Err(InvalidFrame) => {
                            break Message::new(MessageClass::Usage, "invalid frame")
                                .help("see docs/protocol.md for the frame format");
                        }
                    }
                }
            }
        };
        while let Some(seen) = view.try_next() {
            send_output(seen, &mut unwritten);
        }
        // Free the client's slot before the last frame: it may never be read.
        drop((view, keyboard));
        AttachFrame::Event(AttachEvent::Closed { why }).encode(&mut unwritten);
        let last = async {
            write.write_all(&unwritten).await?;
            write.shutdown().await
        };
        let gone = async { while read.read(&mut [0; 1024]).await.is_ok_and(|count| count > 0) {} };
        tokio::select! {
            _ = last => {}
            () = gone => {}
        }
    }
}

/// Applies the client's frames. Returns whether all keys were accepted.
fn apply_frames(
    heard: &mut BytesMut,
    resize: impl Fn(crate::process::TermSize),
    keyboard: &mut KeyQueue,
) -> Result<bool, InvalidFrame> {
    let mut taken = true;
    while let Some(frame) = AttachFrame::decode(heard)? {
        match frame {
            AttachFrame::Input(keys) => taken &= keyboard.push(&keys),
            AttachFrame::Resize(size) => resize(size),
            AttachFrame::Output(_) | AttachFrame::Event(_) => return Err(InvalidFrame),
        }
    }
    Ok(taken)
}

/// Rings the bell, as a terminal does when its line buffer is full.
fn ring_bell(unwritten: &mut BytesMut) {
    AttachFrame::Output(Bytes::from_static(b"\x07")).encode(unwritten);
}

fn send_output(seen: TerminalUpdate, unwritten: &mut BytesMut) {
    let event = match seen {
        TerminalUpdate::Output(bytes) => return AttachFrame::Output(bytes).encode(unwritten),
        TerminalUpdate::Missed(bytes) => AttachEvent::Missed { bytes },
        TerminalUpdate::Began(run) => AttachEvent::Began { run },
        TerminalUpdate::Ended(run, exit) => AttachEvent::Ended { run, exit },
        TerminalUpdate::Closed(why) => AttachEvent::Closed { why },
    };
    AttachFrame::Event(event).encode(unwritten);
}
