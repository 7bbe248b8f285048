//! One dial kept alive: back-off after failures, and successors opened before their predecessors are closed.
//!
//! At most two lines matter at any time: the *front* one, which carries the feed, and the *next* one, which is being
//! dialled or is warming up. Both feed the engine meanwhile. Without a front line, the next one takes its place as soon
//! as it is open; with one, only after data has been coming over both for [`OVERLAP`].

mod repeats;

use std::{future, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::{Id, JoinError, JoinSet},
    time::{self, Instant},
};
use tracing::{debug, info, warn};

use self::repeats::Repeats;
use super::{
    backoff::{Backoff, jitter},
    message::ConnectionId,
    socket::{self, End, Ended, News, Socket},
    tap::Tapped,
    upstream::Upstream,
};
use crate::{clock, market::InstrumentId, venue::Dial};

/// What the engine asks of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FeedOrder {
    /// Replace this connection, if it is the one that carries the feed.
    Renew(ConnectionId),
    /// Ask the socket for this book again.
    Resubscribe(InstrumentId),
}

/// One dial and all the connections that it ever has.
pub(super) struct Feed {
    upstream: Arc<Upstream>,
    dial: Arc<Dial>,
    place: Place,
    orders: mpsc::Receiver<FeedOrder>,
    news: mpsc::Receiver<(ConnectionId, News)>,
    news_sender: mpsc::Sender<(ConnectionId, News)>,
    attempts: JoinSet<Result<Ended, Failed>>,
    front: Option<Line>,
    next: Option<Line>,
    /// When the next line takes over from the front one.
    handover: Option<Instant>,
    backoff: Backoff,
    repeats: Repeats,
    /// Books to ask for again, and when; each instrument at most once.
    resubscribes: Vec<(Instant, InstrumentId)>,
    random: fastrand::Rng,
}

/// Which feed of a venue it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Among the venue's feeds: they start one after the other.
    pub(super) number: usize,
    /// Among those that carry the same, from 0.
    pub(super) leg: u32,
}

/// One connection, from before it is dialled.
struct Line {
    connection: ConnectionId,
    task: Id,
    /// Dropping it closes the connection.
    messages: mpsc::Sender<Vec<String>>,
    opened: Option<Instant>,
    /// When a successor is due for age alone.
    expires: Option<Instant>,
    is_flowing: bool,
    /// The venue, the engine or its age says that it has to go.
    is_leaving: bool,
}

/// A connection could not be opened, and the venue asks us to wait at least so long.
struct Failed {
    error: socket::DialError,
}

impl Feed {
    pub(super) fn new(upstream: Arc<Upstream>, dial: Dial, place: Place, orders: mpsc::Receiver<FeedOrder>) -> Self {
        let (news_sender, news) = mpsc::channel(NEWS_MAX);
        Self {
            backoff: Backoff::new(&upstream.settings),
            upstream,
            dial: Arc::new(dial),
            place,
            orders,
            news,
            news_sender,
            attempts: JoinSet::new(),
            front: None,
            next: None,
            handover: None,
            repeats: Repeats::new(fastrand::Rng::new()),
            resubscribes: Vec::new(),
            random: fastrand::Rng::new(),
        }
    }

    /// Keeps the dial alive until everything stops or the engine is gone.
    pub(super) async fn run(mut self) {
        let stop = self.upstream.stop.clone();
        self.open_next(STAGGER.saturating_mul(u32::try_from(self.place.number).unwrap_or(u32::MAX)).min(STAGGER_MAX));
        while !self.upstream.uplink.is_gone() {
            let due = self.due();
            tokio::select! {
                biased;
                () = stop.requested() => break,
                Some((connection, news)) = self.news.recv() => self.on_news(connection, news),
                Some(ended) = self.attempts.join_next_with_id() => self.on_end(ended),
                order = self.orders.recv() => match order {
                    Some(order) => self.on_order(order),
                    // Nobody can order any more; only the end of everything drops that side.
                    None => break,
                },
                () = until(due) => self.on_due(),
            }
        }
        // Nobody listens from here on: the lines must not wait for somebody to.
        let Self { mut attempts, news, front, next, .. } = self;
        drop((news, front, next));
        while attempts.join_next().await.is_some() {}
    }

    /// Starts dialling the next line after `delay`.
    fn open_next(&mut self, delay: Duration) {
        let connection = self.upstream.next_connection();
        let (messages, orders) = mpsc::channel(MESSAGES_MAX);
        let attempt = attempt(
            Arc::clone(&self.upstream),
            Arc::clone(&self.dial),
            self.place.leg,
            connection,
            delay,
            orders,
            self.news_sender.clone(),
        );
        let task = self.attempts.spawn(attempt).id();
        self.next = Some(Line {
            connection,
            task,
            messages,
            opened: None,
            expires: None,
            is_flowing: false,
            is_leaving: false,
        });
    }

    fn on_news(&mut self, connection: ConnectionId, news: News) {
        let lifetime = self.lifetime();
        let (is_next, line) = match (&mut self.front, &mut self.next) {
            (_, Some(next)) if next.connection == connection => (true, next),
            (Some(front), _) if front.connection == connection => (false, front),
            // A line that was told to close still says what it saw.
            _ => return,
        };
        let now = Instant::now();
        match news {
            News::Opened => {
                line.opened = Some(now);
                line.expires = Some(now + lifetime);
                self.handover = Some(now + WARM_UP_MAX);
            }
            News::Flowing => {
                line.is_flowing = true;
                if is_next {
                    self.handover = Some(now + OVERLAP);
                }
            }
            News::Farewell => line.is_leaving = true,
        }
        self.settle();
    }

    fn on_end(&mut self, ended: Result<(Id, Result<Ended, Failed>), JoinError>) {
        let (task, outcome) = match ended {
            Ok((task, outcome)) => (task, Some(outcome)),
            Err(error) => {
                warn!(venue = %self.upstream.name, %error, "a connection's task failed");
                (error.id(), None)
            }
        };
        let is = |line: &Option<Line>| line.as_ref().is_some_and(|line| line.task == task);
        let (was_front, was_next) = (is(&self.front), is(&self.next));
        if let Some(Ok(Ended { data_for, .. })) = &outcome
            && *data_for >= self.healthy_after()
        {
            self.backoff.reset();
        }
        if was_front {
            self.front = None;
        }
        if was_next {
            self.next = None;
            self.handover = None;
            let delay = self.backoff.after_failure();
            self.reopen(delay, outcome);
        }
        self.settle();
    }

    /// Dials once more after a line ended that was to become the front one.
    fn reopen(&mut self, delay: Duration, outcome: Option<Result<Ended, Failed>>) {
        let delay = match outcome {
            Some(Err(Failed { error })) => {
                let delay = delay.max(error.retry_after());
                let (venue, url) = (&self.upstream.name, &self.upstream.ws_url);
                warn!(%venue, "cannot connect to {url}: {error}; trying again in {delay:.1?} (is ws_url right, is the network up?)");
                delay
            }
            // Why it ended has been logged by the connection itself.
            Some(Ok(Ended { end: End::Asked | End::EngineGone, .. })) => return,
            Some(Ok(_)) | None => delay,
        };
        self.open_next(delay);
    }

    fn on_order(&mut self, order: FeedOrder) {
        match order {
            FeedOrder::Renew(connection) => {
                for line in [&mut self.front, &mut self.next].into_iter().flatten() {
                    if line.connection == connection {
                        line.is_leaving = true;
                    }
                }
                self.settle();
            }
            FeedOrder::Resubscribe(instrument) => {
                if self.resubscribes.iter().all(|&(_, waiting)| waiting != instrument) {
                    let delay = self.repeats.delay(instrument, clock::now());
                    self.resubscribes.push((Instant::now() + delay, instrument));
                }
            }
        }
    }

    fn on_due(&mut self) {
        let now = Instant::now();
        if self.front.as_ref().is_some_and(|front| front.expires.is_some_and(|at| at <= now))
            && let Some(front) = &mut self.front
        {
            front.is_leaving = true;
        }
        let (due, later): (Vec<_>, Vec<_>) = self.resubscribes.drain(..).partition(|&(at, _)| at <= now);
        self.resubscribes = later;
        for (_, instrument) in due {
            self.resubscribe(instrument);
        }
        self.settle();
    }

    /// Brings the lines into the order that the state of both asks for.
    fn settle(&mut self) {
        let next_is_open = self.next.as_ref().is_some_and(|next| next.opened.is_some());
        let handover_is_due = self.handover.is_some_and(|at| at <= Instant::now());
        if next_is_open && (self.front.is_none() || handover_is_due) {
            if let Some(front) = &self.front {
                info!(venue = %self.upstream.name, connection = front.connection.0, "its successor has taken over");
            }
            // Dropping the old front's sender closes it politely, with its last frames still going up.
            self.front = self.next.take();
            self.handover = None;
        }
        if self.next.is_some() {
            return;
        }
        match &self.front {
            None => {
                let delay = self.backoff.after_failure();
                info!(venue = %self.upstream.name, "no connection is left; dialling in {delay:.1?}");
                self.open_next(delay);
            }
            Some(front) if front.is_leaving => {
                // A line that is to be replaced soon after it opened is a failure like any other: no tight loop.
                let is_healthy =
                    front.is_flowing && front.opened.is_some_and(|opened| opened.elapsed() >= self.healthy_after());
                let delay = if is_healthy {
                    self.backoff.reset();
                    Duration::ZERO
                } else {
                    self.backoff.after_failure()
                };
                debug!(venue = %self.upstream.name, connection = front.connection.0, "opening a successor");
                self.open_next(delay);
            }
            Some(_) => {}
        }
    }

    /// Asks for a book again on the newest line that is open: the engine follows that one.
    fn resubscribe(&mut self, instrument: InstrumentId) {
        let messages = self.upstream.protocol.resubscribe(self.upstream.catalogue.instrument(instrument));
        let newest = self.next.as_ref().filter(|next| next.opened.is_some()).or(self.front.as_ref());
        // Without a line, the subscriptions of the next one bring the book; a line that takes no more is about to end.
        if let Some(line) = newest
            && line.messages.try_send(messages).is_err()
        {
            debug!(venue = %self.upstream.name, connection = line.connection.0, "cannot ask for a book again");
        }
    }

    /// When something is to be done without anything happening; `None`: never.
    fn due(&self) -> Option<Instant> {
        let front = self.front.as_ref().filter(|front| !front.is_leaving);
        let handover = self.handover.filter(|_| self.front.is_some());
        let resubscribe = self.resubscribes.iter().map(|&(at, _)| at).min();
        [front.and_then(|front| front.expires), handover, resubscribe].into_iter().flatten().min()
    }

    /// A little less than configured, by chance, so that connections opened together are not renewed together.
    fn lifetime(&mut self) -> Duration {
        let lifetime = Duration::from_millis(self.upstream.settings.lifetime_ms);
        lifetime.saturating_sub(jitter(&mut self.random, lifetime / 20))
    }

    fn healthy_after(&self) -> Duration {
        Duration::from_millis(self.upstream.settings.healthy_after_ms)
    }
}

/// One connection: waits, dials, lives.
async fn attempt(
    upstream: Arc<Upstream>,
    dial: Arc<Dial>,
    leg: u32,
    connection: ConnectionId,
    delay: Duration,
    mut orders: mpsc::Receiver<Vec<String>>,
    news: mpsc::Sender<(ConnectionId, News)>,
) -> Result<Ended, Failed> {
    let opening = async {
        time::sleep(delay).await;
        upstream.connect_turn().await;
        socket::dial(&upstream, &dial.path).await
    };
    let never_opened = Ok(Ended { end: End::Asked, data_for: Duration::ZERO });
    let stream = tokio::select! {
        biased;
        () = upstream.stop.requested() => return never_opened,
        // Messages are ordered from open lines only, so this says that the feed has dropped the line.
        _ = orders.recv() => return never_opened,
        stream = opening => stream.map_err(|error| Failed { error })?,
    };
    let at = clock::now();
    upstream.tap(|| Tapped::Opened {
        at,
        venue: upstream.venue,
        connection,
        url: socket::url(&upstream.ws_url, &dial.path).into(),
    });
    let socket = Socket::new(Arc::clone(&upstream), connection, stream, news);
    Ok(socket.run(leg, dial.instruments.clone(), dial.messages.clone(), orders).await)
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => time::sleep_until(due).await,
        None => future::pending().await,
    }
}

/// Both connections feed the engine for this long before the old one is closed: what the old one has, and the new one
/// never had, is in by then, however far the two servers are apart.
const OVERLAP: Duration = Duration::from_secs(2);

/// A successor without any data for this long takes over all the same: its market may just be quiet.
const WARM_UP_MAX: Duration = Duration::from_secs(15);

/// Feeds of one venue start so far apart, up to a maximum.
const STAGGER: Duration = Duration::from_millis(250);
const STAGGER_MAX: Duration = Duration::from_secs(30);

/// News that may wait; each line sends three kinds of them.
const NEWS_MAX: usize = 16;

/// Orders that may wait for one line. Each asks for one book again.
const MESSAGES_MAX: usize = 1024;

#[cfg(test)]
mod tests;
