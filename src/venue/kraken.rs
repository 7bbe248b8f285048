//! Kraken, WebSocket API v2: books with a checksum and no ids, bare numbers, everything over one socket.

mod decoder;
mod listing;
mod rest;

use std::{sync::Arc, time::Duration};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

pub use decoder::Decoder;

use super::{BookSource, Dial, ListingSource, Protocol, RestRequest, Traits, Verdict};
use crate::{
    market::{Catalogue, ChecksumRule, Instrument, Interval, Listing, Nanos, Series, VenueId, Zone},
    normalise::Refusal,
};

/// Kraken v2.
#[derive(Debug)]
pub struct Kraken {
    book_depth: u32,
}

/// Levels per side that the venue offers.
const BOOK_DEPTHS: [u32; 5] = [10, 25, 100, 500, 1000];

/// Symbols in one subscription: a refused message then costs few, and it stays a few kilobytes.
const SYMBOLS_PER_MESSAGE: usize = 50;

/// Symbols on one connection: what a lost connection takes with it, and what a thousand levels each let one socket carry.
const SYMBOLS_PER_CONNECTION: usize = 150;

/// The venue closes a socket on which it has heard nothing for about a minute.
const PING_EVERY: Duration = Duration::from_secs(30);

impl Protocol for Kraken {
    type Decoder = Decoder;

    const KIND: &'static str = "kraken";

    fn new(book_depth: u32, connections: u32) -> Result<Self, String> {
        if !BOOK_DEPTHS.contains(&book_depth) {
            return Err(format!("book_depth is {book_depth}; kraken offers 10, 25, 100, 500 and 1000"));
        }
        if connections != 1 {
            return Err(format!(
                "connections is {connections}; kraken's books carry no update ids that could join two copies, so it has to be 1"
            ));
        }
        Ok(Self { book_depth })
    }

    fn traits(&self) -> Traits {
        Traits {
            book: BookSource::Socket,
            checksum: Some(ChecksumRule::KrakenTopTen),
            has_update_ids: false,
            // There are none; the decoder sums the fills of one message.
            aggregates_numbered: false,
            // The venue's limit adapts and is not published; this pace is below all that was seen refused.
            messages_per_second: 4,
            // About 150 in ten minutes are tolerated before an address is shut out for as long.
            connects_per_five_minutes: 70,
            // Public endpoints: one call a second stays within the limits (by address; trades and candles by pair as well).
            rest_weight_per_minute: 60,
            rest_apart: Duration::from_secs(1),
            keep_alive: Some((r#"{"method":"ping"}"#, PING_EVERY)),
        }
    }

    fn symbol(native: &str) -> String {
        native.replace('/', "").to_uppercase()
    }

    fn listing(&self, _natives: &[&str]) -> ListingSource {
        let subscribe = json!({ "method": "subscribe", "params": { "channel": "instrument", "snapshot": true } });
        ListingSource::Socket { path: String::new(), subscribe: subscribe.to_string() }
    }

    fn parse_listing(&self, body: &[u8]) -> Result<Option<Vec<Listing>>, Refusal> {
        listing::parse(body)
    }

    fn dials(&self, instruments: &[&Instrument]) -> Vec<Dial> {
        let dial = |instruments: &[&Instrument]| {
            let mut messages = Vec::new();
            for part in instruments.chunks(SYMBOLS_PER_MESSAGE) {
                messages.push(self.book("subscribe", part));
                messages.push(trades(part));
            }
            let instruments = instruments.iter().map(|instrument| instrument.id).collect();
            Dial { path: String::new(), messages, instruments }
        };
        instruments.chunks(SYMBOLS_PER_CONNECTION).map(dial).collect()
    }

    fn snapshot(&self, _instrument: &Instrument, _levels: u32) -> Option<RestRequest> {
        None
    }

    fn trades(&self, _instrument: &Instrument, _from_id: i64, _count: u32) -> Option<RestRequest> {
        None
    }

    fn recent_trades(&self, instrument: &Instrument) -> Option<RestRequest> {
        Some(RestRequest { path: format!("/0/public/Trades?pair={}&count=1000", pair(instrument)), weight: 1 })
    }

    fn agg_trades(&self, instrument: &Instrument, from_id: Option<i64>, _count: u32) -> Option<RestRequest> {
        // Fills can be asked for by time only; the newest are summed up by the decoder.
        from_id.is_none().then(|| self.recent_trades(instrument))?
    }

    fn klines(&self, instrument: &Instrument, series: Series, from: Nanos, _count: u32) -> Option<RestRequest> {
        let minutes = minutes(series)?;
        // Candles behind this second; how many comes is the venue's choice: the newest 720 at most.
        let since = (from.millis().max(0) + 999) / 1_000 - 1;
        let pair = pair(instrument);
        let path = format!("/0/public/OHLC?pair={pair}&interval={minutes}&since={}", since.max(0));
        Some(RestRequest { path, weight: 1 })
    }

    fn verdict(&self, body: &[u8]) -> Verdict {
        rest::verdict(body)
    }

    fn resubscribe(&self, instrument: &Instrument) -> Vec<String> {
        vec![self.book("unsubscribe", &[instrument]), self.book("subscribe", &[instrument])]
    }

    fn is_farewell(&self, _frame: &[u8]) -> bool {
        // A `status` of maintenance is about trading, not about the connection.
        false
    }

    fn decoder(&self, catalogue: Arc<Catalogue>, venue: VenueId) -> Decoder {
        Decoder::new(catalogue, venue, self.book_depth)
    }
}

impl Kraken {
    /// A book subscription, or its end: one is only ended by naming its depth.
    fn book(&self, method: &str, instruments: &[&Instrument]) -> String {
        let mut params = json!({ "channel": "book", "symbol": natives(instruments), "depth": self.book_depth });
        if method == "subscribe" {
            params["snapshot"] = true.into();
        }
        json!({ "method": method, "params": params }).to_string()
    }
}

/// A trade subscription without the last fifty, which after a reconnect would be old news.
fn trades(instruments: &[&Instrument]) -> String {
    let params = json!({ "channel": "trade", "symbol": natives(instruments), "snapshot": false });
    json!({ "method": "subscribe", "params": params }).to_string()
}

/// The name of a pair in REST: base and quote without a slash, Bitcoin and Dogecoin by their old names (`XBTUSD`).
///
/// That is the documented `altname` of all pairs but a few. Names of the socket (`BTC/USD`) are said to work as well.
fn pair(instrument: &Instrument) -> String {
    let old = |asset: &str| match asset {
        "BTC" => "XBT".to_owned(),
        "DOGE" => "XDG".to_owned(),
        other => utf8_percent_encode(other, NON_ALPHANUMERIC).to_string(),
    };
    instrument.native.split('/').map(old).collect()
}

/// The length of a candle as the venue names it; `None` if it has no such candles.
fn minutes(series: Series) -> Option<u32> {
    let minutes = match series.interval() {
        Interval::Minute1 => 1,
        Interval::Minute5 => 5,
        Interval::Minute15 => 15,
        Interval::Minute30 => 30,
        Interval::Hour1 => 60,
        Interval::Hour4 => 240,
        Interval::Day1 => 1_440,
        Interval::Week1 => 10_080,
        _ => return None,
    };
    (series.zone() == Zone::Utc).then_some(minutes)
}

fn natives<'a>(instruments: &[&'a Instrument]) -> Vec<&'a str> {
    instruments.iter().map(|instrument| &*instrument.native).collect()
}

#[cfg(test)]
mod tests;
