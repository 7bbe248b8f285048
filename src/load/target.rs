//! The server under load: its address, its streams, its counters.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

use serde::Deserialize;
use thiserror::Error;

/// A server as `ws://host:port`, with a path before the usual ones if it has one (`/kraken`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `host:port` as it was given.
    pub host: String,
    /// Before `/stream` and `/api/v3`; empty, or with a slash in front.
    pub path: String,
    address: SocketAddr,
}

/// Why a server cannot be used.
#[derive(Debug, Error)]
pub enum TargetError {
    /// Not a URL of a server.
    #[error("{url}: {reason}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong, and what is right.
        reason: &'static str,
    },
    /// No answer.
    #[error("{url}: {source}; is the server running there?")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another answer than a Binance-compatible server's.
    #[error("{url}: {reason}")]
    Foreign {
        /// What was asked for.
        url: String,
        /// What came.
        reason: String,
    },
}

/// The kinds of streams that speak in real time, in the order in which they are taken.
pub const KINDS: [&str; 4] = ["trade", "aggTrade", "bookTicker", "depth@100ms"];

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of one: Binance's list of instruments has some 15 MB.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

impl Target {
    /// Reads `ws://host:port/path`; `http://` and nothing stand for `ws://`.
    ///
    /// # Errors
    /// What is wrong with it, or that the name is not known.
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        let wrong = |reason| TargetError::Url { url: url.to_owned(), reason };
        let rest = match url.split_once("://") {
            None | Some(("ws" | "http", _)) => url.split_once("://").map_or(url, |(_, rest)| rest),
            Some(("wss" | "https", _)) => {
                return Err(wrong("the load generator speaks no TLS; give the ws:// address behind the proxy"));
            }
            Some(_) => return Err(wrong("a server is ws://host:port")),
        };
        let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        if host.is_empty() || host.contains(['@', '?', '#', ' ']) || path.contains(['?', '#', ' ']) {
            return Err(wrong("a server is ws://host:port, without a query"));
        }
        let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none_or(|port| port == 0) {
            return Err(wrong("the port lacks, e.g. ws://127.0.0.1:9443"));
        }
        let known: Vec<_> = host.to_socket_addrs().map(Iterator::collect).unwrap_or_default();
        // `localhost` is both, and servers listen at 127.0.0.1.
        let address = known.iter().find(|address| address.is_ipv4()).or(known.first());
        let address = *address.ok_or_else(|| wrong("no address is known for that name"))?;
        Ok(Self { host: host.to_owned(), path: path.trim_end_matches('/').to_owned(), address })
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The real-time streams of every instrument that is traded, from `exchangeInfo`.
    ///
    /// # Errors
    /// If it does not answer, or lists none.
    pub fn streams(&self) -> Result<Vec<String>, TargetError> {
        let path = format!("{}/api/v3/exchangeInfo", self.path);
        let body = get(&self.host, self.address, &path)?;
        let foreign = |reason: String| TargetError::Foreign { url: format!("http://{}{path}", self.host), reason };
        let info: ExchangeInfo = serde_json::from_str(&body)
            .map_err(|error| foreign(format!("no list of instruments: {error}; --streams names streams without it")))?;
        let traded: Vec<_> = info.symbols.iter().filter(|symbol| symbol.status == "TRADING").collect();
        if traded.is_empty() {
            return Err(foreign("no instrument is traded there at the moment; --streams names streams".to_owned()));
        }
        let of = |symbol: &&Symbol| KINDS.map(|kind| format!("{}@{kind}", symbol.symbol.to_lowercase()));
        Ok(traded.iter().flat_map(of).collect())
    }
}

#[derive(Deserialize)]
struct ExchangeInfo {
    symbols: Vec<Symbol>,
}

#[derive(Deserialize)]
struct Symbol {
    symbol: String,
    status: String,
}

/// What a Tickcast server has counted so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub deliveries: u64,
    pub conflated: u64,
}

/// The counts of the server at this door for operators.
///
/// # Errors
/// If it does not answer, or counts nothing (it is no Tickcast).
pub(super) fn counts(ops: &str) -> Result<Counts, TargetError> {
    let text = get(ops, resolve(ops)?, "/metrics")?;
    let of = |name: &str| {
        sum(&text, name).ok_or_else(|| TargetError::Foreign {
            url: format!("http://{ops}/metrics"),
            reason: format!("{name} is not among the metrics; --ops is for a Tickcast server"),
        })
    };
    Ok(Counts { deliveries: of("tickcast_shard_deliveries_total")?, conflated: of("tickcast_shard_conflated_total")? })
}

/// Whether the server at this door for operators is ready to serve all it is configured for.
pub fn is_ready(ops: &str) -> bool {
    resolve(ops).is_ok_and(|address| get(ops, address, "/readyz").is_ok())
}

/// How many answers with history it still waits for; `None` if it does not say.
pub fn history_pending(ops: &str) -> Option<u64> {
    let text = get(ops, resolve(ops).ok()?, "/metrics").ok()?;
    sum(&text, "tickcast_engine_history_pending")
}

fn resolve(host: &str) -> Result<SocketAddr, TargetError> {
    let unknown = || TargetError::Url { url: host.to_owned(), reason: "it has to be host:port, e.g. 127.0.0.1:9464" };
    host.to_socket_addrs().map_err(|_| unknown())?.next().ok_or_else(unknown)
}

/// The sum over the labels of a metric; `None` if there is none of that name.
fn sum(metrics: &str, name: &str) -> Option<u64> {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(name));
    let values = lines.filter(|rest| rest.starts_with(['{', ' '])).filter_map(|rest| rest.rsplit(' ').next());
    values.filter_map(|value| value.parse::<f64>().ok()).map(|value| value as u64).reduce(|sum, value| sum + value)
}

/// The body of an answer with status 200.
fn get(host: &str, address: SocketAddr, path: &str) -> Result<String, TargetError> {
    let url = format!("http://{host}{path}");
    let answer = ask(host, address, path).map_err(|source| TargetError::Unreachable { url: url.clone(), source })?;
    let foreign = |reason: &str| TargetError::Foreign { url: url.clone(), reason: reason.to_owned() };
    let end = memchr::memmem::find(&answer, b"\r\n\r\n").ok_or_else(|| foreign("the answer is not HTTP"))?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(foreign(&format!("the server answers {status}")));
    }
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = &answer[end + 4..];
    let body =
        if is_chunked { join_chunks(body).ok_or_else(|| foreign("the answer is cut off"))? } else { body.into() };
    String::from_utf8(body).map_err(|_| foreign("the answer is no text"))
}

fn ask(host: &str, address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

fn join_chunks(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut joined = Vec::new();
    loop {
        let end = memchr::memmem::find(body, b"\r\n")?;
        let size = std::str::from_utf8(&body[..end]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(joined);
        }
        let chunk = body[end + 2..].get(..size)?;
        joined.extend_from_slice(chunk);
        body = body.get(end + 2 + size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_a_person_writes_them() {
        for (url, host, path) in [
            ("ws://127.0.0.1:9443", "127.0.0.1:9443", ""),
            ("127.0.0.1:9443/", "127.0.0.1:9443", ""),
            ("http://127.0.0.1:9443/kraken/", "127.0.0.1:9443", "/kraken"),
            ("ws://[::1]:9443", "[::1]:9443", ""),
        ] {
            let target = Target::parse(url).expect(url);
            assert_eq!((&*target.host, &*target.path), (host, path), "{url}");
        }
        for (url, words) in [
            ("wss://127.0.0.1:9443", "no TLS"),
            ("ftp://127.0.0.1:9443", "ws://host:port"),
            ("ws://127.0.0.1", "port lacks"),
            ("ws://127.0.0.1:0", "port lacks"),
            ("ws://127.0.0.1:9443/x?streams=a", "without a query"),
            ("ws://", "ws://host:port"),
        ] {
            let told = Target::parse(url).expect_err(url).to_string();
            assert!(told.contains(words) && told.contains(url), "{told}");
        }
    }

    #[test]
    fn metrics_are_summed_over_their_labels() {
        let text = "# HELP a_total x\na_total{shard=\"0\"} 5\na_total{shard=\"1\"} 6\na_total_more 100\n";
        assert_eq!(sum(text, "a_total"), Some(11));
        assert_eq!(sum(text, "b_total"), None);
    }

    #[test]
    fn chunks_are_joined() {
        assert_eq!(join_chunks(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"), Some(b"abcde".to_vec()));
        assert_eq!(join_chunks(b"3\r\nab"), None);
        assert_eq!(join_chunks(b"ffffffffffffffff\r\nab"), None);
    }
}
