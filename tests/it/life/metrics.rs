//! What an operator can see: every metric there is a name for, described, named by the rule, and counting.

use std::{collections::BTreeSet, fs, path::Path};

use futures_util::SinkExt;
use tickcast::{
    metrics::{CLOSES, COUNTERS, GAUGES, HISTOGRAMS, PROCESS, REASONS, REFUSED},
    normalise::Refusal,
    session::CloseReason,
    sim::Fault,
};
use tokio_tungstenite::tungstenite::Message;

use super::{DepthClient, Metrics, Scratch, exchange, until, until_counted, until_ready, venue};
use crate::{client, process::Served};

#[tokio::test]
async fn every_metric_is_there_described_and_counting() {
    let market = exchange(&["BTCUSDT"], |_| {});
    let config = Scratch::with("metrics.toml", &venue(&market));
    let served = Served::start(&["serve", "--config", config.path()]);
    until_ready(&served).await;
    let metrics = Metrics::of(&served).await;
    for (name, _) in COUNTERS.iter().chain(GAUGES).chain(HISTOGRAMS) {
        assert!(metrics.0.contains(&format!("# TYPE {name} ")), "{name} is missing:\n{}", metrics.0);
    }
    // Closed sets are whole before anything of them has happened.
    for (name, label, set) in [
        ("tickcast_session_closes_total", "reason", CLOSES.iter().map(|(reason, _)| *reason).collect()),
        ("tickcast_server_refused_total", "reason", REFUSED.iter().map(|(reason, _)| *reason).collect()),
        ("tickcast_engine_refused_total", "reason", REASONS.to_vec()),
        ("tickcast_config_reloads_total", "result", vec!["done", "refused"]),
    ] {
        for value in set {
            let found =
                metrics.0.lines().any(|line| line.starts_with(name) && line.contains(&format!("{label}=\"{value}\"")));
            assert!(found, "{name} has no series with {label} {value}");
        }
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
        if PROCESS.iter().any(|(process, kind, _)| line == format!("{process} {kind}")) {
            continue;
        }
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
    assert!(HISTOGRAMS.iter().all(|(name, _)| name.ends_with("_seconds") || name.ends_with("_frames")), "units");
    for (key, name) in CLOSES.iter().chain(REFUSED).filter_map(|(name, key)| key.map(|key| (key, name))) {
        let (table, key) = key.split_once('.').expect("a table and a key");
        let defaults = include_str!("../../../config/default.toml");
        let table = defaults.split(&format!("\n[{table}]\n")).nth(1).expect("a table of the configuration");
        let table = table.split("\n[").next().expect("split yields a first part");
        assert!(table.contains(&format!("\n{key} = ")), "{name}: no key {key}");
    }
}

/// The rooms that count may not be named by the room of metrics: here its lists are held against them.
#[test]
fn closed_sets_hold_every_value_that_the_code_has() {
    let closes = [
        CloseReason::Client(None),
        CloseReason::Lost,
        CloseReason::Lifetime,
        CloseReason::Shutdown,
        CloseReason::IdsReset,
        CloseReason::PongTimeout,
        CloseReason::TooManyRequests,
        CloseReason::InvalidRequest,
        CloseReason::TooManySubscriptions,
        CloseReason::SlowConsumer,
        CloseReason::Lapped,
        CloseReason::Protocol,
        CloseReason::Binary,
        CloseReason::InvalidUtf8,
        CloseReason::TooBig,
    ];
    let labels: BTreeSet<_> = closes.iter().map(|reason| reason.label()).collect();
    assert_eq!(labels, CLOSES.iter().map(|(reason, _)| *reason).collect());
    let refusals =
        [Refusal::Malformed, Refusal::Number, Refusal::UnknownInstrument, Refusal::UnknownMessage, Refusal::VenueError];
    assert_eq!(refusals.map(Refusal::label).to_vec(), REASONS);
    let mut counted = BTreeSet::new();
    in_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server"), &mut |text| {
        counted.extend(
            text.split("Server::refused(\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())),
        );
    });
    assert_eq!(counted, REFUSED.iter().map(|(reason, _)| (*reason).to_owned()).collect());
}

fn in_sources(folder: &Path, look: &mut impl FnMut(&str)) {
    for entry in fs::read_dir(folder).expect("src can be read").flatten() {
        let path = entry.path();
        if path.is_dir() {
            in_sources(&path, look);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(&fs::read_to_string(&path).expect("a source can be read"));
        }
    }
}
