//! A recorder that is killed, what is left of its file, and recordings of two venues.

use std::{collections::BTreeMap, fs, fs::OpenOptions};

use serde_json::Value;
use tickcast::{
    market::Nanos,
    recording::{Kind, Record, Recording, Summary},
    sim::replay::{self, Speed},
};

use super::{Scratch, assert_same, exchange, until, until_ready, venue};
use crate::{
    client::{self, LocalBook},
    oracle::{Message, Oracle},
    process::{self, Served},
};

const SYMBOLS: [&str; 2] = ["BTCUSDT", "ETHUSDT"];

/// The books that a plain reading of a recording comes to, each from the symbol's last whole book on.
fn plain_books(recording: &Recording) -> BTreeMap<String, LocalBook> {
    let json = |record: &Record| serde_json::from_slice::<Value>(&record.bytes).expect("JSON");
    let mut frames = Vec::new();
    let mut books = BTreeMap::new();
    for record in recording.records() {
        match &record.kind {
            Kind::Response { url, status: 200 } if url.contains("/api/v3/depth") => {
                let symbol = url.split_once("symbol=").expect("a symbol").1.split('&').next().expect("a part");
                books.insert(symbol.to_owned(), Message::Snapshot(Some(symbol.to_owned()), json(record)));
            }
            Kind::Received if record.bytes.starts_with(b"{\"stream\"") => {
                frames.push(Message::Frame(json(record)["data"].take()));
            }
            _ => {}
        }
    }
    frames.extend(books.into_values());
    Oracle::read(&frames).books
}

/// Serves `file` to its end, and compares what REST says then.
async fn equals_the_recording(file: &Scratch, speed: &str, expected: &BTreeMap<String, LocalBook>) {
    let served = Served::start(&["replay", file.path(), "--speed", speed]);
    until("all is served", || async { served.lines_with("frames were served") == 1 }).await;
    until_ready(&served).await;
    for (symbol, expected) in expected {
        let url = format!("http://{}/api/v3/depth?symbol={symbol}&limit=5000", served.public);
        until("the last frame is in the book", || async {
            client::get(&url).await["lastUpdateId"].as_i64() >= Some(expected.last_id)
        })
        .await;
        assert_same(symbol, &LocalBook::from_rest(&client::get(&url).await), expected);
    }
    assert_eq!(served.terminate(), Some(0));
}

#[tokio::test]
async fn a_killed_recorder_loses_its_last_block_and_nothing_else() {
    let market = exchange(&SYMBOLS, |settings| settings.rate = 1000);
    let config = Scratch::with("recorder.toml", &venue(&market));
    let file = Scratch::named("killed.tickcast");
    let mut recorder = process::spawn(&["record", file.path(), "--config", config.path()]);
    let open = || Recording::open(&[&file.0]).expect("a recording");
    until("some blocks with all books are on the disk", || async {
        fs::metadata(&file.0).is_ok_and(|it| it.len() > 0)
            && Recording::open(&[&file.0])
                .is_ok_and(|it| it.summary().received > 1000 && plain_books(&it).len() == SYMBOLS.len())
    })
    .await;
    recorder.kill().expect("it runs");
    recorder.wait().expect("its own child");

    // A kill can end in the middle of a block; this one is made to.
    let whole = open();
    let bytes = fs::metadata(&file.0).expect("it is there").len();
    OpenOptions::new().write(true).open(&file.0).expect("it is ours").set_len(bytes - 5).expect("it is ours");
    let torn = open();
    assert!(torn.torn_bytes() > 0);
    assert!(torn.records().len() < whole.records().len());
    assert!(whole.records().starts_with(torn.records()), "all but the torn block is there");

    let replay = ["replay", file.path(), "--speed", "max", "--once"];
    let doors = ["--set", "server.listen=127.0.0.1:0", "--set", "ops.listen=127.0.0.1:0", "--set", "sbe.listen="];
    let (code, _, said) = process::run(&[&replay[..], &doors].concat());
    assert_eq!(code, 0, "{said}");
    assert_eq!(said.lines().filter(|line| line.contains("in the middle of a block")).count(), 1, "{said}");
    let frames = torn.records().iter().filter(|record| record.bytes.starts_with(b"{\"stream\"")).count();
    assert!(said.contains(&format!("All {frames} frames were served")), "{frames} frames: {said}");
    let expected = plain_books(&torn);
    for speed in ["max", "20"] {
        equals_the_recording(&file, speed, &expected).await;
    }

    // It is continued, and what it says of itself is what is in the file.
    let (code, _, said) = process::run(&["record", file.path(), "--config", config.path(), "--seconds", "2"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(said.lines().filter(|line| line.contains("in the middle of a block")).count(), 1, "{said}");
    let continued = open();
    assert_eq!(continued.torn_bytes(), 0);
    assert!(continued.records().starts_with(torn.records()));
    let mut fresh = Summary::default();
    continued.records()[torn.records().len()..].iter().for_each(|record| fresh.count(record));
    let line = format!("{} frames and {} answers recorded, 0 left out.", fresh.received, fresh.responses);
    assert!(fresh.received > 0 && said.contains(&line), "not `{line}`: {said}");
    equals_the_recording(&file, "max", &plain_books(&continued)).await;
}

#[test]
fn what_cannot_be_recorded_to_is_told_before_anything_is_dialled() {
    let (code, _, said) = process::run(&["record", "/nowhere/at-all.tickcast"]);
    assert_eq!(code, 73, "{said}");
    assert!(said.contains("/nowhere/at-all.tickcast"), "{said}");
    let foreign = Scratch::with("foreign.txt", "these are somebody's notes");
    let (code, _, said) = process::run(&["record", foreign.path()]);
    assert_eq!(code, 73, "{said}");
    assert_eq!(fs::read_to_string(&foreign.0).expect("it is there"), "these are somebody's notes");
}

/// A book of Kraken that gets another bid each 50 ms, with the checksums that Kraken would send.
fn kraken_recording() -> Recording {
    let mut top = Vec::new();
    let records = (0..40_i64).map(|step| {
        let bid = 10 + step;
        top.insert(0, format!("{bid}5125"));
        let sum = crc32fast::hash(top.iter().take(10).map(String::as_str).collect::<String>().as_bytes());
        let kind = if step == 0 { "snapshot" } else { "update" };
        let text = format!(
            r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"AAA/USD","bids":[{{"price":{bid}.5,"qty":1.25}}],"asks":[],"checksum":{sum},"timestamp":"2023-07-30T15:29:58.343415Z"}}]}}"#
        );
        Record {
            time: Nanos::from_millis(1_700_000_000_000 + step * 50),
            connection: 0,
            kind: Kind::Received,
            bytes: text.into(),
        }
    });
    Recording::from_records(records.collect())
}

#[tokio::test]
async fn two_venues_are_recorded_together_and_replayed_as_two() {
    let binance = exchange(&SYMBOLS[..1], |_| {});
    let paced = replay::Settings { speed: Speed::Times(1.0), ..replay::Settings::default() };
    let kraken = replay::start(&kraken_recording(), &paced).expect("loopback is there");
    let at = kraken.addr();
    let both = format!(
        "{}[[venues]]\nname = \"kraken\"\nkind = \"kraken\"\nws_url = \"ws://{at}/v2\"\nrest_url = \"http://{at}\"\n\
         symbols = [\"AAA/USD\"]\nbook_depth = 10\n",
        venue(&binance)
    );
    let config = Scratch::with("two.toml", &both);
    let file = Scratch::named("two.tickcast");
    let (code, _, said) = process::run(&["record", file.path(), "--config", config.path(), "--seconds", "4"]);
    assert_eq!(code, 0, "{said}");
    assert!(kraken.finished(), "the recorder heard all of Kraken");

    let served = Served::start(&["replay", file.path(), "--speed", "max"]);
    assert_eq!(served.lines_with("Tickcast serves 2 instruments of binance, kraken."), 1, "{}", served.log());
    until("all is served", || async { served.lines_with("frames were served") == 1 }).await;
    until_ready(&served).await;
    let expected = plain_books(&Recording::open(&[&file.0]).expect("a recording"));
    let url = format!("http://{}/api/v3/depth?symbol=BTCUSDT&limit=5000", served.public);
    until("Binance's last frame is in the book", || async {
        client::get(&url).await["lastUpdateId"].as_i64() >= Some(expected["BTCUSDT"].last_id)
    })
    .await;
    assert_same("BTCUSDT", &LocalBook::from_rest(&client::get(&url).await), &expected["BTCUSDT"]);
    let url = format!("http://{}/kraken/api/v3/depth?symbol=AAAUSD&limit=10", served.public);
    until("Kraken's last bid is the best", || async {
        let book = client::get(&url).await;
        book["bids"].as_array().map(Vec::len) == Some(10) && book["bids"][0][0] == "49.50000000"
    })
    .await;
    assert_eq!(served.terminate(), Some(0));
}
