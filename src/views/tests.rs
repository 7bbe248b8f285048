use std::{collections::BTreeMap, thread, time::Duration};

use super::*;
use crate::{
    market::{Listing, Quantity, Span, Status},
    ring,
    topic::{Cadence, Interest, Payload, Update},
};

const BTC: InstrumentId = InstrumentId(0);
const ETH: InstrumentId = InstrumentId(1);

fn catalogue() -> Arc<Catalogue> {
    let mut catalogue = Catalogue::new();
    let binance = catalogue.add_venue("binance", None);
    catalogue.add_instrument(binance, "BTCUSDT", "BTCUSDT");
    catalogue.add_instrument(binance, "ETHUSDT", "ETHUSDT");
    Arc::new(catalogue)
}

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Price(price), quantity: Quantity(quantity) }
}

fn push(batch: &mut Batch, payload: Payload) {
    batch.updates.push(Update { instrument: BTC, received: Nanos(5), time: Nanos(4), payload });
}

fn spans(batch: &mut Batch, sides: [&[Level]; 2]) -> [Span; 2] {
    sides.map(|side| {
        let start = batch.levels.len();
        batch.levels.extend_from_slice(side);
        Span::since(start, &batch.levels)
    })
}

fn diff(batch: &mut Batch, cadence: Cadence, first_id: i64, last_id: i64, sides: [&[Level]; 2]) {
    let [bids, asks] = spans(batch, sides);
    push(batch, Payload::DepthDiff { cadence, first_id, last_id, bids, asks });
}

fn snapshot(batch: &mut Batch, last_id: i64, sides: [&[Level]; 2], reset: bool) {
    let [bids, asks] = spans(batch, sides);
    push(batch, Payload::BookSnapshot { last_id, bids, asks, reset });
}

/// Applies what `fill` makes; returns whether a snapshot was asked for.
fn apply(views: &Views, fill: impl FnOnce(&mut Batch)) -> bool {
    let mut batch = Batch::default();
    fill(&mut batch);
    let mut asked = false;
    views.apply(&batch, |instrument| {
        assert_eq!(instrument, BTC);
        asked = true;
    });
    asked
}

fn trade(id: i64, price: i64) -> Trade {
    Trade { id, price: Price(price), quantity: Quantity(1), time: Nanos(id * 1000), buyer_is_maker: false }
}

fn agg_trade(id: i64, last_id: i64, price: i64) -> AggTrade {
    AggTrade {
        id,
        price: Price(price),
        quantity: Quantity(1),
        first_id: last_id,
        last_id,
        time: Nanos(id * 1000),
        buyer_is_maker: false,
    }
}

#[test]
fn a_mirror_follows_diffs_from_its_snapshot() {
    let views = Views::new(catalogue());
    assert_eq!(views.depth(BTC, 10), None);
    assert!(apply(&views, |batch| diff(batch, Cadence::Fast, 1, 2, [&[level(9, 1)], &[]])), "no book to continue");
    assert_eq!(views.depth(BTC, 10), None);

    let book: [&[Level]; 2] = [&[level(9, 5), level(8, 6)], &[level(10, 7), level(12, 8)]];
    assert!(!apply(&views, |batch| snapshot(batch, 20, book, false)));
    assert_eq!(views.best(BTC), Some(Best { update_id: 20, bid: level(9, 5), ask: level(10, 7) }));
    // This tick began before the snapshot: levels are absolute, so it is applied as a whole.
    assert!(!apply(&views, |batch| {
        diff(batch, Cadence::Fast, 15, 22, [&[level(9, 0)], &[level(10, 1), level(11, 2)]]);
    }));
    // The slow cadence repeats what is known, with ids of its own.
    assert!(!apply(&views, |batch| diff(batch, Cadence::Slow, 90, 99, [&[level(1, 1)], &[]])));
    let depth = views.depth(BTC, 2).expect("a book");
    assert_eq!(depth, Depth { last_id: 22, bids: vec![level(8, 6)], asks: vec![level(10, 1), level(11, 2)] });
    // An old one again changes nothing.
    assert!(!apply(&views, |batch| diff(batch, Cadence::Fast, 10, 21, [&[level(9, 3)], &[]])));
    assert_eq!(views.depth(BTC, 2), Some(depth));
    assert_eq!(views.depth(ETH, 2), None);
    assert_eq!(views.updated(BTC), Some(Nanos(5)));
}

#[test]
fn a_hole_hides_the_book_until_a_whole_one_comes() {
    let views = Views::new(catalogue());
    apply(&views, |batch| snapshot(batch, 20, [&[level(9, 5)], &[level(10, 5)]], false));
    assert!(apply(&views, |batch| diff(batch, Cadence::Fast, 22, 23, [&[], &[level(10, 6)]])));
    assert_eq!(views.depth(BTC, 1), None);
    assert!(apply(&views, |batch| diff(batch, Cadence::Fast, 24, 24, [&[], &[level(10, 7)]])), "it asks again");
    apply(&views, |batch| snapshot(batch, 24, [&[level(9, 5)], &[level(10, 7), level(11, 0)]], false));
    assert_eq!(
        views.depth(BTC, 5),
        Some(Depth { last_id: 24, bids: vec![level(9, 5)], asks: vec![level(10, 7)] }),
        "a level without quantity is none",
    );
    // Ids fall only when the venue started over.
    apply(&views, |batch| snapshot(batch, 3, [&[], &[]], false));
    assert_eq!(views.depth(BTC, 5).expect("a book").last_id, 24);
    apply(&views, |batch| {
        push(batch, Payload::BookTicker(Best { update_id: 24, bid: level(9, 5), ask: level(10, 7) }))
    });
    apply(&views, |batch| snapshot(batch, 3, [&[level(2, 1)], &[]], true));
    assert_eq!(views.best(BTC), Some(Best { update_id: 3, bid: level(2, 1), ask: Level::default() }));
}

#[test]
fn the_best_is_the_newer_of_what_was_published_and_the_book() {
    let views = Views::new(catalogue());
    let best = |update_id, bid| Best { update_id, bid: level(bid, 1), ask: level(30, 1) };
    apply(&views, |batch| push(batch, Payload::BookTicker(best(10, 7))));
    assert_eq!(views.best(BTC), Some(best(10, 7)), "without a book");
    apply(&views, |batch| snapshot(batch, 12, [&[level(8, 1)], &[level(30, 1)]], false));
    assert_eq!(views.best(BTC), Some(best(12, 8)), "the book is ahead");
    apply(&views, |batch| push(batch, Payload::BookTicker(best(13, 9))));
    assert_eq!(views.best(BTC), Some(best(13, 9)), "between two ticks of the book");
    apply(&views, |batch| diff(batch, Cadence::Fast, 13, 14, [&[level(9, 1)], &[level(31, 1)]]));
    assert_eq!(views.best(BTC), Some(best(14, 9)));
}

#[test]
fn a_mirror_equals_a_plain_book_after_random_diffs() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let views = Views::new(catalogue());
    apply(&views, |batch| snapshot(batch, 0, [&[], &[]], false));
    let mut oracle = [BTreeMap::new(), BTreeMap::new()];
    let mut last_id = 0;
    for _ in 0..2000 {
        let mut sides = [Vec::new(), Vec::new()];
        for (side, levels) in sides.iter_mut().enumerate() {
            for _ in 0..random.usize(..4) {
                let price = random.i64(1..50) + 50 * side as i64;
                let quantity = random.i64(0..3);
                levels.push(level(price, quantity));
                oracle[side].insert(price, quantity);
                oracle[side].retain(|_, quantity| *quantity > 0);
            }
        }
        let first_id = last_id + 1;
        last_id += random.i64(1..5);
        assert!(!apply(&views, |batch| diff(batch, Cadence::Fast, first_id, last_id, [&sides[0], &sides[1]])));
    }
    let expected = |(&price, &quantity): (&i64, &i64)| level(price, quantity);
    let bids = oracle[0].iter().rev().map(expected).collect();
    let asks = oracle[1].iter().map(expected).collect();
    assert_eq!(views.depth(BTC, 1000), Some(Depth { last_id, bids, asks }));
}

#[test]
fn recent_trades_are_bounded_and_found_by_id_and_time() {
    let views = Views::new(catalogue());
    assert_eq!((views.last_price(BTC), views.trades(BTC, 5)), (None, vec![]));
    apply(&views, |batch| {
        for id in 1..=6000 {
            push(batch, Payload::Trade(trade(id, id + 7)));
            push(batch, Payload::AggTrade(agg_trade(id, id, id + 7)));
        }
    });
    let ids = |trades: Vec<Trade>| trades.iter().map(|trade| trade.id).collect::<Vec<_>>();
    let agg_ids = |filter| views.agg_trades(BTC, &filter).iter().map(|trade| trade.id).collect::<Vec<_>>();
    assert_eq!(views.last_price(BTC), Some(Price(6007)));
    assert_eq!(ids(views.trades(BTC, 3)), [5998, 5999, 6000]);
    assert_eq!(ids(views.trades(BTC, usize::MAX)).len(), TRADES_MOST);
    assert_eq!(ids(views.trades_from(BTC, 0, 2)), [1001, 1002], "the oldest are gone");
    assert_eq!(ids(views.trades_from(BTC, 5999, 9)), [5999, 6000]);
    let all = AggTradesFilter { limit: 2, ..AggTradesFilter::default() };
    assert_eq!(agg_ids(all), [5999, 6000]);
    assert_eq!(agg_ids(AggTradesFilter { from_id: Some(3000), ..all }), [3000, 3001]);
    assert_eq!(agg_ids(AggTradesFilter { start: Some(Nanos(4_000_000)), ..all }), [4000, 4001]);
    assert_eq!(agg_ids(AggTradesFilter { end: Some(Nanos(4_000_000)), ..all }), [3999, 4000]);
    let both = AggTradesFilter { start: Some(Nanos(4_000_000)), end: Some(Nanos(4_000_500)), ..all };
    assert_eq!(agg_ids(both), [4000]);
    // A relisting numbers from the start again.
    apply(&views, |batch| push(batch, Payload::Trade(trade(1, 9))));
    assert_eq!(ids(views.trades(BTC, 10)), [1]);
}

#[test]
fn the_last_price_is_that_of_the_highest_fill() {
    let views = Views::new(catalogue());
    apply(&views, |batch| push(batch, Payload::Trade(trade(10, 100))));
    apply(&views, |batch| push(batch, Payload::AggTrade(agg_trade(1, 9, 99))));
    assert_eq!(views.last_price(BTC), Some(Price(100)), "an aggregate that comes late is older");
    apply(&views, |batch| push(batch, Payload::AggTrade(agg_trade(2, 12, 101))));
    apply(&views, |batch| push(batch, Payload::Trade(trade(11, 98))));
    assert_eq!(views.last_price(BTC), Some(Price(101)), "a trade that was held back is older");
}

#[test]
fn health_counts_listed_instruments_by_state() {
    let catalogue = catalogue();
    let views = Views::new(Arc::clone(&catalogue));
    let health = |views: &Views| {
        let [health] = views.health()[..] else { panic!("one venue") };
        [health.listed, health.waiting, health.live, health.healing, health.refused]
    };
    assert_eq!(health(&views), [0; 5]);
    for instrument in catalogue.instruments() {
        instrument.list(Listing {
            native: instrument.native.to_string(),
            base: "BTC".to_owned(),
            quote: "USDT".to_owned(),
            decimals: crate::market::Decimals::EIGHT,
            status: Status::Trading,
            tick_size: "0.01000000".to_owned(),
            step_size: "0.00001000".to_owned(),
            binance_info: None,
        });
    }
    assert_eq!(health(&views), [2, 2, 0, 0, 0]);
    apply(&views, |batch| push(batch, Payload::BookState(BookState::Live)));
    assert_eq!(health(&views), [2, 1, 1, 0, 0]);
    apply(&views, |batch| push(batch, Payload::BookState(BookState::Healing)));
    assert_eq!((health(&views), views.state(BTC)), ([2, 1, 0, 1, 0], BookState::Healing));
}

/// Waits until `holds`; fails only when the thread is stuck for good.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..30_000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("never happened: {what}");
}

#[test]
fn who_asks_catches_up_first_and_the_thread_asks_for_books_when_lapped() {
    let catalogue = catalogue();
    let views = Views::new(Arc::clone(&catalogue));
    let interest = Arc::new(Interest::new(catalogue.instruments().len()));
    let mut publisher = ring::ring::<Batch>(64, 1 << 20);
    let following =
        follow(Arc::clone(&views), Arc::clone(&interest), |waker| vec![publisher.reader(waker)]).expect("a thread");
    let mut batch = Batch::default();
    snapshot(&mut batch, 1, [&[level(1, 1)], &[level(2, 1)]], false);
    publisher.publish(&mut batch);
    views.catch_up();
    assert!(views.depth(BTC, 1).is_some(), "the first book");
    for id in 2..25 {
        diff(&mut batch, Cadence::Fast, id, id, [&[level(1, id)], &[]]);
        publisher.publish(&mut batch);
        views.catch_up();
        assert_eq!(views.depth(BTC, 1).map(|depth| depth.last_id), Some(id));
    }
    for id in 25..50 {
        diff(&mut batch, Cadence::Fast, id, id, [&[level(1, id)], &[]]);
        publisher.publish(&mut batch);
        wait_until("a diff", || views.depth(BTC, 1).is_some_and(|depth| depth.last_id == id));
    }
    // Holding the mirror stalls the thread, as a starved core would.
    let held = views.mirror(BTC);
    for id in 50..500 {
        diff(&mut batch, Cadence::Fast, id, id, [&[level(1, id)], &[]]);
        publisher.publish(&mut batch);
    }
    drop(held);
    wait_until("asking for the books", || interest.take_asked(BTC).book);
    wait_until("asking for the other book", || interest.take_asked(ETH).book);
    snapshot(&mut batch, 500, [&[level(1, 500)], &[]], false);
    publisher.publish(&mut batch);
    wait_until("the book again", || {
        views.depth(BTC, 1).is_some_and(|depth| depth.last_id == 500 && depth.bids == [level(1, 500)])
    });
    following.stop();
}

#[test]
fn past_trades_go_in_their_place_once() {
    let views = Views::new(catalogue());
    let ids = |views: &Views| views.trades(BTC, 10_000).iter().map(|trade| trade.id).collect::<Vec<_>>();
    let agg_ids = |views: &Views| {
        let all = AggTradesFilter { limit: 10_000, ..AggTradesFilter::default() };
        views.agg_trades(BTC, &all).iter().map(|trade| trade.id).collect::<Vec<_>>()
    };
    apply(&views, |batch| (50..60).for_each(|id| push(batch, Payload::PastTrade(trade(id, id)))));
    assert_eq!(views.last_price(BTC), Some(Price(59)), "before any live trade");
    apply(&views, |batch| push(batch, Payload::Trade(trade(62, 7))));
    apply(&views, |batch| {
        (55..63).for_each(|id| push(batch, Payload::PastTrade(trade(id, 1))));
        (40..45).for_each(|id| push(batch, Payload::PastTrade(trade(id, 1))));
        (40..45).for_each(|id| push(batch, Payload::PastAggTrade(agg_trade(id, id, 1))));
    });
    assert_eq!(ids(&views), [(40..45).collect::<Vec<_>>(), (50..63).collect()].concat());
    assert_eq!(agg_ids(&views), (40..45).collect::<Vec<_>>());
    assert_eq!(views.trades(BTC, 1), [trade(62, 7)], "what is known already stays");
    assert_eq!(views.last_price(BTC), Some(Price(7)), "past ones are not the last price");
    // What was fetched was ahead of the live stream.
    apply(&views, |batch| push(batch, Payload::PastTrade(trade(63, 8))));
    apply(&views, |batch| {
        [trade(62, 7), trade(63, 8)].into_iter().for_each(|trade| push(batch, Payload::Trade(trade)))
    });
    assert_eq!(views.trades(BTC, 3), [trade(61, 1), trade(62, 7), trade(63, 8)]);
    assert_eq!(views.last_price(BTC), Some(Price(8)));
    // A full list takes only what is newer than its oldest.
    apply(&views, |batch| {
        (1000..1000 + TRADES_MOST as i64).for_each(|id| push(batch, Payload::Trade(trade(id * 2, 1))))
    });
    apply(&views, |batch| [1999, 2001, 5001].into_iter().for_each(|id| push(batch, Payload::PastTrade(trade(id, 1)))));
    let expected: Vec<_> = ids(&views);
    assert_eq!((expected.len(), expected[0], expected[1]), (TRADES_MOST, 2002, 2004));
    assert!(expected.contains(&5001) && expected.is_sorted());
}

mod candles {
    use super::*;
    use crate::market::{Decimals, Kline};

    const SECOND: i64 = 1_000_000_000;

    fn at(id: i64, price: i64, time: i64) -> Trade {
        Trade { time: Nanos(time), ..trade(id, price) }
    }

    fn publish(batch: &mut Batch, kline: Kline) {
        let index = batch.klines.len() as u32;
        batch.klines.push(kline);
        push(batch, Payload::Kline(index));
    }

    fn candle(open: i64, price: i64, trades: &[Trade]) -> Kline {
        let mut candle = Kline::empty(Series::MINUTE, Nanos(open), Price(price));
        trades.iter().for_each(|trade| candle.add(trade, Decimals::EIGHT));
        candle
    }

    fn live(views: &Views, trades: &[Trade]) {
        apply(views, |batch| trades.iter().for_each(|&trade| push(batch, Payload::Trade(trade))));
    }

    #[test]
    fn an_open_candle_is_as_of_the_newest_trade() {
        let views = Views::new(catalogue());
        let trades: Vec<_> = (1..=9).map(|id| at(id, 100 + id, 60 * SECOND + id)).collect();
        assert_eq!(views.kline(BTC, Series::MINUTE), None);
        live(&views, &trades[..3]);
        assert_eq!(views.kline(BTC, Series::MINUTE), None, "nobody knows what was before the first trade");
        apply(&views, |batch| publish(batch, candle(60 * SECOND, 5, &trades[..5])));
        assert_eq!(views.kline(BTC, Series::MINUTE), Some(candle(60 * SECOND, 5, &trades[..5])), "the candle is ahead");
        live(&views, &trades[3..]);
        assert_eq!(views.kline(BTC, Series::MINUTE), Some(candle(60 * SECOND, 5, &trades)));
        assert_eq!(views.kline(BTC, Series::HOUR), None);
        assert_eq!(views.kline(ETH, Series::MINUTE), None);
    }

    #[test]
    fn a_candle_without_trades_takes_those_of_its_time() {
        let views = Views::new(catalogue());
        live(&views, &[at(1, 100, 59 * SECOND)]);
        apply(&views, |batch| publish(batch, candle(60 * SECOND, 100, &[])));
        assert_eq!(views.kline(BTC, Series::MINUTE), Some(candle(60 * SECOND, 100, &[])));
        let inside = [at(2, 101, 60 * SECOND), at(3, 99, 61 * SECOND)];
        live(&views, &inside);
        assert_eq!(views.kline(BTC, Series::MINUTE), Some(candle(60 * SECOND, 100, &inside)));
    }

    #[test]
    fn trades_behind_the_end_begin_the_next_candle() {
        let views = Views::new(catalogue());
        let minute = |number: i64| number * 60 * SECOND;
        let (first, second) =
            ([at(1, 10, minute(1))], [at(2, 20, minute(1) + 9), at(3, 30, minute(2)), at(4, 25, minute(2) + 1)]);
        apply(&views, |batch| publish(batch, candle(minute(1), 10, &first)));
        live(&views, &first);
        live(&views, &second);
        let whole = candle(minute(1), 10, &[first[0], second[0]]);
        let next = candle(minute(2), 20, &second[1..]);
        assert_eq!(views.klines(BTC, Series::MINUTE), [whole, next]);
        assert_eq!(views.kline(BTC, Series::MINUTE), Some(next));
        // Now it is published; the closed one stays until the next one closes.
        let closed = Kline { closed: true, ..whole };
        apply(&views, |batch| publish(batch, closed));
        assert_eq!(views.klines(BTC, Series::MINUTE), [closed, next], "a closed one takes no more trades");
        apply(&views, |batch| publish(batch, next));
        assert_eq!(views.klines(BTC, Series::MINUTE), [closed, next]);
        live(&views, &[at(5, 1, minute(4) + 3)]);
        let later = candle(minute(4), 25, &[at(5, 1, minute(4) + 3)]);
        assert_eq!(views.klines(BTC, Series::MINUTE), [closed, next, later]);
        // The venue corrects what has closed.
        let corrected = Kline { trades: 77, ..closed };
        apply(&views, |batch| publish(batch, corrected));
        assert_eq!(views.klines(BTC, Series::MINUTE)[0], corrected);
    }

    #[test]
    fn after_a_loss_a_candle_is_what_was_published() {
        let views = Views::new(catalogue());
        let trades: Vec<_> = (1..=9).map(|id| at(id, 100 + id, 60 * SECOND + id)).collect();
        apply(&views, |batch| publish(batch, candle(60 * SECOND, 5, &trades[..2])));
        views.lose(|_| {});
        live(&views, &trades[5..]);
        assert_eq!(views.kline(BTC, Series::MINUTE), Some(candle(60 * SECOND, 5, &trades[..2])));
        apply(&views, |batch| publish(batch, candle(60 * SECOND, 5, &trades[..8])));
        assert_eq!(views.kline(BTC, Series::MINUTE), Some(candle(60 * SECOND, 5, &trades)));
        // More trades than are kept, since it was published.
        let flood: Vec<_> = (10..10 + TRADES_MOST as i64).map(|id| at(id, 100, 60 * SECOND + id)).collect();
        live(&views, &flood);
        assert_eq!(views.kline(BTC, Series::MINUTE), Some(candle(60 * SECOND, 5, &trades[..8])));
        // A fetched one says nothing of ids.
        let fetched = Kline { first_id: -1, last_id: -1, ..candle(60 * SECOND, 5, &trades[..2]) };
        apply(&views, |batch| publish(batch, fetched));
        assert_eq!(views.kline(BTC, Series::MINUTE), Some(fetched));
    }
}
