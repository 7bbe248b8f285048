//! The longer candles in the making: what their closed minutes add up to.

use super::history::History;
use crate::market::{Kline, Nanos, Price, Series};

/// One candle in the making for each series longer than a minute.
#[derive(Debug)]
pub(super) struct Sums {
    /// With whether all of its closed minutes are in it.
    list: Vec<(Kline, bool)>,
    lacking: [Option<Nanos>; Series::COUNT],
    begun: bool,
}

impl Default for Sums {
    fn default() -> Self {
        let list = longer().map(|series| (Kline::empty(series, Nanos(0), Price(0)), false)).collect();
        Self { list, lacking: [None; Series::COUNT], begun: false }
    }
}

/// The series whose candles are made of minutes.
pub fn longer() -> impl Iterator<Item = Series> {
    Series::ALL.into_iter().filter(|&series| series != Series::SECOND && series != Series::MINUTE)
}

impl Sums {
    /// The closed minutes of the candle in the making, and whether they are all there.
    pub(super) fn get(&self, series: Series) -> Option<(Kline, bool)> {
        // Seconds and minutes are the first two.
        self.list.get(series.index().checked_sub(2)?).copied().filter(|_| self.begun)
    }

    /// The first minute ever is about to be counted.
    pub(super) fn reach(&mut self, open: Nanos) {
        if !self.begun {
            self.begun = true;
            for (sum, whole) in &mut self.list {
                (*sum, *whole) = begin(sum.series, open);
            }
        }
    }

    /// Adds a closed minute, the next in time; puts down what ends with it.
    pub(super) fn add(&mut self, minute: &Kline, trusting: bool, hours: &mut History, closed: &mut Vec<Kline>) {
        for (sum, whole) in &mut self.list {
            sum.absorb(minute);
            if sum.trades == 0 {
                (sum.open, sum.high, sum.low, sum.close) = (minute.close, minute.close, minute.close, minute.close);
            }
            if minute.end() < sum.end() {
                continue;
            }
            if *whole || trusting {
                sum.closed = true;
                closed.push(*sum);
                if sum.series == Series::HOUR {
                    hours.put(sum);
                }
            } else {
                lack(&mut self.lacking, sum, hours);
            }
            (*sum, *whole) = begin(sum.series, minute.end());
        }
    }

    /// A closed minute is not known.
    pub(super) fn miss(&mut self, open: Nanos, hours: &mut History) {
        let minute = Kline::empty(Series::MINUTE, open, Price(0));
        self.lacking[Series::MINUTE.index()].get_or_insert(open);
        for (sum, whole) in &mut self.list {
            *whole = false;
            if minute.end() >= sum.end() {
                lack(&mut self.lacking, sum, hours);
                (*sum, *whole) = begin(sum.series, minute.end());
            }
        }
    }

    /// Nothing is known from one minute to another.
    pub(super) fn jump(&mut self, from: Nanos, to: Nanos) {
        self.lacking[Series::MINUTE.index()].get_or_insert(from);
        for (sum, whole) in &mut self.list {
            if sum.end() <= to {
                self.lacking[sum.series.index()].get_or_insert(sum.open_time);
                (*sum, *whole) = begin(sum.series, to);
            }
            *whole = false;
        }
    }

    /// Adds up what was not known, from whole hours where they are there and from minutes, up to the minute at `end`.
    pub(super) fn recover(&mut self, end: Nanos, minutes: &History, hours: &History, nothing_before: Option<Nanos>) {
        for (sum, whole) in self.list.iter_mut().filter(|(_, whole)| !whole) {
            let open = sum.open_time;
            let mut anew = Kline::empty(sum.series, open, Price(0));
            let mut at = nothing_before.map_or(open, |nothing| open.max(nothing));
            while at < end {
                let hour = hours.get(at).filter(|hour| hour.end() <= end);
                let Some(next) = hour.or_else(|| minutes.get(at)) else { break };
                anew.absorb(next);
                at = next.end();
            }
            if at >= end {
                (*sum, *whole) = (anew, true);
            }
        }
    }

    pub(super) fn take_lacking(&mut self, series: Series) -> Option<Nanos> {
        self.lacking[series.index()].take()
    }
}

/// The candle of `series` that holds the minute at `open`: whole if that is its first.
fn begin(series: Series, open: Nanos) -> (Kline, bool) {
    let kline = Kline::empty(series, series.open_time(open), Price(0));
    (kline, kline.open_time == open)
}

fn lack(lacking: &mut [Option<Nanos>; Series::COUNT], sum: &Kline, hours: &mut History) {
    lacking[sum.series.index()].get_or_insert(sum.open_time);
    if sum.series == Series::HOUR {
        hours.extend_to(sum.open_time);
    }
}
