//! Captures that have one record a line: those of hftbacktest, cryptofeed's text and JSON lines, and anybody's (see [`plain`]).

use std::{
    collections::{HashMap, VecDeque},
    io::{self, BufRead, Read},
    sync::Arc,
};

use base64::Engine as _;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Error, Kind, Record, plain};
use crate::market::Nanos;

/// Bytes of one line; a REST list of all instruments takes some megabytes.
const LINE_BYTES_MAX: u64 = 256 << 20;

/// Lines without a time that are held until one has one.
const UNTIMED_MAX: usize = 10_000;

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Lines(Format),
    /// One JSON document.
    Document,
}

/// What the lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `<receive time, ns or us> <text>`; a REST snapshot stands bare among the frames.
    Hftbacktest,
    /// `URL <-> t`, `URL <- t: text`, `URL -> t: text`, `t: text`.
    CryptofeedText,
    /// `{"t":"recv","conn":..,"ts":..,"data":".."}`.
    CryptofeedJson,
    /// Messages alone, behind a time, or in an envelope.
    Plain,
}

/// Finds out by the first bytes (after decompression) what a file is.
pub(super) fn sniff(start: &[u8]) -> Option<Shape> {
    let text = String::from_utf8_lossy(&start[..start.len().min(256)]);
    let text = text.trim_start();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let after = text.as_bytes().get(digits).copied();
    let first_key = text.strip_prefix('{').map(str::trim_start);
    if text.starts_with("{\"t\":\"") {
        Some(Shape::Lines(Format::CryptofeedJson))
    } else if first_key.is_some_and(|key| key.starts_with("\"init\"") || key.starts_with("\"updates\"")) {
        Some(Shape::Document)
    } else if (16..=19).contains(&digits) && after == Some(b' ') {
        Some(Shape::Lines(Format::Hftbacktest))
    } else if (digits == 10 && text.find([' ', '\t', ',', ';', '|']).is_some_and(|end| text[..end].ends_with(':')))
        || ["configuration: ", "ws://", "wss://", "http://", "https://"].iter().any(|begin| text.starts_with(begin))
    {
        Some(Shape::Lines(Format::CryptofeedText))
    } else if plain::begins(text) {
        Some(Shape::Lines(Format::Plain))
    } else {
        None
    }
}

/// Why a line stopped the reading.
#[derive(Debug)]
pub(super) enum LineError {
    Io(io::Error),
    Line { number: u64, reason: &'static str },
}

impl LineError {
    pub(super) fn at(self, path: &str) -> Error {
        let path = path.to_owned();
        match self {
            Self::Io(source) => Error::Io { path, source },
            Self::Line { number, reason } => {
                Error::Broken { path, place: format!("line {number}"), reason: reason.to_owned() }
            }
        }
    }
}

/// The records of a file of lines.
pub(super) struct Lines {
    input: Box<dyn BufRead + Send>,
    format: Format,
    number: u64,
    /// Records that are complete, and hftbacktest snapshots that wait for a frame to tell their symbol.
    ready: VecDeque<Record>,
    waiting: Vec<(Nanos, Bytes)>,
    /// The newest update id by symbol (hftbacktest).
    last_ids: HashMap<String, i64>,
    /// Numbers of connections by name (JSON lines).
    connections: HashMap<String, u32>,
    /// The connection that received lines belong to (text): each opening is a new one. 0 is REST.
    connection: u32,
    torn: u64,
    /// The newest time of a line (plain), and what came before the first one.
    now: Option<Nanos>,
    untimed: Vec<Record>,
}

impl Lines {
    pub(super) fn new(input: Box<dyn BufRead + Send>, format: Format) -> Self {
        Self {
            input,
            format,
            number: 0,
            ready: VecDeque::new(),
            waiting: Vec::new(),
            last_ids: HashMap::new(),
            connections: HashMap::new(),
            connection: 0,
            torn: 0,
            now: None,
            untimed: Vec::new(),
        }
    }

    /// Whose lines they are.
    pub(super) const fn format(&self) -> &'static str {
        match self.format {
            Format::Hftbacktest => "lines of hftbacktest",
            Format::CryptofeedText => "lines of cryptofeed (text)",
            Format::CryptofeedJson => "lines of cryptofeed (JSON)",
            Format::Plain => "lines, one message each",
        }
    }

    /// Bytes of a last line that had no end and no sense.
    pub(super) const fn torn_bytes(&self) -> u64 {
        self.torn
    }

    /// The next record; `None` at the end.
    pub(super) fn next_record(&mut self) -> Result<Option<Record>, LineError> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Ok(Some(record));
            }
            let Some((line, is_whole)) = self.line()? else {
                // Snapshots of a file without any frame have no symbol; they are left out as torn.
                self.torn += self.waiting.drain(..).map(|(_, body)| body.len() as u64).sum::<u64>();
                self.set_time(Nanos::default());
                return Ok(self.ready.pop_front());
            };
            if line.is_empty() {
                continue;
            }
            let result = match self.format {
                Format::Hftbacktest => self.hftbacktest(&line),
                Format::CryptofeedText => self.cryptofeed_text(&line),
                Format::CryptofeedJson => self.cryptofeed_json(&line),
                Format::Plain => self.plain(&line),
            };
            match result {
                Ok(()) => {}
                Err(_) if !is_whole => self.torn += line.len() as u64,
                Err(reason) => return Err(LineError::Line { number: self.number, reason }),
            }
        }
    }

    /// The next line without its end, and whether it had one. A compressed stream that stops in the middle ends the file.
    fn line(&mut self) -> Result<Option<(Vec<u8>, bool)>, LineError> {
        let mut line = Vec::new();
        let result = (&mut self.input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        match result {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.torn += line.len() as u64;
                return Ok(None);
            }
            Err(error) => return Err(LineError::Io(error)),
            Ok(_) => {}
        }
        self.number += 1;
        if line.is_empty() {
            return Ok(None);
        }
        let is_whole = line.last() == Some(&b'\n');
        if !is_whole && line.len() as u64 == LINE_BYTES_MAX {
            return Err(LineError::Line { number: self.number, reason: "it is longer than 256 MiB" });
        }
        let end = line.trim_ascii_end().len();
        line.truncate(end);
        Ok(Some((line, is_whole)))
    }

    fn hftbacktest(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let space = memchr::memchr(b' ', line).ok_or("no space after the time")?;
        let time = std::str::from_utf8(&line[..space]).ok().and_then(|digits| digits.parse::<i64>().ok());
        let time = Nanos::from_epoch_integer(time.ok_or("the time is no integer")?);
        let body = Bytes::copy_from_slice(&line[space + 1..]);
        if body.starts_with(b"{\"lastUpdateId\"") {
            self.waiting.push((time, body));
            self.name_snapshots();
            return Ok(());
        }
        serde_json::from_slice::<&RawValue>(&body).map_err(|_| "the text is no JSON")?;
        self.note_ids(&body);
        self.ready.push_back(Record { time, connection: 1, kind: Kind::Received, bytes: body });
        Ok(())
    }

    fn plain(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let line = plain::read(line)?;
        // Without a time of its own a message has the venue's, and no earlier one than those before it.
        let event_time = || plain::event_time(&line.bytes).max(self.now);
        if let Some(time) = line.received.or_else(event_time) {
            self.set_time(time);
        }
        let (time, kind, bytes) = (self.now.unwrap_or_default(), line.kind, line.bytes);
        if kind == Kind::Received {
            self.note_ids(&bytes);
            if bytes.starts_with(b"{\"lastUpdateId\"") {
                self.waiting.push((time, bytes));
                self.name_snapshots();
                return Ok(());
            }
        }
        let connection = u32::from(!matches!(kind, Kind::Response { .. }));
        let record = Record { time, connection, kind, bytes };
        if self.now.is_some() {
            self.ready.push_back(record);
        } else {
            self.untimed.push(record);
            if self.untimed.len() == UNTIMED_MAX {
                self.set_time(Nanos::default());
            }
        }
        Ok(())
    }

    /// What has no time and comes before all that have one has that of the first.
    fn set_time(&mut self, time: Nanos) {
        self.now = Some(time);
        let untimed = self.untimed.drain(..).map(|record| Record { time, ..record });
        self.ready.extend(untimed);
        for waiting in &mut self.waiting {
            if waiting.0 == Nanos::default() {
                waiting.0 = time;
            }
        }
    }

    /// Remembers the newest update id of each symbol; messages of other shapes have none.
    fn note_ids(&mut self, message: &[u8]) {
        let probe: Probe<'_> = serde_json::from_slice(message).unwrap_or_default();
        let event = probe.data.unwrap_or(Event { s: probe.s, u: probe.u, last_update_id: None });
        if let (Some(symbol), Some(id)) = (event.s, event.u) {
            self.last_ids.insert(symbol.to_owned(), id);
            self.name_snapshots();
        }
    }

    /// Gives each waiting snapshot the symbol whose ids are the nearest: it stands bare in the file.
    fn name_snapshots(&mut self) {
        for (time, bytes) in std::mem::take(&mut self.waiting) {
            let id = serde_json::from_slice::<Event>(&bytes).ok().and_then(|event| event.last_update_id).unwrap_or(0);
            let nearest = self.last_ids.iter().min_by_key(|(_, last)| last.abs_diff(id));
            let Some((symbol, _)) = nearest else {
                self.waiting.push((time, bytes));
                continue;
            };
            let url = format!("https://api.binance.com/api/v3/depth?symbol={symbol}&limit=1000");
            let kind = Kind::Response { url: url.into(), status: 200 };
            let record = Record { time, connection: 0, kind, bytes };
            // Its time is still to come.
            if time == Nanos::default() { self.untimed.push(record) } else { self.ready.push_back(record) }
        }
    }

    fn cryptofeed_text(&mut self, line: &[u8]) -> Result<(), &'static str> {
        if line.starts_with(b"configuration: ") {
            return Ok(());
        }
        if line[0].is_ascii_digit() {
            let (time, text) = time_and_text(line)?;
            let bytes = python_bytes(text).unwrap_or_else(|| Bytes::copy_from_slice(text));
            self.ready.push_back(Record { time, connection: self.connection, kind: Kind::Received, bytes });
            return Ok(());
        }
        let space = memchr::memchr(b' ', line).ok_or("neither a time nor an address in front")?;
        let url: Arc<str> = std::str::from_utf8(&line[..space]).map_err(|_| "the address is no UTF-8")?.into();
        let rest = &line[space + 1..];
        if let Some(time) = rest.strip_prefix(b"<-> ") {
            self.connection += 1;
            let time = seconds(time).ok_or("no time after <->")?;
            let kind = Kind::Opened { url };
            self.ready.push_back(Record { time, connection: self.connection, kind, bytes: Bytes::new() });
        } else if let Some(rest) = rest.strip_prefix(b"<- ") {
            let (time, text) = time_and_text(rest)?;
            let bytes = Bytes::copy_from_slice(text);
            self.ready.push_back(Record { time, connection: self.connection, kind: Kind::Sent, bytes });
        } else if let Some(rest) = rest.strip_prefix(b"-> ") {
            let (time, text) = time_and_text(rest)?;
            let bytes = Bytes::copy_from_slice(without_header(text));
            self.ready.push_back(Record { time, connection: 0, kind: Kind::Response { url, status: 200 }, bytes });
        } else {
            return Err("no <->, <- or -> after the address");
        }
        Ok(())
    }

    fn cryptofeed_json(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let line: JsonLine =
            serde_json::from_slice(line).map_err(|_| "the line is no JSON object of the known shape")?;
        let url = |text: Option<String>| text.unwrap_or_default().into();
        let kind = match &*line.t {
            "header" => return Ok(()),
            "http" => Kind::Response { url: url(line.url), status: 200 },
            "connect" => Kind::Opened { url: url(line.addr) },
            "send" => Kind::Sent,
            "recv" => Kind::Received,
            "close" | "disconnect" => Kind::Closed,
            _ => return Err("an unknown kind of line"),
        };
        let time = line.ts.and_then(|ts| seconds(ts.get().as_bytes())).ok_or("no time in ts")?;
        let next = self.connections.len() as u32;
        let connection = *self.connections.entry(line.conn.unwrap_or_default()).or_insert(next);
        let bytes = match (line.data, line.b64) {
            (Some(data), _) => data.into(),
            (None, Some(text)) => {
                base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| "b64 is no base64")?.into()
            }
            (None, None) => Bytes::new(),
        };
        self.ready.push_back(Record { time, connection, kind, bytes });
        Ok(())
    }
}

/// What a Binance frame says about itself, wrapped or raw.
#[derive(Default, Deserialize)]
struct Probe<'a> {
    #[serde(borrow)]
    data: Option<Event<'a>>,
    #[serde(borrow)]
    s: Option<&'a str>,
    #[serde(default, deserialize_with = "integer")]
    u: Option<i64>,
}

#[derive(Default, Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    s: Option<&'a str>,
    #[serde(default, deserialize_with = "integer")]
    u: Option<i64>,
    #[serde(default, rename = "lastUpdateId")]
    last_update_id: Option<i64>,
}

/// An id where there is one; other venues have other things under the same key.
fn integer<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(|value| value.as_i64())
}

#[derive(Deserialize)]
struct JsonLine<'a> {
    t: String,
    conn: Option<String>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    url: Option<String>,
    addr: Option<String>,
    data: Option<String>,
    b64: Option<String>,
}

/// Splits `t: text`.
fn time_and_text(line: &[u8]) -> Result<(Nanos, &[u8]), &'static str> {
    let colon = memchr::memmem::find(line, b": ").ok_or("no colon after the time")?;
    let time = seconds(&line[..colon]).ok_or("the time is no number of seconds")?;
    Ok((time, &line[colon + 2..]))
}

/// Decimal seconds since the epoch, exactly.
fn seconds(text: &[u8]) -> Option<Nanos> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = &fraction[..fraction.len().min(9)];
    let nanos = if digits.is_empty() { 0 } else { digits.parse::<u32>().ok()? };
    let nanos = i64::from(nanos) * 10_i64.pow(9 - digits.len() as u32);
    Some(Nanos(whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)?))
}

/// A REST body without the ` header: {...}` that may follow it.
fn without_header(text: &[u8]) -> &[u8] {
    match memchr::memmem::rfind(text, b" header: {") {
        Some(at) if text.ends_with(b"}") && matches!(text[..at].last(), Some(b'}' | b']')) => &text[..at],
        _ => text,
    }
}

/// The bytes of a Python bytes literal `b'..'`; `None` if it is none.
fn python_bytes(text: &[u8]) -> Option<Bytes> {
    let quote = *text.get(1).filter(|quote| matches!(quote, b'\'' | b'"'))?;
    let inner = text.strip_prefix(b"b")?.strip_prefix(&[quote])?.strip_suffix(&[quote])?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next()? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other @ (b'\\' | b'\'' | b'"') => other,
            _ => return None,
        });
    }
    Some(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        assert_eq!(seconds(b"1617647603.4249449"), Some(Nanos(1_617_647_603_424_944_900)));
        assert_eq!(seconds(b"1617647603"), Some(Nanos(1_617_647_603_000_000_000)));
        assert_eq!(seconds(b"x"), None);
    }

    #[test]
    fn python_literals_are_undone() {
        assert_eq!(python_bytes(br"b'\x1f\x8b\n\\a\'q'").as_deref(), Some(&b"\x1f\x8b\n\\a'q"[..]));
        assert_eq!(python_bytes(br#"{"a":1}"#), None);
        assert_eq!(python_bytes(b"b"), None);
    }

    #[test]
    fn a_header_tail_is_cut_off() {
        assert_eq!(without_header(br#"{"a":1} header: {"x": "y"}"#), br#"{"a":1}"#);
        assert_eq!(without_header(br#"{"a":" header: {"}"#), br#"{"a":" header: {"}"#);
    }

    #[test]
    fn shapes_are_told_apart() {
        assert_eq!(sniff(b"1723161253937085768 {}"), Some(Shape::Lines(Format::Hftbacktest)));
        assert_eq!(sniff(b"1680652700012345 {}"), Some(Shape::Lines(Format::Hftbacktest)));
        assert_eq!(sniff(b"wss://x <-> 1.5"), Some(Shape::Lines(Format::CryptofeedText)));
        assert_eq!(sniff(b"1633998512.0633569: {}"), Some(Shape::Lines(Format::CryptofeedText)));
        assert_eq!(sniff(b"{\"t\":\"header\"}"), Some(Shape::Lines(Format::CryptofeedJson)));
        assert_eq!(sniff(b"{\n  \"init\": {}}"), Some(Shape::Document));
        assert_eq!(sniff(b"{\"stream\":\"x@trade\",\"data\":{}}\n"), Some(Shape::Lines(Format::Plain)));
        assert_eq!(sniff(b"{\"t\":1789000000123,\"msg\":{}}\n"), Some(Shape::Lines(Format::Plain)));
        assert_eq!(sniff(b"1789000000123 {}"), Some(Shape::Lines(Format::Plain)));
        assert_eq!(sniff(b"1789000000.123,{}"), Some(Shape::Lines(Format::Plain)));
        assert_eq!(sniff(b"2026-09-10T00:26:40Z {}"), Some(Shape::Lines(Format::Plain)));
        assert_eq!(sniff(b"PNG"), None);
        assert_eq!(sniff(b""), None);
    }
}
