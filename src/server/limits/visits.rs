//! REST connections: how many there may be, and which idle one gives way to another.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::watch;

use super::{super::heard::Requests, key};
use crate::metrics;

/// Everybody who is here.
#[derive(Debug)]
pub(in super::super) struct Visits {
    most: usize,
    list: Mutex<List>,
    /// Those who were told to leave and have not left yet included.
    open: watch::Sender<usize>,
    metrics: metrics::Server,
}

/// One connection, from its first whole request to its end.
#[derive(Debug)]
pub(in super::super) struct Visit {
    visits: Arc<Visits>,
    address: IpAddr,
    requests: Requests,
    stamp: AtomicU64,
}

/// There is no place, and nobody is idle who could give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum NoPlace {
    /// For anybody.
    AtAll,
    /// For this address.
    OfAddress,
}

/// Stamps rise: who has the smallest asked longest ago.
#[derive(Debug, Default)]
struct List {
    next: u64,
    by_stamp: BTreeMap<u64, (IpAddr, Requests)>,
    by_address: HashMap<IpAddr, BTreeSet<u64>>,
}

impl Visits {
    /// At most `most` at the same time, at least 1.
    pub(in super::super) fn new(most: usize, metrics: metrics::Server) -> Self {
        Self { most, list: Mutex::default(), open: watch::Sender::new(0), metrics }
    }

    /// A place for a connection with these requests, one of `address_most` of its address (0: of any number). If there is
    /// none, the one that has been idle for longest is told to leave, and its place is free at once.
    ///
    /// # Errors
    /// If nobody is idle.
    pub(in super::super) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        requests: &Requests,
        address_most: usize,
    ) -> Result<Visit, NoPlace> {
        let address = key(address);
        let mut list = self.list();
        let own = list.by_address.get(&address).map_or(0, BTreeSet::len);
        if address_most > 0 && own >= address_most {
            let idle = list.idle_of(address).ok_or(NoPlace::OfAddress)?;
            list.send_away(idle);
            metrics::Server::gave_way(ADDRESS_LIMIT);
        } else if list.by_stamp.len() >= self.most {
            let idle = list.idle().ok_or(NoPlace::AtAll)?;
            list.send_away(idle);
            metrics::Server::gave_way(LIMIT);
        }
        let stamp = list.add(address, requests.clone());
        self.count(|open| open + 1);
        let (visits, requests) = (Arc::clone(self), requests.clone());
        Ok(Visit { visits, address, requests, stamp: AtomicU64::new(stamp) })
    }

    /// Waits until nobody is here.
    pub(in super::super) async fn all_gone(&self) {
        // An error would mean that the sender is gone, which is here.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    fn count(&self, change: impl FnOnce(usize) -> usize) {
        self.open.send_modify(|open| {
            *open = change(*open);
            self.metrics.rest_connections.set(*open as f64);
        });
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().expect("no panic while held")
    }
}

const LIMIT: &str = "server.rest_connections_max";
const ADDRESS_LIMIT: &str = "server.rest_connections_per_address";

impl Visit {
    /// It asks for something: of the idle ones it will be the last to go.
    pub(in super::super) fn asks(&self) {
        let mut list = self.visits.list();
        let stamp = self.stamp.load(Ordering::Relaxed);
        if list.remove(stamp, self.address) {
            self.stamp.store(list.add(self.address, self.requests.clone()), Ordering::Relaxed);
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.visits.list().remove(self.stamp.load(Ordering::Relaxed), self.address);
        self.visits.count(|open| open - 1);
    }
}

impl List {
    fn add(&mut self, address: IpAddr, requests: Requests) -> u64 {
        self.next += 1;
        self.by_stamp.insert(self.next, (address, requests));
        self.by_address.entry(address).or_default().insert(self.next);
        self.next
    }

    /// Returns whether it was there.
    fn remove(&mut self, stamp: u64, address: IpAddr) -> bool {
        if let Some(own) = self.by_address.get_mut(&address) {
            own.remove(&stamp);
            if own.is_empty() {
                self.by_address.remove(&address);
            }
        }
        self.by_stamp.remove(&stamp).is_some()
    }

    fn idle(&self) -> Option<u64> {
        self.by_stamp.iter().find(|(_, (_, requests))| requests.are_answered()).map(|(stamp, _)| *stamp)
    }

    fn idle_of(&self, address: IpAddr) -> Option<u64> {
        let is_idle = |stamp: &u64| self.by_stamp.get(stamp).is_some_and(|(_, requests)| requests.are_answered());
        self.by_address.get(&address)?.iter().copied().find(is_idle)
    }

    fn send_away(&mut self, stamp: u64) {
        if let Some((address, requests)) = self.by_stamp.get(&stamp).cloned() {
            self.remove(stamp, address);
            requests.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// A connection that has asked once and been answered.
    fn idle(visits: &Arc<Visits>, last: u8, address_most: usize) -> (Requests, Visit) {
        let requests = Requests::new();
        let visit = visits.enter(address(last), &requests, address_most).expect("a place");
        ask(&requests, &visit);
        requests.flushed();
        (requests, visit)
    }

    fn ask(requests: &Requests, visit: &Visit) {
        requests.whole();
        visit.asks();
    }

    #[test]
    fn who_has_been_idle_for_longest_gives_way() {
        let visits = Arc::new(Visits::new(3, metrics::Server::new()));
        let [one, two, three] = [1, 2, 3].map(|last| idle(&visits, last, 0));
        ask(&one.0, &one.1);
        one.0.flushed();
        let four = idle(&visits, 4, 0);
        assert_eq!([&one, &two, &three, &four].map(|(requests, _)| requests.are_over()), [false, true, false, false]);
        // Whose answer is under way stays, and who was told to leave gets no place by asking.
        ask(&three.0, &three.1);
        ask(&two.0, &two.1);
        let five = idle(&visits, 5, 0);
        assert_eq!([&one, &three, &four, &five].map(|(requests, _)| requests.are_over()), [true, false, false, false]);
        [&four, &five].iter().for_each(|(requests, visit)| ask(requests, visit));
        assert_eq!(visits.enter(address(6), &Requests::new(), 0).err(), Some(NoPlace::AtAll));
        drop(four);
        assert!(visits.enter(address(6), &Requests::new(), 0).is_ok());
    }

    #[test]
    fn an_address_at_its_own_limit_disturbs_no_other() {
        let visits = Arc::new(Visits::new(9, metrics::Server::new()));
        let other = idle(&visits, 1, 2);
        let own: Vec<_> = (0..3).map(|_| idle(&visits, 2, 2)).collect();
        assert!(!other.0.are_over());
        assert_eq!(own.iter().map(|(requests, _)| requests.are_over()).collect::<Vec<_>>(), [true, false, false]);
        own.iter().for_each(|(requests, visit)| ask(requests, visit));
        assert_eq!(visits.enter(address(2), &Requests::new(), 2).err(), Some(NoPlace::OfAddress));
        assert!(visits.enter(address(2), &Requests::new(), 0).is_ok(), "0 is no limit");
        drop((other, own));
        assert!(visits.list().by_stamp.is_empty() && visits.list().by_address.is_empty());
        assert_eq!(*visits.open.borrow(), 0);
    }
}
