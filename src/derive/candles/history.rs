//! Closed candles of one series, newest last, with places for those that are not known.

use std::collections::VecDeque;

use crate::market::{Kline, Nanos};

/// A run of closed candles of a fixed length, bounded: the oldest are forgotten.
#[derive(Debug)]
pub(super) struct History {
    slots: VecDeque<Option<Kline>>,
    /// When the first slot's candle opens.
    start: Nanos,
    length: i64,
    capacity: usize,
}

impl History {
    /// An empty one for candles of `length` nanoseconds.
    pub(super) fn new(length: i64, capacity: usize) -> Self {
        Self { slots: VecDeque::new(), start: Nanos(0), length, capacity }
    }

    /// Where the first known place is.
    pub(super) fn start(&self) -> Option<Nanos> {
        (!self.slots.is_empty()).then_some(self.start)
    }

    /// First instant behind the last place.
    pub(super) fn end(&self) -> Option<Nanos> {
        self.start().map(|start| Nanos(start.0 + self.slots.len() as i64 * self.length))
    }

    /// The candle that opens at `open`, if it is known.
    pub(super) fn get(&self, open: Nanos) -> Option<&Kline> {
        self.slots.get(self.place(open)?)?.as_ref()
    }

    /// Those that open at `from` or later, places that are not known among them.
    pub(super) fn since(&self, from: Nanos) -> impl Iterator<Item = Option<&Kline>> {
        let skip = usize::try_from((from.0 - self.start.0).div_euclid(self.length)).unwrap_or(0);
        self.slots.range(skip.min(self.slots.len())..).map(Option::as_ref)
    }

    /// Makes the place of `open` the last one if it is behind all others; what lies between is not known.
    pub(super) fn extend_to(&mut self, open: Nanos) {
        let Some(end) = self.end() else {
            self.start = open;
            self.slots.push_back(None);
            return;
        };
        if open < end {
            return;
        }
        let missing = (open.0 - end.0) / self.length;
        if missing >= self.capacity as i64 {
            self.slots.clear();
            self.extend_to(open);
            return;
        }
        for _ in 0..=missing {
            self.slots.push_back(None);
        }
        while self.slots.len() > self.capacity {
            self.slots.pop_front();
            self.start.0 += self.length;
        }
    }

    /// Puts a candle in its place. Returns whether it was not known before; one older than what is kept is not taken.
    pub(super) fn put(&mut self, kline: &Kline) -> bool {
        self.extend_to(kline.open_time);
        while kline.open_time < self.start {
            if self.slots.len() >= self.capacity {
                return false;
            }
            self.slots.push_front(None);
            self.start.0 -= self.length;
        }
        let Some(place) = self.place(kline.open_time) else { return false };
        let slot = &mut self.slots[place];
        let is_new = slot.is_none();
        if is_new {
            *slot = Some(*kline);
        }
        is_new
    }

    fn place(&self, open: Nanos) -> Option<usize> {
        let distance = open.0 - self.start.0;
        (distance >= 0 && distance % self.length == 0).then(|| (distance / self.length) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{MINUTE, Price, Series};

    fn minute(number: i64) -> Kline {
        Kline::empty(Series::MINUTE, Nanos(number * MINUTE.0), Price(number))
    }

    fn opens(history: &History, from: i64) -> Vec<Option<i64>> {
        let known = history.since(Nanos(from * MINUTE.0));
        known.map(|kline| kline.map(|kline| kline.open_time.0 / MINUTE.0)).collect()
    }

    #[test]
    fn holes_are_kept_open_and_filled() {
        let mut history = History::new(MINUTE.0, 5);
        assert!(history.put(&minute(10)));
        assert!(history.put(&minute(13)));
        assert_eq!(opens(&history, 0), [Some(10), None, None, Some(13)]);
        assert!(history.put(&minute(11)), "into a hole");
        assert!(!history.put(&minute(11)), "known already");
        assert!(history.put(&minute(9)), "in front");
        assert!(!history.put(&minute(8)), "there is no room for it");
        assert_eq!(opens(&history, 0), [Some(9), Some(10), Some(11), None, Some(13)]);
        assert!(history.put(&minute(15)));
        assert_eq!(opens(&history, 13), [Some(13), None, Some(15)]);
        assert_eq!((history.start(), history.end()), (Some(Nanos(11 * MINUTE.0)), Some(Nanos(16 * MINUTE.0))));
        assert!(history.get(Nanos(10 * MINUTE.0)).is_none());
        assert!(history.put(&minute(1_000)), "after a long time everything begins anew");
        assert_eq!(opens(&history, 0), [Some(1_000)]);
    }
}
