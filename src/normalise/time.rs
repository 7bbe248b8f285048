//! RFC 3339 text to nanoseconds.

use super::Refusal;
use crate::market::Nanos;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Reads `2023-07-30T15:29:58.343415Z`: zero to nine digits of a fraction, `Z` or an offset like `+02:00`.
///
/// # Errors
/// [`Refusal::Number`] for anything else, and for years that 64 bits of nanoseconds do not hold (before 1970, after 2261).
pub fn rfc3339(text: &[u8]) -> Result<Nanos, Refusal> {
    parse(text).map(Nanos).ok_or(Refusal::Number)
}

fn parse(text: &[u8]) -> Option<i64> {
    let (head, rest) = text.split_at_checked(19)?;
    let separators = [head[4], head[7], head[10], head[13], head[16]];
    if separators != *b"--T::" {
        return None;
    }
    let year = digits(&head[..4])?;
    let month = within(digits(&head[5..7])?, 1, 12)?;
    let day = within(digits(&head[8..10])?, 1, days_in_month(year, month))?;
    let hour = within(digits(&head[11..13])?, 0, 23)?;
    let minute = within(digits(&head[14..16])?, 0, 59)?;
    // A leap second is written as 60 and counts as the first one of the next minute, as Unix time has it.
    let second = within(digits(&head[17..19])?, 0, 60)?;
    let year = within(year, 1970, 2261)?;
    let (nanos, zone) = fraction(rest)?;
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset(zone)?;
    (seconds >= 0).then(|| seconds * NANOS_PER_SECOND + nanos)
}

/// The nanoseconds of a fraction, if there is one, and what follows it.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.', rest @ ..] = text else { return Some((0, text)) };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length > 9 {
        return None;
    }
    let (fraction, zone) = rest.split_at(length);
    Some((digits(fraction)? * 10_i64.pow(9 - length as u32), zone))
}

/// Seconds east of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let hours = within(digits(&[*h1, *h2])?, 0, 23)?;
            let minutes = within(digits(&[*m1, *m2])?, 0, 59)?;
            let seconds = hours * 3_600 + minutes * 60;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

fn within(value: i64, least: i64, most: i64) -> Option<i64> {
    (least..=most).contains(&value).then_some(value)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar; years begin in March, so that the leap day is a year's last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fractions_of_any_length_are_exact() {
        let whole = 1_690_730_998_000_000_000;
        for (text, expected) in [
            ("2023-07-30T15:29:58Z", whole),
            ("2023-07-30T15:29:58.3Z", whole + 300_000_000),
            ("2023-07-30T15:29:58.343415Z", whole + 343_415_000),
            ("2023-07-30T15:29:58.343415999Z", whole + 343_415_999),
            ("2023-07-30T17:29:58.000000+02:00", whole),
            ("2023-07-30T08:59:58-06:30", whole),
            ("1970-01-01T00:00:00Z", 0),
            ("2024-02-29T23:59:60Z", 1_709_251_200_000_000_000),
            ("2100-03-01T00:00:00Z", 4_107_542_400_000_000_000),
        ] {
            assert_eq!(rfc3339(text.as_bytes()), Ok(Nanos(expected)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "2023-07-30",
            "2023-07-30 15:29:58Z",
            "2023-07-30T15:29:58",
            "2023-07-30T15:29:58.0123456789Z",
            "2023-02-29T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-01-01T24:00:00Z",
            "0001-01-01T00:00:00Z",
            "2500-01-01T00:00:00Z",
            "1970-01-01T00:00:00+01:00",
            "2023-07-30T15:29:58Zulu",
            "2023-07-30T15:29:5\u{fc}Z",
        ] {
            assert_eq!(rfc3339(text.as_bytes()), Err(Refusal::Number), "{text}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut expected = 0;
        for year in 1970..2262 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    assert_eq!(days_since_epoch(year, month, day), expected, "{year}-{month}-{day}");
                    expected += 1;
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text: Vec<u8>) {
            let _ = rfc3339(&text);
        }
    }
}
