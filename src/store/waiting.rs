//! Rows of one instrument that are not on disk yet: bounded, and seen by readers at once.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use super::row::{Kind, Row};
use crate::market::{AggTrade, Kline, Nanos, Series, Trade};

/// What is known of the rows of one kind that are on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// How many.
    pub(super) rows: u64,
    /// Their bytes, keys included, without what the file needs around them.
    pub(super) bytes: u64,
    /// The lowest position; of no meaning without rows.
    pub(super) oldest: i64,
    /// The highest position; of no meaning without rows.
    pub(super) newest: i64,
}

impl Extent {
    /// From the oldest to the newest position, if there is a row.
    pub(super) fn span(&self) -> Option<(i64, i64)> {
        (self.rows > 0).then_some((self.oldest, self.newest))
    }
}

/// Rows by position.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    /// By series first: what gives way first is of the finest one.
    pub(super) klines: BTreeMap<(Series, Nanos), Kline>,
    pub(super) trades: Fills<Trade>,
    pub(super) agg_trades: Fills<AggTrade>,
}

/// Trades of one kind.
#[derive(Clone, Debug)]
pub(super) struct Fills<T> {
    pub(super) rows: BTreeMap<i64, T>,
    /// Everything that was kept before these is to be forgotten.
    pub(super) alone: bool,
}

impl<T> Default for Fills<T> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), alone: false }
    }
}

/// What waits for the disk.
#[derive(Debug)]
pub(super) struct Waiting {
    /// What came since the last commit began.
    fresh: Rows,
    /// What the commit under way writes.
    writing: Arc<Rows>,
    /// What lies on disk.
    stored: [Extent; Kind::COUNT],
    limits: Limits,
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) klines: usize,
    pub(super) trades: usize,
}

/// What became of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbering {
    /// Its id continues.
    Rises,
    /// Its id is not above the newest: the same trade again, or another numbering.
    Falls,
}

/// A row that has been picked from those that wait, and whether the disk has any that count.
pub(super) struct Picked<R> {
    pub(super) rows: BTreeMap<i64, R>,
    pub(super) disk_counts: bool,
}

impl Waiting {
    pub(super) fn new(limits: Limits) -> Self {
        let stored = [Extent::default(); Kind::COUNT];
        Self { fresh: Rows::default(), writing: Arc::default(), stored, limits }
    }

    /// Adds a closed candle or replaces one; returns how many rows gave way.
    pub(super) fn kline(&mut self, kline: Kline) -> u64 {
        self.fresh.klines.insert((kline.series, kline.open_time), kline);
        let is_full = self.fresh.klines.len() > self.limits.klines;
        u64::from(is_full && self.fresh.klines.pop_first().is_some())
    }

    /// Whether a live trade with this id continues what is known.
    pub(super) fn numbering<R: Waits>(&self, id: i64) -> Numbering {
        let last = |rows: &Rows| R::of(rows).rows.last_key_value().map(|(&id, _)| id);
        let mut newest = last(&self.fresh);
        // What is to be forgotten has no say.
        if !R::of(&self.fresh).alone {
            newest = newest.max(last(&self.writing));
            if !R::of(&self.writing).alone {
                newest = newest.max(self.stored[R::KIND.index()].span().map(|(_, newest)| newest));
            }
        }
        if newest.is_none_or(|newest| newest < id) { Numbering::Rises } else { Numbering::Falls }
    }

    /// Adds a trade in its place; returns how many rows gave way.
    pub(super) fn trade<R: Waits>(&mut self, id: i64, trade: R) {
        let most = self.limits.trades;
        let stored = self.stored[R::KIND.index()].span().map(|(_, newest)| newest);
        let fills = R::of_mut(&mut self.fresh);
        fills.rows.insert(id, trade);
        if fills.rows.len() > most {
            fills.rows.pop_first();
            // There are as many newer ones as are kept at all: whatever else was kept is too old.
            let newest = fills.rows.last_key_value().map(|(&id, _)| id);
            fills.alone |= newest > stored;
        }
    }

    /// Forgets all trades of a kind: their ids began anew.
    pub(super) fn renumber<R: Waits>(&mut self) {
        *R::of_mut(&mut self.fresh) = Fills { rows: BTreeMap::new(), alone: true };
    }

    /// Rows that wait, at most `limit` at the older end of `positions` or at the newer one.
    pub(super) fn pick<R: Picks>(
        &self,
        kind: Kind,
        positions: &RangeInclusive<i64>,
        limit: usize,
        oldest: bool,
    ) -> Picked<R> {
        let mut rows = BTreeMap::new();
        let is_alone = [&*self.writing, &self.fresh].map(|part| R::is_alone(part));
        // Fresh ones go last: they replace what is being written.
        if !is_alone[1] {
            R::pick(&self.writing, kind, positions, limit, oldest, &mut rows);
        }
        R::pick(&self.fresh, kind, positions, limit, oldest, &mut rows);
        Picked { rows, disk_counts: is_alone == [false; 2] }
    }

    /// From the oldest to the newest candle of a series.
    pub(super) fn extent(&self, series: Series) -> Option<(i64, i64)> {
        let stored = self.stored[Kind::Klines(series).index()].span();
        let all = (series, Nanos(i64::MIN))..=(series, Nanos(i64::MAX));
        let of = |rows: &Rows| {
            let mut range = rows.klines.range(all.clone()).map(|((_, open), _)| open.0);
            let oldest = range.next()?;
            Some((oldest, range.next_back().unwrap_or(oldest)))
        };
        let spans = [stored, of(&self.writing), of(&self.fresh)];
        spans.into_iter().flatten().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// What is to be written now; `None` if nothing waits. [`Waiting::wrote`] or [`Waiting::failed`] has to follow.
    pub(super) fn begin(&mut self) -> Option<Arc<Rows>> {
        if self.fresh.is_empty() {
            return None;
        }
        self.writing = Arc::new(std::mem::take(&mut self.fresh));
        Some(Arc::clone(&self.writing))
    }

    /// The rows of [`Waiting::begin`] are on disk.
    pub(super) fn wrote(&mut self) {
        self.writing = Arc::default();
    }

    /// What lies on disk now.
    pub(super) fn lies(&mut self, stored: [Extent; Kind::COUNT]) {
        self.stored = stored;
    }

    /// The rows of [`Waiting::begin`] did not reach the disk: they wait again, except where newer ones are; returns how
    /// many gave way.
    pub(super) fn failed(&mut self) -> u64 {
        let writing = std::mem::take(&mut self.writing);
        let mut given_way = 0;
        for (key, kline) in &writing.klines {
            self.fresh.klines.entry(*key).or_insert(*kline);
        }
        while self.fresh.klines.len() > self.limits.klines {
            self.fresh.klines.pop_first();
            given_way += 1;
        }
        self.fresh.trades.put_back(&writing.trades, self.limits.trades);
        self.fresh.agg_trades.put_back(&writing.agg_trades, self.limits.trades);
        given_way
    }
}

impl Rows {
    fn is_empty(&self) -> bool {
        self.klines.is_empty() && self.trades.is_empty() && self.agg_trades.is_empty()
    }
}

impl<T: Copy> Fills<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && !self.alone
    }

    fn put_back(&mut self, older: &Self, most: usize) {
        if self.alone {
            return;
        }
        self.alone = older.alone;
        for (&id, &trade) in &older.rows {
            self.rows.entry(id).or_insert(trade);
        }
        while self.rows.len() > most {
            self.rows.pop_first();
        }
    }
}

/// Rows that can be picked from those that wait.
pub(super) trait Picks: Row {
    /// Whether nothing that was kept before `rows` counts.
    fn is_alone(rows: &Rows) -> bool;
    /// Puts those of `rows` that match into `into`.
    fn pick(
        rows: &Rows,
        kind: Kind,
        positions: &RangeInclusive<i64>,
        limit: usize,
        oldest: bool,
        into: &mut BTreeMap<i64, Self>,
    );
}

/// Trades of one kind.
pub(super) trait Waits: Row {
    const KIND: Kind;
    fn of(rows: &Rows) -> &Fills<Self>;
    fn of_mut(rows: &mut Rows) -> &mut Fills<Self>;
}

impl Waits for Trade {
    const KIND: Kind = Kind::Trades;

    fn of(rows: &Rows) -> &Fills<Self> {
        &rows.trades
    }

    fn of_mut(rows: &mut Rows) -> &mut Fills<Self> {
        &mut rows.trades
    }
}

impl Waits for AggTrade {
    const KIND: Kind = Kind::AggTrades;

    fn of(rows: &Rows) -> &Fills<Self> {
        &rows.agg_trades
    }

    fn of_mut(rows: &mut Rows) -> &mut Fills<Self> {
        &mut rows.agg_trades
    }
}

impl<R: Waits> Picks for R {
    fn is_alone(rows: &Rows) -> bool {
        R::of(rows).alone
    }

    fn pick(
        rows: &Rows,
        _kind: Kind,
        positions: &RangeInclusive<i64>,
        limit: usize,
        oldest: bool,
        into: &mut BTreeMap<i64, Self>,
    ) {
        let range = R::of(rows).rows.range(positions.clone()).map(|(&id, &row)| (id, row));
        take_end(range, limit, oldest, into);
    }
}

impl Picks for Kline {
    fn is_alone(_rows: &Rows) -> bool {
        false
    }

    fn pick(
        rows: &Rows,
        kind: Kind,
        positions: &RangeInclusive<i64>,
        limit: usize,
        oldest: bool,
        into: &mut BTreeMap<i64, Self>,
    ) {
        let Kind::Klines(series) = kind else { return };
        let range = (series, Nanos(*positions.start()))..=(series, Nanos(*positions.end()));
        take_end(rows.klines.range(range).map(|((_, open), &kline)| (open.0, kline)), limit, oldest, into);
    }
}

fn take_end<R>(
    range: impl DoubleEndedIterator<Item = (i64, R)>,
    limit: usize,
    oldest: bool,
    into: &mut BTreeMap<i64, R>,
) {
    if oldest {
        into.extend(range.take(limit));
    } else {
        into.extend(range.rev().take(limit));
    }
}
