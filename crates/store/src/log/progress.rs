//! Which intents are open, and how far that is known on disk, so that a restart reads the last second of the log and
//! not all of it. A lost or stale file costs time, never truth.

use std::{collections::BTreeMap, path::Path};

use narrows_core::{audit::tree::leaf_hash, ports::Pairing};
use serde::{Deserialize, Serialize};

use super::segment::Place;

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

/// What is kept on disk: a place to read on from, and the intents before it that may be open. Intents that were
/// closed by records after it may be missing; reading on closes them again without effect.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    pub(crate) index: u64,
    pub(crate) place: Place,
    pub(crate) open: Vec<(u64, Place)>,
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
}
