"""One `narrows up` with servers of the test's own behind it, calls to them, and what is known of each call."""

import asyncio
import collections
import os
import time
import urllib.error
import urllib.request

from kit import gateway, places
from kit.calls import Caller
from kit.oracle import Oracle
from kit.record import Lines
from kit.verifiers import Verifiers

# The words of the refusals: HTTP status and JSON-RPC code.
UNRECORDED = (503, -31503)
UPSTREAM = places.ROOT / "tests" / "acceptance" / "kit" / "upstream.py"
# Servers that misbehave; each has the path of its name.
BAD = [
    "hang", "drip", "drip-head", "reset", "status-500", "status-503", "half", "half-events", "twice", "twice-http",
    "other-id", "other-id-events", "huge",
]

Call = collections.namedtuple("Call", "identity kind sent done answer")


class World:
    """`good` and `other` behave; the rest, in a process of their own, do not. `outages`: its disk will fail. `allowed`:
    HTTP statuses that are no fault in it."""

    def __init__(self, processes, out, name, prefix=(), environment=None, data=None, allowed=(), outages=False):
        self.processes, self.name = processes, name
        self.directory = out / name
        self.directory.mkdir()
        self.executed, self.executed_bad = self.directory / "executed", self.directory / "executed-bad"
        self.calls_file = self.directory / "calls"
        urls = []
        self.upstreams = []
        for part, executed in (("good", self.executed), ("bad", self.executed_bad)):
            upstream = processes.start(f"{name}-{part}", [UPSTREAM, "--executed", executed])
            self.upstreams.append(upstream)
            urls.append(processes.first_line(upstream))
        good, bad = urls
        self.resources = [
            gateway.namespace("dev"),
            gateway.server("dev", "good", transport="http", url=f"{good}/mcp"),
            gateway.server("dev", "other", transport="http", url=f"{bad}/mcp"),
            *(gateway.server("dev", name, transport="http", url=f"{bad}/{name}") for name in BAD),
            gateway.role("caller", gateway.allow("dev", "*", tools=["*_read"])),
            gateway.binding("caller", "callers"),
        ]
        self.narrows = gateway.Gateway(
            processes, self.directory, self.resources, prefix, environment, name=f"{name}-narrows", data=data
        )
        self.token = self.narrows.token("caller@example.com", "callers")
        self.bad_token = self.narrows.token("neighbour@example.com", "callers")
        files = [self.executed, self.executed_bad]
        self.oracle = Oracle(self.narrows.data, files, self.calls_file, outages=outages, endings=True, allowed=allowed)
        self.calls_fd = os.open(self.calls_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.ran, self.ran_lines = set(), Lines(self.executed)
        self.sent = 0

    @property
    def pid(self):
        return self.narrows.process.pid

    def caller(self, server="good", token=None, patience=30):
        return Caller(self.narrows.port, f"/mcp/dev/{server}", token or self.token, patience)

    async def call(self, caller, kind="json"):
        """A call with an id of its own, written down for the oracle."""
        self.sent += 1
        identity = f"{self.name}-{self.sent}"
        tool = "admin_delete" if kind == "denied" else f"{kind}_read"
        sent = time.monotonic()
        answer = await caller.call(tool, {"id": identity})
        done = time.monotonic()
        line = f"{identity} {kind} {answer.status} {'whole' if answer.whole else 'cut'}\n"
        os.write(self.calls_fd, line.encode())
        return Call(identity, kind, sent, done, answer)

    def executions(self):
        """The ids that `good` has executed so far."""
        self.ran.update(line.split(" ")[2] for line in self.ran_lines.read())
        return self.ran

    async def ready(self):
        """What `/readyz` answers."""
        def ask():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.narrows.admin}/readyz", timeout=5) as response:
                    return response.status
            except urllib.error.HTTPError as error:
                return error.code
            except OSError as error:
                return str(error)

        return await asyncio.to_thread(ask)

    async def until(self, condition, patience=10):
        """How long it took until a fresh call was answered so; none if it was not."""
        begin = time.monotonic()
        caller = self.caller(patience=2)
        while time.monotonic() - begin < patience:
            call = await self.call(caller)
            if condition(call):
                caller.close()
                return time.monotonic() - begin
            await asyncio.sleep(0.02)
        caller.close()
        return None

    def restart(self):
        """After it has ended by itself: starts it again, and waits until it serves."""
        self.processes.running.remove(self.narrows.process)
        self.oracle.look()
        self.narrows.start()
        self.narrows.ready()

    def end(self, tally):
        """Ends in order, and compares the record with what ran and what was answered."""
        stopped = self.narrows.stop()
        tally.check(f"{self.name}: it stops in order", None if stopped == 0 else f"exit {stopped}")
        self.oracle.end()
        for upstream in self.upstreams:
            self.processes.end(upstream)
        tally.check(f"{self.name}: what ran was recorded, and what was recorded has an end", self.oracle.shown)
        problems = Verifiers(self.narrows.data, self.directory).problems(self.oracle.kept)
        tally.check(f"{self.name}: both verifiers accept the log", problems)
        count = self.oracle.count
        print(f"{self.name}: {count['calls']} calls, {count['executed']} executed, {count['request.admitted']} intents, "
              f"{sum(self.oracle.endings.values())} outcomes, {count['status 503']} refused, {count['log.recovered']} "
              f"recoveries, {self.oracle.violations} violations", flush=True)

    def alive(self):
        """What is wrong if the process is gone."""
        code = self.narrows.process.poll()
        return [] if code is None else [f"the process ended with {code}: {self.processes.last_words(self.narrows.process)}"]


class Load:
    """Calls over several connections, each after the answer to the one before, for as long as the block lasts."""

    def __init__(self, world, connections=16, pause=0.01):
        self.world, self.connections, self.pause = world, connections, pause
        self.calls, self.tasks = [], []

    async def __aenter__(self):
        self.tasks = [asyncio.create_task(self.work(number)) for number in range(self.connections)]
        return self

    async def __aexit__(self, *_):
        for task in self.tasks:
            task.cancel()
        results = await asyncio.gather(*self.tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, asyncio.CancelledError):
                raise result

    async def work(self, number):
        caller = self.world.caller()
        kinds = ("json", "sse", "json", "json", "denied") if number % 4 == 0 else ("json", "sse")
        while True:
            for kind in kinds:
                try:
                    self.calls.append(await self.world.call(caller, kind))
                except OSError:
                    await asyncio.sleep(0.05)
                await asyncio.sleep(self.pause)
