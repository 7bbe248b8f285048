//! Integers and fixed-point decimals as text, without floats and without allocation.

/// Most digits behind the point that a mantissa can have; 10^38 is the last power of ten in 128 bits.
const DECIMALS_MAX: u8 = 38;

/// Appends `value` in decimal.
pub fn integer(out: &mut Vec<u8>, value: i64) {
    unsigned(out, value < 0, value.unsigned_abs(), 0);
}

/// Appends the scaled integer `mantissa` with exactly `decimals` digits behind the point (`-0.00000001`, `12.50`).
///
/// With no decimals there is no point. More than 38 decimals are printed as 38: no mantissa has them.
pub fn decimal(out: &mut Vec<u8>, mantissa: i64, decimals: u8) {
    unsigned(out, mantissa < 0, mantissa.unsigned_abs(), decimals);
}

/// [`decimal`] for sums that 64 bits do not hold.
pub fn decimal_wide(out: &mut Vec<u8>, mantissa: i128, decimals: u8) {
    match u64::try_from(mantissa.unsigned_abs()) {
        Ok(narrow) => unsigned(out, mantissa < 0, narrow, decimals),
        Err(_) => wide(out, mantissa < 0, mantissa.unsigned_abs(), decimals),
    }
}

fn unsigned(out: &mut Vec<u8>, negative: bool, value: u64, decimals: u8) {
    // Eight decimals are nearly all there is, and dividing by a constant is several times faster than by a variable.
    let (whole, fraction) = match decimals {
        0 => (value, 0),
        8 => (value / 100_000_000, value % 100_000_000),
        1..=19 => {
            let power = 10_u64.pow(u32::from(decimals));
            (value / power, value % power)
        }
        _ => return wide(out, negative, u128::from(value), decimals),
    };
    let mut text = Backwards::default();
    if decimals > 0 {
        text.padded(fraction, decimals);
        text.byte(b'.');
    }
    text.plain(whole);
    if negative {
        text.byte(b'-');
    }
    out.extend_from_slice(text.as_bytes());
}

#[cold]
fn wide(out: &mut Vec<u8>, negative: bool, mut value: u128, decimals: u8) {
    debug_assert!(decimals <= DECIMALS_MAX, "venues are refused that print more");
    let decimals = decimals.min(DECIMALS_MAX);
    let mut text = Backwards::default();
    for _ in 0..decimals {
        text.byte(b'0' + (value % 10) as u8);
        value /= 10;
    }
    if decimals > 0 {
        text.byte(b'.');
    }
    loop {
        text.byte(b'0' + (value % 10) as u8);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    if negative {
        text.byte(b'-');
    }
    out.extend_from_slice(text.as_bytes());
}

/// Text written from its end: 39 digits, 38 decimals, point and sign fit.
struct Backwards {
    bytes: [u8; 80],
    at: usize,
}

impl Default for Backwards {
    fn default() -> Self {
        Self { bytes: [0; 80], at: 80 }
    }
}

impl Backwards {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn byte(&mut self, byte: u8) {
        self.at -= 1;
        self.bytes[self.at] = byte;
    }

    fn pair(&mut self, value: u64) {
        let from = value as usize * 2;
        self.at -= 2;
        self.bytes[self.at..self.at + 2].copy_from_slice(&PAIRS[from..from + 2]);
    }

    fn padded(&mut self, mut value: u64, digits: u8) {
        for _ in 0..digits / 2 {
            self.pair(value % 100);
            value /= 100;
        }
        if digits % 2 == 1 {
            self.byte(b'0' + value as u8);
        }
    }

    fn plain(&mut self, mut value: u64) {
        while value >= 100 {
            self.pair(value % 100);
            value /= 100;
        }
        if value >= 10 {
            self.pair(value);
        } else {
            self.byte(b'0' + value as u8);
        }
    }
}

/// `00`, `01`, ... `99`: two digits per division.
const PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut value = 0;
    while value < 100 {
        pairs[value * 2] = b'0' + (value / 10) as u8;
        pairs[value * 2 + 1] = b'0' + (value % 10) as u8;
        value += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rule once more, by strings: pad with zeros, then put the point in.
    fn oracle(mantissa: i128, decimals: u8) -> String {
        let decimals = usize::from(decimals);
        let digits = format!("{:0>width$}", mantissa.unsigned_abs(), width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        let sign = if mantissa < 0 { "-" } else { "" };
        if decimals == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }

    fn printed(mantissa: i128, decimals: u8) -> String {
        let mut out = Vec::new();
        decimal_wide(&mut out, mantissa, decimals);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn edges_print_as_on_the_wire() {
        for (mantissa, decimals, expected) in [
            (0, 8, "0.00000000"),
            (1, 8, "0.00000001"),
            (-1, 8, "-0.00000001"),
            (8_670_478_000_000, 8, "86704.78000000"),
            (i128::from(i64::MAX), 8, "92233720368.54775807"),
            (420, 3, "0.420"),
            (-1470, 3, "-1.470"),
            (728_500, 2, "7285.00"),
            (7, 0, "7"),
            (i128::from(u64::MAX) + 1, 8, "184467440737.09551616"),
            (i128::MIN, 0, "-170141183460469231731687303715884105728"),
        ] {
            assert_eq!(printed(mantissa, decimals), expected);
        }
    }

    proptest! {
        #[test]
        fn decimals_agree_with_an_independent_formatter(mantissa: i64, decimals in 0_u8..=38) {
            let mut out = Vec::new();
            decimal(&mut out, mantissa, decimals);
            prop_assert_eq!(String::from_utf8(out).unwrap(), oracle(i128::from(mantissa), decimals));
        }

        #[test]
        fn sums_agree_with_an_independent_formatter(mantissa: i128, shift in 0_u32..120, decimals in 0_u8..=38) {
            let mantissa = mantissa >> shift;
            prop_assert_eq!(printed(mantissa, decimals), oracle(mantissa, decimals));
        }

        #[test]
        fn integers_agree_with_the_standard_library(value: i64) {
            let mut out = Vec::new();
            integer(&mut out, value);
            prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
