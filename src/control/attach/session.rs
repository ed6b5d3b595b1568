use bytes::{Buf, Bytes, BytesMut};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::event::AttachEvent;
use super::frame::{Frame, Garbled, READ};
use crate::model::{Message, MessageClass, Name};
use crate::runtime::console::{Keyboard, Seat, Seen};
use crate::runtime::handle::Attached;

/// No more updates are taken while this many bytes wait to be written to the client.
const UNWRITTEN: usize = 64 * 1024;

/// An attached client, over an upgraded connection.
pub(in crate::control) struct Session {
    pub upgrade: OnUpgrade,
    pub service: Name,
    pub attached: Attached,
}

enum Turn {
    Read(std::io::Result<usize>),
    Written(std::io::Result<usize>),
    Seen(Seen),
    Closing,
}

impl Session {
    /// Serves until the client, the service or the stack is gone; blocks neither stack nor service.
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
        // An error means that the client is gone.
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
                // An error means that the server is gone, which is closing as well.
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
                Turn::Closing => {
                    break Message::new(MessageClass::NotRunning, "the stack has stopped");
                }
                Turn::Read(Ok(_)) => {
                    let obeyed = obey(&mut heard, |size| view.resize(size), &mut keyboard);
                    match obeyed {
                        Ok(true) => {}
                        Ok(false) if room => ring(&mut unwritten),
                        Ok(false) => {}
                        Err(Garbled) => {
                            break Message::new(MessageClass::Usage, "invalid frame")
                                .help("see docs/protocol.md for the frame format");
                        }
                    }
                }
            }
        };
        while let Some(seen) = view.now() {
            tell(seen, &mut unwritten);
        }
        // Free the client's slot before the last frame: it may never be read.
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

/// Applies the client's frames. Returns whether all keys were accepted.
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

/// Rings the bell, as a terminal does when its line buffer is full.
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
