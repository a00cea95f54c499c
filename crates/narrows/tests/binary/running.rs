//! What the tests of the binary share: a directory of its own for each, the binary run as its users run it, and an
//! HTTP client that sends exactly what it is told. Nothing of the crates under test is used.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use regex::Regex;
use rustix::process::{Pid, Signal, kill_process};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A directory with a data directory in it.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A command with an environment of its own.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_narrows"));
        command.args(arguments).current_dir(self.directory.path()).env_clear();
        command.env("HOME", self.path("home")).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("NARROWS_DATA_DIR", self.data()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end, on this place's data directory.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The same, to be compared: the arguments, the exit code, what was said on which stream.
    pub(crate) fn transcript(&self, arguments: &[&str]) -> String {
        let Ended { code, stdout, stderr } = self.run(arguments);
        let mut text = format!("$ narrows {}\n", arguments.join(" "));
        let code = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        writeln!(text, "exit code {code}").unwrap();
        for (name, said) in [("stdout", stdout), ("stderr", stderr)] {
            if !said.is_empty() {
                write!(text, "--- {name}\n{said}").unwrap();
            }
        }
        self.tidy(&text)
    }

    /// Without what differs from run to run: this place, times, ports, ids, digests.
    pub(crate) fn tidy(&self, text: &str) -> String {
        let text = text.replace(&self.directory.path().display().to_string(), "PLACE");
        let patterns = [
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
            (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
            (r"\b(\d+)-[0-9a-f]{16}\b", "$1-DIGEST"),
            (r"\bpid=\d+", "pid=PID"),
            (r"\bunix:\d+ *", "unix:UID "),
            (r"hmac-sha256:[0-9a-f]{64}", "hmac-sha256:DIGEST"),
            (r"sha256:[0-9a-f]{64}", "sha256:DIGEST"),
            (r"/local\+[0-9a-f]{8}\+\S+", "/local+KEY"),
            (r"(durationMs\W+)[0-9.]+", "${1}MILLISECONDS"),
            (r"\d+ bytes", "SIZE bytes"),
            (r"(?m) +$", ""),
        ];
        patterns.iter().fold(text, |text, (pattern, name)| {
            Regex::new(pattern).unwrap().replace_all(&text, *name).into_owned()
        })
    }

    /// A token of the built-in issuer.
    pub(crate) fn token(&self, subject: &str) -> String {
        let ended = self.run(&["token", "create", "--subject", subject]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout.trim().to_owned()
    }
}

/// What a command that ended has left.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A running `narrows up`; ended when dropped.
pub(crate) struct Up {
    child: Child,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    pub(crate) agents: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Up {
    /// Starts it on ports that are free, and waits until it listens.
    pub(crate) fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut all = vec!["up", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"];
        all.extend_from_slice(arguments);
        let mut command = place.command(&all);
        command.stdin(Stdio::null());
        Self::of(command)
    }

    /// Starts it as a service manager does that holds the socket.
    pub(crate) fn start_on(place: &Place, socket: &TcpListener, arguments: &[&str]) -> Self {
        let mut all = vec!["up", "--admin-listen=127.0.0.1:0"];
        all.extend_from_slice(arguments);
        Self::of(handed(place, socket.try_clone().unwrap(), &all))
    }

    fn of(mut command: Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = Arc::new(Mutex::new(String::new()));
        let (pipe, said) = (child.stderr.take().unwrap(), Arc::clone(&stderr));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                let mut said = said.lock().unwrap();
                said.push_str(&line.unwrap());
                said.push('\n');
            }
        });
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut up = Self { child, stderr, reader: Some(reader), agents: nowhere, admin: nowhere };
        let line = up.wait_for("listening");
        let address = |name: &str| {
            let (_, rest) = line.split_once(name).unwrap();
            let end = rest.find(['/', ' ']).unwrap_or(rest.len());
            rest.get(..end).unwrap().parse().unwrap()
        };
        (up.agents, up.admin) = (address("://"), address("admin="));
        up
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits for a line with this text, and returns it.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        eventually(|| {
            let line = self.said().lines().find(|line| line.contains(text)).map(str::to_owned);
            if line.is_none()
                && let Some(status) = self.child.try_wait().unwrap()
            {
                std::thread::sleep(Duration::from_millis(50));
                panic!("`up` ended with {status} before it said {text:?}:\n{}", self.said());
            }
            line
        })
        .unwrap_or_else(|| panic!("`up` did not say {text:?}:\n{}", self.said()))
    }

    /// Waits for one more line with this text than there are.
    pub(crate) fn wait_for_another(&mut self, text: &str) {
        let count = |up: &Self| up.said().lines().filter(|line| line.contains(text)).count();
        let before = count(self);
        eventually(|| (count(self) > before).then_some(()))
            .unwrap_or_else(|| panic!("`up` did not say {text:?} again:\n{}", self.said()));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for the end; how it ended and all that was said.
    pub(crate) fn ended(&mut self) -> (ExitStatus, String) {
        let status = eventually(|| self.child.try_wait().unwrap()).expect("`up` did not end");
        self.reader.take().unwrap().join().unwrap();
        (status, self.said())
    }

    /// Ends it as an operator does.
    pub(crate) fn stop(mut self) -> String {
        self.signal(Signal::INT);
        let (status, said) = self.ended();
        assert_eq!(status.code(), Some(0), "{said}");
        said
    }

    /// A `tools/call` of revision 2026-07-28, which needs no session.
    pub(crate) fn call(&self, server: &str, token: &str, tool: &str, arguments: &str) -> Answer {
        answer(self.begin_call(server, token, tool, arguments))
    }

    /// The same, without waiting for the answer.
    pub(crate) fn begin_call(&self, server: &str, token: &str, tool: &str, arguments: &str) -> TcpStream {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        );
        self.begin_post(server, token, tool, &body)
    }

    /// A POST of this body, with the headers of a call.
    fn begin_post(&self, server: &str, token: &str, tool: &str, body: &str) -> TcpStream {
        let mut head =
            format!("POST /mcp/{server} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.agents);
        let headers = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("Authorization", &format!("Bearer {token}")),
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", "tools/call"),
            ("Mcp-Name", tool),
            ("Content-Length", &body.len().to_string()),
        ];
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        begin(self.agents, &format!("{head}\r\n{body}"))
    }

    /// A call whose body is larger by a byte than one may be.
    pub(crate) fn call_too_large(&self, server: &str, token: &str, text: &str) -> Answer {
        let body = text.to_owned() + &"x".repeat((4 << 20) + 1 - text.len());
        answer(self.begin_post(server, token, "any", &body))
    }

    /// A GET of health or metrics.
    pub(crate) fn admin(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin);
        answer(begin(self.admin, &request))
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal(Signal::KILL);
            self.child.wait().unwrap();
        }
    }
}

/// A script that runs the binary, with the environment of this place.
fn shell(place: &Place, script: &str, arguments: &[&str]) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_narrows")]).args(arguments);
    let made = place.command(&[]);
    shell.current_dir(made.get_current_dir().unwrap()).env_clear();
    shell.envs(made.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

/// The binary with a descriptor handed over as sd_listen_fds(3) has it: number 3, and two variables.
pub(crate) fn handed(place: &Place, socket: impl Into<OwnedFd>, arguments: &[&str]) -> Command {
    let script = "LISTEN_FDS=${FDS:-1} LISTEN_PID=$$ exec \"$0\" \"$@\" 3<&0 </dev/null";
    let mut shell = shell(place, script, arguments);
    shell.stdin(Stdio::from(socket.into()));
    shell
}

/// An HTTP response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Answer {
    /// The JSON-RPC message in the body, whether it came as JSON or as one event.
    pub(crate) fn message(&self) -> serde_json::Value {
        let text = self.body.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or(&self.body);
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

fn begin(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(body) } else { body.to_owned() };
    Answer { status, headers: head.to_owned(), body }
}

fn unchunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        let (chunk, after) = after.split_at(size);
        body.push_str(chunk);
        rest = after.trim_start_matches("\r\n");
    }
    body
}

/// Asks until there is an answer or patience ends.
pub(crate) fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

/// A namespace, the demo server in it as `dev/demo`, and what `who` may call there.
pub(crate) fn resources(place: &Place, grants: &[(&str, &str)]) -> String {
    let scratch = place.path("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let mut text = format!(
        "apiVersion: narrows.dev/v1alpha1\nkind: GovernedNamespace\nmetadata: {{ name: dev }}\nspec: {{ mode: enforce }}\n{}",
        server("demo", &[env!("CARGO_BIN_EXE_narrows"), "demo-server", "--root", path_text(&scratch)])
    );
    for (index, (who, tools)) in grants.iter().enumerate() {
        write!(
            text,
            "---\napiVersion: narrows.dev/v1alpha1\nkind: McpRole\nmetadata: {{ name: role-{index} }}\n\
             spec: {{ rules: [{{ effect: allow, namespaces: [dev], servers: [\"*\"], tools: [{tools}] }}] }}\n\
             ---\napiVersion: narrows.dev/v1alpha1\nkind: McpRoleBinding\nmetadata: {{ name: binding-{index} }}\n\
             spec: {{ role: role-{index}, subjects: [{{ user: {who} }}] }}\n"
        )
        .unwrap();
    }
    text
}

/// A stdio server in the namespace `dev`.
pub(crate) fn server(name: &str, command: &[&str]) -> String {
    format!(
        "---\napiVersion: narrows.dev/v1alpha1\nkind: McpServer\nmetadata: {{ namespace: dev, name: {name}, labels: {{ team: test }} }}\n\
         spec: {{ transport: stdio, sessions: shared, command: {command:?}, resources: {{ cpu: 2, memory: 1Gi }} }}\n"
    )
}

pub(crate) fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}
