use bytes::{Buf, Bytes, BytesMut};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::event::AttachEvent;
use super::frame::{Frame, Garbled, READ};
use crate::model::{Class, Message, Name};
use crate::runtime::console::{Keyboard, Seat, Seen};
use crate::runtime::handle::Attached;

/// While so much waits to be written to a client, nothing more is taken for it. What comes then waits in its place at
/// the console, which is bounded.
const UNWRITTEN: usize = 64 * 1024;

/// One who is attached, over a connection that stopped to be HTTP.
pub(in crate::control) struct Session {
    pub upgrade: OnUpgrade,
    pub service: Name,
    pub attached: Attached,
}

/// What comes next.
enum Turn {
    Read(std::io::Result<usize>),
    Written(std::io::Result<usize>),
    Seen(Seen),
    Closing,
}

impl Session {
    /// Serves to the end: of the client, of the service in the stack, or of the stack. Nobody waits for the client, and
    /// a service that does not read makes nobody wait.
    pub async fn serve(self, mut closing: watch::Receiver<bool>) {
        let Session { upgrade, service, attached } = self;
        let Attached { seat: Seat { mut view, mut keyboard, nudge }, run, cause } = attached;
        let nudge = async {
            if let Some(nudge) = nudge {
                nudge.last().await;
            }
            std::future::pending().await
        };
        let mut nudge = std::pin::pin!(nudge);
        // An error means that the client has gone.
        let Ok(upgraded) = upgrade.await else { return };
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
        let (mut heard, mut unwritten) = (BytesMut::new(), BytesMut::new());
        let first = AttachEvent::Attached { service, run, cause };
        Frame::Event(first).encode(&mut unwritten);
        let why = loop {
            let room = unwritten.len() < UNWRITTEN;
            heard.reserve(READ);
            let turn = tokio::select! {
                count = read.read_buf(&mut heard) => Turn::Read(count),
                count = write.write(&unwritten), if !unwritten.is_empty() => Turn::Written(count),
                seen = view.next(), if room => Turn::Seen(seen),
                () = keyboard.work() => continue,
                () = &mut nudge => continue,
                // An error means that the server is gone: closing, too.
                _ = closing.wait_for(|closing| *closing) => Turn::Closing,
            };
            match turn {
                Turn::Read(Ok(0) | Err(_)) | Turn::Written(Err(_)) => return,
                Turn::Written(Ok(count)) => unwritten.advance(count),
                Turn::Seen(Seen::Closed(why)) => break why,
                Turn::Seen(seen) => {
                    if let Seen::Ended(..) = seen {
                        keyboard.turn_to_present();
                    }
                    tell(seen, &mut unwritten);
                }
                Turn::Closing => break Message::new(Class::NotRunning, "the stack has ended"),
                Turn::Read(Ok(_)) => {
                    let obeyed = obey(&mut heard, |size| view.resize(size), &mut keyboard);
                    match obeyed {
                        Ok(true) => {}
                        Ok(false) if room => ring(&mut unwritten),
                        Ok(false) => {}
                        Err(Garbled) => {
                            break Message::new(Class::Usage, "what was sent is no frame")
                                .help("docs/protocol.md says how frames look");
                        }
                    }
                }
            }
        };
        while let Some(seen) = view.now() {
            tell(seen, &mut unwritten);
        }
        // Whoever does not read the last word needs none: they no longer have a place.
        drop((view, keyboard));
        Frame::Event(AttachEvent::Closed { why }).encode(&mut unwritten);
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

/// Does what the client says. Whether all keys were taken.
fn obey(
    heard: &mut BytesMut,
    resize: impl Fn(crate::runtime::process::Size),
    keyboard: &mut Keyboard,
) -> Result<bool, Garbled> {
    let mut taken = true;
    while let Some(frame) = Frame::decode(heard)? {
        match frame {
            Frame::Input(keys) => taken &= keyboard.type_in(&keys),
            Frame::Resize(size) => resize(size),
            Frame::Output(_) | Frame::Event(_) => return Err(Garbled),
        }
    }
    Ok(taken)
}

/// The bell, as a terminal rings it whose line is full.
fn ring(unwritten: &mut BytesMut) {
    Frame::Output(Bytes::from_static(b"\x07")).encode(unwritten);
}

fn tell(seen: Seen, unwritten: &mut BytesMut) {
    let event = match seen {
        Seen::Output(bytes) => return Frame::Output(bytes).encode(unwritten),
        Seen::Missed(bytes) => AttachEvent::Missed { bytes },
        Seen::Began(run) => AttachEvent::Began { run },
        Seen::Ended(run, exit) => AttachEvent::Ended { run, exit },
        Seen::Closed(why) => AttachEvent::Closed { why },
    };
    Frame::Event(event).encode(unwritten);
}
