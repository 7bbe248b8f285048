//! What waits to be fetched: the newest request of each kind and instrument, most urgent first.

use std::{cmp::Reverse, collections::HashMap, time::Duration};

use crate::{
    market::{InstrumentId, Nanos},
    venue::RestRequest,
};

/// What a fetch is for. The order is the urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// Lost trades: the symbol's trades are held back until they are there.
    Trades,
    /// A whole book with so many levels per side; shallow ones are first ones, and a symbol is silent without.
    Snapshot {
        /// Per side.
        levels: u32,
    },
}

/// One fetch that waits or is under way.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) instrument: InstrumentId,
    pub(super) purpose: Purpose,
    pub(super) request: RestRequest,
    /// Not to be sent earlier.
    pub(super) not_before: Nanos,
    /// Nobody wants it any more after this.
    pub(super) expires: Option<Nanos>,
    /// Failures so far.
    pub(super) tries: u32,
}

/// What the queue has to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// One of this weight can go now.
    Ready {
        /// In the venue's weights.
        weight: u32,
    },
    /// The earliest may go after this long.
    Later(Duration),
    /// Nothing waits.
    Empty,
}

/// Bounded by construction: one waiting job per kind and instrument.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: HashMap<(Kind, InstrumentId), (Job, u64)>,
    arrivals: u64,
}

impl Queue {
    /// Adds a new job; it replaces a waiting one of its kind and instrument, and takes that one's place in the line.
    pub(super) fn push(&mut self, job: Job) {
        let key = (job.purpose.kind(), job.instrument);
        let arrival = self.waiting.get(&key).map_or(self.arrivals, |&(_, arrival)| arrival);
        self.arrivals += 1;
        self.waiting.insert(key, (job, arrival));
    }

    /// Adds a job that failed, unless a newer one has come for the same.
    pub(super) fn push_again(&mut self, job: Job) {
        if !self.waiting.contains_key(&(job.purpose.kind(), job.instrument)) {
            self.push(job);
        }
    }

    /// Forgets what nobody wants any more: fetching it would cost weight that others wait for.
    pub(super) fn expire(&mut self, now: Nanos) {
        self.waiting.retain(|_, (job, _)| job.expires.is_none_or(|expires| expires > now));
    }

    /// What could go at `now`.
    pub(super) fn head(&self, now: Nanos) -> Head {
        if let Some((_, job)) = self.first(now) {
            return Head::Ready { weight: job.request.weight };
        }
        let earliest = self.waiting.values().map(|(job, _)| job.not_before).min();
        earliest.map_or(Head::Empty, |earliest| Head::Later(earliest.since(now)))
    }

    /// Takes the job that [`Queue::head`] offers at `now`.
    pub(super) fn pop(&mut self, now: Nanos) -> Option<Job> {
        let key = self.first(now)?.0;
        self.waiting.remove(&key).map(|(job, _)| job)
    }

    /// A walk over all: there are a few hundred at most, and each costs a round trip afterwards.
    fn first(&self, now: Nanos) -> Option<((Kind, InstrumentId), &Job)> {
        self.waiting
            .iter()
            .filter(|(_, (job, _))| job.not_before <= now)
            .max_by_key(|(_, (job, arrival))| Reverse((job.purpose, *arrival)))
            .map(|(&key, (job, _))| (key, job))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Snapshot,
    Trades,
}

impl Purpose {
    fn kind(self) -> Kind {
        match self {
            Self::Snapshot { .. } => Kind::Snapshot,
            Self::Trades => Kind::Trades,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Nanos = Nanos::from_millis(1_789_000_000_000);

    fn job(instrument: u32, purpose: Purpose, path: &str) -> Job {
        let request = RestRequest { path: path.to_owned(), weight: 5 };
        Job { instrument: InstrumentId(instrument), purpose, request, not_before: NOW, expires: None, tries: 0 }
    }

    fn drain(queue: &mut Queue, now: Nanos) -> Vec<String> {
        std::iter::from_fn(|| queue.pop(now)).map(|job| job.request.path).collect()
    }

    const SHALLOW: Purpose = Purpose::Snapshot { levels: 1000 };
    const DEEP: Purpose = Purpose::Snapshot { levels: 5000 };

    #[test]
    fn trades_go_first_then_shallow_books_then_deep_ones_each_in_order_of_arrival() {
        let mut queue = Queue::default();
        queue.push(job(1, DEEP, "deep 1"));
        queue.push(job(2, SHALLOW, "shallow 2"));
        queue.push(job(3, SHALLOW, "shallow 3"));
        queue.push(job(1, Purpose::Trades, "trades 1"));
        queue.push(job(4, DEEP, "deep 4"));
        assert_eq!(drain(&mut queue, NOW), ["trades 1", "shallow 2", "shallow 3", "deep 1", "deep 4"]);
        assert_eq!(queue.head(NOW), Head::Empty);
    }

    #[test]
    fn the_newest_request_replaces_a_waiting_one_of_its_kind_and_keeps_its_place() {
        let mut queue = Queue::default();
        queue.push(job(1, SHALLOW, "old"));
        queue.push(job(2, SHALLOW, "other"));
        queue.push(job(1, SHALLOW, "new"));
        queue.push(job(1, Purpose::Trades, "trades"));
        assert_eq!(drain(&mut queue, NOW), ["trades", "new", "other"]);
    }

    #[test]
    fn a_failed_job_comes_back_unless_a_newer_one_waits() {
        let mut queue = Queue::default();
        queue.push(job(1, SHALLOW, "newer"));
        queue.push_again(job(1, SHALLOW, "failed"));
        queue.push_again(job(2, SHALLOW, "failed, too"));
        assert_eq!(drain(&mut queue, NOW), ["newer", "failed, too"]);
    }

    #[test]
    fn delayed_jobs_wait_and_do_not_hold_up_others() {
        let mut queue = Queue::default();
        let later = NOW.plus(Duration::from_millis(500));
        queue.push(Job { not_before: later, ..job(1, Purpose::Trades, "delayed") });
        assert_eq!(queue.head(NOW), Head::Later(Duration::from_millis(500)));
        queue.push(job(2, DEEP, "ready"));
        assert_eq!(queue.head(NOW), Head::Ready { weight: 5 });
        assert_eq!(drain(&mut queue, NOW), ["ready"]);
        assert_eq!(drain(&mut queue, later), ["delayed"]);
    }
    #[test]
    fn what_nobody_wants_any_more_is_forgotten() {
        let mut queue = Queue::default();
        let soon = NOW.plus(Duration::from_secs(1));
        queue.push(Job { expires: Some(soon), ..job(1, Purpose::Trades, "trades") });
        queue.push(job(1, SHALLOW, "book"));
        queue.expire(NOW);
        assert_eq!(queue.waiting.len(), 2);
        queue.expire(soon);
        assert_eq!(drain(&mut queue, soon), ["book"]);
    }
}
