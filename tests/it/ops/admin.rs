//! The admin API: who is let in, what is asked for, and what operators' words come to.

use std::sync::{Arc, Mutex};

use tickcast::{
    config::{ApiKey, Config},
    market::InstrumentId,
    server::{Operations, Reloaded},
};

use super::{KEY, ask, command, with_key};
use crate::{
    client,
    house::{self, House},
    life::{self, until, until_ready},
    process::Served,
};

/// An operators' desk that writes down what it is asked.
#[derive(Default)]
struct Desk {
    heard: Mutex<Vec<String>>,
}

impl Desk {
    fn hear(&self, word: impl Into<String>) {
        self.heard.lock().expect("no panic while held").push(word.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock().expect("no panic while held"))
    }
}

impl Operations for Desk {
    fn sources(&self) -> Vec<String> {
        vec!["a <script> of settings".to_owned()]
    }

    fn wants_restart(&self) -> Vec<String> {
        vec!["ring.slots".to_owned()]
    }

    fn drain(&self) {
        self.hear("drain");
    }

    fn reload(&self) -> Result<Reloaded, String> {
        self.hear("reload");
        Err("`ring.slots` is 3".to_owned())
    }

    fn resync(&self, instrument: InstrumentId) -> Result<(), String> {
        self.hear(format!("resync {}", instrument.0));
        if instrument == InstrumentId(1) { Err("the engine is behind".to_owned()) } else { Ok(()) }
    }

    fn log_level(&self) -> String {
        "info".to_owned()
    }

    fn set_log_level(&self, level: &str) -> Result<(), String> {
        self.hear(format!("log {level}"));
        if level == "loud" { Err("it has to be one of error, warn".to_owned()) } else { Ok(()) }
    }
}

fn config_with_key() -> Config {
    let mut config = house::config();
    config.ops.admin_key = Some(ApiKey::new(KEY));
    config
}

fn attended() -> (House, Arc<Desk>) {
    let desk = Arc::new(Desk::default());
    let house = House::operated(&config_with_key(), Arc::clone(&desk) as Arc<dyn Operations>).expect("free ports");
    (house, desk)
}

#[test]
fn only_the_key_opens_and_only_outside_a_browser() {
    let (house, desk) = attended();
    for (status, method, target, lines, expected) in [
        (401, "POST", "/admin/drain", String::new(), "Authorization: Bearer"),
        (401, "POST", "/admin/drain", with_key("wrong"), "that is not the key"),
        (401, "POST", "/admin/drain", with_key(&format!("{KEY}x")), "that is not the key"),
        (401, "POST", "/admin/drain", with_key(&KEY[1..]), "that is not the key"),
        (401, "POST", "/admin/drain", with_key(""), "that is not the key"),
        (401, "POST", "/admin/drain", format!("Authorization: Basic {KEY}\r\n"), "that is not the key"),
        (401, "POST", "/admin/drain", format!("{}{}", with_key(KEY), with_key("other")), "more than one"),
        (401, "POST", &format!("/admin/drain?key={KEY}"), String::new(), "Authorization: Bearer"),
        (401, "GET", "/admin/log", String::new(), "Authorization: Bearer"),
        (401, "POST", "/admin/nothing", String::new(), "Authorization: Bearer"),
        (403, "POST", "/admin/drain", format!("{}Origin: http://localhost:9464\r\n", with_key(KEY)), "browsers"),
        (403, "POST", "/admin/drain", format!("{}Origin: null\r\n", with_key(KEY)), "browsers"),
        (405, "GET", "/admin/drain", with_key(KEY), "does not take GET"),
        (405, "PUT", "/admin/log", with_key(KEY), "does not take PUT"),
        (404, "POST", "/admin/nothing", with_key(KEY), "/admin/resync"),
        (404, "POST", "/admin/", with_key(KEY), "/admin/resync"),
    ] {
        let (answered, head, body) = ask(house.ops, method, target, &lines);
        assert_eq!(answered, status, "{method} {target} {lines}: {body}");
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let said = format!("{} {}", body["error"].as_str().expect("error"), body["way_out"].as_str().expect("way_out"));
        assert!(said.contains(expected), "{method} {target} {lines}: {said}");
        assert!(!said.contains(KEY), "{said}");
        assert_eq!(head.contains("www-authenticate: bearer"), status == 401, "{head}");
        assert_eq!(head.contains("allow: "), status == 405, "{head}");
    }
    assert!(desk.take().is_empty(), "nobody was let through");
    assert_eq!(ask(house.ops, "POST", "/admin/drain", &format!("authorization: bearer {KEY}\r\n")).0, 200);
    assert_eq!(desk.take(), ["drain"]);
}

#[test]
fn without_a_key_there_is_no_admin_api() {
    let house = House::new();
    for lines in [String::new(), with_key(""), with_key(KEY)] {
        let (status, _, body) = ask(house.ops, "POST", "/admin/drain", &lines);
        assert_eq!(status, 403);
        assert!(body.contains("switched off") && body.contains("TICKCAST__OPS__ADMIN_KEY"), "{body}");
    }
    assert_eq!(ask(house.ops, "POST", "/livez", "").0, 405);
}

#[test]
fn what_is_asked_for_is_done_or_refused_with_the_way_out() {
    let (house, desk) = attended();
    for (target, status, expected) in [
        ("/admin/resync?venue=binance&symbol=BTCUSDT", 200, "\"symbol\":\"BTCUSDT\""),
        ("/admin/resync?symbol=btcusdt", 200, "state_before"),
        ("/admin/resync?symbol=ETHUSDT", 503, "the engine is behind"),
        ("/admin/resync?venue=binance", 400, "the parameter symbol is missing"),
        ("/admin/resync?symbol=NOSUCH", 400, "has no symbol"),
        ("/admin/resync?venue=nasdaq&symbol=BTCUSDT", 400, "venues are binance"),
        ("/admin/log?level=info%2Ctickcast%3A%3Aintake%3Ddebug", 200, "\"before\":\"info\""),
        ("/admin/log?level=info,tickcast::intake=debug", 200, "tickcast::intake=debug"),
        ("/admin/log?level=loud", 400, "one of error, warn"),
        ("/admin/log", 400, "the parameter level is missing"),
        ("/admin/reload", 422, "`ring.slots` is 3"),
    ] {
        let (answered, body) = command(house.ops, target);
        assert_eq!(answered, status, "{target}: {body}");
        assert!(body.to_string().contains(expected), "{target}: {body}");
        assert!(status == 200 || body["way_out"].is_string(), "{target}: {body}");
    }
    let heard = [
        "resync 0",
        "resync 0",
        "resync 1",
        "log info,tickcast::intake=debug",
        "log info,tickcast::intake=debug",
        "log loud",
        "reload",
    ];
    assert_eq!(desk.take(), heard);
    let (_, _, level) = ask(house.ops, "GET", "/admin/log", &with_key(KEY));
    assert_eq!(level, r#"{"level":"info"}"#);
}

#[test]
fn names_that_are_configured_are_answered_and_no_others() {
    let mut config = house::config();
    config.ops.hosts = vec!["tickcast".to_owned()];
    let house = House::with(&config).expect("free ports");
    let knock = |host: &str| {
        let mut client = house::connect(house.ops);
        let request = format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n");
        std::io::Write::write_all(&mut client, request.as_bytes()).expect("the door reads");
        house::read_response(&mut client)
    };
    for own in ["tickcast:9464", "TICKCAST", "localhost"] {
        assert!(knock(own).0.starts_with("http/1.1 200 "), "{own}");
    }
    for foreign in ["tickcast.evil.example", "tick"] {
        let (head, body) = knock(foreign);
        assert!(head.starts_with("http/1.1 403 ") && body.contains("ops.hosts"), "{foreign}: {head}{body}");
    }
}

#[tokio::test]
async fn a_drain_by_the_admin_api_ends_the_process_as_sigterm_does() {
    let served = Served::start_with(&[("TICKCAST__OPS__ADMIN_KEY", KEY)], &["serve"]);
    until_ready(&served).await;
    let mut socket = client::open(&format!("ws://{}/ws/btcusdt@trade", served.public)).await;
    client::next(&mut socket).await;
    let (status, body) = command(&served.ops, "/admin/drain");
    assert_eq!(status, 200, "{body}");
    let (last, code, reason) = life::last_words(socket).await;
    assert!(last.starts_with(r#"{"e":"serverShutdown","E":"#), "{last}");
    assert_eq!((code, reason.as_str()), (1001, "Server shutdown"));
    assert!(!served.log().contains(KEY));
    assert_eq!(served.wait(), Some(0));
}

#[tokio::test]
async fn the_log_level_changes_while_it_runs_and_the_key_is_shown_nowhere() {
    let served = Served::start_with(&[("TICKCAST__OPS__ADMIN_KEY", KEY)], &["serve", "--log", "info"]);
    until_ready(&served).await;
    assert_eq!(served.lines_with("DEBUG"), 0);
    let (status, body) = command(&served.ops, "/admin/log?level=info,tickcast::engine=debug");
    assert_eq!((status, body["before"].as_str()), (200, Some("info")), "{body}");
    let (status, body) = command(&served.ops, "/admin/log?level=everything");
    assert_eq!(status, 400, "{body}");
    assert!(body.to_string().contains("one of error, warn, info"), "{body}");
    let (_, body) = command(&served.ops, "/admin/resync?symbol=BTCUSDT");
    assert_eq!(body["symbol"], "BTCUSDT", "{body}");
    until("the engine's detail is logged", || async { served.lines_with("DEBUG tickcast::engine") > 0 }).await;
    let (_, _, level) = ask(&served.ops, "GET", "/admin/log", &with_key(KEY));
    assert_eq!(level, r#"{"level":"info,tickcast::engine=debug"}"#);
    // A reload takes the level of the settings again.
    let (_, body) = command(&served.ops, "/admin/reload");
    assert_eq!(body["applied"], serde_json::json!(["log.level"]), "{body}");
    assert_eq!(ask(&served.ops, "GET", "/admin/log", &with_key(KEY)).2, r#"{"level":"info"}"#);

    for target in ["/status", "/status.json", "/metrics", "/livez", "/readyz", "/admin/drain"] {
        let (_, head, body) = ask(&served.ops, "GET", target, "");
        assert!(!head.contains(KEY) && !body.contains(KEY), "{target}");
    }
    let (_, _, status) = ask(&served.ops, "GET", "/status.json", "");
    assert!(status.contains("environment TICKCAST__OPS__ADMIN_KEY") && status.contains(r#""admin":true"#), "{status}");
    assert!(!served.log().contains(KEY));
    assert_eq!(served.terminate(), Some(0));
}
