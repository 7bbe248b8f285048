//! One symbol's order book and the traders in it.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use super::{Arrays, Cadence, Print, What, board::Board, ledger::Ledger, past::Past};
use crate::{
    market::{AggTrade, Best, Level, Nanos, Price, Quantity, Side, Trade, UpdateIds},
    sim::symbols::Symbol,
};

/// Levels per side that a book settles at, where its price leaves room for so many ticks: more than a first snapshot
/// shows, so that a client meets the snapshot's horizon.
const LEVELS: i64 = 900;
/// Below so many levels a side is only added to: a book is never empty.
const LEVELS_MIN: usize = 40;
/// Trades in a minute per action in a second, measured: what the past is made to look like.
const TRADES_PER_ACTION: f64 = 6.0;
/// Levels that one market order sweeps at most.
const SWEEP_LEVELS: usize = 12;
/// How far the price goes in a second, relative to it, at one standard deviation.
const VOLATILITY: f64 = 0.000_05;
/// The price moves with one action in so many, that much the farther: in between the spread has time to close.
const CALM_ACTIONS: u32 = 16;

/// A whole book by price, ascending.
#[derive(Clone, Debug, Default)]
pub(in crate::sim) struct Book {
    /// The id of the last change.
    pub(in crate::sim) last_id: i64,
    pub(in crate::sim) bids: BTreeMap<i64, i64>,
    pub(in crate::sim) asks: BTreeMap<i64, i64>,
}

impl Book {
    /// Up to `limit` levels of one side, best first.
    pub(in crate::sim) fn top(&self, side: Side, limit: usize) -> Vec<Level> {
        let level = |(&price, &quantity): (&i64, &i64)| Level { price: Price(price), quantity: Quantity(quantity) };
        match side {
            Side::Bid => self.bids.iter().rev().take(limit).map(level).collect(),
            Side::Ask => self.asks.iter().take(limit).map(level).collect(),
        }
    }

    fn side(&self, side: Side) -> &BTreeMap<i64, i64> {
        match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        }
    }

    fn best(&self, side: Side) -> Option<(i64, i64)> {
        let best = match side {
            Side::Bid => self.bids.last_key_value(),
            Side::Ask => self.asks.first_key_value(),
        };
        best.map(|(&price, &quantity)| (price, quantity))
    }
}

/// What one cadence has not published yet.
#[derive(Debug, Default)]
struct Pending {
    /// The last id it published.
    last_id: i64,
    bids: BTreeSet<i64>,
    asks: BTreeSet<i64>,
}

/// One symbol's market.
#[derive(Debug)]
pub(super) struct Pair {
    index: u32,
    symbol: &'static Symbol,
    pub(super) book: Book,
    /// Where the traders think the price is.
    fair: f64,
    /// How far `fair` goes at once.
    step: f64,
    /// Ticks from the best price to the farthest level that is quoted.
    span: i64,
    pub(super) best: Best,
    pending: [Pending; 2],
    next_trade_id: i64,
    next_agg_id: i64,
    pub(super) ledger: Ledger,
    pub(super) board: Board,
}

impl Pair {
    /// A filled book; every id begins at `first_id`. `actions_per_second` is what to expect for this symbol.
    pub(super) fn new(
        index: u32,
        symbol: &'static Symbol,
        first_id: i64,
        actions_per_second: f64,
        (rng, seed): (&mut Rng, u64),
        now: Nanos,
    ) -> Self {
        let past = Past::new(seed, symbol, first_id, actions_per_second * TRADES_PER_ACTION, now);
        let span = (symbol.price / symbol.tick * 3 / 10).min(LEVELS * 60);
        let mut pair = Self {
            index,
            symbol,
            book: Book { last_id: first_id - 1, ..Book::default() },
            fair: symbol.price as f64,
            step: symbol.price as f64 * VOLATILITY * f64::from(CALM_ACTIONS).sqrt()
                / actions_per_second.max(0.01).sqrt(),
            span,
            best: Best::default(),
            pending: [Pending::default(), Pending::default()],
            next_trade_id: first_id,
            next_agg_id: first_id,
            ledger: Ledger::new(past, now),
            board: Board::new(index, now),
        };
        pair.fill(rng);
        pair
    }

    /// One thing that one trader does.
    pub(super) fn act(&mut self, rng: &mut Rng, now: Nanos, out: &mut Vec<Print>) {
        self.drift(rng);
        let tick = self.symbol.tick;
        let fair = (self.fair as i64).max(tick * 2);
        let (bid, ask) = self.touch();
        let roll = rng.u32(..100);
        if ask + tick <= fair {
            self.give_way(Side::Ask, fair - tick, rng, now, out);
        } else if bid - tick >= fair {
            self.give_way(Side::Bid, fair + tick, rng, now, out);
        } else if ask - bid > tick && roll < 45 {
            self.improve(rng, now, out);
        } else {
            let side = if rng.bool() { Side::Bid } else { Side::Ask };
            match rng.u32(..100) {
                0..10 => self.take_some(side, rng, now, out),
                10..25 => self.requote_best(side, rng, now, out),
                _ => self.requote(side, rng, now, out),
            }
        }
    }

    /// A small market order: the pair trades, its book and its best price change.
    pub(super) fn nudge(&mut self, rng: &mut Rng, now: Nanos, out: &mut Vec<Print>) {
        let side = if rng.bool() { Side::Bid } else { Side::Ask };
        self.take(side, None, self.symbol.step, rng, now, out);
    }

    /// What `cadence` has to publish now.
    pub(super) fn flush(&mut self, cadence: Cadence, now: Nanos, out: &mut Vec<Print>) {
        let pending = &mut self.pending[cadence as usize];
        if pending.last_id == self.book.last_id {
            return;
        }
        let ids = UpdateIds { first: pending.last_id + 1, last: self.book.last_id };
        pending.last_id = self.book.last_id;
        let level = |book: &BTreeMap<i64, i64>, price: i64| Level {
            price: Price(price),
            quantity: Quantity(book.get(&price).copied().unwrap_or(0)),
        };
        let bids = pending.bids.iter().rev().map(|&price| level(&self.book.bids, price)).collect();
        let asks = pending.asks.iter().map(|&price| level(&self.book.asks, price)).collect();
        pending.bids.clear();
        pending.asks.clear();
        out.push(self.print(now, What::Diff { cadence, ids, bids, asks }));
    }

    /// The candles in the making.
    pub(super) fn push_open_candles(&mut self, now: Nanos, out: &mut Vec<Print>) {
        self.board.push_open(&mut self.ledger, now, out);
    }

    /// Ends the second; candles that end with it are said to be final unless the market is `quiet`.
    pub(super) fn push_closed_candles(&mut self, quiet: bool, now: Nanos, out: &mut Vec<Print>) {
        self.board.push_closed(&mut self.ledger, quiet, now, out);
    }

    /// Statistics that changed, average and reference price.
    pub(super) fn push_statistics(&mut self, arrays: &mut Arrays, now: Nanos, out: &mut Vec<Print>) {
        let quotes = (&self.best, self.symbol.has_reference_price());
        self.board.push_statistics(&mut self.ledger, quotes, arrays, now, out);
    }

    fn print(&self, time: Nanos, what: What) -> Print {
        Print { symbol: self.index, time, what }
    }

    /// Fills the book around the first price without saying so: it was there before we opened.
    fn fill(&mut self, rng: &mut Rng) {
        let (price, tick) = (self.symbol.price, self.symbol.tick);
        for side in [Side::Bid, Side::Ask] {
            let mut tries = 0;
            let mut levels = BTreeMap::new();
            while (levels.len() as i64) < self.levels_wanted() && tries < LEVELS * 20 {
                let away = self.distance(rng) * tick;
                let at = if side == Side::Bid { price - away } else { price + tick + away };
                levels.insert(at, self.quantity(rng));
                tries += 1;
            }
            match side {
                Side::Bid => self.book.bids = levels,
                Side::Ask => self.book.asks = levels,
            }
        }
        for pending in &mut self.pending {
            pending.last_id = self.book.last_id;
        }
        self.best = self.best_now();
    }

    fn levels_wanted(&self) -> i64 {
        LEVELS.min(self.span * 4 / 5)
    }

    fn touch(&self) -> (i64, i64) {
        let price = |side| self.book.best(side).expect("a side keeps its last levels").0;
        (price(Side::Bid), price(Side::Ask))
    }

    /// A random walk that is drawn back to where it began, so that a market left alone for weeks stays believable.
    fn drift(&mut self, rng: &mut Rng) {
        if rng.u32(..CALM_ACTIONS) > 0 {
            return;
        }
        let noise = rng.f64() + rng.f64() + rng.f64() + rng.f64() - 2.0;
        let home = self.symbol.price as f64;
        // The four uniforms have a deviation of 0.577; the pull halves a deviation of 10 % in some hours.
        self.fair += self.step * (noise / 0.577 + (home - self.fair) / home * 0.02);
        self.fair = self.fair.clamp(home * 0.5, home * 2.0);
    }

    /// Ticks away from the best: mostly near, a few as far as the book reaches.
    fn distance(&self, rng: &mut Rng) -> i64 {
        let near = rng.f64();
        (near * near * near * near * self.span as f64) as i64
    }

    /// What a new order shows: mostly about a lot, now and then a wall.
    fn quantity(&self, rng: &mut Rng) -> i64 {
        let size = match rng.u32(..100) {
            0..60 => 0.02 + rng.f64(),
            60..97 => 0.2 + 3.0 * rng.f64(),
            _ => 5.0 + 20.0 * rng.f64(),
        };
        let quantity = (self.symbol.lot() as f64 * size) as i64;
        (quantity / self.symbol.step * self.symbol.step).max(self.symbol.step)
    }

    /// A market order of an ordinary size.
    fn take_some(&mut self, side: Side, rng: &mut Rng, now: Nanos, out: &mut Vec<Print>) {
        let (_, resting) = self.book.best(side).expect("a side keeps its last levels");
        let share = match rng.u32(..100) {
            0..70 => 0.02 + 0.5 * rng.f64(),
            70..92 => 1.0,
            _ => 1.0 + 3.0 * rng.f64(),
        };
        let quantity = ((resting as f64 * share) as i64 / self.symbol.step * self.symbol.step).max(self.symbol.step);
        self.take(side, None, quantity, rng, now, out);
    }

    /// A market order that takes from `side` until `quantity` is filled, `limit` is reached or enough levels are gone.
    fn take(
        &mut self,
        side: Side,
        limit: Option<i64>,
        mut quantity: i64,
        rng: &mut Rng,
        now: Nanos,
        out: &mut Vec<Print>,
    ) {
        for _ in 0..SWEEP_LEVELS {
            let Some((price, resting)) = self.book.best(side) else { return };
            let beyond = limit.is_some_and(|limit| if side == Side::Ask { price > limit } else { price < limit });
            if beyond || quantity == 0 {
                return;
            }
            let last_levels = self.book.side(side).len() <= LEVELS_MIN;
            // The last levels are never taken whole, so that no side runs dry.
            let most = if last_levels { resting - self.symbol.step } else { resting };
            let filled = most.min(quantity);
            if filled <= 0 {
                return;
            }
            self.fill_at(side, price, filled, rng, now, out);
            quantity -= filled;
            self.set(side, price, resting - filled, now, out);
        }
    }

    /// The trades of one taker at one price, and their aggregate.
    fn fill_at(&mut self, side: Side, price: i64, filled: i64, rng: &mut Rng, now: Nanos, out: &mut Vec<Print>) {
        let first_id = self.next_trade_id;
        let buyer_is_maker = side == Side::Bid;
        let mut left = filled;
        // At one price several makers rest.
        for maker in (0..rng.u32(1..=3)).rev() {
            let part = if maker == 0 { left } else { left / 2 / self.symbol.step * self.symbol.step };
            if part == 0 {
                continue;
            }
            left -= part;
            let id = self.next_trade_id;
            self.next_trade_id += 1;
            let trade = Trade { id, price: Price(price), quantity: Quantity(part), time: now, buyer_is_maker };
            self.ledger.count(trade);
            out.push(self.print(now, What::Trade(trade)));
        }
        let aggregate = AggTrade {
            id: self.next_agg_id,
            price: Price(price),
            quantity: Quantity(filled),
            first_id,
            last_id: self.next_trade_id - 1,
            time: now,
            buyer_is_maker,
        };
        self.next_agg_id += 1;
        self.ledger.count_aggregate(aggregate);
        out.push(self.print(now, What::AggTrade(aggregate)));
    }

    /// The price has moved past the best levels of `side`: their makers leave, or are taken from if they are late.
    fn give_way(&mut self, side: Side, limit: i64, rng: &mut Rng, now: Nanos, out: &mut Vec<Print>) {
        if rng.u32(..100) < 35 {
            return self.take(side, Some(limit), i64::MAX, rng, now, out);
        }
        for _ in 0..SWEEP_LEVELS {
            let (price, _) = self.book.best(side).expect("a side keeps its last levels");
            let is_past = if side == Side::Ask { price <= limit } else { price >= limit };
            if !is_past || self.book.side(side).len() <= LEVELS_MIN {
                return;
            }
            self.set(side, price, 0, now, out);
        }
    }

    /// Someone quotes inside the spread, mostly right at the price.
    fn improve(&mut self, rng: &mut Rng, now: Nanos, out: &mut Vec<Print>) {
        let tick = self.symbol.tick;
        let (bid, ask) = self.touch();
        let fair = self.fair as i64 / tick * tick;
        let near = rng.u32(..100) < 70;
        let inside = |price: i64| price.clamp(bid + tick, ask - tick);
        let (side, price) = if rng.bool() {
            let highest = inside(fair);
            (Side::Bid, if near { highest } else { bid + tick * rng.i64(1..=(highest - bid) / tick) })
        } else {
            let lowest = inside(fair + tick);
            (Side::Ask, if near { lowest } else { ask - tick * rng.i64(1..=(ask - lowest) / tick) })
        };
        self.set(side, price, self.quantity(rng), now, out);
    }

    /// Someone changes or leaves the best price.
    fn requote_best(&mut self, side: Side, rng: &mut Rng, now: Nanos, out: &mut Vec<Print>) {
        let (price, resting) = self.book.best(side).expect("a side keeps its last levels");
        if rng.u32(..100) < 12 && self.book.side(side).len() > LEVELS_MIN {
            self.set(side, price, 0, now, out);
        } else {
            self.set(side, price, self.changed(resting, rng), now, out);
        }
    }

    /// Someone adds, changes or removes a level somewhere in the book.
    fn requote(&mut self, side: Side, rng: &mut Rng, now: Nanos, out: &mut Vec<Print>) {
        let tick = self.symbol.tick;
        let (bid, ask) = self.touch();
        let away = self.distance(rng) * tick;
        let at = if side == Side::Bid { (bid - away).max(tick) } else { ask + away };
        let levels = self.book.side(side).len() as i64;
        let wanted = self.levels_wanted();
        if levels > wanted + wanted / 20 {
            let farthest = match side {
                Side::Bid => self.book.bids.first_key_value(),
                Side::Ask => self.book.asks.last_key_value(),
            };
            let price = *farthest.expect("a side keeps its last levels").0;
            self.set(side, price, 0, now, out);
            return;
        }
        let near = match side {
            Side::Bid => self.book.bids.range(..=at).next_back(),
            Side::Ask => self.book.asks.range(at..).next(),
        };
        let near = near.map(|(&price, &quantity)| (price, quantity));
        let roll = rng.u32(..100);
        match near {
            Some((price, _)) if roll < 30 && levels > wanted * 19 / 20 && levels as usize > LEVELS_MIN => {
                self.set(side, price, 0, now, out);
            }
            Some((price, resting)) if roll < 62 => self.set(side, price, self.changed(resting, rng), now, out),
            _ => self.set(side, at, self.quantity(rng), now, out),
        }
    }

    /// A resting quantity after someone joined or left.
    fn changed(&self, resting: i64, rng: &mut Rng) -> i64 {
        if rng.bool() {
            return resting.saturating_add(self.quantity(rng) / 2 / self.symbol.step * self.symbol.step);
        }
        let left = (resting as f64 * (0.1 + 0.8 * rng.f64())) as i64;
        (left / self.symbol.step * self.symbol.step).max(self.symbol.step)
    }

    /// Sets a level to its absolute quantity; a change consumes one update id and may move the best price.
    fn set(&mut self, side: Side, price: i64, quantity: i64, now: Nanos, out: &mut Vec<Print>) {
        let levels = match side {
            Side::Bid => &mut self.book.bids,
            Side::Ask => &mut self.book.asks,
        };
        let before = if quantity == 0 { levels.remove(&price) } else { levels.insert(price, quantity) };
        if before.unwrap_or(0) == quantity {
            return;
        }
        self.book.last_id += 1;
        for pending in &mut self.pending {
            match side {
                Side::Bid => pending.bids.insert(price),
                Side::Ask => pending.asks.insert(price),
            };
        }
        let best = self.best_now();
        if (best.bid, best.ask) != (self.best.bid, self.best.ask) {
            self.best = best;
            out.push(self.print(now, What::Best(best)));
        }
    }

    fn best_now(&self) -> Best {
        let level = |side| {
            let (price, quantity) = self.book.best(side).unwrap_or_default();
            Level { price: Price(price), quantity: Quantity(quantity) }
        };
        Best { update_id: self.book.last_id, bid: level(Side::Bid), ask: level(Side::Ask) }
    }
}
