//! What one symbol traded: its past, the live minutes since the start, the last seconds, and the last trades.

use std::collections::VecDeque;

use super::{MINUTE, SECOND, past::Past};
use crate::{
    market::{AggTrade, Nanos, Trade},
    sim::{bar::Bar, timeframe::Timeframe},
};

/// Trades and aggregates kept per symbol for REST.
const TRADES_KEPT: usize = 10_000;
/// Block trades kept.
const BLOCKS_KEPT: usize = 1_000;
/// Live seconds kept: more than one answer of REST holds, and than any window that counts seconds.
const SECONDS_KEPT: i64 = 1_200;
/// Live minutes kept: the longest window of REST, and a day.
const MINUTES_KEPT: usize = 8 * 1_440;
/// Minutes that become one bar when they are older.
const QUARTER: i64 = 15;
/// Quarters of an hour kept: the longest month, twice.
const QUARTERS_KEPT: usize = 62 * 96;
/// The average price looks back so many seconds.
const AVERAGE_S: i64 = 300;
/// The reference price is the mean of so many buckets of this width (binance.md section 5).
pub(in crate::sim) const BUCKETS: i64 = 80;
pub(in crate::sim) const BUCKET_MS: i64 = 3_750;
const BUCKET: i64 = BUCKET_MS * 1_000_000;

/// A candle of any timeframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) struct Candle {
    pub(in crate::sim) timeframe: Timeframe,
    /// Seconds since the epoch.
    pub(in crate::sim) open: i64,
    pub(in crate::sim) end: i64,
    pub(in crate::sim) bar: Bar,
    pub(in crate::sim) closed: bool,
}

/// A sum over whole minutes that is kept, as most of it stays the same.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    from: i64,
    to: i64,
    bar: Option<Bar>,
}

/// One symbol's trades. Nothing is in it twice: what is older lies in longer bars.
#[derive(Debug)]
pub(in crate::sim) struct Ledger {
    past: Past,
    /// Fills with contiguous ids, oldest first.
    trades: VecDeque<Trade>,
    aggregates: VecDeque<AggTrade>,
    blocks: VecDeque<Trade>,
    /// The second in the making, and its trades.
    second: i64,
    in_second: Vec<Trade>,
    /// Complete live seconds with trades.
    seconds: VecDeque<(i64, Bar)>,
    /// The first second of which nothing has been forgotten.
    seconds_from: i64,
    /// Complete live minutes, also empty ones; the first of them is `minutes_from`.
    minutes: VecDeque<Bar>,
    minutes_from: i64,
    /// Quarters of an hour before them, by their number.
    quarters: VecDeque<(i64, Bar)>,
    last: Option<Trade>,
    /// Number, sum of prices and number of trades of the last buckets.
    buckets: VecDeque<(i64, i128, i64)>,
}

impl Ledger {
    pub(super) fn new(past: Past, now: Nanos) -> Self {
        let end = past.end();
        Self {
            trades: VecDeque::new(),
            aggregates: VecDeque::new(),
            blocks: VecDeque::new(),
            second: now.0.div_euclid(SECOND),
            in_second: Vec::new(),
            seconds: VecDeque::new(),
            seconds_from: past.begin() * 60,
            minutes: VecDeque::new(),
            minutes_from: end,
            quarters: VecDeque::new(),
            last: (past.begin()..end).next_back().and_then(|minute| past.trades(minute).pop()),
            buckets: VecDeque::new(),
            past,
        }
    }

    /// Counts a fill, the newest one.
    pub(super) fn count(&mut self, trade: Trade) {
        self.pass(trade.time);
        keep(&mut self.trades, trade, TRADES_KEPT);
        self.in_second.push(trade);
        self.last = Some(trade);
        let bucket = trade.time.0.div_euclid(BUCKET);
        match self.buckets.back_mut().filter(|it| it.0 == bucket) {
            Some((_, sum, count)) => (*sum, *count) = (*sum + i128::from(trade.price.0), *count + 1),
            None => keep(&mut self.buckets, (bucket, i128::from(trade.price.0), 1), BUCKETS as usize + 1),
        }
    }

    pub(super) fn count_aggregate(&mut self, aggregate: AggTrade) {
        keep(&mut self.aggregates, aggregate, TRADES_KEPT);
    }

    pub(super) fn count_block(&mut self, block: Trade) {
        keep(&mut self.blocks, block, BLOCKS_KEPT);
    }

    /// Time has passed up to `now`: seconds and minutes that are over become bars.
    pub(super) fn pass(&mut self, now: Nanos) {
        let second = now.0.div_euclid(SECOND);
        if second <= self.second {
            return;
        }
        if let Some(bar) = Bar::of_trades(&self.in_second) {
            self.seconds.push_back((self.second, bar));
            self.in_second.clear();
        }
        for minute in self.second.div_euclid(60)..second.div_euclid(60) {
            let bar = Bar::of_bars(self.seconds_of(minute * 60, minute * 60 + 60));
            let bar = bar.unwrap_or_else(|| Bar::empty(self.price_before(minute)));
            self.minutes.push_back(bar);
        }
        self.second = second;
        self.forget();
    }

    /// The newest trade, one of the past too.
    pub(in crate::sim) const fn last(&self) -> Option<&Trade> {
        self.last.as_ref()
    }

    /// The minute in the making.
    pub(in crate::sim) const fn minute(&self) -> i64 {
        self.second.div_euclid(60)
    }

    /// The second in the making.
    pub(in crate::sim) const fn second(&self) -> i64 {
        self.second
    }

    /// The second with which history begins.
    pub(in crate::sim) const fn begin(&self) -> i64 {
        self.past.begin() * 60
    }

    /// What was traded from minute `from` to before minute `to`, the one in the making included.
    pub(in crate::sim) fn sum(&mut self, from: i64, to: i64) -> Option<Bar> {
        let past = self.past.sum(from, to);
        let is_inside = |number: &&(i64, Bar)| from <= number.0 * QUARTER && number.0 * QUARTER < to;
        let quarters = self.quarters.iter().filter(is_inside).map(|(_, bar)| *bar);
        let skipped = usize::try_from(from - self.minutes_from).unwrap_or(0);
        let taken = usize::try_from(to - self.minutes_from).unwrap_or(0).saturating_sub(skipped);
        let minutes = self.minutes.iter().skip(skipped).take(taken).copied();
        let current = (from..to).contains(&self.minute()).then(|| self.minute_so_far()).flatten();
        Bar::of_bars(past.into_iter().chain(quarters).chain(minutes).chain(current))
    }

    /// As [`Ledger::sum`], with what is known from the last time: for whoever asks every second.
    pub(super) fn sum_again(&mut self, known: &mut Sum, from: i64, to: i64) -> Option<Bar> {
        let complete = to.min(self.minute());
        if known.from != from || known.to > complete || known.to <= from {
            *known = Sum { from, to: from, bar: None };
        }
        let new = self.sum(known.to, complete);
        *known = Sum { from, to: complete, bar: Bar::of_bars(known.bar.into_iter().chain(new)) };
        let current = if to > complete { self.sum(complete, to) } else { None };
        Bar::of_bars(known.bar.into_iter().chain(current))
    }

    /// The candle of a timeframe that opens at second `open`.
    pub(super) fn candle(&mut self, timeframe: Timeframe, open: i64, known: &mut Sum) -> Candle {
        let end = timeframe.next(open);
        let bar = if timeframe.is_second() {
            Bar::of_bars(self.seconds_of(open, end))
        } else {
            self.sum_again(known, open.div_euclid(60), end.div_euclid(60))
        };
        let bar = bar.unwrap_or_else(|| Bar::empty(self.price_before_second(open)));
        Candle { timeframe, open, end, bar, closed: end <= self.second }
    }

    /// Candles by opening time, from one that opens at `open` on, up to `limit`.
    pub(in crate::sim) fn candles(&mut self, timeframe: Timeframe, open: i64, limit: usize) -> Vec<Candle> {
        let mut rows = Vec::new();
        let mut open = open.max(timeframe.open(self.candles_from(timeframe)));
        while open <= self.second && rows.len() < limit {
            rows.push(self.candle(timeframe, open, &mut Sum::default()));
            open = timeframe.next(open);
        }
        rows
    }

    /// The second with which candles of a timeframe begin: of seconds fewer are kept.
    pub(in crate::sim) fn candles_from(&self, timeframe: Timeframe) -> i64 {
        if timeframe.is_second() { self.seconds_from } else { self.begin() }
    }

    /// The last price before a minute.
    pub(super) fn price_before(&self, minute: i64) -> i64 {
        if minute <= self.past.end() {
            return self.past.price_before(minute);
        }
        let before = match usize::try_from(minute - self.minutes_from - 1) {
            Ok(index) => self.minutes.get(index).or(self.minutes.back()),
            Err(_) => self.quarters.iter().rfind(|(number, _)| number * QUARTER < minute).map(|(_, bar)| bar),
        };
        before.map_or_else(|| self.past.price_before(minute), |bar| bar.close)
    }

    /// The mean price of the last five minutes, weighted by volume; the last price if nothing was traded in them.
    pub(in crate::sim) fn average(&self) -> i128 {
        let bar = Bar::of_bars(self.seconds_of(self.second - AVERAGE_S, self.second + 1));
        bar.map_or_else(|| i128::from(self.last_price()), |bar| bar.average())
    }

    /// The newest price.
    pub(in crate::sim) fn last_price(&self) -> i64 {
        self.last.map_or_else(|| self.past.price_before(self.past.end()), |trade| trade.price.0)
    }

    /// The mean price of the last five minutes, each trade counting alike, the oldest bucket by the share of it that is
    /// still inside; `None` without trades.
    pub(in crate::sim) fn reference(&self, now: Nanos) -> Option<i64> {
        let (bucket, within) = (now.0.div_euclid(BUCKET), now.0.rem_euclid(BUCKET));
        let oldest = bucket - BUCKETS;
        let share = |number: i64| if number == oldest { BUCKET - within } else { BUCKET };
        let live = self.buckets.iter().filter(|it| it.0 >= oldest).copied();
        let (mut sum, mut count) = (0_i128, 0_i128);
        let mut add = |number: i64, prices: i128, trades: i64| {
            sum += prices * i128::from(share(number));
            count += i128::from(trades) * i128::from(share(number));
        };
        live.for_each(|(number, prices, trades)| add(number, prices, trades));
        for minute in (oldest * BUCKET).div_euclid(MINUTE).max(self.past.begin())..self.past.end() {
            for trade in self.past.trades(minute) {
                let number = trade.time.0.div_euclid(BUCKET);
                if number >= oldest {
                    add(number, i128::from(trade.price.0), 1);
                }
            }
        }
        sum.checked_div(count).and_then(|price| i64::try_from(price).ok())
    }

    /// Trades from `id` on, up to `limit`; those before the start too as long as no live one has been forgotten.
    pub(in crate::sim) fn trades_from(&self, id: i64, limit: usize) -> Vec<Trade> {
        let mut found = Vec::new();
        if self.has_all_trades() {
            found = self.past.trades_from(id, limit);
        }
        let start = self.trades.partition_point(|trade| trade.id < id);
        found.extend(self.trades.range(start..).take(limit - found.len()));
        found
    }

    /// The newest trades, up to `limit`.
    pub(in crate::sim) fn newest_trades(&self, limit: usize) -> Vec<Trade> {
        let next = self.trades.back().map_or(self.past.id_at(self.past.end()), |trade| trade.id + 1);
        self.trades_from(next - limit as i64, limit)
    }

    /// Aggregates from `id` on, as [`Ledger::trades_from`].
    pub(in crate::sim) fn aggregates_from(&self, id: i64, limit: usize) -> Vec<AggTrade> {
        let mut found = Vec::new();
        if self.has_all_trades() {
            let past = self.past.trades_from(self.past.trade_id(id), limit);
            found.extend(past.iter().map(|trade| self.aggregate_of_past(trade)));
        }
        let start = self.aggregates.partition_point(|aggregate| aggregate.id < id);
        found.extend(self.aggregates.range(start..).take(limit - found.len()));
        found
    }

    /// The newest aggregates up to a time, up to `limit`.
    pub(in crate::sim) fn newest_aggregates(&self, until: Nanos, limit: usize) -> Vec<AggTrade> {
        let next = self.aggregate_after(until);
        let mut found = self.aggregates_from(next - limit as i64, limit);
        found.retain(|aggregate| aggregate.id < next);
        found
    }

    /// The id of the first aggregate after `time`.
    pub(in crate::sim) fn aggregate_after(&self, time: Nanos) -> i64 {
        let minute = time.0.div_euclid(MINUTE);
        if minute < self.past.end() {
            let minute = minute.max(self.past.begin());
            let inside = self.past.trades(minute).into_iter().filter(|trade| trade.time <= time).count() as i64;
            return self.past.aggregate_id(self.past.id_at(minute) + inside);
        }
        let after = self.aggregates.partition_point(|aggregate| aggregate.time <= time);
        let first_live = self.past.aggregate_id(self.past.id_at(self.past.end()));
        match self.aggregates.get(after) {
            Some(aggregate) => aggregate.id,
            None => self.aggregates.back().map_or(first_live, |last| last.id + 1),
        }
    }

    /// Block trades from `id` on, up to `limit`.
    pub(in crate::sim) fn blocks_from(&self, id: i64, limit: usize) -> impl Iterator<Item = &Trade> {
        self.blocks.range(self.blocks.partition_point(|trade| trade.id < id)..).take(limit)
    }

    fn aggregate_of_past(&self, trade: &Trade) -> AggTrade {
        AggTrade {
            id: self.past.aggregate_id(trade.id),
            price: trade.price,
            quantity: trade.quantity,
            first_id: trade.id,
            last_id: trade.id,
            time: trade.time,
            buyer_is_maker: trade.buyer_is_maker,
        }
    }

    fn has_all_trades(&self) -> bool {
        let first = self.past.id_at(self.past.end());
        self.trades.front().is_none_or(|trade| trade.id == first)
    }

    /// Bars of the seconds from `from` to before `to` that are known and had trades, the one in the making included.
    fn seconds_of(&self, from: i64, to: i64) -> impl Iterator<Item = Bar> {
        let past = (from.div_euclid(60)..to.div_euclid(60) + 1)
            .filter(|minute| (self.past.begin()..self.past.end()).contains(minute))
            .flat_map(|minute| self.past.trades(minute));
        let is_inside = move |trade: &Trade| (from..to).contains(&trade.time.0.div_euclid(SECOND));
        let past: Vec<Trade> = past.filter(is_inside).collect();
        let start = self.seconds.partition_point(|(second, _)| *second < from);
        let live = self.seconds.range(start..).take_while(move |(second, _)| *second < to).map(|(_, bar)| *bar);
        let current = (from..to).contains(&self.second).then(|| Bar::of_trades(&self.in_second)).flatten();
        Bar::of_trades(&past).into_iter().chain(live).chain(current)
    }

    fn minute_so_far(&self) -> Option<Bar> {
        Bar::of_bars(self.seconds_of(self.minute() * 60, self.second + 1))
    }

    fn price_before_second(&self, second: i64) -> i64 {
        let minute = second.div_euclid(60);
        let bar = Bar::of_bars(self.seconds_of(minute * 60, second));
        bar.map_or_else(|| self.price_before(minute), |bar| bar.close)
    }

    /// Lets go of what has grown too old.
    fn forget(&mut self) {
        // Whole minutes go at once: the price before a second is that of the one before it in the same minute.
        let minute_end = |second: i64| (second.div_euclid(60) + 1) * 60;
        while let Some((second, _)) = self.seconds.front().filter(|it| minute_end(it.0) < self.second - SECONDS_KEPT) {
            self.seconds_from = minute_end(*second);
            self.seconds.pop_front();
        }
        while self.minutes.len() > MINUTES_KEPT {
            let Some(bar) = self.minutes.pop_front() else { return };
            let quarter = self.minutes_from.div_euclid(QUARTER);
            self.minutes_from += 1;
            match self.quarters.back_mut().filter(|(number, _)| *number == quarter) {
                Some((_, sum)) => *sum = Bar::of_bars([*sum, bar].into_iter()).unwrap_or(*sum),
                None => keep(&mut self.quarters, (quarter, bar), QUARTERS_KEPT),
            }
        }
    }
}

/// Appends to a list that forgets its oldest entries.
fn keep<T>(list: &mut VecDeque<T>, entry: T, most: usize) {
    if list.len() >= most {
        list.pop_front();
    }
    list.push_back(entry);
}
