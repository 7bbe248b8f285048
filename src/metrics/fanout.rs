//! Below the ring: its readers and the shards.

use ::metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::doors::limit;

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

    /// Counts a session closed for `reason`, one of [`CLOSES`]; rare, so looked up.
    pub fn closed(reason: &'static str) {
        counter!("tickcast_session_closes_total", "reason" => reason).increment(1);
        if let Some((_, Some(key))) = CLOSES.iter().find(|(name, _)| *name == reason) {
            limit(key);
        }
    }

    /// Makes all series of what is looked up with each event.
    pub(super) fn begin() {
        for (reason, key) in CLOSES {
            counter!("tickcast_session_closes_total", "reason" => *reason).increment(0);
            if let Some(key) = key {
                counter!("tickcast_server_limits_total", "limit" => *key).increment(0);
            }
        }
    }
}

/// Why sessions are closed, and the key of the limit that was reached, if it is one.
pub const CLOSES: &[(&str, Option<&str>)] = &[
    ("binary", None),
    ("client", None),
    ("ids_reset", None),
    ("invalid_request", None),
    ("invalid_utf8", None),
    ("lapped", Some("ring.bytes")),
    ("lifetime", Some("session.lifetime_ms")),
    ("lost", None),
    ("pong_timeout", Some("session.pong_timeout_ms")),
    ("protocol", None),
    ("shutdown", None),
    ("slow_consumer", Some("session.outbox_bytes_max")),
    ("too_big", Some("session.message_bytes_max")),
    ("too_many_requests", Some("session.messages_per_second")),
    ("too_many_subscriptions", Some("session.streams_max")),
];
