//! Candles and statistics the slow way: every trade looked at anew for every candle.

use super::*;
use tickcast::market::RollingTicker;

/// All trades, in the order of ids.
pub struct Oracle {
    trades: Vec<AggTrade>,
}

const DAY_S: i64 = 86_400;

/// Days since 1970-01-01 of the first days of all months, by counting.
fn month_starts() -> Vec<i64> {
    let mut starts = vec![0];
    let mut day = 0;
    for year in 1970..2040 {
        let leap = year % 4 == 0;
        for length in [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            day += length;
            starts.push(day);
        }
    }
    starts
}

/// Length in seconds and shift of the zone; months have length 0.
fn shape(series: Series) -> (i64, i64) {
    let text = series.interval().text();
    let (count, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => DAY_S,
        "w" => 7 * DAY_S,
        "M" => 0,
        other => panic!("{other}"),
    };
    (count.parse::<i64>().expect("a number") * unit, series.zone().offset() / SECOND)
}

pub fn open_of(series: Series, at: Nanos) -> Nanos {
    let (length, shift) = shape(series);
    let local = at.0.div_euclid(SECOND) + shift;
    let open = if length == 0 {
        let day = local / DAY_S;
        month_starts().into_iter().rfind(|&start| start <= day).expect("after 1970") * DAY_S
    } else if length == 7 * DAY_S {
        // 1970-01-05 was a Monday.
        (local - 4 * DAY_S) / length * length + 4 * DAY_S
    } else {
        local / length * length
    };
    Nanos((open - shift) * SECOND)
}

pub fn next_open(series: Series, open: Nanos) -> Nanos {
    let (length, _) = shape(series);
    if length > 0 {
        return Nanos(open.0 + length * SECOND);
    }
    let mut at = open;
    while open_of(series, at) == open {
        at.0 += DAY_S * SECOND;
    }
    open_of(series, at)
}

/// A product of two numbers with eight decimals, with eight decimals, halves up.
fn value(trade: &AggTrade) -> i128 {
    (i128::from(trade.price.0) * i128::from(trade.quantity.0) + 50_000_000) / 100_000_000
}

impl Oracle {
    pub fn new(trades: impl Iterator<Item = AggTrade>) -> Self {
        Self { trades: trades.collect() }
    }

    /// The closed candle that opens at `open`; `None` if nothing was traded up to its end.
    pub fn candle(&self, series: Series, open: Nanos) -> Option<Kline> {
        let end = next_open(series, open);
        let start = self.trades.partition_point(|trade| trade.time < open);
        let stop = self.trades.partition_point(|trade| trade.time < end);
        let inside = &self.trades[start..stop];
        let before = self.trades[..start].last();
        let (Some(first), Some(last)) = (inside.first(), inside.last()) else {
            return before.map(|before| Kline { closed: true, ..Kline::empty(series, open, before.price) });
        };
        let sum = |wanted: &dyn Fn(&AggTrade) -> i128| Volume(inside.iter().map(wanted).sum());
        Some(Kline {
            series,
            open_time: open,
            first_id: first.id,
            last_id: last.id,
            open: first.price,
            close: last.price,
            high: inside.iter().map(|trade| trade.price).max()?,
            low: inside.iter().map(|trade| trade.price).min()?,
            volume: sum(&|trade| trade.quantity.0.into()),
            quote_volume: sum(&value),
            taker_volume: sum(&|trade| if trade.buyer_is_maker { 0 } else { trade.quantity.0.into() }),
            taker_quote_volume: sum(&|trade| if trade.buyer_is_maker { 0 } else { value(trade) }),
            trades: inside.len() as i64,
            closed: true,
        })
    }

    /// `count` closed candles from the one that opens at `from` on.
    pub fn candles(&self, series: Series, from: Nanos, count: usize) -> Vec<Kline> {
        let mut open = from;
        let mut candles = Vec::new();
        for _ in 0..count {
            candles.extend(self.candle(series, open));
            open = next_open(series, open);
        }
        candles
    }
}

/// The weighted mean price of the running second and the 300 before it; the last price if nothing was traded.
pub fn mean(trades: &[AggTrade], at: Nanos) -> i64 {
    let second = at.0 / SECOND;
    let inside: Vec<_> = trades.iter().filter(|trade| trade.time.0 / SECOND > second - 301).collect();
    let quantity: i128 = inside.iter().map(|trade| i128::from(trade.quantity.0)).sum();
    let total: i128 = inside.iter().map(|trade| value(trade)).sum();
    half_up(total * 100_000_000, quantity).try_into().expect("a price")
}

fn half_up(numerator: i128, denominator: i128) -> i128 {
    let sign = numerator.signum() * denominator.signum();
    sign * ((2 * numerator.abs() + denominator.abs()) / (2 * denominator.abs()))
}

pub fn check_rolling(found: &RollingTicker, trades: &[AggTrade], from: i64, now: Nanos) {
    let inside: Vec<_> = trades.iter().filter(|trade| trade.time.0 >= from).collect();
    let (first, last) = (inside[0], inside[inside.len() - 1]);
    assert_eq!((found.open_time.0, found.close_time), (from, now));
    assert_eq!((found.first_id, found.last_id, found.trades), (first.id, last.id, inside.len() as i64));
    assert_eq!((found.mini.open, found.mini.close), (first.price, last.price));
    assert_eq!(Some(found.mini.high), inside.iter().map(|trade| trade.price).max());
    assert_eq!(Some(found.mini.low), inside.iter().map(|trade| trade.price).min());
    let quantity: i128 = inside.iter().map(|trade| i128::from(trade.quantity.0)).sum();
    let total: i128 = inside.iter().map(|trade| value(trade)).sum();
    assert_eq!((found.mini.volume.0, found.mini.quote_volume.0), (quantity, total));
    let change = last.price.0 - first.price.0;
    assert_eq!(found.change.0, change);
    assert_eq!(i128::from(found.change_percent), half_up(i128::from(change) * 100_000, first.price.0.into()));
    assert_eq!(i128::from(found.weighted_average.0), half_up(total * 100_000_000, quantity));
}
