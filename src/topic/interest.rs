//! The only news that flows upwards: what anyone below the ring wants.

use std::sync::atomic::{AtomicU32, Ordering};

use super::TopicId;
use crate::market::InstrumentId;

/// Who wants what, counted over all shards; relaxed, because being a tick late costs nothing.
///
/// It gates pure views only (partial depth, the cadences of SBE): never ids, books, trades or history.
#[derive(Debug)]
pub struct Interest {
    topics: Box<[AtomicU32]>,
    snapshots: Box<[AtomicU32]>,
}

impl Interest {
    /// No interest in any topic of `instruments` instruments.
    pub fn new(instruments: usize) -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU32::new(0)).collect();
        Self { topics: zeros(TopicId::count(instruments)), snapshots: zeros(instruments) }
    }

    /// One more subscriber.
    pub fn add(&self, topic: TopicId) {
        self.topics[topic.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn remove(&self, topic: TopicId) {
        self.topics[topic.index()].fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether anyone subscribes.
    pub fn any(&self, topic: TopicId) -> bool {
        self.topics[topic.index()].load(Ordering::Relaxed) > 0
    }

    /// Asks for a whole book to be published again, as a reader that was lapped does.
    pub fn ask_snapshot(&self, instrument: InstrumentId) {
        self.snapshots[instrument.index()].store(1, Ordering::Relaxed);
    }

    /// Whether a whole book was asked for since the last call.
    pub fn take_snapshot(&self, instrument: InstrumentId) -> bool {
        let asked = &self.snapshots[instrument.index()];
        asked.load(Ordering::Relaxed) > 0 && asked.swap(0, Ordering::Relaxed) > 0
    }
}
