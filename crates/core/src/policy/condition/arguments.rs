//! A call's arguments as values of the interpreter. The text was scanned by the wire's parser; it is still read here
//! as if it had not been: repeated keys and the private keys of `serde_json` are refused, so that what is judged can't
//! differ from what is sent.

use std::{collections::HashMap, fmt};

use cel::common::{
    types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt},
    value::Val,
};
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

/// Largest arguments that a condition may look at, in bytes of JSON.
pub(crate) const MAX_ARGUMENTS: usize = 1024 * 1024;

/// `serde_json` gives keys with this prefix a meaning when features are on that any crate in a build can switch on.
const PRIVATE_PREFIX: &str = "$serde_json::private::";

/// Why arguments can't be used in conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentsError {
    /// Larger than [`MAX_ARGUMENTS`].
    #[error("the arguments are larger than the {MAX_ARGUMENTS} bytes that a condition may look at")]
    TooLarge,
    /// Not an object, repeated keys, numbers out of range, nested too deeply.
    #[error("the arguments are not an object that a condition can look at")]
    Unreadable,
}

/// Reads one object: the arguments of a call, a resource in its written form.
pub(crate) fn read(text: &str) -> Result<CelMap<'static>, ArgumentsError> {
    if text.len() > MAX_ARGUMENTS {
        return Err(ArgumentsError::TooLarge);
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let map = de::Deserializer::deserialize_map(&mut reader, ObjectVisitor)
        .map_err(|_| ArgumentsError::Unreadable)?;
    reader.end().map_err(|_| ArgumentsError::Unreadable)?;
    Ok(map)
}

type Boxed = Box<dyn Val>;

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = CelMap<'static>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members: HashMap<CelMapKey<'static>, Boxed> = HashMap::new();
        while let Some(key) = access.next_key::<String>()? {
            if key.starts_with(PRIVATE_PREFIX) {
                return Err(de::Error::custom("private key"));
            }
            let value = access.next_value_seed(AnyValue)?;
            if members.insert(CelMapKey::from(key), value).is_some() {
                return Err(de::Error::custom("repeated key"));
            }
        }
        Ok(CelMap::from(members))
    }
}

struct AnyValue;

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Boxed;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Boxed, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Boxed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Boxed, E> {
        Ok(Box::new(CelNull))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Boxed, E> {
        Ok(Box::new(CelBool::from(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Boxed, E> {
        Ok(Box::new(CelInt::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Boxed, E> {
        Ok(match i64::try_from(value) {
            Ok(value) => Box::new(CelInt::from(value)),
            Err(_) => Box::new(CelUInt::from(value)),
        })
    }

    fn visit_f64<E>(self, value: f64) -> Result<Boxed, E> {
        Ok(Box::new(CelDouble::from(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Boxed, E> {
        Ok(Box::new(CelString::from(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Boxed, E> {
        Ok(Box::new(CelString::from(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Boxed, A::Error> {
        let mut elements: Vec<Boxed> = Vec::new();
        while let Some(element) = access.next_element_seed(AnyValue)? {
            elements.push(element);
        }
        Ok(Box::new(CelList::from(elements)))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Boxed, A::Error> {
        Ok(Box::new(ObjectVisitor.visit_map(access)?))
    }
}
