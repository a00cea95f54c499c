//! The `when` of a rule, and the expressions of governance policies: CEL, checked when it is compiled and bounded when it
//! is evaluated. What an expression may name is its [`Vocabulary`]; what the names stand for, [`Names`].
//!
//! The interpreter of the `cel` crate has no cost limit, so the bounds are ours: source, nodes and nesting are limited
//! when compiling; before each evaluation the work is estimated from the expression and the sizes of its inputs, and
//! too much of it is an error. An error never counts for the request, and its text never holds a value of the
//! request. A panic inside the library is an error too.

mod arguments;
mod check;
mod cost;
mod facts;
mod kinds;
mod matching;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
};

use cel::{Env, ExecutionError, IdedExpr, Value, common::types::CelBool, common::value::CowVal};

pub(crate) use arguments::{ArgumentsError, read as read_map};
pub(crate) use check::{Fault, Mentions};
pub(crate) use facts::Facts;
pub(crate) use kinds::Kind;
use matching::Matcher;
pub(crate) use vocabulary::{Names, Record, Vocabulary};

/// The functions and operators that conditions have; built once.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut environment = Env::default().with_optional_support(false).with_stdlib();
    matching::declare(&mut environment);
    Arc::new(environment)
});

/// A compiled condition.
#[derive(Debug)]
pub(crate) struct Condition {
    source: Arc<str>,
    expression: IdedExpr,
    mentions: Mentions,
    /// The regular expressions of `matches`, which the expression refers to by number.
    matchers: Vec<Matcher>,
    /// Whether the work needs to be estimated: not so where it can't exceed the limit.
    estimate: cost::Estimate,
}

/// Why a condition has no value. The texts name types, fields and functions of the expression only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EvaluationError {
    /// `args` is mentioned but can't be used.
    #[error(transparent)]
    Arguments(#[from] ArgumentsError),
    /// The estimate is above the limit.
    #[error("it could take more than {limit} steps on a request of this size", limit = cost::MAX_STEPS)]
    TooExpensive,
    /// A member that is not there.
    #[error("there is no `{0}`")]
    Missing(String),
    /// A member that is not there, named by the request.
    #[error("there is no such member")]
    MissingMember,
    /// An operator or function on types that it is not for.
    #[error("{0}")]
    Types(String),
    /// Division by zero, overflow, an index outside of its list, a text that is not a number.
    #[error("{0}")]
    Arithmetic(&'static str),
    /// The result is neither true nor false.
    #[error("the result is neither true nor false")]
    NotBool,
    /// The library failed.
    #[error("the evaluation failed")]
    Internal,
}

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Truth {
    /// It holds.
    True,
    /// It doesn't.
    False,
    /// It depends on what is not known when listing.
    Open,
    /// It has no value.
    Failed(EvaluationError),
}

impl Condition {
    /// Compiles the `when` of a rule.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn compile(source: &Arc<str>) -> Result<Self, Vec<Fault>> {
        Self::compile_over(source, &vocabulary::WHEN)
    }

    /// Compiles an expression over these names.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn compile_over(
        source: &Arc<str>,
        vocabulary: &'static Vocabulary,
    ) -> Result<Self, Vec<Fault>> {
        let checked = check::check(source, vocabulary)?;
        Ok(Self {
            source: Arc::clone(source),
            estimate: cost::Estimate::of(&checked.expression),
            expression: checked.expression,
            mentions: checked.mentions,
            matchers: checked.matchers,
        })
    }

    /// The expression as written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Evaluates it. A part that mentions something unknown (see [`Facts`]) is open; CEL's `&&`, `||`, `all` and
    /// `exists` may still decide without it.
    pub(crate) fn evaluate(&self, facts: &Facts<'_>) -> Truth {
        let open = facts.leaves_open(self.mentions);
        if self.mentions.args
            && let Err(error) = facts.arguments()
        {
            return Truth::Failed(error.into());
        }
        if !self.estimate.is_within(cost::MAX_STEPS, &self.expression, facts) {
            return if open { Truth::Open } else { Truth::Failed(EvaluationError::TooExpensive) };
        }
        match self.value(facts) {
            Ok(true) => Truth::True,
            Ok(false) => Truth::False,
            Err(_) if open => Truth::Open,
            Err(error) => Truth::Failed(error),
        }
    }

    /// Evaluates it where all that it names is known, in at most so many steps of about a tenth of a microsecond.
    ///
    /// # Errors
    /// It has no value.
    pub(crate) fn holds(&self, names: &dyn Names, steps: u64) -> Result<bool, EvaluationError> {
        if self.estimate.is_within(steps, &self.expression, names) {
            self.value(names)
        } else {
            Err(EvaluationError::TooExpensive)
        }
    }

    fn value(&self, names: &dyn Names) -> Result<bool, EvaluationError> {
        let scope = facts::Scope { names, matchers: &self.matchers };
        // The library's panics are bugs of it; its values are dropped here and nothing of them is seen again.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut context = cel::Context::with_env(Arc::clone(&ENVIRONMENT));
            context.set_variable_resolver(&scope);
            let value: Result<CowVal<'_, '_>, _> = Value::resolve_val(&self.expression, &context);
            match value {
                Ok(value) => {
                    value.downcast_ref::<CelBool>().map(|b| *b.inner()).ok_or(EvaluationError::NotBool)
                }
                Err(error) => Err(self.in_our_words(&error)),
            }
        }));
        outcome.unwrap_or(Err(EvaluationError::Internal))
    }

    /// The library's errors hold values of the request; ours don't.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the enum is open, and what it gains is of no kind that we could word"
    )]
    fn in_our_words(&self, error: &ExecutionError) -> EvaluationError {
        match error {
            ExecutionError::NoSuchKey(key) | ExecutionError::UndeclaredReference(key)
                if check::names(&self.expression, key) =>
            {
                EvaluationError::Missing(key.as_str().to_owned())
            }
            ExecutionError::NoSuchKey(_) | ExecutionError::UndeclaredReference(_) => {
                EvaluationError::MissingMember
            }
            ExecutionError::NoSuchOverload(overload) => EvaluationError::Types(format!(
                "`{}` is not for {}",
                check::written(overload.function()),
                overload.argument_types().join(" and ")
            )),
            ExecutionError::UnsupportedBinaryOperator(operator, _, _) => {
                EvaluationError::Types(format!("`{operator}` is not for values of these types"))
            }
            ExecutionError::UnexpectedType { want, .. } => {
                EvaluationError::Types(format!("a value of another type than {want} was found"))
            }
            ExecutionError::ValuesNotComparable(_, _)
            | ExecutionError::UnsupportedIndex(_, _)
            | ExecutionError::UnsupportedKeyType(_)
            | ExecutionError::UnsupportedTargetType { .. }
            | ExecutionError::NotSupportedAsMethod { .. } => {
                EvaluationError::Types("values of these types don't go together".to_owned())
            }
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                EvaluationError::Arithmetic("division by zero")
            }
            ExecutionError::Overflow(_, _, _) => EvaluationError::Arithmetic("a number is too large"),
            ExecutionError::IndexOutOfBounds(_) => {
                EvaluationError::Arithmetic("an index is outside of its list")
            }
            ExecutionError::DuplicateKey(_) => EvaluationError::Arithmetic("a key is repeated"),
            ExecutionError::FunctionError { .. } => EvaluationError::Arithmetic("a value can't be converted"),
            _ => EvaluationError::Internal,
        }
    }
}
