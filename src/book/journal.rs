//! Which prices of a side were touched by which update: what makes "changed since id" cheap.

use std::collections::VecDeque;

use crate::market::Price;

/// The last touches of one side in order, removals too: these are the tombstones of levels that are gone.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    touches: VecDeque<Touch>,
    touches_max: usize,
    /// Everything touched after this id is in `touches`.
    reaches_back_to: i64,
}

#[derive(Clone, Copy, Debug)]
struct Touch {
    id: i64,
    price: Price,
}

impl Journal {
    pub(super) const fn new(touches_max: usize) -> Self {
        Self { touches: VecDeque::new(), touches_max, reaches_back_to: i64::MIN }
    }

    /// Records that update `id`, not below any before it, touched `price`.
    pub(super) fn push(&mut self, id: i64, price: Price) {
        if self.touches.len() == self.touches_max {
            self.reaches_back_to = self.touches.pop_front().map_or(id, |forgotten| forgotten.id);
        }
        if self.touches_max > 0 {
            self.touches.push_back(Touch { id, price });
        }
    }

    /// Forgets everything: nobody can ask for changes since an id before `id`.
    pub(super) fn restart(&mut self, id: i64) {
        self.touches.clear();
        self.reaches_back_to = id;
    }

    /// Whether all touches after update `id` are still known.
    pub(super) const fn reaches(&self, id: i64) -> bool {
        id >= self.reaches_back_to
    }

    /// Every price touched after update `id`, oldest touch first, as often as it was touched.
    pub(super) fn since(&self, id: i64) -> impl Iterator<Item = Price> + '_ {
        self.touches.range(self.touches.partition_point(|touch| touch.id <= id)..).map(|touch| touch.price)
    }
}
