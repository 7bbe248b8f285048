//! Checksums by which venues prove their books.

use crc32fast::Hasher;

use super::Ladder;

/// Kraken's CRC-32 over the best ten asks, then the best ten bids, each level as the digits of price and quantity.
///
/// The digits are those at the venue's own precision, without point and leading zeros: of a scaled integer these are
/// its decimal digits. `price_drop` and `quantity_drop` say how many more digits our mantissas have than
/// the venue's checksum text ([`crate::market::Decimals`]).
///
/// Source: Kraken, "Checksum calculation (v2)" in the guide to the `book` channel; v1 is the same.
pub fn kraken_top_ten(bids: &Ladder, asks: &Ladder, price_drop: u8, quantity_drop: u8) -> u32 {
    let price_divisor = power_of_ten(price_drop);
    let quantity_divisor = power_of_ten(quantity_drop);
    let mut hasher = Hasher::new();
    let mut digits = itoa::Buffer::new();
    for level in asks.top(LEVELS).chain(bids.top(LEVELS)) {
        for number in [level.price.0 / price_divisor, level.quantity.0 / quantity_divisor] {
            // Zero consists of leading zeros alone.
            if number != 0 {
                hasher.update(digits.format(number).as_bytes());
            }
        }
    }
    hasher.finalize()
}

/// Saturates: what is divided by the largest of all numbers has no digits left either.
const fn power_of_ten(exponent: u8) -> i64 {
    10_i64.saturating_pow(exponent as u32)
}

const LEVELS: usize = 10;
