"""Sessions of somebody else, sessions without end, and answers of somebody else."""

import concurrent.futures
import json
import time

from doors import STREAM, in_session, initialize, message
from kit.wire import Http1
from stage import PATH, result, text, unless


def others(stage):
    """Fails if a session can be used, listened to, resumed or ended by whom it is not of, though the id is right; or on
    another endpoint by its owner."""
    session = stage.session("alice")
    yield from unless(stage.in_session(session, "alice").status == 200, "control: its owner can't use it")
    listing = message("tools/list", {})
    with Http1(stage.port) as client:
        for who, path in (("bob", PATH), ("alice", "/mcp/dev/other"), ("bob", "/mcp/dev/other")):
            for name, verb, headers, body in (
                ("a call", "POST", in_session(session), message("tools/call", {"name": "safe_read", "arguments": {}})),
                ("a list", "POST", in_session(session), listing),
                (
                    "a notification",
                    "POST",
                    in_session(session),
                    b'{"jsonrpc":"2.0","method":"notifications/initialized"}',
                ),
                ("an answer", "POST", in_session(session), b'{"jsonrpc":"2.0","id":1,"result":{}}'),
                ("a stream", "GET", in_session(session, STREAM), b""),
                ("a stream, resumed", "GET", [*in_session(session, STREAM), ("Last-Event-ID", "1")], b""),
                ("its end", "DELETE", in_session(session), b""),
            ):
                reached, answer = stage.reached(
                    lambda: client.exchange(verb, path, [*headers, *stage.bearer(who)], body)
                )
                yield from unless(answer.status == 404 and not reached, f"{name} by {who} at {path}: {text(answer)}")
    yield from unless(stage.in_session(session, "alice").status == 200, "its owner can't use it any more")


def made_up(stage):
    """Fails if an id that was never given out, or that was changed in any place, opens something."""
    session = stage.session("alice")
    ids = [
        "x",
        "00000000-0000-0000-0000-000000000000",
        "of-the-server",
        "1",
        session.upper(),
        session[:-1],
        session + "A",
        session[1:],
        session[::-1],
        session * 2,
        "alice@example.com",
        "null",
    ]
    ids += [
        session[:place] + ("A" if session[place] != "A" else "B") + session[place + 1 :]
        for place in range(0, len(session), 7)
    ]
    with Http1(stage.port) as client:
        for made in ids:
            for name, verb, headers, body in (
                ("a list", "POST", in_session(made), message("tools/list", {})),
                ("a stream", "GET", in_session(made, STREAM), b""),
                ("its end", "DELETE", in_session(made), b""),
            ):
                reached, answer = stage.reached(
                    lambda: client.exchange(verb, PATH, [*headers, *stage.bearer("alice")], body)
                )
                yield from unless(answer.status == 404 and not reached, f"{name} with `{made[:12]}…`: {text(answer)}")
    yield from unless(stage.in_session(session, "alice").status == 200, "control: the right id opens nothing")


OPENED = 1000  # sessions
PER_SESSION = 4  # KiB that one may cost


def endless(stage):
    """Fails if sessions that nobody ends cost memory: the gateway keeps no list of them."""
    headers, body = initialize()

    def some(count):
        with Http1(stage.port) as client:
            return [
                client.exchange("POST", PATH, [*headers, *stage.bearer("alice")], body).status for _ in range(count)
            ]

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        opened = [status for statuses in pool.map(some, [OPENED // 80] * 20) for status in statuses]  # warm
        before = stage.memory()
        opened += [status for statuses in pool.map(some, [OPENED * 6 // 5 // 20] * 20) for status in statuses]
    grown = stage.memory() - before
    # On a disk that is busy for seconds, some are refused with 503: they could not be recorded.
    yield from unless(
        set(opened) <= {200, 503} and opened.count(200) >= OPENED, f"control: sessions were refused: {set(opened)}"
    )
    yield from unless(grown < OPENED * PER_SESSION, f"{OPENED} sessions cost {grown} KiB")


def abandoned(stage):
    """Fails if streams whose clients went away without a word stay, in memory or by number."""

    def stream(_):
        session = stage.session("bob")
        with Http1(stage.port) as client:
            return client.exchange(
                "GET", PATH, [*in_session(session, STREAM), *stage.bearer("bob")], to_the_end=False
            ).status

    def in_progress():
        with Http1(stage.admin) as admin:
            lines = admin.exchange("GET", "/metrics", []).body.decode().splitlines()
        return int(next(line.rsplit(" ", 1)[1] for line in lines if line.startswith("narrows_requests_in_progress")))

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(stream, range(50)))
        before = stage.memory()
        # More than may be open at once: they can't be, unless those before are gone.
        statuses += list(pool.map(stream, range(300)))
    grown = stage.memory() - before
    yield from unless(set(statuses) == {200}, f"streams were refused: {set(statuses)}")
    deadline = time.monotonic() + 10
    while in_progress() and time.monotonic() < deadline:
        time.sleep(0.1)
    yield from unless(in_progress() == 0, f"{in_progress()} streams are left")
    yield from unless(grown < 300 * 32, f"300 abandoned streams cost {grown} KiB")


def same_ids(stage):
    """Fails if a client gets another's answer, or its own under another id. All of them use the same ids at once."""

    def client(number):
        who, session, wrong = *sessions[number], []
        for turn in range(25):
            mark, used = f"client-{number}-{turn}", (0, 1, "1", "0", 2)[turn % 5]
            answer = stage.in_session(session, who, {"path": mark}, used)
            if (
                answer.status != 200
                or json.loads(result(answer))["path"] != mark
                or json.loads(answer.body)["id"] != used
                or type(json.loads(answer.body)["id"]) is not type(used)
            ):
                wrong.append(f"{mark}: {text(answer)}")
        return wrong

    sessions = [(who, stage.session(who)) for who in ("alice", "bob") * 8]
    reached = len(stage.server.seen)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        yield from (problem for wrong in pool.map(client, range(16)) for problem in wrong[:2])
    # At the server, an id is one session's alone.
    of = {}
    for request in stage.server.seen[reached:]:
        headers, body = request.lower().split(b"\r\n\r\n", 1)
        of.setdefault(json.loads(body)["id"], set()).add(headers.split(b"mcp-session-id: ")[1].split(b"\r\n")[0])
    yield from unless(len(of) >= 16 * 5, f"control: {len(of)} ids at the server")
    yield from unless(
        all(len(sessions_of) == 1 for sessions_of in of.values()),
        "two sessions' requests went to the server under one id",
    )


def foreign(stage):
    """Fails if an answer under an id that was not asked under reaches anybody."""
    mark = "for-somebody-else"
    made = {
        "another id": lambda used: 99,
        "the client's own id": lambda used: 7,
        "its id as text": lambda used: str(used) if isinstance(used, int) else 7,
        "null": lambda used: None,
        "a list": lambda used: [used],
        "id and more": lambda used: f"{used}x",
        "an object": lambda used: {"id": used},
        "a fraction": lambda used: 7.5,
    }
    for name, change in made.items():

        def script(handler, asked, change=change):
            said = {
                "jsonrpc": "2.0",
                "id": change(asked["id"]),
                "result": {"content": [{"type": "text", "text": mark}]},
            }
            handler.answer(200, json.dumps(said).encode(), [("Content-Type", "application/json")])
            return True

        session = stage.session("alice")
        stage.server.script = script
        answer = stage.in_session(session, "alice", number=7)
        stage.server.script = None
        yield from unless(answer.status == 502 and mark.encode() not in answer.every_byte(), f"{name}: {text(answer)}")
    answer = stage.in_session(stage.session("bob"), "bob", number=7)
    yield from unless(answer.status == 200 and mark not in result(answer), f"control: afterwards: {text(answer)}")


TESTS = [
    (
        "GHSA-953h-535j-jg2v",
        "agent-router: a session named its subject, and nobody looked whose it was when it went on",
        others,
    ),
    ("CVE-2026-52869", "python-sdk < 1.27.2: a session was found by its id, without its principal", made_up),
    ("CVE-2026-59951", "python-sdk: sessions never ended, and memory grew", endless),
    ("CVE-2026-67430", "ruby-sdk: streams of clients that had gone were kept", abandoned),
    ("CVE-2026-25536", "typescript-sdk: clients with the same request ids got each other's answers", same_ids),
    ("CVE-2026-111770", "typescript-sdk: an answer went to whoever had used its id", foreign),
]
