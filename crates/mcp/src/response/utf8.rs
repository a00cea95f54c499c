//! UTF-8 over a text that comes in pieces, which may end inside a character.

use super::ResponseError;

/// Where the text has come to.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    /// The beginning of a character that is not complete: at most three bytes.
    begun: Vec<u8>,
}

impl Utf8 {
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), ResponseError> {
        let mut rest = piece;
        while !self.begun.is_empty() {
            let Some((byte, after)) = rest.split_first() else { return Ok(()) };
            self.begun.push(*byte);
            rest = after;
            match std::str::from_utf8(&self.begun) {
                Ok(_) => self.begun.clear(),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(ResponseError::Encoding),
            }
        }
        match std::str::from_utf8(rest) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_none() => {
                self.begun.extend_from_slice(rest.get(error.valid_up_to()..).unwrap_or(&[]));
                Ok(())
            }
            Err(_) => Err(ResponseError::Encoding),
        }
    }

    /// Whether the text may end here.
    pub(super) fn is_complete(&self) -> bool {
        self.begun.is_empty()
    }
}
