//! The request and response API at `/ws-api/v3`: REST's market data over a WebSocket (binance.md section 11).
//!
//! Every method is an endpoint's twin: both are the same call, so that they give the same answer, the same refusal and cost
//! the same weight, which is counted together. There are few such connections, each a task of the
//! doors' runtime.

mod conversation;
mod reply;
mod request;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{
    Call, Phase, Rejection, Rest,
    limits::{Limited, Weights},
    stream::Stream,
};
use crate::{
    clock, config,
    market::{Catalogue, Nanos, VenueId},
    metrics,
    session::Limits,
    topic::TimeUnit,
};

use reply::Outcome;
use request::Request;

/// What opening a connection costs (binance.md section 11).
pub(super) const CONNECT_WEIGHT: u32 = 2;
/// What a request costs that never came as far as an endpoint.
const REFUSED_WEIGHT: u32 = 1;

/// What all connections of this API share.
#[derive(Debug)]
pub(super) struct Api {
    rest: Arc<Rest>,
    weights: Arc<Weights>,
    limits: Limits,
    message_bytes_max: usize,
    write_timeout: Duration,
    announces_shutdown: bool,
    close_timeout: Duration,
    places: Arc<Semaphore>,
    places_max: usize,
    phase: watch::Receiver<Phase>,
    metrics: metrics::Server,
}

/// What the URL of a connection says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    venue: VenueId,
    unit: TimeUnit,
    shows_limits: bool,
}

/// A connection that was let in.
#[derive(Debug)]
pub(super) struct Admitted {
    opening: Opening,
    _place: OwnedSemaphorePermit,
}

impl Api {
    pub(super) fn new(
        config: &config::Config,
        rest: Arc<Rest>,
        weights: Arc<Weights>,
        places: Arc<Semaphore>,
        phase: watch::Receiver<Phase>,
        metrics: metrics::Server,
    ) -> Self {
        let config::Config { session, ws_api, .. } = config;
        Self {
            rest,
            weights,
            limits: Limits {
                streams_max: 0,
                messages_per_second: 0,
                messages_burst: 0,
                ping_interval_ms: session.ping_interval_ms,
                pong_timeout_ms: session.pong_timeout_ms,
                lifetime_ms: session.lifetime_ms,
                lifetime_jitter_ms: session.lifetime_jitter_ms,
                unknown_bytes_max: 0,
            },
            message_bytes_max: ws_api.message_bytes_max,
            write_timeout: Duration::from_millis(ws_api.write_timeout_ms),
            announces_shutdown: session.announce_shutdown,
            close_timeout: Duration::from_millis(session.close_timeout_ms),
            places_max: places.available_permits(),
            places,
            phase,
            metrics,
        }
    }

    /// Lets a connection in, which costs its address weight; the other way round, why not and after how many seconds to
    /// come again.
    pub(super) fn admit(&self, opening: Opening, peer: SocketAddr) -> Result<Admitted, (Rejection, Option<u64>)> {
        let now = clock::now();
        if let Err(Limited { refusal, retry_after_s, .. }) = self.weights.admit(peer.ip(), now) {
            metrics::Server::refused("weight");
            return Err((Rejection { status: refusal.status, body: refusal.text }, Some(retry_after_s)));
        }
        self.weights.spend(peer.ip(), CONNECT_WEIGHT, now);
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            metrics::Server::refused("ws_api");
            let body = "too many connections to /ws-api/v3 (ws_api.connections_max)".to_owned();
            return Err((Rejection { status: 503, body }, Some(1)));
        };
        Ok(Admitted { opening, _place: place })
    }

    /// Serves a connection to its end; `early` are bytes that the client sent behind its request.
    pub(super) async fn serve(self: Arc<Self>, stream: Stream, early: Bytes, admitted: Admitted, peer: SocketAddr) {
        self.show_connections();
        conversation::hold(&self, stream, early, &admitted.opening, peer).await;
        drop(admitted);
        self.show_connections();
    }

    /// The answer to one text of `peer`.
    fn answer(&self, text: &str, opening: &Opening, peer: SocketAddr, now: Nanos) -> Outcome {
        let limited = self.weights.admit(peer.ip(), now).err();
        let request = Request::parse(text, opening.shows_limits);
        let (weight, mut outcome) = match (request, limited) {
            (Err(malformed), _) => (REFUSED_WEIGHT, Outcome::malformed(&malformed)),
            (Ok(request), Some(limited)) => (0, Outcome::limited(&request, &limited, now, opening.unit)),
            (Ok(request), None) => self.ask(&request, opening, now),
        };
        let used = self.weights.spend(peer.ip(), weight, now);
        outcome.finish(self.weights.most(), used);
        metrics::Server::answered_ws_api(outcome.status);
        outcome
    }

    fn ask(&self, request: &Request<'_>, opening: &Opening, now: Nanos) -> (u32, Outcome) {
        let endpoint = match request.endpoint() {
            Ok(endpoint) => endpoint,
            Err(refusal) => return (REFUSED_WEIGHT, Outcome::refused(request, &refusal)),
        };
        let parameters = match request.parameters() {
            Ok(parameters) => parameters,
            Err(refusal) => return (REFUSED_WEIGHT, Outcome::refused(request, &refusal)),
        };
        let Opening { venue, unit, .. } = *opening;
        let answer = self.rest.call(&Call { venue, endpoint, parameters: &parameters, unit, now });
        (answer.weight, Outcome::answered(request, answer.status, &answer.body))
    }

    fn show_connections(&self) {
        self.metrics.ws_api_connections.set((self.places_max - self.places.available_permits()) as f64);
    }
}

impl Opening {
    /// Reads path and query of a request: `/ws-api/v3`, for another venue than the default one `/kraken/ws-api/v3`; `None`
    /// for any other path.
    ///
    /// # Errors
    /// 400 for a time unit that is none, and for SBE, which is not spoken here.
    pub(super) fn read(target: &str, catalogue: &Catalogue) -> Option<Result<Self, Rejection>> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_suffix('/').unwrap_or(path);
        let venue = match path.strip_suffix("/ws-api/v3")? {
            "" => catalogue.venues().first()?,
            prefix => catalogue.venue_named(prefix.strip_prefix('/')?)?,
        };
        let mut opening = Self { venue: venue.id, unit: TimeUnit::default(), shows_limits: true };
        Some(query.split('&').try_for_each(|pair| opening.set(pair)).map(|()| opening))
    }

    fn set(&mut self, pair: &str) -> Result<(), Rejection> {
        let refuse = |body: &str| Err(Rejection { status: 400, body: body.to_owned() });
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match (key, &*percent_decode_str(value).decode_utf8_lossy()) {
            ("timeUnit", "MILLISECOND" | "millisecond") => self.unit = TimeUnit::Milliseconds,
            ("timeUnit", "MICROSECOND" | "microsecond") => self.unit = TimeUnit::Microseconds,
            ("timeUnit", _) => return refuse("Invalid timeUnit: expected MILLISECOND or MICROSECOND"),
            ("returnRateLimits", "false") => self.shows_limits = false,
            ("returnRateLimits", "true") => self.shows_limits = true,
            ("returnRateLimits", _) => return refuse("Invalid returnRateLimits: expected true or false"),
            ("responseFormat", "sbe") => return refuse("SBE is not enabled."),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_their_options() {
        let mut catalogue = Catalogue::new();
        catalogue.add_venue("binance", None);
        catalogue.add_venue("kraken", None);
        let read = |target: &str| {
            Opening::read(target, &catalogue).map(|read| {
                read.map(|opening| (opening.venue.0, opening.unit, opening.shows_limits)).map_err(|no| no.status)
            })
        };
        use TimeUnit::{Microseconds as Us, Milliseconds as Ms};
        let opened = |venue, unit, shows_limits| Some(Ok((venue, unit, shows_limits)));
        assert_eq!(read("/ws-api/v3"), opened(0, Ms, true));
        assert_eq!(read("/ws-api/v3/"), opened(0, Ms, true));
        assert_eq!(read("/kraken/ws-api/v3?x=1"), opened(1, Ms, true));
        assert_eq!(read("/ws-api/v3?timeUnit=microsecond&returnRateLimits=false"), opened(0, Us, false));
        assert_eq!(read("/ws-api/v3?returnRateLimits=true&timeUnit=MILLISECOND"), opened(0, Ms, true));
        for target in ["/ws-api", "/ws-api/v1", "/nosuch/ws-api/v3", "/ws-api/v3/x", "/ws", "/", "", "ws-api/v3"] {
            assert_eq!(read(target), None, "{target}");
        }
        for query in ["timeUnit=Microsecond", "timeUnit=", "returnRateLimits=0", "responseFormat=sbe&sbeSchemaId=3"] {
            assert_eq!(read(&format!("/ws-api/v3?{query}")), Some(Err(400)), "{query}");
        }
    }
}
