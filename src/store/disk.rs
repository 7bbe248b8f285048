//! The database: opened, checked, read and written, never trusted.
//!
//! redb keeps a tree of checksummed pages and writes each commit beside the one before. What a file says is checked as a
//! whole when it is opened; from then on nobody else can write to it, since it is locked.

use std::{
    collections::HashMap,
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, StorageError, Table, TableDefinition, WriteTransaction,
};

mod trouble;

pub(super) use trouble::Trouble;
use trouble::{damaged, guarded};

use super::{
    memory::Memory,
    row::{FORMAT, KEY_BYTES, Key, Kind, Row, Written, parts},
    waiting::{Extent, Rows, Waits},
};
use crate::market::{AggTrade, Decimals, Kline, Trade};

const META: TableDefinition<'static, &str, u64> = TableDefinition::new("tickcast");
const SYMBOLS: TableDefinition<'static, &str, u32> = TableDefinition::new("symbols");
const ROWS: TableDefinition<'static, &Key, &[u8]> = TableDefinition::new("rows");

/// The key of [`FORMAT`] in [`META`].
const FORMAT_KEY: &str = "format";

/// Pages that redb keeps in memory beside what the system caches: the branches of all symbols and the leaves at their ends.
const CACHE_BYTES: usize = 32 << 20;

/// The same for a database that lies in memory anyway.
const CACHE_BYTES_IN_MEMORY: usize = 4 << 20;

/// An open database.
#[derive(Debug)]
pub(super) struct Disk {
    database: Database,
    /// `None`: in memory.
    path: Option<PathBuf>,
    /// The number of each instrument's symbol.
    symbols: Vec<u32>,
}

/// What a database holds, as far as limits and readers care.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) extents: HashMap<(u32, Kind), Extent>,
    /// The decimals of the newest row seen of each symbol.
    pub(super) written: HashMap<u32, Written>,
    /// What the pages in use occupy.
    pub(super) bytes: u64,
}

/// Rows by position, and how many were left out because they cannot be told exactly.
pub(super) type Found<R> = (Vec<(i64, R)>, u64);

/// How many rows may be kept of a kind; a sixteenth more before the oldest go, so that they go in lots.
pub(super) type RowsMax<'a> = &'a dyn Fn(Kind) -> u64;

/// Rows of one instrument to be written.
#[derive(Debug)]
pub(super) struct Lot {
    /// The instrument's place in the catalogue.
    pub(super) instrument: usize,
    pub(super) decimals: Decimals,
    pub(super) rows: Arc<Rows>,
}

impl Disk {
    /// Opens the database at `path`, or makes one; without a path, one in memory. `names` are those of all instruments.
    pub(super) fn open(path: Option<&Path>, names: &[String]) -> Result<(Self, Contents), Trouble> {
        guarded(|| {
            let mut builder = Builder::new();
            // What was damaged from outside is then an error and not a panic.
            let cache_bytes = if path.is_some() { CACHE_BYTES } else { CACHE_BYTES_IN_MEMORY };
            builder.set_cache_size(cache_bytes).set_check_integrity_on_open(true);
            let database = match path {
                Some(path) => builder.create(path).map_err(Trouble::from)?,
                None => builder.create_with_backend(Memory::default()).map_err(Trouble::from)?,
            };
            let symbols = begin(&database, names)?;
            let mut disk = Self { database, path: path.map(Path::to_owned), symbols };
            let contents = disk.contents()?;
            Ok((disk, contents))
        })
    }

    /// The number of an instrument's symbol.
    pub(super) fn symbol(&self, instrument: usize) -> u32 {
        self.symbols[instrument]
    }

    /// Rows of one kind, by rising position: at most `limit`, the oldest or the newest that match. Rows that cannot be
    /// told exactly with `decimals` are left out and counted.
    pub(super) fn read<R: Row>(
        &self,
        (instrument, kind): (usize, Kind),
        positions: &RangeInclusive<i64>,
        limit: usize,
        oldest: bool,
        decimals: Decimals,
    ) -> Result<Found<R>, Trouble> {
        guarded(|| {
            let symbol = self.symbols[instrument];
            let [from, to] = [positions.start(), positions.end()].map(|&position| kind.key(symbol, position));
            let reading = self.database.begin_read().map_err(damaged)?;
            let table = reading.open_table(ROWS).map_err(damaged)?;
            let range = table.range::<&Key>(&from..=&to).map_err(damaged)?;
            let mut rows = Vec::with_capacity(limit.min(1024));
            let mut left_out = 0;
            let mut take = |item: Result<(redb::AccessGuard<'_, &Key>, redb::AccessGuard<'_, &[u8]>), StorageError>| {
                let (key, value) = item.map_err(damaged)?;
                match read_row::<R>(key.value(), value.value(), decimals) {
                    Some(row) => rows.push(row),
                    None => left_out += 1,
                }
                Ok::<_, Trouble>(())
            };
            if oldest {
                range.take(limit).try_for_each(&mut take)?;
            } else {
                range.rev().take(limit).try_for_each(&mut take)?;
                rows.reverse();
            }
            Ok((rows, left_out))
        })
    }

    /// With which decimals the newest row of a kind was written.
    pub(super) fn newest_written(&self, instrument: usize, kind: Kind) -> Result<Option<Written>, Trouble> {
        guarded(|| {
            let [from, to] = [i64::MIN, i64::MAX].map(|position| kind.key(self.symbols[instrument], position));
            let reading = self.database.begin_read().map_err(damaged)?;
            let table = reading.open_table(ROWS).map_err(damaged)?;
            let Some(newest) = table.range::<&Key>(&from..=&to).map_err(damaged)?.next_back() else { return Ok(None) };
            let (key, value) = newest.map_err(damaged)?;
            Ok(parts(key.value()).and_then(|(_, kind, position)| written(kind, position, value.value())))
        })
    }

    /// Writes `lots` and lets the oldest rows go where there are too many, in one commit; `contents` follow.
    pub(super) fn commit(&self, lots: &[Lot], rows_max: RowsMax<'_>, contents: &mut Contents) -> Result<(), Trouble> {
        guarded(|| {
            let writing = self.database.begin_write().map_err(damaged)?;
            let mut extents = HashMap::new();
            {
                let mut table = writing.open_table(ROWS).map_err(damaged)?;
                for lot in lots {
                    let shelf = Shelf { symbol: self.symbols[lot.instrument], decimals: lot.decimals };
                    shelf.write(&mut table, lot, &contents.extents, &mut extents)?;
                    // On one core those who deliver wait for this thread's turn to end: it ends after each instrument.
                    std::thread::yield_now();
                }
                for (&(symbol, kind), extent) in &mut extents {
                    let most = rows_max(kind);
                    if extent.rows > most + most / 16 {
                        drop_oldest(&mut table, symbol, kind, extent, extent.rows - most)?;
                    }
                }
            }
            writing.commit().map_err(damaged)?;
            contents.extents.extend(extents);
            for lot in lots {
                contents.written.insert(self.symbols[lot.instrument], Written::of(lot.decimals));
            }
            Ok(())
        })
    }

    /// Lets go of the oldest rows of the finest kinds until about `bytes` of rows are gone; `contents` follow.
    pub(super) fn make_room(&self, bytes: u64, contents: &mut Contents) -> Result<(), Trouble> {
        guarded(|| {
            let writing = self.database.begin_write().map_err(damaged)?;
            let mut extents = HashMap::new();
            let mut wanted = bytes;
            {
                let mut table = writing.open_table(ROWS).map_err(damaged)?;
                for kind in Kind::all() {
                    let of_kind: Vec<_> = contents
                        .extents
                        .iter()
                        .filter(|((_, other), extent)| *other == kind && extent.rows > 0)
                        .collect();
                    let held: u64 = of_kind.iter().map(|(_, extent)| extent.bytes).sum();
                    if wanted == 0 || held == 0 {
                        continue;
                    }
                    for (&(symbol, _), &extent) in of_kind {
                        let share = (u128::from(extent.rows) * u128::from(wanted.min(held))).div_ceil(held.into());
                        let mut left = extent;
                        drop_oldest(&mut table, symbol, kind, &mut left, (share as u64).min(extent.rows))?;
                        extents.insert((symbol, kind), left);
                    }
                    wanted = wanted.saturating_sub(held);
                }
            }
            writing.commit().map_err(damaged)?;
            contents.extents.extend(extents);
            Ok(())
        })
    }

    /// What the pages in use occupy. It walks through all of them.
    pub(super) fn bytes(&self) -> Result<u64, Trouble> {
        guarded(|| {
            let writing = self.database.begin_write().map_err(damaged)?;
            let stats = writing.stats().map_err(damaged)?;
            writing.abort().map_err(damaged)?;
            Ok(stats.allocated_pages() * stats.page_size() as u64)
        })
    }

    /// How long the file is; in memory, zero.
    pub(super) fn file_bytes(&self) -> u64 {
        self.path.as_ref().and_then(|path| fs::metadata(path).ok()).map_or(0, |metadata| metadata.len())
    }

    /// Gives unused space back to the system.
    pub(super) fn compact(&mut self) -> Result<(), Trouble> {
        guarded(|| {
            // Each round moves what it can; it says whether another one pays.
            for _ in 0..COMPACTIONS_MAX {
                if !self.database.compact().map_err(damaged)? {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Closes the file in order: it will not have to be repaired.
    pub(super) fn close(self) -> Result<(), Trouble> {
        guarded(|| self.database.close().map_err(Trouble::from))
    }

    /// Looks at every row once: counts, and whether each is one of ours.
    fn contents(&mut self) -> Result<Contents, Trouble> {
        let mut contents = Contents { bytes: self.bytes()?, ..Contents::default() };
        let reading = self.database.begin_read().map_err(damaged)?;
        let table = reading.open_table(ROWS).map_err(damaged)?;
        for item in table.iter().map_err(damaged)? {
            let (key, value) = item.map_err(damaged)?;
            let strange = || Trouble::Damaged("it holds a row of an unknown form".to_owned());
            let (symbol, kind, position) = parts(key.value()).ok_or_else(strange)?;
            let written = written(kind, position, value.value()).ok_or_else(strange)?;
            let extent = contents.extents.entry((symbol, kind)).or_default();
            extent.add(position, value.value().len());
            contents.written.insert(symbol, written);
        }
        Ok(contents)
    }
}

/// A symbol whose rows are being written.
struct Shelf {
    symbol: u32,
    decimals: Decimals,
}

type RowsTable<'a> = Table<'a, &'static Key, &'static [u8]>;
type Extents = HashMap<(u32, Kind), Extent>;

impl Shelf {
    fn write(
        &self,
        table: &mut RowsTable<'_>,
        lot: &Lot,
        before: &Extents,
        after: &mut Extents,
    ) -> Result<(), Trouble> {
        let known = |kind| before.get(&(self.symbol, kind)).copied().unwrap_or_default();
        let mut bytes = Vec::new();
        for (&(series, open), kline) in &lot.rows.klines {
            let kind = Kind::Klines(series);
            let extent = after.entry((self.symbol, kind)).or_insert_with(|| known(kind));
            if !self.is_better_known(table, kind, kline)? {
                self.put(table, kind, open.0, kline, extent, &mut bytes)?;
            }
        }
        self.fills::<Trade>(table, &lot.rows, known(Trade::KIND), after, &mut bytes)?;
        self.fills::<AggTrade>(table, &lot.rows, known(AggTrade::KIND), after, &mut bytes)
    }

    fn fills<R: Waits>(
        &self,
        table: &mut RowsTable<'_>,
        rows: &Rows,
        mut extent: Extent,
        after: &mut Extents,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Trouble> {
        let fills = R::of(rows);
        if fills.is_empty() {
            return Ok(());
        }
        if fills.alone {
            let all = extent.rows;
            drop_oldest(table, self.symbol, R::KIND, &mut extent, all)?;
        }
        for (&id, trade) in &fills.rows {
            self.put(table, R::KIND, id, trade, &mut extent, bytes)?;
        }
        after.insert((self.symbol, R::KIND), extent);
        Ok(())
    }

    /// A fetched candle has no trade ids; where the same one is known with them, that one is better.
    fn is_better_known(&self, table: &RowsTable<'_>, kind: Kind, kline: &Kline) -> Result<bool, Trouble> {
        if kline.last_id >= 0 || kline.trades == 0 {
            return Ok(false);
        }
        let key = kind.key(self.symbol, kline.open_time.0);
        let Some(there) = table.get(&key).map_err(damaged)? else { return Ok(false) };
        let known: Option<(_, Kline)> = read_row(&key, there.value(), self.decimals);
        Ok(known
            .is_some_and(|(_, known)| Kline { first_id: kline.first_id, last_id: kline.last_id, ..known } == *kline))
    }

    fn put(
        &self,
        table: &mut RowsTable<'_>,
        kind: Kind,
        position: i64,
        row: &impl Row,
        extent: &mut Extent,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Trouble> {
        bytes.clear();
        row.write(self.decimals, bytes);
        let replaced = table.insert(&kind.key(self.symbol, position), bytes.as_slice()).map_err(damaged)?;
        match replaced {
            Some(before) => extent.bytes = extent.bytes + bytes.len() as u64 - before.value().len() as u64,
            None => extent.add(position, bytes.len()),
        }
        Ok(())
    }
}

impl Extent {
    /// Counts one more row.
    fn add(&mut self, position: i64, value_bytes: usize) {
        self.oldest = if self.rows == 0 { position } else { self.oldest.min(position) };
        self.newest = if self.rows == 0 { position } else { self.newest.max(position) };
        self.rows += 1;
        self.bytes += (KEY_BYTES + value_bytes) as u64;
    }
}

/// Lets the `count` oldest rows of a kind go.
fn drop_oldest(
    table: &mut RowsTable<'_>,
    symbol: u32,
    kind: Kind,
    extent: &mut Extent,
    count: u64,
) -> Result<(), Trouble> {
    if count == 0 {
        return Ok(());
    }
    let [from, to] = [i64::MIN, i64::MAX].map(|position| kind.key(symbol, position));
    let mut left = count;
    let mut dropped_bytes = 0;
    let mut oldest_left = None;
    {
        let keep = |key: &Key, value: &[u8]| {
            if left > 0 {
                left -= 1;
                dropped_bytes += (KEY_BYTES + value.len()) as u64;
                return false;
            }
            oldest_left.get_or_insert(*key);
            true
        };
        // Behind the oldest that stays there is nothing to look at.
        let last = table.range::<&Key>(&from..=&to).map_err(damaged)?.nth(usize::try_from(count).unwrap_or(usize::MAX));
        let last = last.transpose().map_err(damaged)?.map_or(to, |(key, _)| *key.value());
        table.retain_in::<&Key, _>(&from..=&last, keep).map_err(damaged)?;
    }
    extent.rows -= count - left;
    extent.bytes -= dropped_bytes;
    if let Some((_, _, position)) = oldest_left.as_ref().and_then(parts) {
        extent.oldest = position;
    }
    Ok(())
}

/// Makes a fresh database ours, refuses a foreign one, and gives each name its number.
fn begin(database: &Database, names: &[String]) -> Result<Vec<u32>, Trouble> {
    let writing = database.begin_write().map_err(damaged)?;
    let symbols = {
        let is_fresh = is_fresh(&writing)?;
        let mut meta = writing.open_table(META).map_err(damaged)?;
        let format = meta.get(FORMAT_KEY).map_err(damaged)?.map(|format| format.value());
        match format {
            Some(FORMAT) => {}
            None if is_fresh => drop(meta.insert(FORMAT_KEY, FORMAT).map_err(damaged)?),
            None => return Err(Trouble::Damaged("it is a database of another program".to_owned())),
            Some(format) => {
                return Err(Trouble::Damaged(format!("its format is {format}, and this version writes {FORMAT}")));
            }
        }
        writing.open_table(ROWS).map_err(damaged)?;
        let mut table = writing.open_table(SYMBOLS).map_err(damaged)?;
        let mut next = 0;
        for item in table.iter().map_err(damaged)? {
            next = next.max(item.map_err(damaged)?.1.value().saturating_add(1));
        }
        let mut symbols = Vec::with_capacity(names.len());
        for name in names {
            let known = table.get(name.as_str()).map_err(damaged)?.map(|number| number.value());
            symbols.push(match known {
                Some(number) => number,
                None => {
                    table.insert(name.as_str(), next).map_err(damaged)?;
                    next += 1;
                    next - 1
                }
            });
        }
        symbols
    };
    writing.commit().map_err(damaged)?;
    Ok(symbols)
}

fn is_fresh(writing: &WriteTransaction) -> Result<bool, Trouble> {
    Ok(writing.list_tables().map_err(damaged)?.next().is_none()
        && writing.list_multimap_tables().map_err(damaged)?.next().is_none())
}

fn read_row<R: Row>(key: &Key, value: &[u8], decimals: Decimals) -> Option<(i64, R)> {
    let (_, kind, position) = parts(key)?;
    let (row, from) = R::read(kind, position, value)?;
    let row = if from == Written::of(decimals) { row } else { row.rescaled(from, decimals)? };
    Some((position, row))
}

fn written(kind: Kind, position: i64, value: &[u8]) -> Option<Written> {
    match kind {
        Kind::Klines(_) => Kline::read(kind, position, value).map(|(_, written)| written),
        Kind::Trades => Trade::read(kind, position, value).map(|(_, written)| written),
        Kind::AggTrades => AggTrade::read(kind, position, value).map(|(_, written)| written),
    }
}

/// Rounds of compaction at a start; each moves a good part of what can be moved.
const COMPACTIONS_MAX: usize = 16;
