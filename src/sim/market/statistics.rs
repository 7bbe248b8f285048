//! Statistics of windows: of the last 24 hours, and of rolling windows that begin at whole minutes.

use super::{
    MINUTE,
    ledger::{Ledger, Sum},
};
use crate::{
    market::{Best, Nanos},
    sim::{bar::Bar, timeframe::Window},
};

/// Minutes of 24 hours.
const DAY_MINUTES: i64 = 1_440;

/// What was traded in a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::sim) struct Statistics {
    pub(in crate::sim) open_time: Nanos,
    pub(in crate::sim) close_time: Nanos,
    pub(in crate::sim) bar: Bar,
    /// The last price before the window.
    pub(in crate::sim) previous_close: i64,
    pub(in crate::sim) last_quantity: i64,
    pub(in crate::sim) best: Best,
}

/// Which statistics a stream shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::sim) enum Statistic {
    Mini,
    Day,
    Rolling(Window),
}

impl Statistic {
    pub(super) const ALL: [Self; 5] = [
        Self::Mini,
        Self::Day,
        Self::Rolling(Window::Hour1),
        Self::Rolling(Window::Hour4),
        Self::Rolling(Window::Day1),
    ];

    pub(super) const fn minutes(self) -> i64 {
        match self {
            Self::Mini | Self::Day => DAY_MINUTES,
            Self::Rolling(window) => window.minutes(),
        }
    }
}

impl Statistics {
    /// The last 24 hours, from the minute in which they begin.
    pub(in crate::sim) fn of_day(ledger: &mut Ledger, best: &Best, now: Nanos) -> Self {
        Self::of_day_again(ledger, &mut Sum::default(), best, now)
    }

    pub(super) fn of_day_again(ledger: &mut Ledger, known: &mut Sum, best: &Best, now: Nanos) -> Self {
        let statistics = Self::of_window_again(ledger, known, best, DAY_MINUTES, now);
        Self { open_time: Nanos(now.0 - DAY_MINUTES * MINUTE), ..statistics }
    }

    /// The last so many minutes and what the present one has so far.
    pub(in crate::sim) fn of_window(ledger: &mut Ledger, best: &Best, minutes: i64, now: Nanos) -> Self {
        Self::of_window_again(ledger, &mut Sum::default(), best, minutes, now)
    }

    pub(super) fn of_window_again(ledger: &mut Ledger, known: &mut Sum, best: &Best, minutes: i64, now: Nanos) -> Self {
        let minute = now.0.div_euclid(MINUTE);
        Self::since_again(ledger, known, best, minute - minutes, now)
    }

    /// From a minute to now.
    pub(in crate::sim) fn since(ledger: &mut Ledger, best: &Best, from: i64, now: Nanos) -> Self {
        Self::since_again(ledger, &mut Sum::default(), best, from, now)
    }

    fn since_again(ledger: &mut Ledger, known: &mut Sum, best: &Best, from: i64, now: Nanos) -> Self {
        ledger.pass(now);
        let bar = ledger.sum_again(known, from, now.0.div_euclid(MINUTE) + 1);
        let previous_close = ledger.price_before(from);
        Self {
            open_time: Nanos(from * MINUTE),
            close_time: now,
            bar: bar.unwrap_or_else(|| Bar::empty(previous_close)),
            previous_close,
            last_quantity: ledger.last().map_or(0, |trade| trade.quantity.0),
            best: *best,
        }
    }

    /// What has to change before the statistic is said again: times alone do not count.
    pub(super) fn essence(&self, statistic: Statistic) -> Self {
        let none = Self {
            open_time: Nanos(0),
            close_time: Nanos(0),
            bar: self.bar,
            previous_close: 0,
            last_quantity: 0,
            best: Best::default(),
        };
        match statistic {
            Statistic::Mini => {
                let Bar { open, high, low, close, volume, value, .. } = self.bar;
                Self { bar: Bar { open, high, low, close, volume, value, ..Bar::empty(0) }, ..none }
            }
            Statistic::Day => {
                let best = Best { update_id: 0, ..self.best };
                Self { previous_close: self.previous_close, last_quantity: self.last_quantity, best, ..none }
            }
            Statistic::Rolling(_) => none,
        }
    }
}
