//! The work of a shard against sockets that can be starved, at times that are made up.

mod conflation;
mod holding;
mod merging;
mod rig;

use std::collections::BTreeMap;

use rig::{Client, Rig, START, batch, diff, trade, trade_text};

use super::*;
use crate::{
    market::{Best, InstrumentId, Level, MiniTicker, Price, Quantity, Span, Volume},
    topic::{Batch, Cadence, Payload},
};

#[test]
fn every_form_is_made_once_and_every_session_is_written_to_once() {
    let mut rig = Rig::new(|_| {});
    let urls = [
        "/ws/btcusdt@depth",
        "/ws/btcusdt@depth@1000ms?timeUnit=MICROSECOND",
        "/stream?streams=btcusdt@depth",
        "/stream?streams=btcusdt@depth@1000ms",
        "/stream?streams=binance:btcusdt@depth&timeUnit=MICROSECOND",
        "/ws/ethusdt@depth/0",
    ];
    let clients: Vec<Client> = urls.iter().flat_map(|url| [rig.open(url), rig.open(url)]).collect();
    rig.pass(&[diff(Cadence::Slow, 5), diff(Cadence::Fast, 6), diff(Cadence::Slow, 7)]);
    let tally = rig.fanout.take_tally();
    assert_eq!((tally.deliveries, tally.encoded, tally.writes), (20, 10, 10));
    assert_eq!(tally.received, Some(START));
    for (index, client) in clients.iter().enumerate() {
        let body = |id, zeros| {
            format!(r#"{{"e":"depthUpdate","E":1789000000000{zeros},"s":"BTCUSDT","U":{id},"u":{id},"b":[],"a":[]}}"#)
        };
        let expected = |id| match index / 2 {
            0 => body(id, ""),
            1 => body(id, "000"),
            2 => format!(r#"{{"stream":"btcusdt@depth","data":{}}}"#, body(id, "")),
            3 => format!(r#"{{"stream":"btcusdt@depth@1000ms","data":{}}}"#, body(id, "")),
            _ => format!(r#"{{"stream":"binance:btcusdt@depth","data":{}}}"#, body(id, "000")),
        };
        let heard = client.pipe.heard();
        if index / 2 == 5 {
            assert!(heard.is_empty());
        } else {
            assert_eq!(heard, [expected(5), expected(7)]);
        }
    }
}

#[test]
fn one_feed_under_two_names_comes_twice_and_once_more_asked_for_comes_once() {
    let mut rig = Rig::new(|_| {});
    let client = rig.open("/stream?streams=btcusdt@depth/btcusdt@depth@1000ms/btcusdt@depth");
    rig.tell(&client, r#"{"method":"SUBSCRIBE","params":["btcusdt@depth"],"id":1}"#);
    rig.pass(&[diff(Cadence::Slow, 5)]);
    let heard = client.pipe.heard();
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert_eq!(heard[0], r#"{"result":null,"id":1}"#);
    assert!(heard[1].starts_with(r#"{"stream":"btcusdt@depth","#) && heard[2].contains("@1000ms"));

    rig.tell(&client, r#"{"method":"SET_PROPERTY","params":["combined",false],"id":2}"#);
    rig.tell(&client, r#"{"method":"UNSUBSCRIBE","params":["btcusdt@depth"],"id":3}"#);
    rig.pass(&[diff(Cadence::Slow, 6)]);
    let heard = client.pipe.heard();
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert!(heard[2].starts_with(r#"{"e":"depthUpdate""#));
    let topic = TopicId::new(InstrumentId(0), Channel::Depth(Cadence::Slow));
    assert!(rig.interest.any(topic));
    rig.tell(&client, r#"{"method":"UNSUBSCRIBE","params":["btcusdt@depth@1000ms"],"id":4}"#);
    assert!(!rig.interest.any(topic));
    rig.pass(&[diff(Cadence::Slow, 7)]);
    assert_eq!(client.pipe.heard(), [r#"{"result":null,"id":4}"#]);
}

#[test]
fn joiners_see_the_newest_state_behind_the_ack_and_no_old_event() {
    let mut rig = Rig::new(|_| {});
    let mut news = batch(&[
        Payload::MiniTicker(0),
        Payload::BookTicker(Best::default()),
        trade(1),
        diff(Cadence::Slow, 1),
        partial(Span { start: 0, len: 2 }),
    ]);
    news.mini_tickers.push(mini_ticker());
    news.levels.extend([Level { price: Price(2), quantity: Quantity(1) }; 2]);
    rig.pass_of(&news);
    let subscribe = r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@depth5","btcusdt@miniTicker","btcusdt@bookTicker","btcusdt@depth"],"id":1}"#;
    let first = rig.open("/ws");
    rig.tell(&first, subscribe);
    rig.pass(&[]);
    let heard = first.pipe.heard();
    assert_eq!(heard.len(), 2, "the partial depth was from before anyone wanted it: {heard:?}");
    assert_eq!(heard[0], r#"{"result":null,"id":1}"#);
    assert!(heard[1].starts_with(r#"{"e":"24hrMiniTicker""#));

    rig.pass_of(&news);
    assert_eq!(first.pipe.heard().len(), 5);
    let second = rig.open("/ws/btcusdt@depth10");
    rig.pass(&[]);
    assert_eq!(
        second.pipe.heard(),
        [r#"{"lastUpdateId":9,"bids":[["0.00000002","0.00000001"],["0.00000002","0.00000001"]],"asks":[]}"#]
    );

    for client in [first, second] {
        client.pipe.0.is_hung_up.set(true);
        rig.read(&client);
    }
    let third = rig.open("/ws/btcusdt@depth20");
    rig.pass(&[]);
    assert_eq!(third.pipe.heard(), Vec::<String>::new(), "interest was interrupted: what was kept is old");
}

fn partial(bids: Span) -> Payload {
    Payload::PartialDepth { cadence: Cadence::Slow, last_id: 9, bids, asks: Span::default() }
}

fn mini_ticker() -> MiniTicker {
    let (zero, none) = (Price(0), Volume(0));
    MiniTicker { close: zero, open: zero, high: zero, low: zero, volume: none, quote_volume: none }
}

#[test]
fn a_slow_session_costs_only_itself() {
    let mut rig = Rig::new(|config| config.outbox_bytes_max = 1000);
    let (slow, healthy) = (rig.open("/ws/btcusdt@trade"), rig.open("/ws/btcusdt@trade"));
    slow.pipe.0.room.set(200);
    for id in 0..6 {
        rig.pass(&[trade(id)]);
        assert_eq!(healthy.pipe.heard(), [trade_text(id)]);
    }
    assert_eq!(rig.fanout.queued().1, 1);
    slow.pipe.says(0x89, b"hurry");
    rig.read(&slow);
    rig.pass(&[]);
    rig.feed(&slow, usize::MAX);
    let mut expected: Vec<String> = (0..6).map(trade_text).collect();
    expected.insert(2, "pong:hurry".to_owned());
    assert_eq!(slow.pipe.heard(), expected, "whole frames, the pong at the first border");
    assert_eq!(rig.fanout.queued(), (0, 0), "a healthy session owns no buffer");

    slow.pipe.0.room.set(0);
    for id in 0..20 {
        rig.pass(&[trade(id)]);
        assert_eq!(healthy.pipe.heard(), [trade_text(id)]);
    }
    assert_eq!(rig.fanout.subscriptions(), 1);
    rig.feed(&slow, usize::MAX);
    assert_eq!(slow.pipe.heard(), ["close:1008:Slow consumer"]);
    assert!(slow.pipe.0.is_finished.get());
    slow.pipe.0.is_hung_up.set(true);
    rig.read(&slow);
    assert_eq!(rig.fanout.sessions(), 1);
}

#[test]
fn a_slow_session_is_cut_off_in_the_end() {
    let mut rig = Rig::new(|config| config.outbox_bytes_max = 200);
    let slow = rig.open("/ws/btcusdt@trade");
    slow.pipe.0.room.set(3);
    rig.pass(&[trade(1), trade(2), trade(3)]);
    rig.sleep(2999);
    rig.pass(&[]);
    assert_eq!(rig.fanout.sessions(), 1);
    rig.sleep(1);
    rig.pass(&[]);
    assert_eq!(rig.fanout.sessions(), 0);
    assert_eq!(rig.fanout.take_tally().ended, 1);
}

#[test]
fn a_ping_rides_with_data_and_its_pong_keeps_the_session() {
    let mut rig = Rig::new(|_| {});
    let (answering, silent) = (rig.open("/ws/btcusdt@trade"), rig.open("/ws"));
    for round in 1..=4 {
        rig.sleep(20_000);
        rig.pass(&[trade(round)]);
        let ping = format!("{}", START.millis() + 20_000 * round);
        let heard = answering.pipe.heard();
        assert_eq!(heard, [trade_text(round), format!("ping:{ping}")]);
        assert_eq!(answering.pipe.0.writes.get(), round as usize);
        answering.pipe.says(0x8A, ping.as_bytes());
        silent.pipe.says(0x8A, b"");
        rig.read(&answering);
        rig.read(&silent);
    }
    assert_eq!(silent.pipe.heard().last().unwrap(), "close:1008:Pong timeout");
    assert_eq!(rig.fanout.subscriptions(), 1);
}

#[test]
fn who_cannot_do_without_what_was_lost_is_told() {
    let mut rig = Rig::new(|_| {});
    let urls = [
        "/ws/btcusdt@trade",
        "/ws/ethusdt@aggTrade/ethusdt@ticker",
        "/ws/btcusdt@depth@100ms",
        "/ws/btcusdt@depth5/btcusdt@ticker",
    ];
    let clients = urls.map(|url| rig.open(url));
    let reset = Payload::BookSnapshot { last_id: 1, bids: Span::default(), asks: Span::default(), reset: true };
    rig.pass(&[reset]);
    assert_eq!(clients[2].pipe.heard(), ["close:1001:Update ids were reset"]);
    rig.fanout.lapped();
    for instrument in [InstrumentId(0), InstrumentId(1)] {
        assert!(rig.interest.take_asked(instrument).values, "the newest values are asked for, of quiet ones too");
    }
    rig.pass(&[]);
    assert_eq!(clients[0].pipe.heard(), ["close:1008:lapped"]);
    assert_eq!(clients[1].pipe.heard(), ["close:1008:lapped"]);
    assert_eq!(clients[3].pipe.heard(), Vec::<String>::new());
    assert_eq!(rig.fanout.subscriptions(), 2);
}

#[test]
fn the_last_words_are_in_order() {
    let mut rig = Rig::new(|_| {});
    let client = rig.open("/ws/btcusdt@trade");
    client.pipe.says(0x88, b"\x0F\xA0bye");
    client.pipe.says(0x81, b"not heard any more");
    rig.read(&client);
    rig.pass(&[trade(1)]);
    assert_eq!(client.pipe.heard(), ["close:4000:"]);
    assert_eq!(rig.fanout.sessions(), 0);

    let client = rig.open("/ws");
    rig.tell(&client, "nonsense");
    rig.pass(&[]);
    assert_eq!(
        client.pipe.heard(),
        [
            r#"{"error":{"code":3,"msg":"Invalid JSON: expected ident at line 1 column 2"}}"#,
            "close:1008:Invalid request"
        ]
    );
    assert!(client.pipe.0.is_finished.get() && rig.fanout.sessions() == 1);

    let client = rig.open("/ws");
    client.pipe.0.inbound.borrow_mut().extend([0x81, 1, b'x']);
    rig.read(&client);
    rig.pass(&[]);
    assert_eq!(client.pipe.heard(), ["close:1002:Protocol error"]);
}

#[test]
fn nothing_follows_a_close_frame_wherever_the_socket_stops() {
    for room in 0..800 {
        let mut rig = Rig::new(|_| {});
        let client = rig.open("/ws/btcusdt@trade");
        client.pipe.0.room.set(room);
        // Some of the data waits from an earlier pass, some is of the same one.
        rig.pass(&[trade(0), trade(1)]);
        rig.fanout.publish(&batch(&[trade(2)]));
        rig.tell(&client, "nonsense");
        rig.pass(&[trade(3)]);
        rig.feed(&client, usize::MAX);
        let heard = client.pipe.heard();
        assert_eq!(heard.last().unwrap(), "close:1008:Invalid request", "room for {room}");
        assert_eq!(heard.iter().filter(|text| text.contains("Invalid JSON")).count(), 1);
        let trades: Vec<&String> = heard.iter().filter(|text| text.contains("trade")).collect();
        assert!(trades.iter().zip(0..).all(|(text, id)| **text == trade_text(id)), "room for {room}: {heard:?}");
        assert_eq!(trades.len() + 2, heard.len());
    }
}

#[test]
fn a_shutdown_is_announced_in_each_sessions_form() {
    let mut rig = Rig::new(|_| {});
    let clients = ["/ws", "/stream", "/stream?timeUnit=microsecond"].map(|url| rig.open(url));
    rig.fanout.shut_down();
    rig.pass(&[]);
    let close = "close:1001:Server shutdown";
    for (client, event) in clients.iter().zip([
        r#"{"e":"serverShutdown","E":1789000000000}"#,
        r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1789000000000}}"#,
        r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1789000000000000}}"#,
    ]) {
        assert_eq!(client.pipe.heard(), [event, close]);
    }
}

#[test]
fn a_shutdown_that_is_not_to_be_announced_is_a_close_alone() {
    let mut rig = Rig::new(|config| config.announce_shutdown = false);
    let clients = ["/ws", "/stream", "/stream?timeUnit=microsecond"].map(|url| rig.open(url));
    rig.fanout.shut_down();
    rig.pass(&[]);
    for client in clients {
        assert_eq!(client.pipe.heard(), ["close:1001:Server shutdown"]);
    }
}

#[test]
fn a_pass_larger_than_the_arena_arrives_whole() {
    let mut rig = Rig::new(|config| config.outbox_bytes_max = 64 << 20);
    let clients = ["/ws/btcusdt@trade", "/stream?streams=btcusdt@trade", "/ws/btcusdt@trade/btcusdt@depth"]
        .map(|url| rig.open(url));
    clients[2].pipe.0.room.set(100_000);
    let updates: Vec<Payload> = (0..40_000).flat_map(|id| [trade(id), diff(Cadence::Slow, id)]).collect();
    rig.pass(&updates);
    assert_eq!(clients[0].pipe.heard(), (0..40_000).map(trade_text).collect::<Vec<_>>());
    assert_eq!(clients[1].pipe.heard().len(), 40_000);
    rig.feed(&clients[2], usize::MAX);
    let (diffs, trades): (Vec<String>, _) =
        clients[2].pipe.heard().into_iter().partition(|text| text.contains("depthUpdate"));
    assert_eq!(trades, (0..40_000).map(trade_text).collect::<Vec<_>>());
    assert!(merging::covered(diffs.iter()).into_iter().eq(0..40_000));
}

#[test]
fn large_frames_go_out_as_they_lie_and_stay_whole() {
    let mut news = Batch::default();
    news.levels.extend([Level { price: Price(1), quantity: Quantity(1) }; 200]);
    let spread = |id| Payload::DepthDiff {
        cadence: Cadence::Slow,
        first_id: id,
        last_id: id,
        bids: Span { start: 0, len: 200 },
        asks: Span::default(),
    };
    // The other form lies between the frames of each: no two are adjacent, and there are more than one call takes.
    news.updates = batch(&(0..150).map(spread).collect::<Vec<_>>()).updates;
    for room in [0, 1, 100_000, 400_000, usize::MAX] {
        let mut rig = Rig::new(|_| {});
        let clients = ["/ws/btcusdt@depth", "/stream?streams=btcusdt@depth"].map(|url| rig.open(url));
        clients.iter().for_each(|client| client.pipe.0.room.set(room));
        rig.pass_of(&news);
        if room == usize::MAX {
            assert_eq!(rig.fanout.take_tally().writes, 2 * 3, "64 slices a call");
        }
        for client in &clients {
            rig.feed(client, usize::MAX);
            let heard = client.pipe.heard();
            assert_eq!(heard.len() == 150, room == usize::MAX, "what waits becomes one");
            assert!(merging::covered(heard.iter()).into_iter().eq(0..150));
        }
    }
}

/// Many sessions that come, go, subscribe, unsubscribe, switch their form and starve, against a plain oracle: what each
/// one hears is exactly what it had subscribed to when it was published, in order.
#[test]
fn everyone_hears_what_they_asked_for_whatever_the_others_do() {
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut rig = Rig::new(|config| config.outbox_bytes_max = 64 << 20);
        let names = ["btcusdt@trade", "binance:btcusdt@trade", "btcusdt@depth", "btcusdt@depth@1000ms", "nosuch@trade"];
        let mut sessions: BTreeMap<u32, (Client, Vec<&str>, Vec<String>)> = BTreeMap::new();
        for step in 0..2_000_i64 {
            match random.u8(0..10) {
                0 if sessions.len() < 30 => {
                    let client = rig.open("/stream");
                    sessions.insert(client.index, (client, Vec::new(), Vec::new()));
                }
                1 if sessions.len() > 5 => {
                    let index = *random.choice(sessions.keys().collect::<Vec<_>>()).unwrap();
                    let (client, ..) = sessions.remove(&index).unwrap();
                    client.pipe.0.is_hung_up.set(true);
                    rig.read(&client);
                }
                2..=6 if !sessions.is_empty() => {
                    let index = *random.choice(sessions.keys().collect::<Vec<_>>()).unwrap();
                    let (client, subscribed, expected) = sessions.get_mut(&index).unwrap();
                    let name = names[random.usize(0..names.len())];
                    let method = if let Some(at) = subscribed.iter().position(|&it| it == name) {
                        subscribed.remove(at);
                        "UNSUBSCRIBE"
                    } else {
                        subscribed.push(name);
                        "SUBSCRIBE"
                    };
                    // Replies overtake data on starved sockets: they are left out of the comparison of order.
                    expected.push(format!(r#"{{"result":null,"id":{step}}}"#));
                    client
                        .pipe
                        .says(0x81, format!(r#"{{"method":"{method}","params":["{name}"],"id":{step}}}"#).as_bytes());
                    rig.fanout.read(index, &mut [0; 4096], false);
                }
                7 if !sessions.is_empty() => {
                    let index = *random.choice(sessions.keys().collect::<Vec<_>>()).unwrap();
                    let room = if random.bool() { usize::MAX } else { random.usize(0..500) };
                    let (client, ..) = &sessions[&index];
                    rig.feed(client, room);
                }
                _ => {
                    rig.pass(&[trade(step), diff(Cadence::Slow, step)]);
                    for (_, subscribed, expected) in sessions.values_mut() {
                        for kind in ["@trade", "@depth"] {
                            for name in subscribed.iter().filter(|name| name.contains("btcusdt") && name.contains(kind))
                            {
                                expected.push(format!("{name}={step}"));
                            }
                        }
                    }
                }
            }
        }
        for (client, _, expected) in sessions.values() {
            rig.fanout.flush();
            rig.feed(client, usize::MAX);
            let heard: Vec<String> = client.pipe.heard().iter().flat_map(|text| shortened(text)).collect();
            for kind in
                ["result", "btcusdt@trade=", "btcusdt@depth=", "btcusdt@depth@1000ms=", "binance:btcusdt@trade="]
            {
                let of_kind = |list: &[String]| -> Vec<String> {
                    list.iter()
                        .filter(|text| text.starts_with(kind) || text.starts_with(&format!("{{\"{kind}")))
                        .cloned()
                        .collect()
                };
                assert_eq!(of_kind(&heard), of_kind(expected), "seed {seed}, {kind}");
            }
            assert_eq!(heard.len(), expected.len(), "seed {seed}");
        }
    }
}

/// `name=id` of an event, of each id of a diff; anything else as it is.
fn shortened(text: &str) -> Vec<String> {
    let Some(rest) = text.strip_prefix(r#"{"stream":""#) else { return vec![text.to_owned()] };
    let (name, body) = rest.split_once('"').unwrap();
    let [first, last] = if name.contains("@trade") { [r#""t":"#; 2] } else { [r#""U":"#, r#""u":"#] };
    let ids = conflation::number(body, first)..=conflation::number(body, last);
    ids.map(|id| format!("{name}={id}")).collect()
}
