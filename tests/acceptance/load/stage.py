"""What all groups have: servers, the gateway in front of them, tokens of many people, the load program, and a look at
the gateway's process from outside."""

import collections
import contextlib
import http.client
import json
import os
import threading
import time

from kit import gateway, places
from kit.processes import Failed

# Each may have 256 requests in progress, streams included.
PEOPLE = 64
# Where honest clients call.
HONEST = "/mcp/load/other"
MIB = 1 << 20


class Stage:
    def __init__(self, processes, directory, socket=None):
        self.processes = processes
        self.directory = directory
        self.number = 0
        # Honest clients have a server of their own: what they wait for is the gateway, not a server that is kept busy.
        peer, other = (
            processes.first_line(processes.start(name, [places.binary("examples/load"), "server"]))
            for name in ("server", "other-server")
        )
        self.narrows = gateway.Gateway(processes, directory, [
            gateway.namespace("load"),
            gateway.server("load", "peer", transport="http", url=peer),
            gateway.server("load", "other", transport="http", url=other),
            gateway.role("caller", gateway.allow("load", "*", tools=["*"])),
            gateway.binding("caller", "people"),
        ], socket=socket)
        self.tokens = self.tokens_of("attackers", PEOPLE)
        # Honest ones have names of their own: nobody else takes their places.
        self.honest = self.tokens_of("honest", 8)

    def tokens_of(self, name, count):
        file = self.directory / f"{name}.tokens"
        file.write_text("".join(self.narrows.token(f"{name}-{number}", "people") + "\n" for number in range(count)))
        return file

    def load(self, command, *words, tokens=None):
        """Starts the load program."""
        self.number += 1
        line = [places.binary("examples/load"), command, "--to", f"127.0.0.1:{self.narrows.port}"]
        line += ["--tokens", tokens or self.tokens, *words]
        return Load(self.processes, f"{self.number:03}-{command}", line)

    def honest_calls(self, rate=100, http1=4, http2=1):
        words = ["--path", HONEST, "--rate", rate, "--http1", http1, "--http2", http2]
        load = self.load("calls", *words, tokens=self.honest)
        load.ready()
        return load

    def honest_call(self):
        """What is wrong with one call on a connection of its own; nothing if it works."""
        token = self.honest.read_text().split("\n")[0]
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
        }
        initialize = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "l", "version": "1"}}
        call = {"name": "echo", "arguments": {"text": "still there?"}}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.narrows.port, timeout=10)) as connection:
            for number, (method, params) in enumerate([("initialize", initialize), ("tools/call", call)]):
                body = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
                connection.request("POST", HONEST, body, headers)
                response = connection.getresponse()
                answer = response.read()
                if response.status != 200 or "result" not in json.loads(answer):
                    return f"an honest {method} gets {response.status}: {answer[:200]}"
                headers["Mcp-Session-Id"] = response.headers.get("Mcp-Session-Id", headers.get("Mcp-Session-Id"))
        return None

    def resident(self):
        """Bytes of memory that the gateway's process has in use now."""
        return self.status("VmRSS")

    def status(self, field):
        with open(f"/proc/{self.narrows.process.pid}/status") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
        raise Failed(f"there is no {field}")

    def admitted(self):
        """Requests that were admitted and have ended, however they did."""
        return self.counted("narrows_requests_total").total()

    def cut(self):
        """What went beyond a bound and was refused or cut off, by reason."""
        return self.counted("narrows_cut_total")

    def counted(self, name):
        """A counter of the gateway's, by its label."""
        lines = self.narrows.metrics().decode().splitlines()
        found = (line.split() for line in lines if line.startswith(name + "{"))
        return collections.Counter({labels.split('"')[1]: int(count) for labels, count in found})

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.narrows.process.pid}/fd"))

    def cpu(self):
        """Seconds of processor time so far."""
        with open(f"/proc/{self.narrows.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def waited(self):
        """Seconds for which its threads were ready to run and the machine had no processor for them."""
        total = 0
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{self.narrows.process.pid}/task"):
                with open(f"/proc/{self.narrows.process.pid}/task/{task}/schedstat") as stat:
                    total += int(stat.read().split()[1])
        return total / 1e9

    def settled(self, descriptors, patience=20):
        """Waits until at most so many descriptors are open; how many there are then."""
        deadline = time.monotonic() + patience
        while self.descriptors() > descriptors and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.descriptors()

    @contextlib.contextmanager
    def watched(self):
        """Samples memory and descriptors meanwhile; gives what was the most."""
        peak = {"resident": self.resident(), "descriptors": self.descriptors()}
        stop = threading.Event()

        def sample():
            while not stop.wait(0.05):
                with contextlib.suppress(OSError, Failed):
                    peak["resident"] = max(peak["resident"], self.resident())
                    peak["descriptors"] = max(peak["descriptors"], self.descriptors())

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            yield peak
        finally:
            stop.set()
            sampler.join()


class Load:
    """One run of the load program. It goes on until its standard input ends, or by itself."""

    def __init__(self, processes, name, line):
        self.processes = processes
        self.process = processes.start(name, line, piped=True)

    def ready(self, patience=120):
        """What it says once it does what it is for."""
        line = self.processes.first_line(self.process, patience)
        if not line.startswith("ready"):
            raise Failed(f"`{self.process.name}` said: {line}")
        return json.loads(line[len("ready"):] or "{}")

    def end(self, patience=60):
        """Ends it; what it saw."""
        self.process.stdin.close()
        return self.result(patience)

    def result(self, patience=600):
        """What it saw, once it ends by itself."""
        code = self.process.wait(patience)
        self.processes.running.remove(self.process)
        if code != 0:
            raise Failed(f"`{self.process.name}` ended with {code}: {self.processes.last_words(self.process)}")
        out = (self.processes.logs / f"{self.process.name}.out").read_text()
        return json.loads(out.strip().split("\n")[-1])


def mib(count):
    return f"{count / MIB:.1f}"
