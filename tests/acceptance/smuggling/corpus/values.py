"""Values: numbers that readers round, ids, types, and sizes."""

from .case import ARGUMENTS, ERAS, EVIL, MARK, RUNS, SAFE, STATELESS, Group, Message, call, obj, quoted


def numbers():
    """Numbers that don't survive some readers, where a tool would get them."""
    group = Group("numbers")
    refused = [
        "1e400",
        "-1e400",
        "1e-400",
        "1e999999999",
        "0.1000000000000000055511151231257827",
        "-9223372036854775809",
        "18446744073709551616",
        "9007199254740993.0",
        "1.0000000000000000001",
        "1" * 41,
        "0." + "1" * 400,
        "9" * 5000,
        "123456789012345678.5",
        "1e23" + "0" * 40,
        "2.2250738585072011e-309",
    ]
    kept = [
        "0",
        "-1",
        "-0",
        "0.5",
        "-0.0",
        "1e2",
        "1E+2",
        "1e-7",
        "100000000000000000000",
        "9007199254740991",
        "-9007199254740991",
        "0.1",
        "1.5e300",
        "123456.789",
        "9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
    ]
    for era in ERAS:
        for number in refused:
            shown = number if len(number) < 30 else f"{number[:20]}… ({len(number)})"
            group.hostile(f"{shown}", era, call(era, SAFE, f'{{"path":"{MARK}","x":{number}}}'))
            group.hostile(f"{shown}, denied", era, call(era, EVIL, f'{{"path":"{MARK}","x":[{number}]}}'))
        for number in kept:
            group.add(number, era, call(era, SAFE, f'{{"path":"{MARK}","x":{number}}}'), RUNS)
    return group.cases


def ids():
    """Ids that come back changed, or that make a request something else."""
    group = Group("ids")
    refused = {
        "2^53": "9007199254740992",
        "2^53+1": "9007199254740993",
        "2^64": "18446744073709551616",
        "1.0": "1.0",
        "1e0": "1e0",
        "-0": "-0",
        "-0.0": "-0.0",
        "0.5": "0.5",
        "1e400": "1e400",
        "5,000 digits": "9" * 5000,
        "null": "null",
        "true": "true",
        "false": "false",
        "an array": "[7]",
        "an object": '{"id":7}',
        "an empty array": "[]",
        "129 bytes": quoted("x" * 129),
        "-2^53": "-9007199254740992",
        "NaN": "NaN",
        "unquoted": "abc",
        "an escaped NUL, long": '"' + "\\u0000" * 129 + '"',
    }
    kept = {
        "0": "0",
        "-1": "-1",
        "2^53-1": "9007199254740991",
        "a string": '"abc"',
        "the empty string": '""',
        "a number in a string": '"7"',
        "128 bytes": quoted("x" * 128),
        "escapes": '"\\u0061\\n\\""',
        "a NUL": '"\\u0000"',
        "letters": '"ä\u2028\U0001f600"',
        "an array in a string": '"[7]"',
        "null in a string": '"null"',
    }
    for era in ERAS:
        for name, id in refused.items():
            group.hostile(name, era, Message(era, SAFE, id=id).text())
            group.hostile(f"{name}, denied", era, Message(era, EVIL, id=id).text())
        group.hostile("none: a notification that would run and not answer", era, Message(era, EVIL).drop("id").text())
        group.hostile("none, allowed", era, Message(era, SAFE).drop("id").text())
        for name, id in kept.items():
            group.add(name, era, Message(era, SAFE, id=id).text(), RUNS)
    return group.cases


def types():
    """Members of another type, of another number, or that don't belong together."""
    group = Group("types and structure")
    for era in ERAS:
        evil_params = obj(Message(era, EVIL).params)
        for name, params in {
            "by position": f"[{EVIL},{ARGUMENTS}]",
            "by position, with _meta first": f"[{{}},{EVIL},{ARGUMENTS}]",
            "one in an array": f"[{evil_params}]",
            "a string": quoted(evil_params),
            "a number": "1",
            "null": "null",
            "true": "true",
            "an empty array": "[]",
            "an empty object": "{}",
            "the name alone": EVIL,
        }.items():
            group.hostile(f"params: {name}", era, Message(era).set("params", params).text())
        group.hostile("no params", era, Message(era).drop("params").text())
        for name, value in {
            "an array": f"[{EVIL}]",
            "two": f"[{SAFE},{EVIL}]",
            "an object": f'{{"name":{EVIL}}}',
            "a number": "7",
            "null": "null",
            "true": "true",
            "empty": '""',
            "an object with toString": f'{{"toString":{EVIL}}}',
            "nested arrays": f"[[{EVIL}]]",
            "an object of letters": '{"0":"a","1":"d"}',
        }.items():
            group.hostile(f"name: {name}", era, Message(era, value).text())
        group.hostile("no name", era, Message(era).drop("name").text())
        for name, value in {
            "an array": f'["{MARK}"]',
            "a string": quoted(ARGUMENTS),
            "a number": "1",
            "null": "null",
            "true": "true",
            "pairs": f'[["path","{MARK}"]]',
            "empty": '""',
        }.items():
            # A bridge leaves this to its server.
            group.hostile(f"arguments: {name}", era, Message(era, EVIL, value).text(), malformed=False)
            group.hostile(f"arguments: {name}, allowed", era, Message(era, SAFE, value).text(), malformed=False)
        for name, value in {
            "a number": "2.0",
            "2": "2",
            "2.00": '"2.00"',
            "1.0": '"1.0"',
            "with a space": '"2.0 "',
            "3.0": '"3.0"',
            "null": "null",
            "an array": '["2.0"]',
            "empty": '""',
        }.items():
            group.hostile(f"jsonrpc: {name}", era, Message(era, EVIL).set("jsonrpc", value).text())
            group.hostile(f"jsonrpc: {name}, allowed", era, Message(era).set("jsonrpc", value).text())
        group.hostile("no jsonrpc", era, Message(era, EVIL).drop("jsonrpc").text())
        group.hostile("no jsonrpc, allowed", era, Message(era).drop("jsonrpc").text())
        for name, extra in {
            "a result": ('"result"', "{}"),
            "an error": ('"error"', '{"code":1,"message":"x"}'),
            "a null result": ('"result"', "null"),
            "meta": ('"meta"', "{}"),
            "_meta": ('"_meta"', "{}"),
            "headers": ('"headers"', '{"Mcp-Name":"admin_delete"}'),
            "name": ('"name"', EVIL),
            "arguments": ('"arguments"', ARGUMENTS),
            "param": ('"param"', evil_params),
            "auth": ('"auth"', '"x"'),
            "an empty name": ('""', evil_params),
            "session": ('"sessionId"', '"x"'),
        }.items():
            for first in (True, False):
                text = Message(era).beside("method", extra, first).text()
                group.hostile(f"{name} in the message, {'before' if first else 'after'}", era, text)
        for name, text in {
            "a result and an error": f'{{"jsonrpc":"2.0","id":7,"result":{{"x":"{MARK}"}},"error":{{"code":1,"message":"x"}}}}',
            "a result that is a call": f'{{"jsonrpc":"2.0","id":7,"result":{evil_params}}}',
            "an error with a call": f'{{"jsonrpc":"2.0","id":7,"error":{{"code":1,"message":"x","data":{evil_params}}}}}',
            "a result without an id": f'{{"jsonrpc":"2.0","result":{evil_params}}}',
            "a result for null": f'{{"jsonrpc":"2.0","id":null,"result":{evil_params}}}',
            "neither": f'{{"jsonrpc":"2.0","id":7,"params":{evil_params}}}',
            "a method of no string": Message(era, EVIL, method='["tools/call"]').text(),
            "a method that is an object": Message(era, EVIL, method='{"name":"tools/call"}').text(),
            "a method that is null": Message(era, EVIL, method="null").text(),
            "a message in an object": f'{{"message":{call(era, EVIL)}}}',
            "a message in a string": quoted(call(era, EVIL)),
        }.items():
            group.hostile(name, era, text)
        group.add("a name and a uri", era, Message(era).beside("name", ('"uri"', '"test://x"'), True).text(), RUNS)
        group.add(
            "a ref beside the name",
            era,
            Message(era).beside("name", ('"ref"', f'{{"type":"ref/prompt","name":{EVIL}}}'), True).text(),
            RUNS,
        )
    return group.cases


def sizes():
    """Deep, long, many; what is within bounds must work."""
    group = Group("depth and size")
    for era in ERAS:
        # The message, params and arguments are three levels.
        for depth in (61, 128, 200, 2000, 20_000, 100_000):
            expect = RUNS if depth <= 61 else None
            for name, (opens, closes) in {"arrays": ("[", "]"), "objects": ('{"a":', "}")}.items():
                value = opens * depth + "1" + closes * depth
                text = call(era, SAFE, f'{{"path":"{MARK}","x":{value}}}')
                if expect:
                    group.add(f"{name} {depth} deep", era, text, RUNS)
                    continue
                group.hostile(f"{name} {depth} deep", era, text, heavy=depth > 2000)
                group.hostile(
                    f"{name} {depth} deep, denied",
                    era,
                    call(era, EVIL, f'{{"path":"{MARK}","x":{value}}}'),
                    heavy=depth > 2000,
                )
        for where in ("params", "_meta"):
            if where == "_meta" and era != STATELESS:
                continue
            deep = Message(era).beside("name", ('"x"', "[" * 63 + "]" * 63), True).text()
            group.hostile(f"too deep in {where}", era, deep)
        group.hostile("only opening", era, "[" * 100_000, heavy=True)
        group.hostile("only opening objects", era, '{"a":' * 100_000, heavy=True)
        members = lambda count: ",".join(f'"k{n}":{n}' for n in range(count))
        group.add("4,000 members", era, call(era, SAFE, f'{{"path":"{MARK}",{members(4000)}}}'), RUNS, heavy=True)
        group.hostile("4,096 members", era, call(era, SAFE, f'{{"path":"{MARK}",{members(4096)}}}'), heavy=True)
        group.hostile("100,000 members", era, call(era, SAFE, f'{{"path":"{MARK}",{members(100_000)}}}'), heavy=True)
        # Equal under Java's and other multiplying hashes.
        pieces = [
            "".join("AaBB"[2 * (n >> bit & 1) : 2 * (n >> bit & 1) + 2] for bit in range(12)) for n in range(4000)
        ]
        colliding = ",".join(f'"{piece}":1' for piece in pieces)
        group.add(
            "names that collide in a hash",
            era,
            call(era, SAFE, f'{{"path":"{MARK}","x":{{{colliding}}}}}'),
            RUNS,
            heavy=True,
        )
        group.add(
            "a string of 1 MiB",
            era,
            call(era, SAFE, f'{{"path":"{MARK}","x":"{"x" * ((1 << 20) - 1)}"}}'),
            RUNS,
            heavy=True,
        )
        group.hostile(
            "a string above 1 MiB",
            era,
            call(era, SAFE, f'{{"path":"{MARK}","x":"{"x" * ((1 << 20) + 1)}"}}'),
            heavy=True,
        )
        group.add(
            "a string of escapes",
            era,
            call(era, SAFE, f'{{"path":"{MARK}","x":"{chr(92) + "u0041"}"}}'.replace("\\u0041", "\\u0041" * 100_000)),
            RUNS,
            heavy=True,
        )
        group.hostile(
            "a string of 10^6 escapes",
            era,
            call(era, SAFE, f'{{"path":"{MARK}","x":"@X@"}}').replace("@X@", "\\u0041" * 1_000_000),
            heavy=True,
        )
        long = quoted("x" * 1_000_000)
        group.hostile(
            "the method after 1 MB, denied",
            era,
            _method_last(Message(era, EVIL, f'{{"path":"{MARK}","x":{long}}}')),
            heavy=True,
            malformed=False,
        )
        group.add(
            "the method after 1 MB",
            era,
            _method_last(Message(era, SAFE, f'{{"path":"{MARK}","x":{long}}}')),
            RUNS,
            heavy=True,
        )
        group.hostile(
            "a second method after 1 MB",
            era,
            Message(era, EVIL, f'{{"path":"{MARK}","x":{long}}}', method='"ping"').text()[:-1]
            + ',"method":"tools/call"}',
            heavy=True,
        )
        group.hostile("a body above 4 MiB", era, call(era, SAFE) + " " * (4 << 20), heavy=True)
        group.hostile("a body above 4 MiB, denied", era, " " * (4 << 20) + call(era, EVIL), heavy=True)
        group.hostile("a name of 257 letters", era, Message(era, quoted("a" * 257)).text(), malformed=False)
        group.hostile("a name of 100,000 letters", era, Message(era, quoted("a" * 100_000)).text(), malformed=False)
        group.hostile("a method of 100,000 letters", era, Message(era, EVIL, method=quoted("a" * 100_000)).text())
        group.hostile("a long number", era, call(era, SAFE, f'{{"path":"{MARK}","x":{"1" * 100_000}}}'))
    return group.cases


def _method_last(message):
    members, index = message.where("method")
    members.append(members.pop(index))
    return message.text()
