//! What a running server asks of the command line: the settings once more, another log level.

use std::{
    io::IsTerminal,
    sync::{Mutex, PoisonError},
};

use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    layer::SubscriberExt,
    reload::{self, Handle},
    util::SubscriberInitExt,
};

use super::{Failure, Settings, read_config};
use crate::{
    app,
    config::{Config, check_log_level},
};

/// The log, whose level can be changed.
#[derive(Debug)]
pub(super) struct Log {
    filter: Handle<Targets, Registry>,
    level: Mutex<String>,
}

impl Log {
    /// Logs to standard error, so that what a command prints can be piped.
    pub(super) fn start(level: &str) -> Result<Self, Failure> {
        let (filter, handle) =
            reload::Layer::new(targets(level).map_err(|error| Failure::new(Failure::CONFIG, error))?);
        let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colour).with_filter(filter);
        // A second initialisation can only come from a test that runs several commands in one process.
        let _already = tracing_subscriber::registry().with(lines).try_init();
        Ok(Self { filter: handle, level: Mutex::new(level.to_owned()) })
    }
}

fn targets(level: &str) -> Result<Targets, String> {
    check_log_level(level).map_err(|error| error.to_string())?;
    level.parse().map_err(|error| format!("`log.level` is {level}: {error}"))
}

/// The command line of a process that serves.
#[derive(Debug)]
pub(super) struct Console {
    pub(super) settings: Settings,
    pub(super) log: Log,
}

impl app::Console for Console {
    fn sources(&self) -> Vec<String> {
        let mut sources = vec!["built-in defaults".to_owned()];
        sources.extend(self.settings.config.as_ref().map(|path| format!("file {}", path.display())));
        let mut environment: Vec<_> =
            std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| is_ours(name)).collect();
        environment.sort_unstable();
        sources.extend(environment.into_iter().map(|name| format!("environment {name}")));
        sources.extend(self.settings.set.iter().map(|(key, _)| format!("--set {key}")));
        sources.extend(self.settings.log.as_ref().map(|_| "--log".to_owned()));
        sources
    }

    fn read_config(&self) -> Result<Config, String> {
        read_config(&self.settings).map_err(|failure| failure.message)
    }

    fn log_level(&self) -> String {
        self.log.level.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_log_level(&self, level: &str) -> Result<(), String> {
        let targets = targets(level)?;
        self.log.filter.reload(targets).map_err(|error| format!("the log cannot be changed: {error}"))?;
        level.clone_into(&mut self.log.level.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with("TICKCAST__")
}
