//! The ingest loop alone with a venue whose books come on the socket and are proven by checksums.

use std::{sync::Arc, task::Waker, time::Duration};

use bytes::Bytes;
use fastrand::Rng;

use tickcast::{
    config::Config,
    engine::{Engine, Parts},
    intake::{ConnectionId, Frame, Inbound, Request},
    market::{Catalogue, Decimals, InstrumentId, Level, Listing, Nanos, Price, Status, VenueId},
    ring::{self, Reader},
    topic::{Batch, BookState, Cadence, Interest, Payload},
    venue::AnyProtocol,
};

use crate::kraken::market::{BTC, Levels, Truth, Window};

const VENUE: VenueId = VenueId(0);
const INSTRUMENT: InstrumentId = InstrumentId(0);
const DEPTH: usize = 25;

/// Everything that can be seen from outside, and a follower of the fast diffs.
struct Bench {
    engine: Engine,
    reader: Reader<Batch>,
    requests: flume::Receiver<Request>,
    now: Nanos,
    states: Vec<BookState>,
    bests: Vec<i64>,
    aggregates: Vec<i64>,
    last_id: Option<i64>,
    book: Window,
}

impl Bench {
    fn new() -> Self {
        let mut catalogue = Catalogue::new();
        let venue = catalogue.add_venue("kraken", None);
        let id = catalogue.add_instrument(venue, BTC.native, &BTC.symbol());
        let decimals = Decimals { checksum_price: BTC.price_precision, ..Decimals::EIGHT };
        catalogue.instrument(id).list(Listing {
            native: BTC.native.to_owned(),
            base: "BTC".to_owned(),
            quote: "USD".to_owned(),
            decimals,
            status: Status::Trading,
            tick_size: "0.10000000".to_owned(),
            step_size: "0.00000001".to_owned(),
            binance_info: None,
        });
        let publisher = ring::ring::<Batch>(1 << 10, 1 << 26);
        let reader = publisher.reader(Waker::noop().clone());
        let (asked, requests) = flume::unbounded();
        let engine = Engine::new(Parts {
            protocols: vec![Arc::new(AnyProtocol::new("kraken", DEPTH as u32, 1).expect("Kraken is there"))],
            catalogue: Arc::new(catalogue),
            interest: Arc::new(Interest::new(1)),
            publisher,
            requests: asked,
            settings: Config::embedded().engine,
            stale_after: Duration::from_secs(60),
        });
        Self {
            engine,
            reader,
            requests,
            now: tickcast::clock::now(),
            states: Vec::new(),
            bests: Vec::new(),
            aggregates: Vec::new(),
            last_id: None,
            book: Window::default(),
        }
    }

    fn opened(&mut self, connection: u32) {
        let connection = ConnectionId(connection);
        let instruments = vec![INSTRUMENT];
        self.pass(vec![Inbound::Opened { venue: VENUE, connection, leg: 0, instruments, received: self.now }]);
    }

    fn closed(&mut self, connection: u32) {
        let connection = ConnectionId(connection);
        self.pass(vec![Inbound::Closed { venue: VENUE, connection, received: self.now }]);
    }

    fn frame(&mut self, connection: u32, text: String) {
        let frames = vec![Frame { received: self.now, bytes: Bytes::from(text) }];
        self.pass(vec![Inbound::Frames { venue: VENUE, connection: ConnectionId(connection), frames }]);
    }

    fn acknowledged(&mut self, connection: u32, depth: usize) {
        let text = format!(
            r#"{{"method":"subscribe","result":{{"channel":"book","symbol":"{}","depth":{depth},"snapshot":true}},"success":true}}"#,
            BTC.native
        );
        self.frame(connection, text);
    }

    fn wait(&mut self, milliseconds: i64) {
        for _ in 0..milliseconds / 10 {
            self.now = Nanos(self.now.0 + 10_000_000);
            self.pass(Vec::new());
        }
    }

    fn pass(&mut self, inbound: Vec<Inbound>) {
        self.engine.pass(self.now, inbound);
        while let Some(batch) = self.reader.read().expect("the ring is large enough") {
            for update in &batch.updates {
                match update.payload {
                    Payload::BookState(state) => self.states.push(state),
                    Payload::BookTicker(best) => self.bests.push(best.bid.price.0 / 10_000_000),
                    Payload::AggTrade(trade) => self.aggregates.push(trade.id),
                    Payload::BookSnapshot { last_id, bids, asks, reset } => {
                        assert!(!reset && self.last_id.is_none(), "one whole book at the beginning");
                        self.last_id = Some(last_id);
                        set(&mut self.book.bids, bids.of(&batch.levels));
                        set(&mut self.book.asks, asks.of(&batch.levels));
                    }
                    Payload::DepthDiff { cadence: Cadence::Fast, first_id, last_id, bids, asks } => {
                        assert_eq!(Some(first_id), self.last_id.map(|last| last + 1), "diffs tile");
                        self.last_id = Some(last_id);
                        set(&mut self.book.bids, bids.of(&batch.levels));
                        set(&mut self.book.asks, asks.of(&batch.levels));
                    }
                    _ => {}
                }
            }
        }
    }

    fn resubscribes(&self) -> usize {
        self.requests.try_iter().filter(|request| matches!(request, Request::Resubscribe { .. })).count()
    }
}

/// At one and eight decimals, as the truth has them.
fn set(side: &mut Levels, levels: &[Level]) {
    for Level { price: Price(price), quantity } in levels {
        if quantity.0 == 0 {
            side.remove(&(price / 10_000_000));
        } else {
            side.insert(price / 10_000_000, quantity.0);
        }
    }
}

/// The venue's side: its market, and what each subscriber was sent.
struct Venue {
    truth: Truth,
    rng: Rng,
}

impl Venue {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self { truth: Truth::new(BTC, &mut rng), rng }
    }

    fn snapshot(&mut self, depth: usize) -> (String, Window) {
        (self.truth.snapshot(depth, &mut self.rng), self.truth.window(depth))
    }

    /// Changes the market; the message that tells it to a subscriber with this window.
    fn update(&mut self, window: &mut Window, depth: usize) -> String {
        loop {
            self.truth.change(&mut self.rng);
            let after = self.truth.window(depth);
            if after != *window {
                let text = self.truth.update(window, &after, 0, &mut self.rng);
                *window = after;
                return text;
            }
        }
    }
}

/// A book in step on connection 1.
fn live(bench: &mut Bench, venue: &mut Venue) -> Window {
    bench.opened(1);
    bench.acknowledged(1, DEPTH);
    let (text, window) = venue.snapshot(DEPTH);
    bench.frame(1, text);
    assert_eq!(bench.states, [BookState::Live]);
    assert_eq!(bench.book, window);
    window
}

#[test]
fn updates_are_followed_and_the_window_is_cut() {
    for seed in 0..8 {
        let (mut bench, mut venue) = (Bench::new(), Venue::new(seed));
        let mut window = live(&mut bench, &mut venue);
        for _ in 0..500 {
            let text = venue.update(&mut window, DEPTH);
            bench.frame(1, text);
            bench.wait(40);
        }
        bench.wait(200);
        assert_eq!(bench.book, window, "seed {seed}");
        assert_eq!(bench.states, [BookState::Live]);
    }
}

#[test]
fn a_snapshot_is_proven_before_anything_of_it_is_published() {
    let (mut bench, mut venue) = (Bench::new(), Venue::new(1));
    bench.opened(1);
    bench.acknowledged(1, DEPTH);
    let wrong = Truth::new(BTC, &mut Rng::with_seed(99)).snapshot(DEPTH, &mut Rng::with_seed(1));
    let checksum = |text: &str| text[text.find("\"checksum\"").expect("it has one")..].to_owned();
    let (right, window) = venue.snapshot(DEPTH);
    let lie = wrong.replace(&checksum(&wrong), &checksum(&right));
    bench.frame(1, lie.clone());
    assert!(bench.bests.is_empty() && bench.last_id.is_none(), "{:?}", bench.bests);
    assert!(bench.states.is_empty(), "it still waits for its first book: {:?}", bench.states);
    assert_eq!(bench.resubscribes(), 1);
    bench.frame(1, right);
    assert_eq!((&bench.book, &bench.states[..]), (&window, &[BookState::Live][..]));

    // The same for a book that was right before.
    let bests = bench.bests.len();
    bench.frame(1, lie);
    bench.wait(1_500);
    assert_eq!((&bench.book, bench.bests.len()), (&window, bests));
    assert_eq!(bench.states, [BookState::Live, BookState::Healing]);
    let (right, window) = venue.snapshot(DEPTH);
    bench.frame(1, right);
    let mut window = window;
    let text = venue.update(&mut window, DEPTH);
    bench.frame(1, text);
    bench.wait(200);
    assert_eq!(bench.book, window);
    assert_eq!(bench.states, [BookState::Live, BookState::Healing, BookState::Live]);
}

#[test]
fn a_book_that_nobody_sends_again_is_asked_for_again() {
    let (mut bench, mut venue) = (Bench::new(), Venue::new(2));
    // The subscription was refused for going too fast, say: no snapshot comes.
    bench.opened(1);
    assert_eq!(bench.resubscribes(), 0, "the first one is on its way");
    bench.wait(60_000);
    assert!(bench.resubscribes() > 1);
    bench.acknowledged(1, DEPTH);
    let (text, mut window) = venue.snapshot(DEPTH);
    bench.frame(1, text);
    bench.wait(60_000);
    assert_eq!(bench.resubscribes(), 0, "it is here");

    let _lost = venue.update(&mut window, DEPTH);
    while bench.states.last() == Some(&BookState::Live) {
        let text = venue.update(&mut window, DEPTH);
        bench.frame(1, text);
    }
    assert_eq!(bench.resubscribes(), 1, "at once");
    bench.wait(60_000);
    assert!(bench.resubscribes() > 1, "and again");
    let (text, window) = venue.snapshot(DEPTH);
    bench.frame(1, text);
    bench.wait(60_000);
    assert_eq!((bench.resubscribes(), &bench.book), (0, &window));
}

#[test]
fn a_successor_takes_over_with_its_first_whole_book() {
    let (mut bench, mut venue) = (Bench::new(), Venue::new(3));
    let mut old = live(&mut bench, &mut venue);
    bench.opened(2);
    // It is given fewer levels; as long as its book is not here, the old one's are what counts.
    bench.acknowledged(2, 10);
    for _ in 0..50 {
        let text = venue.update(&mut old, DEPTH);
        bench.frame(1, text);
    }
    bench.wait(200);
    assert_eq!(bench.book, old);
    let (text, mut new) = venue.snapshot(10);
    bench.frame(2, text);
    for _ in 0..50 {
        let text = venue.update(&mut new, 10);
        bench.frame(2, text);
        // The old one goes on for a while, and counts no more.
        let after = venue.truth.window(DEPTH);
        let text = venue.truth.update(&old, &after, 0, &mut venue.rng);
        old = after;
        bench.frame(1, text);
    }
    bench.closed(1);
    bench.wait(200);
    assert_eq!(bench.book, new);
    assert_eq!(bench.states, [BookState::Live], "nobody noticed");
    assert_eq!(bench.resubscribes(), 0);
}

#[test]
fn a_successor_that_dies_gives_the_book_back() {
    let (mut bench, mut venue) = (Bench::new(), Venue::new(4));
    let mut old = live(&mut bench, &mut venue);
    bench.opened(2);
    bench.acknowledged(2, DEPTH);
    let (text, _) = venue.snapshot(DEPTH);
    bench.frame(2, text);
    bench.closed(2);
    assert_eq!(bench.states, [BookState::Live, BookState::Healing], "nobody brings its updates any more");
    assert_eq!(bench.resubscribes(), 1, "the old connection has to send a whole book");
    let ignored = venue.update(&mut old, DEPTH);
    bench.frame(1, ignored);
    let (text, mut window) = venue.snapshot(DEPTH);
    bench.frame(1, text);
    let text = venue.update(&mut window, DEPTH);
    bench.frame(1, text);
    bench.wait(200);
    assert_eq!(bench.book, window);
    assert_eq!(bench.states, [BookState::Live, BookState::Healing, BookState::Live]);
}

#[test]
fn a_predecessor_that_dies_first_leaves_the_book_to_its_successor() {
    let (mut bench, mut venue) = (Bench::new(), Venue::new(5));
    live(&mut bench, &mut venue);
    bench.opened(2);
    bench.closed(1);
    assert_eq!(bench.states, [BookState::Live, BookState::Healing]);
    assert_eq!(bench.resubscribes(), 0, "a whole book is on its way");
    bench.acknowledged(2, DEPTH);
    let (text, window) = venue.snapshot(DEPTH);
    bench.frame(2, text);
    bench.wait(200);
    assert_eq!(bench.book, window);
    assert_eq!(bench.states.last(), Some(&BookState::Live));
}

#[test]
fn a_late_acknowledgement_cuts_what_is_published_already() {
    let (mut bench, mut venue) = (Bench::new(), Venue::new(6));
    bench.opened(1);
    let (text, _) = venue.snapshot(DEPTH);
    bench.frame(1, text);
    bench.wait(200);
    bench.acknowledged(1, 10);
    let mut window = venue.truth.window(10);
    for _ in 0..20 {
        let text = venue.update(&mut window, 10);
        bench.frame(1, text);
    }
    bench.wait(200);
    assert_eq!(bench.book, window);
}

#[test]
fn without_an_acknowledgement_the_window_is_what_was_asked_for() {
    let (mut bench, mut venue) = (Bench::new(), Venue::new(7));
    bench.opened(1);
    let (text, mut window) = venue.snapshot(DEPTH);
    bench.frame(1, text);
    for _ in 0..200 {
        let text = venue.update(&mut window, DEPTH);
        bench.frame(1, text);
    }
    bench.wait(200);
    assert_eq!(bench.book, window);
}

#[test]
fn a_refusal_is_forgotten_when_the_book_comes_after_all() {
    let (mut bench, mut venue) = (Bench::new(), Venue::new(8));
    let refusal = format!(
        r#"{{"error":"Currency pair not supported {0}","method":"subscribe","success":false,"symbol":"{0}"}}"#,
        BTC.native
    );
    bench.opened(1);
    bench.frame(1, refusal);
    assert_eq!(bench.states, [BookState::Refused]);
    bench.wait(120_000);
    assert_eq!(bench.resubscribes(), 0, "for good means that nobody insists");
    bench.closed(1);
    assert_eq!(bench.states, [BookState::Refused]);
    // A new connection asks for every pair once more.
    bench.opened(2);
    bench.acknowledged(2, DEPTH);
    let (text, window) = venue.snapshot(DEPTH);
    bench.frame(2, text);
    assert_eq!(bench.states, [BookState::Refused, BookState::Live]);
    assert_eq!(bench.book, window);
}

#[test]
fn fills_cut_otherwise_by_another_connection_are_not_summed_twice() {
    let (mut bench, mut venue) = (Bench::new(), Venue::new(9));
    live(&mut bench, &mut venue);
    while venue.truth.fills.iter().flatten().count() < 6 {
        venue.truth.change(&mut venue.rng);
    }
    let mut fills: Vec<_> = venue.truth.fills.iter().flatten().copied().take(6).collect();
    // One price, time and side: one run, however long.
    let first = fills[0];
    for (fill, id) in fills.iter_mut().zip(first.id..) {
        *fill = crate::kraken::market::Fill { id, ..first };
    }
    let text = venue.truth.trade(&fills[..2], &mut venue.rng);
    bench.frame(1, text);
    assert_eq!(bench.aggregates, [first.id + 1]);
    bench.opened(2);
    let text = venue.truth.trade(&fills[..4], &mut venue.rng);
    bench.frame(2, text);
    assert_eq!(bench.aggregates, [first.id + 1], "it holds fills that were summed already");
    let text = venue.truth.trade(&fills[4..], &mut venue.rng);
    bench.frame(2, text);
    assert_eq!(bench.aggregates, [first.id + 1, first.id + 5]);
}
