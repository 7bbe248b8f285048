//! What operators may do to the process; the doors ask for it, `app` does it.

use std::sync::Arc;

use crate::market::InstrumentId;

/// What the admin API reaches beyond the doors. Reasons of refusal are for a person: what is wrong, and the way out.
pub trait Operations: Send + Sync + 'static {
    /// Where the settings come from, weakest first, for a person.
    fn sources(&self) -> Vec<String>;

    /// The keys that have other values in the sources since the start and that only a restart takes on.
    fn wants_restart(&self) -> Vec<String>;

    /// Begins what SIGTERM begins. Returns at once.
    fn drain(&self);

    /// Reads all sources of settings again, and takes on what a running process can. It may wait for a disk.
    ///
    /// # Errors
    /// If anything is wrong with them; then nothing has changed.
    fn reload(&self) -> Result<Reloaded, String>;

    /// Has the book of an instrument replaced by a new snapshot. Returns once that is asked for.
    ///
    /// # Errors
    /// If it cannot be asked for.
    fn resync(&self, instrument: InstrumentId) -> Result<(), String>;

    /// What is logged, as `log.level` says it.
    fn log_level(&self) -> String;

    /// Logs something else from now on.
    ///
    /// # Errors
    /// What `level` has to be.
    fn set_log_level(&self, level: &str) -> Result<(), String>;
}

/// What a reload has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Keys whose new values hold from now on.
    pub applied: Vec<String>,
    /// Keys that have other values than at the start, and want a restart.
    pub wants_restart: Vec<String>,
}

/// For processes that nobody operates: benches and tests of the doors.
#[derive(Clone, Copy, Debug)]
pub struct Unattended;

impl Unattended {
    const REASON: &str = "this process has no operators' desk";

    /// As the doors take it.
    pub fn shared() -> Arc<dyn Operations> {
        Arc::new(Self)
    }
}

impl Operations for Unattended {
    fn sources(&self) -> Vec<String> {
        Vec::new()
    }

    fn wants_restart(&self) -> Vec<String> {
        Vec::new()
    }

    fn drain(&self) {}

    fn reload(&self) -> Result<Reloaded, String> {
        Err(Self::REASON.to_owned())
    }

    fn resync(&self, _: InstrumentId) -> Result<(), String> {
        Err(Self::REASON.to_owned())
    }

    fn log_level(&self) -> String {
        String::new()
    }

    fn set_log_level(&self, _: &str) -> Result<(), String> {
        Err(Self::REASON.to_owned())
    }
}
