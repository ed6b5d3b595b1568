use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Notify;

use super::limits::ServerLimits;
use crate::model::{Message, MessageClass};
use crate::sync::lock_unpoisoned;
use crate::watch::OutputClaim;

/// The clients that are served. Some places are kept for short requests and for those that act, and
/// clients that send nothing and idle streams make room, so that none keep out `ps`, `stop` and `down`.
#[derive(Clone)]
pub(super) struct ClientTable {
    limits: ServerLimits,
    /// The number of the next client. No number is used twice: a place may outlive its entry.
    next: Arc<AtomicU64>,
    clients: Arc<Mutex<BTreeMap<u64, ServedClient>>>,
}

/// A client's place in the table, until it is dropped.
pub(super) struct ClientPlace {
    table: ClientTable,
    number: u64,
    evicted: Arc<Notify>,
    output: Mutex<OutputClaim>,
}

struct ServedClient {
    pid: Option<i32>,
    stay: ClientStay,
    evicted: Arc<Notify>,
}

/// How long a client keeps its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientStay {
    /// It has not sent a whole request yet.
    Silent,
    /// It got its response and may send another request.
    Answered,
    /// For one short request.
    Brief,
    /// Until services have started or stopped.
    Acting,
    /// Until something has happened in the stack, or the client leaves.
    Waiting,
    /// As long as it reads a stream, of which it last got something at this time.
    Streaming(Instant),
}

impl ClientStay {
    fn is_idle(self) -> bool {
        matches!(self, ClientStay::Silent | ClientStay::Answered)
    }

    /// Whether it can stay for hours.
    fn lasts(self) -> bool {
        matches!(self, ClientStay::Waiting | ClientStay::Streaming(_))
    }

    /// Returns how many clients may stay like this one or longer.
    fn most(self, limits: &ServerLimits) -> usize {
        let kept = match self {
            ClientStay::Silent | ClientStay::Answered | ClientStay::Brief => return usize::MAX,
            ClientStay::Acting => limits.kept_brief,
            ClientStay::Waiting | ClientStay::Streaming(_) => {
                limits.kept_brief + limits.kept_acting
            }
        };
        limits.connections.saturating_sub(kept)
    }
}

impl ClientTable {
    pub fn new(limits: ServerLimits) -> ClientTable {
        ClientTable { limits, next: Arc::default(), clients: Arc::default() }
    }

    /// Gives a client a place for short requests. If there is none, an idle client makes room: one
    /// of the process with the most, if the new one's has no more. A flood displaces only itself.
    pub fn admit(&self, pid: Option<i32>) -> Result<ClientPlace, Message> {
        let mut clients = lock_unpoisoned(&self.clients);
        if clients.len() >= self.limits.connections {
            let counts = counts(&clients);
            let count =
                |pid| counts.iter().find(|(one, _)| *one == pid).map_or(0, |(_, count)| *count);
            let idle = clients.iter().filter(|(_, client)| client.stay.is_idle());
            let ranked = idle.map(|(number, client)| (count(client.pid), Reverse(*number)));
            let first = ranked.max().filter(|(held, _)| *held >= count(pid));
            evict(first.map(|(_, Reverse(number))| number), &mut clients)?;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let evicted = Arc::new(Notify::new());
        let client = ServedClient { pid, stay: ClientStay::Silent, evicted: evicted.clone() };
        clients.insert(number, client);
        Ok(ClientPlace { table: self.clone(), number, evicted, output: Mutex::default() })
    }
}

impl ClientPlace {
    /// Says how long the client stays from now on. If too many do, or too many of its process, the
    /// one of these that was idle for the longest time makes room, or this one is refused.
    pub fn stay(&self, stay: ClientStay) -> Result<(), Message> {
        let limits = &self.table.limits;
        let mut clients = lock_unpoisoned(&self.table.clients);
        let most = stay.most(limits);
        let pid = clients.get(&self.number).and_then(|client| client.pid);
        let is_own = |client: &ServedClient| pid.is_some() && client.pid == pid;
        let others = || clients.iter().filter(|(number, _)| **number != self.number);
        let own = others().filter(|(_, one)| is_own(one) && one.stay.lasts()).count();
        let is_greedy = stay.lasts() && own >= limits.lasting_per_process;
        let count = others().filter(|(_, one)| one.stay.most(limits) <= most).count();
        if is_greedy || (most < usize::MAX && count >= most) {
            let idle = others().filter(|(_, one)| !is_greedy || is_own(one));
            let idle = idle.filter_map(|(number, client)| match client.stay {
                ClientStay::Streaming(last) => Some((last, *number)),
                ClientStay::Silent
                | ClientStay::Answered
                | ClientStay::Brief
                | ClientStay::Acting
                | ClientStay::Waiting => None,
            });
            let oldest = idle.min().filter(|(last, _)| last.elapsed() >= limits.idle_time);
            let made_room = evict(oldest.map(|(_, number)| number), &mut clients);
            made_room.map_err(|all| if is_greedy { too_many_of_one(pid, own) } else { all })?;
        }
        if let Some(client) = clients.get_mut(&self.number) {
            client.stay = stay;
        }
        Ok(())
    }

    /// The client of this stream got something.
    pub fn touch(&self) {
        if let Some(client) = lock_unpoisoned(&self.table.clients).get_mut(&self.number) {
            client.stay = ClientStay::Streaming(Instant::now());
        }
    }

    /// Holds this claim until the client leaves.
    pub fn prints_into(&self, output: OutputClaim) {
        *lock_unpoisoned(&self.output) = output;
    }

    /// Resolves when the client has to make room.
    pub async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        lock_unpoisoned(&self.table.clients).remove(&self.number);
    }
}

/// Ends this client to make room for another one, or returns an error if there is none to end.
fn evict(number: Option<u64>, clients: &mut BTreeMap<u64, ServedClient>) -> Result<(), Message> {
    let Some(client) = number.and_then(|number| clients.remove(&number)) else {
        return Err(too_many(clients));
    };
    tracing::info!(pid = client.pid, "too many clients: ended an idle one");
    client.evicted.notify_one();
    Ok(())
}

/// Returns how many clients each process has, in the order in which they came.
fn counts(clients: &BTreeMap<u64, ServedClient>) -> Vec<(Option<i32>, usize)> {
    let mut counts: Vec<(Option<i32>, usize)> = Vec::new();
    for client in clients.values() {
        match counts.iter_mut().find(|(known, _)| *known == client.pid) {
            Some((_, count)) => *count += 1,
            None => counts.push((client.pid, 1)),
        }
    }
    counts
}

/// Names the process with the most clients; of several, the one that came first.
fn too_many(clients: &BTreeMap<u64, ServedClient>) -> Message {
    let counts = counts(clients);
    let known = counts.iter().rev().filter_map(|(pid, count)| Some(((*pid)?, *count)));
    let most = known.max_by_key(|(_, count)| *count);
    let text = format!("too many clients: {}", clients.len());
    let (text, help) = match most {
        Some((pid, count)) => (
            format!("{text}, {count} of them from pid {pid}"),
            format!("close connections of pid {pid}, or try again in a few seconds"),
        ),
        None => (text, "try again in a few seconds".to_owned()),
    };
    Message::new(MessageClass::Limit, text).help(help)
}

/// Names a process that has its share already.
fn too_many_of_one(pid: Option<i32>, count: usize) -> Message {
    let process = pid.map_or_else(|| "one process".to_owned(), |pid| format!("pid {pid}"));
    let text = format!("too many clients: {count} of {process} wait or follow already");
    Message::new(MessageClass::Limit, text)
        .help("end some of them, or ask again instead of following")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn table(idle_time: Duration) -> ClientTable {
        let limits = ServerLimits::of_this_user();
        let limits = ServerLimits { kept_brief: 2, kept_acting: 0, idle_time, ..limits };
        ClientTable::new(ServerLimits { connections: 5, ..limits })
    }

    fn streaming() -> ClientStay {
        ClientStay::Streaming(Instant::now())
    }

    async fn is_evicted(place: &ClientPlace) -> bool {
        tokio::time::timeout(Duration::ZERO, place.evicted()).await.is_ok()
    }

    #[test]
    fn places_for_short_requests_are_kept_and_the_greediest_process_is_named() {
        let table = table(Duration::from_secs(3600));
        let admit = |pid| table.admit(Some(pid)).unwrap();
        let places = [admit(7), admit(8), admit(8), admit(9), admit(7)];
        for (place, stay) in places.iter().zip([streaming(), ClientStay::Waiting, streaming()]) {
            place.stay(stay).unwrap();
        }
        let wanted = Message::new(MessageClass::Limit, "too many clients: 5, 2 of them from pid 7");
        let wanted = wanted.help("close connections of pid 7, or try again in a few seconds");
        for stay in [streaming(), ClientStay::Waiting] {
            assert_eq!(places[3].stay(stay), Err(wanted.clone()));
        }
        places[3].stay(ClientStay::Brief).unwrap();
        // One that has sent no request makes room.
        drop(table.admit(None).unwrap());
        let last = table.admit(Some(7)).unwrap();
        last.stay(ClientStay::Brief).unwrap();
        assert_eq!(table.admit(None).err(), Some(wanted));
        // A client that has its place keeps it for its next request.
        places[2].stay(ClientStay::Waiting).unwrap();
        drop((places, last));
        assert!(lock_unpoisoned(&table.clients).is_empty());
    }

    #[tokio::test]
    async fn a_process_has_a_share_of_the_places_that_last() {
        let limits = ServerLimits { kept_brief: 2, kept_acting: 0, ..ServerLimits::of_this_user() };
        let limits = ServerLimits { lasting_per_process: 3, idle_time: Duration::ZERO, ..limits };
        let table = ClientTable::new(ServerLimits { connections: 10, ..limits });
        let admit = |pid| table.admit(Some(pid)).unwrap();
        let greedy = Vec::from([(); 4].map(|()| admit(7)));
        greedy[0].stay(streaming()).unwrap();
        greedy[1].stay(ClientStay::Waiting).unwrap();
        greedy[2].stay(ClientStay::Waiting).unwrap();
        let (other, later) = (admit(8), admit(8));
        other.stay(streaming()).unwrap();
        // A stream of its own makes room, not that of the other process.
        greedy[3].stay(ClientStay::Waiting).unwrap();
        assert!(is_evicted(&greedy[0]).await && !is_evicted(&other).await);
        let fifth = admit(7);
        let refusal = fifth.stay(streaming()).unwrap_err();
        assert_eq!(refusal.text, "too many clients: 3 of pid 7 wait or follow already");
        fifth.stay(ClientStay::Brief).unwrap();
        fifth.stay(ClientStay::Acting).unwrap();
        later.stay(ClientStay::Waiting).unwrap();
    }

    #[test]
    fn actions_have_places_that_nothing_else_takes() {
        let limits = ServerLimits { kept_brief: 1, kept_acting: 2, ..ServerLimits::of_this_user() };
        let table = ClientTable::new(ServerLimits { connections: 5, ..limits });
        let places = Vec::from([(); 5].map(|()| table.admit(Some(7)).unwrap()));
        places[0].stay(streaming()).unwrap();
        places[1].stay(ClientStay::Waiting).unwrap();
        places[2].stay(streaming()).unwrap_err();
        places[2].stay(ClientStay::Acting).unwrap();
        places[3].stay(ClientStay::Acting).unwrap();
        // They may have all places but those for short requests, and take none of the others.
        places[4].stay(ClientStay::Acting).unwrap_err();
        places[4].stay(ClientStay::Brief).unwrap();
        places[1].stay(ClientStay::Answered).unwrap();
        places[4].stay(streaming()).unwrap();
    }

    #[tokio::test]
    async fn a_process_with_many_idle_clients_displaces_only_its_own() {
        let table = table(Duration::from_secs(3600));
        let one = table.admit(Some(8)).unwrap();
        let many = Vec::from([(); 4].map(|()| table.admit(Some(7)).unwrap()));
        many[0].stay(ClientStay::Answered).unwrap();
        let fresh = table.admit(Some(7)).unwrap();
        assert!(is_evicted(&many[0]).await && !is_evicted(&one).await);
        let other = table.admit(Some(8)).unwrap();
        assert!(is_evicted(&many[1]).await && !is_evicted(&one).await);
        for busy in [&many[2], &many[3], &fresh] {
            busy.stay(ClientStay::Brief).unwrap();
        }
        // Its own are busy, so it has to wait.
        assert!(table.admit(Some(7)).is_err());
        assert!(!is_evicted(&one).await && !is_evicted(&other).await);
    }

    #[test]
    fn the_place_of_an_evicted_client_takes_no_other_with_it() {
        let table = table(Duration::ZERO);
        let places = Vec::from([(); 4].map(|()| table.admit(None).unwrap()));
        places[0].stay(ClientStay::Waiting).unwrap();
        places[1].stay(ClientStay::Waiting).unwrap();
        places[3].stay(streaming()).unwrap();
        // The last one makes room.
        places[2].stay(ClientStay::Waiting).unwrap();
        assert_eq!(lock_unpoisoned(&table.clients).len(), 3);
        let next = table.admit(None).unwrap();
        drop(places);
        assert_eq!(lock_unpoisoned(&table.clients).len(), 1);
        drop(next);
        assert!(lock_unpoisoned(&table.clients).is_empty());
    }

    #[tokio::test]
    async fn the_stream_that_was_idle_for_longest_makes_room() {
        let table = table(Duration::ZERO);
        let mut places = Vec::from([(); 5].map(|()| table.admit(None).unwrap()));
        places[0].stay(ClientStay::Waiting).unwrap();
        places[1].stay(streaming()).unwrap();
        places[2].stay(streaming()).unwrap();
        places[1].touch();
        places[3].stay(ClientStay::Waiting).unwrap();
        assert!(is_evicted(&places[2]).await && !is_evicted(&places[1]).await);
        places[4].stay(streaming()).unwrap();
        assert!(is_evicted(&places[1]).await);
        // It left the table at once; dropping it later takes no other place.
        let last = places.pop().unwrap();
        drop(places);
        last.stay(ClientStay::Waiting).unwrap();
        assert_eq!(lock_unpoisoned(&table.clients).len(), 1);
    }
}
