//! Decimal text to a mantissa at given decimals: exact or refused, never through a float.

use super::Refusal;

/// Most decimals that a mantissa may have: ten to this power still fits an `i64`.
pub const DECIMALS_MAX: u8 = 18;

/// Digits that fit a `u64` whatever they are.
const SAFE_DIGITS: usize = 18;

/// A price or quantity: `text` as a mantissa at `decimals`, zero or more.
///
/// Takes `12`, `12.50`, `7e-7` and `9.121E-7`; digits beyond `decimals` have to be zeros.
///
/// # Errors
/// [`Refusal::Number`] if the text is no such number or 64 bits do not hold it exactly.
pub fn unsigned(text: &[u8], decimals: u8) -> Result<i64, Refusal> {
    if let Some(value) = plain(text, decimals) {
        return Ok(value);
    }
    match signed(text, decimals)? {
        value if value >= 0 && text[0] != b'-' => Ok(value),
        _ => Err(Refusal::Number),
    }
}

/// Like [`unsigned`], and takes a leading minus.
///
/// # Errors
/// As [`unsigned`].
pub fn signed(text: &[u8], decimals: u8) -> Result<i64, Refusal> {
    i64::try_from(wide(text, decimals)?).map_err(|_| Refusal::Number)
}

/// Like [`signed`], for sums that 64 bits do not hold.
///
/// # Errors
/// As [`unsigned`], for 128 bits.
pub fn wide(text: &[u8], decimals: u8) -> Result<i128, Refusal> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let magnitude = exact(digits, decimals).ok_or(Refusal::Number)?;
    Ok(if negative { -magnitude } else { magnitude })
}

/// Like [`signed`], for numbers that are worked out and not counted (means, percentages): digits beyond `decimals` are
/// rounded, halves away from zero.
///
/// # Errors
/// As [`unsigned`], but for surplus digits. An exponent is taken only where the number is exact.
pub fn nearest(text: &[u8], decimals: u8) -> Result<i64, Refusal> {
    if let Ok(exact) = signed(text, decimals) {
        return Ok(exact);
    }
    let point = text.iter().position(|&byte| byte == b'.').ok_or(Refusal::Number)?;
    let kept = point + 1 + usize::from(decimals);
    let surplus = text.get(kept..).filter(|surplus| !surplus.is_empty()).ok_or(Refusal::Number)?;
    if !surplus.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::Number);
    }
    let head = signed(&text[..if decimals == 0 { point } else { kept }], decimals)?;
    let away = i64::from(surplus[0] >= b'5');
    let rounded = if text[0] == b'-' { head.checked_sub(away) } else { head.checked_add(away) };
    rounded.ok_or(Refusal::Number)
}

/// An integer without point, exponent or leading zeros.
///
/// # Errors
/// [`Refusal::Number`] if it is none, or 64 bits do not hold it.
#[inline]
pub(super) fn integer(text: &[u8]) -> Result<i64, Refusal> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > SAFE_DIGITS + 1 || (digits[0] == b'0' && digits.len() > 1) {
        return Err(Refusal::Number);
    }
    let mut value = 0_u64;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return Err(Refusal::Number);
        }
        value = value * 10 + u64::from(byte - b'0');
    }
    // Nineteen digits fit a u64; what of them an i64 does not hold shows here.
    let value = i64::try_from(value).map_err(|_| Refusal::Number)?;
    Ok(if negative { -value } else { value })
}

/// `mantissa` as text with exactly `decimals` digits after the point, as the lists of instruments spell their steps.
pub fn print(mantissa: i64, decimals: u8) -> String {
    let sign = if mantissa < 0 { "-" } else { "" };
    let width = usize::from(decimals) + 1;
    let digits = format!("{:0width$}", mantissa.unsigned_abs());
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(decimals));
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// The common form, `digits` or `digits.digits` with no more than 18 digits and `decimals` of them behind the point.
#[inline]
fn plain(text: &[u8], decimals: u8) -> Option<i64> {
    if text.len() > SAFE_DIGITS + 1 || decimals > DECIMALS_MAX {
        return None;
    }
    let (mut value, mut digits, mut point) = (0_u64, 0_usize, None);
    for &byte in text {
        match byte {
            b'0'..=b'9' => {
                value = value * 10 + u64::from(byte - b'0');
                digits += 1;
            }
            b'.' if point.is_none() && digits > 0 => point = Some(digits),
            _ => return None,
        }
    }
    let whole = point.unwrap_or(digits);
    let fraction = digits - whole;
    if digits == 0 || digits > SAFE_DIGITS || (point.is_some() && fraction == 0) {
        return None;
    }
    let missing = usize::from(decimals).checked_sub(fraction)?;
    i64::try_from(value).ok()?.checked_mul(10_i64.pow(missing as u32))
}

/// Eight ASCII digits at the head of `text` as a number, all at once.
#[inline]
pub(super) fn eight_digits(text: &[u8]) -> Option<u64> {
    eight_digits_of(u64::from_le_bytes(*text.first_chunk()?))
}

/// One to seven ASCII digits at the head of `text` in front of a point, as a number, and how many.
#[inline]
pub(super) fn digits_before_point(text: &[u8]) -> Option<(u64, usize)> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let chunk = u64::from_le_bytes(*text.first_chunk()?);
    // The lowest byte that is a point becomes the lowest one with its highest bit set; those above may be wrong.
    let points = chunk ^ (ONES * u64::from(b'.'));
    let found = points.wrapping_sub(ONES) & !points & (ONES << 7);
    let length = found.trailing_zeros() / 8;
    if !(1..8).contains(&length) {
        return None;
    }
    // Moved up to the end, with zeros in front.
    let aligned = (chunk << (64 - 8 * length)) | ((ONES * u64::from(b'0')) >> (8 * length));
    Some((eight_digits_of(aligned)?, length as usize))
}

/// [`digits_before_point`] of up to ten digits, the most that cannot overflow once eight decimals follow.
pub(super) fn many_digits_before_point(text: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (index, byte) in text.iter().enumerate().take(11) {
        match byte {
            b'0'..=b'9' => value = value * 10 + u64::from(byte - b'0'),
            b'.' if index > 0 => return Some((value, index)),
            _ => return None,
        }
    }
    None
}

#[inline]
fn eight_digits_of(chunk: u64) -> Option<u64> {
    let high = chunk & 0xf0f0_f0f0_f0f0_f0f0;
    let carried = chunk.wrapping_add(0x0606_0606_0606_0606) & 0xf0f0_f0f0_f0f0_f0f0;
    if high != 0x3030_3030_3030_3030 || carried != 0x3030_3030_3030_3030 {
        return None;
    }
    // Neighbours are joined in three steps: eight digits to four pairs, to two fours, to one number.
    let pairs = (chunk & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(2_561) >> 8;
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul(6_553_601) >> 16;
    Some((fours & 0x0000_ffff_0000_ffff).wrapping_mul(42_949_672_960_001) >> 32)
}

/// Any form. Zeros are held back until a digit follows, so that any number of them at the end costs no range.
fn exact(text: &[u8], decimals: u8) -> Option<i128> {
    let exponent_at = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (number, exponent) = match exponent_at {
        Some(at) => (&text[..at], exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (whole, fraction) = match number.iter().position(|&byte| byte == b'.') {
        Some(at) => (&number[..at], &number[at + 1..]),
        None => (number, &[][..]),
    };
    if whole.is_empty() || (fraction.is_empty() && whole.len() != number.len()) {
        return None;
    }
    let (mut value, mut zeros) = (0_i128, 0_u32);
    for &byte in whole.iter().chain(fraction) {
        match byte {
            b'0' => zeros = zeros.checked_add(1)?,
            b'1'..=b'9' => {
                value = shift(value, zeros.checked_add(1)?)?.checked_add(i128::from(byte - b'0'))?;
                zeros = 0;
            }
            _ => return None,
        }
    }
    if value == 0 {
        return Some(0);
    }
    // The last digit kept is not zero: a negative power means digits beyond the decimals.
    let power = i64::from(zeros) + exponent - fraction.len() as i64 + i64::from(decimals);
    shift(value, u32::try_from(power).ok()?)
}

fn shift(value: i128, power: u32) -> Option<i128> {
    if value == 0 { Some(0) } else { value.checked_mul(10_i128.checked_pow(power)?) }
}

/// What stands behind the `e`; far beyond any use it saturates, since zero to any power is still zero.
fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = digits.iter().fold(0_i64, |sum, byte| (sum * 10 + i64::from(byte - b'0')).min(1_000_000));
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_that_venues_send_are_exact() {
        for (text, decimals, expected) in [
            ("61837.63000000", 8, 6_183_763_000_000),
            ("0.00000000", 8, 0),
            ("0", 8, 0),
            ("12", 2, 1_200),
            ("7e-7", 8, 70),
            ("9.121E-7", 10, 9_121),
            ("1e-05", 8, 1_000),
            ("1E+3", 0, 1_000),
            ("4.0", 8, 400_000_000),
            ("1.50000000000000000000000000000000000000000000", 2, 150),
            ("0.0e999999999999999999", 8, 0),
            ("00012.5", 1, 125),
            // Binance caps depth quantities at the largest i64.
            ("92233720368.54775807", 8, i64::MAX),
        ] {
            assert_eq!(unsigned(text.as_bytes(), decimals), Ok(expected), "{text} at {decimals}");
        }
    }

    #[test]
    fn what_is_not_exact_is_refused() {
        for (text, decimals) in [
            ("", 8),
            (".", 8),
            (".5", 8),
            ("1.", 8),
            ("-1", 8),
            ("-0", 8),
            ("+1", 8),
            ("1.2.3", 8),
            ("1e", 8),
            ("1e+", 8),
            ("1e1.5", 8),
            ("0x10", 8),
            ("1 ", 8),
            ("NaN", 8),
            ("1.234", 2),
            ("7e-7", 6),
            ("92233720368.54775808", 8),
            ("1e400", 0),
            ("1e-400", 18),
        ] {
            assert_eq!(unsigned(text.as_bytes(), decimals), Err(Refusal::Number), "{text} at {decimals}");
        }
    }

    #[test]
    fn signs_and_widths() {
        assert_eq!(signed(b"-1.470", 3), Ok(-1_470));
        assert_eq!(signed(b"-92233720368.54775808", 8), Ok(i64::MIN));
        assert_eq!(signed(b"--1", 3), Err(Refusal::Number));
        assert_eq!(wide(b"1742778450999999.16795780", 8), Ok(174_277_845_099_999_916_795_780));
        assert_eq!(wide(b"-0.5", 1), Ok(-5));
        assert_eq!(wide(b"1e39", 0), Err(Refusal::Number));
    }

    #[test]
    fn means_are_rounded_to_the_nearest() {
        for (text, decimals, expected) in [
            ("86617.12932012", 8, Ok(8_661_712_932_012)),
            ("86617.1293201249", 8, Ok(8_661_712_932_012)),
            ("86617.129320125", 8, Ok(8_661_712_932_013)),
            ("-1.4695", 3, Ok(-1_470)),
            ("-1.46949", 3, Ok(-1_469)),
            ("-0.0004", 3, Ok(0)),
            ("-0.0005", 3, Ok(-1)),
            ("0.5", 0, Ok(1)),
            ("92233720368.547758074", 8, Ok(i64::MAX)),
            ("92233720368.547758075", 8, Err(Refusal::Number)),
            ("1.23456x", 3, Err(Refusal::Number)),
            ("1.2345e2", 3, Ok(123_450)),
            ("1.2345e-2", 3, Err(Refusal::Number)),
            (".1239", 3, Err(Refusal::Number)),
            ("1.2.39", 1, Err(Refusal::Number)),
            ("", 3, Err(Refusal::Number)),
        ] {
            assert_eq!(nearest(text.as_bytes(), decimals), expected, "{text} at {decimals}");
        }
    }

    #[test]
    fn integers_are_whole_and_fit() {
        assert_eq!(integer(b"1789000000123456"), Ok(1_789_000_000_123_456));
        assert_eq!(integer(b"-1"), Ok(-1));
        assert_eq!(integer(b"9223372036854775807"), Ok(i64::MAX));
        for text in ["", "-", "1.0", "1e3", "9223372036854775808", "99999999999999999999", "12a", "012"] {
            assert_eq!(integer(text.as_bytes()), Err(Refusal::Number), "{text}");
        }
    }

    #[test]
    fn eight_digits_are_eight_digits() {
        assert_eq!(eight_digits(b"12345678"), Some(12_345_678));
        assert_eq!(eight_digits(b"00000001\""), Some(1));
        assert_eq!(eight_digits(b"1234567"), None);
        for at in 0..8 {
            for byte in (0..=255_u8).filter(|byte| !byte.is_ascii_digit()) {
                let mut text = *b"90817263";
                text[at] = byte;
                assert_eq!(eight_digits(&text), None, "{text:?}");
            }
        }
    }

    #[test]
    fn digits_end_at_the_point() {
        for (text, expected) in [
            ("1.234567890", Some((1, 1))),
            ("61837.630", Some((61_837, 5))),
            ("0000007.", Some((7, 7))),
            ("9999999.1", Some((9_999_999, 7))),
            (".12345678", None),
            ("12345678.", None),
            ("12x.45678", None),
            ("1/.45678", None),
            ("12345.6", None),
            ("1.2.3456", Some((1, 1))),
            ("1./...../", Some((1, 1))),
        ] {
            assert_eq!(digits_before_point(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn steps_are_printed_with_all_their_decimals() {
        assert_eq!(print(10, 8), "0.00000010");
        assert_eq!(print(1_000_000_000, 8), "10.00000000");
        assert_eq!(print(-5, 1), "-0.5");
        assert_eq!(print(12, 0), "12");
        assert_eq!(print(i64::MIN, 8), "-92233720368.54775808");
    }

    proptest! {
        #[test]
        fn printed_numbers_are_read_back(mantissa: i64, decimals in 0..=DECIMALS_MAX) {
            prop_assert_eq!(signed(print(mantissa, decimals).as_bytes(), decimals), Ok(mantissa));
        }

        #[test]
        fn rounding_moves_by_half_a_step_at_most(mantissa in -9_000_000_i64..9_000_000, from in 0..12_u8, to in 0..12_u8) {
            let rounded = nearest(print(mantissa, from).as_bytes(), to).expect("it fits");
            // Both at 24 places: twice the distance is one step at `to` at most.
            let at_24 = |value: i64, decimals: u8| i128::from(value) * 10_i128.pow(24 - u32::from(decimals));
            let distance = at_24(rounded, to).abs_diff(at_24(mantissa, from));
            prop_assert!(2 * distance <= 10_u128.pow(24 - u32::from(to)) && (to < from || distance == 0));
        }

        #[test]
        fn the_quick_way_agrees_with_the_exact_one(text in "[0-9]{0,12}[.]?[0-9]{0,12}", decimals in 0..=DECIMALS_MAX) {
            if let Some(value) = plain(text.as_bytes(), decimals) {
                prop_assert_eq!(exact(text.as_bytes(), decimals), Some(i128::from(value)));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(text: Vec<u8>, decimals: u8) {
            let _ = (unsigned(&text, decimals), signed(&text, decimals), wide(&text, decimals), nearest(&text, decimals));
        }
    }
}
