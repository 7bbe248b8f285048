//! REST towards one venue: what the engine asks for, most urgent first, within the venue's weights, until it is there.

mod fetch;
mod queue;
mod weight;

pub(super) use fetch::{FetchError, client};

use std::{
    future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::Client;
use tokio::{sync::Notify, task::JoinSet, time};
use tracing::{debug, warn};

use self::{
    fetch::fetch,
    queue::{Head, Job, Purpose, Queue},
    weight::Weights,
};
use super::{
    backoff::{ceiling, jitter},
    message::{Frame, Inbound, Request, Wanted},
    socket::url,
    tap::Tapped,
    upstream::Upstream,
};
use crate::{clock, market::Nanos, venue::RestRequest};

/// A venue's REST.
#[derive(Debug)]
pub(super) struct Rest {
    upstream: Arc<Upstream>,
    client: Client,
    weights: Mutex<Weights>,
    queue: Mutex<Queue>,
    /// Something was added to the queue.
    added: Notify,
}

impl Rest {
    pub(super) fn new(upstream: Arc<Upstream>, client: Client) -> Self {
        let weights = Weights::new(upstream.traits.rest_weight_per_minute, upstream.settings.rest_weight_percent);
        Self { upstream, client, weights: Mutex::new(weights), queue: Mutex::default(), added: Notify::new() }
    }

    /// Queues a snapshot or trades; what the venue does not offer is left out.
    pub(super) fn ask(&self, request: Request) {
        let protocol = &self.upstream.protocol;
        let (instrument, purpose, wanted, after_ms) = match request {
            Request::Snapshot { instrument, levels, after_ms } => {
                let wanted = protocol.snapshot(self.upstream.catalogue.instrument(instrument), levels);
                (instrument, Purpose::Snapshot { levels }, wanted, after_ms)
            }
            Request::Trades { instrument, from_id, count } => {
                let wanted = protocol.trades(self.upstream.catalogue.instrument(instrument), from_id, count);
                (instrument, Purpose::Trades, wanted, 0)
            }
            Request::RecentTrades { .. } | Request::AggTrades { .. } | Request::Klines { .. } => return,
            Request::Resubscribe { .. } | Request::Renew { .. } => return,
        };
        let Some(request) = wanted else {
            debug!(venue = %self.upstream.name, ?instrument, ?purpose, "the venue does not offer that over REST");
            return;
        };
        let now = clock::now();
        let not_before = now.plus(Duration::from_millis(after_ms.into()));
        let expires = (purpose == Purpose::Trades).then(|| now.plus(TRADES_WANTED_FOR));
        self.queue().push(Job { instrument, purpose, request, not_before, expires, tries: 0 });
        self.added.notify_one();
    }

    /// Fetches what is queued until everything stops or the engine is gone.
    pub(super) async fn run(self: Arc<Self>) {
        let mut fetches = JoinSet::new();
        let mut failures = Failures::default();
        while !self.upstream.uplink.is_gone() {
            let wait = if fetches.len() < FETCHES_MAX { self.next_fetch(&mut fetches) } else { None };
            tokio::select! {
                biased;
                () = self.upstream.stop.requested() => break,
                Some(done) = fetches.join_next() => match done {
                    Ok(None) => {}
                    Ok(Some((job, error))) => self.again(job, &error, &mut failures),
                    Err(error) => warn!(venue = %self.upstream.name, %error, "a fetch did not end in order"),
                },
                () = self.added.notified() => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// Starts all fetches that may go now; returns how long until another one may, `None` if only an event can bring one.
    fn next_fetch(self: &Arc<Self>, fetches: &mut JoinSet<Option<(Job, FetchError)>>) -> Option<Duration> {
        while fetches.len() < FETCHES_MAX {
            let now = clock::now();
            let mut queue = self.queue();
            queue.expire(now);
            match queue.head(now) {
                Head::Empty => return None,
                Head::Later(wait) => return Some(wait),
                Head::Ready { weight } => match self.weights().admit(weight, now) {
                    Err(wait) => return Some(wait),
                    Ok(()) => {
                        let job = queue.pop(now).expect("the head was ready at this very time");
                        fetches.spawn(Arc::clone(self).deliver(job));
                    }
                },
            }
        }
        None
    }

    /// One fetch; a failed job comes back.
    async fn deliver(self: Arc<Self>, job: Job) -> Option<(Job, FetchError)> {
        let body = match self.get(&job.request).await {
            Ok(body) => body,
            Err(error) => match (job.purpose, error.refused_for_good()) {
                (Purpose::Trades, Some(for_good)) => {
                    debug!(venue = %self.upstream.name, %error, for_good, "the venue does not give lost trades");
                    let refused = Inbound::Refused {
                        instrument: job.instrument,
                        what: Wanted::Trades,
                        for_good,
                        received: clock::now(),
                    };
                    let _ = self.upstream.uplink.send(refused).await;
                    return None;
                }
                _ => return Some((job, error)),
            },
        };
        let instrument = job.instrument;
        let inbound = match job.purpose {
            Purpose::Snapshot { levels } => Inbound::Snapshot { instrument, levels, body },
            Purpose::Trades => Inbound::Trades { instrument, body },
        };
        // If the engine is gone, nobody misses the answer.
        let _ = self.upstream.uplink.send(inbound).await;
        None
    }

    /// Puts a failed job back, to be tried later.
    fn again(&self, mut job: Job, error: &FetchError, failures: &mut Failures) {
        let now = clock::now();
        job.tries = job.tries.saturating_add(1);
        let settings = &self.upstream.settings;
        let (first, max) = (settings.backoff_first_ms, settings.backoff_max_ms);
        let longest = ceiling(Duration::from_millis(first), Duration::from_millis(max), job.tries - 1);
        job.not_before = now.plus(jitter(&mut fastrand::Rng::new(), longest));
        if let Some(count) = failures.count(now) {
            let (venue, path) = (&self.upstream.name, &job.request.path);
            warn!(%venue, failures = count, "cannot fetch {}{path}: {error}", self.upstream.rest_url);
        }
        self.queue().push_again(job);
    }

    /// Fetches `request` as soon as the weights allow.
    ///
    /// # Errors
    /// If that one try brings no usable answer.
    pub(super) async fn fetch(&self, request: &RestRequest) -> Result<Frame, FetchError> {
        loop {
            let admitted = self.weights().admit(request.weight, clock::now());
            match admitted {
                Ok(()) => return self.get(request).await,
                Err(wait) => time::sleep(wait).await,
            }
        }
    }

    /// One try of a request whose weight has been counted.
    async fn get(&self, request: &RestRequest) -> Result<Frame, FetchError> {
        let url = url(&self.upstream.rest_url, &request.path);
        let metrics = &self.upstream.metrics;
        metrics.rest_requests.increment(1);
        let answer = fetch(&self.client, &url).await;
        let received = clock::now();
        let body = answer.and_then(|answer| {
            self.upstream.tap(|| Tapped::Response {
                at: received,
                venue: self.upstream.venue,
                url: url.into(),
                status: answer.status,
                body: answer.body.clone(),
            });
            if let Some(used) = answer.used_weight {
                self.weights().correct(used, received);
            }
            answer.success()
        });
        if let Err(error) = &body {
            metrics.rest_failures.increment(1);
            if let FetchError::Limited { retry_after, .. } = error {
                self.weights().pause(*retry_after, received);
            }
        }
        metrics.rest_weight.set(f64::from(self.weights().used()));
        body.map(|bytes| Frame { received, bytes })
    }

    fn weights(&self) -> MutexGuard<'_, Weights> {
        self.weights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Failures since the last line about them: an unreachable venue fails hundreds of fetches in the same way.
#[derive(Debug, Default)]
struct Failures {
    since_line: u64,
    line_at: Option<Nanos>,
}

impl Failures {
    /// Counts one; returns the count if it is time for a line.
    fn count(&mut self, now: Nanos) -> Option<u64> {
        self.since_line += 1;
        let is_early = self.line_at.is_some_and(|at| now >= at && now.since(at) < FAILURE_LINES_APART);
        if is_early {
            return None;
        }
        self.line_at = Some(now);
        Some(std::mem::take(&mut self.since_line))
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => time::sleep(wait).await,
        None => future::pending().await,
    }
}

/// Fetches under way at one venue.
const FETCHES_MAX: usize = 4;

/// How long lost trades are tried for. The engine waits a few seconds at most (engine.trade_refill_wait_ms) before it
/// counts them as lost. Snapshots are tried for ever: a symbol is silent without.
const TRADES_WANTED_FOR: Duration = Duration::from_secs(10);

const FAILURE_LINES_APART: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_make_few_lines_with_their_count() {
        let mut failures = Failures::default();
        let start = Nanos::from_millis(1_789_000_000_000);
        let lines: Vec<_> =
            (0..100).filter_map(|index| failures.count(start.plus(Duration::from_millis(index * 100)))).collect();
        assert_eq!(lines, [1, 50]);
    }
}
