//! What slow readers cost the others: passes of one shard with 1,000 sessions that follow the books of 20 symbols, of which
//! none, or 50, do not keep up. The sockets of the others take everything at once and cost nothing.
//!
//! `cargo bench --bench slow_readers`; with `TICKCAST_BENCH=small` it is a smoke test of a second.
#![allow(missing_docs, reason = "a bench")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock itself")]

use std::{
    cell::Cell,
    collections::BTreeMap,
    io::{self, ErrorKind, IoSlice, Read, Write},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tickcast::{
    config::Config,
    market::{Catalogue, InstrumentId, Level, Nanos, Price, Quantity, Span},
    session,
    shard::{Fanout, Wire},
    topic::{Batch, Cadence, Interest, Payload, Update},
};

const SESSIONS: u32 = 1_000;
const SLOW: u32 = 50;
const SYMBOLS: usize = 20;
const TIME: Nanos = Nanos::from_millis(1_789_000_000_000);

/// A socket that takes so many bytes.
#[derive(Clone)]
struct Socket(Rc<Cell<usize>>);

impl Read for Socket {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.0.get());
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.0.set(self.0.get() - count);
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let (mut total, mut whole) = (0, true);
        for slice in slices.iter().take_while(|slice| !slice.is_empty()) {
            let count = if whole { self.write(slice).unwrap_or(0) } else { 0 };
            whole = count == slice.len();
            total += count;
        }
        if total == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(total) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wire for Socket {
    fn finish(&mut self) {}
}

fn main() {
    let small = std::env::var("TICKCAST_BENCH").is_ok_and(|value| value == "small");
    let seconds = if small { 2 } else { 120 };
    println!("{SESSIONS} sessions, {SYMBOLS} books at 10 diffs a second, {seconds} s of it:");
    for (name, slow, room) in [
        ("none slow", 0, 0),
        ("50 take nothing", SLOW, 0),
        ("50 take 20 KB a second", SLOW, 20_000),
        ("50 take 200 KB a second", SLOW, 200_000),
    ] {
        let mut rig = Rig::new(slow);
        let mut passes: Vec<Duration> = Vec::new();
        let mut queued_max = 0;
        for tick in 0..seconds * 10 {
            // A symbol's tick comes in a pass of its own, as on a quiet machine.
            for symbol in 0..SYMBOLS {
                passes.push(rig.pass(symbol, if tick % 2 == 0 { room / 5 } else { 0 }));
            }
            queued_max = queued_max.max(rig.fanout.queued().0);
        }
        let tally = rig.fanout.take_tally();
        passes.sort_unstable();
        let total: Duration = passes.iter().sum();
        let at = |share: f64| passes[((passes.len() - 1) as f64 * share) as usize];
        println!(
            "{name:>24}: {:>5.1} us a pass, p99 {:>6.0?}, worst {:>7.1?}; {} sessions left, {} KB queued at most, {} merged",
            total.as_secs_f64() * 1e6 / passes.len() as f64,
            at(0.99),
            at(1.0),
            rig.fanout.sessions(),
            queued_max >> 10,
            tally.merged,
        );
    }
}

struct Rig {
    fanout: Fanout<Socket>,
    slow: Vec<Socket>,
    ids: BTreeMap<usize, i64>,
    random: fastrand::Rng,
    batch: Batch,
}

impl Rig {
    fn new(slow: u32) -> Self {
        let mut catalogue = Catalogue::new();
        let venue = catalogue.add_venue("binance", None);
        for index in 0..SYMBOLS {
            catalogue.add_instrument(venue, &format!("S{index}"), &format!("S{index}"));
        }
        let catalogue = Arc::new(catalogue);
        let interest = Arc::new(Interest::new(SYMBOLS));
        let mut fanout = Fanout::new(Arc::clone(&catalogue), interest, &Config::embedded().session);
        fanout.begin(TIME);
        let names: Vec<String> = (0..SYMBOLS).map(|symbol| format!("s{symbol}@depth@100ms")).collect();
        let opening =
            session::opening(&format!("/stream?streams={}", names.join("/")), &catalogue).expect("a legal URL");
        let mut sockets = Vec::new();
        for session in 0..SESSIONS {
            let socket = Socket(Rc::new(Cell::new(if session < slow { 0 } else { usize::MAX })));
            fanout.admit(socket.clone(), &opening, b"");
            sockets.push(socket);
        }
        sockets.truncate(slow as usize);
        let random = fastrand::Rng::with_seed(1);
        Self { fanout, slow: sockets, ids: BTreeMap::new(), random, batch: Batch::default() }
    }

    /// One diff of one book, to everyone; some of the slow ones get `room` first, each of them once in so many passes as
    /// there are symbols.
    fn pass(&mut self, symbol: usize, room: usize) -> Duration {
        let id = self.ids.entry(symbol).or_default();
        let first_id = *id + 1;
        *id += 20;
        let last_id = *id;
        self.batch.clear();
        let mut sides = [1, -1].map(|sign| {
            let mut prices: Vec<i64> = (0..self.random.i64(10..60)).map(|_| self.price()).collect();
            prices.sort_unstable();
            prices.dedup();
            let start = self.batch.levels.len();
            for price in prices {
                let quantity = if self.random.u8(0..3) == 0 { 0 } else { self.random.i64(1..10_000_000_000) };
                let price = Price(8_670_478_000_000 - sign * price * 1_000_000);
                self.batch.levels.push(Level { price, quantity: Quantity(quantity) });
            }
            Span::since(start, &self.batch.levels)
        });
        let [bids, asks] = &mut sides;
        let payload = Payload::DepthDiff { cadence: Cadence::Fast, first_id, last_id, bids: *bids, asks: *asks };
        let instrument = InstrumentId(symbol as u32);
        self.batch.updates.push(Update { instrument, received: TIME, time: TIME, payload });
        let started = Instant::now();
        if room > 0 {
            for (socket, session) in self.slow.iter().zip(0..).skip(symbol).step_by(SYMBOLS) {
                socket.0.set(room);
                self.fanout.write(session);
            }
        }
        self.fanout.publish(&self.batch);
        self.fanout.flush();
        started.elapsed()
    }

    /// Most changes are near the best price; those far away are many different ones.
    fn price(&mut self) -> i64 {
        let reach = 1_i64 << self.random.u32(2..14);
        self.random.i64(1..=reach)
    }
}
