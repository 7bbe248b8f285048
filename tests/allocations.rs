//! Nothing is allocated per update in steady state: not by the engine from frame to ring, not by a shard from batch to
//! sockets. A test target of its own, because the counting allocator is the whole program's.
//!
//! The counter counts what the measuring thread allocates and reallocates; what it frees does not matter here.

#[allow(dead_code, reason = "benches use the rest")]
#[path = "../benches/shared/capture.rs"]
mod capture;
#[allow(dead_code, reason = "benches use the rest")]
#[path = "../benches/shared/engine_rig.rs"]
mod engine_rig;
#[allow(dead_code, reason = "benches use the rest")]
#[path = "../benches/shared/first_write.rs"]
mod first_write;
#[allow(dead_code, reason = "the bench uses the rest")]
#[path = "../benches/shared/serde_frames.rs"]
mod serde_frames;

use std::{
    hint::black_box,
    io::{self, ErrorKind, IoSlice, Read, Write},
    sync::Arc,
};

use metrics_exporter_prometheus::PrometheusBuilder;
use tickcast::{
    config::Config,
    market::{Best, Catalogue, InstrumentId, Level, Nanos, Price, Quantity, Span, Trade},
    session,
    shard::{Fanout, Wire},
    topic::{Batch, Cadence, Interest, Payload, Update},
};

use self::{capture::Capture, engine_rig::Course};

const SEED: u64 = 20_261_122;

/// Of the buffers beside it few are in use at a time, so that each has met the largest batch before anything is counted.
const SLOTS: usize = 1024;

/// More than any batch of this market has.
const LEVELS: usize = 4096;

/// Diffs on known and new levels, trades, book tickers, and all that time brings meanwhile: candles, statistics, averages.
#[test]
fn the_engine_allocates_nothing_per_update() {
    println!("seed {SEED}");
    let capture = Capture::made_up(3, 60_000, 400, SEED);
    let course = Course::new(&capture, |_| true, true);
    let recorder = PrometheusBuilder::new().build_recorder();
    let mut engine = metrics::with_local_recorder(&recorder, || course.engine_with(SLOTS, LEVELS));
    // A side remembers its last touches in a buffer that grows to its limit, a ladder keeps blocks for reuse.
    let mut steady = course.steady;
    let measured = steady.split_off(steady.len() * 4 / 5);
    for pass in course.warm.into_iter().chain(steady) {
        engine.pass(pass.now, pass.inbound);
    }
    let (passes, frames) = (measured.len(), engine_rig::frames_of(&measured).count());
    let counted = allocation_counter::measure(|| {
        for pass in measured {
            engine.pass(pass.now, pass.inbound);
        }
    });
    println!("{frames} frames in {passes} passes: {} allocations, {} bytes", counted.count_total, counted.bytes_total);
    assert!(frames > 5_000 && course.published.diffs > 1_000 && course.published.partials > 1_000);
    // Left are: a block of 64 values of the lag's histogram, which takes one value of each pass, in the metrics library; and a
    // block of a ladder, when one of the six sides has more of them than ever before, for 32 levels that came to stay.
    let allowed = passes / 64 + 1 + frames / 1_000;
    assert!(counted.count_total <= allowed as u64, "{} allocations, {allowed} allowed", counted.count_total);
    assert!(counted.bytes_total <= allowed as u64 * 1_100, "{} bytes: some buffer grew", counted.bytes_total);
}

/// A socket that takes everything.
struct Sink;

impl Read for Sink {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(black_box(bytes).len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| black_box(slice).len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wire for Sink {
    fn finish(&mut self) {}
}

/// A thousand healthy sessions, with few and with many streams, some of them with the same ones as others.
#[test]
fn a_shard_allocates_nothing_per_delivery() {
    const SYMBOLS: usize = 20;
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("binance", None);
    for index in 0..SYMBOLS {
        catalogue.add_instrument(venue, &format!("S{index}"), &format!("S{index}"));
    }
    let catalogue = Arc::new(catalogue);
    let interest = Arc::new(Interest::new(SYMBOLS));
    let mut fanout = Fanout::new(Arc::clone(&catalogue), interest, &Config::embedded().session);
    fanout.begin(Nanos::from_millis(1_789_000_000_000));
    for session in 0..1_000 {
        let streams: Vec<_> = (0..1 + session % 5)
            .flat_map(|n| {
                let symbol = (session / 2 + n * 3) % SYMBOLS;
                [format!("s{symbol}@trade"), format!("s{symbol}@bookTicker"), format!("s{symbol}@depth@100ms")]
            })
            .collect();
        let path = if session % 3 == 0 { "/stream?streams=" } else { "/ws/" };
        let url = format!("{path}{}", streams.join("/"));
        fanout.admit(Sink, &session::opening(&url, &catalogue).expect("a legal URL"), b"");
    }
    let batches: Vec<_> = (1..40).map(|number| batch(number, SYMBOLS)).collect();
    let mut round = || {
        for batch in &batches {
            fanout.publish(black_box(batch));
            fanout.flush();
        }
        fanout.take_tally().deliveries
    };
    for _ in 0..3 {
        round();
    }
    let mut deliveries = 0;
    let counted = allocation_counter::measure(|| deliveries = round());
    println!("{deliveries} deliveries: {} allocations, {} bytes", counted.count_total, counted.bytes_total);
    assert!(deliveries > 50_000, "{deliveries}");
    assert_eq!(counted.count_total, 0);
}

/// Up to `updates` trades, best prices and diffs.
fn batch(updates: usize, symbols: usize) -> Batch {
    let time = Nanos::from_millis(1_789_000_000_000);
    let level = Level { price: Price(8_670_478_000_000), quantity: Quantity(3_500_000) };
    let mut batch = Batch::default();
    for index in 0..updates {
        let id = 6_054_521_811 + index as i64;
        let payload = match index % 3 {
            0 => {
                let Level { price, quantity } = level;
                Payload::Trade(Trade { id, price, quantity, time, buyer_is_maker: false })
            }
            1 => Payload::BookTicker(Best { update_id: id, bid: level, ask: level }),
            _ => {
                let start = batch.levels.len();
                batch.levels.extend([level; 10]);
                let bids = Span::since(start, &batch.levels);
                let asks = Span { start: bids.start, len: 5 };
                Payload::DepthDiff { cadence: Cadence::Fast, first_id: id, last_id: id, bids, asks }
            }
        };
        let instrument = InstrumentId((index * 7 % symbols) as u32);
        batch.updates.push(Update { instrument, received: time, time, payload });
    }
    batch
}
