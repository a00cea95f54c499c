"""The life of a server, by command and over the API, on real servers: nobody is led to one that does not answer MCP, what
served before goes on, sessions stay where they are, and all of it is recorded."""

import asyncio
import json
import os
import pathlib
import shutil
import subprocess
import time

from kit import gateway, places
from kit.calls import Caller

from servers import call, resource, stdio

SERVER = "dev/living"


def command(*words, fails=False, data=None):
    """Runs `narrows server …`; what it said on both streams."""
    line = [str(word) for word in (places.binary("narrows"), "server", "--data-dir", data, *words)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=240)
    if (done.returncode != 0) != fails:
        raise subprocess.CalledProcessError(done.returncode, line, done.stdout, done.stderr)
    return done.stdout + done.stderr


def everything(**spec):
    package = places.node() / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
    server = stdio("dev", "living", [shutil.which("node"), package, "stdio"])
    server["spec"].update(spec)
    return server


def processes(narrows):
    """Processes of the server below this Narrows."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes()
            directory = os.readlink(entry / "cwd")
        except OSError:
            continue
        if b"server-everything" in words and b"bridge" not in words and directory.startswith(str(narrows.data)):
            found.append(int(entry.name))
    return found


class Session:
    """One session of one client."""

    def __init__(self, narrows, token):
        self.caller = Caller(narrows.port, f"/mcp/{SERVER}", token)

    async def open(self):
        await self.caller.connect()
        await self.caller.initialize()
        return self

    async def echo(self):
        answer = await self.caller.call_in_session("echo", {"message": "hello"})
        return answer.status if b"hello" in answer.body or answer.status != 200 else 0


class Lives:
    def __init__(self, processes_, narrows, api, out, tally):
        self.processes, self.narrows, self.api, self.out, self.tally = processes_, narrows, api, out, tally
        self.file = out / "living.json"
        self.token = narrows.token("caller@example.com", "callers")

    def write(self, *resources):
        self.file.write_text("\n---\n".join(json.dumps(value) for value in resources))

    def server(self, *words, fails=False):
        return command(*words, fails=fails, data=self.narrows.data)

    def look(self):
        return self.api.get(f"/servers/{SERVER}")

    def echo(self):
        return call(self.narrows, self.token, "living", "echo", {"message": "hello"})

    def ask(self, verb, **body):
        return self.api.ask("POST", f"/servers/{SERVER}/{verb}", body)

    def wait(self, wanted, within=60):
        deadline = time.monotonic() + within
        while not wanted(found := self.look()):
            if time.monotonic() > deadline:
                raise OSError(f"it never came true: {found}")
            time.sleep(0.05)
        return found

    def check(self, name, checked):
        try:
            problems = [what for what, holds in checked() if not holds]
        except (OSError, subprocess.SubprocessError, KeyError) as error:
            problems = [f"{error} {getattr(error, 'stdout', '')} {getattr(error, 'stderr', '')}"]
        self.tally.check(name, problems)

    def deployed(self):
        role = resource(gateway.role("use-living", gateway.allow("dev", "living", tools=["*"])))
        self.write(everything(sessions="shared"), role, resource(gateway.binding("use-living", "callers")))
        said = self.server("deploy", "-f", self.file, "--reason", "first")
        found = self.look()
        yield f"it says that it runs: {said}", "`dev/living` is Running" in said
        yield f"what serves is what is wanted: {found}", found["state"] == "Running" and found["serving"] == found["revision"]
        yield f"its tools are told: {found}", "echo" in found["tools"] and found["server"].startswith("mcp-servers/everything")
        yield "a call to it is answered", self.echo() == (200, True)
        yield "it is in the list", SERVER in self.server("list")

    def failing(self):
        before = self.look()
        said = self.server("update", SERVER, "--", "/bin/false", fails=True)
        found = self.look()
        yield f"it says that it did not come up: {said}", "did not come up" in said and "goes on serving" in said
        yield f"it failed, and what was there serves: {found}", found["state"] == "Failed" and found["serving"] == before["serving"]
        yield "calls are answered", self.echo() == (200, True)
        # Over the API, and none that could be run.
        status, _ = self.api.change([everything(sessions="shared", command=["/no/such/program"])])
        found = self.wait(lambda found: found["state"] == "Failed" and "was not found" in found.get("reason", ""))
        yield f"the API takes the change: {status}", status == 200
        yield "calls are still answered", self.echo() == (200, True)
        said = self.server("rollback", SERVER, "--to", str(before["revision"]), "--reason", "back")
        found = self.look()
        yield f"it is as it was: {said} {found}", found["state"] == "Running" and self.echo() == (200, True)

    def sessions(self):
        return asyncio.run(self.in_sessions())

    async def in_sessions(self):
        session = await Session(self.narrows, self.token).open()
        checks = [("a session works", await session.echo() == 200)]
        old = set(processes(self.narrows))
        self.server("update", SERVER, "--env", "LOG_LEVEL=debug")
        checks.append(("it goes on with the old version", await session.echo() == 200))
        other = await Session(self.narrows, self.token).open()
        checks.append(("a new one works", await other.echo() == 200))
        now = set(processes(self.narrows))
        checks.append((f"both versions run: {old} {now}", old < now))
        status, _ = self.ask("restart", reason="to see")
        self.wait(lambda found: found["state"] == "Running")
        checks.append((f"a restart is taken: {status}", status == 200))
        checks.append(("the session goes on", await other.echo() == 200))
        checks.append(("it is the only one of its kind", self.look()["restarts"] == 1))
        for each in (session, other):
            each.caller.close()
        return checks

    def scaled(self):
        return asyncio.run(self.over_processes())

    async def over_processes(self):
        # What drained before does not count.
        deadline = time.monotonic() + 75
        while len(processes(self.narrows)) > 1 and time.monotonic() < deadline:
            await asyncio.sleep(0.5)
        self.server("scale", SERVER, "--replicas", "3")
        open_ = [await Session(self.narrows, self.token).open() for _ in range(9)]
        checks = [("sessions work", [await session.echo() for session in open_] == [200] * 9)]
        checks.append((f"three processes: {processes(self.narrows)}", len(processes(self.narrows)) == 3))
        status, answer = self.ask("scale", replicas=1)
        checks.append((f"the API takes it back: {status} {answer}", status == 200))
        checks.append(("sessions go on", [await session.echo() for session in open_] == [200] * 9))
        for session in open_:
            session.caller.close()
        status, problem = self.ask("scale", replicas=65)
        checks.append((f"too many are refused: {status} {problem}", status == 422))
        said = self.server("scale", SERVER, "--replicas", "0")
        status, _ = await asyncio.to_thread(self.echo)
        checks.append((f"a stopped one runs no more: {said} {status}", status == 503 and self.look()["state"] == "Stopped"))
        checks.append(("nor can it be started anew", self.ask("restart")[0] == 409))
        deadline = time.monotonic() + 15
        while (left := processes(self.narrows)) and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        checks.append((f"none is left: {left}", not left))
        self.server("scale", SERVER, "--replicas", "1")
        checks.append(("it runs again", await asyncio.to_thread(self.echo) == (200, True)))
        return checks

    def killed(self):
        """What served serves again, whatever else is wanted."""
        before = self.look()
        self.server("update", SERVER, "--no-wait", "--", "/bin/false")
        self.wait(lambda found: found["state"] == "Failed")
        self.narrows.process.kill()
        self.narrows.process.wait()
        self.narrows.start()
        self.narrows.ready()
        yield "at once after a kill", self.echo() == (200, True)
        found = self.wait(lambda found: found["state"] == "Failed")
        yield f"and it is known that something else is wanted: {found}", found["serving"] == before["serving"]
        self.narrows.stop()
        said = self.server("rollback", SERVER)
        yield f"a change without `up` is taken: {said}", "comes up with it" in said
        yield "nothing can be started anew then", "no `narrows up` runs" in self.server("restart", SERVER, fails=True)
        self.narrows.start()
        self.narrows.ready()
        found = self.wait(lambda found: found["state"] == "Running")
        yield f"and it is as it was: {found}", self.echo() == (200, True)

    def recorded(self):
        history = self.server("history", SERVER)
        yield f"its history has the first reason: {history}", "first" in history and "created" in history
        found = json.loads(self.search("--kind", "server.state_changed"))
        states = [entry["record"].get("after", {}).get("state") for entry in found]
        yield f"states are recorded: {states}", {"Probing", "Running", "Failed", "Stopped"} <= set(states)
        for kind in ("deployed", "updated", "scaled", "restarted", "rolled_back"):
            found = json.loads(self.search("--kind", f"server.{kind}"))
            whole = all(entry["record"]["after"]["kind"] == "McpServer" for entry in found)
            yield f"`server.{kind}` is recorded, whole", found and whole
        gateway.narrows("delete", "--data-dir", self.narrows.data, "binding", "use-living-callers")
        gateway.narrows("delete", "--data-dir", self.narrows.data, "role", "use-living")
        self.server("remove", SERVER)
        yield "it is there no more", self.api.ask("GET", f"/servers/{SERVER}")[0] == 404 and self.echo()[0] == 404

    def search(self, *words):
        return gateway.narrows("audit", "search", "--data-dir", self.narrows.data, "--server", SERVER, *words, "--output", "json")


def check(processes_, narrows, api, out, tally):
    lives = Lives(processes_, narrows, api, out, tally)
    lives.check("a server is deployed once it answers", lives.deployed)
    lives.check("one that does not answer leaves what serves", lives.failing)
    lives.check("sessions stay where they are", lives.sessions)
    lives.check("sessions are spread over as many processes as are wanted", lives.scaled)
    lives.check("what served serves again after a kill", lives.killed)
    lives.check("all of it is recorded", lives.recorded)
