//! `tickcast record`, `inspect` and `replay`.

use std::fs;

use serde_json::Value;
use tickcast::recording::Recording;

use super::Folder;
use crate::{captures, process::run};

fn inspect(files: &[&str]) -> Value {
    let (code, text, wrong) = run(&[&["inspect", "--json"], files].concat());
    assert_eq!(code, 0, "{wrong}");
    assert_eq!(wrong, "");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

#[test]
fn what_was_recorded_is_counted_and_played() {
    let folder = Folder::new("record");
    let file = folder.file("session.tick");
    let (code, _, said) = run(&["record", &file, "--seconds", "3", "--log", "error"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("frames") && said.contains("in the file") && said.contains("recorded."), "{said}");

    let report = &inspect(&[&file])["files"][0];
    let summary = Recording::open(&[&file]).expect("a recording").summary();
    assert!(summary.received > 100, "{summary}");
    assert_eq!(report["records"]["received"].as_u64(), Some(summary.received));
    assert_eq!(report["records"]["answers"].as_u64(), Some(summary.responses));
    let (first, last) = summary.span.expect("it is not empty");
    assert_eq!((report["first_ns"].as_i64(), report["last_ns"].as_i64()), (Some(first.0), Some(last.0)));
    assert_eq!(report["file_bytes"].as_u64(), Some(fs::metadata(&file).expect("written").len()));
    assert_eq!((report["is_whole"].as_bool(), report["holes"]["count"].as_u64()), (Some(true), Some(0)), "{report:#}");
    assert!(report["holes"]["sequences"].as_u64() > Some(24), "{report:#}");
    let streams = report["streams"].as_array().expect("a list");
    let sum: u64 = streams.iter().map(|stream| stream["messages"].as_u64().expect("a count")).sum();
    assert_eq!(sum, summary.received);

    let (code, text, _) = run(&["inspect", &file, "--strict"]);
    assert_eq!(code, 0);
    for word in ["Tickcast, version 1", "depth@100ms", "/api/v3/depth", "silences", "holes", "whole"] {
        assert!(text.contains(word), "{word} is missing:\n{text}");
    }
    let replay = ["replay", &file, "--speed", "10", "--once", "--log", "error"];
    let doors =
        ["--set", "server.listen=127.0.0.1:0", "--set", "ops.listen=127.0.0.1:0", "--set", "sbe.listen=127.0.0.1:0"];
    let (code, _, said) = run(&[&replay[..], &doors].concat());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("frames were served"), "{said}");

    // The writer dies in the middle of a block.
    let bytes = fs::read(&file).expect("written");
    fs::write(&file, &bytes[..bytes.len() - 7]).expect("writable");
    let torn = &inspect(&[&file])["files"][0];
    assert!(torn["torn_bytes"].as_u64() > Some(0) && torn["is_whole"] == Value::Bool(false), "{torn:#}");
    let (code, text, wrong) = run(&["inspect", &file, "--strict"]);
    assert_eq!(code, 1);
    assert!(text.contains("torn") && wrong.contains("not whole"), "{text}\n{wrong}");
}

#[test]
fn lost_messages_are_holes() {
    let folder = Folder::new("holes");
    let file = folder.file("faults.tick");
    let faults = ["--set", "exchange.gap_per_minute=1200", "--set", "exchange.rate=2000"];
    let (code, _, said) = run(&[&["record", &file, "--seconds", "5", "--log", "error"], &faults[..]].concat());
    assert_eq!(code, 0, "{said}");
    let report = &inspect(&[&file])["files"][0];
    assert!(report["holes"]["count"].as_u64() > Some(0), "{report:#}");
    assert!(report["holes"]["missing"].as_u64() >= report["holes"]["count"].as_u64());
    assert!(report["holes"]["first"][0]["sequence"].as_str().is_some_and(|name| name.contains("usdt")), "{report:#}");
}

#[test]
fn what_is_no_recording_is_named() {
    let folder = Folder::new("no-recording");
    let file = folder.with("text.txt", "PNG is no recording");
    for path in [file.as_str(), "/nowhere/at/all.tick"] {
        let (code, _, wrong) = run(&["inspect", path]);
        assert_eq!(code, 66, "{wrong}");
        assert!(wrong.contains(path), "{wrong}");
    }
    // A file that breaks off is told of as far as it goes.
    let lines = "1789000000500 {\"e\":\"trade\",\"s\":\"S\",\"t\":1}\n1789000001500 {\"e\":\"trade\",\"s\":\"S\",\"t\":4}\nhello\n\
                 1789000001600 {}\n";
    let file = folder.with("lines.txt", lines);
    let (code, text, wrong) = run(&["inspect", &file]);
    assert_eq!(code, 66, "{text}");
    assert!(text.contains("2 messages received") && text.contains("2 ids from 2 in S trade"), "{text}");
    assert!(wrong.contains("line 3"), "{wrong}");
    assert_eq!(run(&["inspect"]).0, 2);
}

#[test]
fn captures_of_others_are_told_apart() {
    let Some(folder) = captures::folder("captures_of_others_are_told_apart") else { return };
    for (file, format, received, holes) in [
        ("hftbacktest/examples/spot/btcusdt_20240809.gz", "hftbacktest", 58_325, 0),
        ("cryptofeed/sample_data/BINANCE.ws.1.0.gz", "cryptofeed (text)", 265, 0),
        ("python-kraken-sdk/tests/spot/fixture/orderbook-v2.json.gz", "python-kraken-sdk", 510, 0),
    ] {
        let path = folder.join(file).display().to_string();
        let report = &inspect(&[&path])["files"][0];
        assert!(report["format"].as_str().is_some_and(|name| name.contains(format)), "{report:#}");
        assert_eq!(report["records"]["received"].as_u64(), Some(received), "{file}");
        assert_eq!(report["holes"]["count"].as_u64(), Some(holes), "{file}: {:#}", report["holes"]);
    }
}
