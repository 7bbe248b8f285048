//! One instrument's book and last values, rebuilt from what is published.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{Depth, candles::Candles, recent::Recent};
use crate::{
    market::{
        AggTrade, AveragePrice, Best, Decimals, Kline, Level, Nanos, Price, Quantity, ReferencePrice, Series, Span,
        Ticker, Trade,
    },
    topic::{Batch, BookState, Cadence, Payload, Update},
};

/// What one update did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was taken in, or it was not for mirrors.
    Done,
    /// The book does not continue: a whole one is needed.
    NeedsSnapshot,
}

/// What is known of one instrument.
#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) trades: Recent<Trade>,
    pub(super) agg_trades: Recent<AggTrade>,
    pub(super) state: BookState,
    pub(super) updated: Option<Nanos>,
    best: Option<Best>,
    last_price: Option<Price>,
    statistics_price: Option<Price>,
    candles: Candles,
    ticker: Option<Ticker>,
    average: Option<AveragePrice>,
    reference: Option<ReferencePrice>,
    /// The id of the last change contained; `None`: the book cannot be trusted.
    last_id: Option<i64>,
    bids: BTreeMap<Reverse<Price>, Quantity>,
    asks: BTreeMap<Price, Quantity>,
}

/// Whether only a word of the venue causes such an update: candles end with time as well.
fn is_heard(payload: &Payload) -> bool {
    matches!(
        payload,
        Payload::DepthDiff { .. }
            | Payload::BookSnapshot { .. }
            | Payload::BookTicker(_)
            | Payload::Trade(_)
            | Payload::AggTrade(_)
            | Payload::BlockTrade(_)
            | Payload::ReferencePrice(_)
    )
}

impl Mirror {
    /// An empty mirror that keeps up to `trades` trades of each kind.
    pub(super) fn new(trades: usize) -> Self {
        Self {
            trades: Recent::new(trades),
            agg_trades: Recent::new(trades),
            state: BookState::default(),
            updated: None,
            best: None,
            last_price: None,
            statistics_price: None,
            candles: Candles::new(),
            ticker: None,
            average: None,
            reference: None,
            last_id: None,
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
        }
    }

    /// Takes in one update, whose wide parts lie in `batch`.
    pub(super) fn apply(&mut self, update: &Update, batch: &Batch) -> Outcome {
        if is_heard(&update.payload) {
            self.updated = self.updated.max(Some(update.received));
        }
        match update.payload {
            Payload::DepthDiff { cadence: Cadence::Fast, first_id, last_id, bids, asks } => {
                return self.diff(first_id, last_id, bids.of(&batch.levels), asks.of(&batch.levels));
            }
            Payload::BookSnapshot { last_id, bids, asks, reset } => {
                self.snapshot(last_id, [bids, asks], &batch.levels, reset);
            }
            Payload::BookTicker(best) => self.best = Some(best),
            Payload::Trade(trade) => {
                self.trades.push(trade);
                self.priced(trade.id, trade.price);
            }
            Payload::AggTrade(trade) => {
                self.agg_trades.push(trade);
                self.priced(trade.last_id, trade.price);
            }
            Payload::PastTrade(trade) => {
                let is_new = self.trades.insert_past(trade);
                if is_new {
                    self.priced(trade.id, trade.price);
                }
            }
            Payload::PastAggTrade(trade) => {
                let is_new = self.agg_trades.insert_past(trade);
                if is_new {
                    self.priced(trade.last_id, trade.price);
                }
            }
            Payload::BookState(state) => self.state = state,
            Payload::MiniTicker(index) => self.statistics_price = Some(batch.mini_tickers[index as usize].close),
            Payload::Ticker(index) => {
                let ticker = batch.tickers[index as usize];
                self.statistics_price = Some(ticker.mini.close);
                self.ticker = Some(ticker);
            }
            Payload::Kline(index) => self.candles.publish(batch.klines[index as usize]),
            Payload::AveragePrice(average) => self.average = Some(average),
            Payload::ReferencePrice(reference) => self.reference = Some(reference),
            // Other cadences say the same a second time; partial depth is not mirrored.
            _ => {}
        }
        Outcome::Done
    }

    /// Updates were lost. Last values stay until newer ones come; what is built from differences is given up.
    pub(super) fn lose(&mut self) {
        self.last_id = None;
        self.trades.clear();
        self.agg_trades.clear();
        self.candles.lose();
    }

    pub(super) fn depth(&self, limit: usize) -> Option<Depth> {
        let last_id = self.last_id?;
        let bids = self.bids.iter().take(limit).map(|(&Reverse(price), &quantity)| Level { price, quantity }).collect();
        let asks = self.asks.iter().take(limit).map(|(&price, &quantity)| Level { price, quantity }).collect();
        Some(Depth { last_id, bids, asks })
    }

    /// Ids are one space, so the newer of the two is known: after a loss the book may be ahead of the last best.
    pub(super) fn best(&self) -> Option<Best> {
        let Some(update_id) = self.last_id else { return self.best };
        if let Some(best) = self.best.filter(|best| best.update_id >= update_id) {
            return Some(best);
        }
        let bid = self.bids.first_key_value().map(|(&Reverse(price), &quantity)| Level { price, quantity });
        let ask = self.asks.first_key_value().map(|(&price, &quantity)| Level { price, quantity });
        Some(Best { update_id, bid: bid.unwrap_or_default(), ask: ask.unwrap_or_default() })
    }

    pub(super) fn last_price(&self) -> Option<Price> {
        self.last_price.or(self.statistics_price)
    }

    /// The newest candles of a series as of the newest trade, the oldest first.
    pub(super) fn klines(&self, series: Series, decimals: Decimals) -> Vec<Kline> {
        self.candles.fresh(series, &self.trades, decimals)
    }

    pub(super) fn ticker(&self) -> Option<Ticker> {
        self.ticker
    }

    pub(super) fn average(&self) -> Option<AveragePrice> {
        self.average
    }

    pub(super) fn reference(&self) -> Option<ReferencePrice> {
        self.reference
    }

    /// Levels are absolute, so an overlap with what is known does no harm; a hole does.
    fn diff(&mut self, first_id: i64, last_id: i64, bids: &[Level], asks: &[Level]) -> Outcome {
        let Some(known) = self.last_id else { return Outcome::NeedsSnapshot };
        if last_id <= known {
            return Outcome::Done;
        }
        if first_id > known.saturating_add(1) {
            self.last_id = None;
            return Outcome::NeedsSnapshot;
        }
        for level in bids {
            put(&mut self.bids, Reverse(level.price), level.quantity);
        }
        for level in asks {
            put(&mut self.asks, level.price, level.quantity);
        }
        self.last_id = Some(last_id);
        Outcome::Done
    }

    fn snapshot(&mut self, last_id: i64, [bids, asks]: [Span; 2], levels: &[Level], reset: bool) {
        if !reset && self.last_id.is_some_and(|known| known > last_id) {
            return;
        }
        if reset {
            // Ids started over: the old best would look newer than everything that follows.
            self.best = None;
        }
        let held = |level: &&Level| level.quantity != Quantity::ZERO;
        self.bids = bids.of(levels).iter().filter(held).map(|level| (Reverse(level.price), level.quantity)).collect();
        self.asks = asks.of(levels).iter().filter(held).map(|level| (level.price, level.quantity)).collect();
        self.last_id = Some(last_id);
    }

    /// Trades and aggregates of the same fills come interleaved: the one that holds the highest fill is the newest.
    fn priced(&mut self, id: i64, price: Price) {
        let newest_trade = self.trades.last().map(|trade| trade.id);
        let newest_inside = self.agg_trades.last().map(|trade| trade.last_id);
        if newest_trade.max(newest_inside).is_none_or(|newest| newest <= id) {
            self.last_price = Some(price);
        }
    }
}

fn put<K: Ord>(side: &mut BTreeMap<K, Quantity>, price: K, quantity: Quantity) {
    if quantity == Quantity::ZERO {
        side.remove(&price);
    } else {
        side.insert(price, quantity);
    }
}
