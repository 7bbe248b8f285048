//! History beside the ring: closed candles and recent trades, on disk or in memory, within a size limit.
//!
//! Two threads write (`follow`): one takes rows from the ring and lets them wait in memory, where readers see them at
//! once; the other one brings them to a redb database in lots. Any thread asks (`Store`). Readers read a version of the
//! database that no commit changes, so that neither waits for the other.
//!
//! Rows are true, not complete: after a time without us, after a lap or a disk that failed, trades have holes, and so have
//! candles until the engine has them fetched again.

mod disk;
mod follow;
mod keep;
mod memory;
mod open;
mod row;
mod waiting;

pub use follow::{Following, follow};
pub use open::StoreError;

use std::{
    ops::RangeInclusive,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use disk::{Disk, Found, Trouble};
use keep::Keeper;
use row::Kind;
use waiting::{Limits, Numbering, Picks, Waiting, Waits};

use crate::{
    config,
    market::{AggTrade, Catalogue, Decimals, InstrumentId, Kline, Nanos, Series, Trade},
    metrics,
    topic::{Batch, Payload},
};

/// Closed candles and recent trades of every instrument.
#[derive(Debug)]
pub struct Store {
    catalogue: Arc<Catalogue>,
    settings: config::Store,
    /// One per instrument, each with a lock of its own.
    waiting: Box<[Mutex<Waiting>]>,
    /// `None` while it cannot be used. The lock is held for reading by whoever uses it, and for writing to exchange it.
    disk: RwLock<Option<Disk>>,
    keeper: Mutex<Keeper>,
    metrics: metrics::Store,
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

/// Candles that may wait for the disk over all instruments: some 200 MB when no disk takes them.
const KLINES_WAITING_TOTAL: usize = 1_000_000;
/// Fewest candles that may wait per instrument: one fetched answer and what closes meanwhile.
const KLINES_WAITING_LEAST: usize = 4096;
/// Most candles that may wait per instrument: all minutes of two weeks may come within one commit.
const KLINES_WAITING_MOST: usize = 65_536;

impl Store {
    /// A store in memory, with the built-in limits.
    ///
    /// # Panics
    /// Never: a database in memory has nothing to fail.
    pub fn in_memory(catalogue: Arc<Catalogue>) -> Arc<Self> {
        let settings = config::Store { path: String::new(), ..config::Config::embedded().store };
        Self::open(catalogue, &settings).expect("memory is no file")
    }

    /// The store of these settings: what its file has kept from before, or an empty one. A file that is damaged or
    /// foreign is set aside, and a new one begun. The whole file is read once, to be sure of it.
    ///
    /// # Errors
    /// If the file cannot be read and written, or another process has it open.
    pub fn open(catalogue: Arc<Catalogue>, settings: &config::Store) -> Result<Arc<Self>, StoreError> {
        let path = (!settings.path.is_empty()).then(|| Path::new(&settings.path));
        let (mut disk, mut contents) = open::open(path, &keep::names(&catalogue))?;
        let file_bytes = disk.file_bytes();
        if file_bytes > settings.bytes_max && file_bytes / 3 * 2 > contents.bytes {
            let compacted = disk.compact().and_then(|()| disk.bytes()).map(|bytes| contents.bytes = bytes);
            if let Err(trouble) = compacted {
                tracing::warn!(%trouble, "the history could not be compacted");
            }
        }
        if let Some(path) = path {
            let rows: u64 = contents.extents.values().map(|extent| extent.rows).sum();
            tracing::info!(path = %path.display(), rows, bytes = contents.bytes, "history is kept in a file");
        }
        let instruments = catalogue.instruments().len();
        let klines = (KLINES_WAITING_TOTAL / instruments.max(1)).clamp(KLINES_WAITING_LEAST, KLINES_WAITING_MOST);
        let limits = Limits { klines, trades: usize::try_from(settings.trades_max).unwrap_or(usize::MAX) };
        let store = Self {
            waiting: (0..instruments).map(|_| Mutex::new(Waiting::new(limits))).collect(),
            disk: RwLock::new(Some(disk)),
            keeper: Mutex::new(Keeper::of(contents)),
            metrics: metrics::Store::new(),
            settings: settings.clone(),
            catalogue,
        };
        let keeper = store.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        store.publish(&keeper.contents);
        store.measure(&keeper);
        drop(keeper);
        Ok(Arc::new(store))
    }

    /// Closed candles in the order of time, with the instrument's present decimals.
    pub fn klines(&self, instrument: InstrumentId, series: Series, range: &Range) -> Vec<Kline> {
        let positions = range.from.map_or(i64::MIN, |from| from.0)..=range.to.map_or(i64::MAX, |to| to.0);
        self.rows(instrument, Kind::Klines(series), &positions, range.limit, range.from.is_some())
    }

    /// The newest closed candles of a series, in the order of time, from before this start, with the decimals that they
    /// were written with: at a start the venue's list has not been read yet.
    pub fn kept(&self, instrument: InstrumentId, series: Series, limit: usize) -> Option<(Decimals, Vec<Kline>)> {
        let (place, all) = ((instrument.index(), Kind::Klines(series)), i64::MIN..=i64::MAX);
        let read = self.with_disk(|disk| {
            let Some(written) = disk.newest_written(place.0, place.1)? else { return Ok(None) };
            let decimals = written.decimals();
            disk.read(place, &all, limit, false, decimals).map(|rows| Some((decimals, rows)))
        });
        let (decimals, rows) = match read? {
            Ok(kept) => kept?,
            Err(trouble) => {
                self.usable::<Kline>(Some(Err(trouble)));
                return None;
            }
        };
        let klines = self.usable(Some(Ok(rows))).into_iter().map(|(_, kline)| kline).collect();
        Some((decimals, klines))
    }

    /// When the oldest and the newest candle of a series open.
    pub fn extent(&self, instrument: InstrumentId, series: Series) -> Option<(Nanos, Nanos)> {
        let (oldest, newest) = self.waiting(instrument.index()).extent(series)?;
        Some((Nanos(oldest), Nanos(newest)))
    }

    /// Up to `limit` trades in the order of their ids: from `from_id` on, or else the newest.
    pub fn trades(&self, instrument: InstrumentId, from_id: Option<i64>, limit: usize) -> Vec<Trade> {
        self.rows(instrument, Kind::Trades, &(from_id.unwrap_or(i64::MIN)..=i64::MAX), limit, from_id.is_some())
    }

    /// Up to `limit` aggregate trades in the order of their ids: from `from_id` on, or else the newest.
    pub fn agg_trades(&self, instrument: InstrumentId, from_id: Option<i64>, limit: usize) -> Vec<AggTrade> {
        self.rows(instrument, Kind::AggTrades, &(from_id.unwrap_or(i64::MIN)..=i64::MAX), limit, from_id.is_some())
    }

    fn rows<R: Picks>(
        &self,
        instrument: InstrumentId,
        kind: Kind,
        positions: &RangeInclusive<i64>,
        limit: usize,
        oldest: bool,
    ) -> Vec<R> {
        if positions.is_empty() || limit == 0 {
            return Vec::new();
        }
        // What waits is read first: what is brought to disk meanwhile is then seen twice, and not never.
        let picked = self.waiting(instrument.index()).pick::<R>(kind, positions, limit, oldest);
        let mut rows = picked.rows;
        if picked.disk_counts {
            let decimals = self.decimals(instrument);
            let read = self.with_disk(|disk| disk.read((instrument.index(), kind), positions, limit, oldest, decimals));
            for (position, row) in self.usable(read) {
                rows.entry(position).or_insert(row);
            }
        }
        let surplus = rows.len().saturating_sub(limit);
        let first = if oldest { 0 } else { surplus };
        rows.into_values().skip(first).take(limit).collect()
    }

    /// What was read, if it could be.
    fn usable<R>(&self, read: Option<Result<Found<R>, Trouble>>) -> Vec<(i64, R)> {
        match read {
            Some(Ok((rows, left_out))) => {
                self.metrics.left_out.increment(left_out);
                rows
            }
            Some(Err(trouble)) => {
                self.metrics.failures.increment(1);
                tracing::warn!(%trouble, "kept history could not be read");
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn decimals(&self, instrument: InstrumentId) -> Decimals {
        self.catalogue.instrument(instrument).decimals()
    }

    /// Takes in what a batch has for history. Only the following thread calls it.
    fn apply(&self, batch: &Batch) {
        for update in &batch.updates {
            let instrument = update.instrument.index();
            match update.payload {
                Payload::Kline(index) | Payload::PastKline(index) => {
                    let kline = batch.klines[index as usize];
                    if kline.closed || matches!(update.payload, Payload::PastKline(_)) {
                        let given_way = self.waiting(instrument).kline(Kline { closed: true, ..kline });
                        if given_way > 0 {
                            self.metrics.dropped.increment(given_way);
                        }
                    }
                }
                Payload::Trade(trade) => self.live_trade(instrument, trade.id, trade),
                Payload::AggTrade(trade) => self.live_trade(instrument, trade.id, trade),
                Payload::PastTrade(trade) => self.waiting(instrument).trade(trade.id, trade),
                Payload::PastAggTrade(trade) => self.waiting(instrument).trade(trade.id, trade),
                _ => {}
            }
        }
    }

    /// A trade of the live stream has a higher id than all before, or numbers began anew, as they do after a relisting.
    fn live_trade<R: Picks + Waits>(&self, instrument: usize, id: i64, trade: R) {
        let mut waiting = self.waiting(instrument);
        if waiting.numbering::<R>(id) == Numbering::Falls {
            drop(waiting);
            let place = InstrumentId(instrument as u32);
            if self.rows::<R>(place, R::KIND, &(id..=id), 1, true).first() == Some(&trade) {
                return;
            }
            waiting = self.waiting(instrument);
            waiting.renumber::<R>();
            let symbol = &self.catalogue.instruments()[instrument].symbol;
            tracing::warn!(%symbol, id, "trade ids fell: the trades that were kept are forgotten");
        }
        waiting.trade(id, trade);
    }

    fn waiting(&self, instrument: usize) -> MutexGuard<'_, Waiting> {
        self.waiting[instrument].lock().expect("no panic while held")
    }

    fn is_open(&self) -> bool {
        self.disk.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// `None` while there is no disk to work with.
    fn with_disk<T>(&self, work: impl FnOnce(&Disk) -> T) -> Option<T> {
        self.disk.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(work)
    }
}

#[cfg(test)]
mod tests;
