//! One connection: requests in, answers out, one at a time; pings, age, and the way out.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{Api, Opening, reply};
use crate::{
    clock,
    server::{Phase, reached, stream::Stream},
    session::{CloseReason, Due, Heartbeat},
};

type Socket = WebSocketStream<Stream>;

/// Bytes to read at once. The library's default of 128 KiB per connection is for those who are sent books.
const READ_BYTES: usize = 4096;
/// The largest answer is exchangeInfo with some thousands of instruments. Answers are written one by one, and nothing is
/// read meanwhile, so that pongs do not pile up behind one.
const WRITE_BYTES_MAX: usize = 64 << 20;
/// Bytes that a client may go on sending after our close frame before it is cut.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// Holds a conversation to its end.
pub(super) async fn hold(api: &Api, stream: Stream, early: Bytes, opening: &Opening, peer: SocketAddr) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BYTES_MAX)
        .max_message_size(Some(api.message_bytes_max))
        .max_frame_size(Some(api.message_bytes_max));
    let mut socket = WebSocketStream::from_partially_read(stream, early.to_vec(), Role::Server, Some(config)).await;
    let ending = talk(api, &mut socket, opening, peer).await;
    tracing::debug!(%peer, reason = ending.label, "conversation ended");
    let goodbye = async {
        if let Some((code, text)) = ending.frame {
            let _ = socket.close(Some(CloseFrame { code: CloseCode::from(code), reason: text.into() })).await;
        }
        end(socket).await
    };
    // Whatever goes wrong now, the connection ends.
    let _ = timeout(api.close_timeout, goodbye).await;
}

/// Why a conversation ends, and what the client is told.
struct Ending {
    label: &'static str,
    frame: Option<(u16, &'static str)>,
}

impl From<CloseReason> for Ending {
    fn from(reason: CloseReason) -> Self {
        Self { label: reason.label(), frame: reason.code().map(|code| (code, reason.text())) }
    }
}

/// Answers until one side ends it.
async fn talk(api: &Api, socket: &mut Socket, opening: &Opening, peer: SocketAddr) -> Ending {
    let limits = &api.limits;
    let mut heartbeat = Heartbeat::new(limits, fastrand::u64(..), clock::now());
    let look = Duration::from_millis(limits.ping_interval_ms.min(limits.pong_timeout_ms).min(limits.lifetime_ms));
    let mut looks = interval_at(Instant::now() + look, look);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut draining = std::pin::pin!(reached(api.phase.clone(), Phase::Draining));
    loop {
        let message = tokio::select! {
            biased;
            () = &mut draining => {
                if api.announces_shutdown {
                    let event = Message::text(reply::server_shutdown(clock::now(), opening.unit));
                    // Whoever does not take it is told by the end itself.
                    let _ = send(api, socket, event).await;
                }
                return CloseReason::Shutdown.into();
            }
            _ = looks.tick() => {
                match heartbeat.due(limits, clock::now()) {
                    Due::Nothing => {}
                    Due::Close(reason) => return reason.into(),
                    Due::Ping(payload) => {
                        if let Err(ending) = send(api, socket, Message::Ping(payload.to_string().into())).await {
                            return ending;
                        }
                    }
                }
                continue;
            }
            message = socket.next() => message,
        };
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Pong(payload))) => {
                heartbeat.pong(&payload);
                continue;
            }
            // The library answers it with the next read.
            Some(Ok(Message::Ping(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Binary(_))) => return CloseReason::Binary.into(),
            Some(Ok(Message::Close(_))) => {
                // The library has an answer ready, which has to leave.
                let _ = timeout(api.close_timeout, socket.flush()).await;
                return Ending { label: CloseReason::Client(None).label(), frame: None };
            }
            Some(Err(error)) => return reason(&error).into(),
            None => return CloseReason::Lost.into(),
        };
        let outcome = api.answer(&text, opening, peer, clock::now());
        if let Err(ending) = send(api, socket, Message::text(outcome.text)).await {
            return ending;
        }
        if let Some(text) = outcome.ends {
            return Ending { label: CloseReason::InvalidRequest.label(), frame: Some((1008, text)) };
        }
    }
}

/// Sends all of a message, within the time that the client has to take it.
async fn send(api: &Api, socket: &mut Socket, message: Message) -> Result<(), Ending> {
    match timeout(api.write_timeout, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(CloseReason::Lost.into()),
        // The rest of the message is still to be written, and no close frame gets past it.
        Err(_) => Err(Ending { label: CloseReason::SlowConsumer.label(), frame: None }),
    }
}

/// What the client did wrong, where it did.
fn reason(error: &Error) -> CloseReason {
    match error {
        Error::Capacity(_) => CloseReason::TooBig,
        Error::Utf8(_) => CloseReason::InvalidUtf8,
        Error::Protocol(_) => CloseReason::Protocol,
        _ => CloseReason::Lost,
    }
}

/// Closes so that the client can read what was sent last: a socket closed with unread bytes resets the connection.
async fn end(socket: Socket) -> std::io::Result<()> {
    let mut stream = socket.into_inner();
    stream.shutdown().await?;
    let mut sink = [0; READ_BYTES];
    let mut left = LINGER_BYTES_MAX;
    while left > 0 {
        match stream.read(&mut sink).await? {
            0 => break,
            count => left = left.saturating_sub(count),
        }
    }
    Ok(())
}
