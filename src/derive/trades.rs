//! Trades in order, each once: duplicates are dropped, a hole is held open while it is refilled, then given up.

use std::{collections::BTreeMap, time::Duration};

use crate::market::{AggTrade, Nanos, Trade};

/// Something a venue numbers by one per symbol.
pub trait Identified: Copy {
    /// Its number.
    fn id(&self) -> i64;
    /// When it happened.
    fn time(&self) -> Nanos;
}

impl Identified for Trade {
    fn id(&self) -> i64 {
        self.id
    }

    fn time(&self) -> Nanos {
        self.time
    }
}

impl Identified for AggTrade {
    fn id(&self) -> i64 {
        self.id
    }

    fn time(&self) -> Nanos {
        self.time
    }
}

/// What became of an offered trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is next: publish it (and whatever [`TradeGate::ready`] gives after it).
    Next,
    /// It was there before.
    Duplicate,
    /// Trades before it are missing: it is held. The hole is news if `ask` is set: first missing id and how many.
    Held {
        /// What to fetch.
        ask: Option<(i64, u32)>,
    },
    /// Trades before it are missing and will not be waited for: publish it; so many were lost.
    Skipped {
        /// How many are missing.
        lost: u64,
    },
}

/// The sequence gate of one symbol's trades.
#[derive(Debug)]
pub struct TradeGate<T> {
    refill: Option<Duration>,
    last: Option<(i64, Nanos)>,
    held: BTreeMap<i64, T>,
    deadline: Nanos,
    asked_from: i64,
}

impl<T: Identified> TradeGate<T> {
    /// A gate that holds trades for `refill` while a hole is being refilled; `None`: it never waits.
    pub fn new(refill: Option<Duration>) -> Self {
        Self { refill, last: None, held: BTreeMap::new(), deadline: Nanos::default(), asked_from: i64::MIN }
    }

    /// From now on trades behind a hole wait so long for what is missing. Those that wait already keep their time.
    pub fn wait_for(&mut self, refill: Option<Duration>) {
        self.refill = refill;
    }

    /// The id of the newest trade let through.
    pub fn last_id(&self) -> Option<i64> {
        self.last.map(|(id, _)| id)
    }

    /// Takes a trade as it came from the venue, live or refilled.
    pub fn offer(&mut self, trade: T, now: Nanos) -> Offer {
        let Some((last, last_time)) = self.last else {
            self.last = Some((trade.id(), trade.time()));
            return Offer::Next;
        };
        if trade.id() <= last {
            // Ids of a relisted symbol start over. A duplicate repeats an old time, a new trade has a new one.
            if trade.time().since(last_time) > RESTART_AFTER {
                self.restart(trade);
                return Offer::Next;
            }
            return Offer::Duplicate;
        }
        if trade.id() == last + 1 {
            self.last = Some((trade.id(), trade.time()));
            return Offer::Next;
        }
        let missing = (trade.id() - last - 1) as u64;
        // Behind those that wait already, order asks for waiting, too.
        let waits = self.refill.is_some() || !self.held.is_empty();
        if !waits || missing > HOLE_MAX || self.held.len() >= HELD_MAX {
            return self.skip_to(trade, missing);
        }
        if self.held.insert(trade.id(), trade).is_some() {
            return Offer::Duplicate;
        }
        if self.held.len() == 1 {
            self.deadline = now.plus(self.refill.unwrap_or_default());
            self.asked_from = i64::MIN;
        }
        Offer::Held { ask: self.ask() }
    }

    /// The next held trade whose turn has come. Call until `None` after each [`Offer::Next`] and refill.
    pub fn ready(&mut self) -> Option<T> {
        let (last, _) = self.last?;
        while let Some(entry) = self.held.first_entry() {
            match *entry.key() - last {
                ..=0 => drop(entry.remove()),
                1 => {
                    let trade = entry.remove();
                    self.last = Some((trade.id(), trade.time()));
                    return Some(trade);
                }
                _ => return None,
            }
        }
        None
    }

    /// What is still missing after a refill was offered, to be asked for next; waiting starts anew with each progress.
    pub fn after_refill(&mut self, now: Nanos) -> Option<(i64, u32)> {
        if self.held.is_empty() {
            return None;
        }
        let progressed = self.last.is_some_and(|(last, _)| last + 1 > self.asked_from);
        if let Some(wait) = self.refill.filter(|_| progressed) {
            self.deadline = now.plus(wait);
        }
        self.ask()
    }

    /// When to call [`TradeGate::give_up`], if trades are held.
    pub fn deadline(&self) -> Option<Nanos> {
        (!self.held.is_empty()).then_some(self.deadline)
    }

    /// Gives up the hole before the first held trade once its time is over. Returns how many trades are lost; the held
    /// ones are then [`TradeGate::ready`].
    pub fn give_up(&mut self, now: Nanos) -> u64 {
        let (Some((last, time)), Some((&first, _))) = (self.last, self.held.first_key_value()) else { return 0 };
        if now < self.deadline {
            return 0;
        }
        self.last = Some((first - 1, time));
        self.asked_from = i64::MIN;
        // Holes further on get their own chance.
        self.deadline = now.plus(self.refill.unwrap_or_default());
        (first - 1 - last).max(0) as u64
    }

    /// Gives up the hole before the first held trade at once: the venue has said that it does not have what is missing.
    pub fn give_up_now(&mut self, now: Nanos) -> u64 {
        self.deadline = now;
        self.give_up(now)
    }

    /// The first trade that waits behind a hole.
    pub fn first_held(&self) -> Option<i64> {
        self.held.first_key_value().map(|(&id, _)| id)
    }

    /// Starts over: the venue's ids fell.
    pub fn reset(&mut self) {
        self.last = None;
        self.held.clear();
    }

    fn ask(&mut self) -> Option<(i64, u32)> {
        let (last, _) = self.last?;
        let (&first, _) = self.held.first_key_value()?;
        if first <= last + 1 || self.asked_from == last + 1 {
            return None;
        }
        self.asked_from = last + 1;
        Some((last + 1, u32::try_from(first - last - 1).unwrap_or(u32::MAX).min(REQUEST_MAX)))
    }

    fn skip_to(&mut self, trade: T, missing: u64) -> Offer {
        // What was held is given up with the hole: it counts among the missing, and order matters more.
        self.restart(trade);
        Offer::Skipped { lost: missing }
    }

    fn restart(&mut self, trade: T) {
        self.held.clear();
        self.last = Some((trade.id(), trade.time()));
    }
}

/// Larger holes come from long outages: refilling them would spend the weight that books need.
const HOLE_MAX: u64 = 5_000;

/// Most trades held for one symbol.
const HELD_MAX: usize = 10_000;

/// Most trades in one answer of `historicalTrades` (binance.md section 10.2).
const REQUEST_MAX: u32 = 1_000;

/// A trade with an old id, yet so much later than the newest one, is of a new numbering.
const RESTART_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Price, Quantity};

    const WAIT: Duration = Duration::from_secs(3);

    fn trade(id: i64) -> Trade {
        let time = Nanos::from_millis(1_000_000 + id);
        Trade { id, price: Price(1), quantity: Quantity(1), time, buyer_is_maker: false }
    }

    fn ready(gate: &mut TradeGate<Trade>) -> Vec<i64> {
        std::iter::from_fn(|| gate.ready()).map(|trade| trade.id).collect()
    }

    #[test]
    fn a_hole_is_refilled_in_order_without_a_double() {
        let mut gate = TradeGate::new(Some(WAIT));
        let now = Nanos(0);
        assert_eq!(gate.offer(trade(10), now), Offer::Next);
        assert_eq!(gate.offer(trade(14), now), Offer::Held { ask: Some((11, 3)) });
        assert_eq!(gate.offer(trade(15), now), Offer::Held { ask: None });
        assert_eq!(gate.offer(trade(10), now), Offer::Duplicate);
        // The answer overlaps with what is there, as a limit rounded up does.
        let mut published = Vec::new();
        for id in 11..=16 {
            if gate.offer(trade(id), now) == Offer::Next {
                published.push(id);
                published.extend(ready(&mut gate));
            }
        }
        assert_eq!(published, [11, 12, 13, 14, 15, 16]);
        assert_eq!(gate.after_refill(now), None);
        assert_eq!(gate.deadline(), None);
    }

    #[test]
    fn a_hole_that_stays_open_is_given_up_and_counted() {
        let mut gate = TradeGate::new(Some(WAIT));
        gate.offer(trade(1), Nanos(0));
        gate.offer(trade(5), Nanos(0));
        gate.offer(trade(8), Nanos(0));
        assert_eq!(gate.give_up(Nanos(0)), 0, "not yet");
        let late = Nanos(0).plus(WAIT);
        assert_eq!(gate.give_up(late), 3);
        assert_eq!(ready(&mut gate), [5]);
        assert_eq!(gate.after_refill(late), Some((6, 2)), "the second hole is asked for on its own");
        assert_eq!(gate.give_up(late.plus(WAIT)), 2);
        assert_eq!(ready(&mut gate), [8]);
    }

    #[test]
    fn a_partial_refill_is_asked_for_again() {
        let mut gate = TradeGate::new(Some(WAIT));
        gate.offer(trade(1), Nanos(0));
        assert_eq!(gate.offer(trade(2_500), Nanos(0)), Offer::Held { ask: Some((2, 1_000)) });
        for id in 2..=1_001 {
            assert_eq!(gate.offer(trade(id), Nanos(0)), Offer::Next);
        }
        assert_eq!(gate.after_refill(Nanos(1)), Some((1_002, 1_000)));
        assert_eq!(gate.after_refill(Nanos(1)), None, "asked already");
    }

    #[test]
    fn without_refill_or_with_a_large_hole_nothing_waits() {
        let mut gate = TradeGate::new(None);
        gate.offer(trade(1), Nanos(0));
        assert_eq!(gate.offer(trade(4), Nanos(0)), Offer::Skipped { lost: 2 });
        let mut gate = TradeGate::new(Some(WAIT));
        gate.offer(trade(1), Nanos(0));
        assert_eq!(gate.offer(trade(1_000_000), Nanos(0)), Offer::Skipped { lost: 999_998 });
    }

    #[test]
    fn what_waits_keeps_its_order_when_waiting_ends() {
        let mut gate = TradeGate::new(None);
        gate.offer(trade(1), Nanos(0));
        gate.wait_for(Some(WAIT));
        assert_eq!(gate.offer(trade(4), Nanos(0)), Offer::Held { ask: Some((2, 2)) });
        gate.wait_for(None);
        assert_eq!(gate.offer(trade(5), Nanos(0)), Offer::Held { ask: None });
        assert_eq!(gate.offer(trade(2), Nanos(0)), Offer::Next);
        assert_eq!(gate.give_up(Nanos(0).plus(WAIT)), 1);
        assert_eq!(ready(&mut gate), [4, 5]);
        assert_eq!(gate.offer(trade(7), Nanos(0)), Offer::Skipped { lost: 1 });
        assert_eq!(gate.last_id(), Some(7));
    }

    #[test]
    fn ids_that_start_over_are_followed() {
        let mut gate = TradeGate::new(Some(WAIT));
        gate.offer(trade(500), Nanos(0));
        let mut relisted = trade(1);
        relisted.time = trade(500).time.plus(RESTART_AFTER * 2);
        assert_eq!(gate.offer(relisted, Nanos(0)), Offer::Next);
    }
}
