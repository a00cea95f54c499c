"""Whether the oracle can say no: a small sound history, in which it must find nothing, and the same with one thing
wrong, in which it must find that."""

import base64
import copy
import hmac
import json

from .oracle import Oracle
from .record import Tree

KEY = b"k" * 32
ROLE = {"kind": "McpRole", "name": "r"}


class History:
    """Three runs, the first two of which were killed: `a` was answered, `b` ran and its outcome was lost, `c` was denied;
    one role was made, and the change of it was cut short."""

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
            self.record("role.changed", object=ROLE, change=self.change("x", 1), after={"spec": 1}),
            self.record("change.applied", intent=9, object=ROLE, change=self.change("x", 1)),
            self.record("role.changed", object=ROLE, change=self.change("y", 2), before={"spec": 1}, after={"spec": 2}),
            self.opened(records=12, closed=0, changes=1),
            self.record("change.aborted", intent=11, object=ROLE, change=self.change("y", 2)),
        ]
        self.executed = ["/mcp read a", "/mcp read b", "/mcp read d"]
        self.calls = ["a json 200 whole", "b json 0 cut", "c denied 403 whole", "d json 200 whole"]
        self.checkpoint = 5
        self.root = None
        self.segment = 0
        self.kept = []  # checkpoints that were seen before

    def record(self, kind, **members):
        self.number += 1
        return {"id": f"0000-{self.number:012x}", "kind": kind, **members}

    def opened(self, records, closed, changes=0):
        after = {"records": records, "closedUnknown": closed, "closedChanges": changes, "truncatedBytes": 0}
        return self.record("log.opened", after=after)

    def change(self, identity, number):
        return {"id": identity, "operation": "update", "objects": 1, "revision": f"{number}-0"}

    def request(self, identity):
        digest = hmac.digest(KEY, f'{{"id":"{identity}"}}'.encode(), "sha256").hex()
        return {"id": f"1000-{ord(identity):012x}", "argsDigest": f"hmac-sha256:{digest}"}

    def violations(self, directory):
        """Those that the oracle finds, in its words."""
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
        oracle.kept += self.kept
        oracle.end()
        return oracle.shown


def change(number, **members):
    return lambda history: history.records[number].update(members)


def drop(number):
    return lambda history: history.records.pop(number)


def add(name, line):
    return lambda history: getattr(history, name).append(line)


def put(**members):
    return lambda history: history.__dict__.update(members)


# What is wrong: the words of the violation that must be found, and how the history comes to have it.
WRONG = {
    "a change was made that is not recorded": (
        "record 13: ('McpRole', '', 'r') was not what its change says that it was",
        lambda history: (history.records[11].update(before={"spec": 7}), history.records[13].update(kind="change.applied")),
    ),
    "a change has no outcome": ("the change of record 9 has no outcome", change(10, kind="snapshot.published")),
    "a change that was cut short stays open": (
        "1 intents before 12 are open at 13, 11 among them",
        change(13, kind="snapshot.published"),
    ),
    "an outcome belongs to no change": (
        "record 10 is an outcome of 8, which is no open change",
        change(10, intent=8),
    ),
    "an outcome is of another change": (
        "record 10 is of another change than its intent",
        change(10, change={"id": "z", "objects": 1, "revision": "1-0"}),
    ),
    "one revision is there twice": (
        "record 13: revision 1 was there before",
        lambda history: (
            history.records[11]["change"].update(revision="1-0"),
            history.records[13].update(kind="change.applied"),
        ),
    ),
    "a part of a change has no outcome": (
        "the change x is applied, but for 1 of its resources",
        lambda history: history.records[9]["change"].update(objects=2),
    ),
    "changes were closed that the opening does not speak of": (
        "12 speaks of 0 changes, 1 are closed",
        change(12, after={"records": 12, "closedUnknown": 0, "closedChanges": 0, "truncatedBytes": 0}),
    ),
    "something ran that is not recorded": ("`read` z ran on /mcp, and no intent says so", add("executed", "/mcp read z")),
    "something ran twice": ("`read` a ran twice", add("executed", "/mcp read a")),
    "something ran that was denied": ("`read` c was denied and ran", add("executed", "/mcp read c")),
    "an answered call is not recorded": ("z was answered with 200, and no intent says so", add("calls", "z json 200 whole")),
    "a refusal is not recorded": ("z was refused, and no record says so", add("calls", "z denied 403 whole")),
    "a denied call was answered": ("a was to be denied and answered with 200", add("calls", "a denied 200 whole")),
    "a call was answered with 502": ("z was answered with 502", add("calls", "z json 502 whole")),
    "a call was answered with 503": ("z was answered with 503", add("calls", "z json 503 whole")),
    "a call was refused with 503 and ran": ("1 calls were refused with 503 and ran", add("calls", "b json 503 whole")),
    "an intent is lost": ("`read` d ran on /mcp, and no intent says so", drop(7)),
    "an outcome is lost": ("1 intents have no outcome, 7 among them", drop(8)),
    "an answered call has no outcome": ("1 answered calls have no outcome", drop(8)),
    "a closing is lost": ("1 intents before 5 are open at 6, 2 among them", drop(6)),
    "an opening miscounts what it closes": (
        "5 speaks of 2 closed, 1 are",
        change(5, after={"records": 5, "closedUnknown": 2, "closedChanges": 0, "truncatedBytes": 0}),
    ),
    "an opening miscounts what was before it": (
        "record 5 says that there were 4 before it",
        change(5, after={"records": 4, "closedUnknown": 1, "closedChanges": 0, "truncatedBytes": 0}),
    ),
    "an id is there twice": ("record 3: its id 0000-000000000002 was there before", change(3, id="0000-000000000002")),
    "a request is admitted twice": (
        "record 14: the request 1000-000000000061 was admitted before",
        lambda history: history.records.append({**history.records[1], "id": "0000-0000000000ff"}),
    ),
    "arguments are admitted twice": (
        "record 14: these arguments were admitted before",
        lambda history: history.records.append({**history.records[1], "id": "0000-0000000000ff"}),
    ),
    "an intent is closed twice": (
        "record 14 is an outcome of 7, which is no open intent",
        lambda history: history.records.append({**history.records[8], "id": "0000-0000000000ff"}),
    ),
    "an answered call is recorded as cancelled": (
        "a call was answered whole and is recorded as `cancelled`",
        change(8, outcome={"status": "cancelled"}),
    ),
    "`unknown` outside of an opening": (
        "record 8: `unknown`, and it is not an opening that closes it",
        change(8, outcome={"status": "unknown", "error": "crash"}),
    ),
    "`unknown` without a crash": ("record 6: `unknown` without a crash", change(6, outcome={"status": "unknown", "error": "x"})),
    "the disk failed": (
        "record 14: the disk failed",
        lambda history: history.records.append(history.record("log.recovered")),
    ),
    "a record is none": ("record 14 is not one", lambda history: history.records.append({"kind": "request.admitted"})),
    "the checkpoint goes back": ("the checkpoint went back to size 5", put(kept=["check\n8\n\n"])),
    "a record is altered": ("the checkpoint of 5 records has another root than they", put(root=b"r" * 32)),
    "the checkpoint covers more than there is": (
        "a checkpoint covers 99 records, and there are 14",
        put(checkpoint=99, root=b"r" * 32),
    ),
    "a segment is missing": ("there is a segment that begins with 9, and 0 records", put(segment=9)),
}


def problems(directory):
    """What the oracle finds where nothing is wrong, or does not find where something is."""
    sound = History()
    found = [f"it finds a violation where there is none: {text}" for text in sound.violations(directory / "sound")]
    for number, (name, (words, alter)) in enumerate(WRONG.items()):
        history = copy.deepcopy(sound)
        alter(history)
        texts = history.violations(directory / f"wrong-{number}")
        if not any(words in text for text in texts):
            found.append(f"it does not find that {name}, but {texts}")
    return found
