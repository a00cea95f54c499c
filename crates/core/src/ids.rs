//! Names that were checked once and are trusted afterwards. A value of these types can stand in a path, a file
//! name, a metric label or a log line without escaping.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Longest namespace or server name, in bytes: a DNS label.
pub const MAX_LABEL: usize = 63;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a name: use 1 to 63 lower-case letters, digits and `-`, beginning and ending with a letter or digit"
)]
pub struct InvalidLabel(pub String);

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            bytes.len() <= MAX_LABEL
                && alphanumeric(first)
                && alphanumeric(last)
                && bytes.iter().all(|b| alphanumeric(b) || *b == b'-')
        }
        _ => false,
    }
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidLabel;
            fn from_str(text: &str) -> Result<Self, InvalidLabel> {
                if is_label(text) { Ok(Self(text.into())) } else { Err(InvalidLabel(text.to_owned())) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidLabel;
            fn try_from(text: String) -> Result<Self, InvalidLabel> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`{}`", self.0)
            }
        }
    };
}

label!(
    /// A governed namespace: `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`.
    NamespaceName
);
label!(
    /// A server's name within its namespace; same alphabet, and therefore without `__`.
    ServerName
);
label!(
    /// Any other named resource: a role, a binding, an identity provider.
    ResourceName
);

/// A server's full address: `namespace/name`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerId {
    /// The namespace that governs it.
    pub namespace: NamespaceName,
    /// Its name there.
    pub name: ServerName,
}

/// Why a text is not a server's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServerId {
    /// There is no `/`, or more than one.
    #[error("`{0}` is not a server: write `namespace/name`")]
    Shape(String),
    /// One of the halves is not a name.
    #[error(transparent)]
    Label(#[from] InvalidLabel),
}

impl FromStr for ServerId {
    type Err = InvalidServerId;
    fn from_str(text: &str) -> Result<Self, InvalidServerId> {
        match text.split_once('/') {
            Some((namespace, name)) if !name.contains('/') => {
                Ok(Self { namespace: namespace.parse()?, name: name.parse()? })
            }
            _ => Err(InvalidServerId::Shape(text.to_owned())),
        }
    }
}

impl TryFrom<String> for ServerId {
    type Error = InvalidServerId;
    fn try_from(text: String) -> Result<Self, InvalidServerId> {
        text.parse()
    }
}

impl From<ServerId> for String {
    fn from(id: ServerId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}
