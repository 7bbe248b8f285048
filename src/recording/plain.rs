//! Recordings that anybody may have made: one message a line, as it is or in some envelope, with or without a time.
//!
//! Understood are a message alone; a time (seconds, ms, us, ns or RFC 3339), a separator and a message; and an object that
//! holds a time and a message under one of the usual keys. A line with the address of a REST request is its answer.

use std::{borrow::Cow, collections::HashMap};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Kind, kraken_sdk};
use crate::market::Nanos;

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// When it was received, if somebody wrote that down.
    pub(super) received: Option<Nanos>,
    /// What passed.
    pub(super) kind: Kind,
    /// The message.
    pub(super) bytes: Bytes,
}

/// Keys under which recorders put the time at which they received a message, the surest first.
const TIME_KEYS: [&str; 13] = [
    "received",
    "received_at",
    "receive_time",
    "recv_time",
    "recv_ts",
    "local_timestamp",
    "local_time",
    "timestamp_ns",
    "timestamp_ms",
    "timestamp",
    "time",
    "ts",
    "t",
];

/// Keys under which they put the message.
const MESSAGE_KEYS: [&str; 9] = ["raw", "message", "msg", "frame", "payload", "text", "body", "response", "data"];

/// Keys of messages of venues: an object with one of them is no envelope.
const VENUE_KEYS: [&str; 7] = ["stream", "e", "lastUpdateId", "channel", "method", "result", "event"];

/// Reads a line.
///
/// # Errors
/// Why it is none.
pub(super) fn read(line: &[u8]) -> Result<Line, &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "it is no UTF-8")?;
    if line.starts_with(['{', '[']) {
        return message_or_envelope(line);
    }
    let (time, rest) = line.split_once(SEPARATORS).ok_or("there is no separator behind the time")?;
    let received = time_in(time.trim_end_matches(':')).ok_or("it begins neither with a time nor with a message")?;
    let message = &rest[rest.find(['{', '[']).ok_or("there is no message behind the time")?..];
    // In a table a message stands in quotes, with its own ones doubled.
    let quoted = message.strip_suffix('"').filter(|_| message.contains("\"\""));
    let message = quoted.map_or(Cow::Borrowed(message), |message| message.replace("\"\"", "\"").into());
    let line = message_or_envelope(&message)?;
    Ok(Line { received: Some(received), ..line })
}

/// Whether a line may begin like this.
pub(super) fn begins(start: &str) -> bool {
    let time = start.split(SEPARATORS).next().unwrap_or("");
    start.starts_with(['{', '[']) || (start.len() > time.len() && time_in(time.trim_end_matches(':')).is_some())
}

/// When the venue says that this happened.
pub(super) fn event_time(message: &[u8]) -> Option<Nanos> {
    let text = std::str::from_utf8(message).ok()?;
    let read = |json: &'_ str| -> Option<Nanos> {
        let times: Times<'_> = serde_json::from_str(json).ok()?;
        let of =
            |raw: Option<&RawValue>| raw?.get().parse().ok().filter(|time| *time > 0).map(Nanos::from_epoch_integer);
        of(times.event).or_else(|| of(times.trade))
    };
    let data = || serde_json::from_str::<Times<'_>>(text).ok()?.data;
    read(text).or_else(|| read(data()?.get())).or_else(|| kraken_sdk::time_of(text))
}

const SEPARATORS: [char; 5] = [' ', '\t', ',', ';', '|'];

#[derive(Deserialize)]
struct Times<'a> {
    #[serde(borrow, rename = "E")]
    event: Option<&'a RawValue>,
    #[serde(borrow, rename = "T")]
    trade: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

fn message_or_envelope(text: &str) -> Result<Line, &'static str> {
    let bare = |received| Line { received, kind: Kind::Received, bytes: Bytes::copy_from_slice(text.as_bytes()) };
    let no_json = |_| "it is no JSON";
    if text.starts_with('[') {
        return serde_json::from_str::<&RawValue>(text).map_err(no_json).map(|_| bare(None));
    }
    let object: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).map_err(no_json)?;
    if VENUE_KEYS.iter().any(|key| object.contains_key(*key)) {
        return Ok(bare(None));
    }
    let string = |key: &str| object.get(key).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let Some(message) = MESSAGE_KEYS.iter().find_map(|key| object.get(*key)) else { return Ok(bare(None)) };
    let bytes = match serde_json::from_str::<String>(message.get()) {
        Ok(text) => Bytes::from(text),
        Err(_) => Bytes::copy_from_slice(message.get().as_bytes()),
    };
    let time = |key: &&str| {
        let raw = object.get(*key)?.get();
        time_in(raw.trim_matches('"'))
    };
    let is_sent = ["dir", "direction", "type", "kind"].iter().any(|key| {
        string(key).is_some_and(|text| matches!(&*text.to_lowercase(), "sent" | "send" | "out" | "outgoing" | "tx"))
    });
    let kind = match ["url", "path"].iter().find_map(|key| string(key)).filter(|url| url.contains("/api/")) {
        Some(url) => {
            let status = object.get("status").and_then(|status| status.get().parse().ok()).unwrap_or(200);
            Kind::Response { url: url.into(), status }
        }
        None if is_sent => Kind::Sent,
        None => Kind::Received,
    };
    Ok(Line { received: TIME_KEYS.iter().find_map(time), kind, bytes })
}

/// A time in any spelling; small numbers are none.
fn time_in(text: &str) -> Option<Nanos> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return kraken_sdk::rfc3339(text);
    }
    if !(10..=19).contains(&whole.len()) {
        return None;
    }
    let start = Nanos::from_epoch_integer(whole.parse().ok()?);
    // What is behind the point are parts of the unit in front of it.
    let unit: i64 = match whole.len() {
        ..=11 => 1_000_000_000,
        12..=14 => 1_000_000,
        15..=17 => 1_000,
        _ => 1,
    };
    let digits = &fraction[..fraction.len().min(9)];
    let parts = format!("{digits:0<9}").parse::<i64>().ok()?;
    Some(Nanos(start.0.checked_add(i64::try_from(i128::from(parts) * i128::from(unit) / 1_000_000_000).ok()?)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRADE: &str =
        r#"{"e":"trade","E":1789000000124,"s":"ETHUSDT","t":7,"p":"1","q":"1","T":1789000000123,"m":true}"#;
    const NANOS: Nanos = Nanos(1_789_000_000_500_000_000);

    #[test]
    fn a_message_is_found_in_any_envelope() {
        let quoted = serde_json::to_string(TRADE).expect("a string");
        let doubled = TRADE.replace('"', "\"\"");
        for line in [
            format!("1789000000500 {TRADE}"),
            format!("1789000000.5\t{TRADE}"),
            format!("1789000000500000,{TRADE}"),
            format!("1789000000500000000|{TRADE}"),
            format!("1789000000500.000: {TRADE}"),
            format!("2026-09-10T00:26:40.5Z {TRADE}"),
            format!("1789000000500,ethusdt@trade,\"{doubled}\""),
            format!(r#"{{"ts":1789000000500,"msg":{quoted}}}"#),
            format!(r#"{{"received":1789000000.5,"ts":1,"data":{TRADE}}}"#),
            format!(r#"{{"raw":{TRADE},"time":"2026-09-10T00:26:40.500Z","venue":"binance"}}"#),
            format!(r#"{{"timestamp":"1789000000500","direction":"in","message":{quoted}}}"#),
        ] {
            let read = read(line.as_bytes()).unwrap_or_else(|reason| panic!("{reason}: {line}"));
            let expected = Line { received: Some(NANOS), kind: Kind::Received, bytes: TRADE.into() };
            assert_eq!(read, expected, "{line}");
            assert!(begins(&line[..line.len().min(256)]), "{line}");
        }
    }

    #[test]
    fn messages_alone_are_no_envelopes() {
        for line in [
            TRADE,
            r#"{"stream":"x@trade","data":{"e":"trade"},"ts":1789000000500}"#,
            r#"{"lastUpdateId":1,"bids":[],"asks":[]}"#,
            r#"{"u":1,"s":"A","b":"1","B":"1","a":"1","A":"1"}"#,
            r#"{"channel":"book","type":"update","data":[{}]}"#,
            r#"{"result":null,"id":1}"#,
            r#"[42,{"a":[]},"book-10","XBT/USD"]"#,
        ] {
            let expected = Line { received: None, kind: Kind::Received, bytes: Bytes::from_static(line.as_bytes()) };
            assert_eq!(read(line.as_bytes()), Ok(expected), "{line}");
            assert!(begins(line));
        }
    }

    #[test]
    fn answers_and_what_was_sent_are_told_from_what_was_received() {
        let body = r#"{"lastUpdateId":1,"bids":[],"asks":[]}"#;
        let url = "https://x/api/v3/depth?symbol=BTCUSDT&limit=1000";
        let line = format!(r#"{{"ts":1789000000500,"url":"{url}","status":429,"body":{body}}}"#);
        let kind = Kind::Response { url: url.into(), status: 429 };
        assert_eq!(read(line.as_bytes()), Ok(Line { received: Some(NANOS), kind, bytes: body.into() }));
        let line = r#"{"ts":1789000000.5,"dir":"OUT","payload":"{}"}"#;
        assert_eq!(read(line.as_bytes()), Ok(Line { received: Some(NANOS), kind: Kind::Sent, bytes: "{}".into() }));
    }

    #[test]
    fn what_is_no_line_says_why() {
        for (line, reason) in [
            ("hello", "no separator"),
            ("hello world {}", "neither with a time nor"),
            ("12 {}", "neither with a time nor"),
            ("1789000000500 hello", "no message"),
            ("{\"a\":", "no JSON"),
            ("1789000000500 {\"a\":", "no JSON"),
            ("[1,2", "no JSON"),
        ] {
            let error = read(line.as_bytes()).expect_err(line);
            assert!(error.contains(reason), "{line}: {error}");
        }
        assert!(read(b"\xff\xfe").is_err());
        assert!(!begins("hello world") && !begins("") && !begins("1789000000500"));
    }

    #[test]
    fn venues_tell_their_own_times() {
        let millis = |text: &str| event_time(text.as_bytes()).map(Nanos::millis);
        assert_eq!(millis(TRADE), Some(1_789_000_000_124));
        assert_eq!(millis(&format!(r#"{{"stream":"x","data":{TRADE}}}"#)), Some(1_789_000_000_124));
        assert_eq!(millis(r#"{"T":1789000000123000,"a":1}"#), Some(1_789_000_000_123));
        let book = r#"{"channel":"book","type":"update","data":[{"timestamp":"2026-09-10T00:26:40.5Z"}]}"#;
        assert_eq!(millis(book), Some(1_789_000_000_500));
        for none in [r#"{"u":1,"s":"A"}"#, "", "[]", "{", r#"{"E":"x"}"#, r#"{"data":[1]}"#] {
            assert_eq!(millis(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(line: Vec<u8>, text in r#"[0-9.:,TZ\- "{}\[\]a-z]{0,60}"#) {
            let _ = (read(&line), event_time(&line), read(text.as_bytes()), begins(&text), event_time(text.as_bytes()));
        }
    }
}
