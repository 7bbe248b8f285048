//! History beside the ring: closed candles and recent trades, on disk or in memory, within a size limit.
//!
//! One thread writes (`follow`, a ring reader like the views), any thread asks (`Store`).

use std::sync::Arc;

use crate::market::{AggTrade, Catalogue, InstrumentId, Kline, Nanos, Series, Trade};

/// Closed candles and recent trades of every instrument.
#[derive(Debug)]
pub struct Store {
    catalogue: Arc<Catalogue>,
}

/// Which part of a series is wanted; bounds are inclusive and about opening times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Not before.
    pub from: Option<Nanos>,
    /// Not after.
    pub to: Option<Nanos>,
    /// At most so many: the oldest that match if `from` is given, else the newest.
    pub limit: usize,
}

impl Store {
    /// A store in memory.
    pub fn in_memory(catalogue: Arc<Catalogue>) -> Arc<Self> {
        Arc::new(Self { catalogue })
    }

    /// Closed candles in the order of time.
    pub fn klines(&self, instrument: InstrumentId, series: Series, range: &Range) -> Vec<Kline> {
        let _ = (&self.catalogue, instrument, series, range);
        Vec::new()
    }

    /// When the oldest and the newest candle of a series open.
    pub fn extent(&self, instrument: InstrumentId, series: Series) -> Option<(Nanos, Nanos)> {
        let _ = (instrument, series);
        None
    }

    /// Up to `limit` trades in the order of their ids: from `from_id` on, or else the newest.
    pub fn trades(&self, instrument: InstrumentId, from_id: Option<i64>, limit: usize) -> Vec<Trade> {
        let _ = (instrument, from_id, limit);
        Vec::new()
    }

    /// Up to `limit` aggregate trades in the order of their ids: from `from_id` on, or else the newest.
    pub fn agg_trades(&self, instrument: InstrumentId, from_id: Option<i64>, limit: usize) -> Vec<AggTrade> {
        let _ = (instrument, from_id, limit);
        Vec::new()
    }
}
