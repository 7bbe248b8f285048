//! A load generator: clients in numbers, and the report of what came to them.
//!
//! Threads of clients ([`generator`]) connect, take streams and read as fast as they can. Between two marks everything
//! that came is counted; what a message says of itself (event time, ids) tells how late it was and whether one before
//! it is missing. The server's own numbers (its counters, its CPU time, its memory) are read at the same marks.

mod clients;
mod crew;
mod deck;
mod frames;
mod generator;
mod histogram;
mod payload;
mod process;
mod room;
mod target;
mod wire;

pub mod report;

use std::{io, time::Duration};

use thiserror::Error;

pub use crew::run;
pub use histogram::Histogram;
pub use report::Report;
pub use target::{Target, TargetError, history_pending, is_ready};

/// What is to be done. [`Plan::check`] says whether it can be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub target: Target,
    /// Names of the streams that clients take; at least one.
    pub streams: Vec<String>,
    /// How many connections, 1 to [`CLIENTS_MAX`].
    pub clients: usize,
    /// How many of the streams each of them takes, 1 to [`PER_CLIENT_MAX`]; more than there are means all.
    pub per_client: usize,
    /// From the last connection to the beginning of the measurement.
    pub warm_up: Duration,
    /// The measurement.
    pub duration: Duration,
    /// So many of the clients do not read during the measurement.
    pub slow: usize,
    /// Others of them are cut and come again, many times.
    pub storm: Option<Storm>,
    /// Threads that the clients are spread over, 1 to [`THREADS_MAX`].
    pub threads: usize,
    /// `host:port` of the server's door for operators: what it counted is read there.
    pub ops: Option<String>,
    /// The server's process, if it is on this machine: its CPU time and memory are read from `/proc`.
    pub pid: Option<u32>,
    /// Whether the server was started for this run, and nobody else uses it.
    pub is_own: bool,
}

/// Clients that are cut and come again, all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storm {
    /// How many of the clients.
    pub clients: usize,
    /// From one storm to the next.
    pub every: Duration,
}

/// Most clients of one run.
pub const CLIENTS_MAX: usize = 1_000_000;
/// Most streams of one client (Binance allows 1024 per connection: binance.md section 7).
pub const PER_CLIENT_MAX: usize = 1024;
/// Most threads of clients.
pub const THREADS_MAX: usize = 64;
/// Most subscriptions of all clients: each is remembered with its last id, 12 bytes.
pub const SUBSCRIPTIONS_MAX: usize = 50_000_000;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// So many clients are in.
    Connecting(usize),
    /// All are in, and it is not counted yet.
    WarmingUp,
    /// It counts; so much is over.
    Measuring(Duration),
    /// Over; slow readers read on, those who were cut come back.
    Settling,
}

/// Why there is no report.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The server does not answer as one.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The plan does not fit together, or not into this process.
    #[error("{0}")]
    Plan(String),
    /// Not one connection came about.
    #[error("none of {clients} clients got in at {address}: {reason}")]
    NobodyGotIn {
        /// How many tried.
        clients: usize,
        /// Where.
        address: String,
        /// What most of them were told.
        reason: String,
    },
    /// The system refuses something.
    #[error("{what}: {source}")]
    System {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody wants it to end.
    #[error("interrupted")]
    Interrupted,
}

impl Plan {
    /// Whether the parts fit together and into this process, whose soft limit of descriptors is raised to the hard one.
    ///
    /// # Errors
    /// What does not fit, and the way out.
    pub fn check(&self) -> Result<(), LoadError> {
        let storm = self.storm.map_or(0, |storm| storm.clients);
        if self.slow + storm > self.clients {
            return Err(LoadError::Plan(format!(
                "--slow {} and --storm {storm} are parts of --clients {}, which are too few for both",
                self.slow, self.clients
            )));
        }
        if self.slow + storm == self.clients {
            return Err(LoadError::Plan(format!(
                "--slow {} and --storm {storm} leave none of --clients {} to measure; at least one has to read in peace",
                self.slow, self.clients
            )));
        }
        let subscriptions = self.clients.saturating_mul(self.per_client.min(self.streams.len()));
        if subscriptions > SUBSCRIPTIONS_MAX {
            return Err(LoadError::Plan(format!(
                "--clients {} with --per-client {} are {subscriptions} subscriptions; {SUBSCRIPTIONS_MAX} fit",
                self.clients, self.per_client
            )));
        }
        room::check(self.clients, self.target.address())
    }
}
