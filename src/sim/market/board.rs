//! What one symbol says on a timer: candles, statistics, average and reference price. Only what somebody wants is made.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Arrays, Print, SECOND, What,
    ledger::{Ledger, Sum},
    statistics::{Statistic, Statistics},
};
use crate::{
    market::{Best, Nanos},
    sim::{channel::Channel, timeframe::Timeframe},
};

/// Candles that closed while nobody looked, as after a suspend, are said up to so many seconds back.
const LATE_S_MAX: i64 = 3_600;

/// The timers' state of one symbol.
#[derive(Debug, Default)]
pub(super) struct Board {
    symbol: u32,
    /// Channels that have subscribers; those without a timer are of no interest here.
    wanted: BTreeSet<Channel>,
    /// Sums of candles and windows that are asked for again and again.
    sums: BTreeMap<Channel, Sum>,
    /// What was said last.
    said: BTreeMap<Statistic, Statistics>,
    /// The last second whose closing candles have been said.
    second: i64,
}

impl Board {
    pub(super) fn new(symbol: u32, now: Nanos) -> Self {
        Self { symbol, second: now.0.div_euclid(SECOND), ..Self::default() }
    }

    /// A channel has subscribers from now on, or has none.
    pub(super) fn want(&mut self, channel: Channel, wanted: bool) {
        if wanted {
            self.wanted.insert(channel);
        } else {
            self.wanted.remove(&channel);
            self.sums.remove(&channel);
        }
    }

    /// A second is over: the candles that end with it are final.
    pub(super) fn push_closed(&mut self, ledger: &mut Ledger, quiet: bool, now: Nanos, out: &mut Vec<Print>) {
        ledger.pass(now);
        let (before, second) = (self.second, now.0.div_euclid(SECOND));
        self.second = second;
        if quiet || second <= before {
            return;
        }
        for timeframe in self.timeframes() {
            let mut open = timeframe.open(before.max(second - LATE_S_MAX));
            while timeframe.next(open) <= second {
                out.push(self.candle(ledger, timeframe, open, now));
                open = timeframe.next(open);
            }
        }
    }

    /// The candles in the making; of seconds there are none.
    pub(super) fn push_open(&mut self, ledger: &mut Ledger, now: Nanos, out: &mut Vec<Print>) {
        ledger.pass(now);
        for timeframe in self.timeframes().into_iter().filter(|timeframe| !timeframe.is_second()) {
            out.push(self.candle(ledger, timeframe, timeframe.open(now.0.div_euclid(SECOND)), now));
        }
    }

    /// Statistics that changed since they were said last, for the symbol's own streams and for arrays; average and
    /// reference price in any case.
    pub(super) fn push_statistics(
        &mut self,
        ledger: &mut Ledger,
        (best, has_reference): (&Best, bool),
        arrays: &mut Arrays,
        now: Nanos,
        out: &mut Vec<Print>,
    ) {
        ledger.pass(now);
        for statistic in Statistic::ALL {
            let channel = Channel::of_statistic(statistic);
            let is_wanted = self.wanted.contains(&channel);
            if !is_wanted && !arrays.want(statistic) {
                self.said.remove(&statistic);
                self.sums.remove(&channel);
                continue;
            }
            let known = self.sums.entry(channel).or_default();
            let statistics = match statistic {
                Statistic::Mini | Statistic::Day => Statistics::of_day_again(ledger, known, best, now),
                Statistic::Rolling(_) => Statistics::of_window_again(ledger, known, best, statistic.minutes(), now),
            };
            let essence = statistics.essence(statistic);
            if self.said.insert(statistic, essence) == Some(essence) {
                continue;
            }
            if is_wanted {
                out.push(self.print(now, What::Statistics(statistic, Box::new(statistics))));
            }
            arrays.add(statistic, self.symbol, now, &statistics);
        }
        if self.wanted.contains(&Channel::Average) {
            let time = ledger.last().map_or(now, |trade| trade.time);
            out.push(self.print(now, What::Average { price: ledger.average(), time }));
        }
        if self.wanted.contains(&Channel::Reference) {
            let price = if has_reference { ledger.reference(now) } else { None };
            out.push(self.print(now, What::Reference(price)));
        }
    }

    fn timeframes(&self) -> Vec<Timeframe> {
        let timeframe =
            |channel: &Channel| if let Channel::Kline(timeframe) = channel { Some(*timeframe) } else { None };
        self.wanted.iter().filter_map(timeframe).collect()
    }

    fn candle(&mut self, ledger: &mut Ledger, timeframe: Timeframe, open: i64, now: Nanos) -> Print {
        let known = self.sums.entry(Channel::Kline(timeframe)).or_default();
        let candle = ledger.candle(timeframe, open, known);
        self.print(now, What::Kline(Box::new(candle)))
    }

    const fn print(&self, time: Nanos, what: What) -> Print {
        Print { symbol: self.symbol, time, what }
    }
}
