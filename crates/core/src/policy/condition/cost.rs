//! How much work an evaluation could be. The estimate walks the expression with upper bounds of the sizes of its
//! values, taken from the real inputs; it is never below the work that the interpreter does, in steps of about a
//! tenth of a microsecond.

use cel::{
    IdedExpr,
    common::{
        ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators},
        types::{CelList, CelMap, CelString},
        value::{CowVal, Val},
    },
};

use super::{Names, matching::MAX_REGEX};

/// Most steps of one evaluation: about ten milliseconds.
pub(super) const MAX_STEPS: u64 = 100_000;

/// Bytes that are read, copied or compared in one step.
const BYTES_A_STEP: u64 = 64;

/// Upper bounds of a value's size.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    /// Steps to read or copy all of it.
    weight: u64,
    /// Elements of the longest list or map in it.
    longest: u64,
}

impl Size {
    const SCALAR: Self = Self { weight: 1, longest: 0 };

    fn text(bytes: usize) -> Self {
        Self { weight: 1 + u64::try_from(bytes).unwrap_or(u64::MAX) / BYTES_A_STEP, longest: 0 }
    }

    fn max(self, other: Self) -> Self {
        Self { weight: self.weight.max(other.weight), longest: self.longest.max(other.longest) }
    }

    fn sum(self, other: Self) -> Self {
        Self {
            weight: self.weight.saturating_add(other.weight),
            longest: self.longest.saturating_add(other.longest),
        }
    }
}

/// Whether an expression needs an estimate at each evaluation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Estimate {
    /// Only equality with, and prefixes and suffixes of, short literals: cheap on any request.
    Never,
    /// Anything else.
    Always,
}

impl Estimate {
    pub(super) fn of(expression: &IdedExpr) -> Self {
        if is_cheap(expression) { Self::Never } else { Self::Always }
    }

    /// Whether the evaluation takes at most `limit` steps.
    pub(super) fn is_within(self, limit: u64, expression: &IdedExpr, names: &dyn Names) -> bool {
        match self {
            Self::Never => true,
            Self::Always => {
                let mut walk = Walk { names, steps: 0, times: 1, variables: Vec::new() };
                walk.expression(expression);
                walk.steps <= limit
            }
        }
    }
}

/// Names, fields, literals, comparisons and logic: each node reads at most as much as a literal is long.
fn is_cheap(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Literal(_) | Expr::Ident(_) => true,
        Expr::Select(select) => is_cheap(&select.operand),
        Expr::Call(call) => match call.func_name.as_str() {
            operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT => {
                call.args.iter().all(is_cheap)
            }
            operators::EQUALS | operators::NOT_EQUALS => {
                call.args.iter().any(|side| matches!(side.expr, Expr::Literal(_)))
                    && call.args.iter().all(is_cheap)
            }
            "startsWith" | "endsWith" => {
                call.target.as_deref().is_some_and(is_cheap)
                    && call.args.iter().all(|argument| matches!(argument.expr, Expr::Literal(_)))
            }
            _ => false,
        },
        Expr::Unspecified | Expr::Comprehension(_) | Expr::List(_) | Expr::Map(_) | Expr::Struct(_) => false,
    }
}

struct Walk<'a> {
    names: &'a dyn Names,
    steps: u64,
    /// How often the current place is evaluated.
    times: u64,
    variables: Vec<(&'a str, Size)>,
}

impl<'a> Walk<'a> {
    fn pay(&mut self, steps: u64) {
        self.steps = self.steps.saturating_add(steps.saturating_mul(self.times));
    }

    fn expression(&mut self, expression: &'a IdedExpr) -> Size {
        self.pay(1);
        if let Some(size) = self.input(expression) {
            return size;
        }
        match &expression.expr {
            Expr::Literal(LiteralValue::String(text)) => Size::text(text.inner().len()),
            Expr::Literal(LiteralValue::Bytes(bytes)) => Size::text(bytes.inner().len()),
            Expr::Literal(_) | Expr::Unspecified | Expr::Struct(_) => Size::SCALAR,
            Expr::Ident(name) => {
                let variable = self.variables.iter().rev().find(|(variable, _)| variable == name);
                variable.map_or(Size::SCALAR, |(_, size)| *size)
            }
            Expr::Select(select) => self.expression(&select.operand),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let elements = list.elements.iter().map(|element| self.expression(element));
                let size = elements.fold(Size::SCALAR, |all, element| Size {
                    weight: all.weight.saturating_add(element.weight),
                    longest: all.longest.max(element.longest),
                });
                self.pay(size.weight);
                let own = u64::try_from(list.elements.len()).unwrap_or(u64::MAX);
                size.max(Size { weight: 0, longest: own })
            }
            Expr::Map(map) => {
                let own = u64::try_from(map.entries.len()).unwrap_or(u64::MAX);
                let mut size = Size { weight: 1, longest: own };
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        let (key, value) = (self.expression(&entry.key), self.expression(&entry.value));
                        size.weight = size.weight.saturating_add(key.weight).saturating_add(value.weight);
                        size.longest = size.longest.max(value.longest);
                    }
                }
                self.pay(size.weight);
                size
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    /// The size of a part of the request that is named in full: `args.path`, `principal.groups`.
    fn input(&mut self, expression: &'a IdedExpr) -> Option<Size> {
        let (root, fields) = path(expression)?;
        if self.variables.iter().any(|(variable, _)| *variable == root) {
            return None;
        }
        self.pay(u64::try_from(fields.len()).unwrap_or(u64::MAX));
        match self.names.tree(root) {
            Some(mut at) => {
                for field in fields {
                    let map = at.downcast_ref::<CelMap<'_>>()?;
                    let member = map.inner().iter().find(|(key, _)| is_key(key.inner(), field));
                    match member {
                        Some((_, member)) => at = member.as_ref(),
                        None => return Some(Size::SCALAR),
                    }
                }
                Some(measure(at))
            }
            None => {
                let name = format!("{root}.{}", fields.first()?);
                let value: CowVal<'_, '_> = self.names.value(&name)?;
                Some(measure(value.as_ref()))
            }
        }
    }

    fn call(&mut self, call: &'a CallExpr) -> Size {
        let target = call.target.as_deref().map(|target| self.expression(target)).unwrap_or_default();
        let arguments: Vec<Size> = call.args.iter().map(|argument| self.expression(argument)).collect();
        let first = arguments.first().copied().unwrap_or_default();
        let second = arguments.get(1).copied().unwrap_or_default();
        match call.func_name.as_str() {
            operators::CONDITIONAL => arguments.get(2).map_or(second, |third| second.max(*third)),
            operators::IN => {
                let each = first.weight.saturating_mul(second.longest.max(1));
                self.pay(each.saturating_add(second.weight));
                Size::SCALAR
            }
            operators::ADD => {
                let size = first.sum(second);
                self.pay(size.weight);
                size
            }
            operators::INDEX => {
                self.pay(first.weight);
                first
            }
            "string" | "bytes" | "dyn" => {
                self.pay(first.weight);
                first.sum(Size::SCALAR)
            }
            "startsWith" | "endsWith" => {
                self.pay(first.weight);
                Size::SCALAR
            }
            "matches" => {
                self.pay(target.weight.saturating_mul(u64::try_from(MAX_REGEX / 16).unwrap_or(u64::MAX)));
                Size::SCALAR
            }
            // `contains`, `size`, arithmetic, logic: each reads its operands once. So do comparisons: those of values
            // that don't go together copy both into the error.
            _ => {
                self.pay(target.sum(first).sum(second).weight);
                Size::SCALAR
            }
        }
    }

    fn comprehension(&mut self, comprehension: &'a ComprehensionExpr) -> Size {
        let range = self.expression(&comprehension.iter_range);
        let initial = self.expression(&comprehension.accu_init);
        let rounds = range.longest;
        if rounds == 0 {
            return initial;
        }
        // What is linear in an element is linear in the whole range, so elements count with their mean weight.
        let element = Size { weight: range.weight / rounds + 1, longest: range.longest };
        let (around, times) = (self.variables.len(), self.times);
        self.variables.push((&comprehension.iter_var, element));
        self.variables.push((&comprehension.accu_var, Size::SCALAR));
        self.times = times.saturating_mul(rounds);
        self.pay(2 + element.weight);
        self.expression(&comprehension.loop_cond);
        let step = self.expression(&comprehension.loop_step);
        self.times = times;
        self.variables.truncate(around);
        let result = Size { weight: step.weight.saturating_mul(rounds), longest: rounds.max(step.longest) };
        self.pay(result.weight);
        result.max(initial)
    }
}

/// The names of `a.b.c`, if the expression is nothing else.
fn path(expression: &IdedExpr) -> Option<(&str, Vec<&str>)> {
    if let Expr::Ident(name) = &expression.expr {
        return Some((name, Vec::new()));
    }
    if let Expr::Select(select) = &expression.expr
        && !select.test
    {
        let (root, mut fields) = path(&select.operand)?;
        fields.push(&select.field);
        return Some((root, fields));
    }
    None
}

fn is_key(key: &dyn Val, field: &str) -> bool {
    key.downcast_ref::<CelString<'_>>().is_some_and(|key| key.inner() == field)
}

fn measure(value: &dyn Val) -> Size {
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return Size::text(text.inner().len());
    }
    let nested = |size: Size, member: Size| Size {
        weight: size.weight.saturating_add(member.weight),
        longest: size.longest.max(member.longest),
    };
    if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        let own = u64::try_from(list.inner().len()).unwrap_or(u64::MAX);
        let start = Size { weight: 1, longest: own };
        return list.inner().iter().fold(start, |size, element| nested(size, measure(element.as_ref())));
    }
    if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        let own = u64::try_from(map.inner().len()).unwrap_or(u64::MAX);
        let start = Size { weight: 1, longest: own };
        return map.inner().iter().fold(start, |size, (key, member)| {
            nested(nested(size, measure(key.inner())), measure(member.as_ref()))
        });
    }
    Size::SCALAR
}
