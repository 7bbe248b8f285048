//! The operators' door: `/status`, `/metrics`, `/livez`, `/readyz`, `/admin`. It answers only to its own names, so that no
//! page in a browser can reach it through a name that resolves to this machine.

mod admin;
mod page;
mod samples;
mod status;

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, Version,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};

pub(super) use self::samples::Trail;
use self::samples::{Buckets, Samples};
use super::{
    Health, Operations, Phase,
    heard::{Heard, Requests},
    listen, reached,
};
use crate::{clock, market::Nanos, metrics};

/// Connections that may wait to be accepted.
pub(super) const BACKLOG: i32 = 64;
/// Most connections at a time: a few scrapers and a person.
pub(super) const CONNECTIONS_MAX: u32 = 64;
/// Idle time after which a kept-alive connection is closed (scrapers come each 15 to 60 s).
const KEEP_ALIVE: Duration = Duration::from_secs(120);
/// How long an answer under way may take to end when the door closes.
const PATIENCE: Duration = Duration::from_secs(1);

const TEXT: &str = "text/plain;charset=UTF-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// What every connection of the operators' door shares.
pub(super) struct Door {
    pub(super) health: Health,
    pub(super) operations: Arc<dyn Operations>,
    pub(super) prometheus: PrometheusHandle,
    pub(super) open: Arc<Semaphore>,
    pub(super) addresses: Addresses,
    pub(super) started: Nanos,
    pub(super) trail: Mutex<Trail>,
    /// How long a request may take to come: `server.handshake_timeout_ms`.
    pub(super) request_timeout: Duration,
}

impl Door {
    /// Folds histograms, so that a process nobody scrapes does not grow, and keeps what they say for a minute.
    pub(super) fn keep_up(&self) {
        self.prometheus.run_upkeep();
        let samples = Samples::read(&self.prometheus.render());
        self.trail.lock().unwrap_or_else(PoisonError::into_inner).push(samples);
    }

    /// What a histogram has got in the last minute.
    fn recent(&self, newest: &Samples, name: &str, labels: &[(&str, &str)]) -> Buckets {
        self.trail.lock().unwrap_or_else(PoisonError::into_inner).recent(newest, name, labels)
    }
}

/// Where the doors are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) public: SocketAddr,
    pub(super) sbe: Option<SocketAddr>,
    pub(super) ops: SocketAddr,
    pub(super) is_secure: bool,
}

/// Accepts until the server is closed: readiness is asked for while it drains.
pub(super) async fn serve(door: Arc<Door>, listener: TcpListener, metrics: metrics::Server) {
    let stop = reached(door.health.phase.clone(), Phase::Closed);
    listen::accept(listener, metrics, stop, |stream, peer| {
        let Ok(permit) = Arc::clone(&door.open).try_acquire_owned() else {
            metrics::Server::refused("ops");
            return;
        };
        let door = Arc::clone(&door);
        tokio::spawn(async move {
            serve_one(&door, stream, peer).await;
            drop(permit);
        });
    })
    .await;
}

async fn serve_one(door: &Arc<Door>, stream: TcpStream, peer: SocketAddr) {
    let Ok(local) = stream.local_addr() else { return };
    let requests = Requests::new();
    let service = service_fn(|request| {
        requests.whole();
        async move {
            let response = answer(door, local.ip(), peer, &request).await;
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(KEEP_ALIVE)
            .half_close(true)
            .serve_connection(TokioIo::new(Heard::new(stream, requests.clone())), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = requests.overdue(door.request_timeout) => return metrics::Server::refused("timeout"),
        () = reached(door.health.phase.clone(), Phase::Closed) => {
            connection.as_mut().graceful_shutdown();
            timeout(PATIENCE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "ops connection ended");
    }
}

async fn answer(
    door: &Arc<Door>,
    local: IpAddr,
    peer: SocketAddr,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or("?"));
    let host = request.uri().host().or(host);
    let is_ours = match host {
        Some(host) => is_own_name(host, local, &door.health.adjusted.config().ops.hosts),
        // Only clients older than any browser send none.
        None => request.version() == Version::HTTP_10,
    };
    if !is_ours {
        metrics::Server::refused("host");
        let text = "this door answers to loopback names, its own address and the names in ops.hosts only\n".to_owned();
        return respond(StatusCode::FORBIDDEN, TEXT, text);
    }
    let path = request.uri().path();
    if path.starts_with(admin::PREFIX) {
        return admin::answer(door, peer, request).await;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "this can be read only\n".to_owned());
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => respond(StatusCode::OK, METRICS, metrics::render(&door.prometheus)),
        "/livez" => livez(door),
        "/readyz" => {
            let reasons = door.health.unready();
            let is_ready = reasons.is_empty();
            let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            respond(status, JSON, json!({ "ready": is_ready, "reasons": reasons }).to_string())
        }
        "/status.json" => respond(StatusCode::OK, JSON, status::of(door).json()),
        "/" | "/status" if wants_json(request) => respond(StatusCode::OK, JSON, status::of(door).json()),
        "/" | "/status" => page::respond(&status::of(door)),
        _ => page::part(path).unwrap_or_else(|| {
            let text = "here are /status, /status.json, /metrics, /livez, /readyz and /admin/...\n".to_owned();
            respond(StatusCode::NOT_FOUND, TEXT, text)
        }),
    }
}

/// 200 while every loop takes its turns, else 503 that names those that do not.
fn livez(door: &Door) -> Response<Full<Bytes>> {
    let late = door.health.late();
    let most = door.health.adjusted.config().ops.beat_max_ms;
    let loops: Vec<_> = door.health.beats.ages(clock::now()).iter().map(shown).collect();
    let reasons: Vec<_> = late
        .iter()
        .map(|age| format!("thread {} has taken no turn for {} ms", age.name, age.age.as_millis()))
        .collect();
    let status = if late.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "live": late.is_empty(), "reasons": reasons, "beat_max_ms": most, "loops": loops });
    respond(status, JSON, body.to_string())
}

fn shown(age: &clock::Age) -> serde_json::Value {
    json!({ "thread": &*age.name, "age_ms": age.age.as_millis() as u64 })
}

fn wants_json(request: &Request<Incoming>) -> bool {
    let accepted =
        request.headers().get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    let first = |kind: &str| accepted.find(kind);
    // Browsers name HTML first; whoever names only JSON gets that.
    first(JSON).is_some_and(|json| first("text/html").is_none_or(|html| json < html))
}

/// Whether `host` (with or without a port) is a loopback name or address, the address that was connected to, or one of the
/// names that are configured.
fn is_own_name(host: &str, local: IpAddr, hosts: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) if port.is_empty() || port.starts_with(':') => name,
            _ => return false,
        },
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    if name.eq_ignore_ascii_case("localhost") || hosts.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return true;
    }
    name.parse::<IpAddr>().is_ok_and(|address| {
        let address = address.to_canonical();
        address.is_loopback() || address == local.to_canonical()
    })
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_are_answered() {
        let local: IpAddr = "192.0.2.7".parse().expect("an address");
        for own in [
            "localhost",
            "LOCALHOST:9464",
            "127.0.0.1",
            "127.0.0.1:9464",
            "[::1]:9464",
            "[::1]",
            "192.0.2.7:9464",
            "127.9.9.9",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_own_name(own, local, &[]), "{own}");
        }
        let hosts = ["tickcast".to_owned(), "2001:db8::7".to_owned()];
        for own in ["tickcast:9464", "Tickcast", "[2001:db8::7]:9464"] {
            assert!(is_own_name(own, local, &hosts) && !is_own_name(own, local, &[]), "{own}");
        }
        for foreign in [
            "tickcast.evil.example",
            "evil.example",
            "localhost.evil.example",
            "192.0.2.8",
            "",
            ":9464",
            "[::1",
            "[::1]evil",
            "[evil]",
            "?",
            "127.0.0.1.evil.example",
            "0.0.0.0",
        ] {
            assert!(!is_own_name(foreign, local, &hosts), "{foreign}");
        }
    }
}
