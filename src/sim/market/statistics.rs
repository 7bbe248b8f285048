//! Candles and day statistics of one symbol, kept as a deque of minutes.

use std::collections::VecDeque;

use crate::{
    market::{Best, Kline, MiniTicker, Nanos, Price, Quantity, Series, Ticker, Trade, Volume},
    sim::decimal::{ONE, divide_nearest},
};

/// One minute in nanoseconds.
pub(in crate::sim) const MINUTE: i64 = 60_000_000_000;
/// Minutes in the rolling day.
const DAY_MINUTES: usize = 1_440;
const DAY: i64 = DAY_MINUTES as i64 * MINUTE;

/// The rolling day of one symbol; it begins with the exchange.
#[derive(Debug)]
pub(super) struct Statistics {
    /// Complete minutes and, last, the one in the making. Never empty, at most a day and one.
    minutes: VecDeque<Kline>,
    /// The last price, whenever that was.
    last: Price,
    last_quantity: Quantity,
    /// The last price before the window.
    previous_close: Price,
}

impl Statistics {
    pub(super) fn new(now: Nanos, price: Price) -> Self {
        let minutes = VecDeque::from([empty(now, price)]);
        Self { minutes, last: price, last_quantity: Quantity::ZERO, previous_close: price }
    }

    /// Counts a fill. Its minute has been begun: see [`Statistics::begin_minute`].
    pub(super) fn count(&mut self, trade: &Trade) {
        let minute = self.minutes.back_mut().expect("never empty");
        if minute.trades == 0 {
            (minute.first_id, minute.open, minute.high, minute.low) = (trade.id, trade.price, trade.price, trade.price);
        }
        let value = i128::from(trade.price.0) * i128::from(trade.quantity.0);
        minute.last_id = trade.id;
        minute.close = trade.price;
        minute.high = minute.high.max(trade.price);
        minute.low = minute.low.min(trade.price);
        minute.volume.0 += i128::from(trade.quantity.0);
        minute.quote_volume.0 += value;
        if !trade.buyer_is_maker {
            minute.taker_volume.0 += i128::from(trade.quantity.0);
            minute.taker_quote_volume.0 += value;
        }
        minute.trades += 1;
        (self.last, self.last_quantity) = (trade.price, trade.quantity);
    }

    /// Ends the minute in the making and begins the one of `now`; returns the candle that is final now.
    pub(super) fn begin_minute(&mut self, now: Nanos) -> Kline {
        let last = self.minutes.back_mut().expect("never empty");
        last.closed = true;
        let closed = at_wire_scale(last);
        self.minutes.push_back(empty(now, self.last));
        while self.minutes.len() > DAY_MINUTES + 1 {
            if let Some(gone) = self.minutes.pop_front().filter(|minute| minute.trades > 0) {
                self.previous_close = gone.close;
            }
        }
        closed
    }

    /// The candle in the making.
    pub(super) fn candle(&self) -> Kline {
        at_wire_scale(self.minutes.back().expect("never empty"))
    }

    /// The candles of the day, oldest first.
    pub(super) fn candles(&self) -> impl Iterator<Item = Kline> {
        self.minutes.iter().map(at_wire_scale)
    }

    /// The day's statistics at `now`; `None` before the first trade.
    pub(super) fn ticker(&self, now: Nanos, best: &Best) -> Option<Ticker> {
        let traded = || self.minutes.iter().filter(|minute| minute.trades > 0);
        let (first, last) = (traded().next()?, traded().next_back()?);
        let volume: i128 = traded().map(|minute| minute.volume.0).sum();
        let value: i128 = traded().map(|minute| minute.quote_volume.0).sum();
        let change = self.last.0 - first.open.0;
        let percent = divide_nearest(i128::from(change) * 100_000, i128::from(first.open.0));
        Some(Ticker {
            mini: MiniTicker {
                close: self.last,
                open: first.open,
                high: traded().map(|minute| minute.high).max()?,
                low: traded().map(|minute| minute.low).min()?,
                volume: Volume(volume),
                quote_volume: Volume(divide_nearest(value, i128::from(ONE))),
            },
            change: Price(change),
            change_percent: percent as i64,
            weighted_average: Price(divide_nearest(value, volume) as i64),
            previous_close: self.previous_close,
            last_quantity: self.last_quantity,
            bid: best.bid,
            ask: best.ask,
            open_time: Nanos(now.0 - DAY),
            close_time: now,
            first_id: first.first_id,
            last_id: last.last_id,
            trades: traded().map(|minute| minute.trades).sum(),
        })
    }
}

/// The candle of the minute of `now` in which nothing has happened: it carries the last price.
fn empty(now: Nanos, price: Price) -> Kline {
    Kline {
        series: Series::MINUTE,
        open_time: Nanos(now.0.div_euclid(MINUTE) * MINUTE),
        first_id: -1,
        last_id: -1,
        open: price,
        close: price,
        high: price,
        low: price,
        volume: Volume(0),
        quote_volume: Volume(0),
        taker_volume: Volume(0),
        taker_quote_volume: Volume(0),
        trades: 0,
        closed: false,
    }
}

/// Sums of price times quantity are kept at sixteen decimals, so that nothing is lost; the wire has eight.
fn at_wire_scale(minute: &Kline) -> Kline {
    let eight = |volume: Volume| Volume(divide_nearest(volume.0, i128::from(ONE)));
    Kline { quote_volume: eight(minute.quote_volume), taker_quote_volume: eight(minute.taker_quote_volume), ..*minute }
}
