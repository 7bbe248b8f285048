//! What a symbol did before the exchange was started: never stored, but made from the seed whenever somebody asks.
//!
//! Price and number of trades at the begin of a minute are functions of the minute alone; everything else lies between two
//! of these points. So ids are contiguous back to the first minute, a minute opens where the one before it closed, and
//! the last one closes at the price and the id with which the live market begins.

use std::collections::BTreeMap;

use crate::{
    market::{Nanos, Price, Quantity, Trade},
    sim::{
        bar::Bar,
        market::MINUTE,
        symbols::Symbol,
        timeframe::{DAY_S, Timeframe},
    },
};

/// Minutes of a UTC day.
const DAY_MINUTES: i64 = 1_440;
/// The past reaches so far back, and on to the first day of that month.
const REACH_S: i64 = 730 * DAY_S;
/// Trades per minute, on average.
const TRADES: std::ops::RangeInclusive<i64> = 8..=600;
/// Minutes without a trade occur in markets up to this weight.
const QUIET_WEIGHT_MAX: u32 = 15;
/// How far the price goes in two minutes, in 2^-32 of it; in four times the time it goes twice as far.
const STEP: i64 = 2_400_000;
/// Waves of the price, each four times as long as the one before: the longest has 2^19 minutes, a year.
const OCTAVES: usize = 10;

/// One symbol's past.
#[derive(Debug)]
pub(super) struct Past {
    seed: u64,
    symbol: &'static Symbol,
    /// Mean trades per minute.
    pace: i64,
    /// First minute that there is, and first one that is not past, since the epoch.
    begin: i64,
    end: i64,
    /// Ids of the first live trade and aggregate.
    first_id: i64,
    first_aggregate_id: i64,
    /// Where wave and count stand at the end.
    end_wave: i64,
    end_count: i64,
    /// Whole days that were asked for: at most those of the reach.
    days: BTreeMap<i64, Option<Bar>>,
}

/// What lies between two minutes.
#[derive(Clone, Copy, Debug)]
struct Edge {
    /// The last price.
    price: i64,
    /// Trades since the epoch.
    count: i64,
}

/// The ends of the waves that the last minute was on: the next one is nearly always on the same.
#[derive(Debug)]
struct Waves([(i64, i64, i64); OCTAVES]);

impl Default for Waves {
    fn default() -> Self {
        Self([(i64::MIN, 0, 0); OCTAVES])
    }
}

/// Equal trades of one minute.
#[derive(Clone, Copy, Debug)]
struct Group {
    trades: i64,
    price: i64,
    quantity: i64,
    buyer_is_maker: bool,
}

impl Past {
    /// The past up to the minute of `now`, before trade `first_id`, of a market with about so many trades per minute.
    pub(super) fn new(seed: u64, symbol: &'static Symbol, first_id: i64, trades_per_minute: f64, now: Nanos) -> Self {
        let name = symbol.name.bytes().fold(seed, |mix, byte| scramble(mix ^ u64::from(byte)));
        let end = now.0.div_euclid(MINUTE);
        let mut past = Self {
            seed: name,
            symbol,
            pace: (trades_per_minute as i64).clamp(*TRADES.start(), *TRADES.end()),
            begin: Timeframe::MONTH.open(end * 60 - REACH_S) / 60,
            end,
            first_id,
            first_aggregate_id: first_id,
            end_wave: 0,
            end_count: 0,
            days: BTreeMap::new(),
        };
        past.end_wave = past.wave(end, &mut Waves::default());
        past.end_count = past.count_before(end);
        // Ids are positive: where they begin low, so does history.
        if past.id_at(past.begin) < 1 {
            past.begin = (end - (first_id - 1).max(0) / (past.pace * 3)).max(past.begin);
        }
        past
    }

    /// The first minute that is known.
    pub(super) const fn begin(&self) -> i64 {
        self.begin
    }

    /// The first minute that is not past.
    pub(super) const fn end(&self) -> i64 {
        self.end
    }

    /// The price with which a minute begins: the last one before it.
    pub(super) fn price_before(&self, minute: i64) -> i64 {
        self.edge(minute.clamp(self.begin, self.end), &mut Waves::default()).price
    }

    /// The first trade id of a minute, or of the next one with trades.
    pub(super) fn id_at(&self, minute: i64) -> i64 {
        self.first_id - (self.end_count - self.count_before(minute))
    }

    /// What was traded from minute `from` to before minute `to`, as far as they are past.
    pub(super) fn sum(&mut self, from: i64, to: i64) -> Option<Bar> {
        let (mut minute, to) = (from.max(self.begin), to.min(self.end));
        let mut parts = Vec::new();
        while minute < to {
            let is_day = minute % DAY_MINUTES == 0 && minute + DAY_MINUTES <= to;
            let until = if is_day { minute + DAY_MINUTES } else { to.min((minute / DAY_MINUTES + 1) * DAY_MINUTES) };
            let part = if is_day { self.day(minute) } else { self.sum_of_minutes(minute, until) };
            parts.extend(part);
            minute = until;
        }
        Bar::of_bars(parts.into_iter())
    }

    /// The trades from `id` on, up to `limit`; none before the first minute.
    pub(super) fn trades_from(&self, id: i64, limit: usize) -> Vec<Trade> {
        let mut trades = Vec::new();
        let mut minute = self.minute_of(id.max(self.id_at(self.begin)));
        while minute < self.end && trades.len() < limit {
            trades.extend(self.trades(minute).into_iter().filter(|trade| trade.id >= id));
            minute += 1;
        }
        trades.truncate(limit);
        trades
    }

    /// The trades of a minute.
    pub(super) fn trades(&self, minute: i64) -> Vec<Trade> {
        let (open, close) = self.edges(minute);
        let groups = self.groups(minute, open, close);
        let count: i64 = groups.iter().map(|group| group.trades).sum();
        let first = self.id_at(minute);
        let each = groups.iter().flat_map(|group| (0..group.trades).map(move |_| group));
        each.zip(0..)
            .map(|(group, index)| Trade {
                id: first + index,
                price: Price(group.price),
                quantity: Quantity(group.quantity),
                time: Nanos(minute * MINUTE + (2 * index + 1) * (MINUTE / 2) / count),
                buyer_is_maker: group.buyer_is_maker,
            })
            .collect()
    }

    /// The aggregate id of a past trade: each is an aggregate of its own.
    pub(super) const fn aggregate_id(&self, trade_id: i64) -> i64 {
        self.first_aggregate_id - (self.first_id - trade_id)
    }

    /// The past trade of an aggregate id.
    pub(super) const fn trade_id(&self, aggregate_id: i64) -> i64 {
        self.first_id - (self.first_aggregate_id - aggregate_id)
    }

    /// The minute that holds the trade `id`.
    fn minute_of(&self, id: i64) -> i64 {
        let (mut low, mut high) = (self.begin, self.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.id_at(middle + 1) <= id {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn day(&mut self, minute: i64) -> Option<Bar> {
        if let Some(day) = self.days.get(&minute) {
            return *day;
        }
        let day = self.sum_of_minutes(minute, minute + DAY_MINUTES);
        self.days.insert(minute, day);
        day
    }

    fn sum_of_minutes(&self, from: i64, to: i64) -> Option<Bar> {
        let mut waves = Waves::default();
        let mut open = self.edge(from, &mut waves);
        Bar::of_bars((from..to).map(|minute| {
            let close = self.edge(minute + 1, &mut waves);
            self.bar_between(minute, std::mem::replace(&mut open, close), close)
        }))
    }

    fn edges(&self, minute: i64) -> (Edge, Edge) {
        let mut waves = Waves::default();
        (self.edge(minute, &mut waves), self.edge(minute + 1, &mut waves))
    }

    /// What lies between a minute and the one before; a quiet one changes nothing.
    fn edge(&self, minute: i64, waves: &mut Waves) -> Edge {
        let at = if self.is_quiet(minute - 1) { minute - 1 } else { minute };
        Edge { price: self.wave_price(at, waves), count: self.count_before(minute) }
    }

    fn bar_between(&self, minute: i64, open: Edge, close: Edge) -> Bar {
        let mut id = self.first_id - (self.end_count - open.count);
        let groups = self.groups(minute, open, close).map(|group| {
            let bar = Bar::of_equal(id, group.trades, group.price, group.quantity, group.buyer_is_maker);
            id += group.trades;
            bar
        });
        Bar::of_bars(groups.into_iter()).unwrap_or_else(|| Bar::empty(open.price))
    }

    /// First the open, then high and low in either order, then the close; nothing in a quiet minute.
    fn groups(&self, minute: i64, open: Edge, close: Edge) -> [Group; 4] {
        let count = close.count - open.count;
        let (open, close) = (open.price, close.price);
        let Symbol { tick, step, price, .. } = *self.symbol;
        // Up to some hundredths of a percent beyond open and close, in whole ticks.
        let reach = |salt: u64| {
            let share = i128::from(self.random(minute, salt) % 1_024);
            (i128::from(price) * share / (1_024 * 3_000)) as i64 / tick * tick
        };
        let high = open.max(close) + reach(1);
        let low = (open.min(close) - reach(2)).max(tick);
        let size = |salt: u64| {
            let share = i128::from(self.random(minute, salt) % 64 + 4);
            let lots = i128::from(self.symbol.lot()) * share / 256;
            ((lots as i64) / step * step).max(step)
        };
        let flags = self.random(minute, 7);
        let (begin, end, extreme) = (flags & 1 == 0, flags & 2 == 0, flags & 4 == 0);
        let quarter = count / 4;
        let group = |trades, price, salt, buyer_is_maker| Group { trades, price, quantity: size(salt), buyer_is_maker };
        let (top, bottom) = (group(quarter, high, 4, false), group(quarter, low, 5, true));
        let (second, third) = if extreme { (top, bottom) } else { (bottom, top) };
        [group(quarter, open, 3, begin), second, third, group(count - 3 * quarter, close, 6, end)]
    }

    /// A market of little weight has odd minutes in which nobody trades; the last ones of the past are none of them.
    fn is_quiet(&self, minute: i64) -> bool {
        self.symbol.weight <= QUIET_WEIGHT_MAX
            && minute % 2 != 0
            && minute < self.end - 2
            && self.random(minute, 8).is_multiple_of(4)
    }

    /// Trades before a minute, since the epoch.
    fn count_before(&self, minute: i64) -> i64 {
        let minute = if self.is_quiet(minute - 1) { minute - 1 } else { minute };
        // At least four lie between two minutes.
        let some = (self.random(minute, 9) % (self.pace as u64 - 3)) as i64;
        minute * self.pace + some
    }

    /// Where the waves have the price at the begin of a minute, in whole ticks: at the end of the past, the price with
    /// which the live market begins.
    fn wave_price(&self, minute: i64, waves: &mut Waves) -> i64 {
        let away = i128::from(self.wave(minute, waves) - self.end_wave);
        let (price, one) = (i128::from(self.symbol.price), 1_i128 << 32);
        // It doubles as easily as it halves, and is never gone.
        let moved = if away >= 0 { price * (one + away) / one } else { price * one / (one - away) };
        let tick = self.symbol.tick;
        (i64::try_from(moved).expect("prices of the table have room for ten times as much") / tick * tick)
            .max(tick * 20)
    }

    /// Waves of 2, 8, 32 ... minutes on top of each other, each twice as high as the one before.
    fn wave(&self, minute: i64, waves: &mut Waves) -> i64 {
        let mut sum = 0;
        for (order, ends) in waves.0.iter_mut().enumerate() {
            let octave = 2 * order + 1;
            let (index, within) = (minute >> octave, minute & ((1 << octave) - 1));
            if ends.0 != index {
                let point = |index: i64| (self.random(index, 100 + octave as u64) >> 43) as i64 - (1 << 20);
                *ends = (index, point(index), point(index + 1));
            }
            let at = ends.1 + (((ends.2 - ends.1) * within) >> octave);
            sum += (at * (STEP << order)) >> 20;
        }
        sum
    }

    fn random(&self, index: i64, salt: u64) -> u64 {
        scramble(self.seed ^ scramble((index as u64).wrapping_add(salt << 40)))
    }
}

/// The finalizer of splitmix64.
const fn scramble(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::symbols::SYMBOLS;

    impl Past {
        /// One minute.
        fn bar(&self, minute: i64) -> Bar {
            let (open, close) = self.edges(minute);
            self.bar_between(minute, open, close)
        }
    }

    const NOW: Nanos = Nanos(1_789_000_030_000_000_000);
    const FIRST: i64 = 178_900_000_000_000;

    fn past(index: usize, seed: u64) -> Past {
        Past::new(seed, &SYMBOLS[index], FIRST, 40.0, NOW)
    }

    #[test]
    fn minutes_join_each_other_and_the_live_market() {
        for (index, symbol) in SYMBOLS.iter().enumerate() {
            let past = past(index, 3);
            let mut quiet = 0;
            for minute in past.end() - 3_000..past.end() {
                let (bar, next) = (past.bar(minute), past.bar(minute + 1));
                assert!(bar.low <= bar.open.min(bar.close) && bar.open.max(bar.close) <= bar.high);
                assert!(bar.low > 0 && bar.close % symbol.tick == 0);
                if minute + 1 < past.end() {
                    assert_eq!(bar.close, next.open, "{} {minute}", symbol.name);
                    assert_eq!(past.id_at(minute) + bar.trades, past.id_at(minute + 1));
                }
                quiet += u32::from(bar.trades == 0);
            }
            assert_eq!(past.bar(past.end() - 1).last_id(), FIRST - 1);
            assert_eq!(past.bar(past.end() - 1).close, symbol.price);
            assert_eq!(quiet > 0, symbol.weight <= QUIET_WEIGHT_MAX, "{}", symbol.name);
        }
    }

    #[test]
    fn a_minute_is_what_its_trades_come_to() {
        for (index, seed) in [(0, 1), (17, 2), (24, 3), (22, 4)] {
            let past = past(index, seed);
            for minute in (past.end() - 90..past.end()).chain(past.begin()..past.begin() + 10) {
                let trades = past.trades(minute);
                let bar = past.bar(minute);
                assert_eq!(Bar::of_trades(&trades).unwrap_or_else(|| Bar::empty(bar.close)), bar);
                assert!(trades.iter().all(|trade| trade.time.0.div_euclid(MINUTE) == minute));
                assert!(trades.is_sorted_by(|a, b| a.id + 1 == b.id && a.time <= b.time));
            }
        }
    }

    #[test]
    fn trades_are_found_by_id() {
        let past = past(13, 9);
        let id = FIRST - 5_000;
        let trades = past.trades_from(id, 5_001);
        assert_eq!((trades.len(), trades[0].id, trades[4_999].id), (5_000, id, FIRST - 1));
        assert_eq!(past.trades_from(id + 7, 3).iter().map(|trade| trade.id - id).collect::<Vec<_>>(), [7, 8, 9]);
        assert_eq!(past.trades_from(0, 1)[0].id, past.id_at(past.begin()));
        assert_eq!(past.trade_id(past.aggregate_id(id)), id);
    }

    #[test]
    fn days_are_sums_of_minutes_and_seeds_make_other_ones() {
        let mut past = past(4, 5);
        let (from, to) = (past.end() - 3 * DAY_MINUTES, past.end() - 10);
        let whole = Bar::of_bars((from..to).map(|minute| past.bar(minute)));
        assert_eq!(past.sum(from, to), whole);
        assert_eq!(past.sum(from, to), whole, "again, with the days that are known now");
        assert_eq!(past.sum(to, from), None);
        assert_eq!(past.bar(from), self::past(4, 5).bar(from));
        assert_ne!(past.bar(from), self::past(4, 6).bar(from));
    }

    #[test]
    fn it_reaches_back_two_years_unless_ids_would_end() {
        let long = past(0, 1);
        // 2026-09-10 back to 2024-09-01.
        assert_eq!(long.begin() * 60, 1_725_148_800);
        assert!(long.id_at(long.begin()) > 0 && long.bar(long.begin()).trades >= 4);
        for first_id in [1, 50, 5_000, 1_000_000] {
            let short = Past::new(1, &SYMBOLS[0], first_id, 40.0, NOW);
            assert!(short.id_at(short.begin()) >= 1, "{first_id}");
            assert!(short.begin() <= short.end());
        }
    }
}
