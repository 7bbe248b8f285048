//! Price ladders with a journal of touches, snapshot and diff joining, checksums.
//!
//! A [`Book`] is both sides of one instrument at one update id, and knows what was touched since an earlier one. A [`Join`]
//! keeps it in step with a venue: it decides which diffs and snapshots may touch the book. Neither knows
//! time or venues; whoever owns them asks for snapshots when the [`Outcome`] says so.

pub mod checksum;
mod join;
mod journal;
mod ladder;

pub use join::{Diff, Join, Outcome, Snapshot, State};
pub use ladder::Ladder;

use self::journal::Journal;
use crate::market::{Best, Level, Price, Quantity, Side, Span};

/// Touches that a side of a book remembers unless told otherwise: some seconds of the busiest markets.
pub const TOUCHES_MAX: usize = 8192;

/// Both sides of one instrument after update [`Book::last_id`].
#[derive(Clone, Debug)]
pub struct Book {
    bids: Half,
    asks: Half,
    last_id: i64,
}

/// How far a side is known: levels beyond it exist at the venue, but only those touched since are in our book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// The best price when the snapshot was taken.
    pub best: Price,
    /// The worst price that the snapshot covered.
    pub worst: Price,
    /// The snapshot had fewer levels than were asked for, so there is nothing beyond.
    pub complete: bool,
}

/// Bids descending and asks ascending, as runs in the pool they were appended to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// The bids.
    pub bids: Span,
    /// The asks.
    pub asks: Span,
}

#[derive(Clone, Debug)]
struct Half {
    ladder: Ladder,
    journal: Journal,
    horizon: Option<Horizon>,
}

impl Default for Book {
    fn default() -> Self {
        Self::new(TOUCHES_MAX)
    }
}

impl Book {
    /// An empty book that will remember at most `touches_max` touches per side.
    pub const fn new(touches_max: usize) -> Self {
        Self { bids: Half::new(Side::Bid, touches_max), asks: Half::new(Side::Ask, touches_max), last_id: 0 }
    }

    /// The buyers.
    pub const fn bids(&self) -> &Ladder {
        &self.bids.ladder
    }

    /// The sellers.
    pub const fn asks(&self) -> &Ladder {
        &self.asks.ladder
    }

    /// The id of the last update contained; 0 before the first.
    pub const fn last_id(&self) -> i64 {
        self.last_id
    }

    /// Applies the levels of one update in their order: absolute quantities, zero removes. Every one of them counts as touched.
    ///
    /// # Panics
    /// If `last_id` is below [`Book::last_id`]: [`Join`] lets no such diff through.
    pub fn apply(&mut self, last_id: i64, bids: &[Level], asks: &[Level]) {
        self.advance(last_id);
        self.bids.apply(last_id, bids);
        self.asks.apply(last_id, asks);
    }

    /// Drops the levels beyond the best `window` of each side, for venues that send a window of the book and
    /// no removals for what is pushed out of it. They count as touched by the last update.
    pub fn cut(&mut self, window: usize) {
        self.bids.cut(self.last_id, window);
        self.asks.cut(self.last_id, window);
    }

    /// Starts over with a whole book: nothing is known of changes since an earlier id, and ids may fall.
    ///
    /// `limit` is how many levels per side were asked for; `None`: the venue's window is all there is to know.
    pub fn reset(&mut self, last_id: i64, bids: &[Level], asks: &[Level], limit: Option<u32>) {
        self.last_id = last_id;
        self.bids.reset(last_id, bids, limit);
        self.asks.reset(last_id, asks, limit);
    }

    /// Replaces the book by a newer whole one. Every level that differs (changed, added or removed) counts as touched by
    /// update `last_id`, on top of what was touched before.
    ///
    /// # Panics
    /// If `last_id` is below [`Book::last_id`].
    pub fn replace(&mut self, last_id: i64, bids: &[Level], asks: &[Level], limit: Option<u32>) {
        let mut newer = Self::new(0);
        newer.reset(last_id, bids, asks, limit);
        self.replace_by(&newer);
    }

    /// Best bid and ask with [`Book::last_id`]; zeros for a side without levels.
    pub fn best(&self) -> Best {
        let level = |half: &Half| half.ladder.best().unwrap_or_default();
        Best { update_id: self.last_id, bid: level(&self.bids), ask: level(&self.asks) }
    }

    /// Whether somebody would buy for what somebody would sell for, which no venue lets stand.
    pub fn is_crossed(&self) -> bool {
        match (self.bids.ladder.best(), self.asks.ladder.best()) {
            (Some(bid), Some(ask)) => bid.price >= ask.price,
            _ => false,
        }
    }

    /// How far the side is known; `None` before the first snapshot and for a side that was empty then.
    pub const fn horizon(&self, side: Side) -> Option<Horizon> {
        match side {
            Side::Bid => self.bids.horizon,
            Side::Ask => self.asks.horizon,
        }
    }

    /// Whether the best of a side has come within a tenth of the way to the horizon: time to fetch a new snapshot,
    /// before the top of the book consists of levels that were never known.
    pub fn needs_deeper(&self) -> bool {
        self.bids.needs_deeper() || self.asks.needs_deeper()
    }

    /// Appends every price touched after update `id` to `pool`, each once, with what rests there now; zero: nothing.
    ///
    /// `None` if touches after `id` were forgotten already: then only the whole book tells. The cost goes with the
    /// number of touches, not with the size of the book.
    pub fn changes_since(&self, id: i64, pool: &mut Vec<Level>) -> Option<Runs> {
        if !self.remembers(id) {
            return None;
        }
        Some(Runs { bids: self.bids.changes_since(id, pool), asks: self.asks.changes_since(id, pool) })
    }

    /// Whether [`Book::changes_since`] can tell what was touched after update `id`.
    pub const fn remembers(&self, id: i64) -> bool {
        self.bids.journal.reaches(id) && self.asks.journal.reaches(id)
    }

    /// Appends the best `count` levels of each side to `pool`; `usize::MAX`: the whole book.
    pub fn top(&self, count: usize, pool: &mut Vec<Level>) -> Runs {
        Runs { bids: self.bids.top(count, pool), asks: self.asks.top(count, pool) }
    }

    /// [`Book::replace`] with a book that is built already.
    fn replace_by(&mut self, newer: &Self) {
        self.advance(newer.last_id);
        self.bids.replace_by(&newer.bids, newer.last_id);
        self.asks.replace_by(&newer.asks, newer.last_id);
    }

    fn advance(&mut self, last_id: i64) {
        assert!(last_id >= self.last_id, "ids of a book do not fall: {last_id} after {}", self.last_id);
        self.last_id = last_id;
    }
}

impl Half {
    const fn new(side: Side, touches_max: usize) -> Self {
        Self { ladder: Ladder::new(side), journal: Journal::new(touches_max), horizon: None }
    }

    fn apply(&mut self, id: i64, levels: &[Level]) {
        self.ladder.set(levels);
        self.journal.extend(id, levels);
    }

    fn cut(&mut self, id: i64, window: usize) {
        let Self { ladder, journal, .. } = self;
        ladder.cut(window, |gone| journal.extend(id, &[Level { quantity: Quantity::ZERO, ..gone }]));
    }

    fn reset(&mut self, id: i64, levels: &[Level], limit: Option<u32>) {
        self.ladder = Ladder::of(self.ladder.side(), levels);
        self.journal.restart(id);
        self.horizon = self.ladder.best().zip(self.ladder.worst()).map(|(best, worst)| Horizon {
            best: best.price,
            worst: worst.price,
            complete: limit.is_none_or(|limit| levels.len() < limit as usize),
        });
    }

    fn replace_by(&mut self, newer: &Self, id: i64) {
        let Self { ladder, journal, horizon } = self;
        ladder.become_like(&newer.ladder, |level| journal.extend(id, &[level]));
        *horizon = newer.horizon;
    }

    fn needs_deeper(&self) -> bool {
        let Some(horizon) = self.horizon.filter(|horizon| !horizon.complete) else {
            return false;
        };
        let Some(best) = self.ladder.best() else {
            return true;
        };
        let rank = |price| i128::from(Ladder::rank(self.ladder.side(), price));
        let left = rank(best.price) - rank(horizon.worst);
        let depth = rank(horizon.best) - rank(horizon.worst);
        left * HORIZON_PARTS <= depth
    }

    fn changes_since(&self, id: i64, pool: &mut Vec<Level>) -> Span {
        let start = pool.len();
        let first = self.journal.after(id);
        pool.extend(self.journal.from(first));
        let run = &mut pool[start..];
        // One update of a venue that sends the best first, as all do, is in order.
        let is_in_order = match self.ladder.side() {
            Side::Bid => run.is_sorted_by(|better, worse| better.price > worse.price),
            Side::Ask => run.is_sorted_by(|better, worse| better.price < worse.price),
        };
        if is_in_order {
            return Span::since(start, pool);
        }
        // Of several touches of a price the last one counts.
        let kept = self.sort_short(run, first).unwrap_or_else(|| self.sort_any(run, first));
        pool.truncate(start + kept);
        Span::since(start, pool)
    }

    /// Sorts the touches that begin at `first` in the journal and keeps the last one of each price: that many. What is sorted is
    /// a word per touch, its distance from the best one above its number; half the time of [`Half::sort_any`].
    /// `None` if there are too many touches, or prices too far apart.
    fn sort_short(&self, run: &mut [Level], first: usize) -> Option<usize> {
        let mut words = [0_u64; SHORT_MAX];
        let words = words.get_mut(..run.len())?;
        let side = self.ladder.side();
        let best = run.iter().map(|level| Ladder::rank(side, level.price)).max()?;
        let mut farthest = 0;
        for (touch, (word, level)) in words.iter_mut().zip(&*run).enumerate() {
            // Right as a number without sign, however far apart the ranks are.
            let distance = best.wrapping_sub(Ladder::rank(side, level.price)) as u64;
            farthest |= distance;
            *word = distance << SHORT_MAX.ilog2() | touch as u64;
        }
        if farthest >> (u64::BITS - SHORT_MAX.ilog2()) > 0 {
            return None;
        }
        words.sort_unstable();
        let mut kept = 0;
        for (index, word) in words.iter().enumerate() {
            let distance = word >> SHORT_MAX.ilog2();
            if words.get(index + 1).is_some_and(|next| next >> SHORT_MAX.ilog2() == distance) {
                continue;
            }
            run[kept] = self.journal.at(first + *word as usize % SHORT_MAX);
            kept += 1;
        }
        Some(kept)
    }

    /// The same of any touches.
    fn sort_any(&self, run: &mut [Level], first: usize) -> usize {
        // In place of quantities stands which touch it was, so that those of one price stay in order, and one number is compared
        // instead of two.
        for (index, level) in run.iter_mut().enumerate() {
            level.quantity = Quantity(index as i64);
        }
        let key = |rank: i64, touch: Quantity| (i128::from(rank) << 64) | i128::from(touch.0);
        match self.ladder.side() {
            Side::Bid => run.sort_unstable_by_key(|level| key(!level.price.0, level.quantity)),
            Side::Ask => run.sort_unstable_by_key(|level| key(level.price.0, level.quantity)),
        }
        let mut kept = 0;
        for index in 0..run.len() {
            let price = run[index].price;
            if run.get(index + 1).is_some_and(|next| next.price == price) {
                continue;
            }
            run[kept] = Level { price, quantity: self.journal.at(first + run[index].quantity.0 as usize).quantity };
            kept += 1;
        }
        kept
    }

    fn top(&self, count: usize, pool: &mut Vec<Level>) -> Span {
        let start = pool.len();
        pool.extend(self.ladder.top(count));
        Span::since(start, pool)
    }
}

/// The best may not come nearer to the horizon than one part of so many of the snapshot's depth.
const HORIZON_PARTS: i128 = 10;

/// So many touches are sorted as words: several seconds of most markets, and 8 KiB on the stack.
const SHORT_MAX: usize = 1 << 10;

#[cfg(test)]
mod tests;
