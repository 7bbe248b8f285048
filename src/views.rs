//! Mirror of books and last values, one more ring reader; REST reads it, so REST equals the diffs by construction.
//!
//! Who asks catches up with the rings first (`Views::catch_up`), so that an answer is never older than the question; a thread
//! does so now and then as well (`follow`). Each instrument has a lock of its own, held for as long as one update is
//! applied or one answer is copied.

mod candles;
mod follow;
mod mirror;
mod recent;

pub use follow::{Following, follow};

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use follow::Rings;
use mirror::Mirror;

use crate::{
    market::{
        AggTrade, AveragePrice, Best, Catalogue, InstrumentId, Kline, Level, Nanos, Price, ReferencePrice, Series,
        Ticker, Trade, VenueId,
    },
    topic::{Batch, BookState},
};

/// Recent trades kept over all instruments and both kinds: it bounds the memory of large catalogues.
const TRADES_TOTAL: usize = 1_000_000;
/// Fewest kept per instrument and kind: one whole REST answer.
const TRADES_LEAST: usize = 1000;
/// Most kept per instrument and kind.
const TRADES_MOST: usize = 5000;

/// The newest known values of every instrument.
#[derive(Debug)]
pub struct Views {
    catalogue: Arc<Catalogue>,
    mirrors: Box<[Mutex<Mirror>]>,
    /// What they follow, once they do.
    rings: OnceLock<Mutex<Rings>>,
}

/// The best part of a book after the update `last_id`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// The id of the last change contained.
    pub last_id: i64,
    /// Best first: descending prices.
    pub bids: Vec<Level>,
    /// Best first: ascending prices.
    pub asks: Vec<Level>,
}

/// Which aggregate trades are wanted; times are inclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AggTradesFilter {
    /// From this aggregate id on.
    pub from_id: Option<i64>,
    /// Not before.
    pub start: Option<Nanos>,
    /// Not after.
    pub end: Option<Nanos>,
    /// At most so many. The oldest that match when `from_id` or `start` is given, else the newest.
    pub limit: usize,
}

/// How the books of one venue are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VenueHealth {
    /// Which venue.
    pub venue: VenueId,
    /// Instruments that the venue's list names; the others have no book to wait for.
    pub listed: usize,
    /// Listed instruments without a book so far.
    pub waiting: usize,
    /// In step with the venue.
    pub live: usize,
    /// Showing the last good book.
    pub healing: usize,
    /// Refused by the venue.
    pub refused: usize,
}

impl Views {
    /// Views of every instrument of `catalogue`, all of them empty.
    pub fn new(catalogue: Arc<Catalogue>) -> Arc<Self> {
        let instruments = catalogue.instruments().len();
        let capacity = (TRADES_TOTAL / 2 / instruments.max(1)).clamp(TRADES_LEAST, TRADES_MOST);
        let mirrors = (0..instruments).map(|_| Mutex::new(Mirror::new(capacity))).collect();
        Arc::new(Self { catalogue, mirrors, rings: OnceLock::new() })
    }

    /// Applies all that has been published by now. For whoever is about to ask.
    pub fn catch_up(&self) {
        if let Some(rings) = self.rings.get() {
            rings.lock().expect("no panic while held").drain(self);
        }
    }

    /// The best `limit` levels per side; `None` while the book is not known (before its first snapshot, or after loss).
    pub fn depth(&self, instrument: InstrumentId, limit: usize) -> Option<Depth> {
        self.mirror(instrument).depth(limit)
    }

    /// Best bid and ask: the last published or the top of the mirrored book, whichever is newer; `None` without either.
    pub fn best(&self, instrument: InstrumentId) -> Option<Best> {
        self.mirror(instrument).best()
    }

    /// The price of the newest trade; before any, the last price of the day's statistics.
    pub fn last_price(&self, instrument: InstrumentId) -> Option<Price> {
        self.mirror(instrument).last_price()
    }

    /// The newest `limit` trades in the order of their ids.
    pub fn trades(&self, instrument: InstrumentId, limit: usize) -> Vec<Trade> {
        self.mirror(instrument).trades.newest(limit)
    }

    /// The oldest `limit` trades known with an id of at least `from_id`, in the order of their ids.
    pub fn trades_from(&self, instrument: InstrumentId, from_id: i64, limit: usize) -> Vec<Trade> {
        self.mirror(instrument).trades.starting_at(from_id, limit)
    }

    /// The aggregate trades known that match `filter`, in the order of their ids.
    pub fn agg_trades(&self, instrument: InstrumentId, filter: &AggTradesFilter) -> Vec<AggTrade> {
        let mirror = self.mirror(instrument);
        let is_in = |trade: &AggTrade| {
            filter.start.is_none_or(|start| trade.time >= start) && filter.end.is_none_or(|end| trade.time <= end)
        };
        if filter.from_id.is_none() && filter.start.is_none() {
            return mirror.agg_trades.newest_where(filter.limit, is_in);
        }
        mirror.agg_trades.starting_at_where(filter.from_id.unwrap_or(i64::MIN), filter.limit, is_in)
    }

    /// The newest candle of a series as of the newest trade, open or just closed; closed ones before it are the store's.
    pub fn kline(&self, instrument: InstrumentId, series: Series) -> Option<Kline> {
        self.klines(instrument, series).pop()
    }

    /// Up to three newest candles of a series as of the newest trade, the oldest first. What closed a moment ago is among
    /// them, whether the store has it yet or not.
    pub fn klines(&self, instrument: InstrumentId, series: Series) -> Vec<Kline> {
        let decimals = self.catalogue.instrument(instrument).decimals();
        self.mirror(instrument).klines(series, decimals)
    }

    /// The newest statistics of the day.
    pub fn ticker(&self, instrument: InstrumentId) -> Option<Ticker> {
        self.mirror(instrument).ticker()
    }

    /// The newest mean price.
    pub fn average(&self, instrument: InstrumentId) -> Option<AveragePrice> {
        self.mirror(instrument).average()
    }

    /// The newest reference price; `None` if the venue has never sent one.
    pub fn reference(&self, instrument: InstrumentId) -> Option<ReferencePrice> {
        self.mirror(instrument).reference()
    }

    /// How far the venue's book can be trusted, as the engine said last.
    pub fn state(&self, instrument: InstrumentId) -> BookState {
        self.mirror(instrument).state
    }

    /// When the newest update of this instrument was received, book or trade; `None` before the first. What time alone brings
    /// (a candle ends) does not count.
    pub fn updated(&self, instrument: InstrumentId) -> Option<Nanos> {
        self.mirror(instrument).updated
    }

    /// How the books are, per venue in the order of the configuration.
    pub fn health(&self) -> Vec<VenueHealth> {
        let empty = |venue| VenueHealth { venue, listed: 0, waiting: 0, live: 0, healing: 0, refused: 0 };
        let mut venues: Vec<_> = self.catalogue.venues().iter().map(|venue| empty(venue.id)).collect();
        for instrument in self.catalogue.instruments().iter().filter(|instrument| instrument.listing().is_some()) {
            let health = &mut venues[instrument.venue.0 as usize];
            health.listed += 1;
            match self.state(instrument.id) {
                BookState::Waiting => health.waiting += 1,
                BookState::Live => health.live += 1,
                BookState::Healing => health.healing += 1,
                BookState::Refused => health.refused += 1,
            }
        }
        venues
    }

    /// Applies one batch, telling `ask` whose book has to be published whole. Only the following thread calls it.
    fn apply(&self, batch: &Batch, mut ask: impl FnMut(InstrumentId)) {
        for update in &batch.updates {
            if self.mirror(update.instrument).apply(update, batch) == mirror::Outcome::NeedsSnapshot {
                ask(update.instrument);
            }
        }
    }

    /// Batches were lost: nothing that is kept by differences can be trusted any more.
    fn lose(&self, mut ask: impl FnMut(InstrumentId)) {
        for instrument in self.catalogue.instruments() {
            self.mirror(instrument.id).lose();
            ask(instrument.id);
        }
    }

    fn mirror(&self, instrument: InstrumentId) -> MutexGuard<'_, Mirror> {
        self.mirrors[instrument.index()].lock().expect("no panic while held")
    }
}

#[cfg(test)]
mod tests;
