//! Changing one member of an object, the rest kept as it is. Works on normalised text and gives normalised text.

use super::{
    text,
    value::{Kind, Members, Value},
};

/// The text of `object` with the member at `path` set to `new_raw`, or removed where that is `None`.
///
/// Afterwards the path leads to `new_raw` whatever was there before: a member that was absent is added at the
/// end, and what is missing on the way, or is not an object, becomes one. Removing what is absent changes
/// nothing. `new_raw` must be normalised JSON text: a [`Value::raw`], or made with [`text::write_string`]
/// or by printing a number.
#[must_use]
pub fn replace(object: Value<'_>, path: &[&str], new_raw: Option<&str>) -> String {
    let mut out = String::with_capacity(object.raw().len() + new_raw.map_or(0, str::len) + 32);
    write(&mut out, Some(object), path, new_raw);
    out
}

fn write(out: &mut String, object: Option<Value<'_>>, path: &[&str], new_raw: Option<&str>) {
    let Some((name, below)) = path.split_first() else {
        out.push_str(new_raw.unwrap_or("null"));
        return;
    };
    if let (Some(value), None) = (object, new_raw)
        && value.at(path).is_none()
    {
        out.push_str(value.raw());
        return;
    }
    let mut wanted = String::new();
    text::write_string(&mut wanted, name);
    let member = |out: &mut String, key: &str| {
        if !out.ends_with('{') {
            out.push(',');
        }
        out.push_str(key);
        out.push(':');
    };
    let mut found = false;
    out.push('{');
    for (key, value) in object.filter(|value| value.kind() == Kind::Object).into_iter().flat_map(Members::of)
    {
        if key.raw() != wanted {
            member(out, key.raw());
            out.push_str(value.raw());
            continue;
        }
        found = true;
        if !below.is_empty() || new_raw.is_some() {
            member(out, key.raw());
            write(out, Some(value), below, new_raw);
        }
    }
    if !found && new_raw.is_some() {
        member(out, &wanted);
        write(out, None, below, new_raw);
    }
    out.push('}');
}
