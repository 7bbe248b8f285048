//! The snapshot of the `instrument` channel to listings.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    market::{Decimals, Listing, Status},
    normalise::{DECIMALS_MAX, Refusal, print, unsigned},
};

/// Digits that every Binance client expects to see.
const DECIMALS_USUAL: u8 = 8;

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    success: Option<bool>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    pairs: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Pair<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    base: Cow<'a, str>,
    #[serde(borrow)]
    quote: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    price_precision: u8,
    qty_precision: u8,
    #[serde(borrow)]
    price_increment: Option<&'a RawValue>,
    #[serde(borrow)]
    qty_increment: Option<&'a RawValue>,
}

/// Reads a frame of the listing socket; `None` for a heartbeat, a status, an acknowledgement.
///
/// A pair that cannot be read is left out: among a thousand it is hardly one that anybody wants, and it must not cost the rest.
pub(super) fn parse(body: &[u8]) -> Result<Option<Vec<Listing>>, Refusal> {
    let frame: Frame<'_> = serde_json::from_slice(body).map_err(|_| Refusal::Malformed)?;
    if frame.success == Some(false) {
        return Err(Refusal::VenueError);
    }
    match (frame.channel.as_deref(), frame.kind.as_deref(), frame.data) {
        (Some("instrument"), Some("snapshot"), Some(data)) => {
            let data: Data<'_> = serde_json::from_str(data.get()).map_err(|_| Refusal::Malformed)?;
            let (mut listings, mut refused) = (Vec::with_capacity(data.pairs.len()), None);
            for pair in data.pairs {
                match serde_json::from_str(pair.get()).map_err(|_| Refusal::Malformed).and_then(|pair| listing(&pair)) {
                    Ok(listing) => listings.push(listing),
                    Err(refusal) => refused = Some(refusal),
                }
            }
            match refused {
                Some(refusal) if listings.is_empty() => Err(refusal),
                _ => Ok(Some(listings)),
            }
        }
        _ => Ok(None),
    }
}

fn listing(pair: &Pair<'_>) -> Result<Listing, Refusal> {
    let decimals = decimals(pair.price_precision, pair.qty_precision)?;
    Ok(Listing {
        native: pair.symbol.clone().into_owned(),
        base: pair.base.to_uppercase(),
        quote: pair.quote.to_uppercase(),
        decimals,
        status: status(&pair.status),
        tick_size: step(pair.price_increment, decimals.price, pair.price_precision)?,
        step_size: step(pair.qty_increment, decimals.quantity, pair.qty_precision)?,
        binance_info: None,
    })
}

/// Eight places where Kraken has fewer, so that a removed level reads `0.00000000` to every client.
///
/// Except quantities of pairs that are cheap to the eighth place of the price and that Kraken itself cuts to fewer than
/// eight: of such coins a single level may be more than the 92 billion that 64 bits hold at eight places.
fn decimals(price_precision: u8, qty_precision: u8) -> Result<Decimals, Refusal> {
    if price_precision > DECIMALS_MAX || qty_precision > DECIMALS_MAX {
        return Err(Refusal::Number);
    }
    let price = price_precision.max(DECIMALS_USUAL);
    let quantity = if price_precision >= DECIMALS_USUAL { qty_precision } else { qty_precision.max(DECIMALS_USUAL) };
    Ok(Decimals { price, quantity, quote: price, checksum_price: price_precision, checksum_quantity: qty_precision })
}

/// A step as decimal text, never through a float; the last place of the precision where the venue names none.
fn step(increment: Option<&RawValue>, decimals: u8, precision: u8) -> Result<String, Refusal> {
    let mantissa = match increment {
        Some(raw) => unsigned(raw.get().as_bytes(), decimals)?,
        None => 10_i64.pow(u32::from(decimals.saturating_sub(precision))),
    };
    Ok(print(mantissa, decimals))
}

/// `limit_only`, `post_only` and the like still change the book; without matching it is a halt in Binance's words.
fn status(status: &str) -> Status {
    match status {
        "online" | "limit_only" | "reduce_only" => Status::Trading,
        "cancel_only" | "post_only" => Status::Halt,
        _ => Status::Break,
    }
}
