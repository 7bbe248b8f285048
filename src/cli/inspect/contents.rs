//! What a recording holds, counted record by record; nothing of it stays in memory.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::ids::{Sequences, Step, places};
use crate::{
    market::Nanos,
    recording::{Kind, Record, stream_of},
};

/// What a recording holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) responses: u64,
    /// Of payloads, before compression.
    pub(super) bytes: u64,
    /// The times of the first and the last record.
    pub(super) span: Option<(Nanos, Nanos)>,
    /// Records whose time lies before that of the one in front of them: the clock was set.
    pub(super) backwards: u64,
    /// By where the connection went to.
    pub(super) venues: BTreeMap<String, Venue>,
    /// By venue and name.
    pub(super) streams: BTreeMap<(String, String), Stream>,
    /// By path and status.
    pub(super) answers: BTreeMap<(String, u16), u64>,
    pub(super) silences: Found<Silence>,
    pub(super) holes: Found<Hole>,
    /// Ids that are missing in all holes together.
    pub(super) missing: u64,
    /// Frames with ids that had been there before.
    pub(super) repeats: u64,
    sequences: Sequences,
    sequences_over: usize,
    /// The venue of each open connection.
    owners: HashMap<u32, String>,
    silence: Duration,
    newest: Nanos,
}

/// One venue, as the addresses of its connections name it.
#[derive(Debug, Default)]
pub(super) struct Venue {
    pub(super) connections: u64,
    pub(super) received: u64,
    pub(super) bytes: u64,
    last: Option<Nanos>,
}

/// One stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) received: u64,
    pub(super) bytes: u64,
    /// When its first and its last message came.
    pub(super) span: (Nanos, Nanos),
}

/// A time without any message of a venue.
#[derive(Debug)]
pub(super) struct Silence {
    pub(super) venue: String,
    pub(super) from: Nanos,
    pub(super) until: Nanos,
}

/// Ids that are missing.
#[derive(Debug)]
pub(super) struct Hole {
    pub(super) venue: String,
    pub(super) sequence: String,
    pub(super) connection: u32,
    pub(super) at: Nanos,
    pub(super) awaited: i64,
    pub(super) missing: i64,
}

/// Things found: all are counted, the first ones are kept.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) count: u64,
    pub(super) first: Vec<T>,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self { count: 0, first: Vec::new() }
    }
}

impl<T> Found<T> {
    fn add(&mut self, thing: T) {
        self.count += 1;
        if self.first.len() < KEPT {
            self.first.push(thing);
        }
    }
}

/// Whoever has more of them needs no list.
const KEPT: usize = 1000;

/// Names of streams that are told apart; a venue has some thousands.
const STREAMS_MAX: usize = 100_000;

/// Where a connection went to that the recording does not tell.
const UNTOLD: &str = "not told";

impl Contents {
    /// Nothing yet; a venue that says nothing for `silence` or longer is noted.
    pub(super) fn new(silence: Duration) -> Self {
        Self { silence, ..Self::default() }
    }

    /// How many sequences of ids were followed.
    pub(super) fn sequences(&self) -> usize {
        self.sequences_over + self.sequences.len()
    }

    /// Counts one more record.
    pub(super) fn count(&mut self, record: &Record) {
        let (first, last) = self.span.unwrap_or((record.time, record.time));
        self.span = Some((first.min(record.time), last.max(record.time)));
        self.backwards += u64::from(record.time < self.newest);
        self.newest = record.time;
        self.bytes += record.bytes.len() as u64;
        match &record.kind {
            Kind::Opened { url } => {
                self.opened += 1;
                let venue = host(url).to_owned();
                self.venues.entry(venue.clone()).or_default().connections += 1;
                self.owners.insert(record.connection, venue);
            }
            Kind::Sent => self.sent += 1,
            Kind::Received => self.receive(record),
            Kind::Response { url, status } => {
                self.responses += 1;
                let path = url.split(['?', '#']).next().unwrap_or(url);
                let path = path.split_once("://").map_or(path, |(_, rest)| rest);
                if self.answers.len() < STREAMS_MAX {
                    *self.answers.entry((path.to_owned(), *status)).or_default() += 1;
                }
            }
            Kind::Closed => {
                self.closed += 1;
                let before = self.sequences.len();
                self.sequences.forget(record.connection);
                self.sequences_over += before - self.sequences.len();
                self.owners.remove(&record.connection);
            }
        }
    }

    fn receive(&mut self, record: &Record) {
        self.received += 1;
        let size = record.bytes.len() as u64;
        let owner = self.owners.get(&record.connection).map_or(UNTOLD, String::as_str).to_owned();
        let venue = self.venues.entry(owner.clone()).or_default();
        if let Some(last) = venue.last.filter(|last| record.time.since(*last) >= self.silence) {
            self.silences.add(Silence { venue: owner.clone(), from: last, until: record.time });
        }
        venue.last = Some(record.time);
        venue.received += 1;
        venue.bytes += size;
        for place in places(&record.bytes) {
            let sequence = place.sequence.clone();
            match self.sequences.step(record.connection, place) {
                Step::Follows => {}
                Step::Repeats => self.repeats += 1,
                Step::Hole { awaited, missing } => {
                    self.missing = self.missing.saturating_add(missing.unsigned_abs());
                    let (venue, connection, at) = (owner.clone(), record.connection, record.time);
                    self.holes.add(Hole { venue, sequence, connection, at, awaited, missing });
                }
            }
        }
        let name = stream_of(&record.bytes);
        let mut key = (owner, name.as_deref().unwrap_or(OTHER).to_owned());
        if self.streams.len() >= STREAMS_MAX && !self.streams.contains_key(&key) {
            key.1 = OTHER.to_owned();
        }
        let stream =
            self.streams.entry(key).or_insert_with(|| Stream { span: (record.time, record.time), ..Stream::default() });
        stream.received += 1;
        stream.bytes += size;
        stream.span.1 = record.time;
    }

    /// Streams by venue and channel (what stands behind the `@`): how many, messages, bytes.
    pub(super) fn channels(&self) -> BTreeMap<(&str, &str), (u64, u64, u64)> {
        let mut channels = BTreeMap::new();
        for ((venue, name), stream) in &self.streams {
            let channel = name.split_once('@').map_or(name.as_str(), |(_, channel)| channel);
            let sum: &mut (u64, u64, u64) = channels.entry((venue.as_str(), channel)).or_default();
            *sum = (sum.0 + 1, sum.1 + stream.received, sum.2 + stream.bytes);
        }
        channels
    }
}

/// Messages that name no stream.
const OTHER: &str = "other";

/// `stream.binance.com:9443` of `wss://stream.binance.com:9443/stream?streams=...`.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    match rest.split(['/', '?', '#']).next().unwrap_or(rest) {
        "" => UNTOLD,
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn record(seconds: i64, kind: Kind, text: &str) -> Record {
        let time = Nanos::from_millis(1_789_000_000_000 + seconds * 1000);
        Record { time, connection: 1, kind, bytes: Bytes::copy_from_slice(text.as_bytes()) }
    }

    fn diff(first: i64, last: i64) -> String {
        format!(r#"{{"stream":"s@depth@100ms","data":{{"e":"depthUpdate","s":"S","U":{first},"u":{last}}}}}"#)
    }

    #[test]
    fn counts_silences_and_holes_are_found() {
        let mut contents = Contents::new(Duration::from_secs(5));
        let opened = Kind::Opened { url: "wss://x.example:9443/stream?streams=a".into() };
        let answer = Kind::Response { url: "https://x.example/api/v3/depth?symbol=S".into(), status: 200 };
        for record in [
            record(0, opened.clone(), ""),
            record(0, Kind::Sent, "{}"),
            record(1, Kind::Received, &diff(1, 2)),
            record(1, answer, "{}"),
            record(7, Kind::Received, &diff(5, 6)),
            record(8, Kind::Received, &diff(6, 7)),
            record(8, Kind::Closed, ""),
            record(9, opened, ""),
            record(12, Kind::Received, &diff(90, 91)),
            record(11, Kind::Received, "hello"),
        ] {
            contents.count(&record);
        }
        assert_eq!((contents.opened, contents.closed, contents.sent), (2, 1, 1));
        assert_eq!((contents.received, contents.responses, contents.backwards), (5, 1, 1));
        assert_eq!((contents.silences.count, contents.holes.count, contents.missing, contents.repeats), (1, 1, 2, 1));
        let hole = &contents.holes.first[0];
        assert_eq!((hole.sequence.as_str(), hole.awaited, hole.missing), ("s@depth@100ms", 3, 2));
        assert_eq!(contents.sequences(), 2, "the second connection begins anew");
        assert_eq!(contents.answers[&("x.example/api/v3/depth".to_owned(), 200)], 1);
        assert_eq!(contents.venues["x.example:9443"].connections, 2);
        assert_eq!(contents.channels()[&("x.example:9443", "depth@100ms")].1, 4);
        assert_eq!(contents.channels()[&("x.example:9443", OTHER)].1, 1);
        assert_eq!(host(""), UNTOLD);
    }
}
