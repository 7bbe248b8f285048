//! Slow sessions and states: what is old is dropped, what may not be missed is kept, and frames stay whole.

use super::*;
use crate::market::{Interval, Kline, Series, Zone};

fn best(update_id: i64) -> Payload {
    Payload::BookTicker(Best { update_id, ..Best::default() })
}

fn partial_after(last_id: i64) -> Payload {
    Payload::PartialDepth { cadence: Cadence::Slow, last_id, bids: Span::default(), asks: Span::default() }
}

pub(super) fn number(text: &str, key: &str) -> i64 {
    let rest = text.split_once(key).unwrap_or_else(|| panic!("no {key} in {text}")).1;
    rest.split([',', '}']).next().unwrap().parse().unwrap()
}

#[test]
fn a_slow_session_gets_the_newest_state_and_every_event() {
    let mut rig = Rig::new(|_| {});
    let names = "btcusdt@bookTicker/btcusdt@trade";
    let [slow, healthy] = [(); 2].map(|()| rig.open(&format!("/ws/{names}")));
    // The first frame is begun: it is sacred.
    slow.pipe.0.room.set(7);
    for id in 1..=100 {
        rig.pass(&[best(id), trade(id)]);
        assert_eq!(healthy.pipe.heard().len(), 2, "who keeps up hears everything");
    }
    rig.feed(&slow, usize::MAX);
    let heard = slow.pipe.heard();
    let bests: Vec<i64> =
        heard.iter().filter(|text| text.starts_with(r#"{"u""#)).map(|text| number(text, r#""u":"#)).collect();
    assert_eq!(bests, [1, 100]);
    assert!(heard.last().unwrap().contains("trade") && heard[heard.len() - 2].contains(r#""u":100"#), "in its place");
    let trades: Vec<&String> = heard.iter().filter(|text| text.contains("trade")).collect();
    assert!(trades.into_iter().eq(&(1..=100).map(trade_text).collect::<Vec<_>>()));
    let tally = rig.fanout.take_tally();
    assert_eq!(tally.conflated, 98);
    let written = [&slow, &healthy].map(|client| client.pipe.0.outbound.borrow().len());
    assert_eq!(written, [0, 0]);
    assert_eq!(rig.fanout.queued(), (0, 0));
}

#[test]
fn a_session_of_states_alone_is_never_too_slow_and_needs_little() {
    let mut rig = Rig::new(|config| config.outbox_bytes_max = 1 << 20);
    let urls = ["/ws/btcusdt@bookTicker/btcusdt@depth5", "/stream?streams=btcusdt@depth20/btcusdt@depth20@1000ms"];
    let clients = urls.map(|url| rig.open(url));
    clients.iter().for_each(|client| client.pipe.0.room.set(0));
    for id in 0..20_000 {
        rig.pass(&[best(id), partial_after(id)]);
        let (bytes, sessions) = rig.fanout.queued();
        assert!(bytes < 2 * (20 << 10) && sessions == 2, "{bytes} bytes wait");
    }
    clients.iter().for_each(|client| rig.feed(client, usize::MAX));
    assert_eq!(
        clients[0].pipe.heard(),
        [
            r#"{"u":19999,"s":"BTCUSDT","b":"0.00000000","B":"0.00000000","a":"0.00000000","A":"0.00000000"}"#,
            r#"{"lastUpdateId":19999,"bids":[],"asks":[]}"#,
        ]
    );
    // Two names of one feed are two streams, each with its own newest value.
    assert_eq!(
        clients[1].pipe.heard(),
        [
            r#"{"stream":"btcusdt@depth20","data":{"lastUpdateId":19999,"bids":[],"asks":[]}}"#,
            r#"{"stream":"btcusdt@depth20@1000ms","data":{"lastUpdateId":19999,"bids":[],"asks":[]}}"#,
        ]
    );
    assert_eq!(rig.fanout.take_tally().conflated, 4 * 19_999);
}

#[test]
fn stale_states_make_room_before_a_session_is_too_slow() {
    let mut rig = Rig::new(|config| config.outbox_bytes_max = 600);
    let client = rig.open("/ws/btcusdt@bookTicker/btcusdt@trade");
    client.pipe.0.room.set(0);
    for id in 0..50 {
        rig.pass(&[best(id)]);
    }
    rig.pass(&[trade(1), best(50), trade(2)]);
    assert_eq!(rig.fanout.subscriptions(), 2, "it is still open");
    rig.pass(&[trade(3), trade(4), trade(5), trade(6)]);
    assert_eq!(rig.fanout.subscriptions(), 0, "events may not be dropped");
    rig.feed(&client, usize::MAX);
    assert_eq!(client.pipe.heard(), ["close:1008:Slow consumer"]);
}

#[test]
fn sbe_best_bid_ask_is_culled_by_symbol() {
    let mut rig = Rig::new(|_| {});
    let client = rig.open_sbe("/ws/btcusdt@bestBidAsk/ethusdt@bestBidAsk/btcusdt@depth/btcusdt@depth20");
    client.pipe.0.room.set(0);
    for id in 1..=9 {
        let mut news = batch(&[
            best(id),
            best(100 + id),
            diff(Cadence::Swift, id),
            diff(Cadence::Fast, id),
            Payload::PartialDepth {
                cadence: Cadence::Brisk,
                last_id: id,
                bids: Span::default(),
                asks: Span::default(),
            },
        ]);
        news.updates[1].instrument = InstrumentId(1);
        rig.pass_of(&news);
    }
    rig.feed(&client, usize::MAX);
    // The diff is the nine in one.
    assert_eq!(
        client.pipe.heard(),
        ["sbe:10001:9:BTCUSDT", "sbe:10001:109:ETHUSDT", "sbe:10003:1:BTCUSDT", "sbe:10002:9:BTCUSDT"]
    );
    // A healthy one gets each of them, once.
    rig.pass(&[best(10), diff(Cadence::Swift, 10), trade(1)]);
    assert_eq!(client.pipe.heard(), ["sbe:10001:10:BTCUSDT", "sbe:10003:10:BTCUSDT"]);
    rig.fanout.lapped();
    rig.pass(&[]);
    assert_eq!(client.pipe.heard(), ["close:1008:lapped"]);
}

/// Sockets that take what they like, when they like: no event is missing, no closed candle, every state rises and ends with
/// the newest value, and what was dropped is counted.
#[test]
fn whatever_the_sockets_take_nothing_is_lost_that_may_not_be() {
    let series = Series::new(Interval::parse("1m").unwrap(), Zone::Utc);
    for seed in 0..30 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut rig = Rig::new(|config| config.outbox_bytes_max = 64 << 20);
        let names = "btcusdt@trade/btcusdt@bookTicker/btcusdt@depth5/btcusdt@kline_1m/btcusdt@depth";
        let clients = ["/ws/", "/stream?streams=", "/ws/"].map(|door| rig.open(&format!("{door}{names}")));
        let mut published: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        let mut closed = Vec::new();
        let mut heard: [Vec<String>; 3] = Default::default();
        for id in 1..2_000_i64 {
            let mut updates = Vec::new();
            let mut klines = Vec::new();
            for _ in 0..random.u8(1..5) {
                let (kind, payload) = match random.u8(0..5) {
                    0 => (r#""t":"#, trade(id)),
                    1 => (r#"{"u":"#, best(id)),
                    2 => (r#"lastUpdateId":"#, partial_after(id)),
                    3 => (r#""U":"#, diff(Cadence::Slow, id)),
                    _ => {
                        let mut kline = Kline::empty(series, START, Price(1));
                        (kline.first_id, kline.closed) = (id, random.u8(0..4) == 0);
                        closed.extend(kline.closed.then_some(id));
                        klines.push(kline);
                        (r#""f":"#, Payload::Kline(klines.len() as u32 - 1))
                    }
                };
                published.entry(kind).or_default().push(id);
                updates.push(payload);
            }
            rig.pass_of(&Batch { klines, ..batch(&updates) });
            for (client, heard) in clients.iter().zip(&mut heard) {
                match random.u8(0..10) {
                    0 => rig.feed(client, random.usize(0..3_000)),
                    1 if client.index != 2 => rig.feed(client, usize::MAX),
                    _ => {}
                }
                heard.extend(client.pipe.heard());
            }
        }
        let (mut missing, mut merged) = (0, 0);
        for (client, heard) in clients.iter().zip(&mut heard) {
            rig.feed(client, usize::MAX);
            heard.extend(client.pipe.heard());
            for (kind, all) in &published {
                let texts: Vec<&String> = heard.iter().filter(|text| text.contains(kind)).collect();
                let ids: Vec<i64> = texts.iter().map(|text| number(text, kind)).collect();
                match *kind {
                    r#""t":"# => {
                        // A candle has a "t" of its own.
                        let texts = heard.iter().filter(|text| text.contains(r#""e":"trade""#));
                        assert_eq!(
                            texts.map(|text| number(text, kind)).collect::<Vec<_>>(),
                            *all,
                            "seed {seed}, trades"
                        );
                        continue;
                    }
                    r#""U":"# => {
                        // Some ids are there twice.
                        let mut covered = super::merging::covered(texts.iter().copied());
                        covered.sort_unstable();
                        assert_eq!(covered, *all, "seed {seed}, diffs");
                        merged += all.len() - ids.len();
                        continue;
                    }
                    _ => {
                        assert!(ids.is_sorted(), "seed {seed}, {kind}: in order");
                        assert_eq!(ids.last(), all.last(), "seed {seed}, {kind}: the newest");
                    }
                }
                if *kind == r#""f":"# {
                    let finals = texts.iter().filter(|text| text.contains(r#""x":true"#));
                    assert_eq!(finals.map(|text| number(text, kind)).collect::<Vec<_>>(), closed, "seed {seed}");
                }
                missing += all.len() - ids.len();
            }
        }
        let tally = rig.fanout.take_tally();
        assert_eq!((tally.conflated, tally.merged), (missing as u64, merged as u64), "seed {seed}");
        assert!(missing > 100, "seed {seed}: {missing} is a test");
        assert_eq!(rig.fanout.queued(), (0, 0));
    }
}
