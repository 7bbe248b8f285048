//! The market against a plain book that is rebuilt from what it said.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::{market::Side, sim::symbols::SYMBOLS};

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
    let kept = market.trades(0);
    assert!(kept.iter().zip(kept.iter().skip(1)).all(|(a, b)| a.id + 1 == b.id));
}

#[test]
fn candles_and_tickers_agree_with_the_trades() {
    let mut market = market(6, 4_000);
    let mut out = Vec::new();
    market.advance(after_ms(130_000), &mut out);
    market.pause(&mut out);
    let trades: Vec<Trade> = out
        .iter()
        .filter(|print| print.symbol == 0)
        .filter_map(|print| if let What::Trade(trade) = print.what { Some(trade) } else { None })
        .collect();
    let last = |wanted: fn(&What) -> bool| out.iter().rfind(|print| print.symbol == 0 && wanted(&print.what));
    let What::Ticker(ticker) = last(|what| matches!(what, What::Ticker(_))).expect("a ticker").what.clone() else {
        unreachable!()
    };
    assert_eq!(ticker.trades, trades.len() as i64);
    assert_eq!(ticker.mini.open, trades[0].price);
    assert_eq!(ticker.mini.close, trades[trades.len() - 1].price);
    assert_eq!(Some(ticker.mini.high), trades.iter().map(|trade| trade.price).max());
    assert_eq!(ticker.mini.volume.0, trades.iter().map(|trade| i128::from(trade.quantity.0)).sum::<i128>());
    let closed: Vec<Kline> = out
        .iter()
        .filter(|print| print.symbol == 0)
        .filter_map(|print| if let What::Kline(kline) = print.what { Some(kline) } else { None })
        .filter(|kline| kline.closed)
        .collect();
    assert_eq!(closed.len(), 2, "two minutes ended");
    assert_eq!(closed[1].open_time.0 - closed[0].open_time.0, MINUTE);
    for kline in closed {
        let inside: Vec<_> =
            trades.iter().filter(|t| t.time.0.div_euclid(MINUTE) * MINUTE == kline.open_time.0).collect();
        assert_eq!(kline.trades, inside.len() as i64);
        assert_eq!((kline.open, kline.close), (inside[0].price, inside[inside.len() - 1].price));
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
