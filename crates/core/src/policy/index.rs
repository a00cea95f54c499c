//! Which rules may be for a server. The index only leaves out rules that can't be; each rule still checks the server
//! itself, so a mistake here can take access away but never give any.

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
    pub(super) namespaces: HashMap<String, u32>,
}

/// A rule by its role's number and its own there. Orders as role names and rule indexes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RuleNumber {
    pub(super) role: u32,
    pub(super) rule: u32,
}

/// All rules by the servers they are for; each list ascending.
#[derive(Debug, Default)]
pub(super) struct RuleIndex {
    by_server: HashMap<u32, Vec<RuleNumber>>,
    by_namespace: HashMap<u32, Vec<RuleNumber>>,
    elsewhere: Vec<RuleNumber>,
}

impl RuleIndex {
    /// Adds a rule; rules are added in ascending order.
    pub(super) fn add(&mut self, number: RuleNumber, rule: &CompiledRule, numbers: &Numbers) {
        let Some(namespaces) = rule.namespaces.literals() else {
            self.elsewhere.push(number);
            return;
        };
        let servers = rule
            .servers
            .literals()
            .filter(|servers| servers.len().saturating_mul(namespaces.len()) <= MAX_PAIRS);
        for namespace in namespaces {
            match servers {
                Some(servers) => {
                    let ids =
                        servers.iter().filter_map(|server| format!("{namespace}/{server}").parse().ok());
                    for known in ids.filter_map(|id: ServerId| numbers.servers.get(&id)) {
                        self.by_server.entry(known.server).or_default().push(number);
                    }
                }
                None => {
                    if let Some(namespace) = numbers.namespaces.get(namespace.as_ref()) {
                        self.by_namespace.entry(*namespace).or_default().push(number);
                    }
                }
            }
        }
    }

    /// The rules of some roles (ascending) that may be for a server, ascending.
    pub(super) fn candidates(&self, at: ServerNumber, roles: &[u32]) -> Vec<RuleNumber> {
        let mut found = Vec::new();
        select(self.by_server.get(&at.server).map(Vec::as_slice).unwrap_or_default(), roles, &mut found);
        select(
            self.by_namespace.get(&at.namespace).map(Vec::as_slice).unwrap_or_default(),
            roles,
            &mut found,
        );
        select(&self.elsewhere, roles, &mut found);
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// The rules of these roles, by going through the shorter of the two lists.
fn select(rules: &[RuleNumber], roles: &[u32], found: &mut Vec<RuleNumber>) {
    if rules.len() <= roles.len().saturating_mul(8) {
        found.extend(rules.iter().filter(|number| roles.binary_search(&number.role).is_ok()));
        return;
    }
    let mut rest = rules;
    for role in roles {
        let skipped = rest.partition_point(|number| number.role < *role);
        rest = rest.get(skipped..).unwrap_or_default();
        let count = rest.partition_point(|number| number.role == *role);
        let (own, after) = rest.split_at_checked(count).unwrap_or_default();
        found.extend(own);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{RuleNumber, select};

    proptest! {
        /// Both ways through the lists find the same: with few roles and with many.
        #[test]
        fn selecting_is_filtering(
            mut rules in proptest::collection::vec((0..20_u32, 0..6_u32), 0..120),
            mut roles in proptest::collection::vec(0..20_u32, 0..20),
        ) {
            rules.sort_unstable();
            rules.dedup();
            roles.sort_unstable();
            roles.dedup();
            let rules: Vec<RuleNumber> =
                rules.into_iter().map(|(role, rule)| RuleNumber { role, rule }).collect();
            let mut found = Vec::new();
            select(&rules, &roles, &mut found);
            let expected: Vec<RuleNumber> =
                rules.into_iter().filter(|number| roles.contains(&number.role)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
