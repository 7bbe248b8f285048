//! The operators' door: what it tells of the process, what it lets operators do, and whom it refuses.

mod admin;
mod notify;
mod reload;
mod resync;
mod status;

use std::{io::Write, net::SocketAddr};

use serde_json::Value;

use crate::house::{connect, read_response};

/// A key as an operator may choose it.
const KEY: &str = "correct-horse-battery-staple";

/// One request of its own: status, head (in lower case) and body.
fn ask(ops: impl std::fmt::Display, method: &str, target: &str, lines: &str) -> (u16, String, String) {
    let address: SocketAddr = ops.to_string().parse().expect("an address");
    let mut client = connect(address);
    let request = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{lines}\r\n");
    client.write_all(request.as_bytes()).expect("the door reads");
    let (head, body) = read_response(&mut client);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    (status, head, body)
}

fn with_key(key: &str) -> String {
    format!("Authorization: Bearer {key}\r\n")
}

/// A POST with the key; the body is JSON, whatever comes of it.
fn command(ops: impl std::fmt::Display, target: &str) -> (u16, Value) {
    let (status, _, body) = ask(ops, "POST", target, &with_key(KEY));
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{target}: {error}: {body}")))
}

fn get(ops: impl std::fmt::Display, target: &str) -> (u16, Value) {
    let (status, _, body) = ask(ops, "GET", target, "");
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{target}: {error}: {body}")))
}
