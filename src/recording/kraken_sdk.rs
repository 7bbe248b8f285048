//! The order book fixtures of python-kraken-sdk: one JSON document `{init, updates}`, Kraken v1 or v2.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Kind, Record};
use crate::market::Nanos;

/// Reads a document; the tokens of its messages stay as they are, the space between them goes.
pub(super) fn read(document: &[u8]) -> Result<Vec<Record>, String> {
    let document: Document = serde_json::from_slice(document)
        .map_err(|error| format!("a JSON document, but not {{init, updates}}: {error}"))?;
    // v1 has a list of messages as init, v2 one object.
    let init: Vec<&RawValue> = match serde_json::from_str(document.init.get()) {
        Ok(messages) => messages,
        Err(_) => vec![document.init],
    };
    let is_v2 = document.init.get().starts_with('{');
    let messages: Vec<String> = init.iter().chain(&document.updates).map(|message| compact(message.get())).collect();
    let times: Vec<Option<Nanos>> = messages.iter().map(|message| time_of(message)).collect();
    // What has no time of its own has that of its predecessor; the first ones that of the first that has one.
    let mut now = times.iter().copied().flatten().next().unwrap_or_default();
    let url = if is_v2 { "wss://ws.kraken.com/v2" } else { "wss://ws.kraken.com" };
    let opened = Kind::Opened { url: url.into() };
    let mut records = vec![Record { time: now, connection: 0, kind: opened, bytes: Bytes::new() }];
    for (message, time) in messages.into_iter().zip(times) {
        now = time.unwrap_or(now).max(now);
        records.push(Record { time: now, connection: 0, kind: Kind::Received, bytes: message.into() });
    }
    Ok(records)
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    init: &'a RawValue,
    #[serde(borrow)]
    updates: Vec<&'a RawValue>,
}

/// JSON without the white space between its tokens.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len() / 2);
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string || !c.is_ascii_whitespace() {
            out.push(c);
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = in_string,
            '"' => in_string = !in_string,
            _ => {}
        }
    }
    out
}

/// The venue's time of a message: the timestamp of v2, or that of v1's last level.
pub(super) fn time_of(message: &str) -> Option<Nanos> {
    let after = |key: &str| message.rfind(key).map(|at| &message[at + key.len()..]);
    if let Some(text) = after("\"timestamp\":\"") {
        return rfc3339(text.split('"').next()?);
    }
    // v1: the third string of a level is seconds with six decimals.
    let is_time = |text: &&str| text.split_once('.').is_some_and(|(whole, rest)| whole.len() == 10 && rest.len() == 6);
    let text = message.split('"').filter(is_time).max()?;
    let (whole, micros) = text.split_once('.')?;
    let micros = whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(micros.parse().ok()?)?;
    Some(Nanos::from_micros(micros))
}

/// `2023-07-30T15:29:58.343415Z`, with 0 to 9 decimals.
pub(super) fn rfc3339(text: &str) -> Option<Nanos> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(1970..3000).contains(&year) {
        return None;
    }
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    let digits = &fraction[..fraction.len().min(9)];
    let nanos: i64 = format!("{digits:0<9}").parse().ok()?;
    // Days since the epoch by the civil calendar, years counted from March.
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    let days = shifted_year * 365 + leaps + (153 * shifted_month + 2) / 5 + day - 1 - 719_468;
    Some(Nanos((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1_000_000_000 + nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(rfc3339("1970-01-01T00:00:00Z"), Some(Nanos(0)));
        assert_eq!(rfc3339("2023-07-30T15:29:58.343415Z"), Some(Nanos(1_690_730_998_343_415_000)));
        assert_eq!(rfc3339("2024-02-29T00:00:00.5Z"), Some(Nanos(1_709_164_800_500_000_000)));
        assert_eq!(rfc3339("yesterday"), None);
        assert_eq!(
            time_of(r#"[336,{"b":[["1.0","2.0","1693415330.621700"]]}]"#),
            Some(Nanos(1_693_415_330_621_700_000))
        );
    }

    #[test]
    fn a_document_becomes_messages_with_untouched_tokens() {
        let document =
            br#"{ "init": { "channel": "book", "data": [ { "symbol": "A \" B/USD", "bids": [ { "qty": 4.0 } ] } ] },
            "updates": [ { "data": [ { "timestamp": "2023-07-30T15:29:58Z" } ] } ] }"#;
        let records = read(document).expect("a document");
        assert_eq!(records.len(), 3);
        assert_eq!(
            &records[1].bytes[..],
            br#"{"channel":"book","data":[{"symbol":"A \" B/USD","bids":[{"qty":4.0}]}]}"#
        );
        assert!(records.iter().all(|record| record.time == Nanos(1_690_730_998_000_000_000)));
        let v1 = read(br#"{"init":[{"event":"systemStatus"},[1,{},"book-10","X"]],"updates":[]}"#).expect("a document");
        assert_eq!(v1.len(), 3);
        assert!(read(b"{}").is_err_and(|reason| reason.contains("init")));
    }
}
