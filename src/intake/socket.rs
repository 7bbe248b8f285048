//! One connection's life: what it sends, how its frames are gathered and handed up, and when it is given up.

mod dial;

pub(super) use dial::{DialError, RETRY_AFTER_SECONDS_MAX, Stream, USER_AGENT, dial, url};

use std::{collections::VecDeque, fmt, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::{
    sync::mpsc,
    time::{self, Instant},
};
use tokio_tungstenite::tungstenite::{
    self, Message,
    error::CapacityError,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use tracing::{info, warn};

use super::{
    limit::Window,
    message::{ConnectionId, Frame, Inbound},
    tap::Tapped,
    upstream::{CLOSE_TIMEOUT, EngineGone, Upstream},
};
use crate::{clock, market::InstrumentId, market::Nanos};

/// What a connection tells its feed while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It is open.
    Opened,
    /// Its subscriptions are sent, and data came in since.
    Flowing,
    /// The venue announced that it will close it.
    Farewell,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its feed, or a stop, asked for it.
    Asked,
    /// The venue sent a close.
    Closed(String),
    /// The connection broke.
    Broken(String),
    /// A frame was larger than we take.
    TooLarge(usize),
    /// Not one frame for this long.
    Silent(Duration),
    /// Nobody takes frames any more.
    EngineGone,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("closed by us"),
            Self::Closed(reason) => write!(f, "closed by the venue: {reason}"),
            Self::Broken(reason) => write!(f, "broken: {reason}"),
            Self::TooLarge(bytes) => {
                write!(f, "a frame of {bytes} bytes is over intake.frame_bytes_max: raise that to take this venue")
            }
            Self::Silent(limit) => write!(f, "not one frame for {limit:?} (intake.silence_max_ms)"),
            Self::EngineGone => f.write_str("the engine is gone"),
        }
    }
}

/// How a connection ended, and how well it did before.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) end: End,
    /// From its first data to its last.
    pub(super) data_for: Duration,
}

/// An open connection.
pub(super) struct Socket {
    upstream: Arc<Upstream>,
    connection: ConnectionId,
    stream: Stream,
    news: mpsc::Sender<(ConnectionId, News)>,
    /// Messages to send, in order, when the venue's limit allows.
    outbox: VecDeque<String>,
    pacer: Window,
    heard: Instant,
    first_data: Option<Instant>,
    last_data: Option<Instant>,
    keep_alive: Option<(&'static str, Duration, Instant)>,
    is_flowing: bool,
}

impl Socket {
    pub(super) fn new(
        upstream: Arc<Upstream>,
        connection: ConnectionId,
        stream: Stream,
        news: mpsc::Sender<(ConnectionId, News)>,
    ) -> Self {
        let now = Instant::now();
        let traits = upstream.traits;
        Self {
            connection,
            stream,
            news,
            outbox: VecDeque::new(),
            pacer: Window::new(traits.messages_per_second, Duration::from_secs(1)),
            heard: now,
            first_data: None,
            last_data: None,
            keep_alive: traits.keep_alive.map(|(text, every)| (text, every, now + every)),
            is_flowing: false,
            upstream,
        }
    }

    /// Lives: tells the engine that it is open, sends `messages`, hands up frames, and tells that it is closed.
    ///
    /// More messages come through `orders`; dropping its sender asks for a polite close, during which frames still go up.
    pub(super) async fn run(
        mut self,
        leg: u32,
        instruments: Vec<InstrumentId>,
        messages: Vec<String>,
        mut orders: mpsc::Receiver<Vec<String>>,
    ) -> Ended {
        let (venue, connection) = (self.upstream.venue, self.connection);
        let metrics = self.upstream.metrics.clone();
        metrics.connects.increment(1);
        metrics.connections.increment(1.0);
        info!(venue = %self.upstream.name, connection = connection.0, instruments = instruments.len(), "connected");
        self.outbox.extend(messages);

        let opened = Inbound::Opened { venue, connection, leg, instruments, received: clock::now() };
        let end = match self.upstream.uplink.send(opened).await {
            Ok(()) => {
                self.tell(News::Opened).await;
                self.live(&mut orders).await
            }
            Err(EngineGone) => End::EngineGone,
        };

        metrics.disconnects.increment(1);
        metrics.connections.decrement(1.0);
        match &end {
            End::Asked => info!(venue = %self.upstream.name, connection = connection.0, "{end}"),
            _ => warn!(venue = %self.upstream.name, connection = connection.0, "{end}"),
        }
        let at = clock::now();
        self.upstream.tap(|| Tapped::Closed { at, connection });
        // If the engine is gone there is nobody left to tell.
        let _ = self.upstream.uplink.send(Inbound::Closed { venue, connection, received: at }).await;
        let data_for = self.first_data.zip(self.last_data).map_or(Duration::ZERO, |(first, last)| last - first);
        Ended { end, data_for }
    }

    async fn live(&mut self, orders: &mut mpsc::Receiver<Vec<String>>) -> End {
        let stop = self.upstream.stop.clone();
        let mut stopped = pin!(stop.requested());
        let mut timer = pin!(time::sleep_until(self.due()));
        loop {
            // The rare branches come first: a flood of frames must not starve them.
            let end = tokio::select! {
                biased;
                () = &mut stopped => Some(self.close().await),
                order = orders.recv() => match order {
                    Some(messages) => {
                        self.queue(messages);
                        None
                    }
                    None => Some(self.close().await),
                },
                () = timer.as_mut() => self.tick().await,
                message = self.stream.next() => self.receive(message).await,
            };
            if let Some(end) = end {
                return end;
            }
            // Each frame moves the silence limit on; the timer finds that out when it fires instead of being reset each time.
            let due = self.due();
            if timer.is_elapsed() || due < timer.deadline() {
                timer.as_mut().reset(due);
            }
        }
    }

    /// When something is to be done without a frame coming in.
    fn due(&mut self) -> Instant {
        let mut due = self.heard + self.silence_max();
        if let Some((_, _, at)) = self.keep_alive {
            due = due.min(at);
        }
        if !self.outbox.is_empty() {
            due = due.min(Instant::now() + self.pacer.wait(clock::now()));
        }
        due
    }

    /// Does what is due: gives a silent connection up, keeps it alive, sends what the limit allows.
    async fn tick(&mut self) -> Option<End> {
        let now = Instant::now();
        if now.saturating_duration_since(self.heard) >= self.silence_max() {
            return Some(End::Silent(self.silence_max()));
        }
        if let Some((text, every, at)) = &mut self.keep_alive
            && *at <= now
        {
            *at = now + *every;
            self.outbox.push_front((*text).to_owned());
        }
        while !self.outbox.is_empty() && self.pacer.wait(clock::now()).is_zero() {
            let text = self.outbox.pop_front().expect("it was not empty");
            if let Err(end) = self.send(text).await {
                return Some(end);
            }
        }
        None
    }

    async fn send(&mut self, text: String) -> Result<(), End> {
        let at = clock::now();
        self.pacer.take(at);
        let connection = self.connection;
        self.upstream.tap(|| Tapped::Sent { at, connection, text: Bytes::copy_from_slice(text.as_bytes()) });
        let limit = Duration::from_millis(self.upstream.settings.connect_timeout_ms);
        match time::timeout(limit, self.stream.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(end_of(error)),
            Err(_) => Err(End::Broken(format!("a message could not be sent within {limit:?}"))),
        }
    }

    /// Takes a message and all that are ready behind it, and hands them up as one batch.
    async fn receive(&mut self, first: Option<Result<Message, tungstenite::Error>>) -> Option<End> {
        let (received, now) = (clock::now(), Instant::now());
        self.heard = now;
        let mut batch = Batch::new(received);
        let mut next = Some(first);
        while let Some(message) = next.take() {
            batch.take(message);
            if !batch.is_full() {
                next = self.stream.next().now_or_never();
            }
        }
        for _ in 0..batch.pings {
            self.pacer.take(received);
        }
        if batch.pings > 0 {
            // Reading on writes the pong as well, but a full batch is handed up first, which may take long.
            // If the venue is not reading, its pong has to wait.
            let _ = self.stream.flush().now_or_never();
        }
        if !batch.frames.is_empty() {
            self.first_data.get_or_insert(now);
            self.last_data = Some(now);
            if let Err(EngineGone) = self.hand_up(batch.frames, batch.bytes).await {
                return Some(End::EngineGone);
            }
            // While the engine was behind, nobody listened: that was not the venue's silence.
            self.heard = Instant::now();
        }
        batch.end
    }

    async fn hand_up(&mut self, frames: Vec<Frame>, bytes: usize) -> Result<(), EngineGone> {
        let (venue, connection) = (self.upstream.venue, self.connection);
        self.upstream.metrics.frames.increment(frames.len() as u64);
        self.upstream.metrics.bytes.increment(bytes as u64);
        let says_farewell = frames.iter().any(|frame| self.upstream.protocol.is_farewell(&frame.bytes));
        self.upstream.tap(|| Tapped::Received { connection, frames: frames.clone() });
        self.upstream.uplink.send(Inbound::Frames { venue, connection, frames }).await?;
        if says_farewell {
            self.tell(News::Farewell).await;
        }
        if !self.is_flowing && self.outbox.is_empty() {
            self.is_flowing = true;
            self.tell(News::Flowing).await;
        }
        Ok(())
    }

    fn queue(&mut self, messages: Vec<String>) {
        // What is asked for again waits in its feed; an outbox this long means that the venue's limit is far too low for it.
        let room = OUTBOX_MESSAGES_MAX.saturating_sub(self.outbox.len());
        if messages.len() > room {
            warn!(venue = %self.upstream.name, connection = self.connection.0, "too many messages wait to be sent");
        }
        self.outbox.extend(messages.into_iter().take(room));
    }

    /// Says goodbye and hands up what still comes, for a limited time.
    async fn close(&mut self) -> End {
        let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let closing = async {
            if self.stream.send(Message::Close(Some(goodbye))).await.is_err() {
                return;
            }
            loop {
                let message = self.stream.next().await;
                if self.receive(message).await.is_some() {
                    return;
                }
            }
        };
        // A venue that does not answer the close loses nothing, and neither do we.
        let _ = time::timeout(CLOSE_TIMEOUT, closing).await;
        End::Asked
    }

    /// The feed may be gone already when everything ends.
    async fn tell(&self, news: News) {
        let _ = self.news.send((self.connection, news)).await;
    }

    fn silence_max(&self) -> Duration {
        Duration::from_millis(self.upstream.settings.silence_max_ms)
    }
}

/// What was ready at one time.
struct Batch {
    received: Nanos,
    frames: Vec<Frame>,
    bytes: usize,
    pings: u32,
    messages: usize,
    end: Option<End>,
}

impl Batch {
    fn new(received: Nanos) -> Self {
        Self { received, frames: Vec::new(), bytes: 0, pings: 0, messages: 0, end: None }
    }

    fn take(&mut self, message: Option<Result<Message, tungstenite::Error>>) {
        self.messages += 1;
        match message {
            Some(Ok(Message::Text(text))) => self.push(text.into()),
            Some(Ok(Message::Binary(bytes))) => self.push(bytes),
            Some(Ok(Message::Ping(_))) => self.pings += 1,
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(close))) => {
                let reason = close.map_or_else(|| "without a reason".to_owned(), |close| close.to_string());
                self.end = Some(End::Closed(reason));
            }
            Some(Err(error)) => self.end = Some(end_of(error)),
            None => self.end = Some(End::Broken("the venue hung up".to_owned())),
        }
    }

    fn push(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        self.frames.push(Frame { received: self.received, bytes });
    }

    fn is_full(&self) -> bool {
        self.end.is_some() || self.messages >= BATCH_MESSAGES_MAX || self.bytes >= BATCH_BYTES_MAX
    }
}

fn end_of(error: tungstenite::Error) -> End {
    match error {
        tungstenite::Error::Capacity(CapacityError::MessageTooLong { size, .. }) => End::TooLarge(size),
        error => End::Broken(error.to_string()),
    }
}

/// Messages taken at once; keeps one stamp honest and the engine's turns short.
const BATCH_MESSAGES_MAX: usize = 256;

/// Bytes after which a batch goes up; its last frame may be of any size.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Messages that may wait for the venue's limit, besides a dial's own.
const OUTBOX_MESSAGES_MAX: usize = 4096;

#[cfg(test)]
mod tests;
