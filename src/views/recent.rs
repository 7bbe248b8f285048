//! A bounded list of the newest trades of one kind.

use std::collections::VecDeque;

use crate::market::{AggTrade, Trade};

/// Something with an id that rises.
pub(super) trait Numbered: Copy {
    /// The id.
    fn id(&self) -> i64;
}

impl Numbered for Trade {
    fn id(&self) -> i64 {
        self.id
    }
}

impl Numbered for AggTrade {
    fn id(&self) -> i64 {
        self.id
    }
}

/// The newest ones by rising id, at most `capacity`; the memory grows with what is there.
#[derive(Debug)]
pub(super) struct Recent<T> {
    list: VecDeque<T>,
    capacity: usize,
}

impl<T: Numbered> Recent<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { list: VecDeque::new(), capacity }
    }

    /// Adds the newest. An id that does not rise is a new numbering (a relisting): the old ones are forgotten.
    pub(super) fn push(&mut self, item: T) {
        if self.list.back().is_some_and(|last| item.id() <= last.id()) {
            self.list.clear();
        }
        if self.list.len() == self.capacity {
            self.list.pop_front();
        }
        self.list.push_back(item);
    }

    /// Forgets all: after a loss, a short list is honest and one with a hole is not.
    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    pub(super) fn last(&self) -> Option<&T> {
        self.list.back()
    }

    pub(super) fn newest(&self, limit: usize) -> Vec<T> {
        self.list.range(self.list.len().saturating_sub(limit)..).copied().collect()
    }

    pub(super) fn newest_where(&self, limit: usize, is_in: impl Fn(&T) -> bool) -> Vec<T> {
        let mut found: Vec<_> = self.list.iter().rev().filter(|item| is_in(item)).take(limit).copied().collect();
        found.reverse();
        found
    }

    pub(super) fn starting_at(&self, id: i64, limit: usize) -> Vec<T> {
        self.starting_at_where(id, limit, |_| true)
    }

    pub(super) fn starting_at_where(&self, id: i64, limit: usize, is_in: impl Fn(&T) -> bool) -> Vec<T> {
        let first = self.list.partition_point(|item| item.id() < id);
        self.list.range(first..).filter(|item| is_in(item)).take(limit).copied().collect()
    }
}
