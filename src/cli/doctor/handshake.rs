//! A connection to a host, step by step: its addresses, TCP, TLS.

use std::{
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::validity::validity;
use crate::{clock, market::Nanos};

/// The addresses of a host, and how long it took to learn them.
///
/// # Errors
/// What the system's resolver says.
pub(super) fn addresses(host: &str, port: u16) -> Result<(Vec<SocketAddr>, Duration), String> {
    let begun = clock::now();
    let host = host.trim_matches(['[', ']']);
    let found: Vec<_> = (host, port).to_socket_addrs().map_err(|error| error.to_string())?.collect();
    if found.is_empty() {
        return Err("the name has no address".to_owned());
    }
    Ok((found, clock::now().since(begun)))
}

/// A connection to the first of `addresses` that takes one, and how long that took.
///
/// # Errors
/// What the last one said.
pub(super) fn connect(addresses: &[SocketAddr], limit: Duration) -> Result<(TcpStream, Duration), String> {
    let mut reason = "no address".to_owned();
    for address in addresses {
        let begun = clock::now();
        match TcpStream::connect_timeout(address, limit) {
            Ok(stream) => return Ok((stream, clock::now().since(begun))),
            Err(error) => reason = format!("{address}: {error}"),
        }
    }
    Err(reason)
}

/// A handshake of TLS, trusted or not.
#[derive(Debug)]
pub(super) struct Handshake {
    /// Version and time, or why it was refused.
    pub(super) outcome: Result<(String, Duration), String>,
    /// From when until when the certificate that was shown is valid.
    pub(super) validity: Option<(Nanos, Nanos)>,
}

/// Shakes hands with `host` over `stream`, trusting `roots`.
pub(super) fn shake_hands(mut stream: TcpStream, host: &str, roots: RootCertStore, limit: Duration) -> Handshake {
    let refused = |reason: String| Handshake { outcome: Err(reason), validity: None };
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let verifier = match verifier {
        Ok(verifier) => Arc::new(Noting { verifier, shown: Mutex::default() }),
        Err(error) => return refused(error.to_string()),
    };
    let trusting: Arc<dyn ServerCertVerifier> = Arc::<Noting>::clone(&verifier);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring offers the cipher suites of TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(trusting)
        .with_no_client_auth();
    let name = match ServerName::try_from(host.trim_matches(['[', ']']).to_owned()) {
        Ok(name) => name,
        Err(error) => return refused(error.to_string()),
    };
    let begun = clock::now();
    let outcome =
        ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string()).and_then(|mut connection| {
            let timed = stream.set_read_timeout(Some(limit)).and_then(|()| stream.set_write_timeout(Some(limit)));
            timed.map_err(|error| error.to_string())?;
            while connection.is_handshaking() {
                connection.complete_io(&mut stream).map_err(|error| error.to_string())?;
            }
            let version = match connection.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
                Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
                _ => "TLS",
            };
            Ok((version.to_owned(), clock::now().since(begun)))
        });
    let shown = verifier.shown.lock().unwrap_or_else(PoisonError::into_inner).take();
    Handshake { outcome, validity: shown.and_then(|certificate| validity(&certificate)) }
}

/// Decides as the real one, and notes what was shown: of a certificate that is refused one wants to know why.
#[derive(Debug)]
struct Noting {
    verifier: Arc<WebPkiServerVerifier>,
    shown: Mutex<Option<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(certificate.clone().into_owned());
        self.verifier.verify_server_cert(certificate, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
