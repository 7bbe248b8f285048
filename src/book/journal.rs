//! Which prices of a side were touched by which update, and what was set there: what makes "changed since id" cheap.

use std::collections::VecDeque;

use crate::market::Level;

/// The last touches of one side in order, removals too: these are the tombstones of levels that are gone.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    /// As they came: the last one of a price says what rests there now.
    touches: VecDeque<Level>,
    /// Which of them belong to which update.
    runs: VecDeque<Run>,
    touches_max: usize,
    /// Everything touched after this id is in `touches`.
    reaches_back_to: i64,
    /// How many touches were forgotten since the restart.
    forgotten: u64,
    /// Where the first run begins.
    begin: u64,
}

/// The touches of one update.
#[derive(Clone, Copy, Debug)]
struct Run {
    id: i64,
    /// Where it ends, counted from the first touch since the restart.
    end: u64,
}

impl Journal {
    pub(super) const fn new(touches_max: usize) -> Self {
        Self {
            touches: VecDeque::new(),
            runs: VecDeque::new(),
            touches_max,
            reaches_back_to: i64::MIN,
            forgotten: 0,
            begin: 0,
        }
    }

    /// Records what update `id`, not below any before it, has set.
    pub(super) fn extend(&mut self, id: i64, levels: &[Level]) {
        let surplus = levels.len().saturating_sub(self.touches_max);
        if surplus > 0 {
            self.restart(id);
        }
        let levels = &levels[surplus..];
        if levels.is_empty() {
            return;
        }
        let room = self.touches_max - levels.len();
        if self.touches.len() > room {
            self.forget(self.touches.len() - room);
        }
        self.touches.extend(levels);
        let end = self.forgotten + self.touches.len() as u64;
        match self.runs.back_mut() {
            Some(run) if run.id == id => run.end = end,
            _ => self.runs.push_back(Run { id, end }),
        }
    }

    /// Forgets everything: nobody can ask for changes since an id before `id`.
    pub(super) fn restart(&mut self, id: i64) {
        self.touches.clear();
        self.runs.clear();
        (self.forgotten, self.begin) = (0, 0);
        self.reaches_back_to = id;
    }

    /// Whether all touches after update `id` are still known.
    pub(super) const fn reaches(&self, id: i64) -> bool {
        id >= self.reaches_back_to
    }

    /// Where everything begins that was touched after update `id`.
    pub(super) fn after(&self, id: i64) -> usize {
        let told = self.runs.partition_point(|run| run.id <= id);
        let start = told.checked_sub(1).map_or(self.begin, |last| self.runs[last].end).max(self.forgotten);
        (start - self.forgotten) as usize
    }

    /// The touches from `start` on, oldest first, each price as often as it was touched.
    pub(super) fn from(&self, start: usize) -> impl Iterator<Item = &Level> {
        self.touches.range(start..)
    }

    /// One of them.
    #[inline]
    pub(super) fn at(&self, index: usize) -> Level {
        self.touches[index]
    }

    fn forget(&mut self, count: usize) {
        self.touches.drain(..count);
        self.forgotten += count as u64;
        while let Some(run) = self.runs.front().filter(|_| self.begin < self.forgotten) {
            self.reaches_back_to = run.id;
            if run.end > self.forgotten {
                return;
            }
            self.begin = run.end;
            self.runs.pop_front();
        }
    }
}
