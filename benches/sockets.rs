//! The fan-out with the kernel: one shard's work over loopback sockets, with each of its senders, against the least that a
//! server can do on the very same sockets: one `send` of a ready frame per update and subscriber.
//!
//! `cargo bench --bench sockets`; with `TICKCAST_BENCH=small` it is a smoke test. Every pass waits until its bytes have
//! arrived before the next one begins; the time is that of the sending side. Printed per delivery; a ratio of a rival above
//! 1 says that it takes longer than io_uring does.
#![allow(missing_docs, reason = "a bench")]

#[path = "shared/measure.rs"]
#[allow(dead_code, reason = "shared by several benches")]
mod measure;

use std::{
    cell::RefCell,
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener},
    os::fd::{AsFd, BorrowedFd},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use mio::net::TcpStream;
use rustix::process::{Resource, getrlimit, setrlimit};
use tickcast::{
    config::Config,
    encode::frame::{self, Opcode},
    market::{Catalogue, InstrumentId, Nanos, Price, Quantity, Trade},
    session,
    shard::{Fanout, Wire},
    topic::{Batch, Interest, Payload, Update},
};

const TIME: Nanos = Nanos::from_millis(1_789_000_000_000);
/// Symbols, each with one stream.
const SYMBOLS: usize = 100;
/// Bytes of a trade's payload on its stream.
const PAYLOAD_BYTES: usize = 137;

/// A socket that all contestants write to.
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

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

/// A work: who subscribes to what, and how many updates come in one pass.
struct Scenario {
    title: &'static str,
    sessions: usize,
    /// Streams of each session.
    each: usize,
    updates: usize,
}

fn main() -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    // Both ends of each connection are here.
    let descriptors = limit.maximum.unwrap_or(1 << 20) as usize;
    let (few, most) = if measure::is_small() { (100, 300) } else { (1_000, 9_000.min(descriptors / 2 - 100)) };
    let (sockets, received) = connected(most)?;
    memory(&sockets);
    for scenario in [
        Scenario { title: "a: one stream, one update a pass", sessions: few, each: 1, updates: 1 },
        Scenario { title: "b: 10 of 100 streams, one update a pass", sessions: few, each: 10, updates: 1 },
        Scenario { title: "c: as a, most sessions", sessions: most, each: 1, updates: 1 },
        Scenario { title: "as a, a hundred sessions", sessions: 100, each: 1, updates: 1 },
        Scenario { title: "d: one stream, 16 updates a pass", sessions: few, each: 1, updates: 16 },
        Scenario { title: "e: 10 of 100 streams, 200 updates a pass", sessions: few, each: 10, updates: 200 },
    ] {
        run(&scenario, &sockets[..scenario.sessions], &received);
    }
    Ok(())
}

fn run(scenario: &Scenario, sockets: &[Shared], received: &AtomicU64) {
    let catalogue = Arc::new(catalogue());
    let urls: Vec<Vec<usize>> = (0..scenario.sessions)
        .map(|session| {
            let streams = |n| if scenario.each == 1 { 0 } else { (session * 7 + n * 13) % SYMBOLS };
            (0..scenario.each).map(streams).collect()
        })
        .collect();
    let fanout = || {
        let interest = Arc::new(Interest::new(SYMBOLS));
        let mut fanout = Fanout::new(Arc::clone(&catalogue), interest, &Config::embedded().session);
        fanout.begin(TIME);
        for (socket, streams) in sockets.iter().zip(&urls) {
            let names: Vec<_> = streams.iter().map(|symbol| format!("s{symbol:02}@trade")).collect();
            let opening = session::opening(&format!("/ws/{}", names.join("/")), &catalogue).expect("a legal URL");
            fanout.admit(socket.clone(), &opening, b"");
        }
        fanout
    };
    let (plain, mut queued) = (RefCell::new(fanout()), fanout());
    let has_queue = queued.send_in_batches().inspect_err(|error| println!("no io_uring here: {error}")).is_ok();
    let queued = RefCell::new(queued);
    let batch = batch(scenario);
    let subscribers: Vec<Vec<usize>> = (0..SYMBOLS)
        .map(|symbol| (0..scenario.sessions).filter(|&session| urls[session].contains(&symbol)).collect())
        .collect();
    let deliveries: usize = batch.updates.iter().map(|update| subscribers[update.instrument.index()].len()).sum();
    let passes = if measure::is_small() { 2 } else { (40_000 / deliveries).max(1) };
    let pass = |fanout: &RefCell<Fanout<Shared>>| {
        let mut spent = Duration::ZERO;
        for _ in 0..passes {
            let mut fanout = fanout.borrow_mut();
            spent += measure::timed(|| {
                fanout.publish(&batch);
                fanout.flush();
            });
            assert_eq!(fanout.queued(), (0, 0), "nothing waits for a slow socket");
            let tally = fanout.take_tally();
            assert_eq!(tally.deliveries, deliveries as u64);
            arrive(received, tally.bytes);
        }
        spent
    };
    let mut made = Vec::new();
    frame::frame(&mut made, Opcode::Text, &[b'x'; PAYLOAD_BYTES]);
    let least = || {
        let mut spent = Duration::ZERO;
        for _ in 0..passes {
            spent += measure::timed(|| {
                for update in &batch.updates {
                    for &session in &subscribers[update.instrument.index()] {
                        let sent = (&*sockets[session].0).write(&made).expect("the socket has room");
                        assert_eq!(sent, made.len());
                    }
                }
            });
            arrive(received, (deliveries * made.len()) as u64);
        }
        spent
    };
    let title = format!("{}: {} sessions, per delivery", scenario.title, scenario.sessions);
    let mut contestants: Vec<measure::Contestant<'_>> = Vec::new();
    if has_queue {
        contestants.push(("io_uring", Box::new(|| pass(&queued))));
    }
    contestants.push(("epoll", Box::new(|| pass(&plain))));
    contestants.push(("a send per update", Box::new(least)));
    measure::compare(&title, (deliveries * passes) as u64, &mut contestants);
}

/// What a subscribed session costs, without what a shard costs that has none.
fn memory(sockets: &[Shared]) {
    let catalogue = Arc::new(catalogue());
    let interest = Arc::new(Interest::new(SYMBOLS));
    let mut fanout = Fanout::new(Arc::clone(&catalogue), interest, &Config::embedded().session);
    fanout.begin(TIME);
    let opening = session::opening("/ws/s00@trade", &catalogue).expect("a legal URL");
    let (first, others) = sockets.split_at(sockets.len() / 10);
    for socket in first {
        fanout.admit(socket.clone(), &opening, b"");
    }
    let before = resident_bytes();
    for socket in others {
        fanout.admit(socket.clone(), &opening, b"");
    }
    let each = resident_bytes().saturating_sub(before) / others.len() as u64;
    println!("{} sessions: {each} B of user memory each", sockets.len());
}

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("binance", None);
    for index in 0..SYMBOLS {
        catalogue.add_instrument(venue, &format!("S{index:02}"), &format!("S{index:02}"));
    }
    catalogue
}

/// Trades of one symbol, or of all in turn.
fn batch(scenario: &Scenario) -> Batch {
    let update = |index: usize| Update {
        instrument: InstrumentId(if scenario.each == 1 { 0 } else { (index % SYMBOLS) as u32 }),
        received: TIME,
        time: TIME,
        payload: Payload::Trade(Trade {
            id: 6_054_521_811,
            price: Price(8_670_478_000_000),
            quantity: Quantity(3_500_000),
            time: TIME,
            buyer_is_maker: true,
        }),
    };
    Batch { updates: (0..scenario.updates).map(update).collect(), ..Batch::default() }
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

fn resident_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").ok();
    pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok()).unwrap_or(0) * 4096
}
