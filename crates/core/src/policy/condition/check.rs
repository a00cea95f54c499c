//! What an expression may be: bounded, of names and functions that exist, and of a result that can be true or false.
//! A mistake that can be found here is not left to the first request.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use cel::{
    IdedExpr,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr},
    parser::PrattParser,
};

use super::{
    facts::MATCHER_PREFIX,
    kinds::{Kind, literal_kind, operator_kind},
    matching::Matcher,
    vocabulary::{Record, Vocabulary},
};
use crate::suggest::nearest;

/// Longest expression, in bytes.
pub(super) const MAX_SOURCE: usize = 4096;
/// Most nodes of an expression, its macros expanded.
const MAX_NODES: usize = 512;
/// Deepest nesting of an expression, its macros expanded. The interpreter recurses, with more than 30 KiB of stack for
/// each level in an unoptimised build; a thread has 2 MiB.
const MAX_DEPTH: usize = 24;
/// Deepest nesting that the parser is let into. Its default parser, made with ANTLR, needs more than 100 KiB of stack
/// for each level and can't be bounded; the other one needs less than 10.
const PARSER_DEPTH: u16 = 24;

/// Names of types, for `type(x) == string`.
const TYPES: &[&str] =
    &["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];
/// Functions called as `f(x)`.
const GLOBAL: &[&str] = &["size", "string", "int", "uint", "double", "bool", "bytes", "type", "dyn"];
/// Functions called as `x.f(..)`, with the number of their arguments.
const MEMBER: &[(&str, usize)] =
    &[("size", 0), ("contains", 1), ("startsWith", 1), ("endsWith", 1), ("matches", 1)];
/// Macros, for suggestions.
const MACROS: &[&str] = &["has", "all", "exists", "exists_one", "map", "filter"];

/// One thing that is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// What an expression depends on that may be unknown when listing or before a message is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mentions {
    pub(crate) args: bool,
    pub(crate) method: bool,
    /// `request.protocolVersion`.
    pub(crate) revision: bool,
    /// `request.tool`, `request.resource` or `request.prompt`.
    pub(crate) target: bool,
}

#[derive(Debug)]
pub(super) struct Checked {
    pub(super) expression: IdedExpr,
    pub(super) mentions: Mentions,
    pub(super) matchers: Vec<Matcher>,
}

/// Parses and checks an expression over these names.
pub(super) fn check(source: &Arc<str>, vocabulary: &'static Vocabulary) -> Result<Checked, Vec<Fault>> {
    let fault = |message: String, hint: &str| Fault { message, hint: Some(hint.to_owned()) };
    if source.trim().is_empty() {
        return Err(vec![fault("the expression is empty".to_owned(), vocabulary.if_empty)]);
    }
    if source.len() > MAX_SOURCE {
        return Err(vec![fault(
            format!("the expression is longer than {MAX_SOURCE} bytes"),
            "split it over several rules",
        )]);
    }
    let parser = PrattParser::new().max_recursion_depth(PARSER_DEPTH);
    // A panic of the library must not take a reload down with it.
    let mut expression = match catch_unwind(AssertUnwindSafe(|| parser.parse(source))) {
        Ok(Ok(expression)) => expression,
        Err(_) => {
            return Err(vec![fault("the expression can't be parsed".to_owned(), "write it differently")]);
        }
        Ok(Err(errors)) => {
            let faults = errors.errors.iter().map(|error| Fault {
                message: format!(
                    "not a CEL expression, at {}:{}: {}",
                    error.pos.0,
                    error.pos.1,
                    error.msg.lines().next().unwrap_or_default().trim_start_matches("Syntax error: ")
                ),
                hint: None,
            });
            return Err(faults.take(1).collect());
        }
    };
    let mut checker = Checker::new(vocabulary);
    let kind = checker.expression(&mut expression, 0);
    if checker.nodes > MAX_NODES {
        checker.fault(
            format!("the expression has more than {MAX_NODES} parts"),
            Some("split it over several rules".to_owned()),
        );
    }
    if checker.too_deep {
        checker.fault(format!("the expression is nested more than {MAX_DEPTH} deep"), None);
    }
    if let Kind::Other(kind) = kind {
        checker.fault(
            format!("the result is {kind}, not true or false"),
            Some("compare it with something, for example `… == …`".to_owned()),
        );
    }
    if checker.faults.is_empty() {
        Ok(Checked { expression, mentions: checker.mentions, matchers: checker.matchers })
    } else {
        Err(checker.faults)
    }
}

struct Checker {
    vocabulary: &'static Vocabulary,
    faults: Vec<Fault>,
    mentions: Mentions,
    matchers: Vec<Matcher>,
    nodes: usize,
    too_deep: bool,
    /// Variables of the macros around the current place, innermost last.
    variables: Vec<(String, Kind)>,
}

impl Checker {
    fn new(vocabulary: &'static Vocabulary) -> Self {
        Self {
            vocabulary,
            faults: Vec::new(),
            mentions: Mentions::default(),
            matchers: Vec::new(),
            nodes: 0,
            too_deep: false,
            variables: Vec::new(),
        }
    }

    fn fault(&mut self, message: String, hint: Option<String>) {
        let fault = Fault { message, hint };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    fn expression(&mut self, expression: &mut IdedExpr, depth: usize) -> Kind {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            self.too_deep |= depth > MAX_DEPTH;
            return Kind::Possible;
        }
        match &mut expression.expr {
            Expr::Literal(literal) => literal_kind(literal),
            Expr::Ident(name) => self.identifier(name),
            Expr::Select(select) => self.select(select, depth),
            Expr::Call(call) => self.call(call, depth),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, depth),
            Expr::List(list) => {
                for element in &mut list.elements {
                    self.expression(element, depth + 1);
                }
                Kind::Other("a list")
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    match &mut entry.expr {
                        EntryExpr::MapEntry(entry) => {
                            self.expression(&mut entry.key, depth + 1);
                            self.expression(&mut entry.value, depth + 1);
                        }
                        EntryExpr::StructField(_) => self.no_structs(),
                    }
                }
                Kind::Other("a map")
            }
            Expr::Struct(_) | Expr::Unspecified => {
                self.no_structs();
                Kind::Possible
            }
        }
    }

    fn no_structs(&mut self) {
        self.fault("messages can't be built in a condition".to_owned(), None);
    }

    fn identifier(&mut self, name: &str) -> Kind {
        if let Some((_, kind)) = self.variables.iter().rev().find(|(variable, _)| variable == name) {
            return *kind;
        }
        if self.vocabulary.maps.contains(&name) {
            self.mentions.args |= name == "args";
            return Kind::Other("a map");
        }
        if let Some(record) = self.vocabulary.record(name) {
            self.fault(
                format!("`{name}` can't be used as a whole"),
                Some(format!("name one of its fields, for example `{name}.{}`", record.example)),
            );
            return Kind::Possible;
        }
        if TYPES.contains(&name) {
            return Kind::Other("a type");
        }
        if let Some((_, reason, hint)) = self.vocabulary.later.iter().find(|(later, _, _)| *later == name) {
            self.fault(format!("`{name}`{reason}"), Some((*hint).to_owned()));
            return Kind::Possible;
        }
        // Names that start with `@` are the library's and ours: nobody can write them.
        let variables = self.variables.iter().map(|(variable, _)| variable.as_str());
        let own: Vec<&str> = self.vocabulary.names().collect();
        let known = own.into_iter().chain(variables.filter(|name| !name.starts_with('@')));
        let hint = nearest(name, known).map_or_else(
            || format!("there are {}", self.vocabulary.listed()),
            |near| format!("did you mean `{near}`?"),
        );
        self.fault(format!("there is no `{name}`"), Some(hint));
        Kind::Possible
    }

    fn select(&mut self, select: &mut SelectExpr, depth: usize) -> Kind {
        let is_variable = |name: &String| self.variables.iter().any(|(variable, _)| variable == name);
        let record = if let Expr::Ident(name) = &select.operand.expr
            && !is_variable(name)
        {
            self.vocabulary.record(name)
        } else {
            None
        };
        let Some(Record { name: root, fields, .. }) = record else {
            self.expression(&mut select.operand, depth + 1);
            return Kind::Possible;
        };
        let field = select.field.as_str();
        self.nodes += 1;
        let Some((_, kind)) = fields.iter().find(|(name, _)| *name == field) else {
            let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
            let hint = nearest(field, names.iter().copied()).map_or_else(
                || format!("there are {}", quoted(&names)),
                |near| format!("did you mean `{root}.{near}`?"),
            );
            self.fault(format!("`{root}` has no `{field}`"), Some(hint));
            return Kind::Possible;
        };
        if select.test {
            self.fault(
                format!("`{root}.{field}` is always there"),
                Some(format!("compare it with the empty text: `{root}.{field} != \"\"`")),
            );
            return Kind::Possible;
        }
        match (*root, field) {
            ("request", "method") => self.mentions.method = true,
            ("request", "protocolVersion") => self.mentions.revision = true,
            ("request", "tool" | "resource" | "prompt") => self.mentions.target = true,
            (_, _) => {}
        }
        *kind
    }

    fn call(&mut self, call: &mut CallExpr, depth: usize) -> Kind {
        if call.func_name == "matches" && call.target.is_some() {
            self.literal_pattern(call);
        }
        if let Some(target) = &mut call.target {
            self.expression(target, depth + 1);
        }
        let kinds: Vec<Kind> =
            call.args.iter_mut().map(|argument| self.expression(argument, depth + 1)).collect();
        if let Some(kind) = operator_kind(&call.func_name, &kinds) {
            return kind;
        }
        let known = match &call.target {
            None => GLOBAL.contains(&call.func_name.as_str()) && kinds.len() == 1,
            Some(_) => MEMBER.contains(&(call.func_name.as_str(), kinds.len())),
        };
        if !known {
            self.unknown_function(call);
            return Kind::Possible;
        }
        match call.func_name.as_str() {
            "size" | "int" | "uint" | "double" => Kind::Other("a number"),
            "string" => Kind::Other("a text"),
            "bytes" => Kind::Other("bytes"),
            "type" => Kind::Other("a type"),
            _ => Kind::Possible,
        }
    }

    fn unknown_function(&mut self, call: &CallExpr) {
        let name = call.func_name.as_str();
        let member: Vec<&str> = MEMBER.iter().map(|(name, _)| *name).collect();
        let hint = if member.contains(&name) && call.target.is_none() {
            format!("call it as `….{name}(…)`")
        } else if member.contains(&name) || GLOBAL.contains(&name) || MACROS.contains(&name) {
            "it takes other arguments".to_owned()
        } else {
            match nearest(name, member.iter().chain(GLOBAL).chain(MACROS).copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {} and {}", quoted(&member), quoted(MACROS)),
            }
        };
        self.fault(format!("there is no function `{name}` called in this way"), Some(hint));
    }

    /// Replaces the pattern of `matches` by its compiled form.
    fn literal_pattern(&mut self, call: &mut CallExpr) {
        let [argument] = call.args.as_mut_slice() else { return };
        let Expr::Literal(LiteralValue::String(pattern)) = &argument.expr else {
            self.fault(
                "the pattern of `matches` is not a literal".to_owned(),
                Some("write it as a text in quotes; a pattern from a request could cost anything".to_owned()),
            );
            return;
        };
        match Matcher::new(pattern.inner()) {
            Ok(matcher) => {
                let name = format!("{MATCHER_PREFIX}{}", self.matchers.len());
                self.matchers.push(matcher);
                self.variables.insert(0, (name.clone(), Kind::Possible));
                argument.expr = Expr::Ident(name);
            }
            Err(reason) => {
                self.fault(format!("`{}` is not a pattern: {reason}", pattern.inner()), None);
            }
        }
    }

    fn comprehension(&mut self, comprehension: &mut ComprehensionExpr, depth: usize) -> Kind {
        let depth = depth + 1;
        self.expression(&mut comprehension.iter_range, depth);
        let accumulated = self.expression(&mut comprehension.accu_init, depth);
        let variable = comprehension.iter_var.as_str();
        let taken = self.vocabulary.names().any(|name| name == variable);
        if taken || variable.starts_with('.') || comprehension.iter_var2.is_some() {
            self.fault(
                format!("`{variable}` can't be the variable of a macro"),
                Some(format!("choose another name than {}", self.vocabulary.listed())),
            );
        }
        let around = self.variables.len();
        self.variables.push((variable.to_owned(), Kind::Possible));
        self.variables.push((comprehension.accu_var.clone(), accumulated));
        self.expression(&mut comprehension.loop_cond, depth);
        self.expression(&mut comprehension.loop_step, depth);
        let kind = self.expression(&mut comprehension.result, depth);
        // Patterns were put in front, variables at the end.
        let patterns = self.variables.len().saturating_sub(around + 2);
        self.variables.truncate(around + patterns);
        kind
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// An operator as people write it.
pub(super) fn written(function: &str) -> &str {
    function.trim_matches(|c| c == '_' || c == '@')
}

/// Whether `name` is written in the expression as a field or a name, so that saying it tells nothing of a request.
pub(super) fn names(expression: &IdedExpr, name: &str) -> bool {
    match &expression.expr {
        Expr::Unspecified => false,
        Expr::Ident(ident) => ident == name,
        Expr::Literal(LiteralValue::String(text)) => text.inner() == name,
        Expr::Literal(_) => false,
        Expr::Select(select) => select.field == name || names(&select.operand, name),
        Expr::Call(call) => {
            call.func_name == name
                || call.target.as_deref().is_some_and(|target| names(target, name))
                || call.args.iter().any(|argument| names(argument, name))
        }
        Expr::List(list) => list.elements.iter().any(|element| names(element, name)),
        Expr::Map(map) => map.entries.iter().any(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => names(&entry.key, name) || names(&entry.value, name),
            EntryExpr::StructField(_) => false,
        }),
        Expr::Struct(_) => false,
        Expr::Comprehension(comprehension) => [
            &comprehension.iter_range,
            &comprehension.loop_cond,
            &comprehension.loop_step,
            &comprehension.result,
        ]
        .into_iter()
        .any(|part| names(part, name)),
    }
}
