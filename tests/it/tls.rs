//! TLS at the doors of the running program.

use std::{
    collections::HashMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{SinkExt, StreamExt};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName},
    version::{TLS12, TLS13},
};
use serde_json::Value;
use tokio_tungstenite::{
    Connector, client_async_tls_with_config,
    tungstenite::{self, Message},
};

use crate::{
    client::{self, PATIENCE, Socket},
    process::{Served, run},
};

/// A certificate of a test's own for loopback, in files that go when it is dropped.
struct Identity {
    folder: PathBuf,
    root: CertificateDer<'static>,
}

impl Identity {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tickcast-tls-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a place for files");
        let mut identity = Self { folder, root: CertificateDer::from(Vec::new()) };
        identity.renew();
        identity
    }

    /// Another certificate and key, in the same files.
    fn renew(&mut self) {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).expect("sound names");
        fs::write(self.folder.join("certificate.pem"), pem("CERTIFICATE", cert.der())).expect("written");
        fs::write(self.folder.join("key.pem"), pem("PRIVATE KEY", &signing_key.serialize_der())).expect("written");
        self.root = cert.der().clone();
    }

    fn path(&self, file: &str) -> String {
        self.folder.join(file).display().to_string()
    }

    /// Starts the program with it, and with `more` settings.
    fn serve(&self, more: &[&str]) -> Served {
        let certificate = format!("tls.certificate={}", self.path("certificate.pem"));
        let key = format!("tls.key={}", self.path("key.pem"));
        let mut arguments = vec!["serve", "--set", &certificate, "--set", &key];
        arguments.extend(more.iter().flat_map(|setting| ["--set", setting]));
        Served::start(&arguments)
    }

    /// What a client trusts it with.
    fn trusting(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("a sound certificate");
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_protocol_versions(versions).expect("ring knows both");
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }

    async fn try_open(&self, url: &str) -> Result<Socket, tungstenite::Error> {
        self.open_with(url, self.trusting(&[&TLS13, &TLS12])).await
    }

    async fn open(&self, url: &str) -> Socket {
        self.try_open(url).await.unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    async fn open_with(&self, url: &str, config: Arc<ClientConfig>) -> Result<Socket, tungstenite::Error> {
        let address = url.split('/').nth(2).expect("scheme, nothing, address");
        self.open_on(tokio::net::TcpStream::connect(address).await?, url, config).await
    }

    async fn open_on(
        &self,
        stream: tokio::net::TcpStream,
        url: &str,
        config: Arc<ClientConfig>,
    ) -> Result<Socket, tungstenite::Error> {
        let opening = client_async_tls_with_config(url, stream, None, Some(Connector::Rustls(config)));
        Ok(tokio::time::timeout(PATIENCE, opening).await.expect("the server answers")?.0)
    }

    /// A blocking client below HTTP.
    fn connect(&self, address: &str) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let client = ClientConnection::new(self.trusting(&[&TLS13]), name).expect("a sound configuration");
        StreamOwned::new(client, plain(address))
    }

    fn http(&self) -> reqwest::Client {
        let config = ClientConfig::clone(&self.trusting(&[&TLS13, &TLS12]));
        reqwest::Client::builder().tls_backend_preconfigured(config).build().expect("a client")
    }
}

fn pem(kind: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

impl Drop for Identity {
    fn drop(&mut self) {
        let _gone_already = fs::remove_dir_all(&self.folder);
    }
}

fn plain(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("an open door");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream
}

/// What comes until the server hangs up.
fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

/// The sum of a metric over its labels that contain `label`.
async fn metric(served: &Served, name: &str, label: &str) -> f64 {
    let answer = client::http().get(format!("http://{}/metrics", served.ops)).send().await.expect("it answers");
    let text = answer.text().await.expect("a body");
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

async fn until_metric(served: &Served, name: &str, label: &str, mut holds: impl FnMut(f64) -> bool) {
    let started = tokio::time::Instant::now();
    loop {
        let value = metric(served, name, label).await;
        if holds(value) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{name}{{{label}}} is {value}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the simulated market is there.
async fn until_book(http: &reqwest::Client, public: &str) -> Value {
    let url = format!("https://{public}/api/v3/depth?symbol=BTCUSDT&limit=5");
    loop {
        let answer = http.get(&url).send().await.expect("it answers");
        if answer.status().is_success() {
            return serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn streams_and_their_control_over_both_versions() {
    let identity = Identity::new("streams");
    let served = identity.serve(&[]);
    let public = &served.public;
    for version in [&TLS12, &TLS13] {
        let config = identity.trusting(&[version]);
        let raw = identity.open_with(&format!("wss://{public}/ws/btcusdt@depth@100ms"), Arc::clone(&config)).await;
        let mut raw = raw.expect("open");
        let mut last = None;
        for _ in 0..10 {
            let diff = client::next(&mut raw).await;
            assert_eq!(diff["e"], "depthUpdate");
            let (first, end) = (diff["U"].as_i64().expect("U"), diff["u"].as_i64().expect("u"));
            assert!(last.is_none_or(|last| first == last + 1), "{last:?}, then {first}");
            last = Some(end);
        }
        let url = format!("wss://{public}/stream?streams=btcusdt@bookTicker/ethusdt@trade");
        let mut combined = identity.open_with(&url, config).await.expect("open");
        combined.send(Message::text(r#"{"method":"LIST_SUBSCRIPTIONS","id":7}"#)).await.expect("sent");
        loop {
            let next = client::next(&mut combined).await;
            if next["id"] == 7 {
                assert_eq!(next["result"].as_array().expect("a list").len(), 2);
                break;
            }
            assert!(next["stream"].is_string());
        }
        // Closed by the client: our answer, and then the end.
        combined.close(None).await.expect("sent");
        while let Some(message) = combined.next().await {
            message.expect("nothing but frames until the end");
        }
    }
    // Closed by us, in the middle of data.
    let mut open = identity.open(&format!("wss://{public}/stream?streams=btcusdt@depth@100ms/btcusdt@trade")).await;
    client::next(&mut open).await;
    served.signal("TERM");
    let mut close = None;
    while let Some(message) = tokio::time::timeout(PATIENCE, open.next()).await.expect("an end") {
        if let Message::Close(frame) = message.expect("nothing but frames until the end") {
            close = frame;
        }
    }
    assert_eq!(close.map(|frame| u16::from(frame.code)), Some(1001));
    assert_eq!(served.wait(), Some(0));
}

#[tokio::test]
async fn rest_keeps_its_connection_and_packs_its_answers() {
    let identity = Identity::new("rest");
    let served = identity.serve(&[]);
    let public = &served.public;
    let http = identity.http();
    let book = until_book(&http, public).await;
    assert_eq!(book["bids"].as_array().expect("bids").len(), 5);
    let before = metric(&served, "tickcast_server_accepted_total", "").await;
    for _ in 0..5 {
        let answer = http.get(format!("https://{public}/api/v3/exchangeInfo")).send().await.expect("it answers");
        // reqwest unpacks it and drops the length that it had on the wire.
        assert_eq!(answer.content_length(), None);
        let info: Value = serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON");
        assert_eq!(info["symbols"].as_array().expect("symbols").len(), 24);
    }
    // One of them is for the metrics.
    let after = metric(&served, "tickcast_server_accepted_total", "").await;
    assert!(after - before <= 2.0, "{} connections for five requests", after - before);
    for (path, told) in [("openapi.json", format!("https://{public}")), ("asyncapi.json", "\"wss\"".to_owned())] {
        let answer = http.get(format!("https://{public}/docs/{path}")).send().await.expect("it answers");
        assert!(answer.text().await.expect("a body").contains(&told), "{path} says {told}");
    }
    let page = http.get(format!("https://{public}/")).send().await.expect("it answers");
    assert!(page.text().await.expect("a body").contains("<html"));
}

/// A handshake for `path`, as raw bytes.
fn upgrade(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A text frame of a client, with a mask of zeros.
fn said(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend((long as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

fn read_until(stream: &mut impl Read, wanted: &str) -> String {
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&heard).contains(wanted) {
        let count = stream.read(&mut buffer).unwrap_or_else(|error| panic!("{error}, no {wanted}"));
        assert!(count > 0, "no {wanted} in {}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&heard).into_owned()
}

#[test]
fn what_a_client_says_too_early_is_heard() {
    let identity = Identity::new("early");
    let served = identity.serve(&["session.messages_per_second=0"]);
    // The names are many, so that they are more than what is read at once, and in one record with the request.
    let names: Vec<_> = (0..200).map(|number| format!("\"nosuchsymbol{number}@trade\"")).collect();
    let subscribe = said(&format!(r#"{{"method":"SUBSCRIBE","params":[{}],"id":31}}"#, names.join(",")));
    let list = said(r#"{"method":"LIST_SUBSCRIPTIONS","id":32}"#);
    let together = [upgrade("/ws").into_bytes(), subscribe, list].concat();
    assert!(together.len() > 4000);
    // As the first request, in one record; and in records of single bytes, which come apart anywhere.
    for is_apart in [false, true] {
        let mut stream = identity.connect(&served.public);
        if is_apart {
            for byte in together.chunks(1) {
                stream.write_all(byte).expect("sent");
            }
        } else {
            stream.write_all(&together).expect("sent");
        }
        let heard = read_until(&mut stream, r#""id":32"#);
        assert!(heard.contains(r#"{"result":null,"id":31}"#) && heard.contains("nosuchsymbol199@trade"), "{heard}");
    }
    // As a later request of a connection that was REST's.
    let mut stream = identity.connect(&served.public);
    stream.write_all(b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    read_until(&mut stream, "{}");
    stream.write_all(&together).expect("sent");
    let heard = read_until(&mut stream, r#""id":32"#);
    assert!(heard.contains("101 Switching Protocols") && heard.contains("nosuchsymbol199@trade"), "{heard}");
}

#[tokio::test]
async fn sbe_and_the_request_api_are_behind_the_same_certificate() {
    let identity = Identity::new("others");
    let served = identity.serve(&[]);
    let mut sbe = identity.open(&format!("wss://{}/ws/btcusdt@bestBidAsk", served.sbe)).await;
    let message = tokio::time::timeout(PATIENCE, sbe.next()).await.expect("something").expect("open").expect("sound");
    let Message::Binary(frame) = message else { panic!("{message:?}") };
    assert_eq!(u16::from_le_bytes([frame[2], frame[3]]), 10001, "the template of bestBidAsk");
    let mut api = identity.open(&format!("wss://{}/ws-api/v3", served.public)).await;
    for id in 0..3 {
        api.send(Message::text(format!(r#"{{"id":{id},"method":"exchangeInfo"}}"#))).await.expect("sent");
        let answer = client::next(&mut api).await;
        assert_eq!((answer["id"].as_i64(), answer["status"].as_i64()), (Some(id), Some(200)));
    }
    api.close(None).await.expect("sent");
    while let Some(message) = api.next().await {
        message.expect("nothing but frames until the end");
    }
    let page = identity.http().get(format!("https://{}/api/v3/ping", served.sbe)).send().await.expect("an answer");
    assert_eq!(page.status().as_u16(), 426);
}

/// Holds a diff against the one before it of the same symbol. (Trades of an overloaded venue may be lost above the ring.)
fn follow(last: &mut HashMap<String, i64>, event: &Value) {
    let (name, data) = (event["stream"].as_str().unwrap_or_default(), &event["data"]);
    if data["e"] == "depthUpdate" {
        let [first, end] = ["U", "u"].map(|key| data[key].as_i64().expect("an id"));
        let before = last.insert(name.to_owned(), end);
        assert!(before.is_none_or(|before| first == before + 1), "{name}: {before:?}, then {first}");
    }
}

#[tokio::test]
async fn a_reader_that_starves_loses_nothing_of_its_events() {
    let identity = Identity::new("slow");
    let more = ["exchange.rate=10000", "session.outbox_bytes_max=1000000000", "session.messages_per_second=0"];
    let served = identity.serve(&more);
    until_book(&identity.http(), &served.public).await;
    let names: Vec<_> = ["btc", "eth", "bnb", "sol", "xrp", "ada"].map(|base| format!("{base}usdt@depth@100ms")).into();
    let url = format!("wss://{}/stream?streams={}/btcusdt@trade/btcusdt@bookTicker", served.public, names.join("/"));
    // A client whose kernel holds little for it starves soon.
    let small = tokio::net::TcpSocket::new_v4().expect("a socket");
    small.set_recv_buffer_size(16 << 10).expect("a small one");
    let stream = small.connect(served.public.parse().expect("an address")).await.expect("an open door");
    let mut socket = identity.open_on(stream, &url, identity.trusting(&[&TLS13])).await.expect("open");
    let mut last = HashMap::new();
    for round in 0..2 {
        // Nobody reads until the server has to keep what the sockets do not take.
        until_metric(&served, "tickcast_shard_slow_sessions", "", |sessions| sessions >= 1.0).await;
        until_metric(&served, "tickcast_shard_queued_bytes", "", |bytes| bytes >= 100_000.0).await;
        let id = 100 + round;
        socket.send(Message::text(format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#))).await.expect("sent");
        let mut is_answered = false;
        // What the kernels hold has to be read as well, so that it is the next round's own starving that is seen.
        while !is_answered || metric(&served, "tickcast_shard_queued_bytes", "").await > 0.0 {
            for _ in 0..2000 {
                let event = client::next(&mut socket).await;
                is_answered |= event["id"] == id;
                follow(&mut last, &event);
            }
        }
    }
    assert_eq!(last.len(), 6, "all diffs were heard");
}

#[tokio::test]
async fn who_never_ends_the_handshake_is_cut() {
    let identity = Identity::new("silent");
    let served = identity.serve(&["server.handshake_timeout_ms=300"]);
    // Not a byte; half a first message; all of it and no answer to ours; a secure connection and no request.
    let mut silent = plain(&served.public);
    let mut half = plain(&served.public);
    let mut hello = Vec::new();
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let mut client = ClientConnection::new(identity.trusting(&[&TLS13]), name).expect("a sound configuration");
    client.write_tls(&mut hello).expect("memory");
    half.write_all(&hello[..hello.len() / 2]).expect("sent");
    let mut whole = plain(&served.public);
    whole.write_all(&hello).expect("sent");
    let mut idle = identity.connect(&served.public);
    idle.conn.complete_io(&mut idle.sock).expect("a handshake");
    tokio::task::spawn_blocking(move || {
        assert_eq!(read_all(&mut silent), b"");
        assert_eq!(read_all(&mut half), b"");
        assert!(read_all(&mut whole).len() > 100, "our side of the handshake");
        assert_eq!(idle.read(&mut [0; 10]).unwrap_or(0), 0);
    })
    .await
    .expect("no panic");
    until_metric(&served, "tickcast_server_refused_total", "timeout", |count| count == 4.0).await;
    until_metric(&served, "tickcast_server_pending", "", |count| count == 0.0).await;
}

#[tokio::test]
async fn who_speaks_no_tls_is_told() {
    let identity = Identity::new("garbage");
    let served = identity.serve(&[]);
    let (public, sbe) = (served.public.clone(), served.sbe.clone());
    tokio::task::spawn_blocking(move || {
        let mut garbage = plain(&public);
        garbage.write_all(&[0xff; 300]).expect("sent");
        let alert = read_all(&mut garbage);
        assert!(alert.len() == 7 && alert[0] == 21, "a record of type alert: {alert:?}");
        for address in [&public, &sbe] {
            let mut http = plain(address);
            http.write_all(upgrade("/ws").as_bytes()).expect("sent");
            let told = String::from_utf8(read_all(&mut http)).expect("text");
            assert!(told.starts_with("HTTP/1.1 400 ") && told.ends_with("use https:// or wss://"), "{told}");
        }
        // Who only looks whether the port is open is nobody's error.
        drop(plain(&public));
    })
    .await
    .expect("no panic");
    until_metric(&served, "tickcast_server_refused_total", "tls", |count| count == 3.0).await;
    // Another certificate than the one that is trusted: the client's decision.
    let other = Identity::new("other");
    let error = other.try_open(&format!("wss://{}/ws", served.public)).await.expect_err("not trusted");
    assert!(error.to_string().contains("certificate"), "{error}");
    until_metric(&served, "tickcast_server_refused_total", "tls", |count| count == 4.0).await;
    assert!(identity.http().get(format!("https://{}/api/v3/ping", served.public)).send().await.is_ok());
    // The ops door is plain, and a plain door stays one.
    assert!(client::http().get(format!("http://{}/livez", served.ops)).send().await.is_ok());
    let open = Served::start(&["serve"]);
    client::get(&format!("http://{}/api/v3/ping", open.public)).await;
    assert!(identity.try_open(&format!("wss://{}/ws", open.public)).await.is_err());
    assert!(!open.log().contains("wss://") && !open.log().contains("https://"));
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let mut identity = Identity::new("renewed");
    let served = identity.serve(&[]);
    let url = format!("wss://{}/ws/btcusdt@bookTicker", served.public);
    let mut before = identity.open(&url).await;
    // What does not go together is not shown.
    let good = fs::read(identity.folder.join("key.pem")).expect("a key");
    fs::write(identity.folder.join("key.pem"), "no key").expect("written");
    while served.lines_with("go on with the certificate they have") == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(identity.open(&url).await);
    fs::write(identity.folder.join("key.pem"), good).expect("written");
    identity.renew();
    let started = tokio::time::Instant::now();
    while let Err(error) = identity.try_open(&url).await {
        assert!(started.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client::next(&mut before).await;
}

#[test]
fn files_that_are_no_good_are_named_with_the_way_out() {
    let identity = Identity::new("bad");
    let other = Identity::new("bad-other");
    let (certificate, key) = (identity.path("certificate.pem"), identity.path("key.pem"));
    let junk = identity.path("junk.pem");
    fs::write(&junk, "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n").expect("written");
    let empty = identity.path("empty.pem");
    fs::write(&empty, "").expect("written");
    let cases: [(&str, &str, i32, &[&str]); 9] = [
        (&certificate, "", 78, &["`tls.key` is empty", "`tls.certificate`", "leave both empty"]),
        ("", &key, 78, &["`tls.certificate` is empty", "`tls.key`"]),
        ("/nosuch.pem", &key, 66, &["`tls.certificate` is \"/nosuch.pem\"", "cannot be read", "name a PEM file"]),
        (&certificate, "/nosuch.pem", 66, &["`tls.key` is \"/nosuch.pem\"", "cannot be read"]),
        (&empty, &key, 66, &["`tls.certificate` is ", "holds no certificate"]),
        (&junk, &key, 66, &["`tls.certificate` is ", "not PEM"]),
        (&certificate, &empty, 66, &["`tls.key` is ", "holds no private key", "passphrase"]),
        (&certificate, &certificate, 66, &["`tls.key` is ", "holds no private key"]),
        (&certificate, &other.path("key.pem"), 66, &["`tls.key` is ", "not the key of the certificate in"]),
    ];
    for (certificate, key, code, words) in cases {
        let settings = [format!("tls.certificate={certificate}"), format!("tls.key={key}")];
        for command in ["serve", "check-config"] {
            let (ended, _, told) =
                run(&[command, "--set", &settings[0], "--set", &settings[1], "--set", "log.level=off"]);
            assert_eq!(ended, code, "{settings:?}: {told}");
            for word in words {
                assert!(told.contains(word), "{settings:?}: no {word} in {told}");
            }
        }
    }
}
