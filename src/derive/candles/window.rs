//! What minutes add up to since a time: the sums behind statistics.

use super::Candles;
use crate::market::{Kline, MINUTE, Nanos, Price, Series};

/// What [`Candles::sum_closed`] gives.
#[derive(Clone, Copy, Debug)]
pub struct Since {
    /// The sum; without any trade inside its prices are meaningless.
    pub sum: Kline,
    /// The last price before, where it is known.
    pub before: Option<Price>,
}

impl Candles {
    /// All closed minutes from the one that opens at `from` on, added up, with the price before; `None` unless all of them
    /// are known. It changes with [`Candles::revision`] only.
    ///
    /// Where minutes do not reach back so far, as those of a venue that gives only some, whole hours stand for the first
    /// part: the sum then begins with the hour that holds `from`.
    pub fn sum_closed(&self, from: Nanos) -> Option<Since> {
        let open = self.open.as_ref()?;
        let first_open = self.ended.as_ref().map_or(open, |ended| &ended.minute).kline.open_time;
        let start = self.minutes.start().unwrap_or(first_open);
        let from = self.nothing_before.map_or(from, |nothing| from.max(nothing));
        let mut sum = Kline::empty(Series::MINUTE, from, Price(0));
        let mut at = from;
        if from < start {
            at = Series::HOUR.open_time(from);
            while at < start
                && let Some(hour) = self.hours.get(at)
            {
                sum.absorb(hour);
                at = hour.end();
            }
            if at < start && !self.trusting {
                return None;
            }
            at = at.max(start);
        }
        for kline in self.minutes.since(at) {
            match kline {
                Some(kline) => sum.absorb(kline),
                None if self.trusting => {}
                None => return None,
            }
            at.0 += MINUTE.0;
        }
        if at < first_open && !self.trusting {
            return None;
        }
        let before = self.minutes.get(Nanos(from.0 - MINUTE.0)).map(|kline| kline.close);
        Some(Since { sum, before })
    }

    /// Adds what is not closed to closed minutes.
    pub fn and_open(&self, closed: Since) -> Option<Since> {
        let open = self.open.as_ref()?;
        let whole = open.is_whole() && self.ended.as_ref().is_none_or(|ended| ended.minute.is_whole());
        if !whole && !self.trusting {
            return None;
        }
        let mut since = closed;
        if let Some(ended) = &self.ended {
            since.sum.absorb(&ended.minute.kline);
        }
        since.sum.absorb(&open.kline);
        Some(since)
    }
}
