//! Limits and relations between values that types cannot hold.

use std::{collections::HashSet, fmt::Display, net::IpAddr};

use super::{
    Config, ConfigError, Exchange, Ops, Sbe, Tls, Venue,
    api_key::{ADMIN_KEY_BYTES_MIN, KEY_BYTES_MAX},
};
use crate::topic::VENUES_MAX;

/// Names of ours in paths: a venue that took one could not be reached.
const RESERVED: [&str; 15] = [
    "ws", "stream", "api", "ws-api", "docs", "sbe", "metrics", "livez", "readyz", "status", "admin", "assets", "index",
    "favicon", "page",
];

/// The address of a venue that the simulated exchange inside this process stands in for.
pub const EMBEDDED: &str = "embedded";

/// A hundred years of hours, or nineteen of minutes.
const STORE_ROWS_MAX: u64 = 10_000_000;

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let Config { server, session, ws_api, ring, engine, intake, exchange, .. } = config;
    range("server.shards", server.shards, 0, 64)?;
    range("server.backlog", server.backlog, 1, i32::MAX)?;
    range("server.handshake_timeout_ms", server.handshake_timeout_ms, 100, 600_000)?;
    range("server.request_bytes_max", server.request_bytes_max, 1024, 1 << 20)?;
    range("server.pending_max", server.pending_max, 1, 1 << 20)?;
    range("server.rest_connections_max", server.rest_connections_max, 1, 1 << 20)?;
    sbe(&config.sbe)?;
    tls(&config.tls)?;
    ops(&config.ops)?;
    range("server.ban_first_ms", server.ban_first_ms, 1000, 30 * 86_400_000)?;
    range("server.ban_max_ms", server.ban_max_ms, server.ban_first_ms, 30 * 86_400_000)?;
    range("session.streams_max", session.streams_max, 1, 65_536)?;
    range("session.messages_burst", session.messages_burst, 1, 1 << 20)?;
    range("session.ping_interval_ms", session.ping_interval_ms, 10, 86_400_000)?;
    range("session.pong_timeout_ms", session.pong_timeout_ms, session.ping_interval_ms, 86_400_000)?;
    range("session.lifetime_ms", session.lifetime_ms, 100, 366 * 86_400_000)?;
    range("session.lifetime_jitter_ms", session.lifetime_jitter_ms.into(), 0, session.lifetime_ms.min(86_400_000))?;
    range("session.message_bytes_max", session.message_bytes_max, 1024, 1 << 24)?;
    range("session.unknown_bytes_max", session.unknown_bytes_max, 0, 1 << 24)?;
    range("session.outbox_bytes_max", session.outbox_bytes_max, 4096, 1 << 30)?;
    range("session.close_timeout_ms", session.close_timeout_ms, 10, 60_000)?;
    range("ws_api.connections_max", ws_api.connections_max, 0, 65_536)?;
    range("ws_api.message_bytes_max", ws_api.message_bytes_max, 1024, 1 << 24)?;
    range("ws_api.write_timeout_ms", ws_api.write_timeout_ms, 100, 600_000)?;
    range("delivery.flush_delay_ms_max", config.delivery.flush_delay_ms_max, 0, 1000)?;
    range("ring.slots", ring.slots, 64, 1 << 20)?;
    if !ring.slots.is_power_of_two() {
        return Err(out_of_range("ring.slots", ring.slots, "it has to be a power of two".to_owned()));
    }
    range("ring.bytes", ring.bytes, 1 << 20, usize::MAX)?;
    range("engine.trade_refill_wait_ms", engine.trade_refill_wait_ms, 0, 600_000)?;
    range("engine.join_diffs_max", engine.join_diffs_max, 16, 1 << 20)?;
    range("engine.snapshot_levels_first", engine.snapshot_levels_first, 5, 5000)?;
    range("engine.snapshot_levels_deep", engine.snapshot_levels_deep, engine.snapshot_levels_first, 5000)?;
    range("intake.connect_timeout_ms", intake.connect_timeout_ms, 10, 600_000)?;
    range("intake.rest_timeout_ms", intake.rest_timeout_ms, 10, 600_000)?;
    range("intake.backoff_first_ms", intake.backoff_first_ms, 1, 600_000)?;
    range("intake.backoff_max_ms", intake.backoff_max_ms, intake.backoff_first_ms, 3_600_000)?;
    range("intake.silence_max_ms", intake.silence_max_ms, 100, 3_600_000)?;
    range("intake.stale_after_ms", intake.stale_after_ms, 100, 86_400_000)?;
    range("intake.lifetime_ms", intake.lifetime_ms, 1000, 366 * 86_400_000)?;
    range("intake.frame_bytes_max", intake.frame_bytes_max, 1 << 16, 1 << 30)?;
    range("intake.rest_weight_percent", intake.rest_weight_percent, 1, 100)?;
    let store = &config.store;
    range("store.bytes_max", store.bytes_max, 1 << 20, 1 << 50)?;
    range("store.commit_interval_ms", store.commit_interval_ms, 10, 60_000)?;
    range("store.second_rows_max", store.second_rows_max, 1, STORE_ROWS_MAX)?;
    range("store.minute_rows_max", store.minute_rows_max, 1, STORE_ROWS_MAX)?;
    range("store.rows_max", store.rows_max, 1, STORE_ROWS_MAX)?;
    range("store.trades_max", store.trades_max, 1, 1_000_000)?;
    simulated(exchange)?;
    check_log_level(&config.log.level)?;
    venues(&config.venues)
}

fn simulated(exchange: &Exchange) -> Result<(), ConfigError> {
    range("exchange.rate", exchange.rate, 1, 1_000_000)?;
    range("exchange.messages_per_second", exchange.messages_per_second, 0, 1_000_000)?;
    let faults = [
        ("gap", exchange.gap_per_minute),
        ("duplicate", exchange.duplicate_per_minute),
        ("reorder", exchange.reorder_per_minute),
        ("stall", exchange.stall_per_minute),
        ("disconnect", exchange.disconnect_per_minute),
        ("malformed", exchange.malformed_per_minute),
        ("stale_snapshot", exchange.stale_snapshot_per_minute),
        ("rate_limit", exchange.rate_limit_per_minute),
        ("rest_error", exchange.rest_error_per_minute),
    ];
    // No number is in no range either.
    faults.iter().try_for_each(|(fault, rate)| range(&format!("exchange.{fault}_per_minute"), *rate, 0.0, 60_000.0))
}

/// A wrong key is named by its place: it may be a right one with a blank too many.
fn sbe(sbe: &Sbe) -> Result<(), ConfigError> {
    range("sbe.api_keys", sbe.api_keys.len(), 0, API_KEYS_MAX)?;
    let Some(at) = sbe.api_keys.iter().position(|key| !key.is_legal()) else { return Ok(()) };
    let expected = format!("a key has to be 1 to {KEY_BYTES_MAX} printable ASCII characters without blanks");
    Err(out_of_range("sbe.api_keys", format_args!("wrong in place {}", at + 1), expected))
}

fn tls(tls: &Tls) -> Result<(), ConfigError> {
    let (empty, other) = match (tls.certificate.is_empty(), tls.key.is_empty()) {
        (true, false) => ("tls.certificate", "tls.key"),
        (false, true) => ("tls.key", "tls.certificate"),
        _ => return Ok(()),
    };
    let expected = format!("it has to name a PEM file, since `{other}` does; or leave both empty, for no TLS");
    Err(out_of_range(empty, "empty", expected))
}

/// All of them are looked at in each handshake.
const API_KEYS_MAX: usize = 10_000;

fn ops(ops: &Ops) -> Result<(), ConfigError> {
    range("ops.beat_max_ms", ops.beat_max_ms, 2000, 600_000)?;
    range("ops.silence_max_ms", ops.silence_max_ms, 0, 86_400_000)?;
    range("ops.hosts", ops.hosts.len(), 0, HOSTS_MAX)?;
    let legal = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let is_name = |name: &str| (1..=HOST_BYTES_MAX).contains(&name.len()) && name.chars().all(legal);
    if let Some(wrong) = ops.hosts.iter().find(|name| !is_name(name) && name.parse::<IpAddr>().is_err()) {
        let expected = "it has to be a list of names or addresses without a port, such as [\"tickcast\"]".to_owned();
        return Err(out_of_range("ops.hosts", format_args!("{wrong:?} among others"), expected));
    }
    if ops.admin_key.as_ref().is_some_and(|key| !key.is_legal() || !key.is_strong()) {
        let expected = format!(
            "it has to be {ADMIN_KEY_BYTES_MIN} to {KEY_BYTES_MAX} printable ASCII characters without blanks, or empty: \
             no admin API"
        );
        return Err(out_of_range("ops.admin_key", "something else (not shown)", expected));
    }
    Ok(())
}

/// A proxy, a scraper and an orchestrator have a name each.
const HOSTS_MAX: usize = 64;

/// The longest name that DNS can carry.
const HOST_BYTES_MAX: usize = 253;

/// Looks at a value for `log.level`. A word that is no level would be read as the name of a room, and everything else
/// would fall silent.
///
/// # Errors
/// What it has to be.
pub fn check_log_level(text: &str) -> Result<(), ConfigError> {
    let is_level = |word: &str| LOG_LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    if text.split(',').all(|part| is_level(part.rsplit('=').next().unwrap_or(part).trim())) {
        return Ok(());
    }
    let expected = format!("it has to be one of {}, or per room: info,tickcast::intake=debug", LOG_LEVELS.join(", "));
    Err(out_of_range("log.level", text, expected))
}

const LOG_LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

fn venues(venues: &[Venue]) -> Result<(), ConfigError> {
    if venues.is_empty() {
        return Err(out_of_range("venues", "empty", "name at least one [[venues]]".to_owned()));
    }
    range("venues", venues.len(), 1, VENUES_MAX)?;
    for (index, venue) in venues.iter().enumerate() {
        let key = |name: &str| format!("venues.{}.{name}", index + 1);
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if venue.name.is_empty() || !venue.name.chars().all(legal) {
            let expected = "it has to be of lower-case letters, digits, - and _".to_owned();
            return Err(out_of_range(&key("name"), &venue.name, expected));
        }
        if RESERVED.contains(&venue.name.as_str()) {
            let expected = format!("that is a path of ours; reserved are {}", RESERVED.join(", "));
            return Err(out_of_range(&key("name"), &venue.name, expected));
        }
        if venues[..index].iter().any(|other| other.name == venue.name) {
            return Err(out_of_range(&key("name"), &venue.name, "another venue has that name".to_owned()));
        }
        url(&key("ws_url"), &venue.ws_url, ["ws://", "wss://"])?;
        url(&key("rest_url"), &venue.rest_url, ["http://", "https://"])?;
        if (venue.ws_url == EMBEDDED) != (venue.rest_url == EMBEDDED) {
            let expected = format!("ws_url and rest_url are either both \"{EMBEDDED}\" or both addresses");
            return Err(out_of_range(&key("ws_url"), &venue.ws_url, expected));
        }
        if venue.symbols.is_empty() {
            return Err(out_of_range(&key("symbols"), "empty", "name at least one instrument".to_owned()));
        }
        // They are printed into JSON and paths as they are; Binance lists letters outside ASCII, too.
        let plain = |c: char| c.is_alphanumeric() || ".-_/".contains(c);
        if let Some(symbol) = venue.symbols.iter().find(|symbol| symbol.is_empty() || !symbol.chars().all(plain)) {
            let expected = "a symbol has to be of letters, digits, . - _ and /".to_owned();
            return Err(out_of_range(&key("symbols"), symbol, expected));
        }
        let mut seen = HashSet::new();
        if let Some(symbol) = venue.symbols.iter().find(|symbol| !seen.insert(*symbol)) {
            return Err(out_of_range(&key("symbols"), symbol, "it is in the list twice".to_owned()));
        }
        range(&key("connections"), venue.connections, 1, 4)?;
        range(&key("book_depth"), venue.book_depth, 1, 100_000)?;
    }
    Ok(())
}

fn url(key: &str, value: &str, schemes: [&str; 2]) -> Result<(), ConfigError> {
    let rest = schemes.iter().find_map(|scheme| value.strip_prefix(scheme));
    if value == EMBEDDED || rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace)) {
        return Ok(());
    }
    let [plain, secure] = schemes;
    Err(out_of_range(key, value, format!("it has to begin with {plain} or {secure}, or be \"{EMBEDDED}\"")))
}

#[allow(clippy::needless_pass_by_value, reason = "numbers")]
fn range<T: PartialOrd + Display>(key: &str, value: T, least: T, most: T) -> Result<(), ConfigError> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(out_of_range(key, value, format!("it has to be from {least} to {most}")))
}

fn out_of_range(key: &str, value: impl Display, expected: String) -> ConfigError {
    ConfigError::OutOfRange { key: key.to_owned(), value: value.to_string(), expected }
}
