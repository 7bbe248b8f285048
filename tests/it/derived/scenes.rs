//! Single scenes: what happens at the edges.

use super::*;

const AT: Nanos = Nanos::from_millis(1_709_010_000_000);

fn fill(id: i64, second: i64, price: i64) -> AggTrade {
    let time = Nanos(AT.0 + second * SECOND);
    let (price, quantity) = (Price(price * 100_000_000), Quantity(100_000_000));
    AggTrade { id, price, quantity, first_id: id, last_id: id, time, buyer_is_maker: false }
}

/// The minute at `minute` minutes from the beginning, of these trades.
fn minute(minute: i64, trades: &[AggTrade], closed: bool) -> Kline {
    let open = Nanos(AT.0 + minute * MINUTE.0);
    let candle = Oracle::new(trades.iter().copied()).candle(Series::MINUTE, open);
    Kline { closed, ..candle.expect("something was traded before its end") }
}

fn push(bench: &mut Bench, kline: &Kline, second: i64) -> bool {
    let news = bench.candles.push(kline, Nanos(AT.0 + second * SECOND), Decimals::EIGHT, &mut bench.told);
    bench.hear();
    news
}

fn at(second: i64) -> Nanos {
    Nanos(AT.0 + second * SECOND)
}

fn minutes(bench: &Bench) -> Vec<(i64, i64)> {
    bench.of(Series::MINUTE).iter().map(|kline| ((kline.open_time.0 - AT.0) / MINUTE.0, kline.trades)).collect()
}

#[test]
fn trades_behind_the_venues_push_are_added_to_it_each_once() {
    let mut bench = Bench::new(at(0));
    let trades: Vec<_> = (0..8).map(|n| fill(100 + n, 10 + n, 50 + n * 3 % 7)).collect();
    // The line came up in the middle of the minute: three trades were not seen.
    for trade in &trades[3..6] {
        bench.trade(trade, 0);
    }
    assert_eq!(bench.candles.current(Series::MINUTE, at(16)), None, "how it began is not known");
    // A push from before the newest trade that we saw: that one is added.
    assert!(push(&mut bench, &minute(0, &trades[..5], false), 16));
    assert_eq!(bench.candles.current(Series::MINUTE, at(16)), Some(minute(0, &trades[..6], false)));
    // One that is ahead of our trades: what it holds is not counted again.
    assert!(push(&mut bench, &minute(0, &trades[..7], false), 18));
    bench.trade(&trades[6], 0);
    bench.trade(&trades[7], 0);
    assert_eq!(bench.candles.current(Series::MINUTE, at(19)), Some(minute(0, &trades, false)));
    // The end comes once.
    let end = minute(0, &trades, true);
    assert!(push(&mut bench, &end, 60));
    assert!(!push(&mut bench, &end, 61), "closed is closed");
    assert!(!push(&mut bench, &minute(0, &trades[..2], false), 61));
    assert_eq!(bench.candles.current(Series::MINUTE, at(61)).map(|kline| kline.open), Some(end.close));
    assert!(minutes(&bench).is_empty(), "the venue's own close is passed on, not told again");
}

#[test]
fn a_close_that_the_venue_does_not_push_is_ours_after_three_seconds_and_its_late_one_no_news() {
    let mut bench = Bench::new(at(-60));
    let trades: Vec<_> = (0..6).map(|n| fill(7 + n, 5 + n * 10, 50)).collect();
    trades[..5].iter().for_each(|trade| bench.trade(trade, 0));
    assert!(push(&mut bench, &minute(0, &trades[..5], false), 58));
    bench.trade(&trades[5], 0);
    bench.trade(&fill(13, 60, 60), 0);
    assert_eq!(bench.due(at(62), at(62)), None);
    assert!(minutes(&bench).is_empty(), "the venue is waited for");
    assert_eq!(bench.due(at(64), at(64)), None, "all of its trades are known: nothing is asked");
    assert_eq!(bench.of(Series::MINUTE), [minute(0, &trades, true)]);
    assert!(!push(&mut bench, &minute(0, &trades, true), 65));
    assert_eq!(bench.of(Series::MINUTE).len(), 1);
}

#[test]
fn a_minute_with_a_hole_is_closed_with_the_row_that_is_asked_for() {
    let mut bench = Bench::new(at(-60));
    bench.trade(&fill(7, 5, 50), 0);
    bench.candles.disconnected();
    bench.candles.connected(at(30));
    bench.trade(&fill(10, 40, 52), 0);
    bench.trade(&fill(11, 61, 53), 0);
    assert_eq!(bench.due(at(62), at(62)), None);
    let asked = bench.due(at(65), at(65));
    assert_eq!(asked, Some(AT));
    assert_eq!(bench.due(at(66), at(66)), None, "once");
    let all = [fill(7, 5, 50), fill(8, 10, 40), fill(9, 20, 60), fill(10, 40, 52)];
    let mut rows = [Kline { first_id: -1, last_id: -1, ..minute(0, &all, true) }];
    let next_id = bench.candles.next_id_at(rows[0].end());
    assert_eq!(number(&mut rows, next_id), Some(7));
    bench.candles.rows(&rows, &mut bench.told);
    bench.hear();
    assert_eq!(bench.of(Series::MINUTE), [minute(0, &all, true)]);
    assert_eq!(
        bench
            .candles
            .current(Series::new(tickcast::market::Interval::Minute3, Default::default()), at(66))
            .map(|kline| (kline.first_id, kline.trades)),
        Some((7, 5))
    );
}

#[test]
fn a_reconnect_that_lost_nothing_leaves_the_minute_whole() {
    let mut bench = Bench::new(at(-60));
    bench.trade(&fill(7, 5, 50), 0);
    bench.candles.disconnected();
    assert_eq!(bench.candles.current(Series::MINUTE, at(6)), None, "nobody knows");
    bench.candles.connected(at(30));
    bench.trade(&fill(8, 40, 52), 0);
    let expected = minute(0, &[fill(7, 5, 50), fill(8, 40, 52)], false);
    assert_eq!(bench.candles.current(Series::MINUTE, at(41)), Some(expected));
}

#[test]
fn trades_of_a_closed_minute_go_nowhere_and_are_counted() {
    let mut bench = Bench::new(at(-60));
    bench.trade(&fill(7, 5, 50), 0);
    bench.trade(&fill(8, 65, 51), 0);
    bench.trade(&fill(9, 59, 10), 0);
    assert_eq!(bench.candles.take_late(), 1);
    assert_eq!(minutes(&bench), [(0, 1)]);
    let open = bench.candles.current(Series::MINUTE, at(66)).expect("it is whole");
    assert_eq!((open.trades, open.low), (1, Price(5_100_000_000)));
}

#[test]
fn after_a_suspend_of_days_not_every_minute_is_told() {
    let mut bench = Bench::new(at(-60));
    bench.trade(&fill(7, 5, 50), 0);
    bench.due(at(70), at(70));
    let days = 3 * 86_400;
    bench.due(at(days), at(days));
    assert!(bench.heard.len() < 40, "{} candles", bench.heard.len());
    assert_eq!(bench.candles.take_lacking(Series::MINUTE), Some(Nanos(AT.0 + MINUTE.0)));
    assert_eq!(bench.candles.take_lacking(Series::MINUTE), None, "once");
    assert_eq!(bench.candles.open_time(), Some(Series::MINUTE.open_time(at(days))));
}

#[test]
fn every_second_is_told_once_soon_after_its_end() {
    let mut bench = Bench::new(at(0));
    let trades = [fill(1, 0, 50), fill(2, 3, 51), fill(3, 3, 52), fill(4, 7, 40)];
    let mut next = trades.iter().peekable();
    for tenth in 0..150 {
        let now = Nanos(AT.0 + tenth * SECOND / 10);
        while let Some(trade) = next.next_if(|trade| trade.time <= now) {
            bench.trade(trade, 0);
        }
        bench.due(now, now);
        let told = bench.of(Series::SECOND).len() as i64;
        // The first one began out of sight. A trade of the next ends one at once, else the clock does a little later.
        let (least, most) = (((tenth - 11) / 10).max(0), (tenth / 10 - 1).max(0));
        assert!((least..=most).contains(&told), "{told} after {tenth} tenths");
    }
    let expected = Oracle::new(trades.iter().copied()).candles(Series::SECOND, at(1), 13);
    assert_eq!(bench.of(Series::SECOND), expected);
}
