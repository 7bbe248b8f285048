//! The book and last values, as the views know them, in Binance's fields and their wire order.

use super::{Refusal, Request};

/// Levels per side in a depth answer when none are asked for, and at most.
pub(super) const DEPTH_DEFAULT: usize = 100;
pub(super) const DEPTH_MOST: usize = 5000;

impl Request<'_> {
    pub(super) fn depth(&self) -> Result<Vec<u8>, Refusal> {
        let instrument = self.instrument()?;
        let limit = self.parameters().limit(DEPTH_DEFAULT, DEPTH_MOST)?;
        self.check_status(instrument)?;
        let depth = self.rest.views.depth(instrument.id, limit).ok_or_else(Refusal::not_yet)?;
        let mut body = Vec::with_capacity(64 + 48 * (depth.bids.len() + depth.asks.len()));
        let mut object = self.object(&mut body, instrument);
        object.integer("lastUpdateId", depth.last_id);
        object.levels("bids", &depth.bids);
        object.levels("asks", &depth.asks);
        object.end();
        Ok(body)
    }

    pub(super) fn ticker_price(&self) -> Result<Vec<u8>, Refusal> {
        self.each(self.selection()?, |body, instrument| {
            let Some(price) = self.rest.views.last_price(instrument.id) else { return Ok(false) };
            let mut object = self.object(body, instrument);
            object.symbol(instrument);
            object.price("price", price);
            object.end();
            Ok(true)
        })
    }

    pub(super) fn ticker_book(&self) -> Result<Vec<u8>, Refusal> {
        self.each(self.selection()?, |body, instrument| {
            let Some(best) = self.rest.views.best(instrument.id) else { return Ok(false) };
            let mut object = self.object(body, instrument);
            object.symbol(instrument);
            object.price("bidPrice", best.bid.price);
            object.quantity("bidQty", best.bid.quantity);
            object.price("askPrice", best.ask.price);
            object.quantity("askQty", best.ask.quantity);
            object.end();
            Ok(true)
        })
    }

    pub(super) fn average_price(&self) -> Result<Vec<u8>, Refusal> {
        let instrument = self.instrument()?;
        let average = self.rest.views.average(instrument.id).ok_or_else(Refusal::not_yet)?;
        let mut body = Vec::new();
        let mut object = self.object(&mut body, instrument);
        object.integer("mins", average.minutes.into());
        object.price("price", average.price);
        object.time("closeTime", average.last_trade);
        object.end();
        Ok(body)
    }

    pub(super) fn reference_price(&self) -> Result<Vec<u8>, Refusal> {
        let instrument = self.instrument()?;
        let reference = self.rest.views.reference(instrument.id).ok_or_else(Refusal::no_reference_price)?;
        let mut body = Vec::new();
        let mut object = self.object(&mut body, instrument);
        object.symbol(instrument);
        match reference.price {
            Some(price) => object.price("referencePrice", price),
            None => object.null("referencePrice"),
        }
        object.time("timestamp", reference.time);
        object.end();
        Ok(body)
    }
}
