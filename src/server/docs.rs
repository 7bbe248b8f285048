//! The machine-readable description of what is served, and a page that shows it: `/docs`.
//!
//! The documents are written by hand and held against the code by the tests below: every path and parameter of REST, every
//! channel of streams, in both directions. The clients' checks hold live answers and frames against their schemas.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::market::Catalogue;

const PAGE: &str = include_str!("docs/page.html");
/// OpenAPI 3.1: REST. What begins with `@@` is filled in for each process or request.
const OPENAPI: &str = include_str!("docs/openapi.json");
/// AsyncAPI 3: streams, their control protocol and the WS-API.
const ASYNCAPI: &str = include_str!("docs/asyncapi.json");

/// Where SBE is said to be if its door is closed: no name that ends so exists (RFC 2606).
const CLOSED: &str = "closed.invalid";
/// Longest name of a host and its port.
const HOST_BYTES_MAX: usize = 262;

/// The documents of this process.
#[derive(Debug)]
pub(super) struct Docs {
    openapi: String,
    asyncapi: String,
    /// Where the public door is, for requests that do not say what they call us.
    public: SocketAddr,
    sbe_port: Option<u16>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
}

/// What a request says about the address it was sent to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Called<'a> {
    /// The header `Host`.
    pub(super) host: Option<&'a str>,
    /// The header `X-Forwarded-Proto`, of a proxy that ends TLS in front of us.
    pub(super) scheme: Option<&'a str>,
}

impl Docs {
    /// The documents about the venues of `catalogue`, served at `public`.
    pub(super) fn new(catalogue: &Catalogue, public: SocketAddr, sbe_port: Option<u16>) -> Self {
        let quoted: Vec<_> = catalogue.venues().iter().map(|venue| format!("\"{}\"", venue.name)).collect();
        let default = quoted.first().map_or("\"\"", String::as_str);
        let fill = |text: &str| {
            text.replace("@@version", env!("CARGO_PKG_VERSION"))
                .replace("\"@@venues\"", &quoted.join(", "))
                .replace("\"@@venue\"", default)
        };
        Self { openapi: fill(OPENAPI), asyncapi: fill(ASYNCAPI), public, sbe_port }
    }

    /// The document at `path`; its servers are at the address that the request was sent to.
    pub(super) fn at(&self, path: &str, called: Called<'_>) -> Option<Document> {
        Some(match path {
            "/docs" | "/docs/" => {
                Document { content_type: "text/html;charset=UTF-8", body: Bytes::from_static(PAGE.as_bytes()) }
            }
            "/docs/openapi.json" => self.json(&self.openapi, called),
            "/docs/asyncapi.json" => self.json(&self.asyncapi, called),
            _ => return None,
        })
    }

    fn json(&self, text: &str, called: Called<'_>) -> Document {
        let host = called.host.filter(|host| is_host(host)).map_or_else(|| self.public.to_string(), str::to_owned);
        let [http, ws] = if called.scheme == Some("https") { ["https", "wss"] } else { ["http", "ws"] };
        let sbe = self.sbe_port.map_or_else(|| CLOSED.to_owned(), |port| format!("{}:{port}", without_port(&host)));
        let text = text
            .replace("@@origin", &format!("{http}://{host}"))
            .replace("@@host", &host)
            .replace("@@sbe", &sbe)
            .replace("@@protocol", ws);
        Document { content_type: "application/json;charset=UTF-8", body: text.into() }
    }
}

/// Whether it can be a host with or without a port, and needs no escape in JSON.
fn is_host(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !text.is_empty() && text.len() <= HOST_BYTES_MAX && text.bytes().all(legal)
}

/// The host alone; an IPv6 address keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests;
