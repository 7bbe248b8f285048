//! The certificate that the doors show, and the key that goes with it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use thiserror::Error;

use crate::config;

/// How often the files are looked at, so that a renewed certificate is shown without a restart.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The doors cannot have TLS with what the configuration names.
#[derive(Debug, Error)]
#[error("`{key}` is {path:?}: {what}")]
pub struct CertificateError {
    /// The key that names the file.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and the way out.
    pub what: String,
}

/// Certificate and key, read again when their files change.
#[derive(Debug)]
pub(super) struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    shown: Arc<Shown>,
    config: Arc<ServerConfig>,
}

/// What a handshake is begun with.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The bytes of both files.
#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Certificate {
    /// What `settings` name; `None` if they name nothing.
    ///
    /// # Errors
    /// If a file cannot be read, holds nothing of its kind, or the two do not belong together.
    pub(super) fn load(settings: &config::Tls) -> Result<Option<Self>, CertificateError> {
        if settings.certificate.is_empty() {
            return Ok(None);
        }
        let [certificate, key] = [&settings.certificate, &settings.key].map(PathBuf::from);
        let shown = understood(&certificate, &key, &Files::read(&certificate, &key)?)?;
        let shown = Arc::new(Shown(RwLock::new(Arc::new(shown))));
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring offers the cipher suites of TLS 1.2 and 1.3");
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Shown>::clone(&shown);
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Who comes back needs no signature of ours: after a restart of the network all of them do, at once.
        config.ticketer = ring::Ticketer::new().map_err(|error| CertificateError {
            key: "tls.certificate",
            path: certificate.clone(),
            what: format!("the system gives no random numbers for tickets ({error})"),
        })?;
        Ok(Some(Self { certificate, key, shown, config: Arc::new(config) }))
    }

    /// What handshakes are made with.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Looks at the files for as long as it is polled. Connections that are open keep what they have.
    pub(super) async fn follow(&self) {
        let mut before = self.files();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.files();
            // Whoever renews them writes one after the other: what does not go together now may do so next time.
            if now == before {
                continue;
            }
            let shown = now
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|files| understood(&self.certificate, &self.key, files).map_err(|error| error.to_string()));
            match shown {
                Ok(shown) => {
                    *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(shown);
                    tracing::info!(certificate = %self.certificate.display(), "the doors show a new certificate");
                }
                Err(error) => tracing::warn!(%error, "the doors go on with the certificate they have"),
            }
            before = now;
        }
    }

    fn files(&self) -> Result<Files, String> {
        Files::read(&self.certificate, &self.key).map_err(|error| error.to_string())
    }
}

impl Files {
    fn read(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        Ok(Self { certificate: read("tls.certificate", certificate)?, key: read("tls.key", key)? })
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => "; name a PEM file, from here or with its whole path",
            io::ErrorKind::PermissionDenied => "; let the user that runs this process read it",
            _ => "",
        };
        CertificateError { key, path: path.to_owned(), what: format!("it cannot be read ({error}){advice}") }
    })
}

fn understood(certificate: &Path, key: &Path, files: &Files) -> Result<CertifiedKey, CertificateError> {
    let of_certificate = |what| CertificateError { key: "tls.certificate", path: certificate.to_owned(), what };
    let of_key = |what| CertificateError { key: "tls.key", path: key.to_owned(), what };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&files.certificate)
        .collect::<Result<_, _>>()
        .map_err(|error| of_certificate(format!("it is not PEM ({error})")))?;
    if chain.is_empty() {
        let what = "it holds no certificate; it has to be PEM with the server's certificate first and those that vouch \
                    for it behind";
        return Err(of_certificate(what.to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_slice(&files.key).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            of_key("it holds no private key; it has to be PEM (PKCS#8, PKCS#1 or SEC1) without a passphrase".to_owned())
        }
        error => of_key(format!("it is not PEM ({error})")),
    })?;
    CertifiedKey::from_der(chain, secret, &ring::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            of_key(format!("it is not the key of the certificate in {certificate:?}; take both from the same place"))
        }
        rustls::Error::InvalidCertificate(reason) => of_certificate(format!(
            "its first certificate cannot be used ({reason:?}); have it made as X.509 version 3"
        )),
        error => of_key(format!("it cannot be used ({error}); RSA of 2048 to 8192 bits, P-256, P-384 and Ed25519 can")),
    })
}
