use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::io::Errno;

use super::keeper_protocol::{KeeperOrder, RequestHead};
use crate::process::spawn::{MAX_LISTEN_FDS, MAX_REQUEST, SpawnRequest};
use crate::sys::fd_passing::{MAX_PASSED_FDS, ReceivedFds, receive_with_fds};
use crate::sys::fork_exec::ExecFds;

/// Descriptors of a start besides sockets: stdout and stderr.
pub(crate) const OUTPUT_FDS: usize = 2;

const _: () = assert!(OUTPUT_FDS + MAX_LISTEN_FDS <= MAX_PASSED_FDS);

/// In bytes: a few addresses of engines.
const MAX_LAST_ACT: usize = 64 * 1024;

/// The most bytes that are read at once.
const READ: usize = 64 * 1024;

/// What the supervisor requests.
#[derive(Debug)]
pub(super) enum KeeperRequest {
    Start {
        run: u64,
        mark: u64,
        request: SpawnRequest,
        fds: ExecFds,
    },
    /// The descriptors of a start did not arrive.
    Incomplete {
        run: u64,
    },
    Order {
        run: u64,
        order: KeeperOrder,
    },
    LastAct(Vec<u8>),
}

/// What has arrived on a socket and is not handled yet.
#[derive(Debug, Default)]
pub(super) struct KeeperInbox {
    bytes: Vec<u8>,
    /// The descriptors of each start, in order. They arrive with the first byte of its head.
    fds: VecDeque<Vec<OwnedFd>>,
}

impl KeeperInbox {
    /// Reads what is there. False when the other end is closed, or sent what it never would.
    pub fn read(&mut self, socket: &UnixStream) -> bool {
        let end = self.bytes.len();
        self.bytes.resize(end + READ, 0);
        let ReceivedFds { count, fds } = match receive_with_fds(socket, &mut self.bytes[end..]) {
            Ok(received) => received,
            Err(error) => {
                self.bytes.truncate(end);
                let passes = [Errno::INTR, Errno::AGAIN, Errno::MFILE, Errno::NFILE, Errno::NOBUFS];
                return passes.contains(&error);
            }
        };
        self.bytes.truncate(end + count);
        // None may arrive at the limit of open files: then the start gets an empty list.
        self.fds.extend(fds);
        count > 0
    }

    /// Takes the first request. `None` when it is incomplete; an error: the sender cannot be
    /// trusted any more.
    pub fn next(&mut self) -> Result<Option<KeeperRequest>, Errno> {
        let Some((head, rest)) = self.bytes.split_first_chunk() else { return Ok(None) };
        let (run, mark, sockets, length) = match RequestHead::decode(*head) {
            Some(RequestHead::Start { run, mark, sockets, length }) => {
                (run, mark, usize::from(sockets), length as usize)
            }
            Some(RequestHead::Order { run, order }) => {
                self.bytes.drain(..RequestHead::LENGTH);
                return Ok(Some(KeeperRequest::Order { run, order }));
            }
            Some(RequestHead::LastAct { length }) => return self.last_act(length as usize),
            None => return Err(Errno::BADMSG),
        };
        if length > MAX_REQUEST {
            return Err(Errno::BADMSG);
        }
        let Some(body) = rest.get(..length) else {
            self.bytes.reserve(length);
            return Ok(None);
        };
        let request = SpawnRequest(body.to_vec());
        self.bytes.drain(..RequestHead::LENGTH + length);
        self.bytes.shrink_to(READ);
        let mut fds = self.fds.pop_front().unwrap_or_default();
        let passed = fds.split_off(fds.len().min(OUTPUT_FDS));
        Ok(Some(match <[OwnedFd; OUTPUT_FDS]>::try_from(fds) {
            Ok([stdout, stderr]) if passed.len() == sockets => {
                let fds = ExecFds { stdout, stderr, sockets: passed };
                KeeperRequest::Start { run, mark, request, fds }
            }
            Ok(_) | Err(_) => KeeperRequest::Incomplete { run },
        }))
    }
}

impl KeeperInbox {
    fn last_act(&mut self, length: usize) -> Result<Option<KeeperRequest>, Errno> {
        if length > MAX_LAST_ACT {
            return Err(Errno::BADMSG);
        }
        let whole = RequestHead::LENGTH + length;
        let Some(act) = self.bytes.get(RequestHead::LENGTH..whole) else { return Ok(None) };
        let act = act.to_vec();
        self.bytes.drain(..whole);
        Ok(Some(KeeperRequest::LastAct(act)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Write, pipe};

    use std::os::fd::AsFd;

    use rustix::net::SendFlags;

    use super::*;
    use crate::sys::fd_passing::send_with_fds;

    fn start(run: u64, body: &[u8]) -> Vec<u8> {
        let length = body.len() as u32;
        let head = RequestHead::Start { run, mark: 9, sockets: 0, length };
        [&head.encode()[..], body].concat()
    }

    fn kill(run: u64) -> [u8; RequestHead::LENGTH] {
        RequestHead::Order { run, order: KeeperOrder::Kill }.encode()
    }

    /// What arrives, in short.
    fn requests(inbox: &mut KeeperInbox) -> Vec<String> {
        let mut list = Vec::new();
        while let Some(request) = inbox.next().expect("well formed") {
            list.push(match request {
                KeeperRequest::Start { run, mark, request, fds } => {
                    assert_eq!((mark, fds.sockets.len()), (9, 0));
                    format!("start {run} {}", String::from_utf8_lossy(&request.0))
                }
                KeeperRequest::Incomplete { run } => format!("incomplete {run}"),
                KeeperRequest::Order { run, order } => format!("{order:?} {run}"),
                KeeperRequest::LastAct(act) => format!("last {}", String::from_utf8_lossy(&act)),
            });
        }
        list
    }

    #[test]
    fn requests_arrive_in_order_and_with_their_descriptors_however_they_are_cut() {
        for cut in [1, 5, RequestHead::LENGTH, 40, 10_000] {
            let (mut ours, theirs) = UnixStream::pair().expect("a socket");
            let mut inbox = KeeperInbox::default();
            let mut seen = Vec::new();
            for run in 0..3 {
                let (_read, write) = pipe().expect("a pipe");
                let bytes = [&kill(run)[..], &start(run, b"program"), &kill(run)].concat();
                let head = RequestHead::LENGTH;
                ours.write_all(&bytes[..head]).expect("there is room");
                let outputs = [write.as_fd(), write.as_fd()];
                let sent =
                    send_with_fds(&ours, &bytes[head..2 * head], &outputs, SendFlags::empty());
                assert_eq!(sent, Ok(head));
                for part in bytes[2 * head..].chunks(cut) {
                    ours.write_all(part).expect("there is room");
                    assert!(inbox.read(&theirs));
                    seen.extend(requests(&mut inbox));
                }
            }
            drop(ours);
            while inbox.read(&theirs) {
                seen.extend(requests(&mut inbox));
            }
            let of = |run| {
                [format!("Kill {run}"), format!("start {run} program"), format!("Kill {run}")]
            };
            assert_eq!(seen, (0..3).flat_map(of).collect::<Vec<_>>(), "cut to {cut}");
        }
    }

    #[test]
    fn a_last_act_is_replaced_by_the_next() {
        let (mut ours, theirs) = UnixStream::pair().expect("a socket");
        let mut inbox = KeeperInbox::default();
        let act = |text: &str| {
            let head = RequestHead::LastAct { length: text.len() as u32 }.encode();
            [&head[..], text.as_bytes()].concat()
        };
        let (first, rest) = (act("clean"), [&act("")[..], &kill(1)].concat());
        ours.write_all(&first[..first.len() - 1]).expect("there is room");
        assert!(inbox.read(&theirs));
        assert!(requests(&mut inbox).is_empty());
        ours.write_all(&[&first[first.len() - 1..], &rest].concat()).expect("there is room");
        assert!(inbox.read(&theirs));
        assert_eq!(requests(&mut inbox), ["last clean", "last ", "Kill 1"]);
    }

    #[test]
    fn a_start_without_descriptors_is_incomplete_and_nonsense_is_refused() {
        let (mut ours, theirs) = UnixStream::pair().expect("a socket");
        let mut inbox = KeeperInbox::default();
        ours.write_all(&[start(1, b""), kill(1).to_vec()].concat()).expect("there is room");
        assert!(inbox.read(&theirs));
        assert_eq!(requests(&mut inbox), ["incomplete 1", "Kill 1"]);
        let long = RequestHead::Start { run: 1, mark: 0, sockets: 0, length: u32::MAX };
        for nonsense in [[0xff; RequestHead::LENGTH], long.encode()] {
            let mut inbox = KeeperInbox::default();
            ours.write_all(&nonsense).expect("there is room");
            assert!(inbox.read(&theirs));
            assert_eq!(inbox.next().err(), Some(Errno::BADMSG));
        }
    }
}
