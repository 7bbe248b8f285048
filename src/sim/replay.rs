//! A recording, served as the exchange that it came from.
//!
//! **When the feed begins.** Nothing is sent until [`Settings::settle`] has passed since a connection last asked for recorded
//! streams; so a client that opens its connections one after the other has them all from the first frame on. Each connection has a cursor of its own. It begins at the first record if the connection was there when the
//! feed began, or if nobody has been served any of its streams yet; a connection that comes later, as after a
//! disconnect, joins where the feed is by then.
//!
//! **Whole books.** Binance: a REST request for a book is held until the feed has come to the place where the recorded
//! answer was received, and, at [`Speed::Max`], the feed is held there until somebody has asked (both at most
//! [`Settings::hold`]). What is asked for later gets the newest recorded answer with the diffs between it and the feed's
//! place applied: what the exchange would have said then. Kraken: books come over the socket; a symbol that is
//! subscribed to again gets the next recorded snapshot, or, if there is none, one made of what was sent so far.
//!
//! **Other REST requests** of Binance get the answer that an equal request got in the recording. Without one, trades and
//! aggregates are made of what was sent so far; everything else is a path that does not exist.
//!
//! After the last frame connections stay open and silent.

mod binance;
mod kraken;
mod stage;

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use binance::Binance;
use kraken::Kraken;
use stage::Stage;

use super::door::Door;
use crate::{
    market::Nanos,
    recording::{Kind, Record, Recording, stream_of},
};

/// How fast a recording is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times as fast as it was; 1.0 is the recorded pace. More than 0.
    Times(f64),
    /// As fast as clients read.
    Max,
}

/// How a recording is served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How fast.
    pub speed: Speed,
    /// Serve only these symbols, in the venue's spelling; empty: all that were recorded.
    pub symbols: Vec<String>,
    /// From the last time that streams were asked for to the beginning of the feed.
    pub settle: Duration,
    /// How long a request waits for the feed, and the feed for a request.
    pub hold: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            speed: Speed::Times(1.0),
            symbols: Vec::new(),
            settle: Duration::from_millis(500),
            hold: Duration::from_secs(10),
        }
    }
}

/// Starts serving on a thread of its own; of a recording of several venues, the one that is heard first.
///
/// # Errors
/// If the address cannot be listened at, the speed is none, or the recording is of no venue that can be stood in for.
pub fn start(recording: &Recording, settings: &Settings) -> io::Result<Running> {
    open(dialect(recording).map_err(invalid)?, recording, settings)
}

/// Starts a stand-in for each venue of the recording, in the order in which they are heard first. Their feeds begin and go
/// on independently of each other.
///
/// # Errors
/// As [`start`].
pub fn start_each(recording: &Recording, settings: &Settings) -> io::Result<Vec<Running>> {
    let parts = split(recording).map_err(invalid)?;
    parts.iter().map(|(dialect, part)| open(*dialect, part, settings)).collect()
}

fn open(dialect: Dialect, recording: &Recording, settings: &Settings) -> io::Result<Running> {
    if matches!(settings.speed, Speed::Times(times) if !(times > 0.0 && times.is_finite())) {
        return Err(invalid("the speed has to be more than 0"));
    }
    match dialect {
        Dialect::Binance => {
            let exchange = Arc::new(Binance::new(recording, settings));
            let (stage, symbols) = (exchange.stage(), exchange.symbols());
            let door = Door::open(settings.listen, "replay", exchange)?;
            Ok(Running { door, stage, kind: "binance", symbols, depth: None })
        }
        Dialect::Kraken => {
            let exchange = Arc::new(Kraken::new(recording, settings).map_err(|reason| invalid(&reason))?);
            let (stage, symbols, depth) = (exchange.stage(), exchange.symbols(), Some(exchange.depth()));
            let door = Door::open(settings.listen, "replay", exchange)?;
            Ok(Running { door, stage, kind: "kraken", symbols, depth })
        }
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// A recording being served; dropping it stops it.
#[derive(Debug)]
pub struct Running {
    door: Door,
    stage: Arc<Stage>,
    kind: &'static str,
    symbols: Vec<String>,
    depth: Option<usize>,
}

impl Running {
    /// Where it listens, WebSockets and REST alike.
    pub const fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// Whose protocol it speaks: a `kind` of the configuration.
    pub const fn kind(&self) -> &'static str {
        self.kind
    }

    /// The recorded symbols in the venue's spelling.
    pub fn symbols(&self) -> &[String] {
        &self.symbols
    }

    /// Levels per side of the recorded books, where a subscription names them.
    pub const fn depth(&self) -> Option<usize> {
        self.depth
    }

    /// Of the streams that were asked for: frames sent by the connection that is the farthest, and frames there are.
    pub fn progress(&self) -> (u64, u64) {
        self.stage.progress()
    }

    /// Where in the recording the feed is: its first, its present and its last time. `None` before anybody asked.
    pub fn position(&self) -> Option<(Nanos, Nanos, Nanos)> {
        self.stage.position()
    }

    /// Whether the last frame of every stream that was asked for has been sent; `false` as long as none was.
    pub fn finished(&self) -> bool {
        let (sent, total) = self.progress();
        total > 0 && sent == total
    }

    /// Stops it and waits until its thread has ended; connections are cut.
    pub fn stop(self) {
        drop(self);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Binance,
    Kraken,
}

/// Whose recording this is, by its first record that says so.
fn dialect(recording: &Recording) -> Result<Dialect, &'static str> {
    let unknown = "nothing in this recording tells that it is one of Binance or of Kraken v2";
    recording.records().iter().find_map(dialect_of).unwrap_or(Err(unknown))
}

/// The recording by venue, the one that is heard first in front. Connections that say nothing are nobody's.
fn split(recording: &Recording) -> Result<Vec<(Dialect, Recording)>, &'static str> {
    let mut venues = vec![dialect(recording)?];
    let mut speaks: HashMap<u32, Dialect> = HashMap::new();
    for record in recording.records() {
        if !speaks.contains_key(&record.connection)
            && let Some(Ok(dialect)) = dialect_of(record)
        {
            if record.kind == Kind::Received {
                speaks.insert(record.connection, dialect);
            }
            if !venues.contains(&dialect) {
                venues.push(dialect);
            }
        }
    }
    if let [only] = venues[..] {
        return Ok(vec![(only, recording.clone())]);
    }
    let part = |dialect| {
        // Only Binance is asked over REST.
        let is_its = |record: &&Record| match record.kind {
            Kind::Response { .. } => dialect == Dialect::Binance,
            _ => speaks.get(&record.connection) == Some(&dialect),
        };
        (dialect, Recording::from_records(recording.records().iter().filter(is_its).cloned().collect()))
    };
    Ok(venues.into_iter().map(part).collect())
}

/// Whose record this is, if it tells; an error if it is somebody's whom nobody can stand in for.
fn dialect_of(record: &Record) -> Option<Result<Dialect, &'static str>> {
    match &record.kind {
        Kind::Response { url, .. } if url.contains("/api/v1/depth") || url.contains("/api/v3/") => {
            Some(Ok(Dialect::Binance))
        }
        Kind::Received if record.bytes.starts_with(b"{\"stream\":") => Some(Ok(Dialect::Binance)),
        // An array of tickers; Kraken v1 begins its arrays with a number.
        Kind::Received if record.bytes.starts_with(b"[{") => Some(Ok(Dialect::Binance)),
        Kind::Received if record.bytes.starts_with(b"[") => {
            Some(Err("a recording of Kraken v1 can be read but not served; v2 can"))
        }
        Kind::Received => match stream_of(&record.bytes).as_deref() {
            Some("book" | "trade" | "instrument" | "status" | "heartbeat")
                if record.bytes.windows(9).any(|window| window == b"\"channel\"") =>
            {
                Some(Ok(Dialect::Kraken))
            }
            Some(
                "trade" | "aggTrade" | "depthUpdate" | "kline" | "24hrTicker" | "24hrMiniTicker" | "1hTicker"
                | "4hTicker" | "1dTicker" | "avgPrice" | "referencePrice" | "blockTrade",
            ) => Some(Ok(Dialect::Binance)),
            _ => None,
        },
        _ => None,
    }
}
