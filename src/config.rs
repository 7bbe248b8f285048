//! Configuration: built-in defaults, file, environment and flags merged into one checked, typed [`Config`].
//!
//! Every key stands in `config/default.toml` with its unit, limit and reason; that file *is* the default.

mod api_key;
mod check;
mod merge;
mod reload;
mod values;

pub use api_key::ApiKey;
pub use check::{EMBEDDED, check_log_level};
pub use merge::{ConfigError, Overrides};
pub use reload::{RELOADABLE, is_reloadable};
pub use values::Values;

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer, de::Error};

/// The built-in defaults, as `tickcast default-config` prints them.
pub const DEFAULT_TOML: &str = include_str!("../config/default.toml");

/// Everything that can be set. Field names, units and limits: see `config/default.toml`.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "config/default.toml explains each key once, where its reader looks")]
pub struct Config {
    pub server: Server,
    pub sbe: Sbe,
    pub tls: Tls,
    pub session: Session,
    pub ws_api: WsApi,
    pub delivery: Delivery,
    pub ops: Ops,
    pub ring: Ring,
    pub engine: Engine,
    pub intake: Intake,
    pub store: Store,
    pub log: Log,
    pub exchange: Exchange,
    pub venues: Vec<Venue>,
    /// The same as keys and values, as they were read.
    #[serde(skip)]
    pub values: Values,
}

/// The public door.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Server {
    pub listen: SocketAddr,
    pub shards: usize,
    pub shard_cores: Vec<usize>,
    pub reuse_port: bool,
    pub backlog: i32,
    pub handshake_timeout_ms: u64,
    pub request_bytes_max: usize,
    pub pending_max: usize,
    pub rest_connections_max: usize,
    pub rest_connections_per_address: u32,
    pub connects_per_five_minutes: u32,
    pub exempt_loopback: bool,
    pub rest_weight_per_minute: u32,
    pub ban_after_refusals: u32,
    pub ban_first_ms: u64,
    pub ban_max_ms: u64,
}

/// The door of SBE.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Sbe {
    #[serde(deserialize_with = "address_or_nothing")]
    pub listen: Option<SocketAddr>,
    pub api_keys: Vec<ApiKey>,
}

/// TLS at the doors for clients.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Tls {
    pub certificate: String,
    pub key: String,
}

/// One client connection.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Session {
    pub streams_max: usize,
    pub messages_per_second: u32,
    pub messages_burst: u32,
    pub ping_interval_ms: u64,
    pub pong_timeout_ms: u64,
    pub lifetime_ms: u64,
    pub lifetime_jitter_ms: u32,
    pub message_bytes_max: usize,
    pub unknown_bytes_max: usize,
    pub outbox_bytes_max: usize,
    pub close_timeout_ms: u64,
    pub announce_shutdown: bool,
}

/// Connections to `/ws-api/v3`.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct WsApi {
    pub connections_max: usize,
    pub message_bytes_max: usize,
    pub write_timeout_ms: u64,
}

/// How updates leave.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Delivery {
    pub flush_delay_ms_max: u64,
    pub sender: Sender,
}

/// Where the ingest loop runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineThread {
    /// In intake's thread if this process has one core only, else in its own.
    Auto,
    /// In its own.
    Own,
    /// In intake's.
    Intake,
}

/// What hands bytes to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sender {
    /// io_uring if the kernel lets this process use it, else one system call per session.
    Auto,
    /// One system call per session.
    Epoll,
    /// io_uring; without it the server does not start.
    IoUring,
}

/// The operators' door.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Ops {
    pub listen: SocketAddr,
    pub hosts: Vec<String>,
    #[serde(deserialize_with = "api_key::key_or_nothing")]
    pub admin_key: Option<ApiKey>,
    pub beat_max_ms: u64,
    pub silence_max_ms: u64,
}

/// The ring between the halves.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Ring {
    pub slots: usize,
    pub bytes: usize,
}

/// The ingest loop.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Engine {
    pub thread: EngineThread,
    pub trade_refill_wait_ms: u64,
    pub join_diffs_max: usize,
    pub snapshot_levels_first: u32,
    pub snapshot_levels_deep: u32,
}

/// Connections to venues.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Intake {
    pub connect_timeout_ms: u64,
    pub rest_timeout_ms: u64,
    pub backoff_first_ms: u64,
    pub backoff_max_ms: u64,
    pub healthy_after_ms: u64,
    pub silence_max_ms: u64,
    pub stale_after_ms: u64,
    pub lifetime_ms: u64,
    pub frame_bytes_max: usize,
    pub rest_weight_percent: u32,
}

/// The history that is kept.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Store {
    pub path: String,
    pub bytes_max: u64,
    pub commit_interval_ms: u64,
    pub second_rows_max: u64,
    pub minute_rows_max: u64,
    pub rows_max: u64,
    pub trades_max: u64,
}

/// What is logged.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Log {
    pub level: String,
}

/// The simulated exchange.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Exchange {
    pub listen: SocketAddr,
    pub seed: u64,
    pub rate: u32,
    pub messages_per_second: u32,
    pub gap_per_minute: f64,
    pub duplicate_per_minute: f64,
    pub reorder_per_minute: f64,
    pub stall_per_minute: f64,
    pub disconnect_per_minute: f64,
    pub malformed_per_minute: f64,
    pub stale_snapshot_per_minute: f64,
    pub rate_limit_per_minute: f64,
    pub rest_error_per_minute: f64,
}

/// One venue.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Venue {
    pub name: String,
    pub kind: String,
    pub ws_url: String,
    pub rest_url: String,
    pub symbols: Vec<String>,
    #[serde(default = "one")]
    pub connections: u32,
    #[serde(default = "thousand")]
    pub book_depth: u32,
}

fn address_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let address = text.parse().map_err(|_| {
        D::Error::custom(format_args!(
            "`{text}` is no address; sbe.listen has to be like 127.0.0.1:9444, or empty for none"
        ))
    })?;
    Ok(Some(address))
}

const fn one() -> u32 {
    1
}

const fn thousand() -> u32 {
    1000
}

impl Config {
    /// The built-in defaults.
    ///
    /// # Panics
    /// Never: a test loads them.
    pub fn embedded() -> Self {
        Self::load(&Overrides::default()).expect("config/default.toml is checked by a test")
    }

    /// Merges the defaults, `overrides.file`, the given environment and the given settings, and checks the result.
    ///
    /// # Errors
    /// One clear line for the first thing that is wrong: the key, what it has to be, and the nearest valid name.
    pub fn load(overrides: &Overrides) -> Result<Self, ConfigError> {
        let config = merge::merge(DEFAULT_TOML, overrides)?;
        check::check(&config)?;
        Ok(config)
    }
}
