//! What a session's handle holds. Whose session it is, and where, is what the handle is bound to; it is not in here.

use super::{HandleKeys, InvalidHandle, Purpose};
use crate::revision::Revision;

/// The content of a session handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionHandle {
    /// The server's own session id; empty if it gave none.
    pub upstream_session: String,
    /// The revision agreed on.
    pub revision: Revision,
    /// When it ends, in seconds since 1970.
    pub expires_unix: u64,
    /// What tells this session from another with the same server's id: when it was opened, or a random number.
    pub nonce_or_opened: u64,
}

/// The form of the bytes.
const VERSION: u8 = 1;

impl SessionHandle {
    /// As bytes, to be sealed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(18 + self.upstream_session.len());
        bytes.push(VERSION);
        bytes.push(match self.revision {
            Revision::V2025_03_26 => 1,
            Revision::V2025_06_18 => 2,
            Revision::V2025_11_25 => 3,
            Revision::V2026_07_28 => 4,
        });
        bytes.extend_from_slice(&self.expires_unix.to_be_bytes());
        bytes.extend_from_slice(&self.nonce_or_opened.to_be_bytes());
        bytes.extend_from_slice(self.upstream_session.as_bytes());
        bytes
    }

    /// From bytes that were opened.
    ///
    /// # Errors
    /// [`InvalidHandle`] where they are not of this form.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidHandle> {
        let ([version, revision], rest) = bytes.split_first_chunk::<2>().ok_or(InvalidHandle)?;
        let (expires, rest) = rest.split_first_chunk::<8>().ok_or(InvalidHandle)?;
        let (opened, rest) = rest.split_first_chunk::<8>().ok_or(InvalidHandle)?;
        let revision = match (*version, *revision) {
            (VERSION, 1) => Revision::V2025_03_26,
            (VERSION, 2) => Revision::V2025_06_18,
            (VERSION, 3) => Revision::V2025_11_25,
            (VERSION, 4) => Revision::V2026_07_28,
            _ => return Err(InvalidHandle),
        };
        Ok(Self {
            upstream_session: std::str::from_utf8(rest).map_err(|_| InvalidHandle)?.to_owned(),
            revision,
            expires_unix: u64::from_be_bytes(*expires),
            nonce_or_opened: u64::from_be_bytes(*opened),
        })
    }

    /// Seals it: the text of `Mcp-Session-Id`. `bound_to` says whose session it is and with what server.
    #[must_use]
    pub fn seal(&self, keys: &HandleKeys, bound_to: &[&[u8]]) -> String {
        keys.seal(Purpose::Session, bound_to, &self.encode())
    }

    /// Opens what [`Self::seal`] gave, if it has not ended by `now_unix`.
    ///
    /// # Errors
    /// [`InvalidHandle`], whatever the reason.
    pub fn open(
        keys: &HandleKeys,
        bound_to: &[&[u8]],
        handle: &str,
        now_unix: u64,
    ) -> Result<Self, InvalidHandle> {
        let session = Self::decode(&keys.open(Purpose::Session, bound_to, handle)?)?;
        if now_unix < session.expires_unix { Ok(session) } else { Err(InvalidHandle) }
    }
}
