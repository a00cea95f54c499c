//! The policies that are built in, as people could have written them. Names of policies and rules are what exemptions refer
//! to: they stay.

use std::sync::{Arc, LazyLock};

use super::judge::Compiled;
use crate::resource::{Documents, Object, SourceFile};

/// The policies that are built in, as YAML.
pub const PACK_YAML: &str = include_str!("pack.yaml");

static PACK: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
    let file = SourceFile { name: "pack.yaml".into(), text: PACK_YAML.to_owned() };
    let policy = |(object, _): (Object, Arc<str>)| match object {
        Object::Policy(policy) => Some(Compiled::new(policy)),
        Object::Namespace(_)
        | Object::Server(_)
        | Object::Role(_)
        | Object::Binding(_)
        | Object::Provider(_)
        | Object::Exemption(_) => None,
    };
    // Not `parse_files`: references are held against the pack, which is not there yet. That all of it can be read is
    // tested.
    Documents::read(&[file]).objects().into_iter().filter_map(policy).collect()
});

/// The policies that are built in, in the order of their names.
pub(super) fn pack() -> &'static [Compiled] {
    &PACK
}
