//! The volume-weighted mean price of the last five minutes, at the grain of seconds.

use crate::market::{AggTrade, AveragePrice, Decimals, Kline, Nanos, Price, Series, Volume};

/// The seconds of the last five minutes of one instrument, and their sum.
///
/// The window is the running second and the 300 before it. Minutes that were fetched at a start count as if all of it had
/// been traded in their last second: for the first five minutes the mean is of up to a minute more.
#[derive(Debug, Default)]
pub struct Average {
    /// By second modulo their number: which second, base volume, quote volume.
    seconds: Vec<(i64, i128, i128)>,
    base: i128,
    quote: i128,
    newest: i64,
    first_live: Option<i64>,
    last: Option<(Price, Nanos)>,
}

impl Average {
    /// Counts a trade.
    pub fn trade(&mut self, trade: &AggTrade, decimals: Decimals) {
        let second = trade.time.0.div_euclid(SECOND_NS);
        self.first_live.get_or_insert(second);
        if self.last.is_none_or(|(_, time)| time <= trade.time) {
            self.last = Some((trade.price, trade.time));
        }
        self.put(second, i128::from(trade.quantity.0), decimals.value(trade.price, trade.quantity).0);
    }

    /// Takes a closed minute from before the first live trade.
    pub fn minute(&mut self, minute: &Kline) {
        if minute.series != Series::MINUTE || minute.trades == 0 {
            return;
        }
        let last = Nanos(minute.end().0 - 1);
        let second = last.0.div_euclid(SECOND_NS);
        if self.first_live.is_some_and(|first| second >= first) {
            return;
        }
        if self.last.is_none_or(|(_, time)| time < last) {
            self.last = Some((minute.close, last));
        }
        self.put(second, minute.volume.0, minute.quote_volume.0);
    }

    /// The mean at `time`; `None` if nothing was ever traded. Without trades in the window it is the last price.
    pub fn at(&mut self, time: Nanos, decimals: Decimals) -> Option<AveragePrice> {
        self.slide(time.0.div_euclid(SECOND_NS));
        let (price, last_trade) = self.last?;
        let mean = decimals.mean(Volume(self.quote), Volume(self.base));
        Some(AveragePrice { minutes: MINUTES, price: mean.unwrap_or(price), last_trade })
    }

    fn put(&mut self, second: i64, base: i128, quote: i128) {
        self.slide(second);
        if second <= self.newest - PLACES as i64 {
            return;
        }
        let place = &mut self.seconds[second.rem_euclid(PLACES as i64) as usize];
        if place.0 != second {
            *place = (second, 0, 0);
        }
        place.1 += base;
        place.2 += quote;
        self.base += base;
        self.quote += quote;
    }

    /// Moves the window on to `second`.
    fn slide(&mut self, second: i64) {
        if self.seconds.is_empty() {
            self.seconds = vec![(i64::MIN, 0, 0); PLACES];
            self.newest = second;
        }
        if second <= self.newest {
            return;
        }
        for gone in (self.newest + 1..=second).take(PLACES) {
            let place = &mut self.seconds[gone.rem_euclid(PLACES as i64) as usize];
            self.base -= place.1;
            self.quote -= place.2;
            *place = (gone, 0, 0);
        }
        self.newest = second;
    }
}

/// The window of Binance.
const MINUTES: u8 = 5;

const SECOND_NS: i64 = 1_000_000_000;

const PLACES: usize = MINUTES as usize * 60 + 1;
