"""Bytes that are not quite JSON, or JSON to some: encodings, surroundings, leniences of syntax."""

from .case import ERAS, EVIL, MARK, RUNS, SAFE, Group, Message, call, obj, utf8

# Sequences that are no UTF-8, and what some decoders make of them.
BROKEN = {
    "overlong slash": b"\xc0\xaf",
    "overlong letter": b"\xc1\xa1",
    "overlong, three bytes": b"\xe0\x80\xaf",
    "overlong, four bytes": b"\xf0\x80\x80\xaf",
    "overlong NUL": b"\xc0\x80",
    "CESU-8": b"\xed\xa0\xbd\xed\xb8\x80",
    "a surrogate": b"\xed\xa0\x80",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "a lone continuation": b"\x80",
    "cut short": b"\xe2\x82",
    "Latin-1": b"caf\xe9",
    "FF": b"\xff",
    "FE": b"\xfe",
}

LONE = {
    "high": "\\ud800",
    "low": "\\udc00",
    "high, letter": "\\ud83da",
    "high, high": "\\ud83d\\ud83d",
    "low, high": "\\ude00\\ud83d",
    "high, escaped letter": "\\ud83d\\u0061",
    "high, raw low": "\\ud83d\ude00",
    "upper case": "\\uDBFF",
}


def encodings():
    group = Group("encodings and surrogates")
    for era in ERAS:
        for name, broken in BROKEN.items():
            places = {
                "value": call(era, SAFE, f'{{"path":"{MARK}@B@"}}'),
                "key": call(era, SAFE, f'{{"path":"{MARK}","@B@":1}}'),
                "name": call(era, '"safe_read@B@"'),
                "name, denied": call(era, '"admin@B@_delete"'),
                "between": call(era, EVIL).replace(',"params"', '@B@,"params"'),
                "before": "@B@" + call(era, EVIL),
                "after": call(era, EVIL) + "@B@",
            }
            for place, text in places.items():
                group.hostile(f"{name} in {place}", era, text.encode().replace(b"@B@", broken))
        for name, lone in LONE.items():
            places = {
                "value": call(era, SAFE, f'{{"path":"{MARK}{lone}"}}'),
                "key": call(era, SAFE, f'{{"path":"{MARK}","{lone}":1}}'),
                "name": call(era, f'"safe_read{lone}"'),
                "denied name": call(era, f'"admin_delete{lone}"'),
                "method": Message(era, EVIL, method=f'"tools/call{lone}"').text(),
                "id": Message(era, EVIL, id=f'"{lone}"').text(),
                "another member": Message(era).beside("name", ('"x"', f'"{lone}"'), True).text(),
            }
            for place, text in places.items():
                group.hostile(f"surrogate {name} in {place}", era, text)
        # Detected by some (json.loads of bytes does) although the type says UTF-8.
        for codec in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-7"):
            for tool in (SAFE, EVIL):
                text = call(era, tool)
                plain = text if codec != "utf-7" else text.replace('"', "+ACI-")
                group.hostile(f"{codec} {tool}", era, utf8(plain, "ascii" if codec == "utf-7" else codec))
                if codec != "utf-7":
                    group.hostile(f"{codec} with a mark, {tool}", era, utf8("\ufeff" + text, codec))
        for tool in (SAFE, EVIL):
            group.hostile(f"UTF-8 with a mark, {tool}", era, utf8("\ufeff" + call(era, tool)))
            group.hostile(f"two marks, {tool}", era, utf8("\ufeff\ufeff" + call(era, tool)))
    return group.cases


def surroundings():
    """Something before or after the message, or a message that is not all there."""
    group = Group("around the message")
    before = {
        "a guard": ")]}'\n",
        "NUL": "\0",
        "RS (JSON sequences)": "\x1e",
        "a comma": ",",
        "a colon": ":",
        "null": "null",
        "a number": "1 ",
        "an object": "{}",
        "an array": "[]",
        "a string": '""',
        "VT": "\x0b",
        "FF": "\x0c",
        "NBSP": "\u00a0",
        "U+2028": "\u2028",
        "U+3000": "\u3000",
        "data:": "data: ",
        "a length": "Content-Length: 9\r\n\r\n",
        "a comment": "/**/",
        "a hash comment": "#\n",
        "#!": "#!/\n",
        "while(1);": "while(1);",
        "a chunk size": "1a\r\n",
    }
    after = {
        "NUL": "\0",
        "NULs": "\0" * 8,
        "RS": "\x1e",
        "a comma": ",",
        "a bracket": "]",
        "a brace": "}",
        "a semicolon": ";",
        "null": "null",
        "an object": "{}",
        "an array": "[]",
        "a comment": "/**/",
        "a line comment": "//",
        "VT": "\x0b",
        "FF": "\x0c",
        "NBSP": "\u00a0",
        "U+2028": "\u2028",
        "U+FEFF": "\ufeff",
        "a word": "x",
        "^Z": "\x1a",
        "ESC": "\x1b",
        "the end of a page": "</script>",
        "a blank event": "\n\ndata: {}",
    }
    for era in ERAS:
        safe, evil = call(era, SAFE), call(era, EVIL)
        for name, text in before.items():
            group.hostile(f"{name} before", era, text + evil)
        for name, text in after.items():
            group.hostile(f"{name} after", era, safe + text)
            group.hostile(f"{name} after, denied", era, evil + text)
        for name, between in {
            "nothing": "",
            "LF": "\n",
            "CRLF": "\r\n",
            "RS": "\n\x1e",
            "NUL": "\0",
            "a comma": ",",
            "a space": " ",
            "CR": "\r",
            "U+2028": "\u2028",
            "two LF": "\n\n",
        }.items():
            group.hostile(f"two messages, {name} between", era, safe + between + evil)
            group.hostile(f"two messages, the denied first, {name} between", era, evil + between + safe)
        for at in (0, 1, 20, 40, len(evil) - 1, len(evil) - 2, len(evil) // 2):
            group.hostile(f"cut at {at}", era, evil[:at])
        for root in ("null", "true", "1", '"tools/call"', "[]", "{}", "", " ", "\n"):
            group.hostile(f"only {root!r}", era, root)
    return group.cases


def syntax():
    """What lenient readers take."""
    group = Group("leniences of syntax")
    arguments = {
        "a trailing comma": f'{{"path":"{MARK}",}}',
        "a leading comma": f'{{,"path":"{MARK}"}}',
        "two commas": f'{{"path":"{MARK}",,"x":1}}',
        "no comma": f'{{"path":"{MARK}" "x":1}}',
        "no colon": f'{{"path" "{MARK}"}}',
        "an equals sign": f'{{"path"="{MARK}"}}',
        "two colons": f'{{"path"::"{MARK}"}}',
        "an unquoted name": f'{{path:"{MARK}"}}',
        "single quotes": f"{{'path':'{MARK}'}}",
        "a number as name": f'{{"path":"{MARK}",1:2}}',
        "a word": f'{{"path":"{MARK}","x":yes}}',
        "undefined": f'{{"path":"{MARK}","x":undefined}}',
        "NaN": f'{{"path":"{MARK}","x":NaN}}',
        "Infinity": f'{{"path":"{MARK}","x":Infinity}}',
        "-Infinity": f'{{"path":"{MARK}","x":-Infinity}}',
        "-NaN": f'{{"path":"{MARK}","x":-NaN}}',
        "True": f'{{"path":"{MARK}","x":True}}',
        "None": f'{{"path":"{MARK}","x":None}}',
        "TRUE": f'{{"path":"{MARK}","x":TRUE}}',
        "nul": f'{{"path":"{MARK}","x":nul}}',
        "nulll": f'{{"path":"{MARK}","x":nulll}}',
        "a plus sign": f'{{"path":"{MARK}","x":+1}}',
        "no digit before the point": f'{{"path":"{MARK}","x":.5}}',
        "no digit after the point": f'{{"path":"{MARK}","x":1.}}',
        "hexadecimal": f'{{"path":"{MARK}","x":0x10}}',
        "a leading zero": f'{{"path":"{MARK}","x":010}}',
        "an empty exponent": f'{{"path":"{MARK}","x":1e}}',
        "a minus alone": f'{{"path":"{MARK}","x":-}}',
        "two minus": f'{{"path":"{MARK}","x":--1}}',
        "a separator": f'{{"path":"{MARK}","x":1_000}}',
        "a suffix": f'{{"path":"{MARK}","x":1n}}',
        "a space in it": f'{{"path":"{MARK}","x":- 1}}',
        "a hex escape": f'{{"path":"{MARK}\\x61"}}',
        "a short escape": f'{{"path":"{MARK}\\u61"}}',
        "\\a": f'{{"path":"{MARK}\\a"}}',
        "\\'": f'{{"path":"{MARK}\\\'"}}',
        "\\0": f'{{"path":"{MARK}\\0"}}',
        "\\v": f'{{"path":"{MARK}\\v"}}',
        "\\U": f'{{"path":"{MARK}\\U0061"}}',
        "\\u{}": f'{{"path":"{MARK}\\u{{61}}"}}',
        "an escaped line end": f'{{"path":"{MARK}\\\nx"}}',
        "a raw tab": f'{{"path":"{MARK}\t"}}',
        "a raw LF": f'{{"path":"{MARK}\n"}}',
        "a raw CR": f'{{"path":"{MARK}\r"}}',
        "a raw NUL": f'{{"path":"{MARK}\0"}}',
        "a raw ESC": f'{{"path":"{MARK}\x1b"}}',
        "a raw NUL in a name": f'{{"path":"{MARK}","a\0":1}}',
        "a raw LF in a name": f'{{"path":"{MARK}","a\n":1}}',
        "a comment": f'{{"path":"{MARK}"/**/}}',
        "a line comment": f'{{"path":"{MARK}"//\n}}',
        "a hash comment": f'{{"path":"{MARK}"#\n}}',
        "a wrong bracket": f'{{"path":"{MARK}"]',
        "a round bracket": f'({{"path":"{MARK}"}})',
        "a tuple": f'{{"path":"{MARK}","x":(1,2)}}',
        "a set": f'{{"path":"{MARK}","x":{{1}}}}',
        "a template": f'{{"path":`{MARK}`}}',
        "typographic quotes": f"{{\u201cpath\u201d:\u201c{MARK}\u201d}}",
        "joined strings": f'{{"path":"{MARK}" "x"}}',
        "spread": f'{{"path":"{MARK}",...{{}}}}',
        "an unclosed string": f'{{"path":"{MARK}}}',
        "a space of no JSON": f'{{"path":\u00a0"{MARK}"}}',
        "a vertical tab": f'{{"path":\x0b"{MARK}"}}',
        "NUL as space": f'{{"path":\0"{MARK}"}}',
        "YAML": f"path: {MARK}",
        "a merge": f'{{"path":"{MARK}",<<:{{}}}}',
        "a tag": f'{{"path":!!str "{MARK}"}}',
    }
    for era in ERAS:
        for name, written in arguments.items():
            group.hostile(f"{name}, allowed", era, call(era, SAFE, written))
            group.hostile(f"{name}, denied", era, call(era, EVIL, written))
        evil = call(era, EVIL)
        for name, text in {
            "the second name commented out": Message(era).beside("name", ('/*x*/"name"', EVIL), False).text(),
            "the first name commented out": call(era, SAFE).replace(
                '"name":"safe_read"', f'/*"name":"safe_read"*/"name":{EVIL}'
            ),
            "a line commented out": call(era, SAFE).replace(
                '"name":"safe_read"', f'//"name":"safe_read"\n"name":{EVIL}'
            ),
            "hash before a name": call(era, SAFE).replace('"name":"safe_read"', f'#"name":"safe_read"\n"name":{EVIL}'),
            "unquoted names": evil.replace('"name"', "name").replace('"method"', "method"),
            "single quotes": evil.replace('"', "'"),
            "a trailing comma": evil[:-1] + ",}",
            "a trailing comma in params": Message(era).set("params", obj(Message(era, EVIL).params)[:-1] + ",}").text(),
            "an unquoted method": Message(era, EVIL, method="tools/call").text(),
            "an unquoted tool": Message(era, "admin_delete").text(),
            "a joined tool": Message(era, '"admin_" "delete"').text(),
            "an added tool": Message(era, '"admin_"+"delete"').text(),
            "a form": f"jsonrpc=2.0&id=7&method=tools%2Fcall&params=%7B%22name%22%3A%22admin_delete%22%7D&m={MARK}",
            "XML": f"<call><method>tools/call</method><name>admin_delete</name><path>{MARK}</path></call>",
            "YAML": f"jsonrpc: '2.0'\nid: 7\nmethod: tools/call\nparams: {{name: admin_delete, arguments: {{path: {MARK}}}}}\n",
            "a multipart part": f"--x\r\nContent-Type: application/json\r\n\r\n{evil}\r\n--x--\r\n",
            "an event": f"data: {evil}\n\n",
        }.items():
            group.hostile(name, era, text)
    return group.cases


def lines():
    """Line ends within a message: over stdio a message is a line."""
    group = Group("line ends")
    for era in ERAS:
        evil = call(era, EVIL)
        for name, space in {
            "LF": "\n",
            "CR": "\r",
            "CRLF": "\r\n",
            "LF CR": "\n\r",
            "many LF": "\n" * 64,
            "tabs": "\t\t",
            "spaces": "  ",
        }.items():
            spread = call(era).replace(",", f",{space}").replace(":{", f":{space}{{")
            group.add(f"{name} between tokens", era, spread, RUNS)
            group.add(f"{name} before and after", era, space + call(era) + space, RUNS)
        for name, end in {
            "LF": "\\n",
            "CR": "\\r",
            "CRLF": "\\r\\n",
            "escaped LF": "\\u000a",
            "U+2028": "\u2028",
            "U+2029": "\u2029",
            "U+0085": "\u0085",
            "escaped U+2028": "\\u2028",
            "VT": "\\u000b",
            "FS": "\\u001c",
            "NUL": "\\u0000",
        }.items():
            inner = evil.replace("\\", "\\\\").replace('"', '\\"')
            arguments = f'{{"path":"{MARK}","x":"{end}{inner}{end}"}}'
            group.add(f"a message in a string after {name}", era, call(era, SAFE, arguments), RUNS)
        for name, end in {"LF": "\n", "CR": "\r", "CRLF": "\r\n", "FS": "\x1c", "VT": "\x0b"}.items():
            arguments = f'{{"path":"{MARK}","x":"{end}'
            group.hostile(
                f"raw {name} in a string, then a message", era, call(era, SAFE, arguments)[:-2] + evil + '"}}'
            )
            group.hostile(f"a message cut by {name}", era, call(era, SAFE)[:-1] + end + evil)
    return group.cases
