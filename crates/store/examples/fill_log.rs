//! Fills the log of an installation that is stopped with calls, as `narrows up` would have recorded them: for
//! `bench/scale`, which measures what a long history costs. The records go the way of all records.
//!
//! `fill_log LOG ORIGIN KEY RECORDS`: the directory `log` of a data directory, the name of its log, the file of its
//! key, and how many records it is to have.

#![expect(clippy::unwrap_used, reason = "a tool for measurements, which may stop anywhere")]

use std::{path::Path, process::ExitCode, sync::Arc, time::Instant};

use jiff::Timestamp;
use narrows_core::{
    audit::{record_id, record_time},
    ports::{AuditLog as _, Pairing},
};
use narrows_store::{Log, LogOptions, key::SigningKey};

/// Intents that wait for the disk together.
const BATCH: u64 = 2000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, origin, key, records] = arguments.as_slice() else {
        eprintln!("usage: fill_log LOG ORIGIN KEY RECORDS");
        return ExitCode::from(2);
    };
    let records: u64 = records.parse().unwrap();
    let key = SigningKey::from_pem(&std::fs::read_to_string(key).unwrap()).unwrap();
    let options = LogOptions::new("local", origin, key, Arc::new(Timestamp::now));
    let (log, _) = Log::open(Path::new(directory), options).unwrap();
    let began = Instant::now();
    let mut number = 0;
    while log.status().records < records {
        let batch: Vec<_> = (0..BATCH)
            .map(|_| {
                number += 1;
                let now = Timestamp::now();
                (number, now, log.append(Pairing::Intent, intent(number, now)))
            })
            .collect();
        for (number, begun, durable) in batch {
            let index = durable.await.unwrap();
            log.append_later(Pairing::Outcome(index), outcome(number, begun, index.0)).unwrap();
        }
    }
    log.close().await.unwrap();
    let records = log.status().records;
    println!("{records} records in {:.1} s", began.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}

/// The request's id, which is also its intent's: different for each number.
fn id(number: u64, now: Timestamp) -> String {
    let mut bits = [0; 10];
    for (place, byte) in bits.iter_mut().zip(number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()) {
        *place = byte;
    }
    record_id(now, bits)
}

/// Fifty people, twelve tools.
fn intent(number: u64, now: Timestamp) -> Vec<u8> {
    let (id, time, subject, tool) = (id(number, now), record_time(now), number / 1000 % 50, number % 12);
    format!(
        r#"{{"id":"{id}","time":"{time}","kind":"request.admitted","actor":{{"kind":"user","issuer":"https://login.example.com","subject":"user-{subject}@example.com","groups":["dev"]}},"source":{{"ip":"127.0.0.1","userAgent":"agent/1.0"}},"object":{{"kind":"McpServer","namespace":"dev","name":"files"}},"request":{{"id":"{id}","method":"tools/call","tool":"tool-{tool}","revision":"2026-07-28","argsDigest":"hmac-sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}},"decision":{{"effect":"allow","rule":"file-reader/rules[0]","snapshotRevision":"3-9f86d081884c7d65","mode":"enforce"}}}}"#
    )
    .into_bytes()
}

fn outcome(number: u64, begun: Timestamp, intent: u64) -> Vec<u8> {
    let now = Timestamp::now();
    format!(
        r#"{{"id":"{}","time":"{}","kind":"request.completed","intent":{intent},"object":{{"kind":"McpServer","namespace":"dev","name":"files"}},"request":{{"id":"{}","method":"tools/call"}},"outcome":{{"status":"ok","durationMs":1.523,"bytes":321}}}}"#,
        id(number + (1 << 48), now),
        record_time(now),
        id(number, begun),
    )
    .into_bytes()
}
