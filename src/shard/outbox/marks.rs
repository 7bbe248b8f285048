//! Which of the frames that wait need not.

use std::collections::HashSet;

use super::diff::{self, Diff};
use crate::shard::arena::{FrameKey, Kind, Part};

/// Most bytes of the frames that become one, and so of that one. Some clients refuse a longer message unless told not to
/// (Python's `websockets`: 1 MiB).
const MERGED_BYTES_MAX: usize = 1 << 20;

/// How much merging may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merging {
    /// Nothing.
    Not,
    /// On average, reading each byte of a diff at most three times, wherever it ends up.
    Cheap,
    /// Up to nine times: the alternative is to end the session.
    Dear,
}

impl Merging {
    /// Whether it pays to read `old` bytes of diffs again for the sake of `fresh` ones that came since.
    fn pays(self, old: usize, fresh: usize) -> bool {
        match self {
            Self::Not => false,
            Self::Cheap => fresh >= old / 2,
            Self::Dear => fresh >= old / 8,
        }
    }
}

/// The frames in an outbox's data that are states or diffs, in order.
#[derive(Debug, Default)]
pub(super) struct Marks {
    list: Vec<Mark>,
    /// Some came since stale ones were last looked for.
    has_new_states: bool,
    /// Some came since diffs were last merged.
    has_fresh_diffs: bool,
    /// States that were dropped.
    pub(super) conflated: u64,
    /// Diffs that became part of a later one.
    pub(super) merged: u64,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    at: usize,
    length: u32,
    key: FrameKey,
    kind: Kind,
    /// It came since diffs were last merged.
    is_fresh: bool,
}

/// What becomes of a marked frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Keep,
    Drop,
    /// This range of the merged frames takes its place.
    Become {
        from: usize,
        length: usize,
    },
}

/// Diffs that will be one: their ids follow each other.
struct Chain {
    key: FrameKey,
    next_id: i64,
    bytes: usize,
    /// Which of the diffs, in order.
    links: Vec<usize>,
}

impl Marks {
    /// Takes over the marks of `part`, which will begin at `base`.
    pub(super) fn push(&mut self, base: usize, part: Part<'_>) {
        for (at, length, key, kind) in part.marks() {
            self.has_new_states |= kind == Kind::State;
            self.has_fresh_diffs |= kind == Kind::Diff;
            self.list.push(Mark { at: base + at, length: length as u32, key, kind, is_fresh: true });
        }
    }

    /// The first `count` bytes of the data have gone.
    pub(super) fn moved_up(&mut self, count: usize) {
        self.list.retain_mut(|mark| match mark.at.checked_sub(count) {
            Some(at) => {
                mark.at = at;
                true
            }
            None => false,
        });
    }

    /// Takes out of `data`, from `unsent` on, the states of which a newer one waits, and makes one of the diffs that can be
    /// if that pays.
    pub(super) fn tidy(&mut self, data: &mut Vec<u8>, unsent: usize, merging: Merging) {
        if !self.has_new_states && (!self.has_fresh_diffs || merging == Merging::Not) {
            return;
        }
        self.list.retain(|mark| mark.at >= unsent);
        let mut fates = vec![Fate::Keep; self.list.len()];
        if self.has_new_states {
            self.has_new_states = false;
            self.conflated += self.drop_stale(&mut fates);
        }
        let mut made = Vec::new();
        if self.has_fresh_diffs && merging.pays(self.diff_bytes(false), self.diff_bytes(true)) {
            self.has_fresh_diffs = false;
            self.merged += self.merge(data, &mut made, &mut fates);
        }
        self.compact(data, unsent, &made, &fates);
    }

    fn diff_bytes(&self, is_fresh: bool) -> usize {
        let diffs = self.list.iter().filter(|mark| mark.kind == Kind::Diff && mark.is_fresh == is_fresh);
        diffs.map(|mark| mark.length as usize).sum()
    }

    fn drop_stale(&self, fates: &mut [Fate]) -> u64 {
        let mut newer = HashSet::new();
        let mut dropped = 0;
        for (mark, fate) in self.list.iter().zip(fates).rev().filter(|(mark, _)| mark.kind == Kind::State) {
            if !newer.insert(mark.key) {
                *fate = Fate::Drop;
                dropped += 1;
            }
        }
        dropped
    }

    /// Appends merged diffs to `made` and says which of the frames they take the place of.
    fn merge(&mut self, data: &[u8], made: &mut Vec<u8>, fates: &mut [Fate]) -> u64 {
        let mut diffs = Vec::new();
        for (index, mark) in self.list.iter_mut().enumerate().filter(|(_, mark)| mark.kind == Kind::Diff) {
            mark.is_fresh = false;
            let frame = &data[mark.at..mark.at + mark.length as usize];
            diffs.extend(Diff::read(frame).map(|diff| (index, diff)));
        }
        let mut merged = 0;
        let mut levels = diff::Levels::default();
        for chain in self.chains(&diffs) {
            let from = made.len();
            if chain.links.len() < 2 || !levels.merge(chain.links.iter().map(|&link| diffs[link].1), made) {
                continue;
            }
            let (&newest, older) = chain.links.split_last().expect("a chain has links");
            fates[diffs[newest].0] = Fate::Become { from, length: made.len() - from };
            older.iter().for_each(|&link| fates[diffs[link].0] = Fate::Drop);
            merged += older.len() as u64;
        }
        merged
    }

    /// Which of `diffs` follow each other. One feed under two names is there twice in a session whose frames name no
    /// stream: that makes two chains, each without a hole.
    fn chains(&self, diffs: &[(usize, Diff<'_>)]) -> Vec<Chain> {
        let key = |link: usize| self.list[diffs[link].0].key;
        let mut order: Vec<usize> = (0..diffs.len()).collect();
        order.sort_by_key(|&link| (key(link).0, diffs[link].1.first_id));
        let mut chains: Vec<Chain> = Vec::new();
        // Where those begin that may still go on: of this topic, and not behind the ids by now.
        let mut open = 0;
        for link in order {
            let (key, diff) = (key(link), diffs[link].1);
            let bytes = self.list[diffs[link].0].length as usize;
            while chains.get(open).is_some_and(|chain| chain.key.0 != key.0 || chain.next_id < diff.first_id) {
                open += 1;
            }
            let fitting = chains[open..].iter_mut().find(|chain| {
                let is_next =
                    chain.key == key && chain.next_id == diff.first_id && chain.bytes + bytes <= MERGED_BYTES_MAX;
                is_next && chain.links.last().is_some_and(|&last| last < link)
            });
            let next_id = diff.last_id.saturating_add(1);
            match fitting {
                Some(chain) => {
                    chain.next_id = next_id;
                    chain.bytes += bytes;
                    chain.links.push(link);
                }
                None => chains.push(Chain { key, next_id, bytes, links: vec![link] }),
            }
        }
        chains
    }

    /// Moves up what stays.
    fn compact(&mut self, data: &mut Vec<u8>, unsent: usize, made: &[u8], fates: &[Fate]) {
        let (mut from, mut to) = (unsent, unsent);
        let mut fates = fates.iter();
        self.list.retain_mut(|mark| {
            let fate = fates.next().expect("every mark has a fate");
            let at = to + (mark.at - from);
            if *fate != Fate::Keep {
                // What lies before it moves up to what is kept already.
                data.copy_within(from..mark.at, to);
                from = mark.at + mark.length as usize;
                to = at;
            }
            mark.at = at;
            if let Fate::Become { from: begin, length } = *fate {
                // It is shorter than the frames that it is made of, which all lay before its end.
                debug_assert!(to + length <= from, "a merged diff is longer than its parts");
                data[to..to + length].copy_from_slice(&made[begin..begin + length]);
                to += length;
                mark.length = length as u32;
            }
            *fate != Fate::Drop
        });
        if from > to {
            data.copy_within(from.., to);
            data.truncate(data.len() - (from - to));
        }
    }
}
