//! The volume-weighted mean price of the last five minutes, at the grain of seconds.

use crate::market::{AggTrade, AveragePrice, Decimals, Kline, Nanos, Price, Series, Volume};

/// The seconds of the last five minutes of one instrument, and their sum.
///
/// The window is the running second and the 300 before it. Seconds that the venue tells are final, whatever was seen of them.
/// Where it has only minutes, each counts as if all of it had been traded in its last second: for the first five minutes
/// the mean is of up to a minute more.
#[derive(Debug, Default)]
pub struct Average {
    /// By second modulo their number.
    seconds: Vec<Place>,
    base: i128,
    quote: i128,
    newest: i64,
    first_live: Option<i64>,
    last: Option<(Price, Nanos)>,
}

/// What was traded in one second.
#[derive(Clone, Copy, Debug)]
struct Place {
    second: i64,
    base: i128,
    quote: i128,
    /// The venue told: nothing is added any more.
    told: bool,
}

impl Place {
    const fn empty(second: i64) -> Self {
        Self { second, base: 0, quote: 0, told: false }
    }
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

    /// Takes a closed second, from before the first live trade or from where trades were lost.
    pub fn second(&mut self, row: &Kline) {
        if row.series != Series::SECOND {
            return;
        }
        let second = row.open_time.0.div_euclid(SECOND_NS);
        if row.trades > 0 && self.last.is_none_or(|(_, time)| time < row.open_time) {
            self.last = Some((row.close, Nanos(row.end().0 - 1)));
        }
        let Some(place) = self.place(second) else { return };
        let before =
            std::mem::replace(place, Place { second, base: row.volume.0, quote: row.quote_volume.0, told: true });
        self.base += row.volume.0 - before.base;
        self.quote += row.quote_volume.0 - before.quote;
    }

    /// The mean at `time`; `None` if nothing was ever traded. Without trades in the window it is the last price.
    pub fn at(&mut self, time: Nanos, decimals: Decimals) -> Option<AveragePrice> {
        self.slide(time.0.div_euclid(SECOND_NS));
        let (price, last_trade) = self.last?;
        let mean = decimals.mean(Volume(self.quote), Volume(self.base));
        Some(AveragePrice { minutes: MINUTES, price: mean.unwrap_or(price), last_trade })
    }

    fn put(&mut self, second: i64, base: i128, quote: i128) {
        let Some(place) = self.place(second).filter(|place| !place.told) else { return };
        place.base += base;
        place.quote += quote;
        self.base += base;
        self.quote += quote;
    }

    /// The place of a second, unless it has left the window.
    fn place(&mut self, second: i64) -> Option<&mut Place> {
        self.slide(second);
        if second <= self.newest - PLACES as i64 {
            return None;
        }
        let place = &mut self.seconds[second.rem_euclid(PLACES as i64) as usize];
        if place.second != second {
            *place = Place::empty(second);
        }
        Some(place)
    }

    /// Moves the window on to `second`.
    fn slide(&mut self, second: i64) {
        if self.seconds.is_empty() {
            self.seconds = vec![Place::empty(i64::MIN); PLACES];
            self.newest = second;
        }
        if second <= self.newest {
            return;
        }
        for gone in (self.newest + 1..=second).take(PLACES) {
            let place = &mut self.seconds[gone.rem_euclid(PLACES as i64) as usize];
            self.base -= place.base;
            self.quote -= place.quote;
            *place = Place::empty(gone);
        }
        self.newest = second;
    }
}

/// The window of Binance.
const MINUTES: u8 = 5;

const SECOND_NS: i64 = 1_000_000_000;

const PLACES: usize = MINUTES as usize * 60 + 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Quantity;

    const START: i64 = 1_790_000_000;

    fn trade(second: i64, price: i64) -> AggTrade {
        AggTrade {
            id: 0,
            price: Price(price * 100_000_000),
            quantity: Quantity(100_000_000),
            first_id: 0,
            last_id: 0,
            time: Nanos(second * SECOND_NS + 5),
            buyer_is_maker: false,
        }
    }

    fn row(series: Series, second: i64, price: i64, volume: i128) -> Kline {
        let kline = Kline::empty(series, Nanos(second * SECOND_NS), Price(price * 100_000_000));
        let (volume, quote) = (volume * 100_000_000, volume * i128::from(price) * 100_000_000);
        Kline { trades: 1, volume: Volume(volume), quote_volume: Volume(quote), closed: true, ..kline }
    }

    fn mean(average: &mut Average, second: i64) -> i64 {
        average.at(Nanos(second * SECOND_NS), Decimals::EIGHT).expect("something was traded").price.0 / 100_000_000
    }

    #[test]
    fn a_second_that_the_venue_tells_replaces_what_was_seen_of_it() {
        let mut average = Average::default();
        average.trade(&trade(START, 100), Decimals::EIGHT);
        average.second(&row(Series::SECOND, START, 200, 3));
        assert_eq!(mean(&mut average, START), 200);
        average.trade(&trade(START, 100), Decimals::EIGHT);
        assert_eq!(mean(&mut average, START), 200, "what is fetched late is in it already");
        average.trade(&trade(START + 1, 600), Decimals::EIGHT);
        assert_eq!(mean(&mut average, START + 300), 300);
        assert_eq!(mean(&mut average, START + 301), 600, "seconds leave one by one");
    }

    #[test]
    fn seconds_go_before_minutes_whichever_comes_first() {
        let minute = START.div_euclid(60) * 60;
        for seconds_first in [true, false] {
            let mut average = Average::default();
            average.trade(&trade(minute + 70, 100), Decimals::EIGHT);
            if !seconds_first {
                average.minute(&row(Series::MINUTE, minute, 700, 9));
            }
            for second in 0..60 {
                let empty = Kline { trades: 0, ..row(Series::SECOND, minute + second, 300, 0) };
                average.second(&if second == 3 { row(Series::SECOND, minute + 3, 300, 1) } else { empty });
            }
            if seconds_first {
                average.minute(&row(Series::MINUTE, minute, 700, 9));
            }
            assert_eq!(mean(&mut average, minute + 303), 200);
            assert_eq!(mean(&mut average, minute + 304), 100);
        }
    }
}
