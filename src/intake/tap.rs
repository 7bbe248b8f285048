//! A copy of everything that passes between us and the venues, for a recording; it never holds up a feed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use tracing::warn;

use super::message::{ConnectionId, Frame};
use crate::{
    market::{Nanos, VenueId},
    metrics,
};

/// Where copies go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tap {
    sender: flume::Sender<Tapped>,
    meter: Arc<Meter>,
}

/// What goes into the recording; there is one as long as anybody holds the tap.
#[derive(Debug)]
struct Meter {
    dropped: AtomicU64,
    metrics: metrics::Recording,
}

/// One thing that happened, with its time.
#[derive(Clone, Debug)]
pub enum Tapped {
    /// A connection was opened.
    Opened {
        /// When.
        at: Nanos,
        /// To whom.
        venue: VenueId,
        /// Which.
        connection: ConnectionId,
        /// With path and query.
        url: Arc<str>,
    },
    /// We sent a message.
    Sent {
        /// When.
        at: Nanos,
        /// On which connection.
        connection: ConnectionId,
        /// What.
        text: Bytes,
    },
    /// Frames came in, in this order; each carries its time.
    Received {
        /// On which connection.
        connection: ConnectionId,
        /// At least one.
        frames: Vec<Frame>,
    },
    /// A REST answer came in.
    Response {
        /// When.
        at: Nanos,
        /// From whom.
        venue: VenueId,
        /// With path and query.
        url: Arc<str>,
        /// HTTP status.
        status: u16,
        /// What.
        body: Bytes,
    },
    /// A connection is gone.
    Closed {
        /// When.
        at: Nanos,
        /// Which.
        connection: ConnectionId,
    },
}

impl Tap {
    /// A tap through which at most `waiting_max` things wait to be written; what comes when it is full is left out.
    pub fn new(waiting_max: usize) -> (Self, flume::Receiver<Tapped>) {
        let (sender, receiver) = flume::bounded(waiting_max.max(1));
        let metrics = metrics::Recording::new();
        metrics.active.set(1.0);
        (Self { sender, meter: Arc::new(Meter { dropped: AtomicU64::default(), metrics }) }, receiver)
    }

    /// How many things were left out because the writer was behind or gone.
    pub fn dropped(&self) -> u64 {
        self.meter.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn put(&self, tapped: Tapped) {
        let Meter { dropped, metrics } = &*self.meter;
        let (frames, bytes) = tapped.size();
        if self.sender.try_send(tapped).is_ok() {
            metrics.frames.increment(frames as u64);
            metrics.bytes.increment(bytes as u64);
            return;
        }
        metrics.dropped.increment(1);
        if dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            warn!("the recording cannot keep up: from here on it has holes");
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.metrics.active.set(0.0);
    }
}

impl Tapped {
    /// Messages of the venue's socket in it, and bytes of the venue.
    fn size(&self) -> (usize, usize) {
        match self {
            Self::Received { frames, .. } => (frames.len(), frames.iter().map(|frame| frame.bytes.len()).sum()),
            Self::Response { body, .. } => (0, body.len()),
            Self::Opened { .. } | Self::Sent { .. } | Self::Closed { .. } => (0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_tap_drops_counts_and_does_not_wait() {
        let (tap, receiver) = Tap::new(1);
        for number in 0..3 {
            tap.put(Tapped::Closed { at: Nanos(number), connection: ConnectionId(0) });
        }
        assert_eq!(tap.dropped(), 2);
        assert!(matches!(receiver.try_recv(), Ok(Tapped::Closed { at: Nanos(0), .. })));
        assert!(receiver.try_recv().is_err());
    }
}
