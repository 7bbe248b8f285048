//! One partition of instruments: decode, apply, derive, publish. The ingest loop.
//!
//! [`Engine`] is a function of what it is handed: frames with their receive times and the time of the pass. The loop
//! around it ([`start`], [`start_beside`]) owns the clock and the channels. It never blocks on a reader and never touches a socket.

mod arrays;
mod backfill;
mod books;
mod copies;
mod desk;
mod drive;
mod pulse;
mod schedule;
mod watch;

pub use drive::{Running, start, start_beside};

use std::{mem, sync::Arc, time::Duration};

use crate::{
    config,
    derive::Told,
    intake::{ConnectionId, Frame, Inbound, Request, Wanted},
    market::{AggTrade, Catalogue, Events, InstrumentId, Kline, Nanos, Series, VenueId},
    metrics,
    normalise::Refusal,
    ring::Publisher,
    topic::{Batch, Interest},
    venue::{AnyDecoder, AnyProtocol, Decode},
};

use arrays::Arrays;
use backfill::{Offers, Progress};
use desk::Desk;
use pulse::Pulse;
use schedule::Schedule;
use watch::Watch;

/// What an engine is built from.
#[derive(Debug)]
pub struct Parts {
    /// Venues and instruments.
    pub catalogue: Arc<Catalogue>,
    /// The protocol of each venue, by [`VenueId`].
    pub protocols: Vec<Arc<AnyProtocol>>,
    /// What anyone below the ring wants.
    pub interest: Arc<Interest>,
    /// Where updates go.
    pub publisher: Publisher<Batch>,
    /// What intake is asked.
    pub requests: flume::Sender<Request>,
    /// Limits and waits.
    pub settings: config::Engine,
    /// Silence of a stream before its connection is renewed.
    pub stale_after: Duration,
}

/// One partition of instruments.
#[derive(Debug)]
pub struct Engine {
    shared: Shared,
    decoders: Vec<AnyDecoder>,
    desks: Vec<Desk>,
    events: Events,
    publisher: Publisher<Batch>,
    pulse: Pulse,
    arrays: Arrays,
    /// Frames taken in by the pass that is under way.
    frames: usize,
    passes: metrics::Pass,
}

/// What a pass has counted of a venue.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    updates: u64,
    /// Book messages with the right checksum.
    checksums: u64,
}

/// What every desk of the engine works with during a pass.
#[derive(Debug)]
struct Shared {
    catalogue: Arc<Catalogue>,
    interest: Arc<Interest>,
    requests: flume::Sender<Request>,
    schedule: Schedule,
    watch: Watch,
    batch: Batch,
    metrics: Vec<metrics::Engine>,
    /// What the pass has counted, by venue.
    tallies: Vec<Tally>,
    /// The connections that are open, each with its number among the copies of its feed, from 0.
    legs: Vec<(ConnectionId, u32)>,
    /// Trades that stayed lost since they were last told of in the log, by venue.
    lost: Vec<u64>,
    /// The highest event time of each venue.
    clocks: Vec<Nanos>,
    /// How many times arrays were looked at.
    array_beat: u64,
    /// How far the history of each venue is.
    history: Vec<Progress>,
    /// Scratch: closed candles, fetched candles and fetched trades on their way to the batch.
    told: Told,
    rows: Vec<Kline>,
    past: Vec<AggTrade>,
}

impl Engine {
    /// An engine with all books waiting.
    pub fn new(parts: Parts) -> Self {
        let Parts { catalogue, protocols, interest, publisher, requests, settings, stale_after } = parts;
        let venues = catalogue.venues().iter().zip(&protocols);
        let decoders = venues.map(|(venue, protocol)| protocol.decoder(Arc::clone(&catalogue), venue.id)).collect();
        let desks = catalogue
            .instruments()
            .iter()
            .map(|instrument| {
                let protocol = &protocols[instrument.venue.0 as usize];
                let offers = Offers {
                    klines: protocol.klines(instrument, Series::MINUTE, Nanos(0), 1).is_some(),
                    trades: protocol.trades(instrument, 0, 1).is_some(),
                    recent_trades: protocol.recent_trades(instrument).is_some(),
                    agg_trades: protocol.agg_trades(instrument, None, 1).is_some(),
                };
                Desk::new(instrument, &protocol.traits(), offers, &settings)
            })
            .collect::<Vec<_>>();
        let waiting: Vec<_> = catalogue.venues().iter().map(|venue| catalogue.of_venue(venue.id).count()).collect();
        let metrics: Vec<_> = catalogue.venues().iter().map(|venue| metrics::Engine::of(&venue.name)).collect();
        let history = metrics.iter().map(|metrics| Progress::new(metrics.history.clone())).collect();
        let venues = catalogue.venues().len();
        let shared = Shared {
            schedule: Schedule::new(desks.len()),
            watch: Watch::new(desks.len(), stale_after),
            batch: Batch::default(),
            legs: Vec::new(),
            tallies: vec![Tally::default(); venues],
            lost: vec![0; venues],
            clocks: vec![Nanos(0); venues],
            array_beat: 0,
            history,
            told: Told::default(),
            rows: Vec::new(),
            past: Vec::new(),
            metrics,
            catalogue,
            interest,
            requests,
        };
        for (count, metrics) in waiting.iter().zip(&shared.metrics) {
            metrics.books[0].set(*count as f64);
        }
        let pulse = Pulse::new(&desks);
        Self {
            shared,
            decoders,
            desks,
            events: Events::default(),
            publisher,
            pulse,
            arrays: Arrays::new(venues),
            frames: 0,
            passes: metrics::Pass::of(0),
        }
    }

    /// One pass at time `now`: takes in what came, publishes what that and the time bring, as one batch.
    pub fn pass(&mut self, now: Nanos, inbound: impl IntoIterator<Item = Inbound>) {
        for message in inbound {
            self.take(message, now);
        }
        self.tick(now);
        if self.pulse.beat(now, &mut self.desks, &mut self.shared) {
            self.arrays.beat(now, &self.desks, &mut self.shared);
        }
        self.count();
        if !self.shared.batch.updates.is_empty() {
            self.shared.batch.published = now;
            self.publisher.publish(&mut self.shared.batch);
        }
    }

    /// When the next pass is due even if nothing comes.
    pub fn next_due(&self) -> Nanos {
        let pulse = self.pulse.next_due();
        self.shared.schedule.next_due().map_or(pulse, |due| due.min(pulse))
    }

    fn take(&mut self, message: Inbound, now: Nanos) {
        if let Some(instrument) = message.instrument() {
            self.pulse.touch(instrument);
        }
        match message {
            Inbound::Opened { venue, connection, leg, instruments, received } => {
                self.shared.legs.push((connection, leg));
                self.shared.watch.opened(connection, &instruments, received);
                // Snapshots are fetched in the order in which they are asked for: wanted symbols first.
                let (wanted, others): (Vec<_>, Vec<_>) = instruments
                    .into_iter()
                    .partition(|instrument| self.desks[instrument.index()].is_wanted(&self.shared));
                for instrument in wanted.into_iter().chain(others) {
                    self.pulse.touch(instrument);
                    self.desks[instrument.index()].opened(connection, received, &mut self.shared);
                }
                tracing::debug!(venue = venue.0, connection = connection.0, "connection open");
            }
            Inbound::Frames { venue, connection, frames } => self.frames(venue, connection, &frames),
            Inbound::Closed { connection, received, .. } => {
                self.shared.watch.closed(connection);
                self.shared.legs.retain(|(open, _)| *open != connection);
                for desk in &mut self.desks {
                    desk.closed(connection, received, &mut self.shared);
                }
                self.pulse.touch_all();
            }
            Inbound::Snapshot { instrument, levels, body } => self.snapshot(instrument, levels, &body),
            Inbound::Trades { instrument, body } => {
                if self.decoded(instrument, &body, |decoder, bytes, events| decoder.trades(instrument, bytes, events)) {
                    let desk = &mut self.desks[instrument.index()];
                    desk.refilled(&self.events.list, body.received, &mut self.shared);
                }
            }
            Inbound::Refused { instrument, what, for_good, received } => {
                let desk = &mut self.desks[instrument.index()];
                let is_about_all = for_good && desk.has_traded() && matches!(what, Wanted::Trades | Wanted::AggTrades);
                if is_about_all {
                    let venue = desk.venue;
                    self.refused_to_all(venue, what, received);
                } else {
                    desk.refused(what, for_good, received, &mut self.shared);
                }
            }
            Inbound::RecentTrades { instrument, body } => {
                if self.decoded(instrument, &body, |decoder, bytes, events| decoder.trades(instrument, bytes, events)) {
                    let desk = &mut self.desks[instrument.index()];
                    desk.past_trades(&self.events.list, body.received, &mut self.shared);
                }
            }
            Inbound::AggTrades { instrument, from_id, body } => {
                if self
                    .decoded(instrument, &body, |decoder, bytes, events| decoder.agg_trades(instrument, bytes, events))
                {
                    let (desk, events) = (&mut self.desks[instrument.index()], &self.events.list);
                    match from_id {
                        Some(_) => desk.aggregates_refilled(events, body.received, &mut self.shared),
                        None => desk.past_aggregates(events, body.received, &mut self.shared),
                    }
                }
            }
            Inbound::Klines { instrument, series, from, body } => {
                let read = self.decoded(instrument, &body, |decoder, bytes, events| {
                    decoder.klines(instrument, series, bytes, events)
                });
                let desk = &mut self.desks[instrument.index()];
                if read {
                    desk.klines(series, from, &self.events.list, body.received, &mut self.shared);
                } else {
                    desk.no_klines(series, false, body.received, &mut self.shared);
                }
            }
            Inbound::Resync { instrument, received } => {
                self.desks[instrument.index()].resync(received, &mut self.shared);
            }
            Inbound::Kept { instrument, decimals, klines } => {
                self.desks[instrument.index()].kept(decimals, &klines, now, &mut self.shared);
            }
        }
    }

    /// A venue that has no old trades of an instrument that is traded there has none of any: nobody else need wait, or ask.
    fn refused_to_all(&mut self, venue: VenueId, what: Wanted, received: Nanos) {
        for desk in self.desks.iter_mut().filter(|desk| desk.venue == venue) {
            desk.refused(what, true, received, &mut self.shared);
        }
        self.pulse.touch_all();
    }

    /// Reads an answer into `self.events`; one that cannot be read is counted.
    fn decoded(
        &mut self,
        instrument: InstrumentId,
        body: &Frame,
        read: impl FnOnce(&mut AnyDecoder, &[u8], &mut Events) -> Result<(), Refusal>,
    ) -> bool {
        let venue = self.shared.catalogue.instrument(instrument).venue;
        self.events.clear();
        let read = read(&mut self.decoders[venue.0 as usize], &body.bytes, &mut self.events);
        if let Err(refusal) = read {
            self.shared.refused(venue, refusal, &body.bytes);
            return false;
        }
        true
    }

    fn frames(&mut self, venue: VenueId, connection: ConnectionId, frames: &[Frame]) {
        let Some(last) = frames.last() else { return };
        let decoder = &mut self.decoders[venue.0 as usize];
        let mut event_time = None;
        let mut count = 0;
        for frame in frames {
            self.events.clear();
            if let Err(refusal) = decoder.frame(&frame.bytes, &mut self.events) {
                self.shared.refused(venue, refusal, &frame.bytes);
                continue;
            }
            count += self.events.list.len();
            for event in &self.events.list {
                event_time = event.time.or(event_time);
                self.shared.hear_clock(venue, event.time, frame.received);
                self.pulse.touch(event.instrument);
                let desk = &mut self.desks[event.instrument.index()];
                desk.event(event, &self.events.levels, connection, frame.received, &mut self.shared);
            }
        }
        self.frames += frames.len();
        let metrics = &self.shared.metrics[venue.0 as usize];
        metrics.events.increment(count as u64);
        if let Some(time) = event_time {
            metrics.feed_lag.record(last.received.since(time).as_secs_f64());
        }
    }

    fn snapshot(&mut self, instrument: InstrumentId, levels: u32, body: &Frame) {
        let venue = self.shared.catalogue.instrument(instrument).venue;
        let decoder = &mut self.decoders[venue.0 as usize];
        self.events.clear();
        let decoded = decoder.snapshot(instrument, levels, &body.bytes, &mut self.events);
        if let Err(refusal) = decoded {
            self.shared.refused(venue, refusal, &body.bytes);
            self.shared.ask(Request::Snapshot { instrument, levels, after_ms: SNAPSHOT_RETRY_MS });
            return;
        }
        for event in &self.events.list {
            let desk = &mut self.desks[event.instrument.index()];
            desk.fetched(event, &self.events.levels, body.received, &mut self.shared);
        }
    }

    /// Hands the pass's plain counters to the metrics.
    fn count(&mut self) {
        let Shared { batch, metrics, tallies, .. } = &mut self.shared;
        if let [only] = &mut tallies[..] {
            only.updates = batch.updates.len() as u64;
        } else {
            for update in &batch.updates {
                tallies[self.desks[update.instrument.index()].venue.0 as usize].updates += 1;
            }
        }
        for (tally, metrics) in tallies.iter_mut().zip(metrics) {
            let Tally { updates, checksums } = mem::take(tally);
            if updates > 0 {
                metrics.updates.increment(updates);
            }
            if checksums > 0 {
                metrics.checksums.increment(checksums);
            }
        }
    }

    fn tick(&mut self, now: Nanos) {
        while let Some((instrument, cadence)) = self.shared.schedule.take(now) {
            let desk = &mut self.desks[instrument.index()];
            desk.tick(cadence, now, &mut self.shared);
            if desk.books.is_held_crossed() {
                self.pulse.touch(instrument);
            }
        }
    }
}

impl Shared {
    /// Follows a venue's clock. A time that is far ahead of ours is somebody's mistake, and would end every candle.
    fn hear_clock(&mut self, venue: VenueId, time: Option<Nanos>, received: Nanos) {
        if let Some(time) = time.filter(|time| time.0 <= received.0 + CLOCK_AHEAD_MAX_NS) {
            let clock = &mut self.clocks[venue.0 as usize];
            *clock = time.max(*clock);
        }
    }

    /// A connection brought a book message so long after another one had.
    fn late(&mut self, venue: VenueId, connection: ConnectionId, lateness: Duration) {
        let leg = self.legs.iter().find(|(open, _)| *open == connection).map_or(0, |(_, leg)| *leg);
        self.metrics[venue.0 as usize].leg(leg).record(lateness.as_secs_f64());
    }

    /// Asks intake. At the end it goes first: what is left to be taken in then asks for things in vain.
    fn ask(&self, request: Request) {
        match self.requests.try_send(request) {
            Ok(()) => {}
            Err(flume::TrySendError::Full(_)) => tracing::warn!(?request, "intake does not take requests"),
            Err(flume::TrySendError::Disconnected(_)) => tracing::trace!(?request, "intake has ended"),
        }
    }

    fn refused(&self, venue: VenueId, refusal: Refusal, bytes: &[u8]) {
        let label = refusal.label();
        self.metrics[venue.0 as usize].refused(label);
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
        let name = &self.catalogue.venues()[venue.0 as usize].name;
        tracing::debug!(venue = %name, reason = label, frame = %start, "frame refused");
    }
}

/// A snapshot that could not be read is asked for again after so long.
const SNAPSHOT_RETRY_MS: u32 = 1_000;

/// A venue's clock was seen 1.3 s ahead of the receiver's.
const CLOCK_AHEAD_MAX_NS: i64 = 10_000_000_000;
