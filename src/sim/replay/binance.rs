//! The stand-in for Binance: streams and REST from a recording.

mod reel;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use reel::{Depth, Entry, Reel, last_id, request_key, rest_aggregate, rest_trade};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes, error::Error};

use super::{
    Settings,
    stage::{Cursor, Stage, Topic, Wait},
};
use crate::{
    clock,
    recording::Recording,
    sim::{
        control::{Control, Query},
        door::{Answer, Exchange, Plain, Socket},
        frame::combined,
        rest::{exchange_info_body, invalid_symbol, limit, names_of, nothing_here, number, symbol_of},
    },
};

/// Between two pings of ours, as on Binance.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Frames between two flushes at full speed.
const BATCH: usize = 64;
/// So long the feed has to stand at a book before a request for another one stops waiting for it.
const STUCK_AFTER: Duration = Duration::from_millis(20);
/// How often a held request looks whether the feed has come to its place.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A recording of Binance behind a door.
#[derive(Debug)]
pub(super) struct Binance {
    stage: Arc<Stage>,
    reel: Reel,
    /// Symbols whose book has been answered for.
    answered: Mutex<BTreeSet<Arc<str>>>,
    /// How often each recorded answer has been given.
    given: Mutex<HashMap<String, usize>>,
    /// When the feed was last seen to stand at a book that nobody asks for, for longer than a moment.
    stuck: Mutex<Option<Instant>>,
}

/// One client connection.
struct Session {
    control: Control,
    /// The recorded ones among its streams.
    topics: BTreeSet<Topic>,
    /// Those with the client's own names for them.
    names: HashMap<Topic, Vec<String>>,
    /// Whether it had streams before the feed began.
    was_early: bool,
    cursor: Option<Cursor>,
    /// Since when it waits at a book that nobody has asked for.
    held_since: Option<Instant>,
}

impl Binance {
    pub(super) fn new(recording: &Recording, settings: &Settings) -> Self {
        let reel = Reel::new(recording, &settings.symbols);
        let stage = Arc::new(Stage::new(settings, reel.times.clone(), &reel.entry_topics(), reel.topics.len()));
        Self { stage, reel, answered: Mutex::default(), given: Mutex::default(), stuck: Mutex::default() }
    }

    pub(super) fn symbols(&self) -> Vec<String> {
        self.reel.symbols.keys().map(|symbol| (**symbol).to_owned()).collect()
    }

    pub(super) fn stage(&self) -> Arc<Stage> {
        Arc::clone(&self.stage)
    }

    /// Takes the streams of a connection anew after a change.
    fn resolve(&self, session: &mut Session) {
        session.names.clear();
        for name in &session.control.names {
            if let Some(topic) = self.topic(name) {
                session.names.entry(topic).or_default().push(name.clone());
            }
        }
        session.topics = session.names.keys().copied().collect();
        self.stage.ask(&session.topics);
        if !session.topics.is_empty() && !self.stage.has_begun() {
            session.was_early = true;
        }
    }

    /// A stream by its name or by another spelling of it.
    fn topic(&self, name: &str) -> Option<Topic> {
        let other = || match name.strip_suffix("@1000ms") {
            Some(short) => self.reel.topics.get(short),
            None => self.reel.topics.get(&format!("{name}@1000ms")),
        };
        self.reel.topics.get(name).or_else(other).copied()
    }

    /// What the session waits for before its next step.
    fn wait(&self, session: &mut Session) -> Wait {
        if session.topics.is_empty() || !self.stage.has_begun() {
            return Wait::Soon;
        }
        let placed = || self.stage.place(&session.topics, session.was_early);
        let Some(cursor) = session.cursor.or_else(placed) else { return Wait::Soon };
        session.cursor = Some(cursor);
        if self.is_held(session, &cursor) {
            return Wait::Soon;
        }
        self.stage.wait(&cursor)
    }

    /// Whether the feed stands at the first book of one of the session's symbols and nobody has asked for it yet.
    fn is_held(&self, session: &mut Session, cursor: &Cursor) -> bool {
        let at = cursor.index.checked_sub(1).and_then(|index| self.reel.entries.get(index));
        let Some(Entry::Book { symbol, .. }) = at else { return false };
        let is_ours = self.reel.diff_topics(symbol).iter().any(|topic| session.topics.contains(topic));
        let is_answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner).contains(symbol);
        if !self.stage.is_unpaced() || !is_ours || is_answered {
            session.held_since = None;
            return false;
        }
        let held_for = session.held_since.get_or_insert_with(Instant::now).elapsed();
        if held_for >= STUCK_AFTER {
            *self.stuck.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        held_for < self.stage.hold
    }

    /// Whether the feed stands at a book that nobody asks for.
    fn is_stuck(&self) -> bool {
        let seen = *self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_some_and(|seen| seen.elapsed() < STUCK_AFTER)
    }

    /// Sends what is due, up to a batch, a book, or the next wait.
    async fn play(&self, session: &mut Session, socket: &mut Socket) -> Result<(), Error> {
        session.held_since = None;
        let Some(mut cursor) = session.cursor else { return Ok(()) };
        for _ in 0..BATCH {
            if !matches!(self.stage.wait(&cursor), Wait::Now) {
                break;
            }
            let entry = &self.reel.entries[cursor.index];
            cursor.index += 1;
            session.cursor = Some(cursor);
            match entry {
                Entry::Frame { topic, payload } => {
                    let Some(names) = session.names.get(topic) else { continue };
                    for text in spelled(payload, names, session.control.combined) {
                        socket.feed(Message::Text(text)).await?;
                    }
                }
                // The place is told before the book can be asked for.
                Entry::Book { .. } => break,
            }
        }
        socket.flush().await?;
        self.stage.reach(&session.topics, cursor.index);
        Ok(())
    }

    /// The book of `symbol`, once the feed has come to where it was recorded; if it stands at another book for which a
    /// client has no request to spare, at once: a book that is ahead of its diffs joins them like any other.
    async fn depth(&self, query: &Query) -> Result<Answer, Answer> {
        let symbol = self.symbol(query)?;
        let limit = limit(query, 100, 5_000)?;
        let is_book = |entry: &Entry| matches!(entry, Entry::Book { symbol: of, .. } if **of == *symbol);
        let until = Instant::now() + self.stage.hold;
        loop {
            let reached =
                self.reel.diff_topics(&symbol).iter().map(|&topic| self.stage.reached(topic)).max().unwrap_or(0);
            if let Some(at) = self.reel.entries[..reached].iter().rposition(is_book) {
                let body = self.book_at(at, reached, &symbol, limit).ok_or_else(busy)?;
                self.answered.lock().unwrap_or_else(PoisonError::into_inner).insert(symbol);
                return Ok(Answer::ok(body));
            }
            if self.is_stuck()
                && let Some(at) = self.reel.entries.iter().position(is_book)
                && let Some(body) = self.book_at(at, at, &symbol, limit)
            {
                self.answered.lock().unwrap_or_else(PoisonError::into_inner).insert(symbol);
                return Ok(Answer::ok(body));
            }
            if Instant::now() >= until {
                return Err(busy());
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// The book recorded at entry `at`: as it was, if no diff came between it and entry `reached`, else brought up to there.
    fn book_at(&self, at: usize, reached: usize, symbol: &str, limit: usize) -> Option<Bytes> {
        let Entry::Book { body, .. } = &self.reel.entries[at] else { return None };
        let mut depth = Depth::read(body)?;
        let mut is_recorded = true;
        for topic in self.reel.diff_topics(symbol) {
            let entries = self.stage.entries(topic);
            let entries = &entries[..entries.partition_point(|&entry| entry < reached)];
            let payload = |&entry: &usize| match &self.reel.entries[entry] {
                Entry::Frame { payload, .. } => Some(payload),
                Entry::Book { .. } => None,
            };
            let after = entries.partition_point(|&entry| entry < at);
            if after == entries.len() {
                continue;
            }
            // The answer may be older than diffs that had been received before it: clients have those in their buffers.
            let is_newer = |entry: &&usize| payload(entry).and_then(|it| last_id(it)) > Some(depth.last_id);
            let buffered = entries[..after].iter().rev().take_while(is_newer).count();
            is_recorded = false;
            entries[after - buffered..].iter().filter_map(payload).for_each(|payload| depth.apply(payload));
        }
        if is_recorded && depth.levels() <= limit {
            return Some(body.clone());
        }
        Some(depth.body(limit).into())
    }

    /// The answer that an equal request got when it was recorded: the next one each time, the last one from then on.
    fn recorded(&self, path: &str, query: &Query) -> Option<Answer> {
        let key = request_key(path, query);
        let answers = self.reel.answers.get(&key)?;
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let count = given.entry(key).or_default();
        let (status, body) = answers.get(*count).or(answers.last())?;
        *count += 1;
        Some(Answer { status: *status, ..Answer::ok(body.clone()) })
    }

    /// Trades or aggregates that were sent already, newest last.
    fn trades(&self, query: &Query, channel: &str) -> Result<Answer, Answer> {
        let symbol = self.symbol(query)?;
        let limit = limit(query, 500, 1_000)?;
        let from = number(query, "fromId")?;
        let convert = if channel == "trade" { rest_trade } else { rest_aggregate };
        let topic = self.topic(&format!("{}@{channel}", symbol.to_lowercase()));
        let sent = topic.map_or(&[][..], |topic| {
            let entries = self.stage.entries(topic);
            &entries[..entries.partition_point(|&entry| entry < self.stage.reached(topic))]
        });
        let object = |&entry: &usize| match &self.reel.entries[entry] {
            Entry::Frame { payload, .. } => convert(payload),
            Entry::Book { .. } => None,
        };
        let objects: Vec<String> = match from {
            Some(from) => sent.iter().filter_map(object).filter(|it| it.0 >= from).take(limit).map(|it| it.1).collect(),
            None => sent[sent.len().saturating_sub(limit)..].iter().filter_map(object).map(|it| it.1).collect(),
        };
        Ok(Answer::ok(format!("[{}]", objects.join(","))))
    }

    fn exchange_info(&self, query: &Query) -> Result<Answer, Answer> {
        let info = |name: &str| self.reel.symbols.get(name).cloned().ok_or_else(invalid_symbol);
        let infos: Vec<String> = match (query.get("symbol"), query.get("symbols")) {
            (Some(name), _) => vec![info(name)?],
            (None, Some(list)) => names_of(list)?.iter().map(|name| info(name)).collect::<Result<_, _>>()?,
            (None, None) => self.reel.symbols.values().cloned().collect(),
        };
        Ok(Answer::ok(exchange_info_body(clock::now().millis(), infos.into_iter())))
    }

    fn symbol(&self, query: &Query) -> Result<Arc<str>, Answer> {
        let name = symbol_of(query)?;
        self.reel.symbols.get_key_value(name).map(|(name, _)| Arc::clone(name)).ok_or_else(invalid_symbol)
    }

    async fn converse(&self, session: &mut Session, socket: &mut Socket) -> Result<(), Error> {
        let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wait = self.wait(session);
            let is_due = matches!(wait, Wait::Now | Wait::Until(_));
            tokio::select! {
                message = socket.next() => match message {
                    Some(message) => match message? {
                        Message::Text(text) => {
                            let outcome = session.control.message(&text);
                            self.resolve(session);
                            socket.send(Message::text(outcome.reply)).await?;
                            if outcome.close {
                                return socket.close(None).await;
                            }
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
                _ = ping.tick() => {
                    let payload = clock::now().millis().to_string();
                    socket.send(Message::Ping(payload.into_bytes().into())).await?;
                }
            }
        }
    }
}

impl Exchange for Binance {
    type Visit = Control;

    async fn answer(&self, request: Plain) -> Answer {
        let query = &request.query;
        let result = match request.path.as_str() {
            "/api/v3/ping" => Ok(Answer::ok("{}")),
            "/api/v3/time" => Ok(Answer::ok(format!(r#"{{"serverTime":{}}}"#, clock::now().millis()))),
            "/api/v3/exchangeInfo" => self.exchange_info(query),
            "/api/v3/depth" => self.depth(query).await,
            path => match (self.recorded(path, query), path) {
                (Some(answer), _) => Ok(answer),
                (None, "/api/v3/trades" | "/api/v3/historicalTrades") => self.trades(query, "trade"),
                (None, "/api/v3/aggTrades") => self.trades(query, "aggTrade"),
                // Not recorded, so it is not there; to ask again is of no use.
                (None, _) => Err(nothing_here()),
            },
        };
        result.unwrap_or_else(|refusal| refusal)
    }

    fn admit(&self, path: &str, query: &Query) -> Option<Control> {
        Control::open(path, query)
    }

    async fn talk(self: Arc<Self>, control: Control, mut socket: Socket) {
        let mut session = Session {
            control,
            topics: BTreeSet::new(),
            names: HashMap::new(),
            was_early: false,
            cursor: None,
            held_since: None,
        };
        self.resolve(&mut session);
        // How a client leaves is no news here.
        let _ = self.converse(&mut session, &mut socket).await;
    }

    async fn run(self: Arc<Self>) {
        std::future::pending().await
    }
}

/// A payload as a client wants it, once per name that it has for the stream.
fn spelled(payload: &Bytes, names: &[String], is_combined: bool) -> Vec<Utf8Bytes> {
    let Ok(raw) = Utf8Bytes::try_from(payload.clone()) else { return Vec::new() };
    names.iter().map(|name| if is_combined { combined(name, &raw).into() } else { raw.clone() }).collect()
}

/// What a request gets whose place the feed does not reach in time.
fn busy() -> Answer {
    let text = "Internal error; unable to process your request. Please try again.";
    Answer { retry_after: Some(1), ..Answer::error(503, -1001, text) }
}
