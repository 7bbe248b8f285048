//! A shard's work with sockets in memory and a made-up clock.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice, Read, Write},
    rc::Rc,
    time::Duration,
};

use super::super::*;
use crate::{
    config::Config,
    market::{InstrumentId, Price, Quantity, Span, Trade},
    session::{opening, sbe_opening},
    topic::{Batch, Cadence, Payload, Update},
};

pub(super) const START: Nanos = Nanos::from_millis(1_789_000_000_000);

/// A socket in memory: what the shard reads, what it wrote, and how much more it may write.
#[derive(Clone, Default)]
pub(super) struct Pipe(pub(super) Rc<Ends>);

pub(super) struct Ends {
    pub(super) inbound: RefCell<VecDeque<u8>>,
    pub(super) outbound: RefCell<Vec<u8>>,
    pub(super) room: Cell<usize>,
    pub(super) writes: Cell<usize>,
    pub(super) is_finished: Cell<bool>,
    pub(super) is_hung_up: Cell<bool>,
    /// Bytes of a write that are taken without room for them, as TLS does with a record.
    pub(super) holds: Cell<usize>,
    pub(super) held: RefCell<Vec<u8>>,
}

impl Default for Ends {
    fn default() -> Self {
        Self {
            inbound: RefCell::default(),
            outbound: RefCell::default(),
            room: Cell::new(usize::MAX),
            writes: Cell::new(0),
            is_finished: Cell::new(false),
            is_hung_up: Cell::new(false),
            holds: Cell::new(0),
            held: RefCell::default(),
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.inbound.borrow_mut().read(buffer)? {
            0 if self.0.is_hung_up.get() => Ok(0),
            0 => Err(ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.holds.get() > 0 {
            self.flush()?;
            let count = bytes.len().min(self.0.holds.get());
            self.0.held.borrow_mut().extend_from_slice(&bytes[..count]);
            let _held = self.flush();
            return Ok(count);
        }
        let count = bytes.len().min(self.0.room.get());
        self.0.writes.set(self.0.writes.get() + 1);
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.0.room.set(self.0.room.get().saturating_sub(count));
        self.0.outbound.borrow_mut().extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.write(&all)
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut held = self.0.held.borrow_mut();
        let count = held.len().min(self.0.room.get());
        self.0.room.set(self.0.room.get() - count);
        self.0.outbound.borrow_mut().extend(held.drain(..count));
        if held.is_empty() { Ok(()) } else { Err(ErrorKind::WouldBlock.into()) }
    }
}

impl Wire for Pipe {
    fn finish(&mut self) {
        assert!(!self.is_holding(), "the end stands behind all that was said");
        self.0.is_finished.set(true);
    }

    fn is_holding(&self) -> bool {
        !self.0.held.borrow().is_empty()
    }
}

impl Pipe {
    /// All whole frames written since the last call.
    pub(super) fn frames(&self) -> Vec<Vec<u8>> {
        let mut bytes = self.0.outbound.borrow_mut();
        let mut frames = Vec::new();
        let mut rest = &bytes[..];
        while rest.len() >= 2 && rest.len() >= header(rest) && rest.len() >= frame::length(rest) {
            let (one, after) = rest.split_at(frame::length(rest));
            frames.push(one.to_vec());
            rest = after;
        }
        let left = rest.to_vec();
        *bytes = left;
        frames
    }

    /// The same, texts as they are, others as `ping:...`, `close:1008:...`.
    pub(super) fn heard(&self) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let told = |one: Vec<u8>| match one[0] {
            0x81 => text(&one[header(&one)..]),
            0x82 => {
                let message = &one[header(&one)..];
                let template = u16::from_le_bytes([message[2], message[3]]);
                let id = i64::from_le_bytes(message[16..24].try_into().unwrap());
                format!("sbe:{template}:{id}:{}", text(&message[message.len() - 7..]))
            }
            0x88 if one.len() == 2 => "close".to_owned(),
            0x88 => format!("close:{}:{}", u16::from_be_bytes([one[2], one[3]]), text(&one[4..])),
            0x89 => format!("ping:{}", text(&one[2..])),
            0x8A => format!("pong:{}", text(&one[2..])),
            other => panic!("no server sends {other:#x}"),
        };
        self.frames().into_iter().map(told).collect()
    }

    pub(super) fn says(&self, first: u8, payload: &[u8]) {
        let mut inbound = self.0.inbound.borrow_mut();
        inbound.push_back(first);
        match payload.len() {
            short @ 0..=125 => inbound.push_back(0x80 | short as u8),
            long => {
                inbound.push_back(0x80 | 126);
                inbound.extend((long as u16).to_be_bytes());
            }
        }
        // The mask of zeros is a legal one.
        inbound.extend([0; 4]);
        inbound.extend(payload);
    }
}

/// Bytes before the payload of a frame.
pub(super) fn header(frame: &[u8]) -> usize {
    match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    }
}

/// A shard with its world.
pub(super) struct Rig {
    pub(super) fanout: Fanout<Pipe>,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) interest: Arc<Interest>,
    pub(super) now: Nanos,
}

pub(super) struct Client {
    pub(super) pipe: Pipe,
    pub(super) index: u32,
}

impl Rig {
    pub(super) fn new(adjust: impl FnOnce(&mut config::Session)) -> Self {
        // What is left to chance has to be the same in every run.
        fastrand::seed(1);
        let mut catalogue = Catalogue::new();
        let venue = catalogue.add_venue("binance", None);
        for symbol in ["BTCUSDT", "ETHUSDT", "BNBUSDT"] {
            catalogue.add_instrument(venue, symbol, symbol);
        }
        let (catalogue, interest) = (Arc::new(catalogue), Arc::new(Interest::new(3)));
        let mut config = Config::embedded().session;
        config.messages_per_second = 0;
        adjust(&mut config);
        let fanout = Fanout::new(Arc::clone(&catalogue), Arc::clone(&interest), &config);
        let mut rig = Self { fanout, catalogue, interest, now: START };
        rig.fanout.begin(START);
        rig
    }

    pub(super) fn open(&mut self, url: &str) -> Client {
        let pipe = Pipe::default();
        let opening = opening(url, &self.catalogue).unwrap();
        let index = self.fanout.admit(pipe.clone(), &opening, b"");
        Client { pipe, index }
    }

    pub(super) fn open_sbe(&mut self, url: &str) -> Client {
        let pipe = Pipe::default();
        let opening = sbe_opening(url, &self.catalogue).unwrap();
        let index = self.fanout.admit(pipe.clone(), &opening, b"");
        Client { pipe, index }
    }

    /// Lets the shard read what a client said; the flush comes with the next pass.
    pub(super) fn tell(&mut self, client: &Client, text: &str) {
        client.pipe.says(0x81, text.as_bytes());
        self.read(client);
    }

    pub(super) fn read(&mut self, client: &Client) {
        let ended = client.pipe.0.is_hung_up.get();
        self.fanout.read(client.index, &mut [0; 4096], ended);
    }

    /// Gives a starved socket room, and notice of it.
    pub(super) fn feed(&mut self, client: &Client, room: usize) {
        client.pipe.0.room.set(room);
        self.fanout.write(client.index);
    }

    pub(super) fn pass(&mut self, updates: &[Payload]) {
        self.pass_of(&batch(updates));
    }

    pub(super) fn pass_of(&mut self, batch: &Batch) {
        self.fanout.publish(batch);
        self.fanout.run_due();
        self.fanout.flush();
    }

    pub(super) fn sleep(&mut self, ms: u64) {
        self.now = self.now.plus(Duration::from_millis(ms));
        self.fanout.begin(self.now);
    }
}

pub(super) fn batch(updates: &[Payload]) -> Batch {
    let update = |&payload| Update { instrument: InstrumentId(0), received: START, time: START, payload };
    Batch { updates: updates.iter().map(update).collect(), ..Batch::default() }
}

pub(super) fn trade(id: i64) -> Payload {
    Payload::Trade(Trade { id, price: Price(1), quantity: Quantity(2), time: START, buyer_is_maker: false })
}

pub(super) fn trade_text(id: i64) -> String {
    format!(
        r#"{{"e":"trade","E":1789000000000,"s":"BTCUSDT","t":{id},"p":"0.00000001","q":"0.00000002","T":1789000000000,"m":false,"M":true}}"#
    )
}

pub(super) fn diff(cadence: Cadence, id: i64) -> Payload {
    Payload::DepthDiff { cadence, first_id: id, last_id: id, bids: Span::default(), asks: Span::default() }
}
