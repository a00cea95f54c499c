"""Members: named twice, named alike, named in a way that a library takes for something else."""

from .case import ARGUMENTS, ERAS, EVIL, MARK, RUNS, SAFE, STATELESS, Group, Message, call, escaped, meta, obj, quoted

# Each member that counts, with the value that the attacker wants to be read.
EVIL_OF = {
    "jsonrpc": '"2.0"',
    "id": "8",
    "method": '"tools/call"',
    "params": None,
    "name": EVIL,
    "arguments": ARGUMENTS,
}


def evil_value(era, key):
    return EVIL_OF[key] or obj(Message(era, name=EVIL).params)


def base(era, key):
    """The message around a repeated member: harmless by the other reading."""
    if key in ("name", "params"):
        return Message(era)
    message = Message(era, name=EVIL)
    return message.set("method", '"ping"') if key == "method" else message


def repeated():
    """The same name twice, in two spellings, in both orders."""
    group = Group("repeated members")
    for era in ERAS:
        for key in EVIL_OF:
            first_letter = f'"\\u{ord(key[0]):04x}{key[1:]}"'
            for spelling, again in {
                "plain": f'"{key}"',
                "one escape": first_letter,
                "all escaped": escaped(key),
            }.items():
                for first in (True, False):
                    text = base(era, key).beside(key, (again, evil_value(era, key)), first).text()
                    group.hostile(f"{key} {spelling} {'before' if first else 'after'}", era, text)
            far = base(era, key)
            members, _ = far.where(key)
            padding = quoted("x" * 70_000)
            members.insert(0, (f'"{key}"', evil_value(era, key)))
            members.insert(1, ('"x"', padding))
            group.hostile(f"{key} far apart", era, far.text())
            thrice = base(era, key)
            for _ in range(2):
                thrice.beside(key, (f'"{key}"', evil_value(era, key)), True)
            group.hostile(f"{key} three times", era, thrice.text())
        for where, arguments in {
            "in arguments": f'{{"path":"{MARK}","path":"b"}}',
            "in arguments, escaped": f'{{"path":"{MARK}","\\u0070ath":"b"}}',
            "deep in arguments": f'{{"path":"{MARK}","x":{{"y":[{{"z":1,"z":2}}]}}}}',
            "the empty name": f'{{"path":"{MARK}","":1,"":2}}',
            "many, and the last again": "{" + ",".join(f'"k{n}":0' for n in range(100)) + f',"path":"{MARK}","k0":1}}',
        }.items():
            for name, tool in (("allowed", SAFE), ("denied", EVIL)):
                group.hostile(f"{where}, {name}", era, call(era, tool, arguments))
    twice = ('"io.modelcontextprotocol/protocolVersion"', '"2025-06-18"')
    group.hostile("the revision", STATELESS, Message(STATELESS, EVIL).set("_meta", meta(twice)).text())
    group.hostile("_meta", STATELESS, Message(STATELESS, EVIL).beside("_meta", ('"_meta"', "{}"), False).text())
    return group.cases


def folded():
    """Names that are equal for those who ignore case (Go's encoding/json, and by Unicode's folding)."""
    group = Group("members that differ by case")
    for era in ERAS:
        for key in EVIL_OF:
            spellings = {key.upper(), key.capitalize(), key[:-1] + key[-1].upper()}
            spellings |= {key.replace("s", "\u017f", 1), key.replace("k", "\u212a", 1)} - {key}
            for spelling in sorted(spellings):
                for first in (True, False):
                    text = base(era, key).beside(key, (quoted(spelling), evil_value(era, key)), first).text()
                    group.hostile(f"{spelling} {'before' if first else 'after'}", era, text)
                alone = Message(era, name=EVIL).rename(key, quoted(spelling)).text()
                # Arguments may be absent, so a call without them is judged by its name.
                group.hostile(f"{spelling} alone", era, alone)
                hidden = Message(era, name=EVIL).rename(key, escaped(spelling)).text()
                group.hostile(f"{spelling} alone, escaped", era, hidden)
        for spelling in ("Path", "PATH", "pAth"):
            group.hostile(
                f"{spelling} in arguments", era, call(era, SAFE, f'{{"path":"{MARK}",{quoted(spelling)}:"b"}}')
            )
    for key in ("IO.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/ProtocolVersion"):
        group.hostile(key, STATELESS, Message(STATELESS, EVIL).set("_meta", meta((f'"{key}"', '"2025-06-18"'))).text())
    return group.cases


def magic():
    """Names that a library or a language gives a meaning of its own."""
    group = Group("names with a meaning elsewhere")
    for era in ERAS:
        evil_params = obj(Message(era, name=EVIL).params)
        for kind in ("RawValue", "Number", "Anything", ""):
            key = f'"$serde_json::private{"::" if kind else ""}{kind}"'
            wrapped = {
                "the message": f"{{{key}:{quoted(call(era, EVIL))}}}",
                "params": Message(era).set("params", f"{{{key}:{quoted(evil_params)}}}").text(),
                "name": Message(era).set("name", f"{{{key}:{quoted(EVIL)}}}").text(),
                "arguments, allowed": call(era, SAFE, f"{{{key}:{quoted(ARGUMENTS)}}}"),
                "arguments, denied": call(era, EVIL, f"{{{key}:{quoted(ARGUMENTS)}}}"),
                "a value": call(era, SAFE, f'{{"path":"{MARK}","x":{{{key}:"1"}}}}'),
                "an element": call(era, SAFE, f'{{"path":"{MARK}","x":[{{{key}:"1"}}]}}'),
                "id": Message(era, EVIL, id=f'{{{key}:"7"}}').text(),
            }
            for where, text in wrapped.items():
                group.hostile(f"{kind or 'prefix'} as {where}", era, text)
        escaped_key = '"\\u0024serde_json::private::RawValue"'
        group.hostile(
            "escaped, as params", era, Message(era).set("params", f"{{{escaped_key}:{quoted(evil_params)}}}").text()
        )
        for key in ("__proto__", "constructor", "prototype", "toString", "hasOwnProperty"):
            nested = f'{{"name":{EVIL},"arguments":{ARGUMENTS}}}'
            # Beside the name it is one more member; instead of it there is no name.
            group.hostile(f"{key} instead of a name", era, Message(era).rename("name", quoted(key)).text())
            instead = Message(era).drop("name")
            instead.params.insert(0, (quoted(key), nested))
            group.hostile(f"{key} with a name in it", era, instead.text())
            in_envelope = Message(era)
            in_envelope.envelope.append((quoted(key), f'{{"params":{evil_params}}}'))
            group.hostile(f"{key} in the message", era, in_envelope.text())
            group.add(f"{key} in arguments", era, call(era, SAFE, f'{{"path":"{MARK}",{quoted(key)}:{nested}}}'), RUNS)
        for name, extra in {
            "params in params": ('"params"', evil_params),
            "arguments with a name": ('"x"', f'{{"name":{EVIL}}}'),
            "tool": ('"tool"', EVIL),
            "toolName": ('"toolName"', EVIL),
            "method": ('"method"', '"tools/call"'),
            "name with a space": ('"name "', EVIL),
            "name with a dot": ('".name"', EVIL),
            "a path": ('"params.name"', EVIL),
            "a bracketed name": ('"name[]"', EVIL),
        }.items():
            for first in (True, False):
                text = Message(era).beside("name", extra, first).text()
                group.add(f"{name} {'before' if first else 'after'} the name", era, text, RUNS)
        group.add("name in arguments", era, call(era, SAFE, f'{{"name":{EVIL},"path":"{MARK}"}}'), RUNS)
    return group.cases


CONTROLS = "\0\x01\x08\t\n\r\x1b\x1f\x7f\x85\x9f"


def controls():
    """Control characters in names; readers cut at some of them."""
    group = Group("control characters in names")
    for era in ERAS:
        for character in CONTROLS:
            code = f"\\u{ord(character):04x}"
            for key in ("name", "method", "params"):
                lookalike = base(era, key).beside(key, (f'"{key}{code}"', evil_value(era, key)), False).text()
                group.hostile(f"{key}{code} beside", era, lookalike)
            group.hostile(f"name{code} alone", era, Message(era, EVIL).rename("name", f'"name{code}"').text())
            group.hostile(f"{code}name alone", era, Message(era, EVIL).rename("name", f'"{code}name"').text())
            group.hostile(f"path{code}", era, call(era, SAFE, f'{{"path":"{MARK}","path{code}":1}}'))
            in_name = Message(era, f'"safe_read{code}admin_delete"').text()
            group.hostile(f"safe_read{code}admin_delete", era, in_name)
            group.hostile(f"admin_delete{code}", era, Message(era, f'"admin_delete{code}"').text())
            group.hostile(f"tools/call{code}", era, Message(era, EVIL, method=f'"tools/call{code}"').text())
        for invisible in "\u200b\u200d\u2060\ufeff\u00ad\u202e":
            lookalike = Message(era).beside("name", (quoted("name" + invisible), EVIL), False).text()
            group.add(f"name U+{ord(invisible):04x} beside", era, lookalike, RUNS)
            group.hostile(
                f"name U+{ord(invisible):04x} alone",
                era,
                Message(era, EVIL).rename("name", quoted("name" + invisible)).text(),
            )
    return group.cases
