//! The server's certificate: read from files, replaced while running, never half replaced.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

/// Why a certificate or key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file holds none.
    #[error("the certificate file holds no certificate in PEM form")]
    NoCertificate,
    /// The certificate can't be read.
    #[error("the certificate can't be read: {0}")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    /// The key can't be read.
    #[error("the key can't be read: {0}")]
    Key(#[source] rustls::pki_types::pem::Error),
    /// They don't fit together, or the key is of a kind that is not supported.
    #[error("certificate and key can't be used: {0}")]
    Unusable(#[source] rustls::Error),
}

/// TLS for the listener. TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
pub struct ServerTls {
    current: ArcSwap<ServerConfig>,
}

impl ServerTls {
    /// Reads a certificate chain and key, both PEM.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Ok(Self { current: ArcSwap::from_pointee(config(chain, key)?) })
    }

    /// Replaces both for connections to come. On error the old ones stay.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), TlsError> {
        self.current.store(Arc::new(config(chain, key)?));
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

fn config(chain: &[u8], key: &[u8]) -> Result<ServerConfig, TlsError> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(TlsError::Certificate)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?;
    let mut config =
        builder.with_no_client_auth().with_single_cert(chain, key).map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
