//! Opening a WebSocket to a venue: TCP, TLS where the URL says so, and the upgrade, all within one time limit.

use std::{io, time::Duration};

use thiserror::Error;
use tokio::{
    net::{self, TcpStream},
    time,
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{
        self,
        client::IntoClientRequest,
        error::UrlError,
        handshake::client::Response,
        http::{HeaderValue, Uri, header},
        protocol::WebSocketConfig,
    },
};

use super::super::upstream::Upstream;

/// An open WebSocket.
pub(in crate::intake) type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a connection could not be opened.
#[derive(Debug, Error)]
pub(in crate::intake) enum DialError {
    /// The venue answered, but not with an upgrade.
    #[error("refused with HTTP {status}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What its `Retry-After` says.
        retry_after: Option<Duration>,
    },
    /// No answer in time.
    #[error("no answer within {0:?} (intake.connect_timeout_ms)")]
    Timeout(Duration),
    /// Anything else, in the words of the layer that failed.
    #[error("{0}")]
    Failed(#[from] Box<tungstenite::Error>),
}

impl DialError {
    /// The shortest wait that the venue asks for.
    pub(in crate::intake) fn retry_after(&self) -> Duration {
        match self {
            Self::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
            Self::Timeout(_) | Self::Failed(_) => Duration::ZERO,
        }
    }
}

/// Opens `path` at the venue.
pub(in crate::intake) async fn dial(upstream: &Upstream, path: &str) -> Result<Stream, DialError> {
    let mut request = url(&upstream.ws_url, path).into_client_request().map_err(Box::new)?;
    request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    let bytes_max = upstream.settings.frame_bytes_max;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(bytes_max))
        .max_frame_size(Some(bytes_max));
    let tls = Connector::Rustls(upstream.tls.clone());
    let limit = Duration::from_millis(upstream.settings.connect_timeout_ms);
    let opening = async {
        let stream = connect(request.uri(), limit).await?;
        client_async_tls_with_config(request, stream, Some(config), Some(tls)).await
    };
    match time::timeout(limit, opening).await {
        Ok(Ok((stream, _))) => Ok(stream),
        Ok(Err(tungstenite::Error::Http(response))) => Err(refused(&response.map(|_| None))),
        Ok(Err(error)) => Err(Box::new(error).into()),
        Err(_) => Err(DialError::Timeout(limit)),
    }
}

/// Tries all addresses of the host in turn, each for its part of the time: one that swallows packets (an IPv6 route that
/// leads nowhere) must not take all of it.
async fn connect(uri: &Uri, limit: Duration) -> Result<TcpStream, tungstenite::Error> {
    let host = uri.host().ok_or(UrlError::NoHostName)?.trim_start_matches('[').trim_end_matches(']');
    let default_port = match uri.scheme_str() {
        Some("wss") => 443,
        Some("ws") => 80,
        _ => return Err(UrlError::UnsupportedUrlScheme.into()),
    };
    let port = uri.port_u16().unwrap_or(default_port);
    let addresses: Vec<_> = net::lookup_host((host, port)).await?.take(ADDRESSES_MAX as usize).collect();
    let each = limit / (addresses.len() as u32).clamp(1, ADDRESSES_MAX);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match time::timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("no answer from {address}")),
        }
    }
    Err(last.into())
}

/// The venue's address with a dial's path, as it is recorded, too.
pub(in crate::intake) fn url(base: &str, path: &str) -> String {
    let slash = if path.is_empty() || path.starts_with(['/', '?']) { "" } else { "/" };
    format!("{base}{slash}{path}")
}

fn refused(response: &Response) -> DialError {
    let retry_after = response.headers().get(header::RETRY_AFTER);
    let seconds = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    DialError::Refused {
        status: response.status().as_u16(),
        retry_after: seconds.map(|seconds: u64| Duration::from_secs(seconds.min(RETRY_AFTER_SECONDS_MAX))),
    }
}

/// How we introduce ourselves; some hosts refuse clients that do not.
pub(in crate::intake) const USER_AGENT: &str = concat!("tickcast/", env!("CARGO_PKG_VERSION"));

/// A venue's longest documented ban is three days (Binance, 418); a longer answer is a mistake.
pub(in crate::intake) const RETRY_AFTER_SECONDS_MAX: u64 = 3 * 24 * 3600;

/// Addresses of one host that are tried.
const ADDRESSES_MAX: u32 = 4;

/// tungstenite clears this much before each read, so its default of 128 KiB would cost more than the copy itself.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// Subscriptions are a few KB; a venue that takes none of them for this long is not reading.
const WRITE_BUFFER_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::url;

    #[test]
    fn paths_are_joined_with_one_slash() {
        assert_eq!(url("wss://a:9443", "/stream?streams=b"), "wss://a:9443/stream?streams=b");
        assert_eq!(url("wss://a", "v2"), "wss://a/v2");
        assert_eq!(url("wss://a/v2", ""), "wss://a/v2");
    }
}
