//! One thread of clients: connect, read, reconnect, between the orders of the crew.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, TryRecvError},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use mio::{Events, Interest, Poll, Token};

use super::{
    clients::{Client, Ear, Reasons, Role, Stage, Tally},
    deck::Streams,
    frames::{self, FRAME_BYTES_MAX, Opcode},
    histogram::Histogram,
    wire,
};
use crate::{clock, market::Nanos};

/// What a generator is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Read all that is there, then say what came so far.
    Mark,
    /// The measurement begins: slow clients stop reading, latency is taken. Then as [`Order::Mark`].
    Begin,
    /// The measurement is over, storms end. As [`Order::Mark`].
    End,
    /// Slow clients read on, and those who were cut come back.
    Settle,
    /// The end.
    Finish,
}

/// What a generator says.
#[derive(Debug)]
pub(super) enum Said {
    /// No connection is on its way any more.
    AllIn,
    /// What came so far, by role.
    Marked([Tally; 3]),
    /// All that there is to know.
    Finished(Box<Outcome>),
}

/// What a generator knows at its end.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub latency: [Histogram; 3],
    pub ahead: u64,
    /// The first connections.
    pub first: SetUps,
    /// Those after a storm.
    pub again: SetUps,
    pub storms: u64,
    pub cut: u64,
    /// Connections that the server ended, by role.
    pub lost: [Reasons; 3],
    /// Slow clients that are still connected.
    pub slow_open: u64,
}

/// Connections that came about.
#[derive(Debug, Default)]
pub(super) struct SetUps {
    /// From the call to the answer to the upgrade.
    pub upgrade: Histogram,
    /// From the call to the first event.
    pub first_event: Histogram,
    pub failed: Reasons,
}

/// What a generator is made of.
pub(super) struct Parts {
    pub address: SocketAddr,
    pub host: String,
    pub path: String,
    pub streams: Arc<Streams>,
    pub clients: Vec<Client>,
    pub storm_every: Option<Duration>,
    /// How many may be in the handshake at a time; storms do not mind it.
    pub in_flight_max: usize,
    /// Where it is counted how many are in.
    pub open: Arc<AtomicUsize>,
    pub orders: Receiver<Order>,
    pub said: Sender<Said>,
}

pub(super) struct Generator {
    parts: Parts,
    poll: Poll,
    events: Events,
    ear: Ear,
    outcome: Outcome,
    buffer: Vec<u8>,
    /// The next client whose turn it is to connect for the first time.
    next: usize,
    /// Clients between their call and the answer to the upgrade.
    in_flight: usize,
    /// Clients that were left with bytes unread.
    again: Vec<usize>,
    key: String,
    storm_due: Option<Nanos>,
    is_stormy: bool,
    slow_reads: bool,
    sweep_due: Nanos,
    has_said_all_in: bool,
    is_over: bool,
}

/// The token of the crew's waker.
pub(super) const CALLED: Token = Token(usize::MAX);

const EVENTS_MAX: usize = 1024;
/// Reads of one client before the others have their turn.
const READS_MAX: usize = 16;
/// Longest sleep, and how often it is looked whether somebody waits in vain.
const SWEEP_EVERY: Duration = Duration::from_millis(500);
/// Whoever has not got in by then has failed.
const HANDSHAKE_MAX: Duration = Duration::from_secs(30);
/// What the kernel keeps for a slow reader, at most.
const SLOW_BUFFER_BYTES: usize = 4 << 10;
/// Bytes kept for a client's next incomplete frame.
const KEPT_BYTES: usize = 4 << 10;

impl Generator {
    pub(super) fn new(parts: Parts, poll: Poll) -> Self {
        let mut key = [0; 16];
        fastrand::fill(&mut key);
        Self {
            ear: Ear::new(Arc::clone(&parts.streams)),
            parts,
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            outcome: Outcome::default(),
            buffer: vec![0; FRAME_BYTES_MAX],
            next: 0,
            in_flight: 0,
            again: Vec::new(),
            key: BASE64_STANDARD.encode(key),
            storm_due: None,
            is_stormy: false,
            slow_reads: true,
            sweep_due: Nanos(0),
            has_said_all_in: false,
            is_over: false,
        }
    }

    /// Runs until the crew wants the end, or is gone.
    pub(super) fn run(mut self) {
        while !self.is_over {
            self.connect_waiting();
            self.storm();
            self.sweep();
            if !self.has_said_all_in && self.in_flight == 0 && self.next == self.parts.clients.len() {
                self.has_said_all_in = true;
                self.say(Said::AllIn);
            }
            let timeout = if self.again.is_empty() { self.sleep() } else { Duration::ZERO };
            if self.round(timeout).is_err() {
                break;
            }
            loop {
                match self.parts.orders.try_recv() {
                    Ok(order) => self.obey(order),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
        }
        self.outcome.latency = std::mem::take(&mut self.ear.latency);
        self.outcome.ahead = self.ear.ahead;
        let slow = self.parts.clients.iter().filter(|client| client.role == Role::Slow && client.stage == Stage::Open);
        self.outcome.slow_open = slow.count() as u64;
        let outcome = Box::new(std::mem::take(&mut self.outcome));
        self.say(Said::Finished(outcome));
    }

    fn say(&mut self, said: Said) {
        // Nobody listens any more: there is nothing left to do.
        self.is_over |= self.parts.said.send(said).is_err();
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Mark => {}
            Order::Begin => {
                self.slow_reads = false;
                self.ear.measured = [true, false, true];
                self.is_stormy = true;
                self.storm_due = self.parts.storm_every.map(|every| clock::now().plus(every));
            }
            Order::End => {
                self.ear.measured = [false; 3];
                self.is_stormy = false;
            }
            Order::Settle => {
                self.slow_reads = true;
                self.ear.measured = [false, true, false];
                self.has_said_all_in = false;
                self.again.extend(slow_and_open(&self.parts.clients));
                return;
            }
            Order::Finish => {
                self.is_over = true;
                return;
            }
        }
        // What the server had written before the order is in some socket of ours, and whoever has some is ready.
        for _ in 0..=self.parts.clients.len() / EVENTS_MAX + READS_MAX {
            let was_full = self.round(Duration::ZERO).unwrap_or(false);
            if !was_full && self.again.is_empty() {
                break;
            }
        }
        self.say(Said::Marked(self.ear.tallies));
    }

    /// Waits for sockets and reads them; whether there may be more.
    fn round(&mut self, timeout: Duration) -> io::Result<bool> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        }
        for index in std::mem::take(&mut self.again) {
            self.ready(index, false, true);
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let mut count = 0;
        for event in &events {
            count += 1;
            if event.token() != CALLED {
                let is_readable = event.is_readable() || event.is_read_closed() || event.is_error();
                self.ready(event.token().0, event.is_writable(), is_readable);
            }
        }
        self.events = events;
        Ok(count == EVENTS_MAX)
    }

    fn sleep(&self) -> Duration {
        let storm = self.storm_due.filter(|_| self.is_stormy);
        let until_storm = storm.map_or(SWEEP_EVERY, |due| due.since(clock::now()));
        until_storm.min(SWEEP_EVERY)
    }

    fn connect_waiting(&mut self) {
        while self.next < self.parts.clients.len() && self.in_flight < self.parts.in_flight_max {
            self.next += 1;
            self.connect(self.next - 1);
        }
    }

    /// Cuts those who are there for it, and has them call again at once.
    fn storm(&mut self) {
        let (Some(due), Some(every)) = (self.storm_due, self.parts.storm_every) else { return };
        if !self.is_stormy || clock::now() < due {
            return;
        }
        self.storm_due = Some(due.plus(every));
        self.outcome.storms += 1;
        for index in 0..self.parts.clients.len() {
            let client = &mut self.parts.clients[index];
            if client.role != Role::Storm || matches!(client.stage, Stage::Connecting | Stage::Upgrading) {
                continue;
            }
            if client.stage == Stage::Open {
                self.outcome.cut += 1;
                self.parts.open.fetch_sub(1, Ordering::Relaxed);
            }
            client.hang_up(Stage::Over);
            client.is_back = true;
        }
        for index in 0..self.parts.clients.len() {
            let client = &self.parts.clients[index];
            if client.role == Role::Storm && client.stage == Stage::Over {
                self.connect(index);
            }
        }
    }

    /// Gives up those who have waited too long for their upgrade.
    fn sweep(&mut self) {
        let now = clock::now();
        if self.in_flight == 0 || now < self.sweep_due {
            return;
        }
        self.sweep_due = now.plus(SWEEP_EVERY);
        for index in 0..self.parts.clients.len() {
            let client = &self.parts.clients[index];
            let waits = matches!(client.stage, Stage::Connecting | Stage::Upgrading);
            if waits && now.since(client.began) > HANDSHAKE_MAX {
                self.end(index, "no answer within 30 s");
            }
        }
    }

    fn connect(&mut self, index: usize) {
        let client = &mut self.parts.clients[index];
        client.began = clock::now();
        client.stage = Stage::Connecting;
        self.in_flight += 1;
        let source = client.source.map(|address| SocketAddr::new(address, 0));
        // What a slow reader leaves unread has to burden the server, not our kernel.
        let buffer_bytes = (client.role == Role::Slow).then_some(SLOW_BUFFER_BYTES);
        let wire = wire::call(self.parts.address, source, buffer_bytes).and_then(|mut wire| {
            self.poll.registry().register(&mut wire, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            Ok(wire)
        });
        match wire {
            Ok(wire) => client.wire = Some(wire),
            Err(error) => self.end(index, &error.to_string()),
        }
    }

    /// Ends a connection for `reason`: a failed one, or one that was lost.
    fn end(&mut self, index: usize, reason: &str) {
        let client = &mut self.parts.clients[index];
        let (stage, role, is_back) = (client.stage, client.role, client.is_back);
        client.hang_up(Stage::Over);
        match stage {
            Stage::Connecting | Stage::Upgrading => {
                self.in_flight -= 1;
                set_ups(&mut self.outcome, is_back).failed.add(reason, 1);
            }
            Stage::Open => {
                self.parts.open.fetch_sub(1, Ordering::Relaxed);
                self.outcome.lost[role as usize].add(reason, 1);
            }
            Stage::Waiting | Stage::Over => {}
        }
    }

    fn ready(&mut self, index: usize, is_writable: bool, is_readable: bool) {
        if is_writable {
            let client = &mut self.parts.clients[index];
            if client.stage == Stage::Connecting {
                self.greet(index);
            } else if !client.unsent.is_empty() {
                self.send(index);
            }
        }
        let client = &self.parts.clients[index];
        let is_deaf = client.role == Role::Slow && client.stage == Stage::Open && !self.slow_reads;
        let has_bytes = is_readable && client.wire.is_some() && client.stage != Stage::Connecting;
        if has_bytes
            && !is_deaf
            && let Err(reason) = self.read(index)
        {
            self.end(index, &reason);
        }
    }

    /// The connection stands, or has failed: asks for the upgrade.
    fn greet(&mut self, index: usize) {
        let Parts { clients, streams, host, path, .. } = &mut self.parts;
        let client = &mut clients[index];
        let Some(wire) = &client.wire else { return };
        match wire.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return self.end(index, &error.to_string()),
        }
        if wire.peer_addr().is_err() {
            // Not yet: the event was about something else.
            return;
        }
        let names = client.streams.iter().map(|&stream| &*streams.names[stream as usize]);
        wire::request(&mut client.unsent, host, path, names, &self.key);
        client.stage = Stage::Upgrading;
        self.send(index);
    }

    fn send(&mut self, index: usize) {
        let client = &mut self.parts.clients[index];
        let Some(wire) = &mut client.wire else { return };
        let failed = loop {
            match wire.write(&client.unsent) {
                Ok(count) => {
                    client.unsent.drain(..count);
                    if client.unsent.is_empty() {
                        client.unsent = Vec::new();
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break error,
            }
        };
        self.end(index, &failed.to_string());
    }

    /// Reads what is there, up to a bound.
    fn read(&mut self, index: usize) -> Result<(), String> {
        for _ in 0..READS_MAX {
            let client = &mut self.parts.clients[index];
            let Some(wire) = &mut client.wire else { return Ok(()) };
            let kept = client.kept.len();
            self.buffer[..kept].copy_from_slice(&client.kept);
            let count = match wire.read(&mut self.buffer[kept..]) {
                Ok(0) => return Err("the connection was cut".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.to_string()),
            };
            client.kept.clear();
            let filled = kept + count;
            let taken = self.take_in(index, filled)?;
            let client = &mut self.parts.clients[index];
            if client.kept.capacity() > KEPT_BYTES {
                client.kept = Vec::new();
            }
            client.kept.extend_from_slice(&self.buffer[taken..filled]);
            if !client.unsent.is_empty() {
                self.send(index);
            }
        }
        self.again.push(index);
        Ok(())
    }

    /// Takes in what is whole of the first `filled` bytes of the buffer; how many bytes those are.
    fn take_in(&mut self, index: usize, filled: usize) -> Result<usize, String> {
        let client = &mut self.parts.clients[index];
        let bytes = &self.buffer[..filled];
        let mut at = 0;
        let mut read = None;
        if client.stage == Stage::Upgrading {
            let Some(end) = wire::upgraded(bytes)? else { return Ok(0) };
            client.stage = Stage::Open;
            at = end;
            self.in_flight -= 1;
            self.parts.open.fetch_add(1, Ordering::Relaxed);
            let now = *read.get_or_insert_with(clock::now);
            let took = now.since(client.began);
            set_ups(&mut self.outcome, client.is_back).upgrade.add(took);
        }
        let client = &mut self.parts.clients[index];
        loop {
            let bytes = &self.buffer[at..filled];
            let Some(frame) = frames::head(bytes)?.filter(|frame| frame.length <= bytes.len()) else { break };
            let payload = &bytes[frame.header..frame.length];
            match frame.opcode {
                Opcode::Text | Opcode::Binary => {
                    self.ear.hear(client, payload, frame.length, &mut read);
                    if !client.has_heard {
                        client.has_heard = true;
                        let took = read.get_or_insert_with(clock::now).since(client.began);
                        set_ups(&mut self.outcome, client.is_back).first_event.add(took);
                    }
                }
                // Nobody who is compatible breaks messages up; the first part has told what there is to know.
                Opcode::Continuation | Opcode::Pong => {}
                Opcode::Ping => frames::pong(&mut client.unsent, payload),
                Opcode::Close => return Err(wire::close_reason(payload)),
            }
            at += frame.length;
        }
        Ok(at)
    }
}

fn set_ups(outcome: &mut Outcome, is_back: bool) -> &mut SetUps {
    if is_back { &mut outcome.again } else { &mut outcome.first }
}

fn slow_and_open(clients: &[Client]) -> impl Iterator<Item = usize> {
    let slow = |client: &Client| client.role == Role::Slow && client.stage == Stage::Open;
    clients.iter().enumerate().filter(move |(_, client)| slow(client)).map(|(index, _)| index)
}

#[cfg(test)]
mod tests;
