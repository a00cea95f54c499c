//! What the wire costs, in nanoseconds an operation: `cargo bench -p narrows-mcp [FILTER]`.
//! The best of several rounds, since what else runs on the machine only ever adds.

use std::{
    error::Error,
    hint::black_box,
    time::{Duration, Instant},
};

use narrows_mcp::{
    envelope::{self, Id, Message, Sender},
    handle::{HandleKeys, Purpose},
    headers,
    json::{Document, Limits},
    method::{self, ListKind},
    response::{Captures, Member, ResponseStream},
    sse::{EventParser, write_event},
};

const ROUND: Duration = Duration::from_millis(60);
const ROUNDS: usize = 5;

fn measure(name: &str, bytes: usize, mut operation: impl FnMut()) {
    if let Some(filter) = std::env::args().skip(1).find(|argument| !argument.starts_with("--"))
        && !name.contains(&filter)
    {
        return;
    }
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut count = 0_u32;
        while start.elapsed() < ROUND {
            for _ in 0..16 {
                operation();
            }
            count += 16;
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(count));
    }
    println!("{name:<40} {best:>12.0} ns  {:>8.2} GB/s", bytes as f64 / best);
}

fn main() -> Result<(), Box<dyn Error>> {
    let call = br#"{"jsonrpc":"2.0","id":42,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/srv/docs/reports/2026/quarter-3/summary.md","head":100,"encoding":"utf-8"},"_meta":{"progressToken":"7f3c9a52","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}}"#;
    let modern = br#"{"jsonrpc":"2.0","id":42,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/srv/docs/summary.md"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let text = "The quick brown fox jumps over the lazy dog, again and again. ".repeat(1700);
    let big_text =
        format!(r#"{{"result":{{"content":[{{"type":"text","text":"{text}"}}]}},"jsonrpc":"2.0","id":7}}"#);
    let lines = "line of a file\\n".repeat(6700);
    let big_lines =
        format!(r#"{{"result":{{"content":[{{"type":"text","text":"{lines}"}}]}},"jsonrpc":"2.0","id":7}}"#);
    let rows = r#"{"id":1234,"name":"row","tags":["a","b"],"ok":true,"ratio":0.25},"#.repeat(1600);
    let big_rows =
        format!(r#"{{"result":{{"structuredContent":{{"rows":[{rows}null]}}}},"jsonrpc":"2.0","id":7}}"#);
    let tools: Vec<String> = (0..50)
        .map(|n| format!(r#"{{"name":"tool_{n}","description":"Does the thing of number {n}.","inputSchema":{{"type":"object","properties":{{"path":{{"type":"string"}}}}}}}}"#))
        .collect();
    let list = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{}]}}}}"#, tools.join(","));

    measure("scan: call of 286 bytes", call.len(), || {
        black_box(Document::parse(black_box(call), &Limits::CLIENT).is_ok());
    });
    let document = Document::parse(call, &Limits::CLIENT)?;
    measure("envelope and subject", call.len(), || {
        if let Ok(Message::Request(request)) = envelope::parse(black_box(document.root()), Sender::Client) {
            black_box(method::subject(&request).is_ok());
        }
    });
    measure("scan: list of 50 tools", list.len(), || {
        black_box(Document::parse(black_box(list.as_bytes()), &Limits::SERVER).is_ok());
    });
    let listed = Document::parse(list.as_bytes(), &Limits::SERVER)?;
    measure("filter: list of 50 tools", list.len(), || {
        if let Some(result) = listed.root().get("result") {
            let filtered = method::filter_list(ListKind::Tools, result, |_, name| name.len() == 7, true);
            black_box(filtered.is_ok());
        }
    });
    let keys: Vec<String> = (0..4000).map(|n| format!(r#""key{n}":{n}"#)).collect();
    let wide = format!("{{{}}}", keys.join(","));
    measure("scan: object of 4,000 members", wide.len(), || {
        black_box(Document::parse(black_box(wide.as_bytes()), &Limits::SERVER).is_ok());
    });

    let modern = Document::parse(modern, &Limits::CLIENT)?;
    if let Ok(Message::Request(request)) = envelope::parse(modern.root(), Sender::Client) {
        let received: [(&str, &[u8]); 4] = [
            ("mcp-protocol-version", b"2026-07-28"),
            ("mcp-method", b"tools/call"),
            ("mcp-name", b"read_file"),
            ("mcp-param-path", b"/srv/docs/summary.md"),
        ];
        measure("headers: agree", 0, || {
            black_box(headers::agree(black_box(received).into_iter(), &request).is_ok());
        });
    }

    for (name, body) in [("text", &big_text), ("lines", &big_lines), ("rows", &big_rows)] {
        let mut out = Vec::with_capacity(body.len() + 64);
        measure(&format!("copy: 100 KB of {name}"), body.len(), || {
            out.clear();
            out.extend_from_slice(black_box(body.as_bytes()));
        });
        measure(&format!("scan: 100 KB of {name}"), body.len(), || {
            black_box(Document::parse(black_box(body.as_bytes()), &Limits::SERVER).is_ok());
        });
        measure(&format!("response: 100 KB of {name}"), body.len(), || {
            out.clear();
            let captures = Captures::of(&[Member::RequestState, Member::InputRequests]);
            let mut response = ResponseStream::new(Id::number(7), Id::number(42), captures);
            for piece in body.as_bytes().chunks(16 * 1024) {
                black_box(response.feed(piece, &mut out, &mut |_, raw| Ok(raw.to_owned())).is_ok());
            }
            black_box(response.finish().is_ok());
        });
    }
    let small = br#"{"result":{"content":[{"type":"text","text":"hello"}]},"jsonrpc":"2.0","id":7}"#;
    let mut out = Vec::with_capacity(256);
    measure("response: 80 bytes", small.len(), || {
        out.clear();
        let mut response = ResponseStream::new(Id::number(7), Id::number(42), Captures::NONE);
        black_box(response.feed(small, &mut out, &mut |_, raw| Ok(raw.to_owned())).is_ok());
        black_box(response.finish().is_ok());
    });

    let mut event = Vec::new();
    write_event(&mut event, Some("17"), None, &big_text)?;
    measure("sse: event of 100 KB", event.len(), || {
        let mut parser = EventParser::new(1 << 20);
        let mut events = Vec::new();
        for piece in event.chunks(16 * 1024) {
            black_box(parser.push(piece, &mut events).is_ok());
        }
        black_box(events);
    });

    let keys = HandleKeys::new([7; 32], &[])?;
    let bound: [&[u8]; 2] = [b"dev/files", &[9; 16]];
    let handle = keys.seal(Purpose::Session, &bound, &[3; 54]);
    measure("handle: seal", 54, || {
        black_box(keys.seal(Purpose::Session, &bound, black_box(&[3; 54])));
    });
    measure("handle: open", 54, || {
        black_box(keys.open(Purpose::Session, &bound, black_box(&handle)).is_ok());
    });
    let id = Id::number(42);
    measure("handle: request number", 0, || {
        black_box(keys.request_number(&bound, black_box(&id)));
    });
    Ok(())
}
