"""The servers: one for each SDK, over HTTP and over stdio. Each has an allowed and a denied tool and writes down what
it runs."""

import dataclasses
import hashlib
import os
import pathlib
import shutil
import subprocess

from kit import places

from .corpus.case import SESSIONS, STATELESS

HERE = pathlib.Path(__file__).resolve().parent / "farm"
NAMESPACE = "dev"
# Line 1 of the TypeScript SDK knows no revision without sessions; line 2 keeps none over HTTP.
ERAS = {
    "typescript-1": (SESSIONS,),
    "typescript-2": (STATELESS,),
    "python": (SESSIONS, STATELESS),
    "go": (SESSIONS, STATELESS),
    "rust": (SESSIONS, STATELESS),
}


@dataclasses.dataclass
class Endpoint:
    """A server as Narrows knows it."""

    sdk: str
    transport: str
    log: pathlib.Path
    url: str | None = None

    @property
    def name(self):
        return f"{self.sdk}-{self.transport}"

    @property
    def path(self):
        return f"/mcp/{NAMESPACE}/{self.name}"

    @property
    def eras(self):
        return ERAS[self.sdk]

    def ran(self):
        """A line for each tool that ran. What a server got without a gate before it need not be text."""
        return self.log.read_text(errors="replace").split("\n")[:-1]

    def spec(self, go):
        if self.transport == "http":
            return {"transport": "http", "url": self.url}
        words = [str(word) for word in command(self.sdk, self.log, self.transport, go)]
        return {"transport": "stdio", "command": words, "env": [{"name": "PATH", "value": os.environ["PATH"]}]}


def command(sdk, log, transport, go):
    http = ["--http"] if transport == "http" else []
    match sdk:
        case "typescript-1" | "typescript-2":
            node = [places.node() / ".bin" / "node", HERE / "typescript_server.mjs", "--peers", places.peers().resolve()]
            return [*node, "--sdk", sdk[-1], "--execution-log", log, *http]
        case "python":
            python = places.peers() / "python-mcp" / "bin" / "python"
            return [python, HERE / "python_server.py", "--execution-log", log, *http]
        case "go":
            return [go, "--execution-log", log, *http]
        case "rust":
            where = ["--http", "127.0.0.1:0"] if transport == "http" else ["--stdio"]
            return [places.binary("fixture-server"), *where, "--execution-log", log]
    raise ValueError(sdk)


def endpoints(processes, logs, go, transports=("http", "stdio")):
    """Starts those of HTTP; those of stdio are started by whoever serves them."""
    logs.mkdir()
    found = []
    for sdk in ERAS:
        if sdk == "go" and not go:
            continue
        for transport in transports:
            endpoint = Endpoint(sdk, transport, logs / f"{sdk}-{transport}.jsonl")
            endpoint.log.touch()
            if transport == "http":
                name = f"{logs.name}-{sdk}"
                process = processes.start(name, command(sdk, endpoint.log, transport, go))
                endpoint.url = processes.first_line(process, patience=60)
            found.append(endpoint)
    return found


def build_go(tally):
    """The server on the Go SDK, built once for its sources and kept beside the other peers. None without a compiler."""
    sources = [HERE / "go" / name for name in ("go.mod", "go.sum", "main.go")]
    compiler = shutil.which("go")
    if not compiler:
        tally.cannot_run("the Go SDK", "there is no `go`")
        return None
    version = subprocess.run([compiler, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout
    digest = hashlib.sha256(version.encode())
    for source in sources:
        digest.update(source.read_bytes())
    binary = places.peers().resolve().parent / f"go-{digest.hexdigest()[:16]}" / "server"
    if not binary.exists():
        fresh = binary.with_name(f"server.{os.getpid()}")
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
        words = [compiler, "build", "-buildvcs=false", "-o", str(fresh), "."]
        built = subprocess.run(words, cwd=HERE / "go", env=environment, capture_output=True, text=True, timeout=900)
        if built.returncode != 0:
            tally.cannot_run("the Go SDK", f"its server can't be built: {built.stderr.strip()[-500:]}")
            return None
        fresh.replace(binary)
    return binary
