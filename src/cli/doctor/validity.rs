//! Until when a certificate is valid: the little of X.509 (RFC 5280, section 4.1) that this takes.

use crate::market::{DAY, Nanos};

/// From when until when a certificate (DER) is valid; `None` if it is none.
pub(super) fn validity(certificate: &[u8]) -> Option<(Nanos, Nanos)> {
    let mut outer = Der(certificate);
    let mut certificate = Der(outer.take(SEQUENCE)?);
    let mut signed = Der(certificate.take(SEQUENCE)?);
    // The version is there from 2 on; then serial number, algorithm, issuer.
    if signed.0.first() == Some(&VERSION) {
        signed.take(VERSION)?;
    }
    signed.take(INTEGER)?;
    signed.take(SEQUENCE)?;
    signed.take(SEQUENCE)?;
    let mut validity = Der(signed.take(SEQUENCE)?);
    Some((validity.time()?, validity.time()?))
}

/// Whole days from `now` to `until`; less than none if it is over.
pub(super) fn days_left(until: Nanos, now: Nanos) -> i64 {
    until.0.saturating_sub(now.0).div_euclid(DAY.0)
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// Values one behind the other: tag, length, content.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next value, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let [found, first, rest @ ..] = self.0 else { return None };
        if *found != tag {
            return None;
        }
        let (length, rest) = match *first {
            short @ ..0x80 => (usize::from(short), rest),
            long => {
                let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                if bytes.is_empty() || bytes.len() > 4 {
                    return None;
                }
                (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
            }
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    /// `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` from then on.
    fn time(&mut self) -> Option<Nanos> {
        let (text, year_digits) = match self.0.first()? {
            &UTC_TIME => (self.take(UTC_TIME)?, 2),
            _ => (self.take(GENERALIZED_TIME)?, 4),
        };
        let digits = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
        if digits.len() != year_digits + 10 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (year, rest) = digits.split_at(year_digits);
        let year: i64 = year.parse().ok()?;
        let year = match year_digits {
            2 if year < 50 => year + 2000,
            2 => year + 1900,
            _ => year,
        };
        let part = |at: usize| rest[at..at + 2].parse::<i64>().ok();
        let days = days_since_epoch(year, part(0)?, part(2)?);
        let seconds = ((days * 24 + part(4)?) * 60 + part(6)?) * 60 + part(8)?;
        Some(Nanos(seconds.saturating_mul(1_000_000_000)))
    }
}

/// By the civil calendar, with years that begin in March.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day
        - 719_469
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;
    use crate::cli::terminal::date_time;

    fn certificate(from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let mut parameters = CertificateParams::new(["localhost".to_owned()]).expect("a sound name");
        parameters.not_before = date_time_ymd(from.0, from.1, from.2);
        parameters.not_after = date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().expect("a key");
        parameters.self_signed(&key).expect("signed").der().to_vec()
    }

    #[test]
    fn both_spellings_of_times_are_read() {
        for until in [(2026, 12, 31), (2049, 3, 1), (2050, 1, 1), (2100, 2, 28), (2028, 2, 29)] {
            let (from, end) = validity(&certificate((2024, 2, 29), until)).expect("a certificate");
            assert_eq!(date_time(from), "2024-02-29 00:00:00.000");
            assert_eq!(date_time(end), format!("{:04}-{:02}-{:02} 00:00:00.000", until.0, until.1, until.2));
        }
        assert_eq!(days_left(Nanos(3 * DAY.0 - 1), Nanos(0)), 2);
        assert_eq!(days_left(Nanos(0), Nanos(1)), -1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, at in 0_usize..400, with: u8) {
            let _ = validity(&bytes);
            static SOUND: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| certificate((2024, 1, 1), (2050, 1, 1)));
            let mut spoiled = SOUND.clone();
            if let Some(byte) = spoiled.get_mut(at) {
                *byte = with;
            }
            let _ = validity(&spoiled);
            let _ = validity(&spoiled[..at.min(spoiled.len())]);
        }
    }
}
