//! The fan-out with the kernel: one shard's work over loopback sockets, against the least that one `send` per message
//! and subscriber costs on the very same sockets, in turns.
//!
//! `cargo bench --bench sockets`; with `TICKCAST_BENCH=small` it is a smoke test of a second. Every pass waits until its
//! bytes have arrived before the next one begins; the time is that of the sending side.
#![allow(missing_docs, reason = "a bench")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock itself")]

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use mio::net::TcpStream;
use rustix::process::{Resource, getrlimit, setrlimit};
use tickcast::{
    config::Config,
    market::{Catalogue, InstrumentId, Nanos, Price, Quantity, Trade},
    session,
    shard::{Fanout, Wire},
    topic::{Batch, Interest, Payload, Update},
};

const TIME: Nanos = Nanos::from_millis(1_789_000_000_000);

/// A socket that both contestants write to.
#[derive(Clone)]
struct Shared(Rc<TcpStream>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        (&*self.0).write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wire for Shared {
    fn finish(&mut self) {}
}

fn main() -> io::Result<()> {
    let small = std::env::var("TICKCAST_BENCH").is_ok_and(|value| value == "small");
    let (sessions, passes) = if small { (100, 5) } else { (1_000, 200) };
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;

    let (mut sockets, received) = connected(sessions)?;
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("binance", None);
    catalogue.add_instrument(venue, "BTCUSDT", "BTCUSDT");
    let catalogue = Arc::new(catalogue);
    let mut fanout = Fanout::new(Arc::clone(&catalogue), Arc::new(Interest::new(1)), &Config::embedded().session);
    fanout.begin(TIME);
    let opening = session::opening("/ws/btcusdt@trade", &catalogue).expect("a legal URL");
    // What a shard costs without sessions is left out: the first few bring it into being.
    let (first, others) = sockets.split_at(sessions / 10);
    for socket in first {
        fanout.admit(socket.clone(), &opening, b"");
    }
    let before = resident_bytes();
    for socket in others {
        fanout.admit(socket.clone(), &opening, b"");
    }
    println!("{sessions} sessions: {} B of memory each", resident_bytes().saturating_sub(before) / others.len() as u64);

    for updates in [1, 16] {
        let batch = batch(updates);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut frame = Vec::new();
        for _ in 0..passes {
            let begin = Instant::now();
            fanout.publish(&batch);
            fanout.flush();
            ours.push(begin.elapsed());
            let tally = fanout.take_tally();
            assert_eq!(fanout.queued(), (0, 0), "nothing waits for a slow socket");
            frame.resize((tally.bytes / tally.deliveries) as usize, b'x');
            arrive(&received, tally.bytes);

            let begin = Instant::now();
            for _ in 0..updates {
                for socket in &mut sockets {
                    assert_eq!(socket.write(&frame)?, frame.len());
                }
            }
            theirs.push(begin.elapsed());
            arrive(&received, tally.bytes);
        }
        let per_delivery = |times: &mut Vec<Duration>| {
            times.sort();
            times[times.len() / 2].as_nanos() as f64 / (sessions * updates) as f64
        };
        let (ours, theirs) = (per_delivery(&mut ours), per_delivery(&mut theirs));
        println!(
            "{updates} updates a pass: {ours:.0} ns a delivery, a send for each {theirs:.0} ns: {:.2} of it",
            theirs / ours
        );
    }
    Ok(())
}

/// As many connected sockets, and the count of bytes that have arrived at their other ends.
fn connected(count: usize) -> io::Result<(Vec<Shared>, Arc<AtomicU64>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let other = std::net::TcpStream::connect(listener.local_addr()?)?;
        other.set_nonblocking(true)?;
        far.push(other);
        let (socket, _) = listener.accept()?;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        near.push(Shared(Rc::new(TcpStream::from_std(socket))));
    }
    let received = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&received);
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        loop {
            for socket in &mut far {
                if let Ok(count) = socket.read(&mut buffer) {
                    counter.fetch_add(count as u64, Ordering::Relaxed);
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
    Ok((near, received))
}

/// Waits until `bytes` have arrived, and counts them off.
fn arrive(received: &AtomicU64, bytes: u64) {
    while received.load(Ordering::Relaxed) < bytes {
        thread::sleep(Duration::from_micros(200));
    }
    received.fetch_sub(bytes, Ordering::Relaxed);
}

fn batch(count: usize) -> Batch {
    let trade = Trade {
        id: 6_054_521_811,
        price: Price(8_670_478_000_000),
        quantity: Quantity(3_500_000),
        time: TIME,
        buyer_is_maker: true,
    };
    let update = Update { instrument: InstrumentId(0), received: TIME, time: TIME, payload: Payload::Trade(trade) };
    Batch { updates: vec![update; count], ..Batch::default() }
}

fn resident_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").ok();
    pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok()).unwrap_or(0) * 4096
}
