//! The public key, as C2SP verifier key (`name+id+key`, with the id a hash of both) or as PEM, which has no name.

use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine, engine::general_purpose::STANDARD};

/// The signature type of plain Ed25519.
const ED25519: u8 = 1;
/// What precedes the key's 32 bytes in `SubjectPublicKeyInfo` (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key that came by another way than the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrustedKey {
    /// The name of a log that it signs.
    pub(crate) name: Option<String>,
    pub(crate) public: [u8; 32],
}

impl TrustedKey {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.strip_prefix("-----BEGIN PUBLIC KEY-----") {
            Some(rest) => {
                let body: String =
                    rest.strip_suffix("-----END PUBLIC KEY-----")?.split_whitespace().collect();
                let public = STANDARD.decode(body).ok()?.strip_prefix(&SPKI)?.try_into().ok()?;
                Some(Self { name: None, public })
            }
            None => {
                let (name, rest) = text.split_once('+')?;
                let (_, encoded) = rest.split_once('+')?;
                let public = STANDARD.decode(encoded).ok()?.strip_prefix(&[ED25519])?.try_into().ok()?;
                let named = !name.is_empty() && !name.contains(char::is_whitespace);
                (named && vkey(name, &public) == text).then(|| Self { name: Some(name.to_owned()), public })
            }
        }
    }

    /// Whether it may sign a log of this origin: a key's name is `<installation>/<writer>`, and all writers of an
    /// installation sign with one key.
    pub(crate) fn covers(&self, origin: &str) -> bool {
        let installation =
            |name: &str| name.rsplit_once('/').map(|(installation, _)| installation.to_owned());
        self.name.as_deref().is_none_or(|name| name == origin || installation(name) == installation(origin))
    }
}

/// The id of a key: the first four bytes of `SHA-256(name || LF || type || key)`.
pub(crate) fn id(name: &str, public: &[u8; 32]) -> [u8; 4] {
    let mut context = Context::new(&SHA256);
    [name.as_bytes(), &[b'\n', ED25519], public].into_iter().for_each(|part| context.update(part));
    let digest = context.finish();
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

/// The verifier key as text.
pub(crate) fn vkey(name: &str, public: &[u8; 32]) -> String {
    let encoded = STANDARD.encode([[ED25519].as_slice(), public].concat());
    format!("{name}+{:08x}+{encoded}", u32::from_be_bytes(id(name, public)))
}

/// The key in PEM form.
pub(crate) fn pem(public: &[u8; 32]) -> String {
    let encoded = STANDARD.encode([SPKI.as_slice(), public].concat());
    format!("-----BEGIN PUBLIC KEY-----\n{encoded}\n-----END PUBLIC KEY-----\n")
}
