//! Checkpoints: what a log says of itself at a size, as a C2SP tlog-checkpoint in a C2SP signed note. Text only;
//! making and checking the Ed25519 signatures is the store's, which has the cryptography.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::tree::Hash;

/// The signature type of plain Ed25519 in the C2SP signed-note specification.
const ED25519: u8 = 1;

/// Why a text is not a checkpoint, a note or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not origin, size and root on three lines.
    #[error("the checkpoint is not three lines of origin, size and root")]
    Body,
    /// Not a text, an empty line and signature lines.
    #[error("the note is not a text, an empty line and signatures")]
    Note,
    /// Not `name+id+key`, or its id is not the key's.
    #[error("the key is not a verifier key in the form `name+id+key`")]
    Key,
}

/// What a log's tree is at a size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, equal to the name of its key.
    pub origin: String,
    /// Records covered.
    pub size: u64,
    /// The tree's root.
    pub root: Hash,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.0))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Body)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Body);
        };
        let root = STANDARD.decode(root).ok().and_then(|bytes| bytes.try_into().ok());
        let parsed = size.parse::<u64>().ok().filter(|number| number.to_string() == size);
        match (parsed, root) {
            (Some(size), Some(root)) if !origin.is_empty() => {
                Ok(Self { origin: origin.to_owned(), size, root: Hash(root) })
            }
            _ => Err(CheckpointError::Body),
        }
    }
}

/// One signature line of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The key's name.
    pub name: String,
    /// The key's id.
    pub key_id: [u8; 4],
    /// The signature over the note's text.
    pub signature: Vec<u8>,
}

/// A text with signatures. The text ends with a line feed, which is signed too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is signed.
    pub text: String,
    /// By whom; at least one.
    pub signatures: Vec<NoteSignature>,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| {
            let mut bytes = line.key_id.to_vec();
            bytes.extend_from_slice(&line.signature);
            writeln!(f, "\u{2014} {} {}", line.name, STANDARD.encode(bytes))
        })
    }
}

impl FromStr for Note {
    type Err = CheckpointError;

    fn from_str(note: &str) -> Result<Self, CheckpointError> {
        let (text, lines) = note.split_once("\n\n").ok_or(CheckpointError::Note)?;
        let lines = lines.strip_suffix('\n').ok_or(CheckpointError::Note)?;
        let empty = text.is_empty() || text.starts_with('\n');
        if empty || note.chars().any(|c| c.is_control() && c != '\n') {
            return Err(CheckpointError::Note);
        }
        let signatures = lines.split('\n').map(signature).collect::<Option<Vec<_>>>();
        Ok(Self { text: format!("{text}\n"), signatures: signatures.ok_or(CheckpointError::Note)? })
    }
}

fn signature(line: &str) -> Option<NoteSignature> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (key_id, signature) = bytes.split_first_chunk::<4>()?;
    is_key_name(name).then(|| NoteSignature {
        name: name.to_owned(),
        key_id: *key_id,
        signature: signature.to_vec(),
    })
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+')
}

/// A public Ed25519 key with its name: the C2SP verifier key, `name+id+key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public: [u8; 32],
}

impl VerifierKey {
    /// Names a public key. None if the name is empty or has spaces or `+` in it.
    pub fn new(name: &str, public: [u8; 32]) -> Option<Self> {
        is_key_name(name).then(|| Self { name: name.to_owned(), public })
    }

    /// Its name: the origin of the log that it signs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The 32 bytes of the key.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The id by which a signature line names the key.
    pub fn id(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(self.name.as_bytes())
            .chain_update([b'\n', ED25519])
            .chain_update(self.public)
            .finalize();
        let digest: [u8; 32] = digest.into();
        let [a, b, c, d, ..] = digest;
        [a, b, c, d]
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519];
        bytes.extend_from_slice(&self.public);
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id()), STANDARD.encode(bytes))
    }
}

impl FromStr for VerifierKey {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(CheckpointError::Key);
        };
        let bytes = STANDARD.decode(key).map_err(|_| CheckpointError::Key)?;
        let public = match bytes.split_first() {
            Some((&ED25519, public)) => public.try_into().map_err(|_| CheckpointError::Key)?,
            _ => return Err(CheckpointError::Key),
        };
        // Written out again it must be the same text, which checks the id too.
        Self::new(name, public).filter(|key| key.to_string() == text).ok_or(CheckpointError::Key)
    }
}

#[cfg(test)]
mod tests;
