"""HTTP/1.1 at the bytes: where a request ends, and which one it is. Each has a connection of its own."""

from ..wire import octets
from .case import EITHER, ERAS, EVIL, RUNS, SAFE, Group, call, utf8
from .paths import HOSTS, MEANINGLESS, METHODS, ORIGINS, PATHS, filled


class Head:
    """A request's head, made of lines; sound until something is done to it."""

    def __init__(self, ctx, tool=SAFE):
        self.start = f"POST {ctx.path} HTTP/1.1"
        self.lines = [f"{name}: {value}" for name, value in ctx.headers(tool.strip('"'))]
        self.body = utf8(call(ctx.era, tool))(ctx.mark)
        self.length = f"Content-Length: {len(self.body)}"

    def send(self, *more, end="\r\n", without=(), start=None, body=None, first=()):
        lines = [
            line for line in self.lines if not line.lower().startswith(tuple(name.lower() + ":" for name in without))
        ]
        head = end.join([start or self.start, *first, *lines, *more]) + end * 2
        return octets(head) + (self.body if body is None else body)


def chunked(body, size=None, extension="", end="\r\n", last="0\r\n\r\n"):
    return octets(f"{size or format(len(body), 'x')}{extension}{end}") + body + octets(end + last)


CHUNKED = "Transfer-Encoding: chunked"


def lengths():
    """Two statements of a body's length, or one that is no number, or one that is not true."""
    group = Group("HTTP/1.1 lengths")

    def both(name, make, expect="refused", **more):
        for era in ERAS:
            for tool in (SAFE, EVIL):
                given = expect if tool == SAFE else "refused" if expect == RUNS else expect
                group.add(
                    f"{name}, {tool}",
                    era,
                    "",
                    given,
                    http1=lambda ctx, make=make, tool=tool: make(Head(ctx, tool), ctx),
                    malformed=False,
                    **more,
                )

    for name, fields in {
        "length, then coding": lambda head: (head.length, CHUNKED),
        "coding, then length": lambda head: (CHUNKED, head.length),
        "coding, then no length": lambda head: (CHUNKED, "Content-Length: 0"),
        "length 4, then coding": lambda head: ("Content-Length: 4", CHUNKED),
        "length 0, then coding": lambda head: ("Content-Length: 0", CHUNKED),
        "length in lower case, coding in upper": lambda head: (head.length.lower(), CHUNKED.upper()),
        "length, coding apart": lambda head: (head.length, "X: y", CHUNKED),
        "coding with a tab": lambda head: (head.length, "Transfer-Encoding:\tchunked"),
        "coding with a space after": lambda head: (head.length, CHUNKED + " "),
        "coding without a space": lambda head: (head.length, "Transfer-Encoding:chunked"),
        "coding in capitals": lambda head: (head.length, "Transfer-Encoding: Chunked"),
    }.items():
        # CL.TE and TE.CL: the body is right by one of the two, and hides a call by the other.
        both(
            f"{name}, a chunked body",
            lambda head, ctx, fields=fields: head.send(*fields(head), body=chunked(head.body)),
        )
        both(f"{name}, a plain body", lambda head, ctx, fields=fields: head.send(*fields(head)))
        both(
            f"{name}, a call after the last chunk",
            lambda head, ctx, fields=fields: head.send(*fields(head), body=b"0\r\n\r\n" + hidden(ctx)),
        )
        both(
            f"{name}, a call in a chunk",
            lambda head, ctx, fields=fields: head.send(*fields(head), body=chunked(hidden(ctx))),
        )
    for coding in (
        "identity",
        "xchunked",
        "chunkedx",
        "chunked, identity",
        "identity, chunked",
        "chunked, chunked",
        "gzip, chunked",
        "chunked;q=1",
        '"chunked"',
        "chunked,",
        ",chunked",
        "",
        " ",
        "cow",
        "x, chunked",
        "chunked x",
        "chunked\x0b",
        "\x0bchunked",
        "chunked\x0c",
        "chunked\t",
        "deflate",
        "ch\u00fcnked",
        "[chunked]",
        "chunked chunked",
        "chunked\x00",
        "trailers, chunked",
        "compress, chunked",
    ):
        tame = coding.strip(" \t").lower() == "chunked"
        both(
            f"coding {coding!r}",
            lambda head, ctx, coding=coding: head.send(f"Transfer-Encoding: {coding}", body=chunked(head.body)),
            RUNS if tame else "refused",
        )
        both(
            f"coding {coding!r} and a length",
            lambda head, ctx, coding=coding: head.send(head.length, f"Transfer-Encoding: {coding}"),
        )
    both("coding twice", lambda head, ctx: head.send(CHUNKED, CHUNKED, body=chunked(head.body)))
    both(
        "coding twice, identity first",
        lambda head, ctx: head.send("Transfer-Encoding: identity", CHUNKED, body=chunked(head.body)),
    )
    both(
        "coding twice, identity last",
        lambda head, ctx: head.send(CHUNKED, "Transfer-Encoding: identity", body=chunked(head.body)),
    )
    for name in (
        "Transfer_Encoding",
        "Transfer-Encoding ",
        " Transfer-Encoding",
        "Transfer-Encoding\t",
        "Transfer Encoding",
        "X-Transfer-Encoding",
        "transfer-encodin\u212a",
        "Transfer-Encoding\x00",
        "\tTransfer-Encoding",
    ):
        expect = EITHER if name in ("Transfer_Encoding", "X-Transfer-Encoding") else "refused"
        both(
            f"coding named {name!r} and a length",
            lambda head, ctx, name=name: head.send(head.length, f"{name}: chunked"),
            expect,
        )
    for value in (
        "+@L@",
        "-@L@",
        "0x@H@",
        "@L@, @L@",
        "@L@,",
        "@L@ @L@",
        "@L@.0",
        "@L@e0",
        '"@L@"',
        "0@L@",
        "",
        " ",
        "x",
        "@L@x",
        "x@L@",
        "99999999999999999999999",
        "18446744073709551616",
        "-0",
        "\u0663",
        "@L@\x0b",
        "@L@;x",
        "1 @L@",
        "@L@\r\n @L@",
        "@L@\x00",
    ):
        text = lambda head, value: value.replace("@L@", str(len(head.body))).replace("@H@", format(len(head.body), "x"))
        expect = EITHER if value == "0@L@" else "refused"
        both(
            f"length {value!r}",
            lambda head, ctx, value=value, text=text: head.send(f"Content-Length: {text(head, value)}"),
            expect,
        )
    both("length twice, the same", lambda head, ctx: head.send(head.length, head.length))
    both("length twice, apart", lambda head, ctx: head.send(head.length, "X: y", head.length.lower()))
    both("length twice, another", lambda head, ctx: head.send(head.length, "Content-Length: 0"))
    both("length twice, another first", lambda head, ctx: head.send("Content-Length: 5", head.length))
    both(
        "length with a leading zero twice",
        lambda head, ctx: head.send(head.length, f"Content-Length: 0{len(head.body)}"),
    )
    both("neither", lambda head, ctx: head.send())
    both("too short", lambda head, ctx: head.send(f"Content-Length: {len(head.body) - 2}"))
    both("too short by all", lambda head, ctx: head.send("Content-Length: 0"))
    both("too long", lambda head, ctx: head.send(f"Content-Length: {len(head.body) + 2}"))
    both(
        "one more, a line end after",
        lambda head, ctx: head.send(f"Content-Length: {len(head.body) + 2}", body=head.body + b"\r\n"),
        RUNS,
    )
    both("a length in the middle of the body", lambda head, ctx: head.send(f"Content-Length: {len(head.body) // 2}"))
    both(
        "HTTP/1.0 with a coding",
        lambda head, ctx: head.send(CHUNKED, start=head.start.replace("1.1", "1.0"), body=chunked(head.body)),
    )
    both(
        "HTTP/1.0 with a length",
        lambda head, ctx: head.send(head.length, start=head.start.replace("1.1", "1.0")),
        EITHER,
    )
    both("a length of 5 MiB and a small body", lambda head, ctx: head.send("Content-Length: 5242880"))
    both("Expect: 100-continue", lambda head, ctx: head.send(head.length, "Expect: 100-continue"), EITHER)
    both("Expect: something else", lambda head, ctx: head.send(head.length, "Expect: x"), EITHER)
    return group.cases


def hidden(ctx, tool=EVIL):
    """A whole request, to hide in another one's body."""
    head = Head(ctx, tool)
    return head.send(head.length)


def chunks():
    """Chunk sizes, extensions, line ends and trailers."""
    group = Group("HTTP/1.1 chunks")

    def both(name, make, expect="refused"):
        for era in ERAS:
            for tool in (SAFE, EVIL):
                given = "refused" if tool == EVIL and expect == RUNS else expect
                group.add(
                    f"{name}, {tool}",
                    era,
                    "",
                    given,
                    http1=lambda ctx, make=make, tool=tool: make(Head(ctx, tool), ctx),
                    malformed=False,
                )

    send = lambda head, body: head.send(CHUNKED, body=body)
    both("one chunk", lambda head, ctx: send(head, chunked(head.body)), RUNS)
    both("upper-case digits", lambda head, ctx: send(head, chunked(head.body, format(len(head.body), "X"))), RUNS)
    both("leading zeros", lambda head, ctx: send(head, chunked(head.body, format(len(head.body), "08x"))), EITHER)
    both(
        "a byte a chunk",
        lambda head, ctx: send(head, b"".join(b"1\r\n%c\r\n" % byte for byte in head.body) + b"0\r\n\r\n"),
        RUNS,
    )
    both("a last chunk of 000", lambda head, ctx: send(head, chunked(head.body, last="000\r\n\r\n")), EITHER)
    for extension in (
        ";x",
        ";x=y",
        "; x = y",
        ';x="y"',
        ';x="\\""',
        ";;;",
        ";",
        " ;x",
        ";" + "x" * 1000,
        ";Mcp-Name=admin_delete",
        ';x="\x0b"',
        "\t",
        " ",
        ";\x80",
    ):
        both(
            f"extension {extension[:20]!r}",
            lambda head, ctx, extension=extension: send(head, chunked(head.body, extension=extension)),
            EITHER,
        )
    for extension in (";x\ny", ";x\r", ";\n", ";" + "x" * 20_000, ";x\r\r", ";x\n0", ";\r\n", ";x\x00"):
        expect = EITHER if "\x00" in extension else "refused"
        both(
            f"extension {extension[:20]!r}",
            lambda head, ctx, extension=extension: send(head, chunked(head.body, extension=extension)),
            expect,
        )
    for size in (
        "0x@H@",
        "+@H@",
        "-@H@",
        "@H@h",
        "@H@ x",
        " @H@",
        "\t@H@",
        "@H@,0",
        "x",
        "",
        "ffffffffffffffff",
        "10000000000000000",
        "fffffffffffffffff",
        "@H@\x00",
        "@H@.0",
        '"@H@"',
        "@H@\x0b",
        "\u0661",
    ):
        both(
            f"size {size!r}",
            lambda head, ctx, size=size: send(
                head, chunked(head.body, size.replace("@H@", format(len(head.body), "x")) or " ")
            ),
        )
    both("bare LF", lambda head, ctx: send(head, chunked(head.body, end="\n", last="0\n\n")))
    both("bare LF after the size", lambda head, ctx: send(head, chunked(head.body).replace(b"\r\n", b"\n", 1)))
    both(
        "bare LF after the data",
        lambda head, ctx: send(head, chunked(head.body, last="0\r\n\r\n").replace(b"\r\n0", b"\n0")),
    )
    both("bare CR", lambda head, ctx: send(head, chunked(head.body, end="\r", last="0\r\r")))
    both("bare LF at the end", lambda head, ctx: send(head, chunked(head.body, last="0\r\n\n")))
    both("no line end after the data", lambda head, ctx: send(head, chunked(head.body).replace(b"\r\n0", b"0")))
    both(
        "two line ends after the data", lambda head, ctx: send(head, chunked(head.body).replace(b"\r\n0", b"\r\n\r\n0"))
    )
    both("a chunk one too long", lambda head, ctx: send(head, chunked(head.body, format(len(head.body) + 1, "x"))))
    both("a chunk one too short", lambda head, ctx: send(head, chunked(head.body, format(len(head.body) - 1, "x"))))
    both("no last chunk", lambda head, ctx: send(head, chunked(head.body, last="")))
    both("no end after the last chunk", lambda head, ctx: send(head, chunked(head.body, last="0\r\n")))
    both("a negative last chunk", lambda head, ctx: send(head, chunked(head.body, last="-0\r\n\r\n")))
    for trailer in (
        "Mcp-Name: admin_delete",
        "Mcp-Method: tools/list",
        "MCP-Protocol-Version: 2025-11-25",
        "Authorization: Bearer x",
        "Content-Length: 5",
        "Transfer-Encoding: identity",
        "Host: evil.example",
        "Mcp-Session-Id: x",
        "X: y",
        "Content-Type: text/plain",
        "Content-Encoding: gzip",
        "Mcp-Name: admin_delete\r\nMcp-Name: safe_read",
        ":path: /x",
    ):
        # Nothing reads them; whether they are dropped or refused is all the same.
        both(
            f"trailer {trailer!r}",
            lambda head, ctx, trailer=trailer: send(head, chunked(head.body, last=f"0\r\n{trailer}\r\n\r\n")),
            EITHER,
        )
    for trailer in ("X: y\n", "X: y\nPOST / HTTP/1.1\r\n", "\nX: y", "X\r\n", " X: y\r\n", "X : y\r\n"):
        both(
            f"bad trailer {trailer!r}",
            lambda head, ctx, trailer=trailer: send(head, chunked(head.body, last=f"0\r\n{trailer}\r\n")),
            EITHER,
        )
    both(
        "a trailer of 20,000 bytes",
        lambda head, ctx: send(head, chunked(head.body, last=f"0\r\nX: {'y' * 20_000}\r\n\r\n")),
        EITHER,
    )
    for name, after in {
        "nothing between": b"",
        "a line end between": b"\r\n",
        "a bare LF between": b"\n",
        "NUL between": b"\0",
        "a space between": b" ",
        "junk between": b"x",
    }.items():
        both(
            f"a denied call after the last chunk, {name}",
            lambda head, ctx, after=after: send(head, chunked(head.body)) + after + hidden(ctx),
            EITHER,
        )
        both(
            f"a denied call after the body, {name}",
            lambda head, ctx, after=after: head.send(head.length) + after + hidden(ctx),
            EITHER,
        )
    both("two denied calls after a call", lambda head, ctx: head.send(head.length) + hidden(ctx) * 2, EITHER)
    both("a call after a call, its length twice", lambda head, ctx: head.send(head.length) + twice(ctx), EITHER)
    both(
        "a call with both after a chunked call",
        lambda head, ctx: send(head, chunked(head.body)) + clashing(ctx),
        EITHER,
    )
    return group.cases


def twice(ctx):
    head = Head(ctx, EVIL)
    return head.send(head.length, head.length)


def clashing(ctx):
    head = Head(ctx, EVIL)
    return head.send(head.length, CHUNKED, body=chunked(head.body))


def heads():
    """Lines of the head: ends, spaces, folds, request lines."""
    group = Group("HTTP/1.1 heads")

    def both(name, make, expect="refused"):
        for era in ERAS:
            for tool in (SAFE, EVIL):
                given = "refused" if tool == EVIL and expect == RUNS else expect
                group.add(
                    f"{name}, {tool}",
                    era,
                    "",
                    given,
                    http1=lambda ctx, make=make, tool=tool: make(Head(ctx, tool), ctx),
                    malformed=False,
                )

    sound = lambda head, ctx: head.send(head.length)
    both("sound", sound, RUNS)
    both("bare LF everywhere", lambda head, ctx: head.send(head.length, end="\n"))
    both("bare CR everywhere", lambda head, ctx: head.send(head.length, end="\r"))
    both("LF CR everywhere", lambda head, ctx: head.send(head.length, end="\n\r"))
    both("CR CR LF everywhere", lambda head, ctx: head.send(head.length, end="\r\r\n"))
    replace = lambda head, old, new: head.send(head.length).replace(old, new, 1)
    both("bare LF after the request line", lambda head, ctx: replace(head, b" HTTP/1.1\r\n", b" HTTP/1.1\n"))
    both("bare LF after a header", lambda head, ctx: replace(head, b"\r\nAccept", b"\nAccept"))
    both("bare LF before the body", lambda head, ctx: replace(head, b"\r\n\r\n", b"\r\n\n"))
    both("bare LF twice before the body", lambda head, ctx: replace(head, b"\r\n\r\n", b"\n\n"))
    both("bare LF, CRLF before the body", lambda head, ctx: replace(head, b"\r\n\r\n", b"\n\r\n"))
    both("a header within a header by LF", lambda head, ctx: head.send("X: y\nContent-Length: 0", head.length))
    both("a length within a header by LF", lambda head, ctx: head.send("X: y\n" + head.length))
    both("a coding within a header by LF", lambda head, ctx: head.send("X: y\n" + CHUNKED, head.length))
    both("a header within a header by CR", lambda head, ctx: head.send("X: y\rContent-Length: 0", head.length))
    both("a tool within a header by CR", lambda head, ctx: head.send("X: y\rMcp-Name: admin_delete", head.length))
    for name, field in {
        "a folded header": "X: y\r\n z",
        "a folded header by tab": "X: y\r\n\tz",
        "a folded coding": "X: y\r\n Transfer-Encoding: chunked",
        "a space before the colon": "X : y",
        "a tab before the colon": "X\t: y",
        "no colon": "X y",
        "no name": ": y",
        "a space in the name": "X Y: z",
        "a colon alone": ":",
        "NUL in a value": "X: y\0z",
        "NUL in a name": "X\0Y: z",
        "a letter beyond ASCII in a name": "X\u00e9: y",
        "a slash in a name": "X/Y: z",
        "a bracket in a name": "X(Y): z",
        "ESC in a value": "X: \x1b[0m",
        "VT in a value": "X: y\x0bz",
        "a line of spaces": "  ",
        "an at sign in a name": "X@Y: z",
        "DEL in a name": "X\x7f: y",
        "a quote in a name": '"X": y',
        "a brace in a name": "{X}: y",
        "an equals sign": "X=y",
        "a second request line": "POST /mcp/dev/x HTTP/1.1",
    }.items():
        both(name, lambda head, ctx, field=field: head.send(field, head.length))
        both(f"{name}, first", lambda head, ctx, field=field: head.send(head.length, first=(field,)))
    for name, field in {
        "a high byte in a value": "X: \u00e9\u00ff",
        "a tab in a value": "X: y\tz",
        "an empty value": "X:",
        "odd characters in a name": "X!#$%&'*+-.^_`|~: y",
        "a long value": "X: " + "y" * 8000,
    }.items():
        both(name, lambda head, ctx, field=field: head.send(field, head.length), RUNS)
    both("200 headers", lambda head, ctx: head.send(*(f"X{n}: y" for n in range(200)), head.length))
    both("a header of 40,000 bytes", lambda head, ctx: head.send("X: " + "y" * 40_000, head.length))
    both(
        "a head of 100,000 bytes", lambda head, ctx: head.send(*(f"X{n}: {'y' * 1200}" for n in range(80)), head.length)
    )
    for name, start in {
        "two spaces": "POST  @P@ HTTP/1.1",
        "a tab": "POST\t@P@ HTTP/1.1",
        "a space before": " POST @P@ HTTP/1.1",
        "a space after": "POST @P@ HTTP/1.1 ",
        "no version": "POST @P@",
        "HTTP/0.9": "POST @P@ HTTP/0.9",
        "HTTP/1.2": "POST @P@ HTTP/1.2",
        "HTTP/2.0": "POST @P@ HTTP/2.0",
        "HTTP/3": "POST @P@ HTTP/3",
        "HTTP/1.10": "POST @P@ HTTP/1.10",
        "http/1.1": "POST @P@ http/1.1",
        "HTTP/1.1x": "POST @P@ HTTP/1.1x",
        "HTTP /1.1": "POST @P@ HTTP /1.1",
        "HTTP/01.1": "POST @P@ HTTP/01.1",
        "XTTP": "POST @P@ XTTP/1.1",
        "no target": "POST HTTP/1.1",
        "no method": "@P@ HTTP/1.1",
        "two targets": "POST @P@ /x HTTP/1.1",
        "a fragment": "POST @P@#x HTTP/1.1",
        "an asterisk": "POST * HTTP/1.1",
        "an authority": "POST 127.0.0.1 HTTP/1.1",
        "absolute": "POST http://@H@@P@ HTTP/1.1",
        "absolute, elsewhere": "POST http://evil.example@P@ HTTP/1.1",
        "absolute, https": "POST https://@H@@P@ HTTP/1.1",
        "absolute, a user": "POST http://user@@H@@P@ HTTP/1.1",
        "absolute, without a path": "POST http://@H@ HTTP/1.1",
        "a scheme alone": "POST http:@P@ HTTP/1.1",
        "NUL": "POST @P@\0 HTTP/1.1",
        "a high byte": "POST @P@\u00e9 HTTP/1.1",
        "CR in the target": "POST @P@\r HTTP/1.1",
        "another call in the line": "POST @P@ HTTP/1.1\r\nX: y POST @P@ HTTP/1.1",
        "a form feed": "POST\x0c@P@\x0cHTTP/1.1",
    }.items():
        expect = RUNS if name == "another call in the line" else "refused"
        both(
            f"request line: {name}",
            lambda head, ctx, start=start: head.send(head.length, start=filled(start, ctx).replace("@H@", ctx.host)),
            expect,
        )
    for name, before in {
        "one empty line": "\r\n",
        "two empty lines": "\r\n\r\n",
        "a bare LF": "\n",
        "a bare CR": "\r",
        "a space": " ",
        "NUL": "\0",
        "a chunk": "0\r\n\r\n",
        "a mark": "\u00ef\u00bb\u00bf",
    }.items():
        both(
            f"{name} before the request",
            lambda head, ctx, before=before: before.encode("latin-1") + sound(head, ctx),
            EITHER if "empty" in name else "refused",
        )
    both("a preface of HTTP/2, then HTTP/1.1", lambda head, ctx: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + sound(head, ctx))
    both("half a preface, then HTTP/1.1", lambda head, ctx: b"PRI * HTTP/2.0\r\n\r\n" + sound(head, ctx))
    return group.cases


def targets():
    """Paths, hosts, methods, tokens."""
    group = Group("HTTP/1.1 targets, hosts and methods")

    def both(name, make, expect="refused", tools=(SAFE, EVIL)):
        for era in ERAS:
            for tool in tools:
                given = "refused" if tool == EVIL and expect == RUNS else expect
                group.add(
                    f"{name}, {tool}",
                    era,
                    "",
                    given,
                    http1=lambda ctx, make=make, tool=tool: make(Head(ctx, tool), ctx),
                    malformed=False,
                )

    for path in PATHS:
        expect = EITHER if path.startswith("/.well-known/oauth") else "refused"
        both(
            f"path {path[:40]}",
            lambda head, ctx, path=path: head.send(head.length, start=f"POST {filled(path, ctx)} HTTP/1.1"),
            expect,
            tools=(SAFE,),
        )
    for host in HOSTS:
        both(
            f"host {host!r}",
            lambda head, ctx, host=host: head.send(head.length, f"Host: {host}", without=("Host",)),
            tools=(SAFE,),
        )
    both("no host", lambda head, ctx: head.send(head.length, without=("Host",)), tools=(SAFE,))
    both("two hosts, the same", lambda head, ctx: head.send(head.length, f"Host: {ctx.host}"), tools=(SAFE,))
    both("two hosts", lambda head, ctx: head.send(head.length, "Host: evil.example"), tools=(SAFE,))
    both(
        "two hosts, the other first",
        lambda head, ctx: head.send(head.length, first=("Host: evil.example",)),
        tools=(SAFE,),
    )
    for origin in ORIGINS:
        both(
            f"origin {origin!r}",
            lambda head, ctx, origin=origin: head.send(head.length, f"Origin: {origin}"),
            tools=(SAFE,),
        )
    for method in METHODS:
        both(
            f"method {method}",
            lambda head, ctx, method=method: head.send(head.length, start=head.start.replace("POST", method)),
        )
    for method in ("GET", "DELETE", "HEAD"):
        both(
            f"{method} with a chunked body",
            lambda head, ctx, method=method: head.send(
                CHUNKED, start=head.start.replace("POST", method), body=chunked(head.body)
            ),
        )
        # Without the session, which a DELETE would end.
        bare = lambda head, *more, method=method: head.send(
            *more, start=head.start.replace("POST", method), body=b"", without=("Mcp-Session-Id",)
        )
        both(
            f"{method} with a call after it",
            lambda head, ctx, bare=bare: bare(head) + hidden(ctx),
            EITHER,
            tools=(SAFE,),
        )
        both(
            f"{method} with a length of 0 and a call after it",
            lambda head, ctx, bare=bare: bare(head, "Content-Length: 0") + hidden(ctx),
            EITHER,
            tools=(SAFE,),
        )
    for name, value in MEANINGLESS:
        # Not all of these are let through (`Last-Event-ID` and `Expect` are not alone in having a meaning of their own).
        both(
            f"{name}: {value}",
            lambda head, ctx, name=name, value=value: head.send(head.length, f"{name}: {value}"),
            RUNS if name not in ("Upgrade", "Expect", "Mcp-Authorization") else EITHER,
        )
    bearer = lambda ctx: f"Bearer {ctx.token}"
    for name, fields in {
        "twice": lambda ctx: (f"Authorization: {bearer(ctx)}",) * 2,
        "twice, another first": lambda ctx: ("Authorization: Bearer x", f"Authorization: {bearer(ctx)}"),
        "twice, another last": lambda ctx: (f"Authorization: {bearer(ctx)}", "Authorization: Basic eDp5"),
        "joined": lambda ctx: (f"Authorization: {bearer(ctx)}, {bearer(ctx)}",),
        "none": lambda ctx: (),
        "a cookie": lambda ctx: (f"Cookie: Authorization={ctx.token}",),
        "X-Authorization": lambda ctx: (f"X-Authorization: {bearer(ctx)}",),
        "Proxy-Authorization": lambda ctx: (f"Proxy-Authorization: {bearer(ctx)}",),
        "X-Forwarded-Access-Token": lambda ctx: (f"X-Forwarded-Access-Token: {ctx.token}",),
        "Basic": lambda ctx: (f"Authorization: Basic {ctx.token}",),
        "no scheme": lambda ctx: (f"Authorization: {ctx.token}",),
        "two spaces": lambda ctx: (f"Authorization: Bearer  {ctx.token}",),
        "a tab": lambda ctx: (f"Authorization: Bearer\t{ctx.token}",),
        "cut": lambda ctx: (f"Authorization: {bearer(ctx)[:-1]}",),
        "a dot more": lambda ctx: (f"Authorization: {bearer(ctx)}.",),
        "padded": lambda ctx: (f"Authorization: {bearer(ctx)}=",),
        "empty": lambda ctx: ("Authorization: Bearer ",),
    }.items():
        both(
            f"authorization: {name}",
            lambda head, ctx, fields=fields: head.send(head.length, *fields(ctx), without=("Authorization",)),
        )
    return group.cases
