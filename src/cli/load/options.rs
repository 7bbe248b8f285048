//! Values as a person types them.

use std::time::Duration;

use crate::load::{CLIENTS_MAX, PER_CLIENT_MAX, Storm, THREADS_MAX};

pub(super) fn clients(text: &str) -> Result<usize, String> {
    within(text, CLIENTS_MAX)
}

pub(super) fn per_client(text: &str) -> Result<usize, String> {
    within(text, PER_CLIENT_MAX)
}

pub(super) fn threads(text: &str) -> Result<usize, String> {
    within(text, THREADS_MAX)
}

fn within(text: &str, most: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("it has to be a number from 1 to {most}"))
}

/// A stream's name; what it names is the server's business.
pub(super) fn stream(text: &str) -> Result<String, String> {
    let name = text.trim();
    let is_name = !name.is_empty() && !name.contains(['/', '"', '\\', '?', '&', ' ']) && name.contains(['@', '!']);
    is_name.then(|| name.to_owned()).ok_or_else(|| "a stream is symbol@channel, e.g. btcusdt@trade".to_owned())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    time(text).and_then(|time| {
        let is_within = (Duration::from_millis(100)..=Duration::from_secs(86_400)).contains(&time);
        is_within.then_some(time).ok_or_else(|| "it has to be from 100ms to 24h".to_owned())
    })
}

pub(super) fn pause(text: &str) -> Result<Duration, String> {
    let is_short = |time: &Duration| *time <= Duration::from_secs(3600);
    time(text).and_then(|time| is_short(&time).then_some(time).ok_or_else(|| "it has to be from 0s to 1h".to_owned()))
}

pub(super) fn storm(text: &str) -> Result<Storm, String> {
    let (clients, every) = text.split_once('/').ok_or("it has to be clients/time, e.g. 200/5s")?;
    Ok(Storm { clients: within(clients, CLIENTS_MAX)?, every: duration(every)? })
}

/// `500ms`, `10s`, `2m`, `1h`.
fn time(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a number with its unit: 500ms, 10s, 2m, 1h".to_owned();
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return Err(wrong()),
    };
    Ok(unit * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_ranges() {
        for (text, expected) in [("500ms", 500), ("10s", 10_000), ("2m", 120_000), ("24h", 86_400_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(expected)), "{text}");
        }
        for wrong in ["", "10", "s", "1.5s", "-1s", "10 s", "99ms", "25h", "10d", "99999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(pause("0s"), Ok(Duration::ZERO));
        assert!(pause("61m").is_err());
    }

    #[test]
    fn numbers_have_ranges() {
        assert_eq!((clients("1"), per_client("1024"), threads("64")), (Ok(1), Ok(1024), Ok(64)));
        for wrong in ["0", "-1", "many", "1025"] {
            assert!(per_client(wrong).expect_err(wrong).contains("from 1 to 1024"));
        }
    }

    #[test]
    fn a_storm_is_clients_and_a_time() {
        assert_eq!(storm("200/5s"), Ok(Storm { clients: 200, every: Duration::from_secs(5) }));
        for wrong in ["200", "200/5", "0/5s", "/", "200/1ms"] {
            assert!(storm(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_of_streams_are_told_from_other_things() {
        for name in ["btcusdt@trade", "!miniTicker@arr", "kraken:btcusd@depth@100ms", "btcusdt@kline_1d@+08:00"] {
            assert_eq!(stream(name), Ok(name.to_owned()));
        }
        for wrong in ["", "btcusdt", "a@trade/b@trade", "a@trade b@trade", "10"] {
            assert!(stream(wrong).is_err(), "{wrong}");
        }
    }
}
