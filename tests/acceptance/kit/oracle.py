"""What must hold of the record, however often the process that writes it was killed. It trusts nothing of Narrows: what
ran is what the server wrote down, what was answered is what the clients wrote down, and the log is read as it lies on
the disk. Everything that does not hold is a violation, in words."""

import collections
import json

from .changes import OUTCOMES, Changes
from .record import Lines, Segments, Tree, checkpoint, digests

# Enough to see what is wrong; the count goes on.
SHOWN = 20


class Oracle:
    """`executed` are the files of the servers, `calls` that of the clients. `outages`: the disk was made to fail, so
    that calls are refused for it, and denials may not be recorded. `endings`: keep how each call ended. `allowed`: HTTP
    statuses that are no fault here. `repeats`: the same arguments may be sent again."""

    def __init__(self, data, executed, calls, outages=False, endings=False, allowed=(), quiet=False, repeats=False):
        self.outages, self.quiet, self.repeats = outages, quiet, repeats
        self.ends = {} if endings else None  # digest of the arguments -> status
        self.refused = set()
        self.allowed = {"0", *allowed, *(["503"] if outages else [])}
        self.directory = data / "log" / "local"
        self.digest = digests(data)
        self.executed, self.calls = [Lines(path) for path in executed], Lines(calls)
        self.segments, self.tree = Segments(self.directory), Tree()
        self.violations, self.shown = 0, []
        self.count = collections.Counter()
        self.endings = collections.Counter()
        # Ids of records and of requests, as numbers, to save memory.
        self.ids, self.requests = set(), set()
        self.open = {}  # intents without outcome: index -> digest of the arguments
        self.changes = Changes(self.violation)
        self.admitted, self.denied = set(), set()  # digests of arguments
        self.ran = set()
        self.closed = {}  # outcomes whose call was not yet seen to be answered: digest -> status
        self.awaited = {}  # answered calls without outcome so far: digest -> how they ended
        self.opening = None  # what the last `log.opened` said, until something else is recorded
        self.checkpoints = {}  # those seen and not yet compared: size -> root
        self.kept = []  # the texts of all that were seen

    def violation(self, text):
        self.violations += 1
        if len(self.shown) < SHOWN:
            self.shown.append(text)
            if not self.quiet:
                print(f"VIOLATION  {text}", flush=True)

    def see_checkpoint(self):
        """Keeps the newest checkpoint, as somebody elsewhere would."""
        if seen := checkpoint(self.directory):
            size, root, text = seen
            if not self.kept or self.kept[-1] != text:
                if self.kept and int(self.kept[-1].split("\n")[1]) > size:
                    self.violation(f"the checkpoint went back to size {size}")
                self.kept.append(text)
                self.checkpoints[size] = root

    def look(self):
        """Takes in what was added anywhere. Narrows is stopped."""
        # In this order: what ran and what was answered was recorded before, so the log must have it by now.
        executed, calls = [line for lines in self.executed for line in lines.read()], self.calls.read()
        self.see_checkpoint()
        for line in self.segments.read():
            index = len(self.tree)
            self.tree.push(line)
            self.record(index, line)
        for gap in self.segments.gaps():
            self.violation(gap)
        for size, root in list(self.checkpoints.items()):
            if size > len(self.tree):
                self.violation(f"a checkpoint covers {size} records, and there are {len(self.tree)}")
            elif self.tree.root(size) != root:
                self.violation(f"the checkpoint of {size} records has another root than they")
            self.count["checkpoints"] += 1
            del self.checkpoints[size]
        for line in executed:
            path, tool, identity = line.split(" ")
            if identity != "-":
                self.check_executed(path, tool, identity)
        for line in calls:
            self.check_answered(*line.split(" "))

    def record(self, index, line):
        try:
            record = json.loads(line)
            kind, identity = record["kind"], int(record["id"].replace("-", ""), 16)
        except (ValueError, KeyError) as error:
            return self.violation(f"record {index} is not one: {error}")
        self.count[kind] += 1
        if identity in self.ids:
            self.violation(f"record {index}: its id {record['id']} was there before")
        self.ids.add(identity)
        if self.opening is not None and not self.closes(record):
            self.opened(index)
        if kind in OUTCOMES and self.opening is not None:
            self.opening["changes"] += 1
            self.count[f"closed {kind}"] += 1
        self.changes.record(index, record)
        if kind == "request.admitted":
            self.intent(index, record)
        elif kind == "request.completed":
            self.outcome(index, record)
        elif kind == "request.denied":
            self.denied.add(record["request"].get("argsDigest"))
        elif kind == "log.opened":
            self.opening = {"index": index, "after": record["after"], "closed": 0, "changes": 0}
            if record["after"]["records"] != index:
                self.violation(f"record {index} says that there were {record['after']['records']} before it")
        elif kind == "log.recovered" and not self.outages:
            self.violation(f"record {index}: the disk failed, which is not what this is about")

    def closes(self, record):
        """Whether this is an outcome of something that a crash left open."""
        if record["kind"] in OUTCOMES:
            return record["intent"] < self.opening["index"]
        return record["kind"] == "request.completed" and record["outcome"]["status"] == "unknown"

    def opened(self, index):
        """The opening is over: all intents before it are closed."""
        opening, self.opening = self.opening, None
        before = [intent for intent in [*self.open, *self.changes.open] if intent < opening["index"]]
        if before:
            self.violation(f"{len(before)} intents before {opening['index']} are open at {index}, {before[0]} among them")
        if opening["changes"] != opening["after"]["closedChanges"]:
            self.violation(f"{opening['index']} speaks of {opening['after']['closedChanges']} changes, {opening['changes']} are closed")
        if opening["closed"] != opening["after"]["closedUnknown"]:
            self.violation(f"{opening['index']} speaks of {opening['after']['closedUnknown']} closed, {opening['closed']} are")

    def intent(self, index, record):
        request = record["request"]
        number = int(request["id"].replace("-", ""), 16)
        if number in self.requests:
            self.violation(f"record {index}: the request {request['id']} was admitted before")
        self.requests.add(number)
        digest = request.get("argsDigest")
        if digest in self.admitted and not self.repeats:
            self.violation(f"record {index}: these arguments were admitted before, and sent once")
        if digest:
            self.admitted.add(digest)
        self.open[index] = digest

    def outcome(self, index, record):
        intent, status = record["intent"], record["outcome"]["status"]
        if intent not in self.open:
            return self.violation(f"record {index} is an outcome of {intent}, which is no open intent")
        digest = self.open.pop(intent)
        self.endings[status] += 1
        if status == "unknown":
            if self.opening is None or intent >= self.opening["index"]:
                self.violation(f"record {index}: `unknown`, and it is not an opening that closes it")
            else:
                self.opening["closed"] += 1
            if record["outcome"]["error"] != "crash":
                self.violation(f"record {index}: `unknown` without a crash")
        if digest and self.ends is not None:
            self.ends[digest] = status
        if digest:
            self.meet(digest, status, self.awaited.pop(digest, None))

    def meet(self, digest, status, ended):
        """An outcome and what the client saw."""
        if ended is None:
            self.closed[digest] = status
        elif ended == "whole" and status not in ("ok", "unknown"):
            self.violation(f"a call was answered whole and is recorded as `{status}`: {digest}")
        else:
            self.count[f"answered {status}"] += 1

    def check_executed(self, path, tool, identity):
        digest = self.digest(f'{{"id":"{identity}"}}')
        self.count["executed"] += 1
        if digest not in self.admitted:
            self.violation(f"`{tool}` {identity} ran on {path}, and no intent says so")
        if digest in self.denied:
            self.violation(f"`{tool}` {identity} was denied and ran")
        if digest in self.ran:
            self.violation(f"`{tool}` {identity} ran twice")
        self.ran.add(digest)

    def check_answered(self, identity, kind, status, ended):
        """`status` is the HTTP status, 0 without one; `ended` is `whole` or `cut`."""
        digest = self.digest(f'{{"id":"{identity}"}}')
        self.count["calls"] += 1
        self.count[f"status {status}"] += 1
        if status.startswith("2"):
            self.count["answered"] += 1
            if digest not in self.admitted:
                self.violation(f"{identity} was answered with {status}, and no intent says so")
            elif digest in self.closed:
                self.meet(digest, self.closed.pop(digest), ended)
            else:
                self.awaited[digest] = ended
            if kind == "denied":
                self.violation(f"{identity} was to be denied and answered with {status}")
        elif status == "403":
            if digest not in self.denied and not self.outages:
                self.violation(f"{identity} was refused, and no record says so")
        else:
            if status == "503":
                self.refused.add(digest)
            if status not in self.allowed:
                self.violation(f"{identity} was answered with {status}")

    def end(self):
        """After an end in order: nothing is open, each answered call has its outcome, nothing ran that was refused."""
        self.look()
        if self.opening is not None:
            self.opened(len(self.tree))
        if self.refused & self.ran:
            self.violation(f"{len(self.refused & self.ran)} calls were refused with 503 and ran")
        self.changes.end()
        if self.open:
            self.violation(f"{len(self.open)} intents have no outcome, {next(iter(self.open))} among them")
        if self.awaited:
            self.violation(f"{len(self.awaited)} answered calls have no outcome")
