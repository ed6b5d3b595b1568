//! Protocol between the supervisor and the process that keeps its runs, on one socket. Both are the
//! same program, so it has no version, but an invalid message must still do no harm.

use std::io;

use serde::{Deserialize, Serialize};

use crate::model::ProcessExit;
use crate::sys::fork_exec::{StartFailure, StartStage};

/// The most orphans that a report names.
pub(super) const MAX_REPORTED_ORPHANS: usize = 64;

/// The longest report in bytes: names of processes are short.
const MAX_LINE: usize = 64 * 1024;

/// What the supervisor orders for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeeperOrder {
    /// Signal the main process only.
    Signal(u8),
    /// Signal the group of the main process as a request to stop. Orphans get time to exit.
    Stop(u8),
    /// A stop was requested by other means than a signal. Orphans get time to exit.
    Stopping,
    /// Kill the tree until it is empty.
    Kill,
}

/// The head of a message to the keeping process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestHead {
    /// Start the run with this mark. A spawn request of this length follows; stdout, stderr and this
    /// many sockets come with it.
    Start {
        run: u64,
        mark: u64,
        sockets: u8,
        length: u32,
    },
    Order {
        run: u64,
        order: KeeperOrder,
    },
    /// What to do once a killed supervisor's runs are over follows, in this length. None is to do
    /// nothing.
    LastAct {
        length: u32,
    },
}

impl RequestHead {
    /// In bytes: the run, its mark, a letter, a number, a length.
    pub const LENGTH: usize = 22;

    pub fn encode(self) -> [u8; RequestHead::LENGTH] {
        let (run, mark, letter, number, length) = match self {
            RequestHead::Start { run, mark, sockets, length } => (run, mark, b'R', sockets, length),
            RequestHead::Order { run, order } => {
                let (letter, number) = match order {
                    KeeperOrder::Signal(number) => (b'S', number),
                    KeeperOrder::Stop(number) => (b'P', number),
                    KeeperOrder::Stopping => (b'T', 0),
                    KeeperOrder::Kill => (b'K', 0),
                };
                (run, 0, letter, number, 0)
            }
            RequestHead::LastAct { length } => (0, 0, b'W', 0, length),
        };
        let mut bytes = [0; RequestHead::LENGTH];
        bytes[..8].copy_from_slice(&run.to_le_bytes());
        bytes[8..16].copy_from_slice(&mark.to_le_bytes());
        bytes[16..18].copy_from_slice(&[letter, number]);
        bytes[18..].copy_from_slice(&length.to_le_bytes());
        bytes
    }

    /// `None`: the sender cannot be trusted any more.
    pub fn decode(bytes: [u8; RequestHead::LENGTH]) -> Option<RequestHead> {
        let (run, rest) = bytes.split_first_chunk()?;
        let (mark, rest) = rest.split_first_chunk()?;
        let (&[letter, number], rest) = rest.split_first_chunk()?;
        let run = u64::from_le_bytes(*run);
        let order = match letter {
            b'R' => {
                let (mark, length) = (u64::from_le_bytes(*mark), rest.first_chunk()?);
                let length = u32::from_le_bytes(*length);
                return Some(RequestHead::Start { run, mark, sockets: number, length });
            }
            b'W' => {
                let length = u32::from_le_bytes(*rest.first_chunk()?);
                return Some(RequestHead::LastAct { length });
            }
            b'S' => KeeperOrder::Signal(number),
            b'P' => KeeperOrder::Stop(number),
            b'T' => KeeperOrder::Stopping,
            b'K' => KeeperOrder::Kill,
            _ => return None,
        };
        Some(RequestHead::Order { run, order })
    }
}

/// What is reported of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunMessage {
    pub run: u64,
    pub report: KeeperReport,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeeperReport {
    /// The main process runs. `keeper`: the run has a keeper of its own.
    Spawned { keeper: Option<u32>, pid: u32 },
    /// The start failed. No report follows.
    Failed { stage: StartStage, errno: i32 },
    /// The main process exited.
    Exited(ProcessExit),
    /// The tree is empty. No report follows.
    Empty { orphans: Vec<(u32, String)> },
    /// The run's own keeper died, and what it left is dead. No report follows.
    Lost,
}

impl From<StartFailure> for KeeperReport {
    fn from(StartFailure { stage, errno }: StartFailure) -> KeeperReport {
        KeeperReport::Failed { stage, errno }
    }
}

impl RunMessage {
    /// Appends the message as a line of JSON.
    pub fn encode(&self, to: &mut Vec<u8>) {
        serde_json::to_writer(&mut *to, self).expect("plain data always serializes");
        to.push(b'\n');
    }

    /// Decodes the first message and returns the length of its line. `None` when it is incomplete.
    /// After an error the sender cannot be trusted any more.
    pub fn decode(bytes: &[u8]) -> io::Result<Option<(RunMessage, usize)>> {
        match memchr::memchr(b'\n', bytes) {
            Some(end) => Ok(Some((serde_json::from_slice(&bytes[..end])?, end + 1))),
            None if bytes.len() > MAX_LINE => Err(io::ErrorKind::InvalidData.into()),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reports_survive_the_socket_in_any_pieces() {
        let reports = [
            KeeperReport::Spawned { keeper: Some(7), pid: u32::MAX },
            KeeperReport::Spawned { keeper: None, pid: 2 },
            KeeperReport::Failed { stage: StartStage::Dir, errno: 2 },
            KeeperReport::Exited(ProcessExit::Code(255)),
            KeeperReport::Exited(ProcessExit::Signal(64)),
            KeeperReport::Empty { orphans: vec![] },
            KeeperReport::Empty { orphans: vec![(1, "a \"b\"\n".to_owned()), (2, String::new())] },
            KeeperReport::Lost,
        ];
        let messages = reports.map(|report| RunMessage { run: u64::MAX, report });
        let mut bytes = Vec::new();
        for message in &messages {
            message.encode(&mut bytes);
        }
        for piece in 1..bytes.len() {
            let (mut inbox, mut got) = (Vec::new(), Vec::new());
            for chunk in bytes.chunks(piece) {
                inbox.extend(chunk);
                while let Some((message, used)) = RunMessage::decode(&inbox).expect("well formed") {
                    got.push(message);
                    inbox.drain(..used);
                }
            }
            assert_eq!(got, messages);
        }
    }

    #[test]
    fn requests_survive() {
        for run in [0, 7, u64::MAX] {
            let orders = [
                KeeperOrder::Signal(15),
                KeeperOrder::Stop(2),
                KeeperOrder::Stopping,
                KeeperOrder::Kill,
            ];
            let start =
                RequestHead::Start { run, mark: 1 << 61, sockets: u8::MAX, length: u32::MAX };
            let requests = orders.map(|order| RequestHead::Order { run, order });
            for request in requests.into_iter().chain([start]) {
                assert_eq!(RequestHead::decode(request.encode()), Some(request));
            }
        }
        let last = RequestHead::LastAct { length: 7 };
        assert_eq!(RequestHead::decode(last.encode()), Some(last));
        assert_eq!(RequestHead::decode([0; RequestHead::LENGTH]), None);
    }

    #[test]
    fn an_endless_report_is_refused() {
        assert!(RunMessage::decode(&vec![b' '; MAX_LINE + 1]).is_err());
    }

    proptest! {
        #[test]
        fn a_changed_byte_does_no_harm(at in 0..40_usize, byte in any::<u8>()) {
            let report = KeeperReport::Empty { orphans: vec![(7, "sh".to_owned())] };
            let mut bytes = Vec::new();
            RunMessage { run: 3, report }.encode(&mut bytes);
            bytes[at] = byte;
            if let Ok(Some((message, used))) = RunMessage::decode(&bytes) {
                prop_assert!(used <= bytes.len());
                let mut again = Vec::new();
                message.encode(&mut again);
                let decoded = RunMessage::decode(&again).ok().flatten();
                prop_assert_eq!(decoded, Some((message, again.len())));
            }
        }
    }
}
