//! Where candles begin and end, by a calendar of the exchange's own (binance.md section 4.4), and the sizes of windows.

/// A sequence of candles. Times are seconds since the epoch: no candle begins within one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Timeframe {
    length: Length,
    /// Seconds east of UTC: where days, weeks and months begin.
    offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Length {
    Seconds(i64),
    Week,
    Month,
}

/// One hour.
pub(super) const HOUR_S: i64 = 3_600;
/// One day.
pub(super) const DAY_S: i64 = 24 * HOUR_S;

const LENGTHS: [(&str, Length); 16] = [
    ("1s", Length::Seconds(1)),
    ("1m", Length::Seconds(60)),
    ("3m", Length::Seconds(180)),
    ("5m", Length::Seconds(300)),
    ("15m", Length::Seconds(900)),
    ("30m", Length::Seconds(1_800)),
    ("1h", Length::Seconds(HOUR_S)),
    ("2h", Length::Seconds(2 * HOUR_S)),
    ("4h", Length::Seconds(4 * HOUR_S)),
    ("6h", Length::Seconds(6 * HOUR_S)),
    ("8h", Length::Seconds(8 * HOUR_S)),
    ("12h", Length::Seconds(12 * HOUR_S)),
    ("1d", Length::Seconds(DAY_S)),
    ("3d", Length::Seconds(3 * DAY_S)),
    ("1w", Length::Week),
    ("1M", Length::Month),
];

impl Timeframe {
    /// The candles of UTC minutes.
    #[cfg(test)]
    pub(super) const MINUTE: Self = Self { length: Length::Seconds(60), offset: 0 };
    /// The days of UTC.
    pub(super) const DAY: Self = Self { length: Length::Seconds(DAY_S), offset: 0 };
    /// The months of UTC.
    pub(super) const MONTH: Self = Self { length: Length::Month, offset: 0 };

    /// Reads Binance's spelling of an interval, `offset` seconds east of UTC.
    pub(super) fn parse(interval: &str, offset: i64) -> Option<Self> {
        let (_, length) = LENGTHS.iter().find(|(text, _)| *text == interval)?;
        Some(Self { length: *length, offset })
    }

    /// The days of a zone.
    pub(super) const fn day(offset: i64) -> Self {
        Self { offset, ..Self::DAY }
    }

    /// All that streams have: UTC and eight hours east of it.
    #[cfg(test)]
    pub(super) fn all() -> impl Iterator<Item = Self> {
        [0, 8 * HOUR_S].into_iter().flat_map(|offset| LENGTHS.map(|(_, length)| Self { length, offset }))
    }

    /// The interval as Binance spells it.
    pub(super) fn text(self) -> &'static str {
        LENGTHS.iter().find(|(_, length)| *length == self.length).map_or("", |(text, _)| text)
    }

    /// Whether its candles last a second.
    pub(super) fn is_second(self) -> bool {
        self.length == Length::Seconds(1)
    }

    /// When the candle that holds `at` opens.
    pub(super) fn open(self, at: i64) -> i64 {
        let local = at + self.offset;
        let open = match self.length {
            Length::Seconds(length) => local - local.rem_euclid(length),
            Length::Week => {
                // The first day of the epoch was a Thursday.
                let weekday = (local.div_euclid(DAY_S) + 3).rem_euclid(7);
                (local.div_euclid(DAY_S) - weekday) * DAY_S
            }
            Length::Month => {
                let day = local.div_euclid(DAY_S);
                let (mut year, mut first) = (1970, 0);
                while first + days_in_year(year) <= day {
                    first += days_in_year(year);
                    year += 1;
                }
                let mut month = 0;
                while first + days_in_month(year, month) <= day {
                    first += days_in_month(year, month);
                    month += 1;
                }
                first * DAY_S
            }
        };
        open - self.offset
    }

    /// When the candle after the one that opens at `open` opens.
    pub(super) fn next(self, open: i64) -> i64 {
        match self.length {
            Length::Seconds(length) => open + length,
            Length::Week => open + 7 * DAY_S,
            // The 32nd day of any month lies in the next one.
            Length::Month => self.open(open + 31 * DAY_S + HOUR_S),
        }
    }
}

fn days_in_year(year: i64) -> i64 {
    if is_leap(year) { 366 } else { 365 }
}

/// `month` counts from zero.
fn days_in_month(year: i64, month: usize) -> i64 {
    let days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month % 12];
    if month == 1 && is_leap(year) { days + 1 } else { days }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// A window that rolling tickers have as streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Window {
    Hour1,
    Hour4,
    Day1,
}

impl Window {
    pub(super) const ALL: [Self; 3] = [Self::Hour1, Self::Hour4, Self::Day1];

    /// As in `ticker_1h` and in `1hTicker`.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Hour1 => "1h",
            Self::Hour4 => "4h",
            Self::Day1 => "1d",
        }
    }

    /// The length in minutes.
    pub(super) const fn minutes(self) -> i64 {
        match self {
            Self::Hour1 => 60,
            Self::Hour4 => 240,
            Self::Day1 => 1_440,
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.text() == text)
    }
}

/// The minutes of a `windowSize` of REST: `1m` to `59m`, `1h` to `23h`, `1d` to `7d`.
pub(super) fn window_minutes(text: &str) -> Option<i64> {
    let unit = text.chars().next_back()?;
    let digits = &text[..text.len() - unit.len_utf8()];
    let count: i64 = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let (minutes, most) = match unit {
        'm' => (1, 59),
        'h' => (60, 23),
        'd' => (1_440, 7),
        _ => return None,
    };
    (1..=most).contains(&count).then_some(count * minutes)
}

/// Seconds east of UTC of a `timeZone` of REST: hours, or hours and minutes, from -12:00 to +14:00.
pub(super) fn zone_offset(text: &str) -> Option<i64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "00"));
    let number = |text: &str, most: i64| {
        let is_short = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|value| is_short && *value <= most)
    };
    let offset = sign * (number(hours, 14)? * HOUR_S + number(minutes, 59)? * 60);
    (-12 * HOUR_S..=14 * HOUR_S).contains(&offset).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 15:52:05 UTC, a Sunday.
    const NOW: i64 = 1_795_362_725;

    #[test]
    fn candles_begin_where_the_calendar_says() {
        let open = |interval, hours| Timeframe::parse(interval, hours * HOUR_S).expect("an interval").open(NOW);
        assert_eq!(open("1s", 0), NOW);
        assert_eq!(open("1m", 0), 1_795_362_720);
        assert_eq!(open("4h", 8), 1_795_348_800);
        // 2026-11-22 00:00, and 16:00 of the day before.
        assert_eq!((open("1d", 0), open("1d", 8)), (1_795_305_600, 1_795_276_800));
        // 20,779 days are 6,926 times 3 and 1: the second day of its three.
        assert_eq!(open("3d", 0), 1_795_305_600 - DAY_S);
        // Monday the 16th, Sunday the 1st.
        assert_eq!((open("1w", 0), open("1w", 8)), (1_794_787_200, 1_794_758_400));
        assert_eq!((open("1M", 0), open("1M", 8)), (1_793_491_200, 1_793_462_400));
        assert_eq!(Timeframe::parse("7m", 0), None);
    }

    #[test]
    fn candles_tile_time() {
        for timeframe in Timeframe::all() {
            let mut open = timeframe.open(NOW);
            for _ in 0..60 {
                let next = timeframe.next(open);
                assert_eq!((timeframe.open(open), timeframe.open(next - 1)), (open, open), "{timeframe:?}");
                assert_eq!(timeframe.open(next), next, "{timeframe:?}");
                open = next;
            }
        }
    }

    #[test]
    fn months_have_their_days() {
        // From 2024-01-01, a leap year.
        let mut open = 1_704_067_200;
        let days: Vec<i64> = (0..14)
            .map(|_| {
                let next = Timeframe::MONTH.next(open);
                (std::mem::replace(&mut open, next), next)
            })
            .map(|(open, next)| (next - open) / DAY_S)
            .collect();
        assert_eq!(days, [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 28]);
    }

    #[test]
    fn windows_and_zones_are_read_or_refused() {
        let windows = ["1m", "59m", "1h", "23h", "1d", "7d"].map(window_minutes);
        assert_eq!(windows, [Some(1), Some(59), Some(60), Some(1_380), Some(1_440), Some(10_080)]);
        for wrong in ["", "m", "0m", "60m", "24h", "8d", "1w", "-1m", "+1m", "1", "1\u{e9}"] {
            assert_eq!(window_minutes(wrong), None, "{wrong}");
        }
        let zones = ["0", "8", "-1:00", "05:45", "14", "-12:00"].map(zone_offset);
        assert_eq!(zones, [Some(0), Some(28_800), Some(-3_600), Some(20_700), Some(50_400), Some(-43_200)]);
        for wrong in ["", "x", "15", "-12:01", "14:01", "5:60", "1:2:3", "--1", "123"] {
            assert_eq!(zone_offset(wrong), None, "{wrong}");
        }
    }
}
