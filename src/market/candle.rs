//! Candles, and how trades and shorter candles add up to longer ones.

use super::{Decimals, MiniTicker, Nanos, Price, Quantity, Series, Trade, Volume};

/// A candle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kline {
    /// Of which sequence.
    pub series: Series,
    /// First instant of the candle.
    pub open_time: Nanos,
    /// First trade inside, -1 if none (or not known yet: REST rows have no ids).
    pub first_id: i64,
    /// Last trade inside, -1 if none (or not known).
    pub last_id: i64,
    /// Open.
    pub open: Price,
    /// Close so far.
    pub close: Price,
    /// High.
    pub high: Price,
    /// Low.
    pub low: Price,
    /// Base volume.
    pub volume: Volume,
    /// Quote volume.
    pub quote_volume: Volume,
    /// Base volume of buying takers.
    pub taker_volume: Volume,
    /// Quote volume of buying takers.
    pub taker_quote_volume: Volume,
    /// Number of trades.
    pub trades: i64,
    /// Whether it is final.
    pub closed: bool,
}

impl Kline {
    /// A candle in which nothing has happened: it carries the last price before it (binance.md section 4.4).
    pub const fn empty(series: Series, open_time: Nanos, price: Price) -> Self {
        Self {
            series,
            open_time,
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

    /// First instant behind it.
    pub fn end(&self) -> Nanos {
        self.series.next_open(self.open_time)
    }

    /// Counts a trade, the newest so far, of an instrument with these decimals.
    pub fn add(&mut self, trade: &Trade, decimals: Decimals) {
        if self.trades == 0 {
            (self.first_id, self.open, self.high, self.low) = (trade.id, trade.price, trade.price, trade.price);
        } else if self.first_id < 0 {
            self.first_id = trade.id - self.trades;
        }
        let value = decimals.value(trade.price, trade.quantity).0;
        self.last_id = trade.id;
        self.close = trade.price;
        self.high = self.high.max(trade.price);
        self.low = self.low.min(trade.price);
        self.volume.0 += i128::from(trade.quantity.0);
        self.quote_volume.0 += value;
        if !trade.buyer_is_maker {
            self.taker_volume.0 += i128::from(trade.quantity.0);
            self.taker_quote_volume.0 += value;
        }
        self.trades += 1;
    }

    /// Appends a shorter candle, the next in time. Where one of both has no ids, those of the other tell them: ids rise by one.
    pub fn absorb(&mut self, next: &Self) {
        if next.trades == 0 {
            return;
        }
        if self.trades == 0 {
            (self.first_id, self.open, self.high, self.low) = (next.first_id, next.open, next.high, next.low);
        } else if self.first_id < 0 && next.first_id >= 0 {
            self.first_id = next.first_id - self.trades;
        }
        let is_unnumbered = next.last_id < 0 && self.last_id >= 0;
        self.last_id = if is_unnumbered { self.last_id + next.trades } else { next.last_id };
        self.close = next.close;
        self.high = self.high.max(next.high);
        self.low = self.low.min(next.low);
        self.volume.0 += next.volume.0;
        self.quote_volume.0 += next.quote_volume.0;
        self.taker_volume.0 += next.taker_volume.0;
        self.taker_quote_volume.0 += next.taker_quote_volume.0;
        self.trades += next.trades;
    }
}

impl Decimals {
    /// Price times quantity at the decimals of quote volumes, to the nearest, half up: what Binance prints as `quoteQty`.
    pub fn value(self, price: Price, quantity: Quantity) -> Volume {
        let product = i128::from(price.0) * i128::from(quantity.0);
        let from = self.price.saturating_add(self.quantity);
        if from > self.quote {
            // The product of two 64-bit numbers is below 10^38.3; a divisor beyond that leaves nothing.
            let divisor = 10_i128.checked_pow(u32::from(from - self.quote));
            return Volume(divisor.map_or(0, |divisor| divide_nearest(product, divisor)));
        }
        Volume(product.saturating_mul(10_i128.saturating_pow(u32::from(self.quote - from))))
    }

    /// Quote volume over base volume as a price, to the nearest (binance.md section 3.2); `None` without base volume, or
    /// where no price is that high.
    pub fn mean(self, quote: Volume, base: Volume) -> Option<Price> {
        if base.0 == 0 {
            return None;
        }
        let scale = |places: i32| 10_i128.saturating_pow(places.max(0) as u32);
        let places = i32::from(self.price) + i32::from(self.quantity) - i32::from(self.quote);
        let numerator = quote.0.saturating_mul(scale(places));
        let denominator = base.0.saturating_mul(scale(-places));
        i64::try_from(divide_nearest(numerator, denominator)).ok().map(Price)
    }
}

impl MiniTicker {
    /// From the first price to the last.
    pub const fn change(&self) -> Price {
        Price(self.close.0.saturating_sub(self.open.0))
    }

    /// The same in thousandths of a percent, to the nearest (binance.md section 3.2).
    pub fn change_percent(&self) -> i64 {
        let change = self.change().0;
        let thousandths = divide_nearest(i128::from(change) * 100_000, i128::from(self.open.0));
        i64::try_from(thousandths).unwrap_or(if change < 0 { i64::MIN } else { i64::MAX })
    }

    /// The mean price by volume; where nothing was traded, the price carried.
    pub fn weighted_average(&self, decimals: Decimals) -> Price {
        decimals.mean(self.quote_volume, self.volume).unwrap_or(self.close)
    }
}

impl From<&Kline> for MiniTicker {
    fn from(kline: &Kline) -> Self {
        let Kline { open, high, low, close, volume, quote_volume, .. } = *kline;
        Self { close, open, high, low, volume, quote_volume }
    }
}

/// `numerator / denominator` to the nearest, halves away from zero (binance.md section 3.2); zero for a denominator of zero.
pub const fn divide_nearest(numerator: i128, denominator: i128) -> i128 {
    if denominator == 0 {
        return 0;
    }
    let (quotient, rest) = (numerator / denominator, numerator % denominator);
    let half_or_more = rest.unsigned_abs() >= denominator.unsigned_abs().div_ceil(2);
    if !half_or_more {
        quotient
    } else if (numerator < 0) == (denominator < 0) {
        quotient + 1
    } else {
        quotient - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trade(id: i64, price: i64, quantity: i64, buyer_is_maker: bool) -> Trade {
        Trade { id, price: Price(price), quantity: Quantity(quantity), time: Nanos(id), buyer_is_maker }
    }

    #[test]
    fn parts_of_a_candle_add_up_to_the_whole() {
        let trades = [trade(5, 300, 7, true), trade(6, 310, 1, false), trade(7, 290, 2, false), trade(8, 299, 3, true)];
        let decimals = Decimals { price: 2, quantity: 1, quote: 3, ..Decimals::EIGHT };
        let empty = Kline::empty(Series::MINUTE, Nanos(0), Price(123));
        let of = |trades: &[Trade]| {
            let mut candle = empty;
            trades.iter().for_each(|trade| candle.add(trade, decimals));
            candle
        };
        let whole = of(&trades);
        for cut in 0..=trades.len() {
            let (mut front, back) = (of(&trades[..cut]), of(&trades[cut..]));
            front.absorb(&back);
            assert_eq!(front, whole, "cut at {cut}");
        }
        assert_eq!((whole.first_id, whole.last_id, whole.trades), (5, 8, 4));
        assert_eq!([whole.open, whole.high, whole.low, whole.close].map(|price| price.0), [300, 310, 290, 299]);
        assert_eq!((whole.volume, whole.quote_volume), (Volume(13), Volume(2100 + 310 + 580 + 897)));
        assert_eq!((whole.taker_volume, whole.taker_quote_volume), (Volume(3), Volume(890)));
    }

    #[test]
    fn what_has_no_ids_gets_them_from_what_comes_before_or_behind() {
        let empty = Kline::empty(Series::MINUTE, Nanos(0), Price(1));
        // Three trades that a REST row tells of, and two that were seen.
        let row = Kline { trades: 3, ..empty };
        let seen = Kline { trades: 2, first_id: 10, last_id: 11, ..empty };
        let sum = |parts: &[Kline]| {
            let mut sum = empty;
            parts.iter().for_each(|part| sum.absorb(part));
            (sum.first_id, sum.last_id, sum.trades)
        };
        assert_eq!(sum(&[row, seen]), (7, 11, 5));
        assert_eq!(sum(&[row, empty, row, seen]), (4, 11, 8));
        assert_eq!(sum(&[seen, row]), (10, 14, 5));
        assert_eq!(sum(&[seen, row, row]), (10, 17, 8));
        assert_eq!(sum(&[row, row]), (-1, -1, 6), "nobody knows");
        let mut counted = row;
        let trade = Trade { id: 10, price: Price(1), quantity: Quantity(1), time: Nanos(0), buyer_is_maker: false };
        counted.add(&trade, Decimals::EIGHT);
        assert_eq!((counted.first_id, counted.last_id, counted.trades), (7, 10, 4));
    }

    #[test]
    fn division_goes_to_the_nearest_halves_away_from_zero() {
        for (numerator, denominator, expected) in
            [(5, 2, 3), (-5, 2, -3), (4, 3, 1), (-4, 3, -1), (5, 3, 2), (1, 3, 0), (3, -2, -2), (7, 0, 0), (1, 2, 1)]
        {
            assert_eq!(divide_nearest(numerator, denominator), expected, "{numerator}/{denominator}");
        }
    }

    #[test]
    fn values_are_rounded_to_the_decimals_of_the_quote() {
        let value =
            |price, quantity| Decimals { quote: 2, ..Decimals::EIGHT }.value(Price(price), Quantity(quantity)).0;
        // 3.005 and 3.00499999.
        assert_eq!(value(300_500_000, 100_000_000), 301);
        assert_eq!(value(300_499_999, 100_000_000), 300);
        assert_eq!(Decimals { price: 0, quantity: 0, ..Decimals::EIGHT }.value(Price(3), Quantity(2)).0, 600_000_000);
    }

    #[test]
    fn means_take_the_decimals_of_each_side_into_account() {
        let mean = |decimals: Decimals, quote, base| decimals.mean(Volume(quote), Volume(base)).map(|price| price.0);
        assert_eq!(mean(Decimals::EIGHT, 3_000_000_000, 200_000_000), Some(1_500_000_000));
        // 1 / 3 and 2 / 3.
        assert_eq!(mean(Decimals::EIGHT, 100_000_000, 300_000_000), Some(33_333_333));
        assert_eq!(mean(Decimals::EIGHT, 200_000_000, 300_000_000), Some(66_666_667));
        // 30.00 of the quote for 2.0: 15.000.
        assert_eq!(mean(Decimals { price: 3, quantity: 1, quote: 2, ..Decimals::EIGHT }, 3_000, 20), Some(15_000));
        // 30.00000000 for 2: 15.
        assert_eq!(mean(Decimals { price: 0, quantity: 0, ..Decimals::EIGHT }, 3_000_000_000, 2), Some(15));
        assert_eq!(mean(Decimals::EIGHT, 5, 0), None);
        assert_eq!(mean(Decimals::EIGHT, i128::MAX / 2, 1), None, "no price is that high");
    }

    #[test]
    fn changes_are_told_in_price_and_percent() {
        let of = |open, close| {
            let ticker = MiniTicker {
                open: Price(open),
                close: Price(close),
                ..(&Kline::empty(Series::MINUTE, Nanos(0), Price(0))).into()
            };
            (ticker.change().0, ticker.change_percent(), ticker.weighted_average(Decimals::EIGHT).0)
        };
        assert_eq!(of(200, 201), (1, 500, 201), "half a percent; no trades, so the mean is the last price");
        assert_eq!(of(201, 200), (-1, -498, 200), "-0.4975 goes to the nearest");
        assert_eq!(of(0, 5), (5, 0, 5), "there is no percentage of nothing");
        assert_eq!(of(1, i64::MAX).1, i64::MAX, "saturated");
    }
}
