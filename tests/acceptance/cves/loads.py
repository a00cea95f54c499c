"""Little that costs much."""

import json
import time

import h2.config
import h2.connection
import h2.settings

from doors import Http2
from stage import text, unless


def template(stage):
    """Fails if matching a long name against a pattern of many stars takes long: backtracking would not end today."""
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    times = []
    for uri in (
        "file:///" + "a" * 8000,
        "file:///" + "a" * 1900 + "/" + "b" * 50,
        "file:///" + "{a}" * 1000,
        "file:///" + "{" * 2000 + "}" * 2000,
        "file:///" + "%61" * 1000,
        "file:///" + "*" * 2000,
    ):
        headers = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", "resources/read"),
            ("Mcp-Name", uri),
        ]
        body = json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": uri, "_meta": meta}}
        )
        begin = time.monotonic()
        answer = stage.post(headers, body)
        times.append(time.monotonic() - begin)
        granted = uri.endswith("b")
        yield from unless(
            answer.status == 200 if granted else 400 <= answer.status < 500, f"{uri[:20]}…: {text(answer)}"
        )
        begin = time.monotonic()
        refs = {
            "ref": {"type": "ref/resource", "uri": uri},
            "argument": {"name": "a", "value": "a" * 1000},
            "_meta": meta,
        }
        answer = stage.post(
            headers[:3] + [("Mcp-Method", "completion/complete")],
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": "completion/complete", "params": refs}),
        )
        times.append(time.monotonic() - begin)
        yield from unless(
            answer.status == 200 if granted else 400 <= answer.status < 500,
            f"completion of {uri[:20]}…: {text(answer)}",
        )
    yield from unless(max(times) < 2, f"it took {max(times):.1f} s")


def bomb(stage):
    """Headers that are small on the wire and large when unpacked, on many streams that are never read. Fails if the
    gateway unpacks them all: memory is bounded, and others are served in the meantime."""
    before, value = stage.memory(), "x" * 4000
    connections, unpacked = [], 0
    worst = 0
    for _ in range(20):
        client = Http2(stage.port)
        client.open()
        client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        client.socket.settimeout(2)
        fields = [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", f"127.0.0.1:{stage.port}".encode()),
            (b":path", b"/.well-known/oauth-protected-resource"),
        ]
        try:
            for _ in range(200):
                stream = client.h2.get_next_available_stream_id()
                # One entry in the table, named 1,500 times over: a byte each on the wire.
                client.h2.send_headers(stream, fields + [(b"x-bomb", value.encode())] * 1500, end_stream=True)
                data = client.h2.data_to_send()
                client.socket.sendall(data)
                unpacked += 1500 * len(value)
        except (OSError, h2.exceptions.ProtocolError):
            pass
        connections.append(client)
        begin = time.monotonic()
        answer = stage.call("safe_read")
        worst = max(worst, time.monotonic() - begin)
        yield from unless(answer.status == 200, f"another client meanwhile: {text(answer)}")
    grown = stage.memory() - before
    for client in connections:
        client.close()
    yield from unless(unpacked > 50 * 2**20, f"control: only {unpacked} bytes were meant to be unpacked")
    yield from unless(grown < 64 * 1024, f"it cost {grown} KiB")
    yield from unless(worst < 5, f"another client waited for {worst:.1f} s")


TESTS = [
    ("CVE-2026-0621", "typescript-sdk: matching a URI template took exponential time", template),
    ("HTTP/2 Bomb", "many servers, June 2026: headers that unpack to much, on streams that nobody reads", bomb),
]
