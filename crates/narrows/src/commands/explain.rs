//! `narrows explain`: what the evaluator says of one action, and why. It asks the same function as the gateway, on
//! the same compiled state.

use std::{path::PathBuf, sync::Arc};

use narrows_core::{
    action::{Action, Arguments, RequestFacts},
    decision::{Decision, Denial, Effect, Mode, Verdict},
    policy::{Considered, Query, Said, Snapshot},
    ports::SavedRevision,
    principal::{BUILTIN_PROVIDER, Principal, PrincipalKind, SERVICE_ACCOUNT_PREFIX},
    resource::ResourceSet,
};
use narrows_store::state::{At, State};
use serde::Serialize;

use crate::{
    cli::ExplainArgs,
    commands::check,
    data_dir::DataDir,
    failure::Failure,
    output::{self, Table},
    times,
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    subject: String,
    groups: Vec<String>,
    server: String,
    action: String,
    /// What the roles say: `allow`, `deny` or `depends on the arguments`.
    verdict: &'static str,
    /// The rule that allows or denies, if it is a rule.
    rule: Option<String>,
    reason: String,
    /// The rules whose conditions need the arguments that were not given, where the verdict hangs on them.
    depends_on: Vec<Open>,
    /// The rule that would allow it, where none does.
    missing: Option<String>,
    /// `enforce` or `observe`.
    mode: Mode,
    /// What would happen: `forwarded`, `refused` or `depends on the arguments`.
    effect: &'static str,
    revision: String,
}

/// A rule whose condition needs the arguments.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Open {
    rule: String,
    /// `allow` or `deny`.
    effect: &'static str,
    when: String,
}

const DEPENDS: &str = "depends on the arguments";

/// Runs the command.
pub(crate) fn run(
    data_dir: impl FnOnce() -> Result<DataDir, Failure>,
    args: ExplainArgs,
) -> Result<(), Failure> {
    let now = jiff::Timestamp::now();
    let snapshot = if args.files.is_empty() {
        published(&data_dir()?, args.at.as_deref(), now)?
    } else {
        from_files(&args.files)?
    };
    let principal = principal(&args, snapshot.resources())?;
    let arguments = args.arguments.as_deref().map(known_arguments).transpose()?;
    let (action, said) = action(&args, arguments.as_deref());
    let query = Query {
        principal: &principal,
        server: &args.server,
        action,
        request: RequestFacts { method: method_of(&action), ..RequestFacts::default() },
        now,
    };
    let decision = snapshot.decide(&snapshot.grants(&principal), &query);
    let rules = snapshot.explain(&query).rules;
    let mut answer = Answer {
        subject: args.subject.clone(),
        groups: args.groups.clone(),
        server: args.server.to_string(),
        action: said,
        missing: missing(&decision, &args),
        ..describe(&decision)
    };
    answer.heed_conditions(&decision, &action, &rules);
    output::print(args.output, &answer, table)
}

fn from_files(files: &[PathBuf]) -> Result<Snapshot, Failure> {
    let compile = |set: ResourceSet| Snapshot::compile(1, Arc::new(set));
    check::load(files).and_then(compile).map_err(|problems| Failure::problems(problems, "not valid"))
}

fn published(data_dir: &DataDir, at: Option<&str>, now: jiff::Timestamp) -> Result<Snapshot, Failure> {
    let state = State::open_existing(&data_dir.database()).map_err(Failure::from_store)?;
    let saved = match at {
        None => state.latest_revision(),
        Some(text) => state.revision_at(match text.parse() {
            Ok(number) => At::Number(number),
            Err(_) => At::Time(times::moment(text, now).map_err(|failure| failure.in_usage("--at"))?),
        }),
    };
    match (saved.map_err(Failure::from_store)?, at) {
        (Some(saved), _) => restore(saved),
        (None, None) => Ok(Snapshot::empty()),
        (None, Some(at)) => Err(Failure::new(format!("nothing was published at `{at}`"))
            .hint("`narrows audit search --kind snapshot.published` lists what was")),
    }
}

fn restore(saved: SavedRevision) -> Result<Snapshot, Failure> {
    let set = ResourceSet::from_json(&saved.resources).map_err(|error| {
        Failure::from_error(&error).during(&format!("revision {} can't be read", saved.number))
    })?;
    Snapshot::compile(saved.number, Arc::new(set))
        .map_err(|problems| Failure::problems(problems, "not valid"))
}

fn principal(args: &ExplainArgs, resources: &ResourceSet) -> Result<Principal, Failure> {
    let name = args.provider.as_deref().unwrap_or(BUILTIN_PROVIDER);
    let issuer = match resources.providers.iter().find(|provider| provider.name.as_str() == name) {
        Some(provider) => provider.issuer.clone(),
        None if name == BUILTIN_PROVIDER => BUILTIN_PROVIDER.to_owned(),
        None => {
            return Err(Failure::new(format!("there is no IdentityProvider `{name}`"))
                .hint("leave `--provider` out for the built-in issuer"));
        }
    };
    let (kind, subject) = match args.subject.strip_prefix(SERVICE_ACCOUNT_PREFIX) {
        Some(account) if name == BUILTIN_PROVIDER => (PrincipalKind::ServiceAccount, account),
        _ => (PrincipalKind::User, args.subject.as_str()),
    };
    let mut groups: Vec<Arc<str>> = args.groups.iter().map(|group| group.as_str().into()).collect();
    groups.sort();
    groups.dedup();
    Ok(Principal {
        kind,
        provider: name.parse().map_err(|error| Failure::from_error(&error).in_usage("--provider"))?,
        issuer: issuer.into(),
        subject: subject.into(),
        agent: None,
        groups: groups.into(),
    })
}

/// The arguments as the gateway would see them: one JSON object, compact.
fn known_arguments(text: &str) -> Result<String, Failure> {
    let wrong = |reason: String| {
        Failure::usage(format!("`--args` is not a JSON object: {reason}"))
            .hint("write it like `--args '{\"path\": \"notes.txt\"}'`")
    };
    let document = narrows_mcp::json::Document::parse(text.as_bytes(), &narrows_mcp::json::Limits::default())
        .map_err(|error| wrong(error.to_string()))?;
    if document.root().kind() == narrows_mcp::json::Kind::Object {
        Ok(document.as_str().to_owned())
    } else {
        Err(wrong("it is something else".to_owned()))
    }
}

fn action<'a>(args: &'a ExplainArgs, arguments: Option<&'a str>) -> (Action<'a>, String) {
    let known = arguments.map_or(Arguments::Unknown, Arguments::Known);
    match (&args.tool, &args.resource, &args.prompt, &args.method) {
        (Some(name), ..) => (Action::CallTool { name, arguments: known }, format!("call the tool `{name}`")),
        (_, Some(uri), ..) => (Action::ReadResource { uri }, format!("read the resource `{uri}`")),
        (_, _, Some(name), _) => {
            (Action::GetPrompt { name, arguments: known }, format!("get the prompt `{name}`"))
        }
        (_, _, _, Some(name)) => (Action::Method { name }, format!("use the method `{name}`")),
        _ => (Action::UseServer, "use the server".to_owned()),
    }
}

fn method_of<'a>(action: &Action<'a>) -> &'a str {
    match action {
        Action::UseServer => "initialize",
        Action::CallTool { .. } => "tools/call",
        Action::ReadResource { .. } => "resources/read",
        Action::UseResourceTemplate { .. } => "resources/templates/list",
        Action::GetPrompt { .. } => "prompts/get",
        Action::Method { name } => name,
    }
}

fn describe(decision: &Decision) -> Answer {
    let (verdict, rule, reason) = match &decision.verdict {
        Verdict::Allow(rule) => ("allow", Some(rule), format!("the rule {rule} allows it")),
        Verdict::Deny(Denial::UnknownServer) => ("deny", None, "there is no such server".to_owned()),
        Verdict::Deny(Denial::NoGrant) => {
            ("deny", None, "no rule of any role of theirs allows it".to_owned())
        }
        Verdict::Deny(Denial::Rule(rule)) => ("deny", Some(rule), format!("the rule {rule} denies it")),
        Verdict::Deny(Denial::ConditionFailed { rule, error }) => (
            "deny",
            Some(rule),
            format!("the condition of {rule} can't be evaluated, which counts against the request: {error}"),
        ),
    };
    let effect = match decision.effect() {
        Effect::Proceed { .. } => "forwarded",
        Effect::Refuse(_) => "refused",
    };
    Answer {
        subject: String::new(),
        groups: Vec::new(),
        server: String::new(),
        action: String::new(),
        verdict,
        rule: rule.map(ToString::to_string),
        reason,
        depends_on: Vec::new(),
        missing: None,
        mode: decision.mode,
        effect,
        revision: decision.revision.to_string(),
    }
}

impl Answer {
    /// Adds what conditions have to do with it: that the answer hangs on arguments that were not given, or that a
    /// rule covers the action but for its condition.
    fn heed_conditions(&mut self, decision: &Decision, action: &Action<'_>, rules: &[Considered]) {
        match (&decision.verdict, action) {
            (
                Verdict::Allow(_),
                Action::CallTool { arguments: Arguments::Unknown, .. }
                | Action::GetPrompt { arguments: Arguments::Unknown, .. },
            ) => self.leave_open(decision.mode, rules),
            (Verdict::Deny(Denial::NoGrant), _) => {
                let failing: Vec<String> = rules
                    .iter()
                    .filter(|rule| rule.effect == "allow")
                    .filter_map(|rule| failing(rule, action))
                    .collect();
                if !failing.is_empty() {
                    self.reason = failing.join("; ");
                    self.missing = None;
                }
            }
            (Verdict::Allow(_) | Verdict::Deny(_), _) => {}
        }
    }

    /// A deny rule with an open condition may still deny; an allow rule with one counts where no other allows.
    fn leave_open(&mut self, mode: Mode, rules: &[Considered]) {
        let allowed = rules.iter().any(|rule| rule.effect == "allow" && rule.said == Said::Applies);
        self.depends_on = rules
            .iter()
            .filter(|rule| rule.said == Said::ConditionOpen && (rule.effect == "deny" || !allowed))
            .map(|rule| Open {
                rule: rule.rule.clone(),
                effect: rule.effect,
                when: rule.when.clone().unwrap_or_default(),
            })
            .collect();
        if !self.depends_on.is_empty() {
            self.verdict = DEPENDS;
            self.rule = None;
            self.reason = "conditions need the arguments: give `--args`".to_owned();
            match mode {
                Mode::Enforce => self.effect = DEPENDS,
                Mode::Observe => {}
            }
        }
    }
}

/// Why a rule that covers the action does not allow it.
fn failing(rule: &Considered, action: &Action<'_>) -> Option<String> {
    let what = match action {
        Action::CallTool { arguments: Arguments::Known(_), .. }
        | Action::GetPrompt { arguments: Arguments::Known(_), .. } => "these arguments",
        _ => "this request",
    };
    match rule.said {
        Said::ConditionFalse => Some(format!("the condition of {} is false for {what}", rule.rule)),
        Said::ConditionFailed => Some(format!("{}: {}", rule.rule, rule.words)),
        Said::OtherServer | Said::NotCovered | Said::ConditionOpen | Said::Applies => None,
    }
}

/// The narrowest rule that would allow the action, where nothing but the lack of one denies it.
fn missing(decision: &Decision, args: &ExplainArgs) -> Option<String> {
    let Verdict::Deny(Denial::NoGrant) = decision.verdict else { return None };
    let covers = [
        ("tools", &args.tool),
        ("resources", &args.resource),
        ("prompts", &args.prompt),
        ("methods", &args.method),
    ];
    let covered = covers
        .iter()
        .find_map(|(category, name)| Some(format!("{category}: [{:?}]", name.as_ref()?)))
        .unwrap_or_else(|| "tools: [\"…\"]".to_owned());
    let (namespace, server) = (&args.server.namespace, &args.server.name);
    Some(format!("{{ effect: allow, namespaces: [{namespace}], servers: [{server}], {covered} }}"))
}

fn table(answer: &Answer) -> String {
    let mut table = Table::new(&["", ""]);
    let mut line = |name: &str, value: &str| table.row(vec![name.to_owned(), value.to_owned()]);
    line("who", &[std::slice::from_ref(&answer.subject), &answer.groups].concat().join(", group "));
    line("server", &answer.server);
    line("action", &answer.action);
    line("verdict", answer.verdict);
    line("why", &answer.reason);
    for open in &answer.depends_on {
        line("", &format!("{} would {} when {}", open.rule, open.effect, open.when));
    }
    if let Some(missing) = &answer.missing {
        line("missing", missing);
    }
    line("effect", &format!("{} (mode {})", answer.effect, answer.mode.as_str()));
    line("revision", &answer.revision);
    table.render_rows()
}
