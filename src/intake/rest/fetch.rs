//! One REST request and its answer, within limits of time and size.

use std::{error::Error, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, Response, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use rustls::ClientConfig;
use thiserror::Error;

use super::super::socket::{RETRY_AFTER_SECONDS_MAX, USER_AGENT};
use crate::config;

/// Why a request brought no usable answer.
#[derive(Debug, Error)]
pub(in crate::intake) enum FetchError {
    /// The venue wants us to pause (429), or has banned the address for a time (418).
    #[error("HTTP {status}: the venue asks for a pause of {retry_after:?}")]
    Limited {
        /// HTTP status.
        status: u16,
        /// How long.
        retry_after: Duration,
    },
    /// Any other answer but success.
    #[error("HTTP {status}: {text}")]
    Status {
        /// HTTP status.
        status: u16,
        /// The start of what it said.
        text: String,
    },
    /// An HTTP success that says no.
    #[error("refused: {text}")]
    Refused {
        /// There is no such thing at all.
        for_good: bool,
        /// The start of what it said.
        text: String,
    },
    /// An HTTP success that says "later".
    #[error("not available: {text}")]
    Unavailable {
        /// The start of what it said.
        text: String,
    },
    /// A body larger than we take.
    #[error("the answer is larger than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    /// No complete answer.
    #[error("{0}")]
    Transport(String),
}

/// The answer to a request: any status that the venue gave.
#[derive(Debug)]
pub(in crate::intake) struct Answer {
    pub(in crate::intake) status: u16,
    /// What the venue says that our address has used of this minute's weight.
    pub(in crate::intake) used_weight: Option<u32>,
    retry_after: Option<Duration>,
    pub(in crate::intake) body: Bytes,
}

/// The HTTP client for all venues.
///
/// Proxies of the environment are not used: sockets do not use them either, and a venue counts weights by address.
pub(in crate::intake) fn client(settings: &config::Intake, tls: &Arc<ClientConfig>) -> Client {
    Client::builder()
        .tls_backend_preconfigured(ClientConfig::clone(tls))
        .user_agent(USER_AGENT)
        .no_proxy()
        .connect_timeout(Duration::from_millis(settings.connect_timeout_ms))
        .timeout(Duration::from_millis(settings.rest_timeout_ms))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("the TLS configuration is of the version that reqwest uses")
}

/// Fetches `url`.
///
/// # Errors
/// If there is no complete answer within the limits.
pub(in crate::intake) async fn fetch(client: &Client, url: &str) -> Result<Answer, FetchError> {
    let response = client.get(url).send().await.map_err(|error| transport(&error))?;
    let status = response.status().as_u16();
    let used_weight = used_weight(response.headers());
    let retry_after = seconds(response.headers());
    let body = body(response).await?;
    Ok(Answer { status, used_weight, retry_after, body })
}

impl Answer {
    /// The body of a success.
    ///
    /// # Errors
    /// What else the venue said.
    pub(in crate::intake) fn success(self) -> Result<Bytes, FetchError> {
        match self.status {
            200..=299 => Ok(self.body),
            status @ (LIMITED | BANNED) => {
                Err(FetchError::Limited { status, retry_after: self.retry_after.unwrap_or(PAUSE_UNSPECIFIED) })
            }
            status => Err(FetchError::Status { status, text: start_of(&self.body) }),
        }
    }
}

/// The start of a body, for a line about it.
pub(super) fn start_of(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(4 * TEXT_CHARS_MAX)]).chars().take(TEXT_CHARS_MAX).collect()
}

async fn body(mut response: Response) -> Result<Bytes, FetchError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(&error))? {
        // The limit holds for what is unpacked: a small compressed body can become a large one.
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

impl FetchError {
    /// Whether the venue understood the request and says no; `true`: there is no such thing there at all.
    pub(in crate::intake) fn refused_for_good(&self) -> Option<bool> {
        match self {
            Self::Status { status: NOT_FOUND | GONE, .. } => Some(true),
            // A gateway that waited in vain for our bytes is no venue that understood them.
            Self::Status { status: REQUEST_TIMEOUT | TOO_EARLY, .. } => None,
            Self::Status { status: 400..500, .. } => Some(false),
            Self::Refused { for_good, .. } => Some(*for_good),
            _ => None,
        }
    }
}

/// Binance sends the name with and without the unit; older hosts only without.
fn used_weight(headers: &HeaderMap) -> Option<u32> {
    let value = headers.get("x-mbx-used-weight-1m").or_else(|| headers.get("x-mbx-used-weight"))?;
    value.to_str().ok()?.trim().parse().ok()
}

fn seconds(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(RETRY_AFTER_SECONDS_MAX)))
}

/// The whole chain of causes: the outermost alone says only that sending failed.
fn transport(error: &reqwest::Error) -> FetchError {
    let mut text = if error.is_timeout() {
        "no complete answer in time (intake.rest_timeout_ms)".to_owned()
    } else {
        error.to_string()
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    FetchError::Transport(text)
}

const REQUEST_TIMEOUT: u16 = StatusCode::REQUEST_TIMEOUT.as_u16();
const TOO_EARLY: u16 = StatusCode::TOO_EARLY.as_u16();
const NOT_FOUND: u16 = StatusCode::NOT_FOUND.as_u16();
const GONE: u16 = StatusCode::GONE.as_u16();
const LIMITED: u16 = StatusCode::TOO_MANY_REQUESTS.as_u16();
const BANNED: u16 = StatusCode::IM_A_TEAPOT.as_u16();

/// The pause when the venue names none: the minute over which it counts.
const PAUSE_UNSPECIFIED: Duration = Duration::from_secs(60);

/// Bytes of an answer, unpacked. The full exchangeInfo of Binance has some 15 MB, a book of 5,000 levels 400 KB.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Characters of an error's text that are worth a log line.
const TEXT_CHARS_MAX: usize = 200;
