"""Bodies that two parsers read differently."""

import json

from doors import JSON, STATELESS_ERA, in_session
from stage import text, unless

LONG_S, KELVIN = "\u017f", "\u212a"


def members(*pairs):
    """A JSON object as it is written, doubled names and all."""
    return (
        "{"
        + ",".join(
            f'"{name}":{value if isinstance(value, str) and value[:1] in "{[" else json.dumps(value)}'
            for name, value in pairs
        )
        + "}"
    )


META = '{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}'


def call(*params, method="tools/call", more=(), first=()):
    meta = ("_meta", META)
    return members(
        *first,
        ("jsonrpc", "2.0"),
        ("id", 1),
        ("method", method),
        ("params", members(*params, ("arguments", "{}"), meta)),
        *more,
    )


def folding(body, name):
    """What a parser reads that takes names without regard for case, as Go's did: the last that matches."""

    def fold(text):
        return text.lower().replace(LONG_S, "s").replace(KELVIN, "k").split("\0")[0]

    found = []

    def pairs(members):
        found.extend(value for key, value in members if fold(key) == name)
        return dict(members)

    json.loads(body, object_pairs_hook=pairs)
    return found[-1] if found else None


# What a body can be read as: the method and the tool that the headers of a stateless request then name.
SAFE, DENIED, PING = ("tools/call", "safe_read"), ("tools/call", "admin_delete"), ("ping", None)


def ways(stage, body, readings):
    """A body in a session, where it has no `_meta`, and without one: there the headers agree with each reading in turn,
    else they alone could be what it is refused for."""
    plain = body.replace(f',"_meta":{META}', "")
    assert plain != body
    yield "session", in_session(stage.session()), plain
    for method, tool in readings:
        named = [("Mcp-Method", method)] + ([("Mcp-Name", tool)] if tool else [])
        yield f"stateless, headers {tool or method}", [*JSON, ("MCP-Protocol-Version", STATELESS_ERA), *named], body


def sound(stage):
    """The same without anything odd is taken in each way: what is odd is what the others are refused for."""
    for reading, body in ((SAFE, call(("name", "safe_read"))), (PING, call(("name", "admin_delete"), method="ping"))):
        for way, headers, body in ways(stage, body, [reading]):
            answer = stage.post(headers, body)
            yield from unless(answer.status == 200, f"control: a sound body, {way}: {text(answer)}")


def tried(stage, bodies, words=(b"member", b"not valid JSON")):
    """Sends bodies that are a call of the allowed tool to one reader, and of the denied one to another. It fails if any
    of the second kind's words reaches the server, or if one is refused for anything but how it is written, as `words`
    say it: roles and headers refuse one reading, and leave the other."""
    yield from sound(stage)
    for name, body in bodies.items():
        readings = [PING, DENIED] if '"ping"' in body else [SAFE, DENIED]
        for way, headers, sent in ways(stage, body, readings):
            reached, answer = stage.reached(lambda: stage.post(headers, sent))
            told = any(word in answer.body for word in words)
            yield from unless(answer.status == 400 and told, f"{name}, {way}: {text(answer)}")
            yield from unless(
                not any(b"admin_delete" in request for request in reached), f"{name}, {way}: it reached the server"
            )


def go(stage):
    safe, denied = ("name", "safe_read"), "admin_delete"
    bodies = {
        "Name after name": call(safe, ("Name", denied)),
        "Name before name": call(("Name", denied), safe),
        "NAME": call(safe, ("NAME", denied)),
        "nAmE": call(safe, ("nAmE", denied)),
        "name twice": call(safe, ("name", denied)),
        "name by an escape": call(safe, ("n\\u0061me", denied)),
        "Params": call(safe, more=[("Params", members(("name", denied), ("arguments", "{}")))]),
        "PARAMS first": call(safe, first=[("PARAMS", members(("name", denied), ("arguments", "{}")))]),
        "param and a long s": call(safe, more=[(f"param{LONG_S}", members(("name", denied), ("arguments", "{}")))]),
        "Method": call(("name", denied), method="ping", more=[("Method", "tools/call")]),
        "METHOD first": call(("name", denied), method="ping", first=[("METHOD", "tools/call")]),
        "argumentſ": call(safe, (f"argument{LONG_S}", members(("name", denied)))),
        "Jsonrpc": call(safe, more=[("Jsonrpc", "1.0")]),
        "ID": call(safe, more=[("ID", 2)]),
    }
    bites = [
        name
        for name, body in bodies.items()
        if (folding(body, "name") == "admin_delete")
        or folding(body, "method") == "tools/call"
        or "admin_delete" not in body
    ]
    yield from unless(len(bites) >= 10, f"control: only {bites} mean something else to a reader that folds")
    yield from tried(stage, bodies)


def go_nul(stage):
    safe, denied = ("name", "safe_read"), "admin_delete"
    bodies = {
        "name and NUL": call(safe, ("name\\u0000", denied)),
        "name and NUL, first": call(("name\\u0000", denied), safe),
        "name and NUL, alone": call(("name\\u0000", denied)),
        "method and NUL": call(("name", denied), method="ping", more=[("method\\u0000", "tools/call")]),
        "NUL and name": call(safe, ("\\u0000name", denied)),
        "params and NUL": call(safe, more=[("params\\u0000", members(("name", denied)))]),
        "name and NUL and more": call(safe, ("name\\u0000x", denied)),
        "NUL as it is": call(safe, ("name\0", denied)),
    }
    readable = {name: body for name, body in bodies.items() if "\0" not in body}
    bites = [
        name
        for name, body in readable.items()
        if folding(body, "name") == denied or folding(body, "method") == "tools/call"
    ]
    yield from unless(len(bites) >= 4, f"control: only {bites} mean something else to a reader that stops at NUL")
    yield from tried(stage, bodies)
    # This is written as it should be, and no header can agree with it.
    value = {"NUL in the tool's name": call(("name", "safe_read\0admin_delete"))}
    yield from tried(stage, value, (b"visible characters", b"does not match the body"))


TESTS = [
    ("CVE-2026-27896", "go-sdk (GHSA-wvj2-96wp-fq3f): member names were read without regard for case", go),
    ("GHSA-q382-vc8q-7jhj", "go-sdk 1.3.1-1.4.0: `name\\u0000` was read as `name`", go_nul),
]
