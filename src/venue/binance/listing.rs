//! exchangeInfo to listings.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    market::{Decimals, Listing, Status},
    normalise::{DECIMALS_MAX, Refusal, print},
};

/// What Binance prints for nearly every symbol, and what is assumed where a body says nothing.
const DECIMALS_DEFAULT: u8 = 8;

#[derive(Deserialize)]
struct ExchangeInfo<'a> {
    #[serde(borrow)]
    symbols: Option<Vec<&'a RawValue>>,
    code: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Symbol<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    base_asset: Cow<'a, str>,
    base_asset_precision: Option<u8>,
    #[serde(borrow)]
    quote_asset: Cow<'a, str>,
    quote_precision: Option<u8>,
    quote_asset_precision: Option<u8>,
    #[serde(borrow, default)]
    filters: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter<'a> {
    #[serde(borrow)]
    filter_type: Cow<'a, str>,
    #[serde(borrow)]
    tick_size: Option<Cow<'a, str>>,
    #[serde(borrow)]
    step_size: Option<Cow<'a, str>>,
}

/// Reads the body of `/api/v3/exchangeInfo`.
///
/// A symbol that cannot be read is left out: among thousands it is hardly one that anybody wants, and it must not cost the rest.
pub(super) fn parse(body: &[u8]) -> Result<Vec<Listing>, Refusal> {
    let info: ExchangeInfo<'_> = serde_json::from_slice(body).map_err(|_| Refusal::Malformed)?;
    match (info.symbols, info.code) {
        (Some(symbols), _) => {
            let (mut listings, mut refused) = (Vec::with_capacity(symbols.len()), None);
            for symbol in symbols {
                match listing(symbol) {
                    Ok(listing) => listings.push(listing),
                    Err(refusal) => refused = Some(refusal),
                }
            }
            match refused {
                Some(refusal) if listings.is_empty() => Err(refusal),
                _ => Ok(listings),
            }
        }
        (None, Some(_)) => Err(Refusal::VenueError),
        (None, None) => Err(Refusal::Malformed),
    }
}

fn listing(raw: &RawValue) -> Result<Listing, Refusal> {
    let symbol: Symbol<'_> = serde_json::from_str(raw.get()).map_err(|_| Refusal::Malformed)?;
    let price = symbol.quote_asset_precision.or(symbol.quote_precision).unwrap_or(DECIMALS_DEFAULT);
    let quantity = symbol.base_asset_precision.unwrap_or(DECIMALS_DEFAULT);
    if price > DECIMALS_MAX || quantity > DECIMALS_MAX {
        return Err(Refusal::Number);
    }
    // Kinds of filters come and go; one that has another shape is none of ours.
    let filters: Vec<Filter<'_>> =
        symbol.filters.iter().filter_map(|filter| serde_json::from_str(filter.get()).ok()).collect();
    let filter = |name: &str| filters.iter().find(|filter| filter.filter_type == name);
    let tick_size = filter("PRICE_FILTER").and_then(|filter| filter.tick_size.as_deref());
    let step_size = filter("LOT_SIZE").and_then(|filter| filter.step_size.as_deref());
    Ok(Listing {
        native: symbol.symbol.into_owned(),
        base: symbol.base_asset.into_owned(),
        quote: symbol.quote_asset.into_owned(),
        decimals: Decimals {
            price,
            quantity,
            quote: price,
            checksum_price: price,
            checksum_quantity: quantity,
        },
        // What lists nothing of the kind lists what trades.
        status: symbol.status.map_or(Status::Trading, |text| status(&text)),
        tick_size: tick_size.map_or_else(|| print(1, price), str::to_owned),
        step_size: step_size.map_or_else(|| print(1, quantity), str::to_owned),
        binance_info: Some(raw.get().to_owned()),
    })
}

/// Market data flows in `HALT` and `CANCEL_ONLY`; in `BREAK` and whatever else there was over the years it does not.
fn status(status: &str) -> Status {
    match status {
        "TRADING" => Status::Trading,
        "HALT" | "CANCEL_ONLY" => Status::Halt,
        _ => Status::Break,
    }
}
