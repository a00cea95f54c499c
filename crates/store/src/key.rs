//! The key that signs a log's checkpoints, and the public half that others check them with. The private key is never
//! printed.

use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use narrows_core::audit::checkpoint::{Checkpoint, Note, NoteSignature, VerifierKey};

use crate::StoreError;

/// What precedes the 32 bytes of an Ed25519 public key in its DER form (RFC 8410 section 4).
const PUBLIC_DER_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A private Ed25519 key. Neither printable nor comparable.
#[derive(Clone)]
pub struct SigningKey(Arc<Ed25519KeyPair>);

impl SigningKey {
    /// Reads a PKCS#8 key in PEM form.
    ///
    /// # Errors
    /// [`StoreError::Key`].
    pub fn from_pem(pem: &str) -> Result<Self, StoreError> {
        let der = pem_body(pem, "PRIVATE KEY").ok_or(StoreError::Key("no PEM block `PRIVATE KEY`"))?;
        let pair = Ed25519KeyPair::from_pkcs8(&der)
            .map_err(|_| StoreError::Key("the PEM block is not an Ed25519 key in PKCS#8"))?;
        Ok(Self(Arc::new(pair)))
    }

    /// The public half, under the name of the log that it signs.
    ///
    /// # Errors
    /// [`StoreError::Key`] if the name is empty or has spaces or `+` in it.
    pub fn verifier(&self, name: &str) -> Result<VerifierKey, StoreError> {
        let public = self.0.public_key().as_ref().try_into().map_err(|_| StoreError::Key("not 32 bytes"))?;
        VerifierKey::new(name, public).ok_or(StoreError::Key("its name has spaces or `+` in it"))
    }

    /// A checkpoint as a signed note, under the key's name, which is the checkpoint's origin.
    pub(crate) fn sign(&self, checkpoint: &Checkpoint, verifier: &VerifierKey) -> Note {
        let text = checkpoint.to_string();
        let signature = self.0.sign(text.as_bytes()).as_ref().to_vec();
        let line = NoteSignature { name: verifier.name().to_owned(), key_id: verifier.id(), signature };
        Note { text, signatures: vec![line] }
    }
}

/// The checkpoint in a note, if this key signed it and is named as its origin. Signatures by others are passed over.
pub fn open_note(note: &Note, key: &VerifierKey) -> Option<Checkpoint> {
    let line = note.signatures.iter().find(|line| line.name == key.name() && line.key_id == key.id())?;
    UnparsedPublicKey::new(&ED25519, key.public()).verify(note.text.as_bytes(), &line.signature).ok()?;
    note.text.parse::<Checkpoint>().ok().filter(|checkpoint| checkpoint.origin == key.name())
}

/// A public key as `SubjectPublicKeyInfo` in PEM form, for other tools.
pub fn public_pem(key: &VerifierKey) -> String {
    let der = [PUBLIC_DER_PREFIX.as_slice(), key.public()].concat();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

fn pem_body(pem: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(body).ok()
}
