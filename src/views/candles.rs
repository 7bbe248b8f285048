//! The newest candles of one instrument, brought up to date with its trades when somebody asks.
//!
//! Open candles are published every other second only. What is newer than the published one is in the trades that are
//! known, so that an answer is as of now, and the same numbers come out as those that will be published.

use super::recent::Recent;
use crate::market::{Decimals, Kline, Series, Trade};

/// The newest candles of every series.
#[derive(Debug)]
pub(super) struct Candles(Box<[Option<Newest>; Series::COUNT]>);

/// The newest candles of one series.
#[derive(Clone, Copy, Debug)]
struct Newest {
    /// As it was published last.
    candle: Kline,
    /// The closed one before it: the store may not have it yet.
    before: Option<Kline>,
    /// Trades were lost after it was published: it cannot be brought up to date.
    has_lost: bool,
}

impl Candles {
    pub(super) fn new() -> Self {
        Self(Box::new([None; Series::COUNT]))
    }

    /// Takes in what was published.
    pub(super) fn publish(&mut self, kline: Kline) {
        let newest = &mut self.0[kline.series.index()];
        match newest {
            Some(newest) if kline.open_time < newest.candle.open_time => {
                // A late word on the one before: it only counts if it is the last.
                if newest.before.is_none_or(|before| before.open_time <= kline.open_time) && kline.closed {
                    newest.before = Some(kline);
                }
            }
            Some(newest) => {
                if kline.open_time > newest.candle.open_time {
                    newest.before = Some(newest.candle).filter(|candle| candle.closed);
                }
                (newest.candle, newest.has_lost) = (kline, false);
            }
            None => *newest = Some(Newest { candle: kline, before: None, has_lost: false }),
        }
    }

    /// Updates were lost: until the next candle is published, trades do not tell what came after the last one.
    pub(super) fn lose(&mut self) {
        self.0.iter_mut().flatten().for_each(|newest| newest.has_lost = true);
    }

    /// The newest candles of a series as of the newest of `trades`, the oldest first: one that has just closed, the
    /// published one, and one that was begun by a trade and is yet to be published; not all of them need be there.
    pub(super) fn fresh(&self, series: Series, trades: &Recent<Trade>, decimals: Decimals) -> Vec<Kline> {
        let Some(Newest { mut candle, before, has_lost }) = self.0[series.index()] else { return Vec::new() };
        let mut fresh: Vec<_> = before.into_iter().collect();
        if has_lost || !can_follow(&candle, trades) {
            fresh.push(candle);
            return fresh;
        }
        let mut end = candle.end();
        // Ids tell what is new; a candle without trades has none, and then the time does.
        let since = if candle.last_id >= 0 { candle.last_id } else { i64::MIN };
        let open = candle.open_time;
        for trade in trades.after(since).filter(|trade| trade.time >= open) {
            if trade.time >= end {
                fresh.push(candle);
                candle = Kline::empty(series, series.open_time(trade.time), candle.close);
                end = candle.end();
            }
            if !candle.closed {
                candle.add(trade, decimals);
            }
        }
        fresh.push(candle);
        let surplus = fresh.len().saturating_sub(FRESH_MAX);
        fresh.drain(..surplus);
        fresh
    }
}

/// Most candles in an answer: candles of a second may come in any number while nothing is published.
const FRESH_MAX: usize = 3;

/// Whether all trades since this candle was published are known.
fn can_follow(candle: &Kline, trades: &Recent<Trade>) -> bool {
    if candle.last_id >= 0 {
        return trades.reaches(Some(candle.last_id));
    }
    // One with trades but without ids was fetched: nobody knows which trades are in it.
    candle.trades == 0 && (trades.reaches(None) || trades.oldest().is_some_and(|oldest| oldest.time < candle.open_time))
}
