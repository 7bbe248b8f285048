//! Captures of real exchanges, counted as their list counts them.

use tickcast::recording::{Kind, Recording, stream_of};

use crate::captures;

/// File, messages received, REST bodies, messages by channel.
type Expected = (&'static str, u64, u64, &'static [(&'static str, u64)]);

const CAPTURES: &[Expected] = &[
    (
        "cryptofeed/history/BINANCE-b38f7c.0.2df3a1e.gz",
        11_357,
        10,
        &[("bookTicker", 5_408), ("depth@100ms", 4_709), ("aggTrade", 1_240)],
    ),
    ("cryptofeed/sample_data/BINANCE.http.0.0.gz", 0, 4, &[]),
    (
        "cryptofeed/sample_data/BINANCE.ws.1.0.gz",
        265,
        0,
        &[("depth@100ms", 177), ("bookTicker", 84), ("aggTrade", 2), ("kline_1m", 2)],
    ),
    (
        "hftbacktest/examples/spot/btcusdt_20240808.gz",
        41_248,
        1,
        &[("bookTicker", 28_040), ("trade", 9_757), ("depth@100ms", 3_451)],
    ),
    (
        "hftbacktest/examples/spot/btcusdt_20240809.gz",
        58_325,
        0,
        &[("bookTicker", 45_134), ("trade", 10_147), ("depth@100ms", 3_044)],
    ),
    ("cryptofeed/sample_data/BINANCE_US.0.gz", 0, 1, &[]),
    ("cryptofeed/sample_data/BINANCE_US.http.0.0.gz", 0, 4, &[]),
    (
        "cryptofeed/sample_data/BINANCE_US.ws.1.0.gz",
        480,
        0,
        &[("depth@100ms", 336), ("bookTicker", 128), ("aggTrade", 11), ("kline_1m", 5)],
    ),
    ("cryptofeed/history/KRAKEN-4b7396.0.1136b54.gz", 152, 0, &[("ticker", 22)]),
    ("cryptofeed/history/KRAKEN-82ac16.0.7cc531f.gz", 142, 0, &[("trade", 12)]),
    ("cryptofeed/sample_data/KRAKEN.0.gz", 0, 1, &[]),
    ("cryptofeed/sample_data/KRAKEN.ws.48.0.gz", 49, 0, &[("trade", 8)]),
    ("cryptofeed/sample_data/KRAKEN.ws.49.0.gz", 60, 0, &[("ticker", 18)]),
    ("cryptofeed/sample_data/KRAKEN.ws.50.0.gz", 4_321, 0, &[("book-1000", 4_279)]),
    ("cryptofeed/sample_data/KRAKEN_FUTURES.ws.1.0.gz", 7_175, 0, &[]),
    ("python-kraken-sdk/tests/spot/fixture/orderbook-v2.json.gz", 510, 0, &[("book", 510)]),
    ("cryptofeed/v3_branch/sample_data/BYBIT.jsonl.zst", 3_227, 2, &[]),
    ("cryptofeed/v3_branch/sample_data/UPBIT.jsonl.zst", 449, 1, &[]),
];

#[test]
fn captures_are_counted_as_their_list_counts_them() {
    let Some(folder) = captures::folder("captures_are_counted_as_their_list_counts_them") else { return };
    for (file, received, responses, channels) in CAPTURES {
        let recording = Recording::open(&[folder.join(file)]).unwrap_or_else(|error| panic!("{error}"));
        let summary = recording.summary();
        assert_eq!((summary.received, summary.responses), (*received, *responses), "{file}");
        for (channel, count) in *channels {
            assert_eq!(summary.channels.get(*channel), Some(count), "{file}: {channel}\n{summary}");
        }
        assert_eq!(recording.torn_bytes(), 0, "{file}");
    }
}

#[test]
fn files_of_one_session_are_played_together() {
    let Some(folder) = captures::folder("files_of_one_session_are_played_together") else { return };
    let open = |files: &[&str]| {
        let paths: Vec<_> = files.iter().map(|file| folder.join(file)).collect();
        Recording::open(&paths).unwrap_or_else(|error| panic!("{error}"))
    };
    let pair =
        open(&["hftbacktest/examples/spot/btcusdt_20240809.gz", "hftbacktest/examples/spot/btcusdt_20240808.gz"]);
    let mut last = None;
    for record in pair.records() {
        if stream_of(&record.bytes).as_deref() != Some("btcusdt@depth@100ms") {
            continue;
        }
        let frame: serde_json::Value = serde_json::from_slice(&record.bytes).expect("JSON");
        let first = frame["data"]["U"].as_i64();
        assert!(last.is_none() || first == last, "the chain breaks at {first:?}");
        last = frame["data"]["u"].as_i64().map(|last| last + 1);
    }
    let urls: Vec<_> = pair
        .records()
        .iter()
        .filter_map(|record| if let Kind::Response { url, .. } = &record.kind { Some(&**url) } else { None })
        .collect();
    assert_eq!(urls, ["https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"]);
    let both = open(&["cryptofeed/sample_data/BINANCE.http.0.0.gz", "cryptofeed/sample_data/BINANCE.ws.1.0.gz"]);
    assert!(both.records().is_sorted_by_key(|record| record.time));
    assert_eq!((both.summary().received, both.summary().responses), (265, 4));
}
