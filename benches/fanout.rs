//! The fan-out without the kernel: updates to 1,000 sessions of one shard, whose sockets take everything at once,
//! against encoding and framing per subscriber as one would write it first.
//!
//! `cargo bench --bench fanout`; with `TICKCAST_BENCH=small` it is a smoke test of a second. Per delivery with one
//! update a pass, the kernel's send costs about 7 us: what is measured here is the rest.
#![allow(missing_docs, reason = "a bench")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock itself")]

use std::{
    cell::Cell,
    hint::black_box,
    io::{self, ErrorKind, IoSlice, Read, Write},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use serde_json::json;
use tickcast::{
    config::Config,
    encode::frame::{self, Opcode},
    market::{Catalogue, InstrumentId, Nanos, Price, Quantity, Trade},
    session,
    shard::{Fanout, Wire},
    topic::{Batch, Interest, Payload, Update},
};

const SESSIONS: usize = 1_000;
const TIME: Nanos = Nanos::from_millis(1_789_000_000_000);

/// A socket that takes everything and counts it.
#[derive(Clone, Default)]
struct Sink(Rc<Cell<u64>>);

impl Read for Sink {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + black_box(bytes).len() as u64);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| self.write(slice).unwrap_or(0)).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wire for Sink {
    fn finish(&mut self) {}
}

fn main() {
    let small = std::env::var("TICKCAST_BENCH").is_ok_and(|value| value == "small");
    let rounds = if small { 3 } else { 15 };
    for (name, urls, updates) in [
        ("one update to 1,000 sessions", urls(1, 1), 1),
        ("32 updates in one pass to 1,000 sessions", urls(1, 1), 32),
        ("100 updates in one pass, 1,000 sessions with 10 of 100 streams each", urls(100, 10), 100),
    ] {
        let mut ours = Ours::new(&urls, updates);
        let mut rival = Rival::new(&urls, updates);
        let passes = if small { 5 } else { 200 };
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            left.push(timed(passes, || ours.pass()));
            right.push(timed(passes.div_ceil(10), || rival.pass()));
        }
        let deliveries = ours.deliveries();
        assert_eq!(ours.bytes_per_pass(), rival.bytes_per_pass(), "both deliver the same");
        let (ours, theirs) = (median(&mut left) / deliveries, median(&mut right) / deliveries);
        println!(
            "{name}: {ours:.1} ns a delivery, per subscriber with serde_json {theirs:.0} ns, {:.0} times as fast",
            theirs / ours
        );
    }
}

/// One URL per session, each with `each` of the trades of `symbols` symbols.
fn urls(symbols: usize, each: usize) -> Vec<String> {
    let names = |session: usize| (0..each).map(move |n| format!("s{}@trade", (session * 7 + n * 13) % symbols));
    (0..SESSIONS).map(|session| format!("/ws/{}", names(session).collect::<Vec<_>>().join("/"))).collect()
}

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("binance", None);
    for index in 0..100 {
        catalogue.add_instrument(venue, &format!("S{index}"), &format!("S{index}"));
    }
    catalogue
}

/// `count` trades, of as many instruments in turn as the sessions subscribe to.
fn batch(count: usize) -> Batch {
    let update = |index: usize| Update {
        instrument: InstrumentId(if count == 100 { index as u32 } else { 0 }),
        received: TIME,
        time: TIME,
        payload: Payload::Trade(Trade {
            id: 6_054_521_811,
            price: Price(8_670_478_000_000),
            quantity: Quantity(3_500_000),
            time: TIME,
            buyer_is_maker: false,
        }),
    };
    Batch { updates: (0..count).map(update).collect(), ..Batch::default() }
}

struct Ours {
    fanout: Fanout<Sink>,
    batch: Batch,
    sink: Sink,
}

impl Ours {
    fn new(urls: &[String], updates: usize) -> Self {
        let catalogue = Arc::new(catalogue());
        let interest = Arc::new(Interest::new(catalogue.instruments().len()));
        let mut fanout = Fanout::new(Arc::clone(&catalogue), interest, &Config::embedded().session);
        fanout.begin(TIME);
        let sink = Sink::default();
        for url in urls {
            fanout.admit(sink.clone(), &session::opening(url, &catalogue).expect("a legal URL"), b"");
        }
        Self { fanout, batch: batch(updates), sink }
    }

    fn pass(&mut self) {
        self.fanout.publish(black_box(&self.batch));
        self.fanout.flush();
    }

    fn deliveries(&mut self) -> f64 {
        self.fanout.take_tally();
        self.pass();
        self.fanout.take_tally().deliveries as f64
    }

    fn bytes_per_pass(&mut self) -> u64 {
        let before = self.sink.0.get();
        self.pass();
        self.sink.0.get() - before
    }
}

/// A list of subscribers per symbol, each with a message of its own per update.
struct Rival {
    catalogue: Catalogue,
    subscribers: Vec<Vec<Sink>>,
    batch: Batch,
    sink: Sink,
}

impl Rival {
    fn new(urls: &[String], updates: usize) -> Self {
        let catalogue = catalogue();
        let sink = Sink::default();
        let mut subscribers = vec![Vec::new(); 100];
        for url in urls {
            for name in session::opening(url, &catalogue).expect("a legal URL").streams {
                let symbol = name.strip_prefix('s').and_then(|rest| rest.strip_suffix("@trade"));
                subscribers[symbol.and_then(|text| text.parse::<usize>().ok()).expect("a symbol of ours")]
                    .push(sink.clone());
            }
        }
        Self { catalogue, subscribers, batch: batch(updates), sink }
    }

    fn pass(&mut self) {
        for update in black_box(&self.batch.updates) {
            let Payload::Trade(trade) = update.payload else { continue };
            for subscriber in &mut self.subscribers[update.instrument.index()] {
                let decimal = |mantissa: i64| format!("{}.{:08}", mantissa / 100_000_000, mantissa % 100_000_000);
                let event = json!({
                    "e": "trade", "E": update.time.millis(), "s": &*self.catalogue.instrument(update.instrument).symbol,
                    "t": trade.id, "p": decimal(trade.price.0), "q": decimal(trade.quantity.0),
                    "T": trade.time.millis(), "m": trade.buyer_is_maker, "M": true,
                });
                let mut out = Vec::new();
                frame::frame(&mut out, Opcode::Text, event.to_string().as_bytes());
                let _ = subscriber.write(&out);
            }
        }
    }

    fn bytes_per_pass(&mut self) -> u64 {
        let before = self.sink.0.get();
        self.pass();
        self.sink.0.get() - before
    }
}

fn timed(passes: u32, mut pass: impl FnMut()) -> f64 {
    let begin = Instant::now();
    (0..passes).for_each(|_| pass());
    begin.elapsed().as_nanos() as f64 / f64::from(passes)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
