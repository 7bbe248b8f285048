//! What a recording has besides books and trades: timed streams and REST answers.

use bytes::Bytes;
use serde_json::json;
use tickcast::{
    market::Nanos,
    recording::{Kind, Record, Recording},
    sim::replay::{self, Running, Settings, Speed},
};

use crate::venue_client::{Client, get};

struct Tape(Vec<Record>);

impl Tape {
    fn new(url: &str) -> Self {
        let mut tape = Self(Vec::new());
        tape.push(Kind::Opened { url: url.into() }, "");
        tape
    }

    fn push(&mut self, kind: Kind, text: &str) {
        let time = Nanos::from_millis(1_789_000_000_000 + self.0.len() as i64);
        self.0.push(Record { time, connection: 1, kind, bytes: Bytes::copy_from_slice(text.as_bytes()) });
    }

    fn answer(&mut self, path: &str, status: u16, body: &str) {
        self.push(Kind::Response { url: format!("http://127.0.0.1:1{path}").into(), status }, body);
    }

    fn play(self) -> Running {
        let settings = Settings { speed: Speed::Max, ..Settings::default() };
        replay::start(&Recording::from_records(self.0), &settings).expect("a free port")
    }
}

#[tokio::test]
async fn recorded_answers_are_given_to_equal_requests_only() {
    let mut tape = Tape::new("ws://127.0.0.1:1/stream");
    tape.push(Kind::Received, r#"{"stream":"btcusdt@avgPrice","data":{"e":"avgPrice","E":1,"s":"BTCUSDT"}}"#);
    let klines = "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=2";
    tape.answer(klines, 200, "[[1]]");
    tape.answer(klines, 200, "[[2]]");
    tape.answer("/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=2", 429, "{}");
    tape.answer("/api/v3/historicalTrades?symbol=BTCUSDT&fromId=5", 200, r#"[{"id":5}]"#);
    tape.answer("/api/v3/referencePrice?symbol=BTCUSDT", 400, r#"{"code":-2043,"msg":"none"}"#);
    let replay = tape.play();
    let ask = async |path: &str| {
        let answer = get(replay.addr(), path).await;
        (answer.status, answer.body)
    };
    assert_eq!(ask(klines).await, (200, "[[1]]".to_owned()));
    let turned = "/api/v3/klines?limit=2&interval=1m&symbol=BTCUSDT";
    assert_eq!(ask(turned).await, (200, "[[2]]".to_owned()), "the order of parameters does not matter");
    assert_eq!(ask(klines).await, (200, "[[2]]".to_owned()), "the last one stays");
    assert_eq!(ask("/api/v3/historicalTrades?symbol=BTCUSDT&fromId=5").await, (200, r#"[{"id":5}]"#.to_owned()));
    assert_eq!(ask("/api/v3/referencePrice?symbol=BTCUSDT").await.0, 400);
    for unknown in ["klines?symbol=BTCUSDT&interval=1h&limit=2", "klines?symbol=BTCUSDT&interval=1m", "avgPrice"] {
        assert_eq!(ask(&format!("/api/v3/{unknown}")).await.0, 404, "{unknown}");
    }
    // Trades that nobody recorded an answer with are those that were sent: none.
    assert_eq!(ask("/api/v3/trades?symbol=BTCUSDT").await, (200, "[]".to_owned()));
}

#[tokio::test]
async fn every_recorded_stream_is_played_also_those_of_all_symbols() {
    let names = [
        "btcusdt@kline_1m",
        "btcusdt@kline_1d@+08:00",
        "btcusdt@ticker",
        "btcusdt@ticker_4h",
        "btcusdt@avgPrice",
        "btcusdt@referencePrice",
        "btcusdt@blockTrade",
        "!miniTicker@arr",
        "!ticker_1h@arr",
    ];
    let payload = |name: &str| match name {
        "btcusdt@kline_1m" => json!({"e":"kline","s":"BTCUSDT","k":{"i":"1m"}}),
        "btcusdt@kline_1d@+08:00" => json!({"e":"kline","s":"BTCUSDT","k":{"i":"1d"}}),
        "btcusdt@ticker" => json!({"e":"24hrTicker","s":"BTCUSDT"}),
        "btcusdt@ticker_4h" => json!({"e":"4hTicker","s":"BTCUSDT"}),
        "btcusdt@avgPrice" => json!({"e":"avgPrice","s":"BTCUSDT"}),
        "btcusdt@referencePrice" => json!({"e":"referencePrice","s":"BTCUSDT"}),
        "btcusdt@blockTrade" => json!({"e":"blockTrade","s":"BTCUSDT"}),
        "!miniTicker@arr" => json!([{"e":"24hrMiniTicker","s":"BTCUSDT"}]),
        _ => json!([{"e":"1hTicker","s":"BTCUSDT"}]),
    };
    // Wrapped frames name their stream, raw ones are told by what is in them.
    let mut wrapped = Tape::new("ws://127.0.0.1:1/stream");
    let mut raw = Tape::new(&format!("ws://127.0.0.1:1/ws/{}", names.join("/")));
    for name in names {
        wrapped.push(Kind::Received, &json!({"stream": name, "data": payload(name)}).to_string());
        raw.push(Kind::Received, &payload(name).to_string());
    }
    // A wrapper begins with its stream.
    for record in &mut wrapped.0[1..] {
        let text = String::from_utf8(record.bytes.to_vec()).expect("text");
        assert!(text.starts_with(r#"{"data":"#), "serde_json sorts keys: {text}");
        let (data, stream) = text[8..].rsplit_once(r#","stream":"#).expect("a stream");
        record.bytes = format!(r#"{{"stream":{},"data":{data}}}"#, &stream[..stream.len() - 1]).into();
    }
    for tape in [wrapped, raw] {
        let replay = tape.play();
        assert_eq!(replay.symbols(), ["BTCUSDT"], "what is of all symbols is none of its own");
        let path = format!("/stream?streams={}", names.join("/").replace('+', "%2B"));
        let mut client = Client::open(replay.addr(), &path).await;
        for name in names {
            let frame = client.json().await;
            assert_eq!((frame["stream"].as_str(), &frame["data"]), (Some(name), &payload(name)));
        }
    }
}
