//! Sealed handles: what the gateway must be told again later, given to a client who can neither read, change,
//! nor use it anywhere else.
//!
//! A handle is AES-256-GCM under a nonce made from the content itself (HMAC-SHA-256 of purpose, context and
//! plaintext, as in SIV): the same content gives the same handle, on every replica, and no nonce is ever used
//! for two contents. What it is bound to is authenticated, not stored: opening it in another context fails.
//! Keys are derived from one secret per generation; nothing here may say *why* a handle is refused.

mod session;

#[cfg(test)]
mod tests;

pub use session::SessionHandle;

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    constant_time, hmac,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use thiserror::Error;

use crate::envelope::{Id, MAX_INTEGER};

/// The length of AES-GCM's tag.
const TAG: usize = 16;

/// What a handle is for. A handle for one purpose is refused for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A session.
    Session,
    /// The id of an event in a stream.
    EventId,
    /// The id of a server's request to a client.
    RequestId,
    /// A progress token.
    ProgressToken,
    /// The state that a client hands back with its answers to a server's questions.
    RequestState,
    /// A place in a list.
    Cursor,
}

impl Purpose {
    const fn tag(self) -> u8 {
        match self {
            Self::Session => 1,
            Self::EventId => 2,
            Self::RequestId => 3,
            Self::ProgressToken => 4,
            Self::RequestState => 5,
            Self::Cursor => 6,
        }
    }

    /// The longest handle that is looked at, in characters: what fits in a header, or, where a server decides
    /// how much it wants to be told again, what fits in a client's string.
    const fn longest(self) -> usize {
        match self {
            Self::Session | Self::EventId | Self::RequestId | Self::ProgressToken => 4096,
            Self::RequestState | Self::Cursor => 1 << 20,
        }
    }
}

/// The tag of request numbers, which are no handles but share the key.
const REQUEST_NUMBER: u8 = 0x80;

/// A handle that was not sealed here, for this, and for them; or that can't be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("handle is not valid")]
pub struct InvalidHandle;

/// The keys that seal and open handles.
pub struct HandleKeys {
    current: Generation,
    previous: Vec<Generation>,
}

impl HandleKeys {
    /// Keys from 32 random bytes, and those in use before, which only open.
    ///
    /// # Errors
    /// [`InvalidHandle`] if the cryptographic library refuses the key; it has no reason to.
    pub fn new(current: [u8; 32], previous: &[[u8; 32]]) -> Result<Self, InvalidHandle> {
        Ok(Self {
            current: Generation::derive(&current)?,
            previous: previous.iter().map(Generation::derive).collect::<Result<_, _>>()?,
        })
    }

    /// Seals `plaintext` for one purpose and context. The handle is base64url, so visible ASCII; it is
    /// 4/3 × (29 + the length of the plaintext) characters long, and is refused again if that is more than
    /// 4 KiB (1 MiB for a cursor or request state).
    #[must_use]
    pub fn seal(&self, purpose: Purpose, bound_to: &[&[u8]], plaintext: &[u8]) -> String {
        self.current.seal(&context(purpose.tag(), bound_to), plaintext)
    }

    /// Opens a handle sealed for this purpose and context.
    ///
    /// # Errors
    /// [`InvalidHandle`], whatever the reason.
    pub fn open(&self, purpose: Purpose, bound_to: &[&[u8]], handle: &str) -> Result<Vec<u8>, InvalidHandle> {
        if handle.len() > purpose.longest() {
            return Err(InvalidHandle);
        }
        let sealed = URL_SAFE_NO_PAD.decode(handle).map_err(|_| InvalidHandle)?;
        let context = context(purpose.tag(), bound_to);
        std::iter::once(&self.current)
            .chain(&self.previous)
            .find_map(|generation| generation.open(&context, &sealed))
            .ok_or(InvalidHandle)
    }

    /// The number that stands for a client's request id towards a server: the same for the same context and
    /// id, not to be guessed, from 1 to 2^53 - 1.
    #[must_use]
    pub fn request_number(&self, bound_to: &[&[u8]], id: &Id) -> u64 {
        let context = context(REQUEST_NUMBER, bound_to);
        let digest = self.current.prf(&context, id.raw().as_bytes());
        let number = digest.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        (number & MAX_INTEGER).max(1)
    }
}

impl fmt::Debug for HandleKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandleKeys").field("previous", &self.previous.len()).finish_non_exhaustive()
    }
}

/// The keys derived from one secret.
struct Generation {
    /// The first byte of its handles, so that most foreign ones are seen at once.
    id: u8,
    cipher: LessSafeKey,
    prf: hmac::Key,
}

impl Generation {
    fn derive(secret: &[u8; 32]) -> Result<Self, InvalidHandle> {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derive = |label: &[u8]| hmac::sign(&root, label);
        let cipher = derive(b"narrows handle v1 cipher");
        let prf = derive(b"narrows handle v1 nonce");
        let id = derive(b"narrows handle v1 id").as_ref().first().copied().ok_or(InvalidHandle)?;
        Ok(Self {
            id,
            cipher: LessSafeKey::new(
                UnboundKey::new(&AES_256_GCM, cipher.as_ref()).map_err(|_| InvalidHandle)?,
            ),
            prf: hmac::Key::new(hmac::HMAC_SHA256, prf.as_ref()),
        })
    }

    /// HMAC over context and content; the context's length goes first, so no two pairs give the same input.
    fn prf(&self, context: &[u8], content: &[u8]) -> hmac::Tag {
        let mut mac = hmac::Context::with_key(&self.prf);
        mac.update(&(context.len() as u64).to_be_bytes());
        mac.update(context);
        mac.update(content);
        mac.sign()
    }

    fn nonce(&self, context: &[u8], plaintext: &[u8]) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        for (to, from) in nonce.iter_mut().zip(self.prf(context, plaintext).as_ref()) {
            *to = *from;
        }
        nonce
    }

    fn seal(&self, context: &[u8], plaintext: &[u8]) -> String {
        let nonce = self.nonce(context, plaintext);
        let mut body = plaintext.to_vec();
        let sealed = self.cipher.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context),
            &mut body,
        );
        if sealed.is_err() {
            // Only lengths beyond 2^36 bytes are refused. An empty handle opens nowhere.
            return String::new();
        }
        let mut handle = Vec::with_capacity(1 + NONCE_LEN + body.len());
        handle.push(self.id);
        handle.extend_from_slice(&nonce);
        handle.append(&mut body);
        URL_SAFE_NO_PAD.encode(handle)
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (id, sealed) = sealed.split_first()?;
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>()?;
        if *id != self.id || body.len() < TAG {
            return None;
        }
        let mut body = body.to_vec();
        let length = self
            .cipher
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context), &mut body)
            .ok()?
            .len();
        body.truncate(length);
        // A right tag under a nonce that is not the content's own was not made by us.
        constant_time::verify_slices_are_equal(&self.nonce(context, &body), nonce).ok()?;
        Some(body)
    }
}

/// Purpose and context as one string of bytes, each part with its length.
fn context(tag: u8, bound_to: &[&[u8]]) -> Vec<u8> {
    let mut context = Vec::with_capacity(16 + bound_to.iter().map(|part| part.len() + 8).sum::<usize>());
    context.extend_from_slice(b"narrows\x01");
    context.push(tag);
    for part in bound_to {
        context.extend_from_slice(&(part.len() as u64).to_be_bytes());
        context.extend_from_slice(part);
    }
    context
}
