use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::route::{Route, Sleep, UpstreamId};
use super::route_table::RouteTable;
use super::upstream::Upstream;

/// How many requests may wait for all services together.
const PARKED_MAX: usize = 1024;

/// What outlives a request: the upstreams, and how many requests wait for what.
pub(super) struct Traffic {
    upstreams: RefCell<HashMap<Arc<UpstreamId>, Rc<Upstream>>>,
    routes: RefCell<HashMap<String, Rc<RouteTraffic>>>,
    parked: Rc<Cell<usize>>,
    /// What was asked to wake up, and is still asleep as far as is known.
    woken: RefCell<HashSet<Arc<Sleep>>>,
    wakes: mpsc::UnboundedSender<Arc<Sleep>>,
}

/// The part of one route.
#[derive(Default)]
pub(super) struct RouteTraffic {
    parked: Cell<usize>,
    turn: Cell<usize>,
}

impl Traffic {
    /// Nothing yet. What requests wait for and is asleep goes to `wakes`.
    pub fn new(wakes: mpsc::UnboundedSender<Arc<Sleep>>) -> Traffic {
        let (upstreams, routes, parked, woken) = Default::default();
        Traffic { upstreams, routes, parked, woken, wakes }
    }

    /// Returns the connections to a run.
    pub fn upstream(&self, id: &Arc<UpstreamId>) -> Rc<Upstream> {
        let mut upstreams = self.upstreams.borrow_mut();
        upstreams.entry(id.clone()).or_insert_with(|| Upstream::new(id.clone())).clone()
    }

    /// Returns what is known about a route.
    pub fn route(&self, route: &Route) -> Rc<RouteTraffic> {
        let mut routes = self.routes.borrow_mut();
        match routes.get(&route.name) {
            Some(known) => known.clone(),
            None => routes.entry(route.name.clone()).or_default().clone(),
        }
    }

    /// Takes a place in the queue of a route until the result is dropped. An error has the number of
    /// requests that wait already: too many.
    pub fn park(&self, route: &Route) -> Result<ParkedRequest, usize> {
        let traffic = self.route(route);
        for (waiting, most) in
            [(traffic.parked.get(), route.stack.parked), (self.parked.get(), PARKED_MAX)]
        {
            if waiting >= most {
                return Err(waiting);
            }
        }
        traffic.parked.set(traffic.parked.get() + 1);
        self.parked.set(self.parked.get() + 1);
        Ok(ParkedRequest { traffic, all: self.parked.clone() })
    }

    /// Has everything woken up that is asleep behind a route; once, however many requests wait.
    pub fn wake(&self, route: &Route) {
        for sleep in route.asleep() {
            if self.woken.borrow_mut().insert(sleep.clone()) {
                // Without a receiver the proxy closes.
                let _ = self.wakes.send(sleep.clone());
            }
        }
    }

    /// Drops what is not in the table any more. Requests that are being answered are not disturbed.
    pub fn follow(&self, table: &RouteTable) {
        let ready: HashSet<&Arc<UpstreamId>> = table.upstreams().collect();
        self.upstreams.borrow_mut().retain(|id, upstream| {
            let keep = ready.contains(id);
            if !keep {
                upstream.retire();
            }
            keep
        });
        let asleep: HashSet<&Arc<Sleep>> = table.asleep().collect();
        self.woken.borrow_mut().retain(|sleep| asleep.contains(sleep));
        let names: HashSet<&str> = table.routes().map(|route| route.name.as_str()).collect();
        self.routes
            .borrow_mut()
            .retain(|name, traffic| names.contains(name.as_str()) || Rc::strong_count(traffic) > 1);
    }

    /// Returns how many requests wait.
    #[cfg(test)]
    pub fn parked(&self) -> usize {
        self.parked.get()
    }

    /// Returns how many requests are being answered by runs that are ready.
    #[cfg(test)]
    pub fn in_flight(&self) -> usize {
        self.upstreams.borrow().values().map(|upstream| upstream.in_flight()).sum()
    }
}

impl RouteTraffic {
    /// Returns a number that grows with every request.
    pub fn next_turn(&self) -> usize {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        turn
    }
}

/// A request that waits.
pub(super) struct ParkedRequest {
    traffic: Rc<RouteTraffic>,
    all: Rc<Cell<usize>>,
}

impl Drop for ParkedRequest {
    fn drop(&mut self) {
        self.traffic.parked.set(self.traffic.parked.get() - 1);
        self.all.set(self.all.get() - 1);
    }
}
