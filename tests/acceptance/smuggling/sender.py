"""Sends cases: each server has a few lanes, each lane a connection of each kind and a session of its own."""

import asyncio
import collections
import contextlib
import json

from .corpus.case import SESSIONS
from .wire import frames, http1, http2, octets

ACCEPT = "application/json, text/event-stream"


class Lane:
    """One after the other to one server: directly, or through Narrows."""

    def __init__(self, host, port, path, token=None):
        self.host, self.port, self.path, self.token = host, port, path, token
        self.authority = f"{host}:{port}"
        self.http1, self.http2 = http1.Http1(host, port), http2.Http2(host, port)
        self.sessions = {}

    def close(self):
        self.http1.close()
        self.http2.close()

    async def send(self, case, wire, mark):
        """What came back, in order."""
        if case.era == SESSIONS:
            await self.session(case.speaks)
        ctx = Sending(self, case, mark)
        if case.http1:
            return await http1.send_raw(self.host, self.port, case.http1(ctx))
        if case.http2:
            return await http2.send_raw(self.host, self.port, frames.OPENING + b"".join(case.http2(ctx)))
        body, headers = case.body(mark), changed(ctx.headers("safe_read"), case.headers)
        headers = [(name, value.replace("@M@", mark) if isinstance(value, str) else value) for name, value in headers]
        if wire == "h2":
            fields = [(":method", "POST"), (":scheme", "http"), (":path", self.path), (":authority", self.authority)]
            fields += [(name.lower(), value) for name, value in headers if name != "Host"]
            return [await self.http2.exchange(fields, body)]
        head = [b"POST " + self.path.encode() + b" HTTP/1.1"]
        head += [octets(name) + b": " + octets(value) for name, value in [*headers, ("Content-Length", str(len(body)))]]
        return [await self.http1.exchange(b"\r\n".join(head) + b"\r\n\r\n" + body)]

    async def session(self, revision):
        if revision in self.sessions:
            return
        identity = {"name": "smuggler", "version": "1"}
        params = {"protocolVersion": revision, "capabilities": {}, "clientInfo": identity}
        answer = await self.post({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}, [])
        if answer.status != 200 or "mcp-session-id" not in answer.headers:
            raise ConnectionError(f"no session of {self.path}: {answer}")
        self.sessions[revision] = answer.headers["mcp-session-id"]
        spoken = [("MCP-Protocol-Version", revision), ("Mcp-Session-Id", self.sessions[revision])]
        answer = await self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, spoken)
        if answer.status != 202:
            raise ConnectionError(f"no session of {self.path}: {answer}")

    async def post(self, message, headers, patience=90):
        body = json.dumps(message).encode()
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: {self.authority}",
            "Content-Type: application/json",
            f"Accept: {ACCEPT}",
        ]
        lines += [f"Authorization: Bearer {self.token}"] if self.token else []
        lines += [f"{name}: {value}" for name, value in headers] + [f"Content-Length: {len(body)}"]
        return await self.http1.exchange("\r\n".join(lines).encode() + b"\r\n\r\n" + body, patience)


class Sending:
    """What a case is told of where it goes."""

    def __init__(self, lane, case, mark):
        self.lane, self.case, self.mark = lane, case, mark
        self.era, self.path, self.token, self.host = case.era, lane.path, lane.token or "none", lane.authority

    def headers(self, tool):
        """The usual headers; all but the length."""
        out = [("Host", self.host), ("Content-Type", "application/json"), ("Accept", ACCEPT)]
        out += [("Authorization", f"Bearer {self.lane.token}")] if self.lane.token else []
        out.append(("MCP-Protocol-Version", self.case.speaks))
        if self.era == SESSIONS:
            return [*out, ("Mcp-Session-Id", self.lane.sessions[self.case.speaks])]
        return [*out, ("Mcp-Method", "tools/call"), ("Mcp-Name", tool)]


def changed(headers, changes):
    """The headers with those of a case in the place of theirs."""
    names = {name.lower() for name, _ in changes}
    out = [(name, value) for name, value in headers if name.lower() not in names]
    for name, value in changes:
        values = value if isinstance(value, list) else [] if value is None else [value]
        out += [(name, each) for each in values]
    return out


async def send_all(jobs, lanes, report):
    """Sends each job down a lane of its server. `jobs` are of `oracle.Sent`; `lanes` by the server's name."""
    queues = collections.defaultdict(collections.deque)
    for job in jobs:
        queues[job.endpoint.name].append(job)
    # All are one principal's, of whose bodies under way there may be 16 MiB: more would be told to come again.
    large = asyncio.Semaphore(3)

    async def work(name, lane):
        while queues[name]:
            job = queues[name].popleft()
            try:
                async with large if job.case.heavy else contextlib.nullcontext():
                    job.answers = await lane.send(job.case, job.wire, job.mark)
            except (OSError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
                report(job, error)

    await asyncio.gather(*(work(name, lane) for name in queues for lane in lanes[name]))
