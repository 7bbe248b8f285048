//! Statistics of a day, a trading day and windows of any length (binance.md section 10.2).

use super::{Refusal, Request, object::Object, parameters::Form};
use crate::market::{DAY, Decimals, Instrument, Interval, Kline, MINUTE, MiniTicker, Nanos, Ticker, Trade};

/// Trades that may be younger than the statistics of the day, which come once a second.
const TRADES_BEHIND_MOST: usize = 1000;

impl Request<'_> {
    pub(super) fn ticker_day(&self) -> Result<Vec<u8>, Refusal> {
        let form = self.parameters().form()?;
        self.each(self.selection()?, |body, instrument| {
            let Some(ticker) = self.fresh_ticker(instrument) else { return Ok(false) };
            let mut object = self.object(body, instrument);
            object.symbol(instrument);
            if form == Form::Full {
                object.price("priceChange", ticker.change);
                object.percent("priceChangePercent", ticker.change_percent);
                object.price("weightedAvgPrice", ticker.weighted_average);
                object.price("prevClosePrice", ticker.previous_close);
                object.price("lastPrice", ticker.mini.close);
                object.quantity("lastQty", ticker.last_quantity);
                object.price("bidPrice", ticker.bid.price);
                object.quantity("bidQty", ticker.bid.quantity);
                object.price("askPrice", ticker.ask.price);
                object.quantity("askQty", ticker.ask.quantity);
            }
            object.price("openPrice", ticker.mini.open);
            object.price("highPrice", ticker.mini.high);
            object.price("lowPrice", ticker.mini.low);
            if form == Form::Mini {
                object.price("lastPrice", ticker.mini.close);
            }
            object.volume("volume", ticker.mini.volume);
            object.quote_volume("quoteVolume", ticker.mini.quote_volume);
            object.time("openTime", ticker.open_time);
            object.time("closeTime", ticker.close_time);
            push_count(&mut object, [ticker.first_id, ticker.last_id, ticker.trades]);
            object.end();
            Ok(true)
        })
    }

    pub(super) fn ticker_window(&self) -> Result<Vec<u8>, Refusal> {
        let (form, window) = (self.parameters().form()?, self.parameters().window()?);
        let now = self.call.now;
        let open = now.0 - i64::try_from(window.as_nanos()).unwrap_or(i64::MAX);
        let open = Nanos(open - open.rem_euclid(MINUTE.0));
        self.each(self.named_selection()?, |body, instrument| {
            self.push_window(body, instrument, form, open, |object, candle| {
                // Where less is known, the window says so.
                object.time("openTime", candle.open_time);
                object.time("closeTime", now);
            })
        })
    }

    pub(super) fn ticker_trading_day(&self) -> Result<Vec<u8>, Refusal> {
        let (form, offset) = (self.parameters().form()?, self.parameters().zone_offset()?);
        let open = Interval::Day1.open_time(self.call.now, offset);
        let end = Interval::Day1.next_open(open, offset);
        self.each(self.named_selection()?, |body, instrument| {
            self.push_window(body, instrument, form, open, |object, _| {
                object.time("openTime", open);
                object.last_before("closeTime", end);
            })
        })
    }

    /// Appends the statistics from `open`, a whole minute, until now.
    fn push_window(
        &self,
        body: &mut Vec<u8>,
        instrument: &Instrument,
        form: Form,
        open: Nanos,
        push_times: impl Fn(&mut Object<'_>, &Kline),
    ) -> Result<bool, Refusal> {
        let history = self.history(instrument.id);
        let Some(candle) = history.window(open).map_err(|_| Refusal::overloaded())? else { return Ok(false) };
        let mini = MiniTicker::from(&candle);
        let mut object = self.object(body, instrument);
        object.symbol(instrument);
        if form == Form::Full {
            object.price("priceChange", mini.change());
            object.percent("priceChangePercent", mini.change_percent());
            object.price("weightedAvgPrice", mini.weighted_average(instrument.decimals()));
        }
        // Unlike in the statistics of the day, the last price comes behind the others in both forms.
        object.price("openPrice", mini.open);
        object.price("highPrice", mini.high);
        object.price("lowPrice", mini.low);
        object.price("lastPrice", mini.close);
        object.volume("volume", mini.volume);
        object.quote_volume("quoteVolume", mini.quote_volume);
        push_times(&mut object, &candle);
        push_count(&mut object, [candle.first_id, candle.last_id, candle.trades]);
        object.end();
        Ok(true)
    }

    /// The statistics of the day with the best bid and ask of this moment, and with the trades since they were made.
    fn fresh_ticker(&self, instrument: &Instrument) -> Option<Ticker> {
        let views = &self.rest.views;
        let mut ticker = views.ticker(instrument.id)?;
        if let Some(best) = views.best(instrument.id) {
            (ticker.bid, ticker.ask) = (best.bid, best.ask);
        }
        let mut trades = views.trades_from(instrument.id, ticker.last_id, TRADES_BEHIND_MOST);
        // Only if none is missing in between.
        match trades.first() {
            Some(first) if first.id == ticker.last_id => drop(trades.remove(0)),
            Some(first) if first.id == ticker.last_id + 1 => {}
            _ => return Some(ticker),
        }
        trades.iter().for_each(|trade| count(&mut ticker, trade, instrument.decimals()));
        Some(ticker)
    }
}

/// Takes a trade, the newest, into statistics that do not hold it. What leaves the window meanwhile stays until the next
/// statistics, which come within a second.
fn count(ticker: &mut Ticker, trade: &Trade, decimals: Decimals) {
    let mini = &mut ticker.mini;
    if ticker.trades == 0 {
        (mini.open, mini.high, mini.low, ticker.first_id) = (trade.price, trade.price, trade.price, trade.id);
    }
    mini.close = trade.price;
    mini.high = mini.high.max(trade.price);
    mini.low = mini.low.min(trade.price);
    mini.volume.0 += i128::from(trade.quantity.0);
    mini.quote_volume.0 += decimals.value(trade.price, trade.quantity).0;
    ticker.last_quantity = trade.quantity;
    ticker.last_id = trade.id;
    ticker.trades += 1;
    ticker.close_time = ticker.close_time.max(trade.time);
    ticker.open_time = Nanos(ticker.close_time.0 - DAY.0);
    ticker.change = mini.change();
    ticker.change_percent = mini.change_percent();
    ticker.weighted_average = mini.weighted_average(decimals);
}

fn push_count(object: &mut Object<'_>, [first_id, last_id, trades]: [i64; 3]) {
    object.integer("firstId", first_id);
    object.integer("lastId", last_id);
    object.integer("count", trades);
}
