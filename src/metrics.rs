//! Metric names, help texts and handles. Each room owns one of the structs below, made once at start; on the hot path a
//! metric is a plain integer of the room, added to its handle once per pass.
//!
//! Names: `tickcast_<room>_<noun>[_<unit>][_total]`; labels are closed sets (venue, reason, shard, state).

use std::sync::{Mutex, PoisonError};

use ::metrics::{Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram};
use ::metrics::{gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Installs the process-wide recorder before any handle is made; later calls give the same one.
///
/// # Errors
/// If a recorder of someone else's is installed already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_batches".to_owned()), POWERS)?
        .install_recorder()?;
    describe();
    *installed = Some(handle.clone());
    Ok(handle)
}

/// From 50 us to 10 s: a pass takes microseconds, a stalled reader seconds.
const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

const POWERS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0];

/// Of intake, one per venue.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "describe() says what each one is")]
pub struct Intake {
    pub frames: Counter,
    pub bytes: Counter,
    pub connects: Counter,
    pub disconnects: Counter,
    pub connections: Gauge,
    pub rest_requests: Counter,
    pub rest_failures: Counter,
    pub rest_weight: Gauge,
    /// By [`RestPurpose`].
    pub rest_weights: [Counter; RestPurpose::COUNT],
    /// By [`RestPurpose`].
    pub rest_waiting: [Gauge; RestPurpose::COUNT],
}

/// What a venue's REST is asked for: a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestPurpose {
    /// The list of instruments.
    Listing,
    /// Trades and aggregate trades that were lost.
    Lost,
    /// Whole books.
    Book,
    /// The newest trades.
    Recent,
    /// Candles.
    Klines,
}

impl RestPurpose {
    /// How many there are.
    pub const COUNT: usize = 5;

    const LABELS: [&str; Self::COUNT] = ["listing", "lost", "book", "recent", "klines"];
}

/// Of the engine, one per venue.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "describe() says what each one is")]
pub struct Engine {
    pub feed_lag: Histogram,
    pub events: Counter,
    pub updates: Counter,
    pub gaps: Counter,
    pub resyncs: Counter,
    pub checksum_failures: Counter,
    pub crossed: Counter,
    pub trade_holes: Counter,
    pub trades_refilled: Counter,
    pub trades_lost: Counter,
    pub books: [Gauge; 4],
    pub trades_late: Counter,
    /// Wanted and pending.
    pub history: [Gauge; 2],
    venue: String,
}

/// Of one ring reader.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "describe() says what each one is")]
pub struct Ring {
    pub lag: Gauge,
    pub laps: Counter,
    pub missed: Counter,
}

/// Of one shard.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "describe() says what each one is")]
pub struct Shard {
    pub sessions: Gauge,
    pub subscriptions: Gauge,
    pub deliveries: Counter,
    pub bytes: Counter,
    pub writes: Counter,
    pub encoded: Counter,
    pub conflated: Counter,
    pub merged: Counter,
    pub queued_bytes: Gauge,
    pub slow_sessions: Gauge,
    pub delivery: Histogram,
}

/// Of the doors.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "describe() says what each one is")]
pub struct Server {
    pub accepted: Counter,
    pub accept_errors: Counter,
    pub upgrades: Counter,
    pub pending: Gauge,
    pub ws_api_connections: Gauge,
}

/// Of the store.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "describe() says what each one is")]
pub struct Store {
    pub bytes: Gauge,
    pub file_bytes: Gauge,
    pub rows: Gauge,
    pub commits: Counter,
    pub commit: Histogram,
    pub lapped: Counter,
    pub dropped: Counter,
    pub left_out: Counter,
    pub failures: Counter,
}

impl Intake {
    /// Handles for `venue`.
    pub fn of(venue: &str) -> Self {
        let venue = venue.to_owned();
        Self {
            frames: counter!("tickcast_intake_frames_total", "venue" => venue.clone()),
            bytes: counter!("tickcast_intake_bytes_total", "venue" => venue.clone()),
            connects: counter!("tickcast_intake_connects_total", "venue" => venue.clone()),
            disconnects: counter!("tickcast_intake_disconnects_total", "venue" => venue.clone()),
            connections: gauge!("tickcast_intake_connections", "venue" => venue.clone()),
            rest_requests: counter!("tickcast_intake_rest_requests_total", "venue" => venue.clone()),
            rest_failures: counter!("tickcast_intake_rest_failures_total", "venue" => venue.clone()),
            rest_weights: RestPurpose::LABELS.map(
                |purpose| counter!("tickcast_intake_rest_weight_total", "venue" => venue.clone(), "purpose" => purpose),
            ),
            rest_waiting: RestPurpose::LABELS
                .map(|purpose| gauge!("tickcast_intake_rest_waiting", "venue" => venue.clone(), "purpose" => purpose)),
            rest_weight: gauge!("tickcast_intake_rest_weight", "venue" => venue),
        }
    }
}

impl Engine {
    /// Handles for `venue`.
    pub fn of(venue: &str) -> Self {
        let name = venue.to_owned();
        let books = ["waiting", "live", "healing", "refused"]
            .map(|state| gauge!("tickcast_book_state", "venue" => name.clone(), "state" => state));
        Self {
            feed_lag: histogram!("tickcast_engine_feed_lag_seconds", "venue" => name.clone()),
            events: counter!("tickcast_engine_events_total", "venue" => name.clone()),
            updates: counter!("tickcast_engine_updates_total", "venue" => name.clone()),
            gaps: counter!("tickcast_book_gaps_total", "venue" => name.clone()),
            resyncs: counter!("tickcast_book_resyncs_total", "venue" => name.clone()),
            checksum_failures: counter!("tickcast_book_checksum_failures_total", "venue" => name.clone()),
            crossed: counter!("tickcast_book_crossed_total", "venue" => name.clone()),
            trade_holes: counter!("tickcast_engine_trade_holes_total", "venue" => name.clone()),
            trades_refilled: counter!("tickcast_engine_trades_refilled_total", "venue" => name.clone()),
            trades_lost: counter!("tickcast_engine_trades_lost_total", "venue" => name.clone()),
            books,
            trades_late: counter!("tickcast_engine_trades_late_total", "venue" => name.clone()),
            history: [
                gauge!("tickcast_engine_history_wanted", "venue" => name.clone()),
                gauge!("tickcast_engine_history_pending", "venue" => name.clone()),
            ],
            venue: name,
        }
    }

    /// Counts frames refused for `reason` (a [`crate::metrics`] label of a closed set); rare, so looked up.
    pub fn refused(&self, reason: &'static str) {
        counter!("tickcast_engine_refused_total", "venue" => self.venue.clone(), "reason" => reason).increment(1);
    }
}

impl Ring {
    /// Handles for the reader named `reader` (`shard-0`, `views`) of engine `engine`'s ring.
    pub fn of(engine: usize, reader: &str) -> Self {
        let (engine, reader) = (engine.to_string(), reader.to_owned());
        Self {
            lag: gauge!("tickcast_ring_lag_batches", "engine" => engine.clone(), "reader" => reader.clone()),
            laps: counter!("tickcast_ring_laps_total", "engine" => engine.clone(), "reader" => reader.clone()),
            missed: counter!("tickcast_ring_missed_total", "engine" => engine, "reader" => reader),
        }
    }
}

impl Shard {
    /// Handles for shard `index`.
    pub fn of(index: usize) -> Self {
        let shard = index.to_string();
        Self {
            sessions: gauge!("tickcast_shard_sessions", "shard" => shard.clone()),
            subscriptions: gauge!("tickcast_shard_subscriptions", "shard" => shard.clone()),
            deliveries: counter!("tickcast_shard_deliveries_total", "shard" => shard.clone()),
            bytes: counter!("tickcast_shard_bytes_total", "shard" => shard.clone()),
            writes: counter!("tickcast_shard_writes_total", "shard" => shard.clone()),
            encoded: counter!("tickcast_shard_encoded_total", "shard" => shard.clone()),
            conflated: counter!("tickcast_shard_conflated_total", "shard" => shard.clone()),
            merged: counter!("tickcast_shard_merged_total", "shard" => shard.clone()),
            queued_bytes: gauge!("tickcast_shard_queued_bytes", "shard" => shard.clone()),
            slow_sessions: gauge!("tickcast_shard_slow_sessions", "shard" => shard.clone()),
            delivery: histogram!("tickcast_shard_delivery_seconds", "shard" => shard),
        }
    }

    /// Counts a session closed for `reason`, a label of a closed set; rare, so looked up.
    pub fn closed(reason: &'static str) {
        counter!("tickcast_session_closes_total", "reason" => reason).increment(1);
    }
}

impl Server {
    /// The handles.
    pub fn new() -> Self {
        Self {
            accepted: counter!("tickcast_server_accepted_total"),
            accept_errors: counter!("tickcast_server_accept_errors_total"),
            upgrades: counter!("tickcast_server_upgrades_total"),
            pending: gauge!("tickcast_server_pending"),
            ws_api_connections: gauge!("tickcast_server_ws_api_connections"),
        }
    }

    /// Counts a request refused at the door for `reason`, a label of a closed set.
    pub fn refused(reason: &'static str) {
        counter!("tickcast_server_refused_total", "reason" => reason).increment(1);
    }

    /// Counts an answer of `/ws-api/v3` with this status.
    pub fn answered_ws_api(status: u16) {
        counter!("tickcast_server_ws_api_answers_total", "status" => status.to_string()).increment(1);
    }

    /// Counts a REST answer with this HTTP status.
    pub fn answered(status: u16) {
        counter!("tickcast_server_rest_answers_total", "status" => status.to_string()).increment(1);
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// The handles.
    pub fn new() -> Self {
        // So that it is there before the first one.
        counter!("tickcast_store_set_aside_total").increment(0);
        Self {
            bytes: gauge!("tickcast_store_bytes"),
            file_bytes: gauge!("tickcast_store_file_bytes"),
            rows: gauge!("tickcast_store_rows"),
            commits: counter!("tickcast_store_commits_total"),
            commit: histogram!("tickcast_store_commit_seconds"),
            lapped: counter!("tickcast_store_lapped_total"),
            dropped: counter!("tickcast_store_dropped_total"),
            left_out: counter!("tickcast_store_left_out_total"),
            failures: counter!("tickcast_store_failures_total"),
        }
    }

    /// Counts a file set aside.
    pub fn set_aside() {
        counter!("tickcast_store_set_aside_total").increment(1);
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

/// Publishes the version as a constant gauge.
pub fn build_info(version: &'static str) {
    gauge!("tickcast_build_info", "version" => version).set(1.0);
}

fn describe() {
    for (name, help) in COUNTERS {
        describe_counter!(*name, *help);
    }
    for (name, help) in GAUGES {
        describe_gauge!(*name, *help);
    }
    for (name, help) in HISTOGRAMS {
        describe_histogram!(*name, Unit::Seconds, *help);
    }
}

/// Every counter with its help text.
pub const COUNTERS: &[(&str, &str)] = &[
    ("tickcast_intake_frames_total", "Frames received from the venue"),
    ("tickcast_intake_bytes_total", "Bytes received from the venue in frames"),
    ("tickcast_intake_connects_total", "Connections to the venue that were established"),
    ("tickcast_intake_disconnects_total", "Connections to the venue that were lost"),
    ("tickcast_intake_rest_requests_total", "REST requests sent to the venue"),
    ("tickcast_intake_rest_failures_total", "REST requests to the venue that brought no usable answer"),
    ("tickcast_intake_rest_weight_total", "REST weight used at the venue, by purpose"),
    ("tickcast_engine_events_total", "Events decoded from the venue's frames"),
    ("tickcast_engine_updates_total", "Updates published into the ring"),
    ("tickcast_engine_refused_total", "Frames of the venue that were refused, by reason"),
    ("tickcast_book_gaps_total", "Holes found in the venue's book messages"),
    ("tickcast_book_resyncs_total", "Books joined again with a snapshot"),
    ("tickcast_book_checksum_failures_total", "Book messages whose checksum did not match"),
    ("tickcast_book_crossed_total", "Times a book was found crossed and not published"),
    ("tickcast_engine_trade_holes_total", "Holes found in the ids of trades and of aggregate trades"),
    ("tickcast_engine_trades_refilled_total", "Trades fetched again over REST after a hole"),
    ("tickcast_engine_trades_lost_total", "Trades and aggregate trades that stayed lost"),
    ("tickcast_ring_laps_total", "Times this reader fell a whole ring behind"),
    ("tickcast_ring_missed_total", "Batches this reader never saw"),
    ("tickcast_store_commits_total", "Commits of history"),
    ("tickcast_store_lapped_total", "Times the store fell a whole ring behind, which leaves a hole in its candles"),
    ("tickcast_store_dropped_total", "Candles that gave way in memory because no disk took them in time"),
    ("tickcast_store_left_out_total", "Kept rows left out of answers because the venue's decimals changed"),
    ("tickcast_store_failures_total", "Reads and commits of history that failed"),
    ("tickcast_store_set_aside_total", "Files of history found damaged or foreign and set aside"),
    ("tickcast_shard_deliveries_total", "Updates delivered, one per update and session"),
    ("tickcast_shard_bytes_total", "Bytes written to sessions"),
    ("tickcast_shard_writes_total", "Write calls to sessions"),
    ("tickcast_shard_encoded_total", "Frames encoded, once per shard and form"),
    (
        "tickcast_shard_conflated_total",
        "Frames of states that were dropped because a newer one waited for the same slow session",
    ),
    ("tickcast_shard_merged_total", "Diffs that became part of a later one that waited for the same slow session"),
    ("tickcast_session_closes_total", "Sessions closed, by reason"),
    ("tickcast_server_accepted_total", "Connections accepted"),
    ("tickcast_server_accept_errors_total", "Failed accepts, out of descriptors among them"),
    ("tickcast_server_upgrades_total", "Connections upgraded to WebSocket"),
    ("tickcast_server_refused_total", "Requests refused at the door, by reason"),
    ("tickcast_server_rest_answers_total", "REST answers, by HTTP status"),
    ("tickcast_server_ws_api_answers_total", "Answers of /ws-api/v3, by the status in them"),
    ("tickcast_engine_trades_late_total", "Trades that came after their candle of a minute or a second had been told"),
];

/// Every gauge with its help text.
pub const GAUGES: &[(&str, &str)] = &[
    ("tickcast_intake_connections", "Connections open to the venue"),
    ("tickcast_intake_rest_weight", "REST weight used at the venue in this minute"),
    ("tickcast_intake_rest_waiting", "REST requests that wait for their turn, by purpose"),
    ("tickcast_book_state", "Books of the venue in this state"),
    ("tickcast_ring_lag_batches", "Batches published and not yet read by this reader"),
    ("tickcast_store_bytes", "What the kept history occupies in use, store.bytes_max at most"),
    ("tickcast_store_file_bytes", "Length of the file of history; unused parts of it are reused, and may be holes"),
    ("tickcast_store_rows", "Rows of history on disk"),
    ("tickcast_shard_sessions", "Sessions open"),
    ("tickcast_shard_subscriptions", "Subscriptions held by open sessions"),
    ("tickcast_shard_queued_bytes", "Bytes waiting for slow sessions"),
    ("tickcast_shard_slow_sessions", "Sessions with bytes waiting"),
    ("tickcast_server_pending", "Connections in the handshake or in REST"),
    ("tickcast_server_ws_api_connections", "Connections at /ws-api/v3"),
    ("tickcast_build_info", "Always 1; the version is the label"),
    ("tickcast_engine_history_wanted", "Requests for history made or to be made since the start"),
    ("tickcast_engine_history_pending", "Requests for history that are not answered yet"),
];

/// Every histogram with its help text; all are in seconds.
pub const HISTOGRAMS: &[(&str, &str)] = &[
    ("tickcast_engine_feed_lag_seconds", "Receive time minus the venue's event time, never below zero"),
    ("tickcast_store_commit_seconds", "How long a commit of history takes"),
    ("tickcast_shard_delivery_seconds", "From receiving a frame to writing its first update, sampled once per pass"),
];
