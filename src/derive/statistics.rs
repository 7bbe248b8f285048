//! Rolling statistics of the last day, hour and four hours, from minutes.

use super::candles::{Candles, Since};
use crate::{
    market::{DAY, Decimals, Level, MINUTE, MiniTicker, Nanos, Price, Quantity, RollingTicker, Ticker},
    topic::Window,
};

/// The sums of closed minutes behind each window, added up anew only when minutes change or leave.
///
/// All windows begin at a whole minute, so that they are up to 59,999 ms longer than their name says, as Binance's rolling
/// ones are (binance.md section 4.7). The 24 h ticker prints `O` = `C` - 24 h although its sums begin up to a minute earlier.
/// Without any trade in the window ids are -1, counts and volumes zero, and all prices the last one known.
#[derive(Debug, Default)]
pub struct Statistics {
    cached: [Option<Cached>; Window::ALL.len()],
}

#[derive(Clone, Copy, Debug)]
struct Cached {
    from: Nanos,
    revision: u64,
    sum: Option<Since>,
}

/// What a ticker says besides the trades of its window.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around {
    /// Quantity of the last trade.
    pub last_quantity: Quantity,
    /// Best bid.
    pub bid: Level,
    /// Best ask.
    pub ask: Level,
}

impl Statistics {
    /// The statistics of `window` at `now`; `None` unless all of its minutes are known.
    pub fn rolling(
        &mut self,
        window: Window,
        candles: &Candles,
        now: Nanos,
        decimals: Decimals,
    ) -> Option<RollingTicker> {
        self.window(window, candles, now, decimals).map(|(ticker, _)| ticker)
    }

    /// The statistics of the last 24 hours at `now`; `None` unless all of its minutes are known.
    pub fn day(&mut self, candles: &Candles, around: &Around, now: Nanos, decimals: Decimals) -> Option<Ticker> {
        let (rolling, before) = self.window(Window::Day1, candles, now, decimals)?;
        let RollingTicker { mini, change, change_percent, weighted_average, first_id, last_id, trades, .. } = rolling;
        let Around { last_quantity, bid, ask } = *around;
        Some(Ticker {
            mini,
            change,
            change_percent,
            weighted_average,
            previous_close: before.unwrap_or(mini.open),
            last_quantity,
            bid,
            ask,
            open_time: Nanos(now.0 - DAY.0),
            close_time: now,
            first_id,
            last_id,
            trades,
        })
    }

    fn window(
        &mut self,
        window: Window,
        candles: &Candles,
        now: Nanos,
        decimals: Decimals,
    ) -> Option<(RollingTicker, Option<Price>)> {
        let from = Nanos((now.0 - window.minutes() * MINUTE.0).div_euclid(MINUTE.0) * MINUTE.0);
        let cached = &mut self.cached[window as usize];
        let revision = candles.revision();
        let sum = match cached {
            Some(known) if known.from == from && known.revision == revision => known.sum,
            _ => {
                let sum = candles.sum_closed(from);
                *cached = Some(Cached { from, revision, sum });
                sum
            }
        };
        let Since { sum, before } = candles.and_open(sum?)?;
        let last = candles.last_price()?;
        let empty = sum.trades == 0;
        let price = |price: Price| if empty { last } else { price };
        let mini = MiniTicker {
            close: price(sum.close),
            open: price(sum.open),
            high: price(sum.high),
            low: price(sum.low),
            volume: sum.volume,
            quote_volume: sum.quote_volume,
        };
        let ticker = RollingTicker {
            mini,
            change: mini.change(),
            change_percent: mini.change_percent(),
            weighted_average: mini.weighted_average(decimals),
            open_time: from,
            close_time: now,
            first_id: sum.first_id,
            last_id: sum.last_id,
            trades: sum.trades,
        };
        Some((ticker, before))
    }
}

/// Whether two tickers differ in more than their times.
pub fn is_other_day(before: &Ticker, after: &Ticker) -> bool {
    Ticker { open_time: before.open_time, close_time: before.close_time, ..*after } != *before
}

/// Whether two rolling tickers differ in more than their times.
pub fn is_other_rolling(before: &RollingTicker, after: &RollingTicker) -> bool {
    RollingTicker { open_time: before.open_time, close_time: before.close_time, ..*after } != *before
}
