//! Typed update to JSON body, in the key order, decimals and time units that Binance has on the wire.
//!
//! Every literal below stands in the order of the tables in Binance's documents, as captures show it; each payload
//! reads from top to bottom as the JSON that it makes.

use super::{decimal, decimal_wide, integer};
use crate::{
    market::{
        AggTrade, AveragePrice, Best, Catalogue, Decimals, Instrument, Kline, Level, MiniTicker, Nanos, Price,
        Quantity, ReferencePrice, RollingTicker, Ticker, Trade, Volume,
    },
    topic::{Array, Batch, Payload, TimeUnit, Update, Window},
};

/// Appends the JSON body of `update`, whose wide parts lie in `batch`, with times in `unit`.
///
/// Partial depths are cut to `levels_max` per side. Payloads that no client is ever sent append nothing.
pub fn body(
    out: &mut Vec<u8>,
    update: &Update,
    batch: &Batch,
    instrument: &Instrument,
    levels_max: usize,
    unit: TimeUnit,
) {
    let mut json = Json { out, decimals: instrument.decimals(), symbol: &instrument.symbol, unit };
    match update.payload {
        Payload::Trade(trade) => json.trade(update.time, &trade),
        Payload::AggTrade(trade) => json.agg_trade(update.time, &trade),
        Payload::BookTicker(best) => json.book_ticker(&best),
        Payload::DepthDiff { first_id, last_id, bids, asks, .. } => {
            json.depth_update(update.time, first_id, last_id, bids.of(&batch.levels), asks.of(&batch.levels));
        }
        Payload::PartialDepth { last_id, bids, asks, .. } => {
            let cut = |side: &'_ [Level]| side.len().min(levels_max);
            let (bids, asks) = (bids.of(&batch.levels), asks.of(&batch.levels));
            json.partial_depth(last_id, &bids[..cut(bids)], &asks[..cut(asks)]);
        }
        Payload::BlockTrade(trade) => json.block_trade(update.time, &trade),
        Payload::Kline(index) => json.kline(update.time, &batch.klines[index as usize]),
        Payload::MiniTicker(index) => json.mini_ticker(update.time, &batch.mini_tickers[index as usize]),
        Payload::Ticker(index) => json.ticker(update.time, &batch.tickers[index as usize]),
        Payload::Rolling(window, index) => json.rolling(update.time, window, &batch.rollings[index as usize]),
        Payload::AveragePrice(average) => json.average_price(update.time, &average),
        Payload::ReferencePrice(reference) => json.reference_price(&reference),
        Payload::BookSnapshot { .. }
        | Payload::BookState(_)
        | Payload::PastTrade(_)
        | Payload::PastAggTrade(_)
        | Payload::PastKline(_)
        | Payload::Array { .. } => {}
    }
}

/// Appends the JSON body of an array about instruments of `catalogue`; other updates append nothing.
pub fn array(out: &mut Vec<u8>, update: &Update, batch: &Batch, catalogue: &Catalogue, unit: TimeUnit) {
    let Payload::Array { array, start, len, .. } = update.payload else { return };
    out.push(b'[');
    for (position, element) in batch.elements[start as usize..(start + len) as usize].iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        let instrument = catalogue.instrument(element.instrument);
        let mut json = Json { out, decimals: instrument.decimals(), symbol: &instrument.symbol, unit };
        let index = element.index as usize;
        match array {
            Array::MiniTicker | Array::MiniTickerSlow => json.mini_ticker(element.time, &batch.mini_tickers[index]),
            Array::Ticker => json.ticker(element.time, &batch.tickers[index]),
            Array::Rolling(window) => json.rolling(element.time, window, &batch.rollings[index]),
        }
    }
    out.push(b']');
}

/// Appends the event that announces a restart, `{"e":"serverShutdown","E":...}`.
pub fn server_shutdown(out: &mut Vec<u8>, time: Nanos, unit: TimeUnit) {
    out.extend_from_slice(br#"{"e":"serverShutdown","E":"#);
    integer(out, in_unit(time, unit));
    out.push(b'}');
}

/// Appends levels as `[["price","quantity"],...]`.
pub fn levels(out: &mut Vec<u8>, levels: &[Level], decimals: Decimals) {
    out.push(b'[');
    for (index, level) in levels.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"[\"" } else { b",[\"" });
        decimal(out, level.price.0, decimals.price);
        out.extend_from_slice(b"\",\"");
        decimal(out, level.quantity.0, decimals.quantity);
        out.extend_from_slice(b"\"]");
    }
    out.push(b']');
}

fn in_unit(time: Nanos, unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Milliseconds => time.millis(),
        TimeUnit::Microseconds => time.micros(),
    }
}

/// A body in the making.
struct Json<'a> {
    out: &'a mut Vec<u8>,
    decimals: Decimals,
    symbol: &'a str,
    unit: TimeUnit,
}

impl Json<'_> {
    fn trade(&mut self, time: Nanos, trade: &Trade) {
        self.text(r#"{"e":"trade","E":"#).time(time);
        self.text(r#","s":""#).symbol();
        self.text(r#"","t":"#).integer(trade.id);
        self.text(r#","p":""#).price(trade.price);
        self.text(r#"","q":""#).quantity(trade.quantity);
        self.text(r#"","T":"#).time(trade.time);
        self.text(r#","m":"#).flag(trade.buyer_is_maker);
        self.text(r#","M":true}"#);
    }

    fn agg_trade(&mut self, time: Nanos, trade: &AggTrade) {
        self.text(r#"{"e":"aggTrade","E":"#).time(time);
        self.text(r#","s":""#).symbol();
        self.text(r#"","a":"#).integer(trade.id);
        self.text(r#","p":""#).price(trade.price);
        self.text(r#"","q":""#).quantity(trade.quantity);
        self.text(r#"","f":"#).integer(trade.first_id);
        self.text(r#","l":"#).integer(trade.last_id);
        self.text(r#","T":"#).time(trade.time);
        self.text(r#","m":"#).flag(trade.buyer_is_maker);
        self.text(r#","M":true}"#);
    }

    /// No `M`, unlike its siblings.
    fn block_trade(&mut self, time: Nanos, trade: &Trade) {
        self.text(r#"{"e":"blockTrade","E":"#).time(time);
        self.text(r#","s":""#).symbol();
        self.text(r#"","t":"#).integer(trade.id);
        self.text(r#","p":""#).price(trade.price);
        self.text(r#"","q":""#).quantity(trade.quantity);
        self.text(r#"","T":"#).time(trade.time);
        self.text(r#","m":"#).flag(trade.buyer_is_maker);
        self.text("}");
    }

    /// Neither `e` nor `E`: clients tell it apart by their absence.
    fn book_ticker(&mut self, best: &Best) {
        self.text(r#"{"u":"#).integer(best.update_id);
        self.text(r#","s":""#).symbol();
        self.text(r#"","b":""#).price(best.bid.price);
        self.text(r#"","B":""#).quantity(best.bid.quantity);
        self.text(r#"","a":""#).price(best.ask.price);
        self.text(r#"","A":""#).quantity(best.ask.quantity);
        self.text(r#""}"#);
    }

    fn depth_update(&mut self, time: Nanos, first_id: i64, last_id: i64, bids: &[Level], asks: &[Level]) {
        self.text(r#"{"e":"depthUpdate","E":"#).time(time);
        self.text(r#","s":""#).symbol();
        self.text(r#"","U":"#).integer(first_id);
        self.text(r#","u":"#).integer(last_id);
        self.text(r#","b":"#).levels(bids);
        self.text(r#","a":"#).levels(asks);
        self.text("}");
    }

    fn partial_depth(&mut self, last_id: i64, bids: &[Level], asks: &[Level]) {
        self.text(r#"{"lastUpdateId":"#).integer(last_id);
        self.text(r#","bids":"#).levels(bids);
        self.text(r#","asks":"#).levels(asks);
        self.text("}");
    }

    fn kline(&mut self, time: Nanos, kline: &Kline) {
        self.text(r#"{"e":"kline","E":"#).time(time);
        self.text(r#","s":""#).symbol();
        self.text(r#"","k":{"t":"#).time(kline.open_time);
        self.text(r#","T":"#).last_instant(kline.end());
        self.text(r#","s":""#).symbol();
        self.text(r#"","i":""#).text(kline.series.interval().text());
        self.text(r#"","f":"#).integer(kline.first_id);
        self.text(r#","L":"#).integer(kline.last_id);
        self.text(r#","o":""#).price(kline.open);
        self.text(r#"","c":""#).price(kline.close);
        self.text(r#"","h":""#).price(kline.high);
        self.text(r#"","l":""#).price(kline.low);
        self.text(r#"","v":""#).base_volume(kline.volume);
        self.text(r#"","n":"#).integer(kline.trades);
        self.text(r#","x":"#).flag(kline.closed);
        self.text(r#","q":""#).quote_volume(kline.quote_volume);
        self.text(r#"","V":""#).base_volume(kline.taker_volume);
        self.text(r#"","Q":""#).quote_volume(kline.taker_quote_volume);
        self.text(r#"","B":"0"}}"#);
    }

    fn mini_ticker(&mut self, time: Nanos, mini: &MiniTicker) {
        self.text(r#"{"e":"24hrMiniTicker","E":"#).time(time);
        self.text(r#","s":""#).symbol();
        self.text(r#"","c":""#).price(mini.close);
        self.text(r#"","o":""#).price(mini.open);
        self.text(r#"","h":""#).price(mini.high);
        self.text(r#"","l":""#).price(mini.low);
        self.text(r#"","v":""#).base_volume(mini.volume);
        self.text(r#"","q":""#).quote_volume(mini.quote_volume);
        self.text(r#""}"#);
    }

    fn ticker(&mut self, time: Nanos, ticker: &Ticker) {
        self.text(r#"{"e":"24hrTicker","E":"#).time(time);
        self.text(r#","s":""#).symbol();
        self.text(r#"","p":""#).price(ticker.change);
        self.text(r#"","P":""#).percent(ticker.change_percent);
        self.text(r#"","w":""#).price(ticker.weighted_average);
        self.text(r#"","x":""#).price(ticker.previous_close);
        self.text(r#"","c":""#).price(ticker.mini.close);
        self.text(r#"","Q":""#).quantity(ticker.last_quantity);
        self.text(r#"","b":""#).price(ticker.bid.price);
        self.text(r#"","B":""#).quantity(ticker.bid.quantity);
        self.text(r#"","a":""#).price(ticker.ask.price);
        self.text(r#"","A":""#).quantity(ticker.ask.quantity);
        self.text(r#"","o":""#).price(ticker.mini.open);
        self.text(r#"","h":""#).price(ticker.mini.high);
        self.text(r#"","l":""#).price(ticker.mini.low);
        self.text(r#"","v":""#).base_volume(ticker.mini.volume);
        self.text(r#"","q":""#).quote_volume(ticker.mini.quote_volume);
        self.text(r#"","O":"#).time(ticker.open_time);
        self.text(r#","C":"#).time(ticker.close_time);
        self.text(r#","F":"#).integer(ticker.first_id);
        self.text(r#","L":"#).integer(ticker.last_id);
        self.text(r#","n":"#).integer(ticker.trades);
        self.text("}");
    }

    /// `w` comes before `o`, contrary to the documents (binance.md section 4.7).
    fn rolling(&mut self, time: Nanos, window: Window, ticker: &RollingTicker) {
        self.text(r#"{"e":""#).text(window.text()).text(r#"Ticker","E":"#).time(time);
        self.text(r#","s":""#).symbol();
        self.text(r#"","p":""#).price(ticker.change);
        self.text(r#"","P":""#).percent(ticker.change_percent);
        self.text(r#"","w":""#).price(ticker.weighted_average);
        self.text(r#"","o":""#).price(ticker.mini.open);
        self.text(r#"","h":""#).price(ticker.mini.high);
        self.text(r#"","l":""#).price(ticker.mini.low);
        self.text(r#"","c":""#).price(ticker.mini.close);
        self.text(r#"","v":""#).base_volume(ticker.mini.volume);
        self.text(r#"","q":""#).quote_volume(ticker.mini.quote_volume);
        self.text(r#"","O":"#).time(ticker.open_time);
        self.text(r#","C":"#).time(ticker.close_time);
        self.text(r#","F":"#).integer(ticker.first_id);
        self.text(r#","L":"#).integer(ticker.last_id);
        self.text(r#","n":"#).integer(ticker.trades);
        self.text("}");
    }

    fn average_price(&mut self, time: Nanos, average: &AveragePrice) {
        self.text(r#"{"e":"avgPrice","E":"#).time(time);
        self.text(r#","s":""#).symbol();
        self.text(r#"","i":""#).integer(i64::from(average.minutes));
        self.text(r#"m","w":""#).price(average.price);
        self.text(r#"","T":"#).time(average.last_trade);
        self.text("}");
    }

    /// No `E`.
    fn reference_price(&mut self, reference: &ReferencePrice) {
        self.text(r#"{"e":"referencePrice","s":""#).symbol();
        match reference.price {
            Some(price) => {
                self.text(r#"","r":""#).price(price);
                self.text(r#"","t":"#).time(reference.time);
            }
            None => self.text(r#"","r":null,"t":"#).time(reference.time),
        }
        self.text("}");
    }

    fn text(&mut self, literal: &'static str) -> &mut Self {
        self.out.extend_from_slice(literal.as_bytes());
        self
    }

    fn symbol(&mut self) {
        self.out.extend_from_slice(self.symbol.as_bytes());
    }

    fn flag(&mut self, flag: bool) {
        self.out.extend_from_slice(if flag { b"true" } else { b"false" });
    }

    fn integer(&mut self, value: i64) {
        integer(self.out, value);
    }

    fn time(&mut self, time: Nanos) {
        integer(self.out, in_unit(time, self.unit));
    }

    /// The inclusive end of what goes on until `end`: one unit before it.
    fn last_instant(&mut self, end: Nanos) {
        integer(self.out, in_unit(end, self.unit).saturating_sub(1));
    }

    fn price(&mut self, price: Price) {
        decimal(self.out, price.0, self.decimals.price);
    }

    fn quantity(&mut self, quantity: Quantity) {
        decimal(self.out, quantity.0, self.decimals.quantity);
    }

    fn base_volume(&mut self, volume: Volume) {
        decimal_wide(self.out, volume.0, self.decimals.quantity);
    }

    fn quote_volume(&mut self, volume: Volume) {
        decimal_wide(self.out, volume.0, self.decimals.quote);
    }

    fn percent(&mut self, thousandths: i64) {
        decimal(self.out, thousandths, 3);
    }

    fn levels(&mut self, side: &[Level]) {
        levels(self.out, side, self.decimals);
    }
}

#[cfg(test)]
mod tests;
