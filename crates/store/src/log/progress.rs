//! Which intents are open, and how far that is known on disk, so that a restart reads the last second of the log and
//! not all of it. A lost or stale file costs time, never truth.

use std::{collections::BTreeMap, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use narrows_core::{
    audit::{
        tile,
        tree::{Hash, leaf_hash},
    },
    ports::Pairing,
};
use serde::{Deserialize, Serialize};

use super::{segment::Place, tiles::Tiles};

/// The file's name.
pub(crate) const FILE: &str = "progress.json";

/// Intents that no outcome has closed, among the records before `position`.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenIntents {
    pub(crate) position: u64,
    pub(crate) open: BTreeMap<u64, Place>,
}

impl OpenIntents {
    /// Takes note of the record at `position`.
    pub(crate) fn apply(&mut self, pairing: Pairing, place: Place) {
        match pairing {
            Pairing::Event => {}
            Pairing::Intent => drop(self.open.insert(self.position, place)),
            Pairing::Outcome(intent) => drop(self.open.remove(&intent.0)),
        }
        self.position += 1;
    }
}

/// What is kept on disk: a place to read on from, the tree's right edge there, and the intents before it that may be
/// open. Intents that were closed by records after it may be missing; reading on closes them again without effect.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    pub(crate) index: u64,
    pub(crate) place: Place,
    pub(crate) open: Vec<(u64, Place)>,
    /// For each level of tiles, the hashes of the partial one in base64.
    pub(crate) edge: Vec<String>,
}

impl Progress {
    /// The file's contents: one line of JSON and one with its digest.
    pub(crate) fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self)?;
        let digest = format!("\n{:?}\n", leaf_hash(&bytes));
        bytes.extend_from_slice(digest.as_bytes());
        Ok(bytes)
    }

    /// What the file says; none if it is missing or damaged.
    pub(crate) fn load(directory: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(directory.join(FILE)).ok()?;
        let (json, digest) = text.strip_suffix('\n')?.split_once('\n')?;
        if format!("{:?}", leaf_hash(json.as_bytes())) != digest {
            return None;
        }
        serde_json::from_str(json).ok()
    }

    /// The open intents as known at the place.
    pub(crate) fn open_intents(&self) -> OpenIntents {
        OpenIntents { position: self.index, open: self.open.iter().copied().collect() }
    }

    /// The tree of the records before the place; none if its edge does not fit them.
    pub(crate) fn tiles(&self) -> Option<Tiles> {
        let decode = |level: &String| {
            let bytes = STANDARD.decode(level).ok()?;
            tile::decode(&bytes, bytes.len() as u64 / 32)
        };
        Tiles::with_edge(self.index, self.edge.iter().map(decode).collect::<Option<_>>()?)
    }
}

/// A tree's edge as it is kept.
pub(crate) fn encode_edge(edge: &[Vec<Hash>]) -> Vec<String> {
    edge.iter().map(|hashes| STANDARD.encode(tile::encode(hashes))).collect()
}
