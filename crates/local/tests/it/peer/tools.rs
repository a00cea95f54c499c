//! What the test server can be told to do.

use std::{
    fs,
    process::{self, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::server::{SUBSCRIPTION, Server, locked, raw, send};

/// One call.
pub(crate) struct Call<'a> {
    pub(crate) server: &'a Server,
    pub(crate) id: &'a Value,
    pub(crate) params: &'a Value,
    pub(crate) arguments: &'a Value,
}

/// What is answered.
pub(crate) enum Outcome {
    Text(String),
    Error(i64, String),
    Nothing,
}

impl Call<'_> {
    fn text(&self, name: &str) -> &str {
        self.arguments.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        self.arguments.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    pub(crate) fn run(&self, name: &str) -> Outcome {
        let done = |text: &str| Outcome::Text(text.to_owned());
        match name {
            "echo" | "annotated" => done(self.text("text")),
            "pid" => Outcome::Text(process::id().to_string()),
            "slow" => {
                thread::sleep(Duration::from_millis(self.number("ms")));
                done("slept")
            }
            "never" => Outcome::Nothing,
            "error" => {
                let code = self.arguments.get("code").and_then(Value::as_i64).unwrap_or_default();
                Outcome::Error(code, "as you wish".to_owned())
            }
            "ask" => Outcome::Text(self.server.ask(self.text("method"), &json!({"question": 1})).to_string()),
            "progress" => {
                let token = self.params.pointer("/_meta/progressToken").cloned().unwrap_or_default();
                for step in 1..=self.number("steps") {
                    let params = json!({"progressToken": token, "progress": step});
                    send(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}));
                }
                thread::sleep(Duration::from_millis(self.number("ms")));
                done("progressed")
            }
            "notify" => {
                let params = self.arguments.get("params").cloned().unwrap_or(json!({}));
                send(&json!({"jsonrpc": "2.0", "method": self.text("method"), "params": params}));
                done("notified")
            }
            "published" => {
                for id in locked(&self.server.listening).iter() {
                    send(&json!({
                        "jsonrpc": "2.0", "method": "notifications/tools/list_changed",
                        "params": {"_meta": {SUBSCRIPTION: id}},
                    }));
                }
                done("published")
            }
            "unlisten" => {
                for id in locked(&self.server.listening).drain(..) {
                    let meta = json!({SUBSCRIPTION: id});
                    let result = json!({"resultType": "complete", "_meta": meta});
                    send(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
                }
                done("ended")
            }
            "raw" => {
                let lines =
                    self.arguments.get("lines").and_then(Value::as_array).cloned().unwrap_or_default();
                // In one write, so that they are read together.
                let lines: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
                raw(&lines.join("\n").replace("$ID", &self.id.to_string()));
                if self.arguments.get("quiet").is_some() { Outcome::Nothing } else { done("written") }
            }
            "huge" => {
                let size = usize::try_from(self.number("bytes")).unwrap_or_default();
                Outcome::Text("x".repeat(size))
            }
            "seen" => {
                let wanted = self.text("method");
                let is_it = |message: &&Value| message.get("method").and_then(Value::as_str) == Some(wanted);
                let seen: Vec<Value> = locked(&self.server.seen).iter().filter(is_it).cloned().collect();
                Outcome::Text(Value::Array(seen).to_string())
            }
            #[expect(clippy::disallowed_methods, reason = "ending at once is what this tool is for")]
            "exit" => process::exit(i32::try_from(self.number("code")).unwrap_or(1)),
            "abort" => process::abort(),
            "stderr" => {
                eprintln!("{}", self.text("text"));
                done("said")
            }
            "surroundings" => Outcome::Text(surroundings()),
            "read" => Outcome::Text(match fs::read_to_string(self.text("path")) {
                Ok(text) => format!("read {} bytes", text.len()),
                Err(error) => error.kind().to_string(),
            }),
            "write" => Outcome::Text(match fs::write(self.text("path"), "text") {
                Ok(()) => "written".to_owned(),
                Err(error) => error.kind().to_string(),
            }),
            "eat" => {
                let size = usize::try_from(self.number("mib")).unwrap_or_default() * 1024 * 1024;
                let eaten = vec![1_u8; size];
                thread::sleep(Duration::from_millis(self.number("ms")));
                Outcome::Text(format!("ate {}", eaten.len()))
            }
            "spin" => {
                let start = Instant::now();
                let mut rounds = 0_u64;
                while start.elapsed() < Duration::from_millis(self.number("ms")) {
                    rounds = rounds.wrapping_add(1);
                }
                Outcome::Text(rounds.to_string())
            }
            // Children that outlive this process if nobody sees to it; `setsid` puts them in a session of their own.
            "children" => {
                let program = if self.text("how") == "setsid" {
                    vec!["setsid", "sleep", "600"]
                } else {
                    vec!["sleep", "600"]
                };
                for _ in 0..self.number("count") {
                    let (first, rest) = program.split_first().unwrap_or((&"true", &[]));
                    let child =
                        Command::new(first).args(rest).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
                    if let Err(error) = child {
                        return Outcome::Text(format!("no child: {error}"));
                    }
                }
                thread::sleep(Duration::from_millis(self.number("ms")));
                done("spawned")
            }
            // Children that are left behind and end soon after.
            "abandon" => {
                for _ in 0..self.number("count") {
                    let left =
                        Command::new("sh").args(["-c", "sleep 0.2 & exit 0"]).stdout(Stdio::null()).status();
                    if let Err(error) = left {
                        return Outcome::Text(format!("no child: {error}"));
                    }
                }
                done("abandoned")
            }
            "signal" => {
                let pid = i32::try_from(self.number("pid")).ok().and_then(rustix::process::Pid::from_raw);
                let sent = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::USR1));
                Outcome::Text(format!("{sent:?}"))
            }
            _ => Outcome::Error(-32602, format!("no tool {name}")),
        }
    }
}

/// What a process can see of where it runs.
fn surroundings() -> String {
    let mut env: Vec<(String, String)> = std::env::vars().collect();
    env.sort();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    };
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let limit = |name: &str| {
        limits
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_default()
            .split_whitespace()
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<String>>()
    };
    // The descriptor that lists them is one too.
    let fds: Vec<u32> = fs::read_dir("/proc/self/fd")
        .map(|fds| {
            fds.flatten()
                .filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| !to.starts_with("/proc")))
                .filter_map(|fd| fd.file_name().to_str().and_then(|name| name.parse().ok()))
                .collect()
        })
        .unwrap_or_default();
    json!({
        "env": env,
        "cwd": std::env::current_dir().map(|dir| dir.display().to_string()).unwrap_or_default(),
        "noNewPrivs": field("NoNewPrivs:"),
        "core": limit("Max core file size"),
        "files": limit("Max open files"),
        "fds": fds,
        "arguments": std::env::args().collect::<Vec<String>>(),
    })
    .to_string()
}
