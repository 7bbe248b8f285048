//! Binance Spot, and what speaks its protocol (Binance.US): what to ask, within the documented limits.

mod any_order;
mod decoder;
mod listing;
mod ordered;
mod rows;

use std::{fmt::Write, sync::Arc, time::Duration};

use memchr::memmem;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub use decoder::Decoder;

use super::{BookSource, Dial, ListingSource, Protocol, RestRequest, Traits};
use crate::{
    market::{Catalogue, Instrument, Listing, Nanos, Series, VenueId, Zone},
    normalise::Refusal,
};

/// Binance Spot.
#[derive(Debug)]
pub struct Binance;

/// What is subscribed to for every instrument. All of one instrument come over one connection: what a lost connection
/// leaves behind is then one whole instrument, and its streams keep the order in which the venue sent them.
///
/// Hosts that do not know one of them yet accept its name and stay silent (binance.md section 6.1).
const CHANNELS: [&str; 11] = [
    "depth@100ms",
    "trade",
    "aggTrade",
    "bookTicker",
    "ticker",
    "miniTicker",
    "kline_1m",
    "kline_1s",
    "avgPrice",
    "referencePrice",
    "blockTrade",
];

/// Most streams that the venue accepts on one connection.
const STREAMS_MAX: usize = 1024;

/// Longest path and query; the venue's own ceiling is near 8000 characters.
const PATH_CHARACTERS_MAX: usize = 7000;

/// The venue's longest farewell, in either mode and unit, with room to spare; longer frames are not searched.
const FAREWELL_BYTES_MAX: usize = 128;

/// Rows in one answer of trades, aggregate trades or candles at most (binance.md section 10.2).
const ROWS_MAX: u32 = 1000;

/// What stands in a URL as it is, besides letters and digits.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

impl Protocol for Binance {
    type Decoder = Decoder;

    const KIND: &'static str = "binance";

    fn new(_book_depth: u32, _connections: u32) -> Result<Self, String> {
        // The diff stream covers the whole book, and update ids make any number of copies of the feed one.
        Ok(Self)
    }

    fn traits(&self) -> Traits {
        Traits {
            book: BookSource::Rest,
            checksum: None,
            has_update_ids: true,
            aggregates_numbered: true,
            // Five are allowed, and pongs count.
            messages_per_second: 4,
            connects_per_five_minutes: 300,
            rest_weight_per_minute: 6000,
            rest_apart: Duration::ZERO,
            keep_alive: None,
        }
    }

    fn symbol(native: &str) -> String {
        native.to_uppercase()
    }

    fn listing(&self, natives: &[&str]) -> ListingSource {
        let mut path = "/api/v3/exchangeInfo?symbols=%5B".to_owned();
        for (index, native) in natives.iter().enumerate() {
            let comma = if index == 0 { "" } else { "%2C" };
            let symbol = utf8_percent_encode(native, ESCAPED);
            write!(path, "{comma}%22{symbol}%22").expect("a String takes everything");
        }
        path.push_str("%5D");
        // The list of all symbols costs the same weight.
        if path.len() > PATH_CHARACTERS_MAX {
            path.truncate("/api/v3/exchangeInfo".len());
        }
        ListingSource::Rest(RestRequest { path, weight: 20 })
    }

    fn parse_listing(&self, body: &[u8]) -> Result<Option<Vec<Listing>>, Refusal> {
        listing::parse(body).map(Some)
    }

    fn dials(&self, instruments: &[&Instrument]) -> Vec<Dial> {
        let mut dials: Vec<Dial> = Vec::new();
        for instrument in instruments {
            let streams = streams(instrument);
            match dials.last_mut() {
                Some(dial) if has_room(dial, &streams) => {
                    dial.path.push('/');
                    dial.path.push_str(&streams);
                    dial.instruments.push(instrument.id);
                }
                _ => dials.push(Dial {
                    path: format!("{PATH_HEAD}{streams}"),
                    messages: Vec::new(),
                    instruments: vec![instrument.id],
                }),
            }
        }
        for dial in &mut dials {
            dial.path.push_str(PATH_TAIL);
        }
        dials
    }

    fn snapshot(&self, instrument: &Instrument, levels: u32) -> Option<RestRequest> {
        let limit = levels.clamp(1, 5000);
        let weight = match limit {
            1..=100 => 5,
            101..=500 => 25,
            501..=1000 => 50,
            _ => 250,
        };
        let symbol = utf8_percent_encode(&instrument.symbol, ESCAPED);
        Some(RestRequest { path: format!("/api/v3/depth?symbol={symbol}&limit={limit}"), weight })
    }

    fn trades(&self, instrument: &Instrument, from_id: i64, count: u32) -> Option<RestRequest> {
        let symbol = utf8_percent_encode(&instrument.symbol, ESCAPED);
        let limit = count.clamp(1, ROWS_MAX);
        let path = format!("/api/v3/historicalTrades?symbol={symbol}&limit={limit}&fromId={from_id}");
        Some(RestRequest { path, weight: 25 })
    }

    fn recent_trades(&self, instrument: &Instrument) -> Option<RestRequest> {
        let symbol = utf8_percent_encode(&instrument.symbol, ESCAPED);
        Some(RestRequest { path: format!("/api/v3/trades?symbol={symbol}&limit={ROWS_MAX}"), weight: 25 })
    }

    fn agg_trades(&self, instrument: &Instrument, from_id: Option<i64>, count: u32) -> Option<RestRequest> {
        let symbol = utf8_percent_encode(&instrument.symbol, ESCAPED);
        let limit = count.clamp(1, ROWS_MAX);
        let mut path = format!("/api/v3/aggTrades?symbol={symbol}&limit={limit}");
        if let Some(from_id) = from_id {
            write!(path, "&fromId={from_id}").expect("a String takes everything");
        }
        Some(RestRequest { path, weight: 4 })
    }

    fn klines(&self, instrument: &Instrument, series: Series, from: Nanos, count: u32) -> Option<RestRequest> {
        let symbol = utf8_percent_encode(&instrument.symbol, ESCAPED);
        let (interval, limit) = (series.interval().text(), count.clamp(1, ROWS_MAX));
        // Milliseconds, which every host understands; rounded up, so that no candle from before `from` comes.
        let start = from.plus(Duration::from_nanos(999_999)).millis().max(0);
        let mut path = format!("/api/v3/klines?symbol={symbol}&interval={interval}&startTime={start}&limit={limit}");
        if series.zone() == Zone::Plus8 {
            path.push_str("&timeZone=8");
        }
        Some(RestRequest { path, weight: 2 })
    }

    fn resubscribe(&self, _instrument: &Instrument) -> Vec<String> {
        Vec::new()
    }

    fn is_farewell(&self, frame: &[u8]) -> bool {
        frame.len() <= FAREWELL_BYTES_MAX && memmem::find(frame, b"\"serverShutdown\"").is_some()
    }

    fn decoder(&self, catalogue: Arc<Catalogue>, venue: VenueId) -> Decoder {
        Decoder::new(catalogue, venue)
    }
}

/// Combined: every frame then says which stream it is of, and a farewell comes marked as such.
const PATH_HEAD: &str = "/stream?streams=";

/// In microseconds, since trades have them.
const PATH_TAIL: &str = "&timeUnit=MICROSECOND";

/// All streams of one instrument as they stand in the path.
fn streams(instrument: &Instrument) -> String {
    let symbol = utf8_percent_encode(&instrument.symbol_lower, ESCAPED).to_string();
    CHANNELS.map(|channel| format!("{symbol}@{channel}")).join("/")
}

fn has_room(dial: &Dial, streams: &str) -> bool {
    (dial.instruments.len() + 1) * CHANNELS.len() <= STREAMS_MAX
        && dial.path.len() + 1 + streams.len() + PATH_TAIL.len() <= PATH_CHARACTERS_MAX
}

#[cfg(test)]
mod tests;
