//! The head of a request, as far as the door needs it: is it whole, and does it ask for a WebSocket?

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use percent_encoding::percent_encode_byte;
use sha1::{Digest, Sha1};

use super::Rejection;

/// Most header lines in a request.
pub(super) const HEADERS_MAX: usize = 100;

/// RFC 6455 section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Method, target and headers of one request.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) method: &'a str,
    /// Path and query.
    pub(super) target: &'a str,
    pub(super) is_http_1_1: bool,
    /// Names in any case, values as sent.
    pub(super) headers: Vec<(&'a str, &'a [u8])>,
}

/// A WebSocket handshake that can be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Handshake {
    /// `Sec-WebSocket-Accept`.
    pub(super) accept: String,
    /// The first subprotocol offered. None has a meaning here, but browsers drop a connection on which an offer is
    /// left unanswered.
    pub(super) protocol: Option<String>,
}

/// Reads the head at the start of `bytes` and its length; `None` while it is not whole.
///
/// # Errors
/// If it can never become one.
pub(super) fn parse<'a>(bytes: &'a [u8]) -> Result<Option<(Head<'a>, usize)>, Rejection> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(too_long("header lines")),
        Err(error) => return Err(Rejection { status: 400, body: format!("not an HTTP/1.1 request: {error}") }),
    };
    let head = Head {
        method: request.method.unwrap_or_default(),
        target: origin_form(request.path.unwrap_or_default()),
        is_http_1_1: request.version == Some(1),
        headers: request.headers.iter().map(|header| (header.name, header.value)).collect(),
    };
    Ok(Some((head, length)))
}

/// The path and query of a target; the rest of an absolute one says nothing here.
fn origin_form(target: &str) -> &str {
    match target.strip_prefix("http://").or_else(|| target.strip_prefix("https://")) {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    }
}

/// `bytes` with what hyper refuses in a target escaped: `symbols=["BTCUSDT"]` comes like that from `curl -g`, and
/// Binance takes it. Only for the first request of a connection, whose head is `bytes` up to its end.
pub(super) fn escaped(bytes: BytesMut) -> Bytes {
    let line_end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let (line, rest) = bytes.split_at(line_end);
    if !line.iter().any(|byte| ESCAPED.contains(byte)) {
        return bytes.freeze();
    }
    let mut escaped = Vec::with_capacity(bytes.len() + 64);
    for &byte in line {
        if ESCAPED.contains(&byte) {
            escaped.extend_from_slice(percent_encode_byte(byte).as_bytes());
        } else {
            escaped.push(byte);
        }
    }
    escaped.extend_from_slice(rest);
    escaped.into()
}

/// What no URI may hold (RFC 3986) and clients send nevertheless.
const ESCAPED: &[u8] = b"\"<>";

/// The refusal of `bytes` that fill the whole limit and are no head yet.
pub(super) fn overlong(bytes: &[u8]) -> Rejection {
    if bytes.contains(&b'\n') {
        return too_long("headers");
    }
    Rejection { status: 414, body: "the request line is too long".to_owned() }
}

fn too_long(what: &str) -> Rejection {
    Rejection { status: 431, body: format!("too many or too long {what}") }
}

impl<'a> Head<'a> {
    /// The handshake, if this asks for a WebSocket.
    ///
    /// # Errors
    /// If it asks, but not as RFC 6455 section 4.2.1 wants: 400, or 426 for another version than 13.
    pub(super) fn handshake(&self) -> Option<Result<Handshake, Rejection>> {
        self.has_token("upgrade", "websocket").then(|| self.check_handshake())
    }

    fn check_handshake(&self) -> Result<Handshake, Rejection> {
        let refuse = |text: &str| Err(Rejection { status: 400, body: format!("WebSocket handshake: {text}") });
        if self.method != "GET" || !self.is_http_1_1 {
            return refuse("it has to be a GET of HTTP/1.1");
        }
        if !self.has_token("connection", "upgrade") {
            return refuse("the header Connection does not contain Upgrade");
        }
        // Bytes behind the head are WebSocket frames here; with a body they would be read differently by a proxy.
        let has_body = self.values("content-length").any(|value| value != b"0");
        if has_body || self.values("transfer-encoding").next().is_some() {
            return refuse("it cannot have a body");
        }
        if !self.values("sec-websocket-version").eq([b"13"]) {
            return Err(Rejection { status: 426, body: "the WebSocket version has to be 13".to_owned() });
        }
        let mut keys = self.values("sec-websocket-key");
        let (Some(key), None) = (keys.next(), keys.next()) else {
            return refuse("it needs one header Sec-WebSocket-Key");
        };
        if BASE64_STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16) {
            return Ok(Handshake { accept: accept(key), protocol: self.first_protocol() });
        }
        refuse("Sec-WebSocket-Key has to be 16 bytes in base64")
    }

    fn first_protocol(&self) -> Option<String> {
        let offer = self.values("sec-websocket-protocol").next()?.split(|&byte| byte == b',').next()?.trim_ascii();
        let is_token = !offer.is_empty()
            && offer.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        is_token.then(|| String::from_utf8_lossy(offer).into_owned())
    }

    /// The values of `name` without surrounding blanks.
    pub(super) fn values(&self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim_ascii())
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).any(|(_, value)| {
            value.split(|&byte| byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
        })
    }
}

fn accept(key: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A good handshake with one line replaced by another.
    fn handshake(line: &str, other: &str) -> Option<Result<Handshake, Rejection>> {
        let good = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        assert!(good.contains(line));
        let text = good.replacen(line, other, 1);
        let (head, length) = parse(text.as_bytes()).expect("a head").expect("a whole one");
        assert_eq!(length, text.len());
        head.handshake()
    }

    #[test]
    fn the_sample_of_the_rfc_is_accepted() {
        let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned();
        let expected = Handshake { accept, protocol: None };
        assert_eq!(handshake("GET", "GET"), Some(Ok(expected.clone())));
        assert_eq!(handshake("Upgrade: websocket", "UPGRADE: h2c, WebSocket"), Some(Ok(expected.clone())));
        assert_eq!(handshake("Host: x", "Content-Length: 0"), Some(Ok(expected.clone())));
        assert_eq!(handshake("Host: x", "Sec-WebSocket-Extensions: permessage-deflate"), Some(Ok(expected)));
        assert_eq!(handshake("Upgrade: websocket", "Upgrade: h2c"), None);
        let offered = handshake("Host: x", "Sec-WebSocket-Protocol: json , b").expect("asked").expect("accepted");
        assert_eq!(offered.protocol.as_deref(), Some("json"));
        let strange = handshake("Host: x", "Sec-WebSocket-Protocol: a b").expect("asked").expect("accepted");
        assert_eq!(strange.protocol, None);
    }

    #[test]
    fn handshakes_that_break_the_rfc_are_refused() {
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        let version = "Sec-WebSocket-Version: 13";
        for (line, other, status) in [
            ("GET", "POST", 400),
            ("HTTP/1.1", "HTTP/1.0", 400),
            ("Connection: keep-alive, Upgrade", "Connection: keep-alive", 400),
            ("Host: x", "Content-Length: 5", 400),
            ("Host: x", "Transfer-Encoding: chunked", 400),
            (version, "Sec-WebSocket-Version: 8", 426),
            (version, "X: y", 426),
            (version, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8", 426),
            (key, "X: y", 400),
            (key, "Sec-WebSocket-Key: ", 400),
            (key, "Sec-WebSocket-Key: c2hvcnQ=", 400),
            (key, "Sec-WebSocket-Key: not base64 at all!!!!!!", 400),
            ("Host: x", key, 400),
        ] {
            let refused = handshake(line, other).expect("asked").expect_err(other);
            assert_eq!(refused.status, status, "{other}");
        }
    }

    #[test]
    fn heads_are_partial_whole_or_refused() {
        assert!(parse(b"").expect("nothing wrong").is_none());
        assert!(parse(b"GET / HTTP/1.1\r\nHost:").expect("nothing wrong").is_none());
        assert_eq!(parse(b"\x16\x03\x01\x02\x00").expect_err("TLS").status, 400);
        assert_eq!(parse(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect_err("HTTP/2").status, 400);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(parse(many.as_bytes()).expect_err("too many").status, 431);
        assert_eq!(overlong(b"GET /aaaaaaa").status, 414);
        assert_eq!(overlong(b"GET / HTTP/1.1\r\nA: bbbbb").status, 431);
        let (head, length) = parse(b"GET /a?b=c HTTP/1.1\r\nA:  b \r\n\r\nrest").expect("fine").expect("whole");
        assert_eq!((head.target, length), ("/a?b=c", 31));
        assert_eq!(head.values("a").collect::<Vec<_>>(), [b"b"]);
    }

    #[test]
    fn any_bytes_are_survived() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let text =
            b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: a,b\r\nConnection: upgrade\r\n\r\n";
        for _ in 0..20_000 {
            let mut bytes = text.to_vec();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(..=bytes.len()));
            if let Ok(Some((head, _))) = parse(&bytes) {
                // Whatever it is, there is no key.
                assert!(head.handshake().is_none_or(|result| result.is_err()));
            }
        }
    }
}
