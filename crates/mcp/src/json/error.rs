//! Why a text was refused. Names the rule and the place, never the content.

use thiserror::Error;

/// A refused text: the rule that it broke, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{fault} at byte {offset}")]
pub struct ScanError {
    /// The rule that was broken.
    pub fault: Fault,
    /// Where, in bytes from the start of the input.
    pub offset: usize,
}

impl ScanError {
    /// The JSON-RPC error code: -32700 where the bytes are not JSON, -32600 where they are, but are refused.
    #[must_use]
    pub const fn code(&self) -> i64 {
        match self.fault {
            Fault::Encoding | Fault::Syntax | Fault::Truncated | Fault::Trailing => -32700,
            Fault::Root | Fault::Surrogate | Fault::Number | Fault::Member(_) | Fault::TooLarge(_) => -32600,
        }
    }
}

/// The rules of the scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// Not UTF-8, or a byte order mark.
    #[error("text is not plain UTF-8")]
    Encoding,
    /// Not JSON.
    #[error("not valid JSON")]
    Syntax,
    /// The text ends inside a value.
    #[error("JSON ends too early")]
    Truncated,
    /// Something follows the value.
    #[error("something follows the JSON value")]
    Trailing,
    /// The outermost value is neither an object nor an array.
    #[error("message is not a JSON object")]
    Root,
    /// An escape names half of a surrogate pair.
    #[error("string holds a lone surrogate")]
    Surrogate,
    /// A number that readers would round differently.
    #[error("number can't be kept exactly")]
    Number,
    /// A member's name.
    #[error(transparent)]
    Member(MemberFault),
    /// A limit was passed.
    #[error(transparent)]
    TooLarge(Cap),
}

/// What is wrong with a member's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MemberFault {
    /// The object has it already.
    #[error("member is named twice")]
    Duplicate,
    /// The object has one that differs only by case.
    #[error("two members differ only by case")]
    DuplicateByCase,
    /// It is a name that has a meaning, in another case.
    #[error("member's name is in the wrong case")]
    Misspelt,
    /// It holds a control character.
    #[error("member's name holds a control character")]
    Control,
    /// It is reserved by a JSON library, which would take it for structure.
    #[error("member's name is reserved")]
    Reserved,
}

/// Which limit was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Cap {
    /// Nesting.
    #[error("JSON is nested too deep")]
    Depth,
    /// Members of one object.
    #[error("object has too many members")]
    Members,
    /// The length of one string.
    #[error("string is too long")]
    String,
    /// The length of one number.
    #[error("number is too long")]
    Number,
}
