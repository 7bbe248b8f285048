//! `tickcast load` as a user runs it, held against what the server itself counted.

use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    house::wait_until,
    process::{self, Served},
};

/// Runs `tickcast load` and reads its JSON.
fn load(arguments: &[&str]) -> Value {
    let (code, said, wrong) = process::run(&[&["load", "--json"], arguments].concat());
    assert_eq!(code, 0, "{wrong}");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}:\n{said}\n{wrong}"))
}

fn number(report: &Value, pointer: &str) -> f64 {
    let value = report.pointer(pointer).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("{pointer} is no number in\n{report:#}"))
}

/// A file of this test alone, gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("tickcast-load-{}-{name}", std::process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a plain path")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _never_written = fs::remove_file(&self.0);
    }
}

#[test]
fn what_it_counts_is_what_the_server_counts() {
    const CLIENTS: u32 = 200;
    let served = Served::start(&["serve"]);
    let url = format!("ws://{}", served.public);
    let (clients, pid) = (CLIENTS.to_string(), served.pid().to_string());
    let page = Scratch::new("counts.html");
    let report = load(&[
        &url,
        "--ops",
        &served.ops,
        "--pid",
        &pid,
        "--clients",
        &clients,
        "--per-client",
        "4",
        "--threads",
        "2",
        "--warm-up",
        "500ms",
        "--duration",
        "2s",
        "--report",
        page.path(),
    ]);
    assert_eq!(number(&report, "/connections/opened"), f64::from(CLIENTS));
    assert_eq!(number(&report, "/connections/upgrade/count"), f64::from(CLIENTS));
    assert_eq!(report["connections"]["failed"], serde_json::json!({}));
    assert_eq!(report["lost"], serde_json::json!({}));

    // While the server is asked for its count, events go on coming; a pass that is under way is one more to each client.
    let (here, there) = (number(&report, "/deliveries"), number(&report, "/counted/deliveries"));
    let edge = number(&report, "/counted/edge") + f64::from(CLIENTS);
    assert!(here > edge, "{here} deliveries tell nothing with edges of {edge}");
    assert!((here - there).abs() <= edge, "{here} here, {there} by the server, edges of {edge}");
    assert!(number(&report, "/sequence/checked") > here / 2.0, "{report:#}");
    assert_eq!((number(&report, "/sequence/holes"), number(&report, "/sequence/disordered")), (0.0, 0.0));

    let percentiles = ["p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms"];
    let percentiles = percentiles.map(|name| number(&report, &format!("/latency/{name}")));
    assert!(percentiles[0] > 0.0 && percentiles.is_sorted(), "{percentiles:?}");
    let sampled = number(&report, "/latency/count");
    let bars = report["latency"]["bars"].as_array().expect("bars");
    let in_bars: f64 = bars.iter().map(|bar| bar["count"].as_f64().expect("a count")).sum();
    assert_eq!(sampled, in_bars);
    assert!(
        sampled > here / 40.0 && sampled < here / 4.0,
        "{sampled} of {here} is not one in eight of those with a time"
    );
    assert!(number(&report, "/server/cpu_s") > 0.0 && number(&report, "/server/cpu_s_by_thread/shard") > 0.0);
    assert!(number(&report, "/server/memory_before_bytes") > 1e6);
    assert!(report["verdict"][0].is_string() && report["slow"].is_null() && report["storms"].is_null());

    let page = fs::read_to_string(page.path()).expect("the page is written");
    is_sound(&page);
    let rate = number(&report, "/deliveries_per_s").round() as u64;
    let (whole, last) = (rate / 1000, rate % 1000);
    let shown = if whole > 0 { format!("{whole},{last:03}") } else { last.to_string() };
    for part in [&shown, "<svg", "p99.9", "prefers-color-scheme:dark", &format!("&quot;deliveries&quot;: {here}")] {
        assert!(page.contains(part), "the page lacks {part}");
    }
}

/// Whether all elements are closed in order, and nothing is fetched from anywhere.
fn is_sound(page: &str) {
    let mut open = Vec::new();
    let style_ends = page.find("</style>").expect("a style");
    for (at, _) in page.match_indices('<') {
        let tag = &page[at + 1..at + page[at..].find('>').expect("a tag ends")];
        let name: String = tag.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/' || *c == '!').collect();
        match &*name {
            "!doctype" | "meta" => {}
            _ if tag.ends_with('/') => {}
            name => match name.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop().as_deref(), Some(closed), "near {}", &page[at..at + 20]),
                None => open.push(name.to_owned()),
            },
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    assert!(style_ends < page.find("<body>").expect("a body"));
    for fetching in ["src=", "href=", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(fetching), "the page has {fetching}");
    }
}

#[test]
fn slow_readers_and_storms_are_reported_apart() {
    // Little is kept for slow readers, and much comes.
    let served = Served::start(&["serve", "--set", "session.outbox_bytes_max=262144", "--set", "exchange.rate=6000"]);
    let url = format!("http://{}/", served.public);
    let arguments = ["--clients", "8", "--slow", "3", "--storm", "3/250ms", "--per-client", "96", "--duration", "6s"];
    let report = load(&[&[&*url, "--ops", &*served.ops, "--warm-up", "0s"], &arguments[..]].concat());

    let of = |pointer: &str| number(&report, pointer);
    assert!(of("/storms/storms") >= 1.0 && of("/storms/cut") >= 3.0, "{report:#}");
    assert!(of("/storms/reopened") > 0.0 && of("/storms/reopened") <= of("/storms/cut"), "{report:#}");
    assert_eq!(report["storms"]["failed"], serde_json::json!({}));
    assert_eq!(of("/storms/upgrade/count"), of("/storms/reopened"));
    // A connection that comes again begins anew: what went by meanwhile is no hole.
    assert_eq!((of("/sequence/holes"), of("/sequence/disordered")), (0.0, 0.0), "{report:#}");
    assert_eq!(report["lost"], serde_json::json!({}), "only slow readers are ended");

    let closed = report["slow"]["closed"].as_object().expect("reasons");
    let closed: u64 = closed.values().map(|count| count.as_u64().expect("a count")).sum();
    assert_eq!(of("/slow/readers"), 3.0);
    assert_eq!(of("/slow/still_open") + closed as f64, 3.0, "{report:#}");
    assert!(closed as f64 + of("/counted/conflated") > 0.0, "the server did not mind them: {report:#}");
    assert!(report["counted"]["ratio"].is_null(), "the server counts slow readers' part as well");
    assert!(of("/latency/count") > 0.0);
}

#[test]
fn without_a_url_it_measures_a_server_of_its_own_and_ends_it() {
    let arguments = ["load", "--clients", "20", "--warm-up", "0s", "--duration", "500ms", "--per-client", "96"];
    let (code, said, wrong) = process::run(&arguments);
    assert_eq!(code, 0, "{wrong}");
    for part in ["started for this run", "Deliveries", "per server CPU second", "ratio", "p99.9", "┤", "bottleneck"] {
        assert!(said.contains(part) || (part == "bottleneck" && said.contains("full")), "no `{part}` in\n{said}");
    }
    let address = said.split("ws://").nth(1).and_then(|rest| rest.split(',').next()).expect("its address");
    assert!(TcpStream::connect(address).is_err(), "the server of its own still listens at {address}");
}

#[test]
fn mistakes_are_told_with_the_way_out() {
    let cases = [
        (&["--clients", "0"][..], 2, &["--clients", "from 1 to 1000000"][..]),
        (&["--per-client", "2000"], 2, &["--per-client", "from 1 to 1024"]),
        (&["--duration", "10"], 2, &["--duration", "10s"]),
        (&["--streams", "btcusdt"], 2, &["btcusdt@trade"]),
        (&["--storm", "5"], 2, &["200/5s"]),
        (&["--pid", "1"], 2, &["--pid", "URL"]),
        (&["wss://127.0.0.1:1"], 2, &["TLS", "ws://"]),
        (&["ws://127.0.0.1"], 2, &["port lacks"]),
        (&["ws://127.0.0.1:1"], 69, &["127.0.0.1:1", "is the server running there?"]),
        (&["ws://127.0.0.1:1", "--streams", "a@trade", "--clients", "5"], 69, &["none of 5 clients", "refused"]),
        (
            &["ws://127.0.0.1:1", "--streams", "a@trade", "--slow", "999", "--storm", "9/1s"],
            2,
            &["--slow 999", "too few"],
        ),
        (&["ws://127.0.0.1:1", "--streams", "a@trade", "--slow", "1000"], 2, &["at least one"]),
        (
            &["ws://127.0.0.1:1", "--streams", "a@trade", "--pid", "4294967295"],
            2,
            &["--pid 4294967295", "no such process"],
        ),
        (&["ws://127.0.0.1:1", "--streams", "a@trade", "--ops", "127.0.0.1:1"], 69, &["127.0.0.1:1/metrics"]),
        (&["--report", "/nowhere/at-all.html"], 73, &["--report /nowhere/at-all.html"]),
        (&["--set", "server.shards=many"], 78, &["server.shards"]),
    ];
    for (arguments, expected, parts) in cases {
        let (code, _, wrong) = process::run(&[&["load"], arguments].concat());
        assert_eq!(code, expected, "{arguments:?}\n{wrong}");
        for part in parts {
            assert!(wrong.contains(part), "`{part}` is missing for {arguments:?} in\n{wrong}");
        }
    }
    let (code, help, _) = process::run(&["load", "--help"]);
    assert_eq!(code, 0);
    assert!(help.lines().count() <= 50, "it fits a screen:\n{help}");
}

#[test]
fn a_server_that_refuses_is_quoted() {
    let served = Served::start(&["serve"]);
    let url = format!("ws://{}", served.ops);
    let (code, _, wrong) = process::run(&["load", &url, "--streams", "btcusdt@trade", "--clients", "3"]);
    assert_eq!(code, 69, "{wrong}");
    assert!(wrong.contains("none of 3 clients") && wrong.contains("the server answered 404"), "{wrong}");
    let (code, _, wrong) = process::run(&["load", &url]);
    assert_eq!(code, 69, "{wrong}");
    assert!(wrong.contains("/api/v3/exchangeInfo") && wrong.contains("404"), "{wrong}");
}

#[test]
fn whoever_interrupts_it_leaves_no_server_behind() {
    let mut load = Command::new(env!("CARGO_BIN_EXE_tickcast"))
        .args(["load", "--clients", "5", "--duration", "1h"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let tasks = format!("/proc/{}/task", load.id());
    let mut server = None;
    wait_until("it starts a server of its own", || {
        let tasks = fs::read_dir(&tasks).expect("it runs").flatten();
        let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        server = children.filter_map(|pids| pids.split(' ').next()?.parse::<u32>().ok()).next();
        server.is_some()
    });
    let server = format!("/proc/{}", server.expect("just seen"));
    let pid = load.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there").success());
    assert_eq!(load.wait().expect("its own child").code(), Some(130));
    assert!(fs::metadata(&server).is_err(), "{server} is still there");
}
