//! `tickcast tail`.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Command, Stdio},
    thread,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_tungstenite::tungstenite::{self, Message};

use super::Folder;
use crate::process::{Served, run};

#[test]
fn values_have_a_header_and_every_digit_of_the_wire() {
    let served = Served::start(&["serve"]);
    let tail = |streams: &[&str], more: &[&str]| {
        let arguments = [&["tail"], streams, &["--url", &served.public, "--csv"], more].concat();
        let (code, text, wrong) = run(&arguments);
        assert_eq!(code, 0, "{wrong}");
        let mut lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
        let header = lines.remove(0);
        let fields = header.split(',').count();
        assert!(lines.iter().all(|line| line.split(',').count() == fields), "{text}");
        assert!(!text.contains('\r'));
        (header, lines)
    };
    let (header, rows) = tail(&["btcusdt@bookTicker", "binance:ethusdt@bookTicker"], &["-n", "20"]);
    assert_eq!(header, "received_us,stream,symbol,update_id,bid_price,bid_quantity,ask_price,ask_quantity");
    assert_eq!(rows.len(), 20);
    for row in &rows {
        let fields: Vec<_> = row.split(',').collect();
        assert!(fields[0].len() == 16 && fields[0].bytes().all(|byte| byte.is_ascii_digit()), "{row}");
        assert!(fields[4..].iter().all(|price| price.split_once('.').is_some_and(|(_, places)| places.len() == 8)));
    }
    let (header, rows) = tail(&["btcusdt@depth@100ms"], &["-n", "3"]);
    assert!(header.ends_with("first_update_id,last_update_id,side,price,quantity"), "{header}");
    assert!(rows.len() > 3, "a row for each level");
    let (header, rows) = tail(&["btcusdt@depth5@100ms"], &["-n", "2"]);
    assert!(header.ends_with("last_update_id,side,level,price,quantity"), "{header}");
    assert_eq!(rows.len(), 20);
    let (_, rows) = tail(&["btcusdt@kline_1s", "btcusdt@kline_1m"], &["-n", "2", "--micros"]);
    assert!(rows.iter().all(|row| row.split(',').nth(2).is_some_and(|time| time.len() == 16)), "{rows:?}");
}

#[test]
fn streams_of_several_kinds_are_no_table_of_values() {
    let (code, _, wrong) = run(&["tail", "btcusdt@trade", "btcusdt@depth", "--csv", "--url", "ws://127.0.0.1:1"]);
    assert_eq!(code, 2, "before anything is connected to");
    assert!(wrong.contains("`btcusdt@trade` (trade)") && wrong.contains("`btcusdt@depth` (depth)"), "{wrong}");
    assert_eq!(run(&["tail", "btcusdt@trade", "--csv", "--raw"]).0, 2);
    assert_eq!(run(&["tail", "btcusdt@nothing", "--csv"]).0, 2);
}

#[test]
fn a_person_sees_a_table_a_ladder_and_colour_only_where_it_is_wanted() {
    let served = Served::start(&["serve"]);
    let tail = |arguments: &[&str]| {
        let (code, text, wrong) = run(&[&["tail", "--url", &served.public, "--pretty"], arguments].concat());
        assert_eq!(code, 0, "{wrong}");
        text
    };
    let text = tail(&["btcusdt@trade", "ethusdt@bookTicker", "-n", "30"]);
    assert!(text.lines().any(|line| line.starts_with("received") && line.contains("update id")), "{text}");
    assert!(!text.contains('\x1b'));
    assert!(tail(&["btcusdt@bookTicker", "-n", "1", "--color", "always"]).contains('\x1b'));
    let ladder = tail(&["btcusdt@depth10@100ms", "-n", "2"]);
    assert_eq!(ladder.lines().count(), 24, "{ladder}");
    let array = tail(&["!ticker@arr", "-n", "1"]);
    assert!(array.lines().count() > 2 && array.contains("change %"), "{array}");
}

#[test]
fn a_venue_is_reached_by_the_path_of_its_own() {
    let served = Served::start(&["serve"]);
    let url = format!("http://{}/binance", served.public);
    let (code, text, wrong) = run(&["tail", "btcusdt@bookTicker", "-n", "1", "--url", &url]);
    assert_eq!((code, text.lines().count()), (0, 1), "{wrong}");
}

#[test]
fn it_ends_quietly_when_nobody_reads_any_more() {
    let served = Served::start(&["serve"]);
    let mut tail = Command::new(env!("CARGO_BIN_EXE_tickcast"))
        .args(["tail", "btcusdt@depth@100ms", "--url", &served.public])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut line = String::new();
    BufReader::new(tail.stdout.take().expect("stdout is piped")).read_line(&mut line).expect("UTF-8");
    let output = tail.wait_with_output().expect("its own child");
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]));
}

/// A server that sends one event to each of two connections and closes them.
fn two_connections() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    thread::spawn(move || {
        for id in 1..=2 {
            let (stream, _) = listener.accept().expect("a connection");
            let mut socket = tungstenite::accept(stream).expect("an upgrade");
            let event = format!(r#"{{"stream":"s@trade","data":{{"e":"trade","t":{id}}}}}"#);
            socket.send(Message::text(event)).expect("it is read");
            let _gone_already = socket.close(None);
            while socket.read().is_ok() {}
        }
    });
    address
}

#[test]
fn a_lost_connection_is_the_end_unless_another_is_wanted() {
    let (code, text, wrong) = run(&["tail", "s@trade", "--url", &two_connections(), "-n", "2"]);
    assert_eq!((code, text.lines().count()), (1, 1), "{wrong}");
    assert!(wrong.contains("closed the connection"), "{wrong}");
    let (code, text, wrong) = run(&["tail", "s@trade", "--url", &two_connections(), "-n", "2", "--reconnect"]);
    assert_eq!((code, text.as_str()), (0, "{\"e\":\"trade\",\"t\":1}\n{\"e\":\"trade\",\"t\":2}\n"), "{wrong}");
    assert_eq!(wrong.matches("connecting again").count(), 1, "{wrong}");
}

#[test]
fn a_certificate_of_ones_own_is_trusted_by_name() {
    let folder = Folder::new("tail-tls");
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).expect("sound names");
    let pem = |kind: &str, der: &[u8]| {
        format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", BASE64_STANDARD.encode(der))
    };
    let certificate = folder.with("certificate.pem", &pem("CERTIFICATE", cert.der()));
    let key = folder.with("key.pem", &pem("PRIVATE KEY", &signing_key.serialize_der()));
    let (certificate_key, key_key) = (format!("tls.certificate={certificate}"), format!("tls.key={key}"));
    let served = Served::start(&["serve", "--set", &certificate_key, "--set", &key_key]);
    let url = format!("wss://{}", served.public);
    let tail = |more: &[&str]| run(&[&["tail", "btcusdt@bookTicker", "-n", "1", "--url", &url], more].concat());
    let (code, text, wrong) = tail(&["--ca", &certificate]);
    assert_eq!((code, text.lines().count()), (0, 1), "{wrong}");
    let (code, _, wrong) = tail(&[]);
    assert_eq!(code, 69);
    assert!(wrong.contains("--ca"), "{wrong}");
    let (code, _, wrong) = tail(&["--ca", &key]);
    assert_eq!(code, 66);
    assert!(wrong.contains("no certificate"), "{wrong}");
}
