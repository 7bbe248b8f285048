//! Best bid and ask: published on each change, with rising update ids, whichever of two sources tells it first.

use crate::market::Best;

/// Lets a best bid and ask through when it is news.
///
/// A venue's own `bookTicker` is finer than its depth diffs, and the book knows the best also where the venue's stream
/// is silent: both are offered here. `u` rises strictly and consecutive values differ (binance.md section 5).
#[derive(Debug, Default)]
pub struct BestGate {
    last: Option<Best>,
}

impl BestGate {
    /// Whether `best` is to be published: a higher id than the last one, and another price or quantity.
    pub fn offer(&mut self, best: Best) -> bool {
        let news = match &self.last {
            None => true,
            Some(last) => best.update_id > last.update_id && (best.bid, best.ask) != (last.bid, last.ask),
        };
        if news {
            self.last = Some(best);
        }
        news
    }

    /// What was let through last.
    pub fn last(&self) -> Option<Best> {
        self.last
    }

    /// Starts over: the venue's ids fell.
    pub fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Level, Price, Quantity};

    fn best(update_id: i64, price: i64, quantity: i64) -> Best {
        let level = |price| Level { price: Price(price), quantity: Quantity(quantity) };
        Best { update_id, bid: level(price), ask: level(price + 1) }
    }

    #[test]
    fn ids_rise_and_values_differ() {
        let mut gate = BestGate::default();
        assert!(gate.offer(best(10, 100, 1)));
        assert!(!gate.offer(best(11, 100, 1)), "nothing changed");
        assert!(!gate.offer(best(9, 101, 1)), "the second copy of an old one");
        assert!(gate.offer(best(12, 100, 2)), "the quantity changed");
        assert!(!gate.offer(best(12, 100, 3)), "one event per id");
        gate.reset();
        assert!(gate.offer(best(1, 100, 1)));
    }
}
