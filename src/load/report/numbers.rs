//! Numbers as a person reads them, and durations on a scale that a person can follow.

use super::{Bar, Histogram};

/// The histogram in bars between `bounds` (nanoseconds, ascending), without the empty ones at both ends. What lies beyond
/// the last bound is one bar.
pub(super) fn bars(histogram: &Histogram, mut bounds: impl Iterator<Item = u64>) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    let (mut from, mut to, mut count) = (0, bounds.next().unwrap_or(u64::MAX), 0);
    let bar = |from: u64, to: u64, count| Bar { from_ms: from as f64 / 1e6, to_ms: to as f64 / 1e6, count };
    for (nanos, more) in histogram.filled() {
        while nanos >= to && to < u64::MAX {
            if count > 0 || !bars.is_empty() {
                bars.push(bar(from, to, count));
            }
            (from, to, count) = (to, bounds.next().unwrap_or(u64::MAX), 0);
        }
        count += more;
    }
    if count > 0 {
        bars.push(bar(from, to, count));
    }
    bars
}

/// Six bounds a decade that are easy to read and about as far from each other: 1, 1.5, 2, 3, 5, 7 us and so on.
pub(super) fn round_bounds() -> impl Iterator<Item = u64> {
    (0..DECADES).flat_map(|decade| [10, 15, 20, 30, 50, 70].map(|step| SHORTEST / 10 * step * 10_u64.pow(decade)))
}

/// Sixteen bounds a decade in equal steps on a log scale.
pub(super) fn even_bounds() -> impl Iterator<Item = u64> {
    (0..16 * DECADES).map(|step| (SHORTEST as f64 * 10_f64.powf(f64::from(step) / 16.0)) as u64)
}

/// The shortest bound, in nanoseconds: everything below is one bar.
const SHORTEST: u64 = 1000;
/// From a microsecond to days.
const DECADES: u32 = 12;

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Milliseconds in the unit that fits: `850 us`, `3.21 ms`, `1.50 s`.
pub(super) fn duration(ms: f64) -> String {
    let (value, unit) = match ms {
        ..1.0 => (ms * 1000.0, "µs"),
        1.0..1000.0 => (ms, "ms"),
        _ => (ms / 1000.0, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

/// Bytes in the unit that fits: `512 B`, `1.25 KB`, `41.9 MB`.
pub(super) fn bytes(count: f64) -> String {
    let units = ["B", "KB", "MB", "GB"];
    let mut value = count;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{} {}", three_digits(value), units[unit])
}

fn three_digits(value: f64) -> String {
    match value {
        ..10.0 if value.fract() != 0.0 => format!("{value:.2}"),
        10.0..100.0 if value.fract() != 0.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        for (number, text) in [(0.0, "0"), (999.0, "999"), (1000.0, "1,000"), (1_234_567.4, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        for (ms, text) in
            [(0.0, "0 µs"), (0.8504, "850 µs"), (3.2149, "3.21 ms"), (42.35, "42.4 ms"), (1500.0, "1.50 s")]
        {
            assert_eq!(duration(ms), text);
        }
        for (count, text) in [(512.0, "512 B"), (1250.0, "1.25 KB"), (41_940_000.0, "41.9 MB"), (0.0, "0 B")] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn bars_tile_and_hold_everything() {
        let mut histogram = Histogram::default();
        for micros in [0, 3, 120, 120, 121, 4_000, 4_900, 5_100, 90_000_000] {
            histogram.add(Duration::from_micros(micros));
        }
        let bars = bars(&histogram, round_bounds());
        assert_eq!(bars.iter().map(|bar| bar.count).sum::<u64>(), 9);
        assert!(bars.windows(2).all(|pair| pair[0].to_ms == pair[1].from_ms), "{bars:?}");
        assert_eq!((bars[0].from_ms, bars[0].count), (0.0, 1));
        let last = bars.last().expect("some");
        assert_eq!((last.from_ms, last.to_ms, last.count), (70_000.0, 100_000.0, 1));
        let of = |ms: f64| bars.iter().find(|bar| bar.from_ms <= ms && ms < bar.to_ms).expect("a bar").count;
        assert_eq!((of(0.12), of(4.5), of(6.0), of(1.0)), (3, 2, 1, 0));
        assert!(super::bars(&Histogram::default(), round_bounds()).is_empty());
    }

    #[test]
    fn bounds_ascend() {
        assert!(round_bounds().is_sorted_by(|one, next| one < next));
        assert!(even_bounds().is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn the_longest_duration_has_a_bar() {
        let mut histogram = Histogram::default();
        histogram.add(Duration::MAX);
        for bars in [bars(&histogram, round_bounds()), bars(&histogram, even_bounds())] {
            assert_eq!(bars.iter().map(|bar| bar.count).sum::<u64>(), 1);
        }
    }
}
