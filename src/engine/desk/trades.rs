//! Trades and aggregates of one instrument: each once, in order, lost ones fetched or counted.

use super::Desk;
use crate::{
    derive::{Identified, Offer},
    engine::{Shared, books::OTHER_CONNECTION_WAIT},
    intake::Request,
    market::{AggTrade, Event, EventKind, Nanos, Trade},
    topic::Payload,
};

/// A trade with the times that its update will carry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard<T> {
    pub(super) trade: T,
    pub(super) time: Nanos,
    pub(super) received: Nanos,
}

impl<T: Identified> Identified for Heard<T> {
    fn id(&self) -> i64 {
        self.trade.id()
    }

    fn time(&self) -> Nanos {
        self.trade.time()
    }
}

impl Desk {
    /// Takes trades that were fetched to fill a hole.
    pub(in crate::engine) fn refilled(&mut self, events: &[Event], received: Nanos, shared: &mut Shared) {
        for event in events {
            let EventKind::Trade(trade) = event.kind else { continue };
            let heard = Heard { trade, time: event.time.unwrap_or(trade.time), received };
            if self.trades.offer(heard, received) == Offer::Next {
                shared.metrics[self.venue.0 as usize].trades_refilled.increment(1);
                self.publish_trade(&heard, shared);
                self.publish_ready(shared);
            }
        }
        let newest = events.iter().filter_map(|event| match event.kind {
            EventKind::Trade(trade) => Some(trade.id),
            _ => None,
        });
        // An answer that goes beyond the hole and leaves it open says that there is nothing in it.
        if newest.max().zip(self.trades.first_held()).is_some_and(|(newest, held)| newest >= held) {
            self.give_up_trades(received, shared);
            return;
        }
        let missing = self.trades.after_refill(received);
        self.ask_trades(missing, shared);
    }

    /// The venue refuses to give the trades that are missing; if `for_good`, it never will.
    pub(in crate::engine) fn not_refilled(&mut self, for_good: bool, now: Nanos, shared: &mut Shared) {
        if for_good {
            self.refill_wait = None;
            self.wait_for_other_connections();
        }
        self.give_up_trades(now, shared);
    }

    fn give_up_trades(&mut self, now: Nanos, shared: &mut Shared) {
        let lost = self.trades.give_up_now(now);
        self.count_lost("trades", lost, shared);
        self.publish_ready(shared);
        let missing = self.trades.after_refill(now);
        self.ask_trades(missing, shared);
    }

    /// Takes aggregates that were fetched to fill a hole.
    pub(in crate::engine) fn aggregates_refilled(&mut self, events: &[Event], received: Nanos, shared: &mut Shared) {
        let mut newest = None;
        for event in events {
            let EventKind::AggTrade(trade) = event.kind else { continue };
            newest = newest.max(Some(trade.id));
            let heard = Heard { trade, time: event.time.unwrap_or(trade.time), received };
            if self.aggregates.offer(heard, received) == Offer::Next {
                shared.metrics[self.venue.0 as usize].trades_refilled.increment(1);
                self.publish_aggregate(&heard, shared);
                self.publish_ready_aggregates(shared);
            }
        }
        if newest.zip(self.aggregates.first_held()).is_some_and(|(newest, held)| newest >= held) {
            self.give_up_aggregates(received, shared);
            return;
        }
        let missing = self.aggregates.after_refill(received);
        self.ask_aggregates(missing, shared);
    }

    /// The venue refuses to give the aggregates that are missing; if `for_good`, it never will.
    pub(in crate::engine) fn aggregates_not_refilled(&mut self, for_good: bool, now: Nanos, shared: &mut Shared) {
        if for_good {
            self.aggregates_refill_wait = None;
            self.wait_for_other_connections();
        }
        self.give_up_aggregates(now, shared);
    }

    fn give_up_aggregates(&mut self, now: Nanos, shared: &mut Shared) {
        let lost = self.aggregates.give_up_now(now);
        self.count_lost("aggregate trades", lost, shared);
        self.publish_ready_aggregates(shared);
        let missing = self.aggregates.after_refill(now);
        self.ask_aggregates(missing, shared);
    }

    /// Gives up holes whose time is over; asks for those behind them.
    pub(in crate::engine) fn give_up(&mut self, now: Nanos, shared: &mut Shared) {
        if self.trades.deadline().is_some_and(|deadline| deadline <= now) {
            self.give_up_trades(now, shared);
        }
        if self.aggregates.deadline().is_some_and(|deadline| deadline <= now) {
            self.give_up_aggregates(now, shared);
        }
    }

    /// Whether trades wait behind a hole.
    pub(in crate::engine) fn holds_trades(&self) -> bool {
        self.trades.first_held().is_some() || (!self.derived.has_trades() && self.aggregates.first_held().is_some())
    }

    pub(super) fn trade(&mut self, heard: Heard<Trade>, shared: &mut Shared) {
        let metrics = &shared.metrics[self.venue.0 as usize];
        match self.trades.offer(heard, heard.received) {
            Offer::Next => {
                self.publish_trade(&heard, shared);
                self.publish_ready(shared);
            }
            Offer::Duplicate => {}
            Offer::Held { ask } => {
                metrics.trade_holes.increment(u64::from(ask.is_some()));
                self.ask_trades(ask, shared);
            }
            Offer::Skipped { lost } => {
                metrics.trade_holes.increment(1);
                self.count_lost("trades", lost, shared);
                self.publish_trade(&heard, shared);
            }
        }
    }

    /// Aggregates go out in order, each once; what is missing is waited for only while another connection may bring it.
    pub(super) fn aggregate(&mut self, heard: Heard<AggTrade>, shared: &mut Shared) {
        let metrics = &shared.metrics[self.venue.0 as usize];
        if self.sums_fills_again(&heard.trade) {
            return;
        }
        match self.aggregates.offer(heard, heard.received) {
            Offer::Next => {
                self.publish_aggregate(&heard, shared);
                self.publish_ready_aggregates(shared);
            }
            Offer::Duplicate => {}
            Offer::Held { ask } => {
                metrics.trade_holes.increment(u64::from(ask.is_some()));
                self.ask_aggregates(ask, shared);
            }
            Offer::Skipped { lost } => {
                if self.aggregates_numbered {
                    metrics.trade_holes.increment(1);
                    self.count_lost("aggregate trades", lost, shared);
                }
                self.publish_aggregate(&heard, shared);
            }
        }
    }

    /// Where we sum the fills of one message ourselves, another connection may have cut its messages otherwise.
    fn sums_fills_again(&self, trade: &AggTrade) -> bool {
        !self.aggregates_numbered
            && self.aggregates.last_id().is_some_and(|last| trade.first_id <= last && trade.last_id > last)
    }

    /// Two connections are not equally fast: behind a hole that the slower one may fill, a moment is waited.
    pub(super) fn wait_for_other_connections(&mut self) {
        let other = self.has_other_connections().then_some(OTHER_CONNECTION_WAIT);
        self.trades.wait_for(self.refill_wait.or(other));
        self.aggregates.wait_for(self.aggregates_refill_wait.or(other).filter(|_| self.aggregates_numbered));
    }

    fn ask_trades(&self, missing: Option<(i64, u32)>, shared: &Shared) {
        if let Some((from_id, count)) = missing.filter(|_| self.refill_wait.is_some()) {
            shared.ask(Request::Trades { instrument: self.id, from_id, count });
        }
    }

    fn ask_aggregates(&self, missing: Option<(i64, u32)>, shared: &Shared) {
        if let Some((from_id, count)) = missing.filter(|_| self.aggregates_refill_wait.is_some()) {
            shared.ask(Request::AggTrades { instrument: self.id, from_id: Some(from_id), count });
        }
    }

    fn publish_aggregate(&mut self, heard: &Heard<AggTrade>, shared: &mut Shared) {
        self.push(Payload::AggTrade(heard.trade), heard.time, heard.received, shared);
        self.first_aggregate.get_or_insert(heard.trade.id);
        self.derive_aggregate(&heard.trade, heard.received, shared);
    }

    fn publish_ready_aggregates(&mut self, shared: &mut Shared) {
        while let Some(heard) = self.aggregates.ready() {
            self.publish_aggregate(&heard, shared);
        }
    }

    fn publish_trade(&mut self, heard: &Heard<Trade>, shared: &mut Shared) {
        self.push(Payload::Trade(heard.trade), heard.time, heard.received, shared);
        self.first_trade.get_or_insert(heard.trade.id);
        self.derive_trade(&heard.trade, heard.received, shared);
    }

    fn publish_ready(&mut self, shared: &mut Shared) {
        while let Some(heard) = self.trades.ready() {
            self.publish_trade(&heard, shared);
        }
    }

    fn count_lost(&self, what: &str, lost: u64, shared: &mut Shared) {
        if lost == 0 {
            return;
        }
        let venue = self.venue.0 as usize;
        shared.metrics[venue].trades_lost.increment(lost);
        shared.lost[venue] += lost;
        let symbol = &shared.catalogue.instrument(self.id).symbol;
        tracing::debug!(%symbol, what, lost, "stayed lost");
    }

    /// Takes the newest trades, fetched at the start: those from before the live ones.
    pub(in crate::engine) fn past_trades(&mut self, events: &[Event], received: Nanos, shared: &mut Shared) {
        let before = self.first_trade.unwrap_or(i64::MAX);
        shared.past.clear();
        for event in events {
            let EventKind::Trade(trade) = event.kind else { continue };
            if trade.id < before {
                self.push(Payload::PastTrade(trade), event.time.unwrap_or(trade.time), received, shared);
                shared.past.push(as_aggregate(&trade));
            }
        }
        self.derive_past_trades(shared);
    }

    /// Takes the newest aggregates, fetched at the start: those from before the live ones.
    pub(in crate::engine) fn past_aggregates(&mut self, events: &[Event], received: Nanos, shared: &mut Shared) {
        let before = self.first_aggregate.unwrap_or(i64::MAX);
        shared.past.clear();
        for event in events {
            let EventKind::AggTrade(trade) = event.kind else { continue };
            if trade.id < before {
                self.push(Payload::PastAggTrade(trade), event.time.unwrap_or(trade.time), received, shared);
                shared.past.push(trade);
            }
        }
        if !self.derived.has_trades() {
            self.derive_past_trades(shared);
        }
    }
}

/// A trade as an aggregate of itself.
pub(super) fn as_aggregate(trade: &Trade) -> AggTrade {
    let Trade { id, price, quantity, time, buyer_is_maker } = *trade;
    AggTrade { id, price, quantity, first_id: id, last_id: id, time, buyer_is_maker }
}
