//! Reading logs that a real writer wrote, while it writes and after.

mod checking;
mod finding;

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use narrows_core::{
    audit::checkpoint::VerifierKey,
    ports::{AuditLog, Pairing},
};
use serde_json::json;

use super::*;
use crate::{Log, LogOptions, key::SigningKey, log::tests::KEY};

const BEGIN: i64 = 1_795_339_800_000_000;

fn options() -> LogOptions {
    let micros = AtomicI64::new(BEGIN);
    let clock =
        Arc::new(move || jiff::Timestamp::from_microsecond(micros.fetch_add(1, Ordering::Relaxed)).unwrap());
    let mut options =
        LogOptions::new("local", "narrows.dev/test/local", SigningKey::from_pem(KEY).unwrap(), clock);
    options.checkpoint_interval = Duration::from_millis(20);
    options
}

fn verifier() -> VerifierKey {
    SigningKey::from_pem(KEY).unwrap().verifier("narrows.dev/test/local").unwrap()
}

const SUBJECTS: [&str; 3] = ["alice", "bob", "ci"];
const TOOLS: [&str; 5] = ["read_file", "write_file", "list", "search", "rare"];

/// Record `n` of a made-up traffic: some denials, some intents, whose outcomes come a little later.
async fn write_traffic(log: &Log, requests: u64) {
    let mut open = std::collections::VecDeque::new();
    for n in 0..requests {
        let second = jiff::Timestamp::from_microsecond(BEGIN + n.cast_signed() * 1_000_000).unwrap();
        let time = narrows_core::audit::record_time(second);
        let tool = if n % 997 == 5 { "rare" } else { TOOLS[(n % 4) as usize] };
        let mut record = json!({
            "id": format!("record-{n}"), "time": time, "actor": { "subject": SUBJECTS[(n / 7 % 3) as usize] },
            "object": { "kind": "McpServer", "namespace": "dev", "name": if n % 2 == 0 { "files" } else { "git" } },
            "request": { "id": format!("request-{n}"), "method": "tools/call", "tool": tool },
        });
        if n % 50 == 20 {
            record["actor"] = json!({ "subject": "agent", "onBehalfOf": "carol" });
        }
        if n % 11 == 3 {
            record["kind"] = "request.denied".into();
            record["decision"] = json!({ "effect": "deny" });
            log.append_later(Pairing::Event, record.to_string().into_bytes()).unwrap();
            continue;
        }
        record["kind"] = "request.admitted".into();
        record["decision"] = json!({ "effect": "allow" });
        let durable = log.append(Pairing::Intent, record.to_string().into_bytes());
        open.push_back((n, time, durable));
        if open.len() > 40 {
            let (n, time, durable) = open.pop_front().unwrap();
            let intent = durable.await.unwrap();
            let outcome = json!({
                "id": format!("outcome-{n}"), "time": time, "kind": "request.completed", "intent": intent,
                "request": { "id": format!("request-{n}"), "method": "tools/call" },
                "outcome": { "status": if n % 13 == 0 { "error" } else { "ok" } },
            });
            log.append_later(Pairing::Outcome(intent), outcome.to_string().into_bytes()).unwrap();
        }
    }
    for (_, _, durable) in open {
        durable.await.unwrap();
    }
}

async fn until_indexed(directory: &Path, records: u64) {
    let directory = directory.join("local");
    for _ in 0..1000 {
        let end = Index::open_to_read(&directory).and_then(|index| index.end().unwrap());
        if end.is_some_and(|(record, _)| record >= records) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not indexed in time");
}

fn all(directory: &Path) -> Vec<Entry> {
    Tail::open(directory, usize::MAX / 2).unwrap().poll().unwrap()
}
