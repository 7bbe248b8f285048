//! What goes wrong on purpose: seeded, at rates per minute or on demand, and counted.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;

use crate::market::Nanos;

/// One thing that can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// One `depthUpdate` frame is not sent to one connection.
    Gap,
    /// One `trade` or `aggTrade` frame is not sent to one connection.
    TradeGap,
    /// One depth or trade frame is sent twice.
    Duplicate,
    /// One depth or trade frame is sent after the next one of its stream.
    Reorder,
    /// One connection goes silent for [`Faults::stall_ms`]; then it gets all at once what it missed.
    StallLate,
    /// One connection goes silent for [`Faults::stall_ms`]; what it missed is lost.
    StallLost,
    /// One connection is cut without a close frame.
    Disconnect,
    /// One depth or trade frame is cut in the middle, or text that is no JSON is sent in its place.
    Malformed,
    /// One `/api/v3/depth` answer shows the book as it was some seconds ago.
    StaleSnapshot,
    /// One REST request is answered 429 with `Retry-After: 1`.
    RateLimit,
    /// One REST request is answered 503.
    RestFailure,
    /// One REST answer ends in its middle, under status 200.
    RestGarbage,
    /// One REST answer is kept back for [`Faults::rest_delay_ms`].
    RestDelay,
    /// The exchange announces that it goes away (`serverShutdown`) and closes every connection a second later; new ones
    /// are welcome at once.
    Shutdown,
}

/// How often what goes wrong: mean occurrences per minute, zero for never.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// Lost frames: depth and trades by turns of chance.
    pub gap: f64,
    /// Frames sent twice.
    pub duplicate: f64,
    /// Frames out of order.
    pub reorder: f64,
    /// Connections gone silent: late and lost by turns of chance.
    pub stall: f64,
    /// Connections cut.
    pub disconnect: f64,
    /// Frames that are no JSON.
    pub malformed: f64,
    /// REST books from the past.
    pub stale_snapshot: f64,
    /// REST requests refused.
    pub rate_limit: f64,
    /// REST answers that fail, break off or come late, by turns of chance.
    pub rest_error: f64,
    /// Milliseconds that a stall lasts.
    pub stall_ms: u64,
    /// Milliseconds that a late REST answer is kept back.
    pub rest_delay_ms: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            gap: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            stall: 0.0,
            disconnect: 0.0,
            malformed: 0.0,
            stale_snapshot: 0.0,
            rate_limit: 0.0,
            rest_error: 0.0,
            stall_ms: 3_000,
            rest_delay_ms: 2_000,
        }
    }
}

/// Faults that wait for their occasion: beyond so many, further ones are dropped.
const ARMED_MAX: usize = 1_024;
const MINUTE_NANOS: f64 = 60e9;

/// The faults that are due, and those that wait for a frame, a connection or a request to happen to.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) rng: Rng,
    faults: Faults,
    /// When each rate strikes next; `None` for a rate of zero.
    due: [Option<Nanos>; 9],
    armed: Vec<Fault>,
    counts: BTreeMap<Fault, u64>,
}

impl Plan {
    pub(super) fn new(seed: u64, faults: Faults, now: Nanos) -> Self {
        // The market has the plain seed: faults must not change what the market does.
        let rng = Rng::with_seed(seed ^ 0xFA17_FA17_FA17_FA17);
        let mut plan = Self { rng, faults, due: [None; 9], armed: Vec::new(), counts: BTreeMap::new() };
        plan.set(faults, now);
        plan
    }

    /// New rates; what is armed stays.
    pub(super) fn set(&mut self, faults: Faults, now: Nanos) {
        self.faults = faults;
        for index in 0..self.due.len() {
            self.schedule(index, now);
        }
    }

    /// Arms `fault` for its next occasion.
    pub(super) fn arm(&mut self, fault: Fault) {
        if self.armed.len() < ARMED_MAX {
            self.armed.push(fault);
        }
    }

    /// Arms what the rates make due by `now`.
    pub(super) fn tick(&mut self, now: Nanos) {
        for index in 0..self.due.len() {
            if self.due[index].is_some_and(|due| due <= now) {
                let other = self.rng.bool();
                let fault = match index {
                    0 if other => Fault::TradeGap,
                    0 => Fault::Gap,
                    1 => Fault::Duplicate,
                    2 => Fault::Reorder,
                    3 if other => Fault::StallLost,
                    3 => Fault::StallLate,
                    4 => Fault::Disconnect,
                    5 => Fault::Malformed,
                    6 => Fault::StaleSnapshot,
                    7 => Fault::RateLimit,
                    _ => self.rng.choice([Fault::RestFailure, Fault::RestGarbage, Fault::RestDelay]).expect("three"),
                };
                self.arm(fault);
                self.schedule(index, now);
            }
        }
    }

    /// Forgets what is armed.
    pub(super) fn disarm(&mut self) {
        self.armed.clear();
    }

    /// Takes an armed fault that `suits` the occasion, and counts it.
    pub(super) fn take(&mut self, suits: impl Fn(Fault) -> bool) -> Option<Fault> {
        let at = self.armed.iter().position(|&fault| suits(fault))?;
        let fault = self.armed.remove(at);
        *self.counts.entry(fault).or_default() += 1;
        Some(fault)
    }

    /// Whether nothing is armed: the usual case, asked once per frame.
    pub(super) fn is_calm(&self) -> bool {
        self.armed.is_empty()
    }

    pub(super) fn counts(&self) -> BTreeMap<Fault, u64> {
        self.counts.clone()
    }

    /// Nanoseconds that a stall lasts.
    pub(super) fn stall_nanos(&self) -> i64 {
        i64::try_from(self.faults.stall_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000)
    }

    /// How long a late REST answer is kept back.
    pub(super) const fn rest_delay(&self) -> Duration {
        Duration::from_millis(self.faults.rest_delay_ms)
    }

    fn schedule(&mut self, index: usize, now: Nanos) {
        let rates = [
            self.faults.gap,
            self.faults.duplicate,
            self.faults.reorder,
            self.faults.stall,
            self.faults.disconnect,
            self.faults.malformed,
            self.faults.stale_snapshot,
            self.faults.rate_limit,
            self.faults.rest_error,
        ];
        let rate = rates[index];
        self.due[index] = (rate > 0.0).then(|| {
            // Evenly spread around the mean.
            let wait = MINUTE_NANOS / rate * 2.0 * self.rng.f64();
            Nanos(now.0.saturating_add(wait as i64))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_strike_about_as_often_as_asked_and_only_those_asked_for() {
        let faults = Faults { gap: 120.0, malformed: 30.0, ..Faults::default() };
        let mut plan = Plan::new(1, faults, Nanos(0));
        for ms in 0..600_000 {
            plan.tick(Nanos(ms * 1_000_000));
            while plan.take(|_| true).is_some() {}
        }
        let counts = plan.counts();
        let of = |fault| counts.get(&fault).copied().unwrap_or(0);
        assert!((1_000..1_400).contains(&(of(Fault::Gap) + of(Fault::TradeGap))), "{counts:?}");
        assert!((230..370).contains(&of(Fault::Malformed)), "{counts:?}");
        assert_eq!(counts.len(), 3, "{counts:?}");
    }

    #[test]
    fn an_armed_fault_waits_for_what_suits_it_and_is_counted_then() {
        let mut plan = Plan::new(1, Faults::default(), Nanos(0));
        plan.arm(Fault::RateLimit);
        assert_eq!(plan.take(|fault| fault == Fault::Gap), None);
        assert!(plan.counts().is_empty() && !plan.is_calm());
        assert_eq!(plan.take(|fault| fault == Fault::RateLimit), Some(Fault::RateLimit));
        assert!(plan.counts()[&Fault::RateLimit] == 1 && plan.is_calm());
    }
}
