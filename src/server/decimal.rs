//! Numbers of REST answers as the streams print them: clients compare the texts.

use crate::{
    encode,
    market::{Nanos, Price, Quantity},
    topic::TimeUnit,
};

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

/// Appends a time as an integer of `unit`.
pub(super) fn push_time(out: &mut Vec<u8>, time: Nanos, unit: TimeUnit) {
    encode::integer(
        out,
        match unit {
            TimeUnit::Milliseconds => time.millis(),
            TimeUnit::Microseconds => time.micros(),
        },
    );
}

fn push_quoted(out: &mut Vec<u8>, mantissa: i128, places: u8) {
    out.push(b'"');
    encode::decimal_wide(out, mantissa, places);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(product(i64::MAX, i64::MAX, 0, 38).starts_with("\"1.7"), "it saturates");
    }
}
