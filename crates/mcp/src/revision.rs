//! The revisions of MCP that are spoken, and the era each belongs to.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::json::write_string;

/// A revision of the protocol. Ordered by date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// 2025-03-26: Streamable HTTP, and the only one with batches.
    V2025_03_26,
    /// 2025-06-18: the `MCP-Protocol-Version` header.
    V2025_06_18,
    /// 2025-11-25: the last with sessions.
    V2025_11_25,
    /// 2026-07-28: stateless, each request with its own metadata.
    V2026_07_28,
}

/// How a revision carries state between requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// `initialize` opens a session; streams can be resumed.
    Sessions,
    /// Each request stands alone and says in `params._meta` what it speaks.
    Stateless,
}

/// A revision that is not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("unknown protocol revision")]
pub struct UnknownRevision;

impl Revision {
    /// All of them, newest first.
    pub const ALL: [Self; 4] = [Self::V2026_07_28, Self::V2025_11_25, Self::V2025_06_18, Self::V2025_03_26];
    /// The newest with sessions: what is offered to a client that asked for one that is not spoken.
    pub const NEWEST_WITH_SESSIONS: Self = Self::V2025_11_25;
    /// What a request without the header is taken to speak (2025-06-18, basic/transports).
    pub const WITHOUT_HEADER: Self = Self::V2025_03_26;

    /// As it is written in messages and headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The era it belongs to.
    #[must_use]
    pub const fn era(self) -> Era {
        match self {
            Self::V2025_03_26 | Self::V2025_06_18 | Self::V2025_11_25 => Era::Sessions,
            Self::V2026_07_28 => Era::Stateless,
        }
    }

    /// Whether several messages may come in one array.
    #[must_use]
    pub const fn has_batches(self) -> bool {
        match self {
            Self::V2025_03_26 => true,
            Self::V2025_06_18 | Self::V2025_11_25 | Self::V2026_07_28 => false,
        }
    }

    /// JSON for the `data` of error -32022 (2026-07-28, `UnsupportedProtocolVersionError`).
    #[must_use]
    pub fn unsupported_data(requested: &str) -> String {
        let mut data = String::from("{\"supported\":[");
        for (index, revision) in Self::ALL.into_iter().enumerate() {
            if index > 0 {
                data.push(',');
            }
            write_string(&mut data, revision.as_str());
        }
        data.push_str("],\"requested\":");
        write_string(&mut data, requested);
        data.push('}');
        data
    }
}

impl FromStr for Revision {
    type Err = UnknownRevision;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|revision| revision.as_str() == text).ok_or(UnknownRevision)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
