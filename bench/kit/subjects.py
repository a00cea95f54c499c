"""The subjects of a measurement, each started and ready, and the proof that it does what it is there for."""

import http.client
import subprocess
import sys
import time
import urllib.parse

from . import machine, proxies
from .gateway import Narrows

NAMES = ["direct", "haproxy", "nginx", "envoy", "envoy-governed", "narrows"]
GOVERNED = ["envoy-governed", "narrows"]


class Subject:
    def __init__(self, name, url, pid, token=None):
        self.name, self.url, self.pid = name, url, pid
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}


class Subjects:
    """A server and the proxies before it. `narrows` is the gateway, if it is among them."""

    def __init__(self, processes, names, issuer, envoy):
        self.processes, self.names = processes, names
        self.issuer, self.envoy = issuer, envoy
        self.narrows = None
        self.upstream = machine.free_port()
        processes.start("upstream", [machine.TARGET / "examples" / "bench_upstream", f"127.0.0.1:{self.upstream}"])
        machine.wait_for(self.upstream, processes.directory)
        self.all = [self.start(name) for name in names]

    def start(self, name):
        if name == "direct":
            return Subject(name, f"http://127.0.0.1:{self.upstream}/mcp", None)
        if name == "narrows":
            self.narrows = Narrows(self.processes, self.upstream, self.issuer)
            return Subject(name, self.narrows.url, self.narrows.pid, self.issuer.token("alice"))
        port = machine.free_port()
        if name == "haproxy":
            pid = proxies.haproxy(self.processes, port, self.upstream)
        elif name == "nginx":
            pid = proxies.nginx(self.processes, port, self.upstream)
        else:
            issuer = self.issuer if name in GOVERNED else None
            pid = proxies.envoy(self.processes, port, self.upstream, self.envoy, issuer)
        machine.wait_for(port, self.processes.directory)
        token = self.issuer.token("alice") if name in GOVERNED else None
        return Subject(name, f"http://127.0.0.1:{port}/mcp", pid, token)

    def executed(self):
        """How many calls and lists the server has executed."""
        return int(ask(f"http://127.0.0.1:{self.upstream}/count", "GET")[2])


def available(names):
    """Those of the subjects that can be measured here, the path of Envoy, and whether any had to be left out."""
    missing = {name for name in names if name in ("haproxy", "nginx") and machine.missing(name)}
    envoy = None
    if any(name.startswith("envoy") for name in names):
        done = subprocess.run([machine.ROOT / "bench" / "peers"], stdout=subprocess.PIPE, text=True)
        envoy = done.stdout.strip()
        if done.returncode != 0:
            print("NOT RUN  Envoy could not be installed; see above", file=sys.stderr)
            missing |= {name for name in names if name.startswith("envoy")}
    return [name for name in names if name not in missing], envoy, bool(missing)


def versions(names, envoy):
    """One line for each program that is measured beside."""
    commands = {"haproxy": ["haproxy", "-v"], "nginx": ["nginx", "-v"], "envoy": [envoy, "--version"]}
    for name in [name for name in names if name in commands]:
        done = subprocess.run(commands[name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = next(line.strip() for line in done.stdout.splitlines() if line.strip())
        # Envoy's begins with its path.
        yield f"Envoy {said.partition('version: ')[2]}" if name == "envoy" else said
    done = subprocess.run(["wrk", "-v"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    yield done.stdout.splitlines()[0].partition(" [")[0].strip()


def prove(subject, cases):
    """Each case is answered as it should be, and where calls are governed, what is not granted is refused."""
    # Keys of an issuer are fetched after the start.
    deadline = time.monotonic() + 10
    while not cases[0].fits(*ask_case(subject, cases[0])) and time.monotonic() < deadline:
        time.sleep(0.1)
    for case in cases:
        status, kind, body = ask_case(subject, case)
        if not case.fits(status, kind, body):
            raise SystemExit(f"error: {subject.name} answered `{case.tool or case.method}` with {status} {kind}: {body[:300]}")
    if subject.name in GOVERNED:
        denied = cases[0].of("delete_0")
        for what, headers in [("a denied tool", subject.headers), ("no token", {})]:
            status, kind, body = ask(subject.url, "POST", {**denied.headers, **headers}, denied.body)
            if denied.fits(status, kind, body):
                raise SystemExit(f"error: {subject.name} let {what} through")


def ask_case(subject, case):
    return ask(subject.url, "POST", {**case.headers, **subject.headers}, case.body)


def ask(url, method, headers=None, body=None):
    """One request: status, content type and body."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        connection.request(method, parts.path, body, headers or {})
        response = connection.getresponse()
        kind = (response.getheader("Content-Type") or "").partition(";")[0]
        return response.status, kind, response.read().decode()
    finally:
        connection.close()
