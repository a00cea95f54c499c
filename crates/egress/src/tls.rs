//! The TLS settings of connections that we open: TLS 1.2 and 1.3, HTTP/1.1, the system's roots.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate given besides the system's can't be used.
    #[error("root certificate {index} can't be used")]
    Root {
        /// Its place in the list, from 0.
        index: usize,
        /// Why.
        source: rustls::Error,
    },
    /// The crypto provider lacks a protocol version.
    #[error("TLS can't be set up")]
    Provider(#[source] rustls::Error),
}

/// Settings that trust the system's roots and `extra_roots`. Reading the roots takes some milliseconds: make it once
/// and share it.
///
/// # Errors
/// [`TlsError`]. Roots of the system that can't be read are passed over; with none at all, every TLS peer is refused.
pub fn tls_config(extra_roots: &[CertificateDer<'_>]) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for (index, root) in extra_roots.iter().enumerate() {
        roots.add(root.clone().into_owned()).map_err(|source| TlsError::Root { index, source })?;
    }
    let found = rustls_native_certs::load_native_certs();
    let (_, unusable) = roots.add_parsable_certificates(found.certs);
    if unusable > 0 || !found.errors.is_empty() {
        tracing::debug!(unusable, errors = found.errors.len(), "some system roots were passed over");
    }
    if roots.is_empty() {
        tracing::warn!(
            "no root certificates were found: no TLS peer can be authenticated until they are installed"
        );
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Provider)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
