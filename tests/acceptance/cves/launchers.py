"""Endpoints that start what a request names, and addresses that a server says to open."""

import os
import pathlib
import subprocess

from kit.gateway import places
from kit.processes import free_port
from kit.wire import Http1
from stage import text, unless

# Endpoints of others that ran a command, listed what could be run, or let themselves be configured by anybody.
LAUNCHERS = [
    "/stdio",
    "/sse",
    "/message",
    "/config",
    "/health",
    "/api/mcp/connect",
    "/api/mcp/servers",
    "/mcp-rest/test/connection",
    "/mcp-rest/test/tools/list",
    "/mcp-rest/tools/call",
    "/v1/mcp/server",
    "/api/v1/servers",
    "/servers",
    "/gateways",
    "/admin",
    "/admin/gateways/test",
    "/debug/pprof/",
    "/actuator/env",
    "/run",
    "/exec",
    "/mcp/test",
    "/mcp/dev",
    "/mcp/dev/recorder/test",
    "/register",
    "/authorize",
    "/token",
    "/callback",
    "/oauth/callback",
    "/login",
    "/.well-known/oauth-authorization-server",
]


def children(stage):
    """Processes that the gateway has started."""
    tasks = pathlib.Path(f"/proc/{stage.process.pid}/task").iterdir()
    return {child for task in tasks for child in (task / "children").read_text().split()}


def launched(stage, paths, verbs=("GET", "POST", "PUT")):
    """Asks for a command to be run in every way that was possible somewhere. It fails if any path answers as if there
    were something (2xx, 3xx or 5xx), if a file appears, or if the gateway has started a process."""
    made = stage.out / "launched"
    command = f"touch {made}"
    query = f"?transportType=stdio&command=touch&args={made}&serverCommand=touch"
    body = (
        f'{{"serverConfig":{{"command":"touch","args":["{made}"]}},"serverId":"x","command":"touch","args":["{made}"],'
        f'"transport":"stdio","stdio_config":{{"command":"touch","args":["{made}"]}},"server_name":"$({command})"}}'
    )
    json_body = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")]
    problems, before = [], children(stage)
    for port in (stage.port, stage.admin):
        with Http1(port) as client:
            for path in paths:
                for verb in verbs:
                    for who in (None, "alice"):
                        for target in (path, path + query):
                            answer = client.exchange(
                                verb, target, [*json_body, *stage.bearer(who)], body.encode() if verb != "GET" else b""
                            )
                            if not 400 <= answer.status < 500:
                                problems.append(f"{verb} {target.split('?')[0]}: {text(answer)}")
    problems += unless(not made.exists(), "a command was run")
    problems += unless(children(stage) == before, "a process was started")
    return problems


def inspector(stage):
    """Fails besides if any of its sockets listens beyond loopback."""
    yield from launched(stage, ["/stdio", "/sse", "/message", "/config"])
    listening = listeners(stage.process.pid)
    yield from unless(len(listening) >= 2, f"control: it listens at {listening}")
    yield from (f"it listens at {address}" for address in listening if not address.startswith("127."))


def listeners(pid):
    """The addresses at which a process listens, by the kernel's account."""
    sockets = set()
    for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(os.readlink(descriptor))
        except OSError:
            pass
    found = []
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                address = fields[1].split(":")[0]
                octets = [str(int(address[index : index + 2], 16)) for index in (6, 4, 2, 0)]
                found.append(".".join(octets) if table == "tcp" else f"[{address}]")
    return found


def jam(stage):
    """Fails besides if it can be started beyond loopback without TLS and without being told that this is unsafe."""
    yield from launched(stage, ["/api/mcp/connect", "/api/mcp/servers", "/api/mcp/tools/execute"])
    for address in ("0.0.0.0", "[::]"):
        command = [
            places.binary("narrows"),
            "up",
            "--data-dir",
            stage.out / "open",
            "--listen",
            f"{address}:{free_port()}",
            "--admin-listen",
            f"127.0.0.1:{free_port()}",
            # Without it, that it is not given would be reason enough.
            "--public-url",
            "http://mcp.example.com",
        ]
        yield from refuses(command, "reaches beyond this machine without TLS")
    command = [
        places.binary("narrows"),
        "up",
        "--data-dir",
        stage.out / "open",
        "--listen",
        f"127.0.0.1:{free_port()}",
        "--admin-listen",
        f"0.0.0.0:{free_port()}",
    ]
    yield from refuses(command, "health and metrics ask for no token")


def refuses(command, words):
    """A command has to end by itself, with an error in these words."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=15)
    except subprocess.TimeoutExpired:
        return [f"`{' '.join(map(str, command[1:]))}` runs"]
    return unless(
        done.returncode in (1, 2) and done.stderr.startswith("error:") and words in done.stderr,
        f"exit {done.returncode}, not for `{words}`: {done.stderr[:200]}",
    )


def lite_llm(stage):
    return launched(stage, LAUNCHERS)


def remote(stage):
    """A server asks for authorisation with addresses that are commands. Fails if any of them is opened, run, or handed
    on to the client, which would have to know better."""
    made = stage.out / "opened"
    for address in (
        f"$(touch {made})",
        f"file:///bin/touch?{made}",
        f"{stage.lure.url}/authorize?x=`touch {made}`",
        f"a:$(touch${{IFS}}{made})?response_type=code",
        "javascript:alert(1)",
    ):
        challenge = f'Bearer resource_metadata="{stage.lure.url}/.well-known/x", authorization_uri="{address}"'
        for status, more in (
            (401, []),
            (403, []),
            (302, [("Location", address)]),
            (307, [("Location", stage.lure.url)]),
        ):

            def script(handler, _, status=status, more=more, challenge=challenge):
                handler.answer(
                    status,
                    b"{}",
                    [
                        ("WWW-Authenticate", challenge),
                        ("Content-Type", "application/json"),
                        ("Refresh", f"0; url={stage.lure.url}"),
                        *more,
                    ],
                )
                return True

            before = children(stage)
            stage.server.script = script
            answer = stage.call("safe_read")
            said = answer.every_byte()
            yield from unless(answer.status == 502, f"{status}: {text(answer)}")
            yield from unless(
                b"touch" not in said and stage.lure.url.encode() not in said and b"javascript" not in said,
                f"{status}: the address is handed on: {said[:300]}",
            )
            yield from unless(
                answer.header(b"www-authenticate") is None and answer.header(b"location") is None,
                f"{status}: the challenge is handed on",
            )
            yield from unless(children(stage) == before, "a process was started")
    yield from unless(not made.exists(), "a command was run")


TESTS = [
    ("CVE-2025-6514", "mcp-remote: an authorisation address from a server reached a shell", remote),
    ("CVE-2025-49596", "Inspector: anybody could have a process started, on all addresses", inspector),
    ("CVE-2026-23744", "MCPJam: anybody could have a process started, on all addresses", jam),
    ("CVE-2026-42271", "LiteLLM: an endpoint that tests connections ran the caller's command", lite_llm),
]
