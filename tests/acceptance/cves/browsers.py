"""DNS rebinding: a web page whose name leads to this machine. Each of these libraries served it; the token that the page
would need does not matter, since it is refused before one is asked for."""

from doors import STREAM, Http2, initialize, stateless_call
from kit.wire import Http1, head
from stage import PATH, text, unless


def rebound(stage, hosts=(), origins=(), verbs=("POST", "GET", "DELETE"), versions=(Http1, Http2)):
    """Fails if a request under a foreign name, or of a foreign page, is answered as if it were ours, with a token or
    without one. As a control the same request is answered by a server that does not look."""
    for who in ("alice", None):
        for version in versions:
            for verb in verbs:
                for name, more in [
                    *((f"Host {host}", [("Host", host)]) for host in hosts),
                    *((f"Origin {origin}", [("Origin", origin)]) for origin in origins),
                ]:
                    usual, body = (
                        stateless_call() if verb == "POST" else ((STREAM, b"") if verb == "GET" else ([], b""))
                    )
                    with version(stage.port) as client:
                        reached, answer = stage.reached(
                            lambda: client.exchange(verb, PATH, [*usual, *stage.bearer(who), *more], body)
                        )
                    yield from unless(
                        answer.status in (400, 403, 421) and not reached,
                        f"{verb}, {name}, {who}, {version.name}: {text(answer)}",
                    )
                    yield from unless(
                        answer.header(b"access-control-allow-origin") is None,
                        f"{verb}, {name}: a page may read the answer",
                    )
    port = int(stage.server.origin.rsplit(":", 1)[1])
    usual, body = stateless_call()
    for more in ([("Host", host) for host in hosts[:1]], [("Origin", origin) for origin in origins[:1]]):
        if more:
            with Http1(port) as client:
                unguarded = client.exchange("POST", "/mcp", [*usual, *more], body)
            yield from unless(unguarded.status == 200, f"control: a server that does not look: {text(unguarded)}")


def rust(stage):
    port = stage.port
    return rebound(
        stage,
        [
            "attacker.example",
            f"attacker.example:{port}",
            f"127.0.0.1.attacker.example:{port}",
            f"169.254.169.254:{port}",
        ],
    )


def typescript(stage):
    """The defence was off unless asked for: here nothing asks for it."""
    port = stage.port
    yield from rebound(
        stage,
        [f"localhost.attacker.example:{port}", f"localtest.me:{port}", f"127.0.0.1.nip.io:{port}"],
        ["https://attacker.example", "http://localhost.attacker.example", f"http://attacker.example:{port}"],
        verbs=("POST",),
    )
    # What a page can send without asking first: a simple request.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        headers, body = initialize()
        reached, answer = stage.reached(
            lambda: stage.post(
                [("Content-Type", kind), ("Accept", "*/*"), ("Origin", "https://attacker.example")], body
            )
        )
        yield from unless(
            400 <= answer.status < 500 and not reached, f"a simple request of type {kind}: {text(answer)}"
        )


def go(stage):
    port = stage.port
    hosts = [
        f"127.0.0.1.:{port}",
        f"[::2]:{port}",
        f"127.0.0.2:{port}",
        f"0.0.0.0:{port}",
        f"127.1:{port}",
        f"2130706433:{port}",
        f"127.0.0.1:{port}.attacker.example",
        "127.0.0.1:99999",
        "127.0.0.1:x",
    ]
    yield from rebound(stage, hosts, verbs=("POST",))
    headers, body = stateless_call()
    with Http1(port) as client:
        usual = [*headers, *stage.bearer()]
        length = ("Content-Length", str(len(body)))
        none = head("POST", PATH, [*usual, length], "x").replace(b"Host: x\r\n", b"") + body
        two = (
            head("POST", PATH, [("Host", f"127.0.0.1:{port}"), ("Host", "attacker.example"), *usual, length], "") + body
        )
        absolute = (
            head("POST", f"http://attacker.example{PATH}", [("Host", f"127.0.0.1:{port}"), *usual, length], "") + body
        )
        ours = head("POST", f"http://127.0.0.1:{port}{PATH}", [("Host", "attacker.example"), *usual, length], "") + body
        for name, request in (
            ("no Host", none),
            ("two Hosts", two),
            ("another host in the target", absolute),
            ("our host in the target, another in Host", ours),
        ):
            reached, answer = stage.reached(lambda: client.raw(request))
            yield from unless(400 <= answer.status < 500 and not reached, f"{name}: {text(answer)}")
            client.close()


def java(stage):
    origins = [
        "null",
        "https://attacker.example",
        f"https://127.0.0.1:{stage.port}",
        f"https://127.0.0.1:{stage.port}.attacker.example",
        "file://",
        "chrome-extension://abc",
        f"http://127.0.0.1.:{stage.port}",
        "http://",
        "x",
    ]
    return rebound(stage, [], origins, verbs=("POST", "GET"))


def ruby(stage):
    """The check was there for one verb, and not for the others."""
    yield from rebound(stage, [f"attacker.example:{stage.port}"], ["https://attacker.example"], verbs=("GET", "DELETE"))
    for verb in ("OPTIONS", "HEAD", "PUT", "PATCH", "TRACE"):
        with Http1(stage.port) as client:
            more = [
                ("Origin", "https://attacker.example"),
                ("Access-Control-Request-Method", "POST"),
                ("Access-Control-Request-Headers", "authorization"),
            ]
            answer = client.exchange(verb, PATH, [*stage.bearer(), *more])
        yield from unless(answer.status in (403, 405), f"{verb}: {text(answer)}")
        yield from unless(answer.header(b"access-control-allow-origin") is None, f"{verb}: a page may go on")


TESTS = [
    ("CVE-2026-42559", "rmcp < 1.4 (RUSTSEC-2026-0189): DNS rebinding, `Host` not looked at", rust),
    ("CVE-2025-66414", "typescript-sdk: DNS rebinding, the defence off by default", typescript),
    ("CVE-2026-34742", "go-sdk: DNS rebinding, other spellings of `Host`", go),
    ("CVE-2026-35568", "java-sdk: DNS rebinding, `Origin` not looked at", java),
    ("CVE-2026-63118", "ruby-sdk: DNS rebinding, not for every verb", ruby),
]
