//! The doors, the limits that clients meet, and what becomes of the configuration.

use ::metrics::{Counter, Gauge, counter, gauge};

use crate::clock;

/// Of the doors.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "describe() says what each one is")]
pub struct Server {
    pub accepted: Counter,
    pub accept_errors: Counter,
    pub upgrades: Counter,
    pub pending: Gauge,
    pub rest_connections: Gauge,
    pub ws_api_connections: Gauge,
}

/// Of the configuration. There are no handles: it changes a few times a year.
#[derive(Clone, Copy, Debug)]
pub struct Config;

impl Server {
    /// The handles.
    pub fn new() -> Self {
        Self {
            accepted: counter!("tickcast_server_accepted_total"),
            accept_errors: counter!("tickcast_server_accept_errors_total"),
            upgrades: counter!("tickcast_server_upgrades_total"),
            pending: gauge!("tickcast_server_pending"),
            rest_connections: gauge!("tickcast_server_rest_connections"),
            ws_api_connections: gauge!("tickcast_server_ws_api_connections"),
        }
    }

    /// Counts a request refused at the door for `reason`, one of [`REFUSED`].
    pub fn refused(reason: &'static str) {
        let known = REFUSED.iter().find(|(name, _)| *name == reason);
        counter!("tickcast_server_refused_total", "reason" => reason).increment(1);
        if let Some((_, Some(key))) = known {
            limit(key);
        }
    }

    /// Counts an idle connection that gave way to a new one for the limit with this configuration key.
    pub fn gave_way(key: &'static str) {
        limit(key);
    }

    /// Counts an answer of `/ws-api/v3` with this status.
    pub fn answered_ws_api(status: u16) {
        counter!("tickcast_server_ws_api_answers_total", "status" => label(status)).increment(1);
        weighed(status);
    }

    /// Counts a REST answer with this HTTP status.
    pub fn answered(status: u16) {
        counter!("tickcast_server_rest_answers_total", "status" => label(status)).increment(1);
        weighed(status);
    }

    /// Makes all series of what is looked up with each event.
    pub(super) fn begin() {
        for (reason, key) in REFUSED {
            counter!("tickcast_server_refused_total", "reason" => *reason).increment(0);
            if let Some(key) = key {
                counter!("tickcast_server_limits_total", "limit" => *key).increment(0);
            }
        }
        for status in STATUSES.iter().map(|(_, label)| *label).chain([OTHER_STATUS]) {
            counter!("tickcast_server_ws_api_answers_total", "status" => status).increment(0);
            counter!("tickcast_server_rest_answers_total", "status" => status).increment(0);
        }
        for key in [WEIGHT_LIMIT, BAN_LIMIT] {
            counter!("tickcast_server_limits_total", "limit" => key).increment(0);
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// Counts an attempt to take a changed configuration over; `ok`: it holds from now on, else it was refused and the
    /// one before holds on.
    pub fn reloaded(ok: bool) {
        counter!("tickcast_config_reloads_total", "result" => if ok { "done" } else { "refused" }).increment(1);
        gauge!("tickcast_config_last_reload_successful").set(if ok { 1.0 } else { 0.0 });
        if ok {
            since();
        }
    }

    /// The configuration that the process starts with counts as taken over, and not as a reload.
    pub(super) fn begin() {
        for result in ["done", "refused"] {
            counter!("tickcast_config_reloads_total", "result" => result).increment(0);
        }
        gauge!("tickcast_config_last_reload_successful").set(1.0);
        since();
    }
}

/// Counts one hit of the limit with this configuration key.
pub(super) fn limit(key: &'static str) {
    counter!("tickcast_server_limits_total", "limit" => key).increment(1);
}

fn since() {
    gauge!("tickcast_config_last_reload_timestamp_seconds").set(clock::now().0 as f64 / 1e9);
}

/// Answers that say that an address has used up its requests, over REST and `/ws-api/v3` alike.
fn weighed(status: u16) {
    match status {
        429 => limit(WEIGHT_LIMIT),
        418 => limit(BAN_LIMIT),
        _ => {}
    }
}

fn label(status: u16) -> &'static str {
    STATUSES.iter().find(|(known, _)| *known == status).map_or(OTHER_STATUS, |(_, label)| label)
}

/// Why a door refuses, and the key of the limit that was reached, if it is one.
pub const REFUSED: &[(&str, Option<&str>)] = &[
    ("admin", None),
    ("connects", Some("server.connects_per_five_minutes")),
    ("host", None),
    ("key", None),
    ("ops", None),
    ("path", None),
    ("pending", Some("server.pending_max")),
    ("request", None),
    ("rest", Some("server.rest_connections_max")),
    ("rest_address", Some("server.rest_connections_per_address")),
    ("shards", None),
    ("timeout", Some("server.handshake_timeout_ms")),
    ("tls", None),
    ("weight", Some(WEIGHT_LIMIT)),
    ("ws_api", Some("ws_api.connections_max")),
];

const WEIGHT_LIMIT: &str = "server.rest_weight_per_minute";
const BAN_LIMIT: &str = "server.ban_after_refusals";

/// The statuses that our answers have.
const STATUSES: &[(u16, &str)] = &[
    (200, "200"),
    (204, "204"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (406, "406"),
    (418, "418"),
    (426, "426"),
    (429, "429"),
    (500, "500"),
    (503, "503"),
];

/// A status that no answer of ours should have.
const OTHER_STATUS: &str = "other";
