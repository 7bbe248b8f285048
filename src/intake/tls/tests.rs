use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_tungstenite::{accept_async, tungstenite::Message};

use super::*;
use crate::intake::{
    rest,
    socket::dial,
    tests::{Bench, bench, listener, soon},
};

/// A certificate made for this test, for `localhost`, and the server that shows it.
fn authority() -> (CertificateDer<'static>, TlsAcceptor) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a sound name");
    let certificate = cert.der().clone();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("rcgen makes keys that rustls reads");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.clone()], key))
        .expect("the key belongs to the certificate");
    (certificate, TlsAcceptor::from(Arc::new(config)))
}

/// An upstream on `wss://localhost` that trusts `root` alone.
fn trusting(root: CertificateDer<'static>, listener: &TcpListener) -> Bench {
    let mut roots = RootCertStore::empty();
    roots.add(root).expect("a sound certificate");
    let mut bench = bench(listener, |_| {});
    bench.upstream.ws_url = format!("wss://localhost:{}", port(listener));
    bench.upstream.tls = client_config(roots);
    bench
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("a bound listener").port()
}

async fn accept(listener: &TcpListener, acceptor: &TlsAcceptor) -> std::io::Result<TlsStream<TcpStream>> {
    let (stream, _) = listener.accept().await?;
    acceptor.accept(stream).await
}

#[tokio::test]
async fn sockets_and_rest_speak_tls_with_whom_they_trust() {
    let (certificate, acceptor) = authority();
    let listener = listener().await;
    let Bench { upstream, .. } = trusting(certificate, &listener);

    let venue = async {
        let stream = accept(&listener, &acceptor).await.expect("TLS");
        let mut venue = accept_async(stream).await.expect("an upgrade");
        futures_util::SinkExt::send(&mut venue, Message::text("over TLS")).await.expect("sent");
        venue
    };
    let (stream, _venue) = soon(async { tokio::join!(dial(&upstream, "/stream"), venue) }).await;
    let message = soon(futures_util::StreamExt::next(&mut stream.expect("trusted"))).await;
    assert!(matches!(message, Some(Ok(Message::Text(text))) if text.as_str() == "over TLS"));

    let client = rest::client(&upstream.settings, &upstream.tls);
    let venue = async {
        let mut stream = accept(&listener, &acceptor).await.expect("TLS");
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.expect("a request") > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.expect("answered");
        stream
    };
    let url = format!("https://localhost:{}/api/v3/ping", port(&listener));
    let (answer, _venue) = soon(async { tokio::join!(client.get(url).send(), venue) }).await;
    assert_eq!(soon(answer.expect("trusted").text()).await.expect("a body"), "{}");
}

#[tokio::test]
async fn who_is_not_trusted_is_refused_with_the_reason() {
    let (_, acceptor) = authority();
    let listener = listener().await;
    // Another certificate for the same name.
    let Bench { mut upstream, .. } = trusting(authority().0, &listener);
    for tls in [upstream.tls.clone(), client_config(public_roots())] {
        upstream.tls = tls;
        let (dialled, accepted) =
            soon(async { tokio::join!(dial(&upstream, "/stream"), accept(&listener, &acceptor)) }).await;
        let error = dialled.expect_err("not trusted").to_string();
        assert!(error.contains("certificate"), "{error}");
        assert!(accepted.is_err());
    }
}

#[test]
fn the_public_roots_are_there() {
    assert!(public_roots().len() > 50);
}
