"""Events that a server smuggles into a client's stream."""

import json

from stage import text, unless

MARK = "smuggled"


def streamed(stage, events):
    """Answers a call with a stream of these bytes, and gives what the client gets. `$id` stands for the id."""

    def script(handler, asked):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        handler.wfile.write(events.replace(b"$id", json.dumps(asked["id"]).encode()))
        return True

    session = stage.session()
    stage.server.script = script
    answer = stage.in_session(session)
    stage.server.script = None
    return answer


def read(stream):
    """What a client by the book reads (WHATWG, server-sent events): the fields of each event."""
    stream = stream.decode(errors="replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    events = []
    for block in stream.split("\n\n"):
        fields = [line.partition(":")[::2] for line in block.split("\n") if line and not line.startswith(":")]
        if fields:
            events.append([(name, value.removeprefix(" ")) for name, value in fields])
    return events


GOOD = b'data: {"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"done"}]}}\n\n'


def injected(stage, cases):
    """Fails if anything but messages of the server, each whole in one event, reaches the client; or a field that was
    not written by the gateway."""
    answer = streamed(stage, GOOD)
    read_good = read(answer.body)
    yield from unless(
        any("done" in value for event in read_good for _, value in event), f"control: a good stream: {text(answer)}"
    )
    for name, events in cases.items():
        answer = streamed(stage, events)
        for event in read(answer.body):
            names = [field for field, _ in event]
            yield from unless(
                set(names) <= {"data", "id", "retry"} and len(set(names)) == len(names), f"{name}: an event of {names}"
            )
            for field, value in event:
                if field == "data" and value:
                    try:
                        whole = json.loads(value)
                    except ValueError:
                        yield f"{name}: it is no message: {value[:80]}"
                        continue
                    yield from unless(
                        whole.get("jsonrpc") == "2.0" and not ("method" in whole and "id" in whole),
                        f"{name}: it passes {value[:80]}",
                    )
                yield from unless(field != "retry" or value.isdigit(), f"{name}: retry is {value[:60]}")
                yield from unless(field == "data" or MARK not in value, f"{name}: {field} is {value[:60]}")
        yield from unless(f'"{MARK}"'.encode() not in answer.body, f"{name}: {answer.body[:200]}")


RESULT = f'{{"jsonrpc":"2.0","id":1,"result":"{MARK}"}}'.encode()


def hono(stage):
    """Line ends in the fields `event` and `id`."""
    end = GOOD
    return injected(
        stage,
        {
            f"{field} with {name}": field.encode() + b": x" + line + b"data: " + RESULT + line + line + end
            for field in ("event", "id", "retry")
            for name, line in (("LF", b"\n"), ("CR", b"\r"), ("CRLF", b"\r\n"))
        }
        | {
            "event of its own": b"event: smuggled\n" + end,
            "id of its own": b"id: smuggled\n" + end,
            "retry": b"retry: 1\n" + end,
            "unknown field": b"x: smuggled\n" + end,
        },
    )


def h3(stage):
    """Line ends within `data`, and data of several lines."""
    return injected(
        stage,
        {
            "a lone CR in data": b'data: {"jsonrpc":"2.0",\rdata: ' + RESULT + b"\r\r" + GOOD,
            "data in two lines": b'data: {"jsonrpc":"2.0","method":"notifications/message",\ndata: "params":{"level":"info","data":"of two lines"}}\n\n'
            + GOOD,
            "CR within a text": b'data: {"jsonrpc":"2.0","id":$id,"result":{"x":"a\rdata: ' + RESULT + b'"}}\n\n',
            "U+2028": 'data: {"jsonrpc":"2.0","id":$id,"result":{"x":"a\u2028data: smuggled"}}\n\n'.encode(),
            "NUL": b'data: {"jsonrpc":"2.0","id":$id,"result":{"x":"\0"}}\n\n',
            "BOM within": b"\n\n\xef\xbb\xbfdata: " + RESULT + b"\n\n" + GOOD,
            "escaped line ends": b'data: {"jsonrpc":"2.0","id":$id,"result":{"x":"a\\n\\ndata: smuggled\\n\\n"}}\n\n',
        },
    )


def comments(stage):
    """Comments, messages of nobody, and requests to the client that no role grants."""
    asks = b'data: {"jsonrpc":"2.0","id":"s","method":"sampling/createMessage","params":{"messages":[],"maxTokens":1,"x":"smuggled"}}\n\n'
    return injected(
        stage,
        {
            "a comment that is a field": b":data: " + RESULT + b"\n\n" + GOOD,
            "a comment and CR": b": x\rdata: " + RESULT + b"\r\r" + GOOD,
            "another's result": b"data: " + RESULT + b"\n\n" + GOOD,
            "two results": GOOD + b"data: " + RESULT + b"\n\n",
            "a request to the client": asks + GOOD,
            "no message": b'data: "smuggled"\n\n' + GOOD,
            "a batch": b"data: [" + RESULT + b"]\n\n" + GOOD,
            "data without a colon": b"data\n\n" + GOOD,
            "no end": b'data: {"jsonrpc":"2.0","id":$id,"result":"smuggled',
            "text after the result": GOOD + b"smuggled\n\n",
        },
    )


TESTS = [
    ("GHSA-p6xx-57qc-3wxr", "hono: line ends in an event's name or id began another field", hono),
    ("GHSA-22cc-p3c6-wpvm", "h3: line ends in an event's data began another event", h3),
    ("CVE-2026-44214", "a server's text became events of the stream", comments),
]
