//! What the URL of an upgrade request says.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::{
    market::{Catalogue, VenueId},
    topic::{Encoding, TimeUnit},
};

/// How a connection begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// What names without a venue prefix mean.
    pub venue: VenueId,
    /// What the door's market data are made of.
    pub encoding: Encoding,
    /// Whether events are wrapped with their stream's name.
    pub combined: bool,
    /// The unit of all times; it stays for the life of the connection.
    pub unit: TimeUnit,
    /// The streams in the URL, in order, decoded.
    pub streams: Vec<String>,
}

/// What an upgrade request is answered with that opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The HTTP status.
    pub status: u16,
    /// The text behind it.
    pub body: &'static str,
}

const NOT_FOUND: Rejection = Rejection { status: 404, body: "Invalid request path" };
const BAD_UNIT: Rejection = Rejection { status: 400, body: "Invalid timeUnit: expected MILLISECOND or MICROSECOND" };
const BAD_ESCAPE: Rejection = Rejection { status: 400, body: "Invalid percent-encoding: expected %XX of UTF-8" };

/// Reads the path and query of an upgrade request: `/ws`, `/ws/a/b`, `/stream`, `/stream?streams=a/b`, all with an
/// optional `timeUnit` and an optional venue in front (`/kraken/ws/...`).
///
/// Names are not checked: a path such as ccxt's `/ws/0` has to open a connection that stays silent.
///
/// # Errors
/// 404 for any other path, 400 for an unknown time unit or escapes that are no UTF-8.
pub fn opening(path_and_query: &str, catalogue: &Catalogue) -> Result<Opening, Rejection> {
    read(path_and_query, Encoding::Json, catalogue)
}

/// The same at the door of SBE, where all times are in microseconds and `timeUnit` says nothing (binance.md section 9.1).
///
/// # Errors
/// As [`opening`], but for the time unit.
pub fn sbe_opening(path_and_query: &str, catalogue: &Catalogue) -> Result<Opening, Rejection> {
    read(path_and_query, Encoding::Sbe, catalogue)
}

fn read(path_and_query: &str, encoding: Encoding, catalogue: &Catalogue) -> Result<Opening, Rejection> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let path = decoded(path)?;
    let rest = path.strip_prefix('/').ok_or(NOT_FOUND)?;
    let (venue, rest) = match rest.split_once('/').map(|(first, rest)| (catalogue.venue_named(first), rest)) {
        Some((Some(venue), rest)) => (venue.id, rest),
        _ => (VenueId(0), rest),
    };
    let (door, names) = rest.split_once('/').unwrap_or((rest, ""));
    let combined = match (door, names) {
        ("ws", _) => false,
        ("stream", "") => true,
        _ => return Err(NOT_FOUND),
    };
    let (first_unit, unit): (_, fn(&str) -> _) = match encoding {
        Encoding::Json => (TimeUnit::default(), unit),
        Encoding::Sbe => (TimeUnit::Microseconds, |_| Ok(TimeUnit::Microseconds)),
    };
    let mut opening = Opening { venue, encoding, combined, unit: first_unit, streams: Vec::new() };
    opening.add_names(names);
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value)?;
        match &*decoded(key)? {
            "timeUnit" => opening.unit = unit(&value)?,
            "streams" if combined => {
                // python-binance appends the parameter with a second question mark.
                let (names, late_unit) = match value.split_once("?timeUnit=") {
                    Some((names, late_unit)) => (names, Some(late_unit)),
                    None => (&*value, None),
                };
                opening.add_names(names);
                if let Some(text) = late_unit {
                    opening.unit = unit(text)?;
                }
            }
            _ => {}
        }
    }
    Ok(opening)
}

impl Opening {
    fn add_names(&mut self, names: &str) {
        self.streams.extend(names.split('/').filter(|name| !name.is_empty()).map(str::to_owned));
    }
}

/// Exactly the four spellings that Binance documents.
fn unit(text: &str) -> Result<TimeUnit, Rejection> {
    match text {
        "MILLISECOND" | "millisecond" => Ok(TimeUnit::Milliseconds),
        "MICROSECOND" | "microsecond" => Ok(TimeUnit::Microseconds),
        _ => Err(BAD_UNIT),
    }
}

/// Escapes as UTF-8. A `+` stays one: it stands in names such as `btcusdt@kline_1d@+08:00`.
fn decoded(text: &str) -> Result<Cow<'_, str>, Rejection> {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let is_escape = |(at, _): (usize, &str)| [1, 2].iter().all(|behind| is_hex(text.as_bytes().get(at + behind)));
    if !text.match_indices('%').all(is_escape) {
        return Err(BAD_ESCAPE);
    }
    percent_decode_str(text).decode_utf8().map_err(|_| BAD_ESCAPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<(u32, bool, TimeUnit, Vec<String>), u16> {
        let mut catalogue = Catalogue::new();
        catalogue.add_venue("binance", None);
        catalogue.add_venue("kraken", None);
        opening(url, &catalogue)
            .map(|opening| (opening.venue.0, opening.combined, opening.unit, opening.streams))
            .map_err(|rejection| rejection.status)
    }

    #[track_caller]
    fn assert_opens(url: &str, venue: u32, combined: bool, unit: TimeUnit, streams: &[&str]) {
        assert_eq!(
            read(url),
            Ok((venue, combined, unit, streams.iter().map(|&name| name.to_owned()).collect())),
            "{url}"
        );
    }

    #[test]
    fn every_documented_form_opens() {
        use TimeUnit::{Microseconds as Us, Milliseconds as Ms};
        assert_opens("/ws", 0, false, Ms, &[]);
        assert_opens("/ws/", 0, false, Ms, &[]);
        assert_opens("/ws/0", 0, false, Ms, &["0"]);
        assert_opens("/ws/btcusdt@trade", 0, false, Ms, &["btcusdt@trade"]);
        assert_opens("/ws/a@trade/b@depth?timeUnit=MICROSECOND", 0, false, Us, &["a@trade", "b@depth"]);
        assert_opens("/stream", 0, true, Ms, &[]);
        assert_opens("/stream?streams=", 0, true, Ms, &[]);
        assert_opens("/stream?streams=a@trade/b@depth", 0, true, Ms, &["a@trade", "b@depth"]);
        assert_opens("/stream?streams=a@trade&timeUnit=microsecond&x=1", 0, true, Us, &["a@trade"]);
        assert_opens("/stream?timeUnit=millisecond&streams=a@trade", 0, true, Ms, &["a@trade"]);
        assert_opens("/stream?streams=a@trade/b@depth?timeUnit=microsecond", 0, true, Us, &["a@trade", "b@depth"]);
        assert_opens("/kraken/ws/btcusd@trade", 1, false, Ms, &["btcusd@trade"]);
        assert_opens("/kraken/stream?streams=btcusd@trade", 1, true, Ms, &["btcusd@trade"]);
        assert_opens("/binance/ws", 0, false, Ms, &[]);
        assert_opens("/ws?streams=ignored", 0, false, Ms, &[]);
    }

    #[test]
    fn escapes_are_utf8_and_a_plus_stays() {
        assert_opens(
            "/stream?streams=%E5%B8%81usdt%40trade%2Fx%40kline_1d%40+08%3A00/%21miniTicker%40arr/y@kline_1d@%2B08:00",
            0,
            true,
            TimeUnit::Milliseconds,
            &["币usdt@trade", "x@kline_1d@+08:00", "!miniTicker@arr", "y@kline_1d@+08:00"],
        );
        assert_opens("/ws/a%40trade%2Fb@trade", 0, false, TimeUnit::Milliseconds, &["a@trade", "b@trade"]);
    }

    #[test]
    fn at_the_door_of_sbe_times_are_in_microseconds_whatever_is_asked() {
        let mut catalogue = Catalogue::new();
        catalogue.add_venue("binance", None);
        for url in ["/ws", "/stream?timeUnit=millisecond", "/ws?timeUnit=nonsense", "/stream?streams=a?timeUnit=second"]
        {
            let opening = sbe_opening(url, &catalogue).expect("the time unit says nothing here");
            assert_eq!((opening.unit, opening.encoding), (TimeUnit::Microseconds, Encoding::Sbe), "{url}");
        }
        assert_eq!(sbe_opening("/api/v3/depth", &catalogue).map_err(|rejection| rejection.status), Err(404));
    }

    #[test]
    fn other_urls_are_refused() {
        for url in ["/", "", "/foo", "/stream/anything", "/wss", "/nosuch/ws", "/kraken", "/kraken/foo", "ws", "/WS"] {
            assert_eq!(read(url), Err(404), "{url}");
        }
        for url in [
            "/ws?timeUnit=second",
            "/ws?timeUnit=",
            "/stream?streams=a?timeUnit=Micro",
            "/ws/%FF",
            "/ws?%FF=1",
            "/stream?streams=%zz",
            "/stream?streams=a%4",
            "/ws/a%",
            "/ws?x=%+1",
            "/ws?%é=1",
        ] {
            assert_eq!(read(url), Err(400), "{url}");
        }
    }
}
