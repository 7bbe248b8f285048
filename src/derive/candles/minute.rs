//! The minute in the making: what the venue pushed of it last, and the trades behind that.

use std::collections::VecDeque;

use crate::market::{AggTrade, Decimals, Kline, Nanos, Price, Series, Trade};

/// A minute that has not been closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Minute {
    pub(super) kline: Kline,
    /// Nothing in it was missed, as far as ids tell.
    pub(super) whole: bool,
    /// The line was down during it: a next trade may say that something was missed, or that nothing was.
    pub(super) doubtful: bool,
}

impl Minute {
    pub(super) fn new(open: Nanos, whole: bool) -> Self {
        Self { kline: Kline::empty(Series::MINUTE, open, Price(0)), whole, doubtful: false }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.whole && !self.doubtful
    }

    pub(super) fn holds(&self, at: Nanos) -> bool {
        (self.kline.open_time..self.kline.end()).contains(&at)
    }

    /// Counts a trade unless the venue's last push did so already.
    pub(super) fn add(&mut self, trade: &AggTrade, decimals: Decimals) {
        if trade.last_id > self.kline.last_id {
            count(&mut self.kline, trade, decimals);
        }
    }

    /// Begins anew from what the venue says, plus the trades behind that. Where these do not continue it, a minute that is
    /// whole stays what it is.
    pub(super) fn rebase(&mut self, push: &Kline, tape: &Tape, decimals: Decimals) {
        let mut kline = *push;
        let (forgotten, when) = tape.forgotten;
        let mut whole = forgotten <= push.last_id || when < push.open_time;
        let mut previous = push.last_id;
        for trade in tape.trades.iter().filter(|trade| trade.last_id > push.last_id) {
            // An empty minute does not say which trade was the last before it.
            whole &= previous < 0 || trade.first_id == previous + 1;
            previous = trade.last_id;
            if self.holds(trade.time) {
                count(&mut kline, trade, decimals);
            }
        }
        if whole || !self.is_whole() {
            *self = Self { kline, whole, doubtful: false };
        }
    }
}

/// Adds a run of fills to a candle: one `trade`, or an aggregate of several.
pub(in crate::derive) fn count(kline: &mut Kline, trade: &AggTrade, decimals: Decimals) {
    let was_empty = kline.trades == 0;
    let AggTrade { last_id: id, price, quantity, time, buyer_is_maker, .. } = *trade;
    kline.add(&Trade { id, price, quantity, time, buyer_is_maker }, decimals);
    // One is counted already.
    kline.trades += trade.last_id.saturating_sub(trade.first_id).max(0);
    if was_empty {
        kline.first_id = trade.first_id;
    }
}

/// The trades of the last moments, for pushes of the venue that come later than the trades behind them.
#[derive(Debug)]
pub(super) struct Tape {
    trades: VecDeque<AggTrade>,
    /// The newest trade that fell off: its id and time.
    forgotten: (i64, Nanos),
    /// First and last id of our own stream of trades, unbroken.
    pub(super) first_id: Option<i64>,
    pub(super) last_id: Option<i64>,
    last_time: Nanos,
}

impl Tape {
    pub(super) fn new() -> Self {
        Self { trades: VecDeque::new(), forgotten: (-1, Nanos(0)), first_id: None, last_id: None, last_time: Nanos(0) }
    }

    /// Takes the next trade. `None`: it is known already; else whether it continues those before it.
    pub(super) fn take(&mut self, trade: &AggTrade) -> Option<bool> {
        let last_id = self.last_id;
        let renumbered = trade.time.0.saturating_sub(self.last_time.0) > RENUMBERED_AFTER_NS;
        if last_id.is_some_and(|last| trade.first_id <= last) && !renumbered {
            return None;
        }
        let continues = last_id.is_some_and(|last| trade.first_id == last + 1);
        if !continues {
            if last_id.is_some_and(|last| trade.first_id <= last) {
                self.trades.clear();
                self.forgotten = (-1, Nanos(0));
            }
            self.first_id = Some(trade.first_id);
        }
        (self.last_id, self.last_time) = (Some(trade.last_id), self.last_time.max(trade.time));
        self.forget_before(Nanos(trade.time.0 - KEPT_NS));
        if self.trades.len() >= TRADES_MAX {
            self.forget_first();
        }
        self.trades.push_back(*trade);
        Some(continues)
    }

    /// The venue's push holds everything up to this id.
    pub(super) fn pushed(&mut self, last_id: i64) {
        while self.trades.front().is_some_and(|trade| trade.last_id <= last_id) {
            self.trades.pop_front();
        }
    }

    /// The venue numbers its trades anew.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }

    fn forget_before(&mut self, time: Nanos) {
        while self.trades.front().is_some_and(|trade| trade.time < time) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(trade) = self.trades.pop_front() {
            self.forgotten = (trade.last_id, trade.time);
        }
    }
}

/// Pushes come every two seconds, and are never so late.
const KEPT_NS: i64 = 10_000_000_000;

/// Most trades kept for that: some 400 kB of one symbol in its wildest seconds.
const TRADES_MAX: usize = 4_096;

/// A trade with an old id, yet so much later than the newest one, is of a new numbering.
const RENUMBERED_AFTER_NS: i64 = 60_000_000_000;
