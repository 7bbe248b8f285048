//! A shard's thread: poll, pass, again.

use std::{
    io,
    net::SocketAddr,
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use mio::{Events, Interest as Readiness, Poll, Token};

use super::{Admission, BELL, Door, Fanout, Reading, Setup, Socket};
use crate::{
    clock, config,
    market::Nanos,
    metrics,
    ring::{Lapped, Reader},
    topic::Batch,
};

/// Bytes read from one socket at a time; one buffer serves them all.
const READ_BYTES: usize = 64 << 10;
/// Connections taken over in one pass: about a millisecond of work, which updates wait for (docs/decisions/015-storms.md).
const ADMISSIONS_MAX: usize = 32;
/// Sockets whose readiness one poll reports.
const EVENTS_MAX: usize = 1024;
/// Batches of one ring per pass, so that clients are heard while a shard catches up.
const BATCHES_MAX: usize = 1024;
/// How often what is too dear for every pass is measured; also the longest sleep.
const GAUGES_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Driver {
    poll: Poll,
    events: Events,
    fanout: Fanout<Socket>,
    rings: Vec<Ring>,
    door: Door,
    buffer: Vec<u8>,
    /// Sockets that were left with bytes unread, for the sake of the others.
    again: Vec<u32>,
    /// Whether a ring was left with batches unread.
    is_behind: bool,
    flush_delay: Duration,
    /// Since when something waits for a delayed flush.
    waits_since: Option<Nanos>,
    is_draining: bool,
    now: Nanos,
    gauges_due: Nanos,
    metrics: metrics::Shard,
}

struct Ring {
    reader: Reader<Batch>,
    metrics: metrics::Ring,
}

impl Driver {
    pub(super) fn new(index: usize, poll: Poll, setup: Setup, door: Door) -> Self {
        let name = format!("shard-{index}");
        let rings = setup.readers.into_iter().enumerate();
        Self {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            fanout: Fanout::new(setup.catalogue, setup.interest, &setup.session),
            rings: rings.map(|(engine, reader)| Ring { reader, metrics: metrics::Ring::of(engine, &name) }).collect(),
            door,
            buffer: vec![0; READ_BYTES],
            again: Vec::new(),
            is_behind: false,
            flush_delay: Duration::from_millis(setup.delivery.flush_delay_ms_max),
            waits_since: None,
            is_draining: false,
            now: clock::now(),
            gauges_due: Nanos(0),
            metrics: metrics::Shard::of(index),
        }
    }

    /// Opens what hands bytes to the kernel; to be called on the thread that runs.
    ///
    /// # Errors
    /// If it has to be io_uring and the kernel refuses that.
    pub(super) fn prepare(&mut self, wanted: config::Sender) -> io::Result<()> {
        if wanted == config::Sender::Epoll {
            return Ok(());
        }
        match self.fanout.send_in_batches() {
            Err(error) if wanted == config::Sender::IoUring => {
                let way_out = "delivery.sender is \"io_uring\", which the kernel refuses; set it to \"auto\"";
                Err(io::Error::new(error.kind(), format!("{way_out}: {error}")))
            }
            Err(error) => {
                tracing::info!(%error, "no io_uring for this process: sends are one system call each");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Runs until the handle wants the end.
    pub(super) fn run(mut self) {
        while !self.is_over() {
            if let Err(error) = self.wait() {
                tracing::error!(%error, "the poll of a shard failed; its sessions are cut off");
                break;
            }
            self.pass();
        }
        self.fanout.cut_all();
        self.count();
        self.report();
        if self.is_draining {
            self.door.beat.end();
        }
    }

    /// Sleeps until a socket, a ring, the door or a deadline wants something.
    fn wait(&mut self) -> io::Result<()> {
        let mut timeout = self.idle_for();
        if !timeout.is_zero() && !self.rings.iter().all(|ring| ring.reader.sleep()) {
            timeout = Duration::ZERO;
        }
        let polled = self.poll.poll(&mut self.events, Some(timeout));
        self.rings.iter().for_each(|ring| ring.reader.awake());
        match polled {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    fn idle_for(&self) -> Duration {
        if !self.again.is_empty() || self.is_behind || !self.door.inbox.is_empty() {
            return Duration::ZERO;
        }
        let flush = self.waits_since.map(|since| since.plus(self.flush_delay));
        let drained = self.is_draining.then(|| self.drain_until());
        let deadlines = [Some(self.gauges_due), self.fanout.next_due(), flush, drained];
        let next = deadlines.into_iter().flatten().min().unwrap_or(self.gauges_due);
        next.since(self.now).min(GAUGES_EVERY)
    }

    fn pass(&mut self) {
        self.now = clock::now();
        self.door.beat.tick(self.now);
        self.fanout.begin(self.now);
        self.adjust();
        self.hear();
        self.open_door();
        self.drain_rings();
        self.fanout.run_due();
        if self.drain_until() != Nanos(0) && !self.is_draining {
            self.is_draining = true;
            self.fanout.shut_down();
        }
        if self.is_flush_due() {
            self.fanout.flush();
            self.waits_since = None;
        }
        self.count();
    }

    /// Takes over other limits, if there are any.
    fn adjust(&mut self) {
        let shared = &self.door.shared;
        if !shared.is_adjusted.load(Ordering::Relaxed) || !shared.is_adjusted.swap(false, Ordering::Acquire) {
            return;
        }
        let adjusted = shared.adjusted.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((session, delivery)) = adjusted {
            self.fanout.adjust(&session);
            self.flush_delay = Duration::from_millis(delivery.flush_delay_ms_max);
        }
    }

    /// Reads and writes the sockets that are ready.
    fn hear(&mut self) {
        let mut again = std::mem::take(&mut self.again);
        for index in again.drain(..) {
            // Its end may have been announced while it waited, so it is looked for.
            if self.fanout.read(index, &mut self.buffer, true) == Reading::More {
                self.again.push(index);
            }
        }
        for event in self.events.iter().filter(|event| event.token() != BELL) {
            let index = event.token().0 as u32;
            let ended = event.is_read_closed() || event.is_error();
            if (event.is_readable() || ended)
                && self.fanout.read(index, &mut self.buffer, ended) == Reading::More
                && !self.again.contains(&index)
            {
                self.again.push(index);
            }
            if event.is_writable() {
                self.fanout.write(index);
            }
        }
        // The events are those of the last poll: after an interrupted one they must not be seen twice.
        self.events.clear();
    }

    /// Takes over the connections that wait at the door. It comes after the sockets' events, so that no event can mean
    /// a session whose index has just been given away. A storm is let in over several passes, so that updates go out between.
    fn open_door(&mut self) {
        for admission in self.door.inbox.try_iter().take(ADMISSIONS_MAX).collect::<Vec<_>>() {
            let peer = admission.peer;
            if self.is_draining || self.welcome(admission).is_err() {
                tracing::debug!(%peer, "connection dropped at the door of its shard");
                self.door.shared.sessions.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn welcome(&mut self, admission: Admission) -> io::Result<SocketAddr> {
        let Admission { socket, early, opening, peer } = admission;
        let mut socket = Socket::new(socket)?;
        let token = Token(self.fanout.vacant() as usize);
        // Both at once and edge-triggered: a healthy socket causes no notice of writability, a full one exactly one
        // when it has room again, and neither costs a system call of its own.
        socket.register(self.poll.registry(), token, Readiness::READABLE | Readiness::WRITABLE)?;
        self.fanout.admit(socket, &opening, &early);
        Ok(peer)
    }

    fn drain_rings(&mut self) {
        self.is_behind = false;
        for ring in &mut self.rings {
            let mut left = BATCHES_MAX;
            loop {
                match ring.reader.read() {
                    Ok(Some(batch)) => self.fanout.publish(&batch),
                    Ok(None) => break,
                    Err(Lapped { missed }) => {
                        tracing::warn!(missed, "a shard was lapped: sessions that cannot do without are closed");
                        ring.metrics.laps.increment(1);
                        ring.metrics.missed.increment(missed);
                        self.fanout.lapped();
                    }
                }
                left -= 1;
                if left == 0 {
                    self.is_behind = true;
                    break;
                }
            }
        }
    }

    fn is_flush_due(&mut self) -> bool {
        if !self.fanout.has_pending() {
            return false;
        }
        let since = *self.waits_since.get_or_insert(self.now);
        self.flush_delay.is_zero() || self.fanout.is_urgent() || self.now.since(since) >= self.flush_delay
    }

    /// Hands the pass's plain counters to the metrics.
    fn count(&mut self) {
        let tally = self.fanout.take_tally();
        if tally.deliveries > 0 {
            self.metrics.deliveries.increment(tally.deliveries);
            self.metrics.encoded.increment(tally.encoded);
        }
        if tally.writes > 0 {
            self.metrics.writes.increment(tally.writes);
            self.metrics.bytes.increment(tally.bytes);
        }
        if tally.conflated > 0 {
            self.metrics.conflated.increment(tally.conflated);
        }
        if tally.merged > 0 {
            self.metrics.merged.increment(tally.merged);
        }
        if let Some(received) = tally.received.filter(|_| tally.writes > 0) {
            self.metrics.delivery.record(clock::now().since(received).as_secs_f64());
        }
        if tally.ended > 0 {
            self.door.shared.sessions.fetch_sub(tally.ended as usize, Ordering::Relaxed);
        }
        if self.now >= self.gauges_due {
            self.gauges_due = self.now.plus(GAUGES_EVERY);
            self.report();
        }
    }

    fn report(&self) {
        let (bytes, sessions) = self.fanout.queued();
        self.metrics.sessions.set(self.fanout.sessions() as f64);
        self.metrics.subscriptions.set(self.fanout.subscriptions() as f64);
        self.metrics.queued_bytes.set(bytes as f64);
        self.metrics.slow_sessions.set(sessions as f64);
        for ring in &self.rings {
            ring.metrics.lag.set(ring.reader.lag() as f64);
        }
    }

    fn is_over(&self) -> bool {
        self.is_draining && (self.fanout.sessions() == 0 || self.now >= self.drain_until())
    }

    fn drain_until(&self) -> Nanos {
        Nanos(self.door.shared.drain_until.load(Ordering::Acquire))
    }
}
