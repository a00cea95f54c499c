//! The names that an expression may use, and what they stand for when it is evaluated. A name that is not here does not
//! compile, so that a slip of the pen is not left to the first request.

use cel::common::value::{CowVal, Val};

use super::kinds::Kind;

/// The names that an expression may use.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    /// Names with a closed list of fields, which are always there.
    pub(crate) records: &'static [Record],
    /// Names of maps whose members are not known before.
    pub(crate) maps: &'static [&'static str],
    /// Names that can't be used yet: which, why (after the name), and what to do.
    pub(crate) later: &'static [(&'static str, &'static str, &'static str)],
    /// What to do about an empty expression.
    pub(crate) if_empty: &'static str,
}

/// A name with a closed list of fields.
#[derive(Debug)]
pub(crate) struct Record {
    /// The name.
    pub(crate) name: &'static str,
    /// A field to name in a hint.
    pub(crate) example: &'static str,
    /// Its fields, and of which kind they are.
    pub(crate) fields: &'static [(&'static str, Kind)],
}

/// What the names of an expression stand for in one evaluation.
pub(crate) trait Names: Send + Sync {
    /// All that is below a name, if it is a tree of values: `args`, `object`. The cost is estimated from it.
    fn tree(&self, root: &str) -> Option<&dyn Val>;

    /// The value of a name or of a field of it: `args`, `principal.subject`.
    fn value(&self, name: &str) -> Option<CowVal<'_, '_>>;
}

pub(crate) const TEXT: Kind = Kind::Other("a text");
pub(crate) const LIST: Kind = Kind::Other("a list");

/// What the `when` of a rule may name.
pub(super) static WHEN: Vocabulary = Vocabulary {
    records: &[
        Record {
            name: "principal",
            example: "subject",
            fields: &[
                ("subject", TEXT),
                ("issuer", TEXT),
                ("provider", TEXT),
                ("groups", LIST),
                ("kind", TEXT),
                ("agent", TEXT),
            ],
        },
        Record {
            name: "request",
            example: "tool",
            fields: &[
                ("method", TEXT),
                ("namespace", TEXT),
                ("server", TEXT),
                ("tool", TEXT),
                ("resource", TEXT),
                ("prompt", TEXT),
                ("protocolVersion", TEXT),
                ("ip", TEXT),
                ("time", TEXT),
            ],
        },
    ],
    maps: &["args"],
    later: &[],
    if_empty: "remove `when` to let the rule always apply",
};

impl Vocabulary {
    /// The record of this name.
    pub(super) fn record(&self, name: &str) -> Option<&'static Record> {
        self.records.iter().find(|record| record.name == name)
    }

    /// All names, in the order that they are said in.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.records.iter().map(|record| record.name).chain(self.maps.iter().copied())
    }

    /// All names, for a sentence: `` `a`, `b` and `c` ``.
    pub(super) fn listed(&self) -> String {
        let names: Vec<String> = self.names().map(|name| format!("`{name}`")).collect();
        match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            Some((last, _)) => last.clone(),
            None => String::new(),
        }
    }
}
