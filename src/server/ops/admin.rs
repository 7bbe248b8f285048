//! `/admin/...`: what operators may do. Behind a key, by POST, and never for a page in a browser.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderMap, HeaderValue},
};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{Door, JSON, respond};
use crate::{
    market::{Instrument, Venue},
    metrics,
};

/// Where the admin API is.
pub(super) const PREFIX: &str = "/admin/";

const PATHS: &str =
    "POST /admin/drain, /admin/reload, /admin/resync?venue=..&symbol=.., /admin/log?level=..; GET /admin/log";

/// What was said, or why not: an HTTP status, what is wrong, the way out.
type Said = Result<Value, (StatusCode, String, String)>;

/// Answers a request below [`PREFIX`], whose host has been looked at.
pub(super) async fn answer(door: &Arc<Door>, peer: SocketAddr, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let said = match admit(door, request.headers()) {
        Ok(()) => act(door, peer, request).await,
        Err(refusal) => {
            metrics::Server::refused("admin");
            tracing::warn!(%peer, path = request.uri().path(), reason = refusal.1, "admin request refused");
            Err(refusal)
        }
    };
    let (status, body) = match said {
        Ok(body) => (StatusCode::OK, body),
        Err((status, error, way_out)) => (status, json!({ "error": error, "way_out": way_out })),
    };
    let mut response = respond(status, JSON, body.to_string());
    let headers = response.headers_mut();
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tickcast\""));
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            let allowed = if request.uri().path() == "/admin/log" { "GET, POST" } else { "POST" };
            headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        _ => {}
    }
    response
}

/// Whether whoever asks may. A page in a browser may not, even with the key: every request of one that changes something
/// names its origin.
fn admit(door: &Door, headers: &HeaderMap) -> Result<(), (StatusCode, String, String)> {
    let refused = |status, error: &str, way_out: &str| Err((status, error.to_owned(), way_out.to_owned()));
    if headers.contains_key(header::ORIGIN) {
        let way_out = "ask without the header Origin, from a shell: curl -X POST";
        return refused(StatusCode::FORBIDDEN, "the admin API does not answer pages in browsers", way_out);
    }
    let config = door.health.adjusted.config();
    let Some(key) = &config.ops.admin_key else {
        let way_out = "set ops.admin_key (16 characters or more) in the configuration file or in \
                       TICKCAST__OPS__ADMIN_KEY; a file is read again on SIGHUP";
        return refused(StatusCode::FORBIDDEN, "the admin API is switched off: ops.admin_key is empty", way_out);
    };
    let way_out = "send the header Authorization: Bearer KEY with the key of ops.admin_key, once";
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(given), None) = (given.next(), given.next()) else {
        return refused(StatusCode::UNAUTHORIZED, "there is no key, or more than one", way_out);
    };
    let (scheme, given) = given.as_bytes().split_at_checked(SCHEME.len()).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case(SCHEME) || !key.is(given) {
        return refused(StatusCode::UNAUTHORIZED, "that is not the key", way_out);
    }
    Ok(())
}

const SCHEME: &[u8] = b"Bearer ";

async fn act(door: &Arc<Door>, peer: SocketAddr, request: &Request<Incoming>) -> Said {
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    let query = request.uri().query().unwrap_or_default();
    let is_post = request.method() == Method::POST;
    match path {
        "log" if request.method() == Method::GET => Ok(json!({ "level": door.operations.log_level() })),
        "drain" | "reload" | "resync" | "log" if !is_post => {
            let error = format!("/admin/{path} does not take {}", request.method());
            Err((StatusCode::METHOD_NOT_ALLOWED, error, format!("use {PATHS}")))
        }
        "drain" => Ok(drain(door, peer)),
        "reload" => reload(door, peer).await,
        "resync" => resync(door, peer, query),
        "log" => log(door, peer, query),
        _ => Err((StatusCode::NOT_FOUND, "there is no such thing to do".to_owned(), format!("use {PATHS}"))),
    }
}

fn drain(door: &Door, peer: SocketAddr) -> Value {
    tracing::warn!(%peer, "admin: drain");
    door.operations.drain();
    let done = "draining: no new connections, serverShutdown and close frames to everyone, then the process ends";
    json!({ "done": done })
}

async fn reload(door: &Arc<Door>, peer: SocketAddr) -> Said {
    tracing::warn!(%peer, "admin: reload");
    let operations = Arc::clone(&door.operations);
    let reloaded = tokio::task::spawn_blocking(move || operations.reload()).await;
    let reloaded = reloaded.unwrap_or_else(|_| Err("the reload ended with a defect; see the log".to_owned()));
    match reloaded {
        Ok(reloaded) => {
            let done = match (reloaded.applied.len(), reloaded.wants_restart.len()) {
                (0, 0) => "read again; nothing has changed".to_owned(),
                (applied, 0) => format!("read again; {applied} keys have taken effect"),
                (applied, waiting) => {
                    format!("read again; {applied} keys have taken effect, {waiting} others want a restart")
                }
            };
            Ok(json!({ "done": done, "applied": reloaded.applied, "wants_restart": reloaded.wants_restart }))
        }
        Err(error) => {
            let way_out = "nothing has changed; mend the configuration (tickcast check-config) and reload again";
            Err((StatusCode::UNPROCESSABLE_ENTITY, error, way_out.to_owned()))
        }
    }
}

fn resync(door: &Door, peer: SocketAddr, query: &str) -> Said {
    let instrument = instrument(door, query)?;
    let (venue, symbol) = (&door.health.catalogue.venues()[instrument.venue.0 as usize].name, &instrument.symbol);
    tracing::warn!(%peer, %venue, %symbol, "admin: resync");
    let before = door.health.views.state(instrument.id).name();
    door.operations.resync(instrument.id).map_err(|error| {
        let way_out = "try again in a moment".to_owned();
        (StatusCode::SERVICE_UNAVAILABLE, error, way_out)
    })?;
    let done = "a new snapshot is asked for; the book heals with it, ids go on, and subscribers get one diff";
    Ok(json!({ "done": done, "venue": venue, "symbol": symbol, "state_before": before }))
}

fn instrument<'a>(door: &'a Door, query: &str) -> Result<&'a Instrument, (StatusCode, String, String)> {
    let bad = |error: String, way_out: String| (StatusCode::BAD_REQUEST, error, way_out);
    let catalogue = &door.health.catalogue;
    let venues = || catalogue.venues().iter().map(|venue| &*venue.name).collect::<Vec<_>>().join(", ");
    let venue: &Venue = match (parameter(query, "venue"), catalogue.venues()) {
        (Some(name), _) => catalogue
            .venue_named(&name)
            .ok_or_else(|| bad(format!("there is no venue {name:?}"), format!("venues are {}", venues())))?,
        (None, [only]) => only,
        (None, _) => return Err(bad("the parameter venue is missing".to_owned(), format!("venues are {}", venues()))),
    };
    let way_out = || format!("use a symbol as /api/v3/exchangeInfo of {} spells it, e.g. symbol=BTCUSDT", venue.name);
    let Some(symbol) = parameter(query, "symbol") else {
        return Err(bad("the parameter symbol is missing".to_owned(), way_out()));
    };
    let found = catalogue.by_lower(venue.id, &symbol.to_lowercase());
    let found = found.ok_or_else(|| bad(format!("venue {} has no symbol {symbol:?}", venue.name), way_out()))?;
    Ok(catalogue.instrument(found))
}

fn log(door: &Door, peer: SocketAddr, query: &str) -> Said {
    let bad = |error: String| {
        let way_out = "use e.g. level=info or level=info,tickcast::intake=debug".to_owned();
        (StatusCode::BAD_REQUEST, error, way_out)
    };
    let level = parameter(query, "level").ok_or_else(|| bad("the parameter level is missing".to_owned()))?;
    let before = door.operations.log_level();
    door.operations.set_log_level(&level).map_err(bad)?;
    tracing::warn!(%peer, %before, %level, "admin: log level");
    Ok(json!({ "done": "this is logged until the next reload or restart", "level": level, "before": before }))
}

/// The value of a parameter, unescaped; of several the first.
fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}
