//! Reloads: what is applied to a running server, what is refused as a whole, and what wants a restart.

use std::fs;

use serde_json::json;

use super::{KEY, ask, command, get, with_key};
use crate::{
    client,
    life::{Metrics, Scratch, until, until_ready},
    process::Served,
};

/// Opens SBE with this key; whether it was let in.
async fn knocks(served: &Served, key: &str) -> u16 {
    let answer = client::http()
        .get(format!("http://{}/ws/btcusdt@trade", served.sbe))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("x-mbx-apikey", key)
        .send()
        .await;
    answer.expect("it answers").status().as_u16()
}

async fn weight_limit(served: &Served) -> serde_json::Value {
    client::get(&format!("http://{}/api/v3/exchangeInfo?symbol=BTCUSDT", served.public)).await["rateLimits"].clone()
}

#[tokio::test]
async fn what_can_be_applied_is_applied_and_the_rest_is_named() {
    let file = Scratch::with("reload.toml", "sbe.api_keys = [\"first-key\"]\n");
    let served =
        Served::start_with(&[("TICKCAST__OPS__ADMIN_KEY", KEY)], &["serve", "--config", file.path(), "--log", "info"]);
    until_ready(&served).await;
    assert_eq!((knocks(&served, "first-key").await, knocks(&served, "second-key").await), (101, 401));
    let mut old = client::open(&format!("ws://{}/ws/btcusdt@trade", served.public)).await;
    let (status, body) = command(&served.ops, "/admin/reload");
    assert_eq!((status, &body["applied"], &body["wants_restart"]), (200, &json!([]), &json!([])), "{body}");

    let text = "sbe.api_keys = [\"second-key\"]\n[server]\nrest_weight_per_minute = 77\nshards = 3\n\
                [session]\nstreams_max = 2\nlifetime_ms = 80000000\n[delivery]\nflush_delay_ms_max = 5\n\
                [ops]\nhosts = [\"tickcast\"]\n";
    fs::write(file.path(), text).expect("the temporary folder is writable");
    let (status, body) = command(&served.ops, "/admin/reload");
    assert_eq!(status, 200, "{body}");
    let applied = [
        "delivery.flush_delay_ms_max",
        "ops.hosts",
        "sbe.api_keys",
        "server.rest_weight_per_minute",
        "session.streams_max",
    ];
    assert_eq!(body["applied"], json!(applied));
    assert_eq!(body["wants_restart"], json!(["server.shards", "session.lifetime_ms"]));
    assert_eq!((knocks(&served, "first-key").await, knocks(&served, "second-key").await), (401, 101));
    assert_eq!(weight_limit(&served).await[0]["limit"], 77);
    // New sessions and old ones have the new limit: two streams fit, three do not.
    client::next(&mut old).await;
    for mut socket in [old, client::open(&format!("ws://{}/ws/btcusdt@trade", served.public)).await] {
        let streams = r#"{"id":1,"method":"SUBSCRIBE","params":["ethusdt@trade","bnbusdt@trade"]}"#;
        futures_util::SinkExt::send(&mut socket, tokio_tungstenite::tungstenite::Message::text(streams))
            .await
            .expect("sent");
        let (_, code, reason) = crate::life::last_words(socket).await;
        assert_eq!((code, reason.as_str()), (1008, "Invalid request"));
    }
    let (_, status) = get(&served.ops, "/status.json");
    assert_eq!(status["config"]["wants_restart"], json!(["server.shards", "session.lifetime_ms"]), "{status}");
    // What was applied is not told again; what wants a restart is, until it is taken back.
    let (_, body) = command(&served.ops, "/admin/reload");
    assert_eq!((&body["applied"], body["wants_restart"].as_array().map(Vec::len)), (&json!([]), Some(2)), "{body}");

    for (wrong, expected) in [
        (
            "sbe.api_keys = [\"third-key\"]\n[server]\nrest_weight_per_minute = 5\n[ring]\nslots = 3\n",
            "`ring.slots` is 3",
        ),
        ("sbe.api_keys = [\"third-key\"]\n[session]\nstreams = 3\n", "unknown key `session.streams`"),
        ("sbe.api_keys = [\"third-key\"\n", "unclosed array"),
        (
            "sbe.api_keys = [\"third-key\"]\n[tls]\ncertificate = \"/nowhere/a.pem\"\nkey = \"/nowhere/b.pem\"\n",
            "/nowhere/",
        ),
    ] {
        fs::write(file.path(), wrong).expect("the temporary folder is writable");
        let (status, body) = command(&served.ops, "/admin/reload");
        assert_eq!(status, 422, "{body}");
        assert!(body["error"].as_str().is_some_and(|error| error.contains(expected)), "{expected}: {body}");
        assert!(!body.to_string().contains("third-key"), "{body}");
        assert_eq!((knocks(&served, "second-key").await, knocks(&served, "third-key").await), (101, 401));
        assert_eq!(weight_limit(&served).await[0]["limit"], 77);
    }
    let metrics = Metrics::of(&served).await;
    assert_eq!(metrics.sum("tickcast_config_reloads_total", "result=\"done\""), 3.0);
    assert_eq!(metrics.sum("tickcast_config_reloads_total", "result=\"refused\""), 4.0);
    for secret in [KEY, "first-key", "second-key", "third-key"] {
        assert!(!served.log().contains(secret), "{secret} is in the log");
        assert!(!ask(&served.ops, "GET", "/status.json", "").2.contains(secret), "{secret} is in the status");
    }
    assert_eq!(served.terminate(), Some(0));
}

#[tokio::test]
async fn sighup_reloads_and_can_switch_the_admin_api_on() {
    let file = Scratch::with("hangup.toml", "");
    let served = Served::start(&["serve", "--config", file.path()]);
    until_ready(&served).await;
    assert_eq!(ask(&served.ops, "POST", "/admin/drain", &with_key(KEY)).0, 403);
    fs::write(file.path(), format!("ops.admin_key = \"{KEY}\"\nlog.level = \"debug\"\n")).expect("writable");
    served.signal("HUP");
    until("the key opens", || async { ask(&served.ops, "GET", "/admin/log", &with_key(KEY)).0 == 200 }).await;
    assert_eq!(ask(&served.ops, "GET", "/admin/log", &with_key(KEY)).2, r#"{"level":"debug"}"#);
    until("it is logged", || async { served.lines_with("configuration reloaded") == 1 }).await;
    fs::write(file.path(), "ops.admin_key = \"short\"\n").expect("writable");
    served.signal("HUP");
    until("the refusal is logged", || async { served.lines_with("configuration not reloaded") == 1 }).await;
    assert!(served.log().contains("16 to 256") && !served.log().contains("short") && !served.log().contains(KEY));
    assert_eq!(ask(&served.ops, "GET", "/admin/log", &with_key(KEY)).0, 200, "the one before holds on");
    assert_eq!(served.terminate(), Some(0));
}
