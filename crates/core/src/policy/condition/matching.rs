//! `matches` with a pattern that is compiled once. The library's own compiles it at each call and takes any text,
//! also one from the request; here the pattern is a literal of the condition, of bounded size.

use std::any::Any;

use cel::{
    Env, ExecutionError,
    common::{
        types::{CelBool, CelString, STRING_TYPE, Type},
        value::{CowVal, StaticVal, Val},
    },
};

/// Longest pattern, in bytes.
pub(super) const MAX_REGEX: usize = 256;

/// Largest compiled pattern, in bytes.
const MAX_COMPILED: usize = 128 * 1024;

static MATCHER_TYPE: Type = Type::new_unspecified_type("pattern");

/// A compiled pattern as a value of the interpreter. No expression can name one.
#[derive(Debug, Clone)]
pub(super) struct Matcher(regex::Regex);

impl Matcher {
    /// Compiles a pattern; the error is the reason, in a few words.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.len() > MAX_REGEX {
            return Err(format!("it is longer than {MAX_REGEX} bytes"));
        }
        regex::RegexBuilder::new(pattern)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_COMPILED)
            .nest_limit(32)
            .build()
            .map(Self)
            .map_err(|error| {
                if let regex::Error::CompiledTooBig(_) = error {
                    return "it is too large when compiled".to_owned();
                }
                // The library's text has several lines; the last says what is wrong.
                let text = error.to_string();
                let last = text.lines().last().unwrap_or("it is not a regular expression");
                last.trim_start_matches("error: ").to_owned()
            })
    }
}

impl Val for Matcher {
    fn get_type(&self) -> &Type {
        &MATCHER_TYPE
    }

    fn cel_type() -> &'static Type {
        &MATCHER_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Matcher {}

/// Declares `text.matches(matcher)`.
pub(super) fn declare(environment: &mut Env) {
    // Only a second declaration of the same name could fail, and a missing one makes each `matches` an error.
    let _ = environment.add_member_overload(
        "matches",
        "string_matches_compiled",
        STRING_TYPE,
        vec![MATCHER_TYPE.to_owned()],
        matches,
    );
}

fn matches<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [text, matcher] = arguments.as_slice() else {
        return Err(ExecutionError::invalid_argument_count(2, arguments.len()));
    };
    match (text.downcast_ref::<CelString<'_>>(), matcher.downcast_ref::<Matcher>()) {
        (Some(text), Some(matcher)) => Ok(CowVal::owned(CelBool::from(matcher.0.is_match(text.inner())))),
        (_, _) => Err(ExecutionError::missing_argument_or_target()),
    }
}
