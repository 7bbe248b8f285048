//! The requests of one connection that is kept alive, served by hyper.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;

use super::{
    super::{
        Phase, Rejection, Shards,
        api_key::ApiKey,
        docs::Called,
        head::{HEADERS_MAX, Handshake, Head},
        heard::{Heard, Requests},
        limits::Visit,
        reached,
        rewind::Rewind,
        ws_api,
    },
    Door,
    admission::{Knock, admission, hand_over},
    respond,
};
use crate::{metrics, topic::Encoding};

/// Idle time after which a kept-alive connection is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Longest life of a REST connection: a client that reads its answers by the byte holds a socket no longer than this.
const REST_LIFETIME_MAX: Duration = Duration::from_secs(600);
/// How long an answer under way may take to end after that, or when the server drains.
const REST_PATIENCE: Duration = Duration::from_secs(5);

/// Serves requests on one connection until it closes, has lived long enough, has to give way or the server drains.
pub(super) async fn serve<S: Shards>(
    door: &Arc<Door<S>>,
    stream: Rewind,
    peer: SocketAddr,
    requests: &Requests,
    visit: Visit,
) {
    let service = service_fn(|request| {
        requests.whole();
        visit.asks();
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
            .half_close(true)
            .serve_connection(TokioIo::new(Heard::new(stream, requests.clone())), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = reached(door.phase.clone(), Phase::Draining) => None,
        () = tokio::time::sleep(REST_LIFETIME_MAX) => None,
        () = requests.ended() => None,
        () = requests.overdue(door.handshake_timeout) => return metrics::Server::refused("timeout"),
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
        let parts = upgraded.downcast::<TokioIo<Heard<Rewind>>>().expect("serve wraps exactly this");
        let (early, stream) = parts.io.into_inner().into_inner().into_parts();
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
