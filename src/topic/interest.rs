//! The only news that flows upwards: what anyone below the ring wants.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::{Topic, TopicId};
use crate::market::InstrumentId;

/// Who wants what, counted over all shards; relaxed, because being a tick late costs nothing.
///
/// It gates pure views only (partial depth, the cadences of SBE, saying again what has not changed): never ids, books, trades
/// or history.
#[derive(Debug)]
pub struct Interest {
    topics: Box<[AtomicU32]>,
    /// What is to be said again of each instrument: [`VALUES`], [`BOOK`].
    again: Box<[AtomicU32]>,
    /// Instruments of which somebody wants something else than before: who follows them need not look at each topic.
    news: Box<[AtomicBool]>,
}

impl Interest {
    /// No interest in any topic of `instruments` instruments.
    pub fn new(instruments: usize) -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU32::new(0)).collect();
        let news = (0..instruments).map(|_| AtomicBool::new(false)).collect();
        Self { topics: zeros(TopicId::count(instruments)), again: zeros(instruments), news }
    }

    /// One more subscriber.
    pub fn add(&self, topic: TopicId) {
        if self.topics[topic.index()].fetch_add(1, Ordering::Relaxed) == 0 {
            self.tell(topic);
        }
    }

    /// One less.
    pub fn remove(&self, topic: TopicId) {
        if self.topics[topic.index()].fetch_sub(1, Ordering::Relaxed) == 1 {
            self.tell(topic);
        }
    }

    /// Whether anyone subscribes.
    pub fn any(&self, topic: TopicId) -> bool {
        self.topics[topic.index()].load(Ordering::Relaxed) > 0
    }

    /// Asks for all of an instrument to be said again, its whole book included, as a mirror that was lapped does.
    pub fn ask_snapshot(&self, instrument: InstrumentId) {
        self.ask(instrument, BOOK | VALUES);
    }

    /// Asks for the newest values to be said again although they have not changed, as a shard that was lapped does.
    pub fn ask_values(&self, instrument: InstrumentId) {
        self.ask(instrument, VALUES);
    }

    /// What was asked for since the last call.
    pub fn take_asked(&self, instrument: InstrumentId) -> Asked {
        let again = &self.again[instrument.index()];
        let asked = if again.load(Ordering::Relaxed) == 0 { 0 } else { again.swap(0, Ordering::Relaxed) };
        Asked { values: asked & VALUES != 0, book: asked & BOOK != 0 }
    }

    fn ask(&self, instrument: InstrumentId, what: u32) {
        self.again[instrument.index()].fetch_or(what, Ordering::Relaxed);
        self.news[instrument.index()].store(true, Ordering::Release);
    }

    /// Whether, since the last call, a topic of an instrument got its first subscriber or lost its last one, or something was
    /// asked for. What is read afterwards is at least as new.
    pub fn take_news(&self, instrument: InstrumentId) -> bool {
        let news = &self.news[instrument.index()];
        news.load(Ordering::Relaxed) && news.swap(false, Ordering::Acquire)
    }

    fn tell(&self, topic: TopicId) {
        if let Topic::Instrument(instrument, _) = topic.topic() {
            self.news[instrument.index()].store(true, Ordering::Release);
        }
    }
}

/// What is to be said again of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Tickers, candles, averages.
    pub values: bool,
    /// The whole book.
    pub book: bool,
}

const VALUES: u32 = 1;
const BOOK: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::Channel;

    #[test]
    fn only_the_first_and_the_last_subscriber_are_news() {
        let interest = Interest::new(2);
        let (quiet, wanted) = (InstrumentId(0), InstrumentId(1));
        let topic = TopicId::new(wanted, Channel::Trade);
        let mut heard = Vec::new();
        let steps: [fn(&Interest, TopicId); 4] = [Interest::add, Interest::add, Interest::remove, Interest::remove];
        for step in steps {
            step(&interest, topic);
            heard.push(interest.take_news(wanted));
        }
        assert_eq!(heard, [true, false, false, true]);
        interest.ask_snapshot(wanted);
        assert!(interest.take_news(wanted) && !interest.take_news(wanted));
        assert_eq!(interest.take_asked(wanted), Asked { values: true, book: true });
        interest.ask_values(wanted);
        assert!(interest.take_news(wanted));
        assert_eq!(interest.take_asked(wanted), Asked { values: true, book: false });
        assert_eq!(interest.take_asked(wanted), Asked { values: false, book: false });
        assert!(!interest.take_news(quiet));
    }
}
