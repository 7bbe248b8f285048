//! The doors for clients: read the first request, send WebSockets to the shards and the rest to hyper.
//!
//! The door of SBE shares everything with the one of JSON, limits per address included; it has no REST.

use std::{io::ErrorKind, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use super::{
    Adjusted, Phase, Rejection, Rest, Shards,
    certificate::Certificate,
    docs::Docs,
    head::{self, Handshake},
    heard::Requests,
    limits::{NoPlace, Visit, Visits},
    listen,
    page::Page,
    reached,
    rewind::Rewind,
    stream::Stream,
    ws_api::Api,
};
use crate::{market::Catalogue, metrics, topic::Encoding};

mod admission;
mod first;
mod gzip;
mod http;
mod respond;

use admission::{Knock, admission, hand_over};
use first::{First, read_head};

/// After a refusal, bytes and time that the client may go on sending before it is cut. Closing a socket with unread
/// bytes resets it, and the client would never read why.
const LINGER_BYTES_MAX: usize = 1 << 20;
const LINGER: Duration = Duration::from_secs(2);
/// Bytes of it to read at once.
const LINGER_BYTES: usize = 2048;

/// What every connection of the doors for clients shares.
pub(super) struct Door<S> {
    rest: Arc<Rest>,
    api: Arc<Api>,
    catalogue: Arc<Catalogue>,
    docs: Docs,
    page: Page,
    shards: Arc<S>,
    adjusted: Arc<Adjusted>,
    tls: Option<Arc<Certificate>>,
    handshake_timeout: Duration,
    request_bytes_max: usize,
    metrics: metrics::Server,
    pending: Arc<Semaphore>,
    pending_max: usize,
    visits: Arc<Visits>,
    phase: watch::Receiver<Phase>,
}

/// How many connections there may be of those that stay with the doors.
pub(super) struct Places {
    /// In the handshake.
    pub(super) pending: Arc<Semaphore>,
    /// In REST.
    pub(super) visits: Arc<Visits>,
    /// At `/ws-api/v3`.
    pub(super) ws_api: Arc<Semaphore>,
}

/// What requests are answered from.
pub(super) struct Answers {
    pub(super) rest: Arc<Rest>,
    pub(super) docs: Docs,
    /// What they are encrypted with, if they are.
    pub(super) tls: Option<Arc<Certificate>>,
}

impl<S: Shards> Door<S> {
    pub(super) fn new(
        adjusted: Arc<Adjusted>,
        catalogue: Arc<Catalogue>,
        answers: Answers,
        shards: Arc<S>,
        metrics: metrics::Server,
        places: Places,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let config = adjusted.config();
        let settings = &config.server;
        let Answers { rest, docs, tls } = answers;
        let Places { pending, visits, ws_api } = places;
        let (api_rest, api_weights) = (Arc::clone(&rest), Arc::clone(&adjusted.weights));
        Self {
            rest,
            api: Arc::new(Api::new(&config, api_rest, api_weights, ws_api, phase.clone(), metrics.clone())),
            page: Page::new(&catalogue),
            catalogue,
            docs,
            shards,
            tls,
            handshake_timeout: Duration::from_millis(settings.handshake_timeout_ms),
            request_bytes_max: settings.request_bytes_max,
            adjusted,
            metrics,
            pending_max: pending.available_permits(),
            pending,
            visits,
            phase,
        }
    }

    /// A place in REST, or what is said to who gets none.
    fn visit(&self, peer: SocketAddr, requests: &Requests) -> Result<Visit, Rejection> {
        let most = self.adjusted.rest_connections(peer.ip());
        self.visits.enter(peer.ip(), requests, most).map_err(|why| match why {
            NoPlace::AtAll => {
                metrics::Server::refused("rest");
                Rejection { status: 503, body: "too many requests are under way".to_owned() }
            }
            NoPlace::OfAddress => {
                metrics::Server::refused("rest_address");
                Rejection { status: 429, body: "too many requests of this address are under way".to_owned() }
            }
        })
    }

    fn show_pending(&self) {
        self.metrics.pending.set((self.pending_max - self.pending.available_permits()) as f64);
    }
}

/// Accepts until the server drains.
pub(super) async fn serve<S: Shards>(door: Arc<Door<S>>, listener: TcpListener, encoding: Encoding) {
    let metrics = door.metrics.clone();
    let stop = reached(door.phase.clone(), Phase::Draining);
    listen::accept(listener, metrics, stop, |stream, peer| {
        let Ok(permit) = Arc::clone(&door.pending).try_acquire_owned() else {
            metrics::Server::refused("pending");
            if door.tls.is_some() {
                return;
            }
            let busy = Rejection { status: 503, body: "too many requests are under way".to_owned() };
            // One try: whoever cannot take a hundred bytes at once learns it from the closed socket.
            let _ = stream.try_write(&respond::refusal(&busy, Some(1)));
            return;
        };
        tokio::spawn(greet(Arc::clone(&door), encoding, stream.into(), peer, permit));
    })
    .await;
}

/// Reads the first request of a connection and sees the connection off to where it belongs.
async fn greet<S: Shards>(
    door: Arc<Door<S>>,
    encoding: Encoding,
    mut stream: Stream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
) {
    door.show_pending();
    let mut bytes = BytesMut::new();
    // One of these opens the door of SBE; none: it is open.
    let config = (encoding == Encoding::Sbe).then(|| door.adjusted.config());
    let keys = config.as_ref().map_or(&[][..], |config| &config.sbe.api_keys);
    let tls = door.tls.as_ref().map(|certificate| certificate.config());
    let head = async {
        if let Some(config) = tls
            && let Err(error) = stream.secure(config).await
        {
            return match error.kind() {
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => First::Gone,
                _ => First::Insecure(error),
            };
        }
        read_head(&mut stream, &mut bytes, door.request_bytes_max, keys).await
    };
    let first = tokio::select! {
        first = timeout(door.handshake_timeout, head) => first,
        () = reached(door.phase.clone(), Phase::Draining) => Ok(First::Gone),
    };
    match first {
        // Boxed, so that a connection on its way to a shard does not carry hyper's state.
        Ok(First::Http) if encoding == Encoding::Sbe => {
            metrics::Server::refused("request");
            refuse(stream, &only_streams(), None).await;
        }
        Ok(First::Http) => {
            let requests = Requests::new();
            match door.visit(peer, &requests) {
                Ok(visit) => {
                    drop(permit);
                    door.show_pending();
                    let stream = Rewind::new(head::escaped(bytes), stream);
                    return Box::pin(http::serve(&door, stream, peer, &requests, visit)).await;
                }
                Err(rejection) => refuse(stream, &rejection, Some(1)).await,
            }
        }
        Ok(First::WebSocket { length, target, handshake, key }) => {
            let early = bytes.split_off(length).freeze();
            drop(bytes);
            let knock = Knock { peer, target: &target, encoding, key };
            upgrade(&door, stream, early, &knock, &handshake).await;
        }
        Ok(First::Refused(rejection)) => {
            metrics::Server::refused("request");
            refuse(stream, &rejection, None).await;
        }
        Ok(First::Insecure(error)) => {
            metrics::Server::refused("tls");
            tracing::debug!(%peer, %error, "no TLS with a client");
            if error.kind() == ErrorKind::Unsupported {
                let body = "this address speaks TLS: use https:// or wss://".to_owned();
                refuse(stream, &Rejection { status: 400, body }, None).await;
            }
        }
        Ok(First::Gone) => {}
        Err(_) => {
            metrics::Server::refused("timeout");
            if !bytes.is_empty() {
                let late = Rejection { status: 408, body: "the request took too long".to_owned() };
                refuse(stream, &late, None).await;
            }
        }
    }
    drop(permit);
    door.show_pending();
}

async fn upgrade<S: Shards>(
    door: &Arc<Door<S>>,
    mut stream: Stream,
    early: Bytes,
    knock: &Knock<'_>,
    handshake: &Handshake,
) {
    let admitted = match admission(door, knock) {
        Ok(admitted) => admitted,
        Err((rejection, retry_after_s)) => return refuse(stream, &rejection, retry_after_s).await,
    };
    let written = timeout(door.handshake_timeout, stream.write_all(&respond::switching(handshake))).await;
    if matches!(written, Ok(Ok(()))) {
        hand_over(door, stream, early, admitted, knock.peer);
    }
}

fn only_streams() -> Rejection {
    let body = "this address serves SBE streams over WebSocket (/ws, /stream); REST and JSON are at another port";
    Rejection { status: 426, body: body.to_owned() }
}

/// Sends a refusal and closes so that the client can read it.
async fn refuse(mut stream: Stream, rejection: &Rejection, retry_after_s: Option<u64>) {
    // Boxed: connections that are let in, ten thousand at a time, do not carry the room for this.
    let linger = Box::pin(async {
        stream.write_all(&respond::refusal(rejection, retry_after_s)).await?;
        stream.shutdown().await?;
        let mut sink = [0; LINGER_BYTES];
        let mut left = LINGER_BYTES_MAX;
        while left > 0 {
            match stream.read(&mut sink).await? {
                0 => break,
                count => left = left.saturating_sub(count),
            }
        }
        std::io::Result::Ok(())
    });
    // Whatever goes wrong now, the connection ends.
    let _ = timeout(LINGER, linger).await;
}
