//! The operators' door: `/metrics`, `/livez`, `/readyz`. It answers only to its own names, so that no page in a
//! browser can reach it through a name that resolves to this machine.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

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
    sync::{Semaphore, watch},
};

use super::{Phase, listen, reached};
use crate::{market::Catalogue, metrics, views::Views};

/// Connections that may wait to be accepted.
pub(super) const BACKLOG: i32 = 64;
/// Most connections at a time: a few scrapers and a person.
const CONNECTIONS_MAX: usize = 64;
/// Idle time after which a kept-alive connection is closed (scrapers come each 15 to 60 s).
const KEEP_ALIVE: Duration = Duration::from_secs(120);

/// What every connection of the operators' door shares.
pub(super) struct Door {
    catalogue: Arc<Catalogue>,
    views: Arc<Views>,
    prometheus: PrometheusHandle,
    phase: watch::Receiver<Phase>,
}

impl Door {
    pub(super) fn new(
        catalogue: Arc<Catalogue>,
        views: Arc<Views>,
        prometheus: PrometheusHandle,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        Self { catalogue, views, prometheus, phase }
    }

    /// Why traffic should not come here yet or any more; empty: it should.
    ///
    /// Each venue has to have its list read, and each book on it its first snapshot. Nobody waits for an instrument that
    /// is not on the list or that the venue refuses: that is for a person to mend, and the others are worth serving. One
    /// book that heals does not count either, it takes a moment; when all of them do, the feed is lost.
    fn unready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if *self.phase.borrow() > Phase::Serving {
            reasons.push("draining".to_owned());
        }
        self.views.catch_up();
        for health in self.views.health() {
            let name = &self.catalogue.venues()[health.venue.0 as usize].name;
            if health.listed == 0 {
                reasons.push(format!(
                    "venue {name}: its list of instruments has not been read, or has none of those configured"
                ));
            } else if health.waiting > 0 {
                let (waiting, listed) = (health.waiting, health.listed);
                reasons.push(format!("venue {name}: {waiting} of {listed} books wait for their first snapshot"));
            } else if health.healing > 0 && health.live == 0 {
                let healing = health.healing;
                reasons.push(format!("venue {name}: all {healing} books show what they were before the feed was lost"));
            }
        }
        reasons
    }
}

/// Accepts until the server is closed: readiness is asked for while it drains.
pub(super) async fn serve(door: Arc<Door>, listener: TcpListener, metrics: metrics::Server) {
    let open = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let stop = reached(door.phase.clone(), Phase::Closed);
    listen::accept(listener, metrics, stop, |stream, _| {
        let Ok(permit) = Arc::clone(&open).try_acquire_owned() else {
            metrics::Server::refused("ops");
            return;
        };
        let door = Arc::clone(&door);
        tokio::spawn(async move {
            serve_one(&door, stream).await;
            drop(permit);
        });
    })
    .await;
}

async fn serve_one(door: &Door, stream: TcpStream) {
    let Ok(local) = stream.local_addr() else { return };
    let service = service_fn(|request| {
        let response = answer(door, local.ip(), &request);
        async { Ok::<_, Infallible>(response) }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(KEEP_ALIVE)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%error, "ops connection ended");
            }
        }
        () = reached(door.phase.clone(), Phase::Closed) => {}
    }
}

fn answer(door: &Door, local: IpAddr, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or("?"));
    let host = request.uri().host().or(host);
    let is_ours = match host {
        Some(host) => is_own_name(host, local),
        // Only clients older than any browser send none.
        None => request.version() == Version::HTTP_10,
    };
    if !is_ours {
        metrics::Server::refused("host");
        let text = "this door answers to loopback names and its own address only".to_owned();
        return respond(StatusCode::FORBIDDEN, "text/plain;charset=UTF-8", text);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return respond(StatusCode::METHOD_NOT_ALLOWED, "text/plain;charset=UTF-8", String::new());
    }
    let json = "application/json";
    match request.uri().path() {
        "/metrics" => {
            respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics::render(&door.prometheus))
        }
        "/livez" => respond(StatusCode::OK, json, json!({ "live": true }).to_string()),
        "/readyz" => {
            let reasons = door.unready();
            let is_ready = reasons.is_empty();
            let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            respond(status, json, json!({ "ready": is_ready, "reasons": reasons }).to_string())
        }
        _ => respond(StatusCode::NOT_FOUND, "text/plain;charset=UTF-8", String::new()),
    }
}

/// Whether `host` (with or without a port) is a loopback name or address, or the address that was connected to.
fn is_own_name(host: &str, local: IpAddr) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) if port.is_empty() || port.starts_with(':') => name,
            _ => return false,
        },
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    if name.eq_ignore_ascii_case("localhost") {
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
            assert!(is_own_name(own, local), "{own}");
        }
        for foreign in [
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
            assert!(!is_own_name(foreign, local), "{foreign}");
        }
    }
}
