//! Candles as rows (binance.md section 10.2).

use super::{
    Refusal, Request,
    history::{Candles, Row},
    object::Object,
};

const DEFAULT: usize = 500;
const MOST: usize = 1000;

impl Request<'_> {
    /// `klines`, and `uiKlines`, for which the same may be served.
    pub(super) fn klines(&self) -> Result<Vec<u8>, Refusal> {
        let parameters = self.parameters();
        let instrument = self.instrument()?;
        let interval = parameters.interval()?;
        let from = parameters.start_time(self.call.now)?;
        let to = parameters.end_time(self.call.now)?;
        let offset = parameters.zone_offset()?;
        let limit = parameters.limit(DEFAULT, MOST)?;
        let rows = self.history(instrument.id).rows(Candles { interval, offset }, from, to, limit);
        let mut body = Vec::with_capacity(2 + 180 * rows.len());
        body.push(b'[');
        for Row { kline, end } in rows {
            if body.len() > 1 {
                body.push(b',');
            }
            let mut row = Object::row(&mut body, instrument.decimals(), self.call.unit);
            row.time("", kline.open_time);
            row.price("", kline.open);
            row.price("", kline.high);
            row.price("", kline.low);
            row.price("", kline.close);
            row.volume("", kline.volume);
            row.last_before("", end);
            row.quote_volume("", kline.quote_volume);
            row.integer("", kline.trades);
            row.volume("", kline.taker_volume);
            row.quote_volume("", kline.taker_quote_volume);
            row.plain("", "0");
            row.end();
        }
        body.push(b']');
        Ok(body)
    }
}
