//! Derived values and history through the whole engine, with a venue that answers from an oracle.

use super::*;
use crate::derived::{Oracle, SECOND, market};
use tickcast::{
    market::{AggTrade, Decimals, Interval, MINUTE, Series, Zone},
    topic::{Array, TopicId},
};

/// A venue with forty days of trades behind it and more to come.
struct Venue {
    trades: Vec<AggTrade>,
    asked: Vec<Request>,
    /// Its newest trades cannot be had.
    hides_trades: bool,
}

impl Venue {
    fn new(seed: u64, now: Nanos) -> Self {
        println!("seed {seed}");
        let mut rng = Rng::with_seed(seed);
        let days = 86_400 * SECOND;
        let mut trades = market(&mut rng, Nanos(now.0 - 40 * days), now);
        // What is live has no long silences, or nothing would happen.
        let mut live = *trades.last().expect("forty days of them");
        live.time = now;
        while live.time.0 < now.0 + 600 * SECOND {
            live.time.0 += rng.i64(0..6 * SECOND);
            live.price.0 += rng.i64(-40..41) * 1_000_003;
            live.buyer_is_maker = rng.bool();
            trades.push(live);
        }
        // The young past is thin: an oracle looks at all of it.
        let old = Nanos(now.0 - 2 * days);
        trades.retain(|trade| trade.time > old || trade.id % 20 == 0);
        for (id, trade) in trades.iter_mut().enumerate() {
            let id = 1_000 + id as i64;
            // In whole milliseconds, as REST tells them.
            trade.time = Nanos(trade.time.0 / MILLISECOND * MILLISECOND);
            (trade.id, trade.first_id, trade.last_id) = (id, id, id);
        }
        Self { trades, asked: Vec::new(), hides_trades: false }
    }

    fn known(&self, now: Nanos) -> Oracle {
        Oracle::new(self.trades.iter().filter(|trade| trade.time <= now).copied())
    }

    /// Lets time go by, in steps of 50 ms, with the venue's trades and answers.
    fn run(&mut self, bench: &mut Bench, seconds: i64) {
        for _ in 0..seconds * 20 {
            let before = bench.now;
            bench.now = Nanos(bench.now.0 + 50 * MILLISECOND);
            let due: Vec<_> =
                self.trades.iter().filter(|trade| trade.time > before && trade.time <= bench.now).copied().collect();
            for trade in due {
                bench.frame(CONNECTION, stream(&trade));
            }
            let answers = self.answers(bench);
            bench.pass(answers);
        }
    }

    fn answers(&mut self, bench: &Bench) -> Vec<Inbound> {
        let requests: Vec<_> = bench.requests.try_iter().collect();
        let known = self.known(bench.now);
        let received = bench.now;
        let body = |text: String| Frame { received, bytes: Bytes::from(text) };
        let mut answers = Vec::new();
        for request in requests {
            match request {
                Request::Klines { instrument, series, from, count } => {
                    let mut open = crate::derived::open_of(series, from);
                    if open < from {
                        open = crate::derived::next_open(series, open);
                    }
                    let mut rows = Vec::new();
                    while rows.len() < count as usize && open <= received {
                        rows.extend(known.candle(series, open).map(|kline| row(&kline)));
                        open = crate::derived::next_open(series, open);
                    }
                    answers.push(Inbound::Klines {
                        instrument,
                        series,
                        from,
                        body: body(format!("[{}]", rows.join(","))),
                    });
                }
                Request::RecentTrades { instrument } if !self.hides_trades => {
                    let past: Vec<_> = self.trades.iter().filter(|trade| trade.time <= received).collect();
                    let rows: Vec<_> =
                        past[past.len().saturating_sub(500)..].iter().map(|trade| trade_row(trade)).collect();
                    answers.push(Inbound::RecentTrades { instrument, body: body(format!("[{}]", rows.join(","))) });
                }
                _ => {}
            }
            self.asked.push(request);
        }
        answers
    }
}

fn decimal(mantissa: i128) -> String {
    format!("{}.{:08}", mantissa / 100_000_000, mantissa % 100_000_000)
}

fn row(kline: &Kline) -> String {
    let Kline { open, high, low, close, volume, quote_volume, taker_volume, taker_quote_volume, trades, .. } = kline;
    let text = |mantissa: i128| format!("\"{}\"", decimal(mantissa));
    format!(
        "[{},{},{},{},{},{},{},{},{trades},{},{},\"0\"]",
        kline.open_time.millis(),
        text(open.0.into()),
        text(high.0.into()),
        text(low.0.into()),
        text(close.0.into()),
        text(volume.0),
        kline.end().millis() - 1,
        text(quote_volume.0),
        text(taker_volume.0),
        text(taker_quote_volume.0),
    )
}

fn trade_row(trade: &AggTrade) -> String {
    let (price, quantity) = (decimal(trade.price.0.into()), decimal(trade.quantity.0.into()));
    format!(
        r#"{{"id":{},"price":"{price}","qty":"{quantity}","quoteQty":"1.00000000","time":{},"isBuyerMaker":{},"isBestMatch":true}}"#,
        trade.id,
        trade.time.millis(),
        trade.buyer_is_maker
    )
}

fn stream(trade: &AggTrade) -> String {
    let (price, quantity, time) =
        (decimal(trade.price.0.into()), decimal(trade.quantity.0.into()), trade.time.millis());
    format!(
        r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{time},"s":"{SYMBOL}","t":{},"p":"{price}","q":"{quantity}","T":{time},"m":{},"M":true}}}}"#,
        trade.id, trade.buyer_is_maker
    )
}

fn klines(bench: &Bench, series: Series) -> Vec<(Nanos, Kline)> {
    let published = bench.updates.iter().filter_map(|(update, wide)| match (update.payload, wide) {
        (Payload::Kline(_), Wide::Kline(kline)) if kline.series == series => Some((update.time, *kline)),
        _ => None,
    });
    published.collect()
}

#[test]
fn a_row_that_was_still_in_the_making_is_asked_for_again() {
    let mut bench = Bench::new();
    let second = Series::SECOND.open_time(bench.now);
    bench.now = Nanos(second.0 + 300 * MILLISECOND);
    let mut venue = Venue::new(11, bench.now);
    // One trade is heard in the middle of a second; then all is quiet, and the venue's clock stands still.
    venue.trades.retain(|trade| trade.time.0 <= second.0 + 300 * MILLISECOND);
    let last = *venue.trades.last().expect("many");
    let id = last.id + 1;
    let heard = Nanos(second.0 + 500 * MILLISECOND);
    venue.trades.push(AggTrade { id, first_id: id, last_id: id, time: heard, ..last });
    venue.run(&mut bench, 60);
    let oracle = venue.known(bench.now);
    let rows: BTreeMap<_, _> = bench
        .updates
        .iter()
        .filter_map(|(update, wide)| match (update.payload, wide) {
            (Payload::Kline(_) | Payload::PastKline(_), Wide::Kline(kline)) if kline.series == Series::SECOND => {
                Some((kline.open_time, *kline))
            }
            _ => None,
        })
        .collect();
    for at in -100..40 {
        let open = Nanos(second.0 + at * SECOND);
        let expected = oracle.candle(Series::SECOND, open).expect("known");
        let found = rows.get(&open).unwrap_or_else(|| panic!("second {at} is in no history"));
        assert_eq!(
            (found.trades, found.close, found.volume),
            (expected.trades, expected.close, expected.volume),
            "{at}"
        );
    }
}

#[test]
fn history_is_fetched_and_every_candle_in_the_making_is_what_it_would_have_been() {
    let mut bench = Bench::new();
    // Hours are listened to: they come every two seconds, whatever happens.
    bench.interest.add(TopicId::new(INSTRUMENT, Channel::Kline(Series::HOUR)));
    let mut venue = Venue::new(5, bench.now);
    venue.run(&mut bench, 150);
    let closed_at = bench.now;
    for series in Series::ALL.into_iter().filter(|&series| series != Series::SECOND) {
        let told = klines(&bench, series);
        assert!(!told.is_empty(), "{series:?} is silent");
        for (time, kline) in &told {
            let seen = venue.known(*time);
            let expected = seen.candle(series, kline.open_time).map(|it| Kline { closed: kline.closed, ..it });
            assert_eq!(Some(*kline), expected, "{series:?} at {time:?}");
        }
        let ends: Vec<_> = told.iter().filter(|(_, kline)| kline.closed).map(|(_, kline)| kline.open_time).collect();
        assert!(ends.is_sorted_by(|one, next| one < next), "each is closed once");
        let past = bench.updates.iter().filter_map(|(update, wide)| match (update.payload, wide) {
            (Payload::PastKline(_), Wide::Kline(kline)) if kline.series == series => Some(*kline),
            _ => None,
        });
        let oracle = venue.known(closed_at);
        let mut count = 0;
        for kline in past {
            assert_eq!(Some(kline), oracle.candle(series, kline.open_time));
            count += 1;
        }
        println!("{series:?}: {} told, {count} fetched", told.len());
        assert!(count > 0 || series == Series::new(Interval::Month1, Zone::Utc), "{series:?}");
    }
    // Candles in the making come every two seconds, on the grid of their opening.
    let hours = klines(&bench, Series::HOUR);
    for pair in hours.windows(2) {
        let ((before, one), (after, next)) = (pair[0], pair[1]);
        if !one.closed && !next.closed {
            assert!((after.0 - before.0 - 2 * SECOND).abs() <= 50 * MILLISECOND, "{before:?} {after:?}");
        }
    }
    let count = check_day_tickers(&bench, &venue);
    assert!(count > 5, "{count} tickers");
    let gauge = |name: &str| bench.counted.render().lines().find(|line| line.starts_with(name)).map(str::to_owned);
    println!("{:?}", gauge("tickcast_engine_history_wanted"));
    assert!(gauge("tickcast_engine_history_pending").is_some_and(|line| line.ends_with(" 0")));
    let asked = venue.asked.iter().filter(|request| matches!(request, Request::Klines { .. })).count();
    assert!((22..80).contains(&asked), "{asked} requests");
}

#[test]
fn what_has_not_changed_is_said_again_only_to_who_listens_or_asks() {
    let mut bench = Bench::new();
    let mut venue = Venue::new(7, bench.now);
    venue.run(&mut bench, 150);
    // From here on nothing is traded. What the last trades changed is still told.
    venue.trades.retain(|trade| trade.time <= bench.now);
    let day = Series::new(Interval::Day1, Zone::Utc);
    let told = |bench: &mut Bench, venue: &mut Venue| {
        bench.updates.clear();
        venue.run(bench, 6);
        let [hours, days] = [Series::HOUR, day].map(|series| klines(bench, series).len());
        let count = |is: fn(&Payload) -> bool| bench.updates.iter().filter(|(update, _)| is(&update.payload)).count();
        let averages = count(|payload| matches!(payload, Payload::AveragePrice(_)));
        (hours, days, averages, count(|payload| matches!(payload, Payload::Ticker(_))))
    };
    told(&mut bench, &mut venue);
    let (hours, days, averages, _) = told(&mut bench, &mut venue);
    assert_eq!((hours, days), (0, 0));
    assert!(averages < 6, "the average of five minutes may still slide, but not each second: {averages}");
    let topics = [Channel::Kline(Series::HOUR), Channel::AveragePrice].map(|channel| TopicId::new(INSTRUMENT, channel));
    topics.iter().for_each(|&topic| bench.interest.add(topic));
    let (hours, days, averages, _) = told(&mut bench, &mut venue);
    assert_eq!((hours, days, averages), (3, 0, 6));
    topics.iter().for_each(|&topic| bench.interest.remove(topic));
    let asked = bench.now;
    bench.interest.ask_values(INSTRUMENT);
    let (hours, days, averages, tickers) = told(&mut bench, &mut venue);
    let old: Vec<_> = bench.updates.iter().filter(|(update, _)| update.received < asked).collect();
    assert!(old.is_empty(), "what is said again is caused by who asks, or its age would pass for latency: {old:?}");
    assert_eq!((hours, days), (1, 1));
    assert!(averages > 0 && tickers > 0, "{averages} {tickers}");
}

#[test]
fn ids_that_are_not_known_when_history_is_fetched_are_counted_back_later() {
    let mut bench = Bench::new();
    let mut venue = Venue::new(6, bench.now);
    venue.hides_trades = true;
    venue.run(&mut bench, 150);
    let count = check_day_tickers(&bench, &venue);
    assert!(count > 5, "{count} tickers");
}

/// Statistics of the day have ids from forty days of counting. Returns how many there were.
fn check_day_tickers(bench: &Bench, venue: &Venue) -> usize {
    let tickers = bench.updates.iter().filter_map(|(update, wide)| match wide {
        Wide::Ticker(ticker) => Some((update.time, *ticker)),
        _ => None,
    });
    let mut count = 0;
    for (time, ticker) in tickers {
        let from = (time.0 - 86_400 * SECOND).div_euclid(MINUTE.0) * MINUTE.0;
        let inside: Vec<_> = venue.trades.iter().filter(|trade| trade.time.0 >= from && trade.time <= time).collect();
        assert_eq!((ticker.first_id, ticker.last_id), (inside[0].id, inside[inside.len() - 1].id));
        assert_eq!(ticker.trades, inside.len() as i64);
        assert_eq!(ticker.previous_close, venue.trades[(inside[0].id - 1_001) as usize].price);
        assert_eq!(ticker.open_time.0, ticker.close_time.0 - 86_400 * SECOND);
        count += 1;
    }
    count
}

#[test]
fn what_was_kept_is_not_fetched_again() {
    let mut bench = Bench::new();
    let mut venue = Venue::new(6, bench.now);
    let oracle = venue.known(bench.now);
    let start = Nanos(bench.now.0 - 26 * 3_600 * SECOND);
    let first = Series::MINUTE.open_time(start);
    let klines = oracle.candles(Series::MINUTE, first, 26 * 60 - 10);
    let end = klines.last().expect("many").end();
    bench.pass(vec![kept(klines)]);
    venue.run(&mut bench, 60);
    let minutes = venue.asked.iter().filter_map(|request| match request {
        Request::Klines { series: Series::MINUTE, from, count, .. } => Some((*from, *count)),
        _ => None,
    });
    let minutes: Vec<_> = minutes.collect();
    assert!(minutes.iter().any(|&(from, count)| from == end && count < 15), "the end: {minutes:?}");
    for (from, count) in minutes {
        let to = from.0 + i64::from(count) * MINUTE.0;
        assert!(from >= end || to <= first.0, "{from:?} and {count} more were kept");
    }
}

fn kept(klines: Vec<Kline>) -> Inbound {
    Inbound::Kept { instrument: INSTRUMENT, decimals: Decimals::EIGHT, klines }
}

#[test]
fn what_the_venue_sends_is_passed_on_and_ours_is_silent() {
    let mut bench = Bench::new();
    let mut venue = Venue::new(7, bench.now);
    venue.run(&mut bench, 20);
    let of = |bench: &Bench| {
        let mine = |(update, _): &&(Update, Wide)| matches!(update.payload, Payload::MiniTicker(_));
        bench.updates.iter().filter(mine).map(|(update, _)| update.time.millis()).collect::<Vec<_>>()
    };
    assert!(!of(&bench).is_empty(), "ours, as the venue sends none");
    let before = bench.updates.len();
    for second in 0..5 {
        let time = bench.now.millis() + second;
        let frame = format!(
            r#"{{"stream":"btcusdt@miniTicker","data":{{"e":"24hrMiniTicker","E":{time},"s":"{SYMBOL}","c":"1.00000000","o":"1.00000000","h":"1.00000000","l":"1.00000000","v":"1.00000000","q":"1.00000000"}}}}"#
        );
        bench.frame(CONNECTION, frame.clone());
        bench.frame(CONNECTION, frame);
        venue.run(&mut bench, 2);
    }
    let after = bench.updates.split_off(before);
    let ours = after.iter().filter(|(_, wide)| matches!(wide, Wide::MiniTicker(it) if it.close.0 != 100_000_000));
    let theirs = after.iter().filter(|(_, wide)| matches!(wide, Wide::MiniTicker(it) if it.close.0 == 100_000_000));
    assert_eq!((ours.count(), theirs.count()), (0, 5), "theirs, each once");
}

#[test]
fn arrays_hold_what_has_changed_and_come_only_to_those_who_want_them() {
    let mut bench = Bench::new();
    let mut venue = Venue::new(8, bench.now);
    venue.run(&mut bench, 20);
    let arrays = |bench: &Bench| {
        bench
            .updates
            .iter()
            .filter_map(|(_, wide)| if let Wide::Array(it) = wide { Some(it.clone()) } else { None })
            .collect::<Vec<_>>()
    };
    assert!(arrays(&bench).is_empty(), "nobody wants any");
    let topic = TopicId::of_venue(VENUE, Array::MiniTicker);
    bench.interest.add(topic);
    let before = bench.updates.len();
    venue.run(&mut bench, 60);
    let told = bench.updates.split_off(before);
    let tickers: Vec<_> =
        told.iter().filter(|(_, wide)| matches!(wide, Wide::MiniTicker(_))).map(|(update, _)| update.time).collect();
    let arrays: Vec<_> =
        told.iter().filter_map(|(_, wide)| if let Wide::Array(it) = wide { Some(it.clone()) } else { None }).collect();
    assert!(arrays.len() > 2, "{}", arrays.len());
    assert!(arrays.iter().all(|array| array.len() == 1 && array[0].0 == INSTRUMENT), "one symbol, never none");
    // The first one may tell of a change before, and the last change may wait for its array.
    let times: Vec<_> = arrays.iter().map(|array| array[0].1).filter(|time| *time >= tickers[0]).collect();
    assert!(tickers.starts_with(&times) && tickers.len() <= times.len() + 1, "each in one: {tickers:?} {times:?}");
}

#[test]
fn at_whatever_phase_tickers_come_each_array_holds_each_changed_symbol_once() {
    for seed in 1..=40 {
        println!("seed {seed}");
        let mut rng = Rng::with_seed(seed);
        let mut bench = Bench::new();
        bench.interest.add(TopicId::of_venue(VENUE, Array::MiniTicker));
        // One phase for every ticker of the venue, and each up to 30 ms off.
        let (phase, start) = (rng.i64(0..1_000), bench.now);
        let mut coming: Vec<_> = (0..40)
            .flat_map(|second| [SYMBOL, "NOSUCH"].map(|symbol| (second, symbol)))
            .map(|(second, symbol)| {
                (Nanos(start.0 + (second * 1_000 + phase + rng.i64(0..30)) * MILLISECOND), symbol, second)
            })
            .collect();
        coming.sort_unstable();
        for (time, symbol, second) in coming {
            while bench.now < time {
                let step = rng.i64(1..60) * MILLISECOND;
                bench.now = time.min(Nanos(bench.now.0 + step));
                bench.pass(Vec::new());
            }
            let stream = symbol.to_lowercase();
            bench.frame(
                CONNECTION,
                format!(
                    r#"{{"stream":"{stream}@miniTicker","data":{{"e":"24hrMiniTicker","E":{},"s":"{symbol}","c":"{second}.00000000","o":"1.00000000","h":"1.00000000","l":"1.00000000","v":"1.00000000","q":"1.00000000"}}}}"#,
                    time.millis()
                ),
            );
        }
        bench.wait(2_000);
        let arrays: Vec<_> = bench
            .updates
            .iter()
            .filter_map(
                |(update, wide)| if let Wide::Array(it) = wide { Some((update.time, it.clone())) } else { None },
            )
            .collect();
        // The first may be cut anywhere: the phase is not known yet.
        for (_, array) in &arrays[2..] {
            assert_eq!(array.len(), 2, "both symbols: {array:?}");
            assert!((array[0].1.0 - array[1].1.0).abs() < 30 * MILLISECOND, "of the same second: {array:?}");
        }
        assert!((39..=41).contains(&arrays.len()), "{} arrays of 40 seconds", arrays.len());
        assert!(arrays.windows(2).all(|pair| pair[1].0.0 - pair[0].0.0 >= 900 * MILLISECOND), "once a second");
    }
}

#[test]
fn where_tickers_never_pause_arrays_come_all_the_same() {
    let mut bench = Bench::new();
    bench.interest.add(TopicId::of_venue(VENUE, Array::MiniTicker));
    for _ in 0..1_000 {
        bench.now = Nanos(bench.now.0 + 20 * MILLISECOND);
        let time = bench.now.millis();
        bench.frame(
            CONNECTION,
            format!(
                r#"{{"stream":"btcusdt@miniTicker","data":{{"e":"24hrMiniTicker","E":{time},"s":"{SYMBOL}","c":"1.00000000","o":"1.00000000","h":"1.00000000","l":"1.00000000","v":"1.00000000","q":"1.00000000"}}}}"#
            ),
        );
    }
    let arrays: Vec<_> = bench
        .updates
        .iter()
        .filter(|(_, wide)| matches!(wide, Wide::Array(_)))
        .map(|(update, _)| update.time)
        .collect();
    assert!((18..=20).contains(&arrays.len()), "{} in twenty seconds", arrays.len());
    assert!(arrays.windows(2).all(|pair| (pair[1].0 - pair[0].0 - 1_000 * MILLISECOND).abs() <= 120 * MILLISECOND));
}
