//! `tickcast doctor`.

use std::net::TcpListener;

use serde_json::Value;
use tickcast::sim;

use super::Folder;
use crate::process::run;

/// Free ports, so that whatever else runs on this machine is not found.
const DOORS: [&str; 6] =
    ["--set", "server.listen=127.0.0.1:0", "--set", "ops.listen=127.0.0.1:0", "--set", "sbe.listen=127.0.0.1:0"];

fn doctor(arguments: &[&str]) -> (i32, Value) {
    let (code, text, wrong) = run(&[&["doctor", "--json", "--clients", "10"], &DOORS[..], arguments].concat());
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}:\n{text}\n{wrong}"));
    (code, report)
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().expect("a list");
    checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

fn venue(ws_url: &str, rest_url: &str) -> String {
    format!(
        "[[venues]]\nname = \"here\"\nkind = \"binance\"\nws_url = \"{ws_url}\"\nrest_url = \"{rest_url}\"\n\
         symbols = [\"BTCUSDT\"]\n"
    )
}

#[test]
fn the_built_in_configuration_is_fit() {
    let (code, report) = doctor(&[]);
    assert_eq!((code, report["fail"].as_u64()), (0, Some(0)), "{report:#}");
    assert!(check(&report, "exchange")["found"].as_str().is_some_and(|found| found.contains("nothing to reach")));
    for check in report["checks"].as_array().expect("a list") {
        let is_well = matches!(check["status"].as_str(), Some("ok" | "skip"));
        assert_eq!(is_well, check["way_out"] == "", "what is not well has a way out, what is well has none: {check}");
    }
    let (code, text, _) = run(&[&["doctor"], &DOORS[..]].concat());
    assert_eq!(code, 0);
    for word in ["Configuration", "Machine", "Clock", "Venue binance", "Disk", "descriptors", "io_uring", " ok, "] {
        assert!(text.contains(word), "{word} is missing:\n{text}");
    }
}

#[test]
fn a_venue_that_is_there_is_asked_and_one_that_is_not_is_named() {
    let folder = Folder::new("doctor-venues");
    let exchange = sim::start(&sim::Settings { listen: ([127, 0, 0, 1], 0).into(), ..sim::Settings::default() });
    let address = exchange.as_ref().expect("a port").addr();
    let file = folder.with("venue.toml", &venue(&format!("ws://{address}"), &format!("http://{address}")));
    let (code, report) = doctor(&["--config", &file]);
    assert_eq!(code, 0, "{report:#}");
    for name in ["streams connection", "REST connection", "REST answer", "clock"] {
        assert_eq!(check(&report, name)["status"], "ok", "{report:#}");
    }
    let (_, report) = doctor(&["--config", &file, "--offline"]);
    assert_eq!(check(&report, "network")["status"], "skip");

    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let file = folder.with("nobody.toml", &venue(&format!("ws://{nobody}"), &format!("http://{address}")));
    let (code, report) = doctor(&["--config", &file]);
    assert_eq!(code, 1);
    let found = check(&report, "streams connection");
    assert_eq!(found["status"], "fail");
    assert!(found["way_out"].as_str().is_some_and(|way| way.contains("venues.1.ws_url")), "{found}");
    assert_eq!(check(&report, "REST connection")["status"], "ok", "the other half is looked at all the same");
}

#[test]
fn what_is_wrong_with_the_configuration_fails_and_the_rest_is_still_looked_at() {
    let folder = Folder::new("doctor-config");
    let file = folder.with("wrong.toml", "[server]\nlissten = \"127.0.0.1:0\"\n");
    let (code, report) = doctor(&["--config", &file]);
    assert_eq!(code, 1);
    let settings = check(&report, "settings");
    assert!(settings["found"].as_str().is_some_and(|found| found.contains("did you mean `server.listen`?")));
    check(&report, "descriptors");
    let (code, report) = doctor(&["--config", "/nowhere/at-all.toml"]);
    assert_eq!((code, &check(&report, "settings")["status"]), (1, &Value::from("fail")));

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = format!("server.listen={}", taken.local_addr().expect("bound"));
    let (code, report) = doctor(&["--set", &listen]);
    assert_eq!((code, &check(&report, "public door")["status"]), (0, &Value::from("warn")));
    let (code, report) = doctor(&["--set", "tls.certificate=/nowhere/c.pem", "--set", "tls.key=/nowhere/k.pem"]);
    assert_eq!((code, &check(&report, "TLS certificate")["status"]), (1, &Value::from("fail")));
    let (code, report) = doctor(&["--set", "store.path=/nowhere/at/all.redb"]);
    assert_eq!((code, &check(&report, "history")["status"]), (1, &Value::from("fail")));
    assert!(check(&report, "history")["way_out"].as_str().is_some_and(|way| way.contains("store.path")));
}
