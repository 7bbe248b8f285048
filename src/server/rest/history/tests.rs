//! Rows and windows against sums over the trades themselves.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::market::{Decimals, MINUTE, Quantity, Trade};

const HOUR_NS: i64 = 60 * MINUTE.0;
/// 2024-01-29 21:00 UTC, a Monday: February and its 29th are near.
const START: Nanos = Nanos::from_millis(1_706_562_000_000);
/// A bit less than four days later.
const NOW: Nanos = Nanos(START.0 + 94 * HOUR_NS + 17 * MINUTE.0 + 123_456_789);

/// Candles of trades, as a store and views would have them.
#[derive(Default)]
struct Made {
    closed: HashMap<Series, BTreeMap<Nanos, Kline>>,
    just_closed: HashMap<Series, Kline>,
    newest: HashMap<Series, Kline>,
}

impl Made {
    /// Candles of `series` until now; `keeps_empty`: also those without a trade.
    fn of(trades: &[Trade], series: &[Series], keeps_empty: bool) -> Self {
        let mut made = Self::default();
        for &series in series {
            let mut list = BTreeMap::new();
            let mut carried = trades[0].price;
            let (mut open, mut rest) = (series.open_time(trades[0].time), trades);
            while open <= NOW {
                let end = series.next_open(open);
                let (inside, behind) = rest.split_at(rest.partition_point(|trade| trade.time < end));
                let mut kline = Kline { closed: end <= NOW, ..Kline::empty(series, open, carried) };
                inside.iter().for_each(|trade| kline.add(trade, Decimals::EIGHT));
                carried = kline.close;
                if !kline.closed {
                    made.newest.insert(series, kline);
                } else if keeps_empty || kline.trades > 0 {
                    list.insert(open, kline);
                }
                (open, rest) = (end, behind);
            }
            // It has not reached the store yet.
            if let Some((_, last)) = list.pop_last() {
                made.just_closed.insert(series, last);
            }
            made.closed.insert(series, list);
        }
        made
    }
}

impl Source for Made {
    fn closed(&self, series: Series, range: &Range) -> Vec<Kline> {
        let Some(list) = self.closed.get(&series) else { return Vec::new() };
        let (from, to) = (range.from.unwrap_or(Nanos(i64::MIN)), range.to.unwrap_or(Nanos(i64::MAX)));
        if from > to {
            return Vec::new();
        }
        let inside = list.range(from..=to).map(|(_, kline)| *kline);
        if range.from.is_some() {
            return inside.take(range.limit).collect();
        }
        let mut newest: Vec<_> = inside.rev().take(range.limit).collect();
        newest.reverse();
        newest
    }

    fn newest(&self, series: Series) -> Vec<Kline> {
        [&self.just_closed, &self.newest].into_iter().filter_map(|list| list.get(&series).copied()).collect()
    }

    fn extent(&self, series: Series) -> Option<(Nanos, Nanos)> {
        let list = self.closed.get(&series)?;
        list.first_key_value().zip(list.last_key_value()).map(|((first, _), (last, _))| (*first, *last))
    }

    fn last_price(&self) -> Option<Price> {
        None
    }
}

fn trade(id: i64, at: Nanos, price: i64) -> Trade {
    Trade { id, price: Price(price), quantity: Quantity(id * 1000 + 7), time: at, buyer_is_maker: id % 3 == 0 }
}

/// A few hundred trades in bursts, with hours of silence in between; the first one at `START`.
fn random_trades(random: &mut fastrand::Rng) -> Vec<Trade> {
    let (mut at, mut list) = (START.0, Vec::new());
    while at < NOW.0 {
        list.push(trade(1000 + list.len() as i64, Nanos(at), random.i64(1_000_000..2_000_000)));
        at += match random.u8(..40) {
            0 => random.i64(0..9 * HOUR_NS),
            1..20 => random.i64(0..20 * MINUTE.0),
            _ => random.i64(1..MINUTE.0),
        };
    }
    list
}

fn history<S>(source: S, budget: &Budget) -> History<'_, S> {
    History { source, budget, now: NOW }
}

/// The row that opens at `open`, from the trades.
fn expected(trades: &[Trade], open: Nanos, end: Nanos) -> Kline {
    let carried = trades.iter().rev().find(|trade| trade.time < open).unwrap_or(&trades[0]).price;
    let mut kline = Kline::empty(Series::MINUTE, open, carried);
    let inside = trades.iter().filter(|trade| (open..end).contains(&trade.time));
    inside.for_each(|trade| kline.add(trade, Decimals::EIGHT));
    kline
}

fn assert_same(row: &Row, trades: &[Trade], context: &str) {
    let of = |kline: &Kline| Kline { series: Series::MINUTE, closed: false, ..*kline };
    assert_eq!(of(&row.kline), of(&expected(trades, row.kline.open_time, row.end)), "{context}");
}

const OFFSETS_MINUTES: [i64; 8] = [0, 480, -300, 345, 840, -720, -210, 330];

#[test]
fn rows_of_any_zone_are_what_the_trades_make() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let hours: Vec<_> = [Series::MINUTE, Series::HOUR].into();
    let quarters = [Series::MINUTE, Series::new(Interval::Minute15, Zone::Utc)].into();
    for (series, keeps_empty) in [
        (Series::ALL[1..].to_vec(), true),
        (Series::ALL[1..].to_vec(), false),
        (hours, false),
        (quarters, true),
        (vec![Series::MINUTE], false),
    ] {
        let trades = random_trades(&mut random);
        let mut checked = 0;
        for interval in &Interval::ALL[1..] {
            for minutes in OFFSETS_MINUTES {
                let candles = Candles { interval: *interval, offset: minutes * MINUTE.0 };
                let budget = Budget::new();
                let history = history(Made::of(&trades, &series, keeps_empty), &budget);
                let context = format!("{interval:?} {minutes} {series:?} {keeps_empty}");

                let all = history.rows(candles, Some(Nanos(0)), None, usize::MAX);
                // All of them follow each other up to the one that is open now, and none but the first may be missing.
                let first = candles.open_time(START);
                let first = if all[0].kline.open_time == first { first } else { candles.next_open(first) };
                let opens: Vec<_> = all.iter().map(|row| row.kline.open_time).collect();
                let slots: Vec<_> = std::iter::successors(Some(first), |open| Some(candles.next_open(*open)))
                    .take_while(|open| *open <= NOW)
                    .collect();
                assert_eq!(opens, slots, "{context}");
                all.iter().for_each(|row| assert_same(row, &trades, &context));
                checked += all.len();

                for _ in 0..8 {
                    let time = |random: &mut fastrand::Rng| Nanos(random.i64(START.0 - HOUR_NS..NOW.0 + HOUR_NS));
                    let from = random.bool().then(|| time(&mut random));
                    let to = random.bool().then(|| time(&mut random));
                    let limit = random.usize(1..40);
                    let inside = |row: &&Row| {
                        let open = row.kline.open_time;
                        from.is_none_or(|from| open >= from) && to.is_none_or(|to| open <= to)
                    };
                    let mut wanted: Vec<_> = all.iter().filter(inside).copied().collect();
                    if from.is_some() {
                        wanted.truncate(limit);
                    } else {
                        wanted.drain(..wanted.len().saturating_sub(limit));
                    }
                    assert_eq!(history.rows(candles, from, to, limit), wanted, "{context} {from:?} {to:?} {limit}");
                }
            }
        }
        println!("{checked} rows of {} series", series.len());
        assert!(checked > 10_000);
    }
}

#[test]
fn windows_are_what_the_trades_make() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let trades = random_trades(&mut random);
    for (series, keeps_empty) in [(&[Series::MINUTE, Series::HOUR][..], true), (&[Series::MINUTE], false)] {
        for _ in 0..200 {
            let open = Series::MINUTE.open_time(Nanos(random.i64(START.0 + MINUTE.0..NOW.0)));
            let budget = Budget::new();
            let sum = history(Made::of(&trades, series, keeps_empty), &budget).window(open);
            let sum = sum.expect("within the budget").expect("a candle");
            assert_same(&Row { kline: sum, end: Nanos(i64::MAX) }, &trades, &format!("{open:?}"));
        }
    }
}

#[test]
fn a_window_that_begins_before_all_that_is_known_says_so() {
    let trades: Vec<_> = (0..9).map(|id| trade(id, Nanos(START.0 + id * HOUR_NS), 1_000_000)).collect();
    let budget = Budget::new();
    let history = history(Made::of(&trades, &[Series::MINUTE, Series::HOUR], true), &budget);
    let since = |open: Nanos| history.window(open).expect("within the budget").expect("a candle").open_time;
    assert_eq!(since(Nanos(START.0 - HOUR_NS)), START);
    assert_eq!(since(START), START);
    assert_eq!(since(Nanos(START.0 + 7 * MINUTE.0)), Nanos(START.0 + 7 * MINUTE.0));
}

#[test]
fn a_week_costs_an_edge_of_minutes_and_hours() {
    let start = Nanos(NOW.0 - 8 * DAY.0);
    let trades: Vec<_> =
        (0..8 * 24 * 60).map(|minute| trade(minute, Nanos(start.0 + minute * MINUTE.0), 1_000_000 + minute)).collect();
    let made = Made::of(&trades, &[Series::MINUTE, Series::HOUR], true);
    let budget = Budget::new();
    let open = Series::MINUTE.open_time(Nanos(NOW.0 - 7 * DAY.0));
    let sum = history(made, &budget).window(open).expect("within the budget").expect("a candle");
    assert_eq!(sum.trades, 7 * 24 * 60);
    let read = CANDLES_MOST - budget.left();
    assert!(read < 60 + 7 * 24 + 10, "{read} candles were read");
    // A hundred symbols fit, even if hours are missing for some.
    assert!(read * SYMBOLS < CANDLES_MOST / 4);
}

const SYMBOLS: usize = 100;

#[test]
fn too_much_history_is_an_error_and_not_a_wrong_sum() {
    let trades: Vec<_> = (0..2000).map(|id| trade(id, Nanos(START.0 + id * MINUTE.0), 1_000_000)).collect();
    let budget = Budget(Cell::new(100));
    let history = history(Made::of(&trades, &[Series::MINUTE], true), &budget);
    assert_eq!(history.window(START), Err(TooMuch));
}

#[test]
fn where_trades_are_lost_no_row_is_made_up() {
    // Ids 3 to 8 were missed: what stands between 2 and 9 is not known.
    let at = |minute| Nanos(START.0 + minute * MINUTE.0);
    let trades: Vec<_> =
        [(1, 0), (2, 1), (9, 30), (10, 33)].map(|(id, minute)| trade(id, at(minute), 1_000_000 + id)).into();
    let budget = Budget::new();
    let history = history(Made::of(&trades, &[Series::MINUTE], false), &budget);
    let minute = Candles { interval: Interval::Minute1, offset: 0 };
    let opens =
        |rows: Vec<Row>| rows.iter().map(|row| (row.kline.open_time.0 - START.0) / MINUTE.0).collect::<Vec<_>>();
    assert_eq!(opens(history.rows(minute, Some(Nanos(0)), Some(at(33)), 1000)), [0, 1, 30, 31, 32, 33]);
    assert_eq!(opens(history.rows(minute, None, Some(at(33)), 5)), [1, 30, 31, 32, 33], "the hole is no end");
    assert_eq!(opens(history.rows(minute, Some(at(2)), Some(at(33)), 3)), [30, 31, 32], "nor a beginning");
    let quarter = Candles { interval: Interval::Minute15, offset: 0 };
    assert_eq!(opens(history.rows(quarter, Some(Nanos(0)), Some(at(44)), 1000)), [30], "a quarter that lacks a part");
}

#[test]
fn the_oldest_candle_is_found_from_the_beginning_of_time() {
    let trades: Vec<_> = (0..90).map(|id| trade(id, Nanos(START.0 + id * 31 * MINUTE.0), 1_000_000)).collect();
    let budget = Budget::new();
    let history = history(Made::of(&trades, &[Series::MINUTE, Series::HOUR], true), &budget);
    for (interval, hours) in [(Interval::Minute1, 0), (Interval::Hour1, 0), (Interval::Hour4, 3), (Interval::Day1, 3)] {
        let rows = history.rows(Candles { interval, offset: 0 }, Some(Nanos(0)), None, 1);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].kline.open_time, Nanos(START.0 + hours * HOUR_NS), "whole ones only: {interval:?}");
    }
    // Of this month only its end is known, but it is gone; February is open now.
    let rows = history.rows(Candles { interval: Interval::Month1, offset: 0 }, Some(Nanos(0)), None, 1);
    assert_eq!(rows[0].kline.open_time, Nanos::from_millis(1_706_745_600_000));
}

#[test]
fn without_candles_there_is_nothing() {
    let budget = Budget::new();
    let history = history(Made::default(), &budget);
    assert_eq!(history.rows(Candles { interval: Interval::Hour1, offset: 0 }, None, None, 10), []);
    assert_eq!(history.window(START), Ok(None));
}
