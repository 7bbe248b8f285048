//! From the configuration to what is to be run: protocols, catalogue, feeds, stand-ins.

use std::{io::ErrorKind, net::SocketAddr, path::PathBuf, sync::Arc};

use super::{EMBEDDED, StartError};
use crate::{
    clock,
    config::{Config, ConfigError, Venue},
    intake::VenueFeed,
    market::{Catalogue, Nanos},
    recording::Recording,
    server::BindError,
    sim,
    venue::AnyProtocol,
};

/// How long before its first record the time of a recording begins: about as long as it takes to connect to the stand-in.
/// A venue whose times are ahead of ours does no harm.
const REPLAY_LEAD_NS: i64 = 2_000_000_000;

/// What to run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) protocols: Vec<Arc<AnyProtocol>>,
    pub(super) feeds: Vec<VenueFeed>,
}

/// Checks what only the venues themselves know: kinds, depths, connections.
///
/// # Errors
/// One clear line for the first thing that is wrong.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    config.venues.iter().enumerate().try_for_each(|(index, venue)| protocol(index, venue).map(drop))
}

impl Plan {
    pub(super) fn of(config: &Config) -> Result<Self, StartError> {
        let mut catalogue = Catalogue::new();
        let mut protocols = Vec::new();
        let mut feeds = Vec::new();
        for (index, venue) in config.venues.iter().enumerate() {
            let protocol = Arc::new(protocol(index, venue)?);
            let id = catalogue.add_venue(&venue.name, protocol.traits().checksum);
            for native in &venue.symbols {
                catalogue.add_instrument(id, native, &protocol.symbol(native));
            }
            feeds.push(VenueFeed {
                id,
                protocol: Arc::clone(&protocol),
                ws_url: venue.ws_url.trim_end_matches('/').to_owned(),
                rest_url: venue.rest_url.trim_end_matches('/').to_owned(),
                connections: venue.connections,
            });
            protocols.push(protocol);
        }
        Ok(Self { catalogue: Arc::new(catalogue), protocols, feeds })
    }
}

/// Starts the simulated exchange if a venue is to be served by it, and puts its address in.
pub(super) fn embed(config: &mut Config) -> Result<Option<sim::Running>, StartError> {
    let embedded = |venue: &&mut Venue| venue.ws_url == EMBEDDED;
    let symbols: Vec<String> =
        config.venues.iter_mut().filter(embedded).flat_map(|venue| venue.symbols.clone()).collect();
    if symbols.is_empty() {
        return Ok(None);
    }
    let exchange = exchange(config, SocketAddr::from(([127, 0, 0, 1], 0)), symbols)?;
    let address = exchange.addr();
    for venue in config.venues.iter_mut().filter(embedded) {
        venue.ws_url = format!("ws://{address}");
        venue.rest_url = format!("http://{address}");
    }
    Ok(Some(exchange))
}

/// Starts a stand-in for each venue of a recording, and makes these the only venues, under the names that their kinds are
/// configured with.
pub(super) fn stand_in(
    config: &mut Config,
    files: &[PathBuf],
    speed: sim::replay::Speed,
) -> Result<Vec<sim::replay::Running>, StartError> {
    let unreadable = |error: &dyn std::fmt::Display| StartError::Recording(error.to_string());
    let recording = Recording::open(files).map_err(|error| unreadable(&error))?;
    if recording.torn_bytes() > 0 {
        tracing::warn!(
            bytes = recording.torn_bytes(),
            "the recording ends in the middle of a block, which is left out"
        );
    }
    if let Some(first) = recording.records().first() {
        clock::begin_at(Nanos(first.time.0 - REPLAY_LEAD_NS));
    }
    let settings = sim::replay::Settings { speed, ..sim::replay::Settings::default() };
    let replays = sim::replay::start_each(&recording, &settings).map_err(|error| unreadable(&error))?;
    config.venues = replays.iter().map(|replay| stand_in_venue(&config.venues, replay)).collect();
    Ok(replays)
}

fn stand_in_venue(configured: &[Venue], replay: &sim::replay::Running) -> Venue {
    let (address, kind) = (replay.addr(), replay.kind());
    let path = if kind == "kraken" { "/v2" } else { "" };
    let named = configured.iter().find(|venue| venue.kind == kind).map(|venue| venue.name.clone());
    Venue {
        name: named.unwrap_or_else(|| kind.to_owned()),
        kind: kind.to_owned(),
        ws_url: format!("ws://{address}{path}"),
        rest_url: format!("http://{address}"),
        symbols: replay.symbols().to_vec(),
        connections: 1,
        book_depth: replay.depth().and_then(|depth| u32::try_from(depth).ok()).unwrap_or(1000),
    }
}

/// Starts the simulated exchange as configured, for `symbols` (none: all it knows).
pub(super) fn exchange(config: &Config, listen: SocketAddr, symbols: Vec<String>) -> Result<sim::Running, StartError> {
    let exchange = &config.exchange;
    let settings = sim::Settings {
        listen,
        seed: exchange.seed,
        rate: exchange.rate,
        messages_per_second: Some(exchange.messages_per_second).filter(|&most| most > 0),
        symbols,
        faults: sim::Faults {
            gap: exchange.gap_per_minute,
            duplicate: exchange.duplicate_per_minute,
            reorder: exchange.reorder_per_minute,
            stall: exchange.stall_per_minute,
            disconnect: exchange.disconnect_per_minute,
            malformed: exchange.malformed_per_minute,
            stale_snapshot: exchange.stale_snapshot_per_minute,
            rate_limit: exchange.rate_limit_per_minute,
            rest_error: exchange.rest_error_per_minute,
            ..sim::Faults::default()
        },
        ..sim::Settings::default()
    };
    sim::start(&settings).map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => {
            let (key, value) = ("venues.symbols".to_owned(), format!("{:?}", settings.symbols));
            ConfigError::OutOfRange { key, value, expected: error.to_string() }.into()
        }
        _ => BindError::new(listen, "exchange.listen", error).into(),
    })
}

fn protocol(index: usize, venue: &Venue) -> Result<AnyProtocol, ConfigError> {
    AnyProtocol::new(&venue.kind, venue.book_depth, venue.connections).map_err(|expected| ConfigError::OutOfRange {
        key: format!("venues.{}", index + 1),
        value: format!("\"{}\" of kind \"{}\"", venue.name, venue.kind),
        expected,
    })
}
