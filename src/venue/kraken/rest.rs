//! Answers of the public REST endpoints `OHLC` and `Trades`, and the errors that come with an HTTP success.
//!
//! `{"error":[],"result":{"XXBTZUSD":[[..],..],"last":..}}`: the rows stand under a name of the pair that need not be the
//! one that was asked for, so that the only array counts. Prices and volumes are strings, times bare seconds.

use std::time::Duration;

use crate::{
    market::{Decimals, Kline, Nanos, Price, Quantity, Series, Trade, Volume, divide_nearest},
    normalise::{Refusal, Scanner, TEXT_BYTES_MAX, nearest, unsigned, wide},
    venue::Verdict,
};

/// How long the venue shuts out who asks too often: "a few seconds, or longer if calls continue to be made".
const PAUSE: Duration = Duration::from_secs(15);

/// Hands each row to `row`.
pub(super) fn rows(body: &[u8], mut row: impl FnMut(&mut Scanner<'_>) -> Result<(), Refusal>) -> Result<(), Refusal> {
    if verdict(body) != Verdict::Answer {
        return Err(Refusal::VenueError);
    }
    let mut seen = false;
    let mut scanner = Scanner::new(body);
    scanner.object(|scanner, key| {
        if key != b"result" {
            return scanner.skip();
        }
        scanner.object(|scanner, _| {
            if scanner.peek() != Some(b'[') {
                return scanner.skip();
            }
            if std::mem::replace(&mut seen, true) {
                return Err(Refusal::Malformed);
            }
            scanner.array(|scanner| row(scanner))
        })
    })?;
    scanner.end()?;
    if seen { Ok(()) } else { Err(Refusal::Malformed) }
}

/// Time, open, high, low, close, mean price, volume, number of trades.
///
/// The quote volume is mean price times volume, as exact as the mean price is. Whether takers bought or sold is not told:
/// both of their volumes are zero.
pub(super) fn kline(scanner: &mut Scanner<'_>, series: Series, decimals: Decimals) -> Result<Kline, Refusal> {
    let mut row = Row::new(scanner)?;
    let open_time = Nanos::from_epoch_integer(row.next()?.integer()?);
    let open = row.price(decimals)?;
    let high = row.price(decimals)?;
    let low = row.price(decimals)?;
    let close = row.price(decimals)?;
    let mean = nearest(row.text()?, decimals.price)?;
    let volume = wide(row.text()?, decimals.quantity)?;
    let trades = row.next()?.integer()?;
    row.end()?;
    if series.open_time(open_time) != open_time || trades < 0 || volume < 0 || mean < 0 || low > high {
        return Err(Refusal::Malformed);
    }
    let product = i128::from(mean).checked_mul(volume).ok_or(Refusal::Number)?;
    Ok(Kline {
        series,
        open_time,
        first_id: -1,
        last_id: -1,
        open,
        close,
        high,
        low,
        volume: Volume(volume),
        quote_volume: scaled(product, decimals)?,
        taker_volume: Volume(0),
        taker_quote_volume: Volume(0),
        trades,
        closed: false,
    })
}

/// Price, volume, time, side of the taker, kind of its order, nothing, id.
pub(super) fn trade(scanner: &mut Scanner<'_>, decimals: Decimals) -> Result<Trade, Refusal> {
    let mut row = Row::new(scanner)?;
    let price = row.price(decimals)?;
    let quantity = Quantity(unsigned(row.text()?, decimals.quantity)?);
    let time = seconds(row.next()?.number()?)?;
    let buyer_is_maker = match row.text()? {
        b"s" => true,
        b"b" => false,
        _ => return Err(Refusal::Malformed),
    };
    row.text()?;
    row.text()?;
    let id = row.next()?.integer()?;
    row.end()?;
    Ok(Trade { id, price, quantity, time, buyer_is_maker })
}

/// What an answer's `error` says; warnings, which begin with a W, leave it an answer.
pub(super) fn verdict(body: &[u8]) -> Verdict {
    let mut verdict = Verdict::Answer;
    // Whatever is no such object is for the decoder to refuse.
    let _ = Scanner::new(body).object(|scanner, key| {
        if key != b"error" {
            return scanner.skip();
        }
        scanner.array(|scanner| {
            let error = scanner.string()?;
            let mut buffer = [0; TEXT_BYTES_MAX];
            let error = error.plain(&mut buffer)?;
            if error.starts_with(b"E") {
                verdict = said(error);
            }
            Ok(())
        })?;
        // All that matters stands in front of the rows.
        Err(Refusal::VenueError)
    });
    verdict
}

fn said(error: &[u8]) -> Verdict {
    let (kind, _) = error.split_at(error.iter().position(|&byte| byte == b':').unwrap_or(error.len()));
    match (kind, error) {
        (_, b"EQuery:Unknown asset pair" | b"EGeneral:Unknown method") => Verdict::Refused { for_good: true },
        (_, b"EGeneral:Too many requests" | b"EGeneral:Temporary lockout") | (b"EAPI", _) => Verdict::Pause(PAUSE),
        (b"EService" | b"EDatabase", _) | (_, b"EGeneral:Internal error") => Verdict::Unavailable,
        _ => Verdict::Refused { for_good: false },
    }
}

/// Seconds since the epoch with any fraction; digits beyond nanoseconds are dropped.
fn seconds(text: &[u8]) -> Result<Nanos, Refusal> {
    let point = text.iter().position(|&byte| byte == b'.').unwrap_or(text.len());
    let text = &text[..text.len().min(point + 10)];
    unsigned(text, 9).map(Nanos)
}

/// A product of price and volume at the decimals of quote volumes.
fn scaled(product: i128, decimals: Decimals) -> Result<Volume, Refusal> {
    let from = u32::from(decimals.price) + u32::from(decimals.quantity);
    let to = u32::from(decimals.quote);
    let power = 10_i128.checked_pow(from.abs_diff(to)).ok_or(Refusal::Number)?;
    if from >= to {
        return Ok(Volume(divide_nearest(product, power)));
    }
    product.checked_mul(power).map(Volume).ok_or(Refusal::Number)
}

/// A row's elements, one after the other.
struct Row<'s, 'a> {
    scanner: &'s mut Scanner<'a>,
    first: bool,
}

impl<'s, 'a> Row<'s, 'a> {
    fn new(scanner: &'s mut Scanner<'a>) -> Result<Self, Refusal> {
        literal(scanner, b"[")?;
        Ok(Self { scanner, first: true })
    }

    fn next(&mut self) -> Result<&mut Scanner<'a>, Refusal> {
        if !std::mem::take(&mut self.first) {
            literal(self.scanner, b",")?;
        }
        Ok(self.scanner)
    }

    fn text(&mut self) -> Result<&'a [u8], Refusal> {
        self.next()?.string()?.unescaped().ok_or(Refusal::Malformed)
    }

    fn price(&mut self, decimals: Decimals) -> Result<Price, Refusal> {
        unsigned(self.text()?, decimals.price).map(Price)
    }

    fn end(self) -> Result<(), Refusal> {
        literal(self.scanner, b"]")
    }
}

/// Passes `text`, and white space before it.
fn literal<const LENGTH: usize>(scanner: &mut Scanner<'_>, text: &[u8; LENGTH]) -> Result<(), Refusal> {
    scanner.peek();
    if scanner.literal(text) { Ok(()) } else { Err(Refusal::Malformed) }
}

#[cfg(test)]
mod tests;
