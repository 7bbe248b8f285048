//! Deadlines that all lie the same time ahead: a queue, where others would need a timer per session.

use std::{collections::VecDeque, time::Duration};

use super::links::LinkId;
use crate::market::Nanos;

/// Sessions in the order in which their time comes. Names of sessions that are gone stay until then.
#[derive(Debug)]
pub(super) struct Schedule {
    ahead: Duration,
    queue: VecDeque<(Nanos, LinkId)>,
}

impl Schedule {
    /// An empty one whose deadlines lie `ahead_ms` ahead.
    pub(super) fn new(ahead_ms: u64) -> Self {
        Self { ahead: Duration::from_millis(ahead_ms), queue: VecDeque::new() }
    }

    /// Adds a session.
    pub(super) fn add(&mut self, id: LinkId, now: Nanos) {
        self.queue.push_back((now.plus(self.ahead), id));
    }

    /// The next one whose time has come.
    pub(super) fn pop(&mut self, now: Nanos) -> Option<LinkId> {
        let (at, id) = *self.queue.front()?;
        if at > now {
            return None;
        }
        self.queue.pop_front();
        Some(id)
    }

    /// When the next one's time comes.
    pub(super) fn next(&self) -> Option<Nanos> {
        self.queue.front().map(|&(at, _)| at)
    }
}
