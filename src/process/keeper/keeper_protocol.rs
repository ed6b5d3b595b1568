//! Protocol between supervisor and keeper on a run's own socket. Both are the same program, so it
//! has no version, but an invalid frame must still do no harm.

use crate::model::ProcessExit;

/// The most orphans that a report names.
pub(super) const MAX_REPORTED_ORPHANS: usize = 64;

/// What the supervisor orders, in two bytes each after the spawn request.
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

impl KeeperOrder {
    pub fn encode(self) -> [u8; 2] {
        match self {
            KeeperOrder::Signal(number) => [b'S', number],
            KeeperOrder::Stop(number) => [b'P', number],
            KeeperOrder::Stopping => [b'T', 0],
            KeeperOrder::Kill => [b'K', 0],
        }
    }

    pub fn decode(bytes: [u8; 2]) -> Option<KeeperOrder> {
        match bytes {
            [b'S', number] => Some(KeeperOrder::Signal(number)),
            [b'P', number] => Some(KeeperOrder::Stop(number)),
            [b'T', _] => Some(KeeperOrder::Stopping),
            [b'K', _] => Some(KeeperOrder::Kill),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartStage {
    Fork,
    Keeper,
    Dir,
    Exec,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeeperReport {
    /// The main process runs.
    Spawned { keeper: u32, pid: u32 },
    /// The start failed. No report follows.
    Failed { stage: StartStage, errno: i32 },
    /// The main process exited.
    Exited(ProcessExit),
    /// The tree is empty. No report follows.
    Empty { orphans: Vec<(u32, String)> },
}

impl KeeperReport {
    /// Appends the frame: kind, length of the body, body.
    pub fn encode(&self, to: &mut Vec<u8>) {
        let start = to.len();
        to.extend([0; 5]);
        let kind = match self {
            KeeperReport::Spawned { keeper, pid } => {
                to.extend(keeper.to_le_bytes());
                to.extend(pid.to_le_bytes());
                b's'
            }
            KeeperReport::Failed { stage, errno } => {
                to.push(match stage {
                    StartStage::Fork => 0,
                    StartStage::Keeper => 1,
                    StartStage::Dir => 2,
                    StartStage::Exec => 3,
                });
                to.extend(errno.to_le_bytes());
                b'f'
            }
            KeeperReport::Exited(exit) => {
                let (how, value) = match exit {
                    ProcessExit::Code(code) => (0, code),
                    ProcessExit::Signal(signal) => (1, signal),
                };
                to.push(how);
                to.extend(value.to_le_bytes());
                b'x'
            }
            KeeperReport::Empty { orphans: leftovers } => {
                for (pid, name) in leftovers.iter().take(MAX_REPORTED_ORPHANS) {
                    let name = &name.as_bytes()[..name.len().min(255)];
                    to.extend(pid.to_le_bytes());
                    to.push(name.len() as u8);
                    to.extend(name);
                }
                b'e'
            }
        };
        let length = (to.len() - start - 5) as u32;
        to[start] = kind;
        to[start + 1..start + 5].copy_from_slice(&length.to_le_bytes());
    }

    /// Decodes the first report and returns the length of its frame. `None` when it is incomplete.
    /// After an error the sender cannot be trusted any more.
    pub fn decode(bytes: &[u8]) -> Result<Option<(KeeperReport, usize)>, InvalidReport> {
        let Some((head, rest)) = bytes.split_at_checked(5) else { return Ok(None) };
        let length = u32_at(head, 1)? as usize;
        if length > MAX_REPORTED_ORPHANS * (5 + 255) {
            return Err(InvalidReport);
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let report = match head[0] {
            b's' => KeeperReport::Spawned { keeper: u32_at(body, 0)?, pid: u32_at(body, 4)? },
            b'f' => {
                KeeperReport::Failed { stage: stage(body)?, errno: u32_at(body, 1)?.cast_signed() }
            }
            b'x' => KeeperReport::Exited(exit(body)?),
            b'e' => KeeperReport::Empty { orphans: decode_orphans(body)? },
            _ => return Err(InvalidReport),
        };
        Ok(Some((report, 5 + length)))
    }
}

/// A frame that no keeper writes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidReport;

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, InvalidReport> {
    let four = bytes.get(at..at + 4).ok_or(InvalidReport)?;
    Ok(u32::from_le_bytes(four.try_into().map_err(|_| InvalidReport)?))
}

fn stage(body: &[u8]) -> Result<StartStage, InvalidReport> {
    match body.first() {
        Some(0) => Ok(StartStage::Fork),
        Some(1) => Ok(StartStage::Keeper),
        Some(2) => Ok(StartStage::Dir),
        Some(3) => Ok(StartStage::Exec),
        _ => Err(InvalidReport),
    }
}

fn exit(body: &[u8]) -> Result<ProcessExit, InvalidReport> {
    let value = u32_at(body, 1)?.cast_signed();
    match body.first() {
        Some(0) => Ok(ProcessExit::Code(value)),
        Some(1) => Ok(ProcessExit::Signal(value)),
        _ => Err(InvalidReport),
    }
}

fn decode_orphans(mut body: &[u8]) -> Result<Vec<(u32, String)>, InvalidReport> {
    let mut list = Vec::new();
    while !body.is_empty() {
        let pid = u32_at(body, 0)?;
        let length = usize::from(*body.get(4).ok_or(InvalidReport)?);
        let name = body.get(5..5 + length).ok_or(InvalidReport)?;
        list.push((pid, String::from_utf8_lossy(name).into_owned()));
        body = &body[5 + length..];
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reports_survive_the_socket_in_any_pieces() {
        let reports = [
            KeeperReport::Spawned { keeper: 7, pid: u32::MAX },
            KeeperReport::Failed { stage: StartStage::Dir, errno: 2 },
            KeeperReport::Exited(ProcessExit::Code(255)),
            KeeperReport::Exited(ProcessExit::Signal(64)),
            KeeperReport::Empty { orphans: vec![] },
            KeeperReport::Empty { orphans: vec![(1, "a b".to_owned()), (2, String::new())] },
        ];
        let mut bytes = Vec::new();
        for report in &reports {
            report.encode(&mut bytes);
        }
        for piece in 1..bytes.len() {
            let (mut inbox, mut got) = (Vec::new(), Vec::new());
            for chunk in bytes.chunks(piece) {
                inbox.extend(chunk);
                while let Some((report, used)) = KeeperReport::decode(&inbox).expect("well formed")
                {
                    got.push(report);
                    inbox.drain(..used);
                }
            }
            assert_eq!(got, reports);
        }
    }

    #[test]
    fn orders_survive() {
        for order in [
            KeeperOrder::Signal(15),
            KeeperOrder::Stop(2),
            KeeperOrder::Stopping,
            KeeperOrder::Kill,
        ] {
            assert_eq!(KeeperOrder::decode(order.encode()), Some(order));
        }
        assert_eq!(KeeperOrder::decode([0, 0]), None);
    }

    proptest! {
        #[test]
        fn nonsense_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = KeeperReport::decode(&bytes);
        }
    }
}
