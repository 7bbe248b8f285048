//! Candles and statistics of one symbol, as one would write them first: the second and the minute in the making, all that is
//! longer as sums of closed minutes, the windows summed up anew with each minute.

use std::collections::VecDeque;

use tickcast::market::{DAY, MINUTE, Nanos, Series};

/// A candle; prices and quantities have eight decimals.
#[derive(Clone, Copy)]
#[allow(dead_code, missing_docs, reason = "not all is read; the names say it")]
pub struct Candle {
    pub series: Series,
    pub open_time: Nanos,
    pub end: Nanos,
    pub open: i64,
    pub high: i64,
    pub low: i64,
    pub close: i64,
    pub volume: i128,
    pub quote: i128,
    pub taker_volume: i128,
    pub taker_quote: i128,
    pub first_id: i64,
    pub last_id: i64,
    pub trades: u64,
    pub closed: bool,
}

/// Statistics of a window.
#[derive(Clone, Copy)]
#[allow(dead_code, missing_docs, reason = "nobody reads it; the names say it")]
pub struct Summary {
    pub minutes: usize,
    pub sum: Candle,
    pub change: i64,
    /// Thousandths of a percent.
    pub change_percent: i64,
    pub weighted_average: i64,
}

/// All sums of one symbol.
#[derive(Default)]
pub struct Sums {
    second: Option<Candle>,
    minute: Option<Candle>,
    /// The closed minutes of a day.
    minutes: VecDeque<Candle>,
    /// What the closed minutes of each candle in the making add up to.
    longer: Vec<Candle>,
    /// What the closed minutes of each window add up to.
    windows: Vec<(usize, Candle)>,
    /// Quantity and value by second.
    recent: VecDeque<(i64, i128, i128)>,
    recent_sum: (i128, i128),
}

impl Sums {
    /// Counts a trade; `closed` gets the candles that it ends.
    pub fn trade(
        &mut self,
        id: i64,
        price: i64,
        quantity: i64,
        time: Nanos,
        buyer_is_maker: bool,
        mut closed: impl FnMut(Candle),
    ) {
        if self.minute.is_none() {
            self.begin(price, time);
        }
        self.close(time, &mut closed);
        let quote = i128::from(price) * i128::from(quantity) / ONE;
        for candle in self.second.iter_mut().chain(&mut self.minute) {
            candle.count(id, price, i128::from(quantity), quote, buyer_is_maker);
        }
        let second = time.0 / SECOND_NS;
        match self.recent.back_mut() {
            Some((last, volume, value)) if *last >= second => {
                *volume += i128::from(quantity);
                *value += quote;
            }
            _ => self.recent.push_back((second, i128::from(quantity), quote)),
        }
        self.recent_sum.0 += i128::from(quantity);
        self.recent_sum.1 += quote;
    }

    /// Closes what has ended, with some patience for trades on their way.
    pub fn close_to(&mut self, now: Nanos, mut closed: impl FnMut(Candle)) {
        if self.second.is_some_and(|second| now.0 >= second.end.0 + PATIENCE_NS) {
            self.close(Nanos(now.0 - PATIENCE_NS), &mut closed);
        }
    }

    /// The candles in the making.
    pub fn open(&self, mut open: impl FnMut(Candle)) {
        let Some(minute) = &self.minute else { return };
        open(*minute);
        for sum in &self.longer {
            open(sum.and(minute));
        }
    }

    /// The statistics of all windows: those of a day twice, as `miniTicker` and `ticker` too.
    pub fn summaries(&self, mut tell: impl FnMut(Summary)) {
        let Some(minute) = &self.minute else { return };
        for (minutes, sum) in &self.windows {
            let sum = sum.and(minute);
            let change = sum.close - sum.open;
            let change_percent = (i128::from(change) * 100_000 / i128::from(sum.open)) as i64;
            let weighted_average = if sum.volume == 0 { sum.close } else { (sum.quote * ONE / sum.volume) as i64 };
            let summary = Summary { minutes: *minutes, sum, change, change_percent, weighted_average };
            for _ in 0..if *minutes == MINUTES_KEPT { 3 } else { 1 } {
                tell(summary);
            }
        }
    }

    /// The mean price of five minutes.
    pub fn average(&mut self, now: Nanos) -> Option<i64> {
        let from = now.0 / SECOND_NS - 300;
        while let Some((_, volume, value)) = self.recent.front().filter(|(second, ..)| *second < from) {
            self.recent_sum.0 -= volume;
            self.recent_sum.1 -= value;
            self.recent.pop_front();
        }
        let (volume, value) = self.recent_sum;
        (volume > 0).then(|| (value * ONE / volume) as i64)
    }

    /// A day without trades before the first one, as the answers that our engine gets tell of it.
    fn begin(&mut self, price: i64, time: Nanos) {
        let open = Series::MINUTE.open_time(time);
        let first = Nanos(open.0 - DAY.0);
        for index in 0..MINUTES_KEPT as i64 {
            self.minutes.push_back(Candle::empty(Series::MINUTE, Nanos(first.0 + index * MINUTE.0), price));
        }
        let longer = Series::ALL.into_iter().filter(|&series| series != Series::SECOND && series != Series::MINUTE);
        self.longer = longer.map(|series| Candle::empty(series, open, price)).collect();
        self.second = Some(Candle::empty(Series::SECOND, time, price));
        self.minute = Some(Candle::empty(Series::MINUTE, time, price));
        self.sum_windows();
    }

    fn close(&mut self, time: Nanos, closed: &mut impl FnMut(Candle)) {
        while let Some(mut second) = self.second.take_if(|second| time >= second.end) {
            second.closed = true;
            closed(second);
            self.second = Some(Candle::empty(Series::SECOND, second.end, second.close));
        }
        while let Some(mut minute) = self.minute.take_if(|minute| time >= minute.end) {
            minute.closed = true;
            closed(minute);
            self.minute = Some(Candle::empty(Series::MINUTE, minute.end, minute.close));
            for sum in &mut self.longer {
                *sum = sum.and(&minute);
                if minute.end >= sum.end {
                    sum.closed = true;
                    closed(*sum);
                    *sum = Candle::empty(sum.series, sum.end, sum.close);
                }
            }
            self.minutes.push_back(minute);
            self.minutes.pop_front();
            self.sum_windows();
        }
    }

    fn sum_windows(&mut self) {
        self.windows.clear();
        for minutes in [60, 240, MINUTES_KEPT] {
            let mut range = self.minutes.range(MINUTES_KEPT - minutes..);
            let first = *range.next().expect("a day of minutes");
            self.windows.push((minutes, range.fold(first, |sum, minute| sum.and(minute))));
        }
    }
}

impl Candle {
    fn empty(series: Series, at: Nanos, price: i64) -> Self {
        let open_time = series.open_time(at);
        Self {
            series,
            open_time,
            end: series.next_open(open_time),
            open: price,
            high: price,
            low: price,
            close: price,
            volume: 0,
            quote: 0,
            taker_volume: 0,
            taker_quote: 0,
            first_id: -1,
            last_id: -1,
            trades: 0,
            closed: false,
        }
    }

    fn count(&mut self, id: i64, price: i64, quantity: i128, quote: i128, buyer_is_maker: bool) {
        if self.trades == 0 {
            (self.open, self.high, self.low, self.first_id) = (price, price, price, id);
        }
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        (self.close, self.last_id) = (price, id);
        self.volume += quantity;
        self.quote += quote;
        if !buyer_is_maker {
            self.taker_volume += quantity;
            self.taker_quote += quote;
        }
        self.trades += 1;
    }

    /// Both together, `later` behind this one.
    fn and(&self, later: &Self) -> Self {
        let mut sum = *self;
        if later.trades == 0 {
            return sum;
        }
        if sum.trades == 0 {
            (sum.open, sum.high, sum.low, sum.first_id) = (later.open, later.high, later.low, later.first_id);
        }
        sum.high = sum.high.max(later.high);
        sum.low = sum.low.min(later.low);
        (sum.close, sum.last_id) = (later.close, later.last_id);
        sum.volume += later.volume;
        sum.quote += later.quote;
        sum.taker_volume += later.taker_volume;
        sum.taker_quote += later.taker_quote;
        sum.trades += later.trades;
        sum
    }
}

const ONE: i128 = 100_000_000;
const SECOND_NS: i64 = 1_000_000_000;
/// A day of them.
const MINUTES_KEPT: usize = 1_440;
/// Ours goes by the venue's clock, and is as patient.
const PATIENCE_NS: i64 = 100_000_000;
