//! Opening a WebSocket to a venue: TCP, TLS where the URL says so, and the upgrade, all within one time limit.

use std::time::Duration;

use thiserror::Error;
use tokio::{net::TcpStream, time};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{
        self,
        client::IntoClientRequest,
        handshake::client::Response,
        http::{HeaderValue, header},
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
    match time::timeout(limit, connect_async_tls_with_config(request, Some(config), true, Some(tls))).await {
        Ok(Ok((stream, _))) => Ok(stream),
        Ok(Err(tungstenite::Error::Http(response))) => Err(refused(&response.map(|_| None))),
        Ok(Err(error)) => Err(Box::new(error).into()),
        Err(_) => Err(DialError::Timeout(limit)),
    }
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
