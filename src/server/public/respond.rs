//! Responses of the public door: status lines, headers, the pages.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Response, StatusCode,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};

use super::{Door, Handshake, Rejection, Shards, gzip};
use crate::{
    clock,
    server::{
        docs::Document,
        limits::Limited,
        page::{self, File},
        rest::{Ask, Refusal},
    },
};

/// The page of the documents runs what is in it and talks to where it came from; nothing else.
const DOCS_POLICY: &str =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:";

/// Headers of ours that a browser's script may read.
const EXPOSED: &str = "X-MBX-USED-WEIGHT, X-MBX-USED-WEIGHT-1M, X-MBX-UUID, Retry-After, Date";

/// The bytes that accept a handshake.
pub(super) fn switching(handshake: &Handshake) -> Vec<u8> {
    let mut text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".to_owned();
    for (name, value) in handshake_headers(handshake) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// What only this handshake's answer says. Extensions are declined by silence.
pub(super) fn handshake_headers(handshake: &Handshake) -> impl Iterator<Item = (HeaderName, &str)> {
    let protocol = handshake.protocol.as_deref().map(|protocol| (header::SEC_WEBSOCKET_PROTOCOL, protocol));
    [(header::SEC_WEBSOCKET_ACCEPT, handshake.accept.as_str())].into_iter().chain(protocol)
}

/// The bytes of a refusal outside hyper; the connection is to be closed after them.
pub(super) fn refusal(rejection: &Rejection, retry_after_s: Option<u64>) -> Vec<u8> {
    let response = rejected(rejection, retry_after_s);
    let mut text = format!("HTTP/1.1 {}\r\n", response.status());
    for (name, value) in response.headers() {
        text.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
    }
    text.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n{}", rejection.body.len(), rejection.body));
    text.into_bytes()
}

/// A refusal as text.
pub(super) fn rejected(rejection: &Rejection, retry_after_s: Option<u64>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(rejection.body.clone()));
    *response.status_mut() = StatusCode::from_u16(rejection.status).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    open_to_browsers(headers);
    let is_json = rejection.body.starts_with('{');
    let content_type = if is_json { "application/json;charset=UTF-8" } else { "text/plain;charset=UTF-8" };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(seconds) = retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if rejection.status == 426 {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}

/// 404 without a body, as Binance answers.
pub(super) fn not_found() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NOT_FOUND;
    open_to_browsers(response.headers_mut());
    response
}

/// A file of the live page; 304 without a body for whoever has it.
pub(super) fn page(method: &Method, asked: &HeaderMap, file: &File) -> Response<Full<Bytes>> {
    let is_known = asked
        .get_all(header::IF_NONE_MATCH)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|tag| tag.trim() == file.tag || tag.trim() == "*"));
    let body = if is_known { Bytes::new() } else { file.body.clone() };
    let mut response = static_text(method, asked, file.content_type, page::POLICY, body);
    if response.status() == StatusCode::OK {
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let tag = HeaderValue::from_str(&file.tag).expect("hexadecimal digits in quotes");
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// A document that people and tools read.
pub(super) fn document(method: &Method, asked: &HeaderMap, document: Document) -> Response<Full<Bytes>> {
    static_text(method, asked, document.content_type, DOCS_POLICY, document.body)
}

fn static_text(
    method: &Method,
    asked: &HeaderMap,
    content_type: &'static str,
    policy: &'static str,
    body: Bytes,
) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return method_not_allowed();
    }
    let packed = gzip::compressed(&body, asked);
    let is_packed = packed.is_some();
    let mut response = Response::new(Full::from(packed.unwrap_or(body)));
    let headers = response.headers_mut();
    open_to_browsers(headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// The answer of REST with its headers, within the address's weight; `None` for a path that is not REST's.
pub(super) fn rest<S: Shards>(
    door: &Door<S>,
    peer: SocketAddr,
    method: &str,
    target: &str,
    asked: &HeaderMap,
) -> Option<Response<Full<Bytes>>> {
    let now = clock::now();
    if !door.rest.serves(target) {
        return None;
    }
    if method == "OPTIONS" {
        return Some(preflight());
    }
    let (status, body, weight, retry_after_s) = match door.adjusted.weights.admit(peer.ip(), now) {
        Err(Limited { refusal, retry_after_s, .. }) => (refusal.status, refusal.body().into(), 0, Some(retry_after_s)),
        Ok(()) if takes_sbe_only(asked) => {
            let refusal = Refusal::sbe_only();
            (refusal.status, refusal.body().into(), 1, None)
        }
        Ok(()) => {
            let time_unit = asked.get("x-mbx-time-unit").map(|value| value.to_str().unwrap_or("?"));
            let answer = door.rest.answer(&Ask { method, target, time_unit, now });
            (answer.status, answer.body, answer.weight, (answer.status == 503).then_some(1))
        }
    };
    if status == 405 {
        return Some(method_not_allowed());
    }
    let used = door.adjusted.weights.spend(peer.ip(), weight, now);
    let packed = gzip::compressed(&body, asked);
    let is_packed = packed.is_some();
    let mut response = Response::new(Full::from(packed.unwrap_or(body)));
    *response.status_mut() = StatusCode::from_u16(status).expect("the statuses of REST are constants");
    let headers = response.headers_mut();
    open_to_browsers(headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json;charset=UTF-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert("x-mbx-uuid", HeaderValue::from_str(&uuid()).expect("hexadecimal digits"));
    headers.insert("x-mbx-used-weight", HeaderValue::from(used));
    headers.insert("x-mbx-used-weight-1m", HeaderValue::from(used));
    if let Some(seconds) = retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Some(response)
}

/// Whether a client asks for Binance's binary answers and would not take JSON instead.
fn takes_sbe_only(asked: &HeaderMap) -> bool {
    let values = asked.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut kinds = values.flat_map(|value| value.split(',')).map(|part| part.split(';').next().unwrap_or(part).trim());
    let is_json =
        |kind: &str| ["application/json", "application/*", "*/*"].iter().any(|other| kind.eq_ignore_ascii_case(other));
    let mut wants_sbe = false;
    let takes_json = kinds.any(|kind| {
        wants_sbe |= kind.eq_ignore_ascii_case("application/sbe");
        is_json(kind)
    });
    wants_sbe && !takes_json
}

fn method_not_allowed() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    open_to_browsers(response.headers_mut());
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    response
}

/// A browser asks before it sends headers of its own.
fn preflight() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    open_to_browsers(headers);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// Market data is public: any page may read it.
fn open_to_browsers(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
}

/// A random id of the request, in the shape of a UUID of version 4.
fn uuid() -> String {
    let bits = fastrand::u128(..);
    let [a, b] = [(bits >> 96) as u32, (bits >> 80) as u16 as u32];
    let [c, d] = [(bits >> 64) as u16 & 0x0fff | 0x4000, (bits >> 48) as u16 & 0x3fff | 0x8000];
    format!("{a:08x}-{b:04x}-{c:04x}-{d:04x}-{:012x}", bits as u64 & 0xffff_ffff_ffff)
}
