//! Which rules of a role may be for a server. An index only leaves out rules that can't be; each rule still checks
//! the server itself.

use std::collections::HashMap;

use super::rule::CompiledRule;
use crate::ids::ServerId;

/// A rule that names more servers than this, one by one, is indexed by its namespaces instead.
const MAX_PAIRS: usize = 64;

/// A server's number in its snapshot and that of its namespace.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerNumber {
    pub(super) server: u32,
    pub(super) namespace: u32,
}

/// Numbers for the names of a snapshot.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) servers: HashMap<ServerId, ServerNumber>,
    /// Namespace names; servers are looked up by both names when indexing.
    pub(super) namespaces: HashMap<String, u32>,
}

/// The rules of one role by the servers they are for.
#[derive(Debug, Default)]
pub(super) struct RuleIndex {
    by_server: HashMap<u32, Vec<u32>>,
    by_namespace: HashMap<u32, Vec<u32>>,
    elsewhere: Vec<u32>,
}

impl RuleIndex {
    pub(super) fn new(rules: &[CompiledRule], numbers: &Numbers) -> Self {
        let mut index = Self::default();
        for (number, rule) in (0_u32..).zip(rules) {
            let Some(namespaces) = rule.namespaces.literals() else {
                index.elsewhere.push(number);
                continue;
            };
            let servers = rule
                .servers
                .literals()
                .filter(|servers| servers.len().saturating_mul(namespaces.len()) <= MAX_PAIRS);
            for namespace in namespaces {
                match servers {
                    Some(servers) => {
                        for server in servers {
                            let known = format!("{namespace}/{server}")
                                .parse()
                                .ok()
                                .and_then(|id: ServerId| numbers.servers.get(&id));
                            if let Some(known) = known {
                                index.by_server.entry(known.server).or_default().push(number);
                            }
                        }
                    }
                    None => {
                        if let Some(namespace) = numbers.namespaces.get(namespace.as_ref()) {
                            index.by_namespace.entry(*namespace).or_default().push(number);
                        }
                    }
                }
            }
        }
        index
    }

    /// The numbers of the rules that may be for a server, ascending.
    pub(super) fn candidates(&self, at: ServerNumber) -> impl Iterator<Item = u32> {
        Merge {
            lists: [
                self.by_server.get(&at.server).map(Vec::as_slice).unwrap_or_default(),
                self.by_namespace.get(&at.namespace).map(Vec::as_slice).unwrap_or_default(),
                &self.elsewhere,
            ],
        }
    }
}

/// Ascending union of ascending lists.
struct Merge<'a> {
    lists: [&'a [u32]; 3],
}

impl Iterator for Merge<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let least = self.lists.iter().filter_map(|list| list.first()).min().copied()?;
        for list in &mut self.lists {
            while let Some((first, rest)) = list.split_first()
                && *first == least
            {
                *list = rest;
            }
        }
        Some(least)
    }
}
