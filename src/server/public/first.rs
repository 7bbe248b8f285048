//! The first request of a connection: read as far as its head, and told apart.

use std::io;

use bytes::{BufMut, BytesMut};
use tokio::io::AsyncReadExt;

use super::super::{
    Rejection,
    api_key::{self, ApiKey},
    head::{self, Handshake},
    stream::Stream,
};
use crate::config;

/// Bytes to read at once: nearly every head fits.
const READ_BYTES: usize = 2048;

/// What the first request of a connection turned out to be.
pub(super) enum First {
    /// Its head is `length` bytes long.
    WebSocket {
        length: usize,
        target: String,
        handshake: Handshake,
        key: ApiKey,
    },
    Http,
    Refused(Rejection),
    /// It was to begin with TLS and did not.
    Insecure(io::Error),
    /// The client closed before it had asked for anything.
    Gone,
}

/// Reads until `bytes` holds a whole head, at most `most` bytes. A key in it is held against `keys` and goes no further.
pub(super) async fn read_head(
    stream: &mut Stream,
    bytes: &mut BytesMut,
    most: usize,
    keys: &[config::ApiKey],
) -> First {
    // Parsing starts over each time, so it is tried when the head may have ended and else at doubling lengths:
    // a client that sends byte by byte cannot make it quadratic, and one that speaks no HTTP is found out at once.
    let mut tried = 0;
    while bytes.len() < most {
        let before = bytes.len();
        bytes.reserve(READ_BYTES.min(most - before));
        match stream.read_buf(&mut (&mut *bytes).limit(most - before)).await {
            Ok(0) | Err(_) => return First::Gone,
            Ok(_) => {}
        }
        let fresh = &bytes[before.saturating_sub(3)..];
        let may_end = fresh.windows(2).any(|pair| pair == b"\n\n") || fresh.windows(3).any(|three| three == b"\n\r\n");
        if !may_end && bytes.len() < 2 * tried {
            continue;
        }
        tried = bytes.len();
        match head::parse(bytes) {
            Ok(None) => {}
            Ok(Some((head, length))) => {
                return match head.handshake() {
                    None => First::Http,
                    Some(Err(rejection)) => First::Refused(rejection),
                    Some(Ok(handshake)) => {
                        let key = ApiKey::check(head.values(api_key::HEADER), keys);
                        First::WebSocket { length, target: head.target.to_owned(), handshake, key }
                    }
                };
            }
            Err(rejection) => return First::Refused(rejection),
        }
    }
    First::Refused(head::overlong(bytes))
}
