//! Above the ring: intake, the recording's tap, the engine.

use ::metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

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
    pub checksums: Counter,
    pub checksum_failures: Counter,
    pub proof_age: Gauge,
    pub crossed: Counter,
    pub trade_holes: Counter,
    pub trades_refilled: Counter,
    pub trades_lost: Counter,
    pub books: [Gauge; 4],
    pub trades_late: Counter,
    /// Wanted and pending.
    pub history: [Gauge; 2],
    /// By number of the connection, from 0.
    legs: Vec<Histogram>,
    venue: String,
}

/// Of one engine's passes.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "describe() says what each one is")]
pub struct Pass {
    pub seconds: Histogram,
    pub frames: Histogram,
}

/// Of the recording: there is one at most.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "describe() says what each one is")]
pub struct Recording {
    pub active: Gauge,
    pub frames: Counter,
    pub bytes: Counter,
    pub dropped: Counter,
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
        for reason in REASONS {
            counter!("tickcast_engine_refused_total", "venue" => name.clone(), "reason" => *reason).increment(0);
        }
        let books = ["waiting", "live", "healing", "refused"]
            .map(|state| gauge!("tickcast_book_state", "venue" => name.clone(), "state" => state));
        Self {
            feed_lag: histogram!("tickcast_engine_feed_lag_seconds", "venue" => name.clone()),
            events: counter!("tickcast_engine_events_total", "venue" => name.clone()),
            updates: counter!("tickcast_engine_updates_total", "venue" => name.clone()),
            gaps: counter!("tickcast_book_gaps_total", "venue" => name.clone()),
            resyncs: counter!("tickcast_book_resyncs_total", "venue" => name.clone()),
            checksums: counter!("tickcast_book_checksums_total", "venue" => name.clone()),
            proof_age: gauge!("tickcast_book_proof_age_seconds", "venue" => name.clone()),
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
            legs: vec![leg(&name, 0)],
            venue: name,
        }
    }

    /// The lateness of the venue's connection of this number, from 0; its handle is made with the first question.
    pub fn leg(&mut self, number: u32) -> &Histogram {
        let at = number as usize;
        for number in self.legs.len()..=at {
            self.legs.push(leg(&self.venue, number));
        }
        &self.legs[at]
    }

    /// Counts frames refused for `reason`, one of [`REASONS`]; rare, so looked up.
    pub fn refused(&self, reason: &'static str) {
        counter!("tickcast_engine_refused_total", "venue" => self.venue.clone(), "reason" => reason).increment(1);
    }
}

impl Pass {
    /// Handles for engine `engine`.
    pub fn of(engine: usize) -> Self {
        let engine = engine.to_string();
        Self {
            seconds: histogram!("tickcast_engine_pass_seconds", "engine" => engine.clone()),
            frames: histogram!("tickcast_engine_pass_frames", "engine" => engine),
        }
    }
}

impl Recording {
    /// The handles.
    pub fn new() -> Self {
        Self {
            active: gauge!("tickcast_recording_active"),
            frames: counter!("tickcast_recording_frames_total"),
            bytes: counter!("tickcast_recording_bytes_total"),
            dropped: counter!("tickcast_recording_dropped_total"),
        }
    }
}

impl Default for Recording {
    fn default() -> Self {
        Self::new()
    }
}

/// People count connections from 1.
fn leg(venue: &str, number: usize) -> Histogram {
    let connection = (number + 1).to_string();
    histogram!("tickcast_intake_leg_lateness_seconds", "venue" => venue.to_owned(), "connection" => connection)
}

/// Why frames of a venue are refused.
pub const REASONS: &[&str] = &["malformed", "number", "unknown_instrument", "unknown_message", "venue_error"];
