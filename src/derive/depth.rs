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
#[derive(Debug)]
pub struct DepthCadence {
    cadence: Cadence,
    /// `u` of the last diff; `None` until a book has joined.
    published: Option<i64>,
    /// The book was looked at up to here; beyond `published` if ids passed that changed no level.
    seen: i64,
    /// One period after the last tick, or on the grid that this one belongs to.
    next: Nanos,
    partial_wanted: bool,
    /// Nobody wants it: it says nothing, and goes on from the book as it is when somebody does.
    asleep: bool,
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
    /// Whether anyone wants partial books of this cadence.
    pub partial: bool,
}

impl DepthCadence {
    /// A cadence that waits for a book.
    pub fn new(cadence: Cadence) -> Self {
        let (published, seen, next) = (None, i64::MIN, Nanos::default());
        Self { cadence, published, seen, next, partial_wanted: false, asleep: false }
    }

    /// Nobody wants this cadence any more. Only for those of SBE: the diffs of JSON streams also feed the mirrors.
    pub fn sleep(&mut self) {
        self.asleep = true;
    }

    /// Somebody wants it: whoever joins sees diffs from `last_id` on, as after any event boundary.
    pub fn wake(&mut self, last_id: i64) {
        if std::mem::replace(&mut self.asleep, false) && self.published.is_some() {
            self.begin(last_id);
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
        Nanos(self.next.0 - EARLY_NS)
    }

    /// Whether all that happened up to update `id` has been published.
    pub fn has_told(&self, id: i64) -> bool {
        self.asleep || self.published.is_some_and(|published| published >= id)
    }

    /// Whether a tick would publish something.
    pub fn has_news(&self, book: &Book) -> bool {
        !self.asleep && self.published.is_some() && (self.partial_wanted || book.last_id() > self.seen)
    }

    /// Someone new wants partial books: the next tick brings one even if nothing has changed.
    pub fn want_partial(&mut self) {
        self.partial_wanted = true;
    }

    /// Publishes what has changed since the last tick: the diff first, then the partial book with the same id.
    ///
    /// Returns `false` if the book no longer remembers what changed since then: a whole snapshot has to be published
    /// and [`DepthCadence::begin`] called.
    pub fn tick(&mut self, book: &Book, now: Nanos, tick: &Tick, batch: &mut Batch) -> bool {
        let Some(published) = self.published.filter(|_| !self.asleep) else { return true };
        let last_id = book.last_id();
        let mut spoke = false;
        if last_id > self.seen {
            self.seen = last_id;
            let start = batch.levels.len();
            let Some(Runs { bids, asks }) = book.changes_since(published, &mut batch.levels) else { return false };
            if self.cadence == Cadence::Brisk {
                // It has partial books only.
                batch.levels.truncate(start);
                self.published = Some(last_id);
                spoke = bids.len + asks.len > 0;
            } else if bids.len + asks.len > 0 {
                let first_id = published + 1;
                let payload = Payload::DepthDiff { cadence: self.cadence, first_id, last_id, bids, asks };
                batch.updates.push(self.update(tick, payload));
                self.published = Some(last_id);
                spoke = true;
            }
        }
        if tick.partial && (spoke || self.partial_wanted) {
            let Runs { bids, asks } = book.top(PARTIAL_LEVELS_MAX, &mut batch.levels);
            let payload = Payload::PartialDepth { cadence: self.cadence, last_id, bids, asks };
            batch.updates.push(self.update(tick, payload));
            spoke = true;
        }
        self.partial_wanted = false;
        if spoke {
            let period = self.cadence.period_ns();
            let on_grid = (0..period).contains(&(now.0 - self.next.0));
            self.next = Nanos(if on_grid { self.next.0 } else { now.0 } + period);
        }
        true
    }

    fn update(&self, tick: &Tick, payload: Payload) -> Update {
        Update { instrument: tick.instrument, received: tick.received, time: tick.time, payload }
    }
}

/// A tick may come so much early. Measured: docs/decisions/003-depth-cadence.md.
const EARLY_NS: i64 = 10_000_000;

/// The deepest partial book: `@depth20`.
const PARTIAL_LEVELS_MAX: usize = 20;
