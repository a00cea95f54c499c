//! PEM (RFC 7468) for the one kind of file that we read and write: a PKCS#8 private key, alone in its file.

use base64::{Engine as _, engine::general_purpose::STANDARD};

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
const LINE: usize = 64;

/// Why a text is not a private key in PEM. Holds nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Not exactly one block `PRIVATE KEY`.
    #[error(
        "it is not one PKCS#8 private key in PEM\nhint: the file begins with `-----BEGIN PRIVATE KEY-----`"
    )]
    Shape,
    /// The block's text is not base64.
    #[error("the text between its first and last line is not base64")]
    Base64,
}

pub(super) fn encode(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::with_capacity(text.len() + text.len() / LINE + BEGIN.len() + END.len() + 4);
    pem.push_str(BEGIN);
    for (index, c) in text.chars().enumerate() {
        if index % LINE == 0 {
            pem.push('\n');
        }
        pem.push(c);
    }
    pem.push('\n');
    pem.push_str(END);
    pem.push('\n');
    pem
}

pub(super) fn decode(pem: &str) -> Result<Vec<u8>, PemError> {
    let body =
        pem.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)).ok_or(PemError::Shape)?;
    if body.contains("-----") {
        return Err(PemError::Shape);
    }
    let text: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(text).map_err(|_| PemError::Base64)
}
