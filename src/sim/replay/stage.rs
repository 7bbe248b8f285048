//! When the feed begins, where each connection is in it, and how far it has come: the same for every dialect.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Settings, Speed};
use crate::market::Nanos;

/// Index of a stream among those recorded.
pub(super) type Topic = u32;

/// The places of a recording in time, and the state that its connections share.
#[derive(Debug)]
pub(super) struct Stage {
    speed: Speed,
    settle: Duration,
    pub(super) hold: Duration,
    /// The time of each entry.
    times: Vec<Nanos>,
    /// The entries of each topic, ascending.
    entries: Vec<Vec<usize>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    begun: Option<Instant>,
    last_asked: Option<Instant>,
    asked: BTreeSet<Topic>,
    /// Per topic, the entry before which everything has been sent to somebody.
    reached: Vec<usize>,
}

/// Where one connection is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    /// The next entry.
    pub(super) index: usize,
    /// The instant at which `base_time` is played.
    base: Instant,
    base_time: Nanos,
}

/// What a connection has to wait for before its next entry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    /// Nothing.
    Now,
    /// The entry's time.
    Until(Instant),
    /// Something that others do: look again soon.
    Soon,
    /// The end: there is no next entry.
    Ever,
}

impl Wait {
    /// Waits.
    pub(super) async fn elapse(self) {
        match self {
            Self::Now => {}
            Self::Until(at) => tokio::time::sleep_until(at).await,
            Self::Soon => tokio::time::sleep(LOOK_AGAIN).await,
            Self::Ever => std::future::pending().await,
        }
    }
}

/// How often a connection that waits for others looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

impl Stage {
    /// A stage for entries at `times`, of which each belongs to the topic at its place in `topics`, if to any. There are
    /// `count` topics that can be asked for, also those that nothing was recorded of.
    pub(super) fn new(settings: &Settings, times: Vec<Nanos>, topics: &[Option<Topic>], count: usize) -> Self {
        let mut entries = vec![Vec::new(); count];
        for (index, topic) in topics.iter().enumerate() {
            if let Some(topic) = topic {
                entries[*topic as usize].push(index);
            }
        }
        let state = Mutex::new(State { reached: vec![0; count], ..State::default() });
        Self { speed: settings.speed, settle: settings.settle, hold: settings.hold, times, entries, state }
    }

    /// A connection asks for `topics`.
    pub(super) fn ask(&self, topics: &BTreeSet<Topic>) {
        let mut state = self.state();
        state.asked.extend(topics);
        if !topics.is_empty() {
            state.last_asked = Some(Instant::now());
        }
    }

    /// Whether the feed has begun; begins it if it is due.
    pub(super) fn has_begun(&self) -> bool {
        let mut state = self.state();
        let is_due = state.last_asked.is_some_and(|last| last.elapsed() >= self.settle);
        if state.begun.is_none() && is_due {
            state.begun = Some(Instant::now());
        }
        state.begun.is_some()
    }

    /// Where a connection with `topics` begins, once the feed has; `was_early` if it asked before that.
    pub(super) fn place(&self, topics: &BTreeSet<Topic>, was_early: bool) -> Option<Cursor> {
        let state = self.state();
        let begun = state.begun?;
        let first = self.times.first().copied().unwrap_or_default();
        let reached = topics.iter().map(|&topic| state.reached[topic as usize]).max().unwrap_or(0);
        if was_early {
            return Some(Cursor { index: 0, base: begun, base_time: first });
        }
        if reached == 0 {
            return Some(Cursor { index: 0, base: Instant::now(), base_time: first });
        }
        let base_time = self.times.get(reached).or(self.times.last()).copied().unwrap_or_default();
        Some(Cursor { index: reached, base: Instant::now(), base_time })
    }

    /// What to wait for before the cursor's entry.
    pub(super) fn wait(&self, cursor: &Cursor) -> Wait {
        let Some(&time) = self.times.get(cursor.index) else { return Wait::Ever };
        match self.speed {
            Speed::Max => Wait::Now,
            Speed::Times(times) => {
                let at = cursor.base + time.since(cursor.base_time).div_f64(times);
                if at <= Instant::now() { Wait::Now } else { Wait::Until(at) }
            }
        }
    }

    /// Whether clients set the pace.
    pub(super) fn is_unpaced(&self) -> bool {
        self.speed == Speed::Max
    }

    /// A connection with `topics` has been sent everything before entry `index`.
    pub(super) fn reach(&self, topics: &BTreeSet<Topic>, index: usize) {
        let mut state = self.state();
        for &topic in topics {
            let reached = &mut state.reached[topic as usize];
            *reached = index.max(*reached);
        }
    }

    /// The entry before which everything of `topic` has been sent to somebody.
    pub(super) fn reached(&self, topic: Topic) -> usize {
        self.state().reached[topic as usize]
    }

    /// Frames sent and frames there are, of the topics asked for.
    pub(super) fn progress(&self) -> (u64, u64) {
        let state = self.state();
        let mut progress = (0, 0);
        for &topic in &state.asked {
            let entries = &self.entries[topic as usize];
            progress.0 += entries.partition_point(|&entry| entry < state.reached[topic as usize]) as u64;
            progress.1 += entries.len() as u64;
        }
        progress
    }

    /// Of the topics asked for: the times of the first and the last entry, and between them that of the newest one sent.
    pub(super) fn position(&self) -> Option<(Nanos, Nanos, Nanos)> {
        let state = self.state();
        let reached = state.asked.iter().map(|&topic| state.reached[topic as usize]).max()?;
        let last = *self.times.last()?;
        let now = reached.checked_sub(1).and_then(|newest| self.times.get(newest)).unwrap_or(&self.times[0]);
        Some((self.times[0], (*now).min(last), last))
    }

    /// The entries of `topic`, ascending.
    pub(super) fn entries(&self, topic: Topic) -> &[usize] {
        &self.entries[topic as usize]
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
