//! The streams of all symbols: in each array, those that changed since the one before.

use super::statistics::{Statistic, Statistics};
use crate::{market::Nanos, sim::timeframe::Window};

/// A stream of all symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::sim) enum Array {
    Mini,
    /// `!miniTicker@arr@3000ms`.
    MiniSlow,
    Day,
    Rolling(Window),
}

/// One object of an array, with its own event time.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::sim) struct Element {
    pub(in crate::sim) symbol: u32,
    pub(in crate::sim) time: Nanos,
    pub(in crate::sim) statistics: Statistics,
}

impl Array {
    pub(super) const ALL: [Self; 6] = [
        Self::Mini,
        Self::MiniSlow,
        Self::Day,
        Self::Rolling(Window::Hour1),
        Self::Rolling(Window::Hour4),
        Self::Rolling(Window::Day1),
    ];

    /// The array with this stream name.
    pub(in crate::sim) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "!miniTicker@arr" | "!miniTicker@arr@1000ms" => Self::Mini,
            "!miniTicker@arr@3000ms" => Self::MiniSlow,
            "!ticker@arr" => Self::Day,
            _ => Self::Rolling(Window::parse(name.strip_prefix("!ticker_")?.strip_suffix("@arr")?)?),
        })
    }

    /// What its objects show.
    pub(in crate::sim) const fn statistic(self) -> Statistic {
        match self {
            Self::Mini | Self::MiniSlow => Statistic::Mini,
            Self::Day => Statistic::Day,
            Self::Rolling(window) => Statistic::Rolling(window),
        }
    }

    /// Nanoseconds between two.
    pub(super) const fn period(self) -> i64 {
        if matches!(self, Self::MiniSlow) { 3 * super::SECOND } else { super::SECOND }
    }
}

/// What the next arrays will hold.
#[derive(Debug, Default)]
pub(super) struct Arrays {
    /// Those with subscribers.
    wanted: Vec<(Array, Vec<Element>)>,
}

impl Arrays {
    /// An array has subscribers from now on, or has none.
    pub(super) fn set(&mut self, array: Array, wanted: bool) {
        self.wanted.retain(|(other, _)| wanted || *other != array);
        if wanted && !self.wanted.iter().any(|(other, _)| *other == array) {
            self.wanted.push((array, Vec::new()));
        }
    }

    /// Whether an array shows this statistic.
    pub(super) fn want(&self, statistic: Statistic) -> bool {
        self.wanted.iter().any(|(array, _)| array.statistic() == statistic)
    }

    /// A symbol's statistic changed.
    pub(super) fn add(&mut self, statistic: Statistic, symbol: u32, time: Nanos, statistics: &Statistics) {
        for (_, elements) in self.wanted.iter_mut().filter(|(array, _)| array.statistic() == statistic) {
            elements.retain(|element| element.symbol != symbol);
            elements.push(Element { symbol, time, statistics: *statistics });
        }
    }

    /// Takes what changed since the last time, by symbol.
    pub(super) fn take(&mut self, array: Array) -> Vec<Element> {
        let waiting = self.wanted.iter_mut().find(|(other, _)| *other == array);
        let mut elements = waiting.map(|(_, elements)| std::mem::take(elements)).unwrap_or_default();
        elements.sort_unstable_by_key(|element| element.symbol);
        elements
    }
}
