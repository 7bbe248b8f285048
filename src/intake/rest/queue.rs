//! What waits to be fetched: the newest request of each kind and instrument, most urgent first.

use std::{collections::HashMap, time::Duration};

use super::weight::Claim;
use crate::{
    intake::message::{Frame, Inbound, Wanted},
    market::{InstrumentId, Nanos, Series},
    metrics::RestPurpose,
    venue::RestRequest,
};

/// What a fetch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Lost trades: the symbol's trades are held back until they are there.
    Trades,
    /// Aggregate trades, lost ones from this id on or else the newest.
    AggTrades {
        /// The first that is lost.
        from_id: Option<i64>,
    },
    /// A whole book with so many levels per side; shallow ones are first ones, and a symbol is silent without.
    Snapshot {
        /// Per side.
        levels: u32,
    },
    /// The newest trades.
    RecentTrades,
    /// Candles.
    Klines {
        /// Which.
        series: Series,
        /// From when on.
        from: Nanos,
    },
}

/// How urgent a fetch is: all of one urgency go before those of the next, as far as they may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// Something is held back for it, for seconds at most.
    Lost,
    /// A symbol is silent, or its book not as deep as it should be.
    Book,
    /// Nothing waits for it but a person.
    Recent,
    /// Nor for this, and there is a lot of it.
    History,
}

impl Urgency {
    /// All of them, the most urgent first.
    pub(super) const ALL: [Self; 4] = [Self::Lost, Self::Book, Self::Recent, Self::History];

    /// How much of the weight it may use.
    pub(super) const fn claim(self) -> Claim {
        match self {
            Self::Lost | Self::Book => Claim::Present,
            Self::Recent | Self::History => Claim::History,
        }
    }
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

/// What could go first of each urgency, and how long until something else may go: `None` if nothing waits for a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heads {
    /// By [`Urgency`]: its weight.
    pub(super) ready: [Option<u32>; Urgency::ALL.len()],
    /// Until the earliest of those that may not go yet.
    pub(super) later: Option<Duration>,
}

/// Bounded by construction: one waiting job per kind and instrument.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// With their places in the line.
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

    /// What could go at `now`: one walk over all. There are some thousands at most, and each costs a round trip afterwards.
    pub(super) fn heads(&self, now: Nanos) -> Heads {
        let mut heads = Heads::default();
        let mut first = [None; Urgency::ALL.len()];
        for (job, arrival) in self.waiting.values() {
            if job.not_before > now {
                let wait = job.not_before.since(now);
                heads.later = Some(heads.later.map_or(wait, |later| later.min(wait)));
                continue;
            }
            let place = job.purpose.urgency() as usize;
            let order = Some((job.purpose.levels(), *arrival));
            if first[place].is_none() || order < first[place] {
                (first[place], heads.ready[place]) = (order, Some(job.request.weight));
            }
        }
        heads
    }

    /// Takes the job of this urgency that [`Queue::heads`] offers at `now`.
    pub(super) fn pop(&mut self, urgency: Urgency, now: Nanos) -> Option<Job> {
        let ready = |job: &Job| job.not_before <= now && job.purpose.urgency() == urgency;
        let jobs = self.waiting.iter().filter(|(_, (job, _))| ready(job));
        let key = jobs.min_by_key(|(_, (job, arrival))| (job.purpose.levels(), *arrival)).map(|(key, _)| *key)?;
        self.waiting.remove(&key).map(|(job, _)| job)
    }

    /// How many wait, by what they are for.
    pub(super) fn lengths(&self) -> [u32; RestPurpose::COUNT] {
        let mut lengths = [0; RestPurpose::COUNT];
        for (job, _) in self.waiting.values() {
            lengths[job.purpose.label() as usize] += 1;
        }
        lengths
    }
}

/// Of each kind and instrument one request waits at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Snapshot,
    Trades,
    LostAggTrades,
    RecentTrades,
    RecentAggTrades,
    Klines(Series),
}

impl Purpose {
    fn kind(self) -> Kind {
        match self {
            Self::Snapshot { .. } => Kind::Snapshot,
            Self::Trades => Kind::Trades,
            Self::AggTrades { from_id: Some(_) } => Kind::LostAggTrades,
            Self::AggTrades { from_id: None } => Kind::RecentAggTrades,
            Self::RecentTrades => Kind::RecentTrades,
            Self::Klines { series, .. } => Kind::Klines(series),
        }
    }

    /// How urgent it is.
    pub(super) const fn urgency(self) -> Urgency {
        match self {
            Self::Trades | Self::AggTrades { from_id: Some(_) } => Urgency::Lost,
            Self::Snapshot { .. } => Urgency::Book,
            Self::RecentTrades | Self::AggTrades { from_id: None } => Urgency::Recent,
            Self::Klines { .. } => Urgency::History,
        }
    }

    /// What it counts as.
    pub(super) const fn label(self) -> RestPurpose {
        match self.urgency() {
            Urgency::Lost => RestPurpose::Lost,
            Urgency::Book => RestPurpose::Book,
            Urgency::Recent => RestPurpose::Recent,
            Urgency::History => RestPurpose::Klines,
        }
    }

    /// How a refusal of it is told; `None` for a book, which is tried for ever.
    pub(super) const fn wanted(self) -> Option<Wanted> {
        match self {
            Self::Snapshot { .. } => None,
            Self::Trades => Some(Wanted::Trades),
            Self::AggTrades { .. } => Some(Wanted::AggTrades),
            Self::RecentTrades => Some(Wanted::RecentTrades),
            Self::Klines { series, .. } => Some(Wanted::Klines(series)),
        }
    }

    /// The answer as the engine gets it.
    pub(super) const fn inbound(self, instrument: InstrumentId, body: Frame) -> Inbound {
        match self {
            Self::Snapshot { levels } => Inbound::Snapshot { instrument, levels, body },
            Self::Trades => Inbound::Trades { instrument, body },
            Self::AggTrades { from_id } => Inbound::AggTrades { instrument, from_id, body },
            Self::RecentTrades => Inbound::RecentTrades { instrument, body },
            Self::Klines { series, from } => Inbound::Klines { instrument, series, from, body },
        }
    }

    /// Shallow books go before deep ones.
    const fn levels(self) -> u32 {
        match self {
            Self::Snapshot { levels } => levels,
            _ => 0,
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
        let next = || Urgency::ALL.into_iter().find_map(|urgency| queue.pop(urgency, now));
        std::iter::from_fn(next).map(|job| job.request.path).collect()
    }

    fn klines(series: Series) -> Purpose {
        Purpose::Klines { series, from: NOW }
    }

    const SHALLOW: Purpose = Purpose::Snapshot { levels: 1000 };
    const DEEP: Purpose = Purpose::Snapshot { levels: 5000 };

    #[test]
    fn lost_trades_go_first_then_shallow_books_then_deep_ones_then_history_each_in_order_of_arrival() {
        let mut queue = Queue::default();
        queue.push(job(1, klines(Series::MINUTE), "minutes 1"));
        queue.push(job(1, Purpose::AggTrades { from_id: None }, "newest aggregates 1"));
        queue.push(job(2, klines(Series::MINUTE), "minutes 2"));
        queue.push(job(1, klines(Series::HOUR), "hours 1"));
        queue.push(job(1, DEEP, "deep 1"));
        queue.push(job(2, SHALLOW, "shallow 2"));
        queue.push(job(2, Purpose::RecentTrades, "newest 2"));
        queue.push(job(3, SHALLOW, "shallow 3"));
        queue.push(job(3, Purpose::AggTrades { from_id: Some(7) }, "aggregates 3"));
        queue.push(job(1, Purpose::Trades, "trades 1"));
        queue.push(job(4, DEEP, "deep 4"));
        let expected = [
            ["aggregates 3", "trades 1"].as_slice(),
            &["shallow 2", "shallow 3", "deep 1", "deep 4"],
            &["newest aggregates 1", "newest 2"],
            &["minutes 1", "minutes 2", "hours 1"],
        ];
        assert_eq!(drain(&mut queue, NOW), expected.concat());
        assert_eq!(queue.heads(NOW), Heads::default());
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
        let later_only = Heads { later: Some(Duration::from_millis(500)), ..Heads::default() };
        assert_eq!(queue.heads(NOW), later_only);
        queue.push(job(2, DEEP, "ready"));
        assert_eq!(queue.heads(NOW), Heads { ready: [None, Some(5), None, None], ..later_only });
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
