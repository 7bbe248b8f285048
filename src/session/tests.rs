//! Replies byte for byte, and what messages cause.

use proptest::prelude::*;

use super::*;
use crate::{
    market::InstrumentId,
    topic::{Cadence, Channel},
};

const NOW: Nanos = Nanos::from_millis(1_789_000_000_000);

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::new();
    let binance = catalogue.add_venue("binance", None);
    catalogue.add_instrument(binance, "BTCUSDT", "BTCUSDT");
    catalogue.add_instrument(binance, "币安USDT", "币安USDT");
    let kraken = catalogue.add_venue("kraken", None);
    catalogue.add_instrument(kraken, "BTC/USD", "BTCUSD");
    catalogue
}

fn limits() -> Limits {
    Limits {
        streams_max: 1024,
        messages_per_second: 0,
        messages_burst: 1,
        ping_interval_ms: 20_000,
        pong_timeout_ms: 60_000,
        lifetime_ms: 86_400_000,
        lifetime_jitter_ms: 0,
        unknown_bytes_max: 65_536,
    }
}

/// A session with the world around it.
struct Client {
    catalogue: Catalogue,
    limits: Limits,
    session: Session,
    effects: Effects,
}

impl Client {
    fn open(url: &str, limits: Limits) -> Self {
        let catalogue = catalogue();
        let opening = opening(url, &catalogue).unwrap();
        let mut effects = Effects::default();
        let session =
            Session::open(&opening, 0, &Context { catalogue: &catalogue, limits: &limits, now: NOW }, &mut effects);
        Self { catalogue, limits, session, effects }
    }

    /// The reply to `text`, after what it causes was carried out as a shard does.
    fn says(&mut self, text: &str) -> String {
        let context = Context { catalogue: &self.catalogue, limits: &self.limits, now: NOW };
        self.session.message(Incoming::Text(text), &context, &mut self.effects);
        self.session.forget(&self.effects.removed);
        assert_eq!(self.effects.kind, ReplyKind::Text);
        String::from_utf8(self.effects.reply.clone()).unwrap()
    }

    #[track_caller]
    fn assert(&mut self, text: &str, reply: &str, close: Option<CloseReason>) {
        assert_eq!(self.says(text), reply, "to {text}");
        assert_eq!(self.effects.close, close, "after {text}");
    }
}

#[test]
fn requests_are_answered_byte_for_byte() {
    let mut client = Client::open("/ws/0/btcusdt@trade", limits());
    for (text, reply) in [
        (
            r#"{"method":"SUBSCRIBE","params":["btcusdt@depth@1000ms","kraken:btcusd@trade"],"id":1}"#,
            r#"{"result":null,"id":1}"#,
        ),
        (
            r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","BTCUSDT@trade"],"id":"a1-B_"}"#,
            r#"{"result":null,"id":"a1-B_"}"#,
        ),
        (
            "{\n  \"id\": -9223372036854775808,\n  \"params\": [],\n  \"x\": {},\n  \"method\": \"SUBSCRIBE\"\n}",
            r#"{"result":null,"id":-9223372036854775808}"#,
        ),
        (
            r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#,
            r#"{"result":["0","btcusdt@trade","btcusdt@depth@1000ms","kraken:btcusd@trade","BTCUSDT@trade"],"id":3}"#,
        ),
        (
            r#"{"method":"UNSUBSCRIBE","params":["0","nosuch@trade","btcusdt@depth","0"],"id":null}"#,
            r#"{"result":null,"id":null}"#,
        ),
        (
            r#"{"method":"LIST_SUBSCRIPTIONS","params":[],"id":9223372036854775807}"#,
            r#"{"result":["btcusdt@trade","btcusdt@depth@1000ms","kraken:btcusd@trade","BTCUSDT@trade"],"id":9223372036854775807}"#,
        ),
        (
            r#"{"method":"LIST_SUBSCRIPTIONS","params":null,"id":"\u0061b\u002d1"}"#,
            r#"{"result":["btcusdt@trade","btcusdt@depth@1000ms","kraken:btcusd@trade","BTCUSDT@trade"],"id":"\u0061b\u002d1"}"#,
        ),
        (r#"{"method":"GET_PROPERTY","params":["combined"],"id":5}"#, r#"{"result":false,"id":5}"#),
        (r#"{"method":"SET_PROPERTY","params":["combined",true],"id":6}"#, r#"{"result":null,"id":6}"#),
        (r#"{"method":"GET_PROPERTY","params":["combined"],"id":7}"#, r#"{"result":true,"id":7}"#),
    ] {
        client.assert(text, reply, None);
    }
}

#[test]
fn refusals_name_what_is_wrong() {
    let mut client = Client::open("/stream", limits());
    let id = "Invalid request: request ID must be an unsigned integer";
    for (text, reply) in [
        (
            r#"{"method":"FOO","params":[],"id":4}"#,
            r#"{"error":{"code":2,"msg":"Invalid request: unknown variant `FOO`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"},"id":4}"#,
        ),
        (
            r#"{"params":["btcusdt@trade"],"id":1}"#,
            r#"{"error":{"code":2,"msg":"Invalid request: missing field `method` at line 1 column 35"},"id":1}"#,
        ),
        (
            "{\"method\":\"SUBSCRIBE\",\n\"id\":1}",
            r#"{"error":{"code":2,"msg":"Invalid request: missing field `params` at line 2 column 7"},"id":1}"#,
        ),
        (
            r#"{"method":"SUBSCRIBE","params":[1],"id":1}"#,
            r#"{"error":{"code":2,"msg":"Invalid request: invalid type: integer `1`, expected a string"},"id":1}"#,
        ),
        (
            r#"{"method":"UNSUBSCRIBE","params":"btcusdt@trade","id":1}"#,
            r#"{"error":{"code":2,"msg":"Invalid request: invalid type: string \"btcusdt@trade\", expected a sequence"},"id":1}"#,
        ),
        (
            r#"{"method":"LIST_SUBSCRIPTIONS","params":["x"],"id":1}"#,
            r#"{"error":{"code":2,"msg":"Invalid request: too many parameters"},"id":1}"#,
        ),
        (
            r#"{"method":"SET_PROPERTY","params":["combined",true,1],"id":1}"#,
            r#"{"error":{"code":2,"msg":"Invalid request: too many parameters"},"id":1}"#,
        ),
        (
            r#"{"method":"GET_PROPERTY","params":["combined",1],"id":1}"#,
            r#"{"error":{"code":2,"msg":"Invalid request: too many parameters"},"id":1}"#,
        ),
        (
            r#"{"method":"SET_PROPERTY","params":["combined","true"],"id":1}"#,
            r#"{"error":{"code":1,"msg":"Invalid value type: expected Boolean"},"id":1}"#,
        ),
        (
            r#"{"method":"SET_PROPERTY","params":["combined"],"id":1}"#,
            r#"{"error":{"code":1,"msg":"Invalid value type: expected Boolean"},"id":1}"#,
        ),
        (
            r#"{"method":"SET_PROPERTY","params":["other",true],"id":1}"#,
            r#"{"error":{"code":0,"msg":"Unknown property"},"id":1}"#,
        ),
        (
            r#"{"method":"GET_PROPERTY","params":[],"id":1}"#,
            r#"{"error":{"code":2,"msg":"Invalid request: property name must be a string"},"id":1}"#,
        ),
        (
            r#"{"method":"GET_PROPERTY","params":[7],"id":1}"#,
            r#"{"error":{"code":2,"msg":"Invalid request: property name must be a string"},"id":1}"#,
        ),
        (
            "[]",
            r#"{"error":{"code":2,"msg":"Invalid request: invalid type: sequence, expected an object at line 1 column 0"}}"#,
        ),
        (
            r#"{"method":"SUBSCRIBE","method":"FOO","id":1}"#,
            r#"{"error":{"code":2,"msg":"Invalid request: duplicate field `method` at line 1 column 36"}}"#,
        ),
    ] {
        client.assert(text, reply, None);
    }
    let long = format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":"{}"}}"#, "x".repeat(37));
    for text in [
        r#"{"method":"LIST_SUBSCRIPTIONS"}"#,
        r#"{"method":"LIST_SUBSCRIPTIONS","id":1.5}"#,
        r#"{"method":"LIST_SUBSCRIPTIONS","id":9223372036854775808}"#,
        r#"{"method":"LIST_SUBSCRIPTIONS","id":true}"#,
        r#"{"method":"LIST_SUBSCRIPTIONS","id":"a b"}"#,
        r#"{"method":"LIST_SUBSCRIPTIONS","id":[1]}"#,
        &long,
    ] {
        client.assert(text, &format!(r#"{{"error":{{"code":2,"msg":"{id}"}}}}"#), None);
    }
}

#[test]
fn what_is_no_json_ends_the_session_with_the_parsers_words() {
    for (text, reply) in [
        ("hello", r#"{"error":{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}}"#),
        ("", r#"{"error":{"code":3,"msg":"Invalid JSON: EOF while parsing a value at line 1 column 0"}}"#),
        (r#"{"id":1} x"#, r#"{"error":{"code":3,"msg":"Invalid JSON: trailing characters at line 1 column 10"}}"#),
    ] {
        Client::open("/ws", limits()).assert(text, reply, Some(CloseReason::InvalidRequest));
    }
}

#[test]
fn a_malformed_stream_ends_the_session_and_adds_nothing() {
    for method in ["SUBSCRIBE", "UNSUBSCRIBE"] {
        let mut client = Client::open("/ws/btcusdt@trade", limits());
        client.assert(
            &format!(r#"{{"method":"{method}","params":["btcusdt@trade","btcusdt@depth","@@@x###"],"id":8}}"#),
            r#"{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":8}"#,
            Some(CloseReason::InvalidRequest),
        );
        assert_eq!(client.session.subscriptions().len(), 1);
        assert!(client.effects.removed.is_empty());
    }
}

#[test]
fn limits_on_streams_end_the_session() {
    let few = || Limits { streams_max: 2, unknown_bytes_max: 12, ..limits() };
    let mut client = Client::open("/ws/btcusdt@trade", few());
    client.assert(
        r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@depth"],"id":1}"#,
        r#"{"result":null,"id":1}"#,
        None,
    );
    client.assert(
        r#"{"method":"SUBSCRIBE","params":["btcusdt@ticker"],"id":2}"#,
        r#"{"error":{"code":4,"msg":"Too many subscriptions"},"id":2}"#,
        Some(CloseReason::TooManySubscriptions),
    );
    Client::open("/ws", few()).assert(
        r#"{"method":"SUBSCRIBE","params":["a@trade","b@trade"],"id":2}"#,
        r#"{"error":{"code":4,"msg":"Too many subscriptions"},"id":2}"#,
        Some(CloseReason::TooManySubscriptions),
    );
    let client = Client::open("/ws/a/b/c", few());
    assert_eq!(client.effects.close, Some(CloseReason::TooManySubscriptions));
    assert_eq!(client.effects.reply, br#"{"error":{"code":4,"msg":"Too many subscriptions"}}"#);
}

#[test]
fn effects_name_what_the_table_has_to_do() {
    let mut client = Client::open("/stream?streams=btcusdt@depth&timeUnit=MICROSECOND", limits());
    assert_eq!(client.effects.added_from, Some(0));
    client.says(r#"{"method":"SUBSCRIBE","params":["btcusdt@depth","btcusdt@depth@1000ms","x"],"id":1}"#);
    assert_eq!(client.effects.added_from, Some(1));
    let session = &client.session;
    let topic = TopicId::new(InstrumentId(0), Channel::Depth(Cadence::Slow));
    let wanted: Vec<_> = session.subscriptions().iter().map(|subscription| session.wants(subscription)).collect();
    let [Some((first, canonical)), Some((second, alias)), None] = wanted[..] else { panic!("{wanted:?}") };
    assert_eq!((first, second), (topic, topic));
    assert!(canonical != alias && canonical.unit() == TimeUnit::Microseconds && alias.spelling().is_some());

    client.says(r#"{"method":"SET_PROPERTY","params":["combined",false],"id":2}"#);
    assert!(client.effects.reformed);
    let (session, first) = (&client.session, &client.session.subscriptions()[0]);
    assert_eq!(session.wanted(first), Some((topic, canonical)));
    assert_eq!(session.wants(first).map(|(_, form)| form.spelling()), Some(None));
    client.says(r#"{"method":"SET_PROPERTY","params":["combined",false],"id":3}"#);
    assert!(!client.effects.reformed);

    let context = Context { catalogue: &client.catalogue, limits: &client.limits, now: NOW };
    let text = r#"{"method":"UNSUBSCRIBE","params":["x","btcusdt@depth","x"],"id":4}"#;
    client.session.message(Incoming::Text(text), &context, &mut client.effects);
    assert_eq!(client.effects.removed, [0, 2]);
    assert_eq!(client.session.subscriptions().len(), 3, "the table lets go first");
    client.session.forget(&[0, 2]);
    assert_eq!(client.session.wants(&client.session.subscriptions()[0]).map(|(topic, _)| topic), Some(topic));
}

#[test]
fn names_are_listed_as_written_and_escaped() {
    let mut client = Client::open("/ws/%E5%B8%81%E5%AE%89usdt@trade/a%22b/binance:btcusdt@depth5@100ms", limits());
    client.assert(
        r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#,
        r#"{"result":["币安usdt@trade","a\"b","binance:btcusdt@depth5@100ms"],"id":1}"#,
        None,
    );
}

#[test]
fn every_kind_of_message_counts_but_the_last_word() {
    let strict = Limits { messages_per_second: 1, messages_burst: 3, ..limits() };
    let mut client = Client::open("/ws", strict);
    let context = Context { catalogue: &client.catalogue, limits: &client.limits, now: NOW };
    let mut say = |incoming| {
        client.session.message(incoming, &context, &mut client.effects);
        (client.effects.kind, client.effects.close, client.effects.reply.clone())
    };
    assert_eq!(say(Incoming::Ping(b"hi")), (ReplyKind::Pong, None, b"hi".to_vec()));
    assert_eq!(say(Incoming::Pong(b"")), (ReplyKind::Nothing, None, Vec::new()));
    assert_eq!(say(Incoming::Binary), (ReplyKind::Nothing, Some(CloseReason::Binary), Vec::new()));
    assert_eq!(say(Incoming::Pong(b"")), (ReplyKind::Nothing, Some(CloseReason::TooManyRequests), Vec::new()));
    assert_eq!(say(Incoming::Close(Some(1000))).1, Some(CloseReason::Client(Some(1000))));
}

proptest! {
    #[test]
    fn whatever_is_said_the_answer_is_json(
        method in prop_oneof![Just("SUBSCRIBE"), Just("UNSUBSCRIBE"), Just("LIST_SUBSCRIPTIONS"), Just("SET_PROPERTY"), Just("\"")],
        params in "[\\[\\]a-z@\",0-9 :.é]{0,40}",
        id in "[0-9a-z\"-]{0,40}",
        noise in ".*",
    ) {
        let near = format!(r#"{{"method":"{method}","params":[{params}],"id":{id}}}"#);
        for text in [near, noise] {
            let mut client = Client::open("/ws", limits());
            let reply = client.says(&text);
            let parsed: serde_json::Value = serde_json::from_str(&reply).unwrap();
            prop_assert!(parsed.get("result").is_some() != parsed.get("error").is_some());
        }
    }
}

#[test]
fn at_the_door_of_sbe_the_words_are_the_same_and_the_streams_are_others() {
    let catalogue = catalogue();
    let limits = limits();
    let context = Context { catalogue: &catalogue, limits: &limits, now: NOW };
    let opening =
        sbe_opening("/stream?streams=btcusdt@bestBidAsk/btcusdt@bookTicker&timeUnit=second", &catalogue).unwrap();
    let mut effects = Effects::default();
    let session = Session::open(&opening, 0, &context, &mut effects);
    assert!(!session.is_combined() && session.unit() == TimeUnit::Microseconds);
    let mut client = Client { catalogue: self::catalogue(), limits: limits.clone(), session, effects };
    for (text, reply) in [
        (
            r#"{"method":"SUBSCRIBE","params":["btcusdt@depth","kraken:btcusd@depth20","btcusdt@depth@100ms"],"id":1}"#,
            r#"{"result":null,"id":1}"#,
        ),
        (
            r#"{"method":"LIST_SUBSCRIPTIONS","id":2}"#,
            r#"{"result":["btcusdt@bestBidAsk","btcusdt@bookTicker","btcusdt@depth","kraken:btcusd@depth20","btcusdt@depth@100ms"],"id":2}"#,
        ),
        (r#"{"method":"GET_PROPERTY","params":["combined"],"id":3}"#, r#"{"result":true,"id":3}"#),
        (r#"{"method":"SET_PROPERTY","params":["combined",false],"id":4}"#, r#"{"result":null,"id":4}"#),
        (r#"{"method":"GET_PROPERTY","params":["combined"],"id":5}"#, r#"{"result":false,"id":5}"#),
    ] {
        client.assert(text, reply, None);
        assert!(!client.effects.reformed, "nothing is wrapped before or after");
    }
    let wanted: Vec<_> = client.session.subscriptions().iter().map(|one| client.session.wants(one)).collect();
    let known = |instrument, channel| Some((TopicId::new(InstrumentId(instrument), channel), Form::SBE));
    let expected = [
        known(0, Channel::BookTicker),
        None,
        known(0, Channel::Depth(Cadence::Swift)),
        known(2, Channel::PartialDepth(20, Cadence::Brisk)),
        None,
    ];
    assert_eq!(wanted, expected);
}

#[test]
fn a_session_is_small() {
    assert!(size_of::<Session>() <= 96, "{}", size_of::<Session>());
    assert!(size_of::<Subscription>() <= 12, "{}", size_of::<Subscription>());
    assert_eq!(size_of::<FrameReader>(), 8);
}
