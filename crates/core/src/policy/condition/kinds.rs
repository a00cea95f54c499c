//! As much of CEL's types as is needed to know whether a result can be true or false.

use cel::common::ast::{LiteralValue, operators};

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// True or false, or what only a request can tell.
    Possible,
    /// Neither true nor false.
    Other(&'static str),
}

/// The result of an operator with the operands it is for; none if the name is not an operator's.
pub(super) fn operator_kind(name: &str, operands: &[Kind]) -> Option<Kind> {
    match (name, operands) {
        (operators::CONDITIONAL, [_, yes, no]) => Some(if yes == no { *yes } else { Kind::Possible }),
        (
            operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::EQUALS
            | operators::NOT_EQUALS
            | operators::LESS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::GREATER_EQUALS
            | operators::IN
            | operators::INDEX,
            [_, _],
        )
        | (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, [_]) => Some(Kind::Possible),
        (operators::NEGATE, [_]) => Some(Kind::Other("a number")),
        (operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO, [_, _]) => {
            Some(Kind::Other("a number"))
        }
        (operators::ADD, [_, _]) => Some(Kind::Other("a sum")),
        (_, _) => None,
    }
}

pub(super) fn literal_kind(literal: &LiteralValue) -> Kind {
    match literal {
        LiteralValue::Boolean(_) => Kind::Possible,
        LiteralValue::Bytes(_) => Kind::Other("bytes"),
        LiteralValue::Double(_) | LiteralValue::Int(_) | LiteralValue::UInt(_) => Kind::Other("a number"),
        LiteralValue::Null => Kind::Other("null"),
        LiteralValue::String(_) => Kind::Other("a text"),
    }
}
