//! All I/O towards venues. Frames go up to the engine in batches, requests come back from it.
//!
//! One task per venue fetches its list and then lives on as its feeds: one [`feed`] per dial keeps one [`socket`] alive,
//! opens successors and closes predecessors. [`rest`] fetches snapshots and trades within the venue's weights.
//! A venue that cannot be reached is tried for ever and costs the others nothing.

mod backoff;
mod feed;
mod limit;
mod listing;
mod message;
mod rest;
mod socket;
mod tap;
mod tls;
mod upstream;

pub use message::{ConnectionId, Frame, Inbound, Request, Wanted};
pub use tap::{Tap, Tapped};

use std::sync::{Arc, OnceLock};

use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
};
use tracing::{debug, warn};

use self::{
    feed::{Feed, FeedOrder, Place},
    rest::Rest,
    upstream::{Common, Stop, Uplink, Upstream},
};
use crate::{
    config,
    market::{Catalogue, InstrumentId, VenueId},
    venue::{AnyProtocol, Dial},
};

/// One venue to take in.
#[derive(Clone, Debug)]
pub struct VenueFeed {
    /// Its id in the catalogue.
    pub id: VenueId,
    /// How it speaks.
    pub protocol: Arc<AnyProtocol>,
    /// Where its sockets are: `wss://host[:port]`, or `ws://` for a stand-in.
    pub ws_url: String,
    /// Where its REST is: `https://host[:port]`, or `http://` for a stand-in.
    pub rest_url: String,
    /// Copies of each connection; more than one only where two connections share update ids.
    pub connections: u32,
}

/// Everything that runs towards the venues. Dropping it ends all of it at once; [`Intake::stop`] does so politely.
#[derive(Debug)]
pub struct Intake {
    stop: watch::Sender<bool>,
    root: Option<JoinHandle<()>>,
}

/// Starts all feeds as tasks on `runtime` and returns at once.
///
/// `up` should be bounded: when the engine is behind, the sockets are not read, and TCP holds the venue back. Nothing is
/// dropped. `tap` gets a copy of everything for a recording. Feeds end when the receiver of `up` is gone.
///
/// # Panics
/// If a venue's id is not one of the catalogue's.
pub fn start(
    runtime: &Handle,
    venues: Vec<VenueFeed>,
    catalogue: &Arc<Catalogue>,
    settings: &config::Intake,
    up: flume::Sender<Inbound>,
    requests: flume::Receiver<Request>,
    tap: Option<Tap>,
) -> Intake {
    let (stop, stopped) = watch::channel(false);
    let stopped = Stop::new(stopped);
    let common = Common {
        catalogue: Arc::clone(catalogue),
        settings: settings.clone(),
        uplink: Uplink::new(up, stopped.clone()),
        tap,
        tls: tls::client_config(tls::public_roots()),
        connection_ids: Arc::default(),
    };
    let http = rest::client(settings, &common.tls);
    let stations = venues
        .into_iter()
        .map(|venue| {
            let copies = copies(&venue);
            let upstream = Arc::new(Upstream::new(venue, &common));
            let rest = Arc::new(Rest::new(Arc::clone(&upstream), http.clone()));
            Arc::new(Station { upstream, rest, copies, ports: OnceLock::new() })
        })
        .collect();
    let root = runtime.spawn(run(stations, requests, stopped));
    Intake { stop, root: Some(root) }
}

impl Intake {
    /// Closes every connection politely and waits until all tasks have ended: two seconds if a venue does not answer.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(root) = self.root.take()
            && let Err(error) = root.await
            && error.is_panic()
        {
            warn!(%error, "intake did not end in order");
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        // The root task owns all others: they go with it.
        if let Some(root) = self.root.take() {
            root.abort();
        }
    }
}

/// One venue with its feeds and its REST.
#[derive(Debug)]
struct Station {
    upstream: Arc<Upstream>,
    rest: Arc<Rest>,
    copies: u32,
    /// Set once the venue's list has been read.
    ports: OnceLock<Vec<Port>>,
}

/// Where the orders to one feed go in.
#[derive(Debug)]
struct Port {
    instruments: Vec<InstrumentId>,
    orders: mpsc::Sender<FeedOrder>,
}

/// Owns every task, directly or through its venue's task.
async fn run(stations: Vec<Arc<Station>>, requests: flume::Receiver<Request>, stop: Stop) {
    let mut tasks = JoinSet::new();
    for station in &stations {
        tasks.spawn(Arc::clone(station).run());
        tasks.spawn(Arc::clone(&station.rest).run());
    }
    tasks.spawn(async move {
        tokio::select! {
            () = stop.requested() => {}
            () = route(&stations, &requests) => {}
        }
    });
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            warn!(%error, "a task of intake did not end in order");
        }
    }
}

/// Hands each request to whom it concerns, until the engine is gone.
async fn route(stations: &[Arc<Station>], requests: &flume::Receiver<Request>) {
    while let Ok(request) = requests.recv_async().await {
        match request {
            Request::Renew { connection } => {
                for port in stations.iter().filter_map(|station| station.ports.get()).flatten() {
                    port.order(FeedOrder::Renew(connection));
                }
            }
            Request::Resubscribe { instrument } => {
                let ports = stations.iter().filter_map(|station| station.ports.get()).flatten();
                for port in ports.filter(|port| port.instruments.contains(&instrument)) {
                    port.order(FeedOrder::Resubscribe(instrument));
                }
            }
            Request::Snapshot { instrument, .. }
            | Request::Trades { instrument, .. }
            | Request::RecentTrades { instrument }
            | Request::AggTrades { instrument, .. }
            | Request::Klines { instrument, .. } => {
                if let Some(station) = stations.iter().find(|station| station.upstream.carries(instrument)) {
                    station.rest.ask(request).await;
                }
            }
        }
    }
}

impl Station {
    /// Reads the venue's list, then keeps its feeds alive.
    async fn run(self: Arc<Self>) {
        let stop = self.upstream.stop.clone();
        let listed = tokio::select! {
            biased;
            () = stop.requested() => return,
            listed = listing::listed(&self.upstream, &self.rest) => listed,
        };
        let instruments: Vec<_> = listed.iter().map(|&id| self.upstream.catalogue.instrument(id)).collect();
        let dials = self.upstream.protocol.dials(&instruments);
        debug!(venue = %self.upstream.name, dials = dials.len(), copies = self.copies, "dialling");
        let mut feeds = JoinSet::new();
        let mut ports = Vec::new();
        for dial in dials {
            for leg in 0..self.copies {
                let (orders, port) = self.feed(dial.clone(), Place { number: ports.len(), leg });
                ports.push(port);
                feeds.spawn(orders.run());
            }
        }
        self.ports.set(ports).expect("a venue's task runs once");
        while let Some(ended) = feeds.join_next().await {
            if let Err(error) = ended {
                warn!(venue = %self.upstream.name, %error, "a feed did not end in order");
            }
        }
    }

    fn feed(&self, dial: Dial, place: Place) -> (Feed, Port) {
        let (orders, inbox) = mpsc::channel(FEED_ORDERS_MAX);
        let port = Port { instruments: dial.instruments.clone(), orders };
        (Feed::new(Arc::clone(&self.upstream), dial, place, inbox), port)
    }
}

impl Port {
    /// A feed with so many orders waiting is about to do what this one asks for, too.
    fn order(&self, order: FeedOrder) {
        if self.orders.try_send(order).is_err() {
            debug!(?order, "a feed is not taking orders");
        }
    }
}

/// Two books must not be mixed: where connections share no update ids, one copy is all that can be used.
fn copies(venue: &VenueFeed) -> u32 {
    let wanted = venue.connections.max(1);
    if wanted > 1 && !venue.protocol.traits().has_update_ids {
        warn!(ws_url = venue.ws_url, "`connections` is taken as 1: this venue's messages carry no ids to merge by");
        return 1;
    }
    wanted
}

/// Orders that may wait for one feed. A connection carries at most 1,024 streams, so this holds one per instrument.
const FEED_ORDERS_MAX: usize = 1024;

#[cfg(test)]
mod tests;
