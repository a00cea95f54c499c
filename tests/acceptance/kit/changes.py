"""The state of the resources, worked out from the record alone: each applied change, one after the other, from what was
before it. It knows nothing of Narrows but what docs/audit.md says of a record."""

import json

INTENTS = {
    "server.deployed", "server.updated", "server.removed", "server.scaled", "server.restarted", "server.rolled_back",
    "namespace.changed", "role.changed", "binding.changed", "provider.changed",
    "policy.changed", "exemption.changed",
}
OUTCOMES = {"change.applied", "change.aborted"}


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


class Changes:
    """Takes in records in order. `violation` is told, in words, what does not hold."""

    def __init__(self, violation):
        self.violation = violation
        self.open = {}  # index -> intent
        self.state = {}  # (kind, namespace, name) -> manifest
        self.files = {}  # the same -> the file that it follows
        self.ended = {}  # change -> the kind of its outcomes
        self.left = {}  # change -> resources without outcome so far
        self.revisions = {}  # number -> the state's manifests as canonical texts, sorted

    def record(self, index, record):
        kind = record["kind"]
        if kind in INTENTS:
            self.intent(index, record)
        elif kind in OUTCOMES:
            self.outcome(index, record)

    def intent(self, index, record):
        change = record["change"]
        if change["id"] in self.ended:
            self.violation(f"record {index} belongs to a change that has ended")
        self.left[change["id"]] = self.left.get(change["id"], change["objects"])
        self.open[index] = record

    def outcome(self, index, record):
        intent = self.open.pop(record["intent"], None)
        if intent is None:
            return self.violation(f"record {index} is an outcome of {record['intent']}, which is no open change")
        change = intent["change"]
        if record["change"]["id"] != change["id"]:
            self.violation(f"record {index} is of another change than its intent")
        if self.ended.setdefault(change["id"], record["kind"]) != record["kind"]:
            self.violation(f"record {index}: one change is applied and aborted")
        if change["operation"] == "restart":
            # Nothing of the state changes, whatever came of it.
            self.unchanged(index, intent)
        elif record["kind"] == "change.applied":
            self.apply(index, intent)
            self.left[change["id"]] -= 1
            if self.left[change["id"]] == 0:
                number = int(change["revision"].split("-")[0])
                if number in self.revisions:
                    self.violation(f"record {index}: revision {number} was there before")
                self.revisions[number] = self.manifests()

    def unchanged(self, index, intent):
        self.left.pop(intent["change"]["id"], None)
        if canonical(intent["before"]) != canonical(intent["after"]):
            self.violation(f"record {index}: a server that is started anew is another than before")

    def apply(self, index, intent):
        thing = intent["object"]
        key = (thing["kind"], thing.get("namespace", ""), thing["name"])
        if canonical(self.state.get(key)) != canonical(intent.get("before")):
            self.violation(f"record {index}: {key} was not what its change says that it was")
        self.state.pop(key, None)
        self.files.pop(key, None)
        if "after" in intent:
            self.state[key] = intent["after"]
            if "file" in intent["change"]:
                self.files[key] = intent["change"]["file"]

    def manifests(self):
        """All resources as canonical texts, sorted."""
        return sorted(canonical(manifest) for manifest in self.state.values())

    def end(self):
        """After an end in order."""
        for index in self.open:
            self.violation(f"the change of record {index} has no outcome")
        for change, left in self.left.items():
            if self.ended.get(change) == "change.applied" and left:
                self.violation(f"the change {change} is applied, but for {left} of its resources")
