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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Level, Price, Quantity, Side};

    /// Kraken's BTC/USD on 30 July 2023 at one and eight digits, asks then bids, each from the best on.
    const ASKS: [(i64, i64); 10] = [
        (294_303, 825_215_653),
        (294_304, 255_637_606),
        (294_305, 29_975_980),
        (294_309, 256_473_216),
        (294_310, 11_662),
        (294_311, 100_000),
        (294_323, 2_410_000),
        (294_324, 2_210_682),
        (294_325, 339_761_477),
        (294_331, 1_021_497),
    ];
    const BIDS: [(i64, i64); 10] = [
        (294_302, 18_967_538),
        (294_296, 11_621),
        (294_274, 100_000),
        (294_267, 400_000_000),
        (294_257, 67_945_399),
        (294_235, 67_950_478),
        (294_221, 16_314_267),
        (294_218, 6_797_895),
        (294_217, 23_401_846),
        (294_215, 28_639_276),
    ];
    const CRC: u32 = 2_785_033_588;

    fn ladder(side: Side, levels: &[(i64, i64)], price_factor: i64, quantity_factor: i64) -> Ladder {
        let mut ladder = Ladder::new(side);
        for (price, quantity) in levels {
            let level = Level { price: Price(price * price_factor), quantity: Quantity(quantity * quantity_factor) };
            ladder.set(&[level]);
        }
        ladder
    }

    #[test]
    fn the_documented_vector_is_reproduced_at_any_number_of_decimals() {
        for (price_drop, quantity_drop) in [(0, 0), (7, 0), (2, 3)] {
            let (price_factor, quantity_factor) = (power_of_ten(price_drop), power_of_ten(quantity_drop));
            let mut bids = ladder(Side::Bid, &BIDS, price_factor, quantity_factor);
            let mut asks = ladder(Side::Ask, &ASKS, price_factor, quantity_factor);
            assert_eq!(kraken_top_ten(&bids, &asks, price_drop, quantity_drop), CRC);
            // An eleventh level does not count.
            bids.set(&[Level { price: Price(price_factor), quantity: Quantity(1) }]);
            assert_eq!(kraken_top_ten(&bids, &asks, price_drop, quantity_drop), CRC);
            asks.set(&[Level { price: Price(294_303 * price_factor), quantity: Quantity::ZERO }]);
            assert_ne!(kraken_top_ten(&bids, &asks, price_drop, quantity_drop), CRC);
        }
    }

    #[test]
    fn an_empty_book_and_absurd_decimals_have_a_checksum_too() {
        let (bids, asks) = (Ladder::new(Side::Bid), Ladder::new(Side::Ask));
        assert_eq!(kraken_top_ten(&bids, &asks, 0, 0), 0);
        assert_eq!(kraken_top_ten(&ladder(Side::Bid, &BIDS, 1, 1), &asks, 200, 200), 0);
    }
}
