"""Starts Narrows as its users do: resources in a file, `narrows up`, a token from
`narrows token create`. It has no other way in."""

import collections
import json
import subprocess
import urllib.request

from . import places
from .processes import free_port

# Everything that a role can cover, for comparing with a server that has no roles.
EVERYTHING = {name: ["*"] for name in ("tools", "resources", "resourceTemplates", "prompts", "methods")}


def namespace(name):
    return {"kind": "GovernedNamespace", "metadata": {"name": name}, "spec": {"mode": "enforce"}}


def server(namespace, name, **spec):
    return {"kind": "McpServer", "metadata": {"namespace": namespace, "name": name}, "spec": spec}


def role(name, *rules):
    return {"kind": "McpRole", "metadata": {"name": name}, "spec": {"rules": list(rules)}}


def allow(namespace, server, **covers):
    return {"effect": "allow", "namespaces": [namespace], "servers": [server], **covers}


def binding(role, group):
    spec = {"role": role, "subjects": [{"group": group}]}
    return {"kind": "McpRoleBinding", "metadata": {"name": f"{role}-{group}"}, "spec": spec}


class Gateway:
    """One `narrows up` with its own data directory. `prefix` is put before the command, `more` after it, and
    `environment` beside it, for what a part does to the process; without `start`, it is the part that starts it. With
    `socket`, a listening one, agents' connections are taken from there, as a service manager would have it."""

    def __init__(self, processes, directory, resources, prefix=(), environment=None, start=True, name="narrows",
                 data=None, more=(), admin=None, socket=None):
        self.processes = processes
        self.socket = socket
        self.environment = environment
        self.name = name
        self.data = data or directory / "data"
        self.file = directory / "resources.yaml"
        # JSON is YAML.
        documents = (json.dumps({"apiVersion": "narrows.dev/v1alpha1", **resource}) for resource in resources)
        self.file.write_text("\n---\n".join(documents) + "\n")
        self.port = socket.getsockname()[1] if socket else free_port()
        self.admin = admin or free_port()
        if socket:
            # sd_listen_fds(3): the socket is descriptor 3, and `exec` keeps the number of the process.
            prefix = [*prefix, "/bin/sh", "-c", 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@" 3<&0 </dev/null']
        self.command = [*prefix, places.binary("narrows"), "up", "--data-dir", self.data, "-f", self.file]
        self.command += ["--listen", f"127.0.0.1:{self.port}", "--admin-listen", f"127.0.0.1:{self.admin}"]
        self.command += ["--allow-upstream", "127.0.0.0/8", *more]
        if start:
            self.start()
            self.ready()

    def start(self):
        """Starts it, without waiting for anything."""
        stdin = {"stdin": self.socket} if self.socket else {}
        self.process = self.processes.start(self.name, self.command, self.environment, **stdin)

    def ready(self):
        """Waits until it serves requests."""
        self.processes.answers(self.process, f"http://127.0.0.1:{self.admin}/readyz")

    def token(self, subject, group):
        """A token of the built-in issuer, as `narrows token create` prints it."""
        return narrows("token", "create", "--data-dir", self.data, "--subject", subject, "--group", group).strip()

    def metrics(self):
        """What `/metrics` says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=10) as response:
            return response.read()

    def reasons(self):
        """How many tokens it has refused so far, by reason."""
        return refused_tokens(self.metrics())

    def url(self, namespace, server):
        return f"http://127.0.0.1:{self.port}/mcp/{namespace}/{server}"

    def stop(self):
        """Ends it with SIGTERM, as an operator does; the exit code."""
        return self.processes.end(self.process, patience=30)


def refused_tokens(metrics):
    """By reason, from what `/metrics` says."""
    counts = collections.Counter()
    for line in metrics.decode().splitlines():
        if line.startswith("narrows_unauthenticated_total{"):
            counts[line.split('reason="')[1].split('"')[0]] = int(line.rsplit(" ", 1)[1])
    return counts


def narrows(*words):
    """Runs a `narrows` command and returns its stdout."""
    command = [str(word) for word in (places.binary("narrows"), *words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout
