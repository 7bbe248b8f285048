//! How values are spelled: symbols, lists, zones, windows.

use std::time::Duration;

use crate::topic::SYMBOL_CHARS_MAX;

const MINUTE_NS: i64 = 60_000_000_000;

/// Word characters (of any script) without `a-z`, and `- . _`; at most 50.
pub(super) fn is_symbol(text: &str) -> bool {
    let legal = |c: char| (c.is_alphanumeric() && !c.is_ascii_lowercase()) || matches!(c, '-' | '.' | '_');
    !text.is_empty() && text.chars().all(legal) && text.chars().count() <= SYMBOL_CHARS_MAX
}

/// A JSON array of strings without any space, each of which `is_legal`.
pub(super) fn list_of(text: &str, is_legal: impl Fn(&str) -> bool) -> Option<Vec<&str>> {
    if text == "[]" {
        return Some(Vec::new());
    }
    let inside = text.strip_prefix("[\"")?.strip_suffix("\"]")?;
    let list: Vec<_> = inside.split("\",\"").collect();
    list.iter().all(|item| is_legal(item)).then_some(list)
}

/// Nanoseconds east of UTC of `0`, `8`, `-1:00`, `05:45`: hours, or hours and minutes, from -12:00 to +14:00.
pub(super) fn zone_offset(text: &str) -> Option<i64> {
    let (sign, text) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let (hours, minutes) = text.split_once(':').unwrap_or((text, "00"));
    let has_lengths = matches!(hours.len(), 1 | 2) && minutes.len() == 2;
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !has_lengths || !is_digits(hours) || !is_digits(minutes) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let offset = sign * (hours * 60 + minutes);
    (minutes < 60 && (-12 * 60..=14 * 60).contains(&offset)).then_some(offset * MINUTE_NS)
}

/// `1m` to `59m`, `1h` to `23h`, `1d` to `7d`.
pub(super) fn window(text: &str) -> Option<Duration> {
    let count = |digits: &str| -> Option<u64> {
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        if is_plain { digits.parse().ok() } else { None }
    };
    let (most, minutes) = match text.as_bytes().last()? {
        b'm' => (59, 1),
        b'h' => (23, 60),
        b'd' => (7, 1440),
        _ => return None,
    };
    let count = count(&text[..text.len() - 1])?;
    (count <= most).then(|| Duration::from_secs(60 * minutes * count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_hours_or_hours_and_minutes_within_half_a_world() {
        for (text, minutes) in [
            ("0", 0),
            ("8", 480),
            ("08", 480),
            ("+8", 480),
            ("-1:00", -60),
            ("05:45", 345),
            ("5:45", 345),
            ("-0:30", -30),
            ("14", 840),
            ("14:00", 840),
            ("-12:00", -720),
        ] {
            assert_eq!(zone_offset(text), Some(minutes * MINUTE_NS), "{text}");
        }
        for text in [
            "", "-", "+", "15", "14:01", "-12:01", "-13", "5:4", "5:60", "5:", ":30", "123", "a", "5:45:00", "--5",
            "5.5", "８",
        ] {
            assert_eq!(zone_offset(text), None, "{text}");
        }
    }

    #[test]
    fn windows_end_where_the_next_unit_begins() {
        for (text, minutes) in [("1m", 1), ("59m", 59), ("1h", 60), ("23h", 1380), ("1d", 1440), ("7d", 10_080)] {
            assert_eq!(window(text), Some(Duration::from_secs(60 * minutes)), "{text}");
        }
        for text in
            ["", "m", "0m", "60m", "24h", "8d", "1w", "1M", "01m", "-1m", "+1m", "1 m", "99999999999999999999m", "1é"]
        {
            assert_eq!(window(text), None, "{text}");
        }
    }
}
