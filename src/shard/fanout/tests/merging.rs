//! Slow sessions and diffs: what waits becomes one, and the client's book is the exchange's all the same.

use std::collections::{BTreeSet, HashMap, VecDeque};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{
    encode::sbe,
    topic::{Encoding, Update},
};

/// Both sides by price.
type Book = [BTreeMap<i64, i64>; 2];

/// An exchange of one book, each change of which has an id.
struct Market {
    truth: Vec<Book>,
    /// By id, from 1 on: on which side which price has changed.
    changes: Vec<(usize, i64)>,
    published: HashMap<Cadence, i64>,
    /// When the diff that ends with an id was published.
    times: HashMap<(Cadence, i64), Nanos>,
    now: Nanos,
    trades: i64,
    news: Batch,
}

impl Market {
    fn new() -> Self {
        Self {
            truth: vec![Book::default()],
            changes: Vec::new(),
            published: HashMap::new(),
            times: HashMap::new(),
            now: START,
            trades: 0,
            news: Batch::default(),
        }
    }

    fn id(&self) -> i64 {
        self.changes.len() as i64
    }

    fn change(&mut self, side: usize, price: i64, quantity: i64) {
        let mut book = self.truth.last().unwrap().clone();
        match quantity {
            0 => book[side].remove(&price),
            _ => book[side].insert(price, quantity),
        };
        self.truth.push(book);
        self.changes.push((side, price));
    }

    fn publish(&mut self, payload: Payload) {
        self.now = self.now.plus(std::time::Duration::from_micros(300));
        self.news.updates.push(Update { instrument: InstrumentId(0), received: START, time: self.now, payload });
    }

    /// The diff of a cadence and the partial book of the same moment.
    fn tick(&mut self, cadence: Cadence) {
        let before = self.published.insert(cadence, self.id()).unwrap_or(0);
        if before == self.id() {
            return;
        }
        let payload = self.diff(cadence, before + 1, self.id());
        self.publish(payload);
        self.times.insert((cadence, self.id()), self.now);
        if cadence == Cadence::Fast {
            let (bids, asks) = (Span::default(), Span::default());
            self.publish(Payload::PartialDepth { cadence, last_id: self.id(), bids, asks });
        }
    }

    /// What has changed from `first_id` to `last_id`, appended to the levels of the news.
    fn diff(&mut self, cadence: Cadence, first_id: i64, last_id: i64) -> Payload {
        let changed: BTreeSet<(usize, i64)> =
            self.changes[first_id as usize - 1..last_id as usize].iter().copied().collect();
        let book = &self.truth[last_id as usize];
        let level = |&(side, price): &(usize, i64)| Level {
            price: Price(price),
            quantity: Quantity(book[side].get(&price).copied().unwrap_or(0)),
        };
        let levels = &mut self.news.levels;
        let start = levels.len();
        levels.extend(changed.iter().filter(|(side, _)| *side == 0).rev().map(level));
        let bids = Span::since(start, levels);
        let start = levels.len();
        levels.extend(changed.iter().filter(|(side, _)| *side == 1).map(level));
        let asks = Span::since(start, levels);
        Payload::DepthDiff { cadence, first_id, last_id, bids, asks }
    }

    /// What our encoder makes of the diff with these ids, merged or not.
    fn frame(&mut self, stream: &str, form: Form, first_id: i64, last_id: i64, catalogue: &Catalogue) -> Vec<u8> {
        let cadence = cadence_of(stream, form);
        let time = *self.times.get(&(cadence, last_id)).expect("a diff ended with this id");
        let levels = self.news.levels.len();
        let payload = self.diff(cadence, first_id, last_id);
        let update = Update { instrument: InstrumentId(0), received: START, time, payload };
        let instrument = catalogue.instrument(InstrumentId(0));
        let (mut out, mut body) = (Vec::new(), Vec::new());
        if form.encoding() == Encoding::Sbe {
            sbe::each_message(&update, &self.news, instrument, &mut body, |message| {
                frame::frame(&mut out, Opcode::Binary, message);
            });
        } else {
            json::body(&mut body, &update, &self.news, instrument, usize::MAX, form.unit());
            match form.spelling() {
                None => frame::frame(&mut out, Opcode::Text, &body),
                Some(_) => frame::combined(&mut out, stream.as_bytes(), &body),
            }
        }
        self.news.levels.truncate(levels);
        out
    }
}

fn cadence_of(stream: &str, form: Form) -> Cadence {
    match form.encoding() {
        Encoding::Sbe => Cadence::Swift,
        Encoding::Json if stream.ends_with("@100ms") => Cadence::Fast,
        Encoding::Json => Cadence::Slow,
    }
}

/// A client that believes what it hears.
struct Follower {
    client: Client,
    form: Form,
    /// Each depth stream's book and last id.
    books: BTreeMap<String, (Book, i64)>,
    last_trade: i64,
    last_best: i64,
    last_time: i64,
    pings: VecDeque<u8>,
    is_closed: bool,
}

impl Follower {
    /// `depths` are the depth streams of the URL.
    fn new(client: Client, form: Form, depths: &[&str]) -> Self {
        let books = depths.iter().map(|name| ((*name).to_owned(), Default::default())).collect();
        let (last_trade, last_best, last_time) = (0, 0, 0);
        Self { client, form, books, last_trade, last_best, last_time, pings: VecDeque::new(), is_closed: false }
    }

    fn hear(&mut self, market: &mut Market, catalogue: &Catalogue) {
        for frame in self.client.pipe.frames() {
            assert!(!self.is_closed, "nothing follows the close frame");
            let payload = &frame[rig::header(&frame)..];
            match frame[0] {
                0x81 => self.event(&frame, &serde_json::from_slice(payload).unwrap(), market, catalogue),
                0x82 => {
                    assert_eq!(payload[2..4], 10_003_u16.to_le_bytes());
                    let id = |at: usize| i64::from_le_bytes(payload[at..at + 8].try_into().unwrap());
                    self.diff("", &frame, id(16), id(24), &levels_of_sbe(&payload[34..]), market, catalogue);
                }
                0x8A => assert_eq!(self.pings.pop_front().unwrap(), payload[0]),
                0x88 => {
                    assert_eq!(&frame[4..], b"Slow consumer");
                    self.is_closed = true;
                }
                other => panic!("no server sends {other:#x}"),
            }
        }
    }

    fn event(&mut self, frame: &[u8], event: &Value, market: &mut Market, catalogue: &Catalogue) {
        let stream = event["stream"].as_str();
        let data = if stream.is_some() { &event["data"] } else { event };
        let stream = stream.unwrap_or("btcusdt@depth@100ms");
        if let Some(time) = data["E"].as_i64() {
            assert!(time >= self.last_time, "nothing is told before what it follows: {data}");
            self.last_time = time;
        }
        if data["e"] == "trade" {
            assert_eq!(data["t"], self.last_trade + 1);
            self.last_trade += 1;
        } else if data["e"] == "depthUpdate" {
            let (first_id, last_id) = (data["U"].as_i64().unwrap(), data["u"].as_i64().unwrap());
            self.diff(stream, frame, first_id, last_id, &levels_of_json(data), market, catalogue);
        } else if let Some(id) = data["lastUpdateId"].as_i64() {
            assert_eq!(id, self.books["btcusdt@depth@100ms"].1, "a partial book comes behind the diff of its id");
        } else {
            let id = data["u"].as_i64().unwrap();
            assert!(id > self.last_best);
            self.last_best = id;
        }
    }

    #[allow(clippy::too_many_arguments, reason = "a frame, what it says, and whom to ask")]
    fn diff(
        &mut self,
        stream: &str,
        frame: &[u8],
        first_id: i64,
        last_id: i64,
        levels: &[(usize, i64, i64)],
        market: &mut Market,
        catalogue: &Catalogue,
    ) {
        let (book, last) = self.books.get_mut(stream).unwrap();
        assert_eq!(first_id, *last + 1, "{stream}: ids tile");
        *last = last_id;
        for &(side, price, quantity) in levels {
            match quantity {
                0 => book[side].remove(&price),
                _ => book[side].insert(price, quantity),
            };
        }
        assert_eq!(*book, market.truth[last_id as usize], "{stream}: the book at {last_id}");
        let expected = market.frame(stream, self.form, first_id, last_id, catalogue);
        assert_eq!(String::from_utf8_lossy(frame), String::from_utf8_lossy(&expected));
        assert!(frame == expected);
    }
}

fn levels_of_json(data: &Value) -> Vec<(usize, i64, i64)> {
    let number = |text: &Value| text.as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
    let side = |(side, key): (usize, &str)| {
        let levels = data[key].as_array().unwrap().iter();
        levels.map(|level| (side, number(&level[0]), number(&level[1]))).collect::<Vec<_>>()
    };
    [(0, "b"), (1, "a")].into_iter().flat_map(side).collect()
}

fn levels_of_sbe(mut groups: &[u8]) -> Vec<(usize, i64, i64)> {
    let mut levels = Vec::new();
    for side in 0..2 {
        let count = usize::from(u16::from_le_bytes([groups[2], groups[3]]));
        let (group, rest) = groups[4..].split_at(16 * count);
        let number = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().unwrap());
        levels.extend(group.chunks(16).map(|level| (side, number(&level[..8]), number(&level[8..]))));
        groups = rest;
    }
    levels
}

#[derive(Clone, Debug)]
enum Step {
    Change(usize, i64, i64),
    Tick(Cadence),
    Trade,
    Best,
    Pass,
    Feed(usize, usize),
    Ping(usize, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let room = prop_oneof![0_usize..40, 0_usize..4_000, Just(usize::MAX)];
    prop_oneof![
        12 => (0_usize..2, 1_i64..40, 0_i64..3).prop_map(|(side, price, quantity)| Step::Change(side, price, quantity)),
        6 => prop_oneof![Just(Cadence::Fast), Just(Cadence::Slow), Just(Cadence::Swift)].prop_map(Step::Tick),
        1 => Just(Step::Trade),
        2 => Just(Step::Best),
        4 => Just(Step::Pass),
        2 => (0_usize..4, room).prop_map(|(client, room)| Step::Feed(client, room)),
        1 => (0_usize..4, any::<u8>()).prop_map(|(client, payload)| Step::Ping(client, payload)),
    ]
}

/// Four clients in four forms, with sockets that take what they like.
fn run(steps: &[Step], outbox_bytes_max: usize) -> (Vec<bool>, Tally) {
    let mut rig = Rig::new(|config| config.outbox_bytes_max = outbox_bytes_max);
    let catalogue = Arc::clone(&rig.catalogue);
    let mut market = Market::new();
    let spelling = crate::session::Spelling::default();
    let fast = "btcusdt@depth@100ms";
    let three = ["btcusdt@depth", "btcusdt@depth@1000ms", fast];
    let mut followers = [
        Follower::new(
            rig.open("/ws/btcusdt@depth@100ms/btcusdt@trade/btcusdt@bookTicker/btcusdt@depth5@100ms"),
            Form::new(false, TimeUnit::Milliseconds, spelling),
            &[fast],
        ),
        Follower::new(
            rig.open("/stream?streams=btcusdt@depth/btcusdt@depth@1000ms/btcusdt@depth@100ms/btcusdt@depth5@100ms/btcusdt@bookTicker/btcusdt@trade"),
            Form::new(true, TimeUnit::Milliseconds, spelling),
            &three,
        ),
        Follower::new(
            rig.open("/stream?streams=binance:btcusdt@depth@100ms/btcusdt@trade/btcusdt@depth&timeUnit=MICROSECOND"),
            Form::new(true, TimeUnit::Microseconds, spelling),
            &["binance:btcusdt@depth@100ms", "btcusdt@depth"],
        ),
        Follower::new(rig.open_sbe("/ws/btcusdt@depth"), Form::SBE, &[""]),
    ];
    for step in steps {
        match *step {
            Step::Change(side, price, quantity) => market.change(side, price, quantity),
            Step::Tick(cadence) => market.tick(cadence),
            Step::Trade => {
                market.trades += 1;
                market.publish(trade(market.trades));
            }
            Step::Best => {
                market.change(0, 1, 1 + market.id() % 2);
                market.publish(Payload::BookTicker(Best { update_id: market.id(), ..Best::default() }));
            }
            Step::Pass => {
                rig.pass_of(&market.news);
                market.news.clear();
            }
            Step::Feed(client, room) => rig.feed(&followers[client].client, room),
            Step::Ping(client, payload) => {
                let follower = &mut followers[client];
                if rig.fanout.links.get_mut(follower.client.index).is_some_and(|link| link.stage == Stage::Open) {
                    follower.pings.push_back(payload);
                    follower.client.pipe.says(0x89, &[payload]);
                    rig.read(&follower.client);
                }
            }
        }
        for follower in &mut followers {
            follower.hear(&mut market, &catalogue);
        }
    }
    rig.pass_of(&market.news);
    market.news.clear();
    for follower in &mut followers {
        rig.feed(&follower.client, usize::MAX);
        follower.hear(&mut market, &catalogue);
        if follower.is_closed {
            continue;
        }
        assert!(follower.pings.is_empty());
        for (stream, (_, last)) in &follower.books {
            let cadence = cadence_of(stream, follower.form);
            assert_eq!(last, market.published.get(&cadence).unwrap_or(&0), "{stream}: the end is reached");
        }
        if follower.form != Form::SBE {
            assert_eq!(follower.last_trade, market.trades);
        }
    }
    (followers.iter().map(|follower| follower.is_closed).collect(), rig.fanout.take_tally())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_the_sockets_take_books_are_right(steps in prop::collection::vec(step(), 1..500)) {
        let (closed, _) = run(&steps, 1 << 20);
        prop_assert_eq!(closed, [false; 4]);
    }

    #[test]
    fn books_are_right_until_the_end_where_there_is_little_room(
        steps in prop::collection::vec(step(), 1..800),
        outbox_bytes_max in 300_usize..6_000,
    ) {
        run(&steps, outbox_bytes_max);
    }
}

/// The ids of diffs in `texts`, which have to tile: every id that they cover.
pub(super) fn covered<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<i64> {
    let covered =
        texts.flat_map(|text| super::conflation::number(text, r#""U":"#)..=super::conflation::number(text, r#""u":"#));
    covered.collect()
}

/// A diff of `levels` bids.
fn wide(market: &mut Market, levels: i64, quantity: i64) {
    for price in 1..=levels {
        market.change(0, price, quantity);
    }
    market.tick(Cadence::Fast);
}

#[test]
fn a_book_alone_is_never_too_slow_and_trades_are() {
    let mut rig = Rig::new(|config| config.outbox_bytes_max = 64 << 10);
    let catalogue = Arc::clone(&rig.catalogue);
    let mut market = Market::new();
    let form = Form::new(false, TimeUnit::Milliseconds, crate::session::Spelling::default());
    let [book, both] = ["/ws/btcusdt@depth@100ms/btcusdt@depth5@100ms", "/ws/btcusdt@depth@100ms/btcusdt@trade"]
        .map(|url| rig.open(url));
    let mut followers = [book, both].map(|client| Follower::new(client, form, &["btcusdt@depth@100ms"]));
    followers.iter().for_each(|follower| follower.client.pipe.0.room.set(7));
    for round in 1..=2_000 {
        wide(&mut market, 100, round);
        market.trades += 1;
        market.publish(trade(market.trades));
        rig.pass_of(&market.news);
        market.news.clear();
        let (bytes, _) = rig.fanout.queued();
        assert!(bytes <= 2 * (64 << 10), "{bytes} bytes wait");
    }
    for follower in &mut followers {
        rig.feed(&follower.client, usize::MAX);
        follower.hear(&mut market, &catalogue);
    }
    assert_eq!(followers.each_ref().map(|follower| follower.is_closed), [false, true]);
    assert_eq!(followers[0].books["btcusdt@depth@100ms"].1, market.id());
    assert!(rig.fanout.take_tally().merged > 1_900);
    assert_eq!(rig.fanout.queued(), (0, 0));
}

/// One pass of more bytes than may wait, to sockets that take nothing, a little, or some: what counts is what is left
/// once it is tidy.
#[test]
fn a_pass_of_more_than_may_wait_is_not_too_much_if_it_can_be_made_less() {
    for room in [0, 1, 500, 3_000, 50_000] {
        let mut rig = Rig::new(|config| config.outbox_bytes_max = 16 << 10);
        let catalogue = Arc::clone(&rig.catalogue);
        let mut market = Market::new();
        let form = Form::new(false, TimeUnit::Milliseconds, crate::session::Spelling::default());
        let urls = [
            "/ws/btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@depth5@100ms",
            "/ws/btcusdt@depth@100ms/btcusdt@trade",
        ];
        let mut followers = urls.map(|url| Follower::new(rig.open(url), form, &["btcusdt@depth@100ms"]));
        let healthy = rig.open("/ws/btcusdt@trade");
        followers.iter().for_each(|follower| follower.client.pipe.0.room.set(room));
        for round in 1..=200 {
            wide(&mut market, 30, round);
            market.change(1, 50, round);
            market.publish(Payload::BookTicker(Best { update_id: market.id(), ..Best::default() }));
            market.trades += 1;
            market.publish(trade(market.trades));
        }
        rig.pass_of(&market.news);
        market.news.clear();
        assert_eq!(healthy.pipe.heard().len(), 200);
        for follower in &mut followers {
            rig.feed(&follower.client, usize::MAX);
            follower.hear(&mut market, &catalogue);
        }
        assert!(!followers[0].is_closed, "room for {room}");
        assert!(followers[1].is_closed, "room for {room}: 200 trades are more than may wait");
        market.tick(Cadence::Fast);
        rig.pass_of(&market.news);
        followers[0].hear(&mut market, &catalogue);
        assert_eq!(followers[0].books["btcusdt@depth@100ms"].1, market.id());
    }
}

#[test]
fn a_socket_that_has_room_again_is_asked_before_its_session_is_too_slow() {
    let mut rig = Rig::new(|config| config.outbox_bytes_max = 1_000);
    let client = rig.open("/ws/btcusdt@trade");
    client.pipe.0.room.set(0);
    rig.pass(&[trade(0), trade(1), trade(2)]);
    // The poll's notice has not come yet.
    client.pipe.0.room.set(usize::MAX);
    let trades: Vec<Payload> = (3..20).map(trade).collect();
    rig.pass(&trades);
    assert_eq!(client.pipe.heard(), (0..20).map(trade_text).collect::<Vec<_>>());
    assert_eq!((rig.fanout.queued(), rig.fanout.subscriptions()), ((0, 0), 1));
}

/// Frames that name no stream: a feed under two names is there twice, and whoever takes it for two finds no hole in either.
#[test]
fn a_feed_under_two_names_in_a_raw_session_stays_two() {
    let mut rig = Rig::new(|_| {});
    let client = rig.open("/ws/btcusdt@depth/btcusdt@depth@1000ms");
    client.pipe.0.room.set(7);
    for id in 1..=10 {
        rig.pass(&[diff(Cadence::Slow, id)]);
    }
    rig.feed(&client, usize::MAX);
    let heard = client.pipe.heard();
    let ids = |text: &String| (conflation::number(text, r#""U":"#), conflation::number(text, r#""u":"#));
    assert_eq!(heard.iter().map(ids).collect::<Vec<_>>(), [(1, 1), (1, 10), (2, 10)], "one frame was begun");
}

#[test]
fn diffs_on_both_sides_of_a_hole_stay_apart() {
    let mut rig = Rig::new(|_| {});
    let client = rig.open("/ws/btcusdt@depth/btcusdt@trade");
    client.pipe.0.room.set(0);
    for id in [1, 2, 3, 7, 8, 9] {
        rig.pass(&[diff(Cadence::Slow, id), trade(id)]);
    }
    rig.feed(&client, usize::MAX);
    let heard = client.pipe.heard();
    let diffs: Vec<&String> = heard.iter().filter(|text| text.contains("depthUpdate")).collect();
    assert!(diffs[0].contains(r#""U":1,"u":3,"#) && diffs[1].contains(r#""U":7,"u":9,"#) && diffs.len() == 2);
    // Each where its newest part stood.
    let at = |diff: &String| heard.iter().position(|text| text == diff).unwrap();
    assert_eq!(
        (heard[at(diffs[0]) - 1].as_str(), heard[at(diffs[1]) - 1].as_str()),
        (&*trade_text(2), &*trade_text(8))
    );
}

/// Frames with all three sizes of headers, and none that a client would refuse for its size.
#[test]
fn a_merged_diff_has_a_limit_and_ids_tile_all_the_same() {
    for (levels, rounds) in [(1, 10), (100, 40), (3_000, 20)] {
        let mut rig = Rig::new(|config| config.outbox_bytes_max = 1 << 30);
        let catalogue = Arc::clone(&rig.catalogue);
        let mut market = Market::new();
        let form = Form::new(false, TimeUnit::Milliseconds, crate::session::Spelling::default());
        let mut follower = Follower::new(rig.open("/ws/btcusdt@depth@100ms"), form, &["btcusdt@depth@100ms"]);
        follower.client.pipe.0.room.set(0);
        for round in 0..rounds {
            // Other prices each time: nothing becomes less.
            for price in 1..=levels {
                market.changes.push((0, round * levels + price));
            }
            market.truth.resize_with(market.changes.len(), Book::default);
            let mut book = market.truth[(round * levels) as usize].clone();
            book[0].extend((1..=levels).map(|price| (round * levels + price, 1)));
            market.truth.push(book);
            market.tick(Cadence::Fast);
            rig.pass_of(&market.news);
            market.news.clear();
        }
        rig.feed(&follower.client, usize::MAX);
        let frames: Vec<usize> = {
            let bytes = follower.client.pipe.0.outbound.borrow();
            let mut rest = &bytes[..];
            std::iter::from_fn(|| {
                let length = (!rest.is_empty()).then(|| frame::length(rest))?;
                rest = &rest[length..];
                Some(length)
            })
            .collect()
        };
        assert!(frames.len() < rounds as usize, "{frames:?}");
        assert!(frames.iter().all(|&length| length <= 1 << 20), "{frames:?}");
        assert_eq!(frames.iter().any(|&length| length > 1 << 19), levels == 3_000, "{frames:?}");
        follower.hear(&mut market, &catalogue);
        assert_eq!(follower.books["btcusdt@depth@100ms"].1, market.id());
    }
}
