"""Sessions with an open stream that say nothing, and what memory each costs a proxy. A session is of revision
2025-06-18: `initialize`, then a GET that stays open, on a connection of its own to the proxy and one more from there.
"""

import json
import socket
import urllib.parse

from . import machine

INITIALIZE = json.dumps({
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
})
# Narrows gives one principal 256 requests in progress, streams included: so many share a token.
PER_TOKEN = 200
STEPS = 10


def measure(subject, count, tokens):
    """Opens `count` streams; KiB of each, as the slope of memory over their number, and the memory before."""
    parts = urllib.parse.urlsplit(subject.url)
    before = machine.memory(subject.pid, "VmRSS")
    points, streams = [(0, before)], []
    try:
        for number in range(1, count + 1):
            token = tokens((number - 1) // PER_TOKEN) if subject.headers else None
            streams.append(open_one(parts, token))
            if number % (count // STEPS) == 0:
                points.append((number, machine.memory(subject.pid, "VmRSS")))
        closed = ended(streams)
        if closed:
            raise SystemExit(f"error: {subject.name} closed {closed} of {count} idle streams")
    finally:
        for stream in streams:
            stream.close()
    return {"count": count, "before": before, "after": points[-1][1], "slope": slope(points)}


def open_one(parts, token):
    stream = socket.create_connection((parts.hostname, parts.port), timeout=10)
    credentials = {"Authorization": f"Bearer {token}"} if token else {}
    common = {"Host": parts.netloc, **credentials}
    status, headers, rest = exchange(stream, "POST", parts.path, {
        **common, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
        "Content-Length": str(len(INITIALIZE))}, INITIALIZE)
    session = headers.get("mcp-session-id")
    if status != 200 or not session:
        raise SystemExit(f"error: `initialize` was answered with {status}: {rest}")
    # The rest of the answer, so that the next answer begins where it is expected.
    left = int(headers["content-length"]) - len(rest)
    while left > 0:
        left -= len(stream.recv(left))
    status, headers, rest = exchange(stream, "GET", parts.path, {
        **common, "Accept": "text/event-stream", "Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-06-18"})
    if status != 200 or not headers.get("content-type", "").startswith("text/event-stream"):
        raise SystemExit(f"error: the stream was answered with {status}: {rest}")
    return stream


def exchange(stream, method, path, headers, body=""):
    """Sends a request and reads the head of its answer: status, headers, and what came of the body."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    stream.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
    data = b""
    while b"\r\n\r\n" not in data:
        piece = stream.recv(65536)
        if not piece:
            raise SystemExit(f"error: the connection was closed after {data!r}")
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    pairs = (field.partition(":") for field in fields)
    return int(status.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, rest


def ended(streams):
    """How many were closed by the other side. Comments that keep a stream open may have come."""
    closed = 0
    for stream in streams:
        stream.setblocking(False)
        try:
            while piece := stream.recv(65536):
                del piece
            closed += 1
        except BlockingIOError:
            pass
    return closed


def slope(points):
    """Least squares: how much more for one more."""
    count = len(points)
    x, y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)
