use std::{io::Read, net::TcpListener, sync::Arc, thread};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::{super::finding::Status, *};

/// A host of TLS on loopback that shakes hands once; its address and its certificate.
fn host(until: (i32, u8, u8)) -> (String, CertificateDer<'static>) {
    let mut parameters = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("sound names");
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(until.0, until.1, until.2);
    let key = KeyPair::generate().expect("a key");
    let certificate = parameters.self_signed(&key).expect("signed").der().clone();
    let secret = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], secret)
        .expect("a certificate and its key");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("wss://{}", listener.local_addr().expect("bound"));
    let config = Arc::new(config);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), Ok(mut connection)) = (stream, ServerConnection::new(Arc::clone(&config))) else {
                return;
            };
            while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
            let _until_it_is_closed = stream.read(&mut [0]);
        }
    });
    (url, certificate)
}

fn reached(url: &str, roots: RootCertStore) -> Vec<Finding> {
    let mut findings = Vec::new();
    reach("Venue x", "streams", "venues.1.ws_url", url, roots, Duration::from_secs(20), &mut findings);
    findings
}

fn trusting(certificate: CertificateDer<'static>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    roots
}

#[test]
fn a_sound_host_is_reached_with_the_days_that_its_certificate_has_left() {
    let (url, certificate) = host((2090, 1, 1));
    let findings = reached(&url, trusting(certificate));
    assert!(findings.iter().all(|finding| finding.status == Status::Ok), "{findings:#?}");
    assert_eq!(findings.len(), 3);
    assert!(findings[2].found.starts_with("TLS 1.3 in ") && findings[2].found.contains("certificate valid for "));
}

#[test]
fn a_certificate_that_is_over_or_nobodys_is_refused_and_still_told_of() {
    let (url, certificate) = host((2021, 1, 1));
    let findings = reached(&url, trusting(certificate));
    assert_eq!(findings[2].status, Status::Fail);
    assert!(
        findings[2].found.contains("expired") && findings[2].found.contains("certificate over for "),
        "{findings:#?}"
    );
    let (url, _) = host((2090, 1, 1));
    let (_, other) = host((2090, 1, 1));
    let findings = reached(&url, trusting(other));
    assert_eq!(findings[2].status, Status::Fail);
    assert!(findings[2].found.contains("certificate valid for "), "{findings:#?}");
    assert!(!findings[2].way_out.is_empty());
}

#[test]
fn who_cannot_be_reached_is_named_with_the_key() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    for (url, last) in [(format!("ws://{nobody}"), "streams connection"), ("ws://".to_owned(), "streams address")] {
        let findings = reached(&url, RootCertStore::empty());
        let finding = findings.last().expect("a finding");
        assert_eq!((finding.status, finding.check.as_str()), (Status::Fail, last));
        assert!(finding.way_out.contains("venues.1.ws_url"), "{finding:?}");
    }
}

#[test]
fn offsets_are_judged_beyond_what_the_way_explains() {
    let second = 1_000_000_000;
    let at = |seconds: i64| Nanos(1_789_000_000 * second + seconds * second);
    let offset = Offset::of(at(10), 0, at(9), at(11));
    assert_eq!((offset.ahead_ns, offset.within_ns, offset.apart_ns()), (0, second, 0));
    let ahead = Offset::of(at(20), 0, at(9), at(11));
    assert_eq!((ahead.ahead_ns, ahead.apart_ns()), (10 * second, 9 * second));
    let status = |ahead_ns, within_ns| judge(Check::new("x", "clock"), Offset { ahead_ns, within_ns }).status;
    assert_eq!(status(-second / 20, 0), Status::Ok);
    assert_eq!(status(-second, second), Status::Ok);
    assert_eq!(status(-second, second / 10), Status::Warn);
    assert_eq!(status(10 * second, second), Status::Fail);
}

#[test]
fn times_are_read_of_both_kinds() {
    let millis = |body: &str, is_kraken| told_time(body, is_kraken).map(|(time, step)| (time.millis(), step));
    assert_eq!(millis(r#"{"serverTime":1789000000123}"#, false), Some((1_789_000_000_123, 1_000_000)));
    assert_eq!(
        millis(r#"{"error":[],"result":{"unixtime":1789000000,"rfc1123":"x"}}"#, true),
        Some((1_789_000_000_000, 1_000_000_000))
    );
    assert_eq!(millis("{}", false), None);
    assert_eq!(millis("no", true), None);
}
