//! Depth diffs and partial books of one symbol at one cadence.

use crate::{
    book::{Book, Runs},
    market::{InstrumentId, Nanos},
    topic::{Batch, Cadence, Payload, Update},
};

/// One cadence's tick of one symbol: the ranges it publishes tile the update ids, whatever happened upstream.
///
/// A tick comes as soon as there is something new and a period has passed since the last one. The grid follows the
/// venue's own: where that sends every 100 ms, each of its messages goes out at once instead of waiting for a timer of ours.
/// Two ticks are never closer than nine tenths of the period.
///
/// While nobody wants anything of it, it says nothing. Its next diff then goes on where the last one ended: an update of
/// before may still be on its way to somebody who joins now.
#[derive(Debug)]
pub struct DepthCadence {
    cadence: Cadence,
    demand: Demand,
    /// `u` of the last diff; where no diffs are wanted, the id up to which partial books were told. `None` until a book
    /// has joined.
    published: Option<i64>,
    /// The book was looked at up to here; beyond `published` if ids passed that changed no level.
    seen: i64,
    /// One period after the last tick, or on the grid that this one belongs to.
    next: Nanos,
    /// The next tick is no earlier, wherever the grid is: a late one and one on time would be a moment apart.
    earliest: Nanos,
    /// Somebody new wants partial books: the next tick brings one even if nothing has changed.
    partial_due: bool,
}

/// What is wanted of a cadence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Diffs. Those of the JSON cadences always are: mirrors follow them.
    pub diffs: bool,
    /// Partial books.
    pub partial: bool,
}

impl Demand {
    const NOTHING: Self = Self { diffs: false, partial: false };
}

/// What a tick publishes about.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// Whose.
    pub instrument: InstrumentId,
    /// When the last frame that changed the book was received.
    pub received: Nanos,
    /// The event time to print.
    pub time: Nanos,
}

impl DepthCadence {
    /// A cadence that waits for a book, and for whoever wants it.
    pub fn new(cadence: Cadence) -> Self {
        let (published, seen, next) = (None, i64::MIN, Nanos::default());
        let demand = Demand { diffs: Cadence::JSON.contains(&cadence), partial: false };
        Self { cadence, demand, published, seen, next, earliest: next, partial_due: false }
    }

    /// What is wanted from now on.
    pub fn want(&mut self, demand: Demand, book: &Book) {
        let before = std::mem::replace(&mut self.demand, demand);
        self.partial_due = demand.partial && (self.partial_due || !before.partial);
        let wakes = before == Demand::NOTHING && demand != Demand::NOTHING;
        // After a long sleep the book may have forgotten what has changed since: then there is a hole in the ids, which
        // nobody sees but a reader that is that far behind, and it sees it for what it is.
        if wakes && self.published.is_some_and(|published| !book.remembers(published)) {
            self.begin(book.last_id());
        }
    }

    /// The book is there (again from the beginning): diffs go on after `last_id`.
    pub fn begin(&mut self, last_id: i64) {
        self.published = Some(last_id);
        self.seen = last_id;
    }

    /// When the next tick may come: a little early, because a venue's own ticks jitter, and one that came a moment before
    /// our grid would wait for it and arrive late.
    pub fn due(&self) -> Nanos {
        if self.follows_grid() { Nanos(self.next.0 - EARLY_NS).max(self.earliest) } else { self.next }
    }

    /// The periods of SBE are shorter than any venue's own: they are upper rates, and two ticks are never closer.
    fn follows_grid(&self) -> bool {
        Cadence::JSON.contains(&self.cadence)
    }

    /// Whether all that happened up to update `id` has been published, or nobody wants to be told.
    pub fn has_told(&self, id: i64) -> bool {
        self.is_asleep() || self.published.is_some_and(|published| published >= id)
    }

    /// Whether a tick would publish something.
    pub fn has_news(&self, book: &Book) -> bool {
        !self.is_asleep() && self.published.is_some() && (self.partial_due || book.last_id() > self.seen)
    }

    /// Publishes what has changed since the last tick: the diff first, then the partial book with the same id.
    ///
    /// Returns `false` if the book no longer remembers what changed since then: a whole snapshot has to be published
    /// and [`DepthCadence::begin`] called.
    pub fn tick(&mut self, book: &Book, now: Nanos, tick: &Tick, batch: &mut Batch) -> bool {
        let Some(published) = self.published.filter(|_| !self.is_asleep()) else { return true };
        let last_id = book.last_id();
        let mut spoke = false;
        if last_id > self.seen {
            self.seen = last_id;
            let start = batch.levels.len();
            let Some(Runs { bids, asks }) = book.changes_since(published, &mut batch.levels) else { return false };
            if bids.len + asks.len > 0 {
                if self.demand.diffs {
                    let first_id = published + 1;
                    let payload = Payload::DepthDiff { cadence: self.cadence, first_id, last_id, bids, asks };
                    batch.updates.push(self.update(tick, payload));
                } else {
                    // They were looked for only to know whether there are any.
                    batch.levels.truncate(start);
                }
                self.published = Some(last_id);
                spoke = true;
            }
        }
        if self.demand.partial && (spoke || self.partial_due) {
            let Runs { bids, asks } = book.top(PARTIAL_LEVELS_MAX, &mut batch.levels);
            let payload = Payload::PartialDepth { cadence: self.cadence, last_id, bids, asks };
            batch.updates.push(self.update(tick, payload));
            spoke = true;
        }
        self.partial_due = false;
        if spoke {
            let period = self.cadence.period_ns();
            let on_grid = self.follows_grid() && (0..period).contains(&(now.0 - self.next.0));
            self.next = Nanos(if on_grid { self.next.0 } else { now.0 } + period);
            self.earliest = Nanos(now.0 + period * 9 / 10);
        }
        true
    }

    fn is_asleep(&self) -> bool {
        self.demand == Demand::NOTHING
    }

    fn update(&self, tick: &Tick, payload: Payload) -> Update {
        Update { instrument: tick.instrument, received: tick.received, time: tick.time, payload }
    }
}

/// A tick may come so much early. Measured: docs/decisions/003-depth-cadence.md.
const EARLY_NS: i64 = 10_000_000;

/// The deepest partial book: `@depth20`.
const PARTIAL_LEVELS_MAX: usize = 20;
