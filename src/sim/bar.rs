//! What trades come to: open, high, low, close and sums, counted from a list of trades or put together from shorter bars.
//!
//! The exchange has its own arithmetic, so that what the program derives can be held against it.

use super::decimal::{ONE, divide_nearest};
use crate::market::Trade;

/// Trades of a span of time. All numbers are at eight decimals. Trade ids of a symbol are contiguous, so the first one and
/// the count say which they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    /// The id of the first trade, -1 without trades.
    pub(super) first: i64,
    pub(super) open: i64,
    pub(super) high: i64,
    pub(super) low: i64,
    pub(super) close: i64,
    pub(super) volume: i128,
    /// Volume in the quote asset: the sum of the trades' values.
    pub(super) value: i128,
    pub(super) taker_volume: i128,
    pub(super) taker_value: i128,
    pub(super) trades: i64,
}

impl Bar {
    /// Nothing was traded; the last price was this one.
    pub(super) const fn empty(price: i64) -> Self {
        Self {
            first: -1,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: 0,
            value: 0,
            taker_volume: 0,
            taker_value: 0,
            trades: 0,
        }
    }

    /// Equal trades at one price.
    pub(super) fn of_equal(first: i64, trades: i64, price: i64, quantity: i64, buyer_is_maker: bool) -> Self {
        let volume = i128::from(trades) * i128::from(quantity);
        let value = i128::from(trades) * value_of(price, quantity);
        let (taker_volume, taker_value) = if buyer_is_maker { (0, 0) } else { (volume, value) };
        Self {
            first,
            open: price,
            high: price,
            low: price,
            close: price,
            volume,
            value,
            taker_volume,
            taker_value,
            trades,
        }
    }

    /// What these trades come to, given in the order of their ids; `None` if there are none.
    pub(super) fn of_trades(trades: &[Trade]) -> Option<Self> {
        let (first, last) = (trades.first()?, trades.last()?);
        let prices = || trades.iter().map(|trade| trade.price.0);
        let bought = || trades.iter().filter(|trade| !trade.buyer_is_maker);
        let quantity = |trade: &Trade| i128::from(trade.quantity.0);
        let value = |trade: &Trade| value_of(trade.price.0, trade.quantity.0);
        Some(Self {
            first: first.id,
            open: first.price.0,
            high: prices().max()?,
            low: prices().min()?,
            close: last.price.0,
            volume: trades.iter().map(quantity).sum(),
            value: trades.iter().map(value).sum(),
            taker_volume: bought().map(quantity).sum(),
            taker_value: bought().map(value).sum(),
            trades: trades.len() as i64,
        })
    }

    /// What these bars come to, given in the order of time; `None` if nothing was traded in them.
    pub(super) fn of_bars(bars: impl Iterator<Item = Self>) -> Option<Self> {
        bars.filter(|bar| bar.trades > 0).reduce(|sum, bar| Self {
            first: sum.first,
            open: sum.open,
            high: sum.high.max(bar.high),
            low: sum.low.min(bar.low),
            close: bar.close,
            volume: sum.volume + bar.volume,
            value: sum.value + bar.value,
            taker_volume: sum.taker_volume + bar.taker_volume,
            taker_value: sum.taker_value + bar.taker_value,
            trades: sum.trades + bar.trades,
        })
    }

    /// The id of the first trade, -1 without trades.
    pub(super) const fn first_id(&self) -> i64 {
        self.first
    }

    /// The id of the last trade, -1 without trades.
    pub(super) const fn last_id(&self) -> i64 {
        if self.trades == 0 { -1 } else { self.first + self.trades - 1 }
    }

    /// Close minus open.
    pub(super) const fn change(&self) -> i64 {
        self.close - self.open
    }

    /// The change in percent of the open, at three decimals, to the nearest.
    pub(super) fn change_percent(&self) -> i128 {
        if self.open == 0 {
            return 0;
        }
        divide_nearest(i128::from(self.change()) * 100_000, i128::from(self.open))
    }

    /// The volume-weighted average price, to the nearest; zero without volume.
    pub(super) fn average(&self) -> i128 {
        if self.volume == 0 {
            return 0;
        }
        // The value of a week of a coin with many zeros has room for eight more digits.
        divide_nearest(self.value * i128::from(ONE), self.volume)
    }
}

/// What a trade is worth in the quote asset, to the nearest at eight decimals: Binance's `quoteQty`.
pub(super) fn value_of(price: i64, quantity: i64) -> i128 {
    divide_nearest(i128::from(price) * i128::from(quantity), i128::from(ONE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Nanos, Price, Quantity};

    fn trade(id: i64, price: i64, quantity: i64, buyer_is_maker: bool) -> Trade {
        Trade { id, price: Price(price), quantity: Quantity(quantity), time: Nanos(id), buyer_is_maker }
    }

    /// 10.00 x 0.3 bought, 10.50 x 0.2 sold, 9.90 x 1 bought, 10.20 x 0.5 sold: by hand.
    #[test]
    fn a_bar_is_what_its_trades_come_to() {
        let trades = [
            trade(7, 1_000_000_000, 30_000_000, false),
            trade(8, 1_050_000_000, 20_000_000, true),
            trade(9, 990_000_000, 100_000_000, false),
            trade(10, 1_020_000_000, 50_000_000, true),
        ];
        let bar = Bar::of_trades(&trades).expect("trades");
        assert_eq!(
            [bar.open, bar.high, bar.low, bar.close],
            [1_000_000_000, 1_050_000_000, 990_000_000, 1_020_000_000]
        );
        // 0.3 + 0.2 + 1 + 0.5 = 2; 3 + 2.1 + 9.9 + 5.1 = 20.1.
        assert_eq!((bar.volume, bar.value), (200_000_000, 2_010_000_000));
        assert_eq!((bar.taker_volume, bar.taker_value), (130_000_000, 1_290_000_000));
        assert_eq!((bar.first_id(), bar.last_id(), bar.trades), (7, 10, 4));
        // 0.20 on 10.00 is 2 %; 20.1 / 2 = 10.05.
        assert_eq!((bar.change(), bar.change_percent(), bar.average()), (20_000_000, 2_000, 1_005_000_000));
        let parts =
            [Bar::empty(5), Bar::of_trades(&trades[..1]).expect("one"), Bar::of_trades(&trades[1..]).expect("three")];
        assert_eq!(Bar::of_bars(parts.into_iter()), Some(bar));
        assert_eq!(Bar::of_bars([Bar::empty(5)].into_iter()), None);
    }

    #[test]
    fn percent_and_average_go_to_the_nearest() {
        let moved = |open, close| Bar { open, close, ..Bar::empty(0) }.change_percent();
        // The captures of binance.md 3.2: 0.255509 % -> 0.256, -1.469669 % -> -1.470.
        assert_eq!(moved(100_000_000, 100_255_509), 256);
        assert_eq!(moved(100_000_000, 98_530_331), -1_470);
        assert_eq!((moved(100_000, 100_000), moved(0, 1)), (0, 0));
        let average = |value, volume| Bar { value, volume, ..Bar::empty(0) }.average();
        // 2 / 3 and 1 / 3.
        assert_eq!((average(200_000_000, 300_000_000), average(100_000_000, 300_000_000)), (66_666_667, 33_333_333));
        assert_eq!(Bar::empty(9).average(), 0);
        assert_eq!((Bar::empty(9).first_id(), Bar::empty(9).last_id()), (-1, -1));
    }

    #[test]
    fn each_trade_is_rounded_by_itself() {
        // 0.009107 x 0.005 = 0.000045535: at eight decimals 0.00004554, twice 0.00009108 and not 0.00009107.
        assert_eq!(value_of(910_700, 500_000), 4_554);
        let trades = [trade(1, 910_700, 500_000, true), trade(2, 910_700, 500_000, true)];
        assert_eq!(Bar::of_trades(&trades).expect("trades").value, 9_108);
        assert_eq!(Bar::of_trades(&trades), Some(Bar::of_equal(1, 2, 910_700, 500_000, true)));
    }
}
