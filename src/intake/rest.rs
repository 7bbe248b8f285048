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

use bytes::Bytes;
use reqwest::Client;
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
    time,
};
use tracing::{debug, warn};

use self::{
    fetch::{fetch, start_of},
    queue::{Job, Purpose, Queue, Urgency},
    weight::{Claim, Weights},
};
use super::{
    backoff::{ceiling, jitter},
    message::{Frame, Inbound, Request},
    socket::url,
    tap::Tapped,
    upstream::Upstream,
};
use crate::{
    clock,
    market::{InstrumentId, Nanos},
    metrics::RestPurpose,
    venue::{RestRequest, Verdict},
};

/// A venue's REST.
#[derive(Debug)]
pub(super) struct Rest {
    upstream: Arc<Upstream>,
    client: Client,
    weights: Mutex<Weights>,
    queue: Mutex<Queue>,
    /// How much history may be under way.
    history_slots: Arc<Semaphore>,
    /// Something was added to the queue.
    added: Notify,
}

impl Rest {
    pub(super) fn new(upstream: Arc<Upstream>, client: Client) -> Self {
        let weights = Weights::new(&upstream.traits, upstream.settings.rest_weight_percent);
        Self {
            upstream,
            client,
            weights: Mutex::new(weights),
            queue: Mutex::default(),
            history_slots: Arc::new(Semaphore::new(HISTORY_FETCHES_MAX)),
            added: Notify::new(),
        }
    }

    /// Queues a request. What the venue does not offer comes back as refused for good; only books have to be there.
    pub(super) async fn ask(&self, request: Request) {
        let protocol = &self.upstream.protocol;
        let of = |instrument| self.upstream.catalogue.instrument(instrument);
        let mut after_ms = 0;
        let (instrument, purpose, wanted) = match request {
            Request::Snapshot { instrument, levels, after_ms: after } => {
                after_ms = after;
                (instrument, Purpose::Snapshot { levels }, protocol.snapshot(of(instrument), levels))
            }
            Request::Trades { instrument, from_id, count } => {
                (instrument, Purpose::Trades, protocol.trades(of(instrument), from_id, count))
            }
            Request::RecentTrades { instrument } => {
                (instrument, Purpose::RecentTrades, protocol.recent_trades(of(instrument)))
            }
            Request::AggTrades { instrument, from_id, count } => {
                let wanted = protocol.agg_trades(of(instrument), from_id, count);
                (instrument, Purpose::AggTrades { from_id }, wanted)
            }
            Request::Klines { instrument, series, from, count } => {
                let wanted = protocol.klines(of(instrument), series, from, count);
                (instrument, Purpose::Klines { series, from }, wanted)
            }
            Request::Resubscribe { .. } | Request::Renew { .. } => return,
        };
        let Some(request) = wanted else {
            debug!(venue = %self.upstream.name, ?instrument, ?purpose, "the venue does not offer that over REST");
            self.refused(instrument, purpose, true).await;
            return;
        };
        let now = clock::now();
        let not_before = now.plus(Duration::from_millis(after_ms.into()));
        let expires = (purpose.urgency() == Urgency::Lost).then(|| now.plus(TRADES_WANTED_FOR));
        self.queue().push(Job { instrument, purpose, request, not_before, expires, tries: 0 });
        self.added.notify_one();
    }

    /// Fetches what is queued until everything stops or the engine is gone.
    pub(super) async fn run(self: Arc<Self>) {
        let mut fetches = JoinSet::new();
        let mut failures = Failures::default();
        while !self.upstream.uplink.is_gone() {
            let wait = self.start_fetches(&mut fetches);
            self.show_waiting();
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
    fn start_fetches(self: &Arc<Self>, fetches: &mut JoinSet<Option<(Job, FetchError)>>) -> Option<Duration> {
        loop {
            if fetches.len() >= FETCHES_MAX {
                return None;
            }
            let now = clock::now();
            let mut queue = self.queue();
            queue.expire(now);
            let heads = queue.heads(now);
            let mut wait = heads.later;
            // What is urgent and too heavy for this minute leaves it to what is neither.
            let found = Urgency::ALL.into_iter().zip(heads.ready).find_map(|(urgency, weight)| {
                let slot = match urgency.claim() {
                    Claim::Present => None,
                    // A slot that becomes free is an event.
                    Claim::History => Some(Arc::clone(&self.history_slots).try_acquire_owned().ok()?),
                };
                match self.weights().admit(weight?, urgency.claim(), now) {
                    Ok(()) => Some((urgency, slot)),
                    Err(longer) => {
                        wait = Some(wait.map_or(longer, |wait| wait.min(longer)));
                        None
                    }
                }
            });
            let Some((urgency, slot)) = found else { return wait };
            let job = queue.pop(urgency, now).expect("the head was ready at this very time");
            let metrics = &self.upstream.metrics;
            metrics.rest_weights[job.purpose.label() as usize].increment(job.request.weight.into());
            let fetch = Arc::clone(self).deliver(job);
            fetches.spawn(async move {
                let _slot = slot;
                fetch.await
            });
        }
    }

    /// One fetch; a failed job comes back.
    async fn deliver(self: Arc<Self>, job: Job) -> Option<(Job, FetchError)> {
        match self.get(&job.request).await {
            // If the engine is gone, nobody misses the answer.
            Ok(body) => drop(self.upstream.uplink.send(job.purpose.inbound(job.instrument, body)).await),
            Err(error) => match error.refused_for_good().filter(|_| job.purpose.wanted().is_some()) {
                None => return Some((job, error)),
                Some(for_good) => {
                    let (venue, purpose) = (&self.upstream.name, job.purpose);
                    debug!(%venue, instrument = ?job.instrument, ?purpose, for_good, "the venue refuses: {error}");
                    self.refused(job.instrument, purpose, for_good).await;
                }
            },
        }
        None
    }

    /// Tells the engine that the venue says no.
    async fn refused(&self, instrument: InstrumentId, purpose: Purpose, for_good: bool) {
        if let Some(what) = purpose.wanted() {
            let refused = Inbound::Refused { instrument, what, for_good, received: clock::now() };
            let _ = self.upstream.uplink.send(refused).await;
        }
    }

    /// How much waits: the progress of a history that is being filled.
    fn show_waiting(&self) {
        let lengths = self.queue().lengths();
        for (gauge, length) in self.upstream.metrics.rest_waiting.iter().zip(lengths) {
            gauge.set(f64::from(length));
        }
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
            let admitted = self.weights().admit(request.weight, Claim::Present, clock::now());
            match admitted {
                Ok(()) => {
                    let metrics = &self.upstream.metrics;
                    metrics.rest_weights[RestPurpose::Listing as usize].increment(request.weight.into());
                    return self.get(request).await;
                }
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
        let body = body.and_then(|body| said_within(self.upstream.protocol.verdict(&body), body));
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

/// What a venue reports with an HTTP success.
fn said_within(verdict: Verdict, body: Bytes) -> Result<Bytes, FetchError> {
    match verdict {
        Verdict::Answer => Ok(body),
        Verdict::Pause(retry_after) => Err(FetchError::Limited { status: 200, retry_after }),
        Verdict::Unavailable => Err(FetchError::Unavailable { text: start_of(&body) }),
        Verdict::Refused { for_good } => Err(FetchError::Refused { for_good, text: start_of(&body) }),
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

/// Of these for history: a slow answer to it holds up no book.
const HISTORY_FETCHES_MAX: usize = 2;

/// How long lost trades are tried for. The engine waits a few seconds at most (engine.trade_refill_wait_ms) before it
/// counts them as lost. Snapshots are tried for ever: a symbol is silent without. So is history, last of all.
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
