//! `GovernedNamespace`: the unit that servers are grouped and governed in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{decision::Mode, ids::NamespaceName};

/// A governed namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Namespace {
    /// Its name.
    pub name: NamespaceName,
    /// Labels, for people and selectors.
    pub labels: BTreeMap<String, String>,
    /// `dev`, `prod`, …: for people, and for policies to go by.
    pub environment: Option<String>,
    /// Whether refusals are carried out.
    pub mode: Mode,
    /// With `observe`: the moment from which `enforce` holds, whatever [`Self::mode`] says.
    pub observe_until: Option<jiff::Timestamp>,
}

impl Namespace {
    /// The mode in force at `now`: `observe` ends exactly at [`Self::observe_until`].
    pub fn mode_at(&self, now: jiff::Timestamp) -> Mode {
        match (self.mode, self.observe_until) {
            (Mode::Enforce, _) => Mode::Enforce,
            (Mode::Observe, Some(until)) if now >= until => Mode::Enforce,
            (Mode::Observe, _) => Mode::Observe,
        }
    }
}
