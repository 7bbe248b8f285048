//! One venue as every task towards it sees it, the way up to the engine, and the signal to stop.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rustls::ClientConfig;
use tokio::{sync::watch, time};
use tracing::info;

use super::{
    VenueFeed,
    limit::Window,
    message::{ConnectionId, Inbound},
    tap::{Tap, Tapped},
};
use crate::{
    clock, config,
    market::{Catalogue, InstrumentId, VenueId},
    metrics,
    venue::{AnyProtocol, Traits},
};

/// What all venues share.
pub(super) struct Common {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) settings: config::Intake,
    pub(super) uplink: Uplink,
    pub(super) tap: Option<Tap>,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) connection_ids: Arc<AtomicU32>,
}

/// What all tasks of one venue share.
pub(super) struct Upstream {
    pub(super) venue: VenueId,
    pub(super) name: Box<str>,
    pub(super) protocol: Arc<AnyProtocol>,
    pub(super) traits: Traits,
    pub(super) ws_url: String,
    pub(super) rest_url: String,
    pub(super) settings: config::Intake,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) uplink: Uplink,
    pub(super) metrics: metrics::Intake,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) stop: Stop,
    tap: Option<Tap>,
    connects: Mutex<Window>,
    connection_ids: Arc<AtomicU32>,
}

impl Upstream {
    pub(super) fn new(feed: VenueFeed, common: &Common) -> Self {
        let name = common.catalogue.venues()[feed.id.0 as usize].name.clone();
        let traits = feed.protocol.traits();
        Self {
            venue: feed.id,
            metrics: metrics::Intake::of(&name),
            name,
            protocol: feed.protocol,
            traits,
            ws_url: feed.ws_url.trim_end_matches('/').to_owned(),
            rest_url: feed.rest_url.trim_end_matches('/').to_owned(),
            settings: common.settings.clone(),
            catalogue: Arc::clone(&common.catalogue),
            stop: common.uplink.stop.clone(),
            uplink: common.uplink.clone(),
            tls: Arc::clone(&common.tls),
            tap: common.tap.clone(),
            connects: Mutex::new(Window::new(traits.connects_per_five_minutes, FIVE_MINUTES)),
            connection_ids: Arc::clone(&common.connection_ids),
        }
    }

    /// Whether this instrument is one of the venue's.
    pub(super) fn carries(&self, instrument: InstrumentId) -> bool {
        self.catalogue.instruments().get(instrument.index()).is_some_and(|found| found.venue == self.venue)
    }

    /// A number for the next connection.
    pub(super) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.connection_ids.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits until the venue allows one more connection from our address, and counts it.
    pub(super) async fn connect_turn(&self) {
        loop {
            let wait = {
                let now = clock::now();
                let mut connects = self.connects.lock().unwrap_or_else(PoisonError::into_inner);
                let wait = connects.wait(now);
                if wait.is_zero() {
                    connects.take(now);
                    return;
                }
                wait
            };
            let limit = self.traits.connects_per_five_minutes;
            info!(venue = %self.name, limit, "waiting {wait:.1?}: the venue allows no more connects in five minutes");
            time::sleep(wait).await;
        }
    }

    /// Copies something for the recording, if there is one; `tapped` is made only then.
    pub(super) fn tap(&self, tapped: impl FnOnce() -> Tapped) {
        if let Some(tap) = &self.tap {
            tap.put(tapped());
        }
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("venue", &self.venue).field("name", &self.name).finish_non_exhaustive()
    }
}

/// The way up to the engine.
#[derive(Clone)]
pub(super) struct Uplink {
    up: flume::Sender<Inbound>,
    stop: Stop,
}

/// Nobody takes frames any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EngineGone;

impl Uplink {
    pub(super) fn new(up: flume::Sender<Inbound>, stop: Stop) -> Self {
        Self { up, stop }
    }

    /// Hands `inbound` to the engine, waiting while that is behind; after a stop only as long as a close may take.
    pub(super) async fn send(&self, inbound: Inbound) -> Result<(), EngineGone> {
        let inbound = match self.up.try_send(inbound) {
            Ok(()) => return Ok(()),
            Err(flume::TrySendError::Disconnected(_)) => return Err(EngineGone),
            Err(flume::TrySendError::Full(inbound)) => inbound,
        };
        let out_of_time = async {
            self.stop.requested().await;
            time::sleep(CLOSE_TIMEOUT).await;
        };
        tokio::select! {
            sent = self.up.send_async(inbound) => sent.map_err(|_| EngineGone),
            () = out_of_time => Err(EngineGone),
        }
    }

    /// Whether nobody takes frames any more.
    pub(super) fn is_gone(&self) -> bool {
        self.up.is_disconnected()
    }
}

/// Tells that everything is to end; also when the [`super::Intake`] was dropped.
#[derive(Clone, Debug)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    pub(super) fn new(receiver: watch::Receiver<bool>) -> Self {
        Self(receiver)
    }

    /// Returns once the end was asked for.
    pub(super) async fn requested(&self) {
        // An error says that the sender is gone, which asks for the end, too.
        let _ = self.0.clone().wait_for(|&stop| stop).await;
    }
}

/// How long a venue may take to answer a close, and the engine to take what was read last.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

const FIVE_MINUTES: Duration = Duration::from_secs(300);
