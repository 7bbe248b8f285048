//! The market against a plain book that is rebuilt from what it said.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::{
    market::Side,
    sim::{
        bar::Bar,
        symbols::SYMBOLS,
        timeframe::{Timeframe, Window},
    },
};

const START: Nanos = Nanos(1_789_000_000_000_000_000);
const FIRST_ID: i64 = 1_789_000_000_000_000;

fn market(seed: u64, rate: u32) -> Market {
    Market::new(seed, rate, SYMBOLS.iter().collect(), FIRST_ID, START)
}

fn after_ms(ms: i64) -> Nanos {
    Nanos(START.0 + ms * MILLISECOND)
}

#[test]
fn the_same_seed_says_the_same_however_time_is_cut() {
    let (mut whole, mut cut) = (Vec::new(), Vec::new());
    market(7, 2_000).advance(after_ms(5_000), &mut whole);
    let mut other = market(7, 2_000);
    for step in 0..=500 {
        other.advance(after_ms(step * 10), &mut cut);
    }
    assert!(whole.len() > 10_000);
    assert_eq!(whole, cut);
    let mut another = Vec::new();
    market(8, 2_000).advance(after_ms(5_000), &mut another);
    assert_ne!(whole, another);
}

#[test]
fn the_rate_is_about_what_was_asked_for_and_bursts_stand_out() {
    let mut market = market(1, 600);
    let mut out = Vec::new();
    let mut busiest = 0;
    for second in 1..=120 {
        let before: i64 = (0..SYMBOLS.len() as u32).map(|index| market.book(index).last_id).sum();
        market.advance(after_ms(second * 1_000), &mut out);
        let changes = (0..SYMBOLS.len() as u32).map(|index| market.book(index).last_id).sum::<i64>() - before;
        busiest = busiest.max(changes);
        out.clear();
    }
    let changes: i64 = (0..SYMBOLS.len() as u32).map(|index| market.book(index).last_id - FIRST_ID + 1).sum();
    assert!((400..1_000).contains(&(changes / 120)), "{} changes per second", changes / 120);
    assert!(busiest > 1_500, "the busiest second had {busiest} changes");
}

#[test]
fn diffs_tile_and_rebuild_the_book_and_prices_never_cross() {
    let mut market = market(3, 5_000);
    let start: Vec<Book> = (0..SYMBOLS.len() as u32).map(|index| market.book(index).clone()).collect();
    let mut rebuilt = [start.clone(), start];
    let mut out = Vec::new();
    market.advance(after_ms(10_000), &mut out);
    market.pause(&mut out);
    for print in &out {
        let What::Diff { cadence, ids, bids, asks } = &print.what else { continue };
        let book = &mut rebuilt[*cadence as usize][print.symbol as usize];
        assert_eq!(ids.first, book.last_id + 1);
        assert!(ids.last >= ids.first);
        book.last_id = ids.last;
        assert!(bids.is_sorted_by(|a, b| a.price > b.price), "bids descend");
        assert!(asks.is_sorted_by(|a, b| a.price < b.price), "asks ascend");
        for (levels, changes) in [(&mut book.bids, bids), (&mut book.asks, asks)] {
            for level in changes {
                match level.quantity.0 {
                    0 => levels.remove(&level.price.0),
                    quantity => levels.insert(level.price.0, quantity),
                };
            }
        }
        let (bid, ask) = (book.top(Side::Bid, 1), book.top(Side::Ask, 1));
        assert!(bid[0].price < ask[0].price, "crossed");
    }
    for (index, _) in SYMBOLS.iter().enumerate() {
        for rebuilt in &rebuilt {
            let (mine, theirs) = (&rebuilt[index], market.book(index as u32));
            assert_eq!((mine.last_id, &mine.bids, &mine.asks), (theirs.last_id, &theirs.bids, &theirs.asks));
        }
    }
}

#[test]
fn best_prices_change_with_every_print_at_rising_ids() {
    let mut out = Vec::new();
    market(4, 3_000).advance(after_ms(5_000), &mut out);
    let mut last: HashMap<u32, Best> = HashMap::new();
    let mut seen = 0;
    for print in &out {
        let What::Best(best) = print.what else { continue };
        assert!(best.bid.price < best.ask.price && best.bid.quantity.0 > 0 && best.ask.quantity.0 > 0);
        if let Some(before) = last.insert(print.symbol, best) {
            assert!(best.update_id > before.update_id);
            assert_ne!((best.bid, best.ask), (before.bid, before.ask));
            seen += 1;
        }
    }
    assert!(seen > 1_000);
}

#[test]
fn trades_have_contiguous_ids_and_aggregates_hold_them_all() {
    let mut market = market(5, 5_000);
    let mut out = Vec::new();
    market.advance(after_ms(10_000), &mut out);
    let mut trades: HashMap<u32, BTreeMap<i64, Trade>> = HashMap::new();
    let mut last_agg: HashMap<u32, AggTrade> = HashMap::new();
    for print in &out {
        match &print.what {
            What::Trade(trade) => {
                trades.entry(print.symbol).or_default().insert(trade.id, *trade);
            }
            What::AggTrade(aggregate) => {
                let inside: Vec<_> = trades[&print.symbol].range(aggregate.first_id..=aggregate.last_id).collect();
                assert_eq!(inside.len() as i64, aggregate.last_id - aggregate.first_id + 1);
                assert_eq!(inside.iter().map(|(_, trade)| trade.quantity.0).sum::<i64>(), aggregate.quantity.0);
                assert!(inside.iter().all(|(_, trade)| trade.price == aggregate.price));
                if let Some(before) = last_agg.insert(print.symbol, *aggregate) {
                    assert_eq!((before.id + 1, before.last_id + 1), (aggregate.id, aggregate.first_id));
                }
            }
            _ => {}
        }
    }
    assert!(last_agg.len() == SYMBOLS.len(), "every symbol trades");
    let kept = market.ledger(0, after_ms(10_000)).newest_trades(1_000);
    assert!(kept.len() == 1_000 && kept.is_sorted_by(|a, b| a.id + 1 == b.id && a.time <= b.time));
    assert_eq!(Some(&kept[999]), trades[&0].values().next_back());
}

/// A market that says everything, and what it said of one symbol in some time.
fn loud(seed: u64, rate: u32, start: Nanos, seconds: i64) -> (Market, Vec<Print>) {
    let mut market = Market::new(seed, rate, SYMBOLS.iter().collect(), FIRST_ID, start);
    for channel in Timeframe::all().map(Channel::Kline).chain(Statistic::ALL.map(Channel::of_statistic)) {
        market.want(0, channel, true);
    }
    for channel in [Channel::Average, Channel::Reference] {
        market.want(0, channel, true);
    }
    let mut out = Vec::new();
    market.advance(Nanos(start.0 + seconds * SECOND), &mut out);
    out.retain(|print| print.symbol == 0);
    (market, out)
}

fn trades_in(out: &[Print]) -> Vec<Trade> {
    out.iter().filter_map(|print| if let What::Trade(trade) = print.what { Some(trade) } else { None }).collect()
}

fn candles_in(out: &[Print]) -> impl Iterator<Item = &Candle> {
    out.iter().filter_map(|print| if let What::Kline(candle) = &print.what { Some(&**candle) } else { None })
}

#[test]
fn closed_candles_are_what_their_trades_come_to() {
    let (mut market, out) = loud(6, 4_000, START, 190);
    let trades = trades_in(&out);
    let mut closed = HashMap::new();
    for candle in candles_in(&out).filter(|candle| candle.closed) {
        *closed.entry(candle.timeframe).or_insert(0) += 1;
        let is_inside = |trade: &&Trade| (candle.open..candle.end).contains(&trade.time.0.div_euclid(SECOND));
        let inside: Vec<Trade> = trades.iter().filter(is_inside).copied().collect();
        // The first minute has no past: it begins with the market.
        let expected = Bar::of_trades(&inside);
        if candle.open * SECOND >= START.0.div_euclid(MINUTE) * MINUTE {
            assert_eq!(Some(candle.bar).filter(|bar| bar.trades > 0), expected, "{candle:?}");
        }
        let rows = market.ledger(0, after_ms(190_000)).candles(candle.timeframe, candle.open, 1);
        assert_eq!(rows, [*candle], "the stream's last candle is the row of REST");
    }
    let count = |interval| closed.get(&Timeframe::parse(interval, 0).expect("an interval")).copied().unwrap_or(0);
    assert_eq!((count("1s"), count("1m"), count("1h")), (190, 3, 0));
}

#[test]
fn candles_are_said_each_two_seconds_and_once_closed() {
    // Two and a half minutes before the turn of a month, where nearly everything ends.
    let start = Nanos(1_793_491_200_000_000_000 - 150 * SECOND);
    let (_, out) = loud(2, 300, start, 300);
    for timeframe in Timeframe::all() {
        let said: Vec<(Nanos, Candle)> = out
            .iter()
            .filter_map(|print| match &print.what {
                What::Kline(candle) if candle.timeframe == timeframe => Some((print.time, **candle)),
                _ => None,
            })
            .collect();
        if timeframe.is_second() {
            assert_eq!(said.len(), 300);
            assert!(said.iter().all(|(time, candle)| candle.closed && time.0 == candle.end * SECOND));
            continue;
        }
        assert_eq!(said.iter().filter(|(_, candle)| !candle.closed).count(), 150, "{timeframe:?}");
        let mut ends = Vec::new();
        for pair in said.windows(2) {
            let ((time, candle), (_, next)) = (pair[0], pair[1]);
            if candle.closed {
                assert_eq!((time.0, next.open), (candle.end * SECOND, candle.end), "{timeframe:?}");
                assert_eq!(timeframe.next(candle.open), candle.end);
                ends.push(candle.end);
            } else {
                assert_eq!(next.open, candle.open, "{timeframe:?}: no candle goes without its end");
                assert!(next.bar.trades >= candle.bar.trades);
            }
        }
        assert!(ends.is_sorted_by(|a, b| a < b));
        if timeframe == Timeframe::MONTH {
            assert_eq!(ends, [1_793_491_200]);
        }
    }
}

#[test]
fn windows_are_sums_of_rows_over_past_and_live() {
    let (mut market, out) = loud(8, 1_000, START, 100);
    let now = after_ms(100_000);
    let minute = now.0.div_euclid(MINUTE);
    let last = |statistic| {
        out.iter().rev().find_map(|print| match &print.what {
            What::Statistics(of, statistics) if *of == statistic => Some(**statistics),
            _ => None,
        })
    };
    for (statistic, minutes) in
        [(Statistic::Rolling(Window::Hour1), 60), (Statistic::Rolling(Window::Hour4), 240), (Statistic::Day, 1_440)]
    {
        let said = last(statistic).expect("it was said");
        let rows = market.ledger(0, now).candles(Timeframe::MINUTE, (minute - minutes) * 60, 2_000);
        assert_eq!(rows.len() as i64, minutes + 1);
        let sum = Bar::of_bars(rows.iter().map(|row| row.bar)).expect("trades");
        let best = market.best(0);
        let fresh = Statistics::of_window(market.ledger(0, now), &best, minutes, now);
        assert_eq!(fresh.bar, sum, "{statistic:?}");
        assert_eq!(fresh.open_time.0, (minute - minutes) * MINUTE);
        // What was said is at most a second older.
        assert!(said.bar.first_id() == sum.first_id() && said.bar.last_id() <= sum.last_id());
        assert!(now.0 - said.close_time.0 <= SECOND);
        assert_eq!(
            Some(fresh.previous_close),
            market.ledger(0, now).trades_from(sum.first_id() - 1, 1).first().map(|t| t.price.0)
        );
        if statistic == Statistic::Day {
            assert_eq!(said.close_time.0 - said.open_time.0, 86_400 * SECOND);
        }
    }
    let hours = market.ledger(0, now).candles(Timeframe::parse("1h", 0).expect("1h"), 0, usize::MAX);
    assert!(hours.len() > 700 * 24);
    for hour in hours.iter().rev().take(30) {
        let rows = market.ledger(0, now).candles(Timeframe::MINUTE, hour.open, 60);
        assert_eq!(Bar::of_bars(rows.iter().map(|row| row.bar)), Some(hour.bar));
    }
    assert!(hours.windows(2).all(|pair| pair[0].bar.last_id() + 1 == pair[1].bar.first_id()), "ids are contiguous");
}

#[test]
fn past_and_live_trades_are_one_sequence() {
    let (mut market, _) = loud(3, 500, START, 20);
    let ledger = market.ledger(0, after_ms(20_000));
    let trades = ledger.trades_from(FIRST_ID - 300, 600);
    assert_eq!((trades.len(), trades[0].id, trades[599].id), (600, FIRST_ID - 300, FIRST_ID + 299));
    assert!(trades.is_sorted_by(|a, b| a.time <= b.time));
    let aggregates = ledger.aggregates_from(FIRST_ID - 5, 10);
    assert_eq!(aggregates.iter().map(|it| it.id - FIRST_ID).collect::<Vec<_>>(), (-5..5).collect::<Vec<_>>());
    let after = ledger.aggregate_after(aggregates[2].time);
    assert_eq!(after, aggregates[3].id);
    assert_eq!(
        ledger.newest_aggregates(aggregates[7].time, 4).last(),
        aggregates
            .get(7)
            .filter(|it| it.time < aggregates[8].time)
            .or(aggregates.iter().rev().find(|it| it.time == aggregates[7].time))
    );
}

#[test]
fn average_and_reference_price_are_means_of_five_minutes() {
    let (mut market, out) = loud(4, 2_000, START, 400);
    let trades = trades_in(&out);
    let print = out.iter().rfind(|print| matches!(print.what, What::Average { .. })).expect("an average");
    let What::Average { price, time } = print.what else { unreachable!() };
    let begin = (print.time.0.div_euclid(SECOND) - 300) * SECOND;
    let inside: Vec<_> = trades.iter().filter(|t| t.time.0 >= begin && t.time <= print.time).collect();
    let volume: i128 = inside.iter().map(|t| i128::from(t.quantity.0)).sum();
    let value: i128 = inside.iter().map(|t| i128::from(t.quantity.0) * i128::from(t.price.0)).sum();
    assert_eq!(price, (value * 2 + volume) / (volume * 2));
    assert_eq!(Some(time), inside.last().map(|t| t.time));
    // Exactly 80 buckets: the oldest one does not count at the begin of a new one.
    let now = Nanos((START.0 / 3_750_000_000 + 100) * 3_750_000_000);
    let mut other = Market::new(4, 2_000, SYMBOLS.iter().collect(), FIRST_ID, START);
    other.advance(now, &mut Vec::new());
    let inside: Vec<_> = trades
        .iter()
        .filter(|t| t.time.0 > now.0 - 300 * SECOND && t.time <= now)
        .map(|t| i128::from(t.price.0))
        .collect();
    let mean = inside.iter().sum::<i128>() / inside.len() as i128;
    let reference = other.ledger(0, now).reference(now).map(i128::from).expect("a price");
    assert!((reference - mean).abs() <= mean / 10_000_000, "{reference} {mean}");
    let quiet = market.ledger(1, Nanos(now.0 + 3_600 * SECOND));
    assert_eq!(quiet.reference(Nanos(now.0 + 3_600 * SECOND)), None);
    assert_eq!(quiet.average(), i128::from(quiet.last_price()), "without trades the last price stays");
}

#[test]
fn arrays_hold_what_changed_and_are_never_empty() {
    let mut market = market(5, 60);
    for array in Array::ALL {
        market.want(ALL_SYMBOLS, Channel::Array(array), true);
    }
    let mut out = Vec::new();
    market.advance(after_ms(30_000), &mut out);
    let mut seen: HashMap<Array, Vec<usize>> = HashMap::new();
    let mut last: HashMap<(Array, u32), Statistics> = HashMap::new();
    for print in &out {
        let What::Array(array, elements) = &print.what else { continue };
        assert!(!elements.is_empty() && elements.is_sorted_by(|a, b| a.symbol < b.symbol));
        seen.entry(*array).or_default().push(elements.len());
        for element in elements {
            assert!(element.time <= print.time && element.time.0 > print.time.0 - array.period());
            let essence = element.statistics.essence(array.statistic());
            if *array != Array::MiniSlow {
                assert_ne!(last.insert((*array, element.symbol), essence), Some(essence), "{array:?}: no change");
            }
        }
    }
    assert_eq!((seen.len(), seen[&Array::MiniSlow].len()), (Array::ALL.len(), 10));
    let mini = &seen[&Array::Mini];
    assert_eq!(mini[0], SYMBOLS.len(), "everything is new at first");
    // With a new minute every window slides on.
    assert_eq!(mini[1..].iter().filter(|len| **len == SYMBOLS.len()).count(), 1, "{mini:?}");
    let nobody = out.iter().any(|print| matches!(print.what, What::Statistics(..) | What::Kline(_)));
    assert!(!nobody, "only what is wanted is made");
}

#[test]
fn blocks_are_traded_now_and_then_and_count_for_nothing() {
    let (mut market, out) = loud(1, 100, START, 200);
    let blocks: Vec<Trade> = out
        .iter()
        .filter_map(|print| if let What::BlockTrade(trade) = print.what { Some(trade) } else { None })
        .collect();
    assert!(blocks.len() > 3 && blocks.is_sorted_by(|a, b| a.id < b.id));
    let ledger = market.ledger(0, after_ms(200_000));
    assert_eq!(ledger.blocks_from(blocks[1].id, 2).copied().collect::<Vec<_>>(), blocks[1..3]);
    assert!(ledger.trades_from(FIRST_ID, 10_000).iter().all(|trade| !blocks.contains(trade)));
}

#[test]
fn a_day_goes_by() {
    let now = Nanos(START.0 + (86_400 + 3_600) * SECOND);
    let mut market = Market::new(12, 1, SYMBOLS.iter().take(1).collect(), FIRST_ID, START);
    market.want(0, Channel::Ticker, true);
    let mut out = Vec::new();
    market.advance(now, &mut out);
    let trades = trades_in(&out);
    let print = out.iter().rfind(|print| matches!(print.what, What::Statistics(Statistic::Day, _))).expect("a ticker");
    let What::Statistics(_, said) = &print.what else { unreachable!() };
    // By now the window holds live trades only.
    let begin = said.close_time.0.div_euclid(MINUTE) * MINUTE - 86_400 * SECOND;
    let inside: Vec<Trade> =
        trades.iter().filter(|t| t.time.0 >= begin && t.time <= said.close_time).copied().collect();
    assert_eq!(Some(said.bar), Bar::of_trades(&inside));
    let before = trades.iter().rfind(|t| t.time.0 < begin).expect("one before");
    assert_eq!(said.previous_close, before.price.0);
    let mut rows = market.ledger(0, now).candles(Timeframe::MINUTE, START.0 / SECOND - 600, usize::MAX);
    rows.pop();
    assert!(rows.len() > 1_500 && rows.iter().any(|row| row.bar.trades == 0), "some minutes are empty");
    for pair in rows.windows(2) {
        assert_eq!(pair[0].end, pair[1].open);
        if pair[1].bar.trades == 0 {
            assert_eq!(pair[1].bar, Bar::empty(pair[0].bar.close));
        }
    }
}

#[test]
fn what_is_older_than_a_week_lies_in_quarters_and_sums_stay() {
    let symbols: Vec<_> = SYMBOLS.iter().take(1).collect();
    let mut market = Market::new(2, 1, symbols, FIRST_ID, START);
    let mut out = Vec::new();
    let mut live = Vec::new();
    let mut now = START;
    for _ in 0..11 {
        now = Nanos(now.0 + 86_400 * SECOND);
        market.advance(now, &mut out);
        live.extend(trades_in(&out));
        out.clear();
    }
    let ledger = market.ledger(0, now);
    let day = Timeframe::DAY;
    for candle in ledger.candles(day, day.open(START.0 / SECOND) + 86_400, 9) {
        let is_inside = |trade: &&Trade| (candle.open..candle.end).contains(&trade.time.0.div_euclid(SECOND));
        let inside: Vec<Trade> = live.iter().filter(is_inside).copied().collect();
        assert_eq!(Some(candle.bar), Bar::of_trades(&inside));
    }
}

#[test]
fn after_a_pause_nothing_is_said_until_the_market_resumes() {
    let mut market = market(9, 5_000);
    let mut out = Vec::new();
    market.advance(after_ms(1_000), &mut out);
    market.pause(&mut out);
    out.clear();
    market.advance(after_ms(70_000), &mut out);
    assert_eq!(out, []);
    market.resume();
    market.advance(after_ms(71_000), &mut out);
    assert!(out.len() > 100);
}
