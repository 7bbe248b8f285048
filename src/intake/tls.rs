//! TLS towards venues: one configuration for sockets and REST.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// The certificate authorities that browsers trust, as built into the program: no file of the machine is read.
pub(super) fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// TLS 1.2 and 1.3 with ring, trusting `roots`.
pub(super) fn client_config(roots: RootCertStore) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring offers the cipher suites of TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[cfg(test)]
mod tests;
