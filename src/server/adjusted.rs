//! The settings in force: what a reload changes in the doors while they serve.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use super::{
    Rest,
    limits::{Allowance, Weights, is_exempt},
};
use crate::config::Config;

/// Binance's window for new connections.
const CONNECTS_WINDOW: Duration = Duration::from_secs(300);

/// The settings that the doors go by, and the counts that belong to them.
#[derive(Debug)]
pub struct Adjusted {
    config: RwLock<Arc<Config>>,
    rest: Arc<Rest>,
    pub(super) connects: Allowance,
    pub(super) weights: Arc<Weights>,
}

impl Adjusted {
    pub(super) fn new(config: &Config, rest: Arc<Rest>) -> Self {
        let settings = &config.server;
        Self {
            connects: Allowance::new(settings.connects_per_five_minutes, CONNECTS_WINDOW, settings.exempt_loopback),
            weights: Arc::new(Weights::new(settings)),
            rest,
            config: RwLock::new(Arc::new(config.clone())),
        }
    }

    /// What holds now.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many REST connections `address` may have; 0: any number.
    pub(super) fn rest_connections(&self, address: IpAddr) -> usize {
        let settings = &self.config().server;
        if is_exempt(address, settings.exempt_loopback) { 0 } else { settings.rest_connections_per_address as usize }
    }

    /// Goes by `config` from now on, in all that can be changed while the doors serve. What was used up stays so.
    pub fn adjust(&self, config: Config) {
        let settings = &config.server;
        self.connects.adjust(settings.connects_per_five_minutes, settings.exempt_loopback);
        self.weights.adjust(settings);
        self.rest.set_weight_per_minute(settings.rest_weight_per_minute);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }
}
