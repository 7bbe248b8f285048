//! What `/status` tells: the state of everything at one time, for programs and for people.

use serde::Serialize;

use super::{Door, samples::Samples};
use crate::{
    clock,
    market::{Nanos, Venue},
    metrics,
    views::VenueHealth,
};

/// All of it. Ages and lags are milliseconds; counts are since the start; what is not known is null.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the names are what a reader of the JSON sees; units are in them")]
pub(super) struct Status {
    pub(super) version: &'static str,
    pub(super) phase: &'static str,
    pub(super) started_ms: i64,
    pub(super) uptime_s: u64,
    pub(super) live: bool,
    pub(super) ready: bool,
    pub(super) reasons: Vec<String>,
    pub(super) config: Configured,
    pub(super) process: Process,
    pub(super) doors: Doors,
    pub(super) venues: Vec<VenueStatus>,
    pub(super) symbols: Vec<SymbolStatus>,
    pub(super) readers: Vec<ReaderStatus>,
    pub(super) shards: Vec<ShardStatus>,
    pub(super) store: StoreStatus,
    pub(super) limits: Vec<Limit>,
    pub(super) threads: Vec<Thread>,
    pub(super) closes: Vec<Reason>,
    pub(super) refusals: Vec<Reason>,
}

/// Where settings come from. No secret is among it.
#[derive(Debug, Serialize)]
pub(super) struct Configured {
    pub(super) sources: Vec<String>,
    pub(super) log_level: String,
    pub(super) admin: bool,
    pub(super) wants_restart: Vec<String>,
}

/// What the process uses; null where the system does not tell.
#[derive(Debug, Serialize)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    pub(super) cpu_s: Option<f64>,
    pub(super) descriptors: Option<u64>,
    pub(super) descriptors_max: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Doors {
    pub(super) public: String,
    pub(super) sbe: Option<String>,
    pub(super) ops: String,
    pub(super) tls: bool,
    pub(super) accepted: u64,
    pub(super) upgrades: u64,
    pub(super) pending: u64,
    pub(super) rest_connections: u64,
    pub(super) ws_api_connections: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct VenueStatus {
    pub(super) venue: String,
    pub(super) connections: u64,
    pub(super) listed: usize,
    pub(super) waiting: usize,
    pub(super) live: usize,
    pub(super) healing: usize,
    pub(super) refused: usize,
    pub(super) last_update_age_ms: Option<u64>,
    /// Over the last minute.
    pub(super) feed_lag_p50_ms: Option<f64>,
    pub(super) feed_lag_p99_ms: Option<f64>,
    pub(super) proof_age_ms: Option<u64>,
    pub(super) frames: u64,
    pub(super) frames_refused: u64,
    pub(super) gaps: u64,
    pub(super) resyncs: u64,
    pub(super) checksum_failures: u64,
    pub(super) trades_lost: u64,
    pub(super) connects: u64,
    pub(super) disconnects: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct SymbolStatus {
    pub(super) venue: String,
    pub(super) symbol: String,
    pub(super) listed: bool,
    pub(super) book: &'static str,
    pub(super) last_update_id: Option<i64>,
    pub(super) last_update_age_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct ReaderStatus {
    pub(super) reader: String,
    pub(super) lag_batches: u64,
    pub(super) laps: u64,
    pub(super) missed_batches: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct ShardStatus {
    pub(super) shard: String,
    pub(super) sessions: u64,
    pub(super) subscriptions: u64,
    pub(super) queued_bytes: u64,
    pub(super) slow_sessions: u64,
    pub(super) deliveries: u64,
    pub(super) bytes: u64,
    /// Over the last minute.
    pub(super) delivery_p50_ms: Option<f64>,
    pub(super) delivery_p99_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct StoreStatus {
    pub(super) bytes: u64,
    pub(super) file_bytes: u64,
    pub(super) rows: u64,
    pub(super) commits: u64,
    pub(super) failures: u64,
    pub(super) dropped: u64,
}

/// A limit, and how often it was reached where that is counted.
#[derive(Debug, Serialize)]
pub(super) struct Limit {
    pub(super) key: &'static str,
    pub(super) value: String,
    pub(super) reached: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Thread {
    pub(super) thread: String,
    pub(super) age_ms: u64,
    pub(super) late: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Reason {
    pub(super) reason: String,
    pub(super) count: u64,
}

impl Status {
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("text and numbers can be written")
    }
}

/// How everything is now.
pub(super) fn of(door: &Door) -> Status {
    let health = &door.health;
    let now = clock::now();
    // It catches up with the ring, so it comes first.
    let reasons = health.unready();
    let late = health.late();
    let samples = Samples::read(&metrics::render(&door.prometheus));
    let config = health.adjusted.config();
    let reached = |key| samples.sum("tickcast_server_limits_total", &[("limit", key)]).map(|count| count as u64);
    let limit = |&key: &&'static str| Some(Limit { key, value: config.values.shown(key)?, reached: reached(key) });
    let threads = health.beats.ages(now).into_iter().map(|age| Thread {
        late: late.iter().any(|late| late.name == age.name),
        age_ms: age.age.as_millis() as u64,
        thread: age.name.to_string(),
    });
    let venues = health.views.health();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        phase: if health.is_draining() { "draining" } else { "serving" },
        started_ms: door.started.millis(),
        uptime_s: now.since(door.started).as_secs(),
        live: late.is_empty(),
        ready: reasons.is_empty(),
        reasons,
        config: Configured {
            sources: door.operations.sources(),
            log_level: door.operations.log_level(),
            admin: config.ops.admin_key.is_some(),
            wants_restart: door.operations.wants_restart(),
        },
        process: process(&samples),
        doors: doors(door, &samples),
        venues: venues.iter().map(|books| venue(door, books, &samples, now)).collect(),
        symbols: symbols(door, now),
        readers: readers(&samples),
        shards: shards(door, &samples),
        store: store(&samples),
        limits: LIMITS.iter().filter_map(limit).collect(),
        threads: threads.collect(),
        closes: by_reason(&samples, "tickcast_session_closes_total"),
        refusals: by_reason(&samples, "tickcast_server_refused_total"),
    }
}

fn process(samples: &Samples) -> Process {
    let whole = |name| samples.sum(name, &[]).map(|value| value as u64);
    Process {
        resident_bytes: whole("process_resident_memory_bytes"),
        cpu_s: samples.sum("process_cpu_seconds_total", &[]),
        descriptors: whole("process_open_fds"),
        descriptors_max: whole("process_max_fds"),
    }
}

fn doors(door: &Door, samples: &Samples) -> Doors {
    let addresses = &door.addresses;
    Doors {
        public: addresses.public.to_string(),
        sbe: addresses.sbe.map(|address| address.to_string()),
        ops: addresses.ops.to_string(),
        tls: addresses.is_secure,
        accepted: samples.count("tickcast_server_accepted_total", &[]),
        upgrades: samples.count("tickcast_server_upgrades_total", &[]),
        pending: samples.count("tickcast_server_pending", &[]),
        rest_connections: samples.count("tickcast_server_rest_connections", &[]),
        ws_api_connections: samples.count("tickcast_server_ws_api_connections", &[]),
    }
}

fn venue(door: &Door, books: &VenueHealth, samples: &Samples, now: Nanos) -> VenueStatus {
    let venue: &Venue = &door.health.catalogue.venues()[books.venue.0 as usize];
    let labels = &[("venue", &*venue.name)];
    let count = |name| samples.count(name, labels);
    let lag = door.recent(samples, "tickcast_engine_feed_lag_seconds", labels);
    let proof_age = samples.sum("tickcast_book_proof_age_seconds", labels);
    VenueStatus {
        venue: venue.name.to_string(),
        connections: count("tickcast_intake_connections"),
        listed: books.listed,
        waiting: books.waiting,
        live: books.live,
        healing: books.healing,
        refused: books.refused,
        last_update_age_ms: door.health.silence(venue, now),
        feed_lag_p50_ms: lag.quantile(0.5).map(milliseconds),
        feed_lag_p99_ms: lag.quantile(0.99).map(milliseconds),
        proof_age_ms: proof_age.map(|seconds| milliseconds(seconds) as u64),
        frames: count("tickcast_intake_frames_total"),
        frames_refused: count("tickcast_engine_refused_total"),
        gaps: count("tickcast_book_gaps_total"),
        resyncs: count("tickcast_book_resyncs_total"),
        checksum_failures: count("tickcast_book_checksum_failures_total"),
        trades_lost: count("tickcast_engine_trades_lost_total"),
        connects: count("tickcast_intake_connects_total"),
        disconnects: count("tickcast_intake_disconnects_total"),
    }
}

fn symbols(door: &Door, now: Nanos) -> Vec<SymbolStatus> {
    let (catalogue, views) = (&door.health.catalogue, &door.health.views);
    let instruments = catalogue.instruments().iter();
    let status = instruments.map(|instrument| SymbolStatus {
        venue: catalogue.venues()[instrument.venue.0 as usize].name.to_string(),
        symbol: instrument.symbol.to_string(),
        listed: instrument.listing().is_some(),
        book: views.state(instrument.id).name(),
        last_update_id: views.depth(instrument.id, 0).map(|depth| depth.last_id),
        last_update_age_ms: views.updated(instrument.id).map(|updated| now.since(updated).as_millis() as u64),
    });
    status.collect()
}

fn readers(samples: &Samples) -> Vec<ReaderStatus> {
    let lags = samples.by("tickcast_ring_lag_batches", "reader").into_iter();
    let status = lags.map(|(reader, lag)| ReaderStatus {
        lag_batches: lag as u64,
        laps: samples.count("tickcast_ring_laps_total", &[("reader", &reader)]),
        missed_batches: samples.count("tickcast_ring_missed_total", &[("reader", &reader)]),
        reader,
    });
    let mut readers: Vec<_> = status.collect();
    readers.sort_by(|one, other| one.reader.cmp(&other.reader));
    readers
}

fn shards(door: &Door, samples: &Samples) -> Vec<ShardStatus> {
    let sessions = samples.by("tickcast_shard_sessions", "shard").into_iter();
    let status = sessions.map(|(shard, sessions)| {
        let labels = &[("shard", &*shard)];
        let count = |name| samples.count(name, labels);
        let delivery = door.recent(samples, "tickcast_shard_delivery_seconds", labels);
        ShardStatus {
            sessions: sessions as u64,
            subscriptions: count("tickcast_shard_subscriptions"),
            queued_bytes: count("tickcast_shard_queued_bytes"),
            slow_sessions: count("tickcast_shard_slow_sessions"),
            deliveries: count("tickcast_shard_deliveries_total"),
            bytes: count("tickcast_shard_bytes_total"),
            delivery_p50_ms: delivery.quantile(0.5).map(milliseconds),
            delivery_p99_ms: delivery.quantile(0.99).map(milliseconds),
            shard: shard.clone(),
        }
    });
    let mut shards: Vec<_> = status.collect();
    shards.sort_by_key(|shard| shard.shard.parse::<u32>().unwrap_or(u32::MAX));
    shards
}

fn store(samples: &Samples) -> StoreStatus {
    let count = |name| samples.count(name, &[]);
    StoreStatus {
        bytes: count("tickcast_store_bytes"),
        file_bytes: count("tickcast_store_file_bytes"),
        rows: count("tickcast_store_rows"),
        commits: count("tickcast_store_commits_total"),
        failures: count("tickcast_store_failures_total"),
        dropped: count("tickcast_store_dropped_total"),
    }
}

fn by_reason(samples: &Samples, name: &str) -> Vec<Reason> {
    let counts = samples.by(name, "reason").into_iter().filter(|(_, count)| *count > 0.0);
    let mut reasons: Vec<_> = counts.map(|(reason, count)| Reason { reason, count: count as u64 }).collect();
    reasons.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.reason.cmp(&other.reason)));
    reasons
}

fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e3
}

/// The limits that clients and operators meet.
const LIMITS: [&str; 19] = [
    "server.connects_per_five_minutes",
    "server.rest_weight_per_minute",
    "server.ban_after_refusals",
    "server.pending_max",
    "server.rest_connections_max",
    "server.rest_connections_per_address",
    "server.handshake_timeout_ms",
    "server.exempt_loopback",
    "session.streams_max",
    "session.messages_per_second",
    "session.messages_burst",
    "session.message_bytes_max",
    "session.unknown_bytes_max",
    "session.outbox_bytes_max",
    "session.pong_timeout_ms",
    "session.lifetime_ms",
    "ws_api.connections_max",
    "store.bytes_max",
    "ops.beat_max_ms",
];
