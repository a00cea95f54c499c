"""Narrows as its users run it: resources in a file, `narrows up`, tokens of a provider, everything on."""

import json
import subprocess

from . import machine, tokens

RESOURCES = """
apiVersion: narrows.dev/v1alpha1
kind: GovernedNamespace
metadata: {{ name: bench }}
spec: {{ mode: enforce }}
---
apiVersion: narrows.dev/v1alpha1
kind: McpServer
metadata: {{ namespace: bench, name: echo }}
spec: {{ transport: http, url: "http://127.0.0.1:{upstream}/mcp" }}
---
apiVersion: narrows.dev/v1alpha1
kind: McpRole
metadata: {{ name: caller }}
spec:
  rules:
    - {{ effect: allow, namespaces: [bench], servers: ["*"], tools: [echo, big, sse, "read_*"] }}
    - {{ effect: deny, namespaces: [bench], servers: ["*"], tools: ["delete_*"] }}
---
apiVersion: narrows.dev/v1alpha1
kind: McpRoleBinding
metadata: {{ name: callers }}
spec: {{ role: caller, subjects: [{{ group: bench }}] }}
---
apiVersion: narrows.dev/v1alpha1
kind: IdentityProvider
metadata: {{ name: bench }}
spec: {{ issuer: "{issuer}", jwksUrl: "{issuer}/keys", audiences: ["{audience}"], algorithms: [ES256] }}
"""

PATH = "/mcp/bench/echo"


class Narrows:
    """One `narrows up` with a data directory beneath the run's, on the disk of the clone."""

    def __init__(self, processes, upstream, issuer, data="data"):
        self.processes = processes
        self.data = processes.directory / data
        self.port, self.admin = machine.free_port(), machine.free_port()
        file = processes.directory / "resources.yaml"
        file.write_text(RESOURCES.format(upstream=upstream, issuer=issuer.url, audience=tokens.AUDIENCE))
        self.pid = processes.start("narrows", [
            program(), "up", "--data-dir", self.data, "-f", file, "--allow-upstream", "127.0.0.1/32",
            "--listen", f"127.0.0.1:{self.port}", "--admin-listen", f"127.0.0.1:{self.admin}",
        ])
        machine.wait_for(self.admin, processes.directory)
        machine.wait_for(self.port, processes.directory)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}{PATH}"

    def log_bytes(self):
        """Bytes of the log: its segments, and all of it, with the tree and the search index."""
        files = [file for file in (self.data / "log").rglob("*") if file.is_file()]
        segments = sum(file.stat().st_size for file in files if file.name.startswith("segment-"))
        return segments, sum(file.stat().st_size for file in files)


def program():
    return machine.TARGET / "narrows"


def verify(data):
    """What `audit verify` says of the one writer of a log that was closed, after it found all of it sound."""
    command = [program(), "audit", "verify", "--data-dir", data, "--output", "json"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"error: the log does not verify: {done.stdout}{done.stderr}")
    [writer] = json.loads(done.stdout)["writers"]
    return writer
