"""HTTP/2 at the frames: pseudo-headers, names, lengths, trailers. Each has a connection of its own."""

from ..wire import frames
from .case import EITHER, ERAS, EVIL, RUNS, SAFE, Group, call, utf8
from .paths import HOSTS, MEANINGLESS, METHODS, ORIGINS, PATHS, filled


def fields(ctx, tool, changes=(), first=()):
    """The fields of a sound request, changed: a value replaces, None removes, a list stands there as often as it is long."""
    out = [*first, (":method", "POST"), (":scheme", "http"), (":path", ctx.path), (":authority", ctx.host)]
    out += [(name.lower(), value) for name, value in ctx.headers(tool.strip('"')) if name != "Host"]
    for name, value in changes:
        here = next((index for index, (found, _) in enumerate(out) if found == name), len(out))
        out = [field for field in out if field[0] != name]
        values = value if isinstance(value, list) else [] if value is None else [value]
        out[here:here] = [(name, each) for each in values]
    return out


def body_of(ctx, tool):
    return utf8(call(ctx.era, tool))(ctx.mark)


class H2(Group):
    def both(self, name, make, expect="refused", tools=(SAFE, EVIL)):
        for era in ERAS:
            for tool in tools:
                given = "refused" if tool == EVIL and expect == RUNS else expect
                self.add(
                    f"{name}, {tool}",
                    era,
                    "",
                    given,
                    http2=lambda ctx, make=make, tool=tool: make(ctx, tool),
                    malformed=False,
                )

    def changed(self, name, changes, expect="refused", tools=(SAFE, EVIL)):
        changes = changes if callable(changes) else lambda ctx, changes=changes: changes
        self.both(
            name, lambda ctx, tool: frames.request(fields(ctx, tool, changes(ctx)), body_of(ctx, tool)), expect, tools
        )


def fields_and_names():
    group = H2("HTTP/2 fields")
    group.changed("sound", (), RUNS)
    for name in ("Mcp-Name", "MCP-PROTOCOL-VERSION", "X-Upper", "Content-Type", "Host", "Authorization"):
        group.changed(f"a capital: {name}", ((name, "x"),))
    for name, value in {
        "connection": "close",
        "connection ": "close",
        "keep-alive": "1",
        "proxy-connection": "x",
        "transfer-encoding": "chunked",
        "upgrade": "h2c",
        "te": "gzip",
        "te ": "trailers",
        "http2-settings": "AAA",
        "connection: keep": "x",
    }.items():
        expect = EITHER if name == "http2-settings" else "refused"
        group.changed(f"of a connection: {name}: {value}", ((name, value),), expect)
    group.changed("te: trailers", (("te", "trailers"),), RUNS)
    # The library takes quotes in a name; nobody reads such a field.
    group.changed("name in quotes", (('"x"', "admin_delete"),), EITHER)
    for name in (
        "x y",
        "x:y",
        ":x",
        "x\r\ny",
        "x\0",
        "x\n",
        "",
        "x\u00e9",
        "x(",
        "x\x7f",
        "x\t",
        "mcp-name ",
        " mcp-name",
        "mcp-name\0",
        "mcp-name\r",
        "mcp-name:",
    ):
        group.changed(f"name {name!r}", ((name, "admin_delete"),))
    for value in (
        "a\r\nmcp-name: admin_delete",
        "a\nx: y",
        "a\rx: y",
        "a\0b",
        "a\r\n\r\nPOST /mcp/dev/x HTTP/1.1\r\n\r\n",
        "\r",
        "\n",
        "a\x7f",
    ):
        for name in ("x", "mcp-name", "authorization", "content-type"):
            group.changed(f"{name}: {value[:20]!r}", ((name, value),))
    for name, value in {"x": "a\tb", "user-agent": "caf\u00e9", "x-empty": "", "x-long": "y" * 8000}.items():
        group.changed(f"an odd value of {name}", ((name, value),), RUNS)
    for name in (":method", ":scheme", ":path", ":authority"):
        again = {":method": "GET", ":scheme": "https", ":path": "/x", ":authority": "evil.example"}[name]
        group.changed(f"{name} missing", ((name, None),))
        # The scheme is not read.
        group.changed(f"{name} empty", ((name, ""),), EITHER if name == ":scheme" else "refused")
        group.both(f"{name} twice", lambda ctx, tool, name=name: _with(ctx, tool, name, lambda value: [value, value]))
        group.both(
            f"{name} twice, another last",
            lambda ctx, tool, name=name, again=again: _with(ctx, tool, name, lambda value: [value, again]),
        )
        group.both(
            f"{name} twice, another first",
            lambda ctx, tool, name=name, again=again: _with(ctx, tool, name, lambda value: [again, value]),
        )
        group.both(f"{name} after the rest", lambda ctx, tool, name=name: _last(ctx, tool, name))
    for name in (":status", ":protocol", ":x", ":host", ":authority ", ":mcp-name", "::path", ":"):
        group.both(
            f"{name} as well",
            lambda ctx, tool, name=name: frames.request(fields(ctx, tool, first=((name, "x"),)), body_of(ctx, tool)),
        )
    for scheme in ("https", "ftp", "HTTP", "javascript", "http ", "http\0", "x", "http://evil.example/", "file"):
        group.changed(f"scheme {scheme!r}", ((":scheme", scheme),), EITHER)
    group.changed("host as authority", lambda ctx: ((":authority", None), ("host", ctx.host)), RUNS)
    group.changed("host and authority", lambda ctx: (("host", ctx.host),), RUNS)
    group.changed("another host", (("host", "evil.example"),))
    group.changed("another authority", lambda ctx: ((":authority", "evil.example"), ("host", ctx.host)))
    group.changed("two hosts", lambda ctx: (("host", [ctx.host, "evil.example"]),))
    group.changed("two hosts, the same", lambda ctx: (("host", [ctx.host, ctx.host]),))
    group.changed("an empty host", (("host", ""),))
    for name in ("mcp_name", "mcp_method", "mcp_param_x", "mcp_session_id"):
        group.changed(name, ((name, "admin_delete"),))
    for name, values in {
        "mcp-name": ["safe_read", "admin_delete"],
        "mcp-method": ["tools/call", "tools/list"],
        "mcp-protocol-version": ["2026-07-28", "2025-11-25"],
        "mcp-session-id": ["a", "b"],
        "mcp-param-x": ["a", "a"],
        "content-type": ["application/json", "text/plain"],
        "content-encoding": ["gzip", "identity"],
        "authorization": ["Bearer a", "Bearer b"],
        "origin": ["http://localhost", "http://evil.example"],
        "last-event-id": ["a", "b"],
        "content-length": ["1", "2"],
    }.items():
        group.changed(f"twice {name}", ((name, values),))
        group.changed(f"twice {name}, turned", ((name, values[::-1]),))
        group.changed(f"twice {name}, the same", ((name, [values[0], values[0]]),))
    for name, value in MEANINGLESS:
        if name not in ("Upgrade", "Expect", "TE", "Mcp-Authorization"):
            group.changed(f"{name}: {value}", ((name.lower(), value),), RUNS)
    group.both(
        "never indexed",
        lambda ctx, tool: [
            frames.frame(frames.HEADERS, 4, 1, frames.block(fields(ctx, tool), 0x10)),
            frames.frame(frames.DATA, 1, 1, body_of(ctx, tool)),
        ],
        RUNS,
    )
    group.both(
        "indexed, in a table of no size",
        lambda ctx, tool: [
            frames.frame(frames.HEADERS, 4, 1, frames.block(fields(ctx, tool), 0x40)),
            frames.frame(frames.DATA, 1, 1, body_of(ctx, tool)),
        ],
        EITHER,
    )
    group.both(
        "a field of the table that is not there",
        lambda ctx, tool: [
            frames.frame(frames.HEADERS, 4, 1, frames.block(fields(ctx, tool)) + b"\xff\x80\x01"),
            frames.frame(frames.DATA, 1, 1, body_of(ctx, tool)),
        ],
    )
    group.both(
        "a block that is cut",
        lambda ctx, tool: [
            frames.frame(frames.HEADERS, 4, 1, frames.block(fields(ctx, tool))[:-3]),
            frames.frame(frames.DATA, 1, 1, body_of(ctx, tool)),
        ],
    )
    group.changed("200 fields", tuple((f"x{n}", "y") for n in range(200)), EITHER)
    group.changed("a field of 40,000 bytes", (("x", "y" * 40_000),))
    return group.cases


def _with(ctx, tool, name, values):
    value = dict(fields(ctx, tool))[name]
    return frames.request(fields(ctx, tool, ((name, values(value)),)), body_of(ctx, tool))


def _last(ctx, tool, name):
    given = fields(ctx, tool)
    value = dict(given)[name]
    return frames.request([field for field in given if field[0] != name] + [(name, value)], body_of(ctx, tool))


def bodies():
    """Lengths that are not true, bodies where there should be none, trailers, frames in disorder."""
    group = H2("HTTP/2 bodies and frames")
    length = lambda ctx, tool: len(body_of(ctx, tool))
    right = lambda ctx, tool, value: frames.request(fields(ctx, tool, (("content-length", value),)), body_of(ctx, tool))
    group.both("a true length", lambda ctx, tool: right(ctx, tool, str(length(ctx, tool))), RUNS)
    for name, value in {
        "one less": lambda n: n - 1,
        "one more": lambda n: n + 1,
        "0": lambda n: 0,
        "negative": lambda n: -n,
        "a plus": lambda n: f"+{n}",
        "hexadecimal": lambda n: hex(n),
        "a list": lambda n: f"{n}, {n}",
        "empty": lambda n: "",
        "a word": lambda n: "x",
        "huge": lambda n: 1 << 64,
        "a space": lambda n: f"{n} ",
        "a fraction": lambda n: f"{n}.0",
        "4 GiB more": lambda n: n + (1 << 32),
    }.items():
        expect = EITHER if name == "a space" else "refused"
        group.both(
            f"length: {name}", lambda ctx, tool, value=value: right(ctx, tool, str(value(length(ctx, tool)))), expect
        )
    group.both("length twice, the same", lambda ctx, tool: right(ctx, tool, [str(length(ctx, tool))] * 2))
    group.both("length twice", lambda ctx, tool: right(ctx, tool, [str(length(ctx, tool)), "1"]))
    group.both(
        "length and coding",
        lambda ctx, tool: frames.request(
            fields(ctx, tool, (("content-length", str(length(ctx, tool))), ("transfer-encoding", "chunked"))),
            body_of(ctx, tool),
        ),
    )
    for method in METHODS:
        if method != "CONNECT":
            group.changed(f"method {method}", ((":method", method),))
    for method in (
        "POST /mcp/dev/x HTTP/1.1\r\nX: y\r\n\r\n",
        "POST\r\n",
        "POST ",
        " POST",
        "PO ST",
        "POST\0",
        "",
        "P\u00d6ST",
    ):
        group.changed(f"method {method[:12]!r}", ((":method", method),))
    group.both(
        "CONNECT",
        lambda ctx, tool: frames.request(
            fields(ctx, tool, ((":method", "CONNECT"), (":scheme", None), (":path", None))), body_of(ctx, tool)
        ),
    )
    group.both(
        "CONNECT with a protocol",
        lambda ctx, tool: frames.request(
            fields(ctx, tool, ((":method", "CONNECT"),), first=((":protocol", "websocket"),)), body_of(ctx, tool)
        ),
    )
    for path in PATHS:
        expect = EITHER if path.startswith("/.well-known/oauth") else "refused"
        group.changed(
            f"path {path[:40]}", lambda ctx, path=path: ((":path", filled(path, ctx)),), expect, tools=(SAFE,)
        )
    for path in (
        "*",
        "@P@#x",
        "@P@ HTTP/1.1",
        "@P@\r\nx: y",
        "@P@\0",
        "@P@ ",
        " @P@",
        "@P@\u00e9",
        "http://evil.example@P@",
        "http://localhost@P@",
        "mcp/dev/x",
        "@P@\t",
    ):
        group.changed(
            f"path {path!r}",
            lambda ctx, path=path: ((":path", filled(path, ctx)),),
            EITHER if path == "@P@#x" else "refused",
        )
    for host in HOSTS:
        group.changed(f"authority {host!r}", ((":authority", host),), tools=(SAFE,))
    for origin in ORIGINS:
        group.changed(f"origin {origin!r}", (("origin", origin),), tools=(SAFE,))
    for name, trailers in {
        "a name": [("mcp-name", "admin_delete")],
        "a method": [("mcp-method", "tools/list")],
        "a version": [("mcp-protocol-version", "2025-11-25")],
        "a token": [("authorization", "Bearer x")],
        "a length": [("content-length", "1")],
        "a session": [("mcp-session-id", "x")],
        "anything": [("x", "y")],
        "nothing": [],
        "a host": [("host", "evil.example")],
        "two names": [("mcp-name", "safe_read"), ("mcp-name", "admin_delete")],
        "a pseudo-header": [(":path", "/x")],
        "a capital": [("X", "y")],
        "a coding": [("transfer-encoding", "chunked")],
    }.items():
        group.both(
            f"trailers: {name}",
            lambda ctx, tool, trailers=trailers: frames.request(
                fields(ctx, tool), body_of(ctx, tool), trailers=trailers
            ),
            EITHER,
        )
        group.both(
            f"trailers, nothing before: {name}",
            lambda ctx, tool, trailers=trailers: frames.request(fields(ctx, tool), b"", trailers=trailers),
        )
    head = lambda ctx, tool, flags=4: frames.frame(frames.HEADERS, flags, 1, frames.block(fields(ctx, tool)))
    data = lambda ctx, tool, flags=1, stream=1: frames.frame(frames.DATA, flags, stream, body_of(ctx, tool))
    group.both("no end", lambda ctx, tool: [head(ctx, tool), data(ctx, tool, 0)])
    group.both("data after the end", lambda ctx, tool: [head(ctx, tool), data(ctx, tool), data(ctx, tool)], EITHER)
    group.both("data before the head", lambda ctx, tool: [data(ctx, tool), head(ctx, tool), data(ctx, tool)])
    group.both("two heads", lambda ctx, tool: [head(ctx, tool), head(ctx, EVIL), data(ctx, tool)])
    group.both("the end in the head, then data", lambda ctx, tool: [head(ctx, tool, 5), data(ctx, tool)])
    group.both("a head after the end", lambda ctx, tool: [head(ctx, tool), data(ctx, tool), head(ctx, EVIL, 5)], EITHER)
    group.both(
        "padded",
        lambda ctx, tool: [head(ctx, tool), frames.frame(frames.DATA, 9, 1, b"\x08" + body_of(ctx, tool) + b"\0" * 8)],
        RUNS,
    )
    group.both(
        "padding that is not zero",
        lambda ctx, tool: [
            head(ctx, tool),
            frames.frame(frames.DATA, 9, 1, b"\x08" + body_of(ctx, tool) + b'"x":"y"}'),
        ],
        EITHER,
    )
    group.both(
        "more padding than data",
        lambda ctx, tool: [head(ctx, tool), frames.frame(frames.DATA, 9, 1, b"\xff" + body_of(ctx, tool)[:50])],
    )
    group.both(
        "a padded head",
        lambda ctx, tool: [
            frames.frame(frames.HEADERS, 12, 1, b"\x04" + frames.block(fields(ctx, tool)) + b"\0" * 4),
            data(ctx, tool),
        ],
        RUNS,
    )
    group.both(
        "a head with a priority",
        lambda ctx, tool: [
            frames.frame(frames.HEADERS, 36, 1, b"\0\0\0\0\x10" + frames.block(fields(ctx, tool))),
            data(ctx, tool),
        ],
        RUNS,
    )
    group.both(
        "a head that depends on itself",
        lambda ctx, tool: [
            frames.frame(frames.HEADERS, 36, 1, b"\0\0\0\x01\x10" + frames.block(fields(ctx, tool))),
            data(ctx, tool),
        ],
    )
    group.both(
        "a byte a frame",
        lambda ctx, tool: [
            head(ctx, tool),
            *(frames.frame(frames.DATA, 0, 1, bytes([byte])) for byte in body_of(ctx, tool)),
            frames.frame(frames.DATA, 1, 1),
        ],
        RUNS,
    )
    group.both(
        "empty frames between",
        lambda ctx, tool: [
            head(ctx, tool),
            frames.frame(frames.DATA, 0, 1),
            data(ctx, tool, 0),
            frames.frame(frames.DATA, 0, 1),
            frames.frame(frames.DATA, 1, 1),
        ],
        RUNS,
    )
    cut = lambda ctx, tool, at: (frames.block(fields(ctx, tool))[:at], frames.block(fields(ctx, tool))[at:])
    group.both(
        "a head in two",
        lambda ctx, tool: [
            frames.frame(frames.HEADERS, 0, 1, cut(ctx, tool, 40)[0]),
            frames.frame(frames.CONTINUATION, 4, 1, cut(ctx, tool, 40)[1]),
            data(ctx, tool),
        ],
        RUNS,
    )
    group.both(
        "a head in two, data between",
        lambda ctx, tool: [
            frames.frame(frames.HEADERS, 0, 1, cut(ctx, tool, 40)[0]),
            data(ctx, tool, 0),
            frames.frame(frames.CONTINUATION, 4, 1, cut(ctx, tool, 40)[1]),
            data(ctx, tool),
        ],
    )
    group.both(
        "a head in two, on another stream",
        lambda ctx, tool: [
            frames.frame(frames.HEADERS, 0, 1, cut(ctx, tool, 40)[0]),
            frames.frame(frames.CONTINUATION, 4, 3, cut(ctx, tool, 40)[1]),
            data(ctx, tool),
        ],
    )
    group.both(
        "a continuation of nothing",
        lambda ctx, tool: [frames.frame(frames.CONTINUATION, 4, 1, frames.block(fields(ctx, tool))), data(ctx, tool)],
    )
    for stream in (0, 2, 0x7FFFFFFF):
        expect = EITHER if stream == 0x7FFFFFFF else "refused"
        group.both(
            f"stream {stream}",
            lambda ctx, tool, stream=stream: [
                frames.frame(frames.HEADERS, 4, stream, frames.block(fields(ctx, tool))),
                data(ctx, tool, 1, stream),
            ],
            expect,
        )
    group.both(
        "a stream that goes back",
        lambda ctx, tool: [
            *frames.request(fields(ctx, SAFE), body_of(ctx, SAFE), 5),
            *frames.request(fields(ctx, EVIL), body_of(ctx, EVIL), 3),
        ],
        EITHER,
    )
    group.both(
        "the same stream again",
        lambda ctx, tool: [
            *frames.request(fields(ctx, SAFE), body_of(ctx, SAFE)),
            *frames.request(fields(ctx, EVIL), body_of(ctx, EVIL)),
        ],
        EITHER,
    )
    group.both("an allowed and a denied stream, mixed", lambda ctx, tool: mixed(ctx), EITHER)
    group.both(
        "reset before the body",
        lambda ctx, tool: [head(ctx, tool), frames.frame(frames.RST_STREAM, 0, 1, b"\0\0\0\x08"), data(ctx, tool)],
        EITHER,
    )
    group.both(
        "a promise",
        lambda ctx, tool: [
            frames.frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\x02" + frames.block(fields(ctx, tool))),
            head(ctx, tool),
            data(ctx, tool),
        ],
    )
    group.both(
        "an unknown frame",
        lambda ctx, tool: [
            frames.frame(0x42, 0, 1, b"admin_delete"),
            head(ctx, tool),
            frames.frame(0x42, 0, 1, b"x"),
            data(ctx, tool),
        ],
        EITHER,
    )
    group.both(
        "a frame above the size",
        lambda ctx, tool: [head(ctx, tool), frames.frame(frames.DATA, 1, 1, body_of(ctx, tool) + b" " * 20_000)],
    )
    group.both(
        "a length of a frame that is not true",
        lambda ctx, tool: [head(ctx, tool), frames.frame(frames.DATA, 1, 1, body_of(ctx, tool), length=9000)],
    )
    group.both(
        "HTTP/1.1 in a frame",
        lambda ctx, tool: [
            head(ctx, tool),
            frames.frame(
                frames.DATA,
                1,
                1,
                b"POST %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % ctx.path.encode() + body_of(ctx, tool),
            ),
        ],
    )
    group.both(
        "chunks in a frame",
        lambda ctx, tool: [
            head(ctx, tool),
            frames.frame(frames.DATA, 1, 1, b"%x\r\n%s\r\n0\r\n\r\n" % (length(ctx, tool), body_of(ctx, tool))),
        ],
    )
    return group.cases


def mixed(ctx):
    safe, evil = frames.request(fields(ctx, SAFE), body_of(ctx, SAFE), 1), frames.request(
        fields(ctx, EVIL), body_of(ctx, EVIL), 3
    )
    return [safe[0], evil[0], evil[1], safe[1]]
