//! How long a decision takes with 10,000 servers and 100,000 rules, for `bench/scale`. It prints nanoseconds for each, as
//! the least mean of several rounds.

#![expect(clippy::unwrap_used, reason = "a failure here is a failure of the measurement")]

use std::{hint::black_box, sync::Arc, time::Instant};

use narrows_core::{
    action::{Action, Arguments, RequestFacts},
    decision::{Mode, Verdict},
    ids::ServerId,
    policy::{Query, Snapshot},
    principal::{Principal, PrincipalKind},
    resource::{
        Binding, HttpServer, Namespace, ResourceSet, Role, Rule, RuleEffect, Server, Subject, Transport, Who,
    },
};

const SERVERS: usize = 10_000;
const NAMESPACES: usize = 100;
const RULES: usize = 100_000;

fn id(number: usize) -> ServerId {
    format!("ns{}/server{number}", number % NAMESPACES).parse().unwrap()
}

/// `roles` roles that share the rules evenly, ten rules to a server.
fn resources(roles: usize, when: Option<&str>) -> ResourceSet {
    let mut set = ResourceSet::default();
    for number in 0..NAMESPACES {
        set.namespaces.push(Namespace {
            name: format!("ns{number}").parse().unwrap(),
            labels: Default::default(),
            environment: None,
            mode: Mode::Enforce,
            observe_until: None,
        });
    }
    for number in 0..SERVERS {
        let url = "https://server.example/mcp".to_owned();
        set.servers.push(Server {
            id: id(number),
            labels: Default::default(),
            transport: Transport::Http(HttpServer { url }),
            replicas: 1,
        });
    }
    for role in 0..roles {
        let mut rules = Vec::new();
        for number in (role..RULES).step_by(roles) {
            let server = id(number / (RULES / SERVERS));
            rules.push(Rule {
                effect: RuleEffect::Allow,
                namespaces: vec![server.namespace.as_str().parse().unwrap()],
                servers: vec![server.name.as_str().parse().unwrap()],
                tools: vec![format!("tool{}_*", number % 10).parse().unwrap()],
                resources: Vec::new(),
                resource_templates: Vec::new(),
                prompts: Vec::new(),
                methods: Vec::new(),
                when: when.map(Arc::from),
            });
        }
        set.roles.push(Role {
            name: format!("role{role}").parse().unwrap(),
            labels: Default::default(),
            rules,
        });
        set.bindings.push(Binding {
            name: format!("binding{role}").parse().unwrap(),
            labels: Default::default(),
            role: format!("role{role}").parse().unwrap(),
            subjects: vec![Subject { who: Who::User("alice".into()), provider: None }],
        });
    }
    set
}

fn main() {
    let principal = Principal {
        kind: PrincipalKind::User,
        provider: "builtin".parse().unwrap(),
        issuer: "urn:narrows:bench".into(),
        subject: "alice".into(),
        agent: None,
        groups: Arc::new([]),
    };
    let condition = r#"args.path.startsWith("/srv/") && principal.kind == "user""#;
    for (roles, when) in [(1, None), (10, None), (100, None), (1_000, None), (10, Some(condition))] {
        let set = Arc::new(resources(roles, when));
        let started = Instant::now();
        let snapshot = Snapshot::compile(1, set).unwrap();
        let compiled = started.elapsed();
        let started = Instant::now();
        let grants = snapshot.grants(&principal);
        let resolved = started.elapsed();
        for (name, allowed) in [("tool7_read", true), ("other", false)] {
            let mut best = f64::INFINITY;
            for round in 0..5 {
                let count = 2_000;
                let started = Instant::now();
                for step in 0..count {
                    let server = id((round * 7_919 + step * 31) % SERVERS);
                    let arguments = Arguments::Known(r#"{"path":"/srv/docs/a.md","limit":10}"#);
                    let query = Query {
                        principal: &principal,
                        server: &server,
                        action: Action::CallTool { name, arguments },
                        request: RequestFacts {
                            method: "tools/call",
                            revision: "2025-11-25",
                            ip: "127.0.0.1",
                        },
                        now: jiff::Timestamp::UNIX_EPOCH,
                    };
                    let decision = black_box(snapshot.decide(&grants, black_box(&query)));
                    assert_eq!(matches!(decision.verdict, Verdict::Allow(_)), allowed);
                }
                best = best.min(started.elapsed().as_secs_f64() * 1e9 / count as f64);
            }
            println!(
                "{roles:>5} roles, {} condition, {}: {best:>7.0} ns (compile {compiled:?}, grants {resolved:?})",
                if when.is_some() { "with" } else { "no" },
                if allowed { "allowed" } else { "denied " },
            );
        }
    }
}
