//! A bounded list of the newest trades of one kind.

use std::collections::VecDeque;

use crate::market::Numbered;

/// The newest ones by rising id, at most `capacity`; the memory grows with what is there.
#[derive(Debug)]
pub(super) struct Recent<T> {
    list: VecDeque<T>,
    capacity: usize,
}

impl<T: Numbered + Copy + PartialEq> Recent<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { list: VecDeque::new(), capacity }
    }

    /// Adds the newest. An id that does not rise is a new numbering (a relisting): the old ones are forgotten; unless it is
    /// one that is here already, since what is fetched may be ahead of the live stream.
    pub(super) fn push(&mut self, item: T) {
        if self.list.back().is_some_and(|last| item.id() <= last.id()) {
            if self.list.binary_search_by_key(&item.id(), Numbered::id).is_ok_and(|place| self.list[place] == item) {
                return;
            }
            self.list.clear();
        }
        if self.list.len() == self.capacity {
            self.list.pop_front();
        }
        self.list.push_back(item);
    }

    /// Adds one from before the live stream in its place, once, if it is newer than what a full list has given up; returns
    /// whether it was added.
    pub(super) fn insert_past(&mut self, item: T) -> bool {
        let place = self.list.partition_point(|there| there.id() < item.id());
        if self.list.get(place).is_some_and(|there| there.id() == item.id()) {
            return false;
        }
        if self.list.len() == self.capacity {
            // The oldest of all would be the next to go.
            if place == 0 {
                return false;
            }
            self.list.pop_front();
            self.list.insert(place - 1, item);
            return true;
        }
        self.list.insert(place, item);
        true
    }

    /// Whether all that came after `id` is here. Without an id: all that there ever was.
    pub(super) fn reaches(&self, id: Option<i64>) -> bool {
        let has_given_up = self.list.len() == self.capacity;
        let oldest = self.list.front().map(Numbered::id);
        !has_given_up || id.is_some_and(|id| oldest.is_some_and(|oldest| oldest <= id.saturating_add(1)))
    }

    /// The items after `id`, by rising id.
    pub(super) fn after(&self, id: i64) -> impl Iterator<Item = &T> {
        let first = self.list.partition_point(|item| item.id() <= id);
        self.list.range(first..)
    }

    /// Forgets all: after a loss, a short list is honest and one with a hole is not.
    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    pub(super) fn oldest(&self) -> Option<&T> {
        self.list.front()
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
