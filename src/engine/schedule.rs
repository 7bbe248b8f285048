//! When which symbol's next tick is due.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{
    market::{InstrumentId, Nanos},
    topic::Cadence,
};

/// Ticks to come, each symbol and cadence at most once: bounded by their number.
#[derive(Debug)]
pub(super) struct Schedule {
    heap: BinaryHeap<Reverse<(Nanos, u32, usize)>>,
    queued: Vec<[bool; Cadence::ALL.len()]>,
}

impl Schedule {
    pub(super) fn new(instruments: usize) -> Self {
        Self {
            heap: BinaryHeap::with_capacity(Cadence::ALL.len() * instruments),
            queued: vec![Default::default(); instruments],
        }
    }

    /// Puts a tick down for `due`, unless one is down already.
    pub(super) fn put(&mut self, instrument: InstrumentId, cadence: Cadence, due: Nanos) {
        let queued = &mut self.queued[instrument.index()][cadence.index()];
        if !*queued {
            *queued = true;
            self.heap.push(Reverse((due, instrument.0, cadence.index())));
        }
    }

    /// Takes a tick that is due by `now`, the earliest first.
    pub(super) fn take(&mut self, now: Nanos) -> Option<(InstrumentId, Cadence)> {
        let &Reverse((due, instrument, cadence)) = self.heap.peek()?;
        if due > now {
            return None;
        }
        self.heap.pop();
        self.queued[instrument as usize][cadence] = false;
        Some((InstrumentId(instrument), Cadence::ALL[cadence]))
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse((due, ..))| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_come_once_and_in_order() {
        let mut schedule = Schedule::new(2);
        let (a, b) = (InstrumentId(0), InstrumentId(1));
        schedule.put(a, Cadence::Slow, Nanos(30));
        schedule.put(b, Cadence::Fast, Nanos(10));
        schedule.put(b, Cadence::Fast, Nanos(5));
        assert_eq!(schedule.next_due(), Some(Nanos(10)), "the first word stands");
        assert_eq!(schedule.take(Nanos(9)), None);
        assert_eq!(schedule.take(Nanos(40)), Some((b, Cadence::Fast)));
        assert_eq!(schedule.take(Nanos(40)), Some((a, Cadence::Slow)));
        assert_eq!(schedule.take(Nanos(40)), None);
        schedule.put(b, Cadence::Fast, Nanos(50));
        assert_eq!(schedule.next_due(), Some(Nanos(50)));
    }
}
