"""Whether the oracle can say no: a small sound history, in which it must find nothing, and the same with one thing
wrong, in which it must find that."""

import base64
import copy
import hmac
import json

from .oracle import Oracle
from .record import Tree

KEY = b"k" * 32


class History:
    """Two runs, the first of which was killed: `a` was answered, `b` ran and its outcome was lost, `c` was denied."""

    def __init__(self):
        self.number = 0
        self.records = [
            self.opened(records=0, closed=0),
            self.record("request.admitted", request=self.request("a")),
            self.record("request.admitted", request=self.request("b")),
            self.record("request.completed", intent=1, outcome={"status": "ok"}),
            self.record("request.denied", request=self.request("c")),
            self.opened(records=5, closed=1),
            self.record("request.completed", intent=2, outcome={"status": "unknown", "error": "crash"}),
            self.record("request.admitted", request=self.request("d")),
            self.record("request.completed", intent=7, outcome={"status": "ok"}),
        ]
        self.executed = ["/mcp read a", "/mcp read b", "/mcp read d"]
        self.calls = ["a json 200 whole", "b json 0 cut", "c denied 403 whole", "d json 200 whole"]
        self.checkpoint = 5
        self.root = None
        self.segment = 0

    def record(self, kind, **members):
        self.number += 1
        return {"id": f"0000-{self.number:012x}", "kind": kind, **members}

    def opened(self, records, closed):
        return self.record("log.opened", after={"records": records, "closedUnknown": closed, "truncatedBytes": 0})

    def request(self, identity):
        digest = hmac.digest(KEY, f'{{"id":"{identity}"}}'.encode(), "sha256").hex()
        return {"id": f"1000-{ord(identity):012x}", "argsDigest": f"hmac-sha256:{digest}"}

    def violations(self, directory):
        """How many the oracle finds."""
        log = directory / "log" / "local"
        log.mkdir(parents=True)
        (directory / "keys").mkdir()
        (directory / "keys" / "digest.key").write_bytes(KEY)
        lines = [json.dumps(record).encode() for record in self.records]
        tree = Tree()
        for line in lines:
            tree.push(line)
        root = self.root or tree.root(self.checkpoint)
        (log / "checkpoint").write_text(f"check\n{self.checkpoint}\n{base64.b64encode(root).decode()}\n\n— nobody\n")
        name = f"segment-{self.segment:020}.jsonl"
        (log / name).write_bytes(b"".join(line + b"\n" for line in lines) + bytes(64))
        (directory / "executed").write_text("".join(f"{line}\n" for line in self.executed))
        (directory / "calls").write_text("".join(f"{line}\n" for line in self.calls))
        oracle = Oracle(directory, [directory / "executed"], directory / "calls", quiet=True)
        oracle.end()
        return oracle.violations


def change(number, **members):
    return lambda history: history.records[number].update(members)


def drop(number):
    return lambda history: history.records.pop(number)


def add(name, line):
    return lambda history: getattr(history, name).append(line)


def put(**members):
    return lambda history: history.__dict__.update(members)


WRONG = {
    "something ran that is not recorded": add("executed", "/mcp read z"),
    "something ran twice": add("executed", "/mcp read a"),
    "something ran that was denied": add("executed", "/mcp read c"),
    "an answered call is not recorded": add("calls", "z json 200 whole"),
    "a refusal is not recorded": add("calls", "z denied 403 whole"),
    "a denied call was answered": add("calls", "a denied 200 whole"),
    "a call was answered with 502": add("calls", "z json 502 whole"),
    "an intent is lost": drop(7),
    "an outcome is lost": drop(8),
    "a closing is lost": drop(6),
    "an id is there twice": change(3, id="0000-000000000002"),
    "a request is admitted twice": lambda history: history.records.append({**history.records[1], "id": "0000-0000000000ff"}),
    "an intent is closed twice": lambda history: history.records.append({**history.records[8], "id": "0000-0000000000ff"}),
    "an answered call is recorded as cancelled": change(8, outcome={"status": "cancelled"}),
    "`unknown` outside of an opening": change(8, outcome={"status": "unknown", "error": "crash"}),
    "a record is altered": lambda history: put(root=b"r" * 32)(history),
    "the checkpoint covers more than there is": lambda history: put(checkpoint=99, root=b"r" * 32)(history),
    "a segment is missing": put(segment=9),
}


def problems(directory):
    """What the oracle finds where nothing is wrong, or does not find where something is."""
    sound = History()
    found = []
    if sound.violations(directory / "sound"):
        found.append("it finds a violation where there is none")
    for number, (name, alter) in enumerate(WRONG.items()):
        history = copy.deepcopy(sound)
        alter(history)
        if not history.violations(directory / f"wrong-{number}"):
            found.append(f"it does not find that {name}")
    return found
