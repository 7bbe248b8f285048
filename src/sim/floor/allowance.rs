//! The limit of messages that a client of the simulated exchange may send.

use crate::market::Nanos;

/// How many messages a client may send (binance.md section 7): so many a second, and half as many again at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    per_second: i64,
    /// Nanoseconds of the allowance that are not used up: a message costs its share of a second.
    saved: i64,
    at: Nanos,
}

impl Allowance {
    pub(super) fn new(per_second: u32, now: Nanos) -> Self {
        let per_second = i64::from(per_second.max(1));
        Self { per_second, saved: 1_500_000_000, at: now }
    }

    /// Takes a message; `false` if it is one too many.
    pub(super) fn take(&mut self, now: Nanos) -> bool {
        self.saved = self.saved.saturating_add((now.0 - self.at.0).max(0)).min(1_500_000_000);
        self.at = self.at.max(now);
        self.saved -= 1_000_000_000 / self.per_second;
        self.saved >= 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_send_five_messages_a_second_and_a_burst_of_seven() {
        let mut allowance = Allowance::new(5, Nanos(0));
        assert_eq!((0..9).filter(|_| allowance.take(Nanos(0))).count(), 7);
        let mut allowance = Allowance::new(5, Nanos(0));
        assert!((0..1_000).all(|index| allowance.take(Nanos(index * 200_000_000))));
        let mut allowance = Allowance::new(5, Nanos(0));
        let taken = (0..1_000).take_while(|index| allowance.take(Nanos(index * 150_000_000))).count();
        assert!((20..40).contains(&taken), "{taken}");
    }
}
