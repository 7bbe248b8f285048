//! The doors: accept, upgrade, REST, ops endpoints.
//!
//! A connection begins as one small task that reads the head of its request within limits of bytes and time. A WebSocket
//! handshake is answered and the socket leaves for a shard; anything else is served as HTTP/1.1 by hyper, the bytes
//! already read first.

mod adjusted;
mod api_key;
mod certificate;
mod docs;
mod head;
mod health;
mod heard;
mod limits;
mod listen;
mod operations;
mod ops;
mod page;
mod public;
mod rest;
mod rewind;
mod stream;
mod ws_api;

pub use adjusted::Adjusted;
pub use certificate::CertificateError;
pub use health::Health;
pub use listen::BindError;
pub use operations::{Operations, Reloaded, Unattended};
pub use rest::{Answer, Ask, Call, Endpoint, Parameters, Refusal, Rest};

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;
use thiserror::Error;
use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::{Semaphore, watch},
    task::JoinHandle,
};

use self::{certificate::Certificate, docs::Docs, limits::Visits};
use crate::{
    clock::{self, Beats},
    config::Config,
    market::Catalogue,
    metrics,
    shard::Transport,
    store::Store,
    topic::Encoding,
    views::Views,
};

/// How long open requests may take to end when the server shuts down.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);
/// How often histograms are folded and looked at.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// A request refused before it became a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// HTTP status.
    pub status: u16,
    /// One line for a person.
    pub body: String,
}

/// Where sockets go once they speak WebSocket.
pub trait Shards: Send + Sync + 'static {
    /// What a path and query ask for.
    type Opening: Send + 'static;

    /// Reads path and query of a handshake at the door of `encoding`.
    ///
    /// # Errors
    /// 404 for a path that is no stream, 400 for parameters that cannot be.
    fn opening(&self, target: &str, encoding: Encoding) -> Result<Self::Opening, Rejection>;

    /// Takes over a connection, non-blocking and already answered with 101; `early` are bytes the client sent behind its
    /// request.
    ///
    /// # Errors
    /// Gives the connection back if no shard takes it.
    fn admit(&self, socket: Transport, early: Bytes, opening: Self::Opening, peer: SocketAddr)
    -> Result<(), Transport>;
}

/// The doors cannot be opened.
#[derive(Debug, Error)]
pub enum DoorError {
    /// An address cannot be listened at.
    #[error(transparent)]
    Address(#[from] BindError),
    /// There is no TLS with what the configuration names.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// How far the doors are on their way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// No new connections; open requests end; not ready.
    Draining,
    /// The ops door closes as well.
    Closed,
}

/// What the doors answer from, and whom they hand sockets to.
pub struct Parts<S> {
    /// Venues and instruments.
    pub catalogue: Arc<Catalogue>,
    /// The newest values.
    pub views: Arc<Views>,
    /// History.
    pub store: Arc<Store>,
    /// Where WebSockets go.
    pub shards: Arc<S>,
    /// What `/metrics` shows.
    pub prometheus: PrometheusHandle,
    /// The loops whose silence `/livez` reports; more may be added later.
    pub beats: Beats,
    /// What operators may do.
    pub operations: Arc<dyn Operations>,
}

/// The running doors. Dropping it closes them without waiting; [`Server::shutdown`] waits.
#[derive(Debug)]
pub struct Server {
    addresses: ops::Addresses,
    phase: watch::Sender<Phase>,
    pending: Arc<Semaphore>,
    pending_max: u32,
    visits: Arc<Visits>,
    ws_api: Arc<Semaphore>,
    ws_api_max: u32,
    ops_open: Arc<Semaphore>,
    health: Health,
    tasks: Vec<JoinHandle<()>>,
}

/// Opens the doors of `config.server`, `config.sbe` and `config.ops` on `runtime`.
///
/// # Errors
/// If an address cannot be listened on, or TLS is wanted and certificate or key are no good.
pub fn start<S: Shards>(runtime: &Handle, config: &Config, parts: Parts<S>) -> Result<Server, DoorError> {
    let Parts { catalogue, views, store, shards, prometheus, beats, operations } = parts;
    let tls = Certificate::load(&config.tls)?.map(Arc::new);
    listen::raise_descriptor_limit();
    let settings = &config.server;
    if settings.exempt_loopback {
        tracing::info!("limits per address do not apply to loopback (server.exempt_loopback)");
    }
    let public = listen::bind(settings.listen, "server.listen", settings.backlog, settings.reuse_port)?;
    let ops = listen::bind(config.ops.listen, "ops.listen", ops::BACKLOG, false)?;
    let bind_sbe = |address| listen::bind(address, "sbe.listen", settings.backlog, settings.reuse_port);
    let sbe = config.sbe.listen.map(|address| bind_sbe(address).map(|listener| (listener, address))).transpose()?;
    let (phase, watched) = watch::channel(Phase::Serving);
    let _inside = runtime.enter();
    let [public, ops] =
        [register(public, settings.listen, "server.listen")?, register(ops, config.ops.listen, "ops.listen")?];
    let sbe = sbe.map(|(listener, address)| register(listener, address, "sbe.listen")).transpose()?;
    let addresses = ops::Addresses {
        public: public.1,
        sbe: sbe.as_ref().map(|(_, address)| *address),
        ops: ops.1,
        is_secure: tls.is_some(),
    };
    let rest = Rest::new(Arc::clone(&catalogue), Arc::clone(&views), store, settings.rest_weight_per_minute);
    let rest = Arc::new(rest);
    let adjusted = Arc::new(Adjusted::new(config, Arc::clone(&rest)));
    let docs = Docs::new(&catalogue, addresses.public, addresses.sbe.map(|address| address.port()));
    let pending_max = u32::try_from(settings.pending_max).unwrap_or(u32::MAX);
    let pending = Arc::new(Semaphore::new(pending_max as usize));
    let metrics = metrics::Server::new();
    let visits = Arc::new(Visits::new(settings.rest_connections_max, metrics.clone()));
    let ws_api_max = u32::try_from(config.ws_api.connections_max).unwrap_or(u32::MAX);
    let ws_api = Arc::new(Semaphore::new(ws_api_max as usize));
    let places =
        public::Places { pending: Arc::clone(&pending), visits: Arc::clone(&visits), ws_api: Arc::clone(&ws_api) };
    let door = Arc::new(public::Door::new(
        Arc::clone(&adjusted),
        Arc::clone(&catalogue),
        public::Answers { rest, docs, tls: tls.clone() },
        shards,
        metrics.clone(),
        places,
        watched.clone(),
    ));
    let health = Health { catalogue, views, beats, adjusted, phase: watched.clone() };
    let ops_open = Arc::new(Semaphore::new(ops::CONNECTIONS_MAX as usize));
    let ops_door = ops::Door {
        health: health.clone(),
        operations,
        prometheus,
        open: Arc::clone(&ops_open),
        addresses,
        started: clock::now(),
        trail: Mutex::default(),
        request_timeout: Duration::from_millis(settings.handshake_timeout_ms),
    };
    let ops_door = Arc::new(ops_door);
    let mut tasks = vec![
        tokio::spawn(public::serve(Arc::clone(&door), public.0, Encoding::Json)),
        tokio::spawn(ops::serve(Arc::clone(&ops_door), ops.0, metrics)),
        tokio::spawn(keep_up(ops_door, watched.clone())),
    ];
    if let Some(certificate) = tls {
        tasks.push(tokio::spawn(keep_certificate(certificate, watched)));
    }
    if let Some((listener, address)) = sbe {
        tasks.push(tokio::spawn(public::serve(door, listener, Encoding::Sbe)));
        tracing::info!(sbe = %address, wants_key = !config.sbe.api_keys.is_empty(), "the door of SBE is open");
    }
    let ops::Addresses { public, ops, is_secure, .. } = addresses;
    tracing::info!(%public, %ops, is_secure, "doors are open");
    Ok(Server { addresses, phase, pending, pending_max, visits, ws_api, ws_api_max, ops_open, health, tasks })
}

/// Looks at what the doors need besides addresses.
///
/// # Errors
/// If TLS is wanted and certificate or key are no good.
pub fn check(config: &Config) -> Result<(), CertificateError> {
    Certificate::load(&config.tls).map(drop)
}

impl Server {
    /// Where the public door is, with the port that the system chose if port 0 was configured.
    pub fn public_addr(&self) -> SocketAddr {
        self.addresses.public
    }

    /// Whether the doors for clients speak TLS.
    pub fn is_secure(&self) -> bool {
        self.addresses.is_secure
    }

    /// Where the door of SBE is; `None` if it is switched off.
    pub fn sbe_addr(&self) -> Option<SocketAddr> {
        self.addresses.sbe
    }

    /// Where the operators' door is.
    pub fn ops_addr(&self) -> SocketAddr {
        self.addresses.ops
    }

    /// Whether the process lives, and whether traffic should come here.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// What can be changed while the doors serve.
    pub fn adjusted(&self) -> Arc<Adjusted> {
        Arc::clone(&self.health.adjusted)
    }

    /// Closes the listeners for clients, lets open requests end and says on `/readyz` that we drain. Sessions are the shards'.
    pub fn stop_accepting(&self) {
        self.phase.send_if_modified(|phase| {
            let is_news = *phase < Phase::Draining;
            *phase = (*phase).max(Phase::Draining);
            is_news
        });
    }

    /// Closes both doors and waits for open requests, a few seconds at most.
    pub async fn shutdown(self) {
        self.phase.send_replace(Phase::Closed);
        let all = async {
            // An error would mean that a semaphore is closed, which none ever is.
            let _ = self.pending.acquire_many(self.pending_max).await;
            self.visits.all_gone().await;
            let _ = self.ws_api.acquire_many(self.ws_api_max).await;
            let _ = self.ops_open.acquire_many(ops::CONNECTIONS_MAX).await;
        };
        if tokio::time::timeout(SHUTDOWN_PATIENCE, all).await.is_err() {
            tracing::warn!("some requests did not end in time and are cut");
        }
        for task in self.tasks {
            // A task that had panicked was reported by the panic itself.
            let _ = task.await;
        }
    }
}

/// Gives a listener to the runtime, and reads the address it got.
fn register(
    listener: std::net::TcpListener,
    address: SocketAddr,
    key: &'static str,
) -> Result<(TcpListener, SocketAddr), BindError> {
    TcpListener::from_std(listener)
        .and_then(|listener| listener.local_addr().map(|local| (listener, local)))
        .map_err(|source| BindError::new(address, key, source))
}

/// Ready once the doors are `phase` or further.
async fn reached(mut watched: watch::Receiver<Phase>, phase: Phase) {
    // An error means that the server is gone, which is further than any phase.
    let _ = watched.wait_for(|now| *now >= phase).await;
}

async fn keep_certificate(certificate: Arc<Certificate>, watched: watch::Receiver<Phase>) {
    tokio::select! {
        () = reached(watched, Phase::Draining) => {}
        () = certificate.follow() => {}
    }
}

async fn keep_up(door: Arc<ops::Door>, watched: watch::Receiver<Phase>) {
    let mut closed = std::pin::pin!(reached(watched, Phase::Closed));
    loop {
        tokio::select! {
            () = &mut closed => return,
            () = tokio::time::sleep(UPKEEP_INTERVAL) => door.keep_up(),
        }
    }
}
