"""Headers that say something else than the body, and bodies that are said to be something else."""

import base64
import gzip
import zlib

from .case import (
    EITHER,
    ERAS,
    EVIL,
    MARK,
    RUNS,
    SAFE,
    SESSIONS,
    STATELESS,
    Group,
    Message,
    call,
    named,
    utf8,
)


def b64(text):
    return base64.b64encode(text.encode()).decode()


def disagreeing():
    """2026-07-28: `Mcp-*` must be there and say what the body says, else 400 and -32020."""
    group = Group("headers against the body")
    mismatch = {"code": -32020, "malformed": True}

    def differs(name, header, value, **more):
        """The body allowed and the header otherwise; and the body denied, the header as if it weren't."""
        group.add(f"{header}: {name}", STATELESS, call(STATELESS), headers=((header, value),), **{**mismatch, **more})

    names = {
        "missing": None,
        "empty": "",
        "denied": "admin_delete",
        "upper case": "SAFE_READ",
        "capital": "Safe_read",
        "a suffix": "safe_readx",
        "a prefix": "safe_rea",
        "joined": "safe_read, admin_delete",
        "joined, denied first": "admin_delete, safe_read",
        "joined without a space": "safe_read,admin_delete",
        "quoted": '"safe_read"',
        "a parameter": "safe_read;x=1",
        "another in base64": f"=?base64?{b64('admin_delete')}?=",
        "no base64": "=?base64?!!!?=",
        "unpadded": f"=?base64?{b64('safe_rea')[:-1]}?=",
        "spaces in base64": f"=?base64? {b64('safe_read')} ?=",
        "upper-case sentinel": f"=?BASE64?{b64('safe_read')}?=",
        "an open sentinel": f"=?base64?{b64('safe_read')}",
        "a charset": f"=?utf-8?b?{b64('safe_read')}?=",
        "quoted-printable": "=?utf-8?q?safe_read?=",
        "url-safe base64": "=?base64?_-_-?=",
        "base64 of base64": f"=?base64?{b64('=?base64?' + b64('safe_read') + '?=')}?=",
        "base64 of no UTF-8": "=?base64?//79?=",
        "empty base64": "=?base64??=",
        "doubled": f"=?base64?{b64('safe_read')}?==?base64?{b64('admin_delete')}?=",
        "percent": "safe%5fread",
        "an escape": "safe\\u005fread",
        "a space inside": "safe read",
        "a tab inside": "safe\tread",
        "trailing dot": "safe_read.",
        "a wildcard": "safe_*",
        "a list": "[safe_read]",
        "an object": '{"name":"safe_read"}',
        "base64, one letter more": f"=?base64?{b64('safe_readx')}?=",
        "base64 with a NUL": f"=?base64?{b64('safe_read' + chr(0))}?=",
        "base64 in upper case": f"=?base64?{b64('SAFE_READ')}?=",
        "trailing data": f"=?base64?{b64('safe_read')}?=x",
        "padded too much": f"=?base64?{b64('safe_read')}==?=",
    }
    for name, value in names.items():
        differs(name, "Mcp-Name", value)
    methods = {
        "missing": None,
        "empty": "",
        "tools/list": "tools/list",
        "ping": "ping",
        "upper case": "TOOLS/CALL",
        "capital": "Tools/call",
        "joined": "tools/call, tools/list",
        "joined without a space": "tools/list,tools/call",
        "quoted": '"tools/call"',
        "base64": f"=?base64?{b64('tools/call')}?=",
        "a trailing slash": "tools/call/",
        "a parameter": "tools/call;x",
        "a space inside": "tools /call",
        "percent": "tools%2fcall",
        "initialize": "initialize",
        "an escape": "tools\\/call",
        "resources/read": "resources/read",
        "notifications/cancelled": "notifications/cancelled",
    }
    for name, value in methods.items():
        differs(name, "Mcp-Method", value)
    versions = {
        "missing": None,
        "empty": "",
        "2025-11-25": "2025-11-25",
        "2025-06-18": "2025-06-18",
        "2025-03-26": "2025-03-26",
        "2024-11-05": "2024-11-05",
        "later": "2027-01-01",
        "joined": "2026-07-28, 2025-11-25",
        "joined first": "2025-11-25, 2026-07-28",
        "quoted": '"2026-07-28"',
        "a suffix": "2026-07-28-RC",
        "a prefix": "2026-07",
        "no date": "latest",
        "draft": "DRAFT-2026-v1",
        "base64": f"=?base64?{b64('2026-07-28')}?=",
        "a number": "20260728",
        "letters": "v2026-07-28",
    }
    for name, value in versions.items():
        # Without the header the gate still reads the body, which then lacks its header.
        differs(name, "MCP-Protocol-Version", value)
    for header, values in {"Mcp-Name": names, "Mcp-Method": methods, "MCP-Protocol-Version": versions}.items():
        for name, value in values.items():
            headers = (("Mcp-Name", "admin_delete"), (header, value)) if header != "Mcp-Name" else ((header, value),)
            agrees = header == "Mcp-Name" and value == "admin_delete" or name == "another in base64"
            more = {"malformed": False} if agrees else mismatch
            group.add(f"denied body, {header}: {name}", STATELESS, call(STATELESS, EVIL), headers=headers, **more)
    # Agreeing, in every way that is right.
    for name, value in {
        "plain": "safe_read",
        "in base64": f"=?base64?{b64('safe_read')}?=",
        "padded with spaces": "  safe_read  ",
        "with a tab": "\tsafe_read\t",
    }.items():
        group.add(f"agreeing, {name}", STATELESS, call(STATELESS), RUNS, headers=(("Mcp-Name", value),))
    # A name where the body has none.
    orphan = {"malformed": False}
    for method in ("tools/list", "server/discover", "ping", "prompts/list"):
        text = f'{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{"_meta":{_meta()}}}}}'
        group.add(
            f"a name for {method}",
            STATELESS,
            text,
            headers=(("Mcp-Method", method), ("Mcp-Name", "admin_delete")),
            **mismatch,
        )
        group.add(
            f"an empty name for {method}",
            STATELESS,
            text,
            headers=(("Mcp-Method", method), ("Mcp-Name", "")),
            **mismatch,
        )
    for name, value in {"a list": '"tools/list"', "a ping": '"ping"', "initialize": '"initialize"'}.items():
        text = Message(STATELESS, EVIL, method=value).text()
        group.add(
            f"{name} in the body, a call in the header", STATELESS, text, headers=named("admin_delete"), **mismatch
        )
    # Twice, in all ways.
    for header, values in {
        "Mcp-Name": ("safe_read", "admin_delete"),
        "Mcp-Method": ("tools/call", "tools/list"),
        "MCP-Protocol-Version": ("2026-07-28", "2025-11-25"),
        "Mcp-Session-Id": ("a", "b"),
        "Mcp-Param-Path": (MARK, "b"),
        "Mcp-Unknown": ("a", "b"),
    }.items():
        for pair in ((values[0], values[0]), values, values[::-1]):
            for tool in (SAFE, EVIL):
                group.add(
                    f"twice {header}: {pair} {tool}", STATELESS, call(STATELESS, tool), headers=((header, list(pair)),)
                )
                group.add(
                    f"twice {header}: {pair} {tool}, with a session",
                    SESSIONS,
                    call(SESSIONS, tool),
                    headers=((header, list(pair)),),
                )
    for header in (
        "Mcp_Name",
        "mcp_method",
        "MCP_Protocol_Version",
        "Mcp_Param_Path",
        "Mcp_Session_Id",
        "Mcp-Param_Path",
        "mcp_x",
    ):
        for tool in (SAFE, EVIL):
            expect = EITHER if header == "Mcp-Param_Path" else "refused"
            group.add(f"{header} {tool}", STATELESS, call(STATELESS, tool), "refused", headers=((header, "safe_read"),))
            group.add(
                f"{header} {tool}, with a session",
                SESSIONS,
                call(SESSIONS, tool),
                "refused" if header != "Mcp-Param_Path" or tool == EVIL else EITHER,
                headers=((header, "safe_read"),),
            )
    for header in (
        "Mcp-Name",
        "Mcp-Method",
        "MCP-Protocol-Version",
        "Mcp-Param-Path",
        "Authorization",
        "Mcp-Session-Id",
    ):
        for name, value in {
            "Latin-1": b"caf\xe9",
            "UTF-8": "safe_re\u0430d".encode(),
            "C1": b"\x85",
            "DEL": b"\x7f",
        }.items():
            group.add(f"{name} in {header}", STATELESS, call(STATELESS, EVIL), headers=((header, value),))
            group.add(f"{name} in {header}, allowed", STATELESS, call(STATELESS), headers=((header, value),))
    return group.cases


def parameters():
    """`Mcp-Param-*`: each must say what some argument says."""
    group = Group("parameter headers")
    arguments = f'{{"path":"{MARK}","n":42,"f":0.5,"b":true,"s":"caf\u00e9","o":{{"in":"x"}},"l":["y"],"z":null}}'
    right = {
        "Path": MARK,
        "N": "42",
        "N-float": "42.0",
        "F": "0.5",
        "B": "true",
        "S": f"=?base64?{b64('caf' + chr(233))}?=",
        "O-In": "x",
        "Padded": "  42  ",
        "N-exponent": "4.2e1",
    }
    wrong = {
        "another": "43",
        "upper case": "TRUE",
        "an element": "y",
        "null": "null",
        "an object": '{"in":"x"}',
        "empty": "",
        "joined": "42, 42",
        "hexadecimal": "0x2a",
        "a plus": "x42",
        "no base64": "=?base64?!?=",
        "Latin-1 in base64": "=?base64?Y2Fm6Q==?=",
        "a name": "path",
        "a bool as number": "1",
        "NaN": "NaN",
        "denied": "admin_delete",
        "quoted": '"x"',
        "in base64, quoted": f"=?base64?{b64(chr(34) + 'x' + chr(34))}?=",
        "a space": "4 2",
        "1e400": "1e400",
        "Infinity": "Infinity",
    }
    for name, value in right.items():
        group.add(
            f"right: {name}", STATELESS, call(STATELESS, SAFE, arguments), RUNS, headers=((f"Mcp-Param-{name}", value),)
        )
        group.add(
            f"right, denied: {name}",
            STATELESS,
            call(STATELESS, EVIL, arguments),
            headers=(("Mcp-Name", "admin_delete"), (f"Mcp-Param-{name}", value)),
            malformed=False,
        )
    for name, value in wrong.items():
        group.add(
            f"wrong: {name}",
            STATELESS,
            call(STATELESS, SAFE, arguments),
            headers=(("Mcp-Param-X", value),),
            code=-32020,
        )
        group.add(
            f"wrong, denied: {name}",
            STATELESS,
            call(STATELESS, EVIL, arguments),
            headers=(("Mcp-Name", "admin_delete"), ("Mcp-Param-X", value)),
            code=-32020,
        )
        # Before 2026-07-28 they mean nothing, and don't get through.
        group.add(
            f"in a session: {name}", SESSIONS, call(SESSIONS, SAFE, arguments), RUNS, headers=(("Mcp-Param-X", value),)
        )
    group.add(
        "twice by case",
        STATELESS,
        call(STATELESS, SAFE, arguments),
        headers=(("Mcp-Param-X", "42"), ("MCP-PARAM-X", "42")),
    )
    group.add(
        "without a name", STATELESS, call(STATELESS, SAFE, arguments), headers=(("Mcp-Param-", "42"),), code=-32020
    )
    group.add(
        "65 of them",
        STATELESS,
        call(STATELESS, SAFE, arguments),
        headers=tuple((f"Mcp-Param-X{n}", "42") for n in range(65)),
        code=-32020,
    )
    group.add(
        "without arguments",
        STATELESS,
        call(STATELESS, EVIL, "{}"),
        headers=(("Mcp-Name", "admin_delete"), ("Mcp-Param-X", "42")),
        code=-32020,
    )
    # Older eras: lies in headers change nothing.
    for header, values in {
        "Mcp-Name": ("admin_delete", "", "x", f"=?base64?{b64('admin_delete')}?="),
        "Mcp-Method": ("tools/list", "", "initialize", "x"),
    }.items():
        for value in values:
            group.add(f"{header}: {value!r} in a session", SESSIONS, call(SESSIONS), RUNS, headers=((header, value),))
            group.add(
                f"{header}: {value!r} in a session, denied",
                SESSIONS,
                call(SESSIONS, EVIL),
                headers=((header, "safe_read" if header == "Mcp-Name" else value),),
                malformed=False,
            )
    for version in (
        "2025-03-26",
        "2025-06-18",
        "2024-11-05",
        "2026-07-28",
        "2027-01-01",
        "",
        "x",
        "2025-11-25, 2025-11-25",
    ):
        for tool in (SAFE, EVIL):
            group.add(
                f"MCP-Protocol-Version {version!r} in a session of another, {tool}",
                SESSIONS,
                call(SESSIONS, tool),
                headers=(("MCP-Protocol-Version", version),),
            )
    group.add("no version in a session", SESSIONS, call(SESSIONS), RUNS, headers=(("MCP-Protocol-Version", None),))
    group.add("a stateless body in a session", SESSIONS, call(STATELESS, EVIL), headers=named("admin_delete"))
    group.add("a stateless body in a session, allowed", SESSIONS, call(STATELESS), headers=named("safe_read"))
    group.add("a body of the other era", STATELESS, call(SESSIONS, EVIL), headers=named("admin_delete"))
    group.add("a body of the other era, allowed", STATELESS, call(SESSIONS), headers=named("safe_read"))
    for session in ("x", "0" * 64, "../x", "null", "a" * 5000, ""):
        group.add(
            f"a made-up session {session[:8]!r}", SESSIONS, call(SESSIONS, EVIL), headers=(("Mcp-Session-Id", session),)
        )
        group.add(
            f"a made-up session {session[:8]!r}, allowed",
            SESSIONS,
            call(SESSIONS),
            headers=(("Mcp-Session-Id", session),),
        )
    return group.cases


def _meta():
    from .case import meta

    return meta()


def content():
    """What the body is said to be."""
    group = Group("content headers")
    types = [
        None,
        "",
        "text/plain",
        "text/json",
        "application/jsonp",
        "application/json-rpc",
        "application/vnd.api+json",
        "application/json5",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/mixed; boundary=x",
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json; charset=utf-16; charset=utf-8",
        "application/json;charset=iso-8859-1",
        'application/json; charset="utf-16"',
        "application/json;x",
        "application/json; charset",
        "application/json; charset=",
        "application/json; boundary=x",
        "application/json, text/plain",
        "text/plain, application/json",
        "text/plain; application/json",
        "*/*",
        "application/*",
        "application/ json",
        "application /json",
        "application/json\\",
        "json",
        "application",
        "application/json; version=2",
        "application/octet-stream",
        "text/event-stream",
        "application/cbor",
        "application/yaml",
        "application/xml",
        "application/json; charset=utf8",
        "application/ld+json",
        "application/json;;charset=utf-8",
        "'application/json'",
    ]
    for era in ERAS:
        for kind in types:
            for tool in (SAFE, EVIL):
                headers = (("Content-Type", kind), ("Mcp-Name", tool.strip('"')))
                group.add(f"{kind} {tool}", era, call(era, tool), headers=headers)
        for kind in (
            "application/json",
            "APPLICATION/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=UTF-8",
            'application/json; charset="utf-8"',
            "  application/json  ",
        ):
            group.add(f"{kind!r} works", era, call(era), RUNS, headers=(("Content-Type", kind),))
        for kinds in (
            ["application/json", "application/json"],
            ["application/json", "text/plain"],
            ["text/plain", "application/json"],
        ):
            group.add(f"two types {kinds}", era, call(era, EVIL), headers=(("Content-Type", kinds),))
            group.add(f"two types {kinds}, allowed", era, call(era), headers=(("Content-Type", kinds),))
        squeezed = {
            "gzip": gzip.compress,
            "deflate": zlib.compress,
            "raw deflate": lambda data: zlib.compress(data)[2:-4],
            "gzip twice": lambda data: gzip.compress(gzip.compress(data)),
            "gzip and more": lambda data: gzip.compress(data) + data,
        }
        for name, squeeze in squeezed.items():
            for coding in (
                "gzip",
                "deflate",
                "identity",
                "x-gzip",
                "gzip, gzip",
                "identity, gzip",
                "br",
                "zstd",
                "GZIP",
                "",
                "*",
            ):
                plain = utf8(call(era, EVIL))
                group.add(
                    f"{coding!r} over {name}",
                    era,
                    lambda mark, plain=plain, squeeze=squeeze: squeeze(plain(mark)),
                    headers=(("Content-Encoding", coding), ("Mcp-Name", "admin_delete")),
                )
            group.add(
                f"{name} unsaid",
                era,
                lambda mark, plain=plain, squeeze=squeeze: squeeze(plain(mark)),
                headers=(("Mcp-Name", "admin_delete"),),
            )
        for coding in ("gzip", "identity", "identity, identity", "br", "utf-16", "aws-chunked"):
            for tool in (SAFE, EVIL):
                group.add(
                    f"{coding!r} over nothing, {tool}",
                    era,
                    call(era, tool),
                    headers=(("Content-Encoding", coding), ("Mcp-Name", tool.strip('"'))),
                )
        bomb = gzip.compress(b" " * (64 << 20))
        group.add("a bomb", era, lambda mark, bomb=bomb: bomb, headers=(("Content-Encoding", "gzip"),), heavy=True)
        for accept in (
            None,
            "",
            "application/json",
            "text/event-stream",
            "text/html",
            "application/jsonp, text/event-stream",
            "application/json text/event-stream",
            "application/*",
            "text/*",
            "image/*",
        ):
            group.add(f"Accept: {accept}", era, call(era), headers=(("Accept", accept),))
    return group.cases
