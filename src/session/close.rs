//! Why a session ends: one closed set, with what the client is told and how it is counted.

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client closed with this code; the same code is sent back.
    Client(Option<u16>),
    /// The connection broke or ended without a close frame: nothing can be said any more.
    Lost,
    /// The connection reached its age limit.
    Lifetime,
    /// This process is about to end.
    Shutdown,
    /// The venue's update ids fell: a local book has to start over.
    IdsReset,
    /// Pings stayed without a matching pong.
    PongTimeout,
    /// More messages per second than allowed.
    TooManyRequests,
    /// What the client sent was no request at all.
    InvalidRequest,
    /// More streams, or more bytes of unknown names, than allowed.
    TooManySubscriptions,
    /// More bytes waited for the client than allowed.
    SlowConsumer,
    /// This process could not keep up and has lost updates that the client cannot do without.
    Lapped,
    /// The client broke RFC 6455.
    Protocol,
    /// The client sent a binary message.
    Binary,
    /// A text message or a close reason was not UTF-8.
    InvalidUtf8,
    /// A message was larger than allowed.
    TooBig,
}

impl CloseReason {
    /// The code of our close frame; `None`: the frame is empty, or there is none ([`CloseReason::Lost`]).
    pub const fn code(self) -> Option<u16> {
        match self {
            Self::Client(code) => code,
            Self::Lost => None,
            Self::Lifetime | Self::Shutdown | Self::IdsReset => Some(1001),
            Self::Protocol => Some(1002),
            Self::Binary => Some(1003),
            Self::InvalidUtf8 => Some(1007),
            Self::TooBig => Some(1009),
            Self::PongTimeout
            | Self::TooManyRequests
            | Self::InvalidRequest
            | Self::TooManySubscriptions
            | Self::SlowConsumer
            | Self::Lapped => Some(1008),
        }
    }

    /// The text of our close frame; those of Binance where it has one for the case.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Client(_) | Self::Lost => "",
            Self::Lifetime => "Connection lifetime reached",
            Self::Shutdown => "Server shutdown",
            Self::IdsReset => "Update ids were reset",
            Self::PongTimeout => "Pong timeout",
            Self::TooManyRequests => "Too many requests",
            Self::InvalidRequest | Self::TooManySubscriptions => "Invalid request",
            Self::SlowConsumer => "Slow consumer",
            Self::Lapped => "lapped",
            Self::Protocol => "Protocol error",
            Self::Binary => "Binary messages are not supported",
            Self::InvalidUtf8 => "Invalid UTF-8",
            Self::TooBig => "Message too big",
        }
    }

    /// The value of the metrics label `reason`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            Self::Lost => "lost",
            Self::Lifetime => "lifetime",
            Self::Shutdown => "shutdown",
            Self::IdsReset => "ids_reset",
            Self::PongTimeout => "pong_timeout",
            Self::TooManyRequests => "too_many_requests",
            Self::InvalidRequest => "invalid_request",
            Self::TooManySubscriptions => "too_many_subscriptions",
            Self::SlowConsumer => "slow_consumer",
            Self::Lapped => "lapped",
            Self::Protocol => "protocol",
            Self::Binary => "binary",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TooBig => "too_big",
        }
    }
}
