//! Depth, trades and tickers: what the views know, in Binance's fields and their wire order.

use super::{Refusal, Request, Selection};
use crate::{
    encode::{integer, json},
    market::{AggTrade, Instrument, Trade},
    server::decimal::{push_price, push_product, push_quantity, push_time},
    topic::TimeUnit,
    views::AggTradesFilter,
};

/// Levels per side in a depth answer when none are asked for, and at most.
pub(super) const DEPTH_DEFAULT: usize = 100;
pub(super) const DEPTH_MOST: usize = 5000;

const TRADES_DEFAULT: usize = 500;
const TRADES_MOST: usize = 1000;

impl Request<'_> {
    pub(super) fn depth(&self) -> Result<Vec<u8>, Refusal> {
        let instrument = self.instrument()?;
        let limit = self.query.limit(DEPTH_DEFAULT, DEPTH_MOST)?;
        self.check_status(instrument)?;
        let depth = self.rest.views.depth(instrument.id, limit).ok_or_else(Refusal::not_yet)?;
        let mut body = Vec::with_capacity(64 + 48 * (depth.bids.len() + depth.asks.len()));
        body.extend_from_slice(b"{\"lastUpdateId\":");
        integer(&mut body, depth.last_id);
        body.extend_from_slice(b",\"bids\":");
        json::levels(&mut body, &depth.bids, instrument.decimals());
        body.extend_from_slice(b",\"asks\":");
        json::levels(&mut body, &depth.asks, instrument.decimals());
        body.push(b'}');
        Ok(body)
    }

    pub(super) fn trades(&self) -> Result<Vec<u8>, Refusal> {
        let instrument = self.instrument()?;
        let limit = self.query.limit(TRADES_DEFAULT, TRADES_MOST)?;
        let trades = self.rest.views.trades(instrument.id, limit);
        Ok(array(&trades, |body, trade| push_trade(body, trade, instrument, self.unit)))
    }

    /// The recent ones only: what is older than the views hold is not there.
    pub(super) fn historical_trades(&self) -> Result<Vec<u8>, Refusal> {
        let instrument = self.instrument()?;
        let limit = self.query.limit(TRADES_DEFAULT, TRADES_MOST)?;
        let trades = match self.query.integer("fromId")? {
            Some(from_id) => self.rest.views.trades_from(instrument.id, from_id, limit),
            None => self.rest.views.trades(instrument.id, limit),
        };
        Ok(array(&trades, |body, trade| push_trade(body, trade, instrument, self.unit)))
    }

    pub(super) fn agg_trades(&self) -> Result<Vec<u8>, Refusal> {
        let instrument = self.instrument()?;
        let filter = AggTradesFilter {
            from_id: self.query.integer("fromId")?,
            start: self.query.time("startTime", self.now)?,
            end: self.query.time("endTime", self.now)?,
            limit: self.query.limit(TRADES_DEFAULT, TRADES_MOST)?,
        };
        if filter.from_id.is_some() && (filter.start.is_some() || filter.end.is_some()) {
            return Err(Refusal::combination("'fromId' cannot be sent with 'startTime' or 'endTime'."));
        }
        let trades = self.rest.views.agg_trades(instrument.id, &filter);
        Ok(array(&trades, |body, trade| push_agg_trade(body, trade, instrument, self.unit)))
    }

    pub(super) fn ticker_price(&self) -> Result<Vec<u8>, Refusal> {
        self.each(|body, instrument| {
            let Some(price) = self.rest.views.last_price(instrument.id) else { return false };
            push_symbol(body, instrument);
            body.extend_from_slice(b",\"price\":");
            push_price(body, price, instrument.decimals().price);
            body.push(b'}');
            true
        })
    }

    pub(super) fn ticker_book(&self) -> Result<Vec<u8>, Refusal> {
        self.each(|body, instrument| {
            let Some(best) = self.rest.views.best(instrument.id) else { return false };
            let decimals = instrument.decimals();
            push_symbol(body, instrument);
            for (price, quantity, level) in [("bidPrice", "bidQty", best.bid), ("askPrice", "askQty", best.ask)] {
                body.extend_from_slice(format!(",\"{price}\":").as_bytes());
                push_price(body, level.price, decimals.price);
                body.extend_from_slice(format!(",\"{quantity}\":").as_bytes());
                push_quantity(body, level.quantity, decimals.quantity);
            }
            body.push(b'}');
            true
        })
    }

    /// One object or an array of them. `push` says whether there was anything: a list leaves out what has no value yet.
    fn each(&self, push: impl Fn(&mut Vec<u8>, &Instrument) -> bool) -> Result<Vec<u8>, Refusal> {
        match self.selection()? {
            Selection::One(instrument) => {
                let mut body = Vec::new();
                if push(&mut body, instrument) { Ok(body) } else { Err(Refusal::not_yet()) }
            }
            Selection::List(list) => {
                let mut body = vec![b'['];
                for instrument in list {
                    let start = body.len();
                    if start > 1 {
                        body.push(b',');
                    }
                    if !push(&mut body, instrument) {
                        body.truncate(start);
                    }
                }
                body.push(b']');
                Ok(body)
            }
        }
    }
}

fn push_symbol(body: &mut Vec<u8>, instrument: &Instrument) {
    body.extend_from_slice(b"{\"symbol\":");
    body.extend_from_slice(serde_json::Value::from(&*instrument.symbol).to_string().as_bytes());
}

fn push_trade(body: &mut Vec<u8>, trade: &Trade, instrument: &Instrument, unit: TimeUnit) {
    let decimals = instrument.decimals();
    let product_places = decimals.price.saturating_add(decimals.quantity);
    body.extend_from_slice(b"{\"id\":");
    integer(body, trade.id);
    body.extend_from_slice(b",\"price\":");
    push_price(body, trade.price, decimals.price);
    body.extend_from_slice(b",\"qty\":");
    push_quantity(body, trade.quantity, decimals.quantity);
    body.extend_from_slice(b",\"quoteQty\":");
    push_product(body, trade.price, trade.quantity, product_places, decimals.quote);
    body.extend_from_slice(b",\"time\":");
    push_time(body, trade.time, unit);
    body.extend_from_slice(b",\"isBuyerMaker\":");
    body.extend_from_slice(trade.buyer_is_maker.to_string().as_bytes());
    // A constant of Binance's since 2017.
    body.extend_from_slice(b",\"isBestMatch\":true}");
}

fn push_agg_trade(body: &mut Vec<u8>, trade: &AggTrade, instrument: &Instrument, unit: TimeUnit) {
    let decimals = instrument.decimals();
    body.extend_from_slice(b"{\"a\":");
    integer(body, trade.id);
    body.extend_from_slice(b",\"p\":");
    push_price(body, trade.price, decimals.price);
    body.extend_from_slice(b",\"q\":");
    push_quantity(body, trade.quantity, decimals.quantity);
    body.extend_from_slice(b",\"f\":");
    integer(body, trade.first_id);
    body.extend_from_slice(b",\"l\":");
    integer(body, trade.last_id);
    body.extend_from_slice(b",\"T\":");
    push_time(body, trade.time, unit);
    body.extend_from_slice(b",\"m\":");
    body.extend_from_slice(trade.buyer_is_maker.to_string().as_bytes());
    body.extend_from_slice(b",\"M\":true}");
}

fn array<T>(items: &[T], push: impl Fn(&mut Vec<u8>, &T)) -> Vec<u8> {
    let mut body = vec![b'['];
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        push(&mut body, item);
    }
    body.push(b']');
    body
}
