//! What waits until a book can be joined.

use std::collections::VecDeque;

use super::{Diff, Snapshot};
use crate::market::{Level, UpdateIds};

/// Diffs in the order of their first ids, with a limit. Memory is given back when they are gone: joining is rare.
#[derive(Debug)]
pub(super) struct Held {
    diffs: VecDeque<HeldDiff>,
    diffs_max: usize,
    levels: usize,
}

#[derive(Debug)]
pub(super) struct HeldDiff {
    pub(super) ids: UpdateIds,
    pub(super) bids: Box<[Level]>,
    pub(super) asks: Box<[Level]>,
}

/// A snapshot that waits for the diff with which it can be published.
#[derive(Debug)]
pub(super) struct HeldSnapshot {
    pub(super) last_id: i64,
    pub(super) bids: Box<[Level]>,
    pub(super) asks: Box<[Level]>,
    pub(super) limit: Option<u32>,
}

impl HeldSnapshot {
    pub(super) fn of(snapshot: Snapshot<'_>) -> Self {
        let Snapshot { last_id, bids, asks, limit } = snapshot;
        Self { last_id, bids: bids.into(), asks: asks.into(), limit }
    }
}

impl Held {
    pub(super) const fn new(diffs_max: usize) -> Self {
        Self { diffs: VecDeque::new(), diffs_max, levels: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.diffs.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.diffs = VecDeque::new();
        self.levels = 0;
    }

    /// Keeps a copy of `diff`; `false`: there is no room for it.
    pub(super) fn insert(&mut self, diff: Diff<'_>) -> bool {
        // Two connections deliver nearly in order, so the place is at or near the end.
        let after = self.diffs.iter().rposition(|held| held.ids.first <= diff.ids.first);
        if after.is_some_and(|index| self.diffs[index].ids.last >= diff.ids.last) {
            return true;
        }
        let levels = diff.bids.len() + diff.asks.len();
        if self.diffs.len() >= self.diffs_max || self.levels + levels > LEVELS_MAX {
            return false;
        }
        self.put(after.map_or(0, |index| index + 1), diff);
        true
    }

    /// Keeps a copy of the newest diff, room or not, because all of them will be taken out at once.
    pub(super) fn insert_last(&mut self, diff: Diff<'_>) {
        self.put(self.diffs.len(), diff);
    }

    /// Keeps a copy of `diff` alone.
    pub(super) fn restart_with(&mut self, diff: Diff<'_>) {
        self.clear();
        self.put(0, diff);
    }

    /// The id that a book at `id` gets to with these diffs; `None` if something is missing on the way.
    pub(super) fn end_of_chain_from(&self, id: i64) -> Option<i64> {
        self.diffs
            .iter()
            .try_fold(id, |id, diff| (diff.ids.first <= id.saturating_add(1)).then_some(id.max(diff.ids.last)))
    }

    /// Takes out the first diff that a book at `id` can go on with, dropping those it has already.
    pub(super) fn take_continuing(&mut self, id: i64) -> Option<HeldDiff> {
        while self.diffs.front().is_some_and(|first| first.ids.first <= id.saturating_add(1)) {
            let diff = self.diffs.pop_front()?;
            self.levels -= diff.bids.len() + diff.asks.len();
            if diff.ids.last > id {
                return Some(diff);
            }
        }
        None
    }

    fn put(&mut self, index: usize, diff: Diff<'_>) {
        let Diff { ids, bids, asks } = diff;
        self.levels += bids.len() + asks.len();
        self.diffs.insert(index, HeldDiff { ids, bids: bids.into(), asks: asks.into() });
    }
}

/// Levels in all diffs held of one book: 16 MiB. Binance's diffs have some dozens each, so their number counts first.
const LEVELS_MAX: usize = 1 << 20;
