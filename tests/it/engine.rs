//! The ingest loop alone, on made-up time: a seeded venue loses, doubles and reorders; followers are never wrong.

mod cadences;
mod derived;
mod healing;
mod measured;
mod trades;

use std::{collections::BTreeMap, sync::Arc, task::Waker, time::Duration};

use bytes::Bytes;
use fastrand::Rng;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use tickcast::{
    config::Config,
    engine::{Engine, Parts},
    intake::{ConnectionId, Frame, Inbound, Request, Wanted},
    market::{
        Catalogue, InstrumentId, Kline, Level, MiniTicker, Nanos, Price, Quantity, RollingTicker, Ticker, VenueId,
    },
    ring::{self, Reader},
    topic::{Batch, BookState, Cadence, Channel, Interest, Payload, TopicId, Update},
    venue::AnyProtocol,
};

const SYMBOL: &str = "BTCUSDT";
const VENUE: VenueId = VenueId(0);
const INSTRUMENT: InstrumentId = InstrumentId(0);
const CONNECTION: ConnectionId = ConnectionId(1);
/// The cadences with diffs.
const DIFFS: [Cadence; 3] = [Cadence::Swift, Cadence::Fast, Cadence::Slow];
const MILLISECOND: i64 = 1_000_000;

/// An engine with its hands tied to a made-up clock.
struct Bench {
    engine: Engine,
    reader: Reader<Batch>,
    requests: flume::Receiver<Request>,
    interest: Arc<Interest>,
    now: Nanos,
    counted: PrometheusHandle,
    /// Everything published, printed: two runs of the same input have to be equal.
    log: Vec<String>,
    /// What was published and lies in pools: candles, statistics, arrays.
    updates: Vec<(Update, Wide)>,
}

/// The wide parts of an update.
#[derive(Clone, Debug, PartialEq)]
enum Wide {
    None,
    Kline(Kline),
    MiniTicker(MiniTicker),
    Ticker(Ticker),
    Rolling(RollingTicker),
    Array(Vec<(InstrumentId, Nanos)>),
}

impl Wide {
    fn of(payload: &Payload, batch: &Batch) -> Self {
        match *payload {
            Payload::Kline(index) | Payload::PastKline(index) => Self::Kline(batch.klines[index as usize]),
            Payload::MiniTicker(index) => Self::MiniTicker(batch.mini_tickers[index as usize]),
            Payload::Ticker(index) => Self::Ticker(batch.tickers[index as usize]),
            Payload::Rolling(_, index) => Self::Rolling(batch.rollings[index as usize]),
            Payload::Array { start, len, .. } => {
                let elements = &batch.elements[start as usize..(start + len) as usize];
                Self::Array(elements.iter().map(|element| (element.instrument, element.time)).collect())
            }
            _ => Self::None,
        }
    }
}

impl Bench {
    fn new() -> Self {
        let mut catalogue = Catalogue::new();
        let venue = catalogue.add_venue("binance", None);
        catalogue.add_instrument(venue, SYMBOL, SYMBOL);
        // Configured, but not listed: nothing ever comes for it, and nothing may wait for it.
        catalogue.add_instrument(venue, "NOSUCH", "NOSUCH");
        let catalogue = Arc::new(catalogue);
        let publisher = ring::ring::<Batch>(1 << 14, 1 << 28);
        let reader = publisher.reader(Waker::noop().clone());
        let (asked, requests) = flume::unbounded();
        let interest = Arc::new(Interest::new(2));
        let recorder = PrometheusBuilder::new().build_recorder();
        let counted = recorder.handle();
        let parts = Parts {
            protocols: vec![Arc::new(AnyProtocol::new("binance", 1000, 1).expect("Binance is there"))],
            catalogue,
            interest: Arc::clone(&interest),
            publisher,
            requests: asked,
            settings: Config::embedded().engine,
            stale_after: Duration::from_secs(60),
        };
        let engine = metrics::with_local_recorder(&recorder, || Engine::new(parts));
        let now = Nanos::from_millis(1_789_000_000_000);
        let mut bench = Self { engine, reader, requests, interest, now, counted, log: Vec::new(), updates: Vec::new() };
        bench.opened(CONNECTION);
        bench
    }

    fn opened(&mut self, connection: ConnectionId) {
        let received = self.now;
        self.pass(vec![Inbound::Opened { venue: VENUE, connection, leg: 0, instruments: vec![INSTRUMENT], received }]);
    }

    fn frame(&mut self, connection: ConnectionId, text: String) -> Vec<Said> {
        let frames = vec![Frame { received: self.now, bytes: Bytes::from(text) }];
        self.pass(vec![Inbound::Frames { venue: VENUE, connection, frames }])
    }

    fn pass(&mut self, inbound: Vec<Inbound>) -> Vec<Said> {
        self.engine.pass(self.now, inbound);
        let mut said = Vec::new();
        while let Some(batch) = self.reader.read().expect("the ring is large enough") {
            for update in &batch.updates {
                self.log.push(format!("{} {:?}", update.received.0, update.payload));
                self.updates.push((*update, Wide::of(&update.payload, &batch)));
                let Some(said_now) = Said::of(update.payload, &batch) else { continue };
                self.log.push(format!("{said_now:?}"));
                said.push(said_now);
            }
        }
        said
    }

    /// What a counter of the engine says.
    fn counter(&self, name: &str) -> u64 {
        let text = self.counted.render();
        let line = text.lines().find(|line| line.starts_with(&format!("{name}{{"))).expect("it is registered");
        line.rsplit(' ').next().expect("a value").parse().expect("a whole number")
    }

    fn holes_and_lost(&self) -> (u64, u64) {
        (self.counter("tickcast_engine_trade_holes_total"), self.counter("tickcast_engine_trades_lost_total"))
    }

    /// Lets time go by in milliseconds, pass by pass.
    fn wait(&mut self, milliseconds: i64) -> Vec<Said> {
        let mut said = Vec::new();
        for _ in 0..milliseconds {
            self.now = Nanos(self.now.0 + MILLISECOND);
            said.extend(self.pass(Vec::new()));
        }
        said
    }
}

/// What was published, without pools.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Diff { cadence: Cadence, first: i64, last: i64, bids: Vec<Level>, asks: Vec<Level> },
    Whole { last: i64, bids: Vec<Level>, asks: Vec<Level>, reset: bool },
    Partial { cadence: Cadence, last: i64, bids: Vec<Level> },
    Best(i64),
    Trade(i64),
    Aggregate(i64),
    State(BookState),
}

impl Said {
    /// `None` for what is derived.
    fn of(payload: Payload, batch: &Batch) -> Option<Self> {
        Some(match payload {
            Payload::DepthDiff { cadence, first_id, last_id, bids, asks } => Self::Diff {
                cadence,
                first: first_id,
                last: last_id,
                bids: bids.of(&batch.levels).to_vec(),
                asks: asks.of(&batch.levels).to_vec(),
            },
            Payload::BookSnapshot { last_id, bids, asks, reset } => Self::Whole {
                last: last_id,
                bids: bids.of(&batch.levels).to_vec(),
                asks: asks.of(&batch.levels).to_vec(),
                reset,
            },
            Payload::PartialDepth { cadence, last_id, bids, .. } => {
                Self::Partial { cadence, last: last_id, bids: bids.of(&batch.levels).to_vec() }
            }
            Payload::BookTicker(best) => Self::Best(best.update_id),
            Payload::Trade(trade) => Self::Trade(trade.id),
            Payload::AggTrade(trade) => Self::Aggregate(trade.id),
            Payload::BookState(state) => Self::State(state),
            _ => return None,
        })
    }
}

/// A venue's true book, and its pending diff.
struct Truth {
    rng: Rng,
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    id: i64,
    sent: i64,
    pending: BTreeMap<(bool, i64), i64>,
}

impl Truth {
    fn new(seed: u64) -> Self {
        let bids = (0..30).map(|step| (50_000 - step, 5 + step)).collect();
        let asks = (0..30).map(|step| (50_001 + step, 5 + step)).collect();
        Self { rng: Rng::with_seed(seed), bids, asks, id: 1_000, sent: 1_000, pending: BTreeMap::new() }
    }

    fn change(&mut self) {
        let is_bid = self.rng.bool();
        let middle = (self.bids.last_key_value().map_or(50_000, |(price, _)| *price)
            + self.asks.first_key_value().map_or(50_001, |(price, _)| *price))
            / 2;
        let distance = self.rng.i64(0..12);
        let price = if is_bid { middle - distance } else { middle + 1 + distance };
        let (side, other) = if is_bid { (&mut self.bids, &mut self.asks) } else { (&mut self.asks, &mut self.bids) };
        let quantity = if self.rng.u8(0..3) == 0 { 0 } else { self.rng.i64(1..1_000) };
        if quantity == 0 && side.remove(&price).is_none() {
            return;
        }
        if quantity > 0 {
            side.insert(price, quantity);
        }
        self.id += 1;
        self.pending.insert((is_bid, price), quantity);
        // What would cross is traded away.
        let crossed: Vec<i64> = other
            .keys()
            .copied()
            .filter(|&ask| quantity > 0 && if is_bid { ask <= price } else { ask >= price })
            .collect();
        for gone in crossed {
            other.remove(&gone);
            self.id += 1;
            self.pending.insert((!is_bid, gone), 0);
        }
    }

    fn diff(&mut self, time: Nanos) -> Option<String> {
        if self.id == self.sent {
            return None;
        }
        let side = |is_bid| {
            let levels = self.pending.iter().filter(|((bid, _), _)| *bid == is_bid);
            levels.map(|((_, price), quantity)| level(*price, *quantity)).collect::<Vec<_>>().join(",")
        };
        let (first, last, millis) = (self.sent + 1, self.id, time.millis());
        let text = format!(
            r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{millis},"s":"{SYMBOL}","U":{first},"u":{last},"b":[{}],"a":[{}]}}}}"#,
            side(true),
            side(false)
        );
        self.sent = self.id;
        self.pending.clear();
        Some(text)
    }

    fn snapshot(&self) -> String {
        self.snapshot_of(usize::MAX)
    }

    /// The best `count` levels of each side.
    fn snapshot_of(&self, count: usize) -> String {
        let text = |(price, quantity): (&i64, &i64)| level(*price, *quantity);
        let bids: Vec<_> = self.bids.iter().rev().take(count).map(text).collect();
        let asks: Vec<_> = self.asks.iter().take(count).map(text).collect();
        format!(r#"{{"lastUpdateId":{},"bids":[{}],"asks":[{}]}}"#, self.id, bids.join(","), asks.join(","))
    }
}

fn level(price: i64, quantity: i64) -> String {
    format!(r#"["{price}.00000000","{quantity}.00000000"]"#)
}

/// A bot's book of one cadence.
#[derive(Default)]
struct Follower {
    last: Option<i64>,
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    diffs: usize,
}

impl Follower {
    fn hear(&mut self, said: &Said, cadence: Cadence) {
        let set = |side: &mut BTreeMap<i64, i64>, levels: &[Level]| {
            for &Level { price: Price(price), quantity: Quantity(quantity) } in levels {
                if quantity == 0 {
                    side.remove(&(price / 100_000_000));
                } else {
                    side.insert(price / 100_000_000, quantity / 100_000_000);
                }
            }
        };
        match said {
            Said::Whole { last, bids, asks, reset: false } if self.last.is_none() => {
                self.last = Some(*last);
                set(&mut self.bids, bids);
                set(&mut self.asks, asks);
            }
            Said::Whole { reset: true, .. } => panic!("nobody has to start over here"),
            Said::Diff { cadence: theirs, first, last, bids, asks } if *theirs == cadence => {
                assert_eq!(Some(*first), self.last.map(|last| last + 1), "{cadence:?} tiles");
                assert!(last >= first);
                assert!(bids.is_sorted_by(|a, b| a.price > b.price), "bids descend, each price once");
                assert!(asks.is_sorted_by(|a, b| a.price < b.price), "asks ascend, each price once");
                self.last = Some(*last);
                set(&mut self.bids, bids);
                set(&mut self.asks, asks);
                let crossed = self.bids.last_key_value().zip(self.asks.first_key_value());
                assert!(crossed.is_none_or(|((bid, _), (ask, _))| bid < ask), "crossed at {last}");
                self.diffs += 1;
            }
            _ => {}
        }
    }
}

/// One run of a venue that misbehaves; gives everything that was published.
fn misbehave(seed: u64) -> Vec<String> {
    let mut bench = Bench::new();
    let mut truth = Truth::new(seed);
    let mut chance = Rng::with_seed(seed ^ 0x5eed);
    let mut followers = DIFFS.map(|_| Follower::default());
    bench.interest.add(TopicId::new(INSTRUMENT, Channel::Depth(Cadence::Swift)));
    let mut late: Option<String> = None;
    let mut answers: Vec<(i64, Inbound)> = Vec::new();
    let mut best = i64::MIN;
    for round in 0..1_500_i64 {
        bench.now = Nanos(bench.now.0 + 20 * MILLISECOND);
        (0..chance.u32(0..4)).for_each(|_| truth.change());
        let mut frames = Vec::new();
        if round % 5 == 0 {
            let mut diff = truth.diff(bench.now);
            // The last stretch is quiet, so that everybody can get right.
            match chance.u8(0..if round < 1_300 { 40 } else { 1 }) {
                1 => diff = None,
                2 => frames.extend(diff.clone()),
                3 => std::mem::swap(&mut diff, &mut late),
                4 => frames
                    .push(diff.take().unwrap_or_default()[..20.min(diff.as_ref().map_or(0, String::len))].to_owned()),
                _ => {}
            }
            frames.extend(diff);
            if chance.bool() {
                frames.extend(late.take());
            }
        }
        let mut said = Vec::new();
        for frame in frames {
            said.extend(bench.frame(CONNECTION, frame));
        }
        if round == 600 {
            said.extend(bench.pass(vec![Inbound::Closed {
                venue: VENUE,
                connection: CONNECTION,
                received: bench.now,
            }]));
            (0..20).for_each(|_| truth.change());
            let _lost = truth.diff(bench.now);
            bench.opened(CONNECTION);
        }
        for request in bench.requests.try_iter().collect::<Vec<_>>() {
            let Request::Snapshot { instrument, levels, after_ms } = request else { continue };
            let body = Frame { received: bench.now, bytes: Bytes::from(truth.snapshot()) };
            let answer = Inbound::Snapshot { instrument, levels, body };
            // Some answers are stale by the time they come.
            answers.push((round + i64::from(after_ms) / 20 + chance.i64(0..8), answer));
        }
        let (due, waiting) = answers.into_iter().partition::<Vec<_>, _>(|(at, _)| *at <= round);
        answers = waiting;
        said.extend(bench.pass(due.into_iter().map(|(_, answer)| answer).collect()));
        for said in &said {
            for (follower, cadence) in followers.iter_mut().zip(DIFFS) {
                follower.hear(said, cadence);
            }
            if let Said::Best(id) = said {
                assert!(*id > best, "bookTicker ids rise");
                best = *id;
            }
        }
    }
    let last = truth.diff(bench.now);
    let mut said = last.map_or(Vec::new(), |diff| bench.frame(CONNECTION, diff));
    said.extend(bench.wait(2_500));
    for (follower, cadence) in followers.iter_mut().zip(DIFFS) {
        said.iter().for_each(|said| follower.hear(said, cadence));
        assert!(follower.diffs > 20, "{cadence:?} spoke");
        assert_eq!(follower.last, Some(truth.id), "{cadence:?} is where the venue is");
        assert_eq!(follower.bids, truth.bids, "{cadence:?} bids");
        assert_eq!(follower.asks, truth.asks, "{cadence:?} asks");
    }
    bench.log
}

#[test]
fn followers_of_a_venue_that_loses_doubles_and_reorders_are_never_wrong() {
    for seed in 1..=12 {
        println!("seed {seed}");
        misbehave(seed);
    }
}

#[test]
fn the_same_input_gives_the_same_output() {
    assert!(misbehave(77) == misbehave(77));
}

#[test]
fn a_gap_publishes_nothing_until_it_is_healed_by_one_ordinary_diff() {
    let mut bench = Bench::new();
    let mut truth = Truth::new(3);
    join(&mut bench, &mut truth);
    truth.change();
    let lost = truth.diff(bench.now);
    assert!(lost.is_some());
    (0..5).for_each(|_| truth.change());
    let diff = truth.diff(bench.now).expect("five changes");
    let said = bench.frame(CONNECTION, diff);
    assert_eq!(said, [Said::State(BookState::Healing)], "nothing but the state");
    assert!(bench.wait(1_500).is_empty(), "nothing is published while it heals");
    assert!(bench.requests.try_iter().any(|request| matches!(request, Request::Snapshot { .. })));
    let body = Frame { received: bench.now, bytes: Bytes::from(truth.snapshot()) };
    let mut said = bench.pass(vec![Inbound::Snapshot { instrument: INSTRUMENT, levels: 1000, body }]);
    said.extend(bench.wait(1_500));
    let diffs: Vec<_> = said
        .iter()
        .filter_map(|said| match said {
            Said::Diff { cadence, first, last, .. } => Some((*cadence, *first, *last)),
            _ => None,
        })
        .collect();
    assert_eq!(diffs.len(), 2, "one for each cadence: {diffs:?}");
    for cadence in Cadence::JSON {
        assert!(diffs.contains(&(cadence, 1_001, truth.id)), "{diffs:?}");
    }
}

#[test]
fn partial_books_come_with_the_diff_and_at_once_to_the_first_who_wants_them() {
    let mut bench = Bench::new();
    let mut truth = Truth::new(5);
    join(&mut bench, &mut truth);
    assert!(bench.wait(300).is_empty(), "nobody wants any, nothing has changed");
    let topic = TopicId::new(INSTRUMENT, Channel::PartialDepth(5, Cadence::Fast));
    bench.interest.add(topic);
    let said = bench.wait(100);
    assert!(
        matches!(&said[..], [Said::Partial { cadence: Cadence::Fast, last: 1_000, bids }] if bids.len() == 20),
        "{said:?}"
    );
    // Interest that rises together with a change: one partial book, not one for each.
    bench.interest.remove(topic);
    bench.wait(200);
    bench.interest.add(topic);
    truth.change();
    let mut said = truth.diff(bench.now).map(|diff| bench.frame(CONNECTION, diff)).expect("a change");
    said.extend(bench.wait(300));
    let partials = said.iter().filter(|said| matches!(said, Said::Partial { .. })).count();
    assert_eq!(partials, 1, "{said:?}");
    truth.change();
    let mut said = truth.diff(bench.now).map(|diff| bench.frame(CONNECTION, diff)).expect("a change");
    said.extend(bench.wait(200));
    let order: Vec<_> = said.iter().map(std::mem::discriminant).collect();
    let wanted = |said: &Said| matches!(said, Said::Partial { .. });
    let diff_at =
        said.iter().position(|said| matches!(said, Said::Diff { cadence: Cadence::Fast, .. })).expect("a diff");
    assert!(said[diff_at + 1..].iter().any(wanted), "the partial book comes behind its diff: {order:?}");
}

#[test]
fn a_book_is_deepened_once_it_is_served_and_followers_learn_of_it_with_the_next_diff() {
    let mut bench = Bench::new();
    let mut truth = Truth::new(13);
    truth.bids = (0..1_500).map(|step| (50_000 - step, 5)).collect();
    truth.asks = (0..1_500).map(|step| (50_001 + step, 5)).collect();
    let mut follower = Follower::default();
    // The first snapshot covers a thousand levels a side.
    let shallow = truth.snapshot_of(1_000);
    let body = Frame { received: bench.now, bytes: Bytes::from(shallow) };
    let said = bench.pass(vec![Inbound::Snapshot { instrument: INSTRUMENT, levels: 1_000, body }]);
    said.iter().for_each(|said| follower.hear(said, Cadence::Fast));
    assert_eq!(follower.bids.len(), 1_000);
    bench.wait(1_100).iter().for_each(|said| follower.hear(said, Cadence::Fast));
    let asked: Vec<_> = bench.requests.try_iter().collect();
    assert!(asked.contains(&Request::Snapshot { instrument: INSTRUMENT, levels: 5_000, after_ms: 0 }), "{asked:?}");
    let body = Frame { received: bench.now, bytes: Bytes::from(truth.snapshot()) };
    let said = bench.pass(vec![Inbound::Snapshot { instrument: INSTRUMENT, levels: 5_000, body }]);
    assert!(!said.iter().any(|said| matches!(said, Said::State(_))), "it stays live: {said:?}");
    said.iter().for_each(|said| follower.hear(said, Cadence::Fast));
    while truth.id == truth.sent {
        truth.change();
    }
    let diff = truth.diff(bench.now).expect("a change");
    let mut said = bench.frame(CONNECTION, diff);
    said.extend(bench.wait(200));
    said.iter().for_each(|said| follower.hear(said, Cadence::Fast));
    assert_eq!((follower.bids, follower.asks), (truth.bids, truth.asks));
    let asks_book = |request| matches!(request, Request::Snapshot { .. });
    assert!(!bench.requests.try_iter().any(asks_book), "deep enough");
}

#[test]
fn a_second_connection_fills_what_the_first_one_loses() {
    let mut bench = Bench::new();
    let mut truth = Truth::new(9);
    let second = ConnectionId(2);
    bench.opened(second);
    join(&mut bench, &mut truth);
    for round in 0..40 {
        truth.change();
        bench.now = Nanos(bench.now.0 + 100 * MILLISECOND);
        let Some(diff) = truth.diff(bench.now) else { continue };
        // Each connection loses every third diff, never the same.
        for (connection, lost) in [(CONNECTION, 0), (second, 1)] {
            if round % 3 != lost {
                let said = bench.frame(connection, diff.clone());
                assert!(!said.iter().any(|said| matches!(said, Said::State(_))), "{said:?}");
            }
        }
    }
    assert!(bench.requests.try_iter().all(|request| !matches!(request, Request::Snapshot { .. })), "no resync");
}

/// On made-up time, so the numbers are exact: docs/decisions/003-depth-cadence.md quotes them.
#[test]
fn a_venue_that_speaks_every_hundred_milliseconds_is_passed_on_without_a_timer_of_ours() {
    let mut bench = Bench::new();
    let mut truth = Truth::new(11);
    let mut jitter = Rng::with_seed(11);
    join(&mut bench, &mut truth);
    let start = bench.now;
    let mut waits = Vec::new();
    let mut sent = None;
    for round in 1..600_i64 {
        // Each message is up to 6 ms late on its way.
        let arrives = Nanos(start.0 + round * 100 * MILLISECOND + jitter.i64(0..6) * MILLISECOND);
        let mut said = bench.wait((arrives.0 - bench.now.0) / MILLISECOND);
        waits.extend(waited(&said, bench.now, &mut sent));
        (0..4).for_each(|_| truth.change());
        let Some(diff) = truth.diff(bench.now) else { continue };
        assert!(sent.is_none(), "the one before went out before this one came");
        sent = Some(bench.now);
        said = bench.frame(CONNECTION, diff);
        if said.iter().any(is_fast) {
            sent = None;
            waits.push(0);
        }
        // What was not passed on at once waits for the grid: look millisecond by millisecond.
        while sent.is_some() {
            said = bench.wait(1);
            waits.extend(waited(&said, bench.now, &mut sent));
        }
    }
    let mean = waits.iter().sum::<i64>() as f64 / waits.len() as f64;
    let most = waits.iter().max().copied().unwrap_or_default();
    println!(
        "{} diffs waited {mean:.2} ms on average, {most} ms at most (a timer of our own: 50 and 100)",
        waits.len()
    );
    assert!(waits.len() > 500);
    assert!(most <= 6, "no longer than the venue's own jitter");
}

fn is_fast(said: &Said) -> bool {
    matches!(said, Said::Diff { cadence: Cadence::Fast, .. })
}

/// How long the diff waited that is among `said`, in milliseconds.
fn waited(said: &[Said], now: Nanos, sent: &mut Option<Nanos>) -> Option<i64> {
    if !said.iter().any(is_fast) {
        return None;
    }
    sent.take().map(|sent| (now.0 - sent.0) / MILLISECOND)
}

/// Joins the first snapshot; nothing has changed since.
fn join(bench: &mut Bench, truth: &mut Truth) {
    let body = Frame { received: bench.now, bytes: Bytes::from(truth.snapshot()) };
    let said = bench.pass(vec![Inbound::Snapshot { instrument: INSTRUMENT, levels: 1000, body }]);
    assert!(said.contains(&Said::State(BookState::Live)), "{said:?}");
    assert!(said.iter().any(|said| matches!(said, Said::Whole { last: 1_000, reset: false, .. })), "{said:?}");
    let _asked: Vec<_> = bench.requests.try_iter().collect();
    let _first_best = bench.wait(1_100);
}
