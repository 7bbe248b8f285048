//! Scaled integers to and from the decimal text of the wire, at the eight decimals that Binance prints.

/// One, at eight decimals.
pub(super) const ONE: i64 = 100_000_000;

/// `mantissa` at eight decimals as text.
pub(super) fn text(mantissa: i64) -> String {
    let mut out = String::with_capacity(20);
    push(&mut out, i128::from(mantissa), 8);
    out
}

/// Appends `mantissa` at `decimals` as fixed-point text with all its zeros, as the wire has it.
pub(super) fn push(out: &mut String, mantissa: i128, decimals: usize) {
    if mantissa < 0 {
        out.push('-');
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(mantissa.unsigned_abs());
    if decimals == 0 {
        out.push_str(digits);
        return;
    }
    let whole = digits.len().saturating_sub(decimals);
    out.push_str(if whole == 0 { "0" } else { &digits[..whole] });
    out.push('.');
    for _ in digits.len()..decimals {
        out.push('0');
    }
    out.push_str(&digits[whole..]);
}

/// Reads decimal text (an exponent may follow) exactly to a mantissa at `decimals`; `None` if it is no number, does not
/// fit, or has more significant decimals than that.
pub(super) fn parse(text: &str, decimals: u32) -> Option<i64> {
    let (number, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || number.len() > 40 {
        return None;
    }
    let mut mantissa: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let shift = i32::try_from(decimals).ok()?.checked_add(exponent)?.checked_sub(fraction.len() as i32)?;
    let scale = 10_i128.checked_pow(shift.unsigned_abs());
    let scaled = match (shift >= 0, scale) {
        (true, Some(scale)) => mantissa.checked_mul(scale)?,
        (false, Some(scale)) if mantissa % scale == 0 => mantissa / scale,
        _ if mantissa == 0 => 0,
        _ => return None,
    };
    i64::try_from(if negative { -scaled } else { scaled }).ok()
}

/// How many decimals a number's text needs: trailing zeros do not count, an exponent does.
pub(super) fn decimals_needed(text: &str) -> u32 {
    (0..=18).find(|&decimals| parse(text, decimals).is_some()).unwrap_or(18)
}

/// `numerator / denominator` to the nearest integer, halves away from zero. `denominator` is positive.
pub(super) fn divide_nearest(numerator: i128, denominator: i128) -> i128 {
    let half = denominator / 2;
    (if numerator < 0 { numerator - half } else { numerator + half }) / denominator
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_all_its_zeros() {
        assert_eq!(text(0), "0.00000000");
        assert_eq!(text(1), "0.00000001");
        assert_eq!(text(-123_456_789_012), "-1234.56789012");
        let mut out = String::new();
        push(&mut out, -1470, 3);
        assert_eq!(out, "-1.470");
        out.clear();
        push(&mut out, 12, 0);
        assert_eq!(out, "12");
    }

    #[test]
    fn parse_is_exact_or_refuses() {
        assert_eq!(parse("29430.2", 1), Some(294_302));
        assert_eq!(parse("29430.20", 1), Some(294_302));
        assert_eq!(parse("29430.25", 1), None);
        assert_eq!(parse("1e-05", 8), Some(1_000));
        assert_eq!(parse("7e-7", 6), None);
        assert_eq!(parse("-4", 2), Some(-400));
        assert_eq!(parse("0.0", 0), Some(0));
        for wrong in ["", ".", "-", "1.2.3", "x", "1e", "1e999", "99999999999999999999"] {
            assert_eq!(parse(wrong, 8), None, "{wrong}");
        }
        assert_eq!((decimals_needed("4.0"), decimals_needed("0.2997598"), decimals_needed("1e-05")), (0, 7, 5));
    }

    #[test]
    fn halves_round_away_from_zero() {
        assert_eq!([divide_nearest(5, 2), divide_nearest(-5, 2), divide_nearest(4, 3)], [3, -3, 1]);
    }
}
