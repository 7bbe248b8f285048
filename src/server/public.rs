//! The doors for clients: read the first request, send WebSockets to the shards and the rest to hyper.
//!
//! The door of SBE shares everything with the one of JSON, limits per address included; it has no REST.

use std::{convert::Infallible, io::ErrorKind, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use super::{
    Adjusted, Phase, Rejection, Rest, Shards,
    api_key::ApiKey,
    certificate::Certificate,
    docs::{Called, Docs},
    head::{self, HEADERS_MAX, Handshake, Head},
    listen,
    page::Page,
    reached,
    rewind::Rewind,
    stream::Stream,
    ws_api::{self, Api},
};
use crate::{market::Catalogue, metrics, topic::Encoding};

mod admission;
mod first;
mod gzip;
mod respond;

use admission::{Knock, admission, hand_over};
use first::{First, read_head};

/// Idle time after which a kept-alive connection is closed; also the time for the head of a later request.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Longest life of a REST connection: a client that reads its answers by the byte holds a socket no longer than this.
const REST_LIFETIME_MAX: Duration = Duration::from_secs(600);
/// How long an answer under way may take to end after that, or when the server drains.
const REST_PATIENCE: Duration = Duration::from_secs(5);
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
    phase: watch::Receiver<Phase>,
}

/// How many connections there may be of those that stay with the doors.
pub(super) struct Places {
    /// In the handshake or in REST.
    pub(super) pending: Arc<Semaphore>,
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
        let Places { pending, ws_api } = places;
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
            phase,
        }
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
        Ok(First::Http) => Box::pin(serve_http(&door, Rewind::new(head::escaped(bytes), stream), peer)).await,
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

/// Serves requests on one connection until it closes, has lived long enough or the server drains.
async fn serve_http<S: Shards>(door: &Arc<Door<S>>, stream: Rewind, peer: SocketAddr) {
    let service = service_fn(|request| {
        let answer = answer(door, peer, request);
        async { Ok::<_, Infallible>(answer) }
    });
    // Without `pipeline_flush`: with it, hyper 1.12 leaves a 101 unsent when bytes came behind its request.
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(KEEP_ALIVE.max(door.handshake_timeout))
            .max_buf_size(door.request_bytes_max.max(8192))
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = reached(door.phase.clone(), Phase::Draining) => None,
        () = tokio::time::sleep(REST_LIFETIME_MAX) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            timeout(REST_PATIENCE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "REST connection ended");
    }
}

/// One request of a kept-alive connection.
fn answer<S: Shards>(door: &Arc<Door<S>>, peer: SocketAddr, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let headers = request.headers();
    let head = Head {
        method: request.method().as_str(),
        target: &target,
        is_http_1_1: request.version() == hyper::Version::HTTP_11,
        headers: headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect(),
    };
    // A proxy may send a handshake over a connection that it used for REST before.
    match head.handshake() {
        Some(Ok(handshake)) => return upgrade_later(door, peer, &mut request, &target, &handshake),
        Some(Err(rejection)) => return respond::rejected(&rejection, None),
        None => {}
    }
    let path = target.split('?').next().unwrap_or_default();
    if let Some(file) = door.page.at(path) {
        return respond::page(request.method(), headers, file);
    }
    let named = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = named("x-forwarded-proto").or(door.tls.as_ref().map(|_| "https"));
    let called = Called { host: named("host"), scheme };
    if let Some(document) = door.docs.at(path, called) {
        return respond::document(request.method(), headers, document);
    }
    let response = respond::rest(door, peer, request.method().as_str(), &target, headers);
    let response = match response {
        Some(response) => response,
        None if is_websocket(door, &target) => {
            let body = "this is a WebSocket address".to_owned();
            respond::rejected(&Rejection { status: 426, body }, None)
        }
        None => respond::not_found(),
    };
    metrics::Server::answered(response.status().as_u16());
    response
}

/// Whether `target` is an address that a handshake would be accepted at.
fn is_websocket<S: Shards>(door: &Door<S>, target: &str) -> bool {
    door.shards.opening(target, Encoding::Json).is_ok() || ws_api::Opening::read(target, &door.catalogue).is_some()
}

/// Answers 101 through hyper and hands the socket over when hyper lets go of it.
fn upgrade_later<S: Shards>(
    door: &Arc<Door<S>>,
    peer: SocketAddr,
    request: &mut Request<Incoming>,
    target: &str,
    handshake: &Handshake,
) -> Response<Full<Bytes>> {
    let knock = Knock { peer, target, encoding: Encoding::Json, key: ApiKey::Good };
    let admitted = match admission(door, &knock) {
        Ok(admitted) => admitted,
        Err((rejection, retry_after_s)) => return respond::rejected(&rejection, retry_after_s),
    };
    let upgraded = hyper::upgrade::on(request);
    let door = Arc::clone(door);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let parts = upgraded.downcast::<TokioIo<Rewind>>().expect("serve_http wraps exactly this");
        let (early, stream) = parts.io.into_inner().into_parts();
        let early = if early.is_empty() { parts.read_buf } else { [parts.read_buf, early].concat().into() };
        hand_over(&door, stream, early, admitted, peer);
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    for (name, value) in respond::handshake_headers(handshake) {
        headers.insert(name, HeaderValue::from_str(value).expect("base64 or a checked token"));
    }
    response
}
