//! What an operator can see: every metric there is a name for, described, named by the rule, and counting.

use std::{collections::BTreeSet, fs, path::Path};

use futures_util::SinkExt;
use tickcast::{
    metrics::{COUNTERS, GAUGES, HISTOGRAMS},
    sim::Fault,
};
use tokio_tungstenite::tungstenite::Message;

use super::{DepthClient, Metrics, Scratch, exchange, until, until_counted, until_ready, venue};
use crate::{client, process::Served};

/// Those that appear with their first event only, because the label says which one it was.
const WITH_THE_FIRST: [&str; 5] = [
    "tickcast_engine_refused_total",
    "tickcast_session_closes_total",
    "tickcast_server_refused_total",
    "tickcast_server_rest_answers_total",
    "tickcast_server_ws_api_answers_total",
];

#[tokio::test]
async fn every_metric_is_there_described_and_counting() {
    let market = exchange(&["BTCUSDT"], |_| {});
    let config = Scratch::with("metrics.toml", &venue(&market));
    let served = Served::start(&["serve", "--config", config.path()]);
    until_ready(&served).await;
    let metrics = Metrics::of(&served).await;
    for (name, _) in COUNTERS.iter().chain(GAUGES).chain(HISTOGRAMS) {
        let is_there = metrics.0.contains(&format!("# TYPE {name} "));
        assert!(is_there || WITH_THE_FIRST.contains(name), "{name} is missing:\n{}", metrics.0);
    }

    let mut depth = DepthClient::join(&served.public, "BTCUSDT", "@100ms").await;
    for fault in [Fault::Gap, Fault::Malformed] {
        market.inject(fault);
    }
    until_counted(&served, "tickcast_engine_refused_total", "reason=", 1.0).await;
    until_counted(&served, "tickcast_book_gaps_total", "venue=\"binance\"", 1.0).await;
    until_counted(&served, "tickcast_book_resyncs_total", "venue=\"binance\"", 1.0).await;
    let nowhere = client::http().get(format!("http://{}/api/v3/nothing", served.public)).send().await;
    assert_eq!(nowhere.expect("an answer").status(), 404);
    let mut asking = client::open(&format!("ws://{}/ws-api/v3", served.public)).await;
    asking.send(Message::text(r#"{"id":1,"method":"ping"}"#)).await.expect("sent");
    assert_eq!(client::next(&mut asking).await["status"], 200);
    let mut socket = std::net::TcpStream::connect(&served.public).expect("the server accepts");
    std::io::Write::write_all(&mut socket, b"\x16\x03\x01\x00\x00\x00\r\n\r\n").expect("the server reads");
    until_counted(&served, "tickcast_server_refused_total", "reason=\"request\"", 1.0).await;
    depth.step().await;
    drop(depth);
    until_counted(&served, "tickcast_session_closes_total", "reason=", 1.0).await;

    let metrics = Metrics::of(&served).await;
    let tables = [("counter", COUNTERS), ("gauge", GAUGES), ("histogram", HISTOGRAMS)];
    let mut known = BTreeSet::new();
    for (kind, (name, help)) in tables.iter().flat_map(|(kind, table)| table.iter().map(move |line| (kind, line))) {
        assert!(metrics.0.contains(&format!("# TYPE {name} {kind}\n")), "{name} is no {kind}");
        assert!(metrics.0.contains(&format!("# HELP {name} {help}\n")), "{name} has another help text");
        let sample = if *kind == "histogram" { format!("{name}_count") } else { (*name).to_owned() };
        let is_sampled =
            metrics.0.lines().any(|line| line.strip_prefix(&sample).is_some_and(|it| it.starts_with(['{', ' '])));
        assert!(is_sampled, "{name} has no sample");
        assert!(known.insert(*name), "{name} stands in two tables");
    }
    for line in metrics.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().expect("a name");
        assert!(known.contains(name), "{name} stands in no table");
    }
    for name in ["tickcast_engine_feed_lag_seconds", "tickcast_shard_delivery_seconds"] {
        assert!(metrics.sum(&format!("{name}_count"), "") > 0.0, "{name} is empty");
        assert!(metrics.0.contains(&format!("{name}_bucket{{")), "{name} has explicit buckets");
    }
    until("the session is gone", || async { Metrics::of(&served).await.sum("tickcast_shard_sessions", "") == 0.0 })
        .await;
    assert_eq!(served.terminate(), Some(0));
}

#[test]
fn names_follow_the_rule() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (name, help) in COUNTERS.iter().chain(GAUGES).chain(HISTOGRAMS) {
        let mut words = name.split('_');
        assert_eq!(words.next(), Some("tickcast"), "{name}");
        let room = words.next().expect("a room");
        // The build is everybody's.
        assert!(room == "build" || fs::exists(source.join(format!("{room}.rs"))).expect("src can be read"), "{name}");
        assert!(words.next().is_some(), "{name} has no noun");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert!(!help.is_empty() && !help.ends_with('.'), "{name}: {help}");
    }
    assert!(COUNTERS.iter().all(|(name, _)| name.ends_with("_total")), "counters end in _total");
    assert!(GAUGES.iter().all(|(name, _)| !name.ends_with("_total")), "gauges do not");
    assert!(HISTOGRAMS.iter().all(|(name, _)| name.ends_with("_seconds")), "histograms are of seconds");
}
