//! What operators may do to the running process: drain, reload, resync, another log level.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use tokio::sync::Notify;

use super::{Shards, check, notify::Notifier};
use crate::{
    clock,
    config::{Config, is_reloadable},
    intake::Inbound,
    market::InstrumentId,
    metrics,
    server::{self, Adjusted, Operations, Reloaded},
};

/// What only the command line can do for a running process, because it knows what was typed.
pub trait Console: Send + Sync + 'static {
    /// Where the settings come from, weakest first, for a person.
    fn sources(&self) -> Vec<String>;

    /// Reads the settings again from where they came from.
    ///
    /// # Errors
    /// What is wrong with them.
    fn read_config(&self) -> Result<Config, String>;

    /// What is logged, as `log.level` says it.
    fn log_level(&self) -> String;

    /// Logs something else from now on.
    ///
    /// # Errors
    /// What `level` has to be.
    fn set_log_level(&self, level: &str) -> Result<(), String>;
}

/// The operators' desk, there before the doors open.
pub(super) struct Operator {
    console: Box<dyn Console>,
    /// Whether a recording is served, which falls silent at its end.
    is_replay: bool,
    pub(super) notifier: Notifier,
    reach: OnceLock<Reach>,
    drain: Notify,
    /// One reload at a time; the keys that the last one left for a restart.
    wants_restart: Mutex<Vec<String>>,
}

/// What is reached once everything runs.
#[derive(Debug)]
pub(super) struct Reach {
    pub(super) doors: Arc<Adjusted>,
    pub(super) shards: Arc<Shards>,
    /// It does not keep the engine from ending.
    pub(super) up: flume::WeakSender<Inbound>,
}

impl Operator {
    pub(super) fn new(console: Box<dyn Console>, is_replay: bool) -> Self {
        Self {
            console,
            is_replay,
            notifier: Notifier::from_environment(),
            reach: OnceLock::new(),
            drain: Notify::new(),
            wants_restart: Mutex::default(),
        }
    }

    /// Everything runs.
    pub(super) fn begin(&self, reach: Reach) {
        self.reach.set(reach).expect("everything is started once");
    }

    /// Ready once somebody has asked for a drain.
    pub(super) async fn drain_wanted(&self) {
        self.drain.notified().await;
    }

    fn reach(&self) -> Result<&Reach, String> {
        self.reach.get().ok_or_else(|| "the process has not started everything yet".to_owned())
    }

    fn try_reload(&self) -> Result<Reloaded, String> {
        let reach = self.reach()?;
        let mut newer = self.console.read_config()?;
        check(&newer).map_err(|error| error.to_string())?;
        server::check(&newer).map_err(|error| error.to_string())?;
        let mut config = Config::clone(&reach.doors.config());
        let (mut applied, wants_restart): (Vec<_>, Vec<_>) =
            config.changes(&newer).into_iter().partition(|key| is_reloadable(key));
        // The level may have been changed by hand, which ends here.
        if self.console.log_level() != newer.log.level {
            self.console.set_log_level(&newer.log.level)?;
            if !applied.iter().any(|key| key == LOG_LEVEL) {
                applied.push(LOG_LEVEL.to_owned());
            }
        }
        if self.is_replay {
            newer.ops.silence_max_ms = 0;
        }
        config.take_over(&newer);
        reach.shards.adjust(&config);
        reach.doors.adjust(config);
        Ok(Reloaded { applied, wants_restart })
    }
}

const LOG_LEVEL: &str = "log.level";

impl Operations for Operator {
    fn sources(&self) -> Vec<String> {
        self.console.sources()
    }

    fn wants_restart(&self) -> Vec<String> {
        self.wants_restart.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn drain(&self) {
        self.drain.notify_one();
    }

    fn reload(&self) -> Result<Reloaded, String> {
        let mut wants_restart = self.wants_restart.lock().unwrap_or_else(PoisonError::into_inner);
        self.notifier.say(format_args!("RELOADING=1\nMONOTONIC_USEC={}", clock::monotonic_us()));
        let reloaded = self.try_reload();
        metrics::Config::reloaded(reloaded.is_ok());
        match &reloaded {
            Ok(reloaded) => {
                let (applied, waiting) = (reloaded.applied.join(", "), reloaded.wants_restart.join(", "));
                tracing::info!(applied, wants_restart = waiting, "configuration reloaded");
                wants_restart.clone_from(&reloaded.wants_restart);
            }
            Err(error) => tracing::error!(%error, "configuration not reloaded; the one before holds on"),
        }
        self.notifier.say("READY=1");
        reloaded
    }

    fn resync(&self, instrument: InstrumentId) -> Result<(), String> {
        let up = self.reach()?.up.upgrade().ok_or("the feeds have ended")?;
        let resync = Inbound::Resync { instrument, received: clock::now() };
        up.try_send(resync).map_err(|_| "the engine is behind and takes nothing now".to_owned())
    }

    fn log_level(&self) -> String {
        self.console.log_level()
    }

    fn set_log_level(&self, level: &str) -> Result<(), String> {
        self.console.set_log_level(level)
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").field("is_replay", &self.is_replay).finish_non_exhaustive()
    }
}
