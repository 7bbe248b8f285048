//! Metric names, help texts and handles. Each room owns one of the structs below, made once at start; on the hot path a
//! metric is a plain integer of the room, added to its handle once per pass.
//!
//! Names: `tickcast_<room>_<noun>[_<unit>][_total]`; labels are closed sets (venue, reason, shard, state), and every series of
//! a set is there from the start: one that appeared with its first event would hide that event from `rate()`. What every
//! program tells of its process (`process_*`) is named as everywhere.

mod doors;
mod fanout;
mod history;
mod ingest;
mod list;
mod process;

pub use doors::{Config, REFUSED, Server};
pub use fanout::{CLOSES, Ring, Shard};
pub use history::Store;
pub use ingest::{Engine, Intake, Pass, REASONS, Recording, RestPurpose};
pub use list::{COUNTERS, GAUGES, HISTOGRAMS};
pub use process::PROCESS;

use std::sync::{Mutex, PoisonError};

use ::metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
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
    let handle = builder()?.install_recorder()?;
    describe();
    begin();
    *installed = Some(handle.clone());
    Ok(handle)
}

/// What is installed, with the buckets of every histogram.
fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_frames".to_owned()), POWERS)
}

/// The text that a scrape gets: all metrics, and what the process uses at this moment.
pub fn render(recorded: &PrometheusHandle) -> String {
    let mut text = recorded.render();
    process::write(&mut text);
    text
}

/// Publishes the version as a constant gauge.
pub fn build_info(version: &'static str) {
    gauge!("tickcast_build_info", "version" => version).set(1.0);
}

/// From 10 us to 10 s: a pass takes microseconds, a stalled reader seconds.
const SECONDS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
    0.5, 1.0, 2.5, 5.0, 10.0,
];

const POWERS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0];

fn describe() {
    for (name, help) in COUNTERS {
        describe_counter!(*name, *help);
    }
    for (name, help) in GAUGES {
        describe_gauge!(*name, *help);
    }
    for (name, help) in HISTOGRAMS {
        let unit = if name.ends_with("_seconds") { Unit::Seconds } else { Unit::Count };
        describe_histogram!(*name, unit, *help);
    }
}

/// Makes the series that no room's handles make: those looked up with each event, and those of rooms that may not be there.
fn begin() {
    Server::begin();
    Shard::begin();
    Config::begin();
    Recording::new().active.set(0.0);
}
