//! The stand-in for Kraken v2: everything over one WebSocket (venues.md section 5).

mod reel;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use reel::{Entry, Reel};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes, error::Error};

use super::{
    Settings,
    stage::{Cursor, Stage, Topic, Wait},
};
use crate::{
    clock,
    market::Nanos,
    recording::Recording,
    sim::{
        control::Query,
        door::{Answer, Exchange, Plain, Socket},
    },
};

/// Between two heartbeats.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
/// Frames between two flushes at full speed.
const BATCH: usize = 64;

/// A recording of Kraken behind a door.
#[derive(Debug)]
pub(super) struct Kraken {
    stage: Arc<Stage>,
    reel: Reel,
}

/// One client connection.
#[derive(Default)]
struct Session {
    topics: BTreeSet<Topic>,
    /// Symbols whose book is subscribed to; `true` once it has had a snapshot.
    books: BTreeMap<usize, bool>,
    was_early: bool,
    cursor: Option<Cursor>,
}

#[derive(Deserialize)]
struct Request<'a> {
    method: &'a str,
    #[serde(borrow)]
    req_id: Option<&'a RawValue>,
    params: Option<Params>,
}

#[derive(Default, Deserialize)]
struct Params {
    #[serde(default)]
    channel: String,
    #[serde(default)]
    symbol: Vec<String>,
}

impl Kraken {
    pub(super) fn new(recording: &Recording, settings: &Settings) -> Result<Self, String> {
        let reel = Reel::new(recording, &settings.symbols)?;
        let stage = Arc::new(Stage::new(settings, reel.times.clone(), &reel.entry_topics(), reel.topics()));
        Ok(Self { stage, reel })
    }

    pub(super) fn symbols(&self) -> Vec<String> {
        self.reel.symbols.iter().map(|symbol| symbol.name.clone()).collect()
    }

    /// Levels per side of the deepest recorded book.
    pub(super) fn depth(&self) -> usize {
        self.reel.symbols.iter().map(|symbol| symbol.depth).max().unwrap_or_default()
    }

    pub(super) fn stage(&self) -> Arc<Stage> {
        Arc::clone(&self.stage)
    }

    /// The answers to a message, in order.
    fn message(&self, text: &str, session: &mut Session) -> Vec<String> {
        let Ok(request) = serde_json::from_str::<Request>(text) else {
            return vec![r#"{"error":"Malformed request","success":false}"#.to_owned()];
        };
        let id = request.req_id.map_or_else(String::new, |id| format!(r#","req_id":{}"#, id.get()));
        let params = request.params.unwrap_or_default();
        match (request.method, params.channel.as_str()) {
            ("ping", _) => vec![format!(r#"{{"method":"pong"{id}}}"#)],
            ("subscribe", "instrument") => {
                let result = r#"{"channel":"instrument","snapshot":true}"#;
                vec![acknowledgement("subscribe", result, &id), self.instruments()]
            }
            (method @ ("subscribe" | "unsubscribe"), channel @ ("book" | "trade")) => {
                let mut answers = Vec::new();
                for name in &params.symbol {
                    answers.extend(self.subscription(method, channel, name, &id, session));
                }
                if method == "subscribe" {
                    self.stage.ask(&session.topics);
                    session.was_early |= !session.topics.is_empty() && !self.stage.has_begun();
                }
                answers
            }
            (method, channel) => {
                let text = Value::from(format!("Unsupported {method} {channel}"));
                vec![format!(r#"{{"error":{text},"method":{},"success":false{id}}}"#, Value::from(method))]
            }
        }
    }

    fn subscription(&self, method: &str, channel: &str, name: &str, id: &str, session: &mut Session) -> Vec<String> {
        let Some(index) = self.reel.find(name) else {
            let text = Value::from(format!("Currency pair not supported {name}"));
            let name = Value::from(name);
            return vec![format!(r#"{{"error":{text},"method":"{method}","success":false,"symbol":{name}{id}}}"#)];
        };
        let symbol = &self.reel.symbols[index];
        let topic = if channel == "book" { symbol.book } else { symbol.trade };
        let mut result = format!(r#"{{"channel":"{channel}","symbol":"{name}""#);
        if channel == "book" {
            // The depth is that of the recording, whatever was asked for: nothing else can be served.
            let _ = write!(result, r#","depth":{}"#, symbol.depth);
        }
        if method == "unsubscribe" {
            result.push('}');
            session.topics.remove(&topic);
            if channel == "book" {
                session.books.remove(&index);
            }
            return vec![acknowledgement(method, &result, id)];
        }
        result.push_str(",\"snapshot\":true}");
        session.topics.insert(topic);
        let mut answers = vec![acknowledgement(method, &result, id)];
        if channel == "book" {
            let snapshot = session.cursor.and_then(|cursor| self.snapshot_at(index, cursor.index));
            session.books.insert(index, snapshot.is_some());
            answers.extend(snapshot);
        }
        answers
    }

    /// The snapshot for who subscribes at entry `at`: `None` if a recorded one is still to come, or none was before.
    fn snapshot_at(&self, symbol: usize, at: usize) -> Option<String> {
        let is_start =
            |entry: &Entry| matches!(entry, Entry::Book { symbol: of, is_snapshot: true, .. } if *of == symbol);
        if self.reel.entries[at..].iter().any(is_start) {
            return None;
        }
        self.reel.snapshot_before(symbol, at)
    }

    /// The snapshot of the instrument channel: the recorded one, or one made of what the numbers tell.
    fn instruments(&self) -> String {
        if let Some(text) = self.reel.instruments.as_ref().and_then(|bytes| std::str::from_utf8(bytes).ok()) {
            return text.to_owned();
        }
        let mut out = r#"{"channel":"instrument","type":"snapshot","data":{"assets":[],"pairs":["#.to_owned();
        for (index, symbol) in self.reel.symbols.iter().enumerate() {
            let (base, quote) = symbol.name.split_once('/').unwrap_or((&symbol.name, ""));
            let (price, quantity) = (symbol.price_decimals, symbol.quantity_decimals);
            let step = |decimals: u32| {
                let mut text = String::new();
                crate::sim::decimal::push(&mut text, 1, decimals as usize);
                text
            };
            let _ = write!(
                out,
                r#"{}{{"symbol":"{}","base":"{base}","quote":"{quote}","status":"online","price_precision":{price},"qty_precision":{quantity},"price_increment":{},"qty_increment":{},"qty_min":{},"marginable":false,"has_index":false}}"#,
                if index == 0 { "" } else { "," },
                symbol.name,
                step(price),
                step(quantity),
                step(quantity),
            );
        }
        out.push_str("]}}");
        out
    }

    /// What the session waits for before its next step.
    fn wait(&self, session: &mut Session) -> Wait {
        if session.topics.is_empty() || !self.stage.has_begun() {
            return Wait::Soon;
        }
        if session.cursor.is_none() {
            session.cursor = self.stage.place(&session.topics, session.was_early);
        }
        session.cursor.as_ref().map_or(Wait::Soon, |cursor| self.stage.wait(cursor))
    }

    /// Sends what is due, up to a batch.
    async fn play(&self, session: &mut Session, socket: &mut Socket) -> Result<(), Error> {
        let Some(mut cursor) = session.cursor else { return Ok(()) };
        self.catch_up(session, cursor.index, socket).await?;
        for _ in 0..BATCH {
            if !matches!(self.stage.wait(&cursor), Wait::Now) {
                break;
            }
            let entry = &self.reel.entries[cursor.index];
            cursor.index += 1;
            session.cursor = Some(cursor);
            let text = match entry {
                Entry::Trade { topic, text } => session.topics.contains(topic).then_some(text),
                Entry::Book { symbol, is_snapshot, text, .. } => match session.books.get_mut(symbol) {
                    Some(has_snapshot) => {
                        *has_snapshot |= *is_snapshot;
                        has_snapshot.then_some(text)
                    }
                    None => None,
                },
            };
            if let Some(text) = text.and_then(|text| Utf8Bytes::try_from(text.clone()).ok()) {
                socket.feed(Message::Text(text)).await?;
            }
        }
        socket.flush().await?;
        self.stage.reach(&session.topics, cursor.index);
        Ok(())
    }

    /// Sends snapshots to a session that joined in the middle: its books have begun without it.
    async fn catch_up(&self, session: &mut Session, at: usize, socket: &mut Socket) -> Result<(), Error> {
        if at == 0 {
            return Ok(());
        }
        for (symbol, has_snapshot) in &mut session.books {
            if !*has_snapshot && let Some(snapshot) = self.snapshot_at(*symbol, at) {
                *has_snapshot = true;
                socket.feed(Message::text(snapshot)).await?;
            }
        }
        Ok(())
    }

    async fn converse(&self, session: &mut Session, socket: &mut Socket) -> Result<(), Error> {
        let status = r#"{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2","connection_id":1}]}"#;
        socket.send(Message::text(status)).await?;
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT_EVERY, HEARTBEAT_EVERY);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wait = self.wait(session);
            let is_due = matches!(wait, Wait::Now | Wait::Until(_));
            tokio::select! {
                message = socket.next() => match message {
                    Some(message) => match message? {
                        Message::Text(text) => {
                            for answer in self.message(&text, session) {
                                socket.feed(Message::text(answer)).await?;
                            }
                            socket.flush().await?;
                        }
                        Message::Close(_) => return Ok(()),
                        _ => {}
                    },
                    None => return Ok(()),
                },
                () = wait.elapse() => {
                    if is_due {
                        self.play(session, socket).await?;
                    }
                }
                _ = heartbeat.tick() => {
                    if !session.topics.is_empty() {
                        socket.send(Message::text(r#"{"channel":"heartbeat"}"#)).await?;
                    }
                }
            }
        }
    }
}

impl Exchange for Kraken {
    type Visit = ();

    async fn answer(&self, _: Plain) -> Answer {
        Answer { status: 404, ..Answer::ok("") }
    }

    fn admit(&self, path: &str, _: &Query) -> Option<()> {
        matches!(path, "/v2" | "/v2/" | "/").then_some(())
    }

    async fn talk(self: Arc<Self>, (): (), mut socket: Socket) {
        // How a client leaves is no news here.
        let _ = self.converse(&mut Session::default(), &mut socket).await;
    }

    async fn run(self: Arc<Self>) {
        std::future::pending().await
    }
}

fn acknowledgement(method: &str, result: &str, id: &str) -> String {
    let now = rfc3339(clock::now());
    format!(r#"{{"method":"{method}","result":{result},"success":true,"time_in":"{now}","time_out":"{now}"{id}}}"#)
}

/// A time as Kraken writes it, with six decimals.
fn rfc3339(time: Nanos) -> String {
    let (days, micros) = (time.micros().div_euclid(DAY_MICROS), time.micros().rem_euclid(DAY_MICROS));
    // The civil calendar, years counted from March so that the leap day comes last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

const DAY_MICROS: i64 = 86_400_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_venue_writes_them() {
        assert_eq!(rfc3339(Nanos(1_690_730_998_343_415_000)), "2023-07-30T15:29:58.343415Z");
        assert_eq!(rfc3339(Nanos(1_709_164_800_000_000_000)), "2024-02-29T00:00:00.000000Z");
        assert_eq!(rfc3339(Nanos(0)), "1970-01-01T00:00:00.000000Z");
    }
}
