//! Trades: the newest from the views, older ones from the store.

use super::{Refusal, Request, object::Object};
use crate::{
    market::{AggTrade, Instrument, InstrumentId, Nanos, Numbered, Trade},
    store::Store,
    views::AggTradesFilter,
};

const DEFAULT: usize = 500;
const MOST: usize = 1000;

impl Request<'_> {
    pub(super) fn trades(&self) -> Result<Vec<u8>, Refusal> {
        let instrument = self.instrument()?;
        let limit = self.parameters().limit(DEFAULT, MOST)?;
        Ok(self.push_trades(instrument, &self.newest_trades(instrument.id, limit)))
    }

    pub(super) fn historical_trades(&self) -> Result<Vec<u8>, Refusal> {
        let instrument = self.instrument()?;
        let limit = self.parameters().limit(DEFAULT, MOST)?;
        let trades = match self.parameters().integer("fromId")? {
            Some(from_id) => self.trades_from(instrument.id, from_id, limit),
            None => self.newest_trades(instrument.id, limit),
        };
        Ok(self.push_trades(instrument, &trades))
    }

    pub(super) fn agg_trades(&self) -> Result<Vec<u8>, Refusal> {
        let instrument = self.instrument()?;
        let filter = AggTradesFilter {
            from_id: self.parameters().integer("fromId")?,
            start: self.parameters().start_time(self.call.now)?,
            end: self.parameters().end_time(self.call.now)?,
            limit: self.parameters().limit(DEFAULT, MOST)?,
        };
        if filter.from_id.is_some() && (filter.start.is_some() || filter.end.is_some()) {
            return Err(Refusal::combination("'fromId' cannot be sent with 'startTime' or 'endTime'."));
        }
        let mut body = vec![b'['];
        for trade in self.matching_agg_trades(instrument.id, &filter) {
            let mut object = self.next_object(&mut body, instrument);
            object.integer("a", trade.id);
            object.price("p", trade.price);
            object.quantity("q", trade.quantity);
            object.integer("f", trade.first_id);
            object.integer("l", trade.last_id);
            object.time("T", trade.time);
            object.flag("m", trade.buyer_is_maker);
            object.flag("M", true);
            object.end();
        }
        body.push(b']');
        Ok(body)
    }

    fn newest_trades(&self, instrument: InstrumentId, limit: usize) -> Vec<Trade> {
        let recent = self.rest.views.trades(instrument, limit);
        if recent.len() >= limit {
            return recent;
        }
        newest(join(self.rest.store.trades(instrument, None, limit), recent), limit)
    }

    fn trades_from(&self, instrument: InstrumentId, from_id: i64, limit: usize) -> Vec<Trade> {
        let recent = self.rest.views.trades_from(instrument, from_id, limit);
        if recent.first().is_some_and(|first| first.id == from_id) {
            return recent;
        }
        oldest(join(self.rest.store.trades(instrument, Some(from_id), limit), recent), limit)
    }

    fn matching_agg_trades(&self, instrument: InstrumentId, filter: &AggTradesFilter) -> Vec<AggTrade> {
        let views = &self.rest.views;
        let recent = views.agg_trades(instrument, filter);
        let store = Aggregates { store: &self.rest.store, instrument };
        let is_in = |trade: &AggTrade| filter.end.is_none_or(|end| trade.time <= end);
        match (filter.from_id, filter.start) {
            (Some(id), _) if recent.first().is_some_and(|first| first.id == id) => recent,
            (Some(id), _) => oldest(join(store.starting_at(id, filter.limit), recent), filter.limit),
            (None, Some(start)) => {
                let all = AggTradesFilter { limit: 1, from_id: Some(0), ..AggTradesFilter::default() };
                let is_whole = views.agg_trades(instrument, &all).first().is_some_and(|first| first.time < start);
                if is_whole {
                    return recent;
                }
                let mut older =
                    store.first_since(start).map_or_else(Vec::new, |id| store.starting_at(id, filter.limit));
                older.retain(is_in);
                oldest(join(older, recent), filter.limit)
            }
            (None, None) if recent.len() >= filter.limit => recent,
            (None, None) => newest(join(store.newest_until(filter.end, filter.limit), recent), filter.limit),
        }
    }

    fn push_trades(&self, instrument: &Instrument, trades: &[Trade]) -> Vec<u8> {
        let mut body = Vec::with_capacity(2 + 160 * trades.len());
        body.push(b'[');
        for trade in trades {
            let mut object = self.next_object(&mut body, instrument);
            object.integer("id", trade.id);
            object.price("price", trade.price);
            object.quantity("qty", trade.quantity);
            object.value("quoteQty", trade);
            object.time("time", trade.time);
            object.flag("isBuyerMaker", trade.buyer_is_maker);
            // A constant of Binance's since 2017.
            object.flag("isBestMatch", true);
            object.end();
        }
        body.push(b']');
        body
    }

    /// Begins another object of the array that `body` ends with.
    fn next_object<'b>(&self, body: &'b mut Vec<u8>, instrument: &Instrument) -> Object<'b> {
        if body.len() > 1 {
            body.push(b',');
        }
        self.object(body, instrument)
    }
}

/// Aggregate trades of the store, which knows them by id: times rise with ids, so that a time is found by halving.
struct Aggregates<'a> {
    store: &'a Store,
    instrument: InstrumentId,
}

impl Aggregates<'_> {
    fn starting_at(&self, id: i64, limit: usize) -> Vec<AggTrade> {
        self.store.agg_trades(self.instrument, Some(id), limit)
    }

    fn next(&self, id: i64) -> Option<AggTrade> {
        self.starting_at(id, 1).first().copied()
    }

    /// An id from which on all that is known happened at `start` or later.
    fn first_since(&self, start: Nanos) -> Option<i64> {
        let newest = self.store.agg_trades(self.instrument, None, 1).pop()?;
        if newest.time < start {
            return None;
        }
        let (mut before, mut id) = (self.next(0)?.id - 1, newest.id);
        while id - before > 1 {
            let middle = before + (id - before) / 2;
            if self.next(middle).is_none_or(|trade| trade.time >= start) {
                id = middle;
            } else {
                before = middle;
            }
        }
        Some(id)
    }

    /// The newest `limit` that did not happen after `end`.
    fn newest_until(&self, end: Option<Nanos>, limit: usize) -> Vec<AggTrade> {
        let Some(end) = end else { return self.store.agg_trades(self.instrument, None, limit) };
        let Some(behind) = self.first_since(Nanos(end.0.saturating_add(1))) else {
            return self.store.agg_trades(self.instrument, None, limit);
        };
        let Some(first) = self.next(0) else { return Vec::new() };
        // Ids need not be dense: the span of ids grows until it holds enough, as long as one page shows its end.
        let (page, mut span, mut found) = (4 * MOST, limit as i64, Vec::new());
        loop {
            let from = behind.saturating_sub(span).max(first.id);
            let mut trades = self.starting_at(from, page);
            let is_cut = trades.len() == page && trades.last().is_some_and(|last| last.id < behind - 1);
            trades.retain(|trade| trade.id < behind);
            if !is_cut {
                found = trades;
            }
            if is_cut || found.len() >= limit || from == first.id {
                return newest(found, limit);
            }
            span = span.saturating_mul(2);
        }
    }
}

/// `older` and what `recent` has behind its end.
fn join<T: Numbered>(mut older: Vec<T>, recent: Vec<T>) -> Vec<T> {
    let last = older.last().map(Numbered::id);
    older.extend(recent.into_iter().filter(|trade| last.is_none_or(|last| trade.id() > last)));
    older
}

fn oldest<T>(mut trades: Vec<T>, limit: usize) -> Vec<T> {
    trades.truncate(limit);
    trades
}

fn newest<T>(mut trades: Vec<T>, limit: usize) -> Vec<T> {
    trades.drain(..trades.len().saturating_sub(limit));
    trades
}
