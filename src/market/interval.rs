//! Candle intervals and where their candles begin (binance.md section 4.4).

use super::Nanos;

/// How long a candle lasts. The letters are case-sensitive: `1m` is a minute, `1M` a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Interval {
    Second1,
    Minute1,
    Minute3,
    Minute5,
    Minute15,
    Minute30,
    Hour1,
    Hour2,
    Hour4,
    Hour6,
    Hour8,
    Hour12,
    Day1,
    Day3,
    Week1,
    Month1,
}

/// One minute.
pub const MINUTE: Nanos = Nanos(60 * SECOND_NS);
/// One day.
pub const DAY: Nanos = Nanos(DAY_NS);

const SECOND_NS: i64 = 1_000_000_000;
const DAY_NS: i64 = 86_400 * SECOND_NS;
/// 1970-01-01 was a Thursday; weeks begin on Mondays.
const FIRST_MONDAY_NS: i64 = 4 * DAY_NS;

impl Interval {
    /// All of them, the shortest first.
    pub const ALL: [Self; 16] = [
        Self::Second1,
        Self::Minute1,
        Self::Minute3,
        Self::Minute5,
        Self::Minute15,
        Self::Minute30,
        Self::Hour1,
        Self::Hour2,
        Self::Hour4,
        Self::Hour6,
        Self::Hour8,
        Self::Hour12,
        Self::Day1,
        Self::Day3,
        Self::Week1,
        Self::Month1,
    ];

    /// As Binance spells it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Second1 => "1s",
            Self::Minute1 => "1m",
            Self::Minute3 => "3m",
            Self::Minute5 => "5m",
            Self::Minute15 => "15m",
            Self::Minute30 => "30m",
            Self::Hour1 => "1h",
            Self::Hour2 => "2h",
            Self::Hour4 => "4h",
            Self::Hour6 => "6h",
            Self::Hour8 => "8h",
            Self::Hour12 => "12h",
            Self::Day1 => "1d",
            Self::Day3 => "3d",
            Self::Week1 => "1w",
            Self::Month1 => "1M",
        }
    }

    /// Reads Binance's spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interval| interval.text() == text)
    }

    /// The length in nanoseconds; `None` for months, which have several.
    pub const fn length(self) -> Option<i64> {
        let seconds = match self {
            Self::Second1 => 1,
            Self::Minute1 => 60,
            Self::Minute3 => 180,
            Self::Minute5 => 300,
            Self::Minute15 => 900,
            Self::Minute30 => 1_800,
            Self::Hour1 => 3_600,
            Self::Hour2 => 7_200,
            Self::Hour4 => 14_400,
            Self::Hour6 => 21_600,
            Self::Hour8 => 28_800,
            Self::Hour12 => 43_200,
            Self::Day1 => 86_400,
            Self::Day3 => 259_200,
            Self::Week1 => 604_800,
            Self::Month1 => return None,
        };
        Some(seconds * SECOND_NS)
    }

    /// When the candle that holds `at` opens, in a zone `offset` nanoseconds east of UTC.
    ///
    /// Candles up to three days are aligned to the epoch, weeks to Mondays, months to their first day.
    pub fn open_time(self, at: Nanos, offset: i64) -> Nanos {
        let local = at.0 + offset;
        let open = match (self, self.length()) {
            (Self::Week1, Some(length)) => (local - FIRST_MONDAY_NS).div_euclid(length) * length + FIRST_MONDAY_NS,
            (_, Some(length)) => local.div_euclid(length) * length,
            (_, None) => {
                let (year, month) = year_and_month(local.div_euclid(DAY_NS));
                first_day(year, month) * DAY_NS
            }
        };
        Nanos(open - offset)
    }

    /// When the candle after the one that opens at `open` opens.
    pub fn next_open(self, open: Nanos, offset: i64) -> Nanos {
        match self.length() {
            Some(length) => Nanos(open.0 + length),
            // No month is longer than 31 days, and none is shorter than 28.
            None => self.open_time(Nanos(open.0 + 31 * DAY_NS + DAY_NS / 2), offset),
        }
    }
}

/// In which zone days, weeks and months of a candle stream begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Zone {
    /// UTC.
    #[default]
    Utc,
    /// `@+08:00`, the only other one that streams have.
    Plus8,
}

impl Zone {
    /// Nanoseconds east of UTC.
    pub const fn offset(self) -> i64 {
        match self {
            Self::Utc => 0,
            Self::Plus8 => 8 * 3_600 * SECOND_NS,
        }
    }
}

/// A sequence of candles: an interval in a zone. Intervals that divide eight hours are the same in both zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    interval: Interval,
    zone: Zone,
}

impl Series {
    /// The candles of a second.
    pub const SECOND: Self = Self { interval: Interval::Second1, zone: Zone::Utc };
    /// The candles of a minute.
    pub const MINUTE: Self = Self { interval: Interval::Minute1, zone: Zone::Utc };
    /// The candles of an hour.
    pub const HOUR: Self = Self { interval: Interval::Hour1, zone: Zone::Utc };

    /// How many different ones there are.
    pub const COUNT: usize = Interval::ALL.len() + SHIFTED.len();

    /// All of them, in the order of [`Series::index`]: UTC first.
    pub const ALL: [Self; Self::COUNT] = {
        let mut all = [Self::SECOND; Self::COUNT];
        let mut at = 0;
        while at < Self::COUNT {
            all[at] = if at < Interval::ALL.len() {
                Self { interval: Interval::ALL[at], zone: Zone::Utc }
            } else {
                Self { interval: SHIFTED[at - Interval::ALL.len()], zone: Zone::Plus8 }
            };
            at += 1;
        }
        all
    };

    /// The series of `interval` in `zone`; the one of UTC where the zone makes no difference.
    pub fn new(interval: Interval, zone: Zone) -> Self {
        let zone = if SHIFTED.contains(&interval) { zone } else { Zone::Utc };
        Self { interval, zone }
    }

    /// The place in [`Series::ALL`].
    pub const fn index(self) -> usize {
        match self.zone {
            Zone::Utc => self.interval as usize,
            Zone::Plus8 => {
                let mut at = 0;
                while SHIFTED[at] as usize != self.interval as usize {
                    at += 1;
                }
                Interval::ALL.len() + at
            }
        }
    }

    /// Its interval.
    pub const fn interval(self) -> Interval {
        self.interval
    }

    /// Its zone.
    pub const fn zone(self) -> Zone {
        self.zone
    }

    /// When the candle that holds `at` opens.
    pub fn open_time(self, at: Nanos) -> Nanos {
        self.interval.open_time(at, self.zone.offset())
    }

    /// When the candle after the one that opens at `open` opens.
    pub fn next_open(self, open: Nanos) -> Nanos {
        self.interval.next_open(open, self.zone.offset())
    }
}

/// What eight hours east of UTC begins at another time.
const SHIFTED: [Interval; 6] =
    [Interval::Hour6, Interval::Hour12, Interval::Day1, Interval::Day3, Interval::Week1, Interval::Month1];

/// Year and month (1 to 12) of a day since 1970-01-01. Years are counted from March, so that the leap day is their last.
fn year_and_month(day: i64) -> (i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month)
}

/// The first day of a month, in days since 1970-01-01.
fn first_day(year: i64, month: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * month_from_march + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 15:52:05.123 UTC, a Sunday.
    const NOW: Nanos = Nanos::from_millis(1_795_362_725_123);

    fn millis(interval: Interval, zone: Zone) -> i64 {
        Series::new(interval, zone).open_time(NOW).millis()
    }

    #[test]
    fn series_are_dense_and_reversible() {
        for (index, series) in Series::ALL.into_iter().enumerate() {
            assert_eq!(series.index(), index);
            assert_eq!(Series::new(series.interval(), series.zone()), series);
            assert_eq!(Interval::parse(series.interval().text()), Some(series.interval()));
        }
        assert_eq!(Series::new(Interval::Hour4, Zone::Plus8), Series::new(Interval::Hour4, Zone::Utc));
        assert_eq!(Interval::parse("1H"), None);
    }

    #[test]
    fn candles_begin_where_binance_begins_them() {
        for (interval, zone, open) in [
            (Interval::Second1, Zone::Utc, 1_795_362_725_000),
            (Interval::Minute1, Zone::Utc, 1_795_362_720_000),
            (Interval::Hour4, Zone::Plus8, 1_795_348_800_000),
            // 2026-11-22 00:00 UTC, and 16:00 UTC of the day before.
            (Interval::Day1, Zone::Utc, 1_795_305_600_000),
            (Interval::Day1, Zone::Plus8, 1_795_276_800_000),
            (Interval::Hour6, Zone::Plus8, 1_795_305_600_000 + 10 * 3_600_000),
            // Monday 2026-11-16 00:00.
            (Interval::Week1, Zone::Utc, 1_794_787_200_000),
            (Interval::Week1, Zone::Plus8, 1_794_787_200_000 - 28_800_000),
            // 2026-11-01 00:00.
            (Interval::Month1, Zone::Utc, 1_793_491_200_000),
            (Interval::Month1, Zone::Plus8, 1_793_491_200_000 - 28_800_000),
        ] {
            assert_eq!(millis(interval, zone), open, "{interval:?} {zone:?}");
        }
    }

    #[test]
    fn every_candle_ends_where_the_next_one_begins() {
        for series in Series::ALL {
            let mut open = series.open_time(NOW);
            for _ in 0..40 {
                assert_eq!(series.open_time(open), open, "{series:?}");
                let next = series.next_open(open);
                assert!(next > open);
                assert_eq!(series.open_time(Nanos(next.0 - 1)), open, "{series:?}");
                open = next;
            }
        }
    }

    #[test]
    fn months_follow_the_calendar() {
        // 2024-01-31 12:00 UTC, then a leap February, then December into another year.
        let at = Nanos::from_millis(1_706_702_400_000);
        let january = Interval::Month1.open_time(at, 0);
        assert_eq!(january.millis(), 1_704_067_200_000);
        let lengths: Vec<_> = (0..12)
            .scan(january, |open, _| {
                let next = Interval::Month1.next_open(*open, 0);
                let days = (next.0 - open.0) / DAY_NS;
                *open = next;
                Some(days)
            })
            .collect();
        assert_eq!(lengths, [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]);
    }
}
