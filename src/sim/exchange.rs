//! The simulated exchange as it is started, steered and asked by the rest of the program.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_tungstenite::tungstenite::{Message, error::Error};

use super::{
    channel::Channel,
    control::{Control, Query},
    door::{Answer, Door, Exchange, Plain, Socket},
    faults::{Fault, Faults, Plan},
    floor::Floor,
    market::Market,
    rest::{self, Weight},
    symbols::SYMBOLS,
};
use crate::{
    clock,
    market::{Level, Nanos, Side},
};

/// Between two pings of ours, as on Binance.
const PING_EVERY: Duration = Duration::from_secs(20);
/// The market is not run more often than this: events of a step travel together.
const STEP_MIN: Duration = Duration::from_millis(1);
/// Nor less often: faults and stalls have ends of their own.
const STEP_MAX: Duration = Duration::from_millis(20);
/// Frames taken from an outbox for one flush.
const BATCH: usize = 256;

/// What a simulated exchange is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Same seed, same market.
    pub seed: u64,
    /// Book changes per second over all symbols, on average; bursts reach ten times that. At least 1.
    pub rate: u32,
    /// The symbols to list, upper case. Those it does not know are left out, as Binance leaves them out of its list;
    /// empty: all it knows.
    pub symbols: Vec<String>,
    /// What goes wrong from the start.
    pub faults: Faults,
    /// Where update, trade and aggregate ids begin. `None`: [`Nanos::as_id`] of the start, so that they do not fall over
    /// a restart.
    pub first_update_id: Option<i64>,
    /// Messages per second that a client may send, with half as many again at once; one more and it is closed with 1008
    /// `Too many requests`. `None`: no limit.
    pub messages_per_second: Option<u32>,
    /// What it acknowledges and never sends, as a venue without such streams: what stands behind the `@` of a name, as in
    /// `kline_1m`. Its REST has all of it.
    pub silent: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: 1,
            rate: 600,
            symbols: Vec::new(),
            faults: Faults::default(),
            first_update_id: None,
            messages_per_second: Some(5),
            silent: Vec::new(),
        }
    }
}

/// What has happened so far.
#[derive(Clone, Debug)]
pub struct Counters {
    /// WebSocket connections accepted.
    pub connections: u64,
    /// Frames queued for clients, replies included.
    pub frames: u64,
    /// REST requests.
    pub requests: u64,
    /// Connections cut because their client did not keep up.
    pub slow: u64,
    /// Messages for which a connection was closed, as they were too many.
    pub flooding: u64,
    /// Faults that have happened; what is only armed does not count yet.
    pub faults: BTreeMap<Fault, u64>,
}

impl Counters {
    /// How often `fault` has happened.
    pub fn of(&self, fault: Fault) -> u64 {
        self.faults.get(&fault).copied().unwrap_or(0)
    }
}

/// Starts an exchange on a thread of its own.
///
/// # Errors
/// If the address cannot be listened at, none of the symbols is known, or a stream that is to be silent is not.
pub fn start(settings: &Settings) -> io::Result<Running> {
    let now = clock::now();
    let wanted = |name: &str| settings.symbols.is_empty() || settings.symbols.iter().any(|symbol| symbol == name);
    let symbols: Vec<_> = SYMBOLS.iter().filter(|symbol| wanted(symbol.name)).collect();
    if symbols.is_empty() {
        let known: Vec<_> = SYMBOLS.iter().map(|symbol| symbol.name).collect();
        let text = format!("the simulated exchange lists none of these symbols; it knows {}", known.join(", "));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let first_id = settings.first_update_id.unwrap_or(now.as_id());
    let market = Market::new(settings.seed, settings.rate, symbols, first_id, now);
    let silent = settings.silent.iter().map(|name| {
        let unknown = || format!("the simulated exchange has no stream `@{name}` that could be silent");
        Channel::parse(name).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, unknown()))
    });
    let silent = silent.collect::<Result<_, _>>()?;
    let plan = Plan::new(settings.seed, settings.faults, now);
    let floor = Floor::new(market, plan, settings.messages_per_second, silent);
    let shared = Arc::new(Shared { floor: Mutex::new(floor), weight: Mutex::default() });
    let door = Door::open(settings.listen, "sim", Arc::clone(&shared))?;
    Ok(Running { door, shared })
}

/// A running exchange; dropping it stops it.
#[derive(Debug)]
pub struct Running {
    door: Door,
    shared: Arc<Shared>,
}

impl Running {
    /// Where it listens, WebSockets and REST alike.
    pub const fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// Makes `fault` happen at its next occasion: frame faults to the next frame that suits, connection faults at once if
    /// a client has streams, REST faults to the next request.
    pub fn inject(&self, fault: Fault) {
        self.shared.floor().plan.arm(fault);
    }

    /// Replaces the rates of faults.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.floor().set_faults(faults, clock::now());
    }

    /// Makes the market fall silent. Stalls end, held frames are sent and armed faults forgotten; then every symbol trades
    /// once more and every pending diff is sent, so that whoever lost something can notice; then nothing is.
    /// From here on, the book of every correct client equals [`Running::book`] once it has read what was sent.
    pub fn pause(&self) {
        self.shared.floor().pause(clock::now());
    }

    /// Ends the silence.
    pub fn resume(&self) {
        self.shared.floor().market.resume();
    }

    /// The true book: last update id, bids and asks, best first. `None` for a symbol that is not listed.
    pub fn book(&self, symbol: &str) -> Option<(i64, Vec<Level>, Vec<Level>)> {
        let floor = self.shared.floor();
        let book = floor.market.book(floor.symbol(symbol)?);
        Some((book.last_id, book.top(Side::Bid, usize::MAX), book.top(Side::Ask, usize::MAX)))
    }

    /// The listed symbols.
    pub fn symbols(&self) -> Vec<&'static str> {
        self.shared.floor().market.symbols().iter().map(|symbol| symbol.name).collect()
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        let floor = self.shared.floor();
        let tally = floor.tally;
        Counters {
            connections: tally.connections,
            frames: tally.frames,
            requests: tally.requests,
            slow: tally.slow,
            flooding: tally.flooding,
            faults: floor.plan.counts(),
        }
    }

    /// Stops it and waits until its thread has ended; connections are cut.
    pub fn stop(self) {
        drop(self);
    }
}

#[derive(Debug)]
struct Shared {
    floor: Mutex<Floor>,
    weight: Mutex<Weight>,
}

impl Shared {
    fn floor(&self) -> MutexGuard<'_, Floor> {
        // A panic elsewhere leaves a market that is still a market.
        self.floor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange for Shared {
    type Visit = Control;

    async fn answer(&self, request: Plain) -> Answer {
        let mut weight = self.weight.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut floor, now) = (self.floor(), clock::now());
        // What is due comes first: an answer must not end a second whose trades are still to be made.
        floor.run(now);
        rest::answer(&mut floor, &mut weight, &request, now)
    }

    fn admit(&self, path: &str, query: &Query) -> Option<Control> {
        Control::open(path, query)
    }

    async fn talk(self: Arc<Self>, control: Control, mut socket: Socket) {
        let ticket = self.floor().join(control, clock::now());
        let (id, frames, is_cut) = ticket;
        tokio::select! {
            _ = is_cut => {}
            _ = converse(&self, id, frames, &mut socket) => {}
        }
        self.floor().leave(id);
    }

    async fn run(self: Arc<Self>) {
        loop {
            let now = clock::now();
            let due = self.floor().run(now);
            sleep(until(due, now)).await;
        }
    }
}

/// How long to wait for what is due.
fn until(due: Nanos, now: Nanos) -> Duration {
    due.since(now).clamp(STEP_MIN, STEP_MAX)
}

/// Moves messages both ways until the connection ends.
async fn converse(
    shared: &Shared,
    id: u64,
    mut frames: tokio::sync::mpsc::Receiver<Message>,
    socket: &mut Socket,
) -> Result<(), Error> {
    let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(message) => match message? {
                    Message::Close(_) => return Ok(()),
                    message => {
                        let mut floor = shared.floor();
                        // Pings are answered by the socket itself; binary messages mean nothing here.
                        if floor.hear(id, clock::now()) && let Message::Text(text) = &message {
                            floor.message(id, text);
                        }
                    }
                },
                None => return Ok(()),
            },
            count = frames.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return Ok(());
                }
                for message in batch.drain(..) {
                    let is_close = matches!(message, Message::Close(_));
                    socket.feed(message).await?;
                    if is_close {
                        socket.flush().await?;
                        return finish(socket).await;
                    }
                }
                socket.flush().await?;
            }
            _ = ping.tick() => {
                if !shared.floor().is_stalled(id) {
                    let payload = clock::now().millis().to_string();
                    socket.send(Message::Ping(payload.into_bytes().into())).await?;
                }
            }
        }
    }
}

/// After our close frame: reads until the client has answered, but not for ever.
async fn finish(socket: &mut Socket) -> Result<(), Error> {
    const ANSWER_WAIT: Duration = Duration::from_secs(1);
    let answered = async { while let Some(Ok(_)) = socket.next().await {} };
    let _ = tokio::time::timeout(ANSWER_WAIT, answered).await;
    Ok(())
}
