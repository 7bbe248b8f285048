//! Candles of any zone and statistics of any window, put together from what the store and the views have.
//!
//! A stretch of time is covered with the longest candles known and with shorter ones where those are missing or do not
//! fit: a day at -05:00 from hours, seven days from an edge of minutes and hours.

mod rows;

pub(super) use rows::Row;

use std::cell::Cell;

use super::Request;
use crate::{
    market::{DAY, InstrumentId, Interval, Kline, Nanos, Price, Series, Zone},
    store::{Range, Store},
    views::Views,
};

/// Candles that one request may read. A thousand days at +05:45 are 96,000 quarters of an hour.
const CANDLES_MOST: usize = 200_000;

/// What longer candles are put together from, the longest first.
const PARTS: [(Interval, Zone); 5] = [
    (Interval::Day1, Zone::Utc),
    (Interval::Day1, Zone::Plus8),
    (Interval::Hour1, Zone::Utc),
    (Interval::Minute15, Zone::Utc),
    (Interval::Minute1, Zone::Utc),
];

/// How many candles a request may still read.
#[derive(Debug)]
pub(super) struct Budget(Cell<usize>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Cell::new(CANDLES_MOST))
    }

    fn left(&self) -> usize {
        self.0.get()
    }

    /// A look-up that finds nothing costs as well.
    fn spend(&self, candles: usize) {
        self.0.set(self.0.get().saturating_sub(candles + 1));
    }
}

/// More history would have to be read than one request may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

/// Where candles come from.
pub(super) trait Source {
    /// Closed candles in the order of time.
    fn closed(&self, series: Series, range: &Range) -> Vec<Kline>;
    /// A few of the newest in the order of time, the last one open or just closed.
    fn newest(&self, series: Series) -> Vec<Kline>;
    /// When the oldest and the newest closed one open.
    fn extent(&self, series: Series) -> Option<(Nanos, Nanos)>;
    /// The last price, for an instrument without a candle.
    fn last_price(&self) -> Option<Price>;
}

/// The candles of one instrument in store and views.
pub(super) struct Kept<'a> {
    store: &'a Store,
    views: &'a Views,
    instrument: InstrumentId,
}

impl Source for Kept<'_> {
    fn closed(&self, series: Series, range: &Range) -> Vec<Kline> {
        self.store.klines(self.instrument, series, range)
    }

    fn newest(&self, series: Series) -> Vec<Kline> {
        self.views.klines(self.instrument, series)
    }

    fn extent(&self, series: Series) -> Option<(Nanos, Nanos)> {
        self.store.extent(self.instrument, series)
    }

    fn last_price(&self) -> Option<Price> {
        self.views.last_price(self.instrument)
    }
}

impl Request<'_> {
    pub(super) fn history(&self, instrument: InstrumentId) -> History<'_, Kept<'_>> {
        let source = Kept { store: &self.rest.store, views: &self.rest.views, instrument };
        History { source, budget: &self.budget, now: self.call.now }
    }
}

/// The past of one instrument.
pub(super) struct History<'a, S> {
    source: S,
    budget: &'a Budget,
    now: Nanos,
}

/// Which candles: of an interval in any zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candles {
    pub(super) interval: Interval,
    /// Nanoseconds east of UTC.
    pub(super) offset: i64,
}

impl Candles {
    fn open_time(self, at: Nanos) -> Nanos {
        self.interval.open_time(at, self.offset)
    }

    fn next_open(self, open: Nanos) -> Nanos {
        self.interval.next_open(open, self.offset)
    }

    /// The first that opens at `at` or later.
    fn first_from(self, at: Nanos) -> Nanos {
        let open = self.open_time(at);
        if open < at { self.next_open(open) } else { open }
    }

    /// What can stand for them: the same candles if they are a series, then shorter ones that fit into them.
    fn sources(self) -> Vec<Series> {
        let same = [Zone::Utc, Zone::Plus8].into_iter().find(|&zone| self.has_bounds_of(zone));
        let mut sources: Vec<_> = same.map(|zone| Series::new(self.interval, zone)).into_iter().collect();
        let parts =
            PARTS.into_iter().filter(|&(interval, zone)| interval < self.interval && self.is_made_of(interval, zone));
        sources.extend(parts.map(|(interval, zone)| Series::new(interval, zone)));
        sources
    }

    /// Whether they begin when those of the same interval in `zone` do.
    fn has_bounds_of(self, zone: Zone) -> bool {
        let shift = self.offset - zone.offset();
        match self.interval {
            Interval::Week1 | Interval::Month1 => shift == 0,
            _ => self.interval.length().is_some_and(|length| shift % length == 0),
        }
    }

    /// Whether a number of candles of `part` in `zone` make one of them. Weeks and months are made of days.
    fn is_made_of(self, part: Interval, zone: Zone) -> bool {
        let whole = match self.interval {
            Interval::Week1 | Interval::Month1 => DAY.0,
            _ => self.interval.length().unwrap_or(DAY.0),
        };
        part.length().is_some_and(|length| whole % length == 0 && (self.offset - zone.offset()) % length == 0)
    }
}

impl<S: Source> History<'_, S> {
    /// Everything since `open`, a whole minute, as one candle; `None` if nothing was ever heard of the instrument. It
    /// opens later than `open` if what is known begins later.
    ///
    /// # Errors
    /// If that is too much to read.
    pub(super) fn window(&self, open: Nanos) -> Result<Option<Kline>, TooMuch> {
        let sources = [Series::HOUR, Series::MINUTE];
        let end = Series::MINUTE.next_open(Series::MINUTE.open_time(self.now));
        let mut parts = Vec::new();
        self.cover(open, end, &sources, &mut parts);
        let known = parts.first().map(|first| (first.open_time, first.open)).filter(|&(at, _)| at == open);
        let before = || self.last_before(open, &sources).map(|before| (open, before.close));
        let later = || parts.first().map(|first| (first.open_time, first.open));
        let start = known.or_else(before).or_else(later).or_else(|| Some((open, self.source.last_price()?)));
        if self.budget.left() == 0 {
            return Err(TooMuch);
        }
        // A window without a trade carries the price before it.
        let sum = start.map(|(at, price)| {
            let mut sum = Kline::empty(Series::MINUTE, at, price);
            parts.iter().for_each(|part| sum.absorb(part));
            sum
        });
        Ok(sum)
    }

    /// Appends the candles that lie in `from..to` (or end after now), in the order of time and without overlap: the first
    /// of `sources` where it has them, else the others.
    fn cover(&self, from: Nanos, to: Nanos, sources: &[Series], parts: &mut Vec<Kline>) {
        let Some((&series, finer)) = sources.split_first() else { return };
        let mut at = from;
        for candle in self.read(series, from, to) {
            if candle.end() > to && candle.end() <= self.now {
                break;
            }
            if candle.open_time > at {
                self.cover(at, candle.open_time, finer, parts);
            }
            at = candle.end();
            parts.push(candle);
        }
        if at < to {
            self.cover(at, to, finer, parts);
        }
    }

    /// The candles that open in `from..to`.
    fn read(&self, series: Series, from: Nanos, to: Nanos) -> Vec<Kline> {
        let limit = self.budget.left();
        if from >= to || limit == 0 {
            return Vec::new();
        }
        let range = Range { from: Some(from), to: Some(Nanos(to.0 - 1)), limit };
        let mut candles = self.source.closed(series, &range);
        self.budget.spend(candles.len());
        let known = candles.last().map(|last| last.open_time);
        let is_new =
            |kline: &Kline| (from..to).contains(&kline.open_time) && known.is_none_or(|known| known < kline.open_time);
        candles.extend(self.source.newest(series).into_iter().filter(is_new));
        candles
    }

    /// The latest candle that ends at `at` or before.
    fn last_before(&self, at: Nanos, sources: &[Series]) -> Option<Kline> {
        let last = |&series: &Series| {
            self.budget.spend(1);
            let open = series.open_time(Nanos(at.0 - 1));
            let to = if series.next_open(open) <= at { open } else { Nanos(open.0 - 1) };
            let kept = self.source.closed(series, &Range { from: None, to: Some(to), limit: 1 }).pop();
            let newest = self.source.newest(series).into_iter().filter(|newest| newest.end() <= at);
            kept.into_iter().chain(newest).max_by_key(Kline::end)
        };
        sources.iter().filter_map(last).max_by_key(Kline::end)
    }

    /// The earliest candle that opens at `at` or later.
    fn first_from(&self, at: Nanos, sources: &[Series]) -> Option<Kline> {
        let first = |&series: &Series| {
            self.budget.spend(1);
            let kept = self.source.closed(series, &Range { from: Some(at), to: None, limit: 1 });
            let mut newest = self.source.newest(series).into_iter();
            kept.first().copied().or_else(|| newest.find(|newest| newest.open_time >= at))
        };
        sources.iter().filter_map(first).min_by_key(|kline| kline.open_time)
    }

    /// When the oldest and the newest candle open, open ones included.
    fn extent(&self, sources: &[Series]) -> Option<(Nanos, Nanos)> {
        let extents = sources.iter().flat_map(|&series| {
            let newest = self.source.newest(series).into_iter().map(|kline| (kline.open_time, kline.open_time));
            self.source.extent(series).into_iter().chain(newest)
        });
        extents.reduce(|(oldest, newest), (first, last)| (oldest.min(first), newest.max(last)))
    }
}

#[cfg(test)]
mod tests;
