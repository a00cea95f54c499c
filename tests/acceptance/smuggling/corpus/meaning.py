"""Sound JSON whose meaning is in question: methods, names, batches; and odd spellings that must work."""

import itertools
import json

from .case import (
    ERAS,
    EITHER,
    EVIL,
    MARK,
    RUNS,
    SAFE,
    SESSIONS,
    STATELESS,
    Group,
    Message,
    call,
    escaped,
    meta,
    named,
    obj,
    quoted,
)

METHODS = [
    "Tools/Call",
    "TOOLS/CALL",
    "tools/Call",
    "tools/call ",
    " tools/call",
    "tools/call\t",
    "tools/call\n",
    "\ntools/call",
    "tools/call/",
    "/tools/call",
    "tools//call",
    "tools/./call",
    "tools/x/../call",
    "tools\\call",
    "tools.call",
    "tools:call",
    "tools_call",
    "tools-call",
    "tools call",
    "toolscall",
    "tools",
    "call",
    "call_tool",
    "tools/calls",
    "tool/call",
    "tools/call#",
    "tools/call?x",
    "tools/call;x",
    "tools/call,tools/list",
    "tools/call\u0000",
    "tools/call\u200b",
    "\ufefftools/call",
    "tools\u2044call",
    "tools\uff0fcall",
    "t\u043eols/call",
    "tools/c\u0430ll",
    "too\u006c\u0301s/call",
    "tools/ca\u017f",
    "tool\u017f/call",
    "tools%2fcall",
    "tools%2Fcall",
    "rpc.tools/call",
    "mcp/tools/call",
    "notifications/tools/call",
    "$/tools/call",
    "tools/invoke",
    "tools/execute",
    "tools/run",
    "tasks/create",
    "tasks/result",
    "sampling/createMessage",
    "elicitation/create",
    "roots/list",
    "__proto__",
    "constructor",
    "toString",
    "",
    "*",
    "tools/*",
]

NAMES = [
    "Admin_Delete",
    "ADMIN_DELETE",
    "admin_Delete",
    "admin_delete ",
    " admin_delete",
    "admin_delete.",
    "admin_delete/",
    "/admin_delete",
    "./admin_delete",
    "admin_delete\u0000",
    "admin_delete\n",
    "\nadmin_delete",
    "admin_delete\r",
    "admin_delete\t",
    "admin\u200b_delete",
    "admin_delete\u200b",
    "\u200badmin_delete",
    "\ufeffadmin_delete",
    "admin\u00ad_delete",
    "\u202eeteled_nimda",
    "\u0430dmin_delete",
    "\uff41dmin_delete",
    "\uff41\uff44\uff4d\uff49\uff4e_\uff44\uff45\uff4c\uff45\uff54\uff45",
    "admin\uff3fdelete",
    "admin\u203fdelete",
    "admin_de\u006ce\u0301te",
    "admin_d\u00e9lete",
    "admin-delete",
    "admin.delete",
    "admin delete",
    "admin__delete",
    "admindelete",
    "admin_delete;safe_read",
    "safe_read;admin_delete",
    "safe_read,admin_delete",
    "admin_delete,safe_read",
    "safe_read admin_delete",
    "safe_read\nadmin_delete",
    "safe_read\u0000admin_delete",
    "admin_delete\u0000safe_read",
    "safe_read/../admin_delete",
    "safe_read/admin_delete",
    "safe_read|admin_delete",
    "safe_read&name=admin_delete",
    "safe_read#admin_delete",
    "safe_read?admin_delete",
    'safe_read","name":"admin_delete',
    "safe_read%00admin_delete",
    "%61dmin_delete",
    "admin%5fdelete",
    "\\u0061dmin_delete",
    "&#97;dmin_delete",
    "=?base64?YWRtaW5fZGVsZXRl?=",
    "*",
    "safe_*",
    "safe_rea?",
    "[as]*",
    "{safe_read,admin_delete}",
    "(safe_read|admin_delete)",
    ".*",
    "safe_read*",
    "",
    " ",
    "dev__python__admin_delete",
    "python__admin_delete",
    "dev/python/admin_delete",
    "python.admin_delete",
    "Safe_Read",
    "SAFE_READ",
    "safe_read ",
    " safe_read",
    "safe_read.",
    "safe_read\u0000",
    "safe_read\u200b",
    "\ufeffsafe_read",
    "\u017fafe_read",
    "safe\uff3fread",
    "safe_re\u0430d",
    "safe-read",
    "safe_read\t",
    "safe_read\n",
    "safe_re",
    "safe_readx",
    "safe_read\u0301",
    "\u202edaer_efas",
    "__proto__",
    "constructor",
    "toString",
    "null",
    "undefined",
    "true",
    "0",
    "../admin_delete",
    "file:///admin_delete",
    "${admin_delete}",
    "{{admin_delete}}",
    "`admin_delete`",
    "'admin_delete'",
]


def sentinel(text):
    """How `Mcp-Name` says it (2026-07-28, Value Encoding)."""
    import base64

    plain = (
        text.isascii() and text.isprintable() and text == text.strip(" ") and text and not text.startswith("=?base64?")
    )
    return text if plain else f"=?base64?{base64.b64encode(text.encode('utf-8', 'surrogatepass')).decode()}?="


def methods():
    """What only looks like `tools/call`, with the denied tool."""
    group = Group("methods")
    for era in ERAS:
        for method in METHODS:
            shown = json.dumps(method)
            text = Message(era, EVIL, method=quoted(method)).text()
            more = {"malformed": False}
            if era == SESSIONS:
                group.add(shown, era, text, **more)
                continue
            header = method if method.isascii() and method.isprintable() else "tools/call"
            group.add(
                f"{shown}, agreeing header", era, text, headers=(("Mcp-Method", header), *named("admin_delete")), **more
            )
            group.add(f"{shown}, header tools/call", era, text, headers=named("admin_delete"), **more)
        for method in (
            "prompts/get",
            "resources/read",
            "completion/complete",
            "resources/subscribe",
            "tools/list",
            "ping",
            "logging/setLevel",
            "initialize",
            "server/discover",
        ):
            text = Message(era, EVIL, method=quoted(method)).text()
            more = {"headers": (("Mcp-Method", method), *named("admin_delete"))} if era == STATELESS else {}
            # Which of these are answered is the server's matter; the tool must not run.
            group.add(f"{method} with a call's params", era, text, EITHER, malformed=False, **more)
    return group.cases


def names():
    """What only looks like a tool's name."""
    group = Group("names")
    for era in ERAS:
        for name in NAMES:
            shown = json.dumps(name)
            for spelling, written in {"plain": quoted(name), "escaped": escaped(name)}.items():
                text = Message(era, written).text()
                if era == SESSIONS:
                    group.add(f"{shown} {spelling}", era, text, malformed=False)
                    continue
                group.add(f"{shown} {spelling}", era, text, headers=named(sentinel(name)), malformed=False)
                if spelling == "plain":
                    group.add(f"{shown}, header safe", era, text, headers=named("safe_read"), malformed=False)
                    group.add(f"{shown}, header denied", era, text, headers=named("admin_delete"), malformed=False)
        for form, written in {
            "plain": EVIL,
            "escaped": escaped("admin_delete"),
            "one escape": '"admin\\u005fdelete"',
            "upper hex": '"\\u0061\\u0064min_\\u0064\\u0065lete"',
        }.items():
            more = {"headers": named("admin_delete")} if era == STATELESS else {}
            group.add(f"the denied tool, {form}", era, Message(era, written).text(), malformed=False, **more)
    return group.cases


def batches():
    """Several messages in one body. Revision 2025-03-26 has them, within a session; nothing else does."""
    group = Group("batches")
    march = {"revision": "2025-03-26"}
    safe, evil = call(SESSIONS), call(SESSIONS, EVIL)
    second = Message(SESSIONS, EVIL, id="8").text()
    note = f'{{"jsonrpc":"2.0","method":"tools/call","params":{obj(Message(SESSIONS, EVIL).params)}}}'
    bodies = {
        "the denied call": f"[{evil}]",
        "allowed and denied": f"[{safe},{second}]",
        "denied and allowed": f"[{second},{safe}]",
        "twice the same id": f"[{safe},{evil}]",
        "a batch in a batch": f"[[{evil}]]",
        "a call and a batch": f"[{safe},[{second}]]",
        "a call and null": f"[{safe},null]",
        "a call and a string": f"[{safe},{quoted(second)}]",
        "a call and a number": f"[{safe},1]",
        "an empty batch": "[]",
        "an empty batch in a batch": "[[]]",
        "a denied notification": f"[{note}]",
        "a call and a denied notification": f"[{safe},{note}]",
        "an object of numbers": f'{{"0":{evil},"length":1}}',
        "with a trailing comma": f"[{evil},]",
        "with a comment": f"[/**/{evil}]",
        "two batches": f"[{safe}][{second}]",
        "33 calls": "[" + ",".join(Message(SESSIONS, EVIL, id=str(n)).text() for n in range(33)) + "]",
        "32 denied calls": "[" + ",".join(Message(SESSIONS, EVIL, id=str(n)).text() for n in range(32)) + "]",
        "10,000 numbers": "[" + ",".join("1" for _ in range(10_000)) + "]",
        "both eras": f"[{safe},{call(STATELESS, EVIL)}]",
        "an initialize and a call": f'[{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{}}}},{second}]',
        "a response and a call": f'[{{"jsonrpc":"2.0","id":1,"result":{{}}}},{second}]',
    }
    for key in ("name", "method", "params"):
        bodies[f"{key} twice in an element"] = f"[{_twice(key)}]"
        bodies[f"{key} in capitals in an element"] = (
            f"[{Message(SESSIONS, EVIL).rename(key, quoted(key.upper())).text()}]"
        )
    for name, text in bodies.items():
        group.add(f"{name}, in 2025-03-26", SESSIONS, text, EITHER, malformed=False, **march)
        group.add(f"{name}, in 2025-11-25", SESSIONS, text, malformed=name != "an object of numbers" or True)
        group.hostile(f"{name}, in 2026-07-28", STATELESS, text)
    group.add("one allowed call, in 2025-03-26", SESSIONS, f"[{safe}]", RUNS, malformed=False, **march)
    return group.cases


def _twice(key):
    message = Message(SESSIONS)
    value = obj(Message(SESSIONS, EVIL).params) if key == "params" else EVIL if key == "name" else '"tools/call"'
    return message.beside(key, (f'"{key}"', value), False).text()


def responses():
    """Answers that nobody asked for, and notifications that carry more than they should."""
    group = Group("answers and notifications")
    for era in ERAS:
        evil_params = obj(Message(era, EVIL).params)
        for id in ("7", '"7"', "0", '"abc"', "1"):
            group.add(f"a result for {id}", era, f'{{"jsonrpc":"2.0","id":{id},"result":{evil_params}}}')
            group.add(
                f"an error for {id}", era, f'{{"jsonrpc":"2.0","id":{id},"error":{{"code":1,"message":"{MARK}"}}}}'
            )
        for method in (
            "notifications/initialized",
            "notifications/cancelled",
            "notifications/progress",
            "notifications/message",
            "notifications/tools/list_changed",
            "notifications/x",
        ):
            text = f'{{"jsonrpc":"2.0","method":{quoted(method)},"params":{evil_params}}}'
            more = {"headers": (("Mcp-Method", method), ("Mcp-Name", None))} if era == STATELESS else {}
            group.add(f"{method} with a call's params", era, text, EITHER, malformed=False, **more)
    return group.cases


def legal():
    """Odd, but JSON: each must work with each SDK, else a refusal elsewhere would prove nothing."""
    group = Group("odd but legal")
    for era in ERAS:
        for order in itertools.permutations(range(4)):
            message = Message(era)
            message.envelope = [message.envelope[n] for n in order]
            group.add(f"members in the order {''.join(map(str, order))}", era, message.text(), RUNS)
        for order in itertools.permutations(range(len(Message(era).params))):
            message = Message(era)
            message.params = [message.params[n] for n in order]
            group.add(f"params in the order {''.join(map(str, order))}", era, message.text(), RUNS)
        spelt = {
            "tools\\/call": Message(era, method='"tools\\/call"'),
            "an escaped method": Message(era, method=escaped("tools/call")),
            "an escaped name": Message(era, escaped("safe_read")),
            "upper-case hex": Message(era, '"safe\\u005Fread"'),
        }
        for key in ("jsonrpc", "id", "method", "params", "name", "arguments"):
            spelt[f"{key} escaped"] = Message(era).rename(key, escaped(key))
            spelt[f"{key} with one escape"] = Message(era).rename(key, f'"\\u{ord(key[0]):04x}{key[1:]}"')
        everything = Message(era, escaped("safe_read"), method=escaped("tools/call"))
        for key in ("jsonrpc", "id", "method", "params", "name", "arguments"):
            everything.rename(key, escaped(key))
        spelt["all escaped"] = everything
        for name, message in spelt.items():
            group.add(name, era, message.text(), RUNS)
        arguments = {
            "a pair of surrogates": '"\\ud83d\\ude00"',
            "an emoji": '"\U0001f600"',
            "NFC and NFD": '"\u00e9e\u0301"',
            "bidi": '"\u202ea\u202c"',
            "NUL": '"\\u0000"',
            "DEL": '"\x7f"',
            "all short escapes": '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
            "control escapes": '"\\u0001\\u001f"',
            "noncharacters": '"\ufffe\uffff\U0010ffff"',
            "the replacement character": '"\ufffd"',
            "markup": '"<script>&amp;\u2028"',
            "an empty object": "{}",
            "an empty array": "[]",
            "null": "null",
            "nested": '{"a":[{"b":[[],{}]}]}',
            "false": "false",
            "the empty name": '{"":{"":0}}',
            "numbers as names": '{"2":1,"1":2,"-1":3}',
            "a long string": f'"{"é" * 5000}"',
            "a mark inside": '"\ufeff"',
            "a script's end": '"]]>"',
            "an escaped slash": '"<\\/script>"',
        }
        for name, value in arguments.items():
            group.add(f"arguments: {name}", era, call(era, SAFE, f'{{"path":"{MARK}","x":{value}}}'), RUNS)
        group.add(
            "names of arguments that need escapes",
            era,
            call(era, SAFE, f'{{"path":"{MARK}","a\\"\\\\":1,"\\u00e9":2,"\U0001f600":3}}'),
            RUNS,
        )
        group.add("an extra member of params", era, Message(era).beside("name", ('"x"', "[1]"), True).text(), RUNS)
        group.add("a progress token", era, _with_meta(era, '"progressToken"', '"p"'), RUNS)
        group.add(
            "a trace",
            era,
            _with_meta(era, '"traceparent"', '"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"'),
            RUNS,
        )
        indented = json.dumps(json.loads(call(era)), indent=4)
        group.add("indented", era, indented, RUNS)
    return group.cases


def _with_meta(era, key, value):
    message = Message(era)
    if era == STATELESS:
        return message.set("_meta", meta((key, value))).text()
    message.params.append(('"_meta"', f"{{{key}:{value}}}"))
    return message.text()
