//! `/livez`, `/readyz` and `/status`: what they tell, and when they say no.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tickcast::clock::{self, Beat};

use super::{ask, get};
use crate::{
    client,
    house::{self, House, wait_until},
    life::{until, until_ready},
    process::Served,
};

/// A thread whose loop beats until it is held, as one would that waits for a lock for ever.
struct Looping {
    beat: Beat,
    held: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Looping {
    fn start(name: &str) -> Self {
        let beat = Beat::new(name, clock::now());
        let (held, ends) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (beating, is_held, does_end) = (beat.clone(), Arc::clone(&held), Arc::clone(&ends));
        let thread = thread::spawn(move || {
            while !does_end.load(Ordering::Acquire) {
                if !is_held.load(Ordering::Acquire) {
                    beating.tick(clock::now());
                }
                thread::park_timeout(Duration::from_millis(10));
            }
        });
        Self { beat, held, ends, thread: Some(thread) }
    }
}

impl Drop for Looping {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        self.thread.take().expect("joined once").join().expect("it does not panic");
    }
}

#[test]
fn a_loop_that_takes_no_turn_is_named_until_it_goes_on() {
    let mut config = house::config();
    config.ops.beat_max_ms = 200;
    let house = House::with(&config).expect("free ports");
    let (sound, stuck) = (Looping::start("shard-0"), Looping::start("engine-0"));
    house.beats.add(sound.beat.clone());
    house.beats.add(stuck.beat.clone());
    let (status, body) = get(house.ops, "/livez");
    assert_eq!((status, &body["live"]), (200, &true.into()), "{body}");
    assert_eq!(body["loops"][1]["thread"], "engine-0", "{body}");

    stuck.held.store(true, Ordering::Release);
    wait_until("livez says no", || get(house.ops, "/livez").0 == 503);
    let (_, body) = get(house.ops, "/livez");
    let reasons = body["reasons"].as_array().expect("reasons");
    assert!(reasons.iter().any(|reason| reason.as_str().is_some_and(|it| it.starts_with("thread engine-0 has taken"))));
    let (_, status) = get(house.ops, "/status.json");
    assert_eq!(status["live"], false);
    let page = ask(house.ops, "GET", "/status", "").2;
    assert!(page.contains("thread engine-0 takes no turns") && page.contains("<title>Tickcast: stuck"), "{page}");

    stuck.held.store(false, Ordering::Release);
    wait_until("livez says yes", || get(house.ops, "/livez").0 == 200);
    // One that has ended in order is nobody's worry.
    stuck.held.store(true, Ordering::Release);
    stuck.beat.end();
    let (_, body) = get(house.ops, "/livez");
    assert!(!body.to_string().contains("engine-0"), "{body}");
}

#[test]
fn a_venue_that_has_fallen_silent_is_not_ready() {
    let mut config = house::config();
    config.ops.silence_max_ms = 60_000;
    let mut house = House::with(&config).expect("free ports");
    house.list_btc();
    house.publish_btc();
    wait_until("the book is there", || get(house.ops, "/status.json").1["symbols"][0]["book"] == "live");
    // What is published there was received in the past.
    let (status, body) = get(house.ops, "/readyz");
    assert_eq!(status, 503);
    let reason = body["reasons"][0].as_str().expect("a reason");
    assert!(
        reason.starts_with("venue binance: nothing has come for ") && reason.contains("ops.silence_max_ms"),
        "{body}"
    );

    config.ops.silence_max_ms = 0;
    let mut house = House::with(&config).expect("free ports");
    house.list_btc();
    house.publish_btc();
    wait_until("silence is not judged", || get(house.ops, "/readyz").0 == 200);
}

#[test]
fn the_page_is_whole_without_a_script_and_loads_nothing_from_elsewhere() {
    let mut house = House::new();
    house.list_btc();
    house.publish_btc();
    wait_until("the book is there", || get(house.ops, "/status.json").1["symbols"][0]["book"] == "live");
    let browser = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n";
    for target in ["/", "/status"] {
        let (status, head, page) = ask(house.ops, "GET", target, browser);
        assert_eq!(status, 200);
        assert!(head.contains("content-type: text/html") && head.contains("default-src 'none'"), "{head}");
        for part in [
            "<html lang=\"en\">",
            "BTCUSDT",
            "ETHUSDT",
            "not listed",
            "binance",
            "<p>Sessions by thread.",
            "scope=\"row\"",
        ] {
            assert!(page.contains(part), "{part} is missing in\n{page}");
        }
        assert!(!page.contains("href=\"http") && !page.contains("src=\"http"), "{page}");
        // The policy lets nothing inline run.
        assert!(!page.contains("<script>") && !page.contains("style=\""), "{page}");
        let (_, head, json) = ask(house.ops, "GET", target, "Accept: application/json\r\n");
        assert!(head.contains("content-type: application/json"), "{head}");
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
    }
    for (part, kind) in [("/status.css", "text/css"), ("/status.js", "text/javascript")] {
        let (status, head, _) = ask(house.ops, "GET", part, "");
        assert!(status == 200 && head.contains(kind), "{part}: {head}");
    }
    let mut client = house::connect(house.ops);
    client.write_all(b"HEAD /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("the door reads");
    let answer = house::read_all(&mut client);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn the_status_of_a_real_server_is_that_of_its_metrics() {
    let served = Served::start(&["serve", "--set", "server.shards=2"]);
    until_ready(&served).await;
    let mut socket = client::open(&format!("ws://{}/stream?streams=btcusdt@trade/ethusdt@depth", served.public)).await;
    client::next(&mut socket).await;
    let sum = |status: &serde_json::Value, key: &str| {
        status["shards"]
            .as_array()
            .expect("shards")
            .iter()
            .map(|shard| shard[key].as_u64().expect("a number"))
            .sum::<u64>()
    };
    until("the session is counted", || async {
        let status = get(&served.ops, "/status.json").1;
        sum(&status, "sessions") == 1 && sum(&status, "subscriptions") == 2 && sum(&status, "deliveries") > 0
    })
    .await;
    let (_, status) = get(&served.ops, "/status.json");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&status["phase"], &status["ready"]), (&"serving".into(), &true.into()));
    let venue = &status["venues"][0];
    assert_eq!((&venue["venue"], &venue["connections"], &venue["live"]), (&"binance".into(), &1.into(), &24.into()));
    assert!(venue["frames"].as_u64().expect("frames") > 0 && venue["feed_lag_p99_ms"].is_number(), "{venue}");
    assert_eq!(status["symbols"].as_array().expect("symbols").len(), 24);
    assert!(status["symbols"][0]["last_update_age_ms"].as_u64().expect("an age") < 60_000);
    let names = |key: &str, name: &str| {
        let list = status[key].as_array().expect("a list").iter();
        list.map(|it| it[name].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    for thread in ["engine-0", "shard-0", "shard-1", "views", "store", "intake", "doors"] {
        assert!(names("threads", "thread").iter().any(|name| name == thread), "{thread} is missing: {status}");
    }
    for reader in ["shard-0", "shard-1", "views", "store"] {
        assert!(names("readers", "reader").iter().any(|name| name == reader), "{reader} is missing: {status}");
    }
    let limit = |key: &str| {
        let limits = status["limits"].as_array().expect("limits").iter();
        limits.clone().find(|limit| limit["key"] == key).map(|limit| limit["value"].clone()).expect("it is listed")
    };
    assert_eq!(limit("session.streams_max"), "1024");
    drop(socket);
    until("its end is counted", || async {
        get(&served.ops, "/status.json").1["closes"].as_array().is_some_and(|closes| !closes.is_empty())
    })
    .await;
    assert_eq!(served.terminate(), Some(0));
}
