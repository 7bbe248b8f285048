//! One client, and what is heard of all of them.

use std::{cmp::Ordering, collections::BTreeMap, net::IpAddr, sync::Arc};

use mio::net::TcpStream;

use super::{
    deck::{StreamId, Streams},
    histogram::Histogram,
    payload::{self, Kind},
};
use crate::{clock, market::Nanos};

/// One connection, or the place of one.
#[derive(Debug)]
pub(super) struct Client {
    pub stage: Stage,
    pub role: Role,
    pub wire: Option<TcpStream>,
    /// The address to connect from; `None`: the system's choice.
    pub source: Option<IpAddr>,
    /// The beginning of what is incomplete: a response's head, a frame.
    pub kept: Vec<u8>,
    /// What the socket did not take yet.
    pub unsent: Vec<u8>,
    /// When it last began to connect.
    pub began: Nanos,
    /// Whether it has been connected before.
    pub is_back: bool,
    /// Whether an event has come over this connection.
    pub has_heard: bool,
    /// In ascending order.
    pub streams: Box<[StreamId]>,
    /// The last id of each stream; 0: none yet.
    last: Box<[u64]>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its turn has not come.
    Waiting,
    Connecting,
    Upgrading,
    Open,
    /// Failed, or closed by the server.
    Over,
}

/// What a client is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Reads.
    Steady,
    /// Does not read during the measurement.
    Slow,
    /// Is cut and comes again.
    Storm,
}

impl Client {
    pub(super) fn new(role: Role, streams: Box<[StreamId]>, source: Option<IpAddr>) -> Self {
        Self {
            stage: Stage::Waiting,
            role,
            wire: None,
            source,
            kept: Vec::new(),
            unsent: Vec::new(),
            began: Nanos(0),
            is_back: false,
            has_heard: false,
            last: vec![0; streams.len()].into(),
            streams,
        }
    }

    /// Forgets the connection: what comes next is the beginning of another.
    pub(super) fn hang_up(&mut self, stage: Stage) {
        self.wire = None;
        self.kept = Vec::new();
        self.unsent = Vec::new();
        self.has_heard = false;
        self.last.fill(0);
        self.stage = stage;
    }
}

/// Counts of what came; all only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Messages of subscribed streams.
    pub deliveries: u64,
    /// Bytes of those, frame headers included.
    pub bytes: u64,
    /// Messages whose ids were compared with those before.
    pub checked: u64,
    /// Times that ids were left out.
    pub holes: u64,
    /// Messages that are missing for certain: trades can be counted, diffs cannot, and count as one each.
    pub missing: u64,
    /// Messages with ids that had been before.
    pub disordered: u64,
    /// Messages that are no event of a subscribed stream.
    pub others: u64,
}

impl Tally {
    pub(super) fn plus(self, other: Self) -> Self {
        self.with(other, |one, other| one + other)
    }

    pub(super) fn since(self, before: Self) -> Self {
        self.with(before, |now, before| now - before)
    }

    fn with(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            deliveries: of(self.deliveries, other.deliveries),
            bytes: of(self.bytes, other.bytes),
            checked: of(self.checked, other.checked),
            holes: of(self.holes, other.holes),
            missing: of(self.missing, other.missing),
            disordered: of(self.disordered, other.disordered),
            others: of(self.others, other.others),
        }
    }
}

/// One tally and one histogram for each role.
#[derive(Debug)]
pub(super) struct Ear {
    streams: Arc<Streams>,
    pub tallies: [Tally; 3],
    pub latency: [Histogram; 3],
    /// Events whose time is later than ours: the clocks differ.
    pub ahead: u64,
    /// Whose latency is taken.
    pub measured: [bool; 3],
    rng: fastrand::Rng,
    until_sample: u32,
}

impl Ear {
    pub(super) fn new(streams: Arc<Streams>) -> Self {
        Self {
            streams,
            tallies: Default::default(),
            latency: Default::default(),
            ahead: 0,
            measured: [false; 3],
            rng: fastrand::Rng::with_seed(1),
            until_sample: 1,
        }
    }

    /// Takes in one message of `length` bytes with its header. `read` is when the bytes were read, found out with the first
    /// message that wants to know.
    pub(super) fn hear(&mut self, client: &mut Client, payload: &[u8], length: usize, read: &mut Option<Nanos>) {
        let role = client.role as usize;
        let tally = &mut self.tallies[role];
        let known = payload::split(payload).and_then(|(name, body)| {
            let (stream, kind) = self.streams.find(name)?;
            let place = client.streams.binary_search(&stream).ok()?;
            Some((place, kind, body))
        });
        let Some((place, kind, body)) = known else {
            tally.others += 1;
            return;
        };
        tally.deliveries += 1;
        tally.bytes += length as u64;
        if let Some((first, last)) = kind.ids(body) {
            tally.follow(kind, &mut client.last[place], first, last);
        }
        if !self.measured[role] {
            return;
        }
        self.until_sample -= 1;
        if self.until_sample == 0 {
            // Now sooner, now later, so that no rhythm of the streams escapes it.
            self.until_sample = self.rng.u32(1..2 * SAMPLED_ONE_IN);
            if let Some(happened) = payload::event_time(body) {
                let read = *read.get_or_insert_with(clock::now);
                self.ahead += u64::from(read < happened);
                self.latency[role].add(read.since(happened));
            }
        }
    }
}

impl Tally {
    fn follow(&mut self, kind: Kind, known: &mut u64, first: u64, last: u64) {
        if *known > 0 {
            self.checked += 1;
            let is_dense = kind != Kind::BookTicker;
            match first.cmp(&(*known + 1)) {
                Ordering::Greater if is_dense => {
                    self.holes += 1;
                    // A diff spans many ids: how many diffs a hole stands for is not known.
                    self.missing += if kind == Kind::Diff { 1 } else { first - *known - 1 };
                }
                Ordering::Less if is_dense || first < *known => self.disordered += 1,
                _ => {}
            }
        }
        *known = last;
    }
}

/// Latency is taken of one message in so many, on average.
const SAMPLED_ONE_IN: u32 = 8;

/// What happened to connections, for a person, with how often; bounded.
#[derive(Clone, Debug, Default)]
pub(super) struct Reasons(pub BTreeMap<String, u64>);

impl Reasons {
    pub(super) fn add(&mut self, reason: &str, count: u64) {
        let is_known = self.0.contains_key(reason);
        let reason = if is_known || self.0.len() < REASONS_MAX { reason } else { "for other reasons" };
        *self.0.entry(reason.to_owned()).or_default() += count;
    }
}

const REASONS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn ear() -> (Ear, Client) {
        let names = ["a@trade", "a@depth", "a@bookTicker"].map(str::to_owned);
        let mut ear = Ear::new(Arc::new(Streams::new(&names)));
        ear.measured[Role::Steady as usize] = true;
        (ear, Client::new(Role::Steady, [0, 1, 2].into(), None))
    }

    fn hear(ear: &mut Ear, client: &mut Client, bodies: &[String]) -> Tally {
        let before = ear.tallies[0];
        for body in bodies {
            ear.hear(client, body.as_bytes(), body.len() + 4, &mut None);
        }
        ear.tallies[0].since(before)
    }

    fn trade(id: u64) -> String {
        format!(r#"{{"stream":"a@trade","data":{{"e":"trade","E":1789000020123456,"s":"A","t":{id}}}}}"#)
    }

    fn diff(first: u64, last: u64) -> String {
        format!(r#"{{"stream":"a@depth","data":{{"e":"depthUpdate","E":1789000020123,"U":{first},"u":{last}}}}}"#)
    }

    fn best(id: u64) -> String {
        format!(r#"{{"stream":"a@bookTicker","data":{{"u":{id},"s":"A"}}}}"#)
    }

    #[test]
    fn ids_that_tile_are_no_hole() {
        let (mut ear, mut client) = ear();
        let bodies = [trade(7), diff(3, 9), best(5), trade(8), diff(10, 10), best(9), best(9), trade(9), diff(11, 40)];
        let tally = hear(&mut ear, &mut client, &bodies);
        assert_eq!((tally.deliveries, tally.checked), (9, 6));
        assert_eq!((tally.holes, tally.missing, tally.disordered, tally.others), (0, 0, 0, 0));
        assert_eq!(tally.bytes, bodies.iter().map(|body| body.len() as u64 + 4).sum::<u64>());
    }

    #[test]
    fn holes_and_repetitions_are_counted_by_kind() {
        let (mut ear, mut client) = ear();
        hear(&mut ear, &mut client, &[trade(7), diff(3, 9), best(5)]);
        let tally = hear(&mut ear, &mut client, &[trade(11)]);
        assert_eq!((tally.holes, tally.missing, tally.disordered), (1, 3, 0));
        let tally = hear(&mut ear, &mut client, &[diff(12, 15)]);
        assert_eq!((tally.holes, tally.missing, tally.disordered), (1, 1, 0));
        let tally = hear(&mut ear, &mut client, &[trade(11), diff(15, 16), best(4)]);
        assert_eq!((tally.holes, tally.disordered), (0, 3));
    }

    #[test]
    fn what_belongs_to_no_stream_is_counted_apart() {
        let (mut ear, mut client) = ear();
        let bodies = [r#"{"stream":"b@trade","data":{}}"#.to_owned(), r#"{"result":null,"id":1}"#.to_owned()];
        let tally = hear(&mut ear, &mut client, &bodies);
        assert_eq!((tally.deliveries, tally.others), (0, 2));
    }

    #[test]
    fn another_connection_begins_with_any_id() {
        let (mut ear, mut client) = ear();
        hear(&mut ear, &mut client, &[trade(7)]);
        client.hang_up(Stage::Waiting);
        let tally = hear(&mut ear, &mut client, &[trade(900)]);
        assert_eq!((tally.holes, tally.disordered), (0, 0));
    }

    #[test]
    fn latency_is_taken_of_one_in_eight() {
        let (mut ear, mut client) = ear();
        let bodies: Vec<_> = (1..=8000).map(trade).collect();
        hear(&mut ear, &mut client, &bodies);
        let taken = ear.latency[0].count();
        assert!((800..1200).contains(&taken), "{taken}");
        assert_eq!(ear.latency[1].count(), 0);
    }

    #[test]
    fn reasons_are_bounded() {
        let mut reasons = Reasons::default();
        (0..100).for_each(|number| reasons.add(&format!("reason {number}"), 1));
        assert_eq!((reasons.0.len(), reasons.0.values().sum::<u64>()), (REASONS_MAX + 1, 100));
    }
}
