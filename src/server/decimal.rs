//! Scaled integers as the fixed-point text of the wire. REST answers alone print here.

use crate::{
    market::{Nanos, Price, Quantity},
    topic::TimeUnit,
};

/// Appends `mantissa` with `places` digits after the point, all of them written (`0.01000000`).
pub(super) fn push_decimal(out: &mut Vec<u8>, mantissa: i128, places: u8) {
    if mantissa < 0 {
        out.push(b'-');
    }
    let digits = mantissa.unsigned_abs().to_string();
    let places = usize::from(places);
    let whole = digits.len().saturating_sub(places);
    out.extend_from_slice(if whole == 0 { b"0" } else { &digits.as_bytes()[..whole] });
    if places > 0 {
        out.push(b'.');
        out.resize(out.len() + places.saturating_sub(digits.len()), b'0');
        out.extend_from_slice(&digits.as_bytes()[whole..]);
    }
}

/// Appends a price as a JSON string.
pub(super) fn push_price(out: &mut Vec<u8>, price: Price, places: u8) {
    push_quoted(out, i128::from(price.0), places);
}

/// Appends a quantity as a JSON string.
pub(super) fn push_quantity(out: &mut Vec<u8>, quantity: Quantity, places: u8) {
    push_quoted(out, i128::from(quantity.0), places);
}

/// Appends price times quantity at `places`, whose own places add up to `product_places`, rounded half up, as a JSON string.
pub(super) fn push_product(out: &mut Vec<u8>, price: Price, quantity: Quantity, product_places: u8, places: u8) {
    let product = i128::from(price.0) * i128::from(quantity.0);
    let mantissa = if product_places > places {
        // The product of two 64-bit numbers is below 10^38.3; a divisor beyond that leaves nothing.
        10_i128
            .checked_pow(u32::from(product_places - places))
            .map_or(0, |divisor| (product / divisor) + i128::from((product % divisor) * 2 >= divisor))
    } else {
        let factor = 10_i128.saturating_pow(u32::from(places - product_places));
        product.saturating_mul(factor)
    };
    push_quoted(out, mantissa, places);
}

/// Appends an integer.
pub(super) fn push_integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a time as an integer of `unit`.
pub(super) fn push_time(out: &mut Vec<u8>, time: Nanos, unit: TimeUnit) {
    push_integer(
        out,
        match unit {
            TimeUnit::Milliseconds => time.millis(),
            TimeUnit::Microseconds => time.micros(),
        },
    );
}

fn push_quoted(out: &mut Vec<u8>, mantissa: i128, places: u8) {
    out.push(b'"');
    push_decimal(out, mantissa, places);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(mantissa: i128, places: u8) -> String {
        let mut out = Vec::new();
        push_decimal(&mut out, mantissa, places);
        String::from_utf8(out).expect("digits")
    }

    #[test]
    fn decimals_keep_every_place() {
        assert_eq!(decimal(0, 8), "0.00000000");
        assert_eq!(decimal(1, 8), "0.00000001");
        assert_eq!(decimal(8_670_478_000_000, 8), "86704.78000000");
        assert_eq!(decimal(100_000_000, 8), "1.00000000");
        assert_eq!(decimal(12_345_678, 8), "0.12345678");
        assert_eq!(decimal(-207, 2), "-2.07");
        assert_eq!(decimal(-7, 2), "-0.07");
        assert_eq!(decimal(7285, 0), "7285");
        assert_eq!(decimal(i128::from(i64::MAX), 8), "92233720368.54775807");
    }

    #[test]
    fn products_are_rounded_half_up_to_the_places_of_the_quote() {
        let product = |price, quantity, from, to| {
            let mut out = Vec::new();
            push_product(&mut out, Price(price), Quantity(quantity), from, to);
            String::from_utf8(out).expect("digits")
        };
        assert_eq!(product(8_670_478_000_000, 3_500_000, 16, 8), "\"3034.66730000\"");
        assert_eq!(product(5, 1, 3, 2), "\"0.01\"");
        assert_eq!(product(4, 1, 3, 2), "\"0.00\"");
        assert_eq!(product(5, 3, 0, 2), "\"15.00\"");
        assert_eq!(product(i64::MAX, i64::MAX, 255, 8), "\"0.00000000\"");
        assert!(product(i64::MAX, i64::MAX, 0, 255).len() > 255, "it saturates");
    }
}
