//! Commits: what waits goes to disk in lots, limits are kept, and a disk that fails is tried again.

use std::{collections::HashMap, path::Path, sync::PoisonError, time::Duration};

use super::{
    Store,
    disk::{Contents, Disk, Lot},
    open,
    row::{Kind, Written},
    waiting::Extent,
};
use crate::{clock, config, market::Nanos};

/// What the thread that commits knows; no one else locks it for long.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    pub(super) contents: Contents,
    /// Bytes of rows when the pages were counted last.
    counted_rows_bytes: u64,
    /// When the disk may be tried again.
    retry_at: Nanos,
    failed: bool,
}

/// How long a disk that failed is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// After how much change in rows the pages are counted again, which means to read them all.
const RECOUNT_SHARE: u64 = 8;

/// How full a store is after it had to make room, in percent of the limit: not every commit shall have to.
const ROOM_PERCENT: u64 = 90;

impl Keeper {
    pub(super) fn of(contents: Contents) -> Self {
        let counted_rows_bytes = rows_bytes(&contents);
        Self { contents, counted_rows_bytes, ..Self::default() }
    }

    /// What the rows occupy now: what was counted, moved by what has come and gone since.
    fn bytes(&self) -> u64 {
        let rows = rows_bytes(&self.contents);
        if self.counted_rows_bytes == 0 {
            return self.contents.bytes.max(rows);
        }
        let scaled = u128::from(self.contents.bytes) * u128::from(rows) / u128::from(self.counted_rows_bytes);
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }
}

fn rows_bytes(contents: &Contents) -> u64 {
    contents.extents.values().map(|extent| extent.bytes).sum()
}

impl Store {
    /// Brings what waits to disk. Only the thread that follows the rings, and its end, call it.
    pub(super) fn commit(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_open() && !self.reopen(&mut keeper) {
            return;
        }
        let lots = self.lots();
        if lots.is_empty() {
            return;
        }
        self.say_new_decimals(&keeper.contents, &lots);
        let began = clock::now();
        let rows_max = |kind| rows_max(&self.settings, kind);
        let written = self.with_disk(|disk| disk.commit(&lots, &rows_max, &mut keeper.contents));
        let Some(written) = written else { return self.give_back(&lots) };
        match written {
            Ok(()) => {
                self.publish(&keeper.contents);
                for lot in &lots {
                    self.waiting(lot.instrument).wrote();
                }
                self.metrics.commits.increment(1);
                self.metrics.commit.record(clock::now().since(began).as_secs_f64());
                if std::mem::take(&mut keeper.failed) {
                    tracing::info!("history is written again");
                }
                self.keep_limit(&mut keeper);
            }
            Err(trouble) => {
                self.give_back(&lots);
                self.fail(&mut keeper, &trouble);
            }
        }
    }

    /// Writes what still waits and closes the file, so that it need not be repaired.
    pub(super) fn close(&self) {
        self.commit();
        let disk = self.disk.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(trouble)) = disk.map(Disk::close) {
            tracing::warn!(%trouble, "the history was not closed in order; it will be repaired at the next start");
        }
    }

    fn lots(&self) -> Vec<Lot> {
        let of = |instrument: usize| {
            // Without the venue's list nobody knows what the numbers mean.
            let decimals = self.catalogue.instruments()[instrument].listing()?.decimals;
            let rows = self.waiting(instrument).begin()?;
            Some(Lot { instrument, decimals, rows })
        };
        (0..self.waiting.len()).filter_map(of).collect()
    }

    fn give_back(&self, lots: &[Lot]) {
        let given_way: u64 = lots.iter().map(|lot| self.waiting(lot.instrument).failed()).sum();
        self.metrics.dropped.increment(given_way);
    }

    /// Counts the pages if much has changed, and makes room if there are too many.
    fn keep_limit(&self, keeper: &mut Keeper) {
        let rows = rows_bytes(&keeper.contents);
        if rows.abs_diff(keeper.counted_rows_bytes) > keeper.counted_rows_bytes / RECOUNT_SHARE {
            self.recount(keeper);
        }
        let (bytes, most) = (keeper.bytes(), self.settings.bytes_max);
        if bytes > most {
            let excess = u128::from(bytes - most / 100 * ROOM_PERCENT) * u128::from(rows) / u128::from(bytes.max(1));
            let made = self.with_disk(|disk| disk.make_room(excess as u64, &mut keeper.contents));
            match made {
                Some(Ok(())) => {
                    self.publish(&keeper.contents);
                    self.recount(keeper);
                    tracing::info!(bytes, most, "history has reached store.bytes_max: the oldest fine rows are gone");
                }
                Some(Err(trouble)) => self.fail(keeper, &trouble),
                None => {}
            }
        }
        self.measure(keeper);
    }

    fn recount(&self, keeper: &mut Keeper) {
        match self.with_disk(Disk::bytes) {
            Some(Ok(bytes)) => {
                keeper.contents.bytes = bytes;
                keeper.counted_rows_bytes = rows_bytes(&keeper.contents);
            }
            Some(Err(trouble)) => self.fail(keeper, &trouble),
            None => {}
        }
    }

    pub(super) fn measure(&self, keeper: &Keeper) {
        let rows: u64 = keeper.contents.extents.values().map(|extent| extent.rows).sum();
        self.metrics.rows.set(rows as f64);
        self.metrics.bytes.set(keeper.bytes() as f64);
        if let Some(bytes) = self.with_disk(Disk::file_bytes) {
            self.metrics.file_bytes.set(bytes as f64);
        }
    }

    /// Closes what failed; rows wait in memory until it opens again.
    fn fail(&self, keeper: &mut Keeper, trouble: &dyn std::fmt::Display) {
        self.metrics.failures.increment(1);
        if !keeper.failed {
            tracing::error!(%trouble, "history cannot be written: it waits in memory, and the newest of it is kept");
        }
        keeper.failed = true;
        keeper.retry_at = clock::now().plus(RETRY_AFTER);
        let disk = self.disk.write().unwrap_or_else(PoisonError::into_inner).take();
        // It has failed already; opening it again says how it is.
        let _known_to_fail = disk.map(Disk::close);
    }

    /// Opens a file again that failed; returns whether that went well.
    fn reopen(&self, keeper: &mut Keeper) -> bool {
        if clock::now() < keeper.retry_at {
            return false;
        }
        match open::open(self.path(), &names(&self.catalogue)) {
            Ok((disk, contents)) => {
                *self.disk.write().unwrap_or_else(PoisonError::into_inner) = Some(disk);
                let failed = keeper.failed;
                *keeper = Keeper { failed, ..Keeper::of(contents) };
                self.publish(&keeper.contents);
                true
            }
            Err(error) => {
                self.fail(keeper, &error);
                false
            }
        }
    }

    /// Tells readers what lies on disk.
    pub(super) fn publish(&self, contents: &Contents) {
        let disk = self.disk.read().unwrap_or_else(PoisonError::into_inner);
        let Some(disk) = &*disk else { return };
        let places: HashMap<u32, usize> =
            (0..self.waiting.len()).map(|instrument| (disk.symbol(instrument), instrument)).collect();
        let mut extents = vec![[Extent::default(); Kind::COUNT]; self.waiting.len()];
        for ((symbol, kind), extent) in &contents.extents {
            if let Some(&instrument) = places.get(symbol) {
                extents[instrument][kind.index()] = *extent;
            }
        }
        for (instrument, extents) in extents.into_iter().enumerate() {
            self.waiting(instrument).lies(extents);
        }
    }

    /// Rows stay as they were written, and are told at today's decimals where that is exact.
    fn say_new_decimals(&self, contents: &Contents, lots: &[Lot]) {
        for lot in lots {
            let symbol = self.with_disk(|disk| disk.symbol(lot.instrument));
            let known = symbol.and_then(|symbol| contents.written.get(&symbol));
            let (now, name) = (Written::of(lot.decimals), &self.catalogue.instruments()[lot.instrument].symbol);
            if let Some(before) = known.filter(|&&before| before != now) {
                tracing::warn!(
                    %name, ?before, ?now,
                    "the venue's decimals changed: kept rows are converted, and those that cannot be told exactly are left out"
                );
            }
        }
    }

    fn path(&self) -> Option<&Path> {
        (!self.settings.path.is_empty()).then(|| Path::new(&self.settings.path))
    }
}

/// What each instrument is called in the file.
pub(super) fn names(catalogue: &crate::market::Catalogue) -> Vec<String> {
    let venues = catalogue.venues();
    let name = |instrument: &crate::market::Instrument| {
        format!("{}/{}", venues[instrument.venue.0 as usize].name, instrument.symbol)
    };
    catalogue.instruments().iter().map(name).collect()
}

fn rows_max(settings: &config::Store, kind: Kind) -> u64 {
    use crate::market::Series;
    match kind {
        Kind::Klines(Series::SECOND) => settings.second_rows_max,
        Kind::Klines(Series::MINUTE) => settings.minute_rows_max,
        Kind::Klines(_) => settings.rows_max,
        Kind::Trades | Kind::AggTrades => settings.trades_max,
    }
}

#[cfg(test)]
impl Keeper {
    pub(super) fn retry_later(&mut self) {
        self.retry_at = Nanos(i64::MAX);
    }

    pub(super) fn retry_now(&mut self) {
        self.retry_at = Nanos(0);
    }
}
