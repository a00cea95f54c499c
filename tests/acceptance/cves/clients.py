"""What a server can have its client do, and what a caller can have the gateway fetch."""

import json
import time

from doors import stateless_call
from kit.wire import Http1
from stage import PATH, result, text, unless


def own_authority(stage):
    """Fails if a server that names its own authorisation server has anything sent there or gets a credential, or if it
    changes which issuers clients are told of."""
    lure = stage.lure.url
    document = json.dumps(
        {
            "resource": stage.server.url,
            "authorization_servers": [lure],
            "issuer": lure,
            "token_endpoint": f"{lure}/token",
            "registration_endpoint": f"{lure}/register",
        }
    ).encode()

    def script(handler, asked):
        status = 200 if handler.path.startswith("/.well-known") else 401
        challenge = f'Bearer realm="x", resource_metadata="{stage.server.origin}/.well-known/oauth-protected-resource", error="invalid_token"'
        handler.answer(
            status,
            document,
            [
                ("WWW-Authenticate", challenge),
                ("Content-Type", "application/json"),
                ("Link", f'<{lure}>; rel="authorization_server"'),
            ],
        )
        return True

    stage.server.script = script
    reached, answer = stage.reached(lambda: stage.call("safe_read"))
    yield from unless(answer.status == 502, text(answer))
    yield from unless(len(reached) == 1, f"control: {len(reached)} requests instead of the call alone")
    said = answer.every_byte()
    yield from unless(
        lure.encode() not in said and b"www-authenticate" not in said.lower(), "the server's challenge is handed on"
    )
    sent = b"".join(reached).lower()
    yield from unless(
        not any(
            word in sent for word in (b"authorization", b"client_secret", b"refresh_token", b"grant_type", b"cookie")
        ),
        "a credential was sent",
    )
    with Http1(stage.port) as client:
        told = json.loads(client.exchange("GET", f"/.well-known/oauth-protected-resource{PATH}", []).body)
    yield from unless(told["authorization_servers"] == [stage.world.issuer], f"clients are told of {told}")


def metadata_address(stage):
    """Fails if an address that a server gives as that of its metadata is fetched."""
    addresses = [
        stage.lure.url + "/meta",
        f"http://localhost:{stage.lure.port}/",
        f"http://[::ffff:127.0.0.1]:{stage.lure.port}/",
        f"http://2130706433:{stage.lure.port}/",
        f"http://127.1:{stage.lure.port}/",
        f"http://0x7f.1:{stage.lure.port}/",
        f"http://ok@127.0.0.1:{stage.lure.port}/",
        f"http://0.0.0.0:{stage.lure.port}/",
    ]
    for address in addresses:
        for status in (401, 403, 407, 200):

            def script(handler, asked, status=status, address=address):
                said = {
                    "jsonrpc": "2.0",
                    "id": asked["id"],
                    "result": {
                        "content": [],
                        "resultType": "complete",
                        "resource_metadata": address,
                        "$ref": address,
                        "icons": [{"src": address}],
                    },
                }
                handler.answer(
                    status,
                    json.dumps(said).encode(),
                    [
                        ("WWW-Authenticate", f'Bearer resource_metadata="{address}"'),
                        ("Content-Type", "application/json"),
                        ("Content-Location", address),
                    ],
                )
                return True

            stage.server.script = script
            answer = stage.call("safe_read")
            yield from unless(answer.status == (200 if status == 200 else 502), f"{status}, {address}: {text(answer)}")


def caller_header(stage):
    """Fails if a header of the caller chooses where a request goes, or goes on to the server."""
    names = (
        "X-Grafana-URL",
        "X-Server-URL",
        "X-MCP-Server-URL",
        "X-Upstream",
        "X-Upstream-URL",
        "X-Backend",
        "X-Target-URL",
        "X-Forwarded-Host",
        "X-Forwarded-Server",
        "X-Host",
        "X-Original-Host",
        "Forwarded",
        "X-Proxy-URL",
        "Proxy",
        "X-Destination",
        "X-Endpoint",
        "X-Api-Base",
        "X-Forwarded-For",
        "X-Real-IP",
        "Via",
        "Referer",
        "Location",
        "Cookie",
    )
    for name in names:
        value = f"host={stage.lure.url}" if name == "Forwarded" else stage.lure.url
        reached, answer = stage.reached(lambda: stage.call("safe_read", more=[(name, value)]))
        yield from unless(answer.status == 200 and len(reached) == 1, f"control: {name}: {text(answer)}")
        yield from unless(
            not any(str(stage.lure.port).encode() in request for request in reached), f"{name} goes on to the server"
        )


def argument(stage):
    """Fails if the gateway itself fetches an address in an argument, or connects to a server whose configured address
    is one of link-local, metadata or no place."""
    headers, _ = stateless_call()
    for address in (
        stage.lure.url,
        f"{stage.lure.url}/?x=169.254.169.254",
        "http://169.254.169.254/latest/meta-data/iam/",
    ):
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "progressToken": address,
            "icons": [{"src": address}],
        }
        params = {
            "name": "safe_read",
            "arguments": {"url": address, "$ref": address, "resource": address, "uri": address},
            "_meta": meta,
        }
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
        answer = stage.post(headers, body)
        yield from unless(
            answer.status == 200 and json.loads(result(answer))["url"] == address, f"control: {address}: {text(answer)}"
        )
    for server in ("metadata-service", "disguised", "unspecified", "mapped"):
        begin = time.monotonic()
        answer = stage.call("safe_read", path=f"/mcp/dev/{server}")
        yield from unless(answer.status in (404, 502, 503), f"{server}: {text(answer)}")
        yield from unless(time.monotonic() - begin < 5, f"{server}: it was tried for {time.monotonic() - begin:.1f} s")


TESTS = [
    (
        "CVE-2026-104850",
        "typescript-sdk: a server named its own authorisation server and was sent the client's secret",
        own_authority,
    ),
    ("CVE-2026-51994", "mcp-remote: the address in `resource_metadata` was fetched, wherever it led", metadata_address),
    ("CVE-2026-19516", "mcp-grafana: a header of the caller said which host to ask", caller_header),
    ("CVE-2026-26118", "Azure MCP: an argument led to an address within", argument),
]
