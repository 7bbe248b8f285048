//! What one message says of itself, found without reading the rest of it.

use memchr::memmem;

use crate::market::Nanos;

/// Streams by what their messages carry (binance.md section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `t` grows by one.
    Trade,
    /// `a` grows by one.
    AggregateTrade,
    /// `U` is the `u` before, and one.
    Diff,
    /// `u` grows. Without event time.
    BookTicker,
    /// Nothing that tells of a message lost.
    Other,
}

impl Kind {
    pub(super) fn of(stream: &str) -> Self {
        match stream.split_once('@').map_or("", |(_, channel)| channel) {
            "trade" => Self::Trade,
            "aggTrade" => Self::AggregateTrade,
            "bookTicker" => Self::BookTicker,
            "depth" | "depth@100ms" | "depth@1000ms" => Self::Diff,
            _ => Self::Other,
        }
    }

    /// The ids that a message covers, first and last.
    pub(super) fn ids(self, body: &[u8]) -> Option<(u64, u64)> {
        let same = |id| (id, id);
        match self {
            Self::Trade => number(body, b"\"t\":").map(same),
            Self::AggregateTrade => number(body, b"\"a\":").map(same),
            Self::BookTicker => number(body, b"\"u\":").map(same),
            Self::Diff => Some((number(body, b"\"U\":")?, number(body, b"\"u\":")?)),
            Self::Other => None,
        }
    }
}

/// Stream and body of `{"stream":"<stream>","data":<body>}` (binance.md section 1.3); `None` for anything else.
pub(super) fn split(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = payload.strip_prefix(b"{\"stream\":\"")?;
    let end = memchr::memchr(b'"', rest)?;
    let body = rest[end..].strip_prefix(b"\",\"data\":")?;
    Some((&rest[..end], body))
}

/// When the event happened, `E`, in whichever unit it is told; `None` if the message does not say.
pub(super) fn event_time(body: &[u8]) -> Option<Nanos> {
    let head = &body[..body.len().min(EVENT_TIME_WITHIN)];
    let integer = number(head, b"\"E\":")?;
    i64::try_from(integer).ok().map(Nanos::from_epoch_integer)
}

/// `e` and `E` come first in every message that has them, in an array too.
const EVENT_TIME_WITHIN: usize = 64;

/// The integer behind the first `key`. A key is quoted and values that are text hold no quotes, so that the first match is
/// the key.
fn number(body: &[u8], key: &[u8]) -> Option<u64> {
    let digits = &body[memmem::find(body, key)? + key.len()..];
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 || count > 19 {
        return None;
    }
    Some(digits[..count].iter().fold(0_u64, |number, digit| number.wrapping_mul(10) + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRADE: &[u8] =
        br#"{"e":"trade","E":1789000020123456,"s":"BTCUSDT","t":12345,"p":"1.0","T":1789000020123450,"m":true}"#;
    const AGGREGATE: &[u8] = br#"{"e":"aggTrade","E":1789000020123,"s":"BTCUSDT","a":77,"p":"1.0","f":100,"l":105}"#;
    const DIFF: &[u8] =
        br#"{"e":"depthUpdate","E":1789000020123456,"s":"BTCUSDT","U":157,"u":160,"b":[["1","2"]],"a":[]}"#;
    const BEST: &[u8] = br#"{"u":400900217,"s":"BNBUSDT","b":"25.35","B":"31.21","a":"25.36","A":"40.66"}"#;

    #[test]
    fn each_kind_tells_its_ids_and_its_time() {
        let micros = Some(Nanos(1_789_000_020_123_456_000));
        for (stream, body, ids, time) in [
            ("btcusdt@trade", TRADE, Some((12_345, 12_345)), micros),
            ("btcusdt@aggTrade", AGGREGATE, Some((77, 77)), Some(Nanos(1_789_000_020_123_000_000))),
            ("btcusdt@depth@100ms", DIFF, Some((157, 160)), micros),
            ("kraken:btcusd@depth", DIFF, Some((157, 160)), micros),
            ("bnbusdt@bookTicker", BEST, Some((400_900_217, 400_900_217)), None),
            ("btcusdt@depth5", br#"{"lastUpdateId":160,"bids":[],"asks":[]}"#, None, None),
        ] {
            assert_eq!(Kind::of(stream).ids(body), ids, "{stream}");
            assert_eq!(event_time(body), time, "{stream}");
        }
        assert!(event_time(br#"[{"e":"24hrTicker","E":1789000020123}]"#).is_some(), "arrays tell it as well");
    }

    #[test]
    fn the_wrapper_is_taken_off_and_nothing_else_passes() {
        assert_eq!(split(br#"{"stream":"a@trade","data":{"e":1}}"#), Some((&b"a@trade"[..], &br#"{"e":1}}"#[..])));
        for other in [&br#"{"result":null,"id":1}"#[..], br#"{"stream":"a"#, br#"{"stream":"a","id":1}"#, b""] {
            assert_eq!(split(other), None);
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for body in [&br#"{"t":null}"#[..], br#"{"t":"#, br#"{"t":99999999999999999999}"#, b"{}"] {
            assert_eq!(Kind::Trade.ids(body), None);
        }
    }
}
