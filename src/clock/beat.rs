//! Signs of life of loops: each puts down the time that it has anyway, and whoever asks sees for how long it has not.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use crate::market::Nanos;

/// What a loop that ended in order leaves behind. No clock shows it.
const ENDED: i64 = i64::MIN;

/// One loop's sign of life. Clones are of the same loop.
///
/// Its time is the wall clock's, so that a loop need not read a second clock: after that was set forward, every loop looks
/// late until its next turn, which the next look finds past.
#[derive(Clone, Debug)]
pub struct Beat {
    name: Arc<str>,
    last: Arc<AtomicI64>,
}

/// How long ago a loop was at its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Age {
    /// The thread's name.
    pub name: Arc<str>,
    /// Since its last turn.
    pub age: Duration,
}

/// The loops of this process. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Beats(Arc<Mutex<Vec<Beat>>>);

impl Beat {
    /// Of the loop in the thread called `name`, which begins `now`.
    pub fn new(name: &str, now: Nanos) -> Self {
        Self { name: name.into(), last: Arc::new(AtomicI64::new(now.0)) }
    }

    /// The loop is at its turn at `now`: one store, nothing else.
    pub fn tick(&self, now: Nanos) {
        self.last.store(now.0, Ordering::Relaxed);
    }

    /// The loop has ended in order, and nobody need wait for its next turn. One that ends with a defect does not say so.
    pub fn end(&self) {
        self.last.store(ENDED, Ordering::Relaxed);
    }

    /// How long it has been silent at `now`; `None` if it has ended in order.
    pub fn age(&self, now: Nanos) -> Option<Age> {
        let last = self.last.load(Ordering::Relaxed);
        (last != ENDED).then(|| Age { name: Arc::clone(&self.name), age: now.since(Nanos(last)) })
    }
}

impl Beats {
    /// Puts a loop on the list.
    pub fn add(&self, beat: Beat) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(beat);
    }

    /// How long each loop that has not ended has been silent at `now`.
    pub fn ages(&self, now: Nanos) -> Vec<Age> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(|beat| beat.age(now)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_ages_between_turns_and_not_after_its_end() {
        let beats = Beats::default();
        let (first, second) = (Beat::new("first", Nanos(5)), Beat::new("second", Nanos(7)));
        beats.add(first.clone());
        beats.add(second.clone());
        let ages = |now| beats.ages(Nanos(now)).iter().map(|age| age.age.as_nanos()).collect::<Vec<_>>();
        assert_eq!(ages(10), [5, 3]);
        first.tick(Nanos(9));
        assert_eq!(ages(10), [1, 3]);
        assert_eq!(ages(8), [0, 1], "a clock that was set back makes nobody late");
        second.end();
        assert_eq!(ages(20), [11]);
        assert_eq!(&*beats.ages(Nanos(20))[0].name, "first");
    }
}
