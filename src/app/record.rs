//! The ingest half with a tap: everything that passes between us and the venues goes to a file.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use tokio::runtime::Runtime;

use super::{INBOUND_MAX, Ingest, StartError, plan, plan::Plan, runtime};
use crate::{
    clock,
    config::Config,
    intake::{ConnectionId, Tap, Tapped},
    market::{Catalogue, VenueId},
    recording::{Error, Kind, Record, Writer},
    ring, sim,
    topic::{Batch, Interest},
};

/// What has been recorded so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of each venue, in the order of the configuration.
    pub venues: Vec<VenueCounts>,
    /// Messages left out because the disk was too slow.
    pub left_out: u64,
}

/// What has been recorded of one venue so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VenueCounts {
    /// Its name.
    pub name: Arc<str>,
    /// Messages from its sockets.
    pub frames: u64,
    /// REST answers.
    pub responses: u64,
    /// Payload bytes, before compression.
    pub bytes: u64,
}

impl Counts {
    /// All venues together, under no name.
    pub fn total(&self) -> VenueCounts {
        self.venues.iter().fold(VenueCounts::default(), |sum, venue| VenueCounts {
            name: sum.name,
            frames: sum.frames + venue.frames,
            responses: sum.responses + venue.responses,
            bytes: sum.bytes + venue.bytes,
        })
    }
}

/// A running recording. The books are kept as well, so that snapshots are fetched and recorded when they are needed.
#[derive(Debug)]
pub struct Recorder {
    ingest: Ingest,
    feeds: Runtime,
    writer: JoinHandle<Result<(), Error>>,
    tap: Tap,
    counters: Arc<Counters>,
    _exchange: Option<sim::Running>,
}

#[derive(Debug, Default)]
struct Counters {
    venues: Vec<VenueCounters>,
    failed: AtomicBool,
}

#[derive(Debug, Default)]
struct VenueCounters {
    name: Arc<str>,
    frames: AtomicU64,
    responses: AtomicU64,
    bytes: AtomicU64,
}

impl Recorder {
    /// Starts recording the configured venues to `file`, behind what it holds already.
    ///
    /// # Errors
    /// If the configuration asks for what there is not, or the file cannot be written.
    pub fn start(mut config: Config, file: &Path) -> Result<Self, StartError> {
        let writer = Writer::append(file).map_err(|error| StartError::Recording(error.to_string()))?;
        if writer.truncated_bytes() > 0 {
            let bytes = writer.truncated_bytes();
            tracing::warn!(bytes, "the recording ended in the middle of a block, which is cut off before it goes on");
        }
        let exchange = plan::embed(&mut config)?;
        let plan = Plan::of(&config)?;
        let interest = Arc::new(Interest::new(plan.catalogue.instruments().len()));
        let publisher = ring::ring::<Batch>(config.ring.slots, config.ring.bytes);
        let (tap, tapped) = Tap::new(INBOUND_MAX);
        let counters = Arc::new(Counters::of(&plan.catalogue));
        let writing = thread::Builder::new().name("recorder".to_owned()).spawn({
            let counters = Arc::clone(&counters);
            move || {
                let written = write(writer, &tapped, &counters);
                counters.failed.store(written.is_err(), Ordering::Relaxed);
                written
            }
        });
        let writer = writing.map_err(StartError::system("starting the recorder"))?;
        let feeds = runtime("intake")?;
        let ingest = Ingest::start(&config, plan, interest, publisher, &feeds, Some(tap.clone()), [])?;
        Ok(Self { ingest, feeds, writer, tap, counters, _exchange: exchange })
    }

    /// What has been recorded so far.
    pub fn counts(&self) -> Counts {
        self.counters.counts(self.tap.dropped())
    }

    /// Whether the disk still takes what comes.
    pub fn is_writing(&self) -> bool {
        !self.counters.failed.load(Ordering::Relaxed)
    }

    /// Ends the recording in order.
    ///
    /// # Errors
    /// If the disk refused something.
    pub fn finish(self) -> Result<Counts, Error> {
        let Self { ingest, feeds, writer, tap, counters, .. } = self;
        ingest.stop(&feeds);
        let left_out = tap.dropped();
        drop(tap);
        writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(counters.counts(left_out))
    }
}

/// Writes until every tap is gone.
fn write(mut writer: Writer, tapped: &flume::Receiver<Tapped>, counters: &Counters) -> Result<(), Error> {
    // Whose each open connection is.
    let mut owners: HashMap<ConnectionId, VenueId> = HashMap::new();
    loop {
        match tapped.recv_timeout(FLUSH_EVERY) {
            Ok(tapped) => {
                let venue = owner(&mut owners, &tapped);
                for record in records(tapped) {
                    counters.count(venue, &record);
                    writer.record(&record)?;
                }
            }
            Err(flume::RecvTimeoutError::Timeout) => {}
            Err(flume::RecvTimeoutError::Disconnected) => return writer.flush(),
        }
        writer.flush_if_due(clock::now())?;
    }
}

/// The venue that this came from, if it is known.
fn owner(owners: &mut HashMap<ConnectionId, VenueId>, tapped: &Tapped) -> Option<VenueId> {
    match tapped {
        Tapped::Opened { venue, connection, .. } => {
            owners.insert(*connection, *venue);
            Some(*venue)
        }
        Tapped::Response { venue, .. } => Some(*venue),
        Tapped::Sent { connection, .. } | Tapped::Received { connection, .. } => owners.get(connection).copied(),
        Tapped::Closed { connection, .. } => owners.remove(connection),
    }
}

fn records(tapped: Tapped) -> Vec<Record> {
    let one = |time, connection, kind, bytes| vec![Record { time, connection, kind, bytes }];
    match tapped {
        Tapped::Opened { at, connection, url, .. } => one(at, connection.0, Kind::Opened { url }, Bytes::new()),
        Tapped::Sent { at, connection, text } => one(at, connection.0, Kind::Sent, text),
        Tapped::Received { connection, frames } => frames
            .into_iter()
            .map(|frame| Record {
                time: frame.received,
                connection: connection.0,
                kind: Kind::Received,
                bytes: frame.bytes,
            })
            .collect(),
        Tapped::Response { at, url, status, body, .. } => one(at, REST, Kind::Response { url, status }, body),
        Tapped::Closed { at, connection } => one(at, connection.0, Kind::Closed, Bytes::new()),
    }
}

impl Counters {
    fn of(catalogue: &Catalogue) -> Self {
        let venues = catalogue.venues().iter();
        let venues = venues.map(|venue| VenueCounters { name: (*venue.name).into(), ..VenueCounters::default() });
        Self { venues: venues.collect(), failed: AtomicBool::default() }
    }

    fn counts(&self, left_out: u64) -> Counts {
        let venues = self.venues.iter().map(|venue| VenueCounts {
            name: Arc::clone(&venue.name),
            frames: venue.frames.load(Ordering::Relaxed),
            responses: venue.responses.load(Ordering::Relaxed),
            bytes: venue.bytes.load(Ordering::Relaxed),
        });
        Counts { venues: venues.collect(), left_out }
    }

    fn count(&self, venue: Option<VenueId>, record: &Record) {
        let Some(venue) = venue.and_then(|venue| self.venues.get(venue.0 as usize)) else { return };
        let counter = match record.kind {
            Kind::Received => &venue.frames,
            Kind::Response { .. } => &venue.responses,
            Kind::Opened { .. } | Kind::Sent | Kind::Closed => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        venue.bytes.fetch_add(record.bytes.len() as u64, Ordering::Relaxed);
    }
}

/// The number that REST has among the connections of a recording.
const REST: u32 = u32::MAX;

/// A block is looked at for its age so often when nothing comes.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
